# zmqcore/_engine_socks.pxd -- the way of a connector through a SOCKS 5 proxy, before ZMTP begins (floor 5).
# A part of _engine; the engine is in ENGINE_CONNECTING all the while, and E1 to E5 hold.
# Lock:   host_t.lock. Never lets go of it: the few bytes are sent and read without waiting.
from zmqcore._engine cimport engine_t

# The proxy of the options for a connector to tcp, if there is one. 0; -ENOMEM.
cdef int engine_socks_init(engine_t *self) noexcept nogil
cdef void engine_socks_fini(engine_t *self) noexcept nogil
# The fd is connected to the proxy. ZMQ_HANDSHAKE_IVL bounds what follows, until ZMTP's own handshake begins.
cdef void engine_socks_begin(engine_t *self, int fd) noexcept nogil
