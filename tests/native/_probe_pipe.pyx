"""zmqcore._pipe for its tests: thin wrappers, and the decode loop of the engine."""
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from zmqcore._limits cimport (
    CHUNK_BYTES_MAX as _CHUNK_BYTES_MAX, CHUNK_BYTES_MIN as _CHUNK_BYTES_MIN,
    FRAME_BYTES_AT_ONCE as _FRAME_BYTES_AT_ONCE, GATHER_BYTES_MAX as _GATHER_BYTES_MAX, LARGE_BODY_BYTES as _LARGE_BODY_BYTES,
    SPARE_BODIES_MAX as _SPARE_BODIES_MAX, SPARE_BODY_BYTES_MAX as _SPARE_BODY_BYTES_MAX,
)
from zmqcore._message cimport (
    msg_bytes, msg_clear, msg_fini, msg_init, msg_move, msg_push, msg_push_copy, msg_shift, msg_t, msg_unshift, part_t,
    store_new, store_ref, store_t, store_unref, store_wrap,
)
from zmqcore._pipe cimport (
    FRAME_SKIP, chunk_t, pipe_abandon_begun, pipe_account, pipe_append, pipe_append_bytes, pipe_append_frame,
    pipe_append_part, pipe_append_prefixed, pipe_append_run, pipe_body_due, pipe_check, pipe_clear, pipe_consume_run, pipe_drop,
    pipe_drop_incomplete, pipe_filled, pipe_fini, pipe_gather, pipe_has_reopened, pipe_init, pipe_is_full,
    pipe_mark_apart, pipe_mark_command, pipe_mark_frame, pipe_peek_run, pipe_pop, pipe_reserve, pipe_sent, pipe_set_apart,
    pipe_start_in, pipe_start_queue, pipe_t, pipe_undecoded, raw_t, run_advance, run_first, run_t,
)
from zmqcore._sys cimport EAGAIN as _EAGAIN, EINVAL as _EINVAL, ENOMEM as _ENOMEM, iovec
from zmqcore._zmtp cimport ZMTP_COMMAND, ZMTP_MORE, zmtp_head_read

from tests.native._probe_fail cimport fail

EAGAIN = _EAGAIN
EINVAL = _EINVAL
ENOMEM = _ENOMEM
CHUNK_BYTES_MIN = _CHUNK_BYTES_MIN
CHUNK_BYTES_MAX = _CHUNK_BYTES_MAX
FRAME_BYTES_AT_ONCE = _FRAME_BYTES_AT_ONCE
GATHER_BYTES_MAX = _GATHER_BYTES_MAX
LARGE_BODY_BYTES = _LARGE_BODY_BYTES
SPARE_BODIES_MAX = _SPARE_BODIES_MAX
SPARE_BODY_BYTES_MAX = _SPARE_BODY_BYTES_MAX
MORE = ZMTP_MORE
COMMAND = ZMTP_COMMAND

cdef enum:
    VEC_MAX = 64

cdef int32_t held_stores = 0


cdef void on_release(void *arg) noexcept nogil:
    global held_stores
    held_stores -= 1
    free(arg)


def count_held_stores():
    """Stores of this probe that somebody still refers to."""
    return held_stores


# Bytes in an allocation of exactly their size, so that a sanitizer sees the first byte read outside.
cdef uint8_t *copy_of(bytes data) except? NULL:
    cdef uint8_t *copy = <uint8_t *>malloc(len(data))
    memcpy(copy, <const char *>data, len(data))
    return copy


cdef class Store:
    """A body that can be referred to; counts as one reference while it lives. is_own: in memory of the engine, not a sender's."""
    cdef store_t *at
    cdef readonly bytes data

    def __cinit__(self, bytes data not None, bint is_own=False):
        global held_stores
        cdef uint8_t *copy
        self.data = data
        if is_own:
            self.at = store_new(len(data))
            memcpy(self.at.data, <const char *>data, len(data))
            return
        copy = copy_of(data)
        self.at = store_wrap(copy, len(data), on_release, copy)
        held_stores += 1

    def __dealloc__(self):
        store_unref(self.at)

    @property
    def refs(self):
        return self.at.refs


cdef class Msg:
    cdef msg_t at

    def __cinit__(self):
        msg_init(&self.at)

    def __dealloc__(self):
        msg_fini(&self.at)

    def push(self, body, long fail_after=-1):
        cdef Store store
        cdef int rc
        cdef uint8_t *copy
        if isinstance(body, Store):
            store = body
            store_ref(store.at)
            fail(fail_after)
            rc = msg_push(&self.at, store.at.data, store.at.size, store.at)
            fail(-1)
            if rc != 0:
                store_unref(store.at)
        else:
            copy = copy_of(body)
            fail(fail_after)
            rc = msg_push_copy(&self.at, copy, len(body))
            fail(-1)
            free(copy)
        return rc

    def unshift(self, Store store not None, long fail_after=-1):
        cdef int rc
        store_ref(store.at)
        fail(fail_after)
        rc = msg_unshift(&self.at, store.at.data, store.at.size, store.at)
        fail(-1)
        if rc != 0:
            store_unref(store.at)
        return rc

    def shift(self, uint32_t count):
        msg_shift(&self.at, count)

    def clear(self):
        msg_clear(&self.at)

    def fini(self):
        msg_fini(&self.at)

    def move_to(self, Msg target not None):
        msg_move(&target.at, &self.at)

    @property
    def parts(self):
        return [(<const char *>self.at.parts[i].at)[:self.at.parts[i].size] if self.at.parts[i].size else b""
                for i in range(self.at.count)]

    @property
    def refs(self):
        """How often each part's store is referred to; 0: no store."""
        return [self.at.parts[i].store.refs if self.at.parts[i].store != NULL else 0 for i in range(self.at.count)]

    @property
    def is_command(self):
        return bool(self.at.is_command)

    @property
    def bytes(self):
        return msg_bytes(&self.at)


cdef class Pipe:
    cdef pipe_t at
    cdef iovec vec[VEC_MAX]
    cdef int vec_count
    cdef uint8_t *room_at
    cdef size_t room_bytes

    def __cinit__(self, uint32_t hwm_msgs=0, bint keep_commands=False):
        pipe_init(&self.at, hwm_msgs)
        self.at.keep_commands = keep_commands

    def __dealloc__(self):
        pipe_fini(&self.at)

    def clear(self):
        pipe_clear(&self.at)

    # --- appending ---

    def append(self, list bodies not None, long fail_after=-1):
        """Bodies are bytes, which lie in memory that is gone afterwards, or stores."""
        cdef msg_t msg
        cdef Store store
        cdef int rc
        cdef uint32_t i
        msg_init(&msg)
        for body in bodies:
            if isinstance(body, Store):
                store = body
                store_ref(store.at)
                msg_push(&msg, store.at.data, store.at.size, store.at)
            else:
                msg_push(&msg, copy_of(body), len(body), NULL)
        fail(fail_after)
        rc = pipe_append(&self.at, &msg)
        fail(-1)
        for i in range(msg.count):
            if msg.parts[i].store == NULL:
                free(<void *>msg.parts[i].at)
        msg_fini(&msg)
        return rc

    def append_part(self, body, long fail_after=-1):
        cdef part_t part
        cdef Store store
        cdef int rc
        if isinstance(body, Store):
            store = body
            part.at = store.at.data
            part.size = store.at.size
            part.store = store.at
        else:
            part.at = copy_of(body)
            part.size = len(body)
            part.store = NULL
        fail(fail_after)
        rc = pipe_append_part(&self.at, &part)
        fail(-1)
        if part.store == NULL:
            free(<void *>part.at)
        return rc

    def append_frame(self, uint8_t flags, bytes head not None, bytes tail not None, long fail_after=-1):
        cdef uint8_t *head_at = copy_of(head) if head else NULL
        cdef uint8_t *tail_at = copy_of(tail) if tail else NULL
        cdef size_t head_bytes = len(head)
        cdef size_t tail_bytes = len(tail)
        cdef int rc
        fail(fail_after)
        rc = pipe_append_frame(&self.at, flags, head_at, head_bytes, tail_at, tail_bytes)
        fail(-1)
        free(head_at)
        free(tail_at)
        return rc

    def append_bytes(self, bytes data not None, long fail_after=-1):
        cdef uint8_t *copy = copy_of(data)
        cdef size_t size = len(data)
        cdef int rc
        fail(fail_after)
        rc = pipe_append_bytes(&self.at, copy, size)
        fail(-1)
        free(copy)
        return rc

    # --- writing out ---

    def gather(self, int room=VEC_MAX):
        """Begins a write; how many bytes it may take at most."""
        cdef size_t total = 0
        cdef size_t sum = 0
        self.vec_count = pipe_gather(&self.at, self.vec, min(room, VEC_MAX), &total)
        for i in range(self.vec_count):
            sum += self.vec[i].iov_len
        assert sum == total
        return total

    def gathered(self):
        """The buffers of the write that was begun, as they are now."""
        return [(<const char *>self.vec[i].iov_base)[:self.vec[i].iov_len] for i in range(self.vec_count)]

    def sent(self, size_t size):
        self.vec_count = 0
        pipe_sent(&self.at, size)

    def account(self):
        pipe_account(&self.at)

    def abandon_begun(self):
        pipe_abandon_begun(&self.at)

    # --- reading in ---

    def start_in(self):
        pipe_start_in(&self.at)

    def start_queue(self):
        pipe_start_queue(&self.at)

    def reserve(self, size_t want=0, long fail_after=-1, size_t offer=0):
        """The room, or the error. offer: so much memory for a long body, which goes there if it is due and fits."""
        cdef size_t due = pipe_body_due(&self.at) if offer else 0
        cdef store_t *store
        cdef int rc = 0
        if 0 < due <= offer:
            store = store_new(offer)
            assert store != NULL
            fail(fail_after)
            rc = pipe_set_apart(&self.at, store)
            fail(-1)
            if rc != 0:
                store_unref(store)
                return rc
        fail(fail_after)
        rc = pipe_reserve(&self.at, want, &self.room_at, &self.room_bytes)
        fail(-1)
        return rc if rc < 0 else self.room_bytes

    def filled(self, bytes data not None):
        assert <size_t>len(data) <= self.room_bytes
        memcpy(self.room_at, <const char *>data, len(data))
        pipe_filled(&self.at, len(data))

    def decode(self):
        """The loop of the engine: up to the high-water mark, where is_full is set. Commands whose body begins with S are
        kept between messages, if the pipe keeps commands; all others are skipped."""
        cdef pipe_t *pipe = &self.at
        cdef uint8_t *at
        cdef size_t avail = 0
        cdef size_t used
        cdef uint8_t flags = 0
        cdef uint64_t size = 0
        while True:
            if pipe.hwm_msgs and pipe.msgs >= pipe.hwm_msgs:
                pipe.is_full = True
                return
            if pipe.is_apart:
                if not pipe_mark_apart(pipe):
                    return
                continue
            at = pipe_undecoded(pipe, &avail)
            used = zmtp_head_read(at, avail, &flags, &size)
            if used == 0:
                return
            if avail - used < size:
                pipe.need_bytes = used + size
                return
            if flags & ZMTP_COMMAND:
                if pipe.keep_commands and not pipe.in_message and size and at[used] == c"S":
                    at[0] = flags & 0x07 & ~ZMTP_MORE
                    pipe_mark_frame(pipe, used + size, True)
                else:
                    pipe_mark_command(pipe, used + size)
            else:
                if flags & 0xf8:
                    at[0] = flags & 0x07
                pipe_mark_frame(pipe, used + size, not flags & ZMTP_MORE)

    def drop_incomplete(self):
        pipe_drop_incomplete(&self.at)

    # --- popping ---

    def pop(self, long fail_after=-1):
        """A message, or the error."""
        cdef Msg msg = Msg()
        cdef int rc
        fail(fail_after)
        rc = pipe_pop(&self.at, &msg.at)
        fail(-1)
        if rc != 0:
            assert msg.at.count == 0
            return rc
        return msg

    def drop(self):
        return pipe_drop(&self.at)

    # --- runs ---

    def peek_run(self):
        """(the frames, messages, frames, bytes of bodies), or None"""
        cdef run_t run
        if not pipe_peek_run(&self.at, &run):
            return None
        return (<const char *>run.at)[:run.bytes], run.msgs, run.frames, run.payload_bytes

    def forward(self, Pipe target not None, uint32_t most, Store prefix, bint by_reference, long fail_after=-1):
        """Moves up to so many messages of the run to the out pipe, behind a prefix each when one is given. The wire form of
        each message, and the body of its first frame; or the error."""
        cdef run_t run
        cdef raw_t raw
        cdef const uint8_t *begin
        cdef store_t *store
        cdef uint32_t msgs = 0
        cdef uint32_t frames = 0
        cdef uint64_t payload_bytes = 0
        cdef size_t bytes = 0
        cdef int rc = 0
        if not pipe_peek_run(&self.at, &run):
            return []
        begin = run.at
        store = run.store if by_reference else NULL
        moved = []
        while run.msgs and msgs < most and rc == 0:
            run_first(&run, &raw)
            if prefix is not None:
                fail(fail_after)
                rc = pipe_append_prefixed(&target.at, prefix.at, raw.at, raw.bytes, store)
                fail(-1)
                if rc != 0:
                    break
            run_advance(&run, &raw)
            msgs += 1
            frames += raw.frames
            payload_bytes += raw.payload_bytes
            bytes += raw.bytes
            moved.append(((<const char *>raw.at)[:raw.bytes], (<const char *>raw.first)[:raw.first_bytes]))
        if prefix is None:
            fail(fail_after)
            rc = pipe_append_run(&target.at, begin, bytes, msgs, store)
            fail(-1)
            if rc != 0:
                return rc
        if msgs:
            pipe_consume_run(&self.at, bytes, msgs, frames, payload_bytes)
        return moved if rc == 0 or moved else rc

    # --- state ---

    def is_full(self):
        return bool(pipe_is_full(&self.at))

    def has_reopened(self):
        return bool(pipe_has_reopened(&self.at))

    @property
    def hwm_msgs(self):
        return self.at.hwm_msgs

    @hwm_msgs.setter
    def hwm_msgs(self, uint32_t value):
        self.at.hwm_msgs = value

    @property
    def is_latched(self):
        return bool(self.at.is_full)

    @property
    def is_begun(self):
        return bool(self.at.is_begun)

    @property
    def msgs(self):
        return self.at.msgs

    @property
    def bytes(self):
        return self.at.bytes

    @property
    def total_msgs(self):
        return self.at.total_msgs

    @property
    def times_full(self):
        return self.at.times_full

    @property
    def chunk_bytes(self):
        return self.at.chunk_bytes

    @property
    def is_apart(self):
        return self.at.is_apart

    @property
    def need_bytes(self):
        return self.at.need_bytes

    @property
    def chunk_sizes(self):
        cdef chunk_t *chunk = self.at.head
        sizes = []
        while chunk != NULL:
            sizes.append(chunk.size)
            chunk = chunk.next
        return sizes

    @property
    def chunk_loads(self):
        """Bytes between the read and the write position of each chunk."""
        cdef chunk_t *chunk = self.at.head
        loads = []
        while chunk != NULL:
            loads.append(chunk.write_off - chunk.read_off)
            chunk = chunk.next
        return loads

    def check(self):
        """pipe_check, and the limits of each chunk's own fields."""
        cdef chunk_t *chunk = self.at.head
        while chunk != NULL:
            if chunk.account_off > chunk.write_off or (chunk.is_body and chunk.msgs > 1):
                return False
            chunk = chunk.next
        return bool(pipe_check(&self.at))

    @property
    def ends(self):
        """Messages that end in some chunk and have not been read (out: not been accounted for)."""
        cdef chunk_t *chunk = self.at.head
        msgs = 0
        while chunk != NULL:
            msgs += chunk.msgs
            chunk = chunk.next
        return msgs

    def count_readable(self):
        """P2 for in and queue pipes: whole messages between the read and the commit position, found by walking."""
        cdef chunk_t *chunk = self.at.head
        cdef size_t off = chunk.read_off if chunk != NULL else 0
        cdef uint8_t flags = 0
        cdef uint64_t size = 0
        cdef size_t used
        cdef bint is_in = self.at.commit != NULL
        msgs = 0
        while chunk != NULL:
            if is_in and chunk == self.at.commit and off >= self.at.commit_off:
                break
            if off == chunk.write_off:
                chunk = chunk.next
                off = chunk.read_off if chunk != NULL else 0
                continue
            used = zmtp_head_read(chunk.data + off, chunk.write_off - off, &flags, &size)
            assert used
            off += used
            if size and off == chunk.write_off:
                chunk = chunk.next
                assert chunk != NULL and chunk.is_body and chunk.write_off == size
                off = size
            else:
                off += size
                assert off <= chunk.write_off
            if not flags & FRAME_SKIP and (self.at.keep_commands or not flags & ZMTP_COMMAND):
                msgs += not flags & ZMTP_MORE
        return msgs
