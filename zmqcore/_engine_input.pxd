# zmqcore/_engine_input.pxd -- what a connection's peer sends: reading, handshake, decoding, heartbeats (floor 5).
# The half of _engine that a byte enters by; the fields are described there, and E1 to E5 hold here too.
# Lock:   host_t.lock for every function. UNLOCKS where it says so.
from zmqcore._engine cimport engine_t
from zmqcore._handshake cimport handshake_verdict

# Once, for a new engine.
cdef void engine_init_input(engine_t *self) noexcept nogil
# Whether the fd may be read in this turn; counts.
cdef bint engine_may_read(engine_t *self) noexcept nogil
# The fd is readable: one recv, and what it brings. UNLOCKS.
cdef void engine_read(engine_t *self) noexcept nogil
# Handshake: so many bytes have come into its room. 0: it may begin without the peer.
cdef void engine_shake(engine_t *self, size_t filled_bytes) noexcept nogil
# A raw peer: messages may flow as soon as it is connected.
cdef void engine_begin_raw(engine_t *self) noexcept nogil
# An empty message in the in pipe of a raw peer: it has come, or gone (ZMQ_STREAM_NOTIFY).
cdef void engine_notify(engine_t *self) noexcept nogil
# Active: decodes what lies there. Bytes have come, or the in pipe has room again.
# The same, for a verdict of the handshake that came by another way.
cdef void engine_shaken(engine_t *self, handshake_verdict verdict) noexcept nogil
# Active: decodes what lies there. Bytes have come, or the in pipe has room again. UNLOCKS (CURVE).
cdef void engine_resume_input(engine_t *self) noexcept nogil
