"""zmqcore._socks for its tests: thin wrappers, no logic."""
from libc.string cimport memcpy
from zmqcore._options cimport options_fini, options_init, options_set, options_t
from zmqcore._socks cimport (
    socks_begin, socks_fini, socks_init, socks_output, socks_room, socks_sent, socks_step, socks_t,
)

SOCKS_USERNAME = 99
SOCKS_PASSWORD = 100


cdef class Socks:
    cdef options_t options
    cdef socks_t at

    def __cinit__(self, bytes user=b"", bytes password=b""):
        options_init(&self.options, 0, False, True)
        assert options_set(&self.options, SOCKS_USERNAME, <const char *>user, len(user)) == 0
        assert options_set(&self.options, SOCKS_PASSWORD, <const char *>password, len(password)) == 0
        socks_init(&self.at, &self.options)

    def __dealloc__(self):
        socks_fini(&self.at)
        options_fini(&self.options)

    def begin(self, bytes host, int port):
        return socks_begin(&self.at, host, port)

    def send(self, size_t most=10000):
        """Takes the output, at most so much of it."""
        cdef size_t size = 0
        cdef const unsigned char *at = socks_output(&self.at, &size)
        cdef bytes out
        size = min(size, most)
        out = at[:size]
        socks_sent(&self.at, size)
        return out

    def wants(self):
        cdef size_t size = 0
        socks_room(&self.at, &size)
        return size

    def fill(self, bytes data):
        """What comes of some bytes; never more than it wants."""
        cdef size_t size = 0
        cdef unsigned char *room = socks_room(&self.at, &size)
        assert 0 < <size_t>len(data) <= size
        memcpy(room, <const char *>data, len(data))
        return socks_step(&self.at, len(data))

    def fini(self):
        socks_fini(&self.at)

    def memory(self):
        """All of it, for a look at what is left."""
        return (<const unsigned char *>&self.at)[:sizeof(self.at)]
