"""Socket: what the compiled socket does not need to know: options as attributes, text, JSON, pickle, `with`."""

from __future__ import annotations

import json
import os
import pickle
import random
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import _core
from .constants import Errno, Event, OptionType, PollEvent, SocketOption, SocketType, option_type
from .errors import ZMQBindError, ZMQError
from .options import checked_value, described, is_declared

if TYPE_CHECKING:
    from typing_extensions import Self

    from .context import Context
    from .tracker import MessageTracker

T = TypeVar("T")
S = TypeVar("S", bound="Socket")

# The range that bind_to_random_port() was given when the caller gave none: the dynamic ports of RFC 6335.
_MIN_PORT, _MAX_PORT = 49152, 65536


def _call_at(call: Callable[[str | bytes], None], addr: str | bytes) -> None:
    """Calls with the address, which the text of an error then tells too: programs show it to those who mistyped it."""
    try:
        call(addr)
    except ZMQError as error:
        error.strerror = f"{error.strerror} (addr={addr!r})"
        raise


class EndpointHold(Generic[S]):
    """What bind() and connect() return. As a context manager it undoes them at the end, unless the socket is closed."""

    def __init__(self, socket: S, release: Callable[[str | bytes], None], endpoint: str | bytes) -> None:
        self._socket = socket
        self._release = release
        self._endpoint = endpoint

    def __enter__(self) -> S:
        return self._socket

    def __exit__(self, *exc_info: object) -> None:
        if not self._socket.closed:
            self._release(self._endpoint)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._endpoint!r}>"


class Socket(_core.Socket):
    """A ZeroMQ socket. Context.socket() makes one.

    Each option is an attribute too: `socket.linger = 0` is `socket.set(zmq.LINGER, 0)`, in small or capital letters.
    Other attributes can be set only where a subclass defines or annotates them.
    """

    # Stays 0 when __init__ fails, so that __del__ knows that there is nothing to close.
    _pid: int = 0
    _monitor_socket: Socket | None = None

    if TYPE_CHECKING:

        @property
        def context(self) -> Context: ...

    def __init__(self, context: Context, socket_type: int, *, copy_threshold: int | None = None) -> None:
        super().__init__(context, socket_type)
        self._pid = os.getpid()
        if copy_threshold is not None:
            self.copy_threshold = copy_threshold
        context._remember(self)

    def __del__(self, _getpid: Callable[[], int] = os.getpid, _warn: Callable[..., None] = warnings.warn) -> None:
        # The defaults outlive the globals of this module at interpreter exit.
        # After a fork the child has a copy of the object, but neither the engine's threads nor a right to its fds.
        if self._pid == _getpid() and not self.closed:
            _warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2, source=self)
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __copy__(self) -> Self:
        """A copy is the same socket, as in pyzmq, where it is a second handle."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __repr__(self) -> str:
        return described(self, "zmqcore.Socket" if type(self) is Socket else None, f"zmq.{self.type.name}")

    @property
    def type(self) -> SocketType:
        """What kind of socket this is; a closed one knows it too."""
        return SocketType(self.socket_type)

    def close(self, linger: int | None = None) -> None:
        """Closes the socket; never blocks. linger: milliseconds for unsent messages, instead of the option LINGER."""
        super().close(linger)
        self.context._forget(self)

    # --- endpoints -------------------------------------------------------------------------------------------------

    def bind(self, addr: str | bytes) -> EndpointHold[Self]:  # type: ignore[override]
        """Listens at an endpoint, for example `tcp://127.0.0.1:*`. `with socket.bind(addr):` unbinds at the end."""
        _call_at(super().bind, addr)
        # The resolved endpoint: a wildcard cannot be unbound.
        return EndpointHold(self, self.unbind, self.last_endpoint)

    def connect(self, addr: str | bytes) -> EndpointHold[Self]:  # type: ignore[override]
        """Connects to an endpoint, now or whenever it is there. `with socket.connect(addr):` disconnects at the end."""
        _call_at(super().connect, addr)
        return EndpointHold(self, self.disconnect, addr)

    def bind_to_random_port(
        self, addr: str, min_port: int = _MIN_PORT, max_port: int = _MAX_PORT, max_tries: int = 100
    ) -> int:
        """Binds to `addr:port` and returns the port.

        The system chooses the port, or, when a range is given, up to max_tries random ones of min_port <= port <
        max_port are tried; ZMQBindError when all of those are taken.
        """
        if (min_port, max_port) == (_MIN_PORT, _MAX_PORT):
            self.bind(f"{addr}:*")
            return int(self.last_endpoint.rpartition(b":")[2])
        if min_port >= max_port:
            raise ValueError(f"empty range of ports: {min_port} to {max_port}")
        ports = range(min_port, max_port)
        for port in random.sample(ports, min(max_tries, len(ports))):
            try:
                self.bind(f"{addr}:{port}")
            except ZMQError as error:
                if error.errno != Errno.EADDRINUSE:
                    raise
            else:
                return port
        raise ZMQBindError(f"no free port found from {min_port} to {max_port - 1} at {addr}")

    # --- monitor ---------------------------------------------------------------------------------------------------

    def get_monitor_socket(self, events: int | None = None, addr: str | None = None) -> Socket:
        """A connected PAIR socket that receives this socket's events (default: all); the same one until it is closed.

        zmqcore.monitor.recv_monitor_message() reads it. addr: an inproc endpoint, for other monitors to be told of.
        """
        if self._monitor_socket is not None and not self._monitor_socket.closed:
            return self._monitor_socket
        if addr is None:
            addr = f"inproc://monitor.s-{self.underlying:x}"
        self.monitor(addr, Event.ALL if events is None else events)
        receiver = self.context.socket(SocketType.PAIR)
        receiver.connect(addr)
        self._monitor_socket = receiver
        return receiver

    def disable_monitor(self) -> None:
        """Ends the monitor: its socket gets MONITOR_STOPPED as the last event, and is yours to close."""
        self._monitor_socket = None
        self.monitor(None, 0)

    # --- options ---------------------------------------------------------------------------------------------------

    def set(self, option: int, optval: Any) -> None:
        """Sets an option: int or bytes, whichever it takes. TypeError for another type, ZMQError for a bad value."""
        self.setsockopt_raw(option, checked_value(option, optval))

    def get(self, option: int) -> Any:
        """The value of an option: an int or bytes."""
        return self.getsockopt_raw(option)

    def set_string(self, option: int, optval: str, encoding: str = "utf-8") -> None:
        """Sets an option that takes bytes to an encoded str."""
        if not isinstance(optval, str):
            raise TypeError(f"a str is needed, not {optval!r}")
        self.set(option, optval.encode(encoding))

    def get_string(self, option: int, encoding: str = "utf-8") -> str:
        """The decoded value of an option that gives bytes; TypeError for the others."""
        if option_type(option) is not OptionType.BYTES:
            raise TypeError(f"the value of option {option} is no text")
        value: bytes = self.get(option)
        return value.decode(encoding)

    setsockopt = set
    getsockopt = get
    setsockopt_string = setsockopt_unicode = set_string
    getsockopt_string = getsockopt_unicode = get_string

    def get_hwm(self) -> int:
        """SNDHWM."""
        value: int = self.get(SocketOption.SNDHWM)
        return value

    def set_hwm(self, value: int) -> None:
        """Sets SNDHWM and RCVHWM."""
        self.set(SocketOption.SNDHWM, value)
        self.set(SocketOption.RCVHWM, value)

    @property
    def hwm(self) -> int:
        """Reads SNDHWM; writes SNDHWM and RCVHWM."""
        return self.get_hwm()

    @hwm.setter
    def hwm(self, value: int) -> None:
        self.set_hwm(value)

    def subscribe(self, topic: str | bytes) -> None:
        """Subscribes a SUB socket to messages that begin with the topic; str means UTF-8."""
        self.set(SocketOption.SUBSCRIBE, topic.encode() if isinstance(topic, str) else topic)

    def unsubscribe(self, topic: str | bytes) -> None:
        """Takes back one subscribe() of the same topic."""
        self.set(SocketOption.UNSUBSCRIBE, topic.encode() if isinstance(topic, str) else topic)

    if TYPE_CHECKING:  # the options are properties, made below

        def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None:
        if name.lower() == "subscribe":
            self.subscribe(value)
        elif name.lower() == "unsubscribe":
            self.unsubscribe(value)
        elif is_declared(type(self), name):
            super().__setattr__(name, value)
        elif option := SocketOption.__members__.get(name.upper()):
            self.set(option, value)
        else:
            raise AttributeError(f"{type(self).__name__} has no attribute or option {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name.lower() for name in SocketOption.__members__)})

    # --- waiting ---------------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """The option FD: becomes readable when the option EVENTS has to be looked at; it is no sign of a message."""
        fd: int = self.get(SocketOption.FD)
        return fd

    def poll(self, timeout: float | None = None, flags: int = PollEvent.POLLIN) -> int:
        """Waits up to timeout milliseconds (None or negative: for ever); the events that are there, or 0."""
        if self.closed:
            raise ZMQError(Errno.ENOTSUP)
        if timeout is None or timeout < 0:
            timeout = -1
        return super().poll(int(timeout), flags)

    # --- messages of other types than bytes ------------------------------------------------------------------------

    def send_string(
        self, u: str, flags: int = 0, copy: bool = True, encoding: str = "utf-8", **kwargs: Any
    ) -> MessageTracker | None:
        """Sends an encoded str."""
        if not isinstance(u, str):
            raise TypeError(f"a str is needed, not {u!r}")
        return self.send(u.encode(encoding), flags, copy, **kwargs)

    def recv_string(self, flags: int = 0, encoding: str = "utf-8") -> str:
        """Receives one part and decodes it."""
        return self.recv(flags).decode(encoding)

    send_unicode = send_string
    recv_unicode = recv_string

    def send_json(self, obj: Any, flags: int = 0, **kwargs: Any) -> MessageTracker | None:
        """Sends an object as JSON; keyword arguments go to json.dumps()."""
        return self.send(json.dumps(obj, **kwargs).encode(), flags)

    def recv_json(self, flags: int = 0, **kwargs: Any) -> Any:
        """Receives one part as JSON; keyword arguments go to json.loads()."""
        return json.loads(self.recv(flags), **kwargs)

    def send_pyobj(
        self, obj: Any, flags: int = 0, protocol: int = pickle.DEFAULT_PROTOCOL, **kwargs: Any
    ) -> MessageTracker | None:
        """Sends a pickled object."""
        return self.send(pickle.dumps(obj, protocol), flags, **kwargs)

    def recv_pyobj(self, flags: int = 0) -> Any:
        """Receives one part and unpickles it: this runs whatever the sender wants, so trust the sender."""
        return pickle.loads(self.recv(flags))

    def send_serialized(
        self, msg: T, serialize: Callable[[T], Sequence[Any]], flags: int = 0, copy: bool = True, **kwargs: Any
    ) -> MessageTracker | None:
        """Sends the parts that serialize(msg) gives as one message."""
        return self.send_multipart(serialize(msg), flags, copy, **kwargs)

    def recv_serialized(self, deserialize: Callable[[list[Any]], T], flags: int = 0, copy: bool = True) -> T:
        """deserialize(parts) of the next message."""
        parts: list[Any] = self.recv_multipart(flags, copy)
        return deserialize(parts)


__all__ = ["EndpointHold", "Socket"]


def _option_property(name: str, option: SocketOption) -> property:
    def read(self: Socket) -> Any:
        try:
            return self.get(option)
        except ZMQError as error:
            if error.errno in (Errno.EINVAL, Errno.EFAULT):
                raise AttributeError(f"the option {name!r} cannot be read on this socket") from error
            raise

    def write(self: Socket, value: Any) -> None:
        self.set(option, value)

    return property(read, write, doc=f"The socket option {option.name} (zmq_setsockopt(3), zmq_getsockopt(3)).")


def _declare_options() -> None:
    # Properties, and no __getattr__: that would slow down the look-up of every method.
    for name, option in SocketOption.__members__.items():
        for spelling in (name.lower(), name):
            if not hasattr(Socket, spelling):
                setattr(Socket, spelling, _option_property(spelling, option))


_declare_options()
