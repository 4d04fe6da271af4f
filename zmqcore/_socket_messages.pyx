# zmqcore/_socket_messages.pyx -- see the door.
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from zmqcore._engine cimport engine_t
from zmqcore._engine_host cimport host_attend, host_lend, host_needs_attention
from zmqcore._engine_run cimport engine_consume_run, engine_peek_run
from zmqcore._limits cimport (
    FLOOD_GAP_US, FLOOD_NAP_US, FLOOD_PAUSE_US, FLOOD_SENDS, FLOOD_SENDS_KEPT, FLOOD_WRITE_BYTES,
    LARGE_BODY_BYTES, SMALL_BYTES,
)
from zmqcore._message cimport (
    batch_add, batch_add_body, batch_body_room, batch_first, batch_peek, batch_push, batch_reserve, batch_t, batch_took,
    msg_clear, msg_fini, msg_init, msg_label, msg_move, msg_push, msg_t, part_t, store_ref,
    store_t, store_unref,
)
from zmqcore._pattern cimport fair_rotate, pattern_t
from zmqcore._pipe cimport raw_t, run_advance, run_first, run_t
from zmqcore._reactor cimport io_release, mailbox_has, mailbox_ring, timers_set
from zmqcore._socket cimport (
    SOCKET_DONTWAIT, SOCKET_SNDMORE, socket_check, socket_enter, socket_leave, socket_look, socket_t, socket_take_posts,
    socket_wait,
)
from zmqcore._socket_bell cimport bell_told, bell_used
from zmqcore._sys cimport (
    EAGAIN, EFSM, EINTR, ENOMEM, ENOTSUP, pthread_mutex_lock, pthread_mutex_trylock, pthread_mutex_unlock, zc_load,
    zc_now_us, zc_store,
)


cdef enum:
    BODIES_MAX = 1024           # messages that are looked at before any of them is sent


cdef uint64_t socket_due(socket_t *self, bint is_send, int flags) noexcept nogil:
    cdef int32_t timeout_ms
    if flags & SOCKET_DONTWAIT:
        return 1
    # Without the lock: as it was before another thread sets it, or after.
    timeout_ms = zc_load(&self.options.sndtimeo_ms if is_send else &self.options.rcvtimeo_ms)
    if timeout_ms < 0:
        return 0
    return zc_now_us() + <uint64_t>timeout_ms * 1000 if timeout_ms else 1


cdef bint socket_is_flooded(socket_t *self, uint64_t *now_us) noexcept nogil:
    now_us[0] = zc_now_us()
    if now_us[0] - self.sent_us < FLOOD_GAP_US:
        if self.sends_in_row < FLOOD_SENDS_KEPT:
            self.sends_in_row += 1
    elif now_us[0] - self.sent_us < FLOOD_PAUSE_US:
        self.sends_in_row //= 2     # the scheduler's doing, perhaps
    else:
        self.sends_in_row = 0
    self.sent_us = now_us[0]
    return self.sends_in_row >= FLOOD_SENDS


cdef inline bint is_worth_a_write(const engine_t *engine) noexcept nogil:
    # Whether its pipe is on the way to its high-water mark, where the caller would have to sleep.
    return (engine != NULL and not engine.is_out_blocked and not engine.is_writing
            and (engine.outbound.bytes >= FLOOD_WRITE_BYTES
                 or (engine.outbound.hwm_msgs and 2 * engine.outbound.msgs >= engine.outbound.hwm_msgs)))


cdef bint hand_over(socket_t *self) noexcept nogil:
    # When to write: a single message at once, by the caller, for latency; in a flood the I/O thread takes what has gathered
    # in large writes while the caller goes on. Whether it will; when not, the caller is to call host_attend.
    cdef uint64_t now_us
    if not self.nest.is_nested or self.has_fd:
        return False
    # While the I/O thread naps in a flood it only wants to know whether that goes on: no look at the clock.
    self.nap_sends += 1
    if self.nap.slot and not self.nest.is_adopted and not self.is_driven:
        if not is_worth_a_write(self.host.attention):
            return True
        self.nap_is_long = True
        return False
    if not socket_is_flooded(self, &now_us):
        return False
    if self.is_driven:
        # What rang before and was not yet heard speaks for this one too.
        if not mailbox_has(self.host.mailbox):
            mailbox_ring(self.host.mailbox)
        return True
    if self.nest.is_adopted:
        io_release(&self.nest)
    if not self.nap.slot:
        timers_set(&self.host.timers, &self.nap, now_us + FLOOD_NAP_US)
    return True


cdef int wait_or_look(socket_t *self, uint64_t due_us, bint *has_looked) noexcept nogil:
    # What to do when an attempt said -EAGAIN. 0: try again; -EAGAIN: that is final; -EINTR, -ETERM, -ENOTSOCK. UNLOCKS.
    cdef int rc
    if due_us == 1:
        bell_told(self, 0)
        if has_looked[0] or not socket_look(self):
            return -EAGAIN
        has_looked[0] = True
        return socket_check(self)
    rc = socket_wait(self, due_us)
    if rc == 0 and mailbox_has(self.host.mailbox):
        socket_take_posts(self)
    return rc if rc != 0 else socket_check(self)


cdef int try_send(socket_t *self, msg_t *msg, uint64_t due_us, bint is_whole) noexcept nogil:
    # Sends a whole message once it may go; or, of the first part of several, only waits until it may. UNLOCKS meanwhile.
    cdef bint has_looked = False
    cdef int rc
    while True:
        rc = 0
        if not is_whole or not self.pattern.ops.is_paired:
            rc = self.pattern.ops.check(&self.pattern, &msg.parts[0])
        if rc == 0 and is_whole:
            rc = self.pattern.ops.send(&self.pattern, msg)
        if rc == -EAGAIN:
            rc = wait_or_look(self, due_us, &has_looked)
            if rc == 0:
                # Who had to wait is in a flood (hand_over).
                self.sends_in_row = FLOOD_SENDS_KEPT
                self.sent_us = zc_now_us()
                continue
        return rc


cdef int append_outgoing(socket_t *self, msg_t *msg) noexcept nogil:
    # Moves the parts of msg behind those that wait. 0; -ENOMEM (nothing moved).
    cdef uint32_t i
    cdef uint32_t before = self.outgoing.count
    for i in range(msg.count):
        if msg_push(&self.outgoing, msg.parts[i].at, msg.parts[i].size, msg.parts[i].store) != 0:
            self.outgoing.count = before
            return -ENOMEM
    msg.count = 0
    return 0


cdef int send_last_part(socket_t *self, msg_t *msg, uint64_t due_us) noexcept nogil:
    # The message leaves self.outgoing before anybody can touch that while we wait. UNLOCKS.
    cdef msg_t whole
    cdef part_t *part
    cdef uint32_t count = msg.count
    cdef uint32_t i
    cdef int rc = append_outgoing(self, msg)
    if rc != 0:
        return rc
    msg_init(&whole)
    msg_move(&whole, &self.outgoing)
    rc = try_send(self, &whole, due_us, True)
    if rc == -EAGAIN or rc == -EINTR:
        # Not taken: the caller has its parts again, whose bytes may be borrowed, and may send them once more. There is room:
        # they have been in msg before.
        whole.count -= count
        for i in range(count):
            part = &whole.parts[whole.count + i]
            msg_push(msg, part.at, part.size, part.store)
        # The first parts wait for that, unless another thread has begun a message meanwhile.
        if self.outgoing.count == 0:
            msg_move(&self.outgoing, &whole)
    msg_fini(&whole)
    return rc


cdef int send_part(socket_t *self, msg_t *msg, int flags, uint64_t due_us) noexcept nogil:
    cdef int rc
    if flags & SOCKET_SNDMORE and not (self.pattern.ops.is_paired and self.outgoing.count):
        rc = try_send(self, msg, due_us, False) if self.outgoing.count == 0 else 0
        return append_outgoing(self, msg) if rc == 0 else rc
    if self.outgoing.count == 0:
        return try_send(self, msg, due_us, True)
    return send_last_part(self, msg, due_us)


cdef inline int enter_to_send(socket_t *self) noexcept nogil:
    # socket_enter for one who wants to send; -ENOTSUP; -EFSM.
    cdef int rc = socket_enter(self)
    if rc == 0 and not self.pattern.ops.can_send:
        return -ENOTSUP
    if rc == 0 and self.pattern.ops.is_strict and self.incoming_next < self.incoming.count:
        return -EFSM
    return rc


cdef inline int enter_to_recv(socket_t *self) noexcept nogil:
    cdef int rc = socket_enter(self)
    self.sends_in_row = 0
    if rc == 0 and not self.pattern.ops.can_recv:
        return -ENOTSUP
    if rc == 0 and self.pattern.ops.is_strict and self.outgoing.count:
        return -EFSM
    return rc


cdef int socket_send(socket_t *self, msg_t *msg, int flags, bint is_whole, uint64_t due_us) noexcept nogil:
    cdef int rc = enter_to_send(self)
    if rc == 0:
        if is_whole and self.outgoing.count == 0:
            rc = try_send(self, msg, due_us, True)
        else:
            rc = send_part(self, msg, flags, due_us)
    if rc == 0:
        msg_clear(msg)
        if host_needs_attention(&self.host) and not hand_over(self):
            host_attend(&self.host)
    socket_leave(self)
    return rc


cdef uint32_t send_bodies(socket_t *self, const batch_t *batch, uint32_t i) noexcept nogil:
    # The messages from i on that are small and can go as they are; what they hold stays with the batch. How many went.
    cdef uint32_t first = batch_first(batch, i)
    cdef const part_t *parts = batch.parts.parts + first
    cdef uint32_t most = batch.count - i if batch.count - i < BODIES_MAX else BODIES_MAX
    cdef uint32_t count = 0
    cdef uint32_t done = 0
    if self.pattern.ops.send_body == NULL:
        return 0
    while count < most and batch.ends[i + count] == first + count + 1 and parts[count].size <= SMALL_BYTES:
        count += 1
    if count and self.pattern.ops.send_bodies != NULL:
        return self.pattern.ops.send_bodies(&self.pattern, parts, count)
    while done < count and self.pattern.ops.send_body(&self.pattern, parts[done].at, parts[done].size) == 0:
        done += 1
    return done


cdef int socket_send_many(socket_t *self, batch_t *batch, uint32_t *sent, uint64_t due_us) noexcept nogil:
    cdef msg_t msg
    cdef uint32_t count
    cdef int rc = enter_to_send(self)
    if rc == 0 and self.outgoing.count:
        rc = -EFSM
    msg_init(&msg)
    while rc == 0 and sent[0] < batch.count:
        count = send_bodies(self, batch, sent[0])
        if count:
            sent[0] += count
            continue
        rc = batch_peek(batch, sent[0], &msg)
        if rc == 0:
            rc = try_send(self, &msg, due_us, True)
        if rc == 0:
            batch_took(batch, sent[0])
            sent[0] += 1
            msg_clear(&msg)
        else:
            msg.count = 0
    msg_fini(&msg)
    if host_needs_attention(&self.host):
        host_attend(&self.host)
    socket_leave(self)
    return rc


cdef inline bint may_send(const socket_t *self) noexcept nogil:
    # Whether nothing is in the way of a whole message: no news of others, no unfinished message, and it is our turn.
    return not ((mailbox_has(self.host.mailbox) and not host_needs_attention(&self.host)) or socket_check(self) != 0
                or not self.pattern.ops.can_send or self.outgoing.count
                or (self.pattern.ops.is_strict and self.incoming_next < self.incoming.count))


cdef inline bint may_recv(const socket_t *self) noexcept nogil:
    return not (mailbox_has(self.host.mailbox) or socket_check(self) != 0 or not self.pattern.ops.can_recv
                or (self.pattern.ops.is_strict and self.outgoing.count))


cdef int socket_try_send(socket_t *self, msg_t *msg) noexcept nogil:
    cdef int rc = 0
    if not may_send(self):
        return -EAGAIN
    if not self.pattern.ops.is_paired:
        rc = self.pattern.ops.check(&self.pattern, &msg.parts[0])
    if rc == 0:
        rc = self.pattern.ops.send(&self.pattern, msg)
    if rc != 0:
        return -EAGAIN
    msg_clear(msg)
    return 1 if host_needs_attention(&self.host) else 0


cdef int socket_send_quick(socket_t *self, msg_t *msg) noexcept nogil:
    cdef int rc
    if pthread_mutex_trylock(&self.host.lock) != 0:
        return -EAGAIN
    rc = socket_try_send(self, msg)
    if rc == 1 and hand_over(self):
        rc = 0
    socket_leave(self)
    return rc


cdef int socket_send_body(socket_t *self, const uint8_t *at, size_t size) noexcept nogil:
    cdef int rc = -EAGAIN
    if self.pattern.ops.send_body == NULL or pthread_mutex_trylock(&self.host.lock) != 0:
        return -EAGAIN
    if may_send(self) and self.pattern.ops.send_body(&self.pattern, at, size) == 0:
        rc = 1 if host_needs_attention(&self.host) and not hand_over(self) else 0
    socket_leave(self)
    return rc


cdef int socket_recv_body(socket_t *self, uint8_t *at, size_t room, size_t *size) noexcept nogil:
    cdef int rc = -EAGAIN
    if self.pattern.ops.recv_body == NULL or pthread_mutex_trylock(&self.host.lock) != 0:
        return -EAGAIN
    if (may_recv(self) and self.incoming_next >= self.incoming.count
            and self.pattern.ops.recv_body(&self.pattern, at, room, size) == 0):
        self.sends_in_row = 0
        zc_store(&self.has_more, False)
        bell_used(self)
        rc = 1 if host_needs_attention(&self.host) else 0
    socket_leave(self)
    return rc


cdef void socket_attend(socket_t *self) noexcept nogil:
    pthread_mutex_lock(&self.host.lock)
    host_attend(&self.host)
    socket_leave(self)


cdef bint recv_run(socket_t *self, batch_t *batch, uint32_t most) noexcept nogil:
    # Messages of one part, where they lie, when there are many bytes of them and no other peer waits for its turn. The first
    # part holds the store for all of them.
    cdef pattern_t *pattern = &self.pattern
    cdef engine_t *engine = pattern.in_first
    cdef run_t run
    cdef run_t rest
    cdef raw_t raw
    if (engine == NULL or engine.in_next != NULL or not pattern.ops.gives_runs or pattern.ops.has_prefix
            or batch.count >= most or not engine_peek_run(engine, &run)):
        return False
    most -= batch.count
    if most > run.msgs:
        most = run.msgs
    if run.bytes < LARGE_BODY_BYTES or run.frames != run.msgs or batch_reserve(batch, most) != 0:
        return False
    rest = run
    store_ref(run.store)
    while most:
        run_first(&rest, &raw)
        batch_add(batch, raw.first, raw.first_bytes, run.store)
        run.store = NULL
        run_advance(&rest, &raw)
        most -= 1
    engine_consume_run(engine, &run, &rest)
    fair_rotate(pattern, engine)
    return True


cdef bint recv_bodies(socket_t *self, batch_t *batch, uint32_t most) noexcept nogil:
    # As many messages as there are, without building any, when none is being handed out. Whether there were any.
    cdef uint32_t before = batch.count
    cdef uint8_t *at
    cdef size_t size = 0
    if self.incoming_next < self.incoming.count:
        return False
    while recv_run(self, batch, most):
        pass
    while batch.count < most and self.pattern.ops.recv_body != NULL:
        at = batch_body_room(batch)
        if at == NULL or self.pattern.ops.recv_body(&self.pattern, at, SMALL_BYTES, &size) != 0:
            break
        batch_add_body(batch, size)
    return batch.count > before


cdef int fetch(socket_t *self, batch_t *batch, uint32_t most, uint64_t due_us) noexcept nogil:
    # The next whole message into self.incoming; or (unless batch is NULL) what recv_bodies finds. UNLOCKS while it waits.
    cdef bint has_looked = False
    cdef int rc
    while self.incoming_next >= self.incoming.count:
        if batch != NULL and recv_bodies(self, batch, most):
            return 0
        rc = self.pattern.ops.recv(&self.pattern, &self.incoming)
        if host_needs_attention(&self.host):
            # Unlocks: whoever has closed the socket meanwhile, or has brought a message, has found nobody asleep to wake.
            host_attend(&self.host)
            if socket_check(self) != 0:
                return socket_check(self)
            if rc == -EAGAIN:
                continue
        if rc == -EAGAIN:
            rc = wait_or_look(self, due_us, &has_looked)
        if rc != 0:
            return rc
    return 0


cdef int hand_out(socket_t *self, msg_t *msg, bint is_whole, bint *has_more) noexcept nogil:
    # The next part, or all that is left, of the message in self.incoming. 0; -ENOMEM.
    cdef part_t *part
    cdef int rc = 0
    while rc == 0 and self.incoming_next < self.incoming.count:
        part = &self.incoming.parts[self.incoming_next]
        rc = msg_push(msg, part.at, part.size, part.store)
        if rc == 0:
            part.store = NULL
            self.incoming_next += 1
            if not is_whole:
                break
    bell_used(self)
    zc_store(&self.has_more, self.incoming_next < self.incoming.count)
    has_more[0] = self.has_more
    if msg.metadata == NULL and self.has_more:
        msg_label(msg, self.incoming.metadata)
    elif msg.metadata == NULL:
        msg.metadata = self.incoming.metadata
        self.incoming.metadata = NULL
    if not self.has_more:
        self.incoming_next = 0
        msg_clear(&self.incoming)
    return rc


cdef int socket_recv_quick(socket_t *self, msg_t *msg, bint is_whole, bint *has_more) noexcept nogil:
    cdef int rc = 0
    if pthread_mutex_trylock(&self.host.lock) != 0:
        return -EAGAIN
    if not may_recv(self):
        rc = -EAGAIN
    elif self.incoming_next >= self.incoming.count:
        rc = self.pattern.ops.recv(&self.pattern, &self.incoming)
    if rc == 0:
        self.sends_in_row = 0
        rc = hand_out(self, msg, is_whole, has_more)
    if rc != 0:
        rc = -EAGAIN
    elif host_needs_attention(&self.host):
        rc = 1
    socket_leave(self)
    return rc


cdef int socket_recv(socket_t *self, msg_t *msg, bint is_whole, bint *has_more, uint64_t due_us) noexcept nogil:
    cdef int rc = enter_to_recv(self)
    if rc == 0 and self.incoming_next >= self.incoming.count:
        rc = fetch(self, NULL, 0, due_us)
    if rc == 0:
        rc = hand_out(self, msg, is_whole, has_more)
    socket_leave(self)
    return rc


cdef void socket_lend(socket_t *self, store_t *store) noexcept nogil:
    pthread_mutex_lock(&self.host.lock)
    store = host_lend(&self.host, store)
    pthread_mutex_unlock(&self.host.lock)
    if store != NULL:
        store_unref(store)


cdef int socket_recv_many(socket_t *self, batch_t *batch, uint32_t most, uint64_t due_us) noexcept nogil:
    cdef msg_t msg
    cdef bint has_more = False
    cdef int rc = enter_to_recv(self)
    msg_init(&msg)
    if rc == 0:
        rc = fetch(self, batch, most, due_us)
    if batch.count:
        zc_store(&self.has_more, False)
        bell_used(self)
    while rc == 0 and batch.count < most:
        if self.incoming_next < self.incoming.count:
            rc = hand_out(self, &msg, True, &has_more)
            if rc == 0:
                rc = batch_push(batch, &msg)
            recv_bodies(self, batch, most)
        else:
            rc = self.pattern.ops.recv(&self.pattern, &self.incoming)
    # What there was no memory for is lost, as a single message would be; what came before is handed out.
    msg_fini(&msg)
    if host_needs_attention(&self.host):
        host_attend(&self.host)
    socket_leave(self)
    return 0 if batch.count else rc
