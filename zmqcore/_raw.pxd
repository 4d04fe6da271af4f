# zmqcore/_raw.pxd -- traffic with a raw peer (STREAM, ROUTER_RAW): bytes without frames (floor 4; sees no fd).
# Lock:   the socket lock for every function. The room of raw_reserve may be filled without it.
# Memory: nothing of its own; the pipes are the caller's.
# Source: zmq_socket(3), ZMQ_STREAM.
# Invariants
#   W1  an in pipe of a raw peer has no undecoded bytes: each read is one message, of one frame
from libc.stdint cimport uint8_t
from zmqcore._pipe cimport pipe_t

# Room for the peer's next bytes; raw_filled follows. 0; -ENOMEM.
cdef int raw_reserve(pipe_t *inbound, uint8_t **at, size_t *room) noexcept nogil
# So many bytes have come there, and are a message now; 0: none.
cdef void raw_filled(pipe_t *inbound, size_t bytes) noexcept nogil
# An empty message: the peer has come, or gone (ZMQ_STREAM_NOTIFY). 0; -ENOMEM.
cdef int raw_notify(pipe_t *inbound) noexcept nogil
# Moves the bodies of outbound to raw, until raw is worth a write; large ones by reference. 0; -ENOMEM.
cdef int raw_encode(pipe_t *outbound, pipe_t *raw) noexcept nogil
