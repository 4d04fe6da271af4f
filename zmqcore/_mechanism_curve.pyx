# zmqcore/_mechanism_curve.pyx -- see the doors.
#
#   client   BEGIN --next: HELLO--> WELCOME_AWAITED --step: WELCOME--> INITIATE_DUE --next: INITIATE-->
#            READY_AWAITED --step: READY--> DONE
#   server   BEGIN --step: HELLO--> WELCOME_DUE --next: WELCOME--> INITIATE_AWAITED --step: INITIATE--> (ASKING) -->
#            READY_DUE --next: READY--> DONE
#
# The functions _make and _open build and take apart one command each; their numbers are offsets of RFC 26. What the peer
# sent is nothing but bytes until its box has opened.
from libc.stdint cimport uint8_t
from zmqcore._mechanism cimport (
    CLIENT_INITIATE_DUE, CLIENT_READY_AWAITED, CLIENT_WELCOME_AWAITED, SERVER_INITIATE_AWAITED, SERVER_READY_DUE,
    SERVER_WELCOME_DUE, STAGE_BEGIN, STAGE_OVER,
)
from zmqcore._mechanism cimport (
    FAILURE_PROTOCOL, FAILURE_SILENT, MECHANISM_DONE, mechanism_fail, mechanism_fail_error, mechanism_is_command,
    mechanism_must_ask, mechanism_take_properties,
)
from zmqcore._protocol_error cimport (
    ERROR_CRYPTOGRAPHIC, ERROR_INVALID_METADATA, ERROR_KEY_EXCHANGE, ERROR_MALFORMED_HELLO, ERROR_MALFORMED_INITIATE,
    ERROR_MALFORMED_READY, ERROR_MALFORMED_UNSPECIFIED, ERROR_MALFORMED_WELCOME, ERROR_UNEXPECTED_COMMAND,
)
from zmqcore._sodium cimport (
    KEY_BYTES, MAC_BYTES, NONCE_BYTES, sodium_get, sodium_open, sodium_seal, sodium_t,
)
from zmqcore._sys cimport (
    ENOBUFS, ENOMEM, ENOTSUP, EPROTO, calloc, free, malloc, memcmp, memcpy, memset, zc_be64, zc_put_be64, zc_wipe,
)
from zmqcore._zmtp cimport (
    COMMAND_ERROR, COMMAND_MALFORMED, ZMTP_COMMAND, ZMTP_HEAD_BYTES_MAX, slice_t, zmtp_command_read, zmtp_head_write,
)

cdef enum:
    COUNTER_BYTES = 8
    RANDOM_BYTES = 16           # the part of a nonce that is not text, where there is no counter
    HELLO_BYTES = 200
    HELLO_VERSION = 6
    HELLO_PUBLIC = 80
    HELLO_COUNTER = 112
    HELLO_BOX = 120
    HELLO_PLAIN_BYTES = 64
    WELCOME_BYTES = 168
    WELCOME_RANDOM = 8
    WELCOME_BOX = 24
    WELCOME_PLAIN_BYTES = 128   # S', cookie
    COOKIE_BYTES = 96
    INITIATE_BYTES_MIN = 257
    INITIATE_COOKIE = 9
    INITIATE_COUNTER = 105
    INITIATE_BOX = 113
    # inside the box of INITIATE
    VOUCH_RANDOM = 32
    VOUCH_BOX = 48
    VOUCH_PLAIN_BYTES = 64      # C', S
    INITIATE_PROPERTIES = 128
    READY_BYTES_MIN = 30
    READY_COUNTER = 6
    READY_BOX = 14


# --- keys --------------------------------------------------------------------------------------------------------

cdef int curve_keys_new(mechanism_t *self) noexcept nogil:
    if sodium_get() == NULL:
        return -ENOTSUP
    self.keys = <curve_keys_t *>calloc(1, sizeof(curve_keys_t))
    if self.keys == NULL:
        return -ENOMEM
    return 0


cdef void curve_keys_free(curve_keys_t *keys) noexcept nogil:
    if keys != NULL:
        zc_wipe(keys, sizeof(curve_keys_t))
    free(keys)


cdef void counter_nonce(const char *text, const uint8_t *counter, uint8_t *nonce) noexcept nogil:
    memcpy(nonce, text, NONCE_BYTES - COUNTER_BYTES)
    memcpy(nonce + NONCE_BYTES - COUNTER_BYTES, counter, COUNTER_BYTES)


cdef void random_nonce(const char *text, const uint8_t *random, uint8_t *nonce) noexcept nogil:
    memcpy(nonce, text, NONCE_BYTES - RANDOM_BYTES)
    memcpy(nonce + NONCE_BYTES - RANDOM_BYTES, random, RANDOM_BYTES)


cdef void write_counter(curve_keys_t *keys, uint8_t *at) noexcept nogil:
    keys.sent_counter += 1
    zc_put_be64(at, keys.sent_counter)


# Opens a counter with a box behind it, which end a command, into memory that plain_free wipes. 0; else the mechanism has failed.
cdef int counted_open(mechanism_t *self, const char *text, const uint8_t *at, size_t size, uint8_t **plain,
                      size_t *plain_bytes) noexcept nogil:
    cdef uint8_t nonce[NONCE_BYTES]
    cdef int rc
    plain[0] = <uint8_t *>malloc(size)
    if plain[0] == NULL:
        mechanism_fail(self, FAILURE_SILENT, 0)
        return -ENOMEM
    plain_bytes[0] = size - COUNTER_BYTES - MAC_BYTES
    self.keys.received_counter = zc_be64(at)
    counter_nonce(text, at, nonce)
    rc = sodium_open(self.keys.key, nonce, at + COUNTER_BYTES, size - COUNTER_BYTES, plain[0])
    if rc != 0:
        mechanism_fail(self, FAILURE_PROTOCOL, ERROR_CRYPTOGRAPHIC)
        free(plain[0])
    return rc


cdef void plain_free(uint8_t *plain, size_t size) noexcept nogil:
    zc_wipe(plain, size)
    free(plain)


# --- the client's commands ---------------------------------------------------------------------------------------

cdef int hello_make(mechanism_t *self, uint8_t *body) noexcept nogil:
    cdef curve_keys_t *keys = self.keys
    cdef uint8_t nonce[NONCE_BYTES]
    cdef uint8_t zeros[HELLO_PLAIN_BYTES]
    sodium_get().keypair(keys.own_public, keys.own_secret)
    if sodium_get().agree(keys.first_key, self.options.curve_serverkey, keys.own_secret) != 0:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_CRYPTOGRAPHIC)
    memset(body, 0, HELLO_BYTES)
    memset(zeros, 0, sizeof(zeros))
    memcpy(body, "\x05HELLO\x01\x00", 8)
    memcpy(body + HELLO_PUBLIC, keys.own_public, KEY_BYTES)
    write_counter(keys, body + HELLO_COUNTER)
    counter_nonce("CurveZMQHELLO---", body + HELLO_COUNTER, nonce)
    return sodium_seal(keys.first_key, nonce, zeros, HELLO_PLAIN_BYTES, body + HELLO_BOX)


cdef int hello_open(mechanism_t *self, const uint8_t *body, size_t size) noexcept nogil:
    cdef curve_keys_t *keys = self.keys
    cdef const sodium_t *sodium = sodium_get()
    cdef uint8_t nonce[NONCE_BYTES]
    cdef uint8_t plain[HELLO_PLAIN_BYTES]
    cdef int rc
    if size != HELLO_BYTES or memcmp(body + HELLO_VERSION, "\x01\x00", 2) != 0:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_MALFORMED_HELLO)
    memcpy(keys.peer_public, body + HELLO_PUBLIC, KEY_BYTES)
    keys.received_counter = zc_be64(body + HELLO_COUNTER)
    counter_nonce("CurveZMQHELLO---", body + HELLO_COUNTER, nonce)
    rc = -EPROTO
    if sodium.agree(keys.first_key, keys.peer_public, self.options.curve_secretkey) == 0:
        rc = sodium_open(keys.first_key, nonce, body + HELLO_BOX, HELLO_BYTES - HELLO_BOX, plain)
    if rc != 0:
        mechanism_fail(self, FAILURE_PROTOCOL, ERROR_CRYPTOGRAPHIC)
        return rc
    # Not before somebody has shown that he knows our key.
    sodium.keypair(keys.own_public, keys.own_secret)
    self.stage = SERVER_WELCOME_DUE
    return 0


cdef int vouch_make(mechanism_t *self, uint8_t *plain) noexcept nogil:
    # Shows that the owner of C has made C', for S and nobody else.
    cdef curve_keys_t *keys = self.keys
    cdef uint8_t nonce[NONCE_BYTES]
    cdef uint8_t key[KEY_BYTES]
    cdef uint8_t vouch[VOUCH_PLAIN_BYTES]
    cdef int rc
    memcpy(plain, self.options.curve_publickey, KEY_BYTES)
    sodium_get().random(plain + VOUCH_RANDOM, RANDOM_BYTES)
    random_nonce("VOUCH---", plain + VOUCH_RANDOM, nonce)
    memcpy(vouch, keys.own_public, KEY_BYTES)
    memcpy(vouch + KEY_BYTES, self.options.curve_serverkey, KEY_BYTES)
    if sodium_get().agree(key, keys.peer_public, self.options.curve_secretkey) != 0:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_CRYPTOGRAPHIC)
    rc = sodium_seal(key, nonce, vouch, VOUCH_PLAIN_BYTES, plain + VOUCH_BOX)
    zc_wipe(key, sizeof(key))
    return rc


cdef int vouch_open(mechanism_t *self, const uint8_t *plain) noexcept nogil:
    cdef curve_keys_t *keys = self.keys
    cdef uint8_t nonce[NONCE_BYTES]
    cdef uint8_t key[KEY_BYTES]
    cdef uint8_t vouch[VOUCH_PLAIN_BYTES]
    cdef uint8_t own[KEY_BYTES]
    cdef int rc = -EPROTO
    memcpy(keys.peer_permanent, plain, KEY_BYTES)
    random_nonce("VOUCH---", plain + VOUCH_RANDOM, nonce)
    if sodium_get().agree(key, keys.peer_permanent, keys.own_secret) == 0:
        rc = sodium_open(key, nonce, plain + VOUCH_BOX, VOUCH_PLAIN_BYTES + MAC_BYTES, vouch)
    zc_wipe(key, sizeof(key))
    if rc != 0:
        mechanism_fail(self, FAILURE_PROTOCOL, ERROR_CRYPTOGRAPHIC)
        return rc
    # The option may hold no public key of ours: a server needs none.
    sodium_get().public(own, self.options.curve_secretkey)
    if memcmp(vouch, keys.peer_public, KEY_BYTES) != 0 or memcmp(vouch + KEY_BYTES, own, KEY_BYTES) != 0:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_KEY_EXCHANGE)
    return 0


cdef int initiate_make(mechanism_t *self, uint8_t *body) noexcept nogil:
    cdef curve_keys_t *keys = self.keys
    cdef uint8_t nonce[NONCE_BYTES]
    cdef size_t size = INITIATE_PROPERTIES + self.own_bytes
    cdef uint8_t *plain = <uint8_t *>malloc(size)
    cdef int rc
    if plain == NULL:
        return -ENOMEM
    rc = vouch_make(self, plain)
    if rc == 0:
        memcpy(plain + INITIATE_PROPERTIES, self.own, self.own_bytes)
        memcpy(body, "\x08INITIATE", INITIATE_COOKIE)
        memcpy(body + INITIATE_COOKIE, keys.cookie, COOKIE_BYTES)
        write_counter(keys, body + INITIATE_COUNTER)
        counter_nonce("CurveZMQINITIATE", body + INITIATE_COUNTER, nonce)
        rc = sodium_seal(keys.key, nonce, plain, size, body + INITIATE_BOX)
    plain_free(plain, size)
    return rc


cdef int initiate_open(mechanism_t *self, const uint8_t *body, size_t size) noexcept nogil:
    cdef curve_keys_t *keys = self.keys
    cdef uint8_t *plain
    cdef size_t plain_bytes
    cdef int rc
    if size < INITIATE_BYTES_MIN:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_MALFORMED_INITIATE)
    # This connection remembers C' and s', which the cookie is for: there is nothing in it to be read.
    if memcmp(body + INITIATE_COOKIE, keys.cookie, COOKIE_BYTES) != 0:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_CRYPTOGRAPHIC)
    rc = counted_open(self, "CurveZMQINITIATE", body + INITIATE_COUNTER, size - INITIATE_COUNTER, &plain, &plain_bytes)
    if rc != 0:
        return rc
    rc = vouch_open(self, plain)
    if rc == 0:
        rc = mechanism_take_properties(self, plain + INITIATE_PROPERTIES, plain_bytes - INITIATE_PROPERTIES)
        if rc != 0:
            mechanism_fail(self, FAILURE_SILENT, 0)
    plain_free(plain, plain_bytes)
    if rc == 0:
        self.credentials[0].at = keys.peer_permanent
        self.credentials[0].size = KEY_BYTES
        self.credential_count = 1
        self.stage = SERVER_READY_DUE
        mechanism_must_ask(self)
    return rc


# --- the server's commands ---------------------------------------------------------------------------------------

cdef int cookie_make(mechanism_t *self) noexcept nogil:
    # Sealed with a key that nobody keeps: it is only compared when it comes back.
    cdef curve_keys_t *keys = self.keys
    cdef uint8_t nonce[NONCE_BYTES]
    cdef uint8_t key[KEY_BYTES]
    cdef uint8_t plain[2 * KEY_BYTES]
    cdef int rc
    sodium_get().random(key, KEY_BYTES)
    sodium_get().random(keys.cookie, RANDOM_BYTES)
    random_nonce("COOKIE--", keys.cookie, nonce)
    memcpy(plain, keys.peer_public, KEY_BYTES)
    memcpy(plain + KEY_BYTES, keys.own_secret, KEY_BYTES)
    rc = sodium_seal(key, nonce, plain, sizeof(plain), keys.cookie + RANDOM_BYTES)
    zc_wipe(key, sizeof(key))
    zc_wipe(plain, sizeof(plain))
    return rc


cdef int welcome_make(mechanism_t *self, uint8_t *body) noexcept nogil:
    cdef curve_keys_t *keys = self.keys
    cdef uint8_t nonce[NONCE_BYTES]
    cdef uint8_t plain[WELCOME_PLAIN_BYTES]
    cdef int rc = cookie_make(self)
    if rc != 0:
        return rc
    memcpy(plain, keys.own_public, KEY_BYTES)
    memcpy(plain + KEY_BYTES, keys.cookie, COOKIE_BYTES)
    memcpy(body, "\x07WELCOME", WELCOME_RANDOM)
    sodium_get().random(body + WELCOME_RANDOM, RANDOM_BYTES)
    random_nonce("WELCOME-", body + WELCOME_RANDOM, nonce)
    return sodium_seal(keys.first_key, nonce, plain, WELCOME_PLAIN_BYTES, body + WELCOME_BOX)


cdef int welcome_open(mechanism_t *self, const uint8_t *body, size_t size) noexcept nogil:
    cdef curve_keys_t *keys = self.keys
    cdef uint8_t nonce[NONCE_BYTES]
    cdef uint8_t plain[WELCOME_PLAIN_BYTES]
    cdef int rc
    if size != WELCOME_BYTES:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_MALFORMED_WELCOME)
    random_nonce("WELCOME-", body + WELCOME_RANDOM, nonce)
    rc = sodium_open(keys.first_key, nonce, body + WELCOME_BOX, WELCOME_BYTES - WELCOME_BOX, plain)
    if rc == 0:
        memcpy(keys.peer_public, plain, KEY_BYTES)
        memcpy(keys.cookie, plain + KEY_BYTES, COOKIE_BYTES)
        if sodium_get().agree(keys.key, keys.peer_public, keys.own_secret) != 0:
            rc = -EPROTO
    if rc != 0:
        mechanism_fail(self, FAILURE_PROTOCOL, ERROR_CRYPTOGRAPHIC)
        return rc
    self.stage = CLIENT_INITIATE_DUE
    return 0


cdef int ready_make(mechanism_t *self, uint8_t *body) noexcept nogil:
    cdef curve_keys_t *keys = self.keys
    cdef uint8_t nonce[NONCE_BYTES]
    memcpy(body, "\x05READY", READY_COUNTER)
    write_counter(keys, body + READY_COUNTER)
    counter_nonce("CurveZMQREADY---", body + READY_COUNTER, nonce)
    return sodium_seal(keys.key, nonce, self.own, self.own_bytes, body + READY_BOX)


cdef int ready_open(mechanism_t *self, const uint8_t *body, size_t size) noexcept nogil:
    cdef uint8_t *plain
    cdef size_t plain_bytes
    cdef int rc
    if size < READY_BYTES_MIN:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_MALFORMED_READY)
    rc = counted_open(self, "CurveZMQREADY---", body + READY_COUNTER, size - READY_COUNTER, &plain, &plain_bytes)
    if rc != 0:
        return rc
    rc = mechanism_take_properties(self, plain, plain_bytes)
    if rc != 0:
        mechanism_fail(self, FAILURE_PROTOCOL, ERROR_INVALID_METADATA)
    plain_free(plain, plain_bytes)
    if rc == 0:
        self.stage = STAGE_OVER
        self.state = MECHANISM_DONE
    return rc


# --- order -------------------------------------------------------------------------------------------------------

cdef int server_step(mechanism_t *self, const uint8_t *body, size_t size) noexcept nogil:
    if self.stage == STAGE_BEGIN and mechanism_is_command(body, size, "\x05HELLO"):
        return hello_open(self, body, size)
    if self.stage == SERVER_INITIATE_AWAITED and mechanism_is_command(body, size, "\x08INITIATE"):
        # Only now: who repeats a HELLO that he has seen, and cannot go on, costs one multiplication less.
        if sodium_get().agree(self.keys.key, self.keys.peer_public, self.keys.own_secret) != 0:
            return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_CRYPTOGRAPHIC)
        return initiate_open(self, body, size)
    return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_UNEXPECTED_COMMAND)


cdef int client_step(mechanism_t *self, const uint8_t *body, size_t size) noexcept nogil:
    if self.stage == CLIENT_WELCOME_AWAITED and mechanism_is_command(body, size, "\x07WELCOME"):
        return welcome_open(self, body, size)
    if self.stage == CLIENT_READY_AWAITED and mechanism_is_command(body, size, "\x05READY"):
        return ready_open(self, body, size)
    return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_UNEXPECTED_COMMAND)


cdef int curve_step(mechanism_t *self, const uint8_t *body, size_t size, bint is_command) noexcept nogil:
    cdef slice_t data
    cdef int command = zmtp_command_read(body, size, &data)
    if command == COMMAND_MALFORMED:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_MALFORMED_UNSPECIFIED)
    if self.options.as_server:
        return server_step(self, body, size)
    if command == COMMAND_ERROR:
        return mechanism_fail_error(self, data)
    return client_step(self, body, size)


cdef size_t due_bytes(const mechanism_t *self) noexcept nogil:
    # The body of the command that is due; 0: none.
    if self.stage == STAGE_BEGIN and not self.options.as_server:
        return HELLO_BYTES
    if self.stage == CLIENT_INITIATE_DUE:
        return INITIATE_BYTES_MIN + self.own_bytes
    if self.stage == SERVER_WELCOME_DUE:
        return WELCOME_BYTES
    if self.stage == SERVER_READY_DUE:
        return READY_BYTES_MIN + self.own_bytes
    return 0


cdef int make_due(mechanism_t *self, uint8_t *body) noexcept nogil:
    cdef int rc
    if self.stage == STAGE_BEGIN:
        rc = hello_make(self, body)
        if rc == 0:
            self.stage = CLIENT_WELCOME_AWAITED
    elif self.stage == CLIENT_INITIATE_DUE:
        rc = initiate_make(self, body)
        if rc == 0:
            self.stage = CLIENT_READY_AWAITED
    elif self.stage == SERVER_WELCOME_DUE:
        rc = welcome_make(self, body)
        if rc == 0:
            self.stage = SERVER_INITIATE_AWAITED
    else:
        rc = ready_make(self, body)
        if rc == 0:
            self.stage = STAGE_OVER
            self.state = MECHANISM_DONE
    return rc


cdef int curve_next(mechanism_t *self, uint8_t *out, size_t room) noexcept nogil:
    cdef size_t size = due_bytes(self)
    cdef size_t used
    cdef int rc
    if size == 0:
        return 0
    if room < ZMTP_HEAD_BYTES_MAX + size:
        return -ENOBUFS
    used = zmtp_head_write(out, ZMTP_COMMAND, size)
    rc = make_due(self, out + used)
    return rc if rc != 0 else <int>(used + size)


cdef void ops_fill() noexcept nogil:
    mechanism_curve.name = "CURVE"
    mechanism_curve.step = curve_step
    mechanism_curve.next = curve_next


ops_fill()
