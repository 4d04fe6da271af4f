"""zmqcore.asyncio: Context, Socket and Poller whose waiting is awaited, as in zmq.asyncio.

No thread stands between the event loop and a socket. While somebody waits for a socket, the loop's thread has its
driving seat: the socket's poll set is registered with the loop, which calls _Seat.on_ready when there is something to
read, to write or to time out. While nobody waits, the I/O thread of the context drives: also when the loop is closed.

A call that need not wait is done before it returns, and returns a Ready: it has a future's methods, but is none. Every
READY_RUN_MAX (_limits.pxd) such calls the loop gets a turn, so that other tasks run beside a busy one. A call that has
to wait returns a future. Waiting calls are served in their order. send_many and recv_many are coroutines: they do
nothing before they are awaited, and wait in no order.

No message is lost by cancellation: one that was received for a task that is cancelled before it resumes goes back to
the socket. This holds for `await`, asyncio.timeout() and asyncio.wait_for(); the result of a future that is done and
that nobody awaits is in that future.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from . import _core
from . import context as _context
from . import poller as _poller
from . import socket as _socket
from ._core_asyncio import (
    Ready,
    check_room,
    keep,
    keep_all,
    ready,
    recv_into_ready,
    recv_ready,
    rest,
    send_ready,
    sit,
    stand,
    timeout_of,
    tire,
    unrecv,
)
from ._frame import Frame
from .constants import Errno, Flag, PollEvent
from .errors import Again, ZMQError
from .tracker import FINISHED, MessageTracker

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

_DONTWAIT = int(Flag.DONTWAIT)
_OFFERED_LEAST = 64  # messages that send_many offers the socket at first, and when few of the last could go

# What a waiter tries again and again: None as long as it has to wait.
_Attempt = Callable[[], "Ready[Any] | None"]

# Attempts to sit down before the loop gets a turn; turns before it is asked only every millisecond, because another
# thread stays inside a blocking call on the socket.
_SIT_TRIES = 4
_PATIENT_TURNS = 50
_SHARED_LOOK_S = 0.001


def _loop_now() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.get_event_loop_policy().get_event_loop()


def _failed(error: Exception) -> asyncio.Future[Any]:
    """What failed at once fails where it is awaited."""
    future: asyncio.Future[Any] = _loop_now().create_future()
    future.set_exception(error)
    return future


def _over() -> None:
    return None


class _Waiter(asyncio.Future[Any]):
    """The future of a call that waits in one of the queues of a seat."""

    _timer: asyncio.TimerHandle | None = None
    _got: Ready[Any] | None = None
    _awaiters = 0
    _is_taken_back = False

    def __init__(self, seat: _Seat, attempt: _Attempt, load: Callable[[Any], Any] | None, is_poll: bool) -> None:
        super().__init__(loop=seat.loop)
        self._seat = seat
        self._load = load
        self._is_poll = is_poll
        self.attempt = attempt

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done():
            self._asyncio_future_blocking = True
            self._awaiters += 1
            try:
                yield self
            except BaseException:
                # The task was cancelled after the message had come for it.
                if self._awaiters == 1:
                    self._take_back()
                raise
            finally:
                self._awaiters -= 1
        # Whoever resumes has the message: nobody after it gives it back.
        self._got = None
        return self.result()

    __iter__ = __await__

    def _take_back(self) -> None:
        got = self._got
        self._got = None
        if got is not None and got.give_back():
            self._is_taken_back = True

    def result(self) -> Any:
        if self._is_taken_back:
            raise asyncio.CancelledError
        return super().result()

    def cancelled(self) -> bool:
        return self._is_taken_back or super().cancelled()

    def cancel(self, msg: Any | None = None) -> bool:
        if not super().cancel(msg):
            return False
        self._end()
        self._seat.prune()
        return True

    def _end(self) -> None:
        # Whoever keeps the future does not keep the socket.
        self.attempt = _over
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def start_timer(self, timeout_ms: float) -> None:
        self._timer = self.get_loop().call_later(timeout_ms / 1000, self._expire)

    def _expire(self) -> None:
        if self.done():
            return
        self._end()
        if self._is_poll:
            self.set_result(0)
        else:
            self.set_exception(Again())
        self._seat.prune()

    def fulfil(self, got: Ready[Any]) -> None:
        """Ends the wait with what the attempt gave."""
        self._end()
        try:
            value = got.result() if self._load is None else self._load(got.result())
        except Exception as error:
            self.set_exception(error)
        else:
            self._got = got
            self.set_result(value)

    def fail(self, error: Exception) -> None:
        self._end()
        self.set_exception(error)


def _on_ready(reference: weakref.ref[_Seat]) -> None:
    # The loop keeps neither a seat nor its socket alive.
    seat = reference()
    if seat is not None:
        seat.on_ready()


def _take_out(loop: asyncio.AbstractEventLoop, fd: int, pid: int) -> None:
    # A forked child shares the poll set of its parent's loop, and takes nothing out of it.
    if not loop.is_closed() and pid == os.getpid():
        loop.remove_reader(fd)
    os.close(fd)


class _Seat:
    """The driving seat of one socket, for an event loop, with the queues of those who wait.

    is_seated: the loop's thread drives the socket, and whatever happens to it makes its fd readable; true while
    somebody waits. The fd stays registered afterwards, because most waits are followed by another one; the loop's first
    needless call ends that.

    _fd is a duplicate of the poll set's descriptor: whoever closes the socket in another thread would else leave the
    loop with a number that the next socket may get.
    """

    loop: asyncio.AbstractEventLoop | None = None
    is_seated = False
    _fd = -1
    _pid = 0
    _turns = 0
    _is_retrying = False

    def __init__(self, socket: _core.Socket) -> None:
        self._socket = weakref.ref(socket)
        self.recvs: deque[_Waiter] = deque()
        self.sends: deque[_Waiter] = deque()
        self.polls: deque[_Waiter] = deque()

    @property
    def has_waiters(self) -> bool:
        return bool(self.recvs or self.sends or self.polls)

    def wait(
        self, queue: deque[_Waiter], attempt: _Attempt, timeout_ms: float, load: Callable[[Any], Any] | None = None
    ) -> _Waiter:
        """The future of an attempt that has just failed. timeout_ms < 0: for ever."""
        loop = _loop_now()
        if loop is not self.loop:
            self._move(loop)
        waiter = _Waiter(self, attempt, load, queue is self.polls)
        queue.append(waiter)
        if timeout_ms >= 0:
            waiter.start_timer(timeout_ms)
        if not self.is_seated:
            self._sit()
        return waiter

    def on_ready(self) -> None:
        """The loop's turn: the socket's poll set is readable, or it was not possible to sit down before."""
        socket = self._socket()
        self._is_retrying = False
        if socket is None:
            self._unregister()
            return
        self._stand(True)
        is_needless = not self.has_waiters
        self._serve()
        if self.has_waiters:
            self._sit()
        elif is_needless or socket.closed:
            self._unregister()

    def wake_soon(self) -> None:
        """A message has come back: somebody may be waiting for it."""
        if self.has_waiters and self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon(_on_ready, weakref.ref(self))

    def prune(self) -> None:
        """Somebody has left: nobody drives for those who are gone."""
        for queue in (self.recvs, self.sends, self.polls):
            while queue and queue[0].done():
                queue.popleft()
            while queue and queue[-1].done():
                queue.pop()
        if not self.has_waiters:
            self._stand()

    @property
    def is_elsewhere(self) -> bool:
        """Whether its loop runs in another thread: there only that thread may call it."""
        return self.loop is not None and self.loop.is_running() and asyncio._get_running_loop() is not self.loop

    def leave_soon(self) -> None:
        """From another thread, after the socket has been closed: who waits hears of it, and the loop lets go of it."""
        # The engine does not wait for the loop to see a lingering socket to its end.
        self._stand()
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                self.loop.call_soon_threadsafe(self.on_ready)

    def __del__(self) -> None:
        # Of a plain socket under a poll() that nobody awaits. Garbage is collected in any thread.
        if self._fd < 0:
            return
        self._stand()
        if self.loop is not None and self.is_elsewhere:
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                self.loop.call_soon_threadsafe(_take_out, self.loop, self._fd, self._pid)
        else:
            self._unregister()

    def close(self) -> None:
        """Cancels who waits and leaves the loop."""
        waiters = [*self.recvs, *self.sends, *self.polls]
        for queue in (self.recvs, self.sends, self.polls):
            queue.clear()
        self._stand()
        self._unregister()
        if self.loop is not None and not self.loop.is_closed():
            for waiter in waiters:
                waiter.cancel()

    def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.has_waiters and self.loop is not None and self.loop.is_running():
            raise RuntimeError("another event loop waits for this socket")
        self.close()
        self.loop = loop

    def _serve(self) -> None:
        for queue in (self.recvs, self.sends):
            while queue:
                waiter = queue[0]
                if waiter.done():
                    queue.popleft()
                    continue
                try:
                    got = waiter.attempt()
                except Exception as error:
                    queue.popleft()
                    waiter.fail(error)
                    continue
                if got is None:
                    break
                queue.popleft()
                waiter.fulfil(got)
        # Several may wait for the same events, or for different ones.
        for _ in range(len(self.polls)):
            waiter = self.polls.popleft()
            if waiter.done():
                continue
            try:
                got = waiter.attempt()
            except Exception as error:
                waiter.fail(error)
                continue
            if got is None:
                self.polls.append(waiter)
            else:
                waiter.fulfil(got)

    def _sit(self) -> None:
        socket = self._socket()
        if socket is None:
            return
        for _ in range(_SIT_TRIES):
            try:
                fd, self.is_seated, may_sleep = sit(socket)
            except (ZMQError, MemoryError) as error:
                self._fail_all(error)
                return
            if not self.is_seated:
                break
            # What came before the seat was taken has rung nowhere.
            self._serve()
            if not self.has_waiters:
                self._stand()
                return
            if may_sleep:
                self._turns = 0
                try:
                    self._register(fd)
                except OSError as error:
                    self._stand()
                    self._fail_all(ZMQError(error.errno))
                return
            self._stand(True)
        # The I/O thread is at work on it, for some microseconds, or another thread blocks in a call.
        self._turns += 1
        if not self._is_retrying and self.loop is not None:
            self._is_retrying = True
            if self._turns < _PATIENT_TURNS:
                self.loop.call_soon(_on_ready, weakref.ref(self))
            else:
                self.loop.call_later(_SHARED_LOOK_S, _on_ready, weakref.ref(self))

    def _stand(self, has_events: bool = False) -> None:
        socket = self._socket()
        if self.is_seated and socket is not None:
            self.is_seated = False
            with contextlib.suppress(ZMQError):  # a forked child leaves the seat to its parent
                stand(socket, has_events)

    def _fail_all(self, error: Exception) -> None:
        # ETERM and ENOTSOCK come from the attempts themselves; the others had no descriptors or memory to sit down.
        self._serve()
        for queue in (self.recvs, self.sends, self.polls):
            while queue:
                waiter = queue.popleft()
                if not waiter.done():
                    waiter.fail(error)
        self._unregister()

    def _register(self, fd: int) -> None:
        if self._fd < 0 and self.loop is not None:
            self._fd = os.dup(fd)
            self._pid = os.getpid()
            self.loop.add_reader(self._fd, _on_ready, weakref.ref(self))

    def _unregister(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0 and self.loop is not None:
            _take_out(self.loop, fd, self._pid)


# Who waits for a descriptor in a Poller, by loop, descriptor and direction: a loop has one callback for each.
_Looks = list[Callable[[], None]]
_watched: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[int, bool], _Looks]] = (
    weakref.WeakKeyDictionary()
)


def _look_all(looks: _Looks) -> None:
    for look in list(looks):
        look()


def _watch(loop: asyncio.AbstractEventLoop, fd: int, is_write: bool, look: Callable[[], None]) -> Callable[[], object]:
    """look() whenever fd is ready, until what is returned is called."""
    table = _watched.setdefault(loop, {})
    looks = table.get((fd, is_write))
    if looks is None:
        looks = []
        (loop.add_writer if is_write else loop.add_reader)(fd, _look_all, looks)
        table[fd, is_write] = looks
    looks.append(look)
    return partial(_unwatch, loop, fd, is_write, look)


def _unwatch(loop: asyncio.AbstractEventLoop, fd: int, is_write: bool, look: Callable[[], None]) -> None:
    table = _watched[loop]
    looks = table[fd, is_write]
    looks.remove(look)
    if not looks:
        del table[fd, is_write]
        (loop.remove_writer if is_write else loop.remove_reader)(fd)


def _end_of(timeout_ms: int) -> float | None:
    """When a call that begins now has to end, in the loop's time; None: never."""
    return None if timeout_ms < 0 else asyncio.get_running_loop().time() + timeout_ms / 1000


def _left_ms(end: float | None) -> float:
    """How long a call may still wait; -1: for ever."""
    return -1 if end is None else max(0.0, 1000 * (end - asyncio.get_running_loop().time()))


def _tracked(parts: Sequence[Any], track: bool) -> Callable[[Any], MessageTracker]:
    """What a send without a copy makes of its result. All else than a Frame is copied."""
    trackers = [part.tracker for part in parts if isinstance(part, Frame)] if track else []
    tracker = MessageTracker(*trackers) if trackers else FINISHED
    # A tracked frame's own, as in pyzmq.
    tracker = trackers[0] if len(trackers) == 1 and trackers[0] else tracker
    return lambda _: tracker


class Socket(_socket.Socket):
    """A socket whose send, recv and poll methods return awaitables. Context.socket() makes one.

    All else is as in zmqcore.Socket and returns at once. It belongs to the thread of the event loop that uses it, and
    may be used in another loop when that one has ended. close() cancels whatever waits.
    """

    _seat: _Seat | None = None
    _recvs: deque[_Waiter]
    _sends: deque[_Waiter]
    # Messages that came back while another one is received part by part.
    _returned: deque[list[Any]]

    def __init__(self, context: _core.Context, socket_type: int, **kwargs: Any) -> None:
        super().__init__(context, socket_type, **kwargs)  # type: ignore[arg-type]
        self._seat = seat = _Seat(self)
        self._recvs = seat.recvs
        self._sends = seat.sends
        self._returned = deque()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def close(self, linger: int | None = None) -> None:
        """Closes the socket; never blocks. Cancels what waits for it; from another thread, that fails with ENOTSOCK."""
        seat = self._seat
        if seat is not None and seat.is_elsewhere:
            super().close(linger)
            seat.leave_soon()
            return
        if seat is not None:
            seat.close()
        super().close(linger)

    # --- receiving -------------------------------------------------------------------------------------------------

    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> Awaitable[Any]:  # type: ignore[override]
        """Receives one part: bytes, or a Frame when copy is False."""
        if not (flags or self._recvs or self._returned):
            try:
                got = recv_ready(self, False, copy)
            except Exception as error:
                return _failed(error)
            if got is not None:
                return got
        return self._receive(flags, False, copy)

    def recv_multipart(  # type: ignore[override]
        self, flags: int = 0, copy: bool = True, track: bool = False
    ) -> Awaitable[list[Any]]:
        """Receives a whole message, or what is left of it: a list of bytes, or of Frames when copy is False."""
        if not (flags or self._recvs or self._returned):
            try:
                got = recv_ready(self, True, copy)
            except Exception as error:
                return _failed(error)
            if got is not None:
                return got
        return self._receive(flags, True, copy)

    def recv_into(  # type: ignore[override]
        self, buffer: Any, /, *, nbytes: int = 0, flags: int = 0
    ) -> Awaitable[int]:
        """Receives one part into a writable buffer; the size of the message, which may be more than what is stored.

        The buffer is not held while the call waits: if it cannot be filled any more, that is raised and the message
        stays.
        """
        try:
            check_room(buffer, nbytes)
        except Exception as error:
            return _failed(error)
        return self._receive(flags, False, False, into=(buffer, nbytes))

    def recv_string(self, flags: int = 0, encoding: str = "utf-8") -> Awaitable[str]:  # type: ignore[override]
        """Receives one part and decodes it."""
        return self._receive(flags, False, True, lambda message: message.decode(encoding))

    def recv_json(self, flags: int = 0, **kwargs: Any) -> Awaitable[Any]:
        """Receives one part as JSON; keyword arguments go to json.loads()."""
        return self._receive(flags, False, True, lambda message: json.loads(message, **kwargs))

    def recv_pyobj(self, flags: int = 0) -> Awaitable[Any]:
        """Receives one part and unpickles it: this runs whatever the sender wants, so trust the sender."""
        return self._receive(flags, False, True, pickle.loads)

    def recv_serialized(  # type: ignore[override]
        self, deserialize: Callable[[list[Any]], T], flags: int = 0, copy: bool = True
    ) -> Awaitable[T]:
        """deserialize(parts) of the next message."""
        return self._receive(flags, True, copy, deserialize)

    recv_unicode = recv_string  # type: ignore[assignment]

    def _receive(
        self,
        flags: int,
        is_whole: bool,
        copy: bool,
        load: Callable[[Any], Any] | None = None,
        into: tuple[Any, int] | None = None,
    ) -> Awaitable[Any]:
        try:
            if flags & _DONTWAIT or not self._recvs:
                got = self._take(is_whole, copy, into)
                if got is not None:
                    return got if load is None else got.decoded(load)
            due_ms = timeout_of(self, False)
            if flags & _DONTWAIT or due_ms == 0:
                raise Again()
            assert self._seat is not None
            return self._seat.wait(self._recvs, partial(self._take, is_whole, copy, into), due_ms, load)
        except Exception as error:
            return _failed(error)

    def _take(self, is_whole: bool, copy: bool, into: tuple[Any, int] | None) -> Ready[Any] | None:
        got = recv_ready(self, is_whole, copy) if into is None else recv_into_ready(self, *into)
        self._put_back()
        return got

    def _put_back(self) -> None:
        # Behind a receive, which may have ended the message that was in the way.
        if self._returned and unrecv(self, self._returned[0], False):
            self._returned.popleft()

    def _take_back(self, message: Any, more: bool) -> None:
        # Called by a Ready or a _Waiter whose task was cancelled. Those that came back before are received before.
        is_begun = more and not isinstance(message, list)
        parts = message if isinstance(message, list) else [message]
        try:
            if (self._returned and not is_begun) or not unrecv(self, parts, is_begun):
                self._returned.append(parts)
        except ZMQError:
            return  # closed, or the context has ended: nobody will receive it
        if self._seat is not None:
            self._seat.wake_soon()

    # --- sending ---------------------------------------------------------------------------------------------------

    def send(  # type: ignore[override]
        self, data: Any, flags: int = 0, copy: bool = True, track: bool = False
    ) -> Awaitable[Any]:
        """Sends one part: bytes, any contiguous buffer, or a Frame. Sends also when the result is not awaited."""
        if copy and not (flags or self._sends):
            try:
                done = send_ready(self, data, 0, False)
            except Exception as error:
                return _failed(error)
            if done is not None:
                return done
        return self._send(data, flags, False, copy, track)

    def send_multipart(  # type: ignore[override]
        self, msg_parts: Iterable[Any], flags: int = 0, copy: bool = True, track: bool = False
    ) -> Awaitable[Any]:
        """Sends a whole message, given as an iterable of parts, in one piece. Sends also when it is not awaited."""
        try:
            parts = list(msg_parts)
            if not parts:
                raise ValueError("a message needs at least one part")
        except Exception as error:
            return _failed(error)
        return self._send(parts, flags, True, copy, track)

    def _send(self, data: Any, flags: int, is_whole: bool, copy: bool, track: bool) -> Awaitable[Any]:
        try:
            result = None if copy else _tracked(data if is_whole else [data], track)
            if flags & _DONTWAIT or not self._sends:
                done = send_ready(self, data, flags, is_whole)
                if done is not None:
                    return done if result is None else done.decoded(result)
            due_ms = timeout_of(self, True)
            if flags & _DONTWAIT or due_ms == 0:
                raise Again()
            kept = [keep(part) for part in data] if is_whole else keep(data)
            assert self._seat is not None
            attempt = partial(send_ready, self, kept, flags, is_whole)
            return self._seat.wait(self._sends, attempt, due_ms, result)
        except Exception as error:
            return _failed(error)

    # --- batches ---------------------------------------------------------------------------------------------------

    async def send_many(  # type: ignore[override]
        self, messages: Iterable[Any], flags: int = 0
    ) -> int:
        """Sends many messages; how many were sent: less than all only when DONTWAIT, the end of SNDTIMEO, which is that
        of the whole call, or an error came in between. Raises what comes before the first is sent.

        A coroutine: nothing is sent before it is awaited. What has gone when it is cancelled stays sent.
        """
        timeout_ms = timeout_of(self, True)
        kept = keep_all(messages)
        end = _end_of(0 if flags & _DONTWAIT else timeout_ms)
        sent = 0
        # What is offered and cannot go yet was converted for nothing: so twice what went last time, not all the rest.
        most = _OFFERED_LEAST
        try:
            while True:
                await rest()
                offered = kept[sent : sent + most]
                try:
                    went = _core.Socket.send_many(self, offered, flags | _DONTWAIT)
                except Again:
                    went = await self._wait_to_offer(offered, flags, _left_ms(end))
                tire(went)
                sent += went
                most = max(_OFFERED_LEAST, 2 * went)
                if sent == len(kept) or (went < len(offered) and flags & _DONTWAIT):
                    return sent
        except (ZMQError, MemoryError):
            if sent:
                return sent
            raise

    async def _wait_to_offer(self, messages: list[Any], flags: int, left_ms: float) -> int:
        # Tries itself, for POLLOUT need not mean that these can go: a ROUTER is ready whoever of its peers is not.
        def offer() -> Ready[int] | None:
            if not _core.Socket.poll(self, 0, PollEvent.POLLOUT):
                return None
            try:
                return ready(_core.Socket.send_many(self, messages, flags | _DONTWAIT))
            except Again:
                return None

        assert self._seat is not None
        went: int = await self._seat.wait(self._seat.polls, offer, left_ms) if left_ms else 0
        if not went:
            raise Again()
        return went

    async def recv_many(  # type: ignore[override]
        self, max_messages: int, flags: int = 0
    ) -> list[Any]:
        """Waits for a message; takes it and what else is there, at most max_messages.

        A coroutine: nothing is received before it is awaited. RCVTIMEO is that of the whole call.
        """
        end = _end_of(0 if flags & _DONTWAIT else timeout_of(self, False))
        while True:
            await rest()  # before: what has been taken cannot be cancelled
            try:
                # What came back is next, behind the rest of the message that is in its way.
                count = min(max_messages, 1) if self._returned else max_messages
                messages = _core.Socket.recv_many(self, count, flags | _DONTWAIT)
                self._put_back()
                tire(len(messages))
                return messages
            except Again:
                left_ms = _left_ms(end)
                if not left_ms or not await self.poll(left_ms, PollEvent.POLLIN):
                    raise

    if TYPE_CHECKING:

        def send_string(  # type: ignore[override]
            self, u: str, flags: int = 0, copy: bool = True, encoding: str = "utf-8", **kwargs: Any
        ) -> Awaitable[Any]: ...

        def send_json(self, obj: Any, flags: int = 0, **kwargs: Any) -> Awaitable[Any]: ...  # type: ignore[override]

        def send_pyobj(  # type: ignore[override]
            self, obj: Any, flags: int = 0, protocol: int = pickle.DEFAULT_PROTOCOL, **kwargs: Any
        ) -> Awaitable[Any]: ...

        def send_serialized(  # type: ignore[override]
            self, msg: T, serialize: Callable[[T], Sequence[Any]], flags: int = 0, copy: bool = True, **kwargs: Any
        ) -> Awaitable[Any]: ...

    # --- polling ---------------------------------------------------------------------------------------------------

    def poll(  # type: ignore[override]
        self, timeout: float | None = None, flags: int = PollEvent.POLLIN
    ) -> Awaitable[int]:
        """Waits up to timeout milliseconds (None or negative: for ever); the events that are there, or 0."""
        timeout_ms = -1 if timeout is None or timeout < 0 else timeout
        if self.closed:
            return _failed(ZMQError(Errno.ENOTSUP))
        try:
            events = _core.Socket.poll(self, 0, flags)
            if events or timeout_ms == 0:
                return ready(events)
            assert self._seat is not None
            return self._seat.wait(self._seat.polls, partial(self._look, flags), timeout_ms)
        except Exception as error:
            return _failed(error)

    def _look(self, flags: int) -> Ready[int] | None:
        events = _core.Socket.poll(self, 0, flags)
        return ready(events) if events else None


class Context(_context.Context):
    """As zmqcore.Context, with sockets of this module."""

    _socket_class = Socket

    if TYPE_CHECKING:

        def socket(  # type: ignore[override]
            self, socket_type: int, socket_class: Callable[..., Any] | None = None, **kwargs: Any
        ) -> Socket: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Closes every open socket. Termination waits for LINGER in a thread, so that the loop goes on."""
        for socket in self._open_sockets():
            socket.close()
        await asyncio.get_running_loop().run_in_executor(None, self.term)


class Poller(_poller.Poller):
    """A Poller whose poll() is awaited. Takes sockets of this module, plain ones, and descriptors."""

    def poll(self, timeout: float | None = -1) -> Awaitable[list[tuple[Any, int]]]:  # type: ignore[override]
        """The ready ones with their events; timeout in milliseconds, None or negative: for ever."""
        try:
            found = super().poll(0)
            if found or timeout == 0 or not self._events:
                return ready(found)
            return self._wait(-1 if timeout is None else timeout)
        except Exception as error:
            return _failed(error)

    def _wait(self, timeout_ms: float) -> asyncio.Future[list[tuple[Any, int]]]:
        loop = _loop_now()
        outcome: asyncio.Future[list[tuple[Any, int]]] = loop.create_future()
        undo: list[Callable[[], object]] = []
        items = self.sockets

        def look() -> None:
            if outcome.done():
                return
            try:
                found = _poller.zmq_poll(items, 0)
            except Exception as error:
                outcome.set_exception(error)
                return
            if found:
                outcome.set_result(found)

        def lose(waiter: asyncio.Future[Any]) -> None:
            # The socket was closed, its context has ended, or there was nothing to wait with.
            error = None if waiter.cancelled() else waiter.exception()
            look()
            if error is not None and not outcome.done():
                outcome.set_exception(error)

        def expire() -> None:
            if not outcome.done():
                outcome.set_result([])

        def leave(_: object) -> None:
            for step in undo:
                step()

        outcome.add_done_callback(leave)
        try:
            for target, events in items:
                if isinstance(target, _core.Socket):
                    own = getattr(target, "_seat", None)
                    seat = own or _Seat(target)
                    # Looks whenever something has happened to the socket, and waits on until it is cancelled.
                    waiter = seat.wait(seat.polls, look, -1)
                    undo.append(waiter.cancel if own else seat.close)
                    waiter.add_done_callback(lose)
                else:
                    fd = target if isinstance(target, int) else target.fileno()
                    if events & PollEvent.POLLIN:
                        undo.append(_watch(loop, fd, False, look))
                    if events & PollEvent.POLLOUT:
                        undo.append(_watch(loop, fd, True, look))
            if timeout_ms >= 0:
                undo.append(loop.call_later(timeout_ms / 1000, expire).cancel)
        except BaseException:
            leave(None)
            outcome.cancel()
            raise
        return outcome


__all__ = ["Context", "Poller", "Socket"]
