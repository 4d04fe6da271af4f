# zmqcore/_pattern.pxd -- what a socket type does with its pipes: one table of functions a type (floor 6).
# Lock:   the socket lock for every function. None unlocks and none blocks.
# Memory: a pattern borrows engines between attach and detach; its private state belongs to it until fini.
# The messaging words: engine_t stands for the pipe to one peer.
# Invariants
#   N1  an engine is in the in-queue only while it has unread messages (a dead one too: what was received stays readable)
#   N2  an engine is in the out-queue only while is_attached
#   N3  a dead engine is released when it is detached and no longer in the in-queue
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from zmqcore._engine cimport engine_t, host_t
from zmqcore._message cimport msg_t, part_t, store_t
from zmqcore._options cimport options_t
from zmqcore._pipe cimport run_t

cdef struct pattern_t

cdef struct pattern_ops_t:
    bint can_send                   # else send is ENOTSUP
    bint can_recv
    bint is_strict                  # REQ, REP: a message has to be finished before the direction turns (EFSM)
    # STREAM: a message has two parts whatever ZMQ_SNDMORE says of the second, and send decides without check when it knows both.
    bint is_paired
    int (*init)(pattern_t *self) noexcept nogil                         # 0; -ENOMEM
    void (*fini)(pattern_t *self) noexcept nogil
    # Whether the socket may connect once more now. 0; -EINVAL.
    int (*admit)(pattern_t *self) noexcept nogil
    # A pipe to a peer exists; a connector's before its first connection.
    void (*attach)(pattern_t *self, engine_t *engine) noexcept nogil
    # Its connection is up: for an accepted one right after attach, for a connector each time.
    void (*active)(pattern_t *self, engine_t *engine) noexcept nogil
    # Its connection went away and will be made again; the pipe stays.
    void (*lost)(pattern_t *self, engine_t *engine) noexcept nogil
    # The pipe is gone. What else the type knows of the engine is to be forgotten; queues are dealt with by pattern_detach.
    void (*detach)(pattern_t *self, engine_t *engine) noexcept nogil
    # Messages came; room appeared.
    void (*input)(pattern_t *self, engine_t *engine) noexcept nogil
    void (*output)(pattern_t *self, engine_t *engine) noexcept nogil
    # Whether a message that begins with first may be sent now: 0; -EAGAIN; -EFSM; -EHOSTUNREACH.
    int (*check)(pattern_t *self, const part_t *first) noexcept nogil
    # Sends a whole message after check said 0; may change msg. 0 (also when it is dropped by rule); -EAGAIN; -ENOMEM.
    int (*send)(pattern_t *self, msg_t *msg) noexcept nogil
    # Takes a whole message (msg is empty before). 0; -EAGAIN; -EFSM; -ENOMEM.
    int (*recv)(pattern_t *self, msg_t *msg) noexcept nogil
    # The same for a message of one part of at most SMALL_BYTES, which is copied: 0; -EAGAIN: not now, or not this way (nothing has
    # changed); -ENOMEM. NULL: the type has no such way.
    int (*send_body)(pattern_t *self, const uint8_t *at, size_t size) noexcept nogil
    int (*recv_body)(pattern_t *self, uint8_t *at, size_t room, size_t *size) noexcept nogil
    # send_body for several: how many were sent. NULL: one by one.
    uint32_t (*send_bodies)(pattern_t *self, const part_t *parts, uint32_t count) noexcept nogil
    # Runs (the proxy's way; see _engine_run). send_run sends messages of the run, at most so many, each behind prefix (NULL:
    # none), and advances the run past those that were sent or dropped by rule. 0; -EAGAIN: no room for the next one;
    # -ENOTSUP: the next one has to go by recv and send; -ENOMEM. NULL: the type has no such way.
    int (*send_run)(pattern_t *self, run_t *run, const store_t *prefix, uint32_t most) noexcept nogil
    # recv hands out what the fair queue yields, as it is, or (has_prefix) behind the engine's routing id.
    bint gives_runs
    bint has_prefix
    # POLLOUT, POLLIN. Not predicates: they may discard what the type drops by rule.
    bint (*is_writable)(pattern_t *self) noexcept nogil
    bint (*is_readable)(pattern_t *self) noexcept nogil
    # SUBSCRIBE, UNSUBSCRIBE. 0; -EINVAL; -ENOMEM.
    int (*set)(pattern_t *self, int32_t option, const uint8_t *at, size_t size) noexcept nogil

cdef struct pattern_t:
    const pattern_ops_t *ops
    host_t *host
    options_t *options
    # fair queue: engines with unread messages, next one first
    engine_t *in_first
    engine_t *in_last
    # load balancer: engines that may take messages, next one first; fan-out types: all attached engines
    engine_t *out_first
    engine_t *out_last
    # a message that ahead_is_readable found deliverable (types that drop some by rule)
    msg_t ahead
    bint has_ahead
    uint64_t topics             # ZMQ_TOPICS_COUNT
    void *state                 # the type's own

# 0; -EINVAL: no such type; -ENOMEM.
cdef int pattern_init(pattern_t *self, const pattern_ops_t *ops, host_t *host, options_t *options) noexcept nogil
cdef void pattern_fini(pattern_t *self) noexcept nogil

cdef void pattern_attach(pattern_t *self, engine_t *engine) noexcept nogil
# keeps_input: what was received stays readable (the peer went); else it is dropped (an own disconnect or close).
cdef void pattern_detach(pattern_t *self, engine_t *engine, bint keeps_input) noexcept nogil

# --- building stones for the types ----------------------------------------------------------------------------------------

cdef void out_queue_push(pattern_t *self, engine_t *engine) noexcept nogil

# Fair queue: one whole message of the next engine, which then goes to the end. 0; -EAGAIN; -ENOMEM.
cdef int fair_recv(pattern_t *self, msg_t *msg) noexcept nogil
cdef int fair_recv_body(pattern_t *self, uint8_t *at, size_t room, size_t *size) noexcept nogil
cdef bint fair_is_readable(pattern_t *self) noexcept nogil
# For types that drop some messages: whether recv has one, which is then kept in ahead.
cdef bint ahead_is_readable(pattern_t *self, int (*fetch)(pattern_t *, msg_t *) noexcept nogil) noexcept nogil
cdef int ahead_recv(pattern_t *self, msg_t *msg, int (*fetch)(pattern_t *, msg_t *) noexcept nogil) noexcept nogil

# After a run of the first engine in the in-queue was taken: its next turn comes after the others', or with new input.
cdef void fair_rotate(pattern_t *self, engine_t *engine) noexcept nogil

# Load balancer: the next engine that may take a message, NULL none. Full ones leave the queue until output.
cdef engine_t *load_pick(pattern_t *self) noexcept nogil
# Sends to the picked engine, which then goes to the end.
cdef int load_push(pattern_t *self, engine_t *engine, const msg_t *msg) noexcept nogil

# Entries for the tables.
cdef int ops_init_nothing(pattern_t *self) noexcept nogil
cdef void ops_fini_nothing(pattern_t *self) noexcept nogil
cdef int ops_admit_all(pattern_t *self) noexcept nogil
cdef void ops_engine_nothing(pattern_t *self, engine_t *engine) noexcept nogil
cdef void ops_input_fair(pattern_t *self, engine_t *engine) noexcept nogil
cdef void ops_input_drop(pattern_t *self, engine_t *engine) noexcept nogil
cdef void ops_output_load(pattern_t *self, engine_t *engine) noexcept nogil
cdef int ops_check_load(pattern_t *self, const part_t *first) noexcept nogil
cdef int ops_send_load(pattern_t *self, msg_t *msg) noexcept nogil
cdef uint32_t ops_send_bodies_load(pattern_t *self, const part_t *parts, uint32_t count) noexcept nogil
cdef int ops_send_body_load(pattern_t *self, const uint8_t *at, size_t size) noexcept nogil
cdef int ops_send_run_load(pattern_t *self, run_t *run, const store_t *prefix, uint32_t most) noexcept nogil
cdef bint ops_is_writable_load(pattern_t *self) noexcept nogil
cdef int ops_check_never(pattern_t *self, const part_t *first) noexcept nogil
cdef int ops_send_never(pattern_t *self, msg_t *msg) noexcept nogil
cdef int ops_recv_never(pattern_t *self, msg_t *msg) noexcept nogil
cdef bint ops_never(pattern_t *self) noexcept nogil
cdef bint ops_always(pattern_t *self) noexcept nogil
cdef int ops_set_nothing(pattern_t *self, int32_t option, const uint8_t *at, size_t size) noexcept nogil
# Sends the empty message of ZMQ_PROBE_ROUTER on a new pipe, once.
cdef void send_probe(pattern_t *self, engine_t *engine) noexcept nogil
