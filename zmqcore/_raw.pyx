# zmqcore/_raw.pyx -- see the door for contracts.
#
# The pipes of a raw peer hold frames like all others, so that nobody above has to know of it. Input is read behind room
# for the longest header, which is written when the size is known; few bytes then move up to the short one.
from libc.stdint cimport uint8_t, uint32_t
from zmqcore._limits cimport RAW_READ_BYTES_MAX, RAW_WRITE_BYTES
from zmqcore._message cimport msg_clear, msg_fini, msg_init, msg_t
from zmqcore._pipe cimport pipe_append_bare, pipe_filled, pipe_mark_frame, pipe_pop, pipe_reserve
from zmqcore._sys cimport memmove
from zmqcore._zmtp cimport ZMTP_HEAD_BYTES_MAX, zmtp_head_write


cdef int raw_reserve(pipe_t *inbound, uint8_t **at, size_t *room) noexcept nogil:
    # pipe_reserve has room for a quarter of a chunk at least (W1: no frame is incomplete).
    cdef int rc = pipe_reserve(inbound, 0, at, room)
    if rc != 0:
        return rc
    at[0] += ZMTP_HEAD_BYTES_MAX
    room[0] -= ZMTP_HEAD_BYTES_MAX
    if room[0] > RAW_READ_BYTES_MAX:
        room[0] = RAW_READ_BYTES_MAX
    return 0


cdef void raw_filled(pipe_t *inbound, size_t bytes) noexcept nogil:
    cdef uint8_t *at = inbound.tail.data + inbound.tail.write_off
    cdef size_t head_bytes
    if bytes == 0:
        pipe_filled(inbound, 0)
        return
    head_bytes = zmtp_head_write(at, 0, bytes)
    if head_bytes < ZMTP_HEAD_BYTES_MAX:
        memmove(at + head_bytes, at + ZMTP_HEAD_BYTES_MAX, bytes)
    pipe_filled(inbound, head_bytes + bytes)
    pipe_mark_frame(inbound, head_bytes + bytes, True)


cdef int raw_notify(pipe_t *inbound) noexcept nogil:
    cdef uint8_t *at = NULL
    cdef size_t room = 0
    cdef size_t head_bytes
    cdef int rc = pipe_reserve(inbound, 0, &at, &room)
    if rc != 0:
        return rc
    head_bytes = zmtp_head_write(at, 0, 0)
    pipe_filled(inbound, head_bytes)
    pipe_mark_frame(inbound, head_bytes, True)
    return 0


cdef int raw_encode(pipe_t *outbound, pipe_t *raw) noexcept nogil:
    cdef uint32_t i
    cdef msg_t msg
    cdef int rc = 0
    msg_init(&msg)
    while rc == 0 and raw.bytes < RAW_WRITE_BYTES and pipe_pop(outbound, &msg) == 0:
        for i in range(msg.count):
            if rc == 0:
                rc = pipe_append_bare(raw, &msg.parts[i])
        msg_clear(&msg)
    msg_fini(&msg)
    return rc
