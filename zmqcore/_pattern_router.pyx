# zmqcore/_pattern_router.pyx -- see the door.
#
# libzmq leaves a peer with a taken id connected and unheard for ever, and after a handover the old connection too. Here
# the one that loses is closed, so that it notices.
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from zmqcore._engine cimport engine_end_after, engine_peer_id, engine_push, engine_t, engine_writable
from zmqcore._engine_host cimport host_random
from zmqcore._link cimport LINK_CONNECTOR
from zmqcore._message cimport (
    msg_clear, msg_shift, msg_t, msg_unshift, part_t, store_new, store_ref, store_t, store_unref,
)
from zmqcore._options cimport TYPE_ROUTER, blob_clear, blob_t
from zmqcore._pattern cimport (
    fair_is_readable, fair_recv, ops_engine_nothing, ops_input_fair, ops_set_nothing, pattern_detach, pattern_t,
    send_probe,
)
from zmqcore._engine_run cimport engine_append_raw, engine_has_room, engine_takes_runs
from zmqcore._pipe cimport raw_t, run_advance, run_first, run_t
from zmqcore._sys cimport EAGAIN, EHOSTUNREACH, EINVAL, ENOMEM, ENOTSUP, calloc, free, memcmp, memcpy, zc_put_be32

cdef enum:
    BUCKETS_FIRST = 16
    AUTO_ID_BYTES = 5           # 00 and a 32-bit counter

cdef struct router_t:
    engine_t **buckets          # chained by bucket_next
    uint32_t bucket_count       # a power of two
    uint32_t count
    uint32_t next_id
    uint64_t seed               # ids are chosen by peers: keeps them from choosing one bucket

cdef pattern_ops_t ops


cdef int router_init(pattern_t *self) noexcept nogil:
    cdef router_t *router = <router_t *>calloc(1, sizeof(router_t))
    if router == NULL:
        return -ENOMEM
    router.buckets = <engine_t **>calloc(BUCKETS_FIRST, sizeof(engine_t *))
    if router.buckets == NULL:
        free(router)
        return -ENOMEM
    router.bucket_count = BUCKETS_FIRST
    router.next_id = host_random(self.host)
    router.seed = (<uint64_t>host_random(self.host) << 32) | host_random(self.host)
    self.state = router
    return 0


cdef void router_fini(pattern_t *self) noexcept nogil:
    cdef router_t *router = <router_t *>self.state
    if router != NULL:
        free(router.buckets)
        free(router)


# --- the map ------------------------------------------------------------------------------------------------------------

cdef uint64_t hash_of(const router_t *router, const uint8_t *at, size_t size) noexcept nogil:
    cdef uint64_t h = router.seed ^ size
    cdef size_t i
    for i in range(size):
        h = (h ^ at[i]) * <uint64_t>0x100000001b3
        h ^= h >> 29
    return h ^ (h >> 32)


cdef engine_t **find_slot(router_t *router, const uint8_t *at, size_t size) noexcept nogil:
    # Where the engine with that id hangs, or where it would.
    cdef engine_t **slot = &router.buckets[hash_of(router, at, size) & (router.bucket_count - 1)]
    while slot[0] != NULL:
        if slot[0].routing_id.size == size and memcmp(slot[0].routing_id.data, at, size) == 0:
            break
        slot = &slot[0].bucket_next
    return slot


cdef void grow(router_t *router) noexcept nogil:
    # Without memory the chains just get longer.
    cdef uint32_t count = 2 * router.bucket_count
    cdef engine_t **buckets = <engine_t **>calloc(count, sizeof(engine_t *))
    cdef engine_t *engine
    cdef engine_t *next
    cdef uint32_t i
    cdef uint64_t at
    if buckets == NULL:
        return
    for i in range(router.bucket_count):
        engine = router.buckets[i]
        while engine != NULL:
            next = engine.bucket_next
            at = hash_of(router, engine.routing_id.data, engine.routing_id.size) & (count - 1)
            engine.bucket_next = buckets[at]
            buckets[at] = engine
            engine = next
    free(router.buckets)
    router.buckets = buckets
    router.bucket_count = count


cdef void map_add(router_t *router, engine_t *engine) noexcept nogil:
    cdef engine_t **slot
    if router.count >= router.bucket_count:
        grow(router)
    slot = find_slot(router, engine.routing_id.data, engine.routing_id.size)
    engine.bucket_next = NULL
    slot[0] = engine
    engine.is_identified = True
    router.count += 1


cdef void map_remove(router_t *router, engine_t *engine) noexcept nogil:
    cdef engine_t **slot
    if not engine.is_identified:
        return
    slot = find_slot(router, engine.routing_id.data, engine.routing_id.size)
    if slot[0] == engine:
        slot[0] = engine.bucket_next
        router.count -= 1
    engine.is_identified = False


# --- peers --------------------------------------------------------------------------------------------------------------

cdef bint router_identify(pattern_t *self, engine_t *engine, const uint8_t *at, size_t size) noexcept nogil:
    cdef router_t *router = <router_t *>self.state
    cdef engine_t *holder = find_slot(router, at, size)[0]
    cdef store_t *id
    if holder != NULL:
        if not self.options.router_handover:
            engine_end_after(engine, 0)
            return False
        map_remove(router, holder)
        engine_end_after(holder, 0)
    id = store_new(size)
    if id == NULL:
        engine_end_after(engine, 0)
        return False
    memcpy(id.data, at, size)
    if engine.routing_id != NULL:
        store_unref(engine.routing_id)
    engine.routing_id = id
    map_add(router, engine)
    return True


cdef engine_t *router_find(pattern_t *self, const uint8_t *at, size_t size) noexcept nogil:
    return find_slot(<router_t *>self.state, at, size)[0]


cdef int router_admit(pattern_t *self) noexcept nogil:
    # A name that somebody has already (libzmq ends the process).
    cdef const blob_t *id = &self.options.connect_routing_id
    if id.size and find_slot(<router_t *>self.state, id.at, id.size)[0] != NULL and not self.options.router_handover:
        return -EINVAL
    return 0


cdef void router_attach(pattern_t *self, engine_t *engine) noexcept nogil:
    # ZMQ_CONNECT_ROUTING_ID names the connection that is made next; router_admit has checked that the id is free.
    if engine.address != NULL or (engine.link != NULL and engine.side == LINK_CONNECTOR):
        if self.options.connect_routing_id.size:
            router_identify(self, engine, self.options.connect_routing_id.at, self.options.connect_routing_id.size)
            blob_clear(&self.options.connect_routing_id)
    if engine.is_attached:
        send_probe(self, engine)


cdef bint router_identify_auto(pattern_t *self, engine_t *engine) noexcept nogil:
    cdef router_t *router = <router_t *>self.state
    cdef uint8_t own[AUTO_ID_BYTES]
    own[0] = 0
    while True:
        zc_put_be32(own + 1, router.next_id)
        router.next_id += 1
        if find_slot(router, own, AUTO_ID_BYTES)[0] == NULL:
            break
    return router_identify(self, engine, own, AUTO_ID_BYTES)


cdef void router_active(pattern_t *self, engine_t *engine) noexcept nogil:
    # A pipe keeps the id it has got; what a later connection on it announces does not count.
    cdef size_t size = 0
    cdef const uint8_t *at
    if engine.is_identified:
        return
    at = engine_peer_id(engine, &size)
    if at != NULL:
        router_identify(self, engine, at, size)
    else:
        router_identify_auto(self, engine)


cdef void router_detach(pattern_t *self, engine_t *engine) noexcept nogil:
    map_remove(<router_t *>self.state, engine)


cdef void router_close_peer(pattern_t *self, engine_t *engine) noexcept nogil:
    # Who waits for room in its pipe has nothing to wait for any more.
    self.host.ops.output(self.host.arg, engine)
    pattern_detach(self, engine, False)
    engine_end_after(engine, self.options.linger_ms)


# --- messages -----------------------------------------------------------------------------------------------------------

cdef int router_recv(pattern_t *self, msg_t *msg) noexcept nogil:
    # The engine may be released by fair_recv (its last message): the id is taken from it before.
    cdef engine_t *engine = self.in_first
    cdef store_t *id
    cdef int rc
    if engine == NULL or engine.routing_id == NULL:
        return -EAGAIN
    id = engine.routing_id
    store_ref(id)
    rc = fair_recv(self, msg)
    if rc == 0:
        rc = msg_unshift(msg, id.data, id.size, id)
    if rc != 0:
        store_unref(id)
        msg_clear(msg)
    return rc


cdef int router_check(pattern_t *self, const part_t *first) noexcept nogil:
    cdef engine_t *engine
    if not self.options.router_mandatory:
        return 0
    engine = find_slot(<router_t *>self.state, first.at, first.size)[0]
    if engine == NULL:
        return -EHOSTUNREACH
    return 0 if engine_writable(engine) else -EAGAIN


cdef int router_send(pattern_t *self, msg_t *msg) noexcept nogil:
    cdef engine_t *engine
    if msg.count < 2:
        return 0
    engine = find_slot(<router_t *>self.state, msg.parts[0].at, msg.parts[0].size)[0]
    if engine == NULL:
        return -EHOSTUNREACH if self.options.router_mandatory else 0
    if self.options.router_raw and msg.count == 2 and msg.parts[1].size == 0:
        router_close_peer(self, engine)
        return 0
    if not engine_writable(engine):
        if self.options.router_mandatory:
            return -EAGAIN
        engine.dropped_msgs += 1
        return 0
    msg_shift(msg, 1)
    return engine_push(engine, msg)


cdef int router_send_run(pattern_t *self, run_t *run, const store_t *prefix, uint32_t most) noexcept nogil:
    # The prefix, when there is one, names the peer; else the first frame does, and stays behind.
    cdef router_t *router = <router_t *>self.state
    cdef engine_t *engine
    cdef size_t skip
    cdef raw_t raw
    if self.options.router_mandatory or self.options.router_raw:
        return -ENOTSUP
    while run.msgs and most:
        run_first(run, &raw)
        if prefix != NULL:
            engine = find_slot(router, prefix.data, prefix.size)[0]
            skip = 0
        else:
            engine = find_slot(router, raw.first, raw.first_bytes)[0] if raw.frames > 1 else NULL
            skip = raw.first_head_bytes + raw.first_bytes
        if engine != NULL:
            if not engine_takes_runs(engine):
                return -ENOTSUP
            if not engine_has_room(engine, raw.bytes - skip):
                engine.dropped_msgs += 1
            elif engine_append_raw(engine, run, &raw, skip, NULL) != 0:
                return -ENOMEM
        run_advance(run, &raw)
        most -= 1
    return 0


cdef bint router_is_writable(pattern_t *self) noexcept nogil:
    cdef router_t *router = <router_t *>self.state
    cdef engine_t *engine
    cdef uint32_t i
    if not self.options.router_mandatory:
        return True
    for i in range(router.bucket_count):
        engine = router.buckets[i]
        while engine != NULL:
            if engine_writable(engine):
                return True
            engine = engine.bucket_next
    return False


cdef void fill() noexcept nogil:
    ops.can_send = True
    ops.can_recv = True
    ops.is_strict = False
    ops.init = router_init
    ops.fini = router_fini
    ops.admit = router_admit
    ops.attach = router_attach
    ops.active = router_active
    ops.lost = ops_engine_nothing
    ops.detach = router_detach
    ops.input = ops_input_fair
    ops.output = ops_engine_nothing
    ops.check = router_check
    ops.send = router_send
    ops.send_run = router_send_run
    ops.gives_runs = True
    ops.has_prefix = True
    ops.recv = router_recv
    ops.is_writable = router_is_writable
    ops.is_readable = fair_is_readable
    ops.set = ops_set_nothing


fill()


cdef const pattern_ops_t *router_ops(int32_t type) noexcept nogil:
    return &ops if type == TYPE_ROUTER else NULL
