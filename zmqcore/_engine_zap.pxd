# zmqcore/_engine_zap.pxd -- a connection asks its context's authentication handler about its peer (floor 5, a part of _engine).
# The handler is an inproc socket; each connection that asks has a link of its own to it, so that none waits for another.
# Lock:   host_t.lock for every function.
from zmqcore._engine cimport engine_t

# The handshake says HANDSHAKE_ASKS: asks, unless it has.
cdef void engine_zap_ask(engine_t *self) noexcept nogil
# A post of that link has come (is_answered), and no thread is reading. UNLOCKS.
cdef void engine_zap_go_on(engine_t *self) noexcept nogil
# The connection has ended. Idempotent.
cdef void engine_zap_forget(engine_t *self) noexcept nogil
# The address of the peer as ZAP and the metadata of messages show it.
cdef void engine_peer_address(engine_t *self, char *out, size_t size) noexcept nogil
