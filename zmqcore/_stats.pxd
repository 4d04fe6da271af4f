# zmqcore/_stats.pxd -- what an operator needs to know: each number with its name, unit and sentence (floor 7).
# Lock: the socket lock is taken inside, for the time of a walk over the peers. Thread: any, also while a proxy runs.
# Source: libzmq has nothing like it; asked for in its issues 1698, 3370, 4322.
from libc.stdint cimport uint32_t, uint64_t
from zmqcore._socket cimport socket_t

# Of one peer, or summed up over all peers of a socket, those that are gone included in the totals.
cdef struct peer_stats_t:
    uint64_t serial             # of the peer; never used again in its socket; 0 in a sum
    uint64_t connected          # 1 while messages flow; in a sum: how many
    uint64_t queued_in_messages
    uint64_t queued_in_bytes
    uint64_t queued_out_messages
    uint64_t queued_out_bytes
    uint64_t received_messages
    uint64_t received_bytes
    uint64_t sent_messages
    uint64_t sent_bytes
    uint64_t dropped_messages
    uint64_t times_full

# A number of a struct: where it lies, and what it means. Tables end with a NULL name.
cdef struct stat_t:
    const char *name
    const char *unit
    const char *text
    size_t offset

# Of peer_stats_t.
cdef const stat_t *peer_stats_table() noexcept nogil

# Up to room peers, and their number in *count; sum gets the whole socket. 0; -ENOTSOCK; -ETERM.
cdef int socket_stats(socket_t *socket, peer_stats_t *peers, uint32_t room, uint32_t *count, peer_stats_t *sum) noexcept nogil
