# zmqcore/_metadata.pxd -- what is known of the peer of a connection: the properties of its messages (floor 4; pure).
# Lock:   none: a metadata_t is never changed. metadata_ref and metadata_unref from any thread.
# Memory: counted; messages that outlive their connection hold a count.
# Form:   properties as in a READY command (RFC 37): name length, name, value length (4 bytes), value. Of a name that comes
#         twice the first counts: what we know ourselves, then what ZAP says, then what the peer says.
from libc.stdint cimport int32_t, uint8_t
from zmqcore._zmtp cimport slice_t

cdef struct metadata_t:
    int32_t refs                # atomic
    size_t size
    uint8_t *data               # lies behind this struct

# vouched: the properties of ZAP, User-Id first, size 0 none; told: those of the peer, which are well-formed. A User-Id of the
# peer's own is left out. refs is 1. NULL: no memory.
cdef metadata_t *metadata_new(const char *peer_address, int fd, slice_t vouched, slice_t told) noexcept nogil
cdef void metadata_ref(metadata_t *self) noexcept nogil
# NULL will do.
cdef void metadata_unref(metadata_t *self) noexcept nogil

# The value of a property by its exact name; borrowed. Whether it is there.
cdef bint metadata_find(const metadata_t *self, const char *name, slice_t *value) noexcept nogil
