# zmqcore/_pipe.pyx -- see the door for contracts.
#
# A pipe is a list of chunks. A chunk is a window on a store, so that a large body can stand in several pipes at once
# without being copied. Frames are kept exactly as they travel: what is read needs no object, what is written no encoder,
# and a reader or the accounting of what was sent finds its way by parsing headers (two or nine bytes a frame).
#
#   in:   | read by the user | decoded, readable | decoded, message incomplete | undecoded | room |
#         0                read_off            commit                         mark       write_off  size
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from zmqcore._limits cimport (
    CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, FRAME_BYTES_AT_ONCE, GATHER_BYTES_MAX, LARGE_BODY_BYTES,
)
from zmqcore._message cimport (
    msg_clear, msg_push, msg_t, part_t, store_grow, store_new, store_ref, store_t, store_unref,
)
from zmqcore._sys cimport EAGAIN, EINVAL, ENOMEM, free, iovec, malloc, memcpy, memmove, zc_check, zc_load
from zmqcore._zmtp cimport ZMTP_COMMAND, ZMTP_HEAD_BYTES_MAX, ZMTP_LONG, ZMTP_MORE, zmtp_head_read, zmtp_head_write


# --- chunks -------------------------------------------------------------------------------------------------------------

cdef chunk_t *chunk_new(store_t *store, uint8_t *data, size_t size) noexcept nogil:
    # Takes over the caller's count on store, also on failure.
    cdef chunk_t *self = NULL
    if store != NULL:
        self = <chunk_t *>malloc(sizeof(chunk_t))
        if self == NULL:
            store_unref(store)
    if self == NULL:
        return NULL
    self.next = NULL
    self.store = store
    self.data = data
    self.size = size
    chunk_rewind(self)
    self.is_body = False
    self.more_after = False
    return self


cdef chunk_t *chunk_new_sized(size_t size) noexcept nogil:
    cdef store_t *store = store_new(size)
    return chunk_new(store, store.data if store != NULL else NULL, size)


cdef int chunk_resize(chunk_t *self, size_t size, size_t keep_off) noexcept nogil:
    # Another store of size bytes, which begins with the bytes from keep_off on; the rest has been read. 0; -ENOMEM.
    cdef store_t *store = store_new(size)
    cdef size_t kept = self.write_off - keep_off
    if store == NULL:
        return -ENOMEM
    if kept:
        memcpy(store.data, self.data + keep_off, kept)
    store_unref(self.store)
    self.store = store
    self.data = store.data
    self.size = size
    self.is_body = False
    chunk_rewind(self)
    self.write_off = kept
    return 0


cdef inline void chunk_rewind(chunk_t *self) noexcept nogil:
    # Nothing in it is to be read any more.
    self.read_off = self.write_off = self.account_off = self.end_off = 0
    self.msgs = self.frames = 0
    self.payload_bytes = 0
    self.has_skips = False


cdef void chunk_free(chunk_t *self) noexcept nogil:
    store_unref(self.store)
    free(self)


cdef void chunk_free_all(chunk_t *self) noexcept nogil:
    cdef chunk_t *next
    while self != NULL:
        next = self.next
        chunk_free(self)
        self = next


# --- life ---------------------------------------------------------------------------------------------------------------

cdef void pipe_init(pipe_t *self, uint32_t hwm_msgs) noexcept nogil:
    self.head = self.tail = self.commit = NULL
    self.msgs = self.bytes = 0
    self.hwm_msgs = hwm_msgs
    self.is_full = self.keep_commands = self.is_reserved = self.is_begun = self.is_apart = self.in_message = False
    self.chunk_bytes = CHUNK_BYTES_MIN
    self.mark_off = self.need_bytes = self.commit_off = 0
    self.open_frames = 0
    self.open_payload = 0
    self.total_msgs = self.total_bytes = self.times_full = 0


cdef void pipe_fini(pipe_t *self) noexcept nogil:
    pipe_clear(self)


cdef void pipe_clear(pipe_t *self) noexcept nogil:
    zc_check(not self.is_reserved)
    chunk_free_all(self.head)
    self.head = self.tail = self.commit = NULL
    self.msgs = self.bytes = 0
    self.is_begun = self.is_apart = self.in_message = False
    self.mark_off = self.need_bytes = self.commit_off = 0
    self.open_frames = 0
    self.open_payload = 0


cdef void pipe_settle(pipe_t *self) noexcept nogil:
    # Everything readable was read. Rewinds the last chunk for reuse, or gives it back when it has grown beyond need.
    cdef chunk_t *chunk = self.head
    if chunk != self.tail or chunk == NULL or self.is_reserved or chunk.read_off != chunk.write_off:
        return
    if chunk.write_off * 8 < chunk.size and self.chunk_bytes > CHUNK_BYTES_MIN:
        self.chunk_bytes //= 2
    if chunk.is_body or chunk.size > 4 * self.chunk_bytes or zc_load(&chunk.store.refs) != 1:
        chunk_free(chunk)
        self.head = self.tail = self.commit = NULL
    else:
        chunk_rewind(chunk)
    self.mark_off = self.commit_off = 0


# --- bounds -------------------------------------------------------------------------------------------------------------

cdef bint pipe_is_full(pipe_t *self) noexcept nogil:
    if self.is_full:
        return not pipe_has_reopened(self)
    if self.hwm_msgs == 0 or self.msgs < self.hwm_msgs:
        return False
    pipe_account(self)
    if self.msgs < self.hwm_msgs:
        return False
    self.is_full = True
    self.times_full += 1
    return True


cdef bint pipe_has_reopened(pipe_t *self) noexcept nogil:
    # libzmq's low-water mark: half of the bound, rounded up, has to be read.
    cdef uint64_t low = self.hwm_msgs - (self.hwm_msgs + 1) // 2
    if self.hwm_msgs != 0 and self.msgs > low:
        pipe_account(self)
        if self.msgs > low:
            return False
    self.is_full = False
    return True


# --- appending ----------------------------------------------------------------------------------------------------------

cdef int pipe_room(pipe_t *self, size_t size) noexcept nogil:
    # Makes the tail a chunk with size contiguous bytes free.
    cdef chunk_t *tail = self.tail
    cdef chunk_t *chunk
    cdef size_t want
    if tail != NULL and not tail.is_body and tail.size - tail.write_off >= size:
        return 0
    if tail != NULL and tail.is_body:
        want = CHUNK_BYTES_MIN
    else:
        want = self.chunk_bytes
        if tail != NULL and self.chunk_bytes < CHUNK_BYTES_MAX:
            self.chunk_bytes *= 2
            want = self.chunk_bytes
    want = want if want > size else size
    if tail != NULL and tail.write_off == 0:
        # An empty chunk that is too small is not left behind in the list (P1); no write can be using it.
        return chunk_resize(tail, want, 0)
    chunk = chunk_new_sized(want)
    if chunk == NULL:
        return -ENOMEM
    pipe_link(self, chunk)
    return 0


cdef inline void pipe_link(pipe_t *self, chunk_t *chunk) noexcept nogil:
    if self.tail != NULL:
        self.tail.next = chunk
    else:
        self.head = chunk
    self.tail = chunk


cdef void pipe_rollback(pipe_t *self, chunk_t *tail, size_t write_off, bint more_after, uint64_t bytes) noexcept nogil:
    if tail == NULL:
        chunk_free_all(self.head)
        self.head = self.tail = NULL
    else:
        chunk_free_all(tail.next)
        tail.next = NULL
        tail.write_off = write_off
        tail.more_after = more_after
        self.tail = tail
    self.bytes = bytes


cdef inline bint is_by_reference(const part_t *part) noexcept nogil:
    # Long bodies, and those of a sender who asked for it: with his own copy_threshold any size stays where it is until it has gone.
    return part.store != NULL and (part.size >= LARGE_BODY_BYTES or (part.size and part.store.release != NULL))


cdef int pipe_append_window(pipe_t *self, const uint8_t *at, size_t bytes, store_t *store) noexcept nogil:
    # Bytes that stay where they are. 0; -ENOMEM.
    cdef chunk_t *chunk
    store_ref(store)
    chunk = chunk_new(store, <uint8_t *>at, bytes)
    if chunk == NULL:
        return -ENOMEM
    chunk.write_off = bytes
    self.bytes += bytes
    pipe_link(self, chunk)
    return 0


cdef int pipe_append_one(pipe_t *self, const part_t *part, uint8_t flags) noexcept nogil:
    cdef bint is_reference = is_by_reference(part)
    cdef size_t head_bytes
    cdef chunk_t *tail
    if part.size > <size_t>-1 - 4096:
        return -ENOMEM
    if pipe_room(self, ZMTP_HEAD_BYTES_MAX + (0 if is_reference else part.size)) != 0:
        return -ENOMEM
    tail = self.tail
    head_bytes = zmtp_head_write(tail.data + tail.write_off, flags, part.size)
    tail.write_off += head_bytes
    self.bytes += head_bytes
    if is_reference:
        tail.more_after = True
        if pipe_append_window(self, part.at, part.size, part.store) != 0:
            return -ENOMEM
        self.tail.is_body = True
    elif part.size:
        memcpy(tail.data + tail.write_off, part.at, part.size)
        tail.write_off += part.size
        self.bytes += part.size
    self.tail.more_after = flags & ZMTP_MORE
    return 0


cdef int pipe_append(pipe_t *self, const msg_t *msg) noexcept nogil:
    cdef chunk_t *tail = self.tail
    cdef size_t write_off = tail.write_off if tail != NULL else 0
    cdef bint more_after = tail.more_after if tail != NULL else False
    cdef uint64_t bytes = self.bytes
    cdef uint32_t i
    if msg.count == 0:
        return -EINVAL
    for i in range(msg.count):
        if pipe_append_one(self, &msg.parts[i], ZMTP_MORE if i + 1 < msg.count else 0) != 0:
            pipe_rollback(self, tail, write_off, more_after, bytes)
            return -ENOMEM
    pipe_count(self, 1, self.bytes - bytes)
    return 0


cdef int pipe_append_part(pipe_t *self, const part_t *part) noexcept nogil:
    cdef chunk_t *tail = self.tail
    cdef size_t write_off = tail.write_off if tail != NULL else 0
    cdef bint more_after = tail.more_after if tail != NULL else False
    cdef uint64_t bytes = self.bytes
    if pipe_append_one(self, part, 0) != 0:
        pipe_rollback(self, tail, write_off, more_after, bytes)
        return -ENOMEM
    pipe_count(self, 1, self.bytes - bytes)
    return 0


cdef uint32_t pipe_append_bodies(pipe_t *self, const part_t *parts, uint32_t count) noexcept nogil:
    cdef uint32_t done = 0
    cdef uint32_t before
    cdef uint8_t *at
    cdef uint8_t *end
    while done < count:
        before = done
        if self.tail != NULL and not self.tail.is_body:
            at = self.tail.data + self.tail.write_off
            end = self.tail.data + self.tail.size
            while done < count and ZMTP_HEAD_BYTES_MAX + parts[done].size <= <size_t>(end - at):
                at += zmtp_head_write(at, 0, parts[done].size)
                if parts[done].size:
                    memcpy(at, parts[done].at, parts[done].size)
                    at += parts[done].size
                done += 1
            if done > before:
                end = self.tail.data + self.tail.write_off
                self.tail.write_off += at - end
                self.tail.more_after = False
                self.bytes += at - end
                pipe_count(self, done - before, at - end)
        if done < count:
            if pipe_append_body(self, parts[done].at, parts[done].size) != 0:
                break
            done += 1
    return done


cdef int pipe_append_frame(pipe_t *self, uint8_t flags, const uint8_t *head, size_t head_bytes,
                           const uint8_t *tail, size_t tail_bytes) noexcept nogil:
    cdef size_t size = head_bytes + tail_bytes
    cdef size_t before
    cdef uint8_t *at
    if pipe_room(self, ZMTP_HEAD_BYTES_MAX + size) != 0:
        return -ENOMEM
    before = self.tail.write_off
    at = self.tail.data + before
    at += zmtp_head_write(at, flags, size)
    if head_bytes:
        memcpy(at, head, head_bytes)
    if tail_bytes:
        memcpy(at + head_bytes, tail, tail_bytes)
    self.tail.write_off = <size_t>(at - self.tail.data) + size
    self.bytes += self.tail.write_off - before
    self.tail.more_after = flags & ZMTP_MORE
    if not flags & (ZMTP_COMMAND | ZMTP_MORE):
        pipe_count(self, 1, self.tail.write_off - before)
    return 0


cdef int pipe_append_bytes(pipe_t *self, const uint8_t *at, size_t size) noexcept nogil:
    if size == 0:
        return 0
    if pipe_room(self, size) != 0:
        return -ENOMEM
    memcpy(self.tail.data + self.tail.write_off, at, size)
    self.tail.write_off += size
    self.bytes += size
    return 0


cdef int pipe_append_bare(pipe_t *self, const part_t *part) noexcept nogil:
    if not is_by_reference(part):
        return pipe_append_bytes(self, part.at, part.size)
    if pipe_append_window(self, part.at, part.size, part.store) != 0:
        return -ENOMEM
    self.tail.is_body = True
    return 0


# --- writing out --------------------------------------------------------------------------------------------------------

cdef int pipe_gather(const pipe_t *self, iovec *vec, int room, size_t *total) noexcept nogil:
    cdef const chunk_t *chunk = self.head
    cdef int count = 0
    total[0] = 0
    while chunk != NULL and count < room and total[0] < GATHER_BYTES_MAX:
        if chunk.write_off > chunk.read_off:
            vec[count].iov_base = chunk.data + chunk.read_off
            vec[count].iov_len = chunk.write_off - chunk.read_off
            total[0] += vec[count].iov_len
            count += 1
        chunk = chunk.next
    return count


cdef void pipe_sent(pipe_t *self, size_t size) noexcept nogil:
    cdef chunk_t *chunk = self.head
    cdef size_t avail
    self.bytes -= size
    while chunk != NULL:
        avail = chunk.write_off - chunk.read_off
        if size < avail:
            chunk.read_off += size
            return
        size -= avail
        chunk.read_off = chunk.write_off
        self.msgs -= chunk.msgs
        chunk.msgs = 0
        self.is_begun = chunk.more_after
        if chunk.next == NULL:
            chunk.account_off = chunk.write_off
            pipe_settle(self)
            return
        self.head = chunk.next
        chunk_free(chunk)
        chunk = self.head


cdef void pipe_account(pipe_t *self) noexcept nogil:
    cdef chunk_t *chunk = self.head
    cdef size_t off, used
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    if chunk == NULL or chunk.is_body:
        return
    off = chunk.account_off
    while off < chunk.read_off:
        used = zmtp_head_read(chunk.data + off, chunk.write_off - off, &flags, &size)
        # A header whose body is the next chunk, or a frame that is only partly sent: still to come.
        if chunk.read_off - off < used + size:
            break
        off += used + size
        if not flags & ZMTP_COMMAND:
            self.is_begun = flags & ZMTP_MORE
            if not flags & ZMTP_MORE:
                self.msgs -= 1
                chunk.msgs -= 1
    chunk.account_off = off


cdef bint pipe_drop_frame(pipe_t *self) noexcept nogil:
    # out: drops the first frame that is not wholly sent. Whether its message goes on behind it.
    cdef chunk_t *chunk = self.head
    cdef size_t off = chunk.account_off
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    if not chunk.is_body:
        off += zmtp_head_read(chunk.data + off, chunk.write_off - off, &flags, &size)
        if size == 0 or off < chunk.write_off:
            off += size
        else:
            self.bytes -= chunk.write_off - chunk.read_off
            self.head = chunk.next
            chunk_free(chunk)
            chunk = self.head
    if chunk.is_body:
        off = chunk.write_off
        flags = ZMTP_MORE if chunk.more_after else 0
    self.bytes -= off - chunk.read_off
    chunk.read_off = chunk.account_off = off
    if not flags & (ZMTP_MORE | ZMTP_COMMAND):
        chunk.msgs -= 1
        self.msgs -= 1
    if off == chunk.write_off and chunk.next != NULL:
        self.head = chunk.next
        chunk_free(chunk)
    return flags & ZMTP_MORE


cdef void pipe_abandon_begun(pipe_t *self) noexcept nogil:
    # A body chunk is at the head only behind its header, and then is_begun is set: the header was sent.
    pipe_account(self)
    if self.head != NULL and (self.is_begun or self.head.read_off > self.head.account_off):
        while pipe_drop_frame(self):
            pass
    self.is_begun = False
    pipe_settle(self)


# --- reading in ---------------------------------------------------------------------------------------------------------

cdef int pipe_relocate(pipe_t *self, size_t size) noexcept nogil:
    # A new tail of size bytes that begins with what is undecoded in the old one.
    cdef chunk_t *old = self.tail
    cdef chunk_t *chunk
    cdef size_t pending = old.write_off - self.mark_off
    if old.read_off == self.mark_off:
        # Nothing else is in the old one: it must not stay in the list empty (P1).
        if chunk_resize(old, size, self.mark_off) != 0:
            return -ENOMEM
        self.mark_off = 0
        if self.commit == old:
            self.commit_off = 0
        return 0
    chunk = chunk_new_sized(size)
    if chunk == NULL:
        return -ENOMEM
    if pending:
        memcpy(chunk.data, old.data + self.mark_off, pending)
    chunk.write_off = pending
    old.write_off = self.mark_off
    pipe_link(self, chunk)
    self.mark_off = 0
    return 0


cdef void pipe_start_in(pipe_t *self) noexcept nogil:
    self.commit = self.tail
    self.commit_off = self.mark_off = self.tail.write_off if self.tail != NULL else 0
    self.need_bytes = 0
    self.in_message = False
    self.open_frames = 0
    self.open_payload = 0
    if self.tail != NULL:
        # Appended messages are not counted as runs want it, and a chunk may come to hold both kinds.
        self.tail.has_skips = True


cdef void pipe_start_queue(pipe_t *self) noexcept nogil:
    self.commit = NULL
    self.commit_off = self.mark_off = 0
    if self.tail != NULL:
        self.tail.has_skips = True


cdef inline bint pipe_is_long(const pipe_t *self) noexcept nogil:
    # Whether the frame at the mark gets a chunk of its own.
    return self.need_bytes > CHUNK_BYTES_MAX or self.is_apart


cdef bint pipe_tail_will_do(const pipe_t *self, size_t want) noexcept nogil:
    # Whether the next read can go behind what is in the tail.
    cdef const chunk_t *tail = self.tail
    cdef size_t frame_room = tail.size - self.mark_off
    if self.need_bytes == 0:
        return tail.size - tail.write_off >= want // 4
    if self.need_bytes <= frame_room:
        return True
    # A long frame fills what it was given before it gets more.
    return frame_room >= FRAME_BYTES_AT_ONCE and tail.write_off < tail.size


cdef size_t pipe_size_for(const pipe_t *self, size_t want, size_t pending) noexcept nogil:
    # How large the chunk is to be that begins with the pending bytes of the frame at the mark.
    cdef size_t most
    if pipe_is_long(self):
        # pending lies in memory: twice that much does not overflow.
        most = 2 * pending if 2 * pending > FRAME_BYTES_AT_ONCE else FRAME_BYTES_AT_ONCE
        return self.need_bytes if self.need_bytes < most else most
    if self.need_bytes > want:
        want = self.need_bytes
    # Decoding may have stopped at the high-water mark: then what is undecoded has no bound but what was read.
    return want if want > pending else pending + want


cdef int pipe_grow_tail(pipe_t *self, size_t size) noexcept nogil:
    # The chunk holds nothing but the frame at its beginning, and nobody else looks at it. 0; -ENOMEM.
    cdef store_t *store
    zc_check(self.tail.store.release == NULL and self.tail.data == self.tail.store.data)
    store = store_grow(self.tail.store, size)
    if store == NULL:
        return -ENOMEM
    self.tail.store = store
    self.tail.data = store.data
    self.tail.size = size
    return 0


cdef inline void pipe_expect_long(pipe_t *self) noexcept nogil:
    # Where one long frame is, there may be more, and what is read behind a header has to be copied. A quarter: the read that
    # brought the header has usually filled its chunk, and so doubled the next.
    self.chunk_bytes = self.chunk_bytes // 4 if self.chunk_bytes > 4 * CHUNK_BYTES_MIN else CHUNK_BYTES_MIN


cdef int pipe_set_apart(pipe_t *self, store_t *store) noexcept nogil:
    cdef chunk_t *tail = self.tail
    cdef size_t body_off = self.mark_off + ZMTP_HEAD_BYTES_MAX
    cdef size_t pending = tail.write_off - body_off
    cdef chunk_t *body
    store_ref(store)
    body = chunk_new(store, store.data, self.need_bytes - ZMTP_HEAD_BYTES_MAX)
    if body == NULL:
        return -ENOMEM
    store_unref(store)              # the caller's count
    memcpy(body.data, tail.data + body_off, pending)
    body.write_off = pending
    body.is_body = body.has_skips = True
    self.apart_flags = tail.data[self.mark_off]
    tail.write_off = body_off
    pipe_link(self, body)
    self.mark_off = 0
    self.need_bytes = body.size
    self.is_apart = True
    pipe_expect_long(self)
    return 0


cdef bint pipe_mark_apart(pipe_t *self) noexcept nogil:
    cdef chunk_t *tail = self.tail
    if tail.write_off < tail.size:
        return False
    self.is_apart = False
    pipe_mark_bytes(self, tail.size, tail.size, not self.apart_flags & ZMTP_MORE)
    return True


cdef int pipe_reserve(pipe_t *self, size_t want, uint8_t **at, size_t *room) noexcept nogil:
    cdef chunk_t *tail = self.tail
    cdef size_t size, pending
    cdef int rc
    if want < self.chunk_bytes:
        want = self.chunk_bytes
    if tail == NULL:
        tail = chunk_new_sized(want)
        if tail == NULL:
            return -ENOMEM
        pipe_link(self, tail)
        self.mark_off = 0
        self.commit = tail
        self.commit_off = 0
    elif not pipe_tail_will_do(self, want):
        pending = tail.write_off - self.mark_off
        if (tail == self.head and tail.read_off == self.mark_off and not tail.is_body and self.need_bytes <= tail.size
                and tail.size - pending >= want // 4 and zc_load(&tail.store.refs) == 1):
            # Nobody looks at what is before the mark: move the rest to the front.
            memmove(tail.data, tail.data + self.mark_off, pending)
            chunk_rewind(tail)
            tail.write_off = pending
            self.mark_off = 0
            self.commit = tail
            self.commit_off = 0
        else:
            size = pipe_size_for(self, want, pending)
            if pipe_is_long(self) and self.mark_off == 0 and zc_load(&tail.store.refs) == 1:
                rc = pipe_grow_tail(self, size)
            else:
                rc = pipe_relocate(self, size)
            if rc != 0:
                return rc
            tail = self.tail
            if pipe_is_long(self):
                pipe_expect_long(self)
    at[0] = tail.data + tail.write_off
    room[0] = tail.size - tail.write_off
    self.is_reserved = True
    return 0


cdef void pipe_filled(pipe_t *self, size_t size) noexcept nogil:
    cdef chunk_t *tail = self.tail
    self.is_reserved = False
    if not pipe_is_long(self):
        # What comes of a long frame says nothing about what is behind it.
        if size == tail.size - tail.write_off and self.chunk_bytes < CHUNK_BYTES_MAX:
            self.chunk_bytes *= 2
        elif size * 16 < self.chunk_bytes and self.chunk_bytes > CHUNK_BYTES_MIN:
            self.chunk_bytes //= 2
    tail.write_off += size
    self.bytes += size
    if size == 0:
        pipe_settle(self)


cdef void pipe_mark_command(pipe_t *self, size_t size) noexcept nogil:
    cdef uint8_t *at = self.tail.data + self.mark_off
    at[0] = (at[0] & ZMTP_LONG) | FRAME_SKIP
    self.tail.has_skips = True
    self.mark_off += size
    self.need_bytes = 0
    if not self.in_message:
        self.commit = self.tail
        self.commit_off = self.mark_off
        if self.msgs == 0:
            pipe_skip_to_commit(self)


cdef void pipe_skip_to_commit(pipe_t *self) noexcept nogil:
    # No message is left: what stands before the commit position are commands, which nobody reads.
    cdef chunk_t *chunk
    while self.head != self.commit:
        chunk = self.head
        self.bytes -= chunk.write_off - chunk.read_off
        self.head = chunk.next
        chunk_free(chunk)
    self.bytes -= self.commit_off - self.head.read_off
    self.head.read_off = self.head.account_off = self.commit_off


cdef void pipe_drop_incomplete(pipe_t *self) noexcept nogil:
    cdef chunk_t *chunk
    zc_check(not self.is_reserved)
    self.is_apart = self.in_message = False
    self.need_bytes = 0
    self.open_frames = 0
    self.open_payload = 0
    if self.commit == NULL:
        return
    chunk = self.commit.next
    while chunk != NULL:
        self.bytes -= chunk.write_off - chunk.read_off
        chunk = chunk.next
    chunk_free_all(self.commit.next)
    self.tail = self.commit
    self.tail.next = NULL
    self.bytes -= self.tail.write_off - self.commit_off
    self.tail.write_off = self.mark_off = self.commit_off
    if self.msgs == 0:
        pipe_skip_to_commit(self)
        pipe_settle(self)


# --- popping ------------------------------------------------------------------------------------------------------------

# Where the oldest message ends, and what it holds.
cdef struct extent_t:
    chunk_t *end
    size_t end_off
    uint32_t frames
    uint64_t payload_bytes


cdef int pipe_walk_message(pipe_t *self, msg_t *msg, extent_t *extent) noexcept nogil:
    # Finds the end of the oldest message; fills msg unless it is NULL. 0; -ENOMEM.
    cdef chunk_t *chunk = self.head
    cdef size_t off = chunk.read_off
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    cdef const uint8_t *body
    extent.frames = 0
    extent.payload_bytes = 0
    while True:
        while off == chunk.write_off:
            chunk = chunk.next
            off = chunk.read_off
        off += zmtp_head_read(chunk.data + off, chunk.write_off - off, &flags, &size)
        if size and off == chunk.write_off:
            chunk = chunk.next
            body = chunk.data
            off = chunk.write_off
        else:
            body = chunk.data + off
            off += size
        if flags & FRAME_SKIP or (flags & ZMTP_COMMAND and not self.keep_commands):
            continue
        extent.frames += 1
        extent.payload_bytes += size
        if msg != NULL:
            if msg_push(msg, body, size, chunk.store if size else NULL) != 0:
                return -ENOMEM
            if size:
                store_ref(chunk.store)
            msg.is_command = flags & ZMTP_COMMAND
        if not flags & ZMTP_MORE or flags & ZMTP_COMMAND:
            break
    extent.end = chunk
    extent.end_off = off
    return 0


cdef void pipe_read_to(pipe_t *self, const extent_t *extent) noexcept nogil:
    cdef chunk_t *end = extent.end
    cdef size_t end_off = extent.end_off
    cdef chunk_t *chunk
    while self.head != end:
        chunk = self.head
        self.bytes -= chunk.write_off - chunk.read_off
        self.head = chunk.next
        chunk_free(chunk)
    self.bytes -= end_off - end.read_off
    end.read_off = end.account_off = end_off
    end.msgs -= 1
    end.frames -= extent.frames
    end.payload_bytes -= extent.payload_bytes
    self.msgs -= 1
    if end.is_body and self.msgs:
        # A sender waits until his body is let go of. The next message lies behind it.
        self.head = end.next
        chunk_free(end)
    pipe_after_read(self)


cdef void pipe_after_read(pipe_t *self) noexcept nogil:
    if self.msgs == 0:
        if self.commit != NULL:
            pipe_skip_to_commit(self)
        pipe_settle(self)


cdef int pipe_pop(pipe_t *self, msg_t *msg) noexcept nogil:
    cdef extent_t extent
    if self.msgs == 0:
        return -EAGAIN
    if pipe_walk_message(self, msg, &extent) != 0:
        msg_clear(msg)
        return -ENOMEM
    pipe_read_to(self, &extent)
    return 0


cdef int pipe_pop_body(pipe_t *self, uint8_t *at, size_t room, size_t *size) noexcept nogil:
    cdef chunk_t *chunk = self.head
    cdef size_t off
    cdef uint8_t flags = 0
    cdef uint64_t found = 0
    if self.msgs == 0 or chunk.read_off == chunk.write_off:
        return -EAGAIN
    off = chunk.read_off + zmtp_head_read(chunk.data + chunk.read_off, chunk.write_off - chunk.read_off, &flags, &found)
    if flags & ~ZMTP_LONG or found > room or found > chunk.write_off - off:
        return -EAGAIN
    if found:
        memcpy(at, chunk.data + off, found)
    size[0] = found
    off += found
    self.bytes -= off - chunk.read_off
    chunk.read_off = chunk.account_off = off
    chunk.msgs -= 1
    chunk.frames -= 1
    chunk.payload_bytes -= found
    self.msgs -= 1
    pipe_after_read(self)
    return 0


cdef int pipe_drop(pipe_t *self) noexcept nogil:
    cdef extent_t extent
    if self.msgs == 0:
        return -EAGAIN
    pipe_walk_message(self, NULL, &extent)
    pipe_read_to(self, &extent)
    return 0


# --- runs ---------------------------------------------------------------------------------------------------------------

cdef bint pipe_peek_run(const pipe_t *self, run_t *run) noexcept nogil:
    cdef const chunk_t *chunk = self.head
    if self.msgs == 0:
        return False
    if chunk.read_off == chunk.write_off and chunk.next != NULL:
        chunk = chunk.next
    # Without a message that ends here, the next one goes on in another chunk; skipped frames have to be left out.
    if chunk.msgs == 0 or chunk.has_skips or chunk.end_off <= chunk.read_off:
        return False
    run.at = chunk.data + chunk.read_off
    run.bytes = chunk.end_off - chunk.read_off
    run.msgs = chunk.msgs
    run.frames = chunk.frames
    run.payload_bytes = chunk.payload_bytes
    run.store = chunk.store
    return True


cdef void pipe_consume_run(pipe_t *self, size_t bytes, uint32_t msgs, uint32_t frames, uint64_t payload_bytes) noexcept nogil:
    cdef chunk_t *chunk = self.head
    if chunk.read_off == chunk.write_off and chunk.next != NULL:
        self.head = chunk.next
        chunk_free(chunk)
        chunk = self.head
    chunk.read_off += bytes
    chunk.account_off = chunk.read_off
    chunk.msgs -= msgs
    chunk.frames -= frames
    chunk.payload_bytes -= payload_bytes
    self.bytes -= bytes
    self.msgs -= msgs
    pipe_after_read(self)


cdef inline int pipe_append_frames(pipe_t *self, const uint8_t *at, size_t bytes, store_t *store) noexcept nogil:
    if bytes >= LARGE_BODY_BYTES and store != NULL:
        return pipe_append_window(self, at, bytes, store)
    if pipe_room(self, bytes) != 0:
        return -ENOMEM
    memcpy(self.tail.data + self.tail.write_off, at, bytes)
    self.tail.write_off += bytes
    self.bytes += bytes
    return 0


cdef int pipe_append_run(pipe_t *self, const uint8_t *at, size_t bytes, uint32_t msgs, store_t *store) noexcept nogil:
    if pipe_append_frames(self, at, bytes, store) != 0:
        return -ENOMEM
    pipe_count(self, msgs, bytes)
    return 0


cdef int pipe_append_prefixed(pipe_t *self, const store_t *prefix, const uint8_t *at, size_t bytes,
                              store_t *store) noexcept nogil:
    cdef chunk_t *tail
    cdef size_t head_bytes
    # Room for both, so that the append below cannot fail half-way when it copies.
    if pipe_room(self, ZMTP_HEAD_BYTES_MAX + prefix.size + (bytes if bytes < LARGE_BODY_BYTES else 0)) != 0:
        return -ENOMEM
    tail = self.tail
    head_bytes = zmtp_head_write(tail.data + tail.write_off, ZMTP_MORE, prefix.size)
    memcpy(tail.data + tail.write_off + head_bytes, prefix.data, prefix.size)
    head_bytes += prefix.size
    tail.write_off += head_bytes
    self.bytes += head_bytes
    tail.more_after = True
    if pipe_append_run(self, at, bytes, 1, store) != 0:
        tail.write_off -= head_bytes
        self.bytes -= head_bytes
        tail.more_after = False
        return -ENOMEM
    self.tail.more_after = False
    return 0


# --- check --------------------------------------------------------------------------------------------------------------

cdef bint pipe_check(const pipe_t *self) noexcept nogil:
    cdef const chunk_t *chunk = self.head
    cdef uint64_t bytes = 0
    cdef bint has_commit = self.commit == NULL
    if (self.head == NULL) != (self.tail == NULL):
        return False
    while chunk != NULL:
        if chunk.read_off > chunk.write_off or chunk.write_off > chunk.size:
            return False
        if chunk.next == NULL and chunk != self.tail:
            return False
        if chunk.read_off == chunk.write_off and chunk != self.head and chunk != self.tail:
            return False
        bytes += chunk.write_off - chunk.read_off
        has_commit = has_commit or chunk == self.commit
        chunk = chunk.next
    return has_commit and bytes == self.bytes
