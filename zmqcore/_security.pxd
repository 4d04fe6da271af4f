# zmqcore/_security.pxd -- what the security options of an endpoint ask of ZAP (floor 4).
# Lock:   none: the options are those of an endpoint's terms, which do not change.
# Source: RFC 27; where it leaves a choice, as libzmq 4.3.5.
from zmqcore._options cimport options_t

# Whether a connection has to ask ZAP, if there is a handler; and whether it fails when there is none.
cdef bint security_asks(const options_t *options) noexcept nogil
cdef bint security_needs_handler(const options_t *options) noexcept nogil
