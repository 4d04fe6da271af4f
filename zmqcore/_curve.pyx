# zmqcore/_curve.pyx -- see the door for contracts.
#
# NaCl wants 16 zero bytes in front of a box: where they lie, a MESSAGE has its name and counter, which are taken out before
# and put in behind. So each frame is sealed and opened where it stands, without a copy of its own; opening makes one,
# because the plain frame is shorter than the box. NaCl's own form of the functions is faster here than libsodium's `easy` one.
#
# A box costs blocks of Salsa20: one to derive its key from the first 16 bytes of the nonce, which are the same for all
# messages of a direction, and one for each 64 bytes from 32 before the plaintext on; NaCl does the first two twice to open it.
# So small frames are sealed and opened by the parts that the box is made of, with a key derived once: 2 blocks and 2, not
# 3 and 5, for 64 bytes (design.md, "CURVE without the lock, and with its keys derived once").
from zmqcore._limits cimport (
    CHUNK_BYTES_MAX, CURVE_DERIVED_BYTES_MAX, CURVE_BUFFER_BYTES_FIRST, CURVE_OUTPUT_BYTES, FRAME_BYTES_MAX,
)
from zmqcore._protocol_error cimport (
    ERROR_CRYPTOGRAPHIC, ERROR_INVALID_SEQUENCE, ERROR_MALFORMED_MESSAGE, ERROR_UNEXPECTED_COMMAND,
)
from zmqcore._sodium cimport BOX_ZERO_BYTES, KEY_BYTES, MAC_BYTES, NONCE_BYTES, PLAIN_ZERO_BYTES, sodium_get
from zmqcore._sys cimport (
    ENOMEM, EPROTO, calloc, free, malloc, memcmp, memcpy, memmove, memset, realloc, zc_be64, zc_put_be64, zc_wipe,
)
from zmqcore._zmtp cimport ZMTP_COMMAND, ZMTP_HEAD_BYTES_MAX, ZMTP_MORE, zmtp_head_read, zmtp_head_write

cdef enum:
    NAME_BYTES = 8
    COUNTER_BYTES = 8
    TEXT_BYTES = 16
    # Of a MESSAGE besides the body: name, counter, MAC, flags.
    EXTRA_BYTES = 33
    FLAG_MORE = 1               # inside the box
    FLAG_COMMAND = 2

cdef const char *CLIENT_TEXT = "CurveZMQMESSAGEC"
cdef const char *SERVER_TEXT = "CurveZMQMESSAGES"


# --- life --------------------------------------------------------------------------------------------------------

cdef curve_t *curve_new(const uint8_t *key, bint is_server, uint64_t sent_counter, uint64_t received_counter,
                        slice_t rest) noexcept nogil:
    cdef curve_t *self = <curve_t *>calloc(1, sizeof(curve_t))
    if self == NULL:
        return NULL
    memcpy(self.key, key, KEY_BYTES)
    self.sent_text = SERVER_TEXT if is_server else CLIENT_TEXT
    self.received_text = CLIENT_TEXT if is_server else SERVER_TEXT
    if sodium_get().derive != NULL:
        self.is_derived = True
        sodium_get().derive(self.sent_key, <const uint8_t *>self.sent_text, key, NULL)
        sodium_get().derive(self.received_key, <const uint8_t *>self.received_text, key, NULL)
    self.sent_counter = sent_counter
    self.received_counter = received_counter
    self.input_room = rest.size + CURVE_BUFFER_BYTES_FIRST
    self.input = <uint8_t *>malloc(self.input_room)
    if self.input == NULL:
        curve_free(self)
        return NULL
    if rest.size:
        memcpy(self.input, rest.at, rest.size)
    self.input_bytes = rest.size
    return self


cdef void curve_free(curve_t *self) noexcept nogil:
    if self == NULL:
        return
    free(self.input)
    free(self.output)
    zc_wipe(self, sizeof(curve_t))
    free(self)


# --- input -------------------------------------------------------------------------------------------------------

cdef int curve_reserve(curve_t *self, uint8_t **at, size_t *room) noexcept nogil:
    # Grows with what has come, not with what a head claims.
    cdef size_t left = self.input_bytes - self.input_off
    cdef size_t wanted = self.input_room
    cdef uint8_t *grown
    if self.input_off:
        memmove(self.input, self.input + self.input_off, left)
        self.input_off = 0
        self.input_bytes = left
    if left > self.input_room // 2:
        wanted = 2 * self.input_room
    elif self.input_room > CHUNK_BYTES_MAX and left < CHUNK_BYTES_MAX // 2:
        wanted = CHUNK_BYTES_MAX
    if wanted != self.input_room:
        grown = <uint8_t *>realloc(self.input, wanted)
        if grown == NULL:
            return -ENOMEM
        self.input = grown
        self.input_room = wanted
    at[0] = self.input + left
    room[0] = self.input_room - left
    return 0


cdef void curve_filled(curve_t *self, size_t bytes) noexcept nogil:
    cdef uint8_t *grown
    self.input_bytes += bytes
    # Under load larger reads; without memory for that the old size goes on.
    if self.input_bytes == self.input_room and self.input_room < CHUNK_BYTES_MAX:
        grown = <uint8_t *>realloc(self.input, 2 * self.input_room)
        if grown != NULL:
            self.input = grown
            self.input_room *= 2


cdef size_t curve_next_bytes(const curve_t *self) noexcept nogil:
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    cdef size_t avail = self.input_bytes - self.input_off
    cdef size_t used = zmtp_head_read(self.input + self.input_off, avail, &flags, &size)
    return used + size if used and avail - used >= size else 0


# Opens one MESSAGE: where it stands, or into scratch. The flags and the body behind them; NULL: error is set.
cdef const uint8_t *open_body(curve_t *self, uint8_t *body, uint64_t size, uint8_t *scratch) noexcept nogil:
    cdef uint8_t nonce[NONCE_BYTES]
    cdef uint8_t mac[MAC_BYTES]
    cdef uint64_t counter
    cdef int rc
    if size < NAME_BYTES or memcmp(body, "\x07MESSAGE", NAME_BYTES) != 0:
        self.error = ERROR_UNEXPECTED_COMMAND
    elif size < EXTRA_BYTES:
        self.error = ERROR_MALFORMED_MESSAGE
    elif zc_be64(body + NAME_BYTES) <= self.received_counter:
        self.error = ERROR_INVALID_SEQUENCE
    if self.error:
        return NULL
    counter = zc_be64(body + NAME_BYTES)
    memcpy(nonce, self.received_text, TEXT_BYTES)
    memcpy(nonce + TEXT_BYTES, body + NAME_BYTES, COUNTER_BYTES)
    if self.is_derived and size <= CURVE_DERIVED_BYTES_MAX:
        memcpy(mac, body + TEXT_BYTES, MAC_BYTES)
        memset(body, 0, PLAIN_ZERO_BYTES)
        sodium_get().stream_xor(scratch, body, size, nonce + TEXT_BYTES, self.received_key)
        rc = sodium_get().verify(mac, body + PLAIN_ZERO_BYTES, size - PLAIN_ZERO_BYTES, scratch)
    else:
        scratch = body
        memset(body, 0, BOX_ZERO_BYTES)
        rc = sodium_get().open(body, body, size, nonce, self.key)
    if rc != 0:
        self.error = ERROR_CRYPTOGRAPHIC
        return NULL
    self.received_counter = counter
    return scratch + PLAIN_ZERO_BYTES


cdef ssize_t curve_open(curve_t *self, int64_t maxmsgsize, uint8_t *out, size_t room, size_t *need) noexcept nogil:
    cdef uint8_t scratch[CURVE_DERIVED_BYTES_MAX]
    cdef const uint8_t *plain
    cdef uint8_t *at
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    cdef size_t avail, used, body_bytes
    cdef size_t written = 0
    need[0] = 0
    while True:
        at = self.input + self.input_off
        avail = self.input_bytes - self.input_off
        used = zmtp_head_read(at, avail, &flags, &size)
        if used == 0:
            return written
        if size > FRAME_BYTES_MAX or (maxmsgsize >= 0 and size > <uint64_t>maxmsgsize):
            return -EPROTO
        if avail - used < size:
            return written
        if flags & ZMTP_COMMAND:
            self.error = ERROR_UNEXPECTED_COMMAND
            return -EPROTO
        # The plain frame is shorter than the box it comes from.
        if room - written < used + size:
            need[0] = used + size
            return written
        plain = open_body(self, at + used, size, scratch)
        if plain == NULL:
            return -EPROTO
        body_bytes = size - EXTRA_BYTES
        flags = plain[0]
        written += zmtp_head_write(out + written, (ZMTP_MORE if flags & FLAG_MORE else 0)
                                   | (ZMTP_COMMAND if flags & FLAG_COMMAND else 0), body_bytes)
        memcpy(out + written, plain + 1, body_bytes)
        written += body_bytes
        self.input_off += used + size


# --- output ------------------------------------------------------------------------------------------------------

# Room for one more frame behind the others. 0; -ENOMEM.
cdef int make_room(curve_t *self, size_t bytes) noexcept nogil:
    cdef uint8_t *grown
    cdef size_t wanted = self.output_bytes + bytes
    if wanted <= self.output_room:
        return 0
    if wanted < 2 * self.output_room and wanted < CURVE_OUTPUT_BYTES:
        wanted = 2 * self.output_room
    if wanted < CURVE_BUFFER_BYTES_FIRST:
        wanted = CURVE_BUFFER_BYTES_FIRST
    grown = <uint8_t *>realloc(self.output, wanted)
    if grown == NULL:
        return -ENOMEM
    self.output = grown
    self.output_room = wanted
    return 0


cdef void seal_frame(curve_t *self, uint8_t flags, const uint8_t *body, size_t size) noexcept nogil:
    cdef uint8_t nonce[NONCE_BYTES]
    cdef uint8_t mac[MAC_BYTES]
    cdef uint8_t *at = self.output + self.output_bytes
    at += zmtp_head_write(at, 0, EXTRA_BYTES + size)
    memset(at, 0, PLAIN_ZERO_BYTES)
    at[PLAIN_ZERO_BYTES] = (FLAG_MORE if flags & ZMTP_MORE else 0) | (FLAG_COMMAND if flags & ZMTP_COMMAND else 0)
    if size:
        memcpy(at + EXTRA_BYTES, body, size)
    self.sent_counter += 1
    memcpy(nonce, self.sent_text, TEXT_BYTES)
    zc_put_be64(nonce + TEXT_BYTES, self.sent_counter)
    if self.is_derived and size <= CURVE_DERIVED_BYTES_MAX:
        sodium_get().stream_xor(at, at, EXTRA_BYTES + size, nonce + TEXT_BYTES, self.sent_key)
        sodium_get().auth(mac, at + PLAIN_ZERO_BYTES, 1 + size, at)
        memcpy(at + TEXT_BYTES, mac, MAC_BYTES)
    else:
        sodium_get().seal(at, at, EXTRA_BYTES + size, nonce, self.key)
    memcpy(at, "\x07MESSAGE", NAME_BYTES)
    memcpy(at + NAME_BYTES, nonce + TEXT_BYTES, COUNTER_BYTES)
    self.output_bytes = <size_t>(at - self.output) + EXTRA_BYTES + size


cdef ssize_t curve_seal(curve_t *self, const iovec *vec, int count) noexcept nogil:
    cdef const uint8_t *at
    cdef const uint8_t *body
    cdef size_t off, used
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    cdef ssize_t total = 0
    cdef int i = 0
    self.output_off = self.output_bytes = 0
    while i < count:
        at = <const uint8_t *>vec[i].iov_base
        off = 0
        while off < vec[i].iov_len:
            if self.output_bytes >= CURVE_OUTPUT_BYTES // 2:
                return total
            used = zmtp_head_read(at + off, vec[i].iov_len - off, &flags, &size)
            body = at + off + used
            if vec[i].iov_len - off - used < size:
                # The body is the next buffer, or was not gathered.
                if i + 1 == count:
                    return total
                i += 1
                body = <const uint8_t *>vec[i].iov_base
                off = 0
                at = body
                total += used + size
                used = 0
            else:
                total += used + size
            if make_room(self, ZMTP_HEAD_BYTES_MAX + EXTRA_BYTES + size) != 0:
                return -ENOMEM
            seal_frame(self, flags, body, size)
            off += used + size
        i += 1
    return total


cdef void curve_sent(curve_t *self, size_t bytes) noexcept nogil:
    self.output_off += bytes
    if self.output_off < self.output_bytes:
        return
    self.output_off = self.output_bytes = 0
    if self.output_room > CURVE_OUTPUT_BYTES:
        free(self.output)
        self.output = NULL
        self.output_room = 0
