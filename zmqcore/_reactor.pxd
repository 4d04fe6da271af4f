# zmqcore/_reactor.pxd -- poll sets, timers, mailboxes, I/O threads (floor 1; knows nothing of its users).
# Handlers are (function, argument) pairs that the user stores in a watch, a timer or a nest: the only way up.
# Lock order: the user's lock -> io_thread_t.lock -> nothing; the user's lock -> mailbox_t.lock -> nothing.
# Invariants
#   R1  a watch is in the poll set exactly while is_added; its memory outlives the turn in which it was removed
#   R2  timers: heap[i].slot == i + 1; a timer with slot 0 is in no heap
#   R3  a mailbox that is armed and then gets a post or a ring has its fd readable
#   R4  a post that was taken can be queued again while the taker still walks: the two lists share no link
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from zmqcore._sys cimport pthread_mutex_t, pthread_t, zc_load

cdef enum:
    REACTOR_IN = 1
    REACTOR_OUT = 2
    REACTOR_FAILED = 4          # hang-up or error; reported always
    POLLER_FDS_MAX = 8

# --- poll set: one implementation file a system (here epoll); these seven functions are the port -------------------

ctypedef void (*watch_fn)(void *arg, uint32_t events) noexcept nogil

cdef struct watch_t:
    int fd
    uint32_t events             # REACTOR_IN | REACTOR_OUT asked for
    bint is_added
    watch_fn fn                 # NULL: skip events that are still on their way
    void *arg

cdef struct ready_t:
    watch_t *watch
    uint32_t events

cdef struct poller_t:
    int fd                      # can itself be waited for; -1 while closed
    int timer_fd
    uint64_t timer_due_us       # what timer_fd is set to; 0: nothing

cdef int poller_open(poller_t *self) noexcept nogil
cdef void poller_close(poller_t *self) noexcept nogil
# Adds the watch, or changes what it asks for (0 keeps it added for failures only). 0 or -errno.
cdef int poller_watch(poller_t *self, watch_t *watch, uint32_t events) noexcept nogil
cdef void poller_unwatch(poller_t *self, watch_t *watch) noexcept nogil
# Makes the poll set readable at due_us; 0 never. 0 or -errno.
cdef int poller_set_timer(poller_t *self, uint64_t due_us) noexcept nogil
# Waits; timeout_us < 0: for ever. Count (timer expiry is not counted but ends the wait), or -EINTR, -errno.
# The one function that blocks: call it without locks.
cdef int poller_wait(poller_t *self, ready_t *out, int room, int64_t timeout_us) noexcept nogil

# Waits for any of several poll sets (at most POLLER_FDS_MAX) to become readable; is_ready tells which. Count, or -errno. Blocks.
cdef int poller_wait_fds(const int *fds, int count, int64_t timeout_us, bint *is_ready) noexcept nogil

# --- timers --------------------------------------------------------------------------------------------------------

ctypedef void (*timer_fn)(void *arg) noexcept nogil

cdef struct timer_t:
    uint64_t due_us
    uint32_t slot               # place in the heap + 1; 0: not set
    timer_fn fn
    void *arg

cdef struct timers_t:           # a binary heap; the user's lock
    timer_t **heap
    uint32_t count
    uint32_t room
    uint32_t reserved           # timers promised to users; room >= reserved
    poller_t *poller            # told of an earlier due time

cdef void timers_init(timers_t *self, poller_t *poller) noexcept nogil
cdef void timers_fini(timers_t *self) noexcept nogil
# Promises room for so many more timers, so that timers_set cannot fail. 0; -ENOMEM.
cdef int timers_reserve(timers_t *self, uint32_t count) noexcept nogil
cdef void timers_unreserve(timers_t *self, uint32_t count) noexcept nogil
cdef void timers_set(timers_t *self, timer_t *timer, uint64_t due_us) noexcept nogil
cdef void timers_cancel(timers_t *self, timer_t *timer) noexcept nogil
# Calls what is due and sets the poll set's timer to the next one.
cdef void timers_run(timers_t *self, uint64_t now_us) noexcept nogil

# --- mailbox: how other threads reach whoever drives a socket -------------------------------------------------------

cdef struct post_t:             # intrusive; in at most one mailbox, once
    post_t *next                # of those taken; the taker's
    post_t *next_queued         # mailbox_t.lock, as is_queued
    bint is_queued
    void *arg

cdef struct mailbox_t:
    int32_t refs                # atomic
    int32_t armed               # atomic; 1 while somebody sleeps, or may sleep, on fd
    int32_t pending             # atomic; something came since the last mailbox_take
    int fd                      # set once by mailbox_open
    watch_t watch               # for the owner's poll set; owner's lock
    pthread_mutex_t lock        # guards the fields below
    bint is_open
    post_t *head
    post_t *tail

# refs is 1 on return; NULL: no memory.
cdef mailbox_t *mailbox_new() noexcept nogil
cdef void mailbox_ref(mailbox_t *self) noexcept nogil
cdef void mailbox_unref(mailbox_t *self) noexcept nogil
# Gives it an fd that becomes readable by posts and rings while armed. 0 or -errno. Owner's lock.
cdef int mailbox_open(mailbox_t *self) noexcept nogil
# Refuses posts from now on and hands out those that were queued.
cdef post_t *mailbox_close(mailbox_t *self) noexcept nogil
# Any thread. 1 queued now; 0 was queued already; -ENOENT closed (the post is not kept). is_asleep: mailbox_wake has to follow, when
# no lock is held that the owner may want: it runs at once, perhaps in our place.
cdef int mailbox_post(mailbox_t *self, post_t *post, bint *is_asleep) noexcept nogil
cdef void mailbox_wake(mailbox_t *self) noexcept nogil
# Any thread: wakes the owner without a post.
cdef void mailbox_ring(mailbox_t *self) noexcept nogil
# Announces sleep. Whether the owner may sleep (nothing came); when not, it is not armed.
cdef bint mailbox_arm(mailbox_t *self) noexcept nogil
# After the sleep: no more wake-ups through fd. One may be on its way, and be reported by the watch in this wait or the next one:
# mailbox_heard is for that.
cdef void mailbox_disarm(mailbox_t *self) noexcept nogil
cdef void mailbox_heard(mailbox_t *self) noexcept nogil
# All posts, oldest first, linked by next; clears pending. A post may be queued again from here on, so the taker has to walk
# to the end before it takes again.
cdef post_t *mailbox_take(mailbox_t *self) noexcept nogil

# Whether something came since the last mailbox_take. Any thread; under the owner's lock, where takes happen, a yes also
# says that a take is still to come.
cdef inline bint mailbox_has(const mailbox_t *self) noexcept nogil:
    return zc_load(&self.pending) != 0

# --- I/O threads ----------------------------------------------------------------------------------------------------

cdef enum nest_place:
    NEST_INSIDE = 0             # its owner is inside a blocking call
    NEST_OUTSIDE = 1            # outside, but not long enough
    NEST_TAKEN = 2              # taken back: io_release was called

cdef struct io_thread_t

# A socket's poll set as its I/O thread sees it.
cdef struct nest_t:
    io_thread_t *io
    int fd                      # the socket's poll set
    bint is_nested              # io_nest was called
    bint is_adopted             # io.lock
    nest_t *prev                # io.lock: io.adopted list
    nest_t *next
    nest_t *next_dead           # io.lock
    void *arg
    void (*ready)(void *arg) noexcept nogil                              # I/O thread, no lock held
    nest_place (*tick)(void *arg, uint64_t now_us) noexcept nogil        # I/O thread, under io.lock: must not wait for any lock
    void (*bury)(void *arg) noexcept nogil                               # I/O thread, no lock held; the last call

cdef struct io_thread_t:
    int fd                      # epoll of nests
    int wake_fd
    int32_t load                # atomic: nests
    int32_t ticking             # atomic
    pthread_t thread
    pthread_mutex_t lock        # guards the fields below
    bint is_running
    bint is_stopping
    nest_t *adopted
    nest_t *dead
    char name[16]

# Starts the thread (signals blocked, never touches Python). 0 or -errno.
cdef int io_thread_start(io_thread_t *self, const char *name) noexcept nogil
# Ends and joins it. The caller has made sure that no nest is left but dead ones.
cdef void io_thread_stop(io_thread_t *self) noexcept nogil
# From now on the I/O thread calls nest.ready when the poll set is readable. 0 or -errno.
cdef int io_nest(io_thread_t *self, nest_t *nest) noexcept nogil
# The caller drives the socket itself: the I/O thread looks away. Idempotent.
cdef void io_adopt(nest_t *nest) noexcept nogil
# The I/O thread looks again. Idempotent. From tick use io_release_locked.
cdef void io_release(nest_t *nest) noexcept nogil
cdef void io_release_locked(nest_t *nest) noexcept nogil
# An owner left a blocking call: makes sure that the I/O thread ticks.
cdef void io_left(io_thread_t *self) noexcept nogil
# The socket is finished: bury is called at the end of a turn, when no event can refer to it any more. Any thread.
cdef void io_bury(nest_t *nest) noexcept nogil
