# zmqcore/_errno.pyx -- see the door.
from libc.stdint cimport int32_t
from zmqcore._sys cimport ENOMEM, zc_load, zc_store

from zmqcore import errors

cdef int32_t last_errno = 0     # atomic; zmq_errno(): the last error that a call here has raised, in any thread


cdef void note(int rc) noexcept:
    zc_store(&last_errno, -rc)


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
    return zc_load(&last_errno)
