# zmqcore/_z85.pyx -- see the door.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from zmqcore._sys cimport EINVAL, strchr, zc_be32, zc_put_be32

cdef enum:
    BASE = 85
    GROUP_BYTES = 4
    GROUP_DIGITS = 5

cdef const char *digits = (
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
)


cdef void z85_encode(const uint8_t *at, size_t size, char *out) noexcept nogil:
    cdef uint32_t value
    cdef size_t group
    cdef int place
    for group in range(size // GROUP_BYTES):
        value = zc_be32(at + group * GROUP_BYTES)
        for place in range(GROUP_DIGITS - 1, -1, -1):
            out[group * GROUP_DIGITS + place] = digits[value % BASE]
            value //= BASE


cdef int z85_decode(const char *text, size_t size, uint8_t *out) noexcept nogil:
    cdef const char *digit
    cdef uint64_t value
    cdef size_t group
    cdef int place
    for group in range(size // GROUP_DIGITS):
        value = 0
        for place in range(GROUP_DIGITS):
            # strchr would find the final NUL of the table.
            digit = strchr(digits, text[group * GROUP_DIGITS + place])
            if digit == NULL or digit[0] == 0:
                return -EINVAL
            value = value * BASE + <uint64_t>(digit - digits)
        if value > <uint64_t>0xFFFFFFFF:
            return -EINVAL
        zc_put_be32(out + group * GROUP_BYTES, <uint32_t>value)
    return 0
