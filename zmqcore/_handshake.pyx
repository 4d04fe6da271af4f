# zmqcore/_handshake.pyx -- see the door for contracts.
#
#   GREETING --step_greeting--+-- 3.x ---------> MECHANISM --step_mechanism--> DONE
#                             +-- 2.0 and 1.0 -> IDENTITY ---step_identity---> DONE
#   any of the three ---fail---> FAILED
#   In MECHANISM the handshake may have to wait for ZAP: the input then only gathers, up to its bound.
#
# A step function takes at most one frame from the input and says how many bytes that was. 0 and the same stage: it needs
# more. A stage may also change without any byte (the greeting of an unversioned peer is its first frame).
from libc.stdint cimport uint64_t
from zmqcore._limits cimport HANDSHAKE_BYTES_FIRST, HANDSHAKE_BYTES_MAX
from zmqcore._mechanism cimport (
    FAILURE_NONE, FAILURE_PROTOCOL, FAILURE_SILENT, MECHANISM_ASKING, MECHANISM_DONE, MECHANISM_FAILED, mechanism_fini,
    mechanism_init, mechanism_name, mechanism_next, mechanism_room, mechanism_settle, mechanism_step,
)
from zmqcore._options cimport SECURITY_NULL
from zmqcore._protocol_error cimport ERROR_MECHANISM_MISMATCH
from zmqcore._sys cimport EMSGSIZE, ENOMEM, EPROTO, calloc, free, malloc, memcpy, memmove, memset, zc_wipe
from zmqcore._zmtp cimport (
    GREETING_DONE, GREETING_MISMATCH, ZMTP_COMMAND, ZMTP_GREETING_BYTES, ZMTP_V1_HEAD_BYTES_MAX,
    ZMTP_VERSION_1, ZMTP_VERSION_2, ZMTP_VERSION_30, zmtp_greeting_init, zmtp_greeting_step, zmtp_head_read,
    zmtp_head_write, zmtp_v1_head_read, zmtp_v1_head_write,
)

cdef enum:
    # Of one frame, so that a whole one fits below HANDSHAKE_BYTES_MAX.
    BODY_BYTES_MAX = HANDSHAKE_BYTES_MAX - 16


# --- life ----------------------------------------------------------------------------------------------------------------

cdef int grow(handshake_t *self, size_t room) noexcept nogil:
    cdef uint8_t *grown
    if self.input_room >= room:
        return 0
    # realloc would leave a copy behind.
    grown = <uint8_t *>malloc(room)
    if grown == NULL:
        return -ENOMEM
    if self.input_bytes:
        memcpy(grown, self.input, self.input_bytes)
        zc_wipe(self.input, self.input_bytes)
    free(self.input)
    self.input = grown
    self.input_room = room
    return 0


cdef int handshake_init(handshake_t *self, const options_t *options) noexcept nogil:
    cdef int rc
    memset(self, 0, sizeof(handshake_t))
    self.options = options
    self.maxmsgsize = options.maxmsgsize
    self.greeting = <zmtp_greeting_t *>calloc(1, sizeof(zmtp_greeting_t))
    if self.greeting == NULL or grow(self, HANDSHAKE_BYTES_FIRST) != 0:
        return -ENOMEM
    rc = mechanism_init(&self.mechanism, options)
    if rc != 0:
        return rc
    zmtp_greeting_init(self.greeting, mechanism_name(options), <uint8_t>options.type, <uint8_t>options.routing_id.size)
    return 0


cdef void handshake_fini(handshake_t *self) noexcept nogil:
    forget_greeting(self)
    mechanism_fini(&self.mechanism)
    handshake_drop_rest(self)
    handshake_said(self)
    self.options = NULL


cdef void forget_greeting(handshake_t *self) noexcept nogil:
    free(self.greeting)
    self.greeting = NULL


# --- input ---------------------------------------------------------------------------------------------------------------

cdef int handshake_reserve(handshake_t *self, uint8_t **at, size_t *room) noexcept nogil:
    if self.input_room - self.input_bytes < HANDSHAKE_BYTES_FIRST // 2 and grow(self, 2 * self.input_room) != 0:
        return -ENOMEM
    at[0] = self.input + self.input_bytes
    room[0] = self.input_room - self.input_bytes
    return 0


cdef handshake_verdict fail(handshake_t *self) noexcept nogil:
    # Why: the mechanism knows, or step_greeting has said it; all else is for nobody to hear.
    self.stage = STAGE_FAILED
    if self.mechanism.failure != FAILURE_NONE:
        self.failure = self.mechanism.failure
        self.failure_code = self.mechanism.failure_code
    elif self.failure == FAILURE_NONE:
        self.failure = FAILURE_SILENT
    return HANDSHAKE_FAILED


cdef handshake_verdict verdict(const handshake_t *self) noexcept nogil:
    if self.stage == STAGE_DONE:
        return HANDSHAKE_DONE
    if self.stage == STAGE_FAILED:
        return HANDSHAKE_FAILED
    if self.stage == STAGE_MECHANISM and self.mechanism.state == MECHANISM_ASKING:
        return HANDSHAKE_ASKS
    return HANDSHAKE_MORE


cdef handshake_verdict handshake_answered(handshake_t *self) noexcept nogil:
    if say(self) != 0 or self.mechanism.state == MECHANISM_FAILED:
        return fail(self)
    if self.mechanism.state == MECHANISM_DONE:
        self.stage = STAGE_DONE
    return handshake_step(self, 0)


cdef handshake_verdict handshake_step(handshake_t *self, size_t filled_bytes) noexcept nogil:
    cdef handshake_stage before
    cdef size_t off = 0
    cdef int used
    self.input_bytes += filled_bytes
    while self.stage < STAGE_DONE:
        before = self.stage
        if before == STAGE_GREETING:
            used = step_greeting(self, off)
        elif before == STAGE_IDENTITY:
            used = step_identity(self, off)
        else:
            used = step_mechanism(self, off)
        if used < 0:
            return fail(self)
        off += used
        if used == 0 and self.stage == before:
            break
    self.input_bytes -= off
    if off:
        memmove(self.input, self.input + off, self.input_bytes)
    if self.stage < STAGE_DONE and self.input_bytes > HANDSHAKE_BYTES_MAX:      # H2
        return fail(self)
    return verdict(self)


cdef slice_t handshake_rest(const handshake_t *self) noexcept nogil:
    cdef slice_t rest
    rest.at = self.input
    rest.size = self.input_bytes
    return rest


cdef void handshake_drop_rest(handshake_t *self) noexcept nogil:
    mechanism_settle(&self.mechanism)
    if self.input != NULL:
        zc_wipe(self.input, self.input_room)
    free(self.input)
    self.input = NULL
    self.input_bytes = self.input_room = 0


# --- output --------------------------------------------------------------------------------------------------------------

cdef int put(handshake_t *self, const uint8_t *at, size_t size) noexcept nogil:
    # Behind what is there. 0; -ENOMEM.
    cdef size_t before = self.output_bytes
    cdef uint8_t *wider
    if size == 0:
        return 0
    wider = <uint8_t *>malloc(before + size)
    if wider == NULL:
        return -ENOMEM
    if before:
        memcpy(wider, self.output, before)
        handshake_said(self)
    memcpy(wider + before, at, size)
    self.output = wider
    self.output_bytes = before + size
    return 0


cdef void handshake_said(handshake_t *self) noexcept nogil:
    if self.output != NULL:
        zc_wipe(self.output, self.output_bytes)
    free(self.output)
    self.output = NULL
    self.output_bytes = 0


# --- greeting ------------------------------------------------------------------------------------------------------------

cdef int step_greeting(handshake_t *self, size_t off) noexcept nogil:
    # Bytes used; -EPROTO; -ENOMEM.
    cdef zmtp_greeting_t *greeting = self.greeting
    cdef uint8_t out[ZMTP_GREETING_BYTES]
    cdef size_t out_bytes = 0
    cdef size_t used = 0
    cdef int verdict = zmtp_greeting_step(greeting, self.input + off, self.input_bytes - off, &used, out, &out_bytes)
    cdef int rc
    if verdict == GREETING_MISMATCH:
        self.failure = FAILURE_PROTOCOL
        self.failure_code = ERROR_MECHANISM_MISMATCH
        return -EPROTO
    rc = put(self, out, out_bytes)
    if rc != 0 or verdict != GREETING_DONE:
        return rc if rc != 0 else <int>used
    self.version = greeting.version
    if self.version >= ZMTP_VERSION_30:
        self.stage = STAGE_MECHANISM
        rc = say(self)
    else:
        self.stage = STAGE_IDENTITY
        rc = begin_identity(self, off + used)
    forget_greeting(self)
    return rc if rc != 0 else <int>used


cdef int begin_identity(handshake_t *self, size_t off) noexcept nogil:
    cdef const zmtp_greeting_t *greeting = self.greeting
    cdef const options_t *options = self.options
    cdef int rc = -EPROTO       # H3
    if options.security == SECURITY_NULL and options.zap_domain.size == 0:
        rc = send_identity(self)
    if rc != 0 or self.version != ZMTP_VERSION_1 or greeting.stage >= 2:
        return rc
    # What looked like a greeting so far is the peer's first frame: back into the input with it.
    if off:
        return -EPROTO
    rc = grow(self, self.input_bytes + greeting.seen_bytes + HANDSHAKE_BYTES_FIRST)
    if rc == 0:
        memmove(self.input + greeting.seen_bytes, self.input, self.input_bytes)
        memcpy(self.input, greeting.seen, greeting.seen_bytes)
        self.input_bytes += greeting.seen_bytes
    return rc


# --- identity ------------------------------------------------------------------------------------------------------------

cdef int send_identity(handshake_t *self) noexcept nogil:
    # 2.0: a frame. 1.0: a frame, whose header an unversioned peer has already seen in our signature.
    cdef const options_t *options = self.options
    cdef uint8_t head[ZMTP_V1_HEAD_BYTES_MAX]
    cdef size_t head_bytes = 0
    if self.version == ZMTP_VERSION_2:
        head_bytes = zmtp_head_write(head, 0, options.routing_id.size)
    elif self.greeting.stage >= 2:
        head_bytes = zmtp_v1_head_write(head, 0, options.routing_id.size)
    if put(self, head, head_bytes) != 0:
        return -ENOMEM
    return put(self, options.routing_id.at, options.routing_id.size)


cdef int step_identity(handshake_t *self, size_t off) noexcept nogil:
    # Bytes used; -EPROTO; -ENOMEM.
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    cdef int used
    if self.version == ZMTP_VERSION_1:
        used = zmtp_v1_head_read(self.input + off, self.input_bytes - off, &flags, &size)
    else:
        used = <int>zmtp_head_read(self.input + off, self.input_bytes - off, &flags, &size)
    if used <= 0:
        return used
    if size > BODY_BYTES_MAX:
        return -EPROTO
    if self.input_bytes - off - used < size:
        return 0
    # Kept where a 3.x peer's id is kept: with the mechanism, which has nothing else to do here.
    self.mechanism.properties = <uint8_t *>malloc(size + 1)
    if self.mechanism.properties == NULL:
        return -ENOMEM
    memcpy(self.mechanism.properties, self.input + off + used, size)
    self.mechanism.properties_bytes = 0
    self.mechanism.peer_id.at = self.mechanism.properties
    self.mechanism.peer_id.size = size
    self.stage = STAGE_DONE
    return used + <int>size


# --- mechanism -----------------------------------------------------------------------------------------------------------

cdef int say(handshake_t *self) noexcept nogil:
    # Hands the mechanism's next commands to the output. 0; -ENOMEM.
    cdef size_t room = mechanism_room(&self.mechanism)
    cdef uint8_t *out = <uint8_t *>malloc(room)
    cdef int size
    cdef int rc = -ENOMEM if out == NULL else 0
    while rc == 0:
        size = mechanism_next(&self.mechanism, out, room)
        if size <= 0:
            rc = size
            break
        rc = put(self, out, size)
    if out != NULL:
        zc_wipe(out, room)
    free(out)
    return rc


cdef int step_mechanism(handshake_t *self, size_t off) noexcept nogil:
    # Bytes used; -EPROTO; -EMSGSIZE; -ENOMEM.
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    cdef size_t used = zmtp_head_read(self.input + off, self.input_bytes - off, &flags, &size)
    cdef int rc
    if used == 0 or self.mechanism.state == MECHANISM_ASKING:
        return 0
    if size > BODY_BYTES_MAX or (self.maxmsgsize >= 0 and size > <uint64_t>self.maxmsgsize):
        return -EMSGSIZE
    if self.input_bytes - off - used < size:
        return 0
    rc = mechanism_step(&self.mechanism, self.input + off + used, size, flags & ZMTP_COMMAND)
    if rc == 0:
        rc = say(self)
    if rc != 0:
        return rc
    if self.mechanism.state == MECHANISM_DONE:
        self.stage = STAGE_DONE
    return <int>(used + size)
