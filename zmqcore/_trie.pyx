# zmqcore/_trie.pyx -- see _trie.pxd for the contracts.
#
# A radix tree: a node carries the run of bytes that leads to it from its parent (its label), its kids by the first byte
# of theirs, and its subscribers. A node is two cache lines with the label inside, so that splitting and joining nodes
# move a few bytes and allocate no label; longer runs are chains of full nodes. The bound on the label also bounds the
# work of one change: with labels of any length, "a" added and removed under a topic of a megabyte would move the
# megabyte each time.
#
# Two maps by subscriber meet in a pair: the node's subscribers (count, place in the subscriber's list), and the trie's
# subscribers (list of nodes). Both are arrays with swap-removal, linear to search while they are short and with a hash
# index beside them when they are long. So a match reads one array, and every change of a pair is O(1) on both sides.
#
# Only adding allocates. Removing never fails; its undoing of a half-made path is what makes trie_add all or nothing.
#
# Further invariants (trie_check tests these as well)
#   T4  a node other than the root has subscribers, or two kids or more, or one kid that it could not be joined with
#   T5  a subscriber's list names each node that holds it once, and the pair knows its place in the list
#   T6  kids are sorted by the first byte of their labels; no two share it; no label but the root's is empty
#   T7  the scratch buffer has room for the longest topic present
from libc.stdint cimport UINT32_MAX, uint16_t, uintptr_t
from zmqcore._sys cimport ENOMEM, calloc, free, malloc, memcmp, memcpy, memmove

cdef enum:
    LABEL_BYTES_MAX = 83        # makes a node 128 bytes
    KIDS_MAX = 256
    KIDS_FIRST = 2
    SCAN_MAX = 16               # a map this long or shorter is searched from end to end; 16 items are four cache lines
    MAP_ITEMS_MAX = 1 << 30     # the index has twice as many slots, counted in 32 bits
    TOPIC_ROOM_MIN = 64

# The topics of one subscriber, in no order.
cdef struct trie_list_t:
    uint32_t count
    uint32_t cap
    trie_node_t *nodes[1]       # cap of them

cdef struct trie_pair_t:
    uint32_t refs               # T2; sticks at UINT32_MAX
    uint32_t place              # in the subscriber's list (T5)

cdef union trie_value_t:
    trie_pair_t pair            # in a node's map
    trie_list_t *list           # in the trie's map; owned

cdef struct trie_item_t:
    void *who
    trie_value_t value

cdef struct trie_map_t:
    trie_item_t *items          # owned; NULL while cap is 0
    uint32_t *index             # owned; NULL up to SCAN_MAX; else 2 * cap slots with a position + 1, 0 when free
    uint32_t count
    uint32_t cap                # a power of two, or 0

cdef struct trie_node_t:
    trie_node_t *parent         # NULL for the root
    trie_node_t **kids          # owned; kids_cap pointers, and behind them kids_cap first bytes (T6)
    trie_map_t subs
    uint16_t kids_count
    uint16_t kids_cap
    uint8_t label_bytes
    uint8_t label[LABEL_BYTES_MAX]

cdef struct trie_private_t:
    trie_map_t subs             # every subscriber that holds a topic
    uint8_t *topic              # scratch: a topic put together for a callback (T7)
    size_t topic_cap


# --- map by subscriber -------------------------------------------------------------------------------------------

# Fibonacci hashing: the product's upper half depends on all bits of the pointer.
cdef inline uint32_t map_slot(const trie_map_t *self, const void *who) noexcept nogil:
    return <uint32_t>((<uint64_t><uintptr_t>who * <uint64_t>0x9E3779B97F4A7C15) >> 32) & (2 * self.cap - 1)


# The slot of the index that holds position i.
cdef uint32_t map_slot_of(const trie_map_t *self, uint32_t i) noexcept nogil:
    cdef uint32_t slot = map_slot(self, self.items[i].who)
    while self.index[slot] != i + 1:
        slot = (slot + 1) & (2 * self.cap - 1)
    return slot


# NULL when there is none.
cdef trie_item_t *map_find(const trie_map_t *self, const void *who) noexcept nogil:
    cdef uint32_t i, slot
    if self.index == NULL:
        for i in range(self.count):
            if self.items[i].who == who:
                return self.items + i
        return NULL
    slot = map_slot(self, who)
    while self.index[slot] != 0:
        i = self.index[slot] - 1
        if self.items[i].who == who:
            return self.items + i
        slot = (slot + 1) & (2 * self.cap - 1)
    return NULL


cdef void map_index_put(trie_map_t *self, uint32_t i) noexcept nogil:
    cdef uint32_t slot = map_slot(self, self.items[i].who)
    while self.index[slot] != 0:
        slot = (slot + 1) & (2 * self.cap - 1)
    self.index[slot] = i + 1


# Empties a slot and moves later items of its run up, so that no search stops early and no slot is ever a tombstone.
cdef void map_index_drop(trie_map_t *self, uint32_t slot) noexcept nogil:
    cdef uint32_t mask = 2 * self.cap - 1
    cdef uint32_t next = slot
    cdef uint32_t home
    while True:
        next = (next + 1) & mask
        if self.index[next] == 0:
            break
        home = map_slot(self, self.items[self.index[next] - 1].who)
        if ((next - home) & mask) >= ((next - slot) & mask):
            self.index[slot] = self.index[next]
            slot = next
    self.index[slot] = 0


# cap: a power of two, at least count. 0; -ENOMEM (nothing changed).
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
    if self.count != 0:
        memcpy(items, self.items, self.count * sizeof(trie_item_t))
    free(self.items)
    free(self.index)
    self.items = items
    self.index = index
    self.cap = cap
    if index != NULL:
        for i in range(self.count):
            map_index_put(self, i)
    return 0


# Room for one item more. 0; -ENOMEM.
cdef int map_reserve(trie_map_t *self) noexcept nogil:
    if self.count < self.cap:
        return 0
    if self.cap >= MAP_ITEMS_MAX:
        return -ENOMEM
    return map_resize(self, 2 * self.cap if self.cap != 0 else 1)


# Needs map_reserve before. The item, whose value the caller fills in.
cdef trie_item_t *map_add(trie_map_t *self, void *who) noexcept nogil:
    cdef uint32_t i = self.count
    self.items[i].who = who
    self.count += 1
    if self.index != NULL:
        map_index_put(self, i)
    return self.items + i


cdef void map_fini(trie_map_t *self) noexcept nogil:
    free(self.items)
    free(self.index)
    self.items = NULL
    self.index = NULL
    self.count = 0
    self.cap = 0


# The last item takes the place of the removed one.
cdef void map_remove(trie_map_t *self, trie_item_t *item) noexcept nogil:
    cdef uint32_t i = <uint32_t>(item - self.items)
    cdef uint32_t last = self.count - 1
    if self.index != NULL:
        map_index_drop(self, map_slot_of(self, i))
        if i != last:
            self.index[map_slot_of(self, last)] = i + 1
    self.items[i] = self.items[last]
    self.count = last
    if last == 0:
        map_fini(self)
    elif last <= self.cap // 4:
        # Without memory for the smaller arrays the larger ones stay.
        map_resize(self, self.cap // 2)


# --- nodes -------------------------------------------------------------------------------------------------------

cdef trie_node_t *node_new(const uint8_t *label, size_t size) noexcept nogil:
    cdef trie_node_t *self = <trie_node_t *>calloc(1, sizeof(trie_node_t))
    if self == NULL:
        return NULL
    self.label_bytes = <uint8_t>size
    if size != 0:
        memcpy(self.label, label, size)
    return self


cdef void node_free(trie_node_t *self) noexcept nogil:
    map_fini(&self.subs)
    free(self.kids)
    free(self)


cdef inline uint8_t *node_firsts(const trie_node_t *self) noexcept nogil:
    return <uint8_t *>(self.kids + self.kids_cap)


# Where the kid whose label begins with this byte stands, or would stand.
cdef uint32_t node_place(const trie_node_t *self, uint8_t first) noexcept nogil:
    cdef const uint8_t *firsts = node_firsts(self)
    cdef uint32_t low = 0
    cdef uint32_t high = self.kids_count
    cdef uint32_t middle
    while low < high:
        middle = (low + high) // 2
        if firsts[middle] < first:
            low = middle + 1
        else:
            high = middle
    return low


# NULL when there is none.
cdef trie_node_t *node_kid(const trie_node_t *self, uint8_t first) noexcept nogil:
    cdef uint32_t i = node_place(self, first)
    if i == self.kids_count or node_firsts(self)[i] != first:
        return NULL
    return self.kids[i]


# 0; -ENOMEM (nothing changed).
cdef int node_kids_resize(trie_node_t *self, uint32_t cap) noexcept nogil:
    cdef trie_node_t **kids = <trie_node_t **>malloc(cap * (sizeof(trie_node_t *) + 1))
    if kids == NULL:
        return -ENOMEM
    if self.kids_count != 0:
        memcpy(kids, self.kids, self.kids_count * sizeof(trie_node_t *))
        memcpy(kids + cap, node_firsts(self), self.kids_count)
    free(self.kids)
    self.kids = kids
    self.kids_cap = <uint16_t>cap
    return 0


# 0; -ENOMEM (nothing changed).
cdef int node_kid_add(trie_node_t *self, trie_node_t *kid) noexcept nogil:
    cdef uint32_t i = node_place(self, kid.label[0])
    cdef uint32_t later = self.kids_count - i
    cdef uint8_t *firsts
    if self.kids_count == self.kids_cap:
        if node_kids_resize(self, 2 * self.kids_cap if self.kids_cap != 0 else KIDS_FIRST) < 0:
            return -ENOMEM
    firsts = node_firsts(self)
    memmove(self.kids + i + 1, self.kids + i, later * sizeof(trie_node_t *))
    memmove(firsts + i + 1, firsts + i, later)
    self.kids[i] = kid
    firsts[i] = kid.label[0]
    self.kids_count += 1
    kid.parent = self
    return 0


cdef void node_kid_remove(trie_node_t *self, const trie_node_t *kid) noexcept nogil:
    cdef uint32_t i = node_place(self, kid.label[0])
    cdef uint32_t later = self.kids_count - i - 1
    cdef uint8_t *firsts = node_firsts(self)
    memmove(self.kids + i, self.kids + i + 1, later * sizeof(trie_node_t *))
    memmove(firsts + i, firsts + i + 1, later)
    self.kids_count -= 1
    if self.kids_count == 0:
        free(self.kids)
        self.kids = NULL
        self.kids_cap = 0
    elif self.kids_count <= self.kids_cap // 4:
        # Without memory for the smaller array the larger one stays.
        node_kids_resize(self, self.kids_cap // 2)


# Puts node where its parent has another node whose label begins with the same byte.
cdef void node_take_place(trie_node_t *node, trie_node_t *parent) noexcept nogil:
    parent.kids[node_place(parent, node.label[0])] = node
    node.parent = parent


cdef bint node_is_joinable(const trie_node_t *self) noexcept nogil:
    return (self.parent != NULL and self.subs.count == 0 and self.kids_count == 1
            and self.label_bytes + self.kids[0].label_bytes <= LABEL_BYTES_MAX)


# T4: a node that only leads to one other becomes part of that other, which keeps its address.
cdef void node_join(trie_node_t *self) noexcept nogil:
    cdef trie_node_t *kid
    if not node_is_joinable(self):
        return
    kid = self.kids[0]
    memmove(kid.label + self.label_bytes, kid.label, kid.label_bytes)
    memcpy(kid.label, self.label, self.label_bytes)
    kid.label_bytes = <uint8_t>(kid.label_bytes + self.label_bytes)
    node_take_place(kid, self.parent)
    node_free(self)


# Puts a node between self and its parent that takes the first size bytes of the label. It; NULL when out of memory.
cdef trie_node_t *node_split(trie_node_t *self, size_t size) noexcept nogil:
    cdef trie_node_t *upper = node_new(self.label, size)
    cdef trie_node_t *parent = self.parent
    if upper == NULL:
        return NULL
    if node_kids_resize(upper, KIDS_FIRST) < 0:
        node_free(upper)
        return NULL
    node_take_place(upper, parent)
    self.label_bytes = <uint8_t>(self.label_bytes - size)
    memmove(self.label, self.label + size, self.label_bytes)
    node_kid_add(upper, self)   # has room
    # Both halves are shorter than the whole was: what did not fit before may fit now.
    node_join(parent)
    node_join(self)
    return upper


# After self lost a subscriber or a kid: removes the nodes that lead nowhere, from self towards the root (T4).
cdef void node_prune(trie_node_t *self) noexcept nogil:
    cdef trie_node_t *parent
    while self.parent != NULL and self.subs.count == 0 and self.kids_count == 0:
        parent = self.parent
        node_kid_remove(parent, self)
        node_free(self)
        self = parent
    node_join(self)


# The kid whose whole label stands at the start of data; NULL when there is none.
cdef inline trie_node_t *node_step(const trie_node_t *self, const uint8_t *data, size_t size) noexcept nogil:
    cdef trie_node_t *kid
    if size == 0:
        return NULL
    kid = node_kid(self, data[0])
    if kid == NULL or kid.label_bytes > size or memcmp(kid.label, data, kid.label_bytes) != 0:
        return NULL
    return kid


# The next node in byte order, parents first; *size is the length of self's topic and becomes the next one's. NULL at
# the end.
cdef trie_node_t *node_next(const trie_node_t *self, size_t *size) noexcept nogil:
    cdef const trie_node_t *parent
    cdef uint32_t i = 0
    while i == self.kids_count:
        parent = self.parent
        if parent == NULL:
            return NULL
        size[0] -= self.label_bytes
        i = node_place(parent, self.label[0]) + 1
        self = parent
    size[0] += self.kids[i].label_bytes
    return self.kids[i]


# --- topics ------------------------------------------------------------------------------------------------------

# The last node on the topic's path whose whole label is part of it, and how far that is.
cdef trie_node_t *topic_descend(const trie_t *self, const uint8_t *topic, size_t size, size_t *off) noexcept nogil:
    cdef trie_node_t *node = self.root
    cdef trie_node_t *kid = node
    off[0] = 0
    while kid != NULL:
        node = kid
        off[0] += node.label_bytes
        kid = node_step(node, topic + off[0], size - off[0])
    return node


# The topic's node; NULL when there is none.
cdef trie_node_t *topic_find(const trie_t *self, const uint8_t *topic, size_t size) noexcept nogil:
    cdef size_t off
    cdef trie_node_t *node = topic_descend(self, topic, size, &off)
    return node if off == size else NULL


# The topic's node, made if need be. NULL when out of memory (nothing changed).
cdef trie_node_t *topic_make(trie_t *self, const uint8_t *topic, size_t size) noexcept nogil:
    cdef size_t off
    cdef size_t same = 1
    cdef trie_node_t *node = topic_descend(self, topic, size, &off)
    cdef trie_node_t *kid = NULL
    if off < size:
        kid = node_kid(node, topic[off])
    if kid != NULL:
        # Not the whole label, or the descent had gone on: the topic ends inside it, or another byte does not agree.
        while off + same < size and kid.label[same] == topic[off + same]:
            same += 1
        node = node_split(kid, same)
        if node == NULL:
            return NULL
        off += same
    while off < size:
        same = size - off if size - off < LABEL_BYTES_MAX else LABEL_BYTES_MAX
        kid = node_new(topic + off, same)
        if kid == NULL or node_kid_add(node, kid) < 0:
            free(kid)
            node_prune(node)
            return NULL
        node = kid
        off += same
    return node


# Room for a topic of size bytes in the scratch buffer. 0; -ENOMEM.
cdef int topic_reserve(trie_private_t *self, size_t size) noexcept nogil:
    cdef uint8_t *topic
    if size <= self.topic_cap:
        return 0
    if size < TOPIC_ROOM_MIN:
        size = TOPIC_ROOM_MIN
    topic = <uint8_t *>malloc(size)
    if topic == NULL:
        return -ENOMEM
    free(self.topic)
    self.topic = topic
    self.topic_cap = size
    return 0


# Writes the node's topic at the end of the scratch buffer, from its last byte to its first. Its size.
cdef size_t topic_put(trie_private_t *self, const trie_node_t *node) noexcept nogil:
    cdef size_t off = self.topic_cap
    while node.parent != NULL:
        off -= node.label_bytes
        memcpy(self.topic + off, node.label, node.label_bytes)
        node = node.parent
    return self.topic_cap - off


# --- pairs of topic and subscriber -------------------------------------------------------------------------------

cdef trie_list_t *list_resize(trie_list_t *self, uint32_t cap) noexcept nogil:
    cdef size_t size = sizeof(trie_list_t) + (cap - 1) * sizeof(trie_node_t *)
    cdef trie_list_t *list = <trie_list_t *>malloc(size)
    if list == NULL:
        return NULL
    list.cap = cap
    list.count = 0
    if self != NULL:
        list.count = self.count
        memcpy(list.nodes, self.nodes, self.count * sizeof(trie_node_t *))
        free(self)
    return list


# Room for one topic more in who's list, which is made if need be. Its item; NULL when out of memory.
cdef trie_item_t *list_reserve(trie_map_t *subs, void *who) noexcept nogil:
    cdef trie_item_t *item = map_find(subs, who)
    cdef trie_list_t *list
    if item == NULL:
        if map_reserve(subs) < 0:
            return NULL
        list = list_resize(NULL, 1)
        if list == NULL:
            return NULL
        item = map_add(subs, who)
        item.value.list = list
    elif item.value.list.count == item.value.list.cap:
        if item.value.list.cap >= MAP_ITEMS_MAX:
            return NULL
        list = list_resize(item.value.list, 2 * item.value.list.cap)
        if list == NULL:
            return NULL
        item.value.list = list
    return item


cdef void list_release(trie_map_t *subs, trie_item_t *item) noexcept nogil:
    cdef trie_list_t *list = item.value.list
    if list.count == 0:
        map_remove(subs, item)
        free(list)
    elif list.count <= list.cap // 4:
        list = list_resize(list, list.cap // 2)
        if list != NULL:
            item.value.list = list


# Takes the node at that place off who's list; the list's last node moves there.
cdef void list_remove(trie_map_t *subs, void *who, uint32_t place) noexcept nogil:
    cdef trie_item_t *item = map_find(subs, who)
    cdef trie_list_t *list = item.value.list
    cdef trie_node_t *moved
    list.count -= 1
    if place != list.count:
        moved = list.nodes[list.count]
        list.nodes[place] = moved
        map_find(&moved.subs, who).value.pair.place = place
    list_release(subs, item)


# A first reference of who to node. 0; -ENOMEM (nothing changed).
cdef int pair_add(trie_private_t *self, trie_node_t *node, void *who) noexcept nogil:
    cdef trie_item_t *item = list_reserve(&self.subs, who)
    cdef trie_item_t *pair
    cdef trie_list_t *list
    if item == NULL:
        return -ENOMEM
    if map_reserve(&node.subs) < 0:
        list_release(&self.subs, item)
        return -ENOMEM
    list = item.value.list
    pair = map_add(&node.subs, who)
    pair.value.pair.refs = 1
    pair.value.pair.place = list.count
    list.nodes[list.count] = node
    list.count += 1
    return 0


# --- the door ----------------------------------------------------------------------------------------------------

cdef int trie_init(trie_t *self) noexcept nogil:
    self.topics = 0
    self.root = node_new(NULL, 0)
    self.own = <trie_private_t *>calloc(1, sizeof(trie_private_t))
    if self.root == NULL or self.own == NULL or topic_reserve(self.own, TOPIC_ROOM_MIN) < 0:
        free(self.root)
        free(self.own)
        self.root = NULL
        self.own = NULL
        return -ENOMEM
    return 0


cdef int trie_add(trie_t *self, const uint8_t *topic, size_t size, void *who) noexcept nogil:
    cdef trie_node_t *node
    cdef trie_item_t *item
    cdef int bits
    if topic_reserve(self.own, size) < 0:
        return -ENOMEM
    node = topic_make(self, topic, size)
    if node == NULL:
        return -ENOMEM
    item = map_find(&node.subs, who)
    if item != NULL:
        # A peer can send the same subscription for ever. A count that no longer counts is never dropped singly.
        if item.value.pair.refs != UINT32_MAX:
            item.value.pair.refs += 1
        return 0
    bits = TRIE_FIRST_OF_WHO
    if node.subs.count == 0:
        bits |= TRIE_FIRST_OF_TOPIC
    if pair_add(self.own, node, who) < 0:
        node_prune(node)
        return -ENOMEM
    if bits & TRIE_FIRST_OF_TOPIC:
        self.topics += 1
    return bits


cdef int trie_remove(trie_t *self, const uint8_t *topic, size_t size, void *who, bint is_all) noexcept nogil:
    cdef trie_node_t *node = topic_find(self, topic, size)
    cdef trie_item_t *item = NULL
    if node != NULL:
        item = map_find(&node.subs, who)
    if item == NULL:
        return TRIE_UNKNOWN
    if not is_all and item.value.pair.refs > 1:
        if item.value.pair.refs != UINT32_MAX:
            item.value.pair.refs -= 1
        return 0
    list_remove(&self.own.subs, who, item.value.pair.place)
    map_remove(&node.subs, item)
    if node.subs.count != 0:
        return TRIE_LAST_OF_WHO
    self.topics -= 1
    node_prune(node)
    return TRIE_LAST_OF_WHO | TRIE_LAST_OF_TOPIC


cdef void trie_remove_who(trie_t *self, void *who, bint is_each, trie_topic_fn fn, void *arg) noexcept nogil:
    cdef trie_item_t *item = map_find(&self.own.subs, who)
    cdef trie_list_t *list
    cdef trie_node_t *node
    cdef uint32_t i
    cdef size_t size = 0
    cdef bint is_last
    if item == NULL:
        return
    list = item.value.list
    map_remove(&self.own.subs, item)
    for i in range(list.count):
        node = list.nodes[i]
        map_remove(&node.subs, map_find(&node.subs, who))
        is_last = node.subs.count == 0
        if fn != NULL and (is_each or is_last):
            size = topic_put(self.own, node)
        if is_last:
            self.topics -= 1
            node_prune(node)
        if fn != NULL and (is_each or is_last):
            fn(arg, self.own.topic + self.own.topic_cap - size, size)
    free(list)


cdef void trie_match(const trie_t *self, const uint8_t *data, size_t size, trie_hit_fn fn, void *arg) noexcept nogil:
    cdef const trie_node_t *node = self.root
    cdef size_t off = 0
    cdef uint32_t i
    while node != NULL:
        for i in range(node.subs.count):
            fn(arg, node.subs.items[i].who)
        node = node_step(node, data + off, size - off)
        if node != NULL:
            off += node.label_bytes


cdef bint trie_has(const trie_t *self, const uint8_t *topic, size_t size) noexcept nogil:
    cdef const trie_node_t *node = topic_find(self, topic, size)
    return node != NULL and node.subs.count != 0


cdef bint trie_matches(const trie_t *self, const uint8_t *data, size_t size) noexcept nogil:
    cdef const trie_node_t *node = self.root
    cdef size_t off = 0
    while node != NULL and node.subs.count == 0:
        node = node_step(node, data + off, size - off)
        if node != NULL:
            off += node.label_bytes
    return node != NULL


cdef void trie_walk(const trie_t *self, trie_topic_fn fn, void *arg) noexcept nogil:
    cdef const trie_node_t *node = self.root
    cdef size_t size = 0
    while node != NULL:
        memcpy(self.own.topic + size - node.label_bytes, node.label, node.label_bytes)
        if node.subs.count != 0:
            fn(arg, self.own.topic, size)
        node = node_next(node, &size)


cdef void trie_fini(trie_t *self) noexcept nogil:
    cdef trie_node_t *node = self.root
    cdef trie_node_t *parent
    cdef uint32_t i
    if self.own == NULL:
        return
    while node != NULL:
        if node.kids_count != 0:
            node.kids_count -= 1
            node = node.kids[node.kids_count]
        else:
            parent = node.parent
            node_free(node)
            node = parent
    for i in range(self.own.subs.count):
        free(self.own.subs.items[i].value.list)
    map_fini(&self.own.subs)
    free(self.own.topic)
    free(self.own)
    self.root = NULL
    self.own = NULL
    self.topics = 0


# --- check -------------------------------------------------------------------------------------------------------

# Every item is found, and by its own position; sizes are as promised.
cdef bint map_check(const trie_map_t *self) noexcept nogil:
    cdef uint32_t used = 0
    cdef uint32_t i
    if self.count > self.cap or (self.index != NULL) != (self.cap > SCAN_MAX):
        return False
    for i in range(self.count):
        if map_find(self, self.items[i].who) != self.items + i:
            return False
    if self.index != NULL:
        for i in range(2 * self.cap):
            used += self.index[i] != 0
        return used == self.count
    return True


cdef bint node_check(const trie_node_t *self) noexcept nogil:
    cdef uint32_t i
    if self.parent != NULL and (self.label_bytes == 0 or (self.subs.count == 0 and self.kids_count == 0)):
        return False
    if self.label_bytes > LABEL_BYTES_MAX or self.kids_count > self.kids_cap or self.kids_cap > KIDS_MAX:
        return False
    if node_is_joinable(self) or not map_check(&self.subs):
        return False
    for i in range(self.kids_count):
        if self.kids[i].parent != self or self.kids[i].label[0] != node_firsts(self)[i]:
            return False
        if i > 0 and node_firsts(self)[i - 1] >= node_firsts(self)[i]:
            return False
    return True


# Each subscriber of the node has a reference, and its list names the node where the pair says it does.
cdef bint pairs_check(const trie_private_t *self, const trie_node_t *node) noexcept nogil:
    cdef const trie_item_t *pair
    cdef const trie_item_t *item
    cdef uint32_t i
    for i in range(node.subs.count):
        pair = node.subs.items + i
        item = map_find(&self.subs, pair.who)
        if pair.value.pair.refs == 0 or item == NULL or pair.value.pair.place >= item.value.list.count:
            return False
        if item.value.list.nodes[pair.value.pair.place] != node:
            return False
    return True


cdef bint trie_check(const trie_t *self) noexcept nogil:
    cdef const trie_node_t *node = self.root
    cdef uint64_t topics = 0
    cdef uint64_t pairs = 0
    cdef uint64_t listed = 0
    cdef size_t size = 0
    cdef uint32_t i
    while node != NULL:
        if not node_check(node) or not pairs_check(self.own, node):
            return False
        if node.subs.count != 0 and size > self.own.topic_cap:
            return False
        topics += node.subs.count != 0
        pairs += node.subs.count
        node = node_next(node, &size)
    for i in range(self.own.subs.count):
        if self.own.subs.items[i].value.list.count == 0:
            return False
        listed += self.own.subs.items[i].value.list.count
    return topics == self.topics and pairs == listed and map_check(&self.own.subs)
