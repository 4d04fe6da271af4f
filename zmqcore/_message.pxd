# zmqcore/_message.pxd -- bytes that are shared by counting, and messages made of them (floor 2; sees no Python object).
# Lock:   none: a message belongs to one thread, or to whoever holds the lock of what it lies in. Stores are counted
#         atomically: store_ref and store_unref from any thread.
# Memory: a part holds a count on its store, and a message one on its metadata; msg_clear lets go of all of them. Who passes a
#         store to msg_push passes a count.
from libc.stdint cimport int32_t, uint8_t, uint32_t
from zmqcore._sys cimport zc_add

# --- memory by reference -----------------------------------------------------------------------------------------------

ctypedef void (*store_release_fn)(void *arg) noexcept nogil

cdef struct store_t:
    int32_t refs                # atomic
    bint is_secret              # wiped with the last count; only a store of store_new, before anybody else has it
    uint8_t *data
    size_t size
    size_t room                 # what was allocated; >= size
    store_release_fn release    # NULL: data lies behind this struct
    void *arg

# A store of its own memory with refs 1; NULL: no memory. size may be 0.
cdef store_t *store_new(size_t size) noexcept nogil
# A store over somebody else's bytes; release(arg) is called by whichever thread lets go last.
cdef store_t *store_wrap(const void *data, size_t size, store_release_fn release, void *arg) noexcept nogil
cdef void store_free(store_t *self) noexcept nogil
# Makes a store of store_new larger, keeping its bytes (which may move). The caller has the only count. NULL: no memory, and
# nothing has changed.
cdef store_t *store_grow(store_t *self, size_t size) noexcept nogil

cdef inline void store_ref(store_t *self) noexcept nogil:
    zc_add(&self.refs, 1)

cdef inline void store_unref(store_t *self) noexcept nogil:
    if zc_add(&self.refs, -1) == 0:
        store_free(self)

# --- messages ----------------------------------------------------------------------------------------------------------

# One frame's body. store, when not NULL, keeps the bytes alive and is counted once for this part.
cdef struct part_t:
    const uint8_t *at
    size_t size
    store_t *store

cdef enum:
    MSG_INLINE_PARTS = 4

# A whole message: parts[0:count]. Not movable by assignment (parts may point inside): use msg_move.
cdef struct msg_t:
    part_t *parts
    uint32_t count
    uint32_t room
    bint is_command             # a SUBSCRIBE or CANCEL command body (pipes that keep commands)
    void *source                # the engine that it came from; a tag, never followed; NULL none
    store_t *metadata           # what is known of who sent it (_metadata); counted; NULL nothing
    part_t few[MSG_INLINE_PARTS]

cdef void msg_init(msg_t *self) noexcept nogil
# Lets go of all parts and the metadata; the message is empty afterwards and can be used again.
cdef void msg_clear(msg_t *self) noexcept nogil
# msg_clear, and frees the table of parts.
cdef void msg_fini(msg_t *self) noexcept nogil
# Appends a part and takes over the caller's count on store. 0; -ENOMEM (the store is not taken).
cdef int msg_push(msg_t *self, const uint8_t *at, size_t size, store_t *store) noexcept nogil
# Appends a part that owns a copy of the bytes. 0; -ENOMEM.
cdef int msg_push_copy(msg_t *self, const uint8_t *at, size_t size) noexcept nogil
# Puts a part in front (same rules as msg_push).
cdef int msg_unshift(msg_t *self, const uint8_t *at, size_t size, store_t *store) noexcept nogil
# Drops the first count parts.
cdef void msg_shift(msg_t *self, uint32_t count) noexcept nogil
# target (empty) becomes what source was; source is empty afterwards.
cdef void msg_move(msg_t *target, msg_t *source) noexcept nogil
cdef size_t msg_bytes(const msg_t *self) noexcept nogil

# A message without metadata shares these. NULL will do.
cdef inline void msg_label(msg_t *self, store_t *metadata) noexcept nogil:
    if metadata != NULL:
        store_ref(metadata)
        self.metadata = metadata

# --- many messages -------------------------------------------------------------------------------------------------------

cdef struct batch_t:
    msg_t parts                 # of all the messages, one after the other
    uint32_t *ends              # where each message ends in parts
    uint32_t count              # whole messages
    uint32_t room
    uint8_t *bodies             # copies of small bodies, BATCH_BODIES_BYTES; NULL none yet
    size_t bodies_used

cdef void batch_init(batch_t *self) noexcept nogil
cdef void batch_fini(batch_t *self) noexcept nogil
# The parts since the last end are a message. 0; -ENOMEM.
cdef int batch_end(batch_t *self) noexcept nogil
# Makes room for so many more messages of one part. 0; -ENOMEM.
cdef int batch_reserve(batch_t *self, uint32_t count) noexcept nogil
cdef inline bint batch_has_room(const batch_t *self) noexcept nogil:
    return self.parts.count < self.parts.room and self.count < self.room
# Appends a message of one part, for which there is room; takes over the caller's count on store.
cdef inline void batch_add(batch_t *self, const uint8_t *at, size_t size, store_t *store) noexcept nogil:
    cdef part_t *part = &self.parts.parts[self.parts.count]
    part.at = at
    part.size = size
    part.store = store
    self.parts.count += 1
    self.ends[self.count] = self.parts.count
    self.count += 1
# Appends a whole message; msg is empty afterwards. 0; -ENOMEM (nothing changed).
cdef int batch_push(batch_t *self, msg_t *msg) noexcept nogil
# Room for a message of one part of at most SMALL_BYTES, to be copied to where this points and then added. NULL: there is none.
cdef uint8_t *batch_body_room(batch_t *self) noexcept nogil
cdef void batch_add_body(batch_t *self, size_t size) noexcept nogil
# The message i as parts of its own, which the batch still owns: batch_took, or msg.count = 0, follows. 0; -ENOMEM.
cdef int batch_peek(const batch_t *self, uint32_t i, msg_t *msg) noexcept nogil
# The message i belongs to somebody else now.
cdef void batch_took(batch_t *self, uint32_t i) noexcept nogil
# Parts [first, last) of the message i.
cdef inline uint32_t batch_first(const batch_t *self, uint32_t i) noexcept nogil:
    return self.ends[i - 1] if i else 0
