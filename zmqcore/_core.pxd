# zmqcore/_core.pxd -- the Python classes, for the other halves of the face (floor 11). Needs the GIL.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, uint8_t
from zmqcore._context cimport context_t
from zmqcore._limits cimport SMALL_BYTES
from zmqcore._message cimport msg_t
from zmqcore._poll cimport poll_item_t
from zmqcore._socket cimport socket_t
from zmqcore._socket_messages cimport socket_attend, socket_recv_body, socket_send_body
from zmqcore._stats cimport stat_t

# The pointers are written once, by __init__, and hold until the object is gone: a call keeps its object alive, so what a
# call has got from open_context or open_socket stays valid whatever other threads end or close meanwhile.

cdef class Context:
    cdef context_t *_context
    cdef int _forks             # of when it was made
    cdef int32_t _is_over       # atomic
    cdef object __weakref__
    # The context, for one call. EFAULT when it has ended, or belongs to the process that this one was forked from.
    cdef context_t *open_context(self) except NULL

cdef class Socket:
    cdef socket_t *_socket
    cdef int _forks             # of when it was made
    cdef int32_t _is_closed     # atomic; cleared last by __init__, so who sees 0 sees the rest
    cdef int32_t _is_seated     # atomic; from sit() to stand() of _core_asyncio
    cdef int _type
    cdef readonly Context context
    cdef object __weakref__
    # The socket, for one call. ENOTSOCK when it is closed, or belongs to the process that this one was forked from.
    cdef socket_t *open_socket(self) except NULL
    # Whether it was made, and in this process.
    cdef bint is_own(self) noexcept
    cdef int endpoint_call(self, int (*call)(socket_t *, const char *, size_t) noexcept nogil, object addr) except -1
    cdef list push_shared(self, msg_t *msg, object data, bint track)
    cdef int send_msg(self, msg_t *msg, int flags, bint is_whole) except -1
    cdef int recv_msg(self, msg_t *msg, int flags, bint is_whole, bint copy, bint *more) except -1

# What may be stored: nbytes, or when it is 0 all of the buffer. view is the caller's to release, unless it raises: ValueError,
# or what a buffer raises that is not writable or not contiguous.
cdef size_t writable_room(object buffer, Py_ssize_t nbytes, Py_buffer *view) except? 0

# Of name to value; without a struct to read, to (unit, meaning).
cdef dict stats_dict(const stat_t *stat, const char *at)

# --- for _core_backend, which has exceptions of its own ------------------------------------------------------------------------

# NULL: ended or closed, or made by the process that this one was forked from.
cdef context_t *context_of(Context context) noexcept
cdef socket_t *socket_of(Socket socket) noexcept

# A message out, or in, or a wait for several sockets, with the GIL let go of where it takes time. Not negative; negative errno;
# raises what a signal handler raises.
cdef int message_out(socket_t *socket, msg_t *msg, int flags, bint is_whole) except? -1
cdef int message_in(socket_t *socket, msg_t *msg, int flags, bint is_whole, bint copy, bint *more) except? -1
# Before a receive of `bytes`: what has come lately says how much memory to lend the socket (socket_lend).
cdef int lend_bytes(socket_t *socket) except -1
cdef int poll_table(poll_item_t *table, int count, long long timeout_ms) except? -1

# The short way of a small message: out, whether data has gone that way; in, bytes, or None when it has to come the other way.
cdef inline bint small_out(socket_t *socket, object data):
    cdef int rc
    if not PyBytes_CheckExact(data) or PyBytes_GET_SIZE(data) > SMALL_BYTES:
        return False
    rc = socket_send_body(socket, <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    if rc == 1:
        with nogil:
            socket_attend(socket)
    return rc >= 0

cdef inline object small_in(socket_t *socket):
    cdef uint8_t small[SMALL_BYTES]
    cdef size_t size
    cdef int rc = socket_recv_body(socket, small, SMALL_BYTES, &size)
    if rc < 0:
        return None
    if rc:
        with nogil:
            socket_attend(socket)
    return PyBytes_FromStringAndSize(<const char *>small, size)

# TypeError for what is neither str nor bytes.
cdef bytes endpoint_text(object addr)
