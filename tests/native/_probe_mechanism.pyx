"""zmqcore._mechanism for its tests: thin wrappers, no logic."""
from libc.stdint cimport int32_t, uint8_t
from zmqcore._mechanism cimport (
    mechanism_fini, mechanism_init, mechanism_name, mechanism_next, mechanism_property, mechanism_room,
    mechanism_step, mechanism_t, mechanism_type_name, mechanism_types_fit,
)
from zmqcore._options cimport options_fini, options_init, options_set, options_t
from zmqcore._zmtp cimport slice_t

cdef enum:
    CANARY = 0xEE
    CANARY_BYTES = 16


cdef bytes slice_bytes(slice_t run):
    return run.at[:run.size] if run.size else b""


def type_name(int32_t type):
    return mechanism_type_name(type)


def types_fit(int32_t own_type, int32_t peer_type):
    return bool(mechanism_types_fit(own_type, peer_type))


cdef class Mechanism:
    cdef options_t options
    cdef mechanism_t at

    def __cinit__(self, int32_t type, dict options=None):
        options_init(&self.options, type, False, True)
        for option, values in (options or {}).items():
            for value in values:
                assert options_set(&self.options, option, <const char *><bytes>value, len(value)) == 0
        assert mechanism_init(&self.at, &self.options) == 0

    def __dealloc__(self):
        mechanism_fini(&self.at)
        options_fini(&self.options)

    def fini(self):
        mechanism_fini(&self.at)

    def step(self, bytes body not None, bint is_command=True):
        return mechanism_step(&self.at, <const uint8_t *><const char *>body, len(body), is_command)

    def next(self, room=None):
        """The frame, or the error. Nothing behind the room may change."""
        cdef size_t size = mechanism_room(&self.at) if room is None else room
        cdef bytearray out = bytearray([CANARY]) * (size + CANARY_BYTES)
        cdef int rc = mechanism_next(&self.at, <uint8_t *><char *>out, size)
        assert out[size:] == bytes([CANARY]) * CANARY_BYTES
        return rc if rc < 0 else bytes(out[:rc])

    def property(self, bytes name not None):
        cdef slice_t value
        return slice_bytes(value) if mechanism_property(&self.at, name, &value) else None

    @property
    def name(self):
        assert self.at.ops.name == mechanism_name(&self.options)
        return mechanism_name(&self.options)

    @property
    def state(self):
        return self.at.state

    @property
    def failure(self):
        """(mechanism_failure, code)"""
        return self.at.failure, self.at.failure_code

    @property
    def peer_id(self):
        return slice_bytes(self.at.peer_id)

    @property
    def peer_type(self):
        return self.at.peer_type

    @property
    def properties(self):
        return self.at.properties[:self.at.properties_bytes] if self.at.properties_bytes else b""
