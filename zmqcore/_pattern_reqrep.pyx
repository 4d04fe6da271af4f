# zmqcore/_pattern_reqrep.pyx -- see the door.
from libc.stdint cimport int32_t, uint32_t
from zmqcore._engine cimport engine_fail, engine_push, engine_t, engine_writable
from zmqcore._engine_host cimport host_random
from zmqcore._message cimport (
    msg_clear, msg_fini, msg_init, msg_push, msg_shift, msg_t, msg_unshift, part_t, store_new, store_ref,
    store_t, store_unref,
)
from zmqcore._options cimport TYPE_REP, TYPE_REQ
from zmqcore._pattern cimport (
    ahead_is_readable, ahead_recv, fair_recv, load_pick, load_push, ops_admit_all, ops_engine_nothing, ops_input_fair,
    ops_output_load, ops_set_nothing, out_queue_push, pattern_t, send_probe,
)
from zmqcore._sys cimport EAGAIN, EFSM, ENOMEM, calloc, free, memcmp, memcpy

cdef enum:
    REQUEST_ID_BYTES = 4

cdef struct req_t:
    bint is_receiving           # whose turn it is
    engine_t *asked             # the request went there; NULL: that pipe is gone
    uint32_t request_id

cdef struct rep_t:
    bint is_sending
    engine_t *asker             # NULL: gone, the reply is dropped
    msg_t envelope              # up to and with the delimiter

cdef pattern_ops_t req
cdef pattern_ops_t rep


# --- REQ ------------------------------------------------------------------------------------------------------------------

cdef int req_init(pattern_t *self) noexcept nogil:
    cdef req_t *state = <req_t *>calloc(1, sizeof(req_t))
    if state == NULL:
        return -ENOMEM
    state.request_id = host_random(self.host)
    self.state = state
    return 0


cdef void req_fini(pattern_t *self) noexcept nogil:
    free(self.state)


cdef void req_attach(pattern_t *self, engine_t *engine) noexcept nogil:
    send_probe(self, engine)
    out_queue_push(self, engine)


cdef void req_detach(pattern_t *self, engine_t *engine) noexcept nogil:
    cdef req_t *state = <req_t *>self.state
    if state.asked == engine:
        state.asked = NULL


cdef int req_check(pattern_t *self, const part_t *first) noexcept nogil:
    cdef req_t *state = <req_t *>self.state
    if state.is_receiving and not self.options.req_relaxed:
        return -EFSM
    return 0 if load_pick(self) != NULL else -EAGAIN


cdef void drop_stale(pattern_t *self) noexcept nogil:
    # Whatever waits now answers an older request. Bounded by what is queued at this moment.
    cdef msg_t msg
    msg_init(&msg)
    if self.has_ahead:
        msg_clear(&self.ahead)
        self.has_ahead = False
    while fair_recv(self, &msg) == 0:
        msg_clear(&msg)
    msg_fini(&msg)


cdef int req_send(pattern_t *self, msg_t *msg) noexcept nogil:
    cdef req_t *state = <req_t *>self.state
    cdef engine_t *engine
    cdef store_t *id
    cdef int rc
    drop_stale(self)
    engine = load_pick(self)
    if engine == NULL:
        return -EAGAIN
    rc = msg_unshift(msg, NULL, 0, NULL)
    state.request_id += 1
    if rc == 0 and self.options.req_correlate:
        id = store_new(REQUEST_ID_BYTES)
        if id == NULL:
            rc = -ENOMEM
        else:
            memcpy(id.data, &state.request_id, REQUEST_ID_BYTES)
            rc = msg_unshift(msg, id.data, REQUEST_ID_BYTES, id)
            if rc != 0:
                store_unref(id)
    if rc == 0:
        rc = load_push(self, engine, msg)
    if rc == 0:
        state.asked = engine
        state.is_receiving = True
    return rc


cdef int req_fetch(pattern_t *self, msg_t *msg) noexcept nogil:
    # The reply that is due; everything else that has come is dropped.
    cdef req_t *state = <req_t *>self.state
    cdef engine_t *engine
    cdef uint32_t skip
    cdef int rc
    while True:
        rc = fair_recv(self, msg)
        if rc != 0:
            return rc
        engine = <engine_t *>msg.source
        # A delimiter, perhaps behind an id of four bytes, and something behind it.
        if msg.parts[0].size == 0:
            skip = 1
        elif msg.parts[0].size == REQUEST_ID_BYTES and msg.count > 1 and msg.parts[1].size == 0:
            skip = 2
        else:
            skip = 0
        if skip == 0 or msg.count <= skip:
            # The peer is no REP: nothing it says can be trusted. (Over inproc engine_fail does nothing.)
            msg_clear(msg)
            engine_fail(engine)
            continue
        if (state.asked == NULL or state.asked == engine) and (not self.options.req_correlate or (
                skip == 2 and memcmp(msg.parts[0].at, &state.request_id, REQUEST_ID_BYTES) == 0)):
            msg_shift(msg, skip)
            return 0
        msg_clear(msg)


cdef int req_recv(pattern_t *self, msg_t *msg) noexcept nogil:
    cdef req_t *state = <req_t *>self.state
    cdef int rc
    if not state.is_receiving:
        return -EFSM
    rc = ahead_recv(self, msg, req_fetch)
    if rc == 0:
        state.is_receiving = False
        state.asked = NULL
    return rc


cdef void req_input(pattern_t *self, engine_t *engine) noexcept nogil:
    # Looked at as it arrives: a peer that breaks the format is dropped also while nobody receives.
    ops_input_fair(self, engine)
    if (<req_t *>self.state).is_receiving:
        ahead_is_readable(self, req_fetch)


cdef bint req_is_writable(pattern_t *self) noexcept nogil:
    return req_check(self, NULL) == 0


cdef bint req_is_readable(pattern_t *self) noexcept nogil:
    return (<req_t *>self.state).is_receiving and ahead_is_readable(self, req_fetch)


# --- REP ------------------------------------------------------------------------------------------------------------------

cdef int rep_init(pattern_t *self) noexcept nogil:
    cdef rep_t *state = <rep_t *>calloc(1, sizeof(rep_t))
    if state == NULL:
        return -ENOMEM
    msg_init(&state.envelope)
    self.state = state
    return 0


cdef void rep_fini(pattern_t *self) noexcept nogil:
    cdef rep_t *state = <rep_t *>self.state
    if state != NULL:
        msg_fini(&state.envelope)
        free(state)


cdef void rep_detach(pattern_t *self, engine_t *engine) noexcept nogil:
    cdef rep_t *state = <rep_t *>self.state
    if state.asker == engine:
        state.asker = NULL
    if self.has_ahead and self.ahead.source == engine:
        # The request stays deliverable; its reply has nowhere to go.
        self.ahead.source = NULL


cdef uint32_t envelope_parts(const msg_t *msg) noexcept nogil:
    # Parts up to and with the first empty one; 0: no envelope, or nothing behind it.
    cdef uint32_t i
    for i in range(msg.count):
        if msg.parts[i].size == 0:
            return i + 1 if i + 1 < msg.count else 0
    return 0


cdef int rep_fetch(pattern_t *self, msg_t *msg) noexcept nogil:
    cdef engine_t *engine
    cdef int rc
    while True:
        rc = fair_recv(self, msg)
        if rc != 0:
            return rc
        if envelope_parts(msg):
            engine = <engine_t *>msg.source
            if not engine.is_attached:
                msg.source = NULL
            return 0
        msg_clear(msg)


cdef int rep_recv(pattern_t *self, msg_t *msg) noexcept nogil:
    cdef rep_t *state = <rep_t *>self.state
    cdef uint32_t count, i
    cdef int rc
    if state.is_sending:
        return -EFSM
    rc = ahead_recv(self, msg, rep_fetch)
    if rc != 0:
        return rc
    count = envelope_parts(msg)
    msg_clear(&state.envelope)
    for i in range(count):
        if msg_push(&state.envelope, msg.parts[i].at, msg.parts[i].size, msg.parts[i].store) != 0:
            msg_clear(msg)
            return -ENOMEM
        msg.parts[i].store = NULL       # now counted by the envelope
    state.asker = <engine_t *>msg.source
    msg_shift(msg, count)
    state.is_sending = True
    return 0


cdef int rep_check(pattern_t *self, const part_t *first) noexcept nogil:
    return 0 if (<rep_t *>self.state).is_sending else -EFSM


cdef int rep_send(pattern_t *self, msg_t *msg) noexcept nogil:
    # An asker that has gone, or does not read, misses its reply; the turn is over either way.
    cdef rep_t *state = <rep_t *>self.state
    cdef engine_t *asker = state.asker
    cdef msg_t whole
    cdef uint32_t i
    cdef int rc = 0
    if asker != NULL and engine_writable(asker):
        msg_init(&whole)
        for i in range(state.envelope.count + msg.count):
            if rc == 0 and i < state.envelope.count:
                rc = push_part(&whole, &state.envelope.parts[i])
            elif rc == 0:
                rc = push_part(&whole, &msg.parts[i - state.envelope.count])
        if rc == 0:
            rc = engine_push(asker, &whole)
        msg_fini(&whole)
        if rc != 0:
            return rc
    elif asker != NULL:
        asker.dropped_msgs += 1
    msg_clear(&state.envelope)
    state.asker = NULL
    state.is_sending = False
    return 0


cdef int push_part(msg_t *msg, part_t *part) noexcept nogil:
    # The part keeps its own count on the store: without memory for the next one everything is as it was.
    cdef int rc = msg_push(msg, part.at, part.size, part.store)
    if rc == 0 and part.store != NULL:
        store_ref(part.store)
    return rc


cdef bint rep_is_writable(pattern_t *self) noexcept nogil:
    return (<rep_t *>self.state).is_sending


cdef bint rep_is_readable(pattern_t *self) noexcept nogil:
    return not (<rep_t *>self.state).is_sending and ahead_is_readable(self, rep_fetch)


# --- tables ---------------------------------------------------------------------------------------------------------------

cdef void fill(pattern_ops_t *ops) noexcept nogil:
    ops.can_send = True
    ops.can_recv = True
    ops.is_strict = True
    ops.admit = ops_admit_all
    ops.active = ops_engine_nothing
    ops.lost = ops_engine_nothing
    ops.input = ops_input_fair
    ops.set = ops_set_nothing


cdef void fill_all() noexcept nogil:
    fill(&req)
    req.init = req_init
    req.fini = req_fini
    req.attach = req_attach
    req.detach = req_detach
    req.input = req_input
    req.output = ops_output_load
    req.check = req_check
    req.send = req_send
    req.recv = req_recv
    req.is_writable = req_is_writable
    req.is_readable = req_is_readable
    fill(&rep)
    rep.init = rep_init
    rep.fini = rep_fini
    rep.attach = ops_engine_nothing
    rep.detach = rep_detach
    rep.output = ops_engine_nothing
    rep.check = rep_check
    rep.send = rep_send
    rep.recv = rep_recv
    rep.is_writable = rep_is_writable
    rep.is_readable = rep_is_readable


fill_all()


cdef const pattern_ops_t *reqrep_ops(int32_t type) noexcept nogil:
    if type == TYPE_REQ:
        return &req
    if type == TYPE_REP:
        return &rep
    return NULL
