# zmqcore/_socket.pxd -- the socket: a monitor with its own poll set (floor 7).
#
# Whoever needs the message does the I/O: a thread inside a blocking call *adopts* the socket (the I/O thread looks away) and
# *drives* it: waits on its poll set, reads, decodes, encodes, writes. One thread drives at a time; others wait for it. When
# nobody is inside, the I/O thread drives.
#
# Lock order, for the whole package: GIL -> socket lock (host_t.lock) -> context_t.lock -> io_thread_t.lock -> mailbox_t.lock
# or link_t.lock. Never two sockets, except in the proxy, by address. Nobody waits for the GIL with any of them held. The
# lock is never held across a system call that moves data or waits.
#
# Lock:   taken inside every function here, unless it says "locked". Thread: any.
# Memory: counted: once by the Python handle, once by the open or lingering socket itself.
# Errors: negative errno of zmq.h.
# Invariants
#   K1  is_driven is set by exactly one thread at a time, under the lock; only that thread waits on the poll set
#   K2  while nobody drives and the nest is not adopted, the mailbox is armed, whatever is posted wakes the I/O thread; or nap is
#       set, and it wakes by itself
#   K3  a closed socket with no engines left, undriven, finishes exactly once, after its monitor
#   K4  who lets go of the lock, or sleeps, has sent the events that were queued, or another thread is at it
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from zmqcore._context cimport context_t, member_t
from zmqcore._endpoint cimport endpoints_t
from zmqcore._engine cimport engine_t, host_t
from zmqcore._message cimport msg_t
from zmqcore._options cimport options_t
from zmqcore._pattern cimport pattern_t
from zmqcore._reactor cimport mailbox_t, nest_t, timer_t
from zmqcore._sys cimport ENOTSOCK, ETERM, pthread_cond_t, zc_load

cdef struct socket_t:
    host_t host                 # first: the lock lives here
    int32_t refs                # atomic
    int32_t is_stopped          # atomic: the context has been terminated
    int32_t has_bell            # atomic: bell is there, for who has not the lock
    context_t *context
    member_t member
    nest_t nest
    options_t options
    pattern_t pattern
    endpoints_t endpoints
    # socket lock
    bint is_closed
    bint is_finished
    bint is_driven              # K1
    mailbox_t *bell             # whose fd is ZMQ_FD; NULL: nobody asked. Set once
    int told                    # SOCKET_POLL*: what EVENTS has told and the program has not used up
    bint has_fd                 # ZMQ_FD was asked for, and there is no I/O thread: it is the poll set, whoever waits drives
    bint is_asleep              # the driver is inside its wait
    bint is_changed             # readiness may have changed since the driver fell asleep
    uint32_t waiters            # threads that wait for the driver
    pthread_cond_t cond
    uint64_t left_us            # when the owner left its last blocking call
    msg_t incoming              # the message that recv hands out part by part
    uint32_t incoming_next
    int32_t has_more            # ZMQ_RCVMORE; written atomically, for those who read it without the lock
    msg_t outgoing              # the parts of a message whose last is still to come
    uint64_t sent_us            # flood detection, see hand_over of _socket_messages
    uint32_t sends_in_row
    int32_t is_stirred          # atomic: something changed since the driver fell asleep
    int spins                   # whether looking before sleep has paid, see spin_for_post
    timer_t nap                 # the I/O thread lets messages gather until then
    uint32_t nap_sends          # sends since then
    bint nap_is_long            # the next one is: the caller writes

# Flags as in zmq.h.
cdef enum:
    SOCKET_DONTWAIT = 1
    SOCKET_SNDMORE = 2
    SOCKET_POLLIN = 1
    SOCKET_POLLOUT = 2

# 0; -EINVAL no such type; -ETERM; -EMFILE; -ENOMEM.
cdef int socket_new(context_t *context, int32_t type, socket_t **out) noexcept nogil
cdef void socket_unref(socket_t *self) noexcept nogil
# Ends it as zmq_close(3) does: at once for the caller, LINGER (or *linger_ms, unless NULL) in the background. Idempotent.
cdef void socket_close(socket_t *self, const int32_t *linger_ms) noexcept nogil

cdef int socket_bind(socket_t *self, const char *text, size_t size) noexcept nogil
cdef int socket_connect(socket_t *self, const char *text, size_t size) noexcept nogil
cdef int socket_unbind(socket_t *self, const char *text, size_t size) noexcept nogil
cdef int socket_disconnect(socket_t *self, const char *text, size_t size) noexcept nogil

cdef int socket_set(socket_t *self, int32_t option, const void *at, size_t size) noexcept nogil
cdef int socket_get(socket_t *self, int32_t option, void *at, size_t *size) noexcept nogil
# EVENTS without waiting and without a system call, for a caller who holds the GIL. SOCKET_POLL* bits; -EAGAIN: not this way, use
# socket_get.
cdef int socket_events_quick(socket_t *self) noexcept nogil

# --- for _poll: a thread that waits for several sockets, in the driving seat of those that nobody else drives ---------------

# The events of wanted that are there; may_look: read what lies in the kernel when there are none. -ETERM; -ENOTSOCK.
cdef int socket_events(socket_t *self, int wanted, bint may_look) noexcept nogil
# Before a wait: the fd that becomes readable when there is something to do; is_seated is set when the socket is the
# caller's to drive, may_sleep is cleared when the wait must be a look only. -ETERM; -ENOTSOCK; -errno: not seated.
cdef int socket_sit(socket_t *self, int wanted, bint *is_seated, bint *may_sleep) noexcept nogil
# After it, when seated: reads and writes (has_events: the fd was readable) and leaves the seat.
cdef void socket_stand(socket_t *self, bint has_events) noexcept nogil

# --- for the proxy: one thread that drives several sockets for long ----------------------------------------------------------

# Takes the driving seat; waits a moment for another driver to leave. 0; -EINTR: look for signals and call again; -ETERM;
# -ENOTSOCK; -errno.
cdef int socket_seize(socket_t *self) noexcept nogil
cdef void socket_release(socket_t *self) noexcept nogil
# Ends a sleep; reads and writes what is ready, if something is due. 0; -ETERM; -ENOTSOCK. Seized.
cdef int socket_turn(socket_t *self, bint is_due) noexcept nogil
# Announces sleep on host.poller.fd. Whether to sleep; socket_turn ends it. Seized.
cdef bint socket_may_sleep(socket_t *self) noexcept nogil

# --- for the other halves, _socket_bell, _socket_messages and _socket_monitor ---------------------------------------------------

# locked. SOCKET_POLL* bits that are there.
cdef int socket_ready(socket_t *self) noexcept nogil

# Takes the lock. 0; -ENOTSOCK, -ETERM (the lock is held all the same).
cdef int socket_enter(socket_t *self) noexcept nogil
# The end of every operation: wakes whoever waits for a change, sends events (K4), finishes a closed socket (K3), unlocks.
cdef void socket_leave(socket_t *self) noexcept nogil

# locked. Does what other sockets have posted.
cdef void socket_take_posts(socket_t *self) noexcept nogil
# locked. Waits until something may have changed. 0; -EAGAIN at due_us; -EINTR: look for signals; -errno. UNLOCKS.
cdef int socket_wait(socket_t *self, uint64_t due_us) noexcept nogil
# locked. For calls that must not wait: reads what lies in the kernel, if that is our business now. Whether it looked. UNLOCKS.
cdef bint socket_look(socket_t *self) noexcept nogil

# locked. 0; -ENOTSOCK; -ETERM.
cdef inline int socket_check(const socket_t *self) noexcept nogil:
    if self.is_closed:
        return -ENOTSOCK
    return -ETERM if zc_load(&self.is_stopped) else 0
