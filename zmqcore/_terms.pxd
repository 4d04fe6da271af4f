# zmqcore/_terms.pxd -- the options of an endpoint, as they were when it was bound or connected (floor 4).
# What is set afterwards is for the next endpoint. All engines and listeners that were made with the same options share one.
# Lock:   the socket lock; a terms_t is never changed, and may be read without the lock by whoever holds a count.
# Memory: counted; what is secret is wiped with the last count.
# Source: zmq_setsockopt(3): "take effect for subsequent bind/connects".
from libc.stdint cimport int32_t
from zmqcore._options cimport options_t

cdef struct terms_t:
    int32_t refs
    options_t options           # live options are not for its readers: they are those of the socket

# refs is 1. NULL: no memory.
cdef terms_t *terms_new(const options_t *options) noexcept nogil
cdef terms_t *terms_ref(terms_t *self) noexcept nogil
# NULL will do.
cdef void terms_unref(terms_t *self) noexcept nogil
