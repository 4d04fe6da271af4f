# zmqcore/_zmtp.pyx -- see _zmtp.pxd for the contracts.
#
# The greeting has one rule behind all others: nothing is sent before the peer's bytes allow it, so that a 1.0 peer
# never sees a version byte, and nothing waits for more than is needed, so that two careful sides do not wait for each
# other.
#
#   stage 0  --any step------------------------>  1   ff, 8 bytes of padding, 7f
#   stage 1  --10 bytes, signature valid------->  2   03
#   stage 1  --first byte or tenth byte wrong-->  1   version 1, DONE; nothing of the finding call is consumed
#   stage 2  --peer's major 0 or 1------------->  3   own socket type; DONE with the peer's 12th byte
#   stage 2  --any other major----------------->  3   minor, mechanism, as-server, filler; DONE with the 64th byte
#
# Sizes from the peer are compared by subtraction from what is known to be there, never by addition: no sum can wrap.
from zmqcore._sys cimport EPROTO, memcmp, memcpy, memset, strlen, zc_be16, zc_be32, zc_put_be16, zc_put_be32

cdef enum:
    SIGNATURE_FIRST = 0xFF
    SIGNATURE_LAST = 0x7F
    OWN_MAJOR = 3
    OWN_MINOR = 1
    MAJOR_OFF = 10
    MINOR_OFF = 11              # the socket type number in a 2.0 greeting
    MECHANISM_OFF = 12
    V2_GREETING_BYTES = 12
    V1_LONG = 0xFF              # first byte of a 1.0 length that takes 8 more
    PING_BODY_BYTES = 7         # 4 "PING" and the TTL
    PONG_NAME_BYTES = 5         # 4 "PONG"


# --- frame headers of ZMTP 1.0 -----------------------------------------------------------------------------------

cdef int zmtp_v1_head_read(const uint8_t *at, size_t avail, uint8_t *flags, uint64_t *size) noexcept nogil:
    cdef uint64_t length
    cdef int used = 2
    if avail == 0:
        return 0
    length = at[0]
    if length == V1_LONG:
        if avail < ZMTP_V1_HEAD_BYTES_MAX - 1:
            return 0
        length = zc_be64(at + 1)
        used = ZMTP_V1_HEAD_BYTES_MAX
    if length == 0:
        return -EPROTO
    if avail < <size_t>used:
        return 0
    # The padding of a newer peer's signature reads as an identity header whose flags byte is 7f (RFC 23, backwards
    # interoperability): the other bits mean nothing.
    flags[0] = at[used - 1] & ZMTP_MORE
    size[0] = length - 1
    return used


cdef size_t zmtp_v1_head_write(uint8_t *at, uint8_t flags, uint64_t size) noexcept nogil:
    if size < V1_LONG - 1:
        at[0] = <uint8_t>(size + 1)
        at[1] = flags
        return 2
    at[0] = V1_LONG
    zc_put_be64(at + 1, size + 1)
    at[9] = flags
    return ZMTP_V1_HEAD_BYTES_MAX


# --- greeting ----------------------------------------------------------------------------------------------------

cdef void zmtp_greeting_init(zmtp_greeting_t *self, const char *mechanism, uint8_t own_type,
                             uint8_t own_id_bytes) noexcept nogil:
    cdef size_t size = strlen(mechanism)
    memset(self, 0, sizeof(zmtp_greeting_t))
    memcpy(self.mechanism, mechanism, size if size < ZMTP_MECHANISM_BYTES else ZMTP_MECHANISM_BYTES)
    self.own_type = own_type
    self.own_id_bytes = own_id_bytes
    self.version = ZMTP_VERSION_NONE


# Moves bytes of the peer into seen until it holds goal of them. Whether it does.
cdef bint greeting_take(zmtp_greeting_t *self, size_t goal, const uint8_t *at, size_t avail,
                        size_t *used) noexcept nogil:
    cdef size_t size = goal - self.seen_bytes
    if size > avail - used[0]:
        size = avail - used[0]
    if size != 0:
        memcpy(self.seen + self.seen_bytes, at + used[0], size)
        self.seen_bytes += size
        used[0] += size
    return self.seen_bytes == goal


# Whether the bytes at hand, after those seen, show a peer without a version. Only while the signature is incomplete.
cdef bint greeting_is_unversioned(const zmtp_greeting_t *self, const uint8_t *at, size_t avail) noexcept nogil:
    cdef size_t last = ZMTP_SIGNATURE_BYTES - 1 - self.seen_bytes
    if self.seen_bytes == 0 and avail > 0 and at[0] != SIGNATURE_FIRST:
        return True
    return avail > last and not at[last] & 1


cdef size_t greeting_put_signature(const zmtp_greeting_t *self, uint8_t *out) noexcept nogil:
    out[0] = SIGNATURE_FIRST
    # To a 1.0 peer this is the length of the identity frame: its flags byte (the 7f) and the id that follows.
    zc_put_be64(out + 1, <uint64_t>self.own_id_bytes + 1)
    out[9] = SIGNATURE_LAST
    return ZMTP_SIGNATURE_BYTES


# What follows the own major byte, for the peer's major.
cdef size_t greeting_put_rest(const zmtp_greeting_t *self, bint is_short, uint8_t *out) noexcept nogil:
    cdef size_t size = ZMTP_GREETING_BYTES - MINOR_OFF
    if is_short:
        out[0] = self.own_type
        return 1
    memset(out, 0, size)
    out[0] = OWN_MINOR
    memcpy(out + 1, self.mechanism, ZMTP_MECHANISM_BYTES)
    return size


# The peer's version from the first 12 bytes of its greeting.
cdef int greeting_version(const zmtp_greeting_t *self) noexcept nogil:
    if self.seen[MAJOR_OFF] == 0:
        return ZMTP_VERSION_1
    if self.seen[MAJOR_OFF] == 1:
        return ZMTP_VERSION_2
    if self.seen[MAJOR_OFF] == 3 and self.seen[MINOR_OFF] == 0:
        return ZMTP_VERSION_30
    return ZMTP_VERSION_31


cdef zmtp_greeting_verdict zmtp_greeting_step(zmtp_greeting_t *self, const uint8_t *at, size_t avail, size_t *used,
                                              uint8_t *out, size_t *out_bytes) noexcept nogil:
    cdef bint is_short
    used[0] = 0
    out_bytes[0] = 0
    if self.stage == 0:
        out_bytes[0] = greeting_put_signature(self, out)
        self.stage = 1
    if self.stage == 1:
        if self.version == ZMTP_VERSION_1:
            return GREETING_DONE
        if greeting_is_unversioned(self, at, avail):
            self.version = ZMTP_VERSION_1
            return GREETING_DONE
        if not greeting_take(self, ZMTP_SIGNATURE_BYTES, at, avail, used):
            return GREETING_MORE
        out[out_bytes[0]] = OWN_MAJOR
        out_bytes[0] += 1
        self.stage = 2
    if self.stage == 2:
        if not greeting_take(self, MAJOR_OFF + 1, at, avail, used):
            return GREETING_MORE
        out_bytes[0] += greeting_put_rest(self, self.seen[MAJOR_OFF] <= 1, out + out_bytes[0])
        self.stage = 3
    is_short = self.seen[MAJOR_OFF] <= 1
    greeting_take(self, V2_GREETING_BYTES if is_short else ZMTP_GREETING_BYTES, at, avail, used)
    if self.seen_bytes < V2_GREETING_BYTES:
        return GREETING_MORE
    self.version = greeting_version(self)
    if is_short:
        self.peer_type = self.seen[MINOR_OFF]
        return GREETING_DONE
    if self.seen_bytes < ZMTP_GREETING_BYTES:
        return GREETING_MORE
    if memcmp(self.seen + MECHANISM_OFF, self.mechanism, ZMTP_MECHANISM_BYTES) != 0:
        return GREETING_MISMATCH
    return GREETING_DONE


# --- commands ----------------------------------------------------------------------------------------------------

cdef bint name_is(slice_t name, const char *text) noexcept nogil:
    return name.size == strlen(text) and memcmp(name.at, text, name.size) == 0


cdef zmtp_command zmtp_command_read(const uint8_t *body, size_t size, slice_t *data) noexcept nogil:
    cdef slice_t name
    data.at = body
    data.size = 0
    if size <= 1 or body[0] >= size:
        return COMMAND_MALFORMED
    name.at = body + 1
    name.size = body[0]
    data.at = name.at + name.size
    data.size = size - 1 - name.size
    if name_is(name, b"SUBSCRIBE"):
        return COMMAND_SUBSCRIBE
    if name_is(name, b"CANCEL"):
        return COMMAND_CANCEL
    if name_is(name, b"PING"):
        return COMMAND_PING
    if name_is(name, b"PONG"):
        return COMMAND_PONG
    if name_is(name, b"READY"):
        return COMMAND_READY
    if name_is(name, b"ERROR"):
        return COMMAND_ERROR
    return COMMAND_OTHER


cdef int zmtp_property_next(slice_t list, size_t *off, slice_t *name, slice_t *value) noexcept nogil:
    cdef const uint8_t *at = list.at + off[0]
    cdef size_t left = list.size - off[0]
    cdef size_t name_bytes, value_bytes
    if left == 0:
        return 0
    name_bytes = at[0]
    if left - 1 < name_bytes + 4:
        return -EPROTO
    left -= 1 + name_bytes + 4
    value_bytes = zc_be32(at + 1 + name_bytes)
    if left < value_bytes:
        return -EPROTO
    name.at = at + 1
    name.size = name_bytes
    value.at = at + 1 + name_bytes + 4
    value.size = value_bytes
    off[0] += 1 + name_bytes + 4 + value_bytes
    return 1


cdef size_t zmtp_property_write(uint8_t *at, const char *name, const uint8_t *value, uint32_t size) noexcept nogil:
    cdef size_t name_bytes = strlen(name)
    at[0] = <uint8_t>name_bytes
    memcpy(at + 1, name, name_bytes)
    zc_put_be32(at + 1 + name_bytes, size)
    if size != 0:
        memcpy(at + 1 + name_bytes + 4, value, size)
    return 1 + name_bytes + 4 + size


cdef int zmtp_ping_read(slice_t data, uint16_t *ttl_tenths, slice_t *context) noexcept nogil:
    if data.size < 2:
        return -EPROTO
    ttl_tenths[0] = zc_be16(data.at)
    context.at = data.at + 2
    context.size = data.size - 2
    if context.size > ZMTP_PING_CONTEXT_BYTES:
        context.size = ZMTP_PING_CONTEXT_BYTES
    return 0


cdef int zmtp_error_read(slice_t data, slice_t *reason) noexcept nogil:
    if data.size == 0 or data.at[0] > data.size - 1:
        return -EPROTO
    reason.at = data.at + 1
    reason.size = data.at[0]
    return 0


cdef size_t zmtp_ping_write(uint8_t *at, uint16_t ttl_tenths) noexcept nogil:
    cdef size_t used = zmtp_head_write(at, ZMTP_COMMAND, PING_BODY_BYTES)
    memcpy(at + used, b"\x04PING", 5)
    zc_put_be16(at + used + 5, ttl_tenths)
    return used + PING_BODY_BYTES


cdef size_t zmtp_pong_write(uint8_t *at, slice_t context) noexcept nogil:
    cdef size_t size = context.size if context.size < ZMTP_PING_CONTEXT_BYTES else ZMTP_PING_CONTEXT_BYTES
    cdef size_t used = zmtp_head_write(at, ZMTP_COMMAND, PONG_NAME_BYTES + size)
    memcpy(at + used, b"\x04PONG", PONG_NAME_BYTES)
    used += PONG_NAME_BYTES
    if size != 0:
        memcpy(at + used, context.at, size)
    return used + size


cdef size_t zmtp_subscription_head_write(uint8_t *at, int version, bint is_subscribe,
                                         uint64_t topic_bytes) noexcept nogil:
    cdef const char *name = b"\x06CANCEL"
    cdef size_t name_bytes, used
    if version == ZMTP_VERSION_31:
        if is_subscribe:
            name = b"\x09SUBSCRIBE"
        name_bytes = strlen(name)
        used = zmtp_head_write(at, ZMTP_COMMAND, name_bytes + topic_bytes)
        memcpy(at + used, name, name_bytes)
        return used + name_bytes
    used = zmtp_head_write(at, 0, 1 + topic_bytes)
    at[used] = 1 if is_subscribe else 0
    return used + 1
