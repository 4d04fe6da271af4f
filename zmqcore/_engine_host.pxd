# zmqcore/_engine_host.pxd -- what all engines of one socket share: poll set, mailbox, who wants attention (floor 5).
# Lock: host_t.lock, the socket's. UNLOCKS: lets go of it in between.
from libc.stdint cimport uint32_t
from zmqcore._engine cimport host_ops_t, host_t
from zmqcore._message cimport store_t
from zmqcore._options cimport options_t
from zmqcore._reactor cimport mailbox_t, ready_t
from zmqcore._terms cimport terms_t

# 0 or -errno. options, ops, arg outlive the host.
cdef int host_init(host_t *self, options_t *options, const host_ops_t *ops, void *arg) noexcept nogil
# All engines are dead and released.
cdef void host_fini(host_t *self) noexcept nogil
# Opens the poll set and puts the mailbox into it. 0 or -errno. Idempotent.
cdef int host_open(host_t *self) noexcept nogil
# The terms of an endpoint that is made now, counted. NULL: no memory.
cdef terms_t *host_terms(host_t *self) noexcept nogil
# An option that endpoints take was set.
cdef void host_forget_terms(host_t *self) noexcept nogil
cdef uint32_t host_random(host_t *self) noexcept nogil
# Handles what poller_wait returned, then timers, then host_attend. UNLOCKS.
cdef void host_dispatch(host_t *self, ready_t *ready, int count) noexcept nogil
# Writes the output and resumes the input of engines that asked for it; wakes an inproc peer. UNLOCKS.
cdef void host_attend(host_t *self) noexcept nogil
# Wakes an inproc peer at once.
cdef void host_wake(host_t *self) noexcept nogil
# Frees the dead when nobody can point to them.
cdef void host_bury(host_t *self) noexcept nogil

# Lends memory for the body of the next long frame, instead of what was lent before. Takes the count on store over. What is to be
# let go of instead (NULL: nothing): what was lent, or store when LENT_BYTES_MAX is reached.
cdef store_t *host_lend(host_t *self, store_t *store) noexcept nogil
# What is lent, for a body of size bytes; the caller's from now on. NULL: none that would do, and then one is wanted.
cdef store_t *host_borrow(host_t *self, size_t size) noexcept nogil

cdef inline bint host_needs_attention(const host_t *self) noexcept nogil:
    return self.attention != NULL or self.sleeper != NULL

# The inproc peer whose mailbox that is (NULL: none) is to be woken by the next host_attend; takes the count over. Who is woken
# under our lock, or by a thread that holds the GIL, would run into it.
cdef void host_owe(host_t *self, mailbox_t *sleeper) noexcept nogil
