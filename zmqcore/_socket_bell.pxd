# zmqcore/_socket_bell.pxd -- the fd of ZMQ_FD (floor 7, a half of _socket).
#
# A socket that was asked for its fd goes on as any other: the I/O thread drives it, because programs ask for the fd long before
# they wait for it. The fd is that of a mailbox which nobody posts to, the bell. It becomes readable when there is an event that
# EVENTS has not told, or that the program has used up since, and stays so until EVENTS is asked or a call fails with EAGAIN:
# libzmq's contract, with a few more wake-ups.
# Lock:   the socket's, for every function. Memory: the bell lives as long as the socket's memory, and so does its fd.
# Invariant
#   K6  outside the lock, each event that is there is in `told`, or the bell is rung
from zmqcore._reactor cimport mailbox_has
from zmqcore._socket cimport SOCKET_POLLIN, socket_t

# Gives the socket a bell; it is not closed. 0; -ENOMEM; -errno.
cdef int bell_open(socket_t *self) noexcept nogil
# Readiness may have changed (K6).
cdef void bell_look(socket_t *self) noexcept nogil
cdef void bell_hush(socket_t *self) noexcept nogil

# EVENTS has been told.
cdef inline void bell_told(socket_t *self, int events) noexcept nogil:
    if self.bell != NULL:
        self.told = events
        if mailbox_has(self.bell):
            bell_hush(self)

# Something was received, so that what comes next is news.
cdef inline void bell_used(socket_t *self) noexcept nogil:
    self.told &= ~<int>SOCKET_POLLIN
