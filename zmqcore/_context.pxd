# zmqcore/_context.pxd -- context: its sockets, its I/O threads, its inproc names (floor 7).
# Lock:   context_t.lock, taken inside every function here; a socket lock may be held. Never the other way round:
#         what the context calls under its lock (member_t.stop) takes no socket lock.
# Memory: counted by the Python Context and by each socket's handle.
# Invariants
#   C1  members counts the sockets that are open or lingering; termination is over when it is 0
#   C2  a name is bound by one socket at most; connects to a name that is not bound wait in order
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from zmqcore._link cimport link_t
from zmqcore._message cimport store_t
from zmqcore._reactor cimport io_thread_t, mailbox_t
from zmqcore._sys cimport pthread_cond_t, pthread_mutex_t

# A socket as its context sees it.
cdef struct member_t:
    member_t *prev
    member_t *next
    void *arg
    void (*stop)(void *arg) noexcept nogil      # the context ends: wake everybody. Takes no lock

cdef struct inproc_name_t
cdef struct inproc_wait_t

cdef struct context_t:
    pthread_mutex_t lock
    pthread_cond_t changed
    int32_t is_terminating      # atomic; set under the lock
    int32_t members             # C1
    member_t *first
    io_thread_t *io_threads
    int32_t io_threads_started
    inproc_name_t *names
    inproc_wait_t *waits        # oldest first
    inproc_wait_t *waits_last
    # options; read when a socket is made (ipv6 and blocky atomically, without the lock), or when the first I/O thread is
    int32_t io_threads_wanted
    int32_t max_sockets
    int32_t max_msgsz
    int32_t thread_priority
    int32_t thread_sched_policy
    uint8_t cpus[128]           # CPUS_MAX bits; none: all of them
    int32_t ipv6
    int32_t blocky
    int32_t zero_copy_recv
    char thread_name_prefix[17]

# The bounds and the id that go with one end of an inproc connection.
cdef struct inproc_end_t:
    mailbox_t *mailbox
    uint32_t sndhwm
    uint32_t rcvhwm
    bint is_conflated
    store_t *id                 # routing id; NULL none

cdef context_t *context_new(int32_t io_threads) noexcept nogil
# Stops the I/O threads and frees it. Only when members is 0.
cdef void context_free(context_t *self) noexcept nogil

# Context options (zmq_ctx_set). 0; -EINVAL.
cdef int context_set(context_t *self, int32_t option, int32_t value) noexcept nogil
cdef int context_get(context_t *self, int32_t option, int32_t *value) noexcept nogil

# 0; -ETERM; -EMFILE.
cdef int context_join(context_t *self, member_t *member) noexcept nogil
cdef void context_leave(context_t *self, member_t *member) noexcept nogil

# Makes every call on its sockets fail with ETERM; returns at once.
cdef void context_shutdown(context_t *self) noexcept nogil
# Waits, at most until due_us, for the last socket to be closed and flushed. 0: all gone, the I/O threads have ended; -EAGAIN.
cdef int context_wait_terminated(context_t *self, uint64_t due_us) noexcept nogil

# The I/O thread with the fewest sockets of those that affinity allows (0: any). 0; -EMTHREAD; -errno of the start.
cdef int context_io_thread(context_t *self, uint64_t affinity, io_thread_t **out) noexcept nogil

# 0; -EADDRINUSE; -ENOMEM. Connects that waited for the name are joined.
cdef int context_bind_inproc(context_t *self, const char *name, const inproc_end_t *end) noexcept nogil
# 0; -ENOENT when that mailbox has not bound it.
cdef int context_unbind_inproc(context_t *self, const char *name, mailbox_t *mailbox) noexcept nogil
# Joins the link to whoever has bound the name, or lets it wait. 0; -ENOMEM.
cdef int context_connect_inproc(context_t *self, const char *name, link_t *link) noexcept nogil
# The same, but -ECONNREFUSED when nobody has bound it.
cdef int context_join_inproc(context_t *self, const char *name, link_t *link) noexcept nogil
# The connector gives up waiting.
cdef void context_forget_inproc(context_t *self, link_t *link) noexcept nogil
