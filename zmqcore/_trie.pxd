# zmqcore/_trie.pxd -- subscriptions: topics (byte strings) and who subscribed to which (floor 6; sees no engine).
# Lock:   the owner's (the socket lock), for every function.
# Memory: the trie owns its nodes and copies of the topics; a subscriber is an opaque pointer it never follows.
# Time:   add, remove and match depend on the topic's length and on the number of subscribers found, never on the
#         number of topics. No function recurses: topics of any length are safe.
# Invariants (trie_check tests them)
#   T1  a topic is present exactly while it has at least one subscriber
#   T2  a (topic, subscriber) pair is stored once, with a count >= 1
#   T3  topics == number of distinct topics present
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef struct trie_node_t
cdef struct trie_private_t
cdef struct trie_t:
    trie_node_t *root           # the topic ""; never NULL after trie_init
    uint64_t topics             # distinct topics present (T3)
    trie_private_t *own         # subscriber -> its topics; scratch space for topics handed to callbacks

# Data that is to be matched; the caller's.
cdef struct trie_data_t:
    const uint8_t *at
    size_t size

cdef enum:
    TRIE_WARM_MAX = 16          # data at a time: more gain nothing more

# What a change did; the pattern decides from it what to tell upstream or the user.
cdef enum:
    TRIE_FIRST_OF_TOPIC = 1     # add: nobody had the topic before
    TRIE_FIRST_OF_WHO = 2       # add: this subscriber did not have it before
    TRIE_LAST_OF_WHO = 4        # remove: this subscriber's count reached 0
    TRIE_LAST_OF_TOPIC = 8      # remove: nobody has the topic any more
    TRIE_UNKNOWN = 16           # remove: this subscriber never had it; nothing changed

# Called for each hit and each topic; must not change the trie or walk it. topic is the trie's, for this call only.
ctypedef void (*trie_hit_fn)(void *arg, void *who) noexcept nogil
ctypedef void (*trie_topic_fn)(void *arg, const uint8_t *topic, size_t size) noexcept nogil

# 0; -ENOMEM. trie_fini may follow either way, and another trie_fini.
cdef int trie_init(trie_t *self) noexcept nogil
cdef void trie_fini(trie_t *self) noexcept nogil

# Adds one reference of who to the topic. TRIE_* bits; -ENOMEM (nothing changed).
cdef int trie_add(trie_t *self, const uint8_t *topic, size_t size, void *who) noexcept nogil

# Drops one reference, or all references of who to that topic when is_all. TRIE_* bits.
cdef int trie_remove(trie_t *self, const uint8_t *topic, size_t size, void *who, bint is_all) noexcept nogil

# Drops who from every topic in time proportional to the topics it holds; fn (may be NULL) is called, after each
# removal, with each topic that nobody has any more, or with each topic of who when is_each.
cdef void trie_remove_who(trie_t *self, void *who, bint is_each, trie_topic_fn fn, void *arg) noexcept nogil

# Calls fn for each subscriber of each topic that is a prefix of data. A subscriber is reported once for each such
# topic.
cdef void trie_match(const trie_t *self, const uint8_t *data, size_t size, trie_hit_fn fn, void *arg) noexcept nogil

# Fetches into the cache what trie_match will read of each of the first TRIE_WARM_MAX data, all at the same time, where
# matches one by one would wait in turn. Worth it before several matches in a large trie, and only there.
cdef void trie_warm(const trie_t *self, const trie_data_t *data, uint32_t count) noexcept nogil

# Whether anybody has exactly that topic.
cdef bint trie_has(const trie_t *self, const uint8_t *topic, size_t size) noexcept nogil

# Whether any topic is a prefix of data.
cdef bint trie_matches(const trie_t *self, const uint8_t *data, size_t size) noexcept nogil

# Whether there are subscribers, and each of them has the topic "": then each gets every message, whatever else it has.
cdef bint trie_is_for_all(const trie_t *self) noexcept nogil

# Calls fn for every topic present, in byte order (a prefix before its extensions).
cdef void trie_walk(const trie_t *self, trie_topic_fn fn, void *arg) noexcept nogil

# Whether every invariant holds, these and the private ones. Takes time: for tests and debug builds.
cdef bint trie_check(const trie_t *self) noexcept nogil
