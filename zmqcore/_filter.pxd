# zmqcore/_filter.pxd -- who may connect to a listener: TCP_ACCEPT_FILTER and the IPC filters (floor 4; one system call or two).
# Lock:   the socket lock for every function.
# Memory: a filter owns its copy of the lists, so that what is set after a bind is for the next one.
# Source: zmq_setsockopt(3).
from zmqcore._options cimport blob_t, options_t
from zmqcore._transport cimport transport_kind

cdef struct filter_t:           # all zero: everybody
    blob_t networks             # ip_network_t[]; empty: everybody
    blob_t pids                 # int32_t[]; a peer passes that is in one of the three
    blob_t uids
    blob_t gids

# 0; -ENOMEM (then filter_fini is due all the same).
cdef int filter_init(filter_t *self, const options_t *options) noexcept nogil
cdef void filter_fini(filter_t *self) noexcept nogil
# Whether the peer of an accepted fd may stay. Who cannot be told may not.
cdef bint filter_passes(const filter_t *self, transport_kind kind, int fd) noexcept nogil
