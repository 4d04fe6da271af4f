# zmqcore/_v1.pyx -- see the door for contracts.
#
# The one place where frames are rewritten on their way: everybody else speaks the form that the pipes hold. 1.0 peers are
# few and old, so that this is simple and not fast: a copy each way.
from libc.stdint cimport uint32_t, uint64_t
from zmqcore._limits cimport FRAME_BYTES_AT_ONCE, FRAME_BYTES_MAX, HANDSHAKE_BYTES_FIRST
from zmqcore._message cimport msg_clear, msg_fini, msg_init, msg_push_copy
from zmqcore._pipe cimport pipe_append, pipe_append_bytes, pipe_pop
from zmqcore._sys cimport ENOMEM, EPROTO, free, memcpy, memmove, realloc
from zmqcore._zmtp cimport ZMTP_MORE, ZMTP_V1_HEAD_BYTES_MAX, zmtp_v1_head_read, zmtp_v1_head_write

cdef enum:
    # Worth a write; more would only wait in a second pipe.
    BATCH_BYTES = 65536


cdef void v1_init(v1_t *self) noexcept nogil:
    self.input = NULL
    self.input_bytes = self.input_room = 0
    msg_init(&self.partial)


cdef void v1_fini(v1_t *self) noexcept nogil:
    free(self.input)
    msg_fini(&self.partial)
    v1_init(self)


cdef int grow(v1_t *self, size_t room) noexcept nogil:
    cdef uint8_t *grown
    if self.input_room >= room:
        return 0
    grown = <uint8_t *>realloc(self.input, room)
    if grown == NULL:
        return -ENOMEM
    self.input = grown
    self.input_room = room
    return 0


cdef int v1_start(v1_t *self, slice_t rest) noexcept nogil:
    if grow(self, rest.size + HANDSHAKE_BYTES_FIRST) != 0:
        return -ENOMEM
    if rest.size:
        memcpy(self.input, rest.at, rest.size)
    self.input_bytes = rest.size
    return 0


cdef int v1_reserve(v1_t *self, uint8_t **at, size_t *room) noexcept nogil:
    if self.input_room - self.input_bytes < HANDSHAKE_BYTES_FIRST // 2 and grow(self, 2 * self.input_room) != 0:
        return -ENOMEM
    at[0] = self.input + self.input_bytes
    room[0] = self.input_room - self.input_bytes
    return 0


cdef size_t room_for(size_t frame_bytes, size_t here_bytes) noexcept nogil:
    # Memory grows as the bytes of a frame come, whatever length was announced.
    cdef size_t most = 2 * here_bytes if 2 * here_bytes > FRAME_BYTES_AT_ONCE else FRAME_BYTES_AT_ONCE
    return frame_bytes if frame_bytes < most else most


cdef int v1_decode(v1_t *self, pipe_t *inbound, int64_t maxmsgsize) noexcept nogil:
    cdef size_t off = 0
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    cdef int used
    cdef int rc = 0
    while rc == 0:
        if inbound.hwm_msgs and inbound.msgs >= inbound.hwm_msgs:
            rc = 1
            break
        used = zmtp_v1_head_read(self.input + off, self.input_bytes - off, &flags, &size)
        if used == 0:
            break
        if used < 0 or size > FRAME_BYTES_MAX or (maxmsgsize >= 0 and size > <uint64_t>maxmsgsize):
            rc = -EPROTO
            break
        if self.input_bytes - off - used < size:
            rc = grow(self, room_for(used + size, self.input_bytes - off) + HANDSHAKE_BYTES_FIRST)
            break
        rc = msg_push_copy(&self.partial, self.input + off + used, size)
        if rc == 0 and not flags & ZMTP_MORE:
            rc = pipe_append(inbound, &self.partial)
            msg_clear(&self.partial)
        if rc == 0:
            off += used + size
    self.input_bytes -= off
    memmove(self.input, self.input + off, self.input_bytes)
    return rc


cdef int v1_encode(pipe_t *outbound, pipe_t *raw) noexcept nogil:
    cdef uint8_t head[ZMTP_V1_HEAD_BYTES_MAX]
    cdef size_t head_bytes
    cdef uint32_t i
    cdef msg_t msg
    cdef int rc = 0
    msg_init(&msg)
    while rc == 0 and raw.bytes < BATCH_BYTES and pipe_pop(outbound, &msg) == 0:
        for i in range(msg.count):
            head_bytes = zmtp_v1_head_write(head, ZMTP_MORE if i + 1 < msg.count else 0, msg.parts[i].size)
            rc = pipe_append_bytes(raw, head, head_bytes)
            if rc == 0:
                rc = pipe_append_bytes(raw, msg.parts[i].at, msg.parts[i].size)
            if rc != 0:
                break
        msg_clear(&msg)
    msg_fini(&msg)
    return rc
