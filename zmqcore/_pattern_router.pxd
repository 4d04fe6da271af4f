# zmqcore/_pattern_router.pxd -- ROUTER: routing ids in front of messages, and the map from id to engine (floor 6).
# Source: zmq_socket(3), RFC 28; options ROUTER_MANDATORY, ROUTER_HANDOVER, CONNECT_ROUTING_ID, PROBE_ROUTER.
# Invariants
#   I1  the map holds exactly the engines with is_identified; each by its routing_id, no id twice
#   I2  an engine that is not identified yet is in no queue
from libc.stdint cimport int32_t
from zmqcore._pattern cimport pattern_ops_t

# NULL: not this type.
cdef const pattern_ops_t *router_ops(int32_t type) noexcept nogil
