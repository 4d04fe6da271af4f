# zmqcore/_mechanism.pxd -- security mechanisms: bytes in, bytes and a verdict out (floor 4; sees no fd and no clock).
# Lock:   the socket lock for every function.
# Memory: a mechanism owns the copy of the peer's properties; mechanism_fini frees it.
# Source: RFC 37 (NULL), reference zmtp-wire section 3.
# Invariants
#   M1  after mechanism_step returned an error nothing more is stepped or sent but what mechanism_next still yields
#   M2  state is MECHANISM_DONE only when the own last command was handed out and the peer's last one was accepted
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from zmqcore._options cimport options_t
from zmqcore._zmtp cimport slice_t

cdef enum mechanism_state:
    MECHANISM_HANDSHAKE = 0
    MECHANISM_DONE = 1
    MECHANISM_FAILED = 2

# How a handshake failed, for the monitor event (protocol_errors.csv).
cdef enum mechanism_failure:
    FAILURE_NONE = 0
    FAILURE_SILENT = 1          # closed with DISCONNECTED only
    FAILURE_PROTOCOL = 2        # HANDSHAKE_FAILED_PROTOCOL with code
    FAILURE_AUTH = 3            # HANDSHAKE_FAILED_AUTH with code 300, 400 or 500

cdef struct mechanism_t

# One constant instance a mechanism; see mechanism_null in the .pyx.
cdef struct mechanism_ops_t:
    const char *name            # as in the greeting, at most 20 bytes
    int (*step)(mechanism_t *self, const uint8_t *body, size_t size, bint is_command) noexcept nogil
    int (*next)(mechanism_t *self, uint8_t *out, size_t room) noexcept nogil

cdef struct mechanism_t:
    const mechanism_ops_t *ops
    const options_t *options
    mechanism_state state
    mechanism_failure failure
    uint32_t failure_code       # protocol error number or ZAP status
    bint is_sent                # NULL: READY was handed out
    bint is_accepted            # NULL: the peer's READY was accepted
    uint8_t *properties         # the peer's property list as received; owned
    size_t properties_bytes
    slice_t peer_id             # into properties; size 0: none
    int32_t peer_type           # TYPE_*; -1 when the peer did not say

# Chooses the mechanism of the options (NULL). 0; -ENOTSUP.
cdef int mechanism_init(mechanism_t *self, const options_t *options) noexcept nogil
cdef void mechanism_fini(mechanism_t *self) noexcept nogil
cdef const char *mechanism_name(const options_t *options) noexcept nogil

# Takes one handshake frame of the peer (body of a command or message frame). 0; -EPROTO with failure set; -ENOMEM.
cdef int mechanism_step(mechanism_t *self, const uint8_t *body, size_t size, bint is_command) noexcept nogil

# Writes the next whole frame to send, header included. Bytes; 0 nothing to send now; -ENOBUFS when room is too small.
cdef int mechanism_next(mechanism_t *self, uint8_t *out, size_t room) noexcept nogil

# Room that mechanism_next may need with these options.
cdef size_t mechanism_room(const options_t *options) noexcept nogil

# The Socket-Type text of a type ("DEALER"), and whether a peer of that type may talk to own_type.
cdef const char *mechanism_type_name(int32_t type) noexcept nogil
cdef bint mechanism_types_fit(int32_t own_type, int32_t peer_type) noexcept nogil

# Looks a property of the peer up (exact name). Whether it is there.
cdef bint mechanism_property(const mechanism_t *self, const char *name, slice_t *value) noexcept nogil
