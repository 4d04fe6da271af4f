# zmqcore/_pattern_router.pxd -- ROUTER: routing ids in front of messages, and the map from id to engine (floor 6).
# Source: zmq_socket(3), RFC 28; options ROUTER_MANDATORY, ROUTER_HANDOVER, CONNECT_ROUTING_ID, PROBE_ROUTER.
# Invariants
#   I1  the map holds exactly the engines with is_identified; each by its routing_id, no id twice
#   I2  an engine that is not identified yet is in no queue
from libc.stdint cimport int32_t, uint8_t
from zmqcore._engine cimport engine_t
from zmqcore._message cimport msg_t
from zmqcore._pattern cimport pattern_ops_t, pattern_t

# NULL: not this type.
cdef const pattern_ops_t *router_ops(int32_t type) noexcept nogil

# --- also for STREAM -----------------------------------------------------------------------------------------------------

# Entries for the table.
cdef int router_init(pattern_t *self) noexcept nogil
cdef void router_fini(pattern_t *self) noexcept nogil
cdef int router_admit(pattern_t *self) noexcept nogil
cdef void router_detach(pattern_t *self, engine_t *engine) noexcept nogil
cdef int router_recv(pattern_t *self, msg_t *msg) noexcept nogil
# The engine with that id; NULL: none.
cdef engine_t *router_find(pattern_t *self, const uint8_t *at, size_t size) noexcept nogil
# Gives the engine that id; the auto one is 00 and the next number. Whether it has it now; when not, the engine has been closed.
cdef bint router_identify(pattern_t *self, engine_t *engine, const uint8_t *at, size_t size) noexcept nogil
cdef bint router_identify_auto(pattern_t *self, engine_t *engine) noexcept nogil
# The user has closed a raw peer: nobody is told, its unread input is dropped, and what was sent to it has ZMQ_LINGER to leave.
cdef void router_close_peer(pattern_t *self, engine_t *engine) noexcept nogil
