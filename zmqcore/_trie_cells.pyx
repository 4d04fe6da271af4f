# zmqcore/_trie_cells.pyx -- see _trie_cells.pxd for the contracts.
#
# malloc would put a header of 16 bytes before each cell and let it straddle two cache lines. A slab is found from the
# cell's place in it, which the cell's owner keeps in a byte of the cell: so slabs need no more alignment than a line,
# for which malloc would leave a hole of a slab's size beside each.
from libc.stdint cimport uint8_t, uint32_t, uintptr_t
from zmqcore._sys cimport free, malloc

cdef enum:
    # A slab has as many cells as its store has in use, within these bounds: most sockets have few topics.
    SLAB_CELLS_MIN = 3
    SLAB_CELLS_MAX = 62         # 4 KiB; of wide cells 8 KiB

cdef struct freed_t:
    freed_t *next

cdef struct slab_t:
    slab_t *prev                # on the store's list, while a cell is free (C2)
    slab_t *next
    freed_t *freed              # cells given back
    void *block                 # what malloc gave: the slab is the first cache line in it, the cells follow
    uint32_t used
    uint32_t fresh              # cells that were in use at some time: all from there on are free
    uint32_t cap


cdef inline size_t cell_bytes(bint is_wide) noexcept nogil:
    return CELL_WIDE_BYTES if is_wide else CELL_BYTES


cdef void slab_link(trie_cells_t *self, slab_t *slab, bint is_wide) noexcept nogil:
    slab.prev = NULL
    slab.next = self.open[is_wide]
    if slab.next != NULL:
        slab.next.prev = slab
    self.open[is_wide] = slab


cdef void slab_unlink(trie_cells_t *self, slab_t *slab, bint is_wide) noexcept nogil:
    if slab.prev != NULL:
        slab.prev.next = slab.next
    else:
        self.open[is_wide] = slab.next
    if slab.next != NULL:
        slab.next.prev = slab.prev
    slab.prev = NULL
    slab.next = NULL


# The slab of a cell.
cdef inline slab_t *slab_of(const void *cell, uint8_t tag) noexcept nogil:
    cdef size_t place = tag & ~CELL_WIDE
    return <slab_t *>(<uint8_t *>cell - place * cell_bytes(tag & CELL_WIDE != 0) - CELL_BYTES)


# On the list. NULL when out of memory.
cdef slab_t *slab_new(trie_cells_t *self, bint is_wide) noexcept nogil:
    cdef uint32_t cap = SLAB_CELLS_MAX if self.used[is_wide] > SLAB_CELLS_MAX else <uint32_t>self.used[is_wide]
    cdef void *block
    cdef slab_t *slab
    if cap < SLAB_CELLS_MIN:
        cap = SLAB_CELLS_MIN
    # malloc aligns to 16 bytes, so 48 are enough to reach a cache line.
    block = malloc(CELL_BYTES + cap * cell_bytes(is_wide) + 48)
    slab = <slab_t *>((<uintptr_t>block + 63) & ~<uintptr_t>63)
    if block == NULL:
        return NULL
    slab.freed = NULL
    slab.block = block
    slab.used = 0
    slab.fresh = 0
    slab.cap = cap
    slab_link(self, slab, is_wide)
    return slab


cdef void *cell_new(trie_cells_t *self, bint is_wide, uint8_t *tag) noexcept nogil:
    cdef slab_t *slab = self.open[is_wide]
    cdef uint8_t *first
    cdef uint8_t *cell
    if slab == NULL:
        slab = slab_new(self, is_wide)
        if slab == NULL:
            return NULL
    first = <uint8_t *>slab + CELL_BYTES
    if slab.freed != NULL:
        cell = <uint8_t *>slab.freed
        slab.freed = slab.freed.next
    else:
        cell = first + slab.fresh * cell_bytes(is_wide)
        slab.fresh += 1
    slab.used += 1
    self.used[is_wide] += 1
    if slab.used == slab.cap:
        slab_unlink(self, slab, is_wide)
    tag[0] = <uint8_t>(<size_t>(cell - first) // cell_bytes(is_wide))
    if is_wide:
        tag[0] |= CELL_WIDE
    return cell


cdef void cell_free(trie_cells_t *self, void *cell, uint8_t tag) noexcept nogil:
    cdef bint is_wide = tag & CELL_WIDE != 0
    cdef slab_t *slab = slab_of(cell, tag)
    cdef freed_t *freed = <freed_t *>cell
    if slab.used == slab.cap:
        slab_link(self, slab, is_wide)
    freed.next = slab.freed
    slab.freed = freed
    slab.used -= 1
    self.used[is_wide] -= 1
    if slab.used == 0:
        slab_unlink(self, slab, is_wide)
        free(slab.block)


cdef bint cell_check(const trie_cells_t *self, const void *cell, uint8_t tag) noexcept nogil:
    cdef const slab_t *slab = slab_of(cell, tag)
    cdef bint is_linked = slab.prev != NULL or self.open[tag & CELL_WIDE != 0] == slab
    if <uintptr_t>cell % CELL_BYTES != 0 or <uint32_t>(tag & ~CELL_WIDE) >= slab.fresh or slab.used > slab.fresh:
        return False
    return is_linked == (slab.used < slab.cap)


cdef bint cells_check(const trie_cells_t *self) noexcept nogil:
    cdef const slab_t *slab
    cdef const slab_t *prev
    cdef const freed_t *freed
    cdef uint32_t count, is_wide
    for is_wide in range(2):
        slab = self.open[is_wide]
        prev = NULL
        while slab != NULL:
            if slab.prev != prev or <uintptr_t>slab % CELL_BYTES != 0:
                return False
            if slab.used == 0 or slab.used >= slab.cap or slab.fresh > slab.cap or slab.used > self.used[is_wide]:
                return False
            count = slab.used
            freed = slab.freed
            while freed != NULL:
                count += 1
                freed = freed.next
            if count != slab.fresh:
                return False
            prev = slab
            slab = slab.next
    return True
