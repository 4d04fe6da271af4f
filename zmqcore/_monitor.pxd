# zmqcore/_monitor.pxd -- what happens to a socket's connections, queued for its monitor (floor 4; sees no socket).
# Whoever meets an event raises it under the socket lock, which only queues a record. The socket takes the records and
# sends them when it has let go of its lock, so that a monitor that nobody reads costs its own events and nothing else.
# Lock:   the watched socket's, for every function but monitor_encode and record_free (the caller's own record).
# Memory: owns its records until monitor_take. A target is the taker's to close, after the record that is_last.
# Source: zmq_socket_monitor(3).
# Invariants
#   V1  records are in the order in which things happened; those of a target end with one that is_last
#   V2  wanted is 0 while there is no target
#   V3  count <= MONITOR_RECORDS_MAX, not counting those that are last, which are never lost
#   V4  is_sending is set by one thread at a time: records get to their target in order
from libc.stdint cimport uint32_t
from zmqcore._message cimport msg_t

cdef enum:
    EVENT_CONNECTED = 0x0001            # value: fd
    EVENT_CONNECT_DELAYED = 0x0002      # errno
    EVENT_CONNECT_RETRIED = 0x0004      # ms until the next attempt
    EVENT_LISTENING = 0x0008            # fd
    EVENT_BIND_FAILED = 0x0010          # errno
    EVENT_ACCEPTED = 0x0020             # fd
    EVENT_ACCEPT_FAILED = 0x0040        # errno
    EVENT_CLOSED = 0x0080               # fd; -1 when it did not live long enough for us to know it
    EVENT_CLOSE_FAILED = 0x0100         # errno
    EVENT_DISCONNECTED = 0x0200         # fd
    EVENT_MONITOR_STOPPED = 0x0400      # 0
    EVENT_HANDSHAKE_FAILED_NO_DETAIL = 0x0800   # errno
    EVENT_HANDSHAKE_SUCCEEDED = 0x1000  # 0
    EVENT_HANDSHAKE_FAILED_PROTOCOL = 0x2000    # ZMQ_PROTOCOL_ERROR_*
    EVENT_HANDSHAKE_FAILED_AUTH = 0x4000        # 300, 400, 500
    EVENT_ALL = 0xffff

cdef struct record_t:
    record_t *next
    void *target
    uint32_t number             # EVENT_*; 0: nothing to send
    uint32_t value
    char *endpoint              # lies behind the record
    bint is_last                # EVENT_MONITOR_STOPPED, whether that was wanted or not

cdef struct monitor_t:          # all zero: nobody listens
    void *target                # the socket that the events go to; NULL none
    uint32_t wanted             # V2
    record_t *first
    record_t *last
    record_t *stop              # the last record of target, made beforehand: stopping cannot fail
    uint32_t count              # V3
    bint is_sending             # V4

# Nobody listens any more and the records are gone (is_sending is not set).
cdef void monitor_fini(monitor_t *self) noexcept nogil
# From now on events of wanted go to target; an earlier target is stopped. 0; -ENOMEM (nothing has changed).
cdef int monitor_start(monitor_t *self, void *target, uint32_t wanted) noexcept nogil
# Queues the last record of the target. Idempotent.
cdef void monitor_stop(monitor_t *self) noexcept nogil
cdef void monitor_queue(monitor_t *self, uint32_t number, uint32_t value, const char *endpoint) noexcept nogil
# All records, oldest first.
cdef record_t *monitor_take(monitor_t *self) noexcept nogil

# Whether records wait and nobody sends yet.
cdef inline bint monitor_is_due(const monitor_t *self) noexcept nogil:
    return self.first != NULL and not self.is_sending

# Nothing is left to be sent, now or by monitor_stop.
cdef inline bint monitor_is_over(const monitor_t *self) noexcept nogil:
    return self.target == NULL and self.first == NULL and not self.is_sending

cdef inline void monitor_raise(monitor_t *self, uint32_t number, uint32_t value, const char *endpoint) noexcept nogil:
    if self.wanted & number:
        monitor_queue(self, number, value, endpoint)

# The record as the two parts of a monitor's message. 0; -ENOMEM.
cdef int monitor_encode(const record_t *record, msg_t *msg) noexcept nogil
cdef void record_free(record_t *self) noexcept nogil
