# zmqcore/_engine_metadata.pyx -- see the door.
#
# Messages carry nothing that says whose they are, as long as they lie in the in pipe: those of one connection follow those of
# another, so that it is enough to know where each connection's end. They are counted by the pipe (total_msgs), whichever way
# they are read.
from libc.stdint cimport uint64_t
from zmqcore._engine cimport era_t
from zmqcore._engine_zap cimport engine_peer_address
from zmqcore._message cimport store_unref
from zmqcore._metadata cimport metadata_new
from zmqcore._sys cimport ENOMEM, free, malloc, memset
from zmqcore._zmtp cimport ZMTP_VERSION_30, slice_t

cdef enum:
    PEER_ADDRESS_BYTES = 64


cdef void forget(store_t *metadata) noexcept nogil:
    if metadata != NULL:
        store_unref(metadata)


cdef void drop_eras(engine_t *self, uint64_t read_msgs) noexcept nogil:
    # Those with no message behind the first read_msgs.
    cdef era_t *era
    while self.eras != NULL and self.eras.last <= read_msgs:
        era = self.eras
        self.eras = era.next
        forget(era.metadata)
        free(era)


cdef int end_era(engine_t *self) noexcept nogil:
    # What is unread of the last connection keeps its metadata. 0; -ENOMEM.
    cdef uint64_t total = self.inbound.total_msgs
    cdef uint64_t last = total - self.inbound.msgs
    cdef era_t **end = &self.eras
    cdef era_t *era
    drop_eras(self, last)
    while end[0] != NULL:
        last = end[0].last
        end = &end[0].next
    if last == total:
        forget(self.metadata)
    else:
        era = <era_t *>malloc(sizeof(era_t))
        if era == NULL:
            return -ENOMEM
        era.metadata = self.metadata
        era.last = total
        era.next = NULL
        end[0] = era
    self.metadata = NULL
    return 0


cdef int engine_metadata_begin(engine_t *self) noexcept nogil:
    cdef char address[PEER_ADDRESS_BYTES]
    cdef slice_t vouched
    cdef slice_t told
    cdef int rc = end_era(self)
    if rc != 0 or (self.version < ZMTP_VERSION_30 and not self.is_raw):
        return rc
    memset(&vouched, 0, sizeof(slice_t))
    memset(&told, 0, sizeof(slice_t))
    if not self.is_raw:
        vouched.at = self.handshake.mechanism.vouched
        vouched.size = self.handshake.mechanism.vouched_bytes
        told.at = self.handshake.mechanism.properties
        told.size = self.handshake.mechanism.properties_bytes
    engine_peer_address(self, address, sizeof(address))
    self.metadata = metadata_new(address, self.watch.fd, vouched, told)
    return 0 if self.metadata != NULL else -ENOMEM


cdef void engine_metadata_fini(engine_t *self) noexcept nogil:
    drop_eras(self, self.inbound.total_msgs)
    forget(self.metadata)
    self.metadata = NULL


cdef store_t *engine_metadata_past(engine_t *self) noexcept nogil:
    cdef uint64_t number = self.inbound.total_msgs - self.inbound.msgs     # of the message, from 1
    drop_eras(self, number - 1)
    return self.eras.metadata if self.eras != NULL else self.metadata
