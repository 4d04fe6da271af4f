# zmqcore/_socket_gather.pxd -- sends of a thread that comes back soon to write what has gathered: an event loop's (floor 7).
# Lock:   taken inside. Thread: any.
from zmqcore._message cimport msg_t
from zmqcore._socket cimport socket_t

# As socket_send_quick, but in a flood the output stays in the pipe, for large writes. 0 done; 1 done, and socket_attend has to
# follow (without the GIL); 2 done, and socket_flush has to follow soon (what is sent until then needs none of its own); -EAGAIN.
# When socket_flush does not follow within ADOPTION_US, the I/O thread writes.
cdef int socket_send_gathered(socket_t *self, msg_t *msg) noexcept nogil
# Writes what has gathered. Any state of the socket.
cdef void socket_flush(socket_t *self) noexcept nogil
