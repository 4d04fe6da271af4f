# zmqcore/_socket_gather.pyx -- see the door.
#
# hand_over (_socket_messages) wakes the I/O thread in a flood. An event loop would rather write by itself at its next turn:
# the I/O thread, woken for a dozen messages at a time, costs both ends more than the messages (docs/design.md). The loop's
# thread adopts the socket meanwhile, with pending set in the mailbox. So the tick of the I/O thread, which takes a socket
# from an owner who stays outside, finds something to do there: a loop that is held up delays nothing for longer than that.
from libc.stdint cimport uint64_t
from zmqcore._engine_host cimport host_attend
from zmqcore._message cimport msg_t
from zmqcore._reactor cimport io_adopt, io_left, mailbox_disarm, mailbox_has, mailbox_ring
from zmqcore._socket cimport socket_enter, socket_leave, socket_t
from zmqcore._socket_messages cimport socket_is_flooded, socket_try_send
from zmqcore._sys cimport EAGAIN, pthread_mutex_trylock


cdef int gather(socket_t *self) noexcept nogil:
    # locked. What follows a send, as socket_send_gathered returns it.
    cdef uint64_t now_us
    if not self.nest.is_nested or self.has_fd:
        return 1
    if not socket_is_flooded(self, &now_us):
        return 1
    if mailbox_has(self.host.mailbox):
        return 0
    if self.is_driven:
        # The loop sleeps on the socket for a receiver: it is called at its next turn.
        mailbox_ring(self.host.mailbox)
        return 0
    if not self.nest.is_adopted:
        io_adopt(&self.nest)
        mailbox_disarm(self.host.mailbox)
    mailbox_ring(self.host.mailbox)
    self.left_us = now_us
    io_left(self.nest.io)
    return 2


cdef int socket_send_gathered(socket_t *self, msg_t *msg) noexcept nogil:
    cdef int rc
    if pthread_mutex_trylock(&self.host.lock) != 0:
        return -EAGAIN
    rc = socket_try_send(self, msg)
    if rc == 1:
        rc = gather(self)
    socket_leave(self)
    return rc


cdef void socket_flush(socket_t *self) noexcept nogil:
    if socket_enter(self) == 0:
        host_attend(&self.host)
    socket_leave(self)
