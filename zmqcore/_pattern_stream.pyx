# zmqcore/_pattern_stream.pyx -- see the door.
#
# An id is given as soon as the pipe exists, so that a connector's can be read (ZMQ_ROUTING_ID) and sent to at once; it stays
# the same over reconnects. The messages that tell of a connection and of its end come from the engine.
from libc.stdint cimport int32_t
from zmqcore._engine cimport engine_push, engine_t, engine_writable
from zmqcore._link cimport LINK_CONNECTOR
from zmqcore._message cimport msg_shift, msg_t, part_t
from zmqcore._options cimport TYPE_STREAM, blob_clear, blob_set, blob_t
from zmqcore._pattern cimport (
    fair_is_readable, ops_always, ops_engine_nothing, ops_input_fair, ops_set_nothing, pattern_t,
)
from zmqcore._pattern_router cimport (
    router_admit, router_close_peer, router_detach, router_find, router_fini, router_identify, router_identify_auto,
    router_init, router_recv,
)
from zmqcore._sys cimport EAGAIN, EHOSTUNREACH, EINVAL

cdef pattern_ops_t ops


cdef void stream_attach(pattern_t *self, engine_t *engine) noexcept nogil:
    # ZMQ_ROUTING_ID reads the id that was given last, and not one that the user has chosen (so does libzmq).
    cdef blob_t *chosen = &self.options.connect_routing_id
    if engine.is_identified:
        return
    if chosen.size and (engine.address != NULL or (engine.link != NULL and engine.side == LINK_CONNECTOR)):
        router_identify(self, engine, chosen.at, chosen.size)
        blob_clear(chosen)
    elif router_identify_auto(self, engine):
        blob_set(&self.options.routing_id, engine.routing_id.data, engine.routing_id.size)


cdef int stream_check(pattern_t *self, const part_t *first) noexcept nogil:
    cdef engine_t *engine = router_find(self, first.at, first.size)
    if engine == NULL:
        return -EHOSTUNREACH
    return 0 if engine_writable(engine) else -EAGAIN


cdef int stream_send(pattern_t *self, msg_t *msg) noexcept nogil:
    # A peer that does not read can be closed all the same: no bound stands before that.
    cdef engine_t *engine
    if msg.count != 2:
        return -EINVAL
    engine = router_find(self, msg.parts[0].at, msg.parts[0].size)
    if engine == NULL:
        return -EHOSTUNREACH
    if msg.parts[1].size == 0:
        router_close_peer(self, engine)
        return 0
    if not engine_writable(engine):
        return -EAGAIN
    msg_shift(msg, 1)
    return engine_push(engine, msg)


cdef void fill() noexcept nogil:
    ops.can_send = True
    ops.can_recv = True
    ops.is_strict = False
    ops.is_paired = True
    ops.init = router_init
    ops.fini = router_fini
    ops.admit = router_admit
    ops.attach = stream_attach
    ops.active = ops_engine_nothing
    ops.lost = ops_engine_nothing
    ops.detach = router_detach
    ops.input = ops_input_fair
    ops.output = ops_engine_nothing
    ops.check = stream_check
    ops.send = stream_send
    ops.send_run = NULL
    ops.gives_runs = True
    ops.has_prefix = True
    ops.recv = router_recv
    ops.is_writable = ops_always
    ops.is_readable = fair_is_readable
    ops.set = ops_set_nothing


fill()


cdef const pattern_ops_t *stream_ops(int32_t type) noexcept nogil:
    return &ops if type == TYPE_STREAM else NULL
