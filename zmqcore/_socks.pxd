# zmqcore/_socks.pxd -- what a client says to a SOCKS5 proxy: bytes out, bytes in, a verdict (floor 4; sees no fd and no clock).
# Lock:   the socket lock for every function.
# Memory: user and password are those of the options, which outlive a socks_t; it wipes what it sends of them. The target is
#         copied into each attempt.
# Source: RFC 1928 (SOCKS 5), RFC 1929 (user name and password).
# Invariants
#   X1  a step asks for no byte beyond the answer it waits for: what follows the last one is the server's greeting
#   X2  behind DONE and an error nothing is to be sent or read
from libc.stdint cimport uint8_t, uint16_t
from zmqcore._options cimport blob_t, options_t

cdef enum:
    SOCKS_NAME_BYTES_MAX = 255
    # The longest of greeting, user name with password (RFC 1929), and request with a name.
    SOCKS_OUTPUT_BYTES_MAX = 513
    # A reply with a name of 255 bytes.
    SOCKS_INPUT_BYTES_MAX = 262

cdef enum socks_stage:
    SOCKS_METHOD = 0            # our methods are out, the proxy's choice is due
    SOCKS_LOGIN = 1             # RFC 1929
    SOCKS_REPLY = 2             # to our CONNECT
    SOCKS_DONE = 3              # the connection is the target's from here on

cdef struct socks_t:
    # set once
    const blob_t *user          # size 0: no authentication is offered
    const blob_t *password
    # an attempt
    socks_stage stage
    uint8_t output[SOCKS_OUTPUT_BYTES_MAX]
    size_t output_bytes
    size_t output_off           # sent so far
    uint8_t input[SOCKS_INPUT_BYTES_MAX]
    size_t input_bytes
    size_t input_needed         # of the answer, as far as its length is known
    uint8_t target[SOCKS_NAME_BYTES_MAX + 2]    # address type and address as in the request
    size_t target_bytes
    uint16_t port

cdef void socks_init(socks_t *self, const options_t *options) noexcept nogil
cdef void socks_fini(socks_t *self) noexcept nogil
# A new attempt to get to host (a literal address, or a name that the proxy is to resolve). 0; -EINVAL: no name has that size.
cdef int socks_begin(socks_t *self, const char *host, uint16_t port) noexcept nogil

# What is to be sent now; size 0: nothing.
cdef const uint8_t *socks_output(const socks_t *self, size_t *size) noexcept nogil
cdef void socks_sent(socks_t *self, size_t size) noexcept nogil
# Where the next bytes of the proxy belong and how many at most (X1); 0 while there is output.
cdef uint8_t *socks_room(socks_t *self, size_t *size) noexcept nogil
# So many have come: 1 the target is connected; 0 go on; -ECONNREFUSED, -EHOSTUNREACH, …: the proxy's reason;
# -EACCES: it does not let us in; -EPROTO: it does not speak SOCKS 5.
cdef int socks_step(socks_t *self, size_t filled_bytes) noexcept nogil
