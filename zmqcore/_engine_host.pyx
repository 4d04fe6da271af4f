# zmqcore/_engine_host.pyx -- see the door.
from libc.stdint cimport int32_t, uint32_t, uint64_t
from zmqcore._engine cimport engine_attend, engine_free, engine_t
from zmqcore._limits cimport HANDSHAKES_A_TURN, LENT_BYTES_MAX
from zmqcore._message cimport store_unref
from zmqcore._monitor cimport monitor_fini
from zmqcore._reactor cimport (
    REACTOR_IN, mailbox_heard, mailbox_new, mailbox_open, mailbox_unref, mailbox_wake, poller_close, poller_open,
    poller_watch, timers_fini, timers_init, timers_run,
)
from zmqcore._sys cimport (
    ENOMEM, memset, pthread_atfork, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, zc_add,
    zc_check, zc_now_us, zc_store,
)
from zmqcore._terms cimport terms_new, terms_ref, terms_unref


cdef int host_init(host_t *self, options_t *options, const host_ops_t *ops, void *arg) noexcept nogil:
    memset(self, 0, sizeof(host_t))
    self.poller.fd = -1
    self.poller.timer_fd = -1
    self.options = options
    self.ops = ops
    self.arg = arg
    self.mailbox = mailbox_new()
    if self.mailbox == NULL:
        return -ENOMEM
    if pthread_mutex_init(&self.lock, NULL) != 0:
        mailbox_unref(self.mailbox)
        return -ENOMEM
    timers_init(&self.timers, &self.poller)
    self.random = zc_now_us() ^ <uint64_t><size_t>self
    return 0


cdef void host_fini(host_t *self) noexcept nogil:
    zc_check(self.engines == NULL)
    zc_check(self.turns == 0)
    host_bury(self)
    host_forget_terms(self)
    if self.lent != NULL:
        zc_add(&lent_bytes, -<int32_t>self.lent.size)
        store_unref(self.lent)
    monitor_fini(&self.monitor)
    timers_fini(&self.timers)
    poller_close(&self.poller)
    host_wake(self)
    mailbox_unref(self.mailbox)
    pthread_mutex_destroy(&self.lock)


cdef void host_on_ring(void *arg, uint32_t events) noexcept nogil:
    # The posts themselves are taken by the socket, which looks at its mailbox on every entry.
    mailbox_heard((<host_t *>arg).mailbox)


cdef int host_open(host_t *self) noexcept nogil:
    cdef int rc
    if self.poller.fd >= 0:
        return 0
    rc = mailbox_open(self.mailbox)
    if rc == 0:
        rc = poller_open(&self.poller)
    if rc != 0:
        return rc
    self.mailbox.watch.fd = self.mailbox.fd
    self.mailbox.watch.fn = host_on_ring
    self.mailbox.watch.arg = self
    rc = poller_watch(&self.poller, &self.mailbox.watch, REACTOR_IN)
    if rc != 0:
        self.mailbox.watch.is_added = False
        poller_close(&self.poller)
    return rc


cdef terms_t *host_terms(host_t *self) noexcept nogil:
    if self.terms == NULL:
        self.terms = terms_new(self.options)
    return terms_ref(self.terms) if self.terms != NULL else NULL


cdef void host_forget_terms(host_t *self) noexcept nogil:
    terms_unref(self.terms)
    self.terms = NULL


cdef uint32_t host_random(host_t *self) noexcept nogil:
    # xorshift64*: jitter and starting points of counters, nothing secret.
    self.random ^= self.random >> 12
    self.random ^= self.random << 25
    self.random ^= self.random >> 27
    return <uint32_t>((self.random * <uint64_t>2685821657736338717) >> 32)


cdef int32_t lent_bytes = 0     # atomic: to all sockets


cdef void on_fork() noexcept nogil:
    # The parent's sockets are left alone here.
    global lent_bytes
    lent_bytes = 0


pthread_atfork(NULL, NULL, on_fork)


cdef store_t *host_lend(host_t *self, store_t *store) noexcept nogil:
    cdef store_t *before = self.lent
    cdef int32_t size = <int32_t>store.size
    zc_store(&self.wanted_bytes, 0)
    if zc_add(&lent_bytes, size) > LENT_BYTES_MAX:
        zc_add(&lent_bytes, -size)
        return store
    if before != NULL:
        zc_add(&lent_bytes, -<int32_t>before.size)
    self.lent = store
    return before


cdef store_t *host_borrow(host_t *self, size_t size) noexcept nogil:
    cdef store_t *store = self.lent
    # Longer memory will be cut, so what is wanted comes down slowly.
    self.body_bytes -= self.body_bytes // 8
    if size > <size_t>self.body_bytes:
        self.body_bytes = size
    if store != NULL and not size <= store.size <= 2 * size:
        store = NULL
    if store != NULL:
        self.lent = NULL
        zc_add(&lent_bytes, -<int32_t>store.size)
    zc_store(&self.wanted_bytes, self.body_bytes)
    return store


cdef void host_dispatch(host_t *self, ready_t *ready, int count) noexcept nogil:
    cdef int i
    self.turns += 1
    self.shakes_left = HANDSHAKES_A_TURN
    for i in range(count):
        # A handler before may have ended this one: its watch is kept, its fn is not.
        if ready[i].watch.fn != NULL:
            ready[i].watch.fn(ready[i].watch.arg, ready[i].events)
    if self.timers.count:
        timers_run(&self.timers, zc_now_us())
    host_attend(self)
    self.turns -= 1
    host_bury(self)


cdef void host_wake(host_t *self) noexcept nogil:
    if self.sleeper != NULL:
        mailbox_wake(self.sleeper)
        mailbox_unref(self.sleeper)
        self.sleeper = NULL


cdef void host_owe(host_t *self, mailbox_t *sleeper) noexcept nogil:
    if sleeper == NULL:
        return
    host_wake(self)
    self.sleeper = sleeper


cdef void pay_wake(host_t *self) noexcept nogil:
    # UNLOCKS.
    cdef mailbox_t *sleeper = self.sleeper
    self.sleeper = NULL
    pthread_mutex_unlock(&self.lock)
    mailbox_wake(sleeper)
    mailbox_unref(sleeper)
    pthread_mutex_lock(&self.lock)


cdef void host_attend(host_t *self) noexcept nogil:
    cdef engine_t *engine
    self.turns += 1
    if self.sleeper != NULL:
        pay_wake(self)
    while self.attention != NULL:
        engine = self.attention
        self.attention = engine.next_attention
        engine.in_attention = False
        engine_attend(engine)
    self.turns -= 1
    host_bury(self)


cdef void host_bury(host_t *self) noexcept nogil:
    cdef engine_t *engine
    if self.turns or self.dead == NULL:
        return
    while self.dead != NULL:
        engine = self.dead
        self.dead = engine.next_dead
        engine_free(engine)
