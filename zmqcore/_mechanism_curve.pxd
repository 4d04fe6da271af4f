# zmqcore/_mechanism_curve.pxd -- CURVE (RFC 26): its handshake (floor 4, a half of _mechanism). _curve has the messages.
from zmqcore._mechanism cimport curve_keys_t, mechanism_ops_t, mechanism_t

cdef mechanism_ops_t mechanism_curve        # written at import only

# Makes self.keys; a client's are ready for HELLO. 0; -ENOTSUP: nobody provides the functions; -ENOMEM.
cdef int curve_keys_new(mechanism_t *self) noexcept nogil
# Wipes them. NULL will do.
cdef void curve_keys_free(curve_keys_t *keys) noexcept nogil
