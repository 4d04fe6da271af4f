"""zmqcore._terms for its tests: thin wrappers, no logic."""
from libc.stdint cimport int32_t
from zmqcore._options cimport options_fini, options_get, options_init, options_is_live, options_set, options_t
from zmqcore._terms cimport terms_new, terms_ref, terms_t, terms_unref
from tests.native._probe_fail cimport fail

ctypedef long (*live_blocks_t)() noexcept nogil
cdef live_blocks_t live_blocks = NULL


def set_live_blocks(size_t address):
    """The function that says how many blocks are allocated now."""
    global live_blocks
    live_blocks = <live_blocks_t>address


def is_live(int32_t option):
    return options_is_live(option)


cdef class Terms:
    """The terms of options of that type, which are set as the pairs say, and then gone."""
    cdef options_t given
    cdef terms_t *at

    def __cinit__(self, int32_t type, list values):
        cdef bytes value
        options_init(&self.given, type, False, True)
        for option, value in values:
            assert options_set(&self.given, option, <const char *>value, len(value)) == 0
        self.at = terms_new(&self.given)
        if self.at == NULL:
            raise MemoryError
        self.forget()

    def __dealloc__(self):
        options_fini(&self.given)
        terms_unref(self.at)

    cdef forget(self):
        cdef int32_t type = self.given.type
        options_fini(&self.given)
        options_init(&self.given, type, False, True)

    def get(self, int32_t option, size_t size):
        cdef bytearray room = bytearray(size)
        assert options_get(&self.at.options, option, <char *>room, &size) == 0
        return bytes(room[:size])

    def live(self):
        """Timeouts and linger, the size of the blobs."""
        cdef const options_t *options = &self.at.options
        return (options.linger_ms, options.rcvtimeo_ms, options.sndtimeo_ms, options.connect_routing_id.size,
                options.xpub_welcome.size)

    @property
    def refs(self):
        return self.at.refs

    def ref(self):
        assert terms_ref(self.at) == self.at

    def unref(self):
        terms_unref(self.at)


def blocks_left(int32_t type, list values, long calls):
    """Whether there were terms when memory ended after so many allocations, and how many blocks are left behind."""
    cdef options_t given
    cdef terms_t *at
    cdef long before, after
    cdef bytes value
    options_init(&given, type, False, True)
    for option, value in values:
        assert options_set(&given, option, <const char *>value, len(value)) == 0
    with nogil:
        before = live_blocks()
        fail(calls)
        at = terms_new(&given)
        fail(-1)
        terms_unref(at)
        after = live_blocks()
    options_fini(&given)
    return at != NULL, after - before
