# zmqcore/_core_backend_asyncio.pyx -- zmq.asyncio's calls that need not wait (a half of _core).
#
# pyzmq's asyncio layer makes a record, a future and several look-ups of options for each call, which costs ten times what the
# engine does. When nobody is waiting before it and the message is there, or goes out, none of that is needed: the future is made
# done here. Whatever else may be -- it has to wait, an error, unusual arguments -- is left to pyzmq's own method.
from libc.stdint cimport uint32_t
from zmqcore._core_backend cimport Socket, frame_of
from zmqcore._frame cimport SHARE_NONE, push_data, push_parts, take_part
from zmqcore._message cimport msg_fini, msg_init, msg_t
from zmqcore._socket cimport SOCKET_SNDMORE, socket_t
from zmqcore._socket_messages cimport socket_attend, socket_recv_quick, socket_send_quick

# pyzmq's own methods, by name.
cdef object waiting_send, waiting_send_multipart, waiting_recv, waiting_recv_multipart


cdef object done(self, object value):
    future = self._Future()
    future.set_result(value)
    return future


cdef object part_of(msg_t *msg, uint32_t i, bint copy, bint track, bint more):
    if copy:
        return take_part(msg, i, True, more)
    return frame_of(msg, i, more, track)


cdef object receive(self, bint is_whole, bint copy, bint track):
    # A future that is done; None: not this way.
    cdef socket_t *socket
    cdef msg_t msg
    cdef bint more = False
    cdef uint32_t i
    cdef int rc
    if self._recv_futures or (<Socket?>self).closed:
        return None
    socket = (<Socket>self).opened()
    msg_init(&msg)
    try:
        rc = socket_recv_quick(socket, &msg, is_whole, &more)
        if rc < 0:
            return None
        if rc:
            with nogil:
                socket_attend(socket)
        if is_whole:
            value = [part_of(&msg, i, copy, track, i + 1 < msg.count) for i in range(msg.count)]
        else:
            value = part_of(&msg, 0, copy, track, more)
    finally:
        msg_fini(&msg)
    if self._state:
        self._schedule_remaining_events()
    return done(self, value)


def recv(self, flags=0, copy=True, track=False):
    """recv(flags=0, copy=True, track=False) -> Future of bytes, or of Frame when copy is False: receives one part."""
    found = receive(self, False, copy, track)
    return waiting_recv(self, flags, copy, track) if found is None else found


def recv_multipart(self, flags=0, copy=True, track=False):
    """recv_multipart(flags=0, copy=True, track=False) -> Future of a list of bytes or Frame: receives a whole message."""
    found = receive(self, True, copy, track)
    return waiting_recv_multipart(self, flags, copy, track) if found is None else found


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
        self._schedule_remaining_events()
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
    global waiting_send, waiting_send_multipart, waiting_recv, waiting_recv_multipart
    waiting_send, waiting_send_multipart = cls.send, cls.send_multipart
    waiting_recv, waiting_recv_multipart = cls.recv, cls.recv_multipart
    cls.send, cls.send_multipart, cls.recv, cls.recv_multipart = send, send_multipart, recv, recv_multipart
