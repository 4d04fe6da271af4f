# zmqcore/_mechanism.pyx -- see the door for contracts.
#
# A mechanism is a table of two functions: step takes a frame of the peer, next gives one to send. They do not call
# each other, so that no order between the two sides is assumed. Here is what all have in common, and NULL; the halves
# _mechanism_plain and _mechanism_curve have the others.
#
#   NULL (RFC 37): READY each way, in any order. With a ZAP domain the own READY waits for the answer of the handler.
#     HANDSHAKE  --next: a domain is set---------------------------> ASKING --vouched--> HANDSHAKE
#     HANDSHAKE  --next: READY handed out, the peer's accepted-----> DONE
#     HANDSHAKE  --step: READY accepted, the own one handed out----> DONE
#     HANDSHAKE  --step: ERROR, or anything that is no good READY--> FAILED
#   Strict and lenient as libzmq is, so that whoever talks to it can talk to us: names are compared exactly, although
#   RFC 37 ignores their case; the COMMAND flag is not required; a READY without a Socket-Type will do.
from libc.stdint cimport INT32_MAX
from zmqcore._mechanism_curve cimport curve_keys_free, curve_keys_new, mechanism_curve
from zmqcore._mechanism_plain cimport mechanism_plain
from zmqcore._options cimport (
    SECURITY_CURVE, SECURITY_PLAIN, TYPE_COUNT, TYPE_DEALER, TYPE_PAIR, TYPE_PUB, TYPE_PULL, TYPE_PUSH, TYPE_REP, TYPE_REQ,
    TYPE_ROUTER, TYPE_STREAM, TYPE_SUB, TYPE_XPUB, TYPE_XSUB,
)
from zmqcore._protocol_error cimport (
    ERROR_MALFORMED_ERROR, ERROR_UNEXPECTED_COMMAND, ERROR_UNSPECIFIED, ERROR_ZAP_INVALID_METADATA,
)
from zmqcore._security cimport security_asks
from zmqcore._sys cimport ENOBUFS, ENOMEM, EPROTO, free, malloc, memcmp, memcpy, memset, strlen, zc_wipe
from zmqcore._zmtp cimport (
    COMMAND_ERROR, COMMAND_READY, ZMTP_COMMAND, ZMTP_HEAD_BYTES_MAX, zmtp_command, zmtp_command_read, zmtp_error_read,
    zmtp_head_write, zmtp_property_next, zmtp_property_write,
)

cdef enum:
    READY_NAME_BYTES = 6        # 5 "READY"
    PROPERTY_BYTES = 5          # of a property besides its name and value
    REASON_BYTES = 3            # "400"
    STATUS_TEMPORARY = 300
    # The longest frame of a mechanism besides the own properties: a HELLO of PLAIN.
    MECHANISM_BYTES_MAX = ZMTP_HEAD_BYTES_MAX + 6 + 2 * 256

# What the handshake knows of a socket type.
cdef struct type_row_t:
    const char *name
    uint32_t peers              # 1 << TYPE_* of the types it talks to
    bint tells_id               # sends Identity, also an empty one

cdef type_row_t type_rows[TYPE_COUNT]       # written at import only
cdef mechanism_ops_t mechanism_null         # written at import only


cdef bint slice_is(slice_t self, const char *text) noexcept nogil:
    return self.size == strlen(text) and memcmp(self.at, text, self.size) == 0


# --- socket types ------------------------------------------------------------------------------------------------

cdef void type_row(int32_t type, const char *name, bint tells_id, uint32_t peers) noexcept nogil:
    type_rows[type].name = name
    type_rows[type].tells_id = tells_id
    type_rows[type].peers = peers


cdef void type_rows_fill() noexcept nogil:
    type_row(TYPE_PAIR, "PAIR", False, 1 << TYPE_PAIR)
    type_row(TYPE_PUB, "PUB", False, 1 << TYPE_SUB | 1 << TYPE_XSUB)
    type_row(TYPE_SUB, "SUB", False, 1 << TYPE_PUB | 1 << TYPE_XPUB)
    type_row(TYPE_REQ, "REQ", True, 1 << TYPE_REP | 1 << TYPE_ROUTER)
    type_row(TYPE_REP, "REP", False, 1 << TYPE_REQ | 1 << TYPE_DEALER)
    type_row(TYPE_DEALER, "DEALER", True, 1 << TYPE_REP | 1 << TYPE_DEALER | 1 << TYPE_ROUTER)
    type_row(TYPE_ROUTER, "ROUTER", True, 1 << TYPE_REQ | 1 << TYPE_DEALER | 1 << TYPE_ROUTER)
    type_row(TYPE_PULL, "PULL", False, 1 << TYPE_PUSH)
    type_row(TYPE_PUSH, "PUSH", False, 1 << TYPE_PULL)
    type_row(TYPE_XPUB, "XPUB", False, 1 << TYPE_SUB | 1 << TYPE_XSUB)
    type_row(TYPE_XSUB, "XSUB", False, 1 << TYPE_PUB | 1 << TYPE_XPUB)
    # STREAM has no handshake: its peers are plain TCP.
    type_row(TYPE_STREAM, "STREAM", False, 0)


cdef bint type_is_known(int32_t type) noexcept nogil:
    return 0 <= type < TYPE_COUNT


cdef const char *mechanism_type_name(int32_t type) noexcept nogil:
    if not type_is_known(type):
        return ""
    return type_rows[type].name


cdef bint mechanism_types_fit(int32_t own_type, int32_t peer_type) noexcept nogil:
    return type_is_known(own_type) and type_is_known(peer_type) and type_rows[own_type].peers >> peer_type & 1


# TYPE_*, or -1 for a name that is none of ours: drafts, other cases of the letters.
cdef int32_t type_of(slice_t name) noexcept nogil:
    cdef int32_t type
    for type in range(TYPE_COUNT):
        if slice_is(name, type_rows[type].name):
            return type
    return -1


# --- properties --------------------------------------------------------------------------------------------------

# Bytes of the own property list.
cdef size_t own_properties_bytes(const options_t *options) noexcept nogil:
    cdef const type_row_t *type = &type_rows[options.type]
    cdef size_t size = PROPERTY_BYTES + strlen("Socket-Type") + strlen(type.name)
    if type.tells_id:
        size += PROPERTY_BYTES + strlen("Identity") + options.routing_id.size
    return size + options.metadata.size


# Writes the own property list; bytes written.
cdef size_t write_own_properties(const options_t *options, uint8_t *out) noexcept nogil:
    cdef const type_row_t *type = &type_rows[options.type]
    cdef size_t used = zmtp_property_write(out, "Socket-Type", <const uint8_t *>type.name,
                                           <uint32_t>strlen(type.name))
    if type.tells_id:
        used += zmtp_property_write(out + used, "Identity", options.routing_id.at, <uint32_t>options.routing_id.size)
    if options.metadata.size != 0:
        memcpy(out + used, options.metadata.at, options.metadata.size)
    return used + options.metadata.size


cdef slice_t peer_properties(const mechanism_t *self) noexcept nogil:
    cdef slice_t properties
    properties.at = self.properties
    properties.size = self.properties_bytes
    return properties


cdef bint mechanism_property(const mechanism_t *self, const char *name, slice_t *value) noexcept nogil:
    cdef slice_t properties = peer_properties(self)
    cdef slice_t each
    cdef size_t off = 0
    # The first of a name that comes twice, as libzmq's message metadata has it.
    while zmtp_property_next(properties, &off, &each, value) > 0:
        if slice_is(each, name):
            return True
    return False


# Takes type and id of the peer from a property list. Whether it is well-formed and the types fit.
cdef bint accept_properties(mechanism_t *self, slice_t properties) noexcept nogil:
    cdef slice_t name, value
    cdef size_t off = 0
    cdef int rc = zmtp_property_next(properties, &off, &name, &value)
    while rc > 0:
        if slice_is(name, "Socket-Type"):
            self.peer_type = type_of(value)
            if not mechanism_types_fit(self.options.type, self.peer_type):
                return False
        elif slice_is(name, "Identity"):
            # The last one wins for routing, as in libzmq.
            self.peer_id = value
        rc = zmtp_property_next(properties, &off, &name, &value)
    return rc == 0


cdef int mechanism_take_properties(mechanism_t *self, const uint8_t *at, size_t size) noexcept nogil:
    if size != 0:
        self.properties = <uint8_t *>malloc(size)
        if self.properties == NULL:
            return -ENOMEM
        memcpy(self.properties, at, size)
        self.properties_bytes = size
    return 0 if accept_properties(self, peer_properties(self)) else -EPROTO


# --- failing -----------------------------------------------------------------------------------------------------

cdef int mechanism_fail(mechanism_t *self, mechanism_failure failure, uint32_t code) noexcept nogil:
    self.state = MECHANISM_FAILED
    self.failure = failure
    self.failure_code = code
    return -EPROTO


cdef int mechanism_fail_error(mechanism_t *self, slice_t data) noexcept nogil:
    # "300", "400" or "500" are the ZAP status codes (RFC 27).
    cdef slice_t reason
    if zmtp_error_read(data, &reason) < 0:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_MALFORMED_ERROR)
    if reason.size == REASON_BYTES and c'3' <= <char>reason.at[0] <= c'5' and memcmp(reason.at + 1, "00", 2) == 0:
        return mechanism_fail(self, FAILURE_AUTH, <uint32_t>(reason.at[0] - c'0') * 100)
    return mechanism_fail(self, FAILURE_SILENT, 0)


cdef bint mechanism_is_command(const uint8_t *body, size_t size, const char *name) noexcept nogil:
    return size >= strlen(name) and memcmp(body, name, strlen(name)) == 0


# --- ZAP ---------------------------------------------------------------------------------------------------------

cdef bint mechanism_must_ask(mechanism_t *self) noexcept nogil:
    if self.was_asked or not security_asks(self.options):
        return False
    self.was_asked = True
    self.state = MECHANISM_ASKING
    return True


cdef void forget_credentials(mechanism_t *self) noexcept nogil:
    if self.secrets != NULL:
        zc_wipe(self.secrets, self.secrets_bytes)
    free(self.secrets)
    self.secrets = NULL
    self.secrets_bytes = 0
    self.credential_count = 0


cdef int mechanism_vouched(mechanism_t *self, slice_t user_id, slice_t metadata) noexcept nogil:
    cdef slice_t peer_id = self.peer_id
    cdef int32_t peer_type = self.peer_type
    forget_credentials(self)
    # A type or an id that ZAP gives must be sound, but the peer's own count.
    if not accept_properties(self, metadata):
        mechanism_fail(self, FAILURE_PROTOCOL, ERROR_ZAP_INVALID_METADATA)
        return 0
    self.peer_id = peer_id
    self.peer_type = peer_type
    self.vouched_bytes = PROPERTY_BYTES + strlen("User-Id") + user_id.size + metadata.size
    self.vouched = <uint8_t *>malloc(self.vouched_bytes)
    if self.vouched == NULL:
        self.vouched_bytes = 0
        return -ENOMEM
    memcpy(self.vouched + zmtp_property_write(self.vouched, "User-Id", user_id.at, <uint32_t>user_id.size),
           metadata.at, metadata.size)
    self.state = MECHANISM_HANDSHAKE
    return 0


cdef void mechanism_unasked(mechanism_t *self) noexcept nogil:
    self.state = MECHANISM_HANDSHAKE


cdef void mechanism_refused(mechanism_t *self, uint32_t status) noexcept nogil:
    # 300 is temporary: the peer sees a close, and tries again.
    forget_credentials(self)
    mechanism_fail(self, FAILURE_AUTH, status)
    if status != STATUS_TEMPORARY:
        self.refusal = status


cdef int error_next(mechanism_t *self, uint8_t *out, size_t room) noexcept nogil:
    # The ERROR that a refused peer gets.
    cdef bint is_plain = self.ops == &mechanism_plain
    cdef const char *name = "^RROR" if is_plain else "\x05ERROR"      # libzmq's PLAIN knows this form only
    cdef size_t name_bytes = strlen(name)
    cdef size_t used
    if self.refusal == 0:
        return 0
    if room < ZMTP_HEAD_BYTES_MAX + name_bytes + 1 + REASON_BYTES:
        return -ENOBUFS
    used = zmtp_head_write(out, ZMTP_COMMAND, name_bytes + 1 + REASON_BYTES)
    memcpy(out + used, name, name_bytes)
    used += name_bytes
    out[used] = REASON_BYTES
    out[used + 1] = <uint8_t>(c'0' + self.refusal // 100)
    out[used + 2] = out[used + 3] = c'0'
    self.refusal = 0
    return <int>(used + 1 + REASON_BYTES)


# --- NULL --------------------------------------------------------------------------------------------------------

# M2
cdef void null_finish(mechanism_t *self) noexcept nogil:
    if self.is_sent and self.is_accepted:
        self.state = MECHANISM_DONE


cdef int null_accept_ready(mechanism_t *self, slice_t data) noexcept nogil:
    cdef int rc = mechanism_take_properties(self, data.at, data.size)
    if rc != 0:
        mechanism_fail(self, FAILURE_SILENT, 0)
        return rc
    self.is_accepted = True
    null_finish(self)
    return 0


cdef int null_step(mechanism_t *self, const uint8_t *body, size_t size, bint is_command) noexcept nogil:
    cdef slice_t data
    cdef zmtp_command command = zmtp_command_read(body, size, &data)
    if self.is_accepted:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_UNEXPECTED_COMMAND)
    if command == COMMAND_READY:
        return null_accept_ready(self, data)
    if command == COMMAND_ERROR:
        return mechanism_fail_error(self, data)
    return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_UNEXPECTED_COMMAND)


cdef int null_next(mechanism_t *self, uint8_t *out, size_t room) noexcept nogil:
    cdef uint8_t head[ZMTP_HEAD_BYTES_MAX]
    cdef size_t body_bytes, used
    if self.is_sent or mechanism_must_ask(self):
        return 0
    body_bytes = READY_NAME_BYTES + self.own_bytes
    used = zmtp_head_write(head, ZMTP_COMMAND, body_bytes)
    if room > INT32_MAX:
        room = INT32_MAX
    if room < used + body_bytes:
        return -ENOBUFS
    memcpy(out, head, used)
    memcpy(out + used, "\x05READY", READY_NAME_BYTES)
    used += READY_NAME_BYTES
    memcpy(out + used, self.own, self.own_bytes)
    used += self.own_bytes
    self.is_sent = True
    null_finish(self)
    return <int>used


cdef void ops_fill() noexcept nogil:
    mechanism_null.name = "NULL"
    mechanism_null.step = null_step
    mechanism_null.next = null_next


type_rows_fill()
ops_fill()


# --- the door ----------------------------------------------------------------------------------------------------

cdef const mechanism_ops_t *ops_of(const options_t *options) noexcept nogil:
    if options.security == SECURITY_PLAIN:
        return &mechanism_plain
    if options.security == SECURITY_CURVE:
        return &mechanism_curve
    return &mechanism_null


cdef int mechanism_init(mechanism_t *self, const options_t *options) noexcept nogil:
    memset(self, 0, sizeof(mechanism_t))
    self.ops = ops_of(options)
    self.options = options
    self.state = MECHANISM_HANDSHAKE
    self.failure = FAILURE_NONE
    self.peer_type = -1
    self.own_bytes = own_properties_bytes(options)
    self.own = <uint8_t *>malloc(self.own_bytes)
    if self.own == NULL:
        return -ENOMEM
    write_own_properties(options, self.own)
    # Without the mechanism that was asked for there is no connection, least of all one in the clear.
    return curve_keys_new(self) if options.security == SECURITY_CURVE else 0


cdef void mechanism_fini(mechanism_t *self) noexcept nogil:
    free(self.properties)
    free(self.vouched)
    forget_credentials(self)
    mechanism_settle(self)
    self.properties = self.vouched = NULL
    self.properties_bytes = self.vouched_bytes = 0
    self.peer_id.at = NULL
    self.peer_id.size = 0


cdef void mechanism_settle(mechanism_t *self) noexcept nogil:
    free(self.own)
    self.own = NULL
    self.own_bytes = 0
    curve_keys_free(self.keys)
    self.keys = NULL
    self.credential_count = 0


cdef const char *mechanism_name(const options_t *options) noexcept nogil:
    return ops_of(options).name


cdef int mechanism_step(mechanism_t *self, const uint8_t *body, size_t size, bint is_command) noexcept nogil:
    if self.state == MECHANISM_FAILED:
        return -EPROTO
    if self.state != MECHANISM_HANDSHAKE:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_UNSPECIFIED)
    return self.ops.step(self, body, size, is_command)


cdef int mechanism_next(mechanism_t *self, uint8_t *out, size_t room) noexcept nogil:
    if self.state == MECHANISM_FAILED:
        return error_next(self, out, room)
    if self.state == MECHANISM_ASKING:
        return 0
    return self.ops.next(self, out, room)


cdef size_t mechanism_room(const mechanism_t *self) noexcept nogil:
    return MECHANISM_BYTES_MAX + self.own_bytes
