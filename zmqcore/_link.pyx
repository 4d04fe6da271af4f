# zmqcore/_link.pyx -- see the door for contracts.
from libc.stdint cimport uint32_t, uint8_t
from zmqcore._message cimport msg_t, store_ref, store_t, store_unref
from zmqcore._pipe cimport (
    chunk_t, pipe_append, pipe_append_body, pipe_drop, pipe_fini, pipe_has_reopened, pipe_init, pipe_is_full, pipe_pop,
    pipe_pop_body, pipe_t,
)
from zmqcore._reactor cimport mailbox_post, mailbox_ref, mailbox_t, mailbox_unref, mailbox_wake
from zmqcore._sys cimport (
    EAGAIN, calloc, free, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, zc_add,
)


cdef link_t *link_new(mailbox_t *connector, uint32_t sndhwm, uint32_t rcvhwm, bint is_conflated,
                      store_t *own_id) noexcept nogil:
    cdef link_t *self = <link_t *>calloc(1, sizeof(link_t))
    if self == NULL:
        return NULL
    if pthread_mutex_init(&self.lock, NULL) != 0:
        free(self)
        return NULL
    self.refs = 1
    # Until the other side exists only the own bound counts; what comes back cannot come yet.
    pipe_init(&self.pipes[LINK_BINDER], 0 if is_conflated else sndhwm)
    pipe_init(&self.pipes[LINK_CONNECTOR], 0)
    self.posts[0].arg = self.posts[1].arg = self
    link_enter(self, LINK_CONNECTOR, connector, sndhwm, rcvhwm, is_conflated, own_id)
    return self


cdef void link_enter(link_t *self, int side, mailbox_t *mailbox, uint32_t sndhwm, uint32_t rcvhwm, bint is_conflated,
                     store_t *own_id) noexcept nogil:
    mailbox_ref(mailbox)
    self.mailboxes[side] = mailbox
    self.hwm[side][LINK_SNDHWM] = sndhwm
    self.hwm[side][LINK_RCVHWM] = rcvhwm
    if own_id != NULL:
        store_ref(own_id)
        self.ids[side] = own_id
    if is_conflated:
        self.is_conflated[0] = self.is_conflated[1] = True


cdef void link_ref(link_t *self) noexcept nogil:
    zc_add(&self.refs, 1)


cdef void link_unref(link_t *self) noexcept nogil:
    cdef int side
    if zc_add(&self.refs, -1) != 0:
        return
    for side in range(2):
        pipe_fini(&self.pipes[side])
        if self.mailboxes[side] != NULL:
            mailbox_unref(self.mailboxes[side])
        if self.ids[side] != NULL:
            store_unref(self.ids[side])
    pthread_mutex_destroy(&self.lock)
    free(self)


cdef uint32_t link_bound(const link_t *self, int reader) noexcept nogil:
    # One queue stands for the sender's and the receiver's: the bounds add up, and 0 on either side means none.
    cdef uint32_t sndhwm = self.hwm[1 - reader][LINK_SNDHWM]
    cdef uint32_t rcvhwm = self.hwm[reader][LINK_RCVHWM]
    if sndhwm == 0 or rcvhwm == 0 or self.is_conflated[reader]:
        return 0
    return sndhwm + rcvhwm


cdef void link_keep_newest(pipe_t *pipe) noexcept nogil:
    while pipe.msgs > 1:
        pipe_drop(pipe)


cdef mailbox_t *link_post(link_t *self, int side) noexcept nogil:
    # Under self.lock. The count for the post is given up by whoever takes it. The mailbox, counted, when it has to be woken.
    cdef bint is_asleep = False
    if self.mailboxes[side] == NULL or self.is_gone[side]:
        return NULL
    link_ref(self)
    if mailbox_post(self.mailboxes[side], &self.posts[side], &is_asleep) <= 0:
        zc_add(&self.refs, -1)      # never the last: the caller holds one
    if not is_asleep:
        return NULL
    mailbox_ref(self.mailboxes[side])
    return self.mailboxes[side]


cdef void wake(mailbox_t *sleeper) noexcept nogil:
    if sleeper != NULL:
        mailbox_wake(sleeper)
        mailbox_unref(sleeper)


cdef int link_join(link_t *self, mailbox_t *binder, uint32_t sndhwm, uint32_t rcvhwm, bint is_conflated,
                   store_t *own_id) noexcept nogil:
    cdef mailbox_t *sleeper
    cdef bint is_binder_asleep = False
    cdef int rc
    pthread_mutex_lock(&self.lock)
    link_enter(self, LINK_BINDER, binder, sndhwm, rcvhwm, is_conflated, own_id)
    self.pipes[0].hwm_msgs = link_bound(self, 0)
    self.pipes[1].hwm_msgs = link_bound(self, 1)
    self.pipes[LINK_BINDER].is_full = False
    if self.is_conflated[LINK_BINDER]:
        link_keep_newest(&self.pipes[LINK_BINDER])
    link_ref(self)
    rc = mailbox_post(binder, &self.posts[LINK_BINDER], &is_binder_asleep)
    if rc <= 0:
        zc_add(&self.refs, -1)
        self.is_gone[LINK_BINDER] = True
    # The bound has grown: a connector that waited for room may go on.
    sleeper = link_post(self, LINK_CONNECTOR)
    pthread_mutex_unlock(&self.lock)
    wake(sleeper)
    if is_binder_asleep:
        mailbox_wake(binder)
    return 0 if rc > 0 else rc


cdef void link_set_hwm(link_t *self, int side, uint32_t sndhwm, uint32_t rcvhwm) noexcept nogil:
    pthread_mutex_lock(&self.lock)
    if self.mailboxes[LINK_BINDER] != NULL:
        self.hwm[side][LINK_SNDHWM] = sndhwm
        self.hwm[side][LINK_RCVHWM] = rcvhwm
        self.pipes[0].hwm_msgs = link_bound(self, 0)
        self.pipes[1].hwm_msgs = link_bound(self, 1)
    pthread_mutex_unlock(&self.lock)


cdef void link_leave(link_t *self, int side) noexcept nogil:
    cdef mailbox_t *sleeper
    pthread_mutex_lock(&self.lock)
    self.is_gone[side] = True
    sleeper = link_post(self, 1 - side)
    pthread_mutex_unlock(&self.lock)
    wake(sleeper)


cdef bint link_is_joined(link_t *self) noexcept nogil:
    cdef bint is_joined
    pthread_mutex_lock(&self.lock)
    is_joined = self.mailboxes[LINK_BINDER] != NULL
    pthread_mutex_unlock(&self.lock)
    return is_joined


cdef bint link_is_abandoned(link_t *self, int side) noexcept nogil:
    cdef bint is_gone
    pthread_mutex_lock(&self.lock)
    is_gone = self.is_gone[1 - side]
    pthread_mutex_unlock(&self.lock)
    return is_gone


cdef bint link_writable(link_t *self, int side) noexcept nogil:
    cdef bint is_full
    pthread_mutex_lock(&self.lock)
    is_full = self.is_gone[1 - side] or pipe_is_full(&self.pipes[1 - side])
    pthread_mutex_unlock(&self.lock)
    return not is_full


cdef int link_push(link_t *self, int side, const msg_t *msg, mailbox_t **sleeper) noexcept nogil:
    cdef int reader = 1 - side
    cdef int rc
    sleeper[0] = NULL
    pthread_mutex_lock(&self.lock)
    if self.is_gone[reader]:
        pthread_mutex_unlock(&self.lock)
        return 0
    rc = pipe_append(&self.pipes[reader], msg)
    # After the append: without memory the older message stays.
    if rc == 0 and self.is_conflated[reader]:
        link_keep_newest(&self.pipes[reader])
    if rc == 0 and self.pipes[reader].msgs == 1:
        sleeper[0] = link_post(self, reader)
    pthread_mutex_unlock(&self.lock)
    return rc


cdef void link_keep_secret(link_t *self) noexcept nogil:
    cdef chunk_t *chunk = self.pipes[LINK_BINDER].head
    while chunk != NULL:
        chunk.store.is_secret = True
        chunk = chunk.next


cdef int link_push_body(link_t *self, int side, const uint8_t *at, size_t size, mailbox_t **sleeper) noexcept nogil:
    cdef int reader = 1 - side
    cdef pipe_t *pipe = &self.pipes[reader]
    cdef int rc = -EAGAIN
    sleeper[0] = NULL
    pthread_mutex_lock(&self.lock)
    if not self.is_gone[reader] and not self.is_conflated[reader] and not pipe_is_full(pipe):
        rc = pipe_append_body(pipe, at, size)
        if rc == 0 and pipe.msgs == 1:
            sleeper[0] = link_post(self, reader)
    pthread_mutex_unlock(&self.lock)
    return rc


cdef bint link_readable(link_t *self, int side) noexcept nogil:
    cdef bint has_some
    pthread_mutex_lock(&self.lock)
    has_some = self.pipes[side].msgs != 0
    pthread_mutex_unlock(&self.lock)
    return has_some


cdef int link_pop(link_t *self, int side, msg_t *msg, mailbox_t **sleeper) noexcept nogil:
    cdef int rc
    sleeper[0] = NULL
    pthread_mutex_lock(&self.lock)
    rc = pipe_pop(&self.pipes[side], msg)
    if rc == 0 and self.pipes[side].is_full and pipe_has_reopened(&self.pipes[side]):
        sleeper[0] = link_post(self, 1 - side)
    pthread_mutex_unlock(&self.lock)
    return rc


cdef int link_pop_body(link_t *self, int side, uint8_t *at, size_t room, size_t *size, mailbox_t **sleeper) noexcept nogil:
    cdef int rc
    sleeper[0] = NULL
    pthread_mutex_lock(&self.lock)
    rc = pipe_pop_body(&self.pipes[side], at, room, size)
    if rc == 0 and self.pipes[side].is_full and pipe_has_reopened(&self.pipes[side]):
        sleeper[0] = link_post(self, 1 - side)
    pthread_mutex_unlock(&self.lock)
    return rc
