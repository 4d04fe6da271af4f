# tests/native/_probe_fail.pxd -- calls without memory, for the probes; does nothing outside of tests.unit.shim.
# Every allocation after so many fails; -1: none does.
cdef void fail(long calls) noexcept nogil
