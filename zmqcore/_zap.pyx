# zmqcore/_zap.pyx -- see the door.
from libc.stdint cimport uint8_t, uint32_t
from zmqcore._mechanism cimport FAILURE_PROTOCOL, mechanism_fail, mechanism_refused, mechanism_vouched
from zmqcore._message cimport msg_push_copy, part_t
from zmqcore._options cimport blob_t
from zmqcore._protocol_error cimport (
    ERROR_ZAP_BAD_REQUEST_ID, ERROR_ZAP_BAD_VERSION, ERROR_ZAP_INVALID_STATUS_CODE, ERROR_ZAP_MALFORMED_REPLY,
    ERROR_ZAP_UNSPECIFIED,
)
from zmqcore._sys cimport ENOMEM, memcmp, strlen, zc_wipe
from zmqcore._zmtp cimport slice_t

cdef enum:
    # Frames of a request before them, with the delimiter
    REQUEST_CREDENTIALS = 7
    # Frames of a reply, behind the empty delimiter of the envelope
    REPLY_VERSION = 1
    REPLY_ID = 2
    REPLY_STATUS = 3
    REPLY_USER_ID = 5
    REPLY_METADATA = 6
    REPLY_FRAMES = 7
    STATUS_BYTES = 3


cdef const char *zap_name() noexcept nogil:
    return "zeromq.zap.01"


cdef int push_text(msg_t *msg, const char *text) noexcept nogil:
    return msg_push_copy(msg, <const unsigned char *>text, strlen(text))


cdef int push_blob(msg_t *msg, const blob_t *blob) noexcept nogil:
    return msg_push_copy(msg, blob.at, blob.size)


cdef int zap_ask(const mechanism_t *self, const char *peer_address, msg_t *msg) noexcept nogil:
    cdef uint32_t i
    if (push_text(msg, "") != 0 or push_text(msg, "1.0") != 0
            # A handler sees one request of a connection, over a pipe of its own: the number needs to tell nothing apart.
            or push_text(msg, "1") != 0
            or push_blob(msg, &self.options.zap_domain) != 0 or push_text(msg, peer_address) != 0
            or push_blob(msg, &self.options.routing_id) != 0 or push_text(msg, self.ops.name) != 0):
        return -ENOMEM
    for i in range(self.credential_count):
        if msg_push_copy(msg, self.credentials[i].at, self.credentials[i].size) != 0:
            return -ENOMEM
    return 0


cdef void zap_forget(msg_t *msg) noexcept nogil:
    cdef uint32_t i
    for i in range(REQUEST_CREDENTIALS, msg.count):
        zc_wipe(<uint8_t *>msg.parts[i].at, msg.parts[i].size)


cdef bint part_is(const part_t *part, const char *text) noexcept nogil:
    return part.size == strlen(text) and memcmp(part.at, text, part.size) == 0


cdef slice_t part_slice(const part_t *part) noexcept nogil:
    cdef slice_t slice
    slice.at = part.at
    slice.size = part.size
    return slice


cdef uint32_t status_of(const part_t *part) noexcept nogil:
    # 200, 300, 400 or 500; 0: none of them.
    if part.size != STATUS_BYTES or memcmp(part.at + 1, "00", 2) != 0 or not c'2' <= <char>part.at[0] <= c'5':
        return 0
    return <uint32_t>(part.at[0] - c'0') * 100


cdef int zap_answer(mechanism_t *self, const msg_t *msg) noexcept nogil:
    cdef const part_t *parts = msg.parts
    cdef uint32_t error = 0
    cdef uint32_t status
    if msg.count != REPLY_FRAMES:
        error = ERROR_ZAP_MALFORMED_REPLY
    elif parts[0].size != 0:
        error = ERROR_ZAP_UNSPECIFIED
    elif not part_is(&parts[REPLY_VERSION], "1.0"):
        error = ERROR_ZAP_BAD_VERSION
    elif not part_is(&parts[REPLY_ID], "1"):
        error = ERROR_ZAP_BAD_REQUEST_ID
    elif status_of(&parts[REPLY_STATUS]) == 0:
        error = ERROR_ZAP_INVALID_STATUS_CODE
    if error:
        mechanism_fail(self, FAILURE_PROTOCOL, error)
        return 0
    status = status_of(&parts[REPLY_STATUS])
    if status != 200:
        mechanism_refused(self, status)
        return 0
    return mechanism_vouched(self, part_slice(&parts[REPLY_USER_ID]), part_slice(&parts[REPLY_METADATA]))
