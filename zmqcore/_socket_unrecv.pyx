# zmqcore/_socket_unrecv.pyx -- see the door.
#
# The message becomes the one that recv hands out part by part. So POLLIN shows it, and a REQ or REP socket must receive it
# before it may send, as if nobody had received it yet.
from zmqcore._message cimport msg_move, msg_shift, msg_unshift
from zmqcore._socket cimport socket_enter, socket_leave
from zmqcore._sys cimport EAGAIN


cdef int put_in_front(socket_t *self, msg_t *msg) noexcept nogil:
    cdef int rc = 0
    msg_shift(&self.incoming, self.incoming_next)
    self.incoming_next = 0
    while rc == 0 and msg.count:
        rc = msg_unshift(&self.incoming, msg.parts[msg.count - 1].at, msg.parts[msg.count - 1].size,
                         msg.parts[msg.count - 1].store)
        if rc == 0:
            msg.count -= 1
    return rc


cdef int socket_unrecv(socket_t *self, msg_t *msg, bint is_begun) noexcept nogil:
    cdef int rc = socket_enter(self)
    if rc == 0:
        if self.incoming_next >= self.incoming.count:
            self.incoming_next = 0
            msg_move(&self.incoming, msg)
            self.is_changed = True
        elif is_begun:
            rc = put_in_front(self, msg)
        else:
            rc = -EAGAIN
    socket_leave(self)
    return rc
