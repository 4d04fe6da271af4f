# zmqcore/_core_backend.pyx -- Context, Socket and Frame as pyzmq wants them of a backend (a half of _core, see zmqcore/pyzmq.py).
#
# A Socket here is a handle: it points to a Socket of _core, and its shadows point to the same one. `underlying` is the number of
# that one in a table. Numbers are never used twice, so that a stale one finds nothing; memory is counted as everywhere, and no
# number is ever followed as an address.
# Errors are pyzmq's exceptions (`wrong`), so what is called here returns negative errno; where _core raises its own, they are
# translated (`translated`).
# pyzmq is half made when this is imported, and its parts are looked up at their first use (`pyzmq`).
from cpython.buffer cimport PyBUF_ANY_CONTIGUOUS, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, uint32_t, uint64_t
from zmqcore._context cimport context_get, context_set, context_t
from zmqcore._core cimport Context as CoreContext
from zmqcore._core cimport Socket as CoreSocket
from zmqcore._core cimport (
    context_of, endpoint_text, message_in, message_out, poll_table, small_in, small_out, socket_of,
)
from zmqcore._errno cimport note
from zmqcore._frame cimport SHARE_NONE, frame_fill, frame_option, frame_receive, frame_share, push_data, take_part
from zmqcore._frame cimport Frame as CoreFrame
from zmqcore._message cimport msg_fini, msg_init, msg_t
from zmqcore._options cimport (
    OPTION_BYTES, OPTION_EVENTS, OPTION_FD, OPTION_KEY, OPTION_RCVMORE, OPTION_RCVTIMEO, OPTION_SNDTIMEO, OPTION_STRING,
    options_kind,
)
from zmqcore._pin cimport pin_buffer, pins_look, pins_waiting
from zmqcore._poll cimport poll_item_t
from zmqcore._socket cimport (
    SOCKET_SNDMORE, socket_bind, socket_connect, socket_disconnect, socket_events_quick, socket_get, socket_t,
    socket_unbind,
)
from zmqcore._sys cimport (
    EAGAIN, EFAULT, EINTR, EINVAL, ENAMETOOLONG, ENOENT, ENOMEM, ENOTSOCK, ETERM, calloc, free, zc_add_u64, zc_load, zc_store,
)
from zmqcore._sys_net cimport IPC_PATH_BYTES_MAX

import weakref

from zmqcore.errors import ZMQError as CoreError
from zmqcore.tracker import Released

cdef const int32_t *released = pins_waiting()

# Number -> Context or Socket of _core, as long as it is open. The GIL, or the dict's own lock, guards it.
cdef dict handles = {}
cdef uint64_t last_number = 0   # atomic


cdef size_t handle_new(object made):
    cdef size_t number = zc_add_u64(&last_number, 1)
    handles[number] = made
    return number


cdef object pyzmq_module = None


cdef object pyzmq():
    global pyzmq_module
    if pyzmq_module is None:
        import zmq
        pyzmq_module = zmq
    return pyzmq_module


# --- errors -------------------------------------------------------------------------------------------------------------------

def error_for(int errno):
    """error_for(errno) -> the exception of pyzmq that stands for it."""
    error = pyzmq().error
    if errno == ENOMEM:
        return MemoryError()
    if errno == EAGAIN:
        return error.Again(errno)
    if errno == ETERM:
        return error.ContextTerminated(errno)
    if errno == EINTR:
        return error.InterruptedSystemCall(errno)
    return error.ZMQError(errno)


cdef int wrong(int rc) except -1:
    note(rc)
    raise error_for(-rc)


cdef inline int right(int rc) except -1:
    return wrong(rc) if rc < 0 else rc


cpdef object translated(error):
    """translated(error) -> the exception of pyzmq for one of this package."""
    note(-<int>error.errno)
    return error_for(error.errno)


# --- context ------------------------------------------------------------------------------------------------------------------

cdef class Context:
    """Context(io_threads=1, shadow=0)

    shadow: the `underlying` of another Context, which this one then is a second handle of.
    """

    cdef CoreContext _core      # None: a shadow of nothing
    cdef size_t _number
    cdef bint _is_shadow
    cdef int32_t _is_closed     # atomic
    cdef object __weakref__

    def __init__(self, int io_threads=1, shadow=0):
        self._is_shadow = bool(shadow)
        if shadow:
            self._number = shadow
            found = handles.get(shadow)
            if isinstance(found, CoreContext):
                self._core = found
            return
        if io_threads < 0:
            wrong(-EINVAL)
        self._core = CoreContext(io_threads)
        self._number = handle_new(self._core)

    def __dealloc__(self):
        if self._number and not self._is_shadow:
            handles.pop(self._number, None)

    cdef context_t *opened(self) except NULL:
        cdef context_t *context = NULL
        if zc_load(&self._is_closed):
            raise RuntimeError("the context has been terminated")
        if self._core is not None:
            context = context_of(self._core)
        if context == NULL:
            wrong(-EFAULT)
        return context

    @property
    def closed(self):
        """Whether it has been terminated here."""
        return zc_load(&self._is_closed) != 0

    @property
    def underlying(self):
        """What a shadow is made of: a number that no other context or socket has, or 0 once it has been terminated here."""
        return 0 if zc_load(&self._is_closed) else self._number

    def term(self):
        """Ends the context (zmq_ctx_term(3)): calls on its sockets fail with ETERM; waits until all are closed and flushed."""
        if zc_load(&self._is_closed):
            return
        if self._core is not None:
            self._core.term()
        handles.pop(self._number, None)
        zc_store(&self._is_closed, 1)

    def set(self, int option, optval):
        """set(option, optval): sets a context option (zmq_ctx_set(3))."""
        cdef context_t *context = self.opened()
        if not isinstance(optval, int):
            raise TypeError(f"expected int, got: {optval!r}")
        right(context_set(context, option, optval))

    def get(self, int option):
        """get(option) -> int: reads a context option (zmq_ctx_get(3))."""
        cdef int32_t value = 0
        right(context_get(self.opened(), option, &value))
        return value


# --- frame --------------------------------------------------------------------------------------------------------------------

cdef class Kept:
    """What a pin sets when the engine has let go of its buffer: the buffer leaves pyzmq's list of those that are in use."""

    cdef object collector
    cdef object key
    cdef object event           # None: nobody asked

    def set(self):
        """The engine has let go of it."""
        self.collector.refs.pop(self.key, None)
        if self.event is not None:
            self.event.set()


cdef object collector = None    # zmq.utils.garbage


cdef Kept kept_for(object view, object event):
    # The collector's thread is not needed: no message tells of the end, but the pin itself.
    global collector
    cdef Kept kept = Kept.__new__(Kept)
    if collector is None:
        from zmq.utils import garbage as collector
    reference = collector.gcref(view, event)
    kept.collector = collector.gc
    kept.key = id(reference)
    kept.event = event
    kept.collector.refs[kept.key] = reference
    return kept


cdef class Frame(CoreFrame):
    """Frame(data=None, track=False, copy=None, copy_threshold=None)

    One part of a message. data is copied when copy is true, or unspecified and data is smaller than copy_threshold bytes; else
    the engine reads it where it is, and the tracker tells when it does so no more.
    """

    cdef object _data           # what was given, so that it lives as long as any copy of the frame
    cdef object _bytes
    cdef object _view           # a weak reference to the memoryview
    cdef public object tracker_event

    def __init__(self, data=None, track=False, copy=None, copy_threshold=None, **kwargs):
        cdef Py_buffer view
        cdef bint is_shared
        if self._store != NULL:
            return              # somebody may hold a buffer of what is here
        if track:
            self._tracker = pyzmq()._FINISHED_TRACKER
        self._data = data
        if data is None:
            return
        if isinstance(data, str):
            raise TypeError("a str cannot be sent: encode it first")
        PyObject_GetBuffer(data, &view, PyBUF_ANY_CONTIGUOUS)
        try:
            if copy is None:
                if copy_threshold is None:
                    copy_threshold = pyzmq().COPY_THRESHOLD
                is_shared = not copy_threshold or view.len >= copy_threshold
            else:
                is_shared = not copy
            if is_shared:
                self.share(data, track)
            else:
                frame_fill(self, <const unsigned char *>view.buf, view.len, NULL, False)
        finally:
            PyBuffer_Release(&view)

    cdef int share(self, object data, bint track) except -1:
        cdef Kept kept
        view = memoryview(data)
        if track:
            self.tracker_event = Released()
            self._tracker = pyzmq().MessageTracker(self.tracker_event)
        kept = kept_for(view, self.tracker_event)
        try:
            self._store = pin_buffer(view, kept)
        except BaseException:
            kept.set()
            raise
        self._at = self._store.data
        self._size = self._store.size
        return 0

    def __getbuffer__(self, Py_buffer *view, int flags):
        # What the engine reads in place belongs to somebody else, and may be bytes.
        cdef bint is_readonly = self._store != NULL and self._store.release != NULL
        PyBuffer_FillInfo(view, self, <void *>self._at if self._at != NULL else <void *>b"", self._size, is_readonly, flags)

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return object.__hash__(self)

    def __str__(self):
        return repr(self)

    def __copy__(self):
        """Another Frame of the same bytes, which are shared."""
        return self.fast_copy()

    def fast_copy(self):
        """Another Frame of the same bytes, which are shared."""
        cdef Frame copy = pyzmq().Frame()
        frame_share(copy, self)
        copy._data = self._data
        copy._bytes = self._bytes
        copy._tracker = self._tracker
        copy.tracker_event = self.tracker_event
        return copy

    @property
    def bytes(self):
        """The contents as bytes, copied at the first access."""
        if self._bytes is None:
            self._bytes = (<const char *>self._at)[:self._size]
        return self._bytes

    @property
    def buffer(self):
        """The contents as a memoryview, without a copy."""
        view = None if self._view is None else self._view()
        if view is None:
            view = memoryview(self)
            self._view = weakref.ref(view)
        return view

    @property
    def more(self):
        """Whether more parts of the same message follow."""
        return self._more

    @more.setter
    def more(self, bint value):
        self._more = value

    @property
    def tracker(self):
        """The MessageTracker asked for with track=True, else None."""
        return self._tracker

    @tracker.setter
    def tracker(self, value):
        self._tracker = value

    def get(self, option):
        """get(option) -> int or str: a message option by number, or a property by name (zmq_msg_get(3), zmq_msg_gets(3))."""
        value = frame_option(self, option)
        if value is None:
            wrong(-EINVAL)
        return value

    def set(self, option, value):
        """set(option, value): there is no message property that can be set: EINVAL (zmq_msg_set(3))."""
        wrong(-EINVAL)


# --- socket -------------------------------------------------------------------------------------------------------------------

cdef object frame_of(const msg_t *msg, uint32_t i, bint more, bint track):
    frame = pyzmq().Frame(track=track)
    frame_receive(frame, msg, i, more)
    return frame


cdef class Socket:
    """Socket(context=None, socket_type=-1, shadow=0, copy_threshold=None)

    shadow: the `underlying` of another Socket, which this one then is a second handle of.
    """

    def __init__(self, context=None, int socket_type=-1, shadow=0, copy_threshold=None):
        if self._core is not None:
            return
        self.copy_threshold = pyzmq().COPY_THRESHOLD if copy_threshold is None else copy_threshold
        self.context = context
        if shadow:
            self._is_shadow = True
            self._number = shadow
            found = handles.get(shadow)
            if isinstance(found, CoreSocket):
                self._core = found
            return
        if context is None:
            raise TypeError("a context is needed")
        if socket_type < 0:
            raise TypeError("a socket_type is needed")
        if not isinstance(context, Context):
            raise TypeError(f"expected a Context, got: {context!r}")
        if zc_load(&(<Context>context)._is_closed) or (<Context>context)._core is None:
            wrong(-EFAULT)
        try:
            self._core = CoreSocket((<Context>context)._core, socket_type)
        except CoreError as error:
            raise translated(error) from None
        self._number = handle_new(self._core)

    def __dealloc__(self):
        if self._number and not self._is_shadow:
            handles.pop(self._number, None)

    cdef socket_t *opened(self) except NULL:
        cdef socket_t *socket = NULL
        if self._core is not None:
            socket = socket_of(self._core)
        if socket == NULL:
            wrong(-ENOTSOCK)
        return socket

    @property
    def underlying(self):
        """What a shadow is made of: a number that no other context or socket has, or 0 once it has been closed."""
        return 0 if self.closed else self._number

    @property
    def closed(self):
        """Whether it has been closed, here or through another handle."""
        return self._core is None or zc_load(&self._core._is_closed) != 0

    @property
    def _closed(self):
        # pyzmq's repr asks for it.
        return self.closed

    def close(self, linger=None):
        """close(linger=None): closes the socket for all its handles (zmq_close(3)); returns at once.

        linger: milliseconds that unsent messages may live on; sets ZMQ_LINGER.
        """
        if self.closed:
            return
        try:
            self._core.close(linger)
        except CoreError:
            self._core.close()          # a LINGER that cannot be is no reason to stay open
        handles.pop(self._number, None)

    # --- endpoints

    def bind(self, addr):
        """bind(addr): accepts connections at an endpoint (zmq_bind(3))."""
        cdef int rc = self.endpoint_call(socket_bind, addr)
        if rc == -ENAMETOOLONG or rc == -ENOENT:
            path = endpoint_text(addr).decode(errors="replace").partition("://")[2]
            reason = f" (at most {IPC_PATH_BYTES_MAX} bytes)" if rc == -ENAMETOOLONG else ""
            error = error_for(-rc)
            note(rc)
            raise type(error)(-rc, f'{error.strerror}{reason}: ipc path "{path}"')
        right(rc)

    def connect(self, addr):
        """connect(addr): connects to an endpoint (zmq_connect(3)), in the background, again and again."""
        right(self.endpoint_call(socket_connect, addr))

    def unbind(self, addr):
        """unbind(addr): stops accepting at an endpoint (zmq_unbind(3))."""
        right(self.endpoint_call(socket_unbind, addr))

    def disconnect(self, addr):
        """disconnect(addr): ends the connections to an endpoint (zmq_disconnect(3))."""
        right(self.endpoint_call(socket_disconnect, addr))

    cdef int endpoint_call(self, int (*call)(socket_t *, const char *, size_t) noexcept nogil, object addr) except? -1:
        cdef bytes text = endpoint_text(addr)
        cdef socket_t *socket = self.opened()
        cdef const char *at = PyBytes_AS_STRING(text)
        cdef size_t size = PyBytes_GET_SIZE(text)
        cdef int rc
        with nogil:
            rc = call(socket, at, size)
        return rc

    def monitor(self, addr, int events=0xffff):
        """monitor(addr, events=EVENT_ALL): sends the events of this socket to a PAIR socket bound to addr; None ends it."""
        self.opened()
        try:
            self._core.monitor(addr, events)
        except CoreError as error:
            raise translated(error) from None

    def join(self, group):
        """join(group): needs the draft API, which is not here."""
        raise RuntimeError("groups are part of the draft API, which is not built in")

    def leave(self, group):
        """leave(group): needs the draft API, which is not here."""
        raise RuntimeError("groups are part of the draft API, which is not built in")

    # --- options

    def set(self, int option, optval):
        """set(option, optval): sets an option, to an int or to bytes, whichever it takes (zmq_setsockopt(3))."""
        cdef int kind = options_kind(option)
        self.opened()
        if isinstance(optval, str):
            raise TypeError("a str needs set_string()")
        if kind == OPTION_BYTES or kind == OPTION_STRING or kind == OPTION_KEY:
            if not isinstance(optval, bytes):
                raise TypeError(f"expected bytes, got: {optval!r}")
        elif not isinstance(optval, int):
            raise TypeError(f"expected int, got: {optval!r}")
        try:
            self._core.setsockopt_raw(option, optval)
        except CoreError as error:
            raise translated(error) from None

    def get(self, int option):
        """get(option) -> int or bytes: reads an option (zmq_getsockopt(3))."""
        cdef socket_t *socket = self.opened()
        cdef size_t size = sizeof(int32_t)
        cdef int32_t value = 0
        cdef int rc
        if option == OPTION_EVENTS:
            rc = socket_events_quick(socket)
            if rc >= 0:
                return rc
            with nogil:
                rc = socket_get(socket, OPTION_EVENTS, &value, &size)
            right(rc)
            return value
        # What one word tells needs no lock.
        if not zc_load(&socket.is_stopped):
            if option == OPTION_RCVMORE:
                return zc_load(&socket.has_more)
            if option == OPTION_RCVTIMEO:
                return zc_load(&socket.options.rcvtimeo_ms)
            if option == OPTION_SNDTIMEO:
                return zc_load(&socket.options.sndtimeo_ms)
        try:
            return self._core.getsockopt_raw(option)
        except CoreError as error:
            raise translated(error) from None

    # Those that event loops ask for with each message: found here, and not at the end of a search for an attribute.

    @property
    def events(self):
        """The option EVENTS."""
        return self.get(OPTION_EVENTS)

    @property
    def EVENTS(self):
        """The option EVENTS."""
        return self.get(OPTION_EVENTS)

    @property
    def FD(self):
        """The option FD."""
        return self.get(OPTION_FD)

    @property
    def rcvtimeo(self):
        """The option RCVTIMEO."""
        return self.get(OPTION_RCVTIMEO)

    @rcvtimeo.setter
    def rcvtimeo(self, value):
        self.set(OPTION_RCVTIMEO, value)

    # --- messages

    cdef object send_frame(self, socket_t *socket, object frame, int flags):
        cdef msg_t msg
        msg_init(&msg)
        try:
            push_data(&msg, frame, True, <size_t>SHARE_NONE, None)
            right(message_out(socket, &msg, flags, False))
        finally:
            msg_fini(&msg)
        return (<Frame>frame)._tracker

    def send(self, data, int flags=0, bint copy=True, bint track=False):
        """send(data, flags=0, copy=True, track=False) -> None or MessageTracker

        Sends one part (zmq_msg_send(3)). data: bytes, any contiguous buffer, or Frame. With copy=False, buffers of
        copy_threshold bytes and more are read where they are, which the MessageTracker of track=True tells the end of.
        """
        cdef socket_t *socket = self.opened()
        cdef msg_t msg
        pins_look(released)
        if flags == 0 and copy and small_out(socket, data):
            return None
        if isinstance(data, Frame):
            if track and not (<Frame>data)._tracker:
                raise ValueError("the frame was not made with track=True")
            return self.send_frame(socket, data, flags)
        if not copy and not isinstance(data, str) and memoryview(data).nbytes >= self.copy_threshold:
            return self.send_frame(socket, pyzmq().Frame(data, track=track, copy=False), flags)
        msg_init(&msg)
        try:
            push_data(&msg, data, flags & SOCKET_SNDMORE, <size_t>SHARE_NONE, None)
            right(message_out(socket, &msg, flags, False))
        finally:
            msg_fini(&msg)
        return None if copy else pyzmq()._FINISHED_TRACKER

    def recv(self, int flags=0, bint copy=True, bint track=False):
        """recv(flags=0, copy=True, track=False) -> bytes, or Frame when copy is False: receives one part (zmq_msg_recv(3))."""
        cdef socket_t *socket = self.opened()
        cdef msg_t msg
        cdef bint more = False
        if copy:
            found = small_in(socket)
            if found is not None:
                return found
        msg_init(&msg)
        try:
            right(message_in(socket, &msg, flags, False, copy, &more))
            if copy:
                return take_part(&msg, 0, True, more)
            return frame_of(&msg, 0, more, track)
        finally:
            msg_fini(&msg)

    def recv_into(self, buffer, /, *, Py_ssize_t nbytes=0, int flags=0):
        """recv_into(buffer, *, nbytes=0, flags=0) -> int: receives one part into a buffer; the size of the message."""
        self.opened()
        try:
            return self._core.recv_into(buffer, nbytes=nbytes, flags=flags)
        except CoreError as error:
            raise translated(error) from None


# --- several sockets ------------------------------------------------------------------------------------------------------------

def core_socket(socket, name):
    """core_socket(socket, name) -> the Socket of _core behind a handle; TypeError with that name; ENOTSOCK."""
    if not isinstance(socket, Socket):
        raise TypeError(f"{name} must be a Socket, got: {socket!r}")
    (<Socket>socket).opened()
    return (<Socket>socket)._core


cdef int poll_fd(object target) except? -1:
    if isinstance(target, int):
        return target
    fileno = getattr(target, "fileno", None)
    if fileno is None:
        raise TypeError(f"expected a Socket, an fd or an object with fileno(), got: {target!r}")
    try:
        return int(fileno())
    except Exception:
        raise ValueError(f"fileno() of {target!r} gives no fd") from None


def zmq_poll(sockets, long timeout=-1):
    """zmq_poll(sockets, timeout=-1) -> list of (Socket or fd, events)

    Waits for events on sockets, fds and objects with fileno() (zmq_poll(3)). timeout: milliseconds, negative for ever.
    """
    cdef list asked = list(sockets)
    cdef list targets = []      # keeps the sockets alive
    cdef int count = <int>len(asked)
    cdef poll_item_t *table
    cdef int i
    if count == 0:
        return []
    table = <poll_item_t *>calloc(count, sizeof(poll_item_t))
    if table == NULL:
        raise MemoryError()
    try:
        for i in range(count):
            target, events = asked[i]
            table[i].events = events
            table[i].fd = -1
            if isinstance(target, Socket):
                # One that has been closed has no events, and is no error: event loops close sockets that they still ask about.
                if not (<Socket>target).closed:
                    table[i].socket = (<Socket>target).opened()
            else:
                table[i].fd = poll_fd(target)
                target = table[i].fd
            targets.append(target)
        right(poll_table(table, count, timeout))
        return [(targets[i], table[i].revents) for i in range(count) if table[i].revents]
    finally:
        free(table)
