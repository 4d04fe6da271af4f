# zmqcore/_pattern_stream.pxd -- STREAM: peers that speak no ZMTP, each message [id, bytes] (floor 6).
# The map from id to engine is the ROUTER's, and so are its invariants; what is on the wire is _raw's business.
# Source: zmq_socket(3), ZMQ_STREAM; options STREAM_NOTIFY, CONNECT_ROUTING_ID, ROUTING_ID.
from libc.stdint cimport int32_t
from zmqcore._pattern cimport pattern_ops_t

# NULL: not this type.
cdef const pattern_ops_t *stream_ops(int32_t type) noexcept nogil
