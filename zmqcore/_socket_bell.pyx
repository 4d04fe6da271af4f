# zmqcore/_socket_bell.pyx -- see the door.
#
# Before, the fd was the poll set itself, and whoever waited for it drove the socket: no thread between, but a program that had
# asked for the fd and did not wait for it stopped its own connections (zmq.asyncio does so for each socket that only sends).
from zmqcore._reactor cimport mailbox_arm, mailbox_heard, mailbox_new, mailbox_open, mailbox_ring, mailbox_take, mailbox_unref
from zmqcore._socket cimport socket_check, socket_ready
from zmqcore._sys cimport ENOMEM, zc_add, zc_store


cdef int bell_open(socket_t *self) noexcept nogil:
    cdef int rc
    self.bell = mailbox_new()
    if self.bell == NULL:
        return -ENOMEM
    rc = mailbox_open(self.bell)
    if rc != 0:
        mailbox_unref(self.bell)
        self.bell = NULL
        return rc
    mailbox_arm(self.bell)
    self.told = 0
    zc_store(&self.has_bell, 1)
    # Both sides change is_stopped: if the context came first, bell_look sees it; if not, the context sees the bell.
    zc_add(&self.is_stopped, 0)
    bell_look(self)
    return 0


cdef void bell_look(socket_t *self) noexcept nogil:
    if not mailbox_has(self.bell) and (socket_check(self) != 0 or socket_ready(self) & ~self.told):
        mailbox_ring(self.bell)


cdef void bell_hush(socket_t *self) noexcept nogil:
    mailbox_take(self.bell)
    mailbox_heard(self.bell)
    mailbox_arm(self.bell)
    if socket_check(self) != 0:
        mailbox_ring(self.bell)
