# zmqcore/_engine_output.pyx -- see the door.
#
#   raw (handshake) ------------------------------------+
#   outbound --- 2.0 and later -------------------------+--> sendmsg
#            --- 1.0: v1_encode --> raw ----------------+
#            --- STREAM: raw_encode --> raw ------------+
#            --- CURVE: curve_seal (unlocked) --> curve ----> send
from zmqcore._curve cimport curve_output, curve_seal, curve_sent
from zmqcore._engine cimport (
    END_LOST, ENGINE_ACTIVE, ENGINE_DEAD, ENGINE_HANDSHAKE, engine_stop, engine_stopped, engine_update_watch,
)
from zmqcore._limits cimport FLUSH_WRITES_MAX, GATHER_BUFFERS_MAX, PASS_BYTES_MAX
from zmqcore._options cimport SECURITY_PLAIN
from zmqcore._pipe cimport pipe_clear, pipe_gather, pipe_has_reopened, pipe_sent, pipe_t
from zmqcore._raw cimport raw_encode
from zmqcore._sys cimport (
    EAGAIN, EINTR, MSG_DONTWAIT, MSG_NOSIGNAL, errno, iovec, memset, msghdr, pthread_mutex_lock, pthread_mutex_unlock,
    send, sendmsg, zc_wipe,
)
from zmqcore._sys_net cimport net_send_room
from zmqcore._v1 cimport v1_encode
from zmqcore._zmtp cimport ZMTP_VERSION_1, slice_t

# What a write says about the next one.
cdef enum write_verdict:
    WRITE_ON = 0
    WRITE_BLOCKED = 1           # the kernel did not take all
    WRITE_OVER = 2              # the connection is ending


cdef bint has_sealed(const engine_t *self) noexcept nogil:
    return self.curve != NULL and curve_output(self.curve).size != 0


cdef bint engine_has_output(const engine_t *self) noexcept nogil:
    return (self.outbound.bytes != 0 or self.latest.bytes != 0 or has_sealed(self)
            or (self.raw.bytes != 0 and self.state == ENGINE_ACTIVE))


cdef pipe_t *next_output(engine_t *self) noexcept nogil:
    # The pipe whose bytes go next; NULL: nothing to write, but for what is sealed already.
    cdef pipe_t swap
    if self.raw.bytes:
        return &self.raw
    if self.state != ENGINE_ACTIVE:
        return NULL
    if self.outbound.bytes == 0 and self.latest.bytes:
        swap = self.outbound
        self.outbound = self.latest
        self.latest = swap
    if self.is_raw or self.version == ZMTP_VERSION_1:
        if (raw_encode if self.is_raw else v1_encode)(&self.outbound, &self.raw) != 0:
            engine_stop(self, END_LOST)
            return NULL
        reopen(self)
        return &self.raw if self.raw.bytes else NULL
    return &self.outbound if self.outbound.bytes else NULL


cdef void reopen(engine_t *self) noexcept nogil:
    if self.outbound.is_full and pipe_has_reopened(&self.outbound):
        self.host.ops.output(self.host.arg, self)


cdef size_t find_pass_bytes(const engine_t *self) noexcept nogil:
    # 1: none, but asked.
    cdef size_t room
    if (self.state != ENGINE_ACTIVE or self.version == ZMTP_VERSION_1 or self.is_raw or self.curve != NULL or self.is_writing
            or self.is_out_blocked or self.is_ending or self.raw.bytes):
        return 1
    # The kernel counts its own structures, too.
    room = net_send_room(self.watch.fd) // 4 * 3
    return 1 + (room if room < PASS_BYTES_MAX else PASS_BYTES_MAX)


cdef bint engine_passes(engine_t *self, size_t bytes) noexcept nogil:
    if self.pass_bytes == 0:
        self.pass_bytes = find_pass_bytes(self)
    return self.outbound.bytes + bytes < self.pass_bytes


cdef void write_failed(engine_t *self) noexcept nogil:
    # Reading finds the end of the connection, after what the peer still had to say.
    if self.is_lingering:
        engine_stop(self, END_LOST)
        return
    self.is_out_blocked = True


cdef void begin_write(engine_t *self) noexcept nogil:
    self.is_writing = True
    self.pass_bytes = 0
    self.host.turns += 1
    pthread_mutex_unlock(&self.host.lock)


cdef bint end_write(engine_t *self) noexcept nogil:
    # Locks. Whether the connection goes on.
    pthread_mutex_lock(&self.host.lock)
    self.host.turns -= 1
    self.is_writing = False
    if self.is_ending:
        if not self.is_reading:
            engine_stopped(self)
        return False
    return True


cdef write_verdict refused(engine_t *self, int err) noexcept nogil:
    if err == EINTR:
        return WRITE_ON
    if err == EAGAIN:
        return WRITE_BLOCKED
    write_failed(self)
    return WRITE_OVER


cdef void wipe_raw(engine_t *self, const iovec *vec, size_t size) noexcept nogil:
    # HELLO of PLAIN has a password in it. With PLAIN nothing but the handshake goes this way, except to raw peers.
    cdef size_t part
    cdef int i = 0
    if self.is_raw or self.terms == NULL or self.terms.options.security != SECURITY_PLAIN:
        return
    while size:
        part = vec[i].iov_len if vec[i].iov_len < size else size
        zc_wipe(vec[i].iov_base, part)
        size -= part
        i += 1


cdef void engine_drop_raw(engine_t *self) noexcept nogil:
    cdef iovec vec[GATHER_BUFFERS_MAX]
    cdef size_t total = 0
    pipe_gather(&self.raw, vec, GATHER_BUFFERS_MAX, &total)
    wipe_raw(self, vec, total)
    pipe_clear(&self.raw)


cdef write_verdict write_pipe(engine_t *self, pipe_t *pipe) noexcept nogil:
    # UNLOCKS.
    cdef iovec vec[GATHER_BUFFERS_MAX]
    cdef msghdr header
    cdef size_t total = 0
    cdef ssize_t sent
    cdef int err
    memset(&header, 0, sizeof(header))
    header.msg_iov = vec
    header.msg_iovlen = pipe_gather(pipe, vec, GATHER_BUFFERS_MAX, &total)
    begin_write(self)
    sent = sendmsg(self.watch.fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT)
    err = errno
    if not end_write(self):
        return WRITE_OVER
    if sent < 0:
        return refused(self, err)
    if pipe == &self.raw:
        wipe_raw(self, vec, sent)
    pipe_sent(pipe, sent)
    reopen(self)
    return WRITE_ON if <size_t>sent == total else WRITE_BLOCKED


cdef write_verdict write_sealed(engine_t *self) noexcept nogil:
    # The gathered frames stay where they are while others append behind them: so they are sealed without the lock. UNLOCKS.
    cdef iovec vec[GATHER_BUFFERS_MAX]
    cdef slice_t output = curve_output(self.curve)
    cdef size_t total = 0
    cdef ssize_t used = 0
    cdef ssize_t sent = -1
    cdef int err = EAGAIN
    cdef int count = 0
    if output.size == 0:
        count = pipe_gather(&self.outbound, vec, GATHER_BUFFERS_MAX, &total)
    begin_write(self)
    if count:
        used = curve_seal(self.curve, vec, count)
        output = curve_output(self.curve)
    if used >= 0:
        sent = send(self.watch.fd, output.at, output.size, MSG_NOSIGNAL | MSG_DONTWAIT)
        err = errno
    if not end_write(self):
        return WRITE_OVER
    if used < 0:
        engine_stop(self, END_LOST)
        return WRITE_OVER
    if used:
        pipe_sent(&self.outbound, used)
        reopen(self)
    if sent < 0:
        return refused(self, err)
    curve_sent(self.curve, sent)
    return WRITE_ON if <size_t>sent == output.size else WRITE_BLOCKED


cdef void engine_flush(engine_t *self) noexcept nogil:
    cdef pipe_t *pipe
    cdef write_verdict verdict = WRITE_ON
    cdef int _
    for _ in range(FLUSH_WRITES_MAX):
        if (self.watch.fd < 0 or self.is_writing or self.is_out_blocked or self.is_ending
                or self.state < ENGINE_HANDSHAKE or self.state == ENGINE_DEAD):
            return
        pipe = next_output(self)
        if pipe == NULL and not has_sealed(self):
            return
        if self.curve != NULL and pipe != &self.raw:
            verdict = write_sealed(self)
        else:
            verdict = write_pipe(self, pipe)
        if verdict == WRITE_OVER:
            return
        if verdict == WRITE_BLOCKED:
            break
    if next_output(self) != NULL or has_sealed(self):
        # Also after FLUSH_WRITES_MAX writes: others get their turn, then readiness brings us back.
        self.is_out_blocked = True
        engine_update_watch(self)


cdef void engine_farewell(engine_t *self) noexcept nogil:
    cdef iovec vec[GATHER_BUFFERS_MAX]
    cdef msghdr header
    cdef size_t total = 0
    memset(&header, 0, sizeof(header))
    header.msg_iov = vec
    header.msg_iovlen = pipe_gather(&self.raw, vec, GATHER_BUFFERS_MAX, &total)
    if total:
        sendmsg(self.watch.fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT)
