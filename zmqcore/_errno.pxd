# zmqcore/_errno.pxd -- negative errno values become exceptions (floor 9). Needs the GIL.

# Raises what errors.py makes of a negative errno; MemoryError for -ENOMEM.
cdef int fail(int rc) except -1

# Remembers it for zmq_errno(), where somebody else raises.
cdef void note(int rc) noexcept

cdef inline int check(int rc) except -1:
    return fail(rc) if rc < 0 else rc
