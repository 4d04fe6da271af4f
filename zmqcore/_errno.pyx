# zmqcore/_errno.pyx -- see the door.
from zmqcore._sys cimport ENOMEM

from zmqcore import errors

cdef int last_errno = 0     # zmq_errno(): the last error that a call here has raised, guarded by the GIL


cdef void note(int rc) noexcept:
    global last_errno
    last_errno = -rc


cdef int fail(int rc) except -1:
    # The one place where a negative code becomes an exception of this package; _core_backend has one for pyzmq's.
    note(rc)
    if rc == -ENOMEM:
        raise MemoryError()
    raise errors.error_for(-rc)


def strerror(int errno):
    """strerror(errno) -> str: the text of an error number, ZeroMQ's own ones included (zmq_strerror(3))."""
    return errors.error_for(errno).strerror


def zmq_errno():
    """zmq_errno() -> int: the number of the last error raised here in this process (zmq_errno(3)); 0 before the first."""
    return last_errno
