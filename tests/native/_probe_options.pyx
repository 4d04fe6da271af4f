"""zmqcore._options for its tests: thin wrappers, no logic."""
from libc.stdint cimport int32_t, uint8_t
from zmqcore._options cimport (
    blob_set, blob_t, ip_network_t, options_fini, options_get, options_init, options_kind, options_set, options_t,
)

cdef enum:
    CANARY = 0xEE
    CANARY_BYTES = 16


cdef bytes blob_bytes(const blob_t *blob):
    assert (blob.at == NULL) == (blob.size == 0)
    return blob.at[:blob.size] if blob.size else b""


def kind(int32_t option):
    return options_kind(option)


cdef class Options:
    cdef options_t at

    def __cinit__(self, int32_t type, bint ipv6=False, bint blocky=True):
        options_init(&self.at, type, ipv6, blocky)

    def __dealloc__(self):
        options_fini(&self.at)

    def set(self, int32_t option, bytes value):
        """None is NULL with size 0."""
        if value is None:
            return options_set(&self.at, option, NULL, 0)
        return options_set(&self.at, option, <const char *>value, len(value))

    def set_null(self, int32_t option, size_t size):
        return options_set(&self.at, option, NULL, size)

    def get(self, int32_t option, size_t size):
        """The bytes read, or the error. Nothing behind the buffer may change."""
        cdef bytearray room = bytearray([CANARY]) * (size + CANARY_BYTES)
        cdef size_t used = size
        cdef int rc = options_get(&self.at, option, <char *>room, &used)
        assert used <= size and room[size:] == bytes([CANARY]) * CANARY_BYTES
        assert rc == 0 or used == size
        return bytes(room[:used]) if rc == 0 else rc

    def get_null(self, int32_t option, size_t size):
        return options_get(&self.at, option, NULL, &size)

    def memory(self):
        """All of it, for a look at what is left."""
        return (<const unsigned char *>&self.at)[:sizeof(options_t)]

    def fini(self):
        options_fini(&self.at)

    def routing_id_set(self, bytes value):
        return blob_set(&self.at.routing_id, <const char *>value, len(value))

    def networks(self):
        """TCP_ACCEPT_FILTER as (is_ipv6, bits, address)."""
        cdef const ip_network_t *each = <const ip_network_t *>self.at.tcp_accept_filters.at
        cdef size_t count = self.at.tcp_accept_filters.size // sizeof(ip_network_t)
        return [(bool(each[i].is_ipv6), each[i].bits, (<const uint8_t *>each[i].at)[:16]) for i in range(count)]

    @property
    def ids(self):
        """IPC_FILTER_PID, _UID, _GID."""
        return (
            blob_bytes(&self.at.ipc_filter_pids),
            blob_bytes(&self.at.ipc_filter_uids),
            blob_bytes(&self.at.ipc_filter_gids),
        )

    @property
    def metadata(self):
        return blob_bytes(&self.at.metadata)

    @property
    def linger_ms(self):
        return self.at.linger_ms

    @property
    def fields(self):
        """What cannot be read through options_get."""
        return {
            "router_mandatory": self.at.router_mandatory,
            "router_handover": self.at.router_handover,
            "router_raw": self.at.router_raw,
            "probe_router": self.at.probe_router,
            "connect_routing_id": blob_bytes(&self.at.connect_routing_id),
            "req_correlate": self.at.req_correlate,
            "req_relaxed": self.at.req_relaxed,
            "xpub_verbose": self.at.xpub_verbose,
            "xpub_verboser": self.at.xpub_verboser,
            "xpub_nodrop": self.at.xpub_nodrop,
            "xpub_manual": self.at.xpub_manual,
            "xpub_manual_last_value": self.at.xpub_manual_last_value,
            "xpub_welcome": blob_bytes(&self.at.xpub_welcome),
            "only_first_subscribe": self.at.only_first_subscribe,
            "stream_notify": self.at.stream_notify,
        }
