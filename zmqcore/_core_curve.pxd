# zmqcore/_core_curve.pxd -- keys, and where the functions of CURVE come from (floor 11, a half of _core). Needs the GIL.

# Before an option of CURVE is set. EINVAL, as of a library that was built without it, when there is no PyNaCl.
cdef int need_curve() except -1
