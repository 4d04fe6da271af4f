# zmqcore/_zap.pxd -- what is said to an authentication handler, and what it answers (floor 4; pure).
# Lock:   the socket lock of the connection that asks.
# Memory: the messages are the caller's.
# Source: RFC 27 (ZAP 1.0).
from zmqcore._mechanism cimport mechanism_t
from zmqcore._message cimport msg_t

# The name of the handler's inproc endpoint.
cdef const char *zap_name() noexcept nogil
# Writes the request of a mechanism in the state ASKING, in the envelope of a REQ, into msg (empty). 0; -ENOMEM.
cdef int zap_ask(const mechanism_t *self, const char *peer_address, msg_t *msg) noexcept nogil
# Wipes the credentials in a request that was copied on.
cdef void zap_forget(msg_t *msg) noexcept nogil
# Takes the reply; the mechanism goes on, or has failed. 0; -ENOMEM.
cdef int zap_answer(mechanism_t *self, const msg_t *msg) noexcept nogil
