# zmqcore/_metadata.pxd -- what is known of the peer of a connection: the properties of its messages (floor 4; pure).
# Lock:   none: metadata never change.
# Memory: a store, which messages that outlive their connection hold a count on.
# Form:   properties as in a READY command (RFC 37): name length, name, value length (4 bytes), value. Of a name that comes
#         twice the first counts: what we know ourselves, then what ZAP says, then what the peer says.
from zmqcore._message cimport store_t
from zmqcore._zmtp cimport slice_t

# vouched: the properties of ZAP, User-Id first, size 0 none; told: those of the peer, which are well-formed. A User-Id of the
# peer's own is left out. refs is 1. NULL: no memory.
cdef store_t *metadata_new(const char *peer_address, int fd, slice_t vouched, slice_t told) noexcept nogil

# The value of a property by its exact name; borrowed. Routing-Id is another name of Identity (zmq_msg_gets(3)). Whether it is
# there.
cdef bint metadata_find(const store_t *self, const char *name, slice_t *value) noexcept nogil
