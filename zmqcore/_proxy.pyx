# zmqcore/_proxy.pyx -- see the door.
#
# A turn: every socket reads and writes what is ready; control is served; then each direction moves a bounded run of
# messages from pipe to pipe, and each destination is flushed once. A turn that moved nothing ends in sleep on the poll sets
# of all the sockets.
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from zmqcore._engine cimport engine_t
from zmqcore._engine_host cimport host_attend
from zmqcore._engine_run cimport engine_consume_run, engine_out_room, engine_peek_run, engine_takes_runs
from zmqcore._limits cimport (
    PROXY_BURST_BYTES, PROXY_BURST_MSGS, PROXY_IDLE_SIGNALS_US, PROXY_INNER_TURNS, PROXY_RUN_MSGS, PROXY_SIGNALS_US,
)
from zmqcore._message cimport (
    msg_bytes, msg_clear, msg_fini, msg_init, msg_move, msg_push, msg_push_copy, part_t, store_ref, store_t,
)
from zmqcore._options cimport TYPE_PUB, TYPE_REP
from zmqcore._pattern cimport fair_rotate, pattern_t
from zmqcore._pipe cimport run_t
from zmqcore._reactor cimport mailbox_has, mailbox_ring, poller_wait_fds
from zmqcore._socket cimport (
    socket_may_sleep, socket_release, socket_seize, socket_turn,
)
from zmqcore._stats cimport peer_stats_t, socket_stats
from zmqcore._sys cimport (
    EAGAIN, EFSM, EHOSTUNREACH, EINTR, EINVAL, ENOTSUP, memcmp, memset, pthread_mutex_lock, pthread_mutex_unlock,
    sched_yield, strlen, zc_bump_u64, zc_load, zc_load_u64, zc_now_us, zc_store, zc_swap,
)

cdef enum:
    FORWARD = 0                 # frontend -> backend
    BACKWARD = 1


# --- statistics -----------------------------------------------------------------------------------------------------------

cdef stat_t table[STAT_COUNT + 12]


cdef void describe(int at, const char *name, const char *unit, const char *text, size_t offset) noexcept nogil:
    table[at].name = name
    table[at].unit = unit
    table[at].text = text
    table[at].offset = offset


cdef void fill_table() noexcept nogil:
    cdef proxy_stats_t at
    cdef size_t base = <size_t>&at
    describe(0, b"frontend_in_parts", b"parts", b"received from the frontend", <size_t>&at.parts[0] - base)
    describe(1, b"frontend_in_bytes", b"bytes", b"received from the frontend", <size_t>&at.parts[1] - base)
    describe(2, b"frontend_out_parts", b"parts", b"sent to the frontend", <size_t>&at.parts[2] - base)
    describe(3, b"frontend_out_bytes", b"bytes", b"sent to the frontend", <size_t>&at.parts[3] - base)
    describe(4, b"backend_in_parts", b"parts", b"received from the backend", <size_t>&at.parts[4] - base)
    describe(5, b"backend_in_bytes", b"bytes", b"received from the backend", <size_t>&at.parts[5] - base)
    describe(6, b"backend_out_parts", b"parts", b"sent to the backend", <size_t>&at.parts[6] - base)
    describe(7, b"backend_out_bytes", b"bytes", b"sent to the backend", <size_t>&at.parts[7] - base)
    describe(8, b"forward_messages", b"messages", b"from frontend to backend", <size_t>&at.forward_messages - base)
    describe(9, b"backward_messages", b"messages", b"from backend to frontend", <size_t>&at.backward_messages - base)
    describe(10, b"forward_blocked_us", b"microseconds", b"in which messages waited because the backend or capture took none",
             <size_t>&at.forward_blocked_us - base)
    describe(11, b"backward_blocked_us", b"microseconds", b"in which messages waited because the frontend or capture took none",
             <size_t>&at.backward_blocked_us - base)
    describe(12, b"paused", b"0 or 1", b"whether the proxy is paused", <size_t>&at.paused - base)
    describe(13, b"frontend_peers", b"peers", b"connected to the frontend", <size_t>&at.frontend_peers - base)
    describe(14, b"frontend_queued_messages", b"messages", b"waiting in the frontend, both ways",
             <size_t>&at.frontend_queued_messages - base)
    describe(15, b"frontend_queued_bytes", b"bytes", b"waiting in the frontend, both ways",
             <size_t>&at.frontend_queued_bytes - base)
    describe(16, b"backend_peers", b"peers", b"connected to the backend", <size_t>&at.backend_peers - base)
    describe(17, b"backend_queued_messages", b"messages", b"waiting in the backend, both ways",
             <size_t>&at.backend_queued_messages - base)
    describe(18, b"backend_queued_bytes", b"bytes", b"waiting in the backend, both ways",
             <size_t>&at.backend_queued_bytes - base)


fill_table()


cdef const stat_t *proxy_stats_table() noexcept nogil:
    return table


cdef void proxy_sample(proxy_t *self, proxy_stats_t *out) noexcept nogil:
    cdef peer_stats_t sum
    cdef uint32_t count = 0
    cdef int i
    memset(out, 0, sizeof(proxy_stats_t))
    for i in range(STAT_COUNT):
        out.parts[i] = zc_load_u64(&self.stats[i])
    out.forward_messages = zc_load_u64(&self.msgs[FORWARD])
    out.backward_messages = zc_load_u64(&self.msgs[BACKWARD])
    out.forward_blocked_us = zc_load_u64(&self.blocked_us[FORWARD])
    out.backward_blocked_us = zc_load_u64(&self.blocked_us[BACKWARD])
    out.paused = zc_load(&self.is_paused)
    if socket_stats(self.frontend, NULL, 0, &count, &sum) == 0:
        out.frontend_peers = sum.connected
        out.frontend_queued_messages = sum.queued_in_messages + sum.queued_out_messages
        out.frontend_queued_bytes = sum.queued_in_bytes + sum.queued_out_bytes
    if socket_stats(self.backend, NULL, 0, &count, &sum) == 0:
        out.backend_peers = sum.connected
        out.backend_queued_messages = sum.queued_in_messages + sum.queued_out_messages
        out.backend_queued_bytes = sum.queued_in_bytes + sum.queued_out_bytes


# --- orders ---------------------------------------------------------------------------------------------------------------

cdef void proxy_tell(proxy_t *self, proxy_order order) noexcept nogil:
    zc_swap(&self.order, order)
    mailbox_ring(self.frontend.host.mailbox)


cdef void proxy_stop(proxy_t *self) noexcept nogil:
    zc_swap(&self.is_stop_wanted, 1)
    mailbox_ring(self.frontend.host.mailbox)


cdef void take_orders(proxy_t *self) noexcept nogil:
    cdef int32_t order = ORDER_NONE
    if zc_load(&self.order) != ORDER_NONE:
        order = zc_swap(&self.order, ORDER_NONE)
    if order == ORDER_PAUSE:
        zc_store(&self.is_paused, 1)
    elif order == ORDER_RESUME:
        zc_store(&self.is_paused, 0)
    if zc_load(&self.is_stop_wanted):
        self.is_over = True


# --- begin and end ----------------------------------------------------------------------------------------------------------

cdef void add(proxy_t *self, socket_t *socket) noexcept nogil:
    # Keeps sockets sorted by address, each once: the order of locking.
    cdef int at = self.count
    cdef int i
    if socket == NULL:
        return
    for i in range(self.count):
        if self.sockets[i] == socket:
            return
    while at > 0 and <size_t>self.sockets[at - 1] > <size_t>socket:
        self.sockets[at] = self.sockets[at - 1]
        at -= 1
    self.sockets[at] = socket
    self.count += 1


cdef void proxy_init(proxy_t *self, socket_t *frontend, socket_t *backend, socket_t *capture,
                     socket_t *control) noexcept nogil:
    memset(self, 0, sizeof(proxy_t))
    msg_init(&self.pending[FORWARD])
    msg_init(&self.pending[BACKWARD])
    self.frontend = frontend
    self.backend = backend
    self.capture = capture
    self.control = control
    add(self, frontend)
    add(self, backend)
    add(self, capture)
    add(self, control)


cdef int proxy_begin(proxy_t *self) noexcept nogil:
    cdef int i
    cdef int rc = 0
    if ((self.capture != NULL and self.capture in (self.frontend, self.backend, self.control))
            or (self.control != NULL and self.control in (self.frontend, self.backend))):
        return -EINVAL
    if zc_load(&self.is_stop_wanted):
        zc_swap(&self.is_stop_wanted, 0)
        return PROXY_STOPPED
    for i in range(self.count):
        rc = socket_seize(self.sockets[i])
        if rc != 0:
            while i > 0:
                i -= 1
                socket_release(self.sockets[i])
            return rc
    for i in range(self.count):
        self.is_due[i] = True
    self.is_over = False
    self.looked_us = zc_now_us()
    return 0


cdef void proxy_end(proxy_t *self) noexcept nogil:
    cdef int i
    zc_swap(&self.is_stop_wanted, 0)
    for i in range(self.count):
        socket_release(self.sockets[i])


cdef void proxy_fini(proxy_t *self) noexcept nogil:
    msg_fini(&self.pending[FORWARD])
    msg_fini(&self.pending[BACKWARD])


# --- forwarding -------------------------------------------------------------------------------------------------------------

cdef void lock_sides(proxy_t *self) noexcept nogil:
    cdef int i
    for i in range(self.count):
        if self.sockets[i] != self.control:
            pthread_mutex_lock(&self.sockets[i].host.lock)


cdef void unlock_sides(proxy_t *self) noexcept nogil:
    cdef int i
    for i in range(self.count):
        if self.sockets[i] != self.control:
            pthread_mutex_unlock(&self.sockets[i].host.lock)


cdef int capture_copy(proxy_t *self, const msg_t *msg) noexcept nogil:
    # A copy that shares large bodies. 0; -ENOMEM; what send says.
    cdef pattern_t *capture = &self.capture.pattern
    cdef const part_t *part
    cdef msg_t copy
    cdef int rc = 0
    cdef int i
    msg_init(&copy)
    for i in range(<int>msg.count):
        part = &msg.parts[i]
        rc = msg_push(&copy, part.at, part.size, part.store)
        if rc != 0:
            break
        if part.store != NULL:
            store_ref(part.store)
    if rc == 0:
        rc = capture.ops.check(capture, &copy.parts[0])
    if rc == 0:
        rc = capture.ops.send(capture, &copy)
    msg_fini(&copy)
    return rc


cdef bint can_take(proxy_t *self, socket_t *source, socket_t *target) noexcept nogil:
    # X1. A socket that is both sides answers itself: what it just received it may send.
    if self.capture != NULL and not self.capture.pattern.ops.is_writable(&self.capture.pattern):
        return False
    return source == target or target.pattern.ops.is_writable(&target.pattern)


cdef int deliver(proxy_t *self, msg_t *msg, socket_t *target, int direction) noexcept nogil:
    # 0; -EAGAIN: msg is pending now; other errors end the proxy.
    cdef uint64_t *stats = &self.stats[STAT_BACKEND_OUT_PARTS if direction == FORWARD else STAT_FRONTEND_OUT_PARTS]
    cdef uint64_t parts = msg.count
    cdef uint64_t bytes = msg_bytes(msg)
    cdef int rc = target.pattern.ops.check(&target.pattern, &msg.parts[0])
    if rc == 0:
        rc = target.pattern.ops.send(&target.pattern, msg)
    if rc == -EAGAIN:
        if msg != &self.pending[direction]:
            msg_move(&self.pending[direction], msg)
        return rc
    if target.pattern.ops.is_paired and (rc == -EHOSTUNREACH or rc == -EINVAL):
        # A raw peer goes when it likes: what was meant for it ends no proxy, and neither does what no raw peer can be sent.
        msg_clear(msg)
        return 0
    if rc == 0:
        zc_bump_u64(&stats[0], parts)
        zc_bump_u64(&stats[1], bytes)
        zc_bump_u64(&self.msgs[direction], 1)
    msg_clear(msg)
    return rc


cdef int forward_one(proxy_t *self, int direction, uint64_t *moved_bytes) noexcept nogil:
    # One message by recv and send. 0; -EAGAIN: none, or it cannot go now; what ends the proxy.
    cdef socket_t *source = self.frontend if direction == FORWARD else self.backend
    cdef socket_t *target = self.backend if direction == FORWARD else self.frontend
    cdef uint64_t *stats = &self.stats[STAT_FRONTEND_IN_PARTS if direction == FORWARD else STAT_BACKEND_IN_PARTS]
    cdef size_t size
    cdef msg_t msg
    cdef int rc
    if not source.pattern.ops.is_readable(&source.pattern) or not can_take(self, source, target):
        return -EAGAIN
    msg_init(&msg)
    rc = source.pattern.ops.recv(&source.pattern, &msg)
    if rc == 0:
        size = msg_bytes(&msg)
        zc_bump_u64(&stats[0], msg.count)
        zc_bump_u64(&stats[1], size)
        moved_bytes[0] += size
        if self.capture != NULL:
            rc = capture_copy(self, &msg)
        if rc == 0 or rc == -EAGAIN:
            rc = deliver(self, &msg, target, direction)
    elif rc == -EFSM:
        rc = -EAGAIN
    msg_fini(&msg)
    return rc


cdef bint can_capture_run(proxy_t *self, uint32_t *most) noexcept nogil:
    # Whether capture can take a run as it stands, and how much of one: the only taker of a PUSH, DEALER or PAIR what fits it,
    # a PUB anything. Otherwise messages go one by one.
    cdef pattern_t *capture = &self.capture.pattern
    cdef engine_t *engine = capture.out_first
    cdef uint64_t room
    if capture.ops.send_run == NULL:
        return False
    while engine != NULL:
        if not engine_takes_runs(engine):
            return False
        engine = engine.out_next
    if self.capture.options.type == TYPE_PUB:
        return not self.capture.options.xpub_nodrop
    engine = capture.out_first
    if engine == NULL or engine.out_next != NULL:
        return False
    room = engine_out_room(engine)
    if room < most[0]:
        most[0] = <uint32_t>room
    return room != 0


cdef void capture_run(proxy_t *self, const run_t *before, const run_t *after, const store_t *prefix) noexcept nogil:
    # What lies between before and after has been sent on; can_capture_run has made sure that it fits.
    cdef run_t run = before[0]
    run.bytes -= after.bytes
    run.msgs -= after.msgs
    run.frames -= after.frames
    run.payload_bytes -= after.payload_bytes
    self.capture.pattern.ops.send_run(&self.capture.pattern, &run, prefix, run.msgs)


cdef int forward_run(proxy_t *self, int direction, uint32_t most, uint32_t *moved, uint64_t *moved_bytes) noexcept nogil:
    # Messages of the next source as they stand. 0; -EAGAIN: no room; -ENOTSUP: the next one has to go by forward_one.
    cdef pattern_t *source = &(self.frontend if direction == FORWARD else self.backend).pattern
    cdef pattern_t *target = &(self.backend if direction == FORWARD else self.frontend).pattern
    cdef uint64_t *taken = &self.stats[STAT_FRONTEND_IN_PARTS if direction == FORWARD else STAT_BACKEND_IN_PARTS]
    cdef uint64_t *given = &self.stats[STAT_BACKEND_OUT_PARTS if direction == FORWARD else STAT_FRONTEND_OUT_PARTS]
    cdef engine_t *engine = source.in_first
    cdef const store_t *prefix
    cdef uint64_t parts, bytes
    cdef uint32_t msgs
    cdef run_t run, before
    cdef int rc
    if engine == NULL or not engine_peek_run(engine, &run):
        return -ENOTSUP
    if engine.in_next != NULL and most > PROXY_RUN_MSGS:
        most = PROXY_RUN_MSGS       # others wait for their turn
    if self.capture != NULL and not can_capture_run(self, &most):
        return -ENOTSUP
    prefix = engine.routing_id if source.ops.has_prefix else NULL
    before = run
    rc = target.ops.send_run(target, &run, prefix, most)
    msgs = before.msgs - run.msgs
    if msgs == 0:
        return rc
    if self.capture != NULL:
        capture_run(self, &before, &run, prefix)
    parts = before.frames - run.frames
    bytes = before.payload_bytes - run.payload_bytes
    if prefix != NULL:
        parts += msgs
        bytes += msgs * prefix.size
    zc_bump_u64(&taken[0], parts)
    zc_bump_u64(&taken[1], bytes)
    zc_bump_u64(&given[0], parts)
    zc_bump_u64(&given[1], bytes)
    zc_bump_u64(&self.msgs[direction], msgs)
    moved[0] += msgs
    moved_bytes[0] += bytes
    engine_consume_run(engine, &before, &run)
    fair_rotate(source, engine)
    return rc


cdef int forward(proxy_t *self, int direction) noexcept nogil:
    # A bounded number of messages in one direction, under the locks. 0 or what ends the proxy.
    cdef socket_t *source = self.frontend if direction == FORWARD else self.backend
    cdef socket_t *target = self.backend if direction == FORWARD else self.frontend
    cdef bint by_runs = source.pattern.ops.gives_runs and target.pattern.ops.send_run != NULL
    cdef uint64_t bytes = 0
    cdef uint32_t moved = 0
    cdef int rc = 0
    if not source.pattern.ops.can_recv or not target.pattern.ops.can_send:
        return 0
    if self.pending[direction].count:
        rc = deliver(self, &self.pending[direction], target, direction)
        if rc != 0:
            return 0 if rc == -EAGAIN else rc
        self.has_moved = True
    while moved < PROXY_BURST_MSGS and bytes < PROXY_BURST_BYTES:
        rc = -ENOTSUP
        if by_runs:
            rc = forward_run(self, direction, PROXY_BURST_MSGS - moved, &moved, &bytes)
        if rc == -ENOTSUP:
            rc = forward_one(self, direction, &bytes)
            moved += 1
        if rc != 0:
            break
        self.has_moved = True
    return 0 if rc == -EAGAIN else rc


cdef int forward_both(proxy_t *self) noexcept nogil:
    cdef int rc
    lock_sides(self)
    rc = forward(self, FORWARD)
    if rc == 0 and self.frontend != self.backend:
        rc = forward(self, BACKWARD)
    unlock_sides(self)
    return rc


cdef bint can_go(proxy_t *self, int direction) noexcept nogil:
    cdef socket_t *source = self.frontend if direction == FORWARD else self.backend
    cdef socket_t *target = self.backend if direction == FORWARD else self.frontend
    if not source.pattern.ops.can_recv or not target.pattern.ops.can_send or not can_take(self, source, target):
        return False
    if self.pending[direction].count:
        return target.pattern.ops.check(&target.pattern, &self.pending[direction].parts[0]) != -EAGAIN
    return source.pattern.ops.is_readable(&source.pattern)


cdef bint has_more(proxy_t *self) noexcept nogil:
    # Whether another turn would move something right now: the last one ended at its bound, or flushing has made room.
    cdef bint has = False
    if self.is_paused:
        return False
    lock_sides(self)
    has = can_go(self, FORWARD) or (self.frontend != self.backend and can_go(self, BACKWARD))
    unlock_sides(self)
    return has


cdef void flush_all(proxy_t *self) noexcept nogil:
    cdef int i
    for i in range(self.count):
        pthread_mutex_lock(&self.sockets[i].host.lock)
        host_attend(&self.sockets[i].host)
        pthread_mutex_unlock(&self.sockets[i].host.lock)


# --- control ----------------------------------------------------------------------------------------------------------------

cdef bint says(const msg_t *msg, const char *word, size_t size) noexcept nogil:
    return msg.count == 1 and msg.parts[0].size == size and memcmp(msg.parts[0].at, word, size) == 0


cdef int send_answer(proxy_t *self, msg_t *reply) noexcept nogil:
    cdef pattern_t *control = &self.control.pattern
    cdef int rc = control.ops.check(control, &reply.parts[0])
    if rc == 0:
        rc = control.ops.send(control, reply)
    # A controller that does not read its answers misses them.
    return 0 if rc == -EAGAIN else rc


cdef int answer_details(proxy_t *self, const proxy_stats_t *sample) noexcept nogil:
    # Ours: name and value (8 bytes, host byte order) of every number, in turn.
    cdef const stat_t *stat = proxy_stats_table()
    cdef msg_t reply
    cdef int rc = 0
    if not self.control.pattern.ops.can_send:
        return 0
    msg_init(&reply)
    while rc == 0 and stat.name != NULL:
        rc = msg_push(&reply, <const unsigned char *>stat.name, strlen(stat.name), NULL)
        if rc == 0:
            rc = msg_push(&reply, <const unsigned char *>sample + stat.offset, sizeof(uint64_t), NULL)
        stat += 1
    if rc == 0:
        rc = send_answer(self, &reply)
    msg_fini(&reply)
    return rc


cdef int answer(proxy_t *self, bint with_stats) noexcept nogil:
    # STATISTICS is answered wherever control can send, the others on a REP, which has to answer to go on.
    cdef msg_t reply
    cdef int i
    cdef int rc = 0
    if not self.control.pattern.ops.can_send or not (with_stats or self.control.options.type == TYPE_REP):
        return 0
    msg_init(&reply)
    if with_stats:
        for i in range(STAT_COUNT):
            if rc == 0:
                rc = msg_push_copy(&reply, <const unsigned char *>&self.stats[i], sizeof(uint64_t))
    else:
        rc = msg_push(&reply, NULL, 0, NULL)
    if rc == 0:
        rc = send_answer(self, &reply)
    msg_fini(&reply)
    return rc


cdef int serve_control(proxy_t *self) noexcept nogil:
    # Control's lock is held. 0 or what ends the proxy.
    cdef pattern_t *control = &self.control.pattern
    cdef msg_t command
    cdef bint is_stats
    cdef int rc = 0
    cdef int _i
    if not control.ops.can_recv:
        return 0
    msg_init(&command)
    for _i in range(PROXY_BURST_MSGS):
        if self.is_over or not control.ops.is_readable(control):
            break
        rc = control.ops.recv(control, &command)
        if rc != 0:
            rc = 0 if rc == -EAGAIN or rc == -EFSM else rc
            break
        self.has_moved = True
        is_stats = says(&command, b"STATISTICS", 10)
        if says(&command, b"DETAILS", 7):
            # Needs the locks of the sides: answered when control's has been let go of.
            self.wants_details = True
            break
        if says(&command, b"PAUSE", 5):
            zc_store(&self.is_paused, 1)
        elif says(&command, b"RESUME", 6):
            zc_store(&self.is_paused, 0)
        elif says(&command, b"TERMINATE", 9):
            self.is_over = True
        rc = answer(self, is_stats)
        msg_clear(&command)
        if rc != 0:
            break
    msg_fini(&command)
    return rc


cdef int control_turn(proxy_t *self) noexcept nogil:
    cdef proxy_stats_t sample
    cdef int rc
    if self.control == NULL:
        return 0
    pthread_mutex_lock(&self.control.host.lock)
    rc = serve_control(self)
    pthread_mutex_unlock(&self.control.host.lock)
    while rc == 0 and self.wants_details:
        self.wants_details = False
        proxy_sample(self, &sample)
        pthread_mutex_lock(&self.control.host.lock)
        rc = answer_details(self, &sample)
        if rc == 0:
            rc = serve_control(self)
        pthread_mutex_unlock(&self.control.host.lock)
    return rc


# --- the loop ---------------------------------------------------------------------------------------------------------------

cdef void find_blocked(proxy_t *self, bint *is_blocked) noexcept nogil:
    # Messages wait on one side, and the other takes none.
    lock_sides(self)
    is_blocked[FORWARD] = is_stuck(self, FORWARD)
    is_blocked[BACKWARD] = self.frontend != self.backend and is_stuck(self, BACKWARD)
    unlock_sides(self)


cdef bint is_stuck(proxy_t *self, int direction) noexcept nogil:
    cdef socket_t *source = self.frontend if direction == FORWARD else self.backend
    cdef socket_t *target = self.backend if direction == FORWARD else self.frontend
    if not source.pattern.ops.can_recv or not target.pattern.ops.can_send:
        return False
    return self.pending[direction].count != 0 or source.pattern.ops.is_readable(&source.pattern)


cdef bint spin(proxy_t *self, const int *fds) noexcept nogil:
    # ZMQ_SPIN_US of frontend or backend (ours): looks again and again before sleep. Whether something is due.
    cdef int32_t spin_us = zc_load(&self.frontend.options.spin_us)
    cdef uint64_t until_us
    cdef bint is_due = False
    cdef int i
    if zc_load(&self.backend.options.spin_us) > spin_us:
        spin_us = zc_load(&self.backend.options.spin_us)
    if spin_us <= 0:
        return False
    until_us = zc_now_us() + spin_us
    while not is_due and zc_now_us() < until_us:
        sched_yield()               # the peer may be waiting for this processor
        is_due = poller_wait_fds(fds, self.count, 0, self.is_due) > 0
        for i in range(self.count):
            if mailbox_has(self.sockets[i].host.mailbox):
                self.is_due[i] = is_due = True
    return is_due


cdef int wait_for_work(proxy_t *self) noexcept nogil:
    # Sleeps until any of the sockets has something to do, and finds out which. 0; -EINTR, also when it is time to look for
    # signals; -errno.
    cdef int fds[PROXY_SOCKETS_MAX]
    cdef bint may_sleep = True
    cdef int64_t timeout_us = PROXY_IDLE_SIGNALS_US if self.is_idle else PROXY_SIGNALS_US
    cdef uint64_t before_us
    cdef bint is_blocked[2]
    cdef int i, rc
    for i in range(self.count):
        fds[i] = self.sockets[i].host.poller.fd
    if spin(self, fds):
        return 0
    for i in range(self.count):
        self.is_due[i] = not socket_may_sleep(self.sockets[i])
        if self.is_due[i]:
            may_sleep = False
    find_blocked(self, is_blocked)
    before_us = zc_now_us()
    rc = poller_wait_fds(fds, self.count, timeout_us if may_sleep else 0, self.is_ready)
    for i in range(2):
        if is_blocked[i]:
            zc_bump_u64(&self.blocked_us[i], zc_now_us() - before_us)
    for i in range(self.count):
        self.is_due[i] = self.is_due[i] or (rc > 0 and self.is_ready[i])
    if rc == 0 and may_sleep:
        self.is_idle = True
        return -EINTR
    return rc if rc < 0 else 0


cdef int turn(proxy_t *self) noexcept nogil:
    # 0; -ETERM; -ENOTSOCK; what ends the proxy.
    cdef int i
    cdef int rc = 0
    for i in range(self.count):
        rc = socket_turn(self.sockets[i], self.is_due[i])
        if rc != 0:
            return rc
    take_orders(self)
    rc = control_turn(self)
    self.has_more = False
    for _turn in range(PROXY_INNER_TURNS):
        if rc == 0 and not self.is_paused and not self.is_over:
            rc = forward_both(self)
        flush_all(self)
        self.has_more = rc == 0 and self.has_moved and not self.is_over and has_more(self)
        if not self.has_more:
            break
    return rc


cdef int proxy_run(proxy_t *self) noexcept nogil:
    cdef uint64_t now_us
    cdef int i, rc
    while True:
        self.has_moved = False
        rc = turn(self)
        if rc != 0:
            return rc
        if self.is_over:
            return 0
        if self.has_moved:
            self.is_idle = False
        if self.has_more:
            for i in range(self.count):
                self.is_due[i] = True
        else:
            rc = wait_for_work(self)
            if rc != 0:
                return rc
        now_us = zc_now_us()
        if now_us - self.looked_us > PROXY_SIGNALS_US:
            self.looked_us = now_us
            return -EINTR
