# tests/native/_probe_zmtp.pyx -- the codec as Python functions, one a contract.
#
# Every input is an allocation of exactly its size and every output one of exactly the promised room, so that a
# sanitizer or valgrind sees the first byte read or written outside.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from zmqcore cimport _zmtp as z
from zmqcore._sys cimport EPROTO as _EPROTO

EPROTO = _EPROTO
MORE = z.ZMTP_MORE
COMMAND = z.ZMTP_COMMAND
GREETING_MORE = <int>z.GREETING_MORE
GREETING_DONE = <int>z.GREETING_DONE
GREETING_MISMATCH = <int>z.GREETING_MISMATCH
COMMAND_MALFORMED = <int>z.COMMAND_MALFORMED
COMMAND_OTHER = <int>z.COMMAND_OTHER
COMMAND_READY = <int>z.COMMAND_READY
COMMAND_ERROR = <int>z.COMMAND_ERROR
COMMAND_PING = <int>z.COMMAND_PING
COMMAND_PONG = <int>z.COMMAND_PONG
COMMAND_SUBSCRIBE = <int>z.COMMAND_SUBSCRIBE
COMMAND_CANCEL = <int>z.COMMAND_CANCEL


cdef class Buffer:
    """Memory of exactly size bytes."""

    cdef uint8_t *at
    cdef readonly size_t size

    def __cinit__(self, size_t size):
        self.size = size
        self.at = <uint8_t *>malloc(size)
        if self.at == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.at)

    cdef bytes head(self, size_t size):
        assert size <= self.size, (size, self.size)
        return self.at[:size]


cdef Buffer copy_of(bytes data):
    cdef Buffer made = Buffer(len(data))
    memcpy(made.at, <const char *>data, made.size)
    return made


cdef z.slice_t slice_of(Buffer data):
    cdef z.slice_t made
    made.at = data.at
    made.size = data.size
    return made


# A slice that a reader gave, as bytes; it must lie inside data.
cdef bytes inside(Buffer data, z.slice_t part):
    assert data.at <= part.at and part.at + part.size <= data.at + data.size
    return part.at[:part.size]


def head_read(bytes data):
    cdef Buffer copy = copy_of(data)
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    cdef size_t used = z.zmtp_head_read(copy.at, copy.size, &flags, &size)
    return used, flags, size


def head_write(uint8_t flags, uint64_t size):
    cdef Buffer room = Buffer(z.ZMTP_HEAD_BYTES_MAX)
    return room.head(z.zmtp_head_write(room.at, flags, size))


def v1_head_read(bytes data):
    cdef Buffer copy = copy_of(data)
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    cdef int used = z.zmtp_v1_head_read(copy.at, copy.size, &flags, &size)
    return used, flags, size


def v1_head_write(uint8_t flags, uint64_t size):
    cdef Buffer room = Buffer(z.ZMTP_V1_HEAD_BYTES_MAX)
    return room.head(z.zmtp_v1_head_write(room.at, flags, size))


cdef class Greeting:
    cdef z.zmtp_greeting_t self

    def __init__(self, bytes mechanism, uint8_t own_type, uint8_t own_id_bytes):
        z.zmtp_greeting_init(&self.self, mechanism, own_type, own_id_bytes)

    def step(self, bytes data):
        """(verdict, bytes used, bytes to send)"""
        cdef Buffer copy = copy_of(data)
        cdef Buffer room = Buffer(z.ZMTP_GREETING_BYTES)
        cdef size_t used = 0
        cdef size_t out_bytes = 0
        cdef int verdict = z.zmtp_greeting_step(&self.self, copy.at, copy.size, &used, room.at, &out_bytes)
        return verdict, used, room.head(out_bytes)

    @property
    def seen(self):
        return self.self.seen[:self.self.seen_bytes]

    @property
    def version(self):
        return self.self.version

    @property
    def peer_type(self):
        return self.self.peer_type


def command_read(bytes body):
    """(command, data)"""
    cdef Buffer copy = copy_of(body)
    cdef z.slice_t data
    cdef int command = z.zmtp_command_read(copy.at, copy.size, &data)
    return command, inside(copy, data)


def properties_read(bytes data):
    """(0 or a negative errno, the properties before that, the offset reached)"""
    cdef Buffer copy = copy_of(data)
    cdef z.slice_t name, value
    cdef size_t off = 0
    cdef int rc = 1
    found = []
    while True:
        rc = z.zmtp_property_next(slice_of(copy), &off, &name, &value)
        if rc != 1:
            return rc, found, off
        found.append((inside(copy, name), inside(copy, value)))


def property_write(bytes name, bytes value):
    cdef Buffer copy = copy_of(value)
    cdef Buffer room = Buffer(1 + len(name) + 4 + len(value))
    return room.head(z.zmtp_property_write(room.at, name, copy.at, <uint32_t>copy.size))


def ping_read(bytes data):
    """(0 or a negative errno, TTL in tenths of a second, context)"""
    cdef Buffer copy = copy_of(data)
    cdef uint16_t ttl_tenths = 0
    cdef z.slice_t context
    cdef int rc = z.zmtp_ping_read(slice_of(copy), &ttl_tenths, &context)
    return rc, ttl_tenths, inside(copy, context) if rc == 0 else b""


def error_read(bytes data):
    """(0 or a negative errno, reason)"""
    cdef Buffer copy = copy_of(data)
    cdef z.slice_t reason
    cdef int rc = z.zmtp_error_read(slice_of(copy), &reason)
    return rc, inside(copy, reason) if rc == 0 else b""


def ping_write(uint16_t ttl_tenths):
    cdef Buffer room = Buffer(32)
    return room.head(z.zmtp_ping_write(room.at, ttl_tenths))


def pong_write(bytes context):
    cdef Buffer copy = copy_of(context)
    cdef Buffer room = Buffer(32)
    return room.head(z.zmtp_pong_write(room.at, slice_of(copy)))


def subscription_head_write(int version, bint is_subscribe, uint64_t topic_bytes):
    cdef Buffer room = Buffer(19)
    return room.head(z.zmtp_subscription_head_write(room.at, version, is_subscribe, topic_bytes))
