# zmqcore/_pattern_pipeline.pyx -- see the door.
from libc.stdint cimport int32_t
from zmqcore._engine cimport engine_end_after, engine_t
from zmqcore._options cimport TYPE_DEALER, TYPE_PAIR, TYPE_PULL, TYPE_PUSH
from zmqcore._pattern cimport (
    fair_is_readable, fair_recv, fair_recv_body, ops_admit_all, ops_check_load, ops_check_never, ops_engine_nothing,
    ops_fini_nothing, ops_init_nothing, ops_input_drop, ops_input_fair, ops_is_writable_load, ops_never,
    ops_output_load, ops_recv_never, ops_send_bodies_load, ops_send_body_load, ops_send_load, ops_send_never, ops_send_run_load,
    ops_set_nothing, out_queue_push, pattern_t, send_probe,
)

cdef pattern_ops_t push_ops
cdef pattern_ops_t pull_ops
cdef pattern_ops_t pair_ops
cdef pattern_ops_t dealer_ops


cdef void dealer_attach(pattern_t *self, engine_t *engine) noexcept nogil:
    send_probe(self, engine)
    out_queue_push(self, engine)


cdef void pair_attach(pattern_t *self, engine_t *engine) noexcept nogil:
    # One peer at a time. A second one is turned away, and not left waiting for ever as libzmq does.
    if self.state != NULL:
        engine.is_attached = False
        engine_end_after(engine, 0)
        return
    self.state = engine
    out_queue_push(self, engine)


cdef void pair_detach(pattern_t *self, engine_t *engine) noexcept nogil:
    if self.state == engine:
        self.state = NULL


cdef void fill(pattern_ops_t *ops, bint can_send, bint can_recv) noexcept nogil:
    ops.can_send = can_send
    ops.can_recv = can_recv
    ops.is_strict = False
    ops.init = ops_init_nothing
    ops.fini = ops_fini_nothing
    ops.admit = ops_admit_all
    ops.attach = ops_output_load if can_send else ops_engine_nothing
    ops.active = ops_engine_nothing
    ops.lost = ops_engine_nothing
    ops.detach = ops_engine_nothing
    ops.input = ops_input_fair if can_recv else ops_input_drop
    ops.output = ops_output_load if can_send else ops_engine_nothing
    ops.check = ops_check_load if can_send else ops_check_never
    ops.send = ops_send_load if can_send else ops_send_never
    if can_send:
        ops.send_run = ops_send_run_load
        ops.send_body = ops_send_body_load
        ops.send_bodies = ops_send_bodies_load
    if can_recv:
        ops.recv_body = fair_recv_body
    ops.gives_runs = can_recv
    ops.recv = fair_recv if can_recv else ops_recv_never
    ops.is_writable = ops_is_writable_load if can_send else ops_never
    ops.is_readable = fair_is_readable if can_recv else ops_never
    ops.set = ops_set_nothing


cdef void fill_all() noexcept nogil:
    fill(&push_ops, True, False)
    fill(&pull_ops, False, True)
    fill(&dealer_ops, True, True)
    dealer_ops.attach = dealer_attach
    fill(&pair_ops, True, True)
    pair_ops.attach = pair_attach
    pair_ops.detach = pair_detach


fill_all()


cdef const pattern_ops_t *pipeline_ops(int32_t type) noexcept nogil:
    if type == TYPE_PUSH:
        return &push_ops
    if type == TYPE_PULL:
        return &pull_ops
    if type == TYPE_DEALER:
        return &dealer_ops
    if type == TYPE_PAIR:
        return &pair_ops
    return NULL
