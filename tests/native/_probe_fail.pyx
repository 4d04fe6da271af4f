# tests/native/_probe_fail.pyx -- see the door.
from libc.stdint cimport uintptr_t

ctypedef void (*fail_fn)(long calls) noexcept nogil
cdef fail_fn fail_function = NULL


def set_fail_function(uintptr_t address):
    """The function that fail() calls, in the shim."""
    global fail_function
    fail_function = <fail_fn>address


cdef void fail(long calls) noexcept nogil:
    if fail_function != NULL:
        fail_function(calls)
