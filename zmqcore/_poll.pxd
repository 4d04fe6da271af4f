# zmqcore/_poll.pxd -- waiting for several sockets and fds at once (floor 7, above _socket).
# The waiting thread drives every socket that nobody else drives, so that a message needs no other thread to be seen.
# Lock:   none held by the caller; socket locks are taken one at a time, inside _socket. Thread: any.
# Memory: the items are the caller's, who also keeps their sockets alive.
# Invariants
#   W1  a socket is driven by this call exactly while its item is_seated, and by none when poll_wait returns
#   W2  the sleep is cut short when a socket may have something to tell that its fd does not show (may_sleep)
from libc.stdint cimport uint64_t
from zmqcore._socket cimport socket_t

# As in zmq.h; 1 and 2 are SOCKET_POLLIN and SOCKET_POLLOUT.
cdef enum:
    POLL_IN = 1
    POLL_OUT = 2
    POLL_ERR = 4                # fds only
    POLL_PRI = 8                # fds only

cdef struct poll_item_t:
    socket_t *socket            # NULL: fd
    int fd
    short events                # POLL_* asked for
    short revents               # POLL_* that are there
    bint is_seated              # W1

# Waits; count of items with revents; 0 at due_us (0: for ever, 1: does not wait); -EINTR: run the signal handlers and call
# again; -ETERM; -ENOTSOCK; -ENOMEM; -errno of poll(2).
cdef int poll_wait(poll_item_t *items, int count, uint64_t due_us) noexcept nogil
