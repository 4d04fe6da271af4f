# zmqcore/_socket_unrecv.pxd -- a message goes back to the socket that it was received from (floor 7).
from zmqcore._message cimport msg_t
from zmqcore._socket cimport socket_t

# The next recv gets msg again. is_begun: it is one part, and the rest of its message is still to be received. msg is empty on
# success. 0; -EAGAIN: another message is being received part by part (nothing has changed); -ENOMEM; -ENOTSOCK; -ETERM.
cdef int socket_unrecv(socket_t *self, msg_t *msg, bint is_begun) noexcept nogil
