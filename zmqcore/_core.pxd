# zmqcore/_core.pxd -- the Python classes, for the other halves of the face (floor 9). Needs the GIL.
from zmqcore._context cimport context_t
from zmqcore._message cimport msg_t
from zmqcore._socket cimport socket_t
from zmqcore._stats cimport stat_t

cdef class Context:
    cdef context_t *_context
    cdef int _forks             # of when it was made
    cdef bint _is_over
    cdef object __weakref__
    # The context, for one call. EFAULT when it has ended, or belongs to the process that this one was forked from.
    cdef context_t *open_context(self) except NULL

cdef class Socket:
    cdef socket_t *_socket
    cdef int _forks             # of when it was made
    cdef bint _is_closed
    cdef int _type
    cdef readonly Context context
    cdef object __weakref__
    # The socket, for one call. ENOTSOCK when it is closed, or belongs to the process that this one was forked from.
    cdef socket_t *open_socket(self) except NULL
    # Whether it belongs to the process that this one was forked from.
    cdef bint is_inherited(self) noexcept
    cdef int endpoint_call(self, int (*call)(socket_t *, const char *, size_t) noexcept nogil, object addr) except -1
    cdef list push_shared(self, msg_t *msg, object data, bint track)
    cdef int send_msg(self, msg_t *msg, int flags, bint is_whole) except -1
    cdef int recv_msg(self, msg_t *msg, int flags, bint is_whole, bint *more) except -1

# Of name to value; without a struct to read, to (unit, meaning).
cdef dict stats_dict(const stat_t *stat, const char *at)
