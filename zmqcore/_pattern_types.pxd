# zmqcore/_pattern_types.pxd -- socket type number -> its table of functions (floor 6).
from libc.stdint cimport int32_t
from zmqcore._pattern cimport pattern_ops_t

# NULL: no such type.
cdef const pattern_ops_t *pattern_ops_of(int32_t type) noexcept nogil
