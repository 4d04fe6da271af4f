# zmqcore/_engine_metadata.pxd -- which connection a message came over, and what is known of that peer (floor 5).
# Lock:   host_t.lock for every function.
from zmqcore._engine cimport engine_t
from zmqcore._message cimport msg_label, msg_t, store_t

# A connection is there: what comes from now on is of that peer. 0; -ENOMEM.
cdef int engine_metadata_begin(engine_t *self) noexcept nogil
cdef void engine_metadata_fini(engine_t *self) noexcept nogil
# With eras: the metadata of the message that was read last; borrowed; NULL none.
cdef store_t *engine_metadata_past(engine_t *self) noexcept nogil

# msg was just read from the in pipe: it gets its metadata.
cdef inline void engine_label(engine_t *self, msg_t *msg) noexcept nogil:
    msg_label(msg, self.metadata if self.eras == NULL else engine_metadata_past(self))
