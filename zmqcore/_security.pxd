# zmqcore/_security.pxd -- the security options of an endpoint, as they were when it was bound or connected (floor 4).
# What is set afterwards is for the next endpoint: a socket that serves CURVE on one port and nothing on another stays safe.
# Lock:   the socket lock; a security_t is never changed.
# Memory: counted; keys and names are wiped with the last count.
from libc.stdint cimport int32_t, uint8_t
from zmqcore._options cimport blob_t, options_t

cdef struct security_t:
    int32_t refs
    int32_t mechanism           # SECURITY_*
    bint as_server
    bint enforce_domain
    blob_t domain               # ZAP; empty: none
    blob_t username             # PLAIN client
    blob_t password
    uint8_t publickey[32]       # CURVE
    uint8_t secretkey[32]
    uint8_t serverkey[32]

# refs is 1. NULL: no memory.
cdef security_t *security_new(const options_t *options) noexcept nogil
cdef security_t *security_ref(security_t *self) noexcept nogil
# NULL will do.
cdef void security_unref(security_t *self) noexcept nogil

# Whether a connection has to ask ZAP, if there is a handler; and whether it fails when there is none.
cdef bint security_asks(const security_t *self) noexcept nogil
cdef bint security_needs_handler(const security_t *self) noexcept nogil
