# zmqcore/_trie_map.pxd -- a map by subscriber: who -> a pair of counts, or a list (floor 6, a part of the trie).
# Lock:   the owner's (the socket lock), for every function.
# Memory: the map owns its arrays, and nothing that an item points to. All bytes zero is an empty map.
# Time:   every change and every search is O(1). Only map_reserve can fail.
# Invariants (map_check tests them)
#   M1  items lie without gaps, in no order; each subscriber has one at most
#   M2  an item that is alone lies in the map itself until room for another is made: most topics have one subscriber,
#       who then costs no cache line more
from libc.stdint cimport uint32_t

cdef struct trie_node_t
cdef struct trie_list_t

cdef struct trie_pair_t:
    uint32_t refs               # >= 1; sticks at UINT32_MAX
    uint32_t place              # in the subscriber's list

cdef union trie_value_t:
    trie_pair_t pair            # in a node's map
    trie_list_t *list           # in the trie's map

cdef struct trie_item_t:
    void *who
    trie_value_t value

cdef struct trie_table_t:
    trie_item_t *items          # owned
    uint32_t *index             # owned; NULL while the items are few; else 2 * cap slots: a position + 1, 0 when free

cdef union trie_items_t:
    trie_item_t one             # while cap is 0 (M2)
    trie_table_t many

cdef struct trie_map_t:
    trie_items_t at
    uint32_t count
    uint32_t cap                # a power of two from 2 on; 0: no array, room for one

# count of them; moved by every change.
cdef inline trie_item_t *map_items(const trie_map_t *self) noexcept nogil:
    return self.at.many.items if self.cap != 0 else <trie_item_t *>&self.at.one

# Frees the arrays and leaves an empty map.
cdef void map_fini(trie_map_t *self) noexcept nogil

# NULL when there is none.
cdef trie_item_t *map_find(const trie_map_t *self, const void *who) noexcept nogil

# Room for one item more. 0; -ENOMEM (nothing changed).
cdef int map_reserve(trie_map_t *self) noexcept nogil

# Needs map_reserve before. The item, whose value the caller fills in.
cdef trie_item_t *map_add(trie_map_t *self, void *who) noexcept nogil

# The last item takes the place of the removed one.
cdef void map_remove(trie_map_t *self, trie_item_t *item) noexcept nogil

# Whether every invariant holds. Takes time: for tests and debug builds.
cdef bint map_check(const trie_map_t *self) noexcept nogil
