# zmqcore/_lookup.pxd -- looking a host name up without holding anybody up: a short-lived thread each (floor 2).
# A name server may take seconds, and whoever drives one socket of an I/O thread drives them all.
# Lock:   none. Memory: counted, once by who asked and once by the thread; it may outlive sockets and context.
from libc.stdint cimport int32_t
from zmqcore._transport cimport address_t

cdef struct lookup_t:
    int32_t refs                # atomic
    # set once
    bint ipv6
    int fd                      # becomes readable when the answer is there
    int answer_fd               # the thread's end
    # the thread's until is_done
    address_t address           # then: with the host in figures
    int rc                      # 0 or -errno
    int32_t is_done             # atomic

# NULL: no thread, no descriptors, no memory, or LOOKUPS_MAX are under way: ask transport_connect itself, and wait.
cdef lookup_t *lookup_start(const address_t *address, bint ipv6) noexcept nogil
# The answer, once fd is readable: 0 or -errno; -EAGAIN: not yet.
cdef int lookup_answer(const lookup_t *self) noexcept nogil
cdef void lookup_unref(lookup_t *self) noexcept nogil
