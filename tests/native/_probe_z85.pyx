"""zmqcore._z85 for its tests: thin wrappers, no logic."""
from zmqcore._z85 cimport z85_decode, z85_encode


def encode(bytes data):
    cdef bytearray out = bytearray(len(data) // 4 * 5)
    z85_encode(data, len(data), <char *>out)
    return bytes(out)


def decode(bytes text):
    cdef bytearray out = bytearray(len(text) // 5 * 4)
    cdef int rc = z85_decode(text, len(text), <unsigned char *><char *>out)
    return bytes(out) if rc == 0 else rc
