# zmqcore/_pattern_publisher.pyx -- see the door.
#
# A notification waits in a pipe of the pattern as [note_t, 01 or 00 + topic]; a message that a subscriber sent upstream as
# [note_t, its parts]. The serial in it serves ZMQ_XPUB_MANUAL, where the user's answer concerns the
# peer of the notification that was read last, who may be gone by then.
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from zmqcore._engine cimport engine_pop, engine_push, engine_push_body, engine_t, engine_writable
from zmqcore._engine_run cimport (
    engine_append_raw, engine_append_run, engine_has_room, engine_out_room, engine_run_room, engine_takes_runs,
)
from zmqcore._limits cimport NOTIFICATIONS_MAX, TRIE_WARM_TOPICS
from zmqcore._message cimport (
    msg_clear, msg_fini, msg_init, msg_label, msg_push, msg_push_copy, msg_shift, msg_t, msg_unshift, part_t, store_new,
    store_t, store_unref,
)
from zmqcore._options cimport OPTION_SUBSCRIBE, TYPE_PUB, TYPE_XPUB, options_t
from zmqcore._pattern cimport (
    ops_always, ops_admit_all, ops_engine_nothing, ops_never, ops_recv_never, out_queue_push, pattern_t,
)
from zmqcore._pipe cimport pipe_append, pipe_fini, pipe_init, pipe_pop, pipe_t, raw_t, run_advance, run_first, run_t
from zmqcore._sys cimport EAGAIN, EINVAL, ENOMEM, ENOTSUP, calloc, free, memcpy
from zmqcore._trie cimport (
    TRIE_FIRST_OF_TOPIC, TRIE_LAST_OF_TOPIC, TRIE_UNKNOWN, TRIE_WARM_MAX, trie_add, trie_data_t, trie_fini, trie_has,
    trie_init, trie_is_for_all, trie_match, trie_remove, trie_remove_who, trie_t, trie_warm,
)
from zmqcore._zmtp cimport COMMAND_CANCEL, COMMAND_SUBSCRIBE, ZMTP_VERSION_1, slice_t, zmtp_command_read

# What goes before a message in publisher_t.notes, as a part of its own.
cdef struct note_t:
    uint64_t serial             # of the engine
    store_t *metadata           # of the message; counted; NULL none

cdef struct publisher_t:
    trie_t trie
    pipe_t notes                # XPUB: what the user has not read
    bint has_user               # XPUB; a PUB's user reads nothing
    uint64_t turn               # number of the message being matched (engine_t.match_turn)
    uint64_t last_serial        # engine of the notification that was read last (manual)
    engine_t *last_subscriber   # manual, last value: the next message goes only there
    # while trie_match runs
    engine_t **hits             # engines that match, each once
    uint32_t hit_count
    uint32_t hit_room
    bint is_short               # no memory for hits
    # while trie_remove_who runs
    pattern_t *pattern
    engine_t *leaving

cdef pattern_ops_t pub_ops
cdef pattern_ops_t xpub_ops


cdef int publisher_init(pattern_t *self, bint has_user) noexcept nogil:
    cdef publisher_t *state = <publisher_t *>calloc(1, sizeof(publisher_t))
    if state == NULL:
        return -ENOMEM
    if trie_init(&state.trie) != 0:
        free(state)
        return -ENOMEM
    pipe_init(&state.notes, 0)
    state.has_user = has_user
    state.pattern = self
    self.state = state
    return 0


cdef int pub_init(pattern_t *self) noexcept nogil:
    return publisher_init(self, False)


cdef int xpub_init(pattern_t *self) noexcept nogil:
    return publisher_init(self, True)


cdef void publisher_fini(pattern_t *self) noexcept nogil:
    cdef publisher_t *state = <publisher_t *>self.state
    cdef msg_t msg
    if state != NULL:
        trie_fini(&state.trie)
        msg_init(&msg)
        while take_note(state, &msg) == 0:
            msg_clear(&msg)
        msg_fini(&msg)
        pipe_fini(&state.notes)
        free(state.hits)
        free(state)


# --- notifications ------------------------------------------------------------------------------------------------------

cdef void note(publisher_t *state, engine_t *engine, msg_t *msg) noexcept nogil:
    # Queues what the user shall read; msg is empty afterwards.
    cdef note_t head
    if state.has_user and state.notes.msgs < NOTIFICATIONS_MAX:
        head.serial = engine.serial
        head.metadata = msg.metadata
        if msg_unshift(msg, <const uint8_t *>&head, sizeof(note_t), NULL) == 0 and pipe_append(&state.notes, msg) == 0:
            msg.metadata = NULL         # now counted by the note
    msg_clear(msg)


cdef int take_note(publisher_t *state, msg_t *msg) noexcept nogil:
    # 0; -EAGAIN; -ENOMEM.
    cdef note_t head
    cdef int rc = pipe_pop(&state.notes, msg)
    if rc == 0:
        memcpy(&head, msg.parts[0].at, sizeof(note_t))
        msg_shift(msg, 1)
        msg.metadata = head.metadata
        state.last_serial = head.serial
    return rc


cdef void note_topic(publisher_t *state, engine_t *engine, store_t *metadata, bint is_subscribe, const uint8_t *topic,
                     size_t size) noexcept nogil:
    cdef msg_t msg
    cdef store_t *body
    if not state.has_user:
        return
    body = store_new(size + 1)
    if body == NULL:
        return
    body.data[0] = is_subscribe
    if size:
        memcpy(body.data + 1, topic, size)
    msg_init(&msg)
    if msg_push(&msg, body.data, size + 1, body) == 0:
        msg_label(&msg, metadata)
        note(state, engine, &msg)
    else:
        store_unref(body)
    msg_fini(&msg)


# --- subscriptions ------------------------------------------------------------------------------------------------------

cdef void take_subscription(pattern_t *self, engine_t *engine, store_t *metadata, bint is_subscribe, const uint8_t *topic,
                            size_t size) noexcept nogil:
    cdef publisher_t *state = <publisher_t *>self.state
    cdef const options_t *options = self.options
    cdef bint is_news
    cdef int rc
    if options.xpub_manual:
        note_topic(state, engine, metadata, is_subscribe, topic, size)
        return
    if is_subscribe:
        rc = trie_add(&state.trie, topic, size, engine)
        if rc < 0:
            return
        is_news = rc & TRIE_FIRST_OF_TOPIC or options.xpub_verbose or options.xpub_verboser
    else:
        # One cancel ends it however often the peer subscribed.
        rc = trie_remove(&state.trie, topic, size, engine, True)
        is_news = (rc & TRIE_LAST_OF_TOPIC or options.xpub_verboser
                   or (rc & TRIE_UNKNOWN and not trie_has(&state.trie, topic, size)))
    self.topics = state.trie.topics
    if is_news:
        note_topic(state, engine, metadata, is_subscribe, topic, size)


cdef inline bint is_subscription(const part_t *part) noexcept nogil:
    return part.size != 0 and part.at[0] <= 1


cdef void take_message(pattern_t *self, engine_t *engine, msg_t *msg) noexcept nogil:
    # Messages of old peers, and of users who write their own: 01 or 00 in front makes a subscription of a part.
    cdef publisher_t *state = <publisher_t *>self.state
    cdef bint first_is = is_subscription(&msg.parts[0])
    cdef bint looks_on = first_is or not self.options.only_first_subscribe
    cdef uint32_t i
    for i in range(msg.count):
        if not looks_on or not is_subscription(&msg.parts[i]):
            continue
        if first_is:
            take_subscription(self, engine, msg.metadata, msg.parts[i].at[0], msg.parts[i].at + 1, msg.parts[i].size - 1)
        elif msg.parts[i].at[0]:
            trie_add(&state.trie, msg.parts[i].at + 1, msg.parts[i].size - 1, engine)
        else:
            trie_remove(&state.trie, msg.parts[i].at + 1, msg.parts[i].size - 1, engine, True)
    self.topics = state.trie.topics
    if not first_is:
        note(state, engine, msg)


cdef void publisher_input(pattern_t *self, engine_t *engine) noexcept nogil:
    cdef msg_t msg
    cdef slice_t topic
    cdef int command
    msg_init(&msg)
    while engine_pop(engine, &msg) == 0:
        if not engine.is_attached:
            pass
        elif msg.is_command:
            command = zmtp_command_read(msg.parts[0].at, msg.parts[0].size, &topic)
            if command == COMMAND_SUBSCRIBE or command == COMMAND_CANCEL:
                take_subscription(self, engine, msg.metadata, command == COMMAND_SUBSCRIBE, topic.at, topic.size)
        else:
            take_message(self, engine, &msg)
        msg_clear(&msg)
    msg_fini(&msg)


# --- peers --------------------------------------------------------------------------------------------------------------

cdef void publisher_attach(pattern_t *self, engine_t *engine) noexcept nogil:
    engine.inbound.keep_commands = True
    out_queue_push(self, engine)


cdef void publisher_active(pattern_t *self, engine_t *engine) noexcept nogil:
    cdef msg_t msg
    if self.options.xpub_welcome.size:
        msg_init(&msg)
        if msg_push_copy(&msg, self.options.xpub_welcome.at, self.options.xpub_welcome.size) == 0:
            engine_push(engine, &msg)
        msg_fini(&msg)
    if engine.version == ZMTP_VERSION_1:
        # Peers of that age do not pass subscriptions on: they get everything.
        take_subscription(self, engine, NULL, True, NULL, 0)


cdef void on_topic_left(void *arg, const uint8_t *topic, size_t size) noexcept nogil:
    cdef publisher_t *state = <publisher_t *>arg
    note_topic(state, state.leaving, NULL, False, topic, size)


cdef void publisher_forget(pattern_t *self, engine_t *engine) noexcept nogil:
    # Its subscriptions end with its connection; on the next one it sends them again.
    cdef publisher_t *state = <publisher_t *>self.state
    cdef bint is_each = self.options.xpub_verboser or self.options.xpub_manual
    state.leaving = engine
    trie_remove_who(&state.trie, engine, is_each, on_topic_left, state)
    self.topics = state.trie.topics
    if state.last_subscriber == engine:
        state.last_subscriber = NULL


# --- fan-out ------------------------------------------------------------------------------------------------------------

cdef void on_hit(void *arg, void *who) noexcept nogil:
    cdef publisher_t *state = <publisher_t *>arg
    cdef engine_t *engine = <engine_t *>who
    cdef engine_t **grown
    if engine.match_turn == state.turn:
        return
    engine.match_turn = state.turn
    if state.hit_count == state.hit_room:
        grown = <engine_t **>calloc(2 * state.hit_room + 16, sizeof(engine_t *))
        if grown == NULL:
            state.is_short = True
            return
        if state.hit_count:
            memcpy(grown, state.hits, state.hit_count * sizeof(engine_t *))
        free(state.hits)
        state.hits = grown
        state.hit_room = 2 * state.hit_room + 16
    state.hits[state.hit_count] = engine
    state.hit_count += 1


cdef void find_hits(pattern_t *self, const part_t *first) noexcept nogil:
    # Who gets a message with that first part, into state.hits.
    cdef publisher_t *state = <publisher_t *>self.state
    cdef engine_t *engine
    state.turn += 1
    state.hit_count = 0
    state.is_short = False
    trie_match(&state.trie, first.at, first.size, on_hit, state)
    if self.options.invert_matching:
        # match_turn now marks those who do not get it; a new turn collects the others.
        state.hit_count = 0
        engine = self.out_first
        while engine != NULL:
            if engine.match_turn != state.turn:
                engine.match_turn = state.turn - 1
                on_hit(state, engine)
            engine = engine.out_next
    if self.options.xpub_manual_last_value and state.last_subscriber != NULL:
        engine = state.last_subscriber
        state.last_subscriber = NULL
        state.hit_count = 1 if state.hit_count and engine.match_turn == state.turn else 0
        if state.hit_count:
            state.hits[0] = engine


cdef int publisher_check(pattern_t *self, const part_t *first) noexcept nogil:
    # Only ZMQ_XPUB_NODROP makes a sender wait, and then for all who would get the message.
    cdef publisher_t *state = <publisher_t *>self.state
    cdef engine_t *last = state.last_subscriber
    cdef uint32_t i
    if not self.options.xpub_nodrop or self.out_first == NULL:
        return 0
    find_hits(self, first)
    state.last_subscriber = last
    for i in range(state.hit_count):
        if not engine_writable(state.hits[i]):
            return -EAGAIN
    return 0


cdef int publisher_send(pattern_t *self, msg_t *msg) noexcept nogil:
    cdef publisher_t *state = <publisher_t *>self.state
    cdef engine_t *engine
    cdef uint32_t i
    if self.out_first == NULL:
        return 0
    if self.options.xpub_nodrop and publisher_check(self, &msg.parts[0]) != 0:
        return -EAGAIN
    find_hits(self, &msg.parts[0])
    for i in range(state.hit_count):
        engine = state.hits[i]
        if not engine_writable(engine) or engine_push(engine, msg) != 0:
            engine.dropped_msgs += 1
    return -ENOMEM if state.is_short else 0


cdef bint all_take_runs(const publisher_t *state) noexcept nogil:
    cdef uint32_t i
    for i in range(state.hit_count):
        if not engine_takes_runs(state.hits[i]):
            return False
    return True


cdef int send_run_to_all(pattern_t *self, run_t *run, uint32_t most) noexcept nogil:
    # Everybody wants everything: as much of the run as fits all of them, in one piece. 0 with nothing sent: one of them is full.
    cdef publisher_t *state = <publisher_t *>self.state
    cdef uint64_t room = run.msgs if run.msgs < most else most
    cdef uint64_t fits
    cdef run_t rest = run[0]
    cdef raw_t raw
    cdef uint32_t i, _
    for i in range(state.hit_count):
        fits = engine_run_room(state.hits[i], run)
        room = room if room < fits else fits
    if room == 0:
        return 0
    if room == run.msgs:
        rest.at += rest.bytes
        rest.bytes = rest.msgs = rest.frames = 0
        rest.payload_bytes = 0
    else:
        for _ in range(<uint32_t>room):
            run_first(&rest, &raw)
            run_advance(&rest, &raw)
    for i in range(state.hit_count):
        if engine_append_run(state.hits[i], run, run.bytes - rest.bytes, <uint32_t>room) != 0:
            state.hits[i].dropped_msgs += room
    run[0] = rest
    return 0


cdef uint32_t warm_run(const publisher_t *state, const run_t *run, uint32_t most) noexcept nogil:
    # Has the trie fetched what the next messages need. How many: 1 or more.
    cdef trie_data_t data[TRIE_WARM_MAX]
    cdef run_t rest = run[0]
    cdef uint32_t count = 0
    cdef raw_t raw
    while rest.msgs and count < most and count < TRIE_WARM_MAX:
        run_first(&rest, &raw)
        data[count].at = raw.first
        data[count].size = raw.first_bytes
        run_advance(&rest, &raw)
        count += 1
    if count > 1:
        trie_warm(&state.trie, data, count)
    return count


cdef int publisher_send_run(pattern_t *self, run_t *run, const store_t *prefix, uint32_t most) noexcept nogil:
    cdef publisher_t *state = <publisher_t *>self.state
    cdef const options_t *options = self.options
    cdef engine_t *engine
    cdef part_t topic
    cdef raw_t raw
    cdef uint32_t i
    cdef uint32_t before
    cdef uint32_t warm = 0
    cdef bint is_for_all
    if options.xpub_manual_last_value:
        return -ENOTSUP
    is_for_all = prefix == NULL and not options.invert_matching and trie_is_for_all(&state.trie)
    topic.store = NULL
    while run.msgs and most:
        if warm == 0 and prefix == NULL and state.trie.topics >= TRIE_WARM_TOPICS:
            warm = warm_run(state, run, most)
        warm -= warm != 0
        run_first(run, &raw)
        topic.at = raw.first if prefix == NULL else prefix.data
        topic.size = raw.first_bytes if prefix == NULL else prefix.size
        find_hits(self, &topic)
        if state.is_short or not all_take_runs(state):
            return -ENOTSUP
        if is_for_all and state.hit_count:
            before = run.msgs
            send_run_to_all(self, run, most)
            most -= before - run.msgs
            if before != run.msgs:
                continue
        if options.xpub_nodrop:
            for i in range(state.hit_count):
                if not engine_has_room(state.hits[i], raw.bytes):
                    return -EAGAIN
        for i in range(state.hit_count):
            engine = state.hits[i]
            if not engine_has_room(engine, raw.bytes) or engine_append_raw(engine, run, &raw, 0, prefix) != 0:
                engine.dropped_msgs += 1
        run_advance(run, &raw)
        most -= 1
    return 0


cdef int publisher_send_body(pattern_t *self, const uint8_t *at, size_t size) noexcept nogil:
    cdef publisher_t *state = <publisher_t *>self.state
    cdef part_t topic
    cdef uint32_t i
    if self.options.xpub_manual_last_value:
        return -EAGAIN
    topic.at = at
    topic.size = size
    topic.store = NULL
    find_hits(self, &topic)
    if state.is_short or not all_take_runs(state):
        return -EAGAIN
    if self.options.xpub_nodrop:
        for i in range(state.hit_count):
            if engine_out_room(state.hits[i]) == 0:
                return -EAGAIN
    for i in range(state.hit_count):
        if engine_push_body(state.hits[i], at, size) != 0:
            state.hits[i].dropped_msgs += 1
    return 0


cdef int xpub_recv(pattern_t *self, msg_t *msg) noexcept nogil:
    return take_note(<publisher_t *>self.state, msg)


cdef bint xpub_is_readable(pattern_t *self) noexcept nogil:
    return (<publisher_t *>self.state).notes.msgs != 0


cdef int publisher_set(pattern_t *self, int32_t option, const uint8_t *at, size_t size) noexcept nogil:
    # ZMQ_XPUB_MANUAL: acts for the peer of the notification that was read last; nothing happens when it has gone.
    cdef publisher_t *state = <publisher_t *>self.state
    cdef engine_t *engine = self.out_first
    cdef int rc
    if not self.options.xpub_manual:
        return -EINVAL
    while engine != NULL and engine.serial != state.last_serial:
        engine = engine.out_next
    if engine == NULL:
        return 0
    if option == OPTION_SUBSCRIBE:
        rc = trie_add(&state.trie, at, size, engine)
        if rc < 0:
            return rc
        if self.options.xpub_manual_last_value:
            state.last_subscriber = engine
    else:
        trie_remove(&state.trie, at, size, engine, True)
    self.topics = state.trie.topics
    return 0


cdef void fill(pattern_ops_t *ops) noexcept nogil:
    ops.can_send = True
    ops.is_strict = False
    ops.fini = publisher_fini
    ops.admit = ops_admit_all
    ops.attach = publisher_attach
    ops.active = publisher_active
    ops.lost = publisher_forget
    ops.detach = publisher_forget
    ops.input = publisher_input
    ops.output = ops_engine_nothing     # full engines stay in the queue (B1)
    ops.check = publisher_check
    ops.send = publisher_send
    ops.send_run = publisher_send_run
    ops.send_body = publisher_send_body
    ops.is_writable = ops_always
    ops.set = publisher_set


cdef void fill_all() noexcept nogil:
    fill(&pub_ops)
    pub_ops.init = pub_init
    pub_ops.can_recv = False
    pub_ops.recv = ops_recv_never
    pub_ops.is_readable = ops_never
    fill(&xpub_ops)
    xpub_ops.init = xpub_init
    xpub_ops.can_recv = True
    xpub_ops.recv = xpub_recv
    xpub_ops.is_readable = xpub_is_readable


fill_all()


cdef const pattern_ops_t *publisher_ops(int32_t type) noexcept nogil:
    if type == TYPE_PUB:
        return &pub_ops
    if type == TYPE_XPUB:
        return &xpub_ops
    return NULL
