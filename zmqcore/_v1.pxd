# zmqcore/_v1.pxd -- traffic with a ZMTP 1.0 peer, whose frames are not those that pipes hold (floor 4; sees no fd).
# Lock:   the socket lock for every function. The room of v1_reserve may be filled without it.
# Memory: owns its input and the message that is not whole yet; v1_fini frees them. The pipes are the caller's.
# Source: RFC 13.
# Invariants
#   T1  the input begins with the header of a frame
#   T2  partial holds parts exactly while the last frame taken had MORE
#   T3  only whole messages get into a pipe
from libc.stdint cimport int64_t, uint8_t
from zmqcore._message cimport msg_t
from zmqcore._pipe cimport pipe_t
from zmqcore._zmtp cimport slice_t

cdef struct v1_t:               # after v1_init or v1_fini: empty, and usable
    uint8_t *input              # bytes of the peer that are not decoded yet
    size_t input_bytes
    size_t input_room
    msg_t partial

cdef void v1_init(v1_t *self) noexcept nogil
# Idempotent.
cdef void v1_fini(v1_t *self) noexcept nogil

# Traffic begins with these bytes, which are copied. 0; -ENOMEM.
cdef int v1_start(v1_t *self, slice_t rest) noexcept nogil
# Room for the peer's next bytes. 0; -ENOMEM.
cdef int v1_reserve(v1_t *self, uint8_t **at, size_t *room) noexcept nogil

cdef inline void v1_filled(v1_t *self, size_t bytes) noexcept nogil:
    self.input_bytes += bytes

# Moves the whole messages of the input into the pipe. 0: all of them; 1: stopped at the pipe's high-water mark;
# -EPROTO: malformed, or beyond maxmsgsize (< 0: no limit); -ENOMEM. What came before an error is in the pipe.
cdef int v1_decode(v1_t *self, pipe_t *inbound, int64_t maxmsgsize) noexcept nogil
# Moves messages of outbound to raw, as bytes for the wire, until raw is worth a write. 0; -ENOMEM.
cdef int v1_encode(pipe_t *outbound, pipe_t *raw) noexcept nogil
