# zmqcore/_endpoint.pxd -- what a socket is bound and connected to: listeners, connectors, names (floor 7).
# Lock:   the socket lock for every function. UNLOCKS where it says so.
# Memory: endpoints_t owns its endpoint_t; an endpoint refers to the connector's engine while that lives.
# Errors: as zmq_bind(3), zmq_connect(3), zmq_unbind(3), zmq_disconnect(3).
from zmqcore._context cimport context_t
from zmqcore._engine cimport engine_t, host_t
from zmqcore._reactor cimport timer_t, watch_t
from zmqcore._terms cimport terms_t
from zmqcore._transport cimport ENDPOINT_BYTES_MAX, address_t

cdef struct endpoints_t

cdef struct endpoint_t:
    endpoint_t *next
    endpoints_t *owner
    bint is_bound               # else connected
    bint is_waiting             # inproc: connected before the name was bound, maybe still so
    address_t address
    char resolved[ENDPOINT_BYTES_MAX]   # bound: as in ZMQ_LAST_ENDPOINT
    terms_t *terms              # listener: the options at bind, which accepted connections get; counted
    watch_t watch               # listener
    timer_t rest_timer          # listener without descriptors
    engine_t *engine            # connected: NULL when it has given up

# Upward.
cdef struct endpoints_ops_t:
    # A connector that shall have its pipe at once.
    void (*attach)(void *arg, engine_t *engine) noexcept nogil
    # The user lets go of it: drop what it received, flush what it was given.
    void (*disconnect)(void *arg, engine_t *engine) noexcept nogil
    # Poll set and I/O thread are needed. 0 or -errno.
    int (*open)(void *arg) noexcept nogil

cdef struct endpoints_t:
    host_t *host
    context_t *context
    const endpoints_ops_t *ops
    void *arg
    endpoint_t *first
    endpoint_t *dead            # listeners that were closed while events for them may be under way
    char last[ENDPOINT_BYTES_MAX]       # ZMQ_LAST_ENDPOINT

cdef void endpoints_init(endpoints_t *self, host_t *host, context_t *context, const endpoints_ops_t *ops,
                         void *arg) noexcept nogil
# Closes the listeners and forgets everything; engines stay with the host.
cdef void endpoints_close(endpoints_t *self) noexcept nogil
cdef void endpoints_fini(endpoints_t *self) noexcept nogil

# UNLOCKS (names are resolved, sockets opened). 0 or -errno.
cdef int endpoints_bind(endpoints_t *self, const char *text, size_t size) noexcept nogil
cdef int endpoints_connect(endpoints_t *self, const char *text, size_t size) noexcept nogil
cdef int endpoints_unbind(endpoints_t *self, const char *text, size_t size) noexcept nogil
cdef int endpoints_disconnect(endpoints_t *self, const char *text, size_t size) noexcept nogil
# The engine of a connector is finished.
cdef void endpoints_forget(endpoints_t *self, engine_t *engine) noexcept nogil
