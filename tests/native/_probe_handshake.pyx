"""zmqcore._handshake and zmqcore._v1 for their tests: thin wrappers, no logic."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from zmqcore._handshake cimport (
    handshake_fini, handshake_init, handshake_output, handshake_peer_id, handshake_reserve, handshake_rest, handshake_said,
    handshake_step, handshake_t,
)
from zmqcore._message cimport msg_clear, msg_fini, msg_init, msg_push_copy, msg_t
from zmqcore._options cimport options_fini, options_init, options_set, options_t
from zmqcore._pipe cimport pipe_append, pipe_fini, pipe_gather, pipe_init, pipe_pop, pipe_sent, pipe_start_queue, pipe_t
from zmqcore._sys cimport iovec, memcpy
from zmqcore._v1 cimport v1_decode, v1_encode, v1_filled, v1_fini, v1_init, v1_reserve, v1_start, v1_t
from zmqcore._zmtp cimport slice_t


cdef bytes slice_bytes(slice_t run):
    return run.at[:run.size] if run.size else b""


cdef bytes drain(pipe_t *pipe):
    """All bytes that a pipe holds for the wire."""
    cdef iovec vec[64]
    cdef size_t total = 0
    cdef bytes out = b""
    cdef int count, i
    while pipe.bytes:
        count = pipe_gather(pipe, vec, 64, &total)
        for i in range(count):
            out += (<const char *>vec[i].iov_base)[:vec[i].iov_len]
        pipe_sent(pipe, total)
    return out


cdef class Handshake:
    cdef options_t options
    cdef handshake_t at

    def __cinit__(self, int32_t type, dict options=None):
        options_init(&self.options, type, False, True)
        for option, value in (options or {}).items():
            assert options_set(&self.options, option, <const char *><bytes>value, len(value)) == 0
        assert handshake_init(&self.at, &self.options) == 0

    def __dealloc__(self):
        handshake_fini(&self.at)
        handshake_fini(&self.at)
        options_fini(&self.options)

    def step(self, bytes data not None):
        """(verdict, bytes to send)"""
        cdef uint8_t *at = NULL
        cdef size_t room = 0
        cdef size_t off = 0
        cdef size_t part = 0
        cdef int verdict
        cdef bytes out
        while True:
            assert handshake_reserve(&self.at, &at, &room) == 0
            part = min(room, len(data) - off)
            if part:
                memcpy(at, <const char *>data + off, part)
            off += part
            verdict = handshake_step(&self.at, part)
            if verdict != 0 or off == <size_t>len(data):
                # What the room did not take stays in the kernel in real life.
                out = slice_bytes(handshake_output(&self.at))
                handshake_said(&self.at)
                return verdict, out, data[off:]

    @property
    def rest(self):
        return slice_bytes(handshake_rest(&self.at))

    @property
    def peer_id(self):
        return slice_bytes(handshake_peer_id(&self.at))

    @property
    def version(self):
        return self.at.version

    @property
    def failure(self):
        """(mechanism_failure, code)"""
        return self.at.failure, self.at.failure_code


cdef class V1:
    cdef v1_t at
    cdef pipe_t inbound

    def __cinit__(self, bytes rest=b"", int hwm_msgs=0):
        v1_init(&self.at)
        pipe_init(&self.inbound, hwm_msgs)
        pipe_start_queue(&self.inbound)
        assert v1_start(&self.at, slice_t(<const uint8_t *><const char *>rest, len(rest))) == 0

    def __dealloc__(self):
        v1_fini(&self.at)
        pipe_fini(&self.inbound)

    def decode(self, bytes data=b"", int64_t maxmsgsize=-1):
        """What v1_decode says, once data has been fed to it as its rooms allow."""
        cdef uint8_t *at = NULL
        cdef size_t room = 0
        cdef size_t off = 0
        cdef size_t part
        cdef int rc
        while True:
            assert v1_reserve(&self.at, &at, &room) == 0
            part = min(room, len(data) - off)
            if part:
                memcpy(at, <const char *>data + off, part)
            off += part
            v1_filled(&self.at, part)
            rc = v1_decode(&self.at, &self.inbound, maxmsgsize)
            if rc < 0 or off == <size_t>len(data):
                return rc

    def pop(self):
        """The next message as a list of parts, or None."""
        cdef msg_t msg
        msg_init(&msg)
        try:
            if pipe_pop(&self.inbound, &msg) != 0:
                return None
            return [msg.parts[i].at[:msg.parts[i].size] if msg.parts[i].size else b"" for i in range(msg.count)]
        finally:
            msg_fini(&msg)


def encode_v1(list messages):
    """The messages as v1_encode puts them on the wire."""
    cdef pipe_t outbound
    cdef pipe_t raw
    cdef msg_t msg
    cdef bytes out = b""
    pipe_init(&outbound, 0)
    pipe_init(&raw, 0)
    msg_init(&msg)
    for parts in messages:
        for part in parts:
            assert msg_push_copy(&msg, <const uint8_t *><const char *><bytes>part, len(part)) == 0
        assert pipe_append(&outbound, &msg) == 0
        msg_clear(&msg)
    while outbound.bytes:
        assert v1_encode(&outbound, &raw) == 0
        out += drain(&raw)
    msg_fini(&msg)
    pipe_fini(&outbound)
    pipe_fini(&raw)
    return out
