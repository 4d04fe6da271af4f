# zmqcore/_core_backend.pxd -- pyzmq's classes, for the half that serves zmq.asyncio. Needs the GIL.
from libc.stdint cimport uint32_t
from zmqcore._core cimport Socket as CoreSocket
from zmqcore._message cimport msg_t
from zmqcore._socket cimport socket_t

cdef class Socket:
    cdef CoreSocket _core       # None: a shadow of nothing
    cdef size_t _number         # in the table of handles
    cdef bint _is_shadow
    cdef public object context
    cdef public Py_ssize_t copy_threshold
    cdef object __weakref__
    # The socket, for one call. ENOTSOCK.
    cdef socket_t *opened(self) except NULL
    cdef object send_frame(self, socket_t *socket, object frame, int flags)
    cdef int endpoint_call(self, int (*call)(socket_t *, const char *, size_t) noexcept nogil, object addr) except? -1

# The part i of a message as pyzmq's Frame.
cdef object frame_of(const msg_t *msg, uint32_t i, bint more, bint track)
