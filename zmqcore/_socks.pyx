# zmqcore/_socks.pyx -- see the door.
#
#   METHOD --(no authentication)-----------> REPLY --> DONE
#      |                                       ^
#      +--(user name and password)--> LOGIN ---+
from libc.stdint cimport uint8_t, uint16_t
from zmqcore._sys cimport (
    EACCES, ECONNABORTED, ECONNREFUSED, EHOSTUNREACH, EINVAL, ENETUNREACH, EPROTO, ETIMEDOUT, memcpy, memset, strlen,
    zc_put_be16, zc_wipe,
)
from zmqcore._sys_net cimport net_ip_read

cdef enum:
    VERSION = 5
    METHOD_NONE = 0
    METHOD_LOGIN = 2
    LOGIN_VERSION = 1
    COMMAND_CONNECT = 1
    ADDRESS_IPV4 = 1
    ADDRESS_NAME = 3
    ADDRESS_IPV6 = 4
    METHOD_BYTES = 2
    LOGIN_BYTES = 2
    REPLY_HEAD_BYTES = 4        # version, code, reserved, address type
    PORT_BYTES = 2
    # Reply codes
    REPLY_REFUSED_BY_RULES = 2
    REPLY_NETWORK_UNREACHABLE = 3
    REPLY_HOST_UNREACHABLE = 4
    REPLY_CONNECTION_REFUSED = 5
    REPLY_TTL_EXPIRED = 6


cdef void socks_init(socks_t *self, const options_t *options) noexcept nogil:
    memset(self, 0, sizeof(socks_t))
    self.user = &options.socks_username
    self.password = &options.socks_password


cdef void socks_fini(socks_t *self) noexcept nogil:
    zc_wipe(self.output, sizeof(self.output))


cdef uint8_t *start(socks_t *self, socks_stage stage, size_t output_bytes, size_t input_needed) noexcept nogil:
    # Where the output goes that belongs to the stage. What was sent before may have been the password.
    zc_wipe(self.output, sizeof(self.output))
    self.stage = stage
    self.output_bytes = output_bytes
    self.output_off = 0
    self.input_bytes = 0
    self.input_needed = input_needed
    return self.output


cdef int socks_begin(socks_t *self, const char *host, uint16_t port) noexcept nogil:
    cdef size_t host_bytes = strlen(host)
    cdef uint8_t *out
    if net_ip_read(host, False, self.target + 1):
        self.target[0] = ADDRESS_IPV4
        self.target_bytes = 5
    elif net_ip_read(host, True, self.target + 1):
        self.target[0] = ADDRESS_IPV6
        self.target_bytes = 17
    else:
        if host_bytes == 0 or host_bytes > SOCKS_NAME_BYTES_MAX:
            return -EINVAL
        self.target[0] = ADDRESS_NAME
        self.target[1] = <uint8_t>host_bytes
        memcpy(self.target + 2, host, host_bytes)
        self.target_bytes = 2 + host_bytes
    self.port = port
    # One method: a proxy that could choose would take the weaker.
    out = start(self, SOCKS_METHOD, 3, METHOD_BYTES)
    out[0] = VERSION
    out[1] = 1
    out[2] = METHOD_LOGIN if self.user.size else METHOD_NONE
    return 0


cdef void log_in(socks_t *self) noexcept nogil:
    cdef uint8_t *out = start(self, SOCKS_LOGIN, 3 + self.user.size + self.password.size, LOGIN_BYTES)
    out[0] = LOGIN_VERSION
    out[1] = <uint8_t>self.user.size
    memcpy(out + 2, self.user.at, self.user.size)
    out += 2 + self.user.size
    out[0] = <uint8_t>self.password.size
    if self.password.size:
        memcpy(out + 1, self.password.at, self.password.size)


cdef void request(socks_t *self) noexcept nogil:
    # The reply's length shows in its address, whose first byte is part of the first piece.
    cdef uint8_t *out = start(self, SOCKS_REPLY, 3 + self.target_bytes + PORT_BYTES, REPLY_HEAD_BYTES + 1)
    out[0] = VERSION
    out[1] = COMMAND_CONNECT
    memcpy(out + 3, self.target, self.target_bytes)
    zc_put_be16(out + 3 + self.target_bytes, self.port)


cdef const uint8_t *socks_output(const socks_t *self, size_t *size) noexcept nogil:
    size[0] = self.output_bytes - self.output_off
    return self.output + self.output_off


cdef void socks_sent(socks_t *self, size_t size) noexcept nogil:
    self.output_off += size


cdef uint8_t *socks_room(socks_t *self, size_t *size) noexcept nogil:
    size[0] = self.input_needed - self.input_bytes if self.output_off == self.output_bytes else 0
    return self.input + self.input_bytes


cdef int reply_error(uint8_t code) noexcept nogil:
    if code == REPLY_REFUSED_BY_RULES:
        return -EACCES
    if code == REPLY_NETWORK_UNREACHABLE:
        return -ENETUNREACH
    if code == REPLY_HOST_UNREACHABLE:
        return -EHOSTUNREACH
    if code == REPLY_TTL_EXPIRED:
        return -ETIMEDOUT
    return -ECONNREFUSED if code == REPLY_CONNECTION_REFUSED else -ECONNABORTED


cdef int take_reply(socks_t *self) noexcept nogil:
    cdef const uint8_t *reply = self.input
    cdef size_t whole
    if reply[0] != VERSION or reply[2] != 0:
        return -EPROTO
    # The rest of a refusal is of no use.
    if reply[1] != 0:
        return reply_error(reply[1])
    if reply[3] == ADDRESS_IPV4:
        whole = REPLY_HEAD_BYTES + 4 + PORT_BYTES
    elif reply[3] == ADDRESS_IPV6:
        whole = REPLY_HEAD_BYTES + 16 + PORT_BYTES
    elif reply[3] == ADDRESS_NAME:
        whole = REPLY_HEAD_BYTES + 1 + <size_t>reply[4] + PORT_BYTES
    else:
        return -EPROTO
    self.input_needed = whole
    if self.input_bytes < whole:
        return 0
    start(self, SOCKS_DONE, 0, 0)
    return 1


cdef int socks_step(socks_t *self, size_t filled_bytes) noexcept nogil:
    cdef const uint8_t *answer = self.input
    self.input_bytes += filled_bytes
    if self.input_bytes < self.input_needed:
        return 0
    if self.stage == SOCKS_REPLY:
        return take_reply(self)
    if self.stage == SOCKS_LOGIN:
        if answer[0] != LOGIN_VERSION:
            return -EPROTO
        if answer[1] != 0:
            return -EACCES
        request(self)
        return 0
    if self.stage != SOCKS_METHOD or answer[0] != VERSION:
        return -EPROTO
    # A proxy that lets everybody in may say so also to those who brought a name.
    if answer[1] == METHOD_NONE:
        request(self)
        return 0
    if answer[1] == METHOD_LOGIN and self.user.size:
        log_in(self)
        return 0
    return -EACCES
