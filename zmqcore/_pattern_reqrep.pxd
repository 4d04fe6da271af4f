# zmqcore/_pattern_reqrep.pxd -- REQ and REP: strict turns, the empty delimiter, the envelope (floor 6).
# Source: zmq_socket(3), RFC 28; options REQ_CORRELATE, REQ_RELAXED, PROBE_ROUTER.
# Invariants
#   S1  a REQ in its receiving turn has sent exactly one request that is neither answered nor abandoned
#   S2  a REP in its sending turn holds the envelope of the request that it delivered last
from libc.stdint cimport int32_t
from zmqcore._pattern cimport pattern_ops_t

# NULL: not one of these types.
cdef const pattern_ops_t *reqrep_ops(int32_t type) noexcept nogil
