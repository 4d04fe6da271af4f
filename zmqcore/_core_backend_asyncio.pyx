# zmqcore/_core_backend_asyncio.pyx -- zmq.asyncio's calls that need not wait (a half of _core).
#
# pyzmq's asyncio layer makes a record, a future and several look-ups of options for each call, which costs ten times what the
# engine does. When nobody is waiting before it and the message is there, or goes out, none of that is needed: the future is made
# done here. A recv that has to wait goes into pyzmq's own queue, and is served by our half of _handle_events as long as nobody
# waits for anything else. Whatever else may be -- a timeout, an error, unusual arguments -- is left to pyzmq's own method.
import sys

from libc.stdint cimport int32_t, uint32_t
from zmqcore._core cimport lend_bytes
from zmqcore._core_backend cimport Socket, frame_of
from zmqcore._frame cimport SHARE_NONE, push_data, push_parts, take_part
from zmqcore._message cimport msg_fini, msg_init, msg_t
from zmqcore._options cimport OPTION_EVENTS
from zmqcore._socket cimport SOCKET_POLLIN, SOCKET_SNDMORE, socket_events_quick, socket_get, socket_t
from zmqcore._socket_messages cimport socket_attend, socket_recv, socket_recv_quick, socket_send_quick
from zmqcore._sys cimport EAGAIN, zc_load

# pyzmq's own methods, by name.
cdef object waiting_send, waiting_send_multipart, waiting_recv, waiting_recv_multipart, waiting_handle_events
# pyzmq's record of a call that waits, and its lack of a timer. None before hasten().
cdef object future_event, no_timer
# Of asyncio, which only programs load that use it.
cdef object running_loop, plain_future, cancellable_future

cdef object nothing = object()


cdef object done(self, object value):
    future = self._Future()
    future.set_result(value)
    return future


cdef object part_of(msg_t *msg, uint32_t i, bint copy, bint track, bint more):
    if copy:
        return take_part(msg, i, True, more)
    return frame_of(msg, i, more, track)


cdef object take(socket_t *socket, bint is_whole, bint copy, bint track, bint may_lock):
    # A message; nothing: none is there, or (unless may_lock) this is not the way; None: there is an error to be told.
    cdef msg_t msg
    cdef bint more = False
    cdef uint32_t i
    cdef int rc
    msg_init(&msg)
    try:
        rc = socket_recv_quick(socket, &msg, is_whole, &more)
        if copy:
            lend_bytes(socket)
        if rc > 0:
            with nogil:
                socket_attend(socket)
        elif rc < 0 and may_lock:
            with nogil:
                rc = socket_recv(socket, &msg, is_whole, &more, 1)
        if rc < 0:
            return nothing if rc == -EAGAIN else None
        if is_whole:
            return [part_of(&msg, i, copy, track, i + 1 < msg.count) for i in range(msg.count)]
        return part_of(&msg, 0, copy, track, more)
    finally:
        msg_fini(&msg)


cdef int remind(self, socket_t *socket) except -1:
    # Tells the events, as EVENTS would; the bell is not rung again for those that are there.
    cdef int state = self._state
    cdef int events
    if state:
        events = socket_events_quick(socket)
        if events < 0 or events & state:
            self._schedule_remaining_events()
    return 0


cdef object receive(self, bint is_whole, bint copy, bint track):
    # A future that is done; None: not this way.
    cdef socket_t *socket
    if self._recv_futures or (<Socket?>self).closed:
        return None
    socket = (<Socket>self).opened()
    value = take(socket, is_whole, copy, track, False)
    if value is nothing:
        return None
    remind(self, socket)
    return done(self, value)


def cancellable():
    """cancellable() -> asyncio's Future, which leaves the queue that it waits in when it is cancelled."""
    from asyncio import Future

    class Waiting(Future):
        def cancel(self, msg=None):
            if not super().cancel(msg=msg):
                return False
            for event in self.queue:
                if event[0] is self:
                    self.queue.remove(event)
                    break
            return True

    Waiting.queue = ()
    return Waiting


cdef object wait(self, kind, object copy, object track):
    # The future of a recv for which nothing is there; None: not this way.
    global running_loop, plain_future, cancellable_future
    cdef socket_t *socket
    cdef int events
    if future_event is None or (<Socket?>self).closed:
        return None
    if running_loop is None:
        import asyncio
        cancellable_future = cancellable()
        plain_future = asyncio.Future
        running_loop = asyncio._get_running_loop
    loop = running_loop()
    if loop is None or self._current_loop is not loop or self._Future is not plain_future:
        return None
    socket = (<Socket>self).opened()
    if zc_load(&socket.options.rcvtimeo_ms) >= 0:
        return None
    # What is not there now, the bell will tell.
    events = socket_events_quick(socket)
    if events < 0 or events & SOCKET_POLLIN:
        return None
    future = cancellable_future(loop=loop)
    queue = self._recv_futures
    future.queue = queue
    queue.append(tuple.__new__(
        future_event, (future, kind, (), {"flags": 0, "copy": copy, "track": track}, None, no_timer)))
    events = self._state
    self.__dict__["_state"] = events | SOCKET_POLLIN
    return future


def recv(self, flags=0, copy=True, track=False):
    """recv(flags=0, copy=True, track=False) -> Future of bytes, or of Frame when copy is False: receives one part."""
    found = receive(self, False, copy, track)
    if found is None and not flags:
        found = wait(self, "recv", copy, track)
    return waiting_recv(self, flags, copy, track) if found is None else found


def recv_multipart(self, flags=0, copy=True, track=False):
    """recv_multipart(flags=0, copy=True, track=False) -> Future of a list of bytes or Frame: receives a whole message."""
    found = receive(self, True, copy, track)
    if found is None and not flags:
        found = wait(self, "recv_multipart", copy, track)
    return waiting_recv_multipart(self, flags, copy, track) if found is None else found


def handle_events(self, fd=0, events=0):
    """handle_events(fd=0, events=0): the descriptor is readable, or may be: serves who waits."""
    cdef socket_t *socket
    cdef int32_t told = 0
    cdef size_t size = sizeof(told)
    if self._state != SOCKET_POLLIN or (<Socket?>self).closed:
        return waiting_handle_events(self, fd, events)
    socket = (<Socket>self).opened()
    queue = self._recv_futures
    while queue:
        future, kind, args, kwargs, _, timer = queue[0]
        if future.done():
            queue.popleft()
            continue
        if args or (kind != "recv" and kind != "recv_multipart"):
            return waiting_handle_events(self, fd, events)
        value = take(socket, kind == "recv_multipart", kwargs["copy"], kwargs["track"], True)
        if value is nothing:
            return None
        if value is None:
            return waiting_handle_events(self, fd, events)
        queue.popleft()
        timer.cancel()
        future.set_result(value)
    self.__dict__["_state"] = 0
    # Whoever waits next looks at what is there; until then the bell has nothing to say.
    if socket_events_quick(socket) < 0:
        with nogil:
            socket_get(socket, OPTION_EVENTS, &told, &size)
    return None


cdef bint send_quick(self, object data, bint is_whole) except -1:
    # Whether it was sent. What pyzmq would call an error is left to pyzmq.
    cdef socket_t *socket
    cdef msg_t msg
    cdef int rc
    if self._send_futures or (<Socket?>self).closed:
        return False
    socket = (<Socket>self).opened()
    msg_init(&msg)
    try:
        if is_whole:
            push_parts(&msg, data, False)
        else:
            push_data(&msg, data, False, <size_t>SHARE_NONE, None)
        if msg.count == 0:
            return False
        rc = socket_send_quick(socket, &msg)
    except TypeError:
        return False
    finally:
        msg_fini(&msg)
    if rc < 0:
        return False
    if rc:
        with nogil:
            socket_attend(socket)
    if self._recv_futures:
        remind(self, socket)
    return True


cdef inline bint is_plain(object flags, object copy, object track, dict kwargs) except -1:
    return copy and not track and not kwargs and not flags & SOCKET_SNDMORE


def send(self, data, flags=0, copy=True, track=False, **kwargs):
    """send(data, flags=0, copy=True, track=False) -> Future of None or MessageTracker: sends one part."""
    if type(data) is bytes and is_plain(flags, copy, track, kwargs) and send_quick(self, data, False):
        return done(self, None)
    return waiting_send(self, data, flags, copy, track, **kwargs)


def send_multipart(self, msg_parts, flags=0, copy=True, track=False, **kwargs):
    """send_multipart(msg_parts, flags=0, copy=True, track=False) -> Future of None or MessageTracker: sends a whole message."""
    if all_bytes(msg_parts) and is_plain(flags, copy, track, kwargs) and send_quick(self, msg_parts, True):
        return done(self, None)
    return waiting_send_multipart(self, msg_parts, flags, copy, track, **kwargs)


cdef bint all_bytes(object parts) except -1:
    if type(parts) is not list and type(parts) is not tuple:
        return False
    for part in parts:
        if type(part) is not bytes:
            return False
    return True


def hasten(cls):
    """hasten(cls): gives pyzmq's class of asynchronous sockets the methods of this module."""
    global waiting_send, waiting_send_multipart, waiting_recv, waiting_recv_multipart, waiting_handle_events
    global future_event, no_timer
    waiting_send, waiting_send_multipart = cls.send, cls.send_multipart
    waiting_recv, waiting_recv_multipart = cls.recv, cls.recv_multipart
    waiting_handle_events = cls._handle_events
    cls.send, cls.send_multipart, cls.recv, cls.recv_multipart = send, send_multipart, recv, recv_multipart
    cls._handle_events = handle_events
    # The class is made while its module is: what stands above it is there.
    module = sys.modules[cls.__module__]
    no_timer = module._NoTimer
    future_event = module._FutureEvent
