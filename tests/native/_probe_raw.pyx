"""zmqcore._raw for its tests: the pipes of a raw peer, with bytes for the wire."""
from libc.stdint cimport uint8_t
from libc.string cimport memcpy
from zmqcore._limits cimport RAW_READ_BYTES_MAX as _RAW_READ_BYTES_MAX, RAW_WRITE_BYTES as _RAW_WRITE_BYTES
from zmqcore._message cimport msg_fini, msg_init, msg_push_copy, msg_t
from zmqcore._pipe cimport (
    pipe_append, pipe_check, pipe_fini, pipe_gather, pipe_init, pipe_peek_run, pipe_pop, pipe_sent, pipe_start_in, pipe_t,
    run_t,
)
from zmqcore._raw cimport raw_encode, raw_filled, raw_notify, raw_reserve
from zmqcore._sys cimport ENOMEM as _ENOMEM, iovec

from tests.native._probe_fail cimport fail

ENOMEM = _ENOMEM
READ_BYTES_MAX = _RAW_READ_BYTES_MAX
WRITE_BYTES = _RAW_WRITE_BYTES

cdef enum:
    VEC_MAX = 64


cdef class Raw:
    cdef pipe_t inbound
    cdef pipe_t outbound
    cdef pipe_t raw

    def __cinit__(self):
        pipe_init(&self.inbound, 0)
        pipe_init(&self.outbound, 0)
        pipe_init(&self.raw, 0)
        pipe_start_in(&self.inbound)

    def __dealloc__(self):
        pipe_fini(&self.inbound)
        pipe_fini(&self.outbound)
        pipe_fini(&self.raw)

    @property
    def is_sound(self):
        return pipe_check(&self.inbound) and pipe_check(&self.outbound) and pipe_check(&self.raw)

    @property
    def queued(self):
        return self.inbound.msgs

    @property
    def pending_bytes(self):
        """Taken from the messages, and not written yet."""
        return self.raw.bytes

    def read(self, bytes data not None, long fail_after=-1):
        """One read, in which at most these bytes come; how many did, or -ENOMEM."""
        cdef uint8_t *at = NULL
        cdef size_t room = 0
        cdef size_t size = len(data)
        cdef int rc
        fail(fail_after)
        rc = raw_reserve(&self.inbound, &at, &room)
        fail(-1)
        if rc != 0:
            return rc
        size = size if size < room else room
        memcpy(at, <const char *>data, size)
        raw_filled(&self.inbound, size)
        return size

    def notify(self, long fail_after=-1):
        cdef int rc
        fail(fail_after)
        rc = raw_notify(&self.inbound)
        fail(-1)
        return rc

    def pop(self):
        """The parts of the oldest message; None: there is none."""
        cdef msg_t msg
        msg_init(&msg)
        parts = None
        if pipe_pop(&self.inbound, &msg) == 0:
            parts = [(<const char *>msg.parts[i].at)[:msg.parts[i].size] if msg.parts[i].size else b""
                     for i in range(msg.count)]
        msg_fini(&msg)
        return parts

    def run(self):
        """What a proxy would take as it stands: messages, bytes of their bodies, and the frames."""
        cdef run_t run
        if not pipe_peek_run(&self.inbound, &run):
            return None
        return run.msgs, run.payload_bytes, (<const char *>run.at)[:run.bytes]

    def append(self, list parts not None):
        cdef msg_t msg
        cdef int rc = 0
        msg_init(&msg)
        for part in parts:
            rc = rc or msg_push_copy(&msg, <const uint8_t *><const char *>part, len(part))
        rc = rc or pipe_append(&self.outbound, &msg)
        msg_fini(&msg)
        return rc

    def encode(self, long fail_after=-1):
        cdef int rc
        fail(fail_after)
        rc = raw_encode(&self.outbound, &self.raw)
        fail(-1)
        return rc

    def write(self, size_t most):
        """What one write of at most so many bytes puts on the wire."""
        cdef iovec vec[VEC_MAX]
        cdef size_t total = 0
        cdef int count = pipe_gather(&self.raw, vec, VEC_MAX, &total)
        cdef int i
        data = b"".join((<const char *>vec[i].iov_base)[:vec[i].iov_len] for i in range(count))[:most]
        pipe_sent(&self.raw, len(data))
        return data
