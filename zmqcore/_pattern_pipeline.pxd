# zmqcore/_pattern_pipeline.pxd -- PUSH, PULL, PAIR, DEALER: balance out, queue fairly in, no framing of their own (floor 6).
# Source: zmq_socket(3), RFC 30 (pipeline), RFC 31 (pair), RFC 28 (DEALER).
from libc.stdint cimport int32_t
from zmqcore._pattern cimport pattern_ops_t

# NULL: not one of these types.
cdef const pattern_ops_t *pipeline_ops(int32_t type) noexcept nogil
