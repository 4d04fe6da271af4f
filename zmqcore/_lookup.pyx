# zmqcore/_lookup.pyx -- see the door.
from libc.stdint cimport int32_t
from zmqcore._limits cimport LOOKUPS_MAX
from zmqcore._sys cimport (
    EAGAIN, calloc, close, free, memcpy, pthread_detach, pthread_t, write, zc_add, zc_load, zc_store, zc_thread_start,
)
from zmqcore._sys_net cimport net_pipe
from zmqcore._transport cimport transport_resolve

cdef int32_t lookups = 0        # atomic: threads of the whole process


cdef void *look_up(void *arg) noexcept nogil:
    cdef lookup_t *self = <lookup_t *>arg
    self.rc = transport_resolve(&self.address, self.ipv6)
    zc_store(&self.is_done, 1)
    # A byte and not only the end: a child process may hold a copy of this end open. The pipe is empty, so it fits.
    if write(self.answer_fd, b"", 1) == 1:
        close(self.answer_fd)
        self.answer_fd = -1
    lookup_unref(self)
    zc_add(&lookups, -1)
    return NULL


cdef lookup_t *lookup_start(const address_t *address, bint ipv6) noexcept nogil:
    cdef pthread_t thread
    cdef lookup_t *self
    if zc_add(&lookups, 1) > LOOKUPS_MAX:
        zc_add(&lookups, -1)
        return NULL
    self = <lookup_t *>calloc(1, sizeof(lookup_t))
    if self != NULL and net_pipe(&self.fd, &self.answer_fd) != 0:
        free(self)
        self = NULL
    if self == NULL:
        zc_add(&lookups, -1)
        return NULL
    memcpy(&self.address, address, sizeof(address_t))
    self.ipv6 = ipv6
    self.refs = 2
    if zc_thread_start(&thread, look_up, self) != 0:
        zc_add(&lookups, -1)
        lookup_unref(self)
        lookup_unref(self)
        return NULL
    pthread_detach(thread)
    return self


cdef int lookup_answer(const lookup_t *self) noexcept nogil:
    return self.rc if zc_load(&self.is_done) else -EAGAIN


cdef void lookup_unref(lookup_t *self) noexcept nogil:
    if zc_add(&self.refs, -1) != 0:
        return
    close(self.fd)
    if self.answer_fd >= 0:
        close(self.answer_fd)
    free(self)
