# zmqcore/_reactor.pyx -- see the door for contracts.
#
# Linux: an epoll set a socket, nested in the epoll set of its I/O thread, so that handing a socket over between the
# I/O thread and a caller is one epoll_ctl however many connections it has. Timers of a socket share one timerfd in its
# own set: a nested set cannot pass a timeout up. Level-triggered throughout: a reader that stops early is called again.
from libc.stdint cimport int64_t, uint32_t, uint64_t
from zmqcore._limits cimport ADOPTION_US, QUIET_TICKS, REACTOR_EVENTS_MAX
from zmqcore._sys cimport (
    ENOENT, ENOMEM, POLLIN, calloc, close, errno, free, poll, pollfd, pthread_join, pthread_mutex_destroy,
    pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, read, realloc, write, zc_add,
    zc_check, zc_load, zc_now_us, zc_swap, zc_thread_start,
)

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        void *ptr
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event *event)
    int epoll_wait(int epfd, epoll_event *events, int room, int timeout_ms)
    enum:
        EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, EPOLL_CLOEXEC

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int start, int flags)
    enum:
        EFD_NONBLOCK, EFD_CLOEXEC

cdef extern from * nogil:
    """
    #include <sys/timerfd.h>
    #include <sys/prctl.h>
    /* Arms fd for an absolute time of zc_now_us(); 0 disarms. 0 or -1. */
    static inline int zc_timerfd_set(int fd, uint64_t due_us) {
        struct itimerspec spec;
        memset(&spec, 0, sizeof spec);
        if (due_us) {
            due_us -= 1u;
            spec.it_value.tv_sec = (time_t)(due_us / 1000000u);
            spec.it_value.tv_nsec = (long)(due_us % 1000000u) * 1000L + 1L;
        }
        return timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL);
    }
    static inline int zc_timerfd_new(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC); }
    static inline void zc_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
    """
    int zc_timerfd_set(int fd, uint64_t due_us)
    int zc_timerfd_new()
    void zc_thread_name(const char *name)


cdef inline int timeout_ms_of(int64_t timeout_us) noexcept nogil:
    # Rounded up: a wait that ends early would only be repeated.
    if timeout_us < 0:
        return -1
    if timeout_us > 2000000000000LL:
        return 2000000000
    return <int>((timeout_us + 999) // 1000)


cdef inline void drain(int fd) noexcept nogil:
    cdef uint64_t count
    cdef ssize_t done = read(fd, &count, sizeof(count))
    void_of(done)


cdef inline void void_of(ssize_t ignored) noexcept nogil:
    pass


cdef inline void signal_fd(int fd) noexcept nogil:
    # A failed write means that the counter is full: the fd is readable already.
    cdef uint64_t one = 1
    void_of(write(fd, &one, sizeof(one)))


# --- poll set ---------------------------------------------------------------------------------------------------------

cdef int poller_open(poller_t *self) noexcept nogil:
    # The timer's fd is made now: when descriptors run out, timers are what helps.
    cdef epoll_event event
    cdef int rc = 0
    self.timer_due_us = 0
    self.timer_fd = -1
    self.fd = epoll_create1(EPOLL_CLOEXEC)
    if self.fd < 0:
        return -errno
    self.timer_fd = zc_timerfd_new()
    if self.timer_fd < 0:
        rc = -errno
    else:
        event.events = EPOLLIN
        event.data.ptr = NULL
        if epoll_ctl(self.fd, EPOLL_CTL_ADD, self.timer_fd, &event) != 0:
            rc = -errno
    if rc != 0:
        poller_close(self)
    return rc


cdef void poller_close(poller_t *self) noexcept nogil:
    if self.timer_fd >= 0:
        close(self.timer_fd)
    if self.fd >= 0:
        close(self.fd)
    self.fd = -1
    self.timer_fd = -1


cdef int poller_watch(poller_t *self, watch_t *watch, uint32_t events) noexcept nogil:
    cdef epoll_event event
    if watch.is_added and watch.events == events:
        return 0
    event.events = (EPOLLIN if events & REACTOR_IN else 0) | (EPOLLOUT if events & REACTOR_OUT else 0)
    event.data.ptr = watch
    if epoll_ctl(self.fd, EPOLL_CTL_MOD if watch.is_added else EPOLL_CTL_ADD, watch.fd, &event) != 0:
        return -errno
    watch.is_added = True
    watch.events = events
    return 0


cdef void poller_unwatch(poller_t *self, watch_t *watch) noexcept nogil:
    cdef epoll_event event
    if watch.is_added:
        epoll_ctl(self.fd, EPOLL_CTL_DEL, watch.fd, &event)
    watch.is_added = False
    watch.events = 0
    watch.fn = NULL


cdef int poller_set_timer(poller_t *self, uint64_t due_us) noexcept nogil:
    if self.timer_due_us == due_us or self.fd < 0:
        return 0
    self.timer_due_us = due_us
    return 0 if zc_timerfd_set(self.timer_fd, due_us) == 0 else -errno


cdef int poller_wait(poller_t *self, ready_t *out, int room, int64_t timeout_us) noexcept nogil:
    cdef epoll_event events[REACTOR_EVENTS_MAX]
    cdef int got, i, count = 0
    cdef uint32_t bits
    if room > REACTOR_EVENTS_MAX:
        room = REACTOR_EVENTS_MAX
    got = epoll_wait(self.fd, events, room, timeout_ms_of(timeout_us))
    if got < 0:
        return -errno
    for i in range(got):
        if events[i].data.ptr == NULL:
            drain(self.timer_fd)
            continue
        bits = 0
        if events[i].events & EPOLLIN:
            bits |= REACTOR_IN
        if events[i].events & EPOLLOUT:
            bits |= REACTOR_OUT
        if events[i].events & (EPOLLERR | EPOLLHUP):
            bits |= REACTOR_FAILED
        out[count].watch = <watch_t *>events[i].data.ptr
        out[count].events = bits
        count += 1
    return count


cdef int poller_wait_fds(const int *fds, int count, int64_t timeout_us, bint *is_ready) noexcept nogil:
    cdef pollfd slots[POLLER_FDS_MAX]
    cdef int i, rc
    for i in range(count):
        slots[i].fd = fds[i]
        slots[i].events = POLLIN
        slots[i].revents = 0
    rc = poll(slots, count, timeout_ms_of(timeout_us))
    if rc < 0:
        return -errno
    for i in range(count):
        is_ready[i] = slots[i].revents != 0
    return rc


# --- timers -----------------------------------------------------------------------------------------------------------

cdef void timers_init(timers_t *self, poller_t *poller) noexcept nogil:
    self.heap = NULL
    self.count = self.room = self.reserved = 0
    self.poller = poller


cdef void timers_fini(timers_t *self) noexcept nogil:
    free(self.heap)
    self.heap = NULL
    self.count = self.room = 0


cdef int timers_reserve(timers_t *self, uint32_t count) noexcept nogil:
    cdef uint32_t want = self.reserved + count
    cdef timer_t **grown
    if want > self.room:
        grown = <timer_t **>realloc(self.heap, 2 * want * sizeof(timer_t *))
        if grown == NULL:
            return -ENOMEM
        self.heap = grown
        self.room = 2 * want
    self.reserved = want
    return 0


cdef void timers_unreserve(timers_t *self, uint32_t count) noexcept nogil:
    self.reserved -= count


cdef inline void heap_put(timers_t *self, uint32_t at, timer_t *timer) noexcept nogil:
    self.heap[at] = timer
    timer.slot = at + 1


cdef void heap_up(timers_t *self, uint32_t at) noexcept nogil:
    cdef timer_t *timer = self.heap[at]
    cdef uint32_t parent
    while at > 0:
        parent = (at - 1) // 2
        if self.heap[parent].due_us <= timer.due_us:
            break
        heap_put(self, at, self.heap[parent])
        at = parent
    heap_put(self, at, timer)


cdef void heap_down(timers_t *self, uint32_t at) noexcept nogil:
    cdef timer_t *timer = self.heap[at]
    cdef uint32_t child
    while True:
        child = 2 * at + 1
        if child >= self.count:
            break
        if child + 1 < self.count and self.heap[child + 1].due_us < self.heap[child].due_us:
            child += 1
        if timer.due_us <= self.heap[child].due_us:
            break
        heap_put(self, at, self.heap[child])
        at = child
    heap_put(self, at, timer)


cdef void timers_set(timers_t *self, timer_t *timer, uint64_t due_us) noexcept nogil:
    timers_cancel(self, timer)
    zc_check(self.count < self.room)
    timer.due_us = due_us
    self.heap[self.count] = timer
    timer.slot = self.count + 1
    self.count += 1
    heap_up(self, self.count - 1)
    # A later due time stays set: the expiry finds nothing due and sets the next one.
    if self.poller.timer_due_us == 0 or due_us < self.poller.timer_due_us:
        poller_set_timer(self.poller, self.heap[0].due_us)


cdef void timers_cancel(timers_t *self, timer_t *timer) noexcept nogil:
    cdef uint32_t at
    cdef timer_t *last
    if timer.slot == 0:
        return
    at = timer.slot - 1
    timer.slot = 0
    self.count -= 1
    if at == self.count:
        return
    last = self.heap[self.count]
    heap_put(self, at, last)
    heap_up(self, at)
    heap_down(self, last.slot - 1)


cdef void timers_run(timers_t *self, uint64_t now_us) noexcept nogil:
    cdef timer_t *timer
    if self.poller.timer_due_us == 0 or now_us < self.poller.timer_due_us:
        return
    while self.count and self.heap[0].due_us <= now_us:
        timer = self.heap[0]
        timers_cancel(self, timer)
        timer.fn(timer.arg)
    self.poller.timer_due_us = 0
    poller_set_timer(self.poller, self.heap[0].due_us if self.count else 0)


# --- mailbox ------------------------------------------------------------------------------------------------------------

cdef mailbox_t *mailbox_new() noexcept nogil:
    cdef mailbox_t *self = <mailbox_t *>calloc(1, sizeof(mailbox_t))
    if self == NULL:
        return NULL
    if pthread_mutex_init(&self.lock, NULL) != 0:
        free(self)
        return NULL
    self.refs = 1
    self.fd = -1
    self.is_open = True
    return self


cdef void mailbox_ref(mailbox_t *self) noexcept nogil:
    zc_add(&self.refs, 1)


cdef void mailbox_unref(mailbox_t *self) noexcept nogil:
    if zc_add(&self.refs, -1) == 0:
        if self.fd >= 0:
            close(self.fd)
        pthread_mutex_destroy(&self.lock)
        free(self)


cdef int mailbox_open(mailbox_t *self) noexcept nogil:
    if self.fd < 0:
        self.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if self.fd < 0:
            return -errno
    return 0


cdef post_t *mailbox_close(mailbox_t *self) noexcept nogil:
    cdef post_t *head
    pthread_mutex_lock(&self.lock)
    self.is_open = False
    pthread_mutex_unlock(&self.lock)
    head = mailbox_take(self)
    return head


cdef int mailbox_post(mailbox_t *self, post_t *post, bint *is_asleep) noexcept nogil:
    cdef int rc = 1
    is_asleep[0] = False
    pthread_mutex_lock(&self.lock)
    if not self.is_open:
        rc = -ENOENT
    elif post.is_queued:
        rc = 0
    else:
        post.is_queued = True
        post.next_queued = NULL
        if self.tail != NULL:
            self.tail.next_queued = post
        else:
            self.head = post
        self.tail = post
    pthread_mutex_unlock(&self.lock)
    if rc > 0:
        is_asleep[0] = mailbox_mark(self)
    return rc


cdef inline bint mailbox_mark(mailbox_t *self) noexcept nogil:
    # R3 on any machine: both sides exchange `armed`. If ours comes first, the owner's reads from it, or from a later one, and
    # so sees our `pending` with the load behind it; if the owner's comes first, ours finds 1 and writes the fd.
    zc_swap(&self.pending, 1)
    return zc_swap(&self.armed, 0) != 0


cdef void mailbox_wake(mailbox_t *self) noexcept nogil:
    signal_fd(self.fd)


cdef void mailbox_ring(mailbox_t *self) noexcept nogil:
    if mailbox_mark(self):
        signal_fd(self.fd)


cdef bint mailbox_arm(mailbox_t *self) noexcept nogil:
    zc_swap(&self.armed, 1)
    if zc_load(&self.pending) == 0:
        return True
    mailbox_disarm(self)
    return False


cdef void mailbox_disarm(mailbox_t *self) noexcept nogil:
    zc_swap(&self.armed, 0)


cdef void mailbox_heard(mailbox_t *self) noexcept nogil:
    # Also of a ring that came late, after its owner had been disarmed.
    zc_swap(&self.armed, 0)
    drain(self.fd)


cdef post_t *mailbox_take(mailbox_t *self) noexcept nogil:
    cdef post_t *head
    cdef post_t *post
    zc_swap(&self.pending, 0)
    pthread_mutex_lock(&self.lock)
    head = self.head
    self.head = NULL
    self.tail = NULL
    post = head
    while post != NULL:
        # A link of its own for the taker: without the lock it would follow those of posts that come back (R4).
        post.next = post.next_queued
        post.is_queued = False
        post = post.next
    pthread_mutex_unlock(&self.lock)
    return head


# --- I/O threads ----------------------------------------------------------------------------------------------------------

cdef void *io_main(void *arg) noexcept nogil:
    cdef io_thread_t *self = <io_thread_t *>arg
    cdef epoll_event events[REACTOR_EVENTS_MAX]
    cdef nest_t *nest
    cdef nest_t *dead
    cdef uint64_t next_tick_us = 0
    cdef uint64_t now_us
    cdef int got, i, quiet = 0
    cdef bint is_stopping = False
    zc_thread_name(self.name)
    while not is_stopping:
        got = epoll_wait(self.fd, events, REACTOR_EVENTS_MAX,
                         ADOPTION_US // 1000 if zc_load(&self.ticking) else -1)
        for i in range(got if got > 0 else 0):
            nest = <nest_t *>events[i].data.ptr
            if nest == NULL:
                drain(self.wake_fd)
            else:
                nest.ready(nest.arg)
        if zc_load(&self.ticking):
            now_us = zc_now_us()
            if now_us >= next_tick_us:
                next_tick_us = now_us + ADOPTION_US
                quiet = io_tick(self, now_us, quiet)
        pthread_mutex_lock(&self.lock)
        dead = self.dead
        self.dead = NULL
        is_stopping = self.is_stopping
        pthread_mutex_unlock(&self.lock)
        while dead != NULL:
            nest = dead
            dead = dead.next_dead
            io_bury_one(self, nest)
    return NULL


cdef int io_tick(io_thread_t *self, uint64_t now_us, int quiet) noexcept nogil:
    # Visits the adopted sockets; the number of ticks in a row in which every owner was inside.
    cdef nest_t *nest
    cdef nest_t *next
    cdef bint is_quiet = True
    pthread_mutex_lock(&self.lock)
    # Cleared before the look, so that an owner who leaves after our look finds it clear and wakes us (io_left).
    if quiet >= QUIET_TICKS:
        zc_swap(&self.ticking, 0)
    nest = self.adopted
    while nest != NULL:
        next = nest.next
        if nest.tick(nest.arg, now_us) == NEST_OUTSIDE:
            is_quiet = False
        nest = next
    if not is_quiet:
        zc_swap(&self.ticking, 1)
    pthread_mutex_unlock(&self.lock)
    return quiet + 1 if is_quiet else 0


cdef int io_thread_start(io_thread_t *self, const char *name) noexcept nogil:
    cdef epoll_event event
    cdef int i, rc
    self.adopted = NULL
    self.dead = NULL
    self.is_stopping = False
    self.is_running = False
    self.load = self.ticking = 0
    for i in range(15):
        self.name[i] = name[i]
        if name[i] == 0:
            break
    self.name[15] = 0
    self.fd = epoll_create1(EPOLL_CLOEXEC)
    if self.fd < 0:
        return -errno
    self.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
    if self.wake_fd < 0:
        rc = -errno
        close(self.fd)
        return rc
    event.events = EPOLLIN
    event.data.ptr = NULL
    if epoll_ctl(self.fd, EPOLL_CTL_ADD, self.wake_fd, &event) != 0:
        rc = -errno
    else:
        rc = -pthread_mutex_init(&self.lock, NULL)
        if rc == 0:
            rc = -zc_thread_start(&self.thread, io_main, self)
            if rc != 0:
                pthread_mutex_destroy(&self.lock)
    if rc != 0:
        close(self.wake_fd)
        close(self.fd)
        return rc
    self.is_running = True
    return 0


cdef void io_thread_stop(io_thread_t *self) noexcept nogil:
    if not self.is_running:
        return
    pthread_mutex_lock(&self.lock)
    self.is_stopping = True
    pthread_mutex_unlock(&self.lock)
    signal_fd(self.wake_fd)
    pthread_join(self.thread, NULL)
    self.is_running = False
    close(self.wake_fd)
    close(self.fd)
    pthread_mutex_destroy(&self.lock)


cdef int io_nest(io_thread_t *self, nest_t *nest) noexcept nogil:
    cdef epoll_event event
    event.events = EPOLLIN
    event.data.ptr = nest
    if epoll_ctl(self.fd, EPOLL_CTL_ADD, nest.fd, &event) != 0:
        return -errno
    nest.io = self
    nest.is_nested = True
    nest.is_adopted = False
    zc_add(&self.load, 1)
    return 0


cdef void io_adopt(nest_t *nest) noexcept nogil:
    cdef io_thread_t *self = nest.io
    cdef epoll_event event
    if not nest.is_nested or nest.is_adopted:
        return
    event.events = 0
    event.data.ptr = nest
    pthread_mutex_lock(&self.lock)
    epoll_ctl(self.fd, EPOLL_CTL_MOD, nest.fd, &event)
    nest.is_adopted = True
    nest.prev = NULL
    nest.next = self.adopted
    if self.adopted != NULL:
        self.adopted.prev = nest
    self.adopted = nest
    pthread_mutex_unlock(&self.lock)


cdef void io_release_locked(nest_t *nest) noexcept nogil:
    cdef io_thread_t *self = nest.io
    cdef epoll_event event
    if not nest.is_adopted:
        return
    if nest.prev != NULL:
        nest.prev.next = nest.next
    else:
        self.adopted = nest.next
    if nest.next != NULL:
        nest.next.prev = nest.prev
    nest.is_adopted = False
    event.events = EPOLLIN
    event.data.ptr = nest
    epoll_ctl(self.fd, EPOLL_CTL_MOD, nest.fd, &event)


cdef void io_release(nest_t *nest) noexcept nogil:
    if not nest.is_nested:
        return
    pthread_mutex_lock(&nest.io.lock)
    io_release_locked(nest)
    pthread_mutex_unlock(&nest.io.lock)


cdef void io_left(io_thread_t *self) noexcept nogil:
    if zc_load(&self.ticking) == 0:
        zc_swap(&self.ticking, 1)
        signal_fd(self.wake_fd)


cdef void io_bury(nest_t *nest) noexcept nogil:
    cdef io_thread_t *self = nest.io
    pthread_mutex_lock(&self.lock)
    nest.next_dead = self.dead
    self.dead = nest
    # Before the unlock: behind it the thread may bury the last socket, and the context end and free the thread.
    signal_fd(self.wake_fd)
    pthread_mutex_unlock(&self.lock)


cdef void io_bury_one(io_thread_t *self, nest_t *nest) noexcept nogil:
    cdef epoll_event event
    pthread_mutex_lock(&self.lock)
    io_release_locked(nest)
    pthread_mutex_unlock(&self.lock)
    epoll_ctl(self.fd, EPOLL_CTL_DEL, nest.fd, &event)
    nest.is_nested = False
    zc_add(&self.load, -1)
    nest.bury(nest.arg)
