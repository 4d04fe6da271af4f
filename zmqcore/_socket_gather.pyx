# zmqcore/_socket_gather.pyx -- see the door.
#
# hand_over (_socket_messages) wakes the I/O thread in a flood. An event loop would rather write by itself at its next turn:
# the I/O thread, woken for a dozen messages at a time, costs both ends more than the messages (docs/design.md). The loop's
# thread adopts the socket meanwhile, with pending set in the mailbox. So the tick of the I/O thread, which takes a socket
# from an owner who stays outside, finds something to do there: a loop that is held up delays nothing for longer than that.
from libc.stdint cimport uint64_t
from zmqcore._engine cimport host_attend, host_needs_attention
from zmqcore._limits cimport FLOOD_GAP_US, FLOOD_SENDS
from zmqcore._message cimport msg_clear, msg_t
from zmqcore._reactor cimport io_adopt, io_left, mailbox_disarm, mailbox_has, mailbox_ring
from zmqcore._socket cimport socket_check, socket_enter, socket_leave, socket_t
from zmqcore._sys cimport EAGAIN, pthread_mutex_trylock, zc_now_us


cdef int gather(socket_t *self) noexcept nogil:
    # locked. What follows a send, as socket_send_gathered returns it.
    cdef uint64_t now_us
    if not self.nest.is_nested or self.has_fd:
        return 1
    now_us = zc_now_us()
    if now_us - self.sent_us < FLOOD_GAP_US:
        self.sends_in_row += 1
    else:
        self.sends_in_row = 0
    self.sent_us = now_us
    if self.sends_in_row < FLOOD_SENDS:
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
    if (mailbox_has(self.host.mailbox) and not host_needs_attention(&self.host)) or socket_check(self) != 0 or (
            not self.pattern.ops.can_send or self.outgoing.count
            or (self.pattern.ops.is_strict and self.incoming_next < self.incoming.count)):
        rc = -EAGAIN
    else:
        rc = self.pattern.ops.check(&self.pattern, &msg.parts[0])
        if rc == 0:
            rc = self.pattern.ops.send(&self.pattern, msg)
        if rc != 0:
            rc = -EAGAIN
    if rc == 0:
        msg_clear(msg)
        if host_needs_attention(&self.host):
            rc = gather(self)
    socket_leave(self)
    return rc


cdef void socket_flush(socket_t *self) noexcept nogil:
    if socket_enter(self) == 0:
        host_attend(&self.host)
    socket_leave(self)
