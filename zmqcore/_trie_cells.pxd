# zmqcore/_trie_cells.pxd -- cells of one and of two cache lines for the trie's nodes (floor 6, a part of the trie).
# Lock:   the owner's (the socket lock), for every function.
# Memory: cells lie in slabs of malloc; a slab goes back with its last cell. All bytes zero is a store without cells.
# Time:   every change is O(1).
# Invariants (cells_check tests them)
#   C1  a cell begins at a cache line, keeps its address, and shares no line with anything else
#   C2  a slab has a cell in use; it is on its store's list exactly while another is free
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    CELL_BYTES = 64             # a cache line
    CELL_WIDE_BYTES = 128
    CELL_WIDE = 0x80            # in a tag; the rest of it is the cell's place in its slab
    CELL_NONE = 0x7F            # a tag that no cell has

cdef struct slab_t
cdef struct trie_cells_t:
    slab_t *open[2]             # slabs with a free cell: of narrow cells, of wide cells
    uint64_t used[2]            # cells

# A cell of CELL_BYTES or CELL_WIDE_BYTES, not cleared; NULL when out of memory. The tag is for cell_free.
cdef void *cell_new(trie_cells_t *self, bint is_wide, uint8_t *tag) noexcept nogil
cdef void cell_free(trie_cells_t *self, void *cell, uint8_t tag) noexcept nogil

# Whether every invariant holds that this cell's slab shows, or that the open slabs show. For tests and debug builds.
cdef bint cell_check(const trie_cells_t *self, const void *cell, uint8_t tag) noexcept nogil
cdef bint cells_check(const trie_cells_t *self) noexcept nogil
