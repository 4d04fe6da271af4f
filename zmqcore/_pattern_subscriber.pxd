# zmqcore/_pattern_subscriber.pxd -- SUB and XSUB: own subscriptions, sent upstream, replayed, filtered by (floor 6).
# Source: zmq_socket(3), RFC 29; options SUBSCRIBE, UNSUBSCRIBE, INVERT_MATCHING, ONLY_FIRST_SUBSCRIBE.
# Invariants
#   U1  every active engine has been told of every topic in the trie: at once, or when its connection came up
#   U2  a subscription is never dropped for a high-water mark
from libc.stdint cimport int32_t
from zmqcore._pattern cimport pattern_ops_t

# NULL: not one of these types.
cdef const pattern_ops_t *subscriber_ops(int32_t type) noexcept nogil
