# zmqcore/_core.pyx -- the Python face: arguments in, exceptions out (floor 9).
#
# The only module below the .py files that knows Python objects, exceptions and the GIL. Every call that may wait or makes a
# system call releases the GIL, comes back to run signal handlers (-EINTR) and then goes on with the same deadline.
# Nobody ever waits for the GIL with a socket lock held; waiting for a socket lock with the GIL held would be allowed.
from cpython.buffer cimport (
    PyBUF_CONTIG_RO, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cpython.unicode cimport PyUnicode_AsUTF8String
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from zmqcore._context cimport (
    context_free, context_get, context_new, context_set, context_shutdown, context_t, context_wait_terminated,
)
from zmqcore._limits cimport LARGE_BODY_BYTES
from zmqcore._monitor cimport EVENT_ALL
from zmqcore._options cimport (
    OPTION_BYTES, OPTION_FD_KIND, OPTION_INT, OPTION_INT64, OPTION_STRING, OPTION_UINT64, OPTION_UNKNOWN,
    options_kind,
)
from zmqcore._pipe cimport msg_fini, msg_init, msg_push, msg_push_copy, msg_t, store_new, store_ref, store_t, store_unref
from zmqcore._poll cimport poll_item_t, poll_wait
from zmqcore._proxy cimport (
    ORDER_PAUSE, ORDER_RESUME, proxy_begin, proxy_end, proxy_fini, proxy_init, proxy_run, proxy_sample, proxy_stats_t,
    proxy_stats_table, proxy_stop, proxy_t, proxy_tell,
)
from zmqcore._socket cimport (
    SOCKET_SNDMORE, socket_attend, socket_bind, socket_close, socket_connect, socket_disconnect, socket_due, socket_get,
    socket_new, socket_recv, socket_recv_quick, socket_send, socket_send_quick, socket_set, socket_t, socket_unbind,
    socket_unref,
)
from zmqcore._socket_monitor cimport socket_monitor
from zmqcore._stats cimport peer_stats_t, peer_stats_table, socket_stats, stat_t
from zmqcore._sys cimport (
    EAGAIN, EFAULT, EINTR, EINVAL, ENOMEM, ENOTSOCK, ETERM, calloc, free, getpid, memcpy, zc_load, zc_now_us,
)

from zmqcore import errors, tracker as _tracker

cdef int last_errno = 0     # zmq_errno(): the last error that a call here has raised, guarded by the GIL


cdef int fail(int rc) except -1:
    # The one place where a negative code becomes an exception.
    global last_errno
    last_errno = -rc
    if rc == -ENOMEM:
        raise MemoryError()
    raise errors.error_for(-rc)


cdef inline int check(int rc) except -1:
    return fail(rc) if rc < 0 else rc


def strerror(int errno):
    """strerror(errno) -> str: the text of an error number, ZeroMQ's own ones included (zmq_strerror(3))."""
    return errors.error_for(errno).strerror


def zmq_errno():
    """zmq_errno() -> int: the number of the last error raised here in this process (zmq_errno(3)); 0 before the first."""
    return last_errno


# --- context ------------------------------------------------------------------------------------------------------------

cdef class Context:
    """Context(io_threads=1)

    The container of sockets and I/O threads of one process (zmq_ctx_new(3)). Thread-safe.
    """

    cdef context_t *_context
    cdef int _pid
    cdef bint _is_over
    cdef object __weakref__

    def __init__(self, int io_threads=1):
        if self._context != NULL:
            return
        if io_threads < 0:
            fail(-EINVAL)
        self._context = context_new(io_threads)
        if self._context == NULL:
            raise MemoryError()
        self._pid = getpid()

    def __dealloc__(self):
        # Waits for nothing. What still lingers, or lives on in a forked child's copy, is left to the end of the process.
        cdef bint is_empty
        if self._context == NULL or self._pid != getpid():
            return
        is_empty = self._is_over
        if not is_empty:
            with nogil:
                context_shutdown(self._context)
                is_empty = context_wait_terminated(self._context, 1) == 0
        if is_empty:
            with nogil:
                context_free(self._context)

    cdef context_t *open_context(self) except NULL:
        if self._context == NULL or self._is_over:
            fail(-EFAULT)
        return self._context

    def term(self):
        """Ends the context (zmq_ctx_term(3)): calls on its sockets fail with ETERM; waits until all are closed and flushed.

        Does nothing when it has ended already. An exception raised by a signal handler leaves it half ended: call again.
        """
        cdef int rc = -EAGAIN
        if self._context == NULL or self._is_over:
            return
        if self._pid != getpid():
            self._is_over = True
            return
        with nogil:
            context_shutdown(self._context)
        while rc == -EAGAIN:
            with nogil:
                rc = context_wait_terminated(self._context, zc_now_us() + 50000)
            PyErr_CheckSignals()
        self._is_over = True

    def shutdown(self):
        """Makes every call on its sockets fail with ETERM, without waiting (zmq_ctx_shutdown(3))."""
        if self._context != NULL and not self._is_over and self._pid == getpid():
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
        return self._context == NULL or self._is_over

    @property
    def underlying(self):
        """The engine's address of the context, an int; for identification only."""
        return <size_t>self._context


# --- frame --------------------------------------------------------------------------------------------------------------

cdef class Frame:
    """Frame(data=None, track=False, copy=None, copy_threshold=None)

    One part of a message, immutable, with the buffer protocol: what recv(copy=False) returns and send() takes.
    data: bytes-like; it is copied, so that a tracker is done at once.
    """

    cdef const uint8_t *_at
    cdef size_t _size
    cdef store_t *_store
    cdef bint _more
    cdef object _tracker
    cdef object __weakref__

    def __init__(self, data=None, bint track=False, copy=None, copy_threshold=None):
        cdef Py_buffer view
        if self._store != NULL:
            return                  # somebody may hold a buffer of what is here
        self._tracker = _tracker.FINISHED if track else None
        if data is None:
            return
        if isinstance(data, str):
            raise TypeError("Unicode strings are not allowed. Only: bytes, buffer interfaces.")
        PyObject_GetBuffer(data, &view, PyBUF_CONTIG_RO)
        try:
            store = store_new(view.len)
            if store == NULL:
                raise MemoryError()
            memcpy(store.data, view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
        self._store = store
        self._at = store.data
        self._size = store.size

    def __dealloc__(self):
        if self._store != NULL:
            store_unref(self._store)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, <void *>self._at if self._at != NULL else <void *>b"", self._size, 1, flags)

    def __len__(self):
        return self._size

    def __eq__(self, other):
        if isinstance(other, Frame):
            return self.bytes == other.bytes
        return NotImplemented

    __hash__ = None

    def __getitem__(self, item):
        return self.bytes[item]

    def __copy__(self):
        """Another Frame of the same bytes, which are shared."""
        return frame_over(self._at, self._size, self._store, self._more)

    def __bytes__(self):
        return self.bytes

    def __str__(self):
        return self.bytes.decode("utf8", "replace")

    def __repr__(self):
        return f"<{type(self).__module__}.{type(self).__name__}({bytes(self.bytes[:16])!r}{'...' if self._size > 16 else ''})>"

    @property
    def bytes(self):
        """The contents as bytes; a copy, made at each access."""
        return PyBytes_FromStringAndSize(<const char *>self._at, self._size)

    @property
    def buffer(self):
        """The contents as a read-only memoryview, without a copy."""
        return memoryview(self)

    @property
    def more(self):
        """Whether more parts of the same message follow (ZMQ_RCVMORE)."""
        return self._more

    @property
    def tracker(self):
        """The MessageTracker asked for with track=True, else None."""
        return self._tracker

    def get(self, option):
        """get(option) -> int or str: a message property (zmq_msg_get(3)): MORE is 1, SHARED 3. EINVAL for others."""
        if option == 1:
            return int(self._more)
        if option == 3:
            return int(self._store != NULL and zc_load(&self._store.refs) > 1)
        fail(-EINVAL)

    def set(self, option, value):
        """set(option, value): there is no property that can be set: EINVAL (zmq_msg_set(3))."""
        fail(-EINVAL)


cdef Frame frame_over(const uint8_t *at, size_t size, store_t *store, bint more):
    # A frame that shares the store; a small body is copied, so that it does not keep a whole read buffer alive.
    cdef Frame frame = Frame.__new__(Frame)
    frame._more = more
    frame._size = size
    if size == 0:
        return frame
    if store != NULL and size >= LARGE_BODY_BYTES:
        store_ref(store)
        frame._store = store
        frame._at = at
        return frame
    frame._store = store_new(size)
    if frame._store == NULL:
        raise MemoryError()
    memcpy(frame._store.data, at, size)
    frame._at = frame._store.data
    return frame


# --- messages from and to Python ------------------------------------------------------------------------------------------

cdef int push_data(msg_t *msg, object data, bint is_kept, list views) except -1:
    # Appends one part for the time of the call, or (is_kept) for longer. views keeps borrowed buffers until the caller is done.
    cdef Frame frame
    cdef Py_buffer view
    cdef const uint8_t *at
    cdef size_t size
    cdef int rc
    if PyBytes_CheckExact(data):
        at = <const uint8_t *>PyBytes_AS_STRING(data)
        size = PyBytes_GET_SIZE(data)
        if is_kept or size >= LARGE_BODY_BYTES:
            rc = msg_push_copy(msg, at, size)
        else:
            rc = msg_push(msg, at, size, NULL)
    elif isinstance(data, Frame):
        frame = <Frame>data
        if frame._store != NULL:
            store_ref(frame._store)
        rc = msg_push(msg, frame._at, frame._size, frame._store)
        if rc != 0 and frame._store != NULL:
            store_unref(frame._store)
    elif isinstance(data, str):
        raise TypeError("unicode not allowed, use send_string")
    elif not PyObject_CheckBuffer(data):
        raise TypeError(f"{data!r} does not support the buffer interface")
    else:
        PyObject_GetBuffer(data, &view, PyBUF_CONTIG_RO)
        rc = msg_push_copy(msg, <const uint8_t *>view.buf, view.len)
        PyBuffer_Release(&view)
    if rc != 0:
        raise MemoryError()
    return 0


cdef object take_part(msg_t *msg, uint32_t i, bint copy, bint more):
    if copy:
        return PyBytes_FromStringAndSize(<const char *>msg.parts[i].at, msg.parts[i].size)
    return frame_over(msg.parts[i].at, msg.parts[i].size, msg.parts[i].store, more)


cdef bytes endpoint_text(object addr):
    if isinstance(addr, str):
        return PyUnicode_AsUTF8String(addr)
    if isinstance(addr, bytes):
        return addr
    raise TypeError(f"expected str or bytes, got: {addr!r}")


cdef int int_flags(object flags) except? -1:
    if isinstance(flags, float):
        raise TypeError("flags must be an int, not float")
    return flags


# --- socket -------------------------------------------------------------------------------------------------------------

cdef class Socket:
    """Socket(context, socket_type)

    One ZeroMQ socket (zmq_socket(3)). May be shared between threads; send_multipart and recv_multipart are atomic.
    Blocking calls release the GIL, run signal handlers and end with ContextTerminated when the context ends.
    """

    cdef socket_t *_socket
    cdef int _pid
    cdef bint _is_closed
    cdef int _type
    cdef readonly Context context
    cdef object __weakref__

    def __cinit__(self, *args, **kwargs):
        self._is_closed = True
        self._type = -1

    def __init__(self, Context context not None, int socket_type):
        if self._socket != NULL:
            return
        self.context = context
        self._type = socket_type
        check(socket_new(context.open_context(), socket_type, &self._socket))
        self._pid = getpid()
        self._is_closed = False

    def __dealloc__(self):
        # A forked child leaves its parent's sockets alone: their locks may be held for ever there.
        if self._socket != NULL and self._pid == getpid():
            with nogil:
                socket_close(self._socket, NULL)
                socket_unref(self._socket)

    cdef socket_t *open_socket(self) except NULL:
        if self._is_closed or self._socket == NULL:
            fail(-ENOTSOCK)
        return self._socket

    @property
    def closed(self):
        """Whether the socket is closed; operations on it fail with ENOTSOCK."""
        return self._is_closed

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
        if self._is_closed or self._socket == NULL:
            return
        if self._pid != getpid():
            self._is_closed = True
            return
        if linger is not None:
            linger_ms = linger
            if linger_ms < -1:
                fail(-EINVAL)
            at = &linger_ms
        self._is_closed = True
        with nogil:
            socket_close(self._socket, at)

    # --- endpoints

    def bind(self, addr):
        """bind(addr): accepts connections at an endpoint (zmq_bind(3)).

        addr: str or bytes, for example "tcp://127.0.0.1:*", "ipc:///tmp/feed", "inproc://name".
        Raises ZMQError: EINVAL, EPROTONOSUPPORT, ENODEV, EADDRINUSE, EADDRNOTAVAIL, EMTHREAD, ETERM, ENOTSOCK.
        """
        self.endpoint_call(socket_bind, addr)

    def connect(self, addr):
        """connect(addr): connects to an endpoint (zmq_connect(3)), in the background, again and again.

        Raises ZMQError: EINVAL, EPROTONOSUPPORT, EMTHREAD, ETERM, ENOTSOCK.
        """
        self.endpoint_call(socket_connect, addr)

    def unbind(self, addr):
        """unbind(addr): stops accepting at an endpoint (zmq_unbind(3)); connections stay. ENOENT when it is not bound."""
        self.endpoint_call(socket_unbind, addr)

    def disconnect(self, addr):
        """disconnect(addr): ends the connections to an endpoint (zmq_disconnect(3)). ENOENT when there is none."""
        self.endpoint_call(socket_disconnect, addr)

    def monitor(self, addr, int events=EVENT_ALL):
        """monitor(addr, events=EVENT_ALL): sends the events of this socket's connections to a PAIR socket bound to addr.

        addr: an inproc endpoint to connect a PAIR socket to (zmq_socket_monitor(3)); None ends the monitor. A monitor that
        was there before gets MONITOR_STOPPED. Events that a monitor leaves unread beyond the high-water marks are dropped.
        Raises ZMQError: EPROTONOSUPPORT, EINVAL, EADDRINUSE, EMFILE, ETERM, ENOTSOCK.
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
        cdef uint64_t unumber64
        cdef const void *at = NULL
        cdef size_t size = 0
        cdef int rc
        if kind == OPTION_INT or kind == OPTION_FD_KIND:
            number = value
            at = &number
            size = sizeof(number)
        elif kind == OPTION_INT64:
            number64 = value
            at = &number64
            size = sizeof(number64)
        elif kind == OPTION_UINT64:
            unumber64 = value
            at = &unumber64
            size = sizeof(unumber64)
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
        elif kind == OPTION_INT64 or kind == OPTION_UINT64:
            size = sizeof(int64_t)
        with nogil:
            rc = socket_get(socket, option, buffer, &size)
        check(rc)
        if kind == OPTION_INT or kind == OPTION_FD_KIND:
            return (<int32_t *>buffer)[0]
        if kind == OPTION_INT64:
            return (<int64_t *>buffer)[0]
        if kind == OPTION_UINT64:
            return (<uint64_t *>buffer)[0]
        if kind == OPTION_STRING and size and buffer[size - 1] == 0:
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
        cdef socket_t *socket = self._socket
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
                return check(rc)
            PyErr_CheckSignals()

    cdef int recv_msg(self, msg_t *msg, int flags, bint is_whole, bint *more) except -1:
        cdef socket_t *socket = self._socket
        cdef uint64_t due_us
        cdef int rc = socket_recv_quick(socket, msg, is_whole, more)
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
                return check(rc)
            PyErr_CheckSignals()

    def send(self, data, flags=0, bint copy=True, bint track=False):
        """send(data, flags=0, copy=True, track=False) -> None or MessageTracker

        Sends one part (zmq_msg_send(3)). data: bytes, any contiguous buffer, or Frame. flags: DONTWAIT, SNDMORE.
        Raises Again, ContextTerminated, or ZMQError: EFSM, EHOSTUNREACH, ENOTSUP, ENOTSOCK; TypeError for str.
        """
        cdef msg_t msg
        cdef int bits = int_flags(flags)
        self.open_socket()
        msg_init(&msg)
        try:
            push_data(&msg, data, bits & SOCKET_SNDMORE, None)
            self.send_msg(&msg, bits, False)
        finally:
            msg_fini(&msg)
        return None if copy else _tracker.FINISHED

    def recv(self, flags=0, bint copy=True, bint track=False):
        """recv(flags=0, copy=True, track=False) -> bytes, or Frame when copy is False

        Receives one part (zmq_msg_recv(3)). flags: DONTWAIT.
        Raises Again, ContextTerminated, or ZMQError: EFSM, ENOTSUP, ENOTSOCK.
        """
        cdef msg_t msg
        cdef bint more = False
        cdef int bits = int_flags(flags)
        self.open_socket()
        msg_init(&msg)
        try:
            self.recv_msg(&msg, bits, False, &more)
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
        if nbytes < 0:
            raise ValueError(f"nbytes={nbytes} is negative")
        PyObject_GetBuffer(buffer, &view, PyBUF_CONTIG_RO | PyBUF_WRITABLE)
        msg_init(&msg)
        try:
            room = view.len
            if <size_t>nbytes > room:
                raise ValueError(f"nbytes={nbytes} is more than the buffer's {room} bytes")
            if nbytes:
                room = nbytes
            self.recv_msg(&msg, bits, False, &more)
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

        Sends a whole message, given as an iterable of parts, in one piece: all of it or nothing.
        """
        cdef msg_t msg
        cdef int bits = int_flags(flags)
        cdef list parts = list(msg_parts)
        self.open_socket()
        if not parts:
            raise ValueError("a message needs at least one part")
        msg_init(&msg)
        try:
            for i, part in enumerate(parts):
                try:
                    push_data(&msg, part, bits & SOCKET_SNDMORE, None)
                except TypeError as error:
                    raise TypeError(f"part {i} of the message: {error}") from None
            self.send_msg(&msg, bits, not bits & SOCKET_SNDMORE)
        finally:
            msg_fini(&msg)
        return None if copy else _tracker.FINISHED

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
            self.recv_msg(&msg, bits, True, &more)
            return [take_part(&msg, i, copy, i + 1 < msg.count) for i in range(msg.count)]
        finally:
            msg_fini(&msg)

    def poll(self, timeout=None, int flags=1):
        """poll(timeout=None, flags=POLLIN) -> int

        Waits at most timeout milliseconds (None or negative: for ever) for any of the events; the events that are there.
        """
        cdef long long timeout_ms = -1 if timeout is None else int(timeout)
        self.open_socket()
        for _, events in poll_items([(self, flags)], timeout_ms):
            return events
        return 0


# --- poll ---------------------------------------------------------------------------------------------------------------

cdef list poll_items(object items, long long timeout_ms):
    cdef list asked = list(items)
    cdef list targets = []          # keeps the sockets alive; a pair may be changed while we wait
    cdef Py_ssize_t count = len(asked)
    cdef poll_item_t *table
    cdef uint64_t due_us = 0
    cdef int rc
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
        if timeout_ms == 0:
            due_us = 1
        elif timeout_ms > 0:
            due_us = zc_now_us() + <uint64_t>timeout_ms * 1000
        while True:
            with nogil:
                rc = poll_wait(table, <int>count, due_us)
            if rc != -EINTR:
                break
            PyErr_CheckSignals()
        check(rc)
        return [(targets[i], table[i].revents) for i in range(count) if table[i].revents]
    finally:
        free(table)


def zmq_poll(items, timeout_ms=-1):
    """zmq_poll(items, timeout_ms=-1) -> list of (object, events)

    Waits for events on sockets, fds and objects with fileno() (zmq_poll(3)). items: pairs of object and POLL* bits;
    timeout_ms: milliseconds, negative for ever. Only items with events are returned.
    """
    return poll_items(items, int(timeout_ms))


# --- proxy --------------------------------------------------------------------------------------------------------------

cdef socket_t *proxy_socket(object socket, str name, bint is_optional) except? NULL:
    if socket is None and is_optional:
        return NULL
    if not isinstance(socket, Socket):
        raise TypeError(f"{name} must be a Socket, not {type(socket).__name__}")
    return (<Socket>socket).open_socket()


cdef class ProxyLoop:
    """ProxyLoop(frontend, backend, capture=None, control=None)

    A proxy that other threads can watch and steer while run() forwards. See zmqcore.Proxy, which adds a thread to it.
    """

    cdef proxy_t _proxy
    cdef bint _is_running       # GIL (or the loop's own thread)
    cdef readonly Socket frontend
    cdef readonly Socket backend
    cdef readonly Socket capture
    cdef readonly Socket control
    cdef object __weakref__

    def __init__(self, frontend, backend, capture=None, control=None):
        if self._proxy.frontend != NULL:
            return
        proxy_socket(frontend, "frontend", False)
        proxy_socket(backend, "backend", False)
        proxy_socket(capture, "capture", True)
        proxy_socket(control, "control", True)
        self.frontend = frontend
        self.backend = backend
        self.capture = capture
        self.control = control
        proxy_init(&self._proxy, self.frontend._socket, self.backend._socket,
                   self.capture._socket if capture is not None else NULL,
                   self.control._socket if control is not None else NULL)

    def __dealloc__(self):
        if self._proxy.frontend != NULL:
            proxy_fini(&self._proxy)

    cdef proxy_t *open_proxy(self) except NULL:
        # A subclass may not have called __init__.
        if self._proxy.frontend == NULL:
            fail(-EFAULT)
        return &self._proxy

    def run(self):
        """Forwards in the calling thread until stop() or TERMINATE; returns None then. Otherwise raises, as proxy does."""
        cdef int rc
        self.open_proxy()
        if self._is_running:
            raise RuntimeError("this proxy is running already")
        for socket in (self.frontend, self.backend, self.capture, self.control):
            if socket is not None:
                (<Socket>socket).open_socket()
        self._is_running = True
        try:
            with nogil:
                rc = proxy_begin(&self._proxy)
            check(rc)
            try:
                while True:
                    with nogil:
                        rc = proxy_run(&self._proxy)
                    if rc != -EINTR:
                        check(rc)
                        return
                    PyErr_CheckSignals()
            finally:
                with nogil:
                    proxy_end(&self._proxy)
        finally:
            self._is_running = False

    @property
    def running(self):
        """Whether run() is under way."""
        return self._is_running

    def pause(self):
        """Stops forwarding until resume(); messages wait in the sockets."""
        proxy_tell(self.open_proxy(), ORDER_PAUSE)

    def resume(self):
        """Forwards again."""
        proxy_tell(self.open_proxy(), ORDER_RESUME)

    def stop(self):
        """Makes run() return, between two messages; what is queued stays in the sockets. A later run() goes on from there."""
        proxy_stop(self.open_proxy())

    def stats(self):
        """stats() -> dict of str to int: what was forwarded, what waits, who is connected (see stats_help). Any thread."""
        cdef proxy_stats_t sample
        cdef proxy_t *proxy = self.open_proxy()
        with nogil:
            proxy_sample(proxy, &sample)
        return stats_dict(proxy_stats_table(), <const char *>&sample)

    @staticmethod
    def stats_help():
        """stats_help() -> dict of name to (unit, meaning) of what stats() returns."""
        return stats_dict(proxy_stats_table(), NULL)


cdef dict stats_dict(const stat_t *stat, const char *at):
    # Of name to value; without a struct to read, to (unit, meaning).
    cdef dict found = {}
    while stat.name != NULL:
        if at != NULL:
            found[stat.name.decode()] = (<const uint64_t *>(at + stat.offset))[0]
        else:
            found[stat.name.decode()] = (stat.unit.decode(), stat.text.decode())
        stat += 1
    return found


def proxy(frontend, backend, capture=None):
    """proxy(frontend, backend, capture=None)

    Forwards messages between two sockets, both ways, in the calling thread, until the context ends (zmq_proxy(3)).
    capture: a PUB, DEALER, PUSH or PAIR socket that gets a copy of every message. Never returns: raises
    ContextTerminated (ETERM), another ZMQError, or what a signal handler raises.
    """
    ProxyLoop(frontend, backend, capture).run()


def proxy_steerable(frontend, backend, capture=None, control=None):
    """proxy_steerable(frontend, backend, capture=None, control=None) -> int

    As proxy, steered by the messages PAUSE, RESUME, STATISTICS and TERMINATE on the control socket
    (zmq_proxy_steerable(3)). Returns 0 after TERMINATE.
    """
    ProxyLoop(frontend, backend, capture, control).run()
    return 0
