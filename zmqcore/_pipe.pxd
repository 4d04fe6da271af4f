# zmqcore/_pipe.pxd -- a one-way queue of frames in wire form (floor 3; sees no Python object).
# Lock:   the owner's (socket lock, or the leaf lock of an inproc link), for every function.
# Memory: a pipe owns its chunks; chunks refer to stores, which are counted and may outlive the pipe in a part_t.
# One pipe is used in one of three ways, which share the chunk list:
#   out     pipe_append -> pipe_gather, pipe_sent           (a connection's output: frames leave as bytes)
#   in      pipe_reserve, pipe_filled, decode -> pipe_pop    (a connection's input: bytes become frames in place)
#   queue   pipe_append -> pipe_pop                          (inproc, notifications, decoded input)
# Invariants (pipe_check tests them)
#   P1  read_off <= write_off <= size in every chunk; only the head and the tail may be empty
#   P2  msgs == whole messages between the read position and the commit position
#       (out: those that pipe_account has not yet found to be sent)
#   P3  the reader never sees a message whose last frame is not here: it reads only while msgs > 0
#   P4  a frame lies whole in one chunk, or its header ends a chunk and its body is the next one (is_body)
#   P5  while is_reserved the tail chunk is neither freed nor rewound: somebody reads into it without the lock
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from zmqcore._limits cimport CHUNK_BYTES_MAX, LARGE_BODY_BYTES
from zmqcore._message cimport msg_t, part_t, store_t
from zmqcore._sys cimport iovec, memcpy
from zmqcore._zmtp cimport ZMTP_COMMAND, ZMTP_HEAD_BYTES_MAX, ZMTP_LONG, ZMTP_MORE, zmtp_head_read, zmtp_head_write

# --- the queue -----------------------------------------------------------------------------------------------------------

# A private flag bit in stored frames: the reader skips this frame (a command that was handled, or dropped).
cdef enum:
    FRAME_SKIP = 0x80

cdef struct chunk_t:
    chunk_t *next
    store_t *store
    uint8_t *data               # the window of the store that this chunk may use
    size_t size
    size_t read_off
    size_t write_off
    size_t account_off          # frames before it are accounted for (out: lags behind read_off; else the same)
    uint32_t msgs               # whole messages that end here and are still in pipe_t.msgs
    uint32_t frames             # in: their frames, and the bytes of their bodies
    uint64_t payload_bytes
    size_t end_off              # in: where the last of them ends
    bint has_skips              # in: some frames before end_off are to be skipped (FRAME_SKIP), or came by pipe_append
    bint is_body                # the whole body of one frame, by reference
    bint more_after             # out: at the end of this chunk a message is unfinished

cdef struct pipe_t:
    chunk_t *head               # oldest; NULL while the pipe holds no memory
    chunk_t *tail
    uint64_t msgs               # whole messages queued (P2)
    uint64_t bytes              # bytes between the read and the write position, headers included
    uint32_t hwm_msgs           # 0: no bound
    bint is_full                # the bound was reached; cleared when half of it has been read
    uint64_t times_full         # how often it was (statistics)
    bint keep_commands          # pop yields SUBSCRIBE and CANCEL commands
    bint is_reserved            # P5
    bint is_begun               # out: the message before head.account_off goes on behind it
    size_t chunk_bytes          # size of the next chunk; doubles under load
    # in: decoding (the mark lies in the tail)
    size_t mark_off             # frames before it are decoded
    size_t need_bytes           # whole size of the frame at the mark, once its header is here; 0 not known
    bint is_apart               # the body at the mark has the tail for itself; its header ends the chunk before
    uint8_t apart_flags         # of that header
    bint in_message             # a frame with MORE was decoded, its last is still to come
    uint32_t open_frames        # frames and body bytes of that message so far
    uint64_t open_payload
    chunk_t *commit             # end of the last whole message; NULL: nothing to read
    size_t commit_off
    # totals, never reset (statistics)
    uint64_t total_msgs
    uint64_t total_bytes

cdef void pipe_init(pipe_t *self, uint32_t hwm_msgs) noexcept nogil
# Frees everything queued.
cdef void pipe_fini(pipe_t *self) noexcept nogil
# Drops everything queued; the pipe stays usable. Not while reserved or being written.
cdef void pipe_clear(pipe_t *self) noexcept nogil

# Whether a sender has to wait. Not a predicate: finds out what was sent meanwhile (pipe_account) and latches is_full.
cdef bint pipe_is_full(pipe_t *self) noexcept nogil

# Whether a full pipe has been read far enough to take messages again; clears is_full then.
cdef bint pipe_has_reopened(pipe_t *self) noexcept nogil

# out, queue: appends a message; copies small bodies, refers to large ones that have a store.
# 0; -ENOMEM; -EINVAL: a message without parts (no caller may have one: it has no form on the wire). On error unchanged.
cdef int pipe_append(pipe_t *self, const msg_t *msg) noexcept nogil
# The same for one part without building a msg_t.
cdef int pipe_append_part(pipe_t *self, const part_t *part) noexcept nogil
# Messages that were appended, and end in the tail.
cdef inline void pipe_count(pipe_t *self, uint32_t msgs, size_t bytes) noexcept nogil:
    self.msgs += msgs
    self.tail.msgs += msgs
    self.total_msgs += msgs
    self.total_bytes += bytes
# The same for bytes that are copied, where that usually needs no more than that.
cdef inline int pipe_append_body(pipe_t *self, const uint8_t *at, size_t size) noexcept nogil:
    cdef chunk_t *tail = self.tail
    cdef part_t part
    cdef size_t used
    if tail == NULL or tail.is_body or ZMTP_HEAD_BYTES_MAX + size > tail.size - tail.write_off:
        part.at = at
        part.size = size
        part.store = NULL
        return pipe_append_part(self, &part)
    used = zmtp_head_write(tail.data + tail.write_off, 0, size)
    if size:
        memcpy(tail.data + tail.write_off + used, at, size)
    used += size
    tail.write_off += used
    tail.more_after = False
    self.bytes += used
    pipe_count(self, 1, used)
    return 0
# The same for several, each a message, in order. How many were appended: less than count when there was no memory.
cdef uint32_t pipe_append_bodies(pipe_t *self, const part_t *parts, uint32_t count) noexcept nogil
# Appends one frame whose body comes in two pieces; flags as stored (COMMAND frames are not counted as messages). 0; -ENOMEM.
cdef int pipe_append_frame(pipe_t *self, uint8_t flags, const uint8_t *head, size_t head_bytes,
                           const uint8_t *tail, size_t tail_bytes) noexcept nogil
# Appends bytes that are no frames of ours (handshake, encoded output). 0; -ENOMEM.
cdef int pipe_append_bytes(pipe_t *self, const uint8_t *at, size_t size) noexcept nogil
# The same for the body of a part: large ones that have a store by reference.
cdef int pipe_append_bare(pipe_t *self, const part_t *part) noexcept nogil

# out: what to write next. Buffers filled in (at most room); the bytes are in *total: up to the end of the chunk in
# which they reach GATHER_BYTES_MAX (cut there, each body of 1 MiB would leave a second write of a few bytes).
cdef int pipe_gather(const pipe_t *self, iovec *vec, int room, size_t *total) noexcept nogil
# out: bytes went to the kernel.
cdef void pipe_sent(pipe_t *self, size_t size) noexcept nogil
# out: counts the messages that have left since the last call.
cdef void pipe_account(pipe_t *self) noexcept nogil
# out: the connection is gone; drops the rest of a message that was partly sent, so that the next byte begins a message.
cdef void pipe_abandon_begun(pipe_t *self) noexcept nogil

# A new connection will fill the pipe by reading (in) or by appending (queue); what is queued already stays readable.
# The last connection's leftovers have been dropped (pipe_drop_incomplete).
cdef void pipe_start_in(pipe_t *self) noexcept nogil
cdef void pipe_start_queue(pipe_t *self) noexcept nogil
# in: room for a read of about want bytes behind what is here. 0 with *at and *room (>= 1); -ENOMEM.
# Moves an incomplete frame into a new chunk when it would not fit. For a long frame the memory grows as its bytes come,
# whatever length was announced (FRAME_BYTES_AT_ONCE). Sets is_reserved: pipe_filled ends it.
cdef int pipe_reserve(pipe_t *self, size_t want, uint8_t **at, size_t *room) noexcept nogil
cdef void pipe_filled(pipe_t *self, size_t size) noexcept nogil
# in: how long the body at the mark is, when its frame is long, no command, and is about to get a chunk of its own: then
# pipe_set_apart may say where the body is to be read. 0: there is none such.
cdef inline size_t pipe_body_due(const pipe_t *self) noexcept nogil:
    if self.need_bytes <= CHUNK_BYTES_MAX or self.is_apart or self.need_bytes <= self.tail.size - self.mark_off:
        return 0
    return 0 if self.tail.data[self.mark_off] & ZMTP_COMMAND else self.need_bytes - ZMTP_HEAD_BYTES_MAX
# in: it is read into store, which has room for it and whose count is taken over. 0; -ENOMEM (not taken).
cdef int pipe_set_apart(pipe_t *self, store_t *store) noexcept nogil
# in: such a body is at the mark (pipe.is_apart): decodes its frame once it is whole. Whether it was.
cdef bint pipe_mark_apart(pipe_t *self) noexcept nogil
# in: the undecoded bytes, which begin with the frame at the mark.
cdef inline uint8_t *pipe_undecoded(const pipe_t *self, size_t *avail) noexcept nogil:
    if self.tail == NULL:
        avail[0] = 0
        return NULL
    avail[0] = self.tail.write_off - self.mark_off
    return self.tail.data + self.mark_off
# in: size bytes at the mark, with the rest of a frame of which body_bytes are the body, are decoded.
cdef inline void pipe_mark_bytes(pipe_t *self, size_t size, size_t body_bytes, bint is_end) noexcept nogil:
    cdef chunk_t *tail = self.tail
    self.mark_off += size
    self.need_bytes = 0
    self.in_message = not is_end
    self.open_frames += 1
    self.open_payload += body_bytes
    if is_end:
        self.msgs += 1
        self.total_msgs += 1
        self.total_bytes += self.open_payload
        tail.msgs += 1
        tail.frames += self.open_frames
        tail.payload_bytes += self.open_payload
        tail.end_off = self.mark_off
        self.commit = tail
        self.commit_off = self.mark_off
        self.open_frames = 0
        self.open_payload = 0
# in: the frame at the mark (size bytes with its header) is decoded. is_end: it ends a message.
cdef inline void pipe_mark_frame(pipe_t *self, size_t size, bint is_end) noexcept nogil:
    cdef size_t head_bytes = ZMTP_HEAD_BYTES_MAX if self.tail.data[self.mark_off] & ZMTP_LONG else 2
    pipe_mark_bytes(self, size, size - head_bytes, is_end)
# in: the same for a command; it will be skipped by the reader.
cdef void pipe_mark_command(pipe_t *self, size_t size) noexcept nogil
# in: the connection is gone; drops undecoded bytes and the frames of an incomplete message.
cdef void pipe_drop_incomplete(pipe_t *self) noexcept nogil

# in, queue: takes the oldest message into msg (empty before), each part with a count on its store.
# 0; -EAGAIN none; -ENOMEM (nothing taken).
cdef int pipe_pop(pipe_t *self, msg_t *msg) noexcept nogil
# Copies the oldest message to at, when it is one part of at most room bytes that lies in the first chunk. 0; -EAGAIN: none, or
# not this way.
cdef int pipe_pop_body(pipe_t *self, uint8_t *at, size_t room, size_t *size) noexcept nogil
# Drops the oldest message. 0; -EAGAIN.
cdef int pipe_drop(pipe_t *self) noexcept nogil

# --- runs: whole messages from pipe to pipe, as they stand ------------------------------------------------------------------

# Consecutive whole messages in one chunk of an in pipe, without a frame to be skipped.
cdef struct run_t:
    const uint8_t *at
    size_t bytes
    uint32_t msgs
    uint32_t frames
    uint64_t payload_bytes
    store_t *store              # where the bytes lie; borrowed

# One message of a run.
cdef struct raw_t:
    const uint8_t *at           # all its frames
    size_t bytes
    uint32_t frames
    uint64_t payload_bytes
    const uint8_t *first        # body of the first frame
    size_t first_bytes
    size_t first_head_bytes

# in: the run at the read position. Whether there is one; when not, pipe_pop takes what is there.
cdef bint pipe_peek_run(const pipe_t *self, run_t *run) noexcept nogil
# in: so much of that run has been taken.
cdef void pipe_consume_run(pipe_t *self, size_t bytes, uint32_t msgs, uint32_t frames, uint64_t payload_bytes) noexcept nogil

# The message at the beginning of the run. The run holds at least one.
cdef inline void run_first(const run_t *run, raw_t *raw) noexcept nogil:
    cdef size_t off
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    off = zmtp_head_read(run.at, run.bytes, &flags, &size)
    raw.at = run.at
    raw.first = run.at + off
    raw.first_head_bytes = off
    raw.first_bytes = size
    raw.frames = 1
    raw.payload_bytes = size
    off += size
    while flags & ZMTP_MORE:
        off += zmtp_head_read(run.at + off, run.bytes - off, &flags, &size)
        off += size
        raw.frames += 1
        raw.payload_bytes += size
    raw.bytes = off

cdef inline void run_advance(run_t *run, const raw_t *raw) noexcept nogil:
    run.at += raw.bytes
    run.bytes -= raw.bytes
    run.msgs -= 1
    run.frames -= raw.frames
    run.payload_bytes -= raw.payload_bytes

# out: appends msgs whole messages as they stand: by reference to the store when there are many bytes, else as a copy.
# 0; -ENOMEM (unchanged).
cdef int pipe_append_run(pipe_t *self, const uint8_t *at, size_t bytes, uint32_t msgs, store_t *store) noexcept nogil
# The same for one small message, where it usually needs no more than a copy.
cdef inline int pipe_append_small(pipe_t *self, const uint8_t *at, size_t bytes, store_t *store) noexcept nogil:
    cdef chunk_t *tail = self.tail
    if tail == NULL or tail.is_body or bytes > tail.size - tail.write_off or bytes >= LARGE_BODY_BYTES:
        return pipe_append_run(self, at, bytes, 1, store)
    memcpy(tail.data + tail.write_off, at, bytes)
    tail.write_off += bytes
    self.bytes += bytes
    pipe_count(self, 1, bytes)
    return 0
# out: appends one message behind a frame of its own (a routing id) that goes before it. 0; -ENOMEM (unchanged).
cdef int pipe_append_prefixed(pipe_t *self, const store_t *prefix, const uint8_t *at, size_t bytes,
                              store_t *store) noexcept nogil

# Debug builds: the numbered invariants. Whether they hold.
cdef bint pipe_check(const pipe_t *self) noexcept nogil
