# zmqcore/_pattern.pyx -- the parts that several types share; see the door for contracts.
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from zmqcore._engine cimport (
    ENGINE_DEAD, engine_pop, engine_pop_body, engine_push, engine_push_bodies, engine_push_body, engine_readable,
    engine_release, engine_writable,
)
from zmqcore._engine_run cimport (
    engine_append_raw, engine_append_run, engine_has_room, engine_run_room, engine_takes_runs,
)
from zmqcore._message cimport msg_clear, msg_fini, msg_init, msg_move, msg_push
from zmqcore._pipe cimport raw_t, run_advance, run_first
from zmqcore._sys cimport EAGAIN, EINVAL, ENOMEM, ENOTSUP, memset


cdef int pattern_init(pattern_t *self, const pattern_ops_t *ops, host_t *host, options_t *options) noexcept nogil:
    memset(self, 0, sizeof(pattern_t))
    if ops == NULL:
        return -EINVAL
    self.ops = ops
    self.host = host
    self.options = options
    msg_init(&self.ahead)
    return ops.init(self)


cdef void pattern_fini(pattern_t *self) noexcept nogil:
    self.ops.fini(self)
    msg_fini(&self.ahead)


cdef void pattern_attach(pattern_t *self, engine_t *engine) noexcept nogil:
    engine.is_attached = True
    engine.is_released = False
    self.ops.attach(self, engine)


cdef void pattern_detach(pattern_t *self, engine_t *engine, bint keeps_input) noexcept nogil:
    if engine.is_attached:
        engine.is_attached = False
        self.ops.detach(self, engine)
        out_queue_remove(self, engine)
    if engine.in_queue and not (keeps_input and engine_readable(engine)):
        in_queue_remove(self, engine)
    if not engine.in_queue:
        engine_release(engine)


# --- queues ---------------------------------------------------------------------------------------------------------------

cdef void in_queue_push(pattern_t *self, engine_t *engine) noexcept nogil:
    if engine.in_queue:
        return
    engine.in_queue = True
    engine.in_next = NULL
    engine.in_prev = self.in_last
    if self.in_last != NULL:
        self.in_last.in_next = engine
    else:
        self.in_first = engine
    self.in_last = engine


cdef void in_queue_remove(pattern_t *self, engine_t *engine) noexcept nogil:
    if not engine.in_queue:
        return
    engine.in_queue = False
    if engine.in_prev != NULL:
        engine.in_prev.in_next = engine.in_next
    else:
        self.in_first = engine.in_next
    if engine.in_next != NULL:
        engine.in_next.in_prev = engine.in_prev
    else:
        self.in_last = engine.in_prev


cdef void out_queue_push(pattern_t *self, engine_t *engine) noexcept nogil:
    if engine.out_queue:
        return
    engine.out_queue = True
    engine.out_next = NULL
    engine.out_prev = self.out_last
    if self.out_last != NULL:
        self.out_last.out_next = engine
    else:
        self.out_first = engine
    self.out_last = engine


cdef void out_queue_remove(pattern_t *self, engine_t *engine) noexcept nogil:
    if not engine.out_queue:
        return
    engine.out_queue = False
    if engine.out_prev != NULL:
        engine.out_prev.out_next = engine.out_next
    else:
        self.out_first = engine.out_next
    if engine.out_next != NULL:
        engine.out_next.out_prev = engine.out_prev
    else:
        self.out_last = engine.out_prev


# --- fair queue -------------------------------------------------------------------------------------------------------------

cdef void in_queue_leave(pattern_t *self, engine_t *engine) noexcept nogil:
    # It has been read empty; a dead engine was only waiting for that (N3).
    in_queue_remove(self, engine)
    if engine.state == ENGINE_DEAD and not engine.is_attached:
        engine_release(engine)


cdef void fair_rotate(pattern_t *self, engine_t *engine) noexcept nogil:
    if not engine_readable(engine):
        in_queue_leave(self, engine)
    elif engine.in_next != NULL:
        in_queue_remove(self, engine)
        in_queue_push(self, engine)


cdef int fair_recv(pattern_t *self, msg_t *msg) noexcept nogil:
    cdef engine_t *engine
    cdef int rc
    while self.in_first != NULL:
        engine = self.in_first
        rc = engine_pop(engine, msg)
        if rc == 0:
            fair_rotate(self, engine)
            return 0
        if rc != -EAGAIN:
            return rc
        in_queue_leave(self, engine)
    return -EAGAIN


cdef int fair_recv_body(pattern_t *self, uint8_t *at, size_t room, size_t *size) noexcept nogil:
    cdef engine_t *engine = self.in_first
    if engine == NULL or engine_pop_body(engine, at, room, size) != 0:
        return -EAGAIN
    fair_rotate(self, engine)
    return 0


cdef bint fair_is_readable(pattern_t *self) noexcept nogil:
    return self.in_first != NULL


cdef bint ahead_is_readable(pattern_t *self, int (*fetch)(pattern_t *, msg_t *) noexcept nogil) noexcept nogil:
    if not self.has_ahead:
        self.has_ahead = fetch(self, &self.ahead) == 0
    return self.has_ahead


cdef int ahead_recv(pattern_t *self, msg_t *msg, int (*fetch)(pattern_t *, msg_t *) noexcept nogil) noexcept nogil:
    if not self.has_ahead:
        return fetch(self, msg)
    self.has_ahead = False
    msg_move(msg, &self.ahead)
    return 0


# --- load balancer ------------------------------------------------------------------------------------------------------------

cdef engine_t *load_pick(pattern_t *self) noexcept nogil:
    while self.out_first != NULL and not engine_writable(self.out_first):
        out_queue_remove(self, self.out_first)
    return self.out_first


cdef int load_push(pattern_t *self, engine_t *engine, const msg_t *msg) noexcept nogil:
    cdef int rc = engine_push(engine, msg)
    if rc == 0:
        load_rotate(self, engine)
    return rc


cdef inline void load_rotate(pattern_t *self, engine_t *engine) noexcept nogil:
    if engine.out_next != NULL:
        out_queue_remove(self, engine)
        out_queue_push(self, engine)


cdef int send_run_to(engine_t *engine, run_t *run, uint32_t most) noexcept nogil:
    # The only taker gets as much of the run as fits, in one piece.
    cdef uint64_t room = engine_run_room(engine, run)
    cdef run_t rest = run[0]
    cdef uint32_t msgs = run.msgs if run.msgs < most else most
    cdef uint32_t _
    cdef raw_t raw
    if msgs > room:
        msgs = <uint32_t>room
    if msgs == 0:
        return -EAGAIN
    if msgs == run.msgs:
        rest.at += rest.bytes
        rest.bytes = rest.msgs = rest.frames = 0
        rest.payload_bytes = 0
    else:
        for _ in range(msgs):
            run_first(&rest, &raw)
            run_advance(&rest, &raw)
    if engine_append_run(engine, run, run.bytes - rest.bytes, msgs) != 0:
        return -ENOMEM
    run[0] = rest
    return 0


cdef int ops_send_run_load(pattern_t *self, run_t *run, const store_t *prefix, uint32_t most) noexcept nogil:
    # One message to each engine in turn. The queue is turned once, at the end, and not message by message.
    cdef engine_t *engine = self.out_first
    cdef engine_t *next
    cdef raw_t raw
    cdef int rc = 0
    if engine != NULL and engine.out_next == NULL and prefix == NULL and engine_takes_runs(engine):
        return send_run_to(engine, run, most)
    while rc == 0 and run.msgs and most:
        if engine == NULL:
            rc = -EAGAIN
            break
        next = engine.out_next if engine.out_next != NULL else self.out_first
        if not engine_takes_runs(engine):
            rc = -ENOTSUP
            break
        run_first(run, &raw)
        if not engine_has_room(engine, raw.bytes):
            # Full: out of the queue until it reopens.
            next = next if next != engine else NULL
            out_queue_remove(self, engine)
        else:
            rc = engine_append_raw(engine, run, &raw, 0, prefix)
            if rc == 0:
                run_advance(run, &raw)
                most -= 1
        engine = next
    if engine != NULL:
        out_queue_turn(self, engine)
    return rc


cdef void out_queue_turn(pattern_t *self, engine_t *engine) noexcept nogil:
    # Makes it the first; those before it go, in order, to the end.
    if engine == self.out_first:
        return
    self.out_last.out_next = self.out_first
    self.out_first.out_prev = self.out_last
    self.out_last = engine.out_prev
    self.out_first = engine
    self.out_last.out_next = NULL
    engine.out_prev = NULL


# --- entries for the tables -----------------------------------------------------------------------------------------------------

cdef int ops_init_nothing(pattern_t *self) noexcept nogil:
    return 0


cdef void ops_fini_nothing(pattern_t *self) noexcept nogil:
    pass


cdef int ops_admit_all(pattern_t *self) noexcept nogil:
    return 0


cdef void ops_engine_nothing(pattern_t *self, engine_t *engine) noexcept nogil:
    pass


cdef void ops_input_fair(pattern_t *self, engine_t *engine) noexcept nogil:
    if engine.is_attached:
        in_queue_push(self, engine)


cdef void ops_input_drop(pattern_t *self, engine_t *engine) noexcept nogil:
    # A peer has no business to send to this type: what it sends must not pile up.
    cdef msg_t msg
    msg_init(&msg)
    while engine_pop(engine, &msg) == 0:
        msg_clear(&msg)
    msg_fini(&msg)


cdef void ops_output_load(pattern_t *self, engine_t *engine) noexcept nogil:
    # Also the attach function of the balancing types: new pipes join at the end.
    if engine.is_attached:
        out_queue_push(self, engine)


cdef int ops_check_load(pattern_t *self, const part_t *first) noexcept nogil:
    return 0 if load_pick(self) != NULL else -EAGAIN


cdef int ops_send_load(pattern_t *self, msg_t *msg) noexcept nogil:
    cdef engine_t *engine = load_pick(self)
    return load_push(self, engine, msg) if engine != NULL else -EAGAIN


cdef int ops_send_body_load(pattern_t *self, const uint8_t *at, size_t size) noexcept nogil:
    cdef engine_t *engine = self.out_first
    cdef int rc = engine_push_body(engine, at, size) if engine != NULL else -EAGAIN
    if rc == 0:
        load_rotate(self, engine)
    return rc


cdef uint32_t ops_send_bodies_load(pattern_t *self, const part_t *parts, uint32_t count) noexcept nogil:
    cdef uint32_t done = 0
    if self.out_first != NULL and self.out_first.out_next == NULL:
        return engine_push_bodies(self.out_first, parts, count)
    while done < count and ops_send_body_load(self, parts[done].at, parts[done].size) == 0:
        done += 1
    return done


cdef bint ops_is_writable_load(pattern_t *self) noexcept nogil:
    return load_pick(self) != NULL


cdef int ops_check_never(pattern_t *self, const part_t *first) noexcept nogil:
    return -ENOTSUP


cdef int ops_send_never(pattern_t *self, msg_t *msg) noexcept nogil:
    return -ENOTSUP


cdef int ops_recv_never(pattern_t *self, msg_t *msg) noexcept nogil:
    return -ENOTSUP


cdef bint ops_never(pattern_t *self) noexcept nogil:
    return False


cdef bint ops_always(pattern_t *self) noexcept nogil:
    return True


cdef int ops_set_nothing(pattern_t *self, int32_t option, const uint8_t *at, size_t size) noexcept nogil:
    return -EINVAL


cdef void send_probe(pattern_t *self, engine_t *engine) noexcept nogil:
    cdef msg_t msg
    if not self.options.probe_router or engine.is_probed:
        return
    engine.is_probed = True
    msg_init(&msg)
    if msg_push(&msg, NULL, 0, NULL) == 0:
        engine_push(engine, &msg)
    msg_fini(&msg)
