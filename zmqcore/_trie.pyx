# zmqcore/_trie.pyx -- see _trie.pxd for the contracts.
#
# A radix tree: a node carries the run of bytes that leads to it from its parent (its label), its kids by the first byte
# of theirs, and its subscribers. Among 100,000 topics a match waits for memory, not for instructions, so what counts is
# the cache lines on its way: one for a node with its label and its only subscriber, and two for a fork of up to eleven
# kids, the first of which says without a search or a branch where in the second the kid stands. Longer labels get a
# second line, and longer runs are chains of full nodes. Splitting and joining nodes move a few bytes; the bound on the
# label also bounds the work of one change: with labels of any length, "a" added and removed under a topic of a megabyte
# would move the megabyte each time. Figures: docs/design.md.
#
# Two maps by subscriber meet in a pair: the node's subscribers (count, place in the subscriber's list), and the trie's
# subscribers (list of nodes). So a match reads one array, and every change of a pair is O(1) on both sides.
#
# Only adding needs to allocate. Removing never fails; its undoing of a half-made path is what makes trie_add all or
# nothing.
#
# Further invariants (trie_check tests these as well)
#   T4  a node other than the root has subscribers, or two kids or more, or one kid that it could not be joined with
#   T5  a subscriber's list names each node that holds it once, and the pair knows its place in the list
#   T6  kids are sorted by the first byte of their labels; no two share it; no label but the root's is empty
#   T7  the scratch buffer has room for the longest topic present
#   T8  a node has a fork exactly while it has two kids or more; the fork's bits are the first bytes of their labels
from libc.stdint cimport UINT32_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from zmqcore._sys cimport ENOMEM, calloc, free, malloc, memcmp, memcpy, memmove, memset, zc_check, zc_prefetch
from zmqcore._trie_cells cimport (
    CELL_BYTES, CELL_NONE, CELL_WIDE, cell_check, cell_free, cell_new, cells_check, trie_cells_t,
)
from zmqcore._trie_map cimport (
    map_add, map_check, map_find, map_fini, map_items, map_remove, map_reserve, trie_item_t, trie_list_t, trie_map_t,
)

cdef enum:
    LABEL_BYTES_MIN = 20        # makes a node one cell
    LABEL_BYTES_MAX = 84        # makes it a wide one
    FORK_KIDS_MIN = 3           # makes a fork one cell
    FORK_KIDS_WIDE = 11         # makes it a wide one; ten are a digit's
    FORK_KIDS_STEP = 8          # a cache line more
    LIST_COUNT_MAX = 1 << 30
    TOPIC_ROOM_MIN = 64

# The topics of one subscriber, in no order.
cdef struct trie_list_t:
    uint32_t count
    uint32_t cap
    trie_node_t *nodes[1]       # cap of them

# Two kids or more. A kid's place is the number of bits below its own.
cdef struct trie_fork_t:
    uint64_t bits[4]            # one for each byte (T8)
    uint8_t before[4]           # bits set in the words before
    uint16_t cap
    uint8_t tag                 # of the fork's cell; CELL_NONE: it is malloc's
    trie_node_t *kids[FORK_KIDS_MIN]    # cap of them (T6)

cdef union trie_kids_t:
    trie_node_t *one            # NULL without kids
    trie_fork_t *fork           # owned; from two kids on

cdef struct trie_node_t:
    trie_node_t *parent         # NULL for the root
    trie_kids_t kids
    trie_map_t subs
    uint16_t kids_count
    uint8_t tag                 # of the node's cell, which is wide when the label needed it at first
    uint8_t label_bytes
    uint8_t label[LABEL_BYTES_MIN]      # room for LABEL_BYTES_MAX in a wide cell

cdef struct trie_private_t:
    trie_map_t subs             # every subscriber that holds a topic
    trie_cells_t cells          # of the nodes, and of the forks that fit
    uint8_t *topic              # scratch: a topic put together for a callback (T7)
    size_t topic_cap


# --- forks -------------------------------------------------------------------------------------------------------

cdef inline uint32_t bits_count(uint64_t bits) noexcept nogil:
    # In the word itself: the oldest x86-64 has no instruction for it, and the compiler's own function is slower.
    bits -= (bits >> 1) & <uint64_t>0x5555555555555555
    bits = (bits & <uint64_t>0x3333333333333333) + ((bits >> 2) & <uint64_t>0x3333333333333333)
    bits = (bits + (bits >> 4)) & <uint64_t>0x0F0F0F0F0F0F0F0F
    return <uint32_t>((bits * <uint64_t>0x0101010101010101) >> 56)


cdef inline bint fork_has(const trie_fork_t *self, uint8_t first) noexcept nogil:
    return (self.bits[first >> 6] >> (first & 63)) & 1


# Where the kid whose label begins with this byte stands, or would stand.
cdef inline uint32_t fork_place(const trie_fork_t *self, uint8_t first) noexcept nogil:
    cdef uint64_t below = (<uint64_t>1 << (first & 63)) - 1
    return self.before[first >> 6] + bits_count(self.bits[first >> 6] & below)


# Not cleared; NULL when out of memory. cap: FORK_KIDS_MIN and FORK_KIDS_STEP so many times.
cdef trie_fork_t *fork_new(trie_private_t *own, uint32_t cap) noexcept nogil:
    cdef uint8_t tag = CELL_NONE
    cdef trie_fork_t *self
    if cap <= FORK_KIDS_WIDE:
        self = <trie_fork_t *>cell_new(&own.cells, cap > FORK_KIDS_MIN, &tag)
    else:
        self = <trie_fork_t *>malloc(sizeof(trie_fork_t) + (cap - FORK_KIDS_MIN) * sizeof(trie_node_t *))
    if self != NULL:
        self.tag = tag
        self.cap = <uint16_t>cap
    return self


cdef void fork_free(trie_private_t *own, trie_fork_t *self) noexcept nogil:
    if self.tag == CELL_NONE:
        free(self)
    else:
        cell_free(&own.cells, self, self.tag)


# A copy of that cap, in the place of self; NULL when out of memory (nothing changed).
cdef trie_fork_t *fork_resize(trie_private_t *own, trie_fork_t *self, uint32_t count, uint32_t cap) noexcept nogil:
    cdef trie_fork_t *fork = fork_new(own, cap)
    if fork == NULL:
        return NULL
    memcpy(fork.bits, self.bits, sizeof(self.bits))
    memcpy(fork.before, self.before, sizeof(self.before))
    memcpy(fork.kids, self.kids, count * sizeof(trie_node_t *))
    fork_free(own, self)
    return fork


# Sets or clears the bit of a byte.
cdef void fork_flip(trie_fork_t *self, uint8_t first) noexcept nogil:
    cdef int step = -1 if fork_has(self, first) else 1
    cdef uint32_t i
    self.bits[first >> 6] ^= <uint64_t>1 << (first & 63)
    for i in range((first >> 6) + 1, 4):
        self.before[i] = <uint8_t>(self.before[i] + step)


# Has room; count: the kids it has.
cdef void fork_add(trie_fork_t *self, uint32_t count, trie_node_t *kid) noexcept nogil:
    cdef uint32_t i = fork_place(self, kid.label[0])
    memmove(self.kids + i + 1, self.kids + i, (count - i) * sizeof(trie_node_t *))
    self.kids[i] = kid
    fork_flip(self, kid.label[0])


# --- nodes -------------------------------------------------------------------------------------------------------

# NULL when out of memory.
cdef trie_node_t *node_new(trie_private_t *own, const uint8_t *label, size_t size) noexcept nogil:
    cdef uint8_t tag = CELL_NONE
    cdef trie_node_t *self = <trie_node_t *>cell_new(&own.cells, size > LABEL_BYTES_MIN, &tag)
    if self == NULL:
        return NULL
    memset(self, 0, sizeof(trie_node_t))
    self.tag = tag
    self.label_bytes = <uint8_t>size
    if size != 0:
        memcpy(self.label, label, size)
    return self


# Its kids stay with whoever has them.
cdef void node_free(trie_private_t *own, trie_node_t *self) noexcept nogil:
    map_fini(&self.subs)
    if self.kids_count > 1:
        fork_free(own, self.kids.fork)
    cell_free(&own.cells, self, self.tag)


cdef inline size_t node_label_cap(const trie_node_t *self) noexcept nogil:
    return LABEL_BYTES_MAX if self.tag & CELL_WIDE else LABEL_BYTES_MIN


# kids_count of them, in byte order.
cdef inline trie_node_t **node_kids(const trie_node_t *self) noexcept nogil:
    if self.kids_count > 1:
        return <trie_node_t **>self.kids.fork.kids
    return <trie_node_t **>&self.kids.one


# The kid whose label begins with this byte; NULL when there is none.
cdef inline trie_node_t *node_kid(const trie_node_t *self, uint8_t first) noexcept nogil:
    cdef trie_node_t *kid
    if self.kids_count > 1:
        return self.kids.fork.kids[fork_place(self.kids.fork, first)] if fork_has(self.kids.fork, first) else NULL
    kid = self.kids.one
    return kid if kid != NULL and kid.label[0] == first else NULL


# 0; -ENOMEM (nothing changed).
cdef int node_kid_add(trie_private_t *own, trie_node_t *self, trie_node_t *kid) noexcept nogil:
    cdef trie_fork_t *fork
    if self.kids_count == 0:
        self.kids.one = kid
    else:
        if self.kids_count == 1:
            fork = fork_new(own, FORK_KIDS_MIN)
            if fork == NULL:
                return -ENOMEM
            memset(fork.bits, 0, sizeof(fork.bits))
            memset(fork.before, 0, sizeof(fork.before))
            fork_add(fork, 0, self.kids.one)
            self.kids.fork = fork
        elif self.kids_count == self.kids.fork.cap:
            fork = fork_resize(own, self.kids.fork, self.kids_count, self.kids_count + FORK_KIDS_STEP)
            if fork == NULL:
                return -ENOMEM
            self.kids.fork = fork
        fork_add(self.kids.fork, self.kids_count, kid)
    self.kids_count += 1
    kid.parent = self
    return 0


cdef void node_kid_remove(trie_private_t *own, trie_node_t *self, const trie_node_t *kid) noexcept nogil:
    cdef trie_fork_t *fork = self.kids.fork
    cdef trie_node_t *other
    cdef uint32_t i
    self.kids_count -= 1
    if self.kids_count == 0:
        self.kids.one = NULL
        return
    i = fork_place(fork, kid.label[0])
    memmove(fork.kids + i, fork.kids + i + 1, (self.kids_count - i) * sizeof(trie_node_t *))
    fork_flip(fork, kid.label[0])
    if self.kids_count == 1:
        other = fork.kids[0]
        fork_free(own, fork)
        self.kids.one = other
    elif self.kids_count + FORK_KIDS_STEP + FORK_KIDS_STEP // 2 <= fork.cap:
        # Half a step late, lest a kid that comes and goes costs a copy each time. Without memory the larger one stays.
        fork = fork_resize(own, fork, self.kids_count, fork.cap - FORK_KIDS_STEP)
        if fork != NULL:
            self.kids.fork = fork


# Puts node where its parent has another node whose label begins with the same byte.
cdef void node_take_place(trie_node_t *node, trie_node_t *parent) noexcept nogil:
    if parent.kids_count > 1:
        parent.kids.fork.kids[fork_place(parent.kids.fork, node.label[0])] = node
    else:
        parent.kids.one = node
    node.parent = parent


cdef bint node_is_joinable(const trie_node_t *self) noexcept nogil:
    return (self.parent != NULL and self.subs.count == 0 and self.kids_count == 1
            and self.label_bytes + self.kids.one.label_bytes <= node_label_cap(self.kids.one))


# T4: a joinable node becomes part of its kid, which keeps its address.
cdef void node_join(trie_private_t *own, trie_node_t *self) noexcept nogil:
    cdef trie_node_t *kid = self.kids.one
    memmove(kid.label + self.label_bytes, kid.label, kid.label_bytes)
    memcpy(kid.label, self.label, self.label_bytes)
    kid.label_bytes = <uint8_t>(kid.label_bytes + self.label_bytes)
    node_take_place(kid, self.parent)
    node_free(own, self)


# Joins self with its kid if it can be, and so on towards the root: a wide kid may have more room than its parent had.
cdef void node_join_up(trie_private_t *own, trie_node_t *self) noexcept nogil:
    cdef trie_node_t *parent
    while node_is_joinable(self):
        parent = self.parent
        node_join(own, self)
        self = parent


# Puts a node between self and its parent that takes the first size bytes of the label. It; NULL when out of memory. The
# caller gives it a subscriber or a second kid, or prunes it.
cdef trie_node_t *node_split(trie_private_t *own, trie_node_t *self, size_t size) noexcept nogil:
    cdef trie_node_t *upper = node_new(own, self.label, size)
    if upper == NULL:
        return NULL
    node_take_place(upper, self.parent)
    self.label_bytes = <uint8_t>(self.label_bytes - size)
    memmove(self.label, self.label + size, self.label_bytes)
    upper.kids.one = self
    upper.kids_count = 1
    self.parent = upper
    # Both halves are shorter than the whole was: what did not fit before may fit now.
    node_join_up(own, upper.parent)
    if node_is_joinable(self):
        node_join(own, self)
    return upper


# After self lost a subscriber or a kid: removes the nodes that lead nowhere, from self towards the root (T4).
cdef void node_prune(trie_private_t *own, trie_node_t *self) noexcept nogil:
    cdef trie_node_t *parent
    while self.parent != NULL and self.subs.count == 0 and self.kids_count == 0:
        parent = self.parent
        node_kid_remove(own, parent, self)
        node_free(own, self)
        self = parent
    node_join_up(own, self)


# The kid whose whole label stands at the start of data; NULL when there is none.
cdef inline trie_node_t *node_step(const trie_node_t *self, const uint8_t *data, size_t size) noexcept nogil:
    cdef trie_node_t *kid
    if size == 0:
        return NULL
    kid = node_kid(self, data[0])
    if kid == NULL or kid.label_bytes == 1:
        return kid
    if kid.label_bytes > size or memcmp(kid.label + 1, data + 1, kid.label_bytes - 1) != 0:
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
        i = 1
        if parent.kids_count > 1:
            i += fork_place(parent.kids.fork, self.label[0])
        self = parent
    size[0] += node_kids(self)[i].label_bytes
    return node_kids(self)[i]


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
        node = node_split(self.own, kid, same)
        if node == NULL:
            return NULL
        off += same
    while off < size:
        same = size - off if size - off < LABEL_BYTES_MAX else LABEL_BYTES_MAX
        kid = node_new(self.own, topic + off, same)
        if kid == NULL or node_kid_add(self.own, node, kid) < 0:
            if kid != NULL:
                node_free(self.own, kid)
            node_prune(self.own, node)
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
        if item.value.list.cap >= LIST_COUNT_MAX:
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
    zc_check(sizeof(trie_node_t) == CELL_BYTES and sizeof(trie_fork_t) == CELL_BYTES)
    self.topics = 0
    self.root = NULL
    self.own = <trie_private_t *>calloc(1, sizeof(trie_private_t))
    if self.own == NULL:
        return -ENOMEM
    self.root = node_new(self.own, NULL, 0)
    if self.root == NULL or topic_reserve(self.own, TOPIC_ROOM_MIN) < 0:
        trie_fini(self)
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
        node_prune(self.own, node)
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
    node_prune(self.own, node)
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
            node_prune(self.own, node)
        if fn != NULL and (is_each or is_last):
            fn(arg, self.own.topic + self.own.topic_cap - size, size)
    free(list)


cdef void trie_match(const trie_t *self, const uint8_t *data, size_t size, trie_hit_fn fn, void *arg) noexcept nogil:
    cdef const trie_node_t *node = self.root
    cdef size_t off = 0
    cdef const trie_item_t *items
    cdef uint32_t i
    while node != NULL:
        items = map_items(&node.subs)
        for i in range(node.subs.count):
            fn(arg, items[i].who)
        node = node_step(node, data + off, size - off)
        if node != NULL:
            off += node.label_bytes


# Goes down all paths in step. What one loop asks the memory for, the next one reads: no path waits alone.
cdef void trie_warm(const trie_t *self, const trie_data_t *data, uint32_t count) noexcept nogil:
    cdef trie_data_t rest[TRIE_WARM_MAX]
    cdef const trie_node_t *nodes[TRIE_WARM_MAX]
    cdef trie_node_t **places[TRIE_WARM_MAX]
    cdef const trie_node_t *node
    cdef uint32_t i
    cdef uint32_t live = 0
    cdef uint32_t found
    for i in range(count if count < TRIE_WARM_MAX else TRIE_WARM_MAX):
        rest[i] = data[i]
        nodes[i] = self.root
        live += 1
    while live != 0:
        found = 0
        for i in range(live):
            node = nodes[i]
            if node.label_bytes < rest[i].size and memcmp(node.label, rest[i].at, node.label_bytes) == 0:
                zc_prefetch(node.kids.one)      # or the fork
                zc_prefetch(map_items(&node.subs))
                rest[found].at = rest[i].at + node.label_bytes
                rest[found].size = rest[i].size - node.label_bytes
                nodes[found] = node
                found += 1
        live = found
        found = 0
        for i in range(live):
            node = nodes[i]
            if node.kids_count == 1 or (node.kids_count > 1 and fork_has(node.kids.fork, rest[i].at[0])):
                places[found] = node_kids(node)
                if node.kids_count > 1:
                    places[found] += fork_place(node.kids.fork, rest[i].at[0])
                zc_prefetch(places[found])
                rest[found] = rest[i]
                found += 1
        live = found
        for i in range(live):
            nodes[i] = places[i][0]
            zc_prefetch(nodes[i])


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


cdef bint trie_is_for_all(const trie_t *self) noexcept nogil:
    return self.root.subs.count != 0 and self.root.subs.count == self.own.subs.count


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
        # The last kid first: then a node's kids_count is 0 when it is freed, and its fork with the last but one.
        if node.kids_count != 0:
            node = node_kids(node)[node.kids_count - 1]
        else:
            parent = node.parent
            if parent != NULL:
                node_kid_remove(self.own, parent, node)
            node_free(self.own, node)
            node = parent
    for i in range(self.own.subs.count):
        free(map_items(&self.own.subs)[i].value.list)
    map_fini(&self.own.subs)
    free(self.own.topic)
    free(self.own)
    self.root = NULL
    self.own = NULL
    self.topics = 0


# --- check -------------------------------------------------------------------------------------------------------

cdef bint fork_check(const trie_fork_t *self, uint32_t count) noexcept nogil:
    cdef uint32_t before = 0
    cdef uint32_t i
    if count > self.cap or self.cap % FORK_KIDS_STEP != FORK_KIDS_MIN:
        return False
    if (self.tag == CELL_NONE) != (self.cap > FORK_KIDS_WIDE):
        return False
    for i in range(4):
        if self.before[i] != before:
            return False
        before += bits_count(self.bits[i])
    return before == count


cdef bint node_check(const trie_node_t *self) noexcept nogil:
    cdef trie_node_t **kids = node_kids(self)
    cdef uint32_t i
    if self.parent != NULL and (self.label_bytes == 0 or (self.subs.count == 0 and self.kids_count == 0)):
        return False
    if self.label_bytes > node_label_cap(self) or not map_check(&self.subs):
        return False
    if node_is_joinable(self) or (self.kids_count > 1 and not fork_check(self.kids.fork, self.kids_count)):
        return False
    if self.kids_count == 0 and self.kids.one != NULL:
        return False
    for i in range(self.kids_count):
        if kids[i].parent != self or (self.kids_count > 1 and not fork_has(self.kids.fork, kids[i].label[0])):
            return False
        if i > 0 and kids[i - 1].label[0] >= kids[i].label[0]:
            return False
    return True


# Each subscriber of the node has a reference, and its list names the node where the pair says it does.
cdef bint pairs_check(const trie_private_t *self, const trie_node_t *node) noexcept nogil:
    cdef const trie_item_t *pair
    cdef const trie_item_t *item
    cdef uint32_t i
    for i in range(node.subs.count):
        pair = map_items(&node.subs) + i
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
    cdef uint64_t cells[2]
    cdef uint32_t i
    cells[0] = 0
    cells[1] = 0
    while node != NULL:
        if not node_check(node) or not pairs_check(self.own, node):
            return False
        if node.subs.count != 0 and size > self.own.topic_cap:
            return False
        cells[(node.tag & CELL_WIDE) != 0] += 1
        if not cell_check(&self.own.cells, node, node.tag):
            return False
        if node.kids_count > 1 and node.kids.fork.tag != CELL_NONE:
            cells[(node.kids.fork.tag & CELL_WIDE) != 0] += 1
            if not cell_check(&self.own.cells, node.kids.fork, node.kids.fork.tag):
                return False
        topics += node.subs.count != 0
        pairs += node.subs.count
        node = node_next(node, &size)
    for i in range(self.own.subs.count):
        if map_items(&self.own.subs)[i].value.list.count == 0:
            return False
        listed += map_items(&self.own.subs)[i].value.list.count
    if cells[0] != self.own.cells.used[0] or cells[1] != self.own.cells.used[1] or not cells_check(&self.own.cells):
        return False
    return topics == self.topics and pairs == listed and map_check(&self.own.subs)
