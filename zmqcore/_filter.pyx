# zmqcore/_filter.pyx -- see the door.
from libc.stdint cimport int32_t, uint8_t
from zmqcore._options cimport blob_t, ip_network_t
from zmqcore._sys cimport memcmp, memset
from zmqcore._sys_net cimport (
    net_address_ip, net_address_t, net_peer_address, net_peer_has_group, net_peer_ids,
)
from zmqcore._transport cimport TRANSPORT_IPC, TRANSPORT_TCP

cdef enum:
    IPV6_BYTES = 16


cdef bint network_has(const ip_network_t *self, const uint8_t *ip, size_t ip_bytes) noexcept nogil:
    cdef size_t whole = self.bits // 8
    cdef int rest = self.bits % 8
    if (ip_bytes == IPV6_BYTES) != (self.is_ipv6 != 0) or memcmp(self.at, ip, whole) != 0:
        return False
    return rest == 0 or (self.at[whole] ^ ip[whole]) >> (8 - rest) == 0


cdef bint passes_tcp(const options_t *options, int fd) noexcept nogil:
    cdef const ip_network_t *networks = <const ip_network_t *>options.tcp_accept_filters.at
    cdef net_address_t peer
    cdef uint8_t ip[IPV6_BYTES]
    cdef uint8_t mapped[IPV6_BYTES]
    cdef size_t ip_bytes, i
    if net_peer_address(fd, &peer) < 0:
        return False
    ip_bytes = net_address_ip(&peer, ip)
    if ip_bytes == 0:
        return False
    # A filter may have been written with the mapped form that an IPv4 peer has on a dual stack socket.
    memset(mapped, 0, sizeof(mapped))
    if ip_bytes != IPV6_BYTES:
        mapped[10] = mapped[11] = 0xff
        for i in range(ip_bytes):
            mapped[12 + i] = ip[i]
    for i in range(options.tcp_accept_filters.size // sizeof(ip_network_t)):
        if network_has(&networks[i], ip, ip_bytes):
            return True
        if ip_bytes != IPV6_BYTES and networks[i].bits >= 96 and network_has(&networks[i], mapped, IPV6_BYTES):
            return True
    return False


cdef bint has_id(const blob_t *ids, int32_t id) noexcept nogil:
    cdef const int32_t *at = <const int32_t *>ids.at
    cdef size_t i
    for i in range(ids.size // sizeof(int32_t)):
        if at[i] == id:
            return True
    return False


cdef bint passes_ipc(const options_t *options, int fd) noexcept nogil:
    cdef const int32_t *gids = <const int32_t *>options.ipc_filter_gids.at
    cdef int32_t pid = -1, uid = -1, gid = -1
    cdef size_t i
    if net_peer_ids(fd, &pid, &uid, &gid) < 0:
        return False
    if has_id(&options.ipc_filter_pids, pid) or has_id(&options.ipc_filter_uids, uid) or has_id(&options.ipc_filter_gids, gid):
        return True
    for i in range(options.ipc_filter_gids.size // sizeof(int32_t)):
        if net_peer_has_group(fd, gids[i]):
            return True
    return False


cdef bint filter_passes(const options_t *options, transport_kind kind, int fd) noexcept nogil:
    if kind == TRANSPORT_TCP and options.tcp_accept_filters.size:
        return passes_tcp(options, fd)
    if kind == TRANSPORT_IPC and (options.ipc_filter_pids.size or options.ipc_filter_uids.size or options.ipc_filter_gids.size):
        return passes_ipc(options, fd)
    return True
