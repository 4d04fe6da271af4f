# zmqcore/_filter.pxd -- who may connect to a listener: TCP_ACCEPT_FILTER and the IPC filters (floor 4; one system call or two).
# Lock:   the socket lock for every function.
# Source: zmq_setsockopt(3).
from zmqcore._options cimport options_t
from zmqcore._transport cimport transport_kind

# Whether the peer of an accepted fd may stay, by the options of its listener. Who cannot be told may not.
cdef bint filter_passes(const options_t *options, transport_kind kind, int fd) noexcept nogil
