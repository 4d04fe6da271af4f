# zmqcore/_context.pyx -- see the door.
from libc.stdint cimport int32_t, uint64_t
from zmqcore._limits cimport CPUS_MAX, MAX_SOCKETS_DEFAULT, SOCKET_LIMIT
from zmqcore._link cimport link_join, link_ref, link_unref
from zmqcore._message cimport store_ref, store_unref
from zmqcore._reactor cimport io_thread_start, io_thread_stop, mailbox_ref, mailbox_unref
from zmqcore._sys cimport (
    EADDRINUSE, EAGAIN, ECONNREFUSED, EINVAL, EMFILE, EMTHREAD, ENOENT, ENOMEM, ETERM, atoi, calloc, free, malloc, memcpy,
    pthread_cond_broadcast, pthread_cond_destroy, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock,
    pthread_mutex_unlock, snprintf, strcmp, strlen, zc_cond_init, zc_cond_wait_until, zc_load, zc_now_us, zc_store, zc_thread_tune,
)

# Context option numbers (zmq.h).
cdef enum:
    CTX_IO_THREADS = 1
    CTX_MAX_SOCKETS = 2
    CTX_SOCKET_LIMIT = 3        # get; set means THREAD_PRIORITY
    CTX_THREAD_SCHED_POLICY = 4
    CTX_MAX_MSGSZ = 5
    CTX_MSG_T_SIZE = 6
    CTX_THREAD_AFFINITY_CPU_ADD = 7
    CTX_THREAD_AFFINITY_CPU_REMOVE = 8
    CTX_THREAD_NAME_PREFIX = 9
    CTX_ZERO_COPY_RECV = 10
    CTX_IPV6 = 42
    CTX_BLOCKY = 70

cdef struct inproc_name_t:
    inproc_name_t *next
    char *name
    inproc_end_t end

cdef struct inproc_wait_t:
    inproc_wait_t *next
    char *name
    link_t *link


cdef context_t *context_new(int32_t io_threads) noexcept nogil:
    cdef context_t *self = <context_t *>calloc(1, sizeof(context_t))
    if self == NULL:
        return NULL
    if pthread_mutex_init(&self.lock, NULL) != 0:
        free(self)
        return NULL
    if zc_cond_init(&self.changed) != 0:
        pthread_mutex_destroy(&self.lock)
        free(self)
        return NULL
    self.io_threads_wanted = io_threads
    self.max_sockets = MAX_SOCKETS_DEFAULT
    self.max_msgsz = 0x7fffffff
    self.thread_priority = self.thread_sched_policy = -1
    self.blocky = self.zero_copy_recv = 1
    return self


cdef void stop_io_threads(context_t *self) noexcept nogil:
    cdef int32_t i
    for i in range(self.io_threads_started):
        io_thread_stop(&self.io_threads[i])
    free(self.io_threads)
    self.io_threads = NULL
    self.io_threads_started = 0


cdef void context_free(context_t *self) noexcept nogil:
    stop_io_threads(self)
    pthread_cond_destroy(&self.changed)
    pthread_mutex_destroy(&self.lock)
    free(self)


cdef int context_set(context_t *self, int32_t option, int32_t value) noexcept nogil:
    cdef int rc = 0
    pthread_mutex_lock(&self.lock)
    if option == CTX_IO_THREADS and value >= 0:
        self.io_threads_wanted = value
    elif option == CTX_MAX_SOCKETS and value >= 1:
        self.max_sockets = value
    elif option == CTX_SOCKET_LIMIT and value >= 0:
        self.thread_priority = value
    elif option == CTX_THREAD_SCHED_POLICY and value >= 0:
        self.thread_sched_policy = value
    elif option == CTX_MAX_MSGSZ and value >= 0:
        self.max_msgsz = value
    elif option == CTX_THREAD_AFFINITY_CPU_ADD and 0 <= value < CPUS_MAX:
        self.cpus[value // 8] |= 1 << (value % 8)
    elif option == CTX_THREAD_AFFINITY_CPU_REMOVE and 0 <= value < CPUS_MAX and self.cpus[value // 8] >> (value % 8) & 1:
        self.cpus[value // 8] ^= 1 << (value % 8)
    elif option == CTX_THREAD_NAME_PREFIX:
        snprintf(self.thread_name_prefix, sizeof(self.thread_name_prefix), b"%d", value)
    elif option == CTX_ZERO_COPY_RECV and value >= 0:
        self.zero_copy_recv = value != 0
    elif option == CTX_IPV6 and value >= 0:
        zc_store(&self.ipv6, value != 0)
    elif option == CTX_BLOCKY and value >= 0:
        zc_store(&self.blocky, value != 0)
    else:
        rc = -EINVAL
    pthread_mutex_unlock(&self.lock)
    return rc


cdef int context_get(context_t *self, int32_t option, int32_t *value) noexcept nogil:
    cdef int rc = 0
    pthread_mutex_lock(&self.lock)
    if option == CTX_IO_THREADS:
        value[0] = self.io_threads_wanted
    elif option == CTX_MAX_SOCKETS:
        value[0] = self.max_sockets
    elif option == CTX_SOCKET_LIMIT:
        value[0] = SOCKET_LIMIT
    elif option == CTX_THREAD_SCHED_POLICY:
        value[0] = self.thread_sched_policy
    elif option == CTX_MAX_MSGSZ:
        value[0] = self.max_msgsz
    elif option == CTX_MSG_T_SIZE:
        value[0] = 64
    elif option == CTX_THREAD_NAME_PREFIX:
        value[0] = atoi(self.thread_name_prefix)
    elif option == CTX_ZERO_COPY_RECV:
        value[0] = self.zero_copy_recv
    elif option == CTX_IPV6:
        value[0] = self.ipv6
    elif option == CTX_BLOCKY:
        value[0] = self.blocky
    else:
        rc = -EINVAL
    pthread_mutex_unlock(&self.lock)
    return rc


# --- sockets ------------------------------------------------------------------------------------------------------------

cdef int context_join(context_t *self, member_t *member) noexcept nogil:
    cdef int rc = 0
    pthread_mutex_lock(&self.lock)
    if self.is_terminating:
        rc = -ETERM
    elif self.members >= self.max_sockets:
        rc = -EMFILE
    else:
        self.members += 1
        member.prev = NULL
        member.next = self.first
        if self.first != NULL:
            self.first.prev = member
        self.first = member
    pthread_mutex_unlock(&self.lock)
    return rc


cdef void context_leave(context_t *self, member_t *member) noexcept nogil:
    pthread_mutex_lock(&self.lock)
    if member.prev != NULL:
        member.prev.next = member.next
    else:
        self.first = member.next
    if member.next != NULL:
        member.next.prev = member.prev
    self.members -= 1
    pthread_cond_broadcast(&self.changed)
    pthread_mutex_unlock(&self.lock)


cdef void context_shutdown(context_t *self) noexcept nogil:
    cdef member_t *member
    cdef inproc_wait_t *wait
    cdef inproc_wait_t *waits
    pthread_mutex_lock(&self.lock)
    zc_store(&self.is_terminating, 1)
    member = self.first
    while member != NULL:
        member.stop(member.arg)
        member = member.next
    # Nobody will bind those names any more: such connects do not hold termination up.
    waits = self.waits
    self.waits = self.waits_last = NULL
    pthread_mutex_unlock(&self.lock)
    while waits != NULL:
        wait = waits
        waits = wait.next
        wait_free(wait)


cdef int context_wait_terminated(context_t *self, uint64_t due_us) noexcept nogil:
    cdef int rc
    pthread_mutex_lock(&self.lock)
    while self.members and zc_now_us() < due_us:
        zc_cond_wait_until(&self.changed, &self.lock, due_us)
    rc = -EAGAIN if self.members else 0
    if rc == 0:
        # The last socket has left its thread's poll set before it left us, so joining waits for nothing.
        stop_io_threads(self)
    pthread_mutex_unlock(&self.lock)
    return rc


# --- I/O threads ----------------------------------------------------------------------------------------------------------

cdef int start_io_threads(context_t *self) noexcept nogil:
    # All at once, at the first need.
    cdef char name[40]
    cdef int32_t i
    cdef int rc
    self.io_threads = <io_thread_t *>calloc(self.io_threads_wanted, sizeof(io_thread_t))
    if self.io_threads == NULL:
        return -ENOMEM
    for i in range(self.io_threads_wanted):
        if self.thread_name_prefix[0]:
            snprintf(name, sizeof(name), b"%s/ZMQbg/IO/%d", self.thread_name_prefix, i)
        else:
            snprintf(name, sizeof(name), b"ZMQbg/IO/%d", i)
        rc = io_thread_start(&self.io_threads[i], name)
        if rc == 0:
            self.io_threads_started += 1
            rc = -zc_thread_tune(self.io_threads[i].thread, self.thread_sched_policy, self.thread_priority, self.cpus,
                                 sizeof(self.cpus))
        if rc != 0:
            stop_io_threads(self)
            return rc
    return 0


cdef int context_io_thread(context_t *self, uint64_t affinity, io_thread_t **out) noexcept nogil:
    cdef int32_t i
    cdef int rc = 0
    out[0] = NULL
    pthread_mutex_lock(&self.lock)
    if self.io_threads_started == 0 and self.io_threads_wanted > 0:
        rc = start_io_threads(self)
    for i in range(self.io_threads_started):
        if affinity and (i >= 64 or not affinity & (<uint64_t>1 << i)):
            continue
        if out[0] == NULL or zc_load(&self.io_threads[i].load) < zc_load(&out[0].load):
            out[0] = &self.io_threads[i]
    pthread_mutex_unlock(&self.lock)
    if rc == 0 and out[0] == NULL:
        rc = -EMTHREAD
    return rc


# --- inproc -----------------------------------------------------------------------------------------------------------------

cdef char *copy_name(const char *name) noexcept nogil:
    cdef size_t size = strlen(name) + 1
    cdef char *copy = <char *>malloc(size)
    if copy != NULL:
        memcpy(copy, name, size)
    return copy


cdef void wait_free(inproc_wait_t *wait) noexcept nogil:
    link_unref(wait.link)
    free(wait.name)
    free(wait)


cdef int join_link(link_t *link, const inproc_end_t *end) noexcept nogil:
    return link_join(link, end.mailbox, end.sndhwm, end.rcvhwm, end.is_conflated, end.id)


cdef int context_bind_inproc(context_t *self, const char *name, const inproc_end_t *end) noexcept nogil:
    cdef inproc_name_t *entry
    cdef inproc_wait_t *wait
    cdef inproc_wait_t **at
    cdef int rc = 0
    pthread_mutex_lock(&self.lock)
    entry = self.names
    while entry != NULL and strcmp(entry.name, name) != 0:
        entry = entry.next
    if entry != NULL:
        rc = -EADDRINUSE
    else:
        entry = <inproc_name_t *>calloc(1, sizeof(inproc_name_t))
        if entry != NULL:
            entry.name = copy_name(name)
            if entry.name == NULL:
                free(entry)
                entry = NULL
        if entry == NULL:
            rc = -ENOMEM
    if rc == 0:
        entry.end = end[0]
        mailbox_ref(end.mailbox)
        if end.id != NULL:
            store_ref(end.id)
        entry.next = self.names
        self.names = entry
        at = &self.waits
        self.waits_last = NULL
        while at[0] != NULL:
            wait = at[0]
            if strcmp(wait.name, name) == 0:
                at[0] = wait.next
                join_link(wait.link, end)
                wait_free(wait)
            else:
                self.waits_last = wait
                at = &wait.next
    pthread_mutex_unlock(&self.lock)
    return rc


cdef int context_unbind_inproc(context_t *self, const char *name, mailbox_t *mailbox) noexcept nogil:
    cdef inproc_name_t **at = &self.names
    cdef inproc_name_t *entry = NULL
    pthread_mutex_lock(&self.lock)
    while at[0] != NULL:
        if strcmp(at[0].name, name) == 0 and at[0].end.mailbox == mailbox:
            entry = at[0]
            at[0] = entry.next
            break
        at = &at[0].next
    pthread_mutex_unlock(&self.lock)
    if entry == NULL:
        return -ENOENT
    mailbox_unref(entry.end.mailbox)
    if entry.end.id != NULL:
        store_unref(entry.end.id)
    free(entry.name)
    free(entry)
    return 0


cdef int context_connect_inproc(context_t *self, const char *name, link_t *link) noexcept nogil:
    cdef inproc_name_t *entry
    cdef inproc_wait_t *wait
    cdef int rc = 0
    pthread_mutex_lock(&self.lock)
    entry = self.names
    while entry != NULL and strcmp(entry.name, name) != 0:
        entry = entry.next
    if entry != NULL:
        join_link(link, &entry.end)
    else:
        wait = <inproc_wait_t *>calloc(1, sizeof(inproc_wait_t))
        if wait != NULL:
            wait.name = copy_name(name)
        if wait == NULL or wait.name == NULL:
            free(wait)
            rc = -ENOMEM
        else:
            link_ref(link)
            wait.link = link
            if self.waits_last != NULL:
                self.waits_last.next = wait
            else:
                self.waits = wait
            self.waits_last = wait
    pthread_mutex_unlock(&self.lock)
    return rc


cdef int context_join_inproc(context_t *self, const char *name, link_t *link) noexcept nogil:
    cdef inproc_name_t *entry
    cdef int rc = -ECONNREFUSED
    pthread_mutex_lock(&self.lock)
    entry = self.names
    while entry != NULL and strcmp(entry.name, name) != 0:
        entry = entry.next
    if entry != NULL and join_link(link, &entry.end) == 0:
        rc = 0
    pthread_mutex_unlock(&self.lock)
    return rc


cdef void context_forget_inproc(context_t *self, link_t *link) noexcept nogil:
    cdef inproc_wait_t **at = &self.waits
    cdef inproc_wait_t *wait
    cdef inproc_wait_t *found = NULL
    pthread_mutex_lock(&self.lock)
    self.waits_last = NULL
    while at[0] != NULL:
        wait = at[0]
        if wait.link == link:
            found = wait
            at[0] = wait.next
        else:
            self.waits_last = wait
            at = &wait.next
    pthread_mutex_unlock(&self.lock)
    if found != NULL:
        wait_free(found)
