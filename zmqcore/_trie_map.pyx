# zmqcore/_trie_map.pyx -- see _trie_map.pxd for the contracts.
#
# An array with swap-removal, linear to search while it is short and with a hash index beside it when it is long. A
# subscriber is the address of something that we made, which no peer can choose: the hash needs no secret.
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from zmqcore._sys cimport ENOMEM, calloc, free, malloc, memcpy

cdef enum:
    SCAN_MAX = 16               # a map this long or shorter is searched from end to end; 16 items are four cache lines
    ITEMS_MAX = 1 << 30         # the index has twice as many slots, counted in 32 bits


# Fibonacci hashing: the product's upper half depends on all bits of the pointer.
cdef inline uint32_t map_slot(const trie_map_t *self, const void *who) noexcept nogil:
    return <uint32_t>((<uint64_t><uintptr_t>who * <uint64_t>0x9E3779B97F4A7C15) >> 32) & (2 * self.cap - 1)


cdef inline uint32_t *map_index(const trie_map_t *self) noexcept nogil:
    return self.at.many.index if self.cap > SCAN_MAX else NULL


# The slot of the index that holds position i.
cdef uint32_t map_slot_of(const trie_map_t *self, uint32_t i) noexcept nogil:
    cdef uint32_t slot = map_slot(self, self.at.many.items[i].who)
    while self.at.many.index[slot] != i + 1:
        slot = (slot + 1) & (2 * self.cap - 1)
    return slot


cdef trie_item_t *map_find(const trie_map_t *self, const void *who) noexcept nogil:
    cdef trie_item_t *items = map_items(self)
    cdef const uint32_t *index = map_index(self)
    cdef uint32_t i, slot
    if index == NULL:
        for i in range(self.count):
            if items[i].who == who:
                return items + i
        return NULL
    slot = map_slot(self, who)
    while index[slot] != 0:
        i = index[slot] - 1
        if items[i].who == who:
            return items + i
        slot = (slot + 1) & (2 * self.cap - 1)
    return NULL


cdef void map_index_put(trie_map_t *self, uint32_t i) noexcept nogil:
    cdef uint32_t slot = map_slot(self, self.at.many.items[i].who)
    while self.at.many.index[slot] != 0:
        slot = (slot + 1) & (2 * self.cap - 1)
    self.at.many.index[slot] = i + 1


# Empties a slot and moves later items of its run up, so that no search stops early and no slot is ever a tombstone.
cdef void map_index_drop(trie_map_t *self, uint32_t slot) noexcept nogil:
    cdef trie_table_t *table = &self.at.many
    cdef uint32_t mask = 2 * self.cap - 1
    cdef uint32_t next = slot
    cdef uint32_t home
    while True:
        next = (next + 1) & mask
        if table.index[next] == 0:
            break
        home = map_slot(self, table.items[table.index[next] - 1].who)
        if ((next - home) & mask) >= ((next - slot) & mask):
            table.index[slot] = table.index[next]
            slot = next
    table.index[slot] = 0


# Frees the arrays, if there are any, and has these instead.
cdef void map_take(trie_map_t *self, trie_item_t *items, uint32_t *index, uint32_t cap) noexcept nogil:
    if self.cap != 0:
        free(self.at.many.items)
        free(self.at.many.index)
    self.at.many.items = items
    self.at.many.index = index
    self.cap = cap


# cap: a power of two, at least count and 2. 0; -ENOMEM (nothing changed).
cdef int map_resize(trie_map_t *self, uint32_t cap) noexcept nogil:
    cdef trie_item_t *items = <trie_item_t *>malloc(cap * sizeof(trie_item_t))
    cdef uint32_t *index = NULL
    cdef uint32_t i
    if items == NULL:
        return -ENOMEM
    if cap > SCAN_MAX:
        index = <uint32_t *>calloc(2 * <size_t>cap, sizeof(uint32_t))
        if index == NULL:
            free(items)
            return -ENOMEM
    memcpy(items, map_items(self), self.count * sizeof(trie_item_t))
    map_take(self, items, index, cap)
    if index != NULL:
        for i in range(self.count):
            map_index_put(self, i)
    return 0


cdef int map_reserve(trie_map_t *self) noexcept nogil:
    if self.count < self.cap or self.count == 0:
        return 0
    if self.cap >= ITEMS_MAX:
        return -ENOMEM
    return map_resize(self, 2 * self.cap if self.cap != 0 else 2)


cdef trie_item_t *map_add(trie_map_t *self, void *who) noexcept nogil:
    cdef trie_item_t *item = map_items(self) + self.count
    item.who = who
    self.count += 1
    if map_index(self) != NULL:
        map_index_put(self, self.count - 1)
    return item


cdef void map_fini(trie_map_t *self) noexcept nogil:
    map_take(self, NULL, NULL, 0)
    self.count = 0


cdef void map_remove(trie_map_t *self, trie_item_t *item) noexcept nogil:
    cdef trie_item_t *items = map_items(self)
    cdef uint32_t i = <uint32_t>(item - items)
    cdef uint32_t last = self.count - 1
    cdef trie_item_t only
    if map_index(self) != NULL:
        map_index_drop(self, map_slot_of(self, i))
        if i != last:
            self.at.many.index[map_slot_of(self, last)] = i + 1
    items[i] = items[last]
    self.count = last
    if last <= 1:
        # M2
        only = items[0]
        map_take(self, NULL, NULL, 0)
        self.at.one = only
    elif last <= self.cap // 4:
        # Without memory for the smaller arrays the larger ones stay.
        map_resize(self, self.cap // 2)


cdef bint map_check(const trie_map_t *self) noexcept nogil:
    cdef uint32_t used = 0
    cdef uint32_t i
    if self.count > (self.cap if self.cap != 0 else 1) or self.cap == 1:
        return False
    if self.cap != 0 and (self.at.many.index != NULL) != (self.cap > SCAN_MAX):
        return False
    for i in range(self.count):
        # By its own position: so no subscriber has two (M1).
        if map_find(self, map_items(self)[i].who) != map_items(self) + i:
            return False
    if map_index(self) == NULL:
        return True
    for i in range(2 * self.cap):
        used += self.at.many.index[i] != 0
    return used == self.count
