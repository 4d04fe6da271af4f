# zmqcore/_core_curve.pyx -- see the door.
#
# PyNaCl brings libsodium: nacl._sodium is a cffi module, and cffi gives the address of a function of its library. So there is
# no system library to find and nothing to be linked. It is imported when CURVE is first spoken of: most programs never do.
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t
from zmqcore._errno cimport fail
from zmqcore._options cimport CURVE_KEY_BYTES, CURVE_KEY_Z85_BYTES
from zmqcore._sodium cimport sodium_get, sodium_set, sodium_t
from zmqcore._sys cimport EINVAL, ENOTSUP, zc_wipe
from zmqcore._z85 cimport z85_decode, z85_encode

from zmqcore import errors

cdef tuple PARTS = ("crypto_core_hsalsa20", "crypto_stream_salsa20_xor", "crypto_onetimeauth_poly1305",
                    "crypto_onetimeauth_poly1305_verify")

# The cffi module, kept for as long as its functions are known here.
cdef object provider = None


cdef size_t address_of(object module, str name) except 0:
    return int(module.ffi.cast("uintptr_t", module.ffi.addressof(module.lib, name)))


cdef int add_parts(sodium_t *table, object module) except -1:
    # Functions of libsodium that cffi does not know, although the module has them; without them it works as well.
    cdef list found
    table.derive = NULL
    try:
        import ctypes

        library = ctypes.CDLL(module.__file__)
        found = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in PARTS]
    except (AttributeError, ImportError, OSError):
        return 0
    table.derive = <int (*)(uint8_t *, const uint8_t *, const uint8_t *, const uint8_t *) noexcept nogil><size_t>found[0]
    table.stream_xor = <int (*)(uint8_t *, const uint8_t *, unsigned long long, const uint8_t *,
                                const uint8_t *) noexcept nogil><size_t>found[1]
    table.auth = <int (*)(uint8_t *, const uint8_t *, unsigned long long, const uint8_t *) noexcept nogil><size_t>found[2]
    table.verify = <int (*)(const uint8_t *, const uint8_t *, unsigned long long,
                            const uint8_t *) noexcept nogil><size_t>found[3]
    return 0


cdef bint load() except -1:
    # Whether CURVE is there.
    global provider
    cdef sodium_t table
    if sodium_get() != NULL:
        return True
    try:
        from nacl import _sodium as module
    except ImportError:
        return False
    if module.lib.sodium_init() < 0:
        return False
    table.random = <void (*)(uint8_t *, unsigned long long) noexcept nogil>address_of(module, "randombytes")
    table.keypair = <int (*)(uint8_t *, uint8_t *) noexcept nogil>address_of(module, "crypto_box_keypair")
    table.public = <int (*)(uint8_t *, const uint8_t *) noexcept nogil>address_of(module, "crypto_scalarmult_base")
    table.agree = <int (*)(uint8_t *, const uint8_t *, const uint8_t *) noexcept nogil>address_of(
        module, "crypto_box_beforenm")
    table.seal = <int (*)(uint8_t *, const uint8_t *, unsigned long long, const uint8_t *,
                          const uint8_t *) noexcept nogil>address_of(module, "crypto_box_afternm")
    table.open = <int (*)(uint8_t *, const uint8_t *, unsigned long long, const uint8_t *,
                          const uint8_t *) noexcept nogil>address_of(module, "crypto_box_open_afternm")
    add_parts(&table, module)
    provider = module
    sodium_set(&table)
    return True


cdef int need_curve() except -1:
    if not load():
        fail_without(EINVAL)
    return 0


cdef int fail_without(int number) except -1:
    raise errors.ZMQError(number, "CURVE needs PyNaCl: pip install zmqcore[curve]")


cdef bytes key_text(const uint8_t *key):
    cdef bytes text = PyBytes_FromStringAndSize(NULL, CURVE_KEY_Z85_BYTES)
    z85_encode(key, CURVE_KEY_BYTES, <char *>text)
    return text


def has_curve():
    """has_curve() -> bool: whether CURVE is there, which needs PyNaCl."""
    return load()


def curve_keypair():
    """curve_keypair() -> (public, secret): a new pair of CURVE keys as Z85 text (zmq_curve_keypair(3)). ENOTSUP without PyNaCl."""
    cdef uint8_t public[CURVE_KEY_BYTES]
    cdef uint8_t secret[CURVE_KEY_BYTES]
    if not load():
        fail_without(ENOTSUP)
    sodium_get().keypair(public, secret)
    pair = key_text(public), key_text(secret)
    zc_wipe(secret, sizeof(secret))
    return pair


def curve_public(secret_key):
    """curve_public(secret_key) -> bytes: the public key of a secret one, both as Z85 text (zmq_curve_public(3)).

    secret_key: bytes or str of 40 characters, else ValueError; EINVAL when it is no Z85. ENOTSUP without PyNaCl.
    """
    cdef uint8_t public[CURVE_KEY_BYTES]
    cdef uint8_t secret[CURVE_KEY_BYTES]
    cdef bytes text = secret_key.encode() if isinstance(secret_key, str) else secret_key
    if text is None or len(text) != CURVE_KEY_Z85_BYTES:
        raise ValueError(f"a secret key is {CURVE_KEY_Z85_BYTES} characters of Z85")
    if not load():
        fail_without(ENOTSUP)
    if z85_decode(text, CURVE_KEY_Z85_BYTES, secret) != 0:
        fail(-EINVAL)
    sodium_get().public(public, secret)
    zc_wipe(secret, sizeof(secret))
    return key_text(public)


def encode_z85(bytes data not None):
    """encode_z85(data) -> bytes: data as Z85 text (RFC 32). ValueError unless its length is a multiple of 4."""
    cdef bytes text
    if len(data) % 4:
        raise ValueError(f"Z85 takes multiples of 4 bytes, not {len(data)}")
    text = PyBytes_FromStringAndSize(NULL, len(data) // 4 * 5)
    z85_encode(<const uint8_t *><const char *>data, len(data), <char *>text)
    return text


def decode_z85(text):
    """decode_z85(text) -> bytes: what a Z85 text, bytes or str, stands for (RFC 32). ValueError when it is none."""
    cdef bytes digits = text.encode() if isinstance(text, str) else text
    cdef bytes data
    if digits is None or len(digits) % 5:
        raise ValueError("Z85 is a multiple of 5 characters")
    data = PyBytes_FromStringAndSize(NULL, len(digits) // 5 * 4)
    if z85_decode(digits, len(digits), <uint8_t *><char *>data) != 0:
        raise ValueError("not Z85")
    return data
