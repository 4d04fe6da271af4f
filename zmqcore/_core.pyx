# zmqcore/_core.pyx -- the Python face: arguments in, exceptions out (floor 11).
#
# With _errno, _pin, _frame and its own halves the only module that knows Python objects, exceptions and the GIL. Every call that
# may wait or makes a system call releases the GIL, comes back to run signal handlers (-EINTR) and then goes on with the same
# deadline.
# Nobody ever waits for the GIL with a socket lock held; waiting for a socket lock with the GIL held would be allowed.
cimport cython
from cpython.buffer cimport PyBUF_CONTIG_RO, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cpython.unicode cimport PyUnicode_AsUTF8String
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from zmqcore._context cimport (
    context_free, context_get, context_new, context_set, context_shutdown, context_t, context_wait_terminated,
)
from zmqcore._core_curve cimport need_curve
from zmqcore._errno cimport check, fail
from zmqcore._frame cimport SHARE_NONE, Frame, push_data, push_messages, take_messages, take_part, take_parts
from zmqcore._message cimport batch_fini, batch_init, batch_t, msg_fini, msg_init, msg_t
from zmqcore._monitor cimport EVENT_ALL
from zmqcore._options cimport (
    CURVE_KEY_Z85_BYTES, OPTION_CURVE_SERVER, OPTION_FD_KIND, OPTION_INT, OPTION_INT64, OPTION_KEY, OPTION_STRING,
    OPTION_UNKNOWN, options_kind,
)
from zmqcore._pin cimport pin_buffer, pins_look, pins_waiting
from zmqcore._poll cimport poll_item_t, poll_wait
from zmqcore._socket cimport (
    SOCKET_SNDMORE, socket_bind, socket_close, socket_connect, socket_disconnect, socket_get, socket_new, socket_set,
    socket_stand, socket_t, socket_unbind, socket_unref,
)
from zmqcore._socket_messages cimport (
    socket_attend, socket_due, socket_lend, socket_recv, socket_recv_many, socket_recv_quick, socket_send,
    socket_send_many, socket_send_quick,
)
from zmqcore._socket_monitor cimport socket_monitor
from zmqcore._stats cimport peer_stats_t, peer_stats_table, socket_stats, stat_t
from zmqcore._sys cimport (
    EAGAIN, EFAULT, EINTR, EINVAL, ENOTSOCK, calloc, free, memcpy, pthread_atfork, zc_load, zc_now_us, zc_store,
)
from zmqcore._sys_net cimport IPC_PATH_BYTES_MAX

from zmqcore import tracker as _tracker

IPC_PATH_MAX_LEN = IPC_PATH_BYTES_MAX


# How often this process has been forked from the one where Python began. What was made before belongs to the parent: its locks may
# be held here for ever, and its fds are shared.
cdef int forks = 0


cdef void on_fork() noexcept nogil:
    global forks
    forks += 1


pthread_atfork(NULL, NULL, on_fork)

cdef object no_flags = 0        # the very object that a call without flags has

cdef const int32_t *released = pins_waiting()


# --- context ------------------------------------------------------------------------------------------------------------

cdef class Context:
    """Context(io_threads=1)

    The container of sockets and I/O threads of one process (zmq_ctx_new(3)). Thread-safe.
    """

    @cython.critical_section
    def __init__(self, int io_threads=1):
        if self._context != NULL:
            return
        if io_threads < 0:
            fail(-EINVAL)
        self._forks = forks
        self._context = context_new(io_threads)
        if self._context == NULL:
            raise MemoryError()

    def __dealloc__(self):
        # Waits for nothing. What still lingers, or lives on in a forked child's copy, is left to the end of the process.
        cdef bint is_empty
        if self._context == NULL or self._forks != forks:
            return
        is_empty = zc_load(&self._is_over)
        if not is_empty:
            with nogil:
                context_shutdown(self._context)
                is_empty = context_wait_terminated(self._context, 1) == 0
        if is_empty:
            with nogil:
                context_free(self._context)

    cdef context_t *open_context(self) except NULL:
        if context_of(self) == NULL:
            fail(-EFAULT)
        return self._context

    def term(self):
        """Ends the context (zmq_ctx_term(3)): calls on its sockets fail with ETERM; waits until all are closed and flushed.

        Does nothing when it has ended already. An exception raised by a signal handler leaves it half ended: call again.
        """
        cdef int rc = -EAGAIN
        if self._context == NULL or zc_load(&self._is_over):
            return
        if self._forks != forks:
            zc_store(&self._is_over, 1)
            return
        with nogil:
            context_shutdown(self._context)
        while rc == -EAGAIN:
            with nogil:
                rc = context_wait_terminated(self._context, zc_now_us() + 50000)
            PyErr_CheckSignals()
        zc_store(&self._is_over, 1)

    def shutdown(self):
        """Makes every call on its sockets fail with without waiting (zmq_ctx_shutdown(3))."""
        if self._context != NULL and not zc_load(&self._is_over) and self._forks == forks:
            with nogil:
                context_shutdown(self._context)

    def set(self, int option, int value):
        """set(option, value): sets a context option (zmq_ctx_set(3)). EINVAL for a bad number or value."""
        check(context_set(self.open_context(), option, value))

    def get(self, int option):
        """get(option) -> int: reads a context option (zmq_ctx_get(3)). EINVAL for a bad number."""
        cdef int32_t value = 0
        check(context_get(self.open_context(), option, &value))
        return value

    @property
    def closed(self):
        """Whether the context has ended, or was never made."""
        return self._context == NULL or zc_load(&self._is_over) != 0

    @property
    def underlying(self):
        """The engine's address of the context, an int; for identification only."""
        return <size_t>self._context


cdef context_t *context_of(Context context) noexcept:
    return NULL if zc_load(&context._is_over) or context._forks != forks else context._context


cdef bytes endpoint_text(object addr):
    if isinstance(addr, str):
        return PyUnicode_AsUTF8String(addr)
    if isinstance(addr, bytes):
        return addr
    raise TypeError(f"expected str or bytes, got: {addr!r}")


cdef object tracker_of(list parts):
    if not parts:
        return _tracker.FINISHED
    if len(parts) == 1 and isinstance(parts[0], _tracker.MessageTracker):
        return parts[0]         # the frame's own, as in pyzmq
    return _tracker.MessageTracker(*parts)


cdef size_t writable_room(object buffer, Py_ssize_t nbytes, Py_buffer *view) except? 0:
    if nbytes < 0:
        raise ValueError(f"nbytes={nbytes} is negative")
    PyObject_GetBuffer(buffer, view, PyBUF_CONTIG_RO | PyBUF_WRITABLE)
    if nbytes > view.len:
        room = view.len
        PyBuffer_Release(view)
        raise ValueError(f"nbytes={nbytes} is more than the buffer's {room} bytes")
    return nbytes if nbytes else view.len


cdef int int_flags(object flags) except? -1:
    if isinstance(flags, float):
        raise TypeError("flags must be an int, not float")
    return flags


# --- messages -----------------------------------------------------------------------------------------------------------

cdef int message_out(socket_t *socket, msg_t *msg, int flags, bint is_whole) except? -1:
    cdef uint64_t due_us
    cdef int rc = -EAGAIN
    if not flags & SOCKET_SNDMORE:
        rc = socket_send_quick(socket, msg)
    if rc >= 0:
        if rc:
            with nogil:
                socket_attend(socket)
        return 0
    due_us = socket_due(socket, True, flags)
    while True:
        with nogil:
            rc = socket_send(socket, msg, flags, is_whole, due_us)
        if rc != -EINTR:
            return rc
        PyErr_CheckSignals()


cdef int lend_bytes(socket_t *socket) except -1:
    # Whoever receives `bytes` may get long ones without a copy. Only what has come before is expected to come again, so that nobody
    # is made to take memory by what a peer announces.
    cdef int32_t size = zc_load(&socket.host.wanted_bytes)
    if size:
        socket_lend(socket, pin_buffer(PyBytes_FromStringAndSize(NULL, size), None))
    return 0


cdef int message_in(socket_t *socket, msg_t *msg, int flags, bint is_whole, bint copy, bint *more) except? -1:
    cdef uint64_t due_us
    cdef int rc = socket_recv_quick(socket, msg, is_whole, more)
    if copy:
        lend_bytes(socket)
    if rc >= 0:
        if rc:
            with nogil:
                socket_attend(socket)
        return 0
    due_us = socket_due(socket, False, flags)
    while True:
        with nogil:
            rc = socket_recv(socket, msg, is_whole, more, due_us)
        if rc != -EINTR:
            return rc
        PyErr_CheckSignals()


# --- socket -------------------------------------------------------------------------------------------------------------

cdef class Socket:
    """Socket(context, socket_type)

    One ZeroMQ socket (zmq_socket(3)). May be shared between threads; send_multipart and recv_multipart are atomic.
    Blocking calls release the GIL, run signal handlers and end with ContextTerminated when the context ends.
    """

    # Buffers of fewer bytes are copied also with copy=False.
    copy_threshold = _tracker.COPY_THRESHOLD

    def __cinit__(self, *args, **kwargs):
        self._is_closed = 1
        self._type = -1

    @cython.critical_section
    def __init__(self, Context context not None, int socket_type):
        if self._socket != NULL:
            return
        self.context = context
        self._type = socket_type
        check(socket_new(context.open_context(), socket_type, &self._socket))
        self._forks = forks
        zc_store(&self._is_closed, 0)

    def __dealloc__(self):
        # A forked child leaves its parent's sockets alone: their locks may be held for ever there.
        if self.is_own():
            with nogil:
                if self._is_seated:
                    socket_stand(self._socket, False)
                socket_close(self._socket, NULL)
                socket_unref(self._socket)

    cdef bint is_own(self) noexcept:
        return self._socket != NULL and self._forks == forks

    cdef socket_t *open_socket(self) except NULL:
        if socket_of(self) == NULL:
            fail(-ENOTSOCK)
        return self._socket

    @property
    def closed(self):
        """Whether the socket is closed; operations on it fail with ENOTSOCK."""
        return zc_load(&self._is_closed) != 0

    @property
    def socket_type(self):
        """The socket type's number (zmq.REQ and so on)."""
        return self._type

    @property
    def underlying(self):
        """The engine's address of the socket, an int; for identification only."""
        return <size_t>self._socket

    def close(self, linger=None):
        """close(linger=None): closes the socket (zmq_close(3)); returns at once.

        linger: milliseconds that unsent messages may live on; sets ZMQ_LINGER. Closing twice does nothing.
        """
        cdef int32_t linger_ms = -1
        cdef const int32_t *at = NULL
        if zc_load(&self._is_closed) or self._socket == NULL:
            return
        if self._forks != forks:
            zc_store(&self._is_closed, 1)
            return
        if linger is not None:
            linger_ms = linger
            if linger_ms < -1:
                fail(-EINVAL)
            at = &linger_ms
        zc_store(&self._is_closed, 1)
        with nogil:
            socket_close(self._socket, at)

    # --- endpoints

    def bind(self, addr):
        """bind(addr): accepts connections at an endpoint (zmq_bind(3)).

        addr: str or bytes, for example "tcp://127.0.0.1:*", "ipc:///tmp/feed", "inproc://name".
        Raises ZMQError: EINVAL, EPROTONOSUPPORT, ENODEV, EADDRINUSE, EADDRNOTAVAIL, EMTHREAD, ENOTSOCK.
        """
        self.endpoint_call(socket_bind, addr)

    def connect(self, addr):
        """connect(addr): connects to an endpoint (zmq_connect(3)), in the background, again and again.

        Raises ZMQError: EINVAL, EPROTONOSUPPORT, EMTHREAD, ENOTSOCK.
        """
        self.endpoint_call(socket_connect, addr)

    def unbind(self, addr):
        """unbind(addr): stops accepting at an endpoint (zmq_unbind(3)); connections stay. ENOENT when there is none.
        What is only connected there is disconnected, as in libzmq."""
        self.endpoint_call(socket_unbind, addr)

    def disconnect(self, addr):
        """disconnect(addr): ends the connections to an endpoint (zmq_disconnect(3)). ENOENT when there is none.
        What is only bound there is unbound, as in libzmq."""
        self.endpoint_call(socket_disconnect, addr)

    def monitor(self, addr, int events=EVENT_ALL):
        """monitor(addr, events=EVENT_ALL): sends the events of this socket's connections to a PAIR socket bound to addr.

        addr: an inproc endpoint to connect a PAIR socket to (zmq_socket_monitor(3)); None ends the monitor. A monitor that
        was there before gets MONITOR_STOPPED. Events that a monitor leaves unread beyond the high-water marks are dropped.
        Raises ZMQError: EPROTONOSUPPORT, EINVAL, EADDRINUSE, EMFILE, ENOTSOCK.
        """
        cdef socket_t *socket = self.open_socket()
        cdef bytes text
        cdef const char *at = NULL
        cdef size_t size = 0
        cdef uint64_t wanted
        cdef int rc
        if events < 0:
            fail(-EINVAL)
        wanted = events
        if addr is not None:
            text = endpoint_text(addr)
            at = PyBytes_AS_STRING(text)
            size = PyBytes_GET_SIZE(text)
        with nogil:
            rc = socket_monitor(socket, at, size, wanted)
        check(rc)

    cdef int endpoint_call(self, int (*call)(socket_t *, const char *, size_t) noexcept nogil, object addr) except -1:
        cdef socket_t *socket = self.open_socket()
        cdef bytes text = endpoint_text(addr)
        cdef const char *at = PyBytes_AS_STRING(text)
        cdef size_t size = PyBytes_GET_SIZE(text)
        cdef int rc
        with nogil:
            rc = call(socket, at, size)
        return check(rc)

    # --- options

    def setsockopt_raw(self, int option, value):
        """setsockopt_raw(option, value): sets an option by number; int for number options, bytes for the others, None clears."""
        cdef socket_t *socket = self.open_socket()
        cdef int kind = options_kind(option)
        cdef int32_t number
        cdef int64_t number64
        cdef const void *at = NULL
        cdef size_t size = 0
        cdef int rc
        if kind == OPTION_KEY or option == OPTION_CURVE_SERVER:
            need_curve()
        if kind == OPTION_INT or kind == OPTION_FD_KIND:
            number = value
            at = &number
            size = sizeof(number)
        elif kind == OPTION_INT64:
            number64 = value
            at = &number64
            size = sizeof(number64)
        elif isinstance(value, bytes):
            at = PyBytes_AS_STRING(value)
            size = PyBytes_GET_SIZE(value)
        elif kind == OPTION_UNKNOWN:
            fail(-EINVAL)
        elif value is not None:
            raise TypeError(f"option {option} takes bytes, got: {value!r}")
        with nogil:
            rc = socket_set(socket, option, at, size)
        check(rc)

    def getsockopt_raw(self, int option):
        """getsockopt_raw(option) -> int or bytes: reads an option by number; strings without their final NUL."""
        cdef socket_t *socket = self.open_socket()
        cdef int kind = options_kind(option)
        cdef char buffer[2048]
        cdef size_t size = sizeof(buffer)
        cdef int rc
        if kind == OPTION_INT or kind == OPTION_FD_KIND:
            size = sizeof(int32_t)
        elif kind == OPTION_INT64:
            size = sizeof(int64_t)
        elif kind == OPTION_KEY:
            size = CURVE_KEY_Z85_BYTES + 1
        with nogil:
            rc = socket_get(socket, option, buffer, &size)
        check(rc)
        if kind == OPTION_INT or kind == OPTION_FD_KIND:
            return (<int32_t *>buffer)[0]
        if kind == OPTION_INT64:
            return (<int64_t *>buffer)[0]
        if (kind == OPTION_STRING or kind == OPTION_KEY) and size and buffer[size - 1] == 0:
            size -= 1
        return PyBytes_FromStringAndSize(buffer, size)

    # --- statistics

    def stats(self):
        """stats() -> dict: numbers of the whole socket, and under "peers" a dict for each of its connections.

        Queued, received, sent and dropped messages and bytes, and how often an outgoing pipe was full; what each name means
        is in Socket.stats_help(). Any thread, also while a proxy runs on the socket.
        """
        cdef socket_t *socket = self.open_socket()
        cdef peer_stats_t sum
        cdef peer_stats_t *peers = NULL
        cdef uint32_t count = 0, room = 0, i
        cdef int rc
        try:
            while True:
                with nogil:
                    rc = socket_stats(socket, peers, room, &count, &sum)
                check(rc)
                if count <= room:
                    break
                free(peers)
                room = count + 16
                peers = <peer_stats_t *>calloc(room, sizeof(peer_stats_t))
                if peers == NULL:
                    raise MemoryError()
            values = stats_dict(peer_stats_table(), <const char *>&sum)
            del values["serial"]
            values["peers"] = [stats_dict(peer_stats_table(), <const char *>&peers[i]) for i in range(count)]
            return values
        finally:
            free(peers)

    @staticmethod
    def stats_help():
        """stats_help() -> dict of name to (unit, meaning) of what stats() returns."""
        return stats_dict(peer_stats_table(), NULL)

    # --- messages

    cdef int send_msg(self, msg_t *msg, int flags, bint is_whole) except -1:
        return check(message_out(self._socket, msg, flags, is_whole))

    cdef int recv_msg(self, msg_t *msg, int flags, bint is_whole, bint copy, bint *more) except -1:
        return check(message_in(self._socket, msg, flags, is_whole, copy, more))

    cdef list push_shared(self, msg_t *msg, object data, bint track):
        # With copy=False: what is set when the engine has let go of data; [] when it has; None when it has not and nobody asks.
        if not track:
            return None if push_data(msg, data, True, self.copy_threshold, None) or isinstance(data, Frame) else []
        if isinstance(data, Frame):
            if data.tracker is None:
                raise ValueError("the frame was not made with track=True")
            push_data(msg, data, True, <size_t>SHARE_NONE, None)
            return [data.tracker]
        event = _tracker.Released()
        return [event] if push_data(msg, data, True, self.copy_threshold, event) else []

    def send(self, data, flags=0, bint copy=True, bint track=False):
        """send(data, flags=0, copy=True, track=False) -> None or MessageTracker

        Sends one part (zmq_msg_send(3)). data: bytes, any contiguous buffer, or Frame. flags: DONTWAIT, SNDMORE.
        copy=False: the engine reads buffers of copy_threshold bytes and more where they are: not to be changed before they are
        sent, which the MessageTracker knows that track=True asks for. Large bytes are never copied.
        Raises Again, ContextTerminated, or ZMQError: EFSM, EHOSTUNREACH, ENOTSUP, ENOTSOCK; TypeError for str; ValueError for
        a Frame that is to be tracked and was made without track=True.
        """
        cdef msg_t msg
        cdef int bits
        cdef list trackers = None
        cdef socket_t *socket = self.open_socket()
        pins_look(released)
        if flags is no_flags and copy and small_out(socket, data):
            return None
        bits = int_flags(flags)
        msg_init(&msg)
        try:
            if copy:
                push_data(&msg, data, bits & SOCKET_SNDMORE, <size_t>SHARE_NONE, None)
            else:
                trackers = self.push_shared(&msg, data, track)
            self.send_msg(&msg, bits, False)
        finally:
            msg_fini(&msg)
        return None if trackers is None else tracker_of(trackers)

    def recv(self, flags=0, bint copy=True, bint track=False):
        """recv(flags=0, copy=True, track=False) -> bytes, or Frame when copy is False

        Receives one part (zmq_msg_recv(3)). flags: DONTWAIT.
        Raises Again, ContextTerminated, or ZMQError: EFSM, ENOTSUP, ENOTSOCK.
        """
        cdef msg_t msg
        cdef bint more = False
        cdef int bits
        cdef socket_t *socket = self.open_socket()
        if copy and flags is no_flags:
            found = small_in(socket)
            if found is not None:
                return found
        bits = int_flags(flags)
        msg_init(&msg)
        try:
            self.recv_msg(&msg, bits, False, copy, &more)
            return take_part(&msg, 0, copy, more)
        finally:
            msg_fini(&msg)

    def recv_into(self, buffer, /, *, Py_ssize_t nbytes=0, flags=0):
        """recv_into(buffer, *, nbytes=0, flags=0) -> int

        Receives one part into a writable contiguous buffer, at most nbytes of it (0: all of the buffer).
        Returns the size of the message, which is larger than what was stored when it had to be cut (zmq_recv(3)).
        """
        cdef msg_t msg
        cdef Py_buffer view
        cdef bint more = False
        cdef size_t room
        cdef int bits = int_flags(flags)
        self.open_socket()
        room = writable_room(buffer, nbytes, &view)
        msg_init(&msg)
        try:
            self.recv_msg(&msg, bits, False, False, &more)
            if msg.parts[0].size < room:
                room = msg.parts[0].size
            if room:
                memcpy(view.buf, msg.parts[0].at, room)
            return msg.parts[0].size
        finally:
            msg_fini(&msg)
            PyBuffer_Release(&view)

    def send_multipart(self, msg_parts, flags=0, bint copy=True, bint track=False):
        """send_multipart(msg_parts, flags=0, copy=True, track=False) -> None or MessageTracker

        Sends a whole message, given as an iterable of parts, in one piece: all of it or nothing. Else as send().
        """
        cdef msg_t msg
        cdef int bits = int_flags(flags)
        cdef list parts = list(msg_parts)
        cdef list trackers = []
        self.open_socket()
        pins_look(released)
        if not parts:
            raise ValueError("a message needs at least one part")
        msg_init(&msg)
        try:
            for i, part in enumerate(parts):
                try:
                    if copy:
                        push_data(&msg, part, bits & SOCKET_SNDMORE, <size_t>SHARE_NONE, None)
                    else:
                        found = self.push_shared(&msg, part, track)
                        if track:
                            trackers += found
                        else:
                            trackers = found
                except TypeError as error:
                    raise TypeError(f"part {i} of the message: {error}") from None
            self.send_msg(&msg, bits, not bits & SOCKET_SNDMORE)
        finally:
            msg_fini(&msg)
        return None if copy or trackers is None else tracker_of(trackers)

    def recv_multipart(self, flags=0, bint copy=True, bint track=False):
        """recv_multipart(flags=0, copy=True, track=False) -> list of bytes, or of Frame when copy is False

        Receives a whole message, or the parts that recv has not yet taken of one.
        """
        cdef msg_t msg
        cdef bint more = False
        cdef int bits = int_flags(flags)
        self.open_socket()
        msg_init(&msg)
        try:
            self.recv_msg(&msg, bits, True, copy, &more)
            return take_parts(&msg, copy)
        finally:
            msg_fini(&msg)

    def send_many(self, messages, flags=0):
        """send_many(messages, flags=0) -> int

        Sends many messages under one lock. messages: an iterable of bytes-like objects (or Frames), each a message of one part,
        and lists or tuples of them, each a message of several. flags: DONTWAIT. Returns how many were sent: less than all of them
        when a timeout, DONTWAIT or an error came in between; raises as send() does when that was before the first. The timeout is
        that of the whole call. EFSM on a REQ or REP beyond the message that is its turn, or behind a SNDMORE.
        """
        cdef batch_t batch
        cdef uint32_t sent = 0
        cdef uint64_t due_us
        cdef int bits = int_flags(flags)
        cdef int rc = 0
        cdef socket_t *socket = self.open_socket()
        if bits & SOCKET_SNDMORE:
            fail(-EINVAL)
        pins_look(released)
        # What is borrowed for the call stays alive in these, also when the caller's lists change meanwhile.
        cdef list items = list(messages)
        cdef list kept = []
        batch_init(&batch)
        try:
            push_messages(&batch, items, kept)
            due_us = socket_due(socket, True, bits)
            while sent < batch.count:
                with nogil:
                    rc = socket_send_many(socket, &batch, &sent, due_us)
                if rc != -EINTR:
                    break
                PyErr_CheckSignals()
            if rc != 0 and not sent:
                fail(rc)
            return sent
        finally:
            batch_fini(&batch)

    def recv_many(self, Py_ssize_t max_messages, flags=0):
        """recv_many(max_messages, flags=0) -> list

        Receives the messages that are there, at most max_messages, under one lock; waits for the first as recv() does. A message
        of one part is bytes, a message of several a list of bytes. flags: DONTWAIT.
        """
        cdef batch_t batch
        cdef uint64_t due_us
        cdef uint32_t most
        cdef int bits = int_flags(flags)
        cdef int rc
        cdef socket_t *socket = self.open_socket()
        if max_messages < 1:
            raise ValueError(f"max_messages={max_messages} is less than 1")
        most = <uint32_t>min(max_messages, 0x7fffffff)
        pins_look(released)
        batch_init(&batch)
        try:
            lend_bytes(socket)
            due_us = socket_due(socket, False, bits)
            while True:
                with nogil:
                    rc = socket_recv_many(socket, &batch, most, due_us)
                if rc != -EINTR:
                    break
                PyErr_CheckSignals()
            check(rc)
            return take_messages(&batch)
        finally:
            batch_fini(&batch)

    def poll(self, timeout=None, int flags=1):
        """poll(timeout=None, flags=POLLIN) -> int

        Waits at most timeout milliseconds (None or negative: for ever) for any of the events; the events that are there.
        """
        cdef long long timeout_ms = -1 if timeout is None else int(timeout)
        self.open_socket()
        for _, events in poll_items([(self, flags)], timeout_ms):
            return events
        return 0


cdef socket_t *socket_of(Socket socket) noexcept:
    return NULL if zc_load(&socket._is_closed) or socket._forks != forks else socket._socket


# --- statistics -----------------------------------------------------------------------------------------------------------

cdef dict stats_dict(const stat_t *stat, const char *at):
    cdef dict found = {}
    while stat.name != NULL:
        if at != NULL:
            found[stat.name.decode()] = (<const uint64_t *>(at + stat.offset))[0]
        else:
            found[stat.name.decode()] = (stat.unit.decode(), stat.text.decode())
        stat += 1
    return found


# --- poll ---------------------------------------------------------------------------------------------------------------

cdef int poll_table(poll_item_t *table, int count, long long timeout_ms) except? -1:
    cdef uint64_t due_us = 0
    cdef int rc
    if timeout_ms == 0:
        due_us = 1
    elif timeout_ms > 0:
        due_us = zc_now_us() + <uint64_t>timeout_ms * 1000
    while True:
        with nogil:
            rc = poll_wait(table, count, due_us)
        if rc != -EINTR:
            return rc
        PyErr_CheckSignals()


cdef list poll_items(object items, long long timeout_ms):
    cdef list asked = list(items)
    cdef list targets = []          # keeps the sockets alive; a pair may be changed while we wait
    cdef Py_ssize_t count = len(asked)
    cdef poll_item_t *table
    cdef Py_ssize_t i
    table = <poll_item_t *>calloc(count + 1, sizeof(poll_item_t))
    if table == NULL:
        raise MemoryError()
    try:
        for i in range(count):
            target, events = asked[i]
            targets.append(target)
            table[i].events = events
            table[i].fd = -1
            if isinstance(target, Socket):
                table[i].socket = (<Socket>target).open_socket()
            elif isinstance(target, int):
                table[i].fd = target
            elif hasattr(target, "fileno"):
                table[i].fd = int(target.fileno())
            else:
                raise TypeError(f"Socket must be a 0MQ socket, an integer fd or have a fileno() method: {target!r}")
        check(poll_table(table, <int>count, timeout_ms))
        return [(targets[i], table[i].revents) for i in range(count) if table[i].revents]
    finally:
        free(table)


def zmq_poll(items, timeout_ms=-1):
    """zmq_poll(items, timeout_ms=-1) -> list of (object, events)

    Waits for events on sockets, fds and objects with fileno() (zmq_poll(3)). items: pairs of object and POLL* bits;
    timeout_ms: milliseconds, negative for ever. Only items with events are returned.
    """
    return poll_items(items, int(timeout_ms))
