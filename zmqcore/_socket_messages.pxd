# zmqcore/_socket_messages.pxd -- messages into and out of a socket (floor 7, a half of _socket).
#
# Lock:   taken inside every function here. Thread: any.
# Memory: the caller's msg_t; what is sent has left it, what is received counts its stores.
# Errors: negative errno of zmq.h; -EINTR means: run the signal handlers and call again with the same deadline.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from zmqcore._message cimport batch_t, msg_t, store_t
from zmqcore._socket cimport socket_t

# When a call that begins now must end: from the flags and SNDTIMEO or RCVTIMEO. 0: never; 1: it must not wait.
cdef uint64_t socket_due(socket_t *self, bint is_send, int flags) noexcept nogil

# Sends one part (flags: SOCKET_SNDMORE) or, with is_whole, all parts of msg as one message; msg is emptied on success.
# 0; -EAGAIN; -EFSM; -EHOSTUNREACH; -ENOTSUP; -ETERM; -ENOTSOCK; -EINTR; -ENOMEM. On error msg is unchanged.
cdef int socket_send(socket_t *self, msg_t *msg, int flags, bint is_whole, uint64_t due_us) noexcept nogil
# Takes the next part, or with is_whole all that is left of the message, into msg (empty before). has_more as RCVMORE.
cdef int socket_recv(socket_t *self, msg_t *msg, bint is_whole, bint *has_more, uint64_t due_us) noexcept nogil

# Sends the messages of batch from index *sent on, which moves along, under one lock. The contract of socket_send, for the first
# that was not sent.
cdef int socket_send_many(socket_t *self, batch_t *batch, uint32_t *sent, uint64_t due_us) noexcept nogil
# Takes what is there, at most `most` whole messages, behind those in batch; waits for the first. The contract of socket_recv.
cdef int socket_recv_many(socket_t *self, batch_t *batch, uint32_t most, uint64_t due_us) noexcept nogil

# Lends memory for the next long body, which is then read there; takes the count over. For as much as host.wanted_bytes says, when
# that is not 0, and who receives wants what the memory is part of (pin_bytes).
cdef void socket_lend(socket_t *self, store_t *store) noexcept nogil

# The same without waiting and without a system call, for a caller who holds the GIL and would rather not let go of it: a whole
# message out, or a part (or whole message) in. 0 done; 1 done, and socket_attend has to follow (without the GIL);
# -EAGAIN: not this way (nothing has changed), use socket_send or socket_recv.
cdef int socket_send_quick(socket_t *self, msg_t *msg) noexcept nogil
cdef int socket_recv_quick(socket_t *self, msg_t *msg, bint is_whole, bint *has_more) noexcept nogil
# The same for one part of at most SMALL_BYTES that is copied from or to the caller's memory; more parts: ZMQ_RCVMORE is not set.
cdef int socket_send_body(socket_t *self, const uint8_t *at, size_t size) noexcept nogil
cdef int socket_recv_body(socket_t *self, uint8_t *at, size_t room, size_t *size) noexcept nogil
cdef void socket_attend(socket_t *self) noexcept nogil

# --- for the other half, _socket_gather -------------------------------------------------------------------------------------

# locked. A whole message out without waiting and without a system call. 0 done; 1 done, and there is something to write; -EAGAIN:
# not this way (nothing has changed).
cdef int socket_try_send(socket_t *self, msg_t *msg) noexcept nogil
# locked. Counts a send, at *now_us: whether it belongs to a flood, sends that follow one another closely, with no receive between,
# or that had to wait.
cdef bint socket_is_flooded(socket_t *self, uint64_t *now_us) noexcept nogil
