# zmqcore/_z85.pxd -- Z85, the printable form of keys (floor 1; pure).
# Lock:   none. Memory: the caller's.
# Source: RFC 32 (Z85): 4 bytes are 5 digits of base 85, most significant first.
from libc.stdint cimport uint8_t

# size is a multiple of 4; out takes size / 4 * 5 characters. No NUL is written.
cdef void z85_encode(const uint8_t *at, size_t size, char *out) noexcept nogil
# size is a multiple of 5; out takes size / 5 * 4 bytes. 0; -EINVAL for a character that is no digit, and for five digits
# that are worth more than 32 bits hold (out is then of no use).
cdef int z85_decode(const char *text, size_t size, uint8_t *out) noexcept nogil
