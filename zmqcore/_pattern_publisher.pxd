# zmqcore/_pattern_publisher.pxd -- PUB and XPUB: subscriptions of the peers, fan-out, notifications (floor 6).
# Source: zmq_socket(3), RFC 29; options XPUB_*, INVERT_MATCHING, ONLY_FIRST_SUBSCRIBE.
# Invariants
#   B1  every attached engine is in the out-queue, whether it subscribed to anything or not
#   B2  subscriptions take effect as they arrive, read by the user or not: input is never left in an engine's pipe
from libc.stdint cimport int32_t
from zmqcore._pattern cimport pattern_ops_t

# NULL: not one of these types.
cdef const pattern_ops_t *publisher_ops(int32_t type) noexcept nogil
