# zmqcore/_security.pyx -- see the door.
from zmqcore._options cimport SECURITY_NULL, SECURITY_PLAIN, blob_clear, blob_set
from zmqcore._sys cimport calloc, free, memcpy, zc_wipe


cdef security_t *security_new(const options_t *options) noexcept nogil:
    cdef security_t *self = <security_t *>calloc(1, sizeof(security_t))
    if self == NULL:
        return NULL
    self.refs = 1
    self.mechanism = options.security
    self.as_server = options.as_server
    self.enforce_domain = options.zap_enforce_domain != 0
    memcpy(self.publickey, options.curve_publickey, sizeof(self.publickey))
    memcpy(self.secretkey, options.curve_secretkey, sizeof(self.secretkey))
    memcpy(self.serverkey, options.curve_serverkey, sizeof(self.serverkey))
    if (blob_set(&self.domain, options.zap_domain.at, options.zap_domain.size) != 0
            or blob_set(&self.username, options.plain_username.at, options.plain_username.size) != 0
            or blob_set(&self.password, options.plain_password.at, options.plain_password.size) != 0):
        security_unref(self)
        return NULL
    return self


cdef security_t *security_ref(security_t *self) noexcept nogil:
    self.refs += 1
    return self


cdef void security_unref(security_t *self) noexcept nogil:
    if self == NULL:
        return
    self.refs -= 1
    if self.refs:
        return
    blob_clear(&self.domain)
    blob_clear(&self.username)
    blob_clear(&self.password)
    zc_wipe(self, sizeof(security_t))
    free(self)


# As libzmq 4.3.5 asks (reference: security-wire, section 4).
cdef bint security_asks(const security_t *self) noexcept nogil:
    if self.mechanism == SECURITY_NULL:
        return self.domain.size != 0
    if not self.as_server:
        return False
    return self.mechanism == SECURITY_PLAIN or not self.enforce_domain or self.domain.size != 0


cdef bint security_needs_handler(const security_t *self) noexcept nogil:
    return self.mechanism == SECURITY_PLAIN or (self.enforce_domain and self.domain.size != 0)
