# zmqcore/_metadata.pyx -- see the door.
from libc.stdint cimport uint32_t, uint8_t
from zmqcore._message cimport store_new
from zmqcore._sys cimport memcmp, memcpy, snprintf, strcmp, strlen
from zmqcore._zmtp cimport zmtp_property_next, zmtp_property_write

cdef enum:
    # Of the two properties of our own, besides the address.
    OWN_BYTES = 64


cdef bint is_named(slice_t name, const char *text) noexcept nogil:
    return name.size == strlen(text) and memcmp(name.at, text, name.size) == 0


cdef void append_told(store_t *self, slice_t told) noexcept nogil:
    # Only ZAP says who somebody is.
    cdef slice_t name, value
    cdef size_t off = 0
    cdef size_t start = 0
    while zmtp_property_next(told, &off, &name, &value) > 0:
        if not is_named(name, "User-Id"):
            memcpy(self.data + self.size, told.at + start, off - start)
            self.size += off - start
        start = off


cdef store_t *metadata_new(const char *peer_address, int fd, slice_t vouched, slice_t told) noexcept nogil:
    cdef size_t room = OWN_BYTES + strlen(peer_address) + vouched.size + told.size
    cdef store_t *self = store_new(room)
    cdef char number[16]
    cdef int digits
    if self == NULL:
        return NULL
    self.size = zmtp_property_write(self.data, "Peer-Address", <const uint8_t *>peer_address,
                                    <uint32_t>strlen(peer_address))
    digits = snprintf(number, sizeof(number), "%d", fd)
    self.size += zmtp_property_write(self.data + self.size, "__fd", <const uint8_t *>number, <uint32_t>digits)
    if vouched.size:
        memcpy(self.data + self.size, vouched.at, vouched.size)
        self.size += vouched.size
    append_told(self, told)
    return self


cdef bint metadata_find(const store_t *self, const char *name, slice_t *value) noexcept nogil:
    cdef slice_t list
    cdef slice_t each
    cdef size_t off = 0
    list.at = self.data
    list.size = self.size
    while zmtp_property_next(list, &off, &each, value) > 0:
        if is_named(each, name):
            return True
    return strcmp(name, "Routing-Id") == 0 and metadata_find(self, "Identity", value)
