# zmqcore/_endpoint.pyx -- see the door.
from libc.stdint cimport uint32_t
from zmqcore._context cimport (
    context_bind_inproc, context_connect_inproc, context_forget_inproc, context_unbind_inproc, inproc_end_t,
)
from zmqcore._engine cimport ENGINE_DEAD, engine_connect, engine_new_accepted, engine_new_connector, engine_new_linked
from zmqcore._engine_host cimport host_attend, host_forget_terms, host_terms
from zmqcore._filter cimport filter_passes
from zmqcore._limits cimport ACCEPTS_MAX, ACCEPT_REST_US
from zmqcore._link cimport LINK_CONNECTOR, link_leave, link_new, link_t, link_unref
from zmqcore._message cimport store_new, store_unref
from zmqcore._monitor cimport (
    EVENT_ACCEPTED, EVENT_ACCEPT_FAILED, EVENT_BIND_FAILED, EVENT_CLOSED, EVENT_CLOSE_FAILED, EVENT_LISTENING,
    monitor_raise, monitor_t,
)
from zmqcore._options cimport (
    TYPE_DEALER, TYPE_PUB, TYPE_REQ, TYPE_SUB, options_conflate, options_t,
)
from zmqcore._reactor cimport (
    REACTOR_IN, poller_unwatch, poller_watch, timers_cancel, timers_reserve, timers_set, timers_unreserve,
)
from zmqcore._sys cimport (
    EACCES, EAGAIN, EINVAL, ENODEV, ENOENT, ENOMEM, calloc, close, free, memcpy, memset, pthread_mutex_lock,
    pthread_mutex_unlock, strcmp, strlen, strstr, zc_now_us,
)
from zmqcore._terms cimport terms_t, terms_unref
from zmqcore._transport cimport (
    TRANSPORT_INPROC, TRANSPORT_IPC, transport_accept, transport_figures, transport_listen, transport_needs_resolver,
    transport_own_text, transport_parse, transport_unlisten,
)


cdef void endpoints_init(endpoints_t *self, host_t *host, context_t *context, const endpoints_ops_t *ops,
                         void *arg) noexcept nogil:
    memset(self, 0, sizeof(endpoints_t))
    self.host = host
    self.context = context
    self.ops = ops
    self.arg = arg


cdef endpoint_t *endpoint_new(endpoints_t *self, const address_t *address, bint is_bound) noexcept nogil:
    # Room for the rest timer is promised with it.
    cdef endpoint_t *endpoint = <endpoint_t *>calloc(1, sizeof(endpoint_t))
    if endpoint == NULL:
        return NULL
    if timers_reserve(&self.host.timers, 1) != 0:
        free(endpoint)
        return NULL
    endpoint.owner = self
    endpoint.is_bound = is_bound
    endpoint.watch.fd = -1
    memcpy(&endpoint.address, address, sizeof(address_t))
    return endpoint


cdef void endpoint_free(endpoint_t *self) noexcept nogil:
    terms_unref(self.terms)
    timers_unreserve(&self.owner.host.timers, 1)
    free(self)


cdef void endpoint_bury(endpoint_t *self) noexcept nogil:
    # An event for its listener may be on its way while the host is inside a turn.
    self.next = self.owner.dead
    self.owner.dead = self


cdef void free_dead(endpoints_t *self) noexcept nogil:
    cdef endpoint_t *endpoint
    while self.dead != NULL and self.host.turns == 0:
        endpoint = self.dead
        self.dead = endpoint.next
        endpoint_free(endpoint)


cdef void remember(endpoints_t *self, const char *text) noexcept nogil:
    memcpy(self.last, text, strlen(text) + 1)


cdef void add(endpoints_t *self, endpoint_t *endpoint) noexcept nogil:
    endpoint.next = self.first
    self.first = endpoint


# --- bind -----------------------------------------------------------------------------------------------------------------

cdef int own_end(endpoints_t *self, inproc_end_t *end) noexcept nogil:
    # This socket's end of inproc connections; the id is counted. 0; -ENOMEM.
    cdef const options_t *options = self.host.options
    end.mailbox = self.host.mailbox
    end.sndhwm = options.sndhwm
    end.rcvhwm = options.rcvhwm
    end.is_conflated = options_conflate(options)
    end.id = NULL
    if options.routing_id.size:
        end.id = store_new(options.routing_id.size)
        if end.id == NULL:
            return -ENOMEM
        memcpy(end.id.data, options.routing_id.at, options.routing_id.size)
    return 0


cdef int bind_inproc(endpoints_t *self, endpoint_t *endpoint) noexcept nogil:
    cdef inproc_end_t end
    cdef int rc = own_end(self, &end)
    if rc == 0:
        rc = context_bind_inproc(self.context, endpoint.address.host, &end)
    if end.id != NULL:
        store_unref(end.id)
    memcpy(endpoint.resolved, endpoint.address.text, sizeof(endpoint.resolved))
    return rc


cdef void tell_bind_failed(endpoints_t *self, const address_t *address, int rc) noexcept nogil:
    # As programs that watch libzmq know it: first the end of a listener that was opened (tcp: not named yet), unless there
    # was no address to open one for; then the address without its scheme.
    cdef monitor_t *monitor = &self.host.monitor
    cdef const char *behind = strstr(address.text, "://")
    if rc != -ENODEV and rc != -EINVAL:
        monitor_raise(monitor, EVENT_CLOSED, <uint32_t>-1,
                      <const char *>address.text if address.kind == TRANSPORT_IPC else <const char *>"")
    monitor_raise(monitor, EVENT_BIND_FAILED, -rc, behind + 3 if behind != NULL else address.text)


cdef int bind_stream(endpoints_t *self, endpoint_t *endpoint) noexcept nogil:
    cdef host_t *host = self.host
    cdef int fd = -1
    cdef int rc = self.ops.open(self.arg)
    if rc == 0:
        endpoint.terms = host_terms(host)
        if endpoint.terms == NULL:
            rc = -ENOMEM
    if rc != 0:
        return rc
    host.turns += 1
    pthread_mutex_unlock(&host.lock)
    rc = transport_listen(&endpoint.address, &endpoint.terms.options.transport, &fd, endpoint.resolved)
    pthread_mutex_lock(&host.lock)
    host.turns -= 1
    if rc != 0:
        tell_bind_failed(self, &endpoint.address, rc)
        return rc
    if endpoint.terms.options.transport.use_fd != -1:
        # Taken over by this bind.
        host.options.transport.use_fd = -1
        host_forget_terms(host)
    endpoint.watch.fd = fd
    endpoint.watch.fn = on_acceptable
    endpoint.watch.arg = endpoint
    endpoint.rest_timer.fn = on_rested
    endpoint.rest_timer.arg = endpoint
    rc = poller_watch(&host.poller, &endpoint.watch, REACTOR_IN)
    if rc != 0:
        transport_unlisten(&endpoint.address, endpoint.resolved, fd)
    else:
        monitor_raise(&host.monitor, EVENT_LISTENING, fd, endpoint.resolved)
    return rc


cdef int endpoints_bind(endpoints_t *self, const char *text, size_t size) noexcept nogil:
    cdef address_t address
    cdef endpoint_t *endpoint
    cdef int rc = transport_parse(text, size, True, self.host.options.transport.ipv6, &address)
    if rc != 0:
        return rc
    endpoint = endpoint_new(self, &address, True)
    if endpoint == NULL:
        return -ENOMEM
    if address.kind == TRANSPORT_INPROC:
        rc = bind_inproc(self, endpoint)
    else:
        rc = bind_stream(self, endpoint)
    if rc != 0:
        endpoint_free(endpoint)
        return rc
    add(self, endpoint)
    remember(self, endpoint.resolved)
    return 0


cdef void on_acceptable(void *arg, uint32_t events) noexcept nogil:
    cdef endpoint_t *self = <endpoint_t *>arg
    cdef host_t *host = self.owner.host
    cdef char text[ENDPOINT_BYTES_MAX]
    cdef int rc, _
    cdef int fd = -1
    for _ in range(ACCEPTS_MAX):
        rc = transport_accept(self.watch.fd, self.address.kind, &self.terms.options.transport, &fd)
        if rc == -EAGAIN:
            return
        if rc != 0:
            # Out of descriptors, most likely: the waiting connection would keep us busy. Look again in a while.
            monitor_raise(&host.monitor, EVENT_ACCEPT_FAILED, -rc, self.resolved)
            poller_watch(&host.poller, &self.watch, 0)
            timers_set(&host.timers, &self.rest_timer, zc_now_us() + ACCEPT_REST_US)
            return
        if not filter_passes(&self.terms.options, self.address.kind, fd):
            close(fd)
            monitor_raise(&host.monitor, EVENT_ACCEPT_FAILED, EACCES, self.resolved)
            continue
        if host.monitor.wanted & EVENT_ACCEPTED and transport_own_text(fd, self.address.kind, text) == 0:
            monitor_raise(&host.monitor, EVENT_ACCEPTED, fd, text)
        engine_new_accepted(host, self.address.kind, fd, self.terms, self)


cdef void on_rested(void *arg) noexcept nogil:
    cdef endpoint_t *self = <endpoint_t *>arg
    if self.watch.fd >= 0:
        poller_watch(&self.owner.host.poller, &self.watch, REACTOR_IN)


# --- connect --------------------------------------------------------------------------------------------------------------

cdef bint is_connected_once(endpoints_t *self, const char *text) noexcept nogil:
    # DEALER, SUB, PUB and REQ connect to one endpoint only once.
    cdef endpoint_t *endpoint = self.first
    cdef int type = self.host.options.type
    if type not in (TYPE_DEALER, TYPE_SUB, TYPE_PUB, TYPE_REQ):
        return False
    while endpoint != NULL:
        if not endpoint.is_bound and endpoint.address.kind != TRANSPORT_INPROC and strcmp(endpoint.address.text, text) == 0:
            return True
        endpoint = endpoint.next
    return False


cdef int connect_inproc(endpoints_t *self, endpoint_t *endpoint) noexcept nogil:
    cdef inproc_end_t end
    cdef link_t *link = NULL
    cdef engine_t *engine
    cdef int rc = own_end(self, &end)
    if rc == 0:
        link = link_new(end.mailbox, end.sndhwm, end.rcvhwm, end.is_conflated, end.id)
        if link == NULL:
            rc = -ENOMEM
    if end.id != NULL:
        store_unref(end.id)
    if rc != 0:
        return rc
    rc = context_connect_inproc(self.context, endpoint.address.host, link)
    if rc != 0:
        link_leave(link, LINK_CONNECTOR)
        link_unref(link)
        return rc
    endpoint.is_waiting = True
    engine = engine_new_linked(self.host, link, LINK_CONNECTOR, endpoint)
    if engine == NULL:
        context_forget_inproc(self.context, link)
        return -ENOMEM
    self.ops.attach(self.arg, engine)
    if engine.state != ENGINE_DEAD:
        endpoint.engine = engine
    return 0


cdef int connect_stream(endpoints_t *self, endpoint_t *endpoint) noexcept nogil:
    cdef engine_t *engine
    cdef terms_t *terms
    cdef int rc = self.ops.open(self.arg)
    if rc != 0:
        return rc
    terms = host_terms(self.host)
    if terms == NULL:
        return -ENOMEM
    engine = engine_new_connector(self.host, &endpoint.address, terms, endpoint)
    terms_unref(terms)
    if engine == NULL:
        return -ENOMEM
    if not self.host.options.immediate:
        self.ops.attach(self.arg, engine)
    # A PAIR may have turned it away at once.
    if engine.state != ENGINE_DEAD:
        endpoint.engine = engine
    return 0


cdef int endpoints_connect(endpoints_t *self, const char *text, size_t size) noexcept nogil:
    cdef address_t address
    cdef endpoint_t *endpoint
    cdef int rc = transport_parse(text, size, False, self.host.options.transport.ipv6, &address)
    if rc != 0:
        return rc
    if is_connected_once(self, address.text):
        return 0
    endpoint = endpoint_new(self, &address, False)
    if endpoint == NULL:
        return -ENOMEM
    if address.kind == TRANSPORT_INPROC:
        rc = connect_inproc(self, endpoint)
    else:
        rc = connect_stream(self, endpoint)
    if rc != 0:
        endpoint_free(endpoint)
        return rc
    add(self, endpoint)
    remember(self, endpoint.address.text)
    if address.kind != TRANSPORT_INPROC and endpoint.engine != NULL:
        engine_connect(endpoint.engine)
    host_attend(self.host)
    return 0


# --- taking back ------------------------------------------------------------------------------------------------------------

cdef void close_listener(endpoint_t *self) noexcept nogil:
    cdef endpoints_t *owner = self.owner
    cdef monitor_t *monitor = &owner.host.monitor
    cdef int fd = self.watch.fd
    cdef int rc
    if self.address.kind == TRANSPORT_INPROC:
        context_unbind_inproc(owner.context, self.address.host, owner.host.mailbox)
        return
    poller_unwatch(&owner.host.poller, &self.watch)
    timers_cancel(&owner.host.timers, &self.rest_timer)
    self.watch.fd = -1
    rc = transport_unlisten(&self.address, self.resolved, fd)
    if rc == 0:
        monitor_raise(monitor, EVENT_CLOSED, fd, self.resolved)
    else:
        monitor_raise(monitor, EVENT_CLOSE_FAILED, -rc, self.resolved)


cdef void let_go(endpoint_t *self) noexcept nogil:
    cdef endpoints_t *owner = self.owner
    cdef engine_t *engine = self.engine
    if self.is_bound:
        close_listener(self)
    elif engine != NULL:
        self.engine = NULL
        engine.endpoint = NULL
        if self.is_waiting:
            context_forget_inproc(owner.context, engine.link)
        owner.ops.disconnect(owner.arg, engine)


cdef const char *known_by(const endpoint_t *self) noexcept nogil:
    # A listener goes by what its text has become, a connector by the text that it was given.
    if self.is_bound:
        return self.resolved
    return self.address.text


cdef bint remove(endpoints_t *self, const char *text, bint is_bound) noexcept nogil:
    # Several connectors of one text go together. Whether there was one.
    cdef endpoint_t **at = &self.first
    cdef endpoint_t *endpoint
    cdef bint is_found = False
    free_dead(self)
    while at[0] != NULL and not (is_found and is_bound):
        endpoint = at[0]
        if endpoint.is_bound != is_bound or strcmp(known_by(endpoint), text) != 0:
            at = &endpoint.next
            continue
        is_found = True
        at[0] = endpoint.next
        let_go(endpoint)
        endpoint_bury(endpoint)
    free_dead(self)
    host_attend(self.host)
    return is_found


cdef int figures_of(endpoints_t *self, const address_t *address, char *out) noexcept nogil:
    # UNLOCKS when a name server has to be asked.
    cdef host_t *host = self.host
    cdef bint ipv6 = host.options.transport.ipv6
    cdef int rc
    if not transport_needs_resolver(address):
        return transport_figures(address, ipv6, out)
    host.turns += 1
    pthread_mutex_unlock(&host.lock)
    rc = transport_figures(address, ipv6, out)
    pthread_mutex_lock(&host.lock)
    host.turns -= 1
    return rc


cdef int take_back(endpoints_t *self, const char *text, size_t size, bint is_bound) noexcept nogil:
    # Programs may unbind what they have connected, and the other way round: to libzmq it is the same.
    cdef address_t address
    cdef char figures[ENDPOINT_BYTES_MAX]
    cdef int rc = transport_parse(text, size, is_bound, self.host.options.transport.ipv6, &address)
    # Malformed text and foreign schemes have their errnos here too; an address that cannot be is merely not found.
    if rc != 0 and address.kind == 0:
        return rc
    if remove(self, address.text, is_bound) or remove(self, address.text, not is_bound):
        return 0
    if rc != 0 or figures_of(self, &address, figures) != 0:
        return -ENOENT
    return 0 if remove(self, figures, is_bound) or remove(self, figures, not is_bound) else -ENOENT


cdef int endpoints_unbind(endpoints_t *self, const char *text, size_t size) noexcept nogil:
    return take_back(self, text, size, True)


cdef int endpoints_disconnect(endpoints_t *self, const char *text, size_t size) noexcept nogil:
    return take_back(self, text, size, False)


cdef void endpoints_forget(endpoints_t *self, engine_t *engine) noexcept nogil:
    cdef endpoint_t *endpoint = self.first
    while endpoint != NULL:
        if endpoint.engine == engine:
            endpoint.engine = NULL
        endpoint = endpoint.next


cdef void endpoints_close(endpoints_t *self) noexcept nogil:
    cdef endpoint_t *endpoint
    while self.first != NULL:
        endpoint = self.first
        self.first = endpoint.next
        let_go(endpoint)
        endpoint_bury(endpoint)
    free_dead(self)


cdef void endpoints_fini(endpoints_t *self) noexcept nogil:
    endpoints_close(self)
