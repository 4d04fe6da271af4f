# zmqcore/_pattern_types.pyx -- see the door.
from libc.stdint cimport int32_t
from zmqcore._pattern_pipeline cimport pipeline_ops
from zmqcore._pattern_publisher cimport publisher_ops
from zmqcore._pattern_reqrep cimport reqrep_ops
from zmqcore._pattern_router cimport router_ops
from zmqcore._pattern_stream cimport stream_ops
from zmqcore._pattern_subscriber cimport subscriber_ops


cdef const pattern_ops_t *pattern_ops_of(int32_t type) noexcept nogil:
    cdef const pattern_ops_t *ops = pipeline_ops(type)
    if ops == NULL:
        ops = reqrep_ops(type)
    if ops == NULL:
        ops = router_ops(type)
    if ops == NULL:
        ops = publisher_ops(type)
    if ops == NULL:
        ops = subscriber_ops(type)
    if ops == NULL:
        ops = stream_ops(type)
    return ops
