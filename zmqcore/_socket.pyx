# zmqcore/_socket.pyx -- see the door.
#
#   nobody inside:   I/O thread --on_nest_ready--> drives, arms the mailbox, looks on
#   recv would wait: caller --adopt--> drives in a loop --leave--> (about 1 ms) --tick--> I/O thread again
from libc.stdint cimport int32_t, int64_t, uint64_t
from zmqcore._context cimport context_io_thread, context_join, context_join_inproc, context_leave
from zmqcore._endpoint cimport (
    endpoints_bind, endpoints_close, endpoints_connect, endpoints_disconnect, endpoints_fini, endpoints_forget,
    endpoints_init, endpoints_ops_t, endpoints_unbind,
)
from zmqcore._engine cimport engine_end_after, engine_new_linked, engine_on_post, engine_set_hwm, host_ops_t
from zmqcore._engine_host cimport (
    host_attend, host_bury, host_dispatch, host_fini, host_forget_terms, host_init, host_needs_attention, host_open, host_wake,
)
from zmqcore._limits cimport (
    ADOPTION_US, FLOOD_NAP_LONG_US, FLOOD_NAP_US, FLOOD_SENDS, INPROC_SPIN_US, REACTOR_EVENTS_MAX, SPINS_KEPT, SPINS_LOST,
    SPINS_REST, WAITER_LOOK_US, WRITE_END_MS,
)
from zmqcore._link cimport LINK_BINDER, link_t, link_unref
from zmqcore._message cimport msg_clear, msg_fini, msg_init
from zmqcore._monitor cimport monitor_is_due, monitor_is_over, monitor_stop
from zmqcore._options cimport (
    OPTION_EVENTS, OPTION_FD, OPTION_LAST_ENDPOINT, OPTION_RCVHWM, OPTION_RCVMORE, OPTION_SNDHWM, OPTION_SUBSCRIBE,
    OPTION_TOPICS_COUNT, OPTION_UNSUBSCRIBE, options_fini, options_get, options_init, options_is_live, options_set,
)
from zmqcore._pattern cimport pattern_attach, pattern_detach, pattern_fini, pattern_init
from zmqcore._pattern_types cimport pattern_ops_of
from zmqcore._pipe cimport pipe_clear
from zmqcore._reactor cimport (
    NEST_INSIDE, NEST_OUTSIDE, NEST_TAKEN, io_adopt, io_bury, io_left, io_nest, io_release, io_release_locked, io_thread_t,
    mailbox_arm, mailbox_close, mailbox_disarm, mailbox_has, mailbox_ring, mailbox_take, mailbox_unref, nest_place, poller_close,
    poller_wait, post_t, ready_t, timers_reserve, timers_set,
)
from zmqcore._socket_bell cimport bell_look, bell_open, bell_told
from zmqcore._socket_monitor cimport socket_tell
from zmqcore._sys cimport (
    EAGAIN, EINTR, EINVAL, EMTHREAD, ENOENT, ENOMEM, ETIMEDOUT, calloc, free, memcpy, pthread_cond_broadcast,
    pthread_cond_destroy, pthread_mutex_lock, pthread_mutex_trylock, pthread_mutex_unlock, sched_yield, strlen, zc_add,
    zc_cond_init, zc_cond_wait_until, zc_load, zc_now_us, zc_store, zc_swap,
)

cdef host_ops_t host_table
cdef endpoints_ops_t endpoints_table


# --- callbacks of the engines (socket lock held) ---------------------------------------------------------------------------

cdef void on_active(void *arg, engine_t *engine) noexcept nogil:
    cdef socket_t *self = <socket_t *>arg
    self.is_changed = True
    if not engine.is_attached:
        pattern_attach(&self.pattern, engine)
    # PAIR and ROUTER may have turned it away.
    if engine.is_attached:
        self.pattern.ops.active(&self.pattern, engine)


cdef void on_lost(void *arg, engine_t *engine) noexcept nogil:
    cdef socket_t *self = <socket_t *>arg
    self.is_changed = True
    if not engine.is_attached:
        return
    if engine.terms.options.immediate:
        # No connection, no pipe: what was queued goes with it, and the next one has the bounds of the connect again.
        pattern_detach(&self.pattern, engine, False)
        pipe_clear(&engine.inbound)
        pipe_clear(&engine.outbound)
        engine_set_hwm(engine, engine.terms.options.sndhwm, engine.terms.options.rcvhwm)
    else:
        self.pattern.ops.lost(&self.pattern, engine)


cdef void on_closed(void *arg, engine_t *engine) noexcept nogil:
    cdef socket_t *self = <socket_t *>arg
    self.is_changed = True
    endpoints_forget(&self.endpoints, engine)
    pattern_detach(&self.pattern, engine, True)


cdef void on_input(void *arg, engine_t *engine) noexcept nogil:
    cdef socket_t *self = <socket_t *>arg
    self.is_changed = True
    if engine.is_attached:
        self.pattern.ops.input(&self.pattern, engine)


cdef void on_output(void *arg, engine_t *engine) noexcept nogil:
    cdef socket_t *self = <socket_t *>arg
    self.is_changed = True
    if engine.is_attached:
        self.pattern.ops.output(&self.pattern, engine)


cdef int on_join(void *arg, const char *name, link_t *link) noexcept nogil:
    return context_join_inproc((<socket_t *>arg).context, name, link)


cdef void on_attach(void *arg, engine_t *engine) noexcept nogil:
    pattern_attach(&(<socket_t *>arg).pattern, engine)


cdef void on_disconnect(void *arg, engine_t *engine) noexcept nogil:
    cdef socket_t *self = <socket_t *>arg
    pattern_detach(&self.pattern, engine, False)
    engine_end_after(engine, self.options.linger_ms)


cdef int on_open(void *arg) noexcept nogil:
    # The socket meets the world outside: poll set, and an I/O thread to look after it.
    cdef socket_t *self = <socket_t *>arg
    cdef io_thread_t *io = NULL
    cdef int rc
    if self.nest.is_nested and not self.options.affinity:
        return 0
    # The I/O thread is that of the first endpoint, but an affinity that no thread has fails each time.
    rc = context_io_thread(self.context, self.options.affinity, &io)
    if rc != 0 or self.nest.is_nested:
        return rc
    rc = host_open(&self.host)
    if rc == 0:
        rc = timers_reserve(&self.host.timers, 1)
    if rc == 0:
        self.nest.fd = self.host.poller.fd
        rc = io_nest(io, &self.nest)
    if rc == 0 and not self.is_driven and not self.has_fd:
        arm_for_io(self)
    elif rc == 0:
        io_adopt(&self.nest)        # somebody drives it already
    return rc


cdef void fill_tables() noexcept nogil:
    host_table.active = on_active
    host_table.lost = on_lost
    host_table.closed = on_closed
    host_table.input = on_input
    host_table.output = on_output
    host_table.join = on_join
    endpoints_table.attach = on_attach
    endpoints_table.disconnect = on_disconnect
    endpoints_table.open = on_open


fill_tables()


# --- life --------------------------------------------------------------------------------------------------------------------

cdef int socket_new(context_t *context, int32_t type, socket_t **out) noexcept nogil:
    cdef socket_t *self
    cdef int rc
    if pattern_ops_of(type) == NULL:
        return -EINVAL
    self = <socket_t *>calloc(1, sizeof(socket_t))
    if self == NULL:
        return -ENOMEM
    self.refs = 2
    self.context = context
    self.member.arg = self
    self.member.stop = on_stop
    self.nest.arg = self
    self.nest.ready = on_nest_ready
    self.nest.tick = on_tick
    self.nest.bury = on_bury
    self.nap.fn = on_nap_over
    options_init(&self.options, type, zc_load(&context.ipv6), zc_load(&context.blocky))
    msg_init(&self.incoming)
    msg_init(&self.outgoing)
    rc = host_init(&self.host, &self.options, &host_table, self)
    if rc != 0:
        options_fini(&self.options)
        free(self)
        return rc
    endpoints_init(&self.endpoints, &self.host, context, &endpoints_table, self)
    rc = pattern_init(&self.pattern, pattern_ops_of(type), &self.host, &self.options)
    if rc == 0 and zc_cond_init(&self.cond) != 0:
        pattern_fini(&self.pattern)
        rc = -ENOMEM
    elif rc == 0:
        rc = context_join(context, &self.member)
        if rc != 0:
            pthread_cond_destroy(&self.cond)
            pattern_fini(&self.pattern)
    if rc != 0:
        host_fini(&self.host)
        options_fini(&self.options)
        free(self)
        return rc
    out[0] = self
    return 0


cdef void socket_unref(socket_t *self) noexcept nogil:
    if zc_add(&self.refs, -1) != 0:
        return
    endpoints_fini(&self.endpoints)
    pattern_fini(&self.pattern)
    msg_fini(&self.incoming)
    msg_fini(&self.outgoing)
    if self.bell != NULL:
        mailbox_unref(self.bell)
    host_fini(&self.host)
    options_fini(&self.options)
    pthread_cond_destroy(&self.cond)
    free(self)


cdef void drop_posts(post_t *post) noexcept nogil:
    cdef post_t *next
    while post != NULL:
        next = post.next
        link_unref(<link_t *>post.arg)
        post = next


cdef void socket_close(socket_t *self, const int32_t *linger_ms) noexcept nogil:
    cdef engine_t *engine
    cdef engine_t *next
    pthread_mutex_lock(&self.host.lock)
    if not self.is_closed:
        # What has gathered in a flood goes as far as the kernel takes it, also with LINGER 0: libzmq's I/O thread would have
        # written it by now. UNLOCKS.
        host_attend(&self.host)
    if self.is_closed:
        pthread_mutex_unlock(&self.host.lock)
        return
    self.is_closed = True
    # Nobody waits for the fd of a closed socket: the I/O thread has to see it to its end, also when a driver leaves it later.
    self.has_fd = False
    if linger_ms != NULL:
        self.options.linger_ms = linger_ms[0]
    endpoints_close(&self.endpoints)
    while self.pattern.in_first != NULL:
        pattern_detach(&self.pattern, self.pattern.in_first, False)
    self.host.turns += 1            # keeps the engines while the list is walked
    engine = self.host.engines
    while engine != NULL:
        next = engine.next
        pattern_detach(&self.pattern, engine, False)
        # Another thread is writing: it comes to what is behind that.
        engine_end_after(engine, WRITE_END_MS if engine.is_writing and not self.options.linger_ms else self.options.linger_ms)
        engine = next
    self.host.turns -= 1
    drop_posts(mailbox_close(self.host.mailbox))
    msg_clear(&self.incoming)
    msg_clear(&self.outgoing)
    host_attend(&self.host)
    wake_all(self)
    if self.bell != NULL:
        mailbox_ring(self.bell)
    if not self.is_driven and self.nest.is_adopted:
        io_release(&self.nest)
    socket_leave(self)


cdef void finish(socket_t *self) noexcept nogil:
    # Nobody is inside and nothing is left to send. The lock is not held.
    if self.nest.is_nested:
        io_bury(&self.nest)
    else:
        on_bury(self)


cdef void on_bury(void *arg) noexcept nogil:
    # The I/O thread has let go (or there was none).
    cdef socket_t *self = <socket_t *>arg
    pthread_mutex_lock(&self.host.lock)
    poller_close(&self.host.poller)
    pthread_mutex_unlock(&self.host.lock)
    context_leave(self.context, &self.member)
    socket_unref(self)


cdef void on_stop(void *arg) noexcept nogil:
    # Under the context's lock; takes no socket lock. A waiter that is missed looks again within WAITER_LOOK_US.
    cdef socket_t *self = <socket_t *>arg
    zc_swap(&self.is_stopped, 1)
    mailbox_ring(self.host.mailbox)
    if zc_load(&self.has_bell):
        mailbox_ring(self.bell)
    pthread_cond_broadcast(&self.cond)


cdef inline void wake_all(socket_t *self) noexcept nogil:
    if self.waiters:
        pthread_cond_broadcast(&self.cond)
    if self.is_asleep:
        zc_store(&self.is_stirred, 1)
        mailbox_ring(self.host.mailbox)


cdef inline bint is_done(const socket_t *self) noexcept nogil:
    return (self.is_closed and not self.is_finished and not self.is_driven and self.host.turns == 0
            and self.host.engines == NULL)


cdef void socket_leave(socket_t *self) noexcept nogil:
    # The end of every operation: whoever waits for a change hears of it, and the monitor of its events; the last one out
    # finishes a closed socket.
    if self.is_changed:
        self.is_changed = False
        wake_all(self)
        if self.bell != NULL:
            bell_look(self)
    if is_done(self):
        monitor_stop(&self.host.monitor)
    if monitor_is_due(&self.host.monitor):
        socket_tell(self)
    if is_done(self) and monitor_is_over(&self.host.monitor):
        self.is_finished = True
        pthread_mutex_unlock(&self.host.lock)
        finish(self)
        return
    pthread_mutex_unlock(&self.host.lock)


cdef int socket_enter(socket_t *self) noexcept nogil:
    # Takes the lock. 0; -ENOTSOCK, -ETERM (the lock is held all the same).
    pthread_mutex_lock(&self.host.lock)
    if mailbox_has(self.host.mailbox):
        socket_take_posts(self)
        # The driver may be asleep, and an answer of a ZAP handler is to be followed up.
        host_attend(&self.host)
    return socket_check(self)


cdef void socket_take_posts(socket_t *self) noexcept nogil:
    cdef post_t *post = mailbox_take(self.host.mailbox)
    cdef post_t *next
    cdef link_t *link
    self.host.turns += 1
    while post != NULL:
        next = post.next
        link = <link_t *>post.arg
        take_post(self, link, LINK_BINDER if post == &link.posts[LINK_BINDER] else 1 - LINK_BINDER)
        link_unref(link)
        post = next
    self.host.turns -= 1
    # Not every caller attends, and a peer must not sleep on.
    host_wake(&self.host)


cdef void take_post(socket_t *self, link_t *link, int side) noexcept nogil:
    cdef engine_t *engine = <engine_t *>link.engines[side]
    if self.is_closed or link.is_gone[side]:
        return
    if engine == NULL and side == LINK_BINDER:
        # Somebody has connected to one of our names.
        zc_add(&link.refs, 1)
        engine = engine_new_linked(&self.host, link, side, NULL)
        if engine == NULL:
            return
        pattern_attach(&self.pattern, engine)
    if engine != NULL:
        engine_on_post(engine)


cdef void arm_for_io(socket_t *self) noexcept nogil:
    # K2. What has come meanwhile is for the I/O thread to find.
    if not mailbox_arm(self.host.mailbox):
        zc_swap(&self.host.mailbox.armed, 1)
        mailbox_ring(self.host.mailbox)


cdef int drive(socket_t *self, int64_t timeout_us) noexcept nogil:
    # One wait and what it brings, as the driver (is_driven is set). 0; -EINTR. UNLOCKS.
    cdef ready_t ready[REACTOR_EVENTS_MAX]
    cdef int count
    cdef int32_t spin_us = self.options.spin_us
    if timeout_us != 0 and spin_us == 0 and spin_for_post(self):
        socket_take_posts(self)
        host_attend(&self.host)
        return 0
    if timeout_us != 0 and (host_needs_attention(&self.host) or not mailbox_arm(self.host.mailbox)):
        timeout_us = 0
    self.is_asleep = timeout_us != 0
    self.host.turns += 1            # what the wait reports may refer to engines that others close meanwhile
    pthread_mutex_unlock(&self.host.lock)
    if timeout_us != 0 and spin_us:
        count = spin(self, ready, timeout_us, spin_us)
    else:
        count = poller_wait(&self.host.poller, ready, REACTOR_EVENTS_MAX, timeout_us)
    pthread_mutex_lock(&self.host.lock)
    self.is_asleep = False
    if timeout_us != 0:
        mailbox_disarm(self.host.mailbox)
    host_dispatch(&self.host, ready, count if count > 0 else 0)
    self.host.turns -= 1
    host_bury(&self.host)
    if mailbox_has(self.host.mailbox):
        socket_take_posts(self)
        host_attend(&self.host)
    return -EINTR if count == -EINTR else 0


cdef bint spin_for_post(socket_t *self) noexcept nogil:
    # Whether an inproc peer has posted before it was worth while to sleep. As the driver. UNLOCKS.
    cdef uint64_t until_us
    cdef bint has = False
    if self.host.engines == NULL or self.host.engines.link == NULL or host_needs_attention(&self.host):
        return False
    if self.spins < 0:
        self.spins += 1
        return False
    self.host.turns += 1
    # Another thread on this socket may take the post, and then clear what it has rung.
    self.is_asleep = True
    zc_store(&self.is_stirred, 0)
    pthread_mutex_unlock(&self.host.lock)
    until_us = zc_now_us() + INPROC_SPIN_US
    while not has and zc_now_us() < until_us:
        sched_yield()               # the peer may be waiting for this processor
        has = mailbox_has(self.host.mailbox) or zc_load(&self.is_stirred)
    pthread_mutex_lock(&self.host.lock)
    self.is_asleep = False
    self.host.turns -= 1
    has = has or mailbox_has(self.host.mailbox) or zc_load(&self.is_stirred)
    if has:
        self.spins = self.spins + 1 if self.spins < SPINS_KEPT else SPINS_KEPT
    else:
        self.spins = self.spins - SPINS_LOST if self.spins > 0 else -SPINS_REST
    return has


cdef int spin(socket_t *self, ready_t *ready, int64_t timeout_us, int32_t spin_us) noexcept nogil:
    # ZMQ_SPIN_US (ours): looks again and again before it sleeps.
    cdef uint64_t until_us = zc_now_us() + spin_us
    cdef int count
    while True:
        count = poller_wait(&self.host.poller, ready, REACTOR_EVENTS_MAX, 0)
        if count != 0 or mailbox_has(self.host.mailbox):
            return count
        if zc_now_us() >= until_us:
            return poller_wait(&self.host.poller, ready, REACTOR_EVENTS_MAX, timeout_us)
        sched_yield()               # the peer may be waiting for this processor


cdef int socket_wait(socket_t *self, uint64_t due_us) noexcept nogil:
    # Waits until something may have changed. 0; -EAGAIN at due_us; -EINTR: look for signals. UNLOCKS.
    cdef uint64_t now_us = zc_now_us()
    cdef uint64_t until_us
    cdef int64_t timeout_us = -1
    cdef int rc
    if monitor_is_due(&self.host.monitor):
        socket_tell(self)
        return 0
    if due_us:
        if now_us >= due_us:
            return -EAGAIN
        timeout_us = due_us - now_us
    if self.is_driven:
        until_us = now_us + WAITER_LOOK_US
        if due_us and due_us < until_us:
            until_us = due_us
        self.waiters += 1
        rc = zc_cond_wait_until(&self.cond, &self.host.lock, until_us)
        self.waiters -= 1
        return -EINTR if rc == ETIMEDOUT and until_us != due_us else 0
    rc = host_open(&self.host)
    if rc != 0:
        return rc
    io_adopt(&self.nest)
    self.is_driven = True
    rc = drive(self, timeout_us)
    stop_driving(self)
    return rc


cdef void stop_driving(socket_t *self) noexcept nogil:
    # The socket stays adopted for a while (on_tick), so that the next call need not adopt it again.
    self.is_driven = False
    if self.waiters:
        pthread_cond_broadcast(&self.cond)
    if self.has_fd:
        arm_for_io(self)
    elif self.bell != NULL and self.nest.is_adopted:
        # The bell is rung by the I/O thread.
        io_release(&self.nest)
        arm_for_io(self)
    elif self.nest.is_adopted:
        self.left_us = zc_now_us()
        io_left(self.nest.io)


cdef inline bint may_look(const socket_t *self) noexcept nogil:
    return not (self.is_driven or self.host.poller.fd < 0 or (self.nest.is_nested and not self.nest.is_adopted))


cdef bint socket_look(socket_t *self) noexcept nogil:
    # For calls that must not wait: reads what lies in the kernel, if that is our business now. Whether it looked. UNLOCKS.
    if not may_look(self):
        return False
    self.is_driven = True
    drive(self, 0)
    stop_driving(self)
    return True


cdef void on_nest_ready(void *arg) noexcept nogil:
    cdef socket_t *self = <socket_t *>arg
    pthread_mutex_lock(&self.host.lock)
    if self.is_driven or self.nest.is_adopted or self.is_finished:
        pthread_mutex_unlock(&self.host.lock)
        return
    self.is_driven = True
    mailbox_disarm(self.host.mailbox)
    drive(self, 0)
    stop_driving(self)
    if not self.nest.is_adopted and not nap(self):
        arm_for_io(self)
    socket_leave(self)


cdef bint nap(socket_t *self) noexcept nogil:
    # In a flood of sends the I/O thread lets messages gather for FLOOD_NAP_US, and nobody has to ring for each few of them: what
    # the sender and the peer pay for wake-ups is most of what a small message costs. Whether it naps.
    cdef uint64_t now_us
    if self.nap.slot:
        return True                 # something else has woken it
    if self.is_closed or self.sends_in_row < FLOOD_SENDS or self.nap_sends < FLOOD_SENDS:
        return False
    self.nap_sends = 0
    now_us = zc_now_us()
    self.sent_us = now_us
    timers_set(&self.host.timers, &self.nap, now_us + (FLOOD_NAP_LONG_US if self.nap_is_long else FLOOD_NAP_US))
    self.nap_is_long = False
    return True


cdef void on_nap_over(void *arg) noexcept nogil:
    # The poll set was readable: that is all.
    pass


cdef nest_place on_tick(void *arg, uint64_t now_us) noexcept nogil:
    # Under io_thread_t.lock, against the lock order: so it only tries.
    cdef socket_t *self = <socket_t *>arg
    cdef nest_place place = NEST_INSIDE
    if pthread_mutex_trylock(&self.host.lock) != 0:
        return NEST_OUTSIDE
    if not self.is_driven and not self.has_fd:
        place = NEST_OUTSIDE
        if now_us > self.left_us + ADOPTION_US:
            io_release_locked(&self.nest)
            arm_for_io(self)
            place = NEST_TAKEN
    pthread_mutex_unlock(&self.host.lock)
    return place


cdef int socket_bind(socket_t *self, const char *text, size_t size) noexcept nogil:
    cdef int rc = socket_enter(self)
    if rc == 0:
        rc = endpoints_bind(&self.endpoints, text, size)
        if self.is_closed:
            endpoints_close(&self.endpoints)
    socket_leave(self)
    return rc


cdef int socket_connect(socket_t *self, const char *text, size_t size) noexcept nogil:
    cdef int rc = socket_enter(self)
    if rc == 0:
        rc = self.pattern.ops.admit(&self.pattern)
    if rc == 0:
        rc = endpoints_connect(&self.endpoints, text, size)
        if mailbox_has(self.host.mailbox):
            socket_take_posts(self)
        host_attend(&self.host)
        if self.is_closed:
            endpoints_close(&self.endpoints)
    socket_leave(self)
    return rc


cdef int take_back(socket_t *self, const char *text, size_t size, bint is_bound) noexcept nogil:
    cdef int rc = socket_enter(self)
    if rc == 0:
        rc = (endpoints_unbind if is_bound else endpoints_disconnect)(&self.endpoints, text, size)
    socket_leave(self)
    return rc


cdef int socket_unbind(socket_t *self, const char *text, size_t size) noexcept nogil:
    return take_back(self, text, size, True)


cdef int socket_disconnect(socket_t *self, const char *text, size_t size) noexcept nogil:
    return take_back(self, text, size, False)


cdef void spread_hwm(socket_t *self) noexcept nogil:
    cdef engine_t *engine = self.host.engines
    while engine != NULL:
        engine_set_hwm(engine, self.options.sndhwm, self.options.rcvhwm)
        engine = engine.next


cdef int socket_set(socket_t *self, int32_t option, const void *at, size_t size) noexcept nogil:
    cdef int rc = socket_enter(self)
    if rc == 0:
        rc = options_set(&self.options, option, at, size)
        if rc == -ENOENT:
            rc = -EINVAL
            if option == OPTION_SUBSCRIBE or option == OPTION_UNSUBSCRIBE:
                rc = self.pattern.ops.set(&self.pattern, option, <const unsigned char *>at, size)
        elif rc == 0 and not options_is_live(option):
            host_forget_terms(&self.host)
            if option == OPTION_SNDHWM or option == OPTION_RCVHWM:
                spread_hwm(self)
        host_attend(&self.host)
    socket_leave(self)
    return rc


cdef int socket_ready(socket_t *self) noexcept nogil:
    cdef bint has_rest = self.incoming_next < self.incoming.count
    cdef int events = 0
    if has_rest or self.pattern.ops.is_readable(&self.pattern):
        events |= SOCKET_POLLIN
    # Before the last part has been taken it is not yet the turn of a REP to answer, or of a REQ to ask again.
    if not (has_rest and self.pattern.ops.is_strict) and self.pattern.ops.is_writable(&self.pattern):
        events |= SOCKET_POLLOUT
    return events


cdef int put_int(void *at, size_t *size, int32_t value) noexcept nogil:
    if size[0] < sizeof(int32_t):
        return -EINVAL
    memcpy(at, &value, sizeof(int32_t))
    size[0] = sizeof(int32_t)
    return 0


cdef int open_bell(socket_t *self) noexcept nogil:
    cdef int rc = on_open(self)
    if rc == 0:
        rc = bell_open(self)
    if rc == 0 and not self.is_driven and self.nest.is_adopted:
        io_release(&self.nest)
        arm_for_io(self)
    return rc


cdef int give_fd(socket_t *self, void *at, size_t *size) noexcept nogil:
    cdef int rc = 0
    if self.bell == NULL and not self.has_fd:
        rc = open_bell(self)
    if rc == -EMTHREAD:
        # Only inproc works without I/O threads, and posts make the poll set readable.
        rc = host_open(&self.host)
        self.has_fd = rc == 0
        if rc == 0 and not self.is_driven:
            arm_for_io(self)
    if rc != 0:
        return rc
    return put_int(at, size, self.bell.fd if self.bell != NULL else self.host.poller.fd)


cdef int get_own(socket_t *self, int32_t option, void *at, size_t *size) noexcept nogil:
    cdef size_t length
    cdef int events
    if option == OPTION_RCVMORE:
        return put_int(at, size, self.has_more)
    if option == OPTION_EVENTS:
        events = socket_ready(self)
        if not events & SOCKET_POLLIN and socket_look(self):
            events = socket_ready(self)
        bell_told(self, events)
        host_attend(&self.host)
        return put_int(at, size, events)
    if option == OPTION_FD:
        return give_fd(self, at, size)
    if option == OPTION_TOPICS_COUNT:
        return put_int(at, size, <int32_t>self.pattern.topics)
    if option == OPTION_LAST_ENDPOINT:
        length = strlen(self.endpoints.last) + 1
        if size[0] < length:
            return -EINVAL
        memcpy(at, self.endpoints.last, length)
        size[0] = length
        return 0
    return -EINVAL


cdef int socket_get(socket_t *self, int32_t option, void *at, size_t *size) noexcept nogil:
    cdef int rc = socket_enter(self)
    if rc == 0:
        rc = options_get(&self.options, option, at, size)
        if rc == -ENOENT:
            rc = get_own(self, option, at, size)
    socket_leave(self)
    return rc


cdef int socket_events_quick(socket_t *self) noexcept nogil:
    cdef int rc = -EAGAIN
    if pthread_mutex_trylock(&self.host.lock) != 0:
        return rc
    if not mailbox_has(self.host.mailbox) and socket_check(self) == 0:
        rc = socket_ready(self)
        if host_needs_attention(&self.host) or (not rc & SOCKET_POLLIN and may_look(self)):
            rc = -EAGAIN
        else:
            bell_told(self, rc)
    socket_leave(self)
    return rc


# --- for _poll ---------------------------------------------------------------------------------------------------------------

cdef int socket_events(socket_t *self, int wanted, bint may_look) noexcept nogil:
    cdef int rc = socket_enter(self)
    if rc == 0:
        rc = wanted & socket_ready(self)
        if rc == 0 and may_look and socket_look(self):
            rc = wanted & socket_ready(self)
        host_attend(&self.host)
    socket_leave(self)
    return rc


cdef int socket_sit(socket_t *self, int wanted, bint *is_seated, bint *may_sleep) noexcept nogil:
    cdef int rc = socket_enter(self)
    if rc == 0:
        rc = host_open(&self.host)
    if rc == 0:
        rc = self.host.poller.fd
        if not self.is_driven:
            is_seated[0] = True
            io_adopt(&self.nest)
            self.is_driven = True
            if host_needs_attention(&self.host) or not mailbox_arm(self.host.mailbox):
                may_sleep[0] = False
            else:
                self.is_asleep = True
        # Between the first look and now something may have come.
        if wanted & socket_ready(self):
            may_sleep[0] = False
    socket_leave(self)
    return rc


cdef void socket_stand(socket_t *self, bint has_events) noexcept nogil:
    pthread_mutex_lock(&self.host.lock)
    if self.is_asleep:
        self.is_asleep = False
        mailbox_disarm(self.host.mailbox)
    if has_events or mailbox_has(self.host.mailbox) or host_needs_attention(&self.host):
        drive(self, 0)
    stop_driving(self)
    socket_leave(self)


cdef int socket_seize(socket_t *self) noexcept nogil:
    cdef int rc = socket_enter(self)
    if rc == 0 and self.is_driven:
        self.waiters += 1
        zc_cond_wait_until(&self.cond, &self.host.lock, zc_now_us() + WAITER_LOOK_US)
        self.waiters -= 1
        rc = socket_check(self)
        if rc == 0 and self.is_driven:
            rc = -EINTR
    if rc == 0:
        rc = host_open(&self.host)
    if rc == 0:
        io_adopt(&self.nest)
        self.is_driven = self.host.is_proxied = True
    socket_leave(self)
    return rc


cdef void socket_release(socket_t *self) noexcept nogil:
    pthread_mutex_lock(&self.host.lock)
    self.host.is_proxied = False
    self.is_asleep = False
    mailbox_disarm(self.host.mailbox)
    stop_driving(self)
    socket_leave(self)


cdef int socket_turn(socket_t *self, bint is_due) noexcept nogil:
    cdef int rc
    pthread_mutex_lock(&self.host.lock)
    if self.is_asleep:
        self.is_asleep = False
        mailbox_disarm(self.host.mailbox)
    if is_due:
        drive(self, 0)
    rc = socket_check(self)
    socket_leave(self)
    return rc


cdef bint socket_may_sleep(socket_t *self) noexcept nogil:
    cdef bint may = False
    pthread_mutex_lock(&self.host.lock)
    if (not host_needs_attention(&self.host) and not monitor_is_due(&self.host.monitor) and socket_check(self) == 0
            and mailbox_arm(self.host.mailbox)):
        self.is_asleep = True
        may = True
    pthread_mutex_unlock(&self.host.lock)
    return may
