# zmqcore/_engine.pyx -- see the door for contracts.
#
#   IDLE --engine_connect--> CONNECTING --engine_begin--> HANDSHAKE --activate--> ACTIVE
#    ^                                       ^ (accepted)                             |
#    |                                                                                |
#    +---- engine_stopped (LOST, REFUSED; connectors) <---------- engine_stop <-------+
#                    |                                        (from any state)
#                    +--> DEAD (FAILED, CLOSED, accepted)
#
# In HANDSHAKE the connection may have to ask an authentication handler: _engine_zap. Writing is in _engine_output.
# engine_stop only notes the end while a thread is inside a system call on the fd; that thread finds the note when it has
# the lock again and calls engine_stopped (E3). A write error ends nothing: what the peer sent before it went may still
# have to be read, and reading finds the end.
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from zmqcore._curve cimport curve_free
from zmqcore._engine_host cimport host_owe, host_random
from zmqcore._engine_input cimport (
    engine_begin_raw, engine_init_input, engine_may_read, engine_notify, engine_read, engine_resume_input, engine_shake,
)
from zmqcore._engine_metadata cimport engine_label, engine_metadata_fini
from zmqcore._engine_output cimport engine_drop_raw, engine_farewell, engine_flush, engine_has_output
from zmqcore._engine_socks cimport engine_socks_begin, engine_socks_fini, engine_socks_init
from zmqcore._engine_zap cimport engine_zap_forget, engine_zap_go_on
from zmqcore._handshake cimport handshake_fini, handshake_init, handshake_peer_id
from zmqcore._link cimport (
    link_is_abandoned, link_is_joined, link_leave, link_pop, link_pop_body, link_push, link_push_body, link_readable,
    link_set_hwm, link_unref, link_writable,
)
from zmqcore._lookup cimport lookup_answer, lookup_start, lookup_unref
from zmqcore._mechanism cimport FAILURE_AUTH, FAILURE_PROTOCOL
from zmqcore._message cimport msg_fini, msg_init, msg_push_copy, store_unref
from zmqcore._monitor cimport (
    EVENT_CLOSED, EVENT_CONNECTED, EVENT_CONNECT_DELAYED, EVENT_CONNECT_RETRIED, EVENT_DISCONNECTED,
    EVENT_HANDSHAKE_FAILED_AUTH, EVENT_HANDSHAKE_FAILED_NO_DETAIL, EVENT_HANDSHAKE_FAILED_PROTOCOL, monitor_raise,
)
from zmqcore._options cimport options_are_raw, options_conflate
from zmqcore._pipe cimport (
    pipe_abandon_begun, pipe_append, pipe_append_bodies, pipe_append_body, pipe_append_frame, pipe_clear,
    pipe_drop_incomplete, pipe_fini, pipe_has_reopened, pipe_init, pipe_is_full, pipe_pop, pipe_pop_body, pipe_t,
)
from zmqcore._reactor cimport (
    REACTOR_FAILED, REACTOR_IN, REACTOR_OUT, mailbox_t, poller_unwatch, poller_watch, timers_cancel, timers_reserve,
    timers_set, timers_unreserve,
)
from zmqcore._sys cimport (
    EAGAIN, ECONNREFUSED, EINPROGRESS, EINVAL, ENODEV, ENOMEM, MSG_DONTWAIT, calloc, close, free, malloc, memcpy,
    pthread_mutex_lock, pthread_mutex_unlock, recv, zc_check, zc_now_us,
)
from zmqcore._terms cimport terms_ref, terms_unref
from zmqcore._transport cimport (
    ENDPOINT_BYTES_MAX, TRANSPORT_INPROC, transport_connect, transport_connected, transport_needs_resolver,
    transport_own_text,
)
from zmqcore._v1 cimport v1_fini, v1_init
from zmqcore._zmtp cimport (
    ZMTP_COMMAND, ZMTP_VERSION_31, ZMTP_VERSION_NONE, slice_t, zmtp_head_read, zmtp_subscription_head_write,
)

cdef enum:
    TIMERS_OF_ENGINE = 5
    RECONNECT_STOP_CONN_REFUSED = 1     # ZMQ_RECONNECT_STOP
    RECONNECT_STOP_HANDSHAKE_FAILED = 2


# --- birth and death --------------------------------------------------------------------------------------------------------

cdef engine_t *engine_new(host_t *host, transport_kind kind, terms_t *terms, void *endpoint) noexcept nogil:
    cdef engine_t *self = <engine_t *>calloc(1, sizeof(engine_t))
    if self == NULL:
        return NULL
    if timers_reserve(&host.timers, TIMERS_OF_ENGINE) != 0:
        free(self)
        return NULL
    self.host = host
    self.kind = kind
    self.endpoint = endpoint
    host.last_serial += 1
    self.serial = host.last_serial
    self.watch.fd = -1
    self.watch.arg = self
    pipe_init(&self.inbound, 0)
    pipe_init(&self.outbound, 0)
    if terms != NULL:
        take_terms(self, terms)
    pipe_init(&self.raw, 0)
    pipe_init(&self.latest, 0)
    v1_init(&self.v1)
    self.retry_timer.arg = self.linger_timer.arg = self
    self.linger_timer.fn = on_linger_over
    engine_init_input(self)
    self.next = host.engines
    if host.engines != NULL:
        host.engines.prev = self
    host.engines = self
    host.engine_count += 1
    return self


cdef void take_terms(engine_t *self, terms_t *terms) noexcept nogil:
    self.terms = terms_ref(terms)
    self.is_raw = options_are_raw(&terms.options)
    self.is_conflated = options_conflate(&terms.options)
    engine_set_hwm(self, terms.options.sndhwm, terms.options.rcvhwm)


cdef engine_t *engine_new_connector(host_t *host, const address_t *address, terms_t *terms, void *endpoint) noexcept nogil:
    cdef engine_t *self
    cdef address_t *copy = <address_t *>malloc(sizeof(address_t))
    if copy == NULL:
        return NULL
    memcpy(copy, address, sizeof(address_t))
    self = engine_new(host, address.kind, terms, endpoint)
    if self == NULL:
        free(copy)
        return NULL
    self.address = copy
    if engine_socks_init(self) != 0:
        unlist(self)
        engine_free(self)
        return NULL
    return self


cdef engine_t *engine_new_accepted(host_t *host, transport_kind kind, int fd, terms_t *terms,
                                   void *endpoint) noexcept nogil:
    cdef engine_t *self = engine_new(host, kind, terms, endpoint)
    if self == NULL:
        close(fd)
        return NULL
    engine_begin(self, fd)
    return self


cdef engine_t *engine_new_linked(host_t *host, link_t *link, int side, void *endpoint) noexcept nogil:
    cdef engine_t *self = engine_new(host, TRANSPORT_INPROC, NULL, endpoint)
    if self == NULL:
        link_leave(link, side)
        link_unref(link)
        return NULL
    self.link = link
    self.side = side
    self.state = ENGINE_ACTIVE
    self.version = ZMTP_VERSION_31
    link.engines[side] = self
    return self


cdef void engine_free(engine_t *self) noexcept nogil:
    zc_check(self.watch.fd < 0)
    zc_check(not self.in_attention)
    if self.link != NULL:
        self.link.engines[self.side] = NULL
        link_unref(self.link)
    handshake_fini(&self.handshake)
    v1_fini(&self.v1)
    engine_metadata_fini(self)
    pipe_fini(&self.inbound)
    pipe_fini(&self.outbound)
    pipe_fini(&self.raw)
    pipe_fini(&self.latest)
    if self.routing_id != NULL:
        store_unref(self.routing_id)
    engine_socks_fini(self)
    terms_unref(self.terms)
    free(self.address)
    timers_unreserve(&self.host.timers, TIMERS_OF_ENGINE)
    free(self)


cdef void unlist(engine_t *self) noexcept nogil:
    if self.prev != NULL:
        self.prev.next = self.next
    else:
        self.host.engines = self.next
    if self.next != NULL:
        self.next.prev = self.prev
    self.host.engine_count -= 1


cdef void die(engine_t *self) noexcept nogil:
    cdef host_t *host = self.host
    self.state = ENGINE_DEAD
    timers_cancel(&host.timers, &self.linger_timer)
    timers_cancel(&host.timers, &self.retry_timer)
    unlist(self)
    keep_totals(self)
    self.is_dying = True
    host.ops.closed(host.arg, self)
    self.is_dying = False
    if self.is_released:
        bury(self)


cdef void bury(engine_t *self) noexcept nogil:
    self.next_dead = self.host.dead
    self.host.dead = self


cdef void engine_release(engine_t *self) noexcept nogil:
    if self.is_released:
        return
    self.is_released = True
    # Inside the callback of die() the engine is buried by die() itself.
    if self.state == ENGINE_DEAD and not self.is_dying:
        bury(self)


# --- connecting -------------------------------------------------------------------------------------------------------------

cdef const address_t *reached_first(const engine_t *self) noexcept nogil:
    return self.proxy if self.proxy != NULL else self.address


cdef void engine_connect(engine_t *self) noexcept nogil:
    cdef host_t *host = self.host
    cdef const address_t *address = reached_first(self)
    cdef int fd = -1
    cdef int rc
    if self.state != ENGINE_IDLE or self.is_ending:
        return
    self.state = ENGINE_CONNECTING
    if transport_needs_resolver(address):
        self.lookup = lookup_start(address, self.terms.options.transport.ipv6)
    if self.lookup != NULL:
        self.watch.fd = self.lookup.fd
        self.watch.fn = on_looked_up
        if poller_watch(&host.poller, &self.watch, REACTOR_IN) != 0:
            engine_stop(self, END_REFUSED)
        return
    if transport_needs_resolver(address):
        # No thread for it. At least the lock is free meanwhile, and is_reading keeps the engine as it is.
        self.is_reading = True
        host.turns += 1
        pthread_mutex_unlock(&host.lock)
        rc = transport_connect(address, &self.terms.options.transport, &fd)
        pthread_mutex_lock(&host.lock)
        host.turns -= 1
        self.is_reading = False
        if self.is_ending:
            if rc == 0 or rc == -EINPROGRESS:
                close(fd)
            engine_stopped(self)
            return
    else:
        rc = transport_connect(address, &self.terms.options.transport, &fd)
    attempted(self, rc, fd)


cdef void on_looked_up(void *arg, uint32_t events) noexcept nogil:
    cdef engine_t *self = <engine_t *>arg
    cdef int fd = -1
    cdef int rc = lookup_answer(self.lookup)
    if rc == -EAGAIN:
        return
    poller_unwatch(&self.host.poller, &self.watch)
    if rc == 0:
        rc = transport_connect(&self.lookup.address, &self.terms.options.transport, &fd)
    forget_lookup(self)
    attempted(self, rc, fd)


cdef void forget_lookup(engine_t *self) noexcept nogil:
    lookup_unref(self.lookup)
    self.lookup = NULL
    self.watch.fd = -1


cdef void attempted(engine_t *self, int rc, int fd) noexcept nogil:
    # What transport_connect has said.
    cdef host_t *host = self.host
    if rc == 0:
        begin(self, fd)
    elif rc == -EINPROGRESS:
        self.watch.fd = fd
        self.watch.fn = on_connected
        engine_event(self, EVENT_CONNECT_DELAYED, EINPROGRESS)
        if poller_watch(&host.poller, &self.watch, REACTOR_OUT) != 0:
            engine_stop(self, END_REFUSED)
        elif self.terms.options.connect_timeout_ms > 0:
            self.retry_timer.fn = on_connect_timeout
            timers_set(&host.timers, &self.retry_timer,
                       zc_now_us() + <uint64_t>self.terms.options.connect_timeout_ms * 1000)
    else:
        # Without a resolved address nothing was opened that could be closed.
        if rc != -ENODEV and rc != -EINVAL:
            engine_event(self, EVENT_CLOSED, <uint32_t>-1)
        engine_refused(self, rc)


cdef void begin(engine_t *self, int fd) noexcept nogil:
    if self.proxy != NULL:
        engine_socks_begin(self, fd)
    else:
        engine_begin(self, fd)


cdef void engine_refused(engine_t *self, int rc) noexcept nogil:
    if rc == -ECONNREFUSED and self.terms.options.reconnect_stop & RECONNECT_STOP_CONN_REFUSED:
        engine_stop(self, END_FAILED)
    else:
        engine_stop(self, END_REFUSED)


cdef void on_connected(void *arg, uint32_t events) noexcept nogil:
    cdef engine_t *self = <engine_t *>arg
    cdef int fd = self.watch.fd
    cdef int rc = transport_connected(fd)
    if rc == -EINPROGRESS:
        return
    timers_cancel(&self.host.timers, &self.retry_timer)
    if rc != 0:
        engine_refused(self, rc)
        return
    begin(self, fd)


cdef void on_connect_timeout(void *arg) noexcept nogil:
    engine_stop(<engine_t *>arg, END_REFUSED)


cdef void on_retry_due(void *arg) noexcept nogil:
    engine_connect(<engine_t *>arg)


cdef void engine_begin(engine_t *self, int fd) noexcept nogil:
    # A transport connection exists: ZMTP begins.
    cdef host_t *host = self.host
    cdef const options_t *options = &self.terms.options
    self.state = ENGINE_HANDSHAKE
    self.retry_ms = 0
    self.version = ZMTP_VERSION_NONE
    self.watch.fd = fd
    self.watch.fn = on_ready
    self.is_out_blocked = self.is_in_stalled = self.was_active = False
    self.lost_errno = 0
    if self.address != NULL:
        engine_event(self, EVENT_CONNECTED, fd)
    if ((not self.is_raw and handshake_init(&self.handshake, options) != 0)
            or poller_watch(&host.poller, &self.watch, REACTOR_IN) != 0):
        engine_lose(self, ENOMEM)
        return
    if self.is_raw:
        engine_begin_raw(self)
        return
    if options.handshake_ivl_ms > 0:
        self.retry_timer.fn = on_handshake_timeout
        timers_set(&host.timers, &self.retry_timer, zc_now_us() + <uint64_t>options.handshake_ivl_ms * 1000)
    engine_shake(self, 0)


cdef void on_handshake_timeout(void *arg) noexcept nogil:
    engine_lose(<engine_t *>arg, EAGAIN)


# --- the end of a connection --------------------------------------------------------------------------------------------------

cdef void engine_stop(engine_t *self, engine_end how) noexcept nogil:
    if self.state == ENGINE_DEAD:
        return
    if self.is_ending == END_NONE or how == END_CLOSED:
        self.is_ending = how
    poller_unwatch(&self.host.poller, &self.watch)
    if not self.is_reading and not self.is_writing:
        engine_stopped(self)


cdef void engine_lose(engine_t *self, int err) noexcept nogil:
    self.lost_errno = err
    engine_stop(self, END_LOST)


cdef void engine_event(engine_t *self, uint32_t number, uint32_t value) noexcept nogil:
    # Of an accepted connection, the own end, which says more than a wildcard bind; nobody may be bound there any more.
    cdef char text[ENDPOINT_BYTES_MAX]
    if not self.host.monitor.wanted & number:
        return
    if self.address != NULL:
        # Programs that watch libzmq know the connection by the proxy.
        monitor_raise(&self.host.monitor, number, value, reached_first(self).text)
        return
    if transport_own_text(self.watch.fd, self.kind, text) != 0:
        text[0] = 0
    monitor_raise(&self.host.monitor, number, value, text)


cdef void tell_end(engine_t *self, engine_end how) noexcept nogil:
    # The monitor hears of it while the fd can still be named. What we end ourselves is no event.
    if self.state == ENGINE_CONNECTING:
        engine_event(self, EVENT_CLOSED, self.watch.fd)
        return
    if how == END_CLOSED:
        return
    if how == END_LOST and (self.state == ENGINE_HANDSHAKE or self.is_raw):
        # libzmq takes a raw peer for one whose handshake never ends, and programs that watch it know no better.
        engine_event(self, EVENT_HANDSHAKE_FAILED_NO_DETAIL, self.lost_errno)
    elif self.state == ENGINE_HANDSHAKE and self.handshake.failure == FAILURE_PROTOCOL:
        engine_event(self, EVENT_HANDSHAKE_FAILED_PROTOCOL, self.handshake.failure_code)
    elif self.state == ENGINE_HANDSHAKE and self.handshake.failure == FAILURE_AUTH:
        engine_event(self, EVENT_HANDSHAKE_FAILED_AUTH, self.handshake.failure_code)
    engine_event(self, EVENT_DISCONNECTED, self.watch.fd)


cdef void engine_stopped(engine_t *self) noexcept nogil:
    cdef host_t *host = self.host
    cdef engine_end how = self.is_ending
    cdef bint was_active = self.was_active
    cdef bint was_shaking = self.state == ENGINE_HANDSHAKE or self.is_raw
    cdef uint32_t delay_ms
    self.is_ending = END_NONE
    self.was_active = False
    if self.lookup != NULL:
        forget_lookup(self)
    if self.watch.fd >= 0:
        tell_end(self, how)
        if how == END_FAILED and was_shaking:
            engine_farewell(self)
        if (how == END_CLOSED and was_active) or (how == END_FAILED and was_shaking):
            discard_input(self)
        close(self.watch.fd)
        self.watch.fd = -1
    timers_cancel(&host.timers, &self.retry_timer)
    timers_cancel(&host.timers, &self.ping_timer)
    timers_cancel(&host.timers, &self.expiry_timer)
    timers_cancel(&host.timers, &self.ttl_timer)
    engine_zap_forget(self)
    handshake_fini(&self.handshake)
    v1_fini(&self.v1)
    curve_free(self.curve)
    self.curve = NULL
    engine_drop_raw(self)
    pipe_drop_incomplete(&self.inbound)
    if self.is_raw and was_active and how != END_CLOSED:
        engine_notify(self)
    pipe_abandon_begun(&self.outbound)
    self.pass_bytes = 0
    self.is_out_blocked = self.is_in_stalled = False
    if (how == END_CLOSED or how == END_FAILED or self.address == NULL or self.terms.options.reconnect_ivl_ms <= 0
            or (was_shaking and how == END_LOST and self.terms.options.reconnect_stop & RECONNECT_STOP_HANDSHAKE_FAILED)
            or (self.is_lingering and not engine_has_output(self))):
        die(self)
        return
    self.state = ENGINE_IDLE
    if was_active:
        host.ops.lost(host.arg, self)
    delay_ms = next_delay_ms(self)
    self.retry_timer.fn = on_retry_due
    timers_set(&host.timers, &self.retry_timer, zc_now_us() + <uint64_t>delay_ms * 1000)
    engine_event(self, EVENT_CONNECT_RETRIED, delay_ms)


cdef uint32_t next_delay_ms(engine_t *self) noexcept nogil:
    # ZMQ_RECONNECT_IVL with jitter, or doubled up to ZMQ_RECONNECT_IVL_MAX.
    cdef uint32_t base = self.terms.options.reconnect_ivl_ms
    cdef uint32_t most = self.terms.options.reconnect_ivl_max_ms
    if most == 0:
        return base + host_random(self.host) % base
    if self.retry_ms == 0:
        self.retry_ms = base
    elif self.retry_ms < most:
        self.retry_ms = self.retry_ms * 2 if self.retry_ms <= most // 2 else most
    if self.retry_ms > most:
        self.retry_ms = most
    return self.retry_ms


cdef void discard_input(engine_t *self) noexcept nogil:
    # Closing a TCP socket with unread input resets the connection and may destroy what we have just sent.
    cdef uint8_t scratch[4096]
    cdef int _
    for _ in range(256):
        if recv(self.watch.fd, scratch, sizeof(scratch), MSG_DONTWAIT) <= 0:
            return


cdef void engine_end_after(engine_t *self, int32_t linger_ms) noexcept nogil:
    if self.state == ENGINE_DEAD:
        return
    if self.is_lingering:
        linger_less(self, linger_ms)
        return
    self.is_lingering = True
    if self.link != NULL:
        link_leave(self.link, self.side)
        die(self)
        return
    if linger_ms == 0 or not engine_has_output(self):
        engine_stop(self, END_CLOSED)
        return
    if linger_ms > 0:
        timers_set(&self.host.timers, &self.linger_timer, zc_now_us() + <uint64_t>linger_ms * 1000)
    # Before the handshake the fd has other handlers, and they see to it that the output gets away.
    if self.state >= ENGINE_HANDSHAKE and self.watch.fd >= 0 and not self.is_ending:
        self.is_in_stalled = False
        engine_update_watch(self)
    engine_attention(self)


cdef void linger_less(engine_t *self, int32_t linger_ms) noexcept nogil:
    # Who closes the socket may give it less time than who disconnected it, not more.
    cdef uint64_t due_us = zc_now_us() + <uint64_t>linger_ms * 1000
    if linger_ms == 0:
        engine_stop(self, END_CLOSED)
    elif linger_ms > 0 and (self.linger_timer.slot == 0 or due_us < self.linger_timer.due_us):
        timers_set(&self.host.timers, &self.linger_timer, due_us)


cdef void on_linger_over(void *arg) noexcept nogil:
    engine_stop(<engine_t *>arg, END_CLOSED)


cdef void engine_fail(engine_t *self) noexcept nogil:
    if self.link == NULL:
        engine_stop(self, END_FAILED)


# --- readiness ----------------------------------------------------------------------------------------------------------------

cdef void engine_update_watch(engine_t *self) noexcept nogil:
    cdef uint32_t events = 0
    if self.watch.fd < 0 or self.is_ending:
        return
    if not self.is_in_stalled:
        events |= REACTOR_IN
    if self.is_out_blocked:
        events |= REACTOR_OUT
    self.watch.fn = on_ready
    if poller_watch(&self.host.poller, &self.watch, events) != 0:
        engine_stop(self, END_LOST)


cdef void on_ready(void *arg, uint32_t events) noexcept nogil:
    cdef engine_t *self = <engine_t *>arg
    if events & REACTOR_OUT:
        self.is_out_blocked = False
        engine_attention(self)
        engine_update_watch(self)
    if self.is_in_stalled:
        # Failures are reported whatever is asked for: look away until there is room to read up to the end (E5).
        if events & REACTOR_FAILED:
            poller_unwatch(&self.host.poller, &self.watch)
        else:
            engine_update_watch(self)
        return
    if events & (REACTOR_IN | REACTOR_FAILED) and engine_may_read(self):
        engine_read(self)


cdef void engine_attend(engine_t *self) noexcept nogil:
    if self.is_answered and not self.is_reading:
        engine_zap_go_on(self)
    if self.is_in_stalled and not self.inbound.is_full:
        self.is_in_stalled = False
        engine_resume_input(self)
        engine_update_watch(self)
    engine_flush(self)
    if (self.is_lingering and self.state == ENGINE_ACTIVE and not self.is_writing and not self.is_ending
            and not engine_has_output(self)):
        engine_stop(self, END_CLOSED)


# --- messages ----------------------------------------------------------------------------------------------------------------

cdef void engine_attention(engine_t *self) noexcept nogil:
    cdef host_t *host = self.host
    if self.in_attention or self.state == ENGINE_DEAD:
        return
    self.in_attention = True
    self.next_attention = NULL
    if host.attention == NULL:
        host.attention = self
    else:
        host.attention_last.next_attention = self
    host.attention_last = self


cdef bint engine_writable(engine_t *self) noexcept nogil:
    if self.link != NULL:
        return link_writable(self.link, self.side)
    return not pipe_is_full(&self.outbound)


cdef int engine_push(engine_t *self, const msg_t *msg) noexcept nogil:
    cdef mailbox_t *sleeper
    cdef int rc
    if self.link != NULL:
        rc = link_push(self.link, self.side, msg, &sleeper)
        host_owe(self.host, sleeper)
        return rc
    if self.is_conflated:
        pipe_clear(&self.latest)
        rc = pipe_append(&self.latest, msg)
    else:
        rc = pipe_append(&self.outbound, msg)
    if rc == 0 and self.state == ENGINE_ACTIVE:
        engine_attention(self)
    return rc


cdef int engine_push_body(engine_t *self, const uint8_t *at, size_t size) noexcept nogil:
    cdef mailbox_t *sleeper
    cdef int rc
    if self.link != NULL:
        rc = link_push_body(self.link, self.side, at, size, &sleeper)
        host_owe(self.host, sleeper)
        return rc
    if self.is_conflated or pipe_is_full(&self.outbound):
        return -EAGAIN
    rc = pipe_append_body(&self.outbound, at, size)
    if rc == 0 and not self.in_attention and self.state == ENGINE_ACTIVE:
        engine_attention(self)
    return rc


cdef uint32_t engine_push_bodies(engine_t *self, const part_t *parts, uint32_t count) noexcept nogil:
    cdef pipe_t *pipe = &self.outbound
    cdef uint32_t done = 0
    cdef uint64_t room = count
    if self.link != NULL or self.host.options.conflate:
        while done < count and engine_push_body(self, parts[done].at, parts[done].size) == 0:
            done += 1
        return done
    while done < count and not pipe_is_full(pipe):
        if pipe.hwm_msgs and pipe.hwm_msgs - pipe.msgs < count - done:
            room = done + pipe.hwm_msgs - pipe.msgs
        else:
            room = count
        done += pipe_append_bodies(pipe, parts + done, <uint32_t>(room - done))
        if done < room:
            break
    if done and not self.in_attention and self.state == ENGINE_ACTIVE:
        engine_attention(self)
    return done


cdef bint engine_readable(engine_t *self) noexcept nogil:
    if self.link != NULL:
        return link_readable(self.link, self.side)
    return self.inbound.msgs != 0


cdef int engine_pop(engine_t *self, msg_t *msg) noexcept nogil:
    cdef mailbox_t *sleeper
    cdef int rc
    if self.link != NULL:
        rc = link_pop(self.link, self.side, msg, &sleeper)
        host_owe(self.host, sleeper)
    else:
        rc = pipe_pop(&self.inbound, msg)
        if rc == 0:
            engine_label(self, msg)
        if rc == 0 and self.is_in_stalled and pipe_has_reopened(&self.inbound):
            engine_attention(self)
    msg.source = self
    return rc


cdef int engine_pop_body(engine_t *self, uint8_t *at, size_t room, size_t *size) noexcept nogil:
    cdef mailbox_t *sleeper
    cdef int rc
    if self.link != NULL:
        rc = link_pop_body(self.link, self.side, at, room, size, &sleeper)
        host_owe(self.host, sleeper)
        return rc
    rc = pipe_pop_body(&self.inbound, at, room, size)
    if rc == 0 and self.is_in_stalled and pipe_has_reopened(&self.inbound):
        engine_attention(self)
    return rc


cdef int engine_subscribe(engine_t *self, bint is_subscribe, const uint8_t *topic, size_t size) noexcept nogil:
    cdef uint8_t head[32]
    cdef size_t head_bytes, used
    cdef uint8_t flags = 0
    cdef uint64_t whole = 0
    cdef int rc
    if self.state != ENGINE_ACTIVE:
        return 0
    if self.link != NULL:
        return subscribe_linked(self, is_subscribe, topic, size) if self.was_active else 0
    head_bytes = zmtp_subscription_head_write(head, self.version, is_subscribe, size)
    used = zmtp_head_read(head, head_bytes, &flags, &whole)
    rc = pipe_append_frame(&self.outbound, flags & ZMTP_COMMAND, head + used, head_bytes - used, topic, size)
    if rc == 0:
        engine_attention(self)
    return rc


cdef int subscribe_linked(engine_t *self, bint is_subscribe, const uint8_t *topic, size_t size) noexcept nogil:
    cdef msg_t msg
    cdef mailbox_t *sleeper
    cdef uint8_t *body = <uint8_t *>malloc(size + 1)
    cdef int rc
    if body == NULL:
        return -ENOMEM
    body[0] = is_subscribe
    if size:
        memcpy(body + 1, topic, size)
    msg_init(&msg)
    rc = msg_push_copy(&msg, body, size + 1)
    free(body)
    if rc == 0:
        rc = link_push(self.link, self.side, &msg, &sleeper)
        host_owe(self.host, sleeper)
    msg_fini(&msg)
    return rc


cdef void engine_on_post(engine_t *self) noexcept nogil:
    cdef host_t *host = self.host
    if self.state == ENGINE_DEAD:
        return
    if self.link == NULL:
        # From the ZAP handler. What it leads to may unlock, and is not for whoever finds the post.
        self.is_answered = True
        engine_attention(self)
        return
    if not self.was_active and link_is_joined(self.link):
        self.was_active = True
        host.ops.active(host.arg, self)
        if self.state == ENGINE_DEAD:
            return
    if link_readable(self.link, self.side):
        host.ops.input(host.arg, self)
    if link_is_abandoned(self.link, self.side):
        link_leave(self.link, self.side)
        die(self)
    elif link_writable(self.link, self.side):
        host.ops.output(host.arg, self)


cdef void engine_queued(engine_t *self, uint64_t *in_msgs, uint64_t *in_bytes, uint64_t *out_msgs,
                        uint64_t *out_bytes) noexcept nogil:
    cdef pipe_t *inbound = &self.inbound
    cdef pipe_t *outbound = &self.outbound
    if self.link != NULL:
        pthread_mutex_lock(&self.link.lock)
        inbound = &self.link.pipes[self.side]
        outbound = &self.link.pipes[1 - self.side]
    in_msgs[0] = inbound.msgs
    in_bytes[0] = inbound.bytes
    out_msgs[0] = outbound.msgs
    out_bytes[0] = outbound.bytes
    if self.link != NULL:
        pthread_mutex_unlock(&self.link.lock)


cdef void engine_totals(engine_t *self, uint64_t *in_msgs, uint64_t *in_bytes, uint64_t *out_msgs, uint64_t *out_bytes,
                        uint64_t *times_full) noexcept nogil:
    cdef pipe_t *inbound = &self.inbound
    cdef pipe_t *outbound = &self.outbound
    if self.link != NULL:
        pthread_mutex_lock(&self.link.lock)
        inbound = &self.link.pipes[self.side]
        outbound = &self.link.pipes[1 - self.side]
    in_msgs[0] = inbound.total_msgs
    in_bytes[0] = inbound.total_bytes
    out_msgs[0] = outbound.total_msgs
    out_bytes[0] = outbound.total_bytes
    times_full[0] = outbound.times_full
    if self.link != NULL:
        pthread_mutex_unlock(&self.link.lock)


cdef void keep_totals(engine_t *self) noexcept nogil:
    cdef host_t *host = self.host
    cdef uint64_t in_msgs = 0, in_bytes = 0, out_msgs = 0, out_bytes = 0, times_full = 0
    engine_totals(self, &in_msgs, &in_bytes, &out_msgs, &out_bytes, &times_full)
    host.past_received_msgs += in_msgs
    host.past_received_bytes += in_bytes
    host.past_sent_msgs += out_msgs
    host.past_sent_bytes += out_bytes
    host.past_times_full += times_full
    host.past_dropped_msgs += self.dropped_msgs


cdef const uint8_t *engine_peer_id(engine_t *self, size_t *size) noexcept nogil:
    cdef slice_t told
    cdef store_t *id
    if self.link != NULL:
        id = self.link.ids[1 - self.side]
        size[0] = id.size if id != NULL else 0
        return id.data if size[0] else NULL
    told = handshake_peer_id(&self.handshake)
    size[0] = told.size
    return told.at if told.size else NULL


cdef void engine_set_hwm(engine_t *self, uint32_t sndhwm, uint32_t rcvhwm) noexcept nogil:
    if self.link != NULL:
        link_set_hwm(self.link, self.side, sndhwm, rcvhwm)
        return
    if self.is_conflated:
        return
    self.outbound.hwm_msgs = sndhwm
    self.inbound.hwm_msgs = rcvhwm
    if self.is_in_stalled and pipe_has_reopened(&self.inbound):
        engine_attention(self)
