# zmqcore/_mechanism.pxd -- security mechanisms: bytes in, bytes and a verdict out (floor 4; sees no fd and no clock).
# Lock:   the caller's: one thread at a time. What it reads of the options does not change.
# Memory: a mechanism owns what it keeps of the peer, and its keys; mechanism_fini wipes and frees them. options are the
#         caller's and outlive it.
# Source: RFC 37 (NULL), RFC 24 (PLAIN), RFC 26 (CURVE), RFC 27 (ZAP).
# Invariants
#   M1  after mechanism_step returned an error nothing more is stepped or sent but what mechanism_next still yields
#   M2  state is MECHANISM_DONE only when the own last command was handed out and the peer's last one was accepted
#   M3  in the state ASKING nothing is stepped or sent: it ends with mechanism_vouched, mechanism_refused or mechanism_fail
#   M4  DONE is not reached by a connection that has to be vouched for (security_asks), unless it was
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from zmqcore._options cimport options_t
from zmqcore._zmtp cimport slice_t

cdef enum mechanism_state:
    MECHANISM_HANDSHAKE = 0
    MECHANISM_DONE = 1
    MECHANISM_FAILED = 2
    MECHANISM_ASKING = 3        # ZAP is to be asked about the credentials

# How a handshake failed, for the monitor event (zmq_socket_monitor(3)).
cdef enum mechanism_failure:
    FAILURE_NONE = 0
    FAILURE_SILENT = 1          # closed with DISCONNECTED only
    FAILURE_PROTOCOL = 2        # HANDSHAKE_FAILED_PROTOCOL with code
    FAILURE_AUTH = 3            # HANDSHAKE_FAILED_AUTH with code 300, 400 or 500

cdef struct mechanism_t

# CURVE, for one connection. C and S are the long-term keys of client and server, C' and S' those of this connection.
cdef struct curve_keys_t:
    uint8_t own_public[32]      # C' or S'
    uint8_t own_secret[32]
    uint8_t peer_public[32]     # S' or C'
    uint8_t peer_permanent[32]  # server: C
    uint8_t first_key[32]       # of C' and S: HELLO and WELCOME
    uint8_t key[32]             # of C' and S': INITIATE, READY and all messages
    uint8_t cookie[96]
    uint64_t sent_counter       # of the last command; the same counters go on in the messages
    uint64_t received_counter

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
    uint32_t refusal            # ZAP status that the peer is still to be told, as an ERROR; 0 none
    bint was_asked              # the state ASKING has been there
    bint is_sent                # NULL: READY was handed out
    bint is_accepted            # NULL: the peer's READY was accepted
    uint8_t *own                # the own property list, as it was when the connection began, until mechanism_settle; owned
    size_t own_bytes
    int stage                   # PLAIN, CURVE: what is due, by a table of their own
    uint8_t *properties         # the peer's property list as received; owned
    size_t properties_bytes
    slice_t peer_id             # into properties; size 0: none
    int32_t peer_type           # TYPE_*; -1 when the peer did not say
    # ZAP
    slice_t credentials[2]      # for the request; they lie in secrets or in keys
    uint32_t credential_count
    uint8_t *secrets            # PLAIN server: user and password of the peer, until ZAP has answered; owned
    size_t secrets_bytes
    uint8_t *vouched            # User-Id and the metadata of the reply, as properties; owned
    size_t vouched_bytes
    curve_keys_t *keys          # CURVE, until mechanism_settle; owned

# Chooses the mechanism of the options. 0; -ENOTSUP: CURVE without its functions; -ENOMEM.
cdef int mechanism_init(mechanism_t *self, const options_t *options) noexcept nogil
cdef void mechanism_fini(mechanism_t *self) noexcept nogil
# DONE, and whoever goes on has taken the keys: lets go of what only the handshake needed.
cdef void mechanism_settle(mechanism_t *self) noexcept nogil
cdef const char *mechanism_name(const options_t *options) noexcept nogil

# Takes one handshake frame of the peer (body of a command or message frame). 0; -EPROTO with failure set; -ENOMEM.
cdef int mechanism_step(mechanism_t *self, const uint8_t *body, size_t size, bint is_command) noexcept nogil

# Writes the next whole frame to send, header included. Bytes; 0 nothing to send now; -ENOBUFS when room is too small.
cdef int mechanism_next(mechanism_t *self, uint8_t *out, size_t room) noexcept nogil

# Room that mechanism_next may need.
cdef size_t mechanism_room(const mechanism_t *self) noexcept nogil

# ASKING: ZAP says 200; goes on (or fails: bad metadata). 0; -ENOMEM.
cdef int mechanism_vouched(mechanism_t *self, slice_t user_id, slice_t metadata) noexcept nogil
# ASKING: nobody is there to ask, and that will do (not security_needs_handler).
cdef void mechanism_unasked(mechanism_t *self) noexcept nogil
# ASKING: ZAP says 300, 400 or 500.
cdef void mechanism_refused(mechanism_t *self, uint32_t status) noexcept nogil

# The Socket-Type text of a type ("DEALER"), and whether a peer of that type may talk to own_type.
cdef const char *mechanism_type_name(int32_t type) noexcept nogil
cdef bint mechanism_types_fit(int32_t own_type, int32_t peer_type) noexcept nogil

# Looks a property of the peer up (exact name). Whether it is there.
cdef bint mechanism_property(const mechanism_t *self, const char *name, slice_t *value) noexcept nogil

# --- for the halves and _zap ---------------------------------------------------------------------------------------

# The stages of PLAIN and of CURVE, whose commands have the same names and order.
cdef enum:
    STAGE_BEGIN = 0             # client: HELLO is due; server: it is awaited
    CLIENT_WELCOME_AWAITED
    CLIENT_INITIATE_DUE
    CLIENT_READY_AWAITED
    SERVER_WELCOME_DUE
    SERVER_INITIATE_AWAITED
    SERVER_READY_DUE
    STAGE_OVER

# Returns -EPROTO.
cdef int mechanism_fail(mechanism_t *self, mechanism_failure failure, uint32_t code) noexcept nogil
# The peer refuses us with an ERROR, whose data this is. Returns -EPROTO.
cdef int mechanism_fail_error(mechanism_t *self, slice_t data) noexcept nogil
# Whether the body is the command whose name is given as on the wire ("\x05HELLO").
cdef bint mechanism_is_command(const uint8_t *body, size_t size, const char *name) noexcept nogil
# Keeps the peer's properties. 0; -EPROTO: malformed, or its type does not fit (the caller says how it fails); -ENOMEM.
cdef int mechanism_take_properties(mechanism_t *self, const uint8_t *at, size_t size) noexcept nogil
# Goes to ASKING, if ZAP has to be asked and was not yet. Whether it did.
cdef bint mechanism_must_ask(mechanism_t *self) noexcept nogil
