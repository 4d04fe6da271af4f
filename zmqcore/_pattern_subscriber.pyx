# zmqcore/_pattern_subscriber.pyx -- see the door.
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from zmqcore._engine cimport (
    ENGINE_ACTIVE, engine_push, engine_subscribe, engine_t, engine_writable,
)
from zmqcore._message cimport msg_clear, msg_fini, msg_init, msg_push, msg_t, part_t, store_ref
from zmqcore._options cimport OPTION_SUBSCRIBE, TYPE_SUB, TYPE_XSUB
from zmqcore._pattern cimport (
    ahead_is_readable, ahead_recv, fair_is_readable, fair_recv, fair_recv_body, ops_admit_all, ops_always,
    ops_check_never, ops_engine_nothing, ops_input_fair, ops_never, ops_send_never, ops_set_nothing, out_queue_push,
    pattern_t,
)
from zmqcore._pipe cimport pipe_append, pipe_clear, pipe_pop
from zmqcore._sys cimport EAGAIN, ENOMEM, calloc, free
from zmqcore._trie cimport (
    TRIE_LAST_OF_TOPIC, trie_add, trie_fini, trie_init, trie_matches, trie_remove, trie_t, trie_walk,
)

cdef struct subscriber_t:
    trie_t trie                 # with this struct itself as the only subscriber: counts our own calls
    engine_t *joining           # while trie_walk replays

cdef pattern_ops_t sub_ops
cdef pattern_ops_t xsub_ops


cdef int subscriber_init(pattern_t *self) noexcept nogil:
    cdef subscriber_t *state = <subscriber_t *>calloc(1, sizeof(subscriber_t))
    if state == NULL:
        return -ENOMEM
    if trie_init(&state.trie) != 0:
        free(state)
        return -ENOMEM
    self.state = state
    return 0


cdef void subscriber_fini(pattern_t *self) noexcept nogil:
    cdef subscriber_t *state = <subscriber_t *>self.state
    if state != NULL:
        trie_fini(&state.trie)
        free(state)


# --- peers --------------------------------------------------------------------------------------------------------------

cdef void subscriber_attach(pattern_t *self, engine_t *engine) noexcept nogil:
    out_queue_push(self, engine)


cdef void replay(void *arg, const uint8_t *topic, size_t size) noexcept nogil:
    engine_subscribe((<subscriber_t *>arg).joining, True, topic, size)


cdef void subscriber_active(pattern_t *self, engine_t *engine) noexcept nogil:
    cdef subscriber_t *state = <subscriber_t *>self.state
    cdef uint64_t waiting = engine.outbound.msgs if engine.link == NULL and state.trie.topics else 0
    cdef msg_t msg
    state.joining = engine
    trie_walk(&state.trie, replay, state)
    # XSUB: what the user sent before the connection was there goes behind the subscriptions.
    msg_init(&msg)
    while waiting and pipe_pop(&engine.outbound, &msg) == 0:
        waiting -= 1
        if pipe_append(&engine.outbound, &msg) != 0:
            engine.dropped_msgs += 1
        msg_clear(&msg)
    msg_fini(&msg)


cdef void sub_lost(pattern_t *self, engine_t *engine) noexcept nogil:
    # Nothing but subscriptions was on its way; the next connection gets them all.
    pipe_clear(&engine.outbound)


# --- subscriptions ------------------------------------------------------------------------------------------------------

cdef int subscribe(pattern_t *self, const uint8_t *topic, size_t size) noexcept nogil:
    cdef subscriber_t *state = <subscriber_t *>self.state
    cdef int rc = trie_add(&state.trie, topic, size, state)
    if rc >= 0:
        self.topics = state.trie.topics
    return rc


cdef int unsubscribe(pattern_t *self, const uint8_t *topic, size_t size) noexcept nogil:
    # TRIE_ bits: only the last reference is told to the peers, an unknown topic never.
    cdef subscriber_t *state = <subscriber_t *>self.state
    cdef int rc = trie_remove(&state.trie, topic, size, state, False)
    self.topics = state.trie.topics
    return rc


cdef int sub_set(pattern_t *self, int32_t option, const uint8_t *at, size_t size) noexcept nogil:
    cdef engine_t *engine = self.out_first
    cdef bint is_subscribe = option == OPTION_SUBSCRIBE
    cdef int rc = subscribe(self, at, size) if is_subscribe else unsubscribe(self, at, size)
    if rc < 0:
        return rc
    if not is_subscribe and not rc & TRIE_LAST_OF_TOPIC:
        return 0
    while engine != NULL:
        engine_subscribe(engine, is_subscribe, at, size)
        engine = engine.out_next
    return 0


# --- XSUB: messages of the user, which may be subscriptions ---------------------------------------------------------------

cdef void fan_out(pattern_t *self, const msg_t *msg, bint is_subscription) noexcept nogil:
    cdef engine_t *engine = self.out_first
    while engine != NULL:
        if is_subscription:
            # One that is not connected gets it with the replay.
            if engine.state == ENGINE_ACTIVE and engine.was_active:
                engine_push(engine, msg)
        elif not engine_writable(engine) or engine_push(engine, msg) != 0:
            engine.dropped_msgs += 1
        engine = engine.out_next


cdef int send_subscription(pattern_t *self, const part_t *part) noexcept nogil:
    cdef msg_t msg
    cdef int rc
    if part.at[0]:
        rc = subscribe(self, part.at + 1, part.size - 1)
        if rc < 0:
            return rc
    elif not unsubscribe(self, part.at + 1, part.size - 1) & TRIE_LAST_OF_TOPIC:
        return 0
    msg_init(&msg)
    rc = msg_push(&msg, part.at, part.size, part.store)
    if rc == 0:
        if part.store != NULL:
            store_ref(part.store)
        fan_out(self, &msg, True)
    msg_fini(&msg)
    return rc


cdef int xsub_send(pattern_t *self, msg_t *msg) noexcept nogil:
    # Of a message that begins with a subscription, what is none goes upstream as a message of its own.
    cdef bint is_only_first = self.options.only_first_subscribe
    cdef const part_t *part
    cdef msg_t rest
    cdef uint32_t i
    cdef int rc = 0
    if msg.parts[0].size == 0 or msg.parts[0].at[0] > 1:
        fan_out(self, msg, False)
        return 0
    msg_init(&rest)
    for i in range(msg.count):
        part = &msg.parts[i]
        if rc != 0:
            break
        if part.size and part.at[0] <= 1 and not (is_only_first and i):
            rc = send_subscription(self, &msg.parts[i])
            continue
        rc = msg_push(&rest, part.at, part.size, part.store)
        if rc == 0 and part.store != NULL:
            store_ref(part.store)
    if rc == 0 and rest.count:
        fan_out(self, &rest, False)
    msg_fini(&rest)
    return rc


cdef int xsub_check(pattern_t *self, const part_t *first) noexcept nogil:
    return 0


# --- SUB: the filter ------------------------------------------------------------------------------------------------------

cdef int sub_fetch(pattern_t *self, msg_t *msg) noexcept nogil:
    cdef subscriber_t *state = <subscriber_t *>self.state
    cdef int rc
    while True:
        rc = fair_recv(self, msg)
        if rc != 0:
            return rc
        if trie_matches(&state.trie, msg.parts[0].at, msg.parts[0].size) != self.options.invert_matching:
            return 0
        msg_clear(msg)


cdef int sub_recv(pattern_t *self, msg_t *msg) noexcept nogil:
    return ahead_recv(self, msg, sub_fetch)


cdef int sub_recv_body(pattern_t *self, uint8_t *at, size_t room, size_t *size) noexcept nogil:
    cdef subscriber_t *state = <subscriber_t *>self.state
    while not self.has_ahead and fair_recv_body(self, at, room, size) == 0:
        if trie_matches(&state.trie, at, size[0]) != self.options.invert_matching:
            return 0
    return -EAGAIN


cdef bint sub_is_readable(pattern_t *self) noexcept nogil:
    return ahead_is_readable(self, sub_fetch)


# --- tables ---------------------------------------------------------------------------------------------------------------

cdef void fill(pattern_ops_t *ops) noexcept nogil:
    ops.can_recv = True
    ops.is_strict = False
    ops.init = subscriber_init
    ops.fini = subscriber_fini
    ops.admit = ops_admit_all
    ops.attach = subscriber_attach
    ops.active = subscriber_active
    ops.detach = ops_engine_nothing
    ops.input = ops_input_fair
    ops.output = ops_engine_nothing


cdef void fill_all() noexcept nogil:
    fill(&sub_ops)
    sub_ops.can_send = False
    sub_ops.lost = sub_lost
    sub_ops.check = ops_check_never
    sub_ops.send = ops_send_never
    sub_ops.recv = sub_recv
    sub_ops.recv_body = sub_recv_body
    sub_ops.is_writable = ops_never
    sub_ops.is_readable = sub_is_readable
    sub_ops.set = sub_set
    fill(&xsub_ops)
    xsub_ops.can_send = True
    xsub_ops.lost = ops_engine_nothing
    xsub_ops.check = xsub_check
    xsub_ops.send = xsub_send
    xsub_ops.recv = fair_recv
    xsub_ops.recv_body = fair_recv_body
    xsub_ops.gives_runs = True
    xsub_ops.is_writable = ops_always
    xsub_ops.is_readable = fair_is_readable
    xsub_ops.set = ops_set_nothing


fill_all()


cdef const pattern_ops_t *subscriber_ops(int32_t type) noexcept nogil:
    if type == TYPE_SUB:
        return &sub_ops
    if type == TYPE_XSUB:
        return &xsub_ops
    return NULL
