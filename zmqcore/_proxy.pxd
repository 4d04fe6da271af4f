# zmqcore/_proxy.pxd -- the forwarding loop between two sockets (or one), with capture, control and statistics (floor 8).
# Thread: one, the caller's, from proxy_begin to proxy_end; it drives all the sockets meanwhile, and the GIL is not needed.
# Lock:   takes the locks of frontend, backend and capture together while it forwards, by address; never one of them across
#         a system call, never the control socket's with another.
# Source: zmq_proxy(3), zmq_proxy_steerable(3).
# Invariants
#   X1  a message is taken from a side only when the other side (and capture) can take it; what cannot be sent all the same
#       (it depends on the message) waits in pending and goes first
#   X2  a direction that cannot move keeps no input in the wait: a blocked, paused or idle proxy sleeps
#   X3  control and termination are looked at once a turn, and a turn is bounded
from libc.stdint cimport int32_t, uint64_t
from zmqcore._message cimport msg_t
from zmqcore._socket cimport socket_t
from zmqcore._stats cimport stat_t

# The eight numbers of STATISTICS, in its order: parts and payload bytes.
cdef enum:
    STAT_FRONTEND_IN_PARTS = 0
    STAT_FRONTEND_IN_BYTES = 1
    STAT_FRONTEND_OUT_PARTS = 2
    STAT_FRONTEND_OUT_BYTES = 3
    STAT_BACKEND_IN_PARTS = 4
    STAT_BACKEND_IN_BYTES = 5
    STAT_BACKEND_OUT_PARTS = 6
    STAT_BACKEND_OUT_BYTES = 7
    STAT_COUNT = 8

cdef enum:
    PROXY_SOCKETS_MAX = 4
    PROXY_STOPPED = 1

cdef struct proxy_t:
    socket_t *frontend
    socket_t *backend           # may be the frontend
    socket_t *capture           # NULL: none
    socket_t *control           # NULL: none
    socket_t *sockets[PROXY_SOCKETS_MAX]    # each once, by address
    int count
    bint is_due[PROXY_SOCKETS_MAX]          # has something to do in the next turn
    bint is_ready[PROXY_SOCKETS_MAX]        # said the last wait
    bint has_moved              # this turn did something
    bint has_more               # and left something that can be moved right now
    bint is_over                # TERMINATE has come, or proxy_stop
    bint wants_details          # control asked for DETAILS
    bint is_idle                # has slept a while, and has looked for signals since
    msg_t pending[2]            # by direction; X1
    uint64_t stats[STAT_COUNT]
    uint64_t msgs[2]            # whole messages moved, by direction
    uint64_t blocked_us[2]      # time in which messages waited on one side because the other (or capture) took none
    # atomic; the loop writes it, any thread reads it; so are stats, msgs and blocked_us
    int32_t is_paused
    # atomic; written by any thread
    int32_t order               # proxy_order that has not been seen yet
    int32_t is_stop_wanted
    uint64_t looked_us          # when signals were last looked for

# Orders to a running proxy from another thread (the control socket has the same words).
cdef enum proxy_order:
    ORDER_NONE = 0
    ORDER_PAUSE = 1
    ORDER_RESUME = 2

# Everything that is known about a proxy, as numbers; proxy_stats_table has their names, units and sentences.
cdef struct proxy_stats_t:
    uint64_t parts[STAT_COUNT]  # STATISTICS
    uint64_t forward_messages   # frontend to backend
    uint64_t backward_messages
    uint64_t forward_blocked_us
    uint64_t backward_blocked_us
    uint64_t paused             # 1 or 0
    uint64_t frontend_peers
    uint64_t frontend_queued_messages
    uint64_t frontend_queued_bytes
    uint64_t backend_peers
    uint64_t backend_queued_messages
    uint64_t backend_queued_bytes

cdef const stat_t *proxy_stats_table() noexcept nogil
# Any thread, from proxy_begin on as long as the sockets are kept. Holds one socket lock at a time.
cdef void proxy_sample(proxy_t *self, proxy_stats_t *out) noexcept nogil
# Any thread. Acts at the next turn, which this wakes.
cdef void proxy_tell(proxy_t *self, proxy_order order) noexcept nogil
cdef void proxy_stop(proxy_t *self) noexcept nogil

# The sockets outlive the proxy_t. capture and control may be NULL; backend may be the frontend.
cdef void proxy_init(proxy_t *self, socket_t *frontend, socket_t *backend, socket_t *capture,
                     socket_t *control) noexcept nogil
# Takes the driving seat of all the sockets. 0; PROXY_STOPPED: proxy_stop came first; -EINTR: somebody else drives one of them,
# look for signals and call again; -ETERM; -ENOTSOCK; -EINVAL (capture or control is one of the sides).
cdef int proxy_begin(proxy_t *self) noexcept nogil
# Runs until it has a reason to return: 0 TERMINATE or proxy_stop; -ETERM; -EINTR (look for signals and call again); other -errno.
cdef int proxy_run(proxy_t *self) noexcept nogil
cdef void proxy_end(proxy_t *self) noexcept nogil
# What was taken from one side and could not be sent on is lost here, not at proxy_end: a later proxy_begin goes on with it.
cdef void proxy_fini(proxy_t *self) noexcept nogil
