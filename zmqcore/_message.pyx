# zmqcore/_message.pyx -- see the door for contracts.
from libc.stdint cimport uint8_t, uint32_t
from zmqcore._limits cimport (
    CHUNK_BYTES_MAX, SMALL_BYTES, SPARE_BODIES_BYTES_MAX, SPARE_BODIES_MAX, SPARE_BODY_BYTES_MAX, SPARE_STORES_MAX,
)
from zmqcore._sys cimport (
    ENOMEM, free, malloc, memcpy, memmove, memset, pthread_atfork, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t,
    pthread_mutex_unlock, realloc, zc_wipe,
)

cdef enum:
    BATCH_FIRST = 64            # messages that a batch has room for at first
    BATCH_BODIES_BYTES = 65536


# --- stores -------------------------------------------------------------------------------------------------------------

# Stores of CHUNK_BYTES_MAX that were let go of. Under load they change hands all the time; from the allocator each would
# come with page faults (measured: a fifth of a streamer's time at 1 KiB).
cdef struct spares_t:
    pthread_mutex_t lock        # a leaf
    store_t *stores[SPARE_STORES_MAX]
    int count
    store_t *bodies[SPARE_BODIES_MAX]   # longer ones, of any size; NULL: none
    int oldest                          # which of them is replaced next
    size_t bodies_bytes                 # of them all

cdef spares_t spares
pthread_mutex_init(&spares.lock, NULL)


cdef void on_fork() noexcept nogil:
    # Another thread may have held the lock when this process was forked; what it guards may be half changed.
    pthread_mutex_init(&spares.lock, NULL)
    spares.count = 0
    memset(spares.bodies, 0, sizeof(spares.bodies))
    spares.bodies_bytes = 0


pthread_atfork(NULL, NULL, on_fork)


cdef store_t *spare_take() noexcept nogil:
    cdef store_t *self = NULL
    pthread_mutex_lock(&spares.lock)
    if spares.count:
        spares.count -= 1
        self = spares.stores[spares.count]
    pthread_mutex_unlock(&spares.lock)
    return self


cdef bint spare_keep(store_t *self) noexcept nogil:
    cdef bint is_kept = False
    pthread_mutex_lock(&spares.lock)
    if spares.count < SPARE_STORES_MAX:
        spares.stores[spares.count] = self
        spares.count += 1
        is_kept = True
    pthread_mutex_unlock(&spares.lock)
    return is_kept


cdef store_t *body_take(size_t size) noexcept nogil:
    # A spare that is large enough, and not much too large.
    cdef store_t *self = NULL
    cdef int i
    pthread_mutex_lock(&spares.lock)
    for i in range(SPARE_BODIES_MAX):
        if spares.bodies[i] != NULL and size <= spares.bodies[i].room <= 2 * size:
            self = spares.bodies[i]
            spares.bodies[i] = NULL
            spares.bodies_bytes -= self.room
            break
    pthread_mutex_unlock(&spares.lock)
    return self


cdef store_t *body_keep(store_t *self) noexcept nogil:
    # Keeps it, in the place of the oldest when there is none free. What is to be freed instead; NULL: nothing.
    cdef store_t *other
    cdef int i
    pthread_mutex_lock(&spares.lock)
    for i in range(SPARE_BODIES_MAX):
        if spares.bodies[i] == NULL:
            break
    else:
        i = spares.oldest
        spares.oldest = (i + 1) % SPARE_BODIES_MAX
    other = spares.bodies[i]
    spares.bodies_bytes += self.room - (other.room if other != NULL else 0)
    spares.bodies[i] = self
    if spares.bodies_bytes > SPARE_BODIES_BYTES_MAX and other == NULL:
        spares.bodies[i] = NULL
        spares.bodies_bytes -= self.room
        other = self
    pthread_mutex_unlock(&spares.lock)
    return other


cdef store_t *store_new(size_t size) noexcept nogil:
    cdef store_t *self = NULL
    if size > <size_t>-1 - sizeof(store_t):
        return NULL
    if size == CHUNK_BYTES_MAX:
        self = spare_take()
    elif CHUNK_BYTES_MAX < size <= SPARE_BODY_BYTES_MAX:
        self = body_take(size)
    if self == NULL:
        self = <store_t *>malloc(sizeof(store_t) + size)
        if self == NULL:
            return NULL
        self.room = size
    self.refs = 1
    self.is_secret = False
    self.data = <uint8_t *>(self + 1)
    self.size = size
    self.release = NULL
    self.arg = NULL
    return self


cdef store_t *store_wrap(const void *data, size_t size, store_release_fn release, void *arg) noexcept nogil:
    cdef store_t *self = <store_t *>malloc(sizeof(store_t))
    if self == NULL:
        return NULL
    self.refs = 1
    self.is_secret = False
    self.data = <uint8_t *>data
    self.size = size
    self.release = release
    self.arg = arg
    return self


cdef void store_free(store_t *self) noexcept nogil:
    if self.is_secret:
        zc_wipe(self.data, self.size)
    if self.release != NULL:
        self.release(self.arg)
    elif self.size == CHUNK_BYTES_MAX and spare_keep(self):
        return
    elif CHUNK_BYTES_MAX < self.room <= SPARE_BODY_BYTES_MAX:
        self = body_keep(self)
    free(self)


cdef store_t *store_grow(store_t *self, size_t size) noexcept nogil:
    # The allocator moves the pages of a large block, not its bytes (mremap on Linux).
    if size > <size_t>-1 - sizeof(store_t):
        return NULL
    self = <store_t *>realloc(self, sizeof(store_t) + size)
    if self != NULL:
        self.data = <uint8_t *>(self + 1)
        self.size = self.room = size
    return self


# --- messages -----------------------------------------------------------------------------------------------------------

cdef void msg_init(msg_t *self) noexcept nogil:
    self.parts = self.few
    self.count = 0
    self.room = MSG_INLINE_PARTS
    self.is_command = False
    self.source = NULL
    self.metadata = NULL


cdef void msg_clear(msg_t *self) noexcept nogil:
    cdef uint32_t i
    for i in range(self.count):
        if self.parts[i].store != NULL:
            store_unref(self.parts[i].store)
    self.count = 0
    self.is_command = False
    self.source = NULL
    if self.metadata != NULL:
        store_unref(self.metadata)
        self.metadata = NULL


cdef void msg_fini(msg_t *self) noexcept nogil:
    msg_clear(self)
    if self.parts != self.few:
        free(self.parts)
    self.parts = self.few
    self.room = MSG_INLINE_PARTS


cdef int msg_grow(msg_t *self, uint32_t room) noexcept nogil:
    cdef part_t *grown
    if room > 0x7fffffff:
        return -ENOMEM
    if self.parts == self.few:
        grown = <part_t *>malloc(room * sizeof(part_t))
        if grown != NULL:
            memcpy(grown, self.few, self.count * sizeof(part_t))
    else:
        grown = <part_t *>realloc(self.parts, room * sizeof(part_t))
    if grown == NULL:
        return -ENOMEM
    self.parts = grown
    self.room = room
    return 0


cdef int msg_push(msg_t *self, const uint8_t *at, size_t size, store_t *store) noexcept nogil:
    if self.count == self.room and msg_grow(self, 2 * self.room) != 0:
        return -ENOMEM
    self.parts[self.count].at = at
    self.parts[self.count].size = size
    self.parts[self.count].store = store
    self.count += 1
    return 0


cdef int msg_push_copy(msg_t *self, const uint8_t *at, size_t size) noexcept nogil:
    cdef store_t *store = store_new(size)
    if store == NULL:
        return -ENOMEM
    if size:
        memcpy(store.data, at, size)
    if msg_push(self, store.data, size, store) != 0:
        store_unref(store)
        return -ENOMEM
    return 0


cdef int msg_unshift(msg_t *self, const uint8_t *at, size_t size, store_t *store) noexcept nogil:
    if self.count == self.room and msg_grow(self, 2 * self.room) != 0:
        return -ENOMEM
    memmove(self.parts + 1, self.parts, self.count * sizeof(part_t))
    self.parts[0].at = at
    self.parts[0].size = size
    self.parts[0].store = store
    self.count += 1
    return 0


cdef void msg_shift(msg_t *self, uint32_t count) noexcept nogil:
    cdef uint32_t i
    for i in range(count):
        if self.parts[i].store != NULL:
            store_unref(self.parts[i].store)
    self.count -= count
    memmove(self.parts, self.parts + count, self.count * sizeof(part_t))


cdef void msg_move(msg_t *target, msg_t *source) noexcept nogil:
    msg_fini(target)
    target.count = source.count
    target.is_command = source.is_command
    target.source = source.source
    target.metadata = source.metadata
    if source.parts == source.few:
        memcpy(target.few, source.few, source.count * sizeof(part_t))
    else:
        target.parts = source.parts
        target.room = source.room
    msg_init(source)


cdef size_t msg_bytes(const msg_t *self) noexcept nogil:
    cdef uint32_t i
    cdef size_t sum = 0
    for i in range(self.count):
        sum += self.parts[i].size
    return sum


# --- many messages -------------------------------------------------------------------------------------------------------

cdef void batch_init(batch_t *self) noexcept nogil:
    msg_init(&self.parts)
    self.ends = NULL
    self.count = 0
    self.room = 0
    self.bodies = NULL
    self.bodies_used = 0


cdef void batch_fini(batch_t *self) noexcept nogil:
    msg_fini(&self.parts)
    free(self.ends)
    free(self.bodies)
    batch_init(self)


cdef int batch_grow(batch_t *self, uint32_t room) noexcept nogil:
    cdef uint32_t *grown
    if room > 0x7fffffff:
        return -ENOMEM
    grown = <uint32_t *>realloc(self.ends, room * sizeof(uint32_t))
    if grown == NULL:
        return -ENOMEM
    self.ends = grown
    self.room = room
    return 0


cdef int batch_reserve(batch_t *self, uint32_t count) noexcept nogil:
    # uint32_t cannot overflow: both counts are below 2^31.
    if count > 0x7fffffff:
        return -ENOMEM
    if self.parts.count + count > self.parts.room and msg_grow(&self.parts, self.parts.count + count) != 0:
        return -ENOMEM
    return batch_grow(self, self.count + count) if self.count + count > self.room else 0


cdef uint8_t *batch_body_room(batch_t *self) noexcept nogil:
    if self.parts.count == self.parts.room and msg_grow(&self.parts, 2 * self.parts.room) != 0:
        return NULL
    if self.count == self.room and batch_grow(self, 2 * self.room if self.room else BATCH_FIRST) != 0:
        return NULL
    if self.bodies == NULL:
        self.bodies = <uint8_t *>malloc(BATCH_BODIES_BYTES)
    if self.bodies == NULL or self.bodies_used > BATCH_BODIES_BYTES - SMALL_BYTES:
        return NULL
    return self.bodies + self.bodies_used


cdef void batch_add_body(batch_t *self, size_t size) noexcept nogil:
    batch_add(self, self.bodies + self.bodies_used, size, NULL)
    self.bodies_used += size


cdef int batch_end(batch_t *self) noexcept nogil:
    if self.count == self.room and batch_grow(self, 2 * self.room if self.room else BATCH_FIRST) != 0:
        return -ENOMEM
    self.ends[self.count] = self.parts.count
    self.count += 1
    return 0


cdef int batch_push(batch_t *self, msg_t *msg) noexcept nogil:
    cdef uint32_t before = self.parts.count
    cdef uint32_t i
    cdef int rc = 0
    for i in range(msg.count):
        if rc == 0:
            rc = msg_push(&self.parts, msg.parts[i].at, msg.parts[i].size, msg.parts[i].store)
    if rc == 0:
        rc = batch_end(self)
    if rc != 0:
        self.parts.count = before
        return rc
    msg.count = 0
    msg_clear(msg)
    return 0


cdef int batch_peek(const batch_t *self, uint32_t i, msg_t *msg) noexcept nogil:
    cdef const part_t *part
    cdef uint32_t at
    for at in range(batch_first(self, i), self.ends[i]):
        part = &self.parts.parts[at]
        if msg_push(msg, part.at, part.size, part.store) != 0:
            msg.count = 0
            return -ENOMEM
    return 0


cdef void batch_took(batch_t *self, uint32_t i) noexcept nogil:
    cdef uint32_t at
    for at in range(batch_first(self, i), self.ends[i]):
        self.parts.parts[at].store = NULL
