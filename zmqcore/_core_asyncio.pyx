# zmqcore/_core_asyncio.pyx -- what zmqcore.asyncio needs of a socket: calls that never wait, and its driving seat.
#
# Nothing here waits. recv() and send() of zmqcore.asyncio return a Ready when they are done before they return: a future costs
# three to four times as much (docs/design.md). `await` needs no more than __await__; whoever asks for more (asyncio.wait,
# gather, wait_for, callbacks) finds the methods of a future that is done. It belongs to no loop: callbacks run in the one
# that is running. Only zmqcore.asyncio imports this module: other programs do not load asyncio.
import cython
from cpython.buffer cimport PyBuffer_Release
from libc.stdint cimport int32_t
from zmqcore._core cimport Socket, lend_bytes, writable_room
from zmqcore._errno cimport check
from zmqcore._frame cimport SHARE_NONE, Frame, kept_message, kept_part, name_message, push_data, push_parts, take_part, take_parts
from zmqcore._limits cimport READY_RUN_BATCH, READY_RUN_MAX
from zmqcore._message cimport msg_fini, msg_init, msg_label, msg_t
from zmqcore._socket cimport SOCKET_SNDMORE, socket_sit, socket_stand, socket_t
from zmqcore._socket_gather cimport socket_flush, socket_send_gathered
from zmqcore._socket_messages cimport socket_attend, socket_recv, socket_recv_quick, socket_send
from zmqcore._socket_unrecv cimport socket_unrecv
from zmqcore._sys cimport EAGAIN, EINTR, memcpy, zc_load, zc_store, zc_swap

from asyncio import _get_running_loop as running_loop

from zmqcore.errors import ZMQError

# Calls that were ready since a loop last got a turn for it. Of the whole process: a task may use several sockets. A race
# between threads costs nothing but a turn.
cdef int32_t ready_run = 0      # atomic


@cython.freelist(64)
cdef class Ready:
    """What a call has returned that did not have to wait: awaitable, and to the eyes of asyncio a future that is done."""

    cdef object value
    cdef object message         # what was received, before it was decoded
    cdef bint is_tired          # the event loop gets a turn before the value is handed out
    cdef int32_t is_taken_back  # atomic; the message went back to the socket: nobody may have it
    cdef bint more              # more parts of the same message follow
    cdef object socket          # takes the message back; None: there is nothing to take back

    # By this attribute asyncio knows a future.
    _asyncio_future_blocking = False

    def __await__(self):
        if self.is_tired:
            self.is_tired = False
            try:
                yield
            except BaseException:
                self.give_back()        # cancelled, or never resumed
                raise
        return self.value

    def __iter__(self):
        return self.__await__()

    def result(self):
        """The value."""
        if zc_load(&self.is_taken_back):
            from asyncio import CancelledError
            raise CancelledError
        return self.value

    def exception(self):
        """None: what fails is a future."""
        return None

    def done(self):
        """True."""
        return True

    def cancelled(self):
        """Whether the message went back because its receiver was cancelled."""
        return zc_load(&self.is_taken_back) != 0

    def cancel(self, msg=None):
        """Does nothing: it is done. False."""
        return False

    def get_loop(self):
        """The loop that is running, or the current one of this thread."""
        import asyncio
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.get_event_loop_policy().get_event_loop()

    def add_done_callback(self, fn, *, context=None):
        """Calls fn(self) in the loop's next turn."""
        self.get_loop().call_soon(fn, self, context=context)

    def remove_done_callback(self, fn):
        """A callback is on its way at once and cannot be removed. 0."""
        return 0

    def decoded(self, load):
        """decoded(load) -> self, with load(value) in the place of the value."""
        self.value = load(self.value)
        return self

    def give_back(self):
        """give_back() -> whether it held a message; that goes to the next recv of its socket."""
        if self.socket is None or zc_swap(&self.is_taken_back, 1):
            return False
        self.socket._take_back(self.message, self.more)
        return True

    def __repr__(self):
        return f"<Ready {self.value!r}>"


# By Ready.__new__ and attributes: a constructor with arguments costs as much as the rest of a call.
cdef inline Ready ready_of(object value):
    cdef Ready made = Ready.__new__(Ready)
    made.value = value
    return made


cdef inline Ready counted(object value):
    cdef Ready made = ready_of(value)
    cdef int32_t run = zc_load(&ready_run) + 1
    if run >= READY_RUN_MAX:
        run = 0
        made.is_tired = True
    zc_store(&ready_run, run)
    return made


def ready(value):
    """ready(value) -> Ready with this value."""
    return ready_of(value)


def tire(Py_ssize_t messages):
    """tire(messages): a batch of so many messages was ready at once; with rest(), which counts as a call."""
    zc_store(&ready_run, zc_load(&ready_run) + <int32_t>min(messages // READY_RUN_BATCH, READY_RUN_MAX))


def rest():
    """rest() -> Ready: to be awaited before a batch; gives the loop its turn when it is due."""
    return counted(None)


def flush(Socket socket not None):
    """flush(socket): writes what has gathered (see socket_send_gathered); nothing, when it is closed."""
    cdef socket_t *at
    try:
        at = socket.open_socket()
    except ZMQError:
        return
    with nogil:
        socket_flush(at)


cdef int flush_soon(Socket socket) except -1:
    loop = running_loop()
    if loop is None:
        flush(socket)
    else:
        loop.call_soon(flush, socket)
    return 0


def send_ready(Socket socket not None, data, int flags, bint is_whole):
    """send_ready(socket, data, flags, is_whole) -> Ready of None; None when it would have to wait.

    is_whole: data is a list of parts, not one part.
    """
    cdef socket_t *at = socket.open_socket()
    cdef msg_t msg
    cdef int rc = -EAGAIN
    msg_init(&msg)
    try:
        if is_whole:
            push_parts(&msg, data, flags & SOCKET_SNDMORE)
        else:
            push_data(&msg, data, flags & SOCKET_SNDMORE, <size_t>SHARE_NONE, None)
        if not flags & SOCKET_SNDMORE:
            rc = socket_send_gathered(at, &msg)
        if rc == -EAGAIN:
            with nogil:
                rc = socket_send(at, &msg, flags, is_whole and not flags & SOCKET_SNDMORE, 1)
            if rc == -EAGAIN or rc == -EINTR:
                return None
            check(rc)
        elif rc == 1:
            with nogil:
                socket_attend(at)
        elif rc == 2:
            flush_soon(socket)
    finally:
        msg_fini(&msg)
    return counted(None)


def recv_ready(Socket socket not None, bint is_whole, bint copy):
    """recv_ready(socket, is_whole, copy) -> Ready of one part, or (is_whole) of a list of parts; None when nothing is there."""
    cdef socket_t *at = socket.open_socket()
    cdef msg_t msg
    cdef bint more = False
    cdef Ready made
    cdef int rc
    msg_init(&msg)
    try:
        rc = socket_recv_quick(at, &msg, is_whole, &more)
        if copy:
            lend_bytes(at)
        if rc == -EAGAIN:
            with nogil:
                rc = socket_recv(at, &msg, is_whole, &more, 1)
            if rc == -EAGAIN or rc == -EINTR:
                return None
            check(rc)
        elif rc:
            with nogil:
                socket_attend(at)
        if is_whole:
            made = counted(take_parts(&msg, copy))
        else:
            made = counted(take_part(&msg, 0, copy, more))
    finally:
        msg_fini(&msg)
    made.more = more
    made.message = made.value
    made.socket = socket
    return made


def recv_into_ready(Socket socket not None, buffer, Py_ssize_t nbytes):
    """recv_into_ready(socket, buffer, nbytes) -> Ready of the size of one part that is stored; None when nothing is there.

    Raises before anything is taken.
    """
    cdef Py_buffer view
    cdef size_t room = writable_room(buffer, nbytes, &view)
    cdef Ready made
    cdef Frame frame
    try:
        made = recv_ready(socket, False, False)
        if made is not None:
            frame = made.value
            if room > frame._size:
                room = frame._size
            if room:
                memcpy(view.buf, frame._at, room)
            made.value = frame._size
        return made
    finally:
        PyBuffer_Release(&view)


def check_room(buffer, Py_ssize_t nbytes):
    """check_room(buffer, nbytes): raises what recv_into raises when it cannot fill the buffer."""
    cdef Py_buffer view
    writable_room(buffer, nbytes, &view)
    PyBuffer_Release(&view)


def keep(part):
    """keep(part) -> the part for a send that has to wait: bytes of what a buffer holds now. Raises what send raises."""
    return kept_part(part)


def keep_all(messages):
    """keep_all(messages) -> list of messages whose parts are as by keep(); raises what send_many of zmqcore raises."""
    cdef list kept = list(messages)
    cdef Py_ssize_t i = 0
    try:
        for i in range(len(kept)):
            kept[i] = kept_message(kept[i])
    except (TypeError, ValueError, BufferError) as error:
        name_message(error, i)
    return kept


def unrecv(Socket socket not None, list parts not None, bint is_begun):
    """unrecv(socket, parts, is_begun) -> whether the parts of a message went back to be received again (see socket_unrecv)."""
    cdef socket_t *at = socket.open_socket()
    cdef msg_t msg
    cdef int rc
    msg_init(&msg)
    try:
        push_parts(&msg, parts, True)
        for part in parts:
            if msg.metadata == NULL and isinstance(part, Frame):
                msg_label(&msg, (<Frame>part)._metadata)
        with nogil:
            rc = socket_unrecv(at, &msg, is_begun)
        if rc == -EAGAIN:
            return False
        check(rc)
        return True
    finally:
        msg_fini(&msg)


def sit(Socket socket not None):
    """sit(socket) -> (fd, is_seated, may_sleep): takes the driving seat until stand() (see socket_sit)."""
    cdef socket_t *at = socket.open_socket()
    cdef bint is_seated = False
    cdef bint may_sleep = True
    cdef int rc
    with nogil:
        rc = socket_sit(at, 0, &is_seated, &may_sleep)
    check(rc)
    if is_seated:
        zc_store(&socket._is_seated, 1)
    return rc, is_seated, may_sleep


def stand(Socket socket not None, bint has_events):
    """stand(socket, has_events): reads and writes what is to be, and leaves the seat."""
    # Once for each seat, whoever is first: a second one would put another driver out of it. A closed socket is left too, or it
    # would never finish; a forked child leaves the seat to its parent.
    if socket.is_own() and zc_swap(&socket._is_seated, 0):
        with nogil:
            socket_stand(socket._socket, has_events)


def timeout_of(Socket socket not None, bint is_send):
    """timeout_of(socket, is_send) -> SNDTIMEO or RCVTIMEO."""
    cdef socket_t *at = socket.open_socket()
    return zc_load(&at.options.sndtimeo_ms if is_send else &at.options.rcvtimeo_ms)
