# zmqcore/_handshake.pxd -- a connection up to its first message: greeting, then mechanism or identity (floor 4).
# Sans-I/O: the peer's bytes in, our bytes and a verdict out. Sees no fd, no clock and no engine.
# Lock:   the socket lock for every function. The room of handshake_reserve may be filled without it, and while
#         handshake_is_costly a step may be made without it, by one thread (E2): what it changes is in handshake_t alone, and
#         what it reads of the options does not change.
# Memory: owns its greeting, its mechanism, its input and its output, which may hold a password; handshake_fini wipes and
#         frees them. options are the caller's, do not change and outlive it.
# Source: RFC 37, 23, 15 and 13 (ZMTP 3.1, 3.0, 2.0, 1.0).
# Invariants
#   H1  behind DONE and FAILED nothing more is put out, and a step does nothing
#   H2  input_bytes <= HANDSHAKE_BYTES_MAX when a step says MORE
#   H3  a peer of 2.0 or 1.0 gets to DONE only with NULL and without a ZAP domain: it knows no mechanism, so nobody can vouch
#       for it
#   H4  at DONE the input begins with the first frame behind the handshake
from libc.stdint cimport int64_t, uint8_t, uint32_t
from zmqcore._mechanism cimport mechanism_failure, mechanism_t
from zmqcore._options cimport SECURITY_CURVE, options_t
from zmqcore._zmtp cimport slice_t, zmtp_greeting_t

cdef enum handshake_stage:
    STAGE_GREETING = 0
    STAGE_IDENTITY = 1          # 2.0 and 1.0 peers: their identity frame is due
    STAGE_MECHANISM = 2         # 3.x peers: the mechanism speaks
    STAGE_DONE = 3
    STAGE_FAILED = 4

cdef enum handshake_verdict:
    HANDSHAKE_MORE = 0          # needs more bytes of the peer
    HANDSHAKE_DONE = 1          # messages may flow; see handshake_rest
    HANDSHAKE_FAILED = 2        # the connection is to be closed, when its output is written; see failure
    HANDSHAKE_ASKS = 3          # ZAP is to be asked; handshake_answered goes on. Input may be filled in meanwhile

cdef struct handshake_t:        # all zero: not begun, or over
    const options_t *options    # NULL when it is over
    int64_t maxmsgsize          # < 0: no limit
    handshake_stage stage
    int version                 # ZMTP_VERSION_*, once known
    mechanism_failure failure   # at FAILED: what the monitor is to hear
    uint32_t failure_code
    zmtp_greeting_t *greeting   # NULL when it is over
    mechanism_t mechanism
    uint8_t *input              # bytes of the peer that are not used yet
    size_t input_bytes
    size_t input_room
    uint8_t *output             # bytes for the peer that were not taken yet
    size_t output_bytes

# Begins. 0; -ENOMEM, -ENOTSUP (handshake_fini is due all the same).
cdef int handshake_init(handshake_t *self, const options_t *options) noexcept nogil
# Forgets everything, the peer's id too. Idempotent.
cdef void handshake_fini(handshake_t *self) noexcept nogil

# Room for the peer's next bytes, at least HANDSHAKE_BYTES_FIRST / 2. 0; -ENOMEM.
cdef int handshake_reserve(handshake_t *self, uint8_t **at, size_t *room) noexcept nogil
# So many bytes lie in the room of handshake_reserve; with 0 it goes as far as it gets without the peer.
cdef handshake_verdict handshake_step(handshake_t *self, size_t filled_bytes) noexcept nogil

# What is to be written to the peer; after each step, also one that failed. Borrowed until handshake_said, which wipes it.
cdef inline slice_t handshake_output(const handshake_t *self) noexcept nogil:
    cdef slice_t output
    output.at = self.output
    output.size = self.output_bytes
    return output
cdef void handshake_said(handshake_t *self) noexcept nogil

# Whether a step with bytes of the peer may take long: up to three multiplications on Curve25519, some 0.1 ms.
cdef inline bint handshake_is_costly(const handshake_t *self) noexcept nogil:
    return self.options != NULL and self.options.security == SECURITY_CURVE and self.stage < STAGE_DONE

# The mechanism has its answer (see ASKS): says what follows from it, then as handshake_step with no bytes.
cdef handshake_verdict handshake_answered(handshake_t *self) noexcept nogil

# At DONE: the bytes behind the handshake; borrowed until handshake_drop_rest or handshake_fini.
cdef slice_t handshake_rest(const handshake_t *self) noexcept nogil
# They have been taken, and the keys as well.
cdef void handshake_drop_rest(handshake_t *self) noexcept nogil

# The routing id that the peer announced, size 0: none. Borrowed until handshake_fini.
cdef inline slice_t handshake_peer_id(const handshake_t *self) noexcept nogil:
    return self.mechanism.peer_id
