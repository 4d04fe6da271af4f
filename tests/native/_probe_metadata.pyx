"""zmqcore._metadata for its tests: thin wrappers, no logic."""
from libc.stdint cimport uint8_t
from zmqcore._message cimport store_t, store_unref
from zmqcore._metadata cimport metadata_find, metadata_new
from zmqcore._zmtp cimport slice_t


cdef class Metadata:
    cdef store_t *at

    def __cinit__(self, bytes address not None, int fd, bytes vouched not None, bytes told not None):
        self.at = metadata_new(address, fd, slice_t(<const uint8_t *><const char *>vouched, len(vouched)),
                               slice_t(<const uint8_t *><const char *>told, len(told)))
        assert self.at != NULL

    def __dealloc__(self):
        if self.at != NULL:
            store_unref(self.at)

    def find(self, bytes name not None):
        cdef slice_t value
        if not metadata_find(self.at, name, &value):
            return None
        return value.at[:value.size] if value.size else b""
