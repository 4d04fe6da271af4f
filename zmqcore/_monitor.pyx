# zmqcore/_monitor.pyx -- see the door for contracts.
from libc.stdint cimport uint8_t, uint16_t
from zmqcore._limits cimport MONITOR_RECORDS_MAX
from zmqcore._message cimport msg_push_copy
from zmqcore._sys cimport ENOMEM, free, malloc, memcpy, strlen

cdef enum:
    HEAD_BYTES = 6


# --- records -------------------------------------------------------------------------------------------------------------

cdef record_t *record_new(void *target, uint32_t number, uint32_t value, const char *endpoint) noexcept nogil:
    cdef size_t endpoint_bytes = strlen(endpoint) + 1
    cdef record_t *self = <record_t *>malloc(sizeof(record_t) + endpoint_bytes)
    if self == NULL:
        return NULL
    self.next = NULL
    self.target = target
    self.number = number
    self.value = value
    self.is_last = False
    self.endpoint = <char *>(self + 1)
    memcpy(self.endpoint, endpoint, endpoint_bytes)
    return self


cdef void record_free(record_t *self) noexcept nogil:
    free(self)


cdef int monitor_encode(const record_t *record, msg_t *msg) noexcept nogil:
    # Version 1: number and value in host order, without padding; then the endpoint.
    cdef uint8_t head[HEAD_BYTES]
    cdef uint16_t number = <uint16_t>record.number
    cdef int rc
    memcpy(head, &number, sizeof(number))
    memcpy(head + sizeof(number), &record.value, sizeof(record.value))
    rc = msg_push_copy(msg, head, HEAD_BYTES)
    if rc == 0:
        rc = msg_push_copy(msg, <const uint8_t *>record.endpoint, strlen(record.endpoint))
    return rc


# --- queue ---------------------------------------------------------------------------------------------------------------

cdef void push(monitor_t *self, record_t *record) noexcept nogil:
    if self.first == NULL:
        self.first = record
    else:
        self.last.next = record
    self.last = record


cdef void monitor_queue(monitor_t *self, uint32_t number, uint32_t value, const char *endpoint) noexcept nogil:
    cdef record_t *record
    if self.count >= MONITOR_RECORDS_MAX:
        return
    record = record_new(self.target, number, value, endpoint)
    if record == NULL:
        return
    push(self, record)
    self.count += 1


cdef record_t *monitor_take(monitor_t *self) noexcept nogil:
    cdef record_t *first = self.first
    self.first = self.last = NULL
    self.count = 0
    return first


# --- life ----------------------------------------------------------------------------------------------------------------

cdef int monitor_start(monitor_t *self, void *target, uint32_t wanted) noexcept nogil:
    cdef record_t *stop = record_new(target, wanted & EVENT_MONITOR_STOPPED, 0, "")
    if stop == NULL:
        return -ENOMEM
    stop.is_last = True
    monitor_stop(self)
    self.target = target
    self.wanted = wanted
    self.stop = stop
    return 0


cdef void monitor_stop(monitor_t *self) noexcept nogil:
    if self.target == NULL:
        return
    push(self, self.stop)
    self.stop = NULL
    self.target = NULL
    self.wanted = 0


cdef void monitor_fini(monitor_t *self) noexcept nogil:
    cdef record_t *record = monitor_take(self)
    cdef record_t *next
    while record != NULL:
        next = record.next
        record_free(record)
        record = next
    free(self.stop)
