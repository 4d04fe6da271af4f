# zmqcore/_zmtp.pxd -- the sans-I/O codec: greeting, frame headers, commands (floor 2; sees no fd, no clock, no object).
# Lock:   none; every function works on the buffers it is given.
# Memory: nothing is allocated; slices point into the caller's buffer.
# Source: RFC 37/ZMTP 3.1, RFC 23/ZMTP 3.0, RFC 15/ZMTP 2.0, RFC 13/ZMTP 1.0.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from zmqcore._sys cimport zc_be64, zc_put_be64

cdef enum:
    ZMTP_MORE = 1               # frame flags, ZMTP 2.0 and later
    ZMTP_LONG = 2
    ZMTP_COMMAND = 4
    ZMTP_HEAD_BYTES_MAX = 9     # flags + 8-byte size
    ZMTP_V1_HEAD_BYTES_MAX = 10 # ff + 8-byte length + flags
    ZMTP_GREETING_BYTES = 64
    ZMTP_SIGNATURE_BYTES = 10
    ZMTP_MECHANISM_BYTES = 20
    ZMTP_PING_CONTEXT_BYTES = 16

# Protocol versions as this package tells them apart.
cdef enum:
    ZMTP_VERSION_NONE = 0
    ZMTP_VERSION_1 = 1          # unversioned peer, or major 0 behind a valid signature
    ZMTP_VERSION_2 = 2
    ZMTP_VERSION_30 = 30
    ZMTP_VERSION_31 = 31

# A run of bytes inside somebody else's buffer.
cdef struct slice_t:
    const uint8_t *at
    size_t size

# --- frame headers -----------------------------------------------------------------------------------------------

# Reads a header of ZMTP 2.0 and later. Header bytes used (2 or 9), or 0 when more bytes are needed.
# size is as the peer sent it and has not been compared with any limit.
cdef inline size_t zmtp_head_read(const uint8_t *at, size_t avail, uint8_t *flags, uint64_t *size) noexcept nogil:
    if avail < 2:
        return 0
    flags[0] = at[0]
    if not at[0] & ZMTP_LONG:
        size[0] = at[1]
        return 2
    if avail < ZMTP_HEAD_BYTES_MAX:
        return 0
    size[0] = zc_be64(at + 1)
    return ZMTP_HEAD_BYTES_MAX

# Writes the shortest header for a body of size bytes; flags holds MORE and COMMAND only. Bytes written (2 or 9).
cdef inline size_t zmtp_head_write(uint8_t *at, uint8_t flags, uint64_t size) noexcept nogil:
    if size <= 255:
        at[0] = flags
        at[1] = <uint8_t>size
        return 2
    at[0] = flags | ZMTP_LONG
    zc_put_be64(at + 1, size)
    return ZMTP_HEAD_BYTES_MAX

# The same for ZMTP 1.0, where the length counts the flags byte. flags: ZMTP_MORE only.
# Reading: header bytes used (2 or 10), 0 when more is needed, -EPROTO for a length of 0.
cdef int zmtp_v1_head_read(const uint8_t *at, size_t avail, uint8_t *flags, uint64_t *size) noexcept nogil
cdef size_t zmtp_v1_head_write(uint8_t *at, uint8_t flags, uint64_t size) noexcept nogil

# --- greeting ----------------------------------------------------------------------------------------------------

cdef enum zmtp_greeting_verdict:
    GREETING_MORE = 0           # needs more bytes from the peer
    GREETING_DONE = 1           # version and, for 3.x, mechanism are known; the handshake follows
    GREETING_MISMATCH = 2       # a 3.x peer with another mechanism; nothing is to be sent

# One side's greeting. Emits only what the protocol allows so far: 10 signature bytes at once, the major byte after the
# peer's signature, the rest after the peer's major (zmtp-wire: a 1.0 peer must not see the version byte).
cdef struct zmtp_greeting_t:
    uint8_t mechanism[ZMTP_MECHANISM_BYTES]  # own mechanism, zero padded
    uint8_t own_type            # socket type number, sent to 2.0 peers
    uint8_t own_id_bytes        # length of the own routing id; shown in the signature's padding
    uint8_t seen[ZMTP_GREETING_BYTES]
    size_t seen_bytes
    uint8_t stage               # 0 nothing sent; 1 signature; 2 major; 3 all
    int version                 # ZMTP_VERSION_*, once known
    uint8_t peer_type           # 2.0 peers only: the socket type number they sent

cdef void zmtp_greeting_init(zmtp_greeting_t *self, const char *mechanism, uint8_t own_type,
                             uint8_t own_id_bytes) noexcept nogil

# Takes bytes of the peer (may be none) and writes what may now be sent.
# used: bytes consumed, never more than the greeting holds. For an unversioned (1.0) peer nothing is consumed at
# all in the call that finds it out and all earlier bytes remain in seen[0:seen_bytes]: they are the start of its first
# frame. A 1.0 peer is unversioned when seen_bytes < ZMTP_SIGNATURE_BYTES, else it showed major 0 (and takes an identity
# frame). out must have room for ZMTP_GREETING_BYTES; out_bytes: bytes written there. After the verdict a further step
# does nothing.
cdef zmtp_greeting_verdict zmtp_greeting_step(zmtp_greeting_t *self, const uint8_t *at, size_t avail, size_t *used,
                                              uint8_t *out, size_t *out_bytes) noexcept nogil

# --- commands ----------------------------------------------------------------------------------------------------

cdef enum zmtp_command:
    COMMAND_MALFORMED = -1      # at most one byte, or a name that does not fit the body
    COMMAND_OTHER = 0
    COMMAND_READY
    COMMAND_ERROR
    COMMAND_PING
    COMMAND_PONG
    COMMAND_SUBSCRIBE
    COMMAND_CANCEL

# Splits a command body into name and data. data is what follows the name.
cdef zmtp_command zmtp_command_read(const uint8_t *body, size_t size, slice_t *data) noexcept nogil

# Reads one property at *off of a property list and moves *off behind it. 1 read; 0 at the end; -EPROTO malformed.
cdef int zmtp_property_next(slice_t list, size_t *off, slice_t *name, slice_t *value) noexcept nogil

# Writes one property; bytes written. name: at most 255 bytes. The caller provides room for 1 + name + 4 + value bytes.
cdef size_t zmtp_property_write(uint8_t *at, const char *name, const uint8_t *value, uint32_t size) noexcept nogil

# PING data -> TTL in tenths of a second and context (cut to 16 bytes). 0; -EPROTO when shorter than a TTL.
cdef int zmtp_ping_read(slice_t data, uint16_t *ttl_tenths, slice_t *context) noexcept nogil

# ERROR data -> its reason. 0; -EPROTO when the length is missing or beyond the body.
cdef int zmtp_error_read(slice_t data, slice_t *reason) noexcept nogil

# Whole frames, header included; bytes written. Room: 32 bytes for ping and pong, 9 + 10 + topic for the others.
cdef size_t zmtp_ping_write(uint8_t *at, uint16_t ttl_tenths) noexcept nogil
cdef size_t zmtp_pong_write(uint8_t *at, slice_t context) noexcept nogil

# The head of a (un)subscription of size topic bytes, up to the topic itself, as a peer of that version wants it:
# a SUBSCRIBE or CANCEL command for 3.1, a message that begins with 01 or 00 for older ones (in 2.0 framing).
# Bytes written, at most 19; the caller appends the topic.
cdef size_t zmtp_subscription_head_write(uint8_t *at, int version, bint is_subscribe,
                                         uint64_t topic_bytes) noexcept nogil
