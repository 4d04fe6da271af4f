# tests/native/_probe_trie.pyx -- the trie as a Python class; subscribers are integers.
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from zmqcore cimport _trie as t
from zmqcore._sys cimport ENOMEM as _ENOMEM

from tests.native._probe_fail cimport fail

ENOMEM = _ENOMEM
FIRST_OF_TOPIC = t.TRIE_FIRST_OF_TOPIC
FIRST_OF_WHO = t.TRIE_FIRST_OF_WHO
LAST_OF_WHO = t.TRIE_LAST_OF_WHO
LAST_OF_TOPIC = t.TRIE_LAST_OF_TOPIC
UNKNOWN = t.TRIE_UNKNOWN


cdef struct sizes_t:
    uint64_t count
    uint64_t bytes
    size_t last
    bint is_rising              # every topic longer than the one before


cdef void on_who(void *arg, void *who) noexcept with gil:
    (<list>arg).append(<uintptr_t>who)


cdef void on_topic(void *arg, const uint8_t *topic, size_t size) noexcept with gil:
    (<list>arg).append(topic[:size])


cdef void on_hit_count(void *arg, void *who) noexcept nogil:
    (<uint64_t *>arg)[0] += 1


cdef void on_topic_size(void *arg, const uint8_t *topic, size_t size) noexcept nogil:
    cdef sizes_t *sizes = <sizes_t *>arg
    if sizes.count != 0 and size <= sizes.last:
        sizes.is_rising = False
    sizes.count += 1
    sizes.bytes += size
    sizes.last = size


cdef class Trie:
    cdef t.trie_t self

    def __cinit__(self):
        if t.trie_init(&self.self) < 0:
            raise MemoryError

    def __dealloc__(self):
        t.trie_fini(&self.self)

    def fini_twice(self):
        t.trie_fini(&self.self)
        t.trie_fini(&self.self)
        return self.self.root == NULL and self.self.topics == 0

    @property
    def topics(self):
        return self.self.topics

    # The topic is copied to an allocation of exactly its size: a sanitizer sees the first byte read outside, and the
    # trie is seen to keep no pointer to it.
    def add(self, bytes topic, uintptr_t who):
        cdef size_t size = len(topic)
        cdef uint8_t *copy = <uint8_t *>malloc(size)
        cdef int bits
        memcpy(copy, <const char *>topic, size)
        bits = t.trie_add(&self.self, copy, size, <void *>who)
        free(copy)
        return bits

    def add_prefixes(self, bytes topic, uintptr_t who):
        """Adds the topic and all its prefixes but the empty one, the longest first; whether each was new."""
        cdef const uint8_t *at = <const uint8_t *><const char *>topic
        cdef size_t size = len(topic)
        cdef int wanted = t.TRIE_FIRST_OF_TOPIC | t.TRIE_FIRST_OF_WHO
        while size > 0:
            if t.trie_add(&self.self, at, size, <void *>who) != wanted:
                return False
            size -= 1
        return True

    def add_failing(self, long calls, bytes topic, uintptr_t who):
        """add() while every allocation after so many fails."""
        cdef const uint8_t *at = <const uint8_t *><const char *>topic
        cdef size_t size = len(topic)
        cdef int bits
        fail(calls)
        bits = t.trie_add(&self.self, at, size, <void *>who)
        fail(-1)
        return bits

    def remove_failing(self, bytes topic, uintptr_t who):
        """remove() while no allocation succeeds."""
        cdef const uint8_t *at = <const uint8_t *><const char *>topic
        cdef size_t size = len(topic)
        cdef int bits
        fail(0)
        bits = t.trie_remove(&self.self, at, size, <void *>who, False)
        fail(-1)
        return bits

    def init_failing(self, long calls):
        """trie_init of another trie while every allocation after so many fails, then trie_fini; what trie_init said."""
        cdef t.trie_t other
        cdef int rc
        fail(calls)
        rc = t.trie_init(&other)
        fail(-1)
        t.trie_fini(&other)
        return rc

    def remove(self, bytes topic, uintptr_t who, bint is_all=False):
        cdef size_t size = len(topic)
        cdef uint8_t *copy = <uint8_t *>malloc(size)
        cdef int bits
        memcpy(copy, <const char *>topic, size)
        bits = t.trie_remove(&self.self, copy, size, <void *>who, is_all)
        free(copy)
        return bits

    def remove_who(self, uintptr_t who, bint is_each):
        found = []
        t.trie_remove_who(&self.self, <void *>who, is_each, on_topic, <void *>found)
        return found

    def remove_who_silently(self, uintptr_t who):
        t.trie_remove_who(&self.self, <void *>who, False, NULL, NULL)

    def match(self, bytes data):
        cdef size_t size = len(data)
        cdef uint8_t *copy = <uint8_t *>malloc(size)
        found = []
        memcpy(copy, <const char *>data, size)
        t.trie_match(&self.self, copy, size, on_who, <void *>found)
        free(copy)
        return found

    def match_count(self, bytes data):
        cdef uint64_t count = 0
        t.trie_match(&self.self, <const uint8_t *><const char *>data, len(data), on_hit_count, &count)
        return count

    def match_each(self, bytes block, size_t stride, size_t rounds, bint is_warm=False):
        """How many hits the data at every stride of block have together, so many times over; is_warm: fetched ahead."""
        cdef t.trie_data_t data[t.TRIE_WARM_MAX]
        cdef const uint8_t *at = <const uint8_t *><const char *>block
        cdef size_t count = len(block) // stride
        cdef size_t i, _k
        cdef uint32_t ahead = 0
        cdef uint64_t hits = 0
        for _k in range(rounds):
            for i in range(count):
                if is_warm and i % t.TRIE_WARM_MAX == 0:
                    ahead = 0
                    while ahead < t.TRIE_WARM_MAX and i + ahead < count:
                        data[ahead].at = at + (i + ahead) * stride
                        data[ahead].size = stride
                        ahead += 1
                    t.trie_warm(&self.self, data, ahead)
                t.trie_match(&self.self, at + i * stride, stride, on_hit_count, &hits)
        return hits

    def warm(self, list all_data):
        """trie_warm: changes nothing that can be seen; a sanitizer sees whether it reads outside."""
        cdef t.trie_data_t *data = <t.trie_data_t *>malloc(len(all_data) * sizeof(t.trie_data_t))
        cdef uint8_t *copy
        cdef uint32_t i
        cdef bytes one
        for i in range(len(all_data)):
            one = all_data[i]
            copy = <uint8_t *>malloc(len(one))
            memcpy(copy, <const char *>one, len(one))
            data[i].at = copy
            data[i].size = len(one)
        t.trie_warm(&self.self, data, len(all_data))
        for i in range(len(all_data)):
            free(<void *>data[i].at)
        free(data)

    def change_each(self, bytes block, size_t stride, size_t size, uintptr_t crowd, bint is_add):
        """Adds or removes the topic of that size at every stride of block, its subscriber one of so many; how many."""
        cdef const uint8_t *at = <const uint8_t *><const char *>block
        cdef size_t count = len(block) // stride
        cdef size_t i
        cdef uint64_t done = 0
        cdef void *who
        for i in range(count):
            who = <void *>(1 + i % crowd)
            if is_add:
                done += t.trie_add(&self.self, at + i * stride, size, who) > 0
            else:
                done += t.trie_remove(&self.self, at + i * stride, size, who, False) != t.TRIE_UNKNOWN
        return done

    @property
    def is_for_all(self):
        return t.trie_is_for_all(&self.self)

    def matches(self, bytes data):
        cdef size_t size = len(data)
        cdef uint8_t *copy = <uint8_t *>malloc(size)
        cdef bint found
        memcpy(copy, <const char *>data, size)
        found = t.trie_matches(&self.self, copy, size)
        free(copy)
        return found

    def walk(self):
        found = []
        t.trie_walk(&self.self, on_topic, <void *>found)
        return found

    def walk_sizes(self):
        """(topics, their bytes, whether each is longer than the one before), for topics too large to list"""
        cdef sizes_t sizes
        sizes.count = 0
        sizes.bytes = 0
        sizes.last = 0
        sizes.is_rising = True
        t.trie_walk(&self.self, on_topic_size, &sizes)
        return sizes.count, sizes.bytes, sizes.is_rising

    def check(self):
        return t.trie_check(&self.self)
