# zmqcore/_sodium.pyx -- see the door.
from zmqcore._sys cimport ENOMEM, EPROTO, free, malloc, memcpy, memset, zc_wipe

cdef sodium_t functions
cdef bint is_set = False


cdef const sodium_t *sodium_get() noexcept nogil:
    return &functions if is_set else NULL


cdef void sodium_set(const sodium_t *table) noexcept nogil:
    global functions, is_set
    functions = table[0]
    is_set = True


cdef int sodium_seal(const uint8_t *key, const uint8_t *nonce, const uint8_t *at, size_t size, uint8_t *out) noexcept nogil:
    cdef size_t room = PLAIN_ZERO_BYTES + size
    cdef uint8_t *scratch = <uint8_t *>malloc(room)
    if scratch == NULL:
        return -ENOMEM
    memset(scratch, 0, PLAIN_ZERO_BYTES)
    memcpy(scratch + PLAIN_ZERO_BYTES, at, size)
    functions.seal(scratch, scratch, room, nonce, key)
    memcpy(out, scratch + BOX_ZERO_BYTES, size + MAC_BYTES)
    free(scratch)
    return 0


cdef int sodium_open(const uint8_t *key, const uint8_t *nonce, const uint8_t *at, size_t size, uint8_t *out) noexcept nogil:
    cdef size_t room = BOX_ZERO_BYTES + size
    cdef uint8_t *scratch = <uint8_t *>malloc(room)
    cdef int rc = 0
    if scratch == NULL:
        return -ENOMEM
    memset(scratch, 0, BOX_ZERO_BYTES)
    memcpy(scratch + BOX_ZERO_BYTES, at, size)
    if functions.open(scratch, scratch, room, nonce, key) != 0:
        rc = -EPROTO
    else:
        memcpy(out, scratch + PLAIN_ZERO_BYTES, size - MAC_BYTES)
    zc_wipe(scratch, room)
    free(scratch)
    return rc
