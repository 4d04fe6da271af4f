# zmqcore/_mechanism_plain.pyx -- see the doors.
#
#   client   BEGIN --next: HELLO--> WELCOME_AWAITED --step: WELCOME--> INITIATE_DUE --next: INITIATE-->
#            READY_AWAITED --step: READY--> DONE
#   server   BEGIN --step: HELLO--> (ASKING) --> WELCOME_DUE --next: WELCOME--> INITIATE_AWAITED
#            --step: INITIATE--> READY_DUE --next: READY--> DONE
#
# The server always asks ZAP: nobody else knows a password.
from libc.stdint cimport uint8_t
from zmqcore._mechanism cimport (
    CLIENT_INITIATE_DUE, CLIENT_READY_AWAITED, CLIENT_WELCOME_AWAITED, SERVER_INITIATE_AWAITED, SERVER_READY_DUE,
    SERVER_WELCOME_DUE, STAGE_BEGIN, STAGE_OVER,
)
from zmqcore._mechanism cimport (
    FAILURE_PROTOCOL, FAILURE_SILENT, MECHANISM_DONE, mechanism_fail, mechanism_fail_error, mechanism_is_command,
    mechanism_must_ask, mechanism_t, mechanism_take_properties,
)
from zmqcore._options cimport blob_t
from zmqcore._protocol_error cimport (
    ERROR_INVALID_METADATA, ERROR_MALFORMED_HELLO, ERROR_MALFORMED_UNSPECIFIED, ERROR_MALFORMED_WELCOME,
    ERROR_UNEXPECTED_COMMAND,
)
from zmqcore._sys cimport ENOBUFS, ENOMEM, malloc, memcpy, strlen
from zmqcore._zmtp cimport (
    COMMAND_ERROR, COMMAND_MALFORMED, ZMTP_COMMAND, ZMTP_HEAD_BYTES_MAX, slice_t, zmtp_command_read, zmtp_head_write,
)

cdef const char *HELLO = "\x05HELLO"
cdef const char *WELCOME = "\x07WELCOME"
cdef const char *INITIATE = "\x08INITIATE"
cdef const char *READY = "\x05READY"
# What libzmq sends instead of ERROR.
cdef const char *MANGLED_ERROR = "^RROR"


# --- the peer's commands -----------------------------------------------------------------------------------------

cdef int unexpected(mechanism_t *self) noexcept nogil:
    return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_UNEXPECTED_COMMAND)


cdef int accept_hello(mechanism_t *self, const uint8_t *at, size_t size) noexcept nogil:
    # Two strings with a length byte each, and nothing behind them.
    cdef size_t name_bytes, word_bytes
    if size < 1 or size - 1 < <size_t>at[0] + 1:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_MALFORMED_HELLO)
    name_bytes = at[0]
    word_bytes = at[1 + name_bytes]
    if size != 2 + name_bytes + word_bytes:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_MALFORMED_HELLO)
    self.secrets = <uint8_t *>malloc(size)
    if self.secrets == NULL:
        mechanism_fail(self, FAILURE_SILENT, 0)
        return -ENOMEM
    memcpy(self.secrets, at, size)
    self.secrets_bytes = size
    self.credentials[0].at = self.secrets + 1
    self.credentials[0].size = name_bytes
    self.credentials[1].at = self.secrets + 2 + name_bytes
    self.credentials[1].size = word_bytes
    self.credential_count = 2
    self.stage = SERVER_WELCOME_DUE
    mechanism_must_ask(self)
    return 0


cdef int server_step(mechanism_t *self, const uint8_t *body, size_t size) noexcept nogil:
    cdef slice_t data
    cdef int rc
    if zmtp_command_read(body, size, &data) == COMMAND_MALFORMED:
        return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_MALFORMED_UNSPECIFIED)
    if self.stage == STAGE_BEGIN and mechanism_is_command(body, size, HELLO):
        return accept_hello(self, body + strlen(HELLO), size - strlen(HELLO))
    if self.stage != SERVER_INITIATE_AWAITED or not mechanism_is_command(body, size, INITIATE):
        return unexpected(self)
    rc = mechanism_take_properties(self, body + strlen(INITIATE), size - strlen(INITIATE))
    if rc != 0:
        mechanism_fail(self, FAILURE_SILENT, 0)
        return rc
    self.stage = SERVER_READY_DUE
    return 0


cdef int client_step(mechanism_t *self, const uint8_t *body, size_t size) noexcept nogil:
    cdef slice_t data
    cdef int rc
    if mechanism_is_command(body, size, MANGLED_ERROR):
        data.at = body + strlen(MANGLED_ERROR)
        data.size = size - strlen(MANGLED_ERROR)
        return mechanism_fail_error(self, data)
    if zmtp_command_read(body, size, &data) == COMMAND_ERROR:
        return mechanism_fail_error(self, data)
    if self.stage == CLIENT_WELCOME_AWAITED and mechanism_is_command(body, size, WELCOME):
        if size != strlen(WELCOME):
            return mechanism_fail(self, FAILURE_PROTOCOL, ERROR_MALFORMED_WELCOME)
        self.stage = CLIENT_INITIATE_DUE
        return 0
    if self.stage != CLIENT_READY_AWAITED or not mechanism_is_command(body, size, READY):
        return unexpected(self)
    rc = mechanism_take_properties(self, body + strlen(READY), size - strlen(READY))
    if rc != 0:
        mechanism_fail(self, FAILURE_PROTOCOL, ERROR_INVALID_METADATA)
        return rc
    self.stage = STAGE_OVER
    self.state = MECHANISM_DONE
    return 0


cdef int plain_step(mechanism_t *self, const uint8_t *body, size_t size, bint is_command) noexcept nogil:
    if self.options.as_server:
        return server_step(self, body, size)
    return client_step(self, body, size)


# --- our commands ------------------------------------------------------------------------------------------------

cdef int write_command(const char *name, uint8_t *out, size_t room, size_t data_bytes) noexcept nogil:
    # Head and name of a command; bytes written. -ENOBUFS: the whole of it has no room.
    cdef size_t used
    if room < ZMTP_HEAD_BYTES_MAX + strlen(name) + data_bytes:
        return -ENOBUFS
    used = zmtp_head_write(out, ZMTP_COMMAND, strlen(name) + data_bytes)
    memcpy(out + used, name, strlen(name))
    return <int>(used + strlen(name))


cdef size_t write_text(const blob_t *text, uint8_t *out) noexcept nogil:
    out[0] = <uint8_t>text.size
    if text.size:
        memcpy(out + 1, text.at, text.size)
    return 1 + text.size


cdef int write_hello(mechanism_t *self, uint8_t *out, size_t room) noexcept nogil:
    cdef const blob_t *username = &self.options.plain_username
    cdef const blob_t *password = &self.options.plain_password
    cdef int used = write_command(HELLO, out, room, 2 + username.size + password.size)
    if used < 0:
        return used
    used += <int>write_text(username, out + used)
    return used + <int>write_text(password, out + used)


cdef int write_properties(mechanism_t *self, const char *name, uint8_t *out, size_t room) noexcept nogil:
    cdef int used = write_command(name, out, room, self.own_bytes)
    if used < 0:
        return used
    memcpy(out + used, self.own, self.own_bytes)
    return used + <int>self.own_bytes


cdef int plain_next(mechanism_t *self, uint8_t *out, size_t room) noexcept nogil:
    cdef int used = 0
    if self.stage == STAGE_BEGIN and not self.options.as_server:
        used = write_hello(self, out, room)
        if used > 0:
            self.stage = CLIENT_WELCOME_AWAITED
    elif self.stage == CLIENT_INITIATE_DUE:
        used = write_properties(self, INITIATE, out, room)
        if used > 0:
            self.stage = CLIENT_READY_AWAITED
    elif self.stage == SERVER_WELCOME_DUE:
        used = write_command(WELCOME, out, room, 0)
        if used > 0:
            self.stage = SERVER_INITIATE_AWAITED
    elif self.stage == SERVER_READY_DUE:
        used = write_properties(self, READY, out, room)
        if used > 0:
            self.stage = STAGE_OVER
            self.state = MECHANISM_DONE
    return used


cdef void ops_fill() noexcept nogil:
    mechanism_plain.name = "PLAIN"
    mechanism_plain.step = plain_step
    mechanism_plain.next = plain_next


ops_fill()
