# zmqcore/_sodium.pxd -- the functions of NaCl that CURVE needs, as C pointers that the face fills in (floor 1).
# Lock:   none: the table is filled at most once, with the GIL held, before any socket can be told to use CURVE.
# Memory: the caller's.
# Source: RFC 26; NaCl's crypto_box, whose buffers begin with zero bytes: 32 in front of a plaintext, 16 in front of a box.
from libc.stdint cimport uint8_t

cdef enum:
    KEY_BYTES = 32
    NONCE_BYTES = 24
    PLAIN_ZERO_BYTES = 32
    BOX_ZERO_BYTES = 16
    MAC_BYTES = 16              # what a box has more than its plaintext

cdef struct sodium_t:
    void (*random)(uint8_t *at, unsigned long long size) noexcept nogil
    int (*keypair)(uint8_t *public, uint8_t *secret) noexcept nogil
    int (*public)(uint8_t *public, const uint8_t *secret) noexcept nogil
    # Key of a pair of parties (crypto_box_beforenm). Not 0: a public key that nobody has.
    int (*agree)(uint8_t *key, const uint8_t *public, const uint8_t *secret) noexcept nogil
    # size counts the zero bytes; target and source may be the same. open is not 0 for a box that is not genuine.
    int (*seal)(uint8_t *target, const uint8_t *source, unsigned long long size, const uint8_t *nonce,
                const uint8_t *key) noexcept nogil
    int (*open)(uint8_t *target, const uint8_t *source, unsigned long long size, const uint8_t *nonce,
                const uint8_t *key) noexcept nogil
    # What seal and open are made of, for who keeps what does not change from box to box; all four, or none (derive is NULL).
    # Key of the boxes whose nonces begin with these 16 bytes (crypto_core_hsalsa20; constants is NULL).
    int (*derive)(uint8_t *key, const uint8_t *nonce, const uint8_t *pair_key, const uint8_t *constants) noexcept nogil
    # The other 8 bytes are its nonce. The key stream begins with the key of auth (crypto_stream_salsa20_xor).
    int (*stream_xor)(uint8_t *target, const uint8_t *source, unsigned long long size, const uint8_t *nonce,
                      const uint8_t *key) noexcept nogil
    int (*auth)(uint8_t *mac, const uint8_t *at, unsigned long long size, const uint8_t *key) noexcept nogil
    int (*verify)(const uint8_t *mac, const uint8_t *at, unsigned long long size, const uint8_t *key) noexcept nogil

# NULL: nobody has provided it.
cdef const sodium_t *sodium_get() noexcept nogil
# Copies the table. Once.
cdef void sodium_set(const sodium_t *table) noexcept nogil

# For handshakes: one box of bytes without the zero bytes of NaCl, through memory of its own that is wiped. out has room for
# size + MAC_BYTES (seal) or size - MAC_BYTES (open; size >= MAC_BYTES). 0; -EPROTO: not genuine; -ENOMEM.
cdef int sodium_seal(const uint8_t *key, const uint8_t *nonce, const uint8_t *at, size_t size, uint8_t *out) noexcept nogil
cdef int sodium_open(const uint8_t *key, const uint8_t *nonce, const uint8_t *at, size_t size, uint8_t *out) noexcept nogil
