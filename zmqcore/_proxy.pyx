# zmqcore/_proxy.pyx -- see the door.
#
# A turn: every socket reads and writes what is ready; control is served; then each direction moves a bounded run of
# messages from pipe to pipe, and each destination is flushed once. A turn that moved nothing ends in sleep on the poll sets
# of all the sockets.
from libc.stdint cimport uint64_t
from zmqcore._limits cimport PROXY_BURST_BYTES, PROXY_BURST_MSGS, PROXY_IDLE_SIGNALS_US, PROXY_SIGNALS_US
from zmqcore._options cimport TYPE_REP
from zmqcore._pattern cimport pattern_t
from zmqcore._pipe cimport msg_bytes, msg_clear, msg_fini, msg_init, msg_move, msg_push, msg_push_copy, part_t, store_ref
from zmqcore._reactor cimport poller_wait_fds
from zmqcore._socket cimport (
    socket_flush, socket_may_sleep, socket_release, socket_seize, socket_turn,
)
from zmqcore._sys cimport (
    EAGAIN, EFSM, EINTR, EINVAL, ENOMEM, memcmp, memset, pthread_mutex_lock, pthread_mutex_unlock, zc_now_us,
)

cdef enum:
    FORWARD = 0                 # frontend -> backend
    BACKWARD = 1


# --- begin and end ----------------------------------------------------------------------------------------------------------

cdef void add(proxy_t *self, socket_t *socket) noexcept nogil:
    # Keeps sockets sorted by address, each once: the order of locking.
    cdef int at = self.count
    cdef int i
    if socket == NULL:
        return
    for i in range(self.count):
        if self.sockets[i] == socket:
            return
    while at > 0 and <size_t>self.sockets[at - 1] > <size_t>socket:
        self.sockets[at] = self.sockets[at - 1]
        at -= 1
    self.sockets[at] = socket
    self.count += 1


cdef int proxy_begin(proxy_t *self, socket_t *frontend, socket_t *backend, socket_t *capture,
                     socket_t *control) noexcept nogil:
    cdef int i
    cdef int rc = 0
    memset(self, 0, sizeof(proxy_t))
    msg_init(&self.pending[FORWARD])
    msg_init(&self.pending[BACKWARD])
    if ((capture != NULL and (capture == frontend or capture == backend or capture == control))
            or (control != NULL and (control == frontend or control == backend))):
        return -EINVAL
    self.frontend = frontend
    self.backend = backend
    self.capture = capture
    self.control = control
    add(self, frontend)
    add(self, backend)
    add(self, capture)
    add(self, control)
    for i in range(self.count):
        rc = socket_seize(self.sockets[i])
        if rc != 0:
            while i > 0:
                i -= 1
                socket_release(self.sockets[i])
            return rc
    self.looked_us = zc_now_us()
    return 0


cdef void proxy_end(proxy_t *self) noexcept nogil:
    cdef int i
    for i in range(self.count):
        socket_release(self.sockets[i])
    msg_fini(&self.pending[FORWARD])
    msg_fini(&self.pending[BACKWARD])


# --- forwarding -------------------------------------------------------------------------------------------------------------

cdef void lock_sides(proxy_t *self) noexcept nogil:
    cdef int i
    for i in range(self.count):
        if self.sockets[i] != self.control:
            pthread_mutex_lock(&self.sockets[i].host.lock)


cdef void unlock_sides(proxy_t *self) noexcept nogil:
    cdef int i
    for i in range(self.count):
        if self.sockets[i] != self.control:
            pthread_mutex_unlock(&self.sockets[i].host.lock)


cdef int capture_copy(proxy_t *self, const msg_t *msg) noexcept nogil:
    # A copy that shares large bodies. 0; -ENOMEM; what send says.
    cdef pattern_t *capture = &self.capture.pattern
    cdef const part_t *part
    cdef msg_t copy
    cdef int rc = 0
    cdef int i
    msg_init(&copy)
    for i in range(<int>msg.count):
        part = &msg.parts[i]
        rc = msg_push(&copy, part.at, part.size, part.store)
        if rc != 0:
            break
        if part.store != NULL:
            store_ref(part.store)
    if rc == 0:
        rc = capture.ops.check(capture, &copy.parts[0])
    if rc == 0:
        rc = capture.ops.send(capture, &copy)
    msg_fini(&copy)
    return rc


cdef bint can_take(proxy_t *self, socket_t *source, socket_t *target) noexcept nogil:
    # X1. A socket that is both sides answers itself: what it just received it may send.
    if self.capture != NULL and not self.capture.pattern.ops.is_writable(&self.capture.pattern):
        return False
    return source == target or target.pattern.ops.is_writable(&target.pattern)


cdef int deliver(proxy_t *self, msg_t *msg, socket_t *target, int direction) noexcept nogil:
    # 0; -EAGAIN: msg is pending now; other errors end the proxy.
    cdef uint64_t *stats = &self.stats[STAT_BACKEND_OUT_PARTS if direction == FORWARD else STAT_FRONTEND_OUT_PARTS]
    cdef uint64_t parts = msg.count
    cdef uint64_t bytes = msg_bytes(msg)
    cdef int rc = target.pattern.ops.check(&target.pattern, &msg.parts[0])
    if rc == 0:
        rc = target.pattern.ops.send(&target.pattern, msg)
    if rc == -EAGAIN:
        if msg != &self.pending[direction]:
            msg_move(&self.pending[direction], msg)
        return rc
    if rc == 0:
        stats[0] += parts
        stats[1] += bytes
    msg_clear(msg)
    return rc


cdef int forward(proxy_t *self, int direction, bint *has_moved) noexcept nogil:
    # A bounded run of messages in one direction, under the locks. 0 or what ends the proxy.
    cdef socket_t *source = self.frontend if direction == FORWARD else self.backend
    cdef socket_t *target = self.backend if direction == FORWARD else self.frontend
    cdef uint64_t *stats = &self.stats[STAT_FRONTEND_IN_PARTS if direction == FORWARD else STAT_BACKEND_IN_PARTS]
    cdef uint64_t bytes = 0
    cdef size_t size
    cdef int moved = 0
    cdef int rc = 0
    cdef msg_t msg
    if not source.pattern.ops.can_recv or not target.pattern.ops.can_send:
        return 0
    if self.pending[direction].count:
        rc = deliver(self, &self.pending[direction], target, direction)
        if rc != 0:
            return 0 if rc == -EAGAIN else rc
        has_moved[0] = True
    msg_init(&msg)
    while moved < PROXY_BURST_MSGS and bytes < PROXY_BURST_BYTES and can_take(self, source, target):
        if not source.pattern.ops.is_readable(&source.pattern):
            break
        rc = source.pattern.ops.recv(&source.pattern, &msg)
        if rc != 0:
            rc = 0 if rc == -EAGAIN or rc == -EFSM else rc
            break
        has_moved[0] = True
        size = msg_bytes(&msg)
        stats[0] += msg.count
        stats[1] += size
        moved += 1
        bytes += size
        if self.capture != NULL:
            rc = capture_copy(self, &msg)
            if rc != 0 and rc != -EAGAIN:
                break
        rc = deliver(self, &msg, target, direction)
        if rc != 0:
            rc = 0 if rc == -EAGAIN else rc
            break
    msg_fini(&msg)
    return rc


cdef int forward_both(proxy_t *self, bint *has_moved) noexcept nogil:
    cdef int rc
    lock_sides(self)
    rc = forward(self, FORWARD, has_moved)
    if rc == 0 and self.frontend != self.backend:
        rc = forward(self, BACKWARD, has_moved)
    unlock_sides(self)
    return rc


cdef void flush_all(proxy_t *self) noexcept nogil:
    cdef int i
    for i in range(self.count):
        pthread_mutex_lock(&self.sockets[i].host.lock)
        socket_flush(self.sockets[i])
        pthread_mutex_unlock(&self.sockets[i].host.lock)


# --- control ----------------------------------------------------------------------------------------------------------------

cdef bint says(const msg_t *msg, const char *word, size_t size) noexcept nogil:
    return msg.parts[0].size == size and memcmp(msg.parts[0].at, word, size) == 0


cdef int answer(proxy_t *self, bint with_stats) noexcept nogil:
    # STATISTICS is answered wherever control can send, the others on a REP, which has to answer to go on.
    cdef pattern_t *control = &self.control.pattern
    cdef msg_t reply
    cdef int i
    cdef int rc = 0
    if not control.ops.can_send or not (with_stats or self.control.options.type == TYPE_REP):
        return 0
    msg_init(&reply)
    if with_stats:
        for i in range(STAT_COUNT):
            if rc == 0:
                rc = msg_push_copy(&reply, <const unsigned char *>&self.stats[i], sizeof(uint64_t))
    else:
        rc = msg_push(&reply, NULL, 0, NULL)
    if rc == 0:
        rc = control.ops.check(control, &reply.parts[0])
    if rc == 0:
        rc = control.ops.send(control, &reply)
    msg_fini(&reply)
    # A controller that does not read its answers misses them.
    return 0 if rc == -EAGAIN else rc


cdef int serve_control(proxy_t *self, bint *has_moved) noexcept nogil:
    # Control's lock is held. 0 or what ends the proxy.
    cdef pattern_t *control = &self.control.pattern
    cdef msg_t command
    cdef bint is_stats
    cdef int rc = 0
    cdef int i
    if not control.ops.can_recv:
        return 0
    msg_init(&command)
    for i in range(PROXY_BURST_MSGS):
        if self.is_over or not control.ops.is_readable(control):
            break
        rc = control.ops.recv(control, &command)
        if rc != 0:
            rc = 0 if rc == -EAGAIN or rc == -EFSM else rc
            break
        has_moved[0] = True
        is_stats = says(&command, b"STATISTICS", 10)
        if says(&command, b"PAUSE", 5):
            self.is_paused = True
        elif says(&command, b"RESUME", 6):
            self.is_paused = False
        elif says(&command, b"TERMINATE", 9):
            self.is_over = True
        rc = answer(self, is_stats)
        msg_clear(&command)
        if rc != 0:
            break
    msg_fini(&command)
    return rc


cdef int control_turn(proxy_t *self, bint *has_moved) noexcept nogil:
    cdef int rc
    if self.control == NULL:
        return 0
    pthread_mutex_lock(&self.control.host.lock)
    rc = serve_control(self, has_moved)
    pthread_mutex_unlock(&self.control.host.lock)
    return rc


# --- the loop ---------------------------------------------------------------------------------------------------------------

cdef int sleep_on_all(proxy_t *self) noexcept nogil:
    # Until any of the sockets has something to do. 0; -EINTR, also when it is time to look for signals; -errno.
    cdef int fds[PROXY_SOCKETS_MAX]
    cdef bint may_sleep = True
    cdef int i, rc
    for i in range(self.count):
        fds[i] = self.sockets[i].host.poller.fd
        may_sleep = socket_may_sleep(self.sockets[i]) and may_sleep
    if not may_sleep:
        return 0
    rc = poller_wait_fds(fds, self.count, PROXY_IDLE_SIGNALS_US if self.is_idle else PROXY_SIGNALS_US)
    if rc == 0:
        self.is_idle = True
        return -EINTR
    return rc if rc < 0 else 0


cdef int proxy_run(proxy_t *self) noexcept nogil:
    cdef bint has_moved
    cdef uint64_t now_us
    cdef int i, rc
    while True:
        has_moved = False
        for i in range(self.count):
            rc = socket_turn(self.sockets[i])
            if rc != 0:
                return rc
        rc = control_turn(self, &has_moved)
        if rc == 0 and not self.is_paused and not self.is_over:
            rc = forward_both(self, &has_moved)
        flush_all(self)
        if rc != 0:
            return rc
        if self.is_over:
            return 0
        if has_moved:
            self.is_idle = False
        else:
            rc = sleep_on_all(self)
            if rc != 0:
                return rc
        now_us = zc_now_us()
        if now_us - self.looked_us > PROXY_SIGNALS_US:
            self.looked_us = now_us
            return -EINTR
