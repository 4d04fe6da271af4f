"""zmqcore._reactor for its tests: wrappers that call back into Python, and threads that hammer a mailbox."""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from zmqcore._reactor cimport (
    NEST_INSIDE as _NEST_INSIDE, NEST_OUTSIDE as _NEST_OUTSIDE, NEST_TAKEN as _NEST_TAKEN, REACTOR_FAILED as
    _REACTOR_FAILED, REACTOR_IN as _REACTOR_IN, REACTOR_OUT as _REACTOR_OUT, io_adopt, io_bury, io_left, io_nest,
    io_release, io_release_locked, io_thread_start, io_thread_stop, io_thread_t, mailbox_arm, mailbox_close,
    mailbox_disarm, mailbox_has, mailbox_heard, mailbox_new, mailbox_open, mailbox_post, mailbox_ref, mailbox_ring,
    mailbox_t, mailbox_wake,
    mailbox_take, mailbox_unref, nest_place, nest_t, poller_close, poller_open, poller_set_timer, poller_t,
    POLLER_FDS_MAX, poller_unwatch, poller_wait, poller_wait_fds, poller_watch, post_t, ready_t, timer_t, timers_cancel,
    timers_fini, timers_init, timers_reserve, timers_run, timers_set, timers_t, timers_unreserve, watch_t,
)
from zmqcore._sys cimport (
    ENOENT as _ENOENT, pthread_create, pthread_join, pthread_t, write, zc_add, zc_load, zc_now_us, zc_store,
)

ENOENT = _ENOENT
IN = _REACTOR_IN
OUT = _REACTOR_OUT
FAILED = _REACTOR_FAILED
INSIDE = _NEST_INSIDE
OUTSIDE = _NEST_OUTSIDE
TAKEN = _NEST_TAKEN

cdef enum:
    READY_MAX = 64
    POSTS_MAX = 64
    POSTERS_MAX = 4


def now_us():
    return zc_now_us()


cdef class Watch:
    cdef watch_t at
    cdef readonly object name

    def __cinit__(self, int fd, name=None):
        self.at.fd = fd
        self.at.is_added = False
        self.at.events = 0
        self.at.fn = NULL
        self.at.arg = <void *>self
        self.name = name

    @property
    def is_added(self):
        return bool(self.at.is_added)


cdef class Poller:
    cdef poller_t at

    def __cinit__(self):
        self.at.fd = self.at.timer_fd = -1
        cdef int rc = poller_open(&self.at)
        if rc != 0:
            raise OSError(-rc, "poller_open")

    def __dealloc__(self):
        poller_close(&self.at)

    def close(self):
        poller_close(&self.at)
        assert self.at.fd == -1 and self.at.timer_fd == -1

    @property
    def fd(self):
        return self.at.fd

    @property
    def timer_due_us(self):
        return self.at.timer_due_us

    def watch(self, Watch watch not None, uint32_t events):
        return poller_watch(&self.at, &watch.at, events)

    def unwatch(self, Watch watch not None):
        poller_unwatch(&self.at, &watch.at)

    def set_timer(self, uint64_t due_us):
        return poller_set_timer(&self.at, due_us)

    def wait(self, int64_t timeout_us, int room=READY_MAX):
        """{name: events}, or the error"""
        cdef ready_t ready[READY_MAX]
        cdef int count
        assert room <= READY_MAX
        with nogil:
            count = poller_wait(&self.at, ready, room, timeout_us)
        if count < 0:
            return count
        return {(<Watch>ready[i].watch.arg).name: ready[i].events for i in range(count)}


def wait_fds(list fds not None, int64_t timeout_us):
    """Count of the readable ones, or -errno; and which they are."""
    cdef int copy[POLLER_FDS_MAX]
    cdef bint is_ready[POLLER_FDS_MAX]
    cdef int count = len(fds)
    cdef int rc
    assert count <= POLLER_FDS_MAX
    for i in range(count):
        copy[i] = fds[i]
        is_ready[i] = False
    with nogil:
        rc = poller_wait_fds(copy, count, timeout_us, is_ready)
    return rc, [fds[i] for i in range(count) if is_ready[i]]


# --- timers ---

cdef void on_timer(void *arg) noexcept with gil:
    timer = <Timer>arg
    timer.fired += 1
    timer.owner.order.append(timer.name)
    if timer.on_fire is not None:
        timer.on_fire()


cdef class Timer:
    cdef timer_t at
    cdef readonly object name
    cdef readonly Timers owner
    cdef readonly int fired
    cdef public object on_fire

    def __cinit__(self, Timers owner not None, name):
        self.at.due_us = 0
        self.at.slot = 0
        self.at.fn = on_timer
        self.at.arg = <void *>self
        self.owner = owner
        self.name = name
        self.fired = 0

    @property
    def is_set(self):
        return self.at.slot != 0


cdef class Timers:
    cdef timers_t at
    cdef Poller poller
    cdef readonly list order

    def __cinit__(self, Poller poller not None):
        self.poller = poller
        self.order = []
        timers_init(&self.at, &poller.at)

    def __dealloc__(self):
        timers_fini(&self.at)

    def reserve(self, uint32_t count):
        return timers_reserve(&self.at, count)

    def unreserve(self, uint32_t count):
        timers_unreserve(&self.at, count)

    def set(self, Timer timer not None, uint64_t due_us):
        timers_set(&self.at, &timer.at, due_us)

    def cancel(self, Timer timer not None):
        timers_cancel(&self.at, &timer.at)

    def run(self, uint64_t now):
        timers_run(&self.at, now)

    @property
    def count(self):
        return self.at.count

    def check(self):
        """R2, and the order of the heap."""
        cdef uint32_t i
        for i in range(self.at.count):
            if self.at.heap[i].slot != i + 1 or (i and self.at.heap[(i - 1) // 2].due_us > self.at.heap[i].due_us):
                return False
        return self.at.count <= self.at.room and self.at.reserved <= self.at.room


# --- mailbox ---

cdef int post_and_wake(mailbox_t *box, post_t *post) noexcept nogil:
    cdef bint is_asleep = False
    cdef int rc = mailbox_post(box, post, &is_asleep)
    if is_asleep:
        mailbox_wake(box)
    return rc


cdef struct poster_t:
    mailbox_t *box
    post_t *posts
    int32_t *posted             # one a post: how often mailbox_post took it
    int first
    int count
    int32_t rounds
    int32_t is_ringing          # rings too, without a post
    int32_t *running            # atomic


cdef void *post_all(void *arg) noexcept nogil:
    cdef poster_t *self = <poster_t *>arg
    cdef int32_t _
    cdef int i
    for _ in range(self.rounds):
        for i in range(self.first, self.first + self.count):
            if post_and_wake(self.box, &self.posts[i]) == 1:
                zc_add(&self.posted[i], 1)
        if self.is_ringing:
            mailbox_ring(self.box)
    zc_add(self.running, -1)
    mailbox_ring(self.box)
    return NULL


cdef class Mailbox:
    cdef mailbox_t *at
    cdef post_t posts[POSTS_MAX]
    cdef Poller poller
    cdef Watch watched

    def __cinit__(self):
        self.at = mailbox_new()
        for i in range(POSTS_MAX):
            self.posts[i].is_queued = False
            self.posts[i].arg = <void *><size_t>i

    def __dealloc__(self):
        if self.at != NULL:
            mailbox_close(self.at)
            mailbox_unref(self.at)

    def open(self, Poller poller=None):
        cdef int rc = mailbox_open(self.at)
        if rc == 0 and poller is not None:
            self.poller = poller
            self.at.watch.fd = self.at.fd
            self.at.watch.fn = NULL
            self.watched = Watch(self.at.fd, "mailbox")
            self.at.watch.arg = <void *>self.watched
            rc = poller_watch(&poller.at, &self.at.watch, _REACTOR_IN)
        return rc

    def ref(self):
        mailbox_ref(self.at)

    def unref(self):
        mailbox_unref(self.at)

    @property
    def refs(self):
        return self.at.refs

    @property
    def fd(self):
        return self.at.fd

    @property
    def has(self):
        return bool(mailbox_has(self.at))

    def post(self, int number):
        return post_and_wake(self.at, &self.posts[number])

    def ring(self):
        mailbox_ring(self.at)

    def ring_late(self):
        """The second half of a ring whose thread was held up between its two steps."""
        cdef uint64_t one = 1
        assert write(self.at.fd, &one, sizeof(one)) == sizeof(one)

    def arm(self):
        return bool(mailbox_arm(self.at))

    def disarm(self):
        mailbox_disarm(self.at)
        mailbox_heard(self.at)

    cdef list numbers(self, post_t *post):
        found = []
        while post != NULL:
            found.append(<size_t>post.arg)
            post = post.next
        return found

    def take(self):
        return self.numbers(mailbox_take(self.at))

    def close(self):
        return self.numbers(mailbox_close(self.at))

    def take_and_post_again(self):
        """Walks what was taken while each post is posted again before the walk goes on; the numbers seen."""
        cdef post_t *post = mailbox_take(self.at)
        seen = []
        while post != NULL:
            seen.append(<size_t>post.arg)
            assert post_and_wake(self.at, post) == 1 and len(seen) <= POSTS_MAX
            post = post.next
        return seen

    def hammer(self, int threads, int count, int32_t rounds, bint is_ringing, int64_t timeout_us):
        """Threads post their own posts round after round while this one sleeps and takes, as a socket does. (how often each
        was queued, how often each was taken, sleeps that lasted to the timeout)"""
        cdef pthread_t ids[POSTERS_MAX]
        cdef poster_t posters[POSTERS_MAX]
        cdef int32_t posted[POSTS_MAX]
        cdef int32_t taken[POSTS_MAX]
        cdef ready_t ready[READY_MAX]
        cdef int32_t running = threads
        cdef int32_t lost = 0
        cdef int started = 0
        cdef int i, got
        cdef post_t *post
        assert threads <= POSTERS_MAX and threads * count <= POSTS_MAX and self.poller is not None
        for i in range(POSTS_MAX):
            posted[i] = taken[i] = 0
        with nogil:
            for i in range(threads):
                posters[i].box = self.at
                posters[i].posts = self.posts
                posters[i].posted = posted
                posters[i].first = i * count
                posters[i].count = count
                posters[i].rounds = rounds
                posters[i].is_ringing = is_ringing
                posters[i].running = &running
                if pthread_create(&ids[i], NULL, post_all, &posters[i]) == 0:
                    started += 1
            while zc_load(&running) > 0 or mailbox_has(self.at):
                if mailbox_arm(self.at):
                    got = poller_wait(&self.poller.at, ready, READY_MAX, timeout_us)
                    if got == 0:
                        lost += 1
                        break
                    mailbox_disarm(self.at)
                    mailbox_heard(self.at)
                post = mailbox_take(self.at)
                while post != NULL:
                    taken[<size_t>post.arg] += 1
                    post = post.next
            for i in range(started):
                pthread_join(ids[i], NULL)
            post = mailbox_take(self.at)
            while post != NULL:
                taken[<size_t>post.arg] += 1
                post = post.next
        assert started == threads
        return [posted[i] for i in range(threads * count)], [taken[i] for i in range(threads * count)], lost


# --- I/O threads ---

cdef void on_ready(void *arg) noexcept nogil:
    # Reads nothing: a level-triggered set calls again until the test has taken the bytes away.
    zc_add(&(<nest_probe_t *>arg).readies, 1)


cdef nest_place on_tick(void *arg, uint64_t now_us) noexcept nogil:
    cdef nest_probe_t *self = <nest_probe_t *>arg
    cdef int32_t place = zc_load(&self.place)
    zc_add(&self.ticks, 1)
    if place == _NEST_TAKEN:
        io_release_locked(&self.nest)
    return <nest_place>place


cdef void on_bury(void *arg) noexcept nogil:
    zc_add(&(<nest_probe_t *>arg).buried, 1)


cdef struct nest_probe_t:
    nest_t nest
    int32_t place               # atomic, as what follows
    int32_t readies
    int32_t ticks
    int32_t buried


cdef class IoThread:
    cdef io_thread_t at
    cdef bint is_started

    def __cinit__(self, bytes name not None=b"probe"):
        cdef int rc = io_thread_start(&self.at, name)
        if rc != 0:
            raise OSError(-rc, "io_thread_start")
        self.is_started = True

    def __dealloc__(self):
        if self.is_started:
            self.stop()

    def stop(self):
        with nogil:
            io_thread_stop(&self.at)

    def left(self):
        io_left(&self.at)

    @property
    def load(self):
        return zc_load(&self.at.load)

    @property
    def is_ticking(self):
        return zc_load(&self.at.ticking) != 0


cdef class Nest:
    cdef nest_probe_t *at
    cdef IoThread io
    cdef Poller poller

    def __cinit__(self, IoThread io not None, Poller poller not None):
        self.io = io
        self.poller = poller
        self.at = <nest_probe_t *>calloc(1, sizeof(nest_probe_t))
        self.at.nest.fd = poller.at.fd
        self.at.nest.arg = self.at
        self.at.nest.ready = on_ready
        self.at.nest.tick = on_tick
        self.at.nest.bury = on_bury

    def __dealloc__(self):
        # The thread refers to it until it is buried, or gone.
        if self.at.nest.is_nested:
            self.bury()
            self.io.stop()
        free(self.at)

    def nest(self):
        return io_nest(&self.io.at, &self.at.nest)

    def adopt(self):
        with nogil:
            io_adopt(&self.at.nest)

    def release(self):
        with nogil:
            io_release(&self.at.nest)

    def bury(self):
        with nogil:
            io_bury(&self.at.nest)

    @property
    def place(self):
        return zc_load(&self.at.place)

    @place.setter
    def place(self, int32_t value):
        zc_store(&self.at.place, value)

    @property
    def is_adopted(self):
        return bool(self.at.nest.is_adopted)

    @property
    def is_nested(self):
        return bool(self.at.nest.is_nested)

    @property
    def readies(self):
        return zc_load(&self.at.readies)

    @property
    def ticks(self):
        return zc_load(&self.at.ticks)

    @property
    def buried(self):
        return zc_load(&self.at.buried)
