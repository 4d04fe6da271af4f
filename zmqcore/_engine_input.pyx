# zmqcore/_engine_input.pyx -- see the door.
#
#   engine_read --+-- HANDSHAKE --engine_shake--> activate --+
#                 +-- ACTIVE -----------------------------> engine_resume_input --+-- decode ----> host_ops_t.input
#                 +-- ACTIVE, CURVE: read_sealed ---------> (the same)            +-- decode_v1 -> host_ops_t.input
#                 +-- lingering: read_and_forget
#
# Traffic of 2.0 and later is read straight into the in pipe, in whose form it arrives; decode only marks the frames there.
# Boxes of CURVE are opened into the in pipe, without the lock, as if the frames had been read there.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t
from zmqcore._curve cimport curve_filled, curve_new, curve_next_bytes, curve_open, curve_reserve, curve_t
from zmqcore._engine cimport (
    END_FAILED, END_LOST, ENGINE_ACTIVE, ENGINE_HANDSHAKE, engine_attention, engine_event, engine_lose, engine_stop,
    engine_stopped, host_t,
)
from zmqcore._engine_host cimport host_borrow
from zmqcore._engine_metadata cimport engine_metadata_begin
from zmqcore._engine_zap cimport engine_zap_ask
from zmqcore._handshake cimport (
    HANDSHAKE_ASKS, HANDSHAKE_DONE, HANDSHAKE_FAILED, HANDSHAKE_MORE, handshake_drop_rest, handshake_is_costly,
    handshake_output, handshake_reserve, handshake_rest, handshake_said, handshake_step, handshake_verdict,
)
from zmqcore._limits cimport FRAME_BYTES_AT_ONCE, FRAME_BYTES_MAX, PONGS_MAX
from zmqcore._mechanism cimport curve_keys_t
from zmqcore._message cimport store_t, store_unref
from zmqcore._monitor cimport EVENT_HANDSHAKE_FAILED_PROTOCOL, EVENT_HANDSHAKE_SUCCEEDED
from zmqcore._options cimport SECURITY_CURVE, options_t
from zmqcore._pipe cimport (
    pipe_append_bytes, pipe_append_frame, pipe_body_due, pipe_drop, pipe_filled, pipe_mark_apart, pipe_mark_command,
    pipe_mark_frame, pipe_reserve, pipe_set_apart, pipe_start_in, pipe_start_queue, pipe_t, pipe_undecoded,
)
from zmqcore._raw cimport raw_filled, raw_notify, raw_reserve
from zmqcore._reactor cimport timers_cancel, timers_set
from zmqcore._sys cimport (
    EAGAIN, EINTR, ENOMEM, EPIPE, MSG_DONTWAIT, errno, memcpy, pthread_mutex_lock, pthread_mutex_unlock, recv, zc_now_us,
)
from zmqcore._v1 cimport v1_decode, v1_filled, v1_reserve, v1_start
from zmqcore._zmtp cimport (
    COMMAND_CANCEL, COMMAND_PING, COMMAND_SUBSCRIBE, ZMTP_COMMAND, ZMTP_MORE, ZMTP_VERSION_1, ZMTP_VERSION_30, slice_t,
    zmtp_command_read, zmtp_head_read, zmtp_ping_read, zmtp_ping_write, zmtp_pong_write,
)


cdef void engine_init_input(engine_t *self) noexcept nogil:
    self.ping_timer.arg = self.expiry_timer.arg = self.ttl_timer.arg = self
    self.ping_timer.fn = on_ping_due
    self.expiry_timer.fn = on_expiry
    self.ttl_timer.fn = on_ttl


# --- reading ------------------------------------------------------------------------------------------------------------------

cdef void place_body(host_t *host, pipe_t *pipe) noexcept nogil:
    # A long body goes to where whoever receives it wants to have it, if he has told.
    cdef size_t size = pipe_body_due(pipe)
    cdef store_t *store
    if not 0 < size < FRAME_BYTES_AT_ONCE:
        return
    store = host_borrow(host, size)
    if store != NULL and pipe_set_apart(pipe, store) != 0:
        store_unref(store)


cdef int reserve_input(engine_t *self, uint8_t **at, size_t *room) noexcept nogil:
    # Room for the next bytes, in the one who reads them. 0; -ENOMEM.
    if self.state != ENGINE_ACTIVE:
        return handshake_reserve(&self.handshake, at, room)
    if self.is_raw:
        return raw_reserve(&self.inbound, at, room)
    if self.version == ZMTP_VERSION_1:
        return v1_reserve(&self.v1, at, room)
    place_body(self.host, &self.inbound)
    return pipe_reserve(&self.inbound, 0, at, room)


cdef bint engine_may_read(engine_t *self) noexcept nogil:
    # Strangers take turns, so that they hold up those who are through: an fd that is left is reported again.
    if self.state != ENGINE_HANDSHAKE or not handshake_is_costly(&self.handshake):
        return True
    if self.host.shakes_left == 0:
        return False
    self.host.shakes_left -= 1
    return True


cdef void engine_read(engine_t *self) noexcept nogil:
    # One recv, and without the lock also what the handshake makes of it when that takes long. UNLOCKS.
    cdef host_t *host = self.host
    cdef uint8_t *at = NULL
    cdef size_t room = 0
    cdef bint is_shaking = self.state != ENGINE_ACTIVE
    cdef bint is_costly = is_shaking and handshake_is_costly(&self.handshake)
    cdef handshake_verdict verdict = HANDSHAKE_MORE
    cdef int fd = self.watch.fd
    cdef ssize_t got
    cdef int err
    if fd < 0 or self.is_reading or self.is_ending:
        return
    if self.is_lingering and self.state == ENGINE_ACTIVE:
        read_and_forget(self)
        return
    if self.curve != NULL and self.state == ENGINE_ACTIVE:
        read_sealed(self)
        return
    if reserve_input(self, &at, &room) != 0:
        engine_stop(self, END_FAILED)
        return
    self.is_reading = True
    host.turns += 1
    pthread_mutex_unlock(&host.lock)
    got = recv(fd, at, room, 0)
    err = errno
    if got > 0 and is_costly:
        verdict = handshake_step(&self.handshake, got)
    pthread_mutex_lock(&host.lock)
    host.turns -= 1
    self.is_reading = False
    if not is_shaking and self.is_raw:
        raw_filled(&self.inbound, got if got > 0 else 0)
    elif not is_shaking and self.version != ZMTP_VERSION_1:
        pipe_filled(&self.inbound, got if got > 0 else 0)
    if self.is_ending:
        if not self.is_writing:
            engine_stopped(self)
        return
    if self.is_answered:
        engine_attention(self)
    if got > 0 and is_costly:
        engine_shaken(self, verdict)
    elif got > 0 and is_shaking:
        engine_shake(self, got)
    elif got > 0 and self.is_raw:
        take_raw(self)
    elif got > 0:
        if self.version == ZMTP_VERSION_1:
            v1_filled(&self.v1, got)
        engine_resume_input(self)
    elif got == 0 or not (err == EAGAIN or err == EINTR):
        engine_lose(self, EPIPE if got == 0 else err)


cdef void read_and_forget(engine_t *self) noexcept nogil:
    # A lingering connection only waits for its output; the end of input still has to be seen.
    cdef uint8_t scratch[4096]
    cdef ssize_t got = recv(self.watch.fd, scratch, sizeof(scratch), MSG_DONTWAIT)
    if got == 0 or (got < 0 and errno != EAGAIN and errno != EINTR):
        engine_stop(self, END_LOST)


cdef void engine_resume_input(engine_t *self) noexcept nogil:
    # Traffic has come, or the pipe has room again. A raw peer's traffic needs no decoding.
    if self.is_raw:
        return
    if self.version == ZMTP_VERSION_1:
        decode_v1(self)
        return
    decode(self)
    while may_open(self) and curve_next_bytes(self.curve):
        open_more(self)


# --- CURVE --------------------------------------------------------------------------------------------------------------------

cdef bint may_open(const engine_t *self) noexcept nogil:
    # Not while the in pipe is at its mark: then what is here stays sealed.
    return (self.state == ENGINE_ACTIVE and self.curve != NULL and not self.is_ending and not self.is_reading
            and not self.is_in_stalled)


cdef void begin_opening(engine_t *self) noexcept nogil:
    self.is_reading = True
    self.host.turns += 1
    pthread_mutex_unlock(&self.host.lock)


cdef bint end_opening(engine_t *self, ssize_t opened) noexcept nogil:
    # Locks. Whether the connection goes on.
    pthread_mutex_lock(&self.host.lock)
    self.host.turns -= 1
    self.is_reading = False
    pipe_filled(&self.inbound, opened if opened > 0 else 0)
    if self.is_ending:
        if not self.is_writing:
            engine_stopped(self)
        return False
    if opened < 0:
        if self.curve.error:
            engine_event(self, EVENT_HANDSHAKE_FAILED_PROTOCOL, self.curve.error)
        engine_stop(self, END_FAILED)
        return False
    return True


cdef void read_sealed(engine_t *self) noexcept nogil:
    # One recv, and what it brings is opened. UNLOCKS.
    cdef curve_t *curve = self.curve
    cdef int64_t maxmsgsize = self.terms.options.maxmsgsize
    cdef bint is_stalled = self.is_in_stalled
    cdef uint8_t *at = NULL
    cdef uint8_t *out = NULL
    cdef size_t room = 0
    cdef size_t out_room = 0
    cdef size_t need = 0
    cdef ssize_t got
    cdef ssize_t opened = 0
    cdef int err
    if curve_reserve(curve, &at, &room) != 0 or pipe_reserve(&self.inbound, curve.input_room, &out, &out_room) != 0:
        engine_stop(self, END_FAILED)
        return
    begin_opening(self)
    got = recv(self.watch.fd, at, room, 0)
    err = errno
    if got > 0:
        curve_filled(curve, got)
        if not is_stalled:
            opened = curve_open(curve, maxmsgsize, out, out_room, &need)
    if not end_opening(self, opened):
        return
    if got > 0:
        engine_resume_input(self)
    elif got == 0 or not (err == EAGAIN or err == EINTR):
        engine_lose(self, EPIPE if got == 0 else err)


cdef void open_more(engine_t *self) noexcept nogil:
    # The next frames, for which there was no room, or no room below the mark. All that was opened is decoded. UNLOCKS.
    cdef curve_t *curve = self.curve
    cdef int64_t maxmsgsize = self.terms.options.maxmsgsize
    cdef uint8_t *out = NULL
    cdef size_t room = 0
    cdef size_t need = 0
    cdef ssize_t opened
    self.inbound.need_bytes = curve_next_bytes(curve)
    if pipe_reserve(&self.inbound, self.inbound.need_bytes, &out, &room) != 0:
        engine_stop(self, END_FAILED)
        return
    begin_opening(self)
    opened = curve_open(curve, maxmsgsize, out, room, &need)
    if end_opening(self, opened):
        decode(self)


cdef void announce(engine_t *self, uint64_t msgs_before) noexcept nogil:
    cdef host_t *host = self.host
    if self.is_conflated:
        while self.inbound.msgs > 1:
            pipe_drop(&self.inbound)
    if self.inbound.msgs and not msgs_before:
        host.ops.input(host.arg, self)


cdef void stall(engine_t *self) noexcept nogil:
    # Input goes on being asked for until some comes: often there is room again before (E5).
    self.is_in_stalled = True
    self.inbound.is_full = True


cdef void decode(engine_t *self) noexcept nogil:
    # Marks the frames that lie undecoded in the in pipe, up to its high-water mark. For a proxy all of them: they are here
    # anyway, and their run is as long as the read.
    cdef pipe_t *pipe = &self.inbound
    cdef uint64_t msgs_before = pipe.msgs
    cdef int64_t maxmsgsize = self.terms.options.maxmsgsize
    cdef uint8_t *at
    cdef size_t avail = 0
    cdef size_t used
    cdef uint8_t flags = 0
    cdef uint64_t size = 0
    cdef bint is_sound = True
    cdef uint64_t most = pipe.hwm_msgs if pipe.hwm_msgs and not self.host.is_proxied else <uint64_t>-1
    while pipe.msgs < most:
        if pipe.is_apart:
            if not pipe_mark_apart(pipe):
                break
            self.has_input_since_ping = self.has_input_since_ttl = True
            continue
        at = pipe_undecoded(pipe, &avail)
        used = zmtp_head_read(at, avail, &flags, &size)
        if used == 0:
            break
        if size > FRAME_BYTES_MAX or (maxmsgsize >= 0 and size > <uint64_t>maxmsgsize):
            is_sound = False
            break
        if avail - used < size:
            pipe.need_bytes = used + size
            break
        self.has_input_since_ping = self.has_input_since_ttl = True
        if flags & ZMTP_COMMAND:
            take_command(self, at + used, size, used + size)
        else:
            if flags & 0xf8:
                at[0] = flags & 0x07     # reserved bits have a meaning of ours in the pipe
            pipe_mark_frame(pipe, used + size, not flags & ZMTP_MORE)
    if pipe.hwm_msgs and pipe.msgs >= pipe.hwm_msgs:
        stall(self)
    announce(self, msgs_before)
    if not is_sound:
        engine_stop(self, END_FAILED)


cdef void take_command(engine_t *self, const uint8_t *body, size_t size, size_t frame_bytes) noexcept nogil:
    cdef slice_t data
    cdef slice_t context
    cdef uint16_t ttl_tenths = 0
    cdef uint8_t pong[32]
    cdef size_t pong_bytes
    cdef int command = zmtp_command_read(body, size, &data)
    if command == COMMAND_PING and self.version >= ZMTP_VERSION_30 and zmtp_ping_read(data, &ttl_tenths, &context) == 0:
        if ttl_tenths:
            # This frame has stopped the timer of the PING before; its own TTL counts from now.
            self.has_input_since_ttl = False
            timers_set(&self.host.timers, &self.ttl_timer, zc_now_us() + <uint64_t>ttl_tenths * 100000)
        # A peer that does not read gets only so many answers: they would pile up.
        self.unread_pongs = self.unread_pongs + 1 if self.is_out_blocked else 0
        if self.unread_pongs <= PONGS_MAX:
            pong_bytes = zmtp_pong_write(pong, context)
            append_command(self, pong, pong_bytes)
    if (command == COMMAND_SUBSCRIBE or command == COMMAND_CANCEL) and self.inbound.keep_commands:
        if not self.inbound.in_message:
            # Stays in the pipe as a message of its own, so that it keeps its place between messages.
            (<uint8_t *>body - (frame_bytes - size))[0] &= ~<uint8_t>ZMTP_MORE & 0x07
            pipe_mark_frame(&self.inbound, frame_bytes, True)
            return
    pipe_mark_command(&self.inbound, frame_bytes)


cdef void append_command(engine_t *self, const uint8_t *frame, size_t size) noexcept nogil:
    # Short commands only: the header has two bytes.
    if pipe_append_frame(&self.outbound, ZMTP_COMMAND, frame + 2, size - 2, NULL, 0) == 0:
        engine_attention(self)


cdef void decode_v1(engine_t *self) noexcept nogil:
    cdef uint64_t msgs_before = self.inbound.msgs
    cdef int rc = v1_decode(&self.v1, &self.inbound, self.terms.options.maxmsgsize)
    if rc > 0:
        stall(self)
    announce(self, msgs_before)
    if rc < 0:
        engine_stop(self, END_FAILED)


# --- raw peers ----------------------------------------------------------------------------------------------------------------

cdef void take_raw(engine_t *self) noexcept nogil:
    # The read before was one message.
    announce(self, self.inbound.msgs - 1)
    if self.inbound.hwm_msgs and self.inbound.msgs >= self.inbound.hwm_msgs:
        stall(self)


cdef void engine_begin_raw(engine_t *self) noexcept nogil:
    # SOCKS has had its time.
    timers_cancel(&self.host.timers, &self.retry_timer)
    self.state = ENGINE_ACTIVE
    self.was_active = True
    pipe_start_in(&self.inbound)
    if engine_metadata_begin(self) != 0:
        engine_stop(self, END_FAILED)
        return
    if not self.is_lingering:
        self.host.ops.active(self.host.arg, self)
        if self.state == ENGINE_ACTIVE and not self.is_ending:
            engine_notify(self)
    engine_attention(self)


cdef void engine_notify(engine_t *self) noexcept nogil:
    if self.terms.options.stream_notify and not self.is_lingering and raw_notify(&self.inbound) == 0:
        self.host.ops.input(self.host.arg, self)


# --- handshake ----------------------------------------------------------------------------------------------------------------

cdef void engine_shake(engine_t *self, size_t filled_bytes) noexcept nogil:
    engine_shaken(self, handshake_step(&self.handshake, filled_bytes))


cdef void engine_shaken(engine_t *self, handshake_verdict verdict) noexcept nogil:
    cdef slice_t output = handshake_output(&self.handshake)
    if pipe_append_bytes(&self.raw, output.at, output.size) != 0:
        engine_lose(self, ENOMEM)
        return
    handshake_said(&self.handshake)
    if verdict == HANDSHAKE_FAILED:
        engine_stop(self, END_FAILED)
        return
    engine_attention(self)
    if verdict == HANDSHAKE_DONE:
        activate(self)
    elif verdict == HANDSHAKE_ASKS:
        engine_zap_ask(self)


cdef int start_inbound(engine_t *self) noexcept nogil:
    # Bytes behind the handshake are the first of the traffic. 0; -ENOMEM.
    cdef slice_t rest = handshake_rest(&self.handshake)
    cdef const curve_keys_t *keys
    cdef size_t done = 0
    cdef size_t part
    cdef uint8_t *at = NULL
    cdef size_t room = 0
    cdef int rc
    if self.version == ZMTP_VERSION_1:
        pipe_start_queue(&self.inbound)
        return v1_start(&self.v1, rest)
    pipe_start_in(&self.inbound)
    if self.terms.options.security == SECURITY_CURVE:
        keys = self.handshake.mechanism.keys
        self.curve = curve_new(keys.key, self.terms.options.as_server, keys.sent_counter, keys.received_counter, rest)
        return 0 if self.curve != NULL else -ENOMEM
    while done < rest.size:
        rc = pipe_reserve(&self.inbound, rest.size, &at, &room)
        if rc != 0:
            return rc
        part = rest.size - done
        part = part if part < room else room
        memcpy(at, rest.at + done, part)
        pipe_filled(&self.inbound, part)
        done += part
    return 0


cdef void activate(engine_t *self) noexcept nogil:
    # Messages may flow.
    cdef host_t *host = self.host
    timers_cancel(&host.timers, &self.retry_timer)
    self.state = ENGINE_ACTIVE
    self.version = self.handshake.version
    self.was_active = True
    if start_inbound(self) != 0 or engine_metadata_begin(self) != 0:
        engine_stop(self, END_FAILED)
        return
    handshake_drop_rest(&self.handshake)
    # Older peers have no handshake that could be said to have succeeded (zmq_socket_monitor(3)).
    if self.version >= ZMTP_VERSION_30:
        engine_event(self, EVENT_HANDSHAKE_SUCCEEDED, 0)
    if self.version >= ZMTP_VERSION_30 and self.terms.options.heartbeat_ivl_ms > 0:
        timers_set(&host.timers, &self.ping_timer, zc_now_us() + <uint64_t>self.terms.options.heartbeat_ivl_ms * 1000)
    if not self.is_lingering:
        host.ops.active(host.arg, self)
    engine_attention(self)
    if self.state == ENGINE_ACTIVE and not self.is_ending:
        engine_resume_input(self)


# --- heartbeats ---------------------------------------------------------------------------------------------------------------

cdef void on_ping_due(void *arg) noexcept nogil:
    cdef engine_t *self = <engine_t *>arg
    cdef host_t *host = self.host
    cdef const options_t *options = &self.terms.options
    cdef int32_t timeout_ms = options.heartbeat_timeout_ms
    cdef uint8_t ping[32]
    cdef size_t ping_bytes
    if timeout_ms < 0:
        timeout_ms = options.heartbeat_ivl_ms
    if not self.is_out_blocked:
        ping_bytes = zmtp_ping_write(ping, <uint16_t>(options.heartbeat_ttl_ms // 100))
        append_command(self, ping, ping_bytes)
    if timeout_ms > 0 and (self.expiry_timer.slot == 0 or self.has_input_since_ping):
        self.has_input_since_ping = False
        timers_set(&host.timers, &self.expiry_timer, zc_now_us() + <uint64_t>timeout_ms * 1000)
    timers_set(&host.timers, &self.ping_timer, zc_now_us() + <uint64_t>options.heartbeat_ivl_ms * 1000)


cdef void on_expiry(void *arg) noexcept nogil:
    # Input that is stalled at our own high-water mark says nothing about the peer.
    cdef engine_t *self = <engine_t *>arg
    if not self.has_input_since_ping and not self.is_in_stalled:
        engine_stop(self, END_LOST)


cdef void on_ttl(void *arg) noexcept nogil:
    cdef engine_t *self = <engine_t *>arg
    if not self.has_input_since_ttl and not self.is_in_stalled:
        engine_stop(self, END_LOST)
