# zmqcore/_engine.pxd -- one connection of a socket: session, handshake, heartbeats, pipes, reconnect (floor 5).
# Lock:   host_t.lock (the socket lock) for every function and field, unless it says otherwise. A function marked UNLOCKS
#         lets go of it around a system call; engines, pipes and the pattern may have changed when it returns.
# Memory: the host owns its engines; one that is finished lies in host.dead until host_bury, because a turn of the
#         reactor or a thread inside a system call may still point to it.
# Upward: host_ops_t, filled in by the socket. Callbacks run under the lock and must not unlock.
# Invariants
#   E1  fd >= 0 exactly in the states CONNECTING to ACTIVE (and until a system call on it has returned: is_ending); it is
#       the engine's own unless lookup is set
#   E2  at most one thread reads the fd (is_reading) and at most one writes it (is_writing)
#   E3  the fd is closed only while neither is set
#   E4  in ACTIVE and only there messages move between fd and pipes
#   E5  an engine that is stalled at the high-water mark asks for input once more at most: a blocked engine costs no CPU
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from zmqcore._curve cimport curve_t
from zmqcore._handshake cimport handshake_t
from zmqcore._link cimport link_t
from zmqcore._lookup cimport lookup_t
from zmqcore._message cimport msg_t, part_t, store_t
from zmqcore._monitor cimport monitor_t
from zmqcore._options cimport options_t
from zmqcore._pipe cimport pipe_t
from zmqcore._reactor cimport mailbox_t, poller_t, timer_t, timers_t, watch_t
from zmqcore._socks cimport socks_t
from zmqcore._sys cimport pthread_mutex_t
from zmqcore._terms cimport terms_t
from zmqcore._transport cimport address_t, transport_kind
from zmqcore._v1 cimport v1_t

cdef struct engine_t
cdef struct host_t

# --- upward --------------------------------------------------------------------------------------------------------------

cdef struct host_ops_t:
    void (*active)(void *arg, engine_t *engine) noexcept nogil      # the handshake is done (each time)
    void (*lost)(void *arg, engine_t *engine) noexcept nogil        # was active; will try to connect again
    void (*closed)(void *arg, engine_t *engine) noexcept nogil      # finished for good; the engine dies after engine_release
    void (*input)(void *arg, engine_t *engine) noexcept nogil       # messages came into an empty pipe
    void (*output)(void *arg, engine_t *engine) noexcept nogil      # a full pipe takes messages again
    # Joins the link to whoever has bound that inproc name. 0; -ECONNREFUSED: nobody.
    int (*join)(void *arg, const char *name, link_t *link) noexcept nogil

# What all engines of one socket share; embedded in the socket.
cdef struct host_t:
    pthread_mutex_t lock
    poller_t poller             # open from the first need on (fd >= 0)
    timers_t timers
    mailbox_t *mailbox
    options_t *options
    terms_t *terms              # of the next endpoint, if it is made with the options as they are; counted. NULL: not taken yet
    const host_ops_t *ops
    void *arg
    engine_t *engines           # all but the dead
    uint32_t engine_count
    engine_t *attention         # queue: new output to write, or input to resume
    engine_t *attention_last
    mailbox_t *sleeper          # of an inproc peer, counted: to be woken without the lock; NULL none
    engine_t *dead
    monitor_t monitor           # what happens to the connections
    bint is_proxied             # a proxy drives it: what a read has brought is decoded at once, whatever the mark says
    uint32_t shakes_left        # of HANDSHAKES_A_TURN, in this turn
    store_t *lent               # where the body of the next long frame may be read (host_lend); owned; NULL none
    int32_t body_bytes          # how long such bodies have been lately
    int32_t wanted_bytes        # atomic: so much may be lent; 0: there were no such bodies, or lent is as it should be
    uint32_t turns              # dispatches and system calls under way: the dead are kept
    uint64_t random             # state of host_random
    uint64_t last_serial
    # totals of engines that are gone (statistics)
    uint64_t past_received_msgs
    uint64_t past_received_bytes
    uint64_t past_sent_msgs
    uint64_t past_sent_bytes
    uint64_t past_dropped_msgs
    uint64_t past_times_full

cdef enum engine_state:
    ENGINE_IDLE = 0             # no connection; waits for its retry, or for nothing
    ENGINE_CONNECTING = 1
    ENGINE_HANDSHAKE = 2
    ENGINE_ACTIVE = 3
    ENGINE_DEAD = 4

# How a connection ends.
cdef enum engine_end:
    END_NONE = 0
    END_LOST = 1                # closed, reset, timed out: a connector tries again
    END_REFUSED = 2             # the connection could not be made: a connector tries again
    END_FAILED = 3              # the peer broke the protocol: a connector gives up
    END_CLOSED = 4              # we are done with it

# The messages that came over an earlier connection of an engine.
cdef struct era_t:
    store_t *metadata           # counted; NULL none
    uint64_t last               # pipe_t.total_msgs when it ended
    era_t *next

cdef struct engine_t:
    # set once
    host_t *host
    address_t *address          # connectors: where to; owned. NULL: accepted, or inproc
    terms_t *terms              # the options of its endpoint; counted. NULL: inproc
    lookup_t *lookup            # a name server is being asked; counted; watch.fd is the lookup's then
    address_t *proxy            # ZMQ_SOCKS_PROXY: what is really connected to; owned. NULL none
    socks_t *socks              # then: the talk with it; owned
    transport_kind kind
    void *endpoint              # the socket's own note of where this engine belongs
    link_t *link                # inproc: counted; then there is no fd, and pipes lie in the link
    int side
    bint is_raw                 # the peer speaks no ZMTP (STREAM, ROUTER_RAW)
    bint is_conflated           # ZMQ_CONFLATE; inproc: the link knows
    # life
    engine_state state
    engine_end is_ending        # the end that waits for system calls to return
    int lost_errno              # END_LOST: why, for the monitor
    bint was_active             # this connection has been ACTIVE
    bint is_lingering           # no more input; ends when the output is gone
    bint is_released            # the pattern has let go; with ENGINE_DEAD it may be freed
    bint is_dying               # inside host_ops_t.closed
    uint64_t serial             # never used again in this socket; 0 none
    int version                 # ZMTP_VERSION_*
    uint32_t retry_ms           # last delay, for the back-off
    # the fd
    watch_t watch
    bint is_reading             # a thread is inside recv (E2)
    bint is_writing
    bint is_out_blocked         # the kernel's buffer is full: wait for REACTOR_OUT
    bint is_in_stalled          # the in pipe is at its high-water mark (E5)
    # who reads the bytes: the handshake; then the in pipe, or for 1.0 peers v1
    handshake_t handshake       # what it knows of the peer is kept until the connection ends
    v1_t v1
    curve_t *curve              # CURVE, while active: boxes come in and go out; owned. NULL none
    link_t *zap                 # to the authentication handler that was asked; counted. NULL none
    bint is_answered            # it answered while a thread was inside recv
    # whose messages the in pipe holds (see _engine_metadata); counted. NULL: inproc, or a peer older than 3.0
    store_t *metadata           # of the connection, or the last one when that has ended
    era_t *eras                 # of those before it, as long as some of their messages are unread; oldest first; owned
    # pipes of a connection with an fd
    pipe_t inbound
    pipe_t outbound
    pipe_t raw                  # bytes that go before outbound: handshake, 1.0 frames; all bytes for raw peers
    pipe_t latest               # ZMQ_CONFLATE: the message to send when outbound is empty
    size_t pass_bytes           # so many bytes of outbound the next write takes at once; 0: not asked since the last one
    # timers
    timer_t retry_timer         # next attempt; CONNECT_TIMEOUT; HANDSHAKE_IVL
    timer_t linger_timer
    timer_t ping_timer
    timer_t expiry_timer        # after our PING
    timer_t ttl_timer           # after the peer's PING
    bint has_input_since_ping
    bint has_input_since_ttl
    uint32_t unread_pongs       # answers queued since the kernel's buffer became full
    # lists of the host
    engine_t *prev
    engine_t *next
    engine_t *next_attention
    bint in_attention
    engine_t *next_dead
    # the pattern's (see _pattern.pxd); zero on creation
    engine_t *in_prev           # fair queue
    engine_t *in_next
    engine_t *out_prev          # load balancer, or fan-out
    engine_t *out_next
    bint in_queue
    bint out_queue
    bint is_attached
    bint is_identified          # ROUTER: has its routing id
    bint is_probed
    store_t *routing_id         # ROUTER: the id its messages carry; counted
    engine_t *bucket_next       # ROUTER: hash chain
    uint64_t match_turn         # fan-out: the message it was last matched with
    uint64_t dropped_msgs       # messages not delivered to it because its pipe was full

# --- life of an engine ---------------------------------------------------------------------------------------------------

# A connector; the address is copied. Nothing happens before engine_connect. NULL: no memory.
cdef engine_t *engine_new_connector(host_t *host, const address_t *address, terms_t *terms, void *endpoint) noexcept nogil
# A connection that was accepted; takes the fd over (closes it on failure). UNLOCKS. NULL: failed.
cdef engine_t *engine_new_accepted(host_t *host, transport_kind kind, int fd, terms_t *terms,
                                   void *endpoint) noexcept nogil
# One side of an inproc link; takes over the caller's count on it. NULL: no memory (the count is given up).
cdef engine_t *engine_new_linked(host_t *host, link_t *link, int side, void *endpoint) noexcept nogil
# First attempt; the rest follows by itself. UNLOCKS.
cdef void engine_connect(engine_t *self) noexcept nogil
# Ends it: at once when linger_ms is 0 or nothing is queued, else when the output is gone or linger_ms (-1: never) is over.
# Unread input is dropped. host_ops_t.closed is called at the end, which may be inside this call.
cdef void engine_end_after(engine_t *self, int32_t linger_ms) noexcept nogil
# The peer broke the protocol in a way that only the pattern sees (a malformed reply).
cdef void engine_fail(engine_t *self) noexcept nogil
# The pattern has no more use for a closed engine.
cdef void engine_release(engine_t *self) noexcept nogil
# The mailbox brought a post of this engine's link: inproc, or that to a ZAP handler.
cdef void engine_on_post(engine_t *self) noexcept nogil

# --- messages ------------------------------------------------------------------------------------------------------------

# Puts it on the host's attention list: it has output to write, or room for input again. Also for _engine_run.
cdef void engine_attention(engine_t *self) noexcept nogil
# Whether a message may be sent now: below the high-water mark (and, when not, remembered for host_ops_t.output).
cdef bint engine_writable(engine_t *self) noexcept nogil
# Queues a message whatever the mark says. 0; -ENOMEM. The host's attention list then holds the engine.
cdef int engine_push(engine_t *self, const msg_t *msg) noexcept nogil
# The same for one part that is copied, when it may be sent now. 0; -EAGAIN: it may not, or not this way; -ENOMEM.
cdef int engine_push_body(engine_t *self, const uint8_t *at, size_t size) noexcept nogil
# The same for several, each a message. How many were sent.
cdef uint32_t engine_push_bodies(engine_t *self, const part_t *parts, uint32_t count) noexcept nogil
cdef bint engine_readable(engine_t *self) noexcept nogil
# Takes the oldest message. 0; -EAGAIN; -ENOMEM.
cdef int engine_pop(engine_t *self, msg_t *msg) noexcept nogil
# Copies the oldest message when it is one part of at most room bytes. 0; -EAGAIN: none, or not this way.
cdef int engine_pop_body(engine_t *self, uint8_t *at, size_t room, size_t *size) noexcept nogil
# Sends a (un)subscription in the form that the peer understands; dropped while not active (a new connection replays). 0; -ENOMEM.
cdef int engine_subscribe(engine_t *self, bint is_subscribe, const uint8_t *topic, size_t size) noexcept nogil
# Messages and bytes queued in each direction.
cdef void engine_queued(engine_t *self, uint64_t *in_msgs, uint64_t *in_bytes, uint64_t *out_msgs,
                        uint64_t *out_bytes) noexcept nogil
# What has gone through its pipes since it was made, and how often the outgoing one was full.
cdef void engine_totals(engine_t *self, uint64_t *in_msgs, uint64_t *in_bytes, uint64_t *out_msgs, uint64_t *out_bytes,
                        uint64_t *times_full) noexcept nogil
# The routing id that the peer announced; NULL none. Borrowed until the connection ends.
cdef const uint8_t *engine_peer_id(engine_t *self, size_t *size) noexcept nogil
# New high-water marks (ZMQ_SNDHWM and ZMQ_RCVHWM act on live pipes).
cdef void engine_set_hwm(engine_t *self, uint32_t sndhwm, uint32_t rcvhwm) noexcept nogil

# --- for the other parts: _engine_host, _engine_input, _engine_output, _engine_socks, _engine_zap --------------------------

# A connection to the peer itself is there: ZMTP begins.
cdef void engine_begin(engine_t *self, int fd) noexcept nogil
# It could not be made, for that reason (-errno).
cdef void engine_refused(engine_t *self, int rc) noexcept nogil
# The connection is over: now, or when the system calls on its fd have returned.
cdef void engine_stop(engine_t *self, engine_end how) noexcept nogil
# The same, as END_LOST.
cdef void engine_lose(engine_t *self, int err) noexcept nogil
# The last of those calls has returned (is_ending).
cdef void engine_stopped(engine_t *self) noexcept nogil
# Raises a monitor event (EVENT_*) with the endpoint of the connection.
cdef void engine_event(engine_t *self, uint32_t number, uint32_t value) noexcept nogil
# Asks the poll set for what the engine wants now.
cdef void engine_update_watch(engine_t *self) noexcept nogil
# host_attend's part: writes output, resumes input. UNLOCKS.
cdef void engine_attend(engine_t *self) noexcept nogil
# The memory of a dead engine that nobody points to.
cdef void engine_free(engine_t *self) noexcept nogil
