# zmqcore/_engine_output.pxd -- what goes to a connection's peer: writing, and what has to be done to bytes before (floor 5).
# The half of _engine that a byte leaves by; the fields are described there, and E1 to E5 hold here too.
# Lock:   host_t.lock for every function. UNLOCKS where it says so.
from zmqcore._engine cimport engine_t

# Writes until the output is gone or the kernel takes no more. UNLOCKS.
cdef void engine_flush(engine_t *self) noexcept nogil
# Whether messages are still on their way to the kernel.
cdef bint engine_has_output(const engine_t *self) noexcept nogil
# Whether the kernel has room for so many bytes more than are queued, so that all of them leave with the next write. What may be
# appended is then no question of the high-water mark, which bounds what stays here; the caller sees to the write.
cdef bint engine_passes(engine_t *self, size_t bytes) noexcept nogil
# Drops what the handshake had still to say.
cdef void engine_drop_raw(engine_t *self) noexcept nogil
# The handshake has failed: gives the kernel what the peer is told of it, if it takes it at once.
cdef void engine_farewell(engine_t *self) noexcept nogil
