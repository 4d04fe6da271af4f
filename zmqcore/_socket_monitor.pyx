# zmqcore/_socket_monitor.pyx -- see the door.
from libc.stdint cimport uint32_t
from zmqcore._limits cimport WAITER_LOOK_US
from zmqcore._message cimport msg_fini, msg_init, msg_t
from zmqcore._monitor cimport (
    EVENT_ALL, monitor_encode, monitor_is_due, monitor_start, monitor_stop, monitor_take, record_free, record_t,
)
from zmqcore._options cimport TYPE_PAIR
from zmqcore._socket cimport (
    SOCKET_DONTWAIT, socket_bind, socket_check, socket_close, socket_enter, socket_leave, socket_new,
    socket_unref,
)
from zmqcore._socket_messages cimport socket_send
from zmqcore._sys cimport (
    EINVAL, EPROTONOSUPPORT, pthread_cond_broadcast, pthread_mutex_lock, pthread_mutex_unlock, zc_cond_wait_until,
    zc_now_us,
)
from zmqcore._transport cimport TRANSPORT_INPROC, address_t, transport_parse


cdef void send_records(record_t *record) noexcept nogil:
    # To their targets, under no other lock than the target's own. What does not fit is dropped.
    cdef record_t *next
    cdef socket_t *target
    cdef msg_t msg
    while record != NULL:
        next = record.next
        target = <socket_t *>record.target
        msg_init(&msg)
        if record.number and monitor_encode(record, &msg) == 0:
            socket_send(target, &msg, SOCKET_DONTWAIT, True, 1)
        msg_fini(&msg)
        if record.is_last:
            socket_close(target, NULL)
            socket_unref(target)
        record_free(record)
        record = next


cdef void socket_tell(socket_t *self) noexcept nogil:
    # K4. Ends with the flood of events that it may meet: they are made slower than they are sent. UNLOCKS.
    cdef record_t *record
    self.host.monitor.is_sending = True
    while self.host.monitor.first != NULL:
        record = monitor_take(&self.host.monitor)
        pthread_mutex_unlock(&self.host.lock)
        send_records(record)
        pthread_mutex_lock(&self.host.lock)
    self.host.monitor.is_sending = False
    if self.waiters:
        pthread_cond_broadcast(&self.cond)


cdef int stop_monitor(socket_t *self) noexcept nogil:
    # When it returns the old target has gone, and its name is free. 0; -ETERM; -ENOTSOCK. UNLOCKS.
    monitor_stop(&self.host.monitor)
    if monitor_is_due(&self.host.monitor):
        socket_tell(self)
    while self.host.monitor.is_sending:
        self.waiters += 1
        zc_cond_wait_until(&self.cond, &self.host.lock, zc_now_us() + WAITER_LOOK_US)
        self.waiters -= 1
    return socket_check(self)


cdef int parse_monitor(const char *text, size_t size) noexcept nogil:
    cdef address_t address
    cdef int rc = transport_parse(text, size, True, False, &address)
    return -EPROTONOSUPPORT if rc == 0 and address.kind != TRANSPORT_INPROC else rc


cdef int start_monitor(socket_t *self, socket_t *target, uint32_t wanted) noexcept nogil:
    cdef int rc = socket_enter(self)
    if rc == 0:
        rc = monitor_start(&self.host.monitor, target, wanted)
    socket_leave(self)
    return rc


cdef int socket_monitor(socket_t *self, const char *text, size_t size, uint64_t wanted) noexcept nogil:
    cdef socket_t *target = NULL
    cdef int rc = socket_enter(self)
    if rc == 0 and wanted > EVENT_ALL:
        rc = -EINVAL
    if rc == 0 and text != NULL:
        rc = parse_monitor(text, size)
    if rc == 0:
        rc = stop_monitor(self)
    socket_leave(self)
    if rc != 0 or text == NULL:
        return rc
    rc = socket_new(self.context, TYPE_PAIR, &target)
    if rc != 0:
        return rc
    rc = socket_bind(target, text, size)
    if rc == 0:
        rc = start_monitor(self, target, <uint32_t>wanted)
    if rc != 0:
        socket_close(target, NULL)
        socket_unref(target)
    return rc
