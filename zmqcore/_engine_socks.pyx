# zmqcore/_engine_socks.pyx -- see the door.
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from zmqcore._engine cimport END_REFUSED, engine_begin, engine_refused, engine_stop
from zmqcore._options cimport options_t
from zmqcore._reactor cimport REACTOR_IN, REACTOR_OUT, poller_watch, timers_cancel, timers_set
from zmqcore._socks cimport (
    socks_begin, socks_fini, socks_init, socks_output, socks_room, socks_sent, socks_step, socks_t,
)
from zmqcore._sys cimport (
    EAGAIN, EINTR, EINVAL, ENOMEM, EPIPE, MSG_DONTWAIT, MSG_NOSIGNAL, calloc, errno, free, memcpy, recv, send, zc_now_us,
)
from zmqcore._transport cimport ENDPOINT_BYTES_MAX, TRANSPORT_TCP, address_t, transport_parse


cdef int engine_socks_init(engine_t *self) noexcept nogil:
    cdef const options_t *options = &self.terms.options
    cdef char text[ENDPOINT_BYTES_MAX]
    cdef size_t head_bytes = 6      # "tcp://"
    cdef size_t host_bytes = options.socks_proxy.size
    if self.kind != TRANSPORT_TCP or host_bytes == 0:
        return 0
    self.socks = <socks_t *>calloc(1, sizeof(socks_t))
    self.proxy = <address_t *>calloc(1, sizeof(address_t))
    if self.socks == NULL or self.proxy == NULL:
        return -ENOMEM
    socks_init(self.socks, options)
    if head_bytes + host_bytes > sizeof(text):
        host_bytes = sizeof(text) - head_bytes
    memcpy(text, b"tcp://", head_bytes)
    memcpy(text + head_bytes, options.socks_proxy.at, host_bytes)
    if transport_parse(text, head_bytes + host_bytes, False, options.transport.ipv6, self.proxy) != 0:
        # As with every address that cannot be: each attempt fails.
        self.proxy.kind = TRANSPORT_TCP
        self.proxy.port = 0
    # "source;target": the source is our end, and our end is connected to the proxy.
    memcpy(self.proxy.source, self.address.source, sizeof(self.proxy.source))
    return 0


cdef void engine_socks_fini(engine_t *self) noexcept nogil:
    if self.socks != NULL:
        socks_fini(self.socks)
    free(self.socks)
    free(self.proxy)


cdef void engine_socks_begin(engine_t *self, int fd) noexcept nogil:
    cdef int32_t handshake_ivl_ms = self.terms.options.handshake_ivl_ms
    self.watch.fd = fd
    self.watch.fn = on_ready
    if self.address.port == 0 or socks_begin(self.socks, self.address.host, <uint16_t>self.address.port) != 0:
        engine_refused(self, -EINVAL)
        return
    if handshake_ivl_ms > 0:
        self.retry_timer.fn = on_silence
        timers_set(&self.host.timers, &self.retry_timer, zc_now_us() + <uint64_t>handshake_ivl_ms * 1000)
    proceed(self)


cdef void on_silence(void *arg) noexcept nogil:
    engine_stop(<engine_t *>arg, END_REFUSED)


cdef void on_ready(void *arg, uint32_t events) noexcept nogil:
    proceed(<engine_t *>arg)


cdef int advance(engine_t *self, uint32_t *waits_for) noexcept nogil:
    # Sends or reads once. 1 done; 0 go on; -EAGAIN: wait for that event; other -errno.
    cdef size_t size = 0
    cdef const uint8_t *output = socks_output(self.socks, &size)
    cdef uint8_t *room
    cdef ssize_t moved
    cdef int err
    if size:
        waits_for[0] = REACTOR_OUT
        moved = send(self.watch.fd, output, size, MSG_NOSIGNAL | MSG_DONTWAIT)
        err = errno
        if moved > 0:
            socks_sent(self.socks, <size_t>moved)
    else:
        waits_for[0] = REACTOR_IN
        room = socks_room(self.socks, &size)
        moved = recv(self.watch.fd, room, size, MSG_DONTWAIT)
        err = errno
        if moved > 0:
            return socks_step(self.socks, <size_t>moved)
        if moved == 0:
            return -EPIPE
    if moved < 0 and err != EINTR:
        return -err
    return 0


cdef void proceed(engine_t *self) noexcept nogil:
    # Each round moves a byte or ends the loop, and the whole of it has some hundred (SOCKS_*_BYTES_MAX).
    cdef uint32_t waits_for = REACTOR_IN
    cdef int rc = 0
    while rc == 0:
        rc = advance(self, &waits_for)
    if rc == 1:
        timers_cancel(&self.host.timers, &self.retry_timer)
        engine_begin(self, self.watch.fd)
    elif rc != -EAGAIN:
        engine_refused(self, rc)
    elif poller_watch(&self.host.poller, &self.watch, waits_for) != 0:
        engine_stop(self, END_REFUSED)
