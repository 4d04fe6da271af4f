# zmqcore/_stats.pyx -- see the door.
from libc.stdint cimport uint32_t, uint64_t
from zmqcore._engine cimport ENGINE_ACTIVE, engine_queued, engine_t, engine_totals
from zmqcore._sys cimport ENOTSOCK, ETERM, memset, pthread_mutex_lock, pthread_mutex_unlock, zc_load

cdef stat_t table[13]


cdef void put(int at, const char *name, const char *unit, const char *text, size_t offset) noexcept nogil:
    table[at].name = name
    table[at].unit = unit
    table[at].text = text
    table[at].offset = offset


cdef void fill() noexcept nogil:
    cdef peer_stats_t at
    cdef size_t base = <size_t>&at
    put(0, b"serial", b"number", b"tells the peers of one socket apart; never used again", <size_t>&at.serial - base)
    put(1, b"connected", b"peers", b"connections over which messages flow now", <size_t>&at.connected - base)
    put(2, b"queued_in_messages", b"messages", b"received and waiting to be read",
        <size_t>&at.queued_in_messages - base)
    put(3, b"queued_in_bytes", b"bytes", b"of them, frame headers included", <size_t>&at.queued_in_bytes - base)
    put(4, b"queued_out_messages", b"messages", b"waiting to be sent", <size_t>&at.queued_out_messages - base)
    put(5, b"queued_out_bytes", b"bytes", b"of them, frame headers included", <size_t>&at.queued_out_bytes - base)
    put(6, b"received_messages", b"messages", b"received since the start", <size_t>&at.received_messages - base)
    put(7, b"received_bytes", b"bytes", b"of them", <size_t>&at.received_bytes - base)
    put(8, b"sent_messages", b"messages", b"queued to be sent since the start", <size_t>&at.sent_messages - base)
    put(9, b"sent_bytes", b"bytes", b"of them, frame headers included", <size_t>&at.sent_bytes - base)
    put(10, b"dropped_messages", b"messages", b"not queued because the pipe was full",
        <size_t>&at.dropped_messages - base)
    put(11, b"times_full", b"times", b"the outgoing pipe reached its high-water mark", <size_t>&at.times_full - base)


fill()


cdef const stat_t *peer_stats_table() noexcept nogil:
    return table


cdef void add(peer_stats_t *sum, const peer_stats_t *one) noexcept nogil:
    cdef uint64_t *to = <uint64_t *>sum
    cdef const uint64_t *of = <const uint64_t *>one
    cdef size_t i
    for i in range(sizeof(peer_stats_t) // sizeof(uint64_t)):
        to[i] += of[i]


cdef void look_at(engine_t *engine, peer_stats_t *out) noexcept nogil:
    memset(out, 0, sizeof(peer_stats_t))
    out.serial = engine.serial
    out.connected = engine.state == ENGINE_ACTIVE and engine.was_active
    engine_queued(engine, &out.queued_in_messages, &out.queued_in_bytes, &out.queued_out_messages, &out.queued_out_bytes)
    engine_totals(engine, &out.received_messages, &out.received_bytes, &out.sent_messages, &out.sent_bytes, &out.times_full)
    out.dropped_messages = engine.dropped_msgs


cdef int socket_stats(socket_t *socket, peer_stats_t *peers, uint32_t room, uint32_t *count, peer_stats_t *sum) noexcept nogil:
    cdef engine_t *engine
    cdef peer_stats_t one
    cdef int rc = 0
    memset(sum, 0, sizeof(peer_stats_t))
    count[0] = 0
    pthread_mutex_lock(&socket.host.lock)
    if socket.is_closed:
        rc = -ENOTSOCK
    elif zc_load(&socket.is_stopped):
        rc = -ETERM
    else:
        sum.received_messages = socket.host.past_received_msgs
        sum.received_bytes = socket.host.past_received_bytes
        sum.sent_messages = socket.host.past_sent_msgs
        sum.sent_bytes = socket.host.past_sent_bytes
        sum.dropped_messages = socket.host.past_dropped_msgs
        sum.times_full = socket.host.past_times_full
        engine = socket.host.engines
        while engine != NULL:
            look_at(engine, &one)
            add(sum, &one)
            if count[0] < room:
                peers[count[0]] = one
            count[0] += 1
            engine = engine.next
        sum.serial = 0
    pthread_mutex_unlock(&socket.host.lock)
    return rc
