"""zmqcore._curve for its tests: thin wrappers, no logic."""
from libc.stdint cimport int64_t, uint8_t, uint64_t
from zmqcore._curve cimport (
    curve_filled, curve_free, curve_new, curve_next_bytes, curve_open, curve_output, curve_reserve, curve_seal,
    curve_sent, curve_t,
)
from zmqcore._sys cimport iovec, memcpy
from zmqcore._zmtp cimport slice_t


cdef class Curve:
    cdef curve_t *at

    def __cinit__(self, bytes key not None, bint is_server, uint64_t sent=0, uint64_t received=0, bint is_derived=True):
        assert len(key) == 32
        self.at = curve_new(<const uint8_t *><const char *>key, is_server, sent, received, slice_t(NULL, 0))
        assert self.at != NULL
        if not is_derived:
            self.at.is_derived = False

    def __dealloc__(self):
        curve_free(self.at)

    def seal(self, list buffers not None):
        """(bytes used, what is to be written)"""
        cdef iovec vec[16]
        cdef ssize_t used
        cdef slice_t output
        cdef int i
        assert len(buffers) <= 16
        for i in range(len(buffers)):
            vec[i].iov_base = <char *><bytes>buffers[i]
            vec[i].iov_len = len(buffers[i])
        used = curve_seal(self.at, vec, len(buffers))
        output = curve_output(self.at)
        sealed = output.at[:output.size]
        curve_sent(self.at, output.size)
        return used, sealed

    def feed(self, bytes data not None):
        cdef uint8_t *at = NULL
        cdef size_t room = 0
        cdef size_t off = 0
        cdef size_t part
        while off < <size_t>len(data):
            assert curve_reserve(self.at, &at, &room) == 0
            part = min(room, len(data) - off)
            memcpy(at, <const char *>data + off, part)
            curve_filled(self.at, part)
            off += part

    def open(self, size_t room, int64_t maxmsgsize=-1):
        """(plain frames or the error, need, error number)"""
        cdef bytearray out = bytearray(room)
        cdef size_t need = 0
        cdef ssize_t rc = curve_open(self.at, maxmsgsize, <uint8_t *><char *>out, room, &need)
        return rc if rc < 0 else bytes(out[:rc]), need, self.at.error

    @property
    def next_bytes(self):
        return curve_next_bytes(self.at)
