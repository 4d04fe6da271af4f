# zmqcore/_security.pyx -- see the door.
from zmqcore._options cimport SECURITY_NULL, SECURITY_PLAIN


# As libzmq 4.3.5 asks (reference: security-wire, section 4).
cdef bint security_asks(const options_t *options) noexcept nogil:
    if options.security == SECURITY_NULL:
        return options.zap_domain.size != 0
    if not options.as_server:
        return False
    return options.security == SECURITY_PLAIN or not options.zap_enforce_domain or options.zap_domain.size != 0


cdef bint security_needs_handler(const options_t *options) noexcept nogil:
    return options.security == SECURITY_PLAIN or (options.zap_enforce_domain and options.zap_domain.size != 0)
