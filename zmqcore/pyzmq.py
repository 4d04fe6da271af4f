"""pyzmq on this engine: an installed pyzmq loads this as its backend when PYZMQ_BACKEND is zmqcore.pyzmq.

Nothing here imports zmq before it is needed: while pyzmq imports this module it is half made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import zmqcore

from . import _core_backend
from ._core import IPC_PATH_MAX_LEN
from ._core_backend import Context, Frame, core_socket, translated, zmq_poll
from ._core_backend_asyncio import hasten
from ._core_proxy import ProxyLoop
from ._errno import zmq_errno
from .constants import ZMQ_VERSION, PollEvent, SocketType
from .errors import ZMQError, strerror

PYZMQ_DRAFT_API = False

# pyzmq's two names of the class.
Message = Frame

Result = TypeVar("Result")


class Socket(_core_backend.Socket):
    """The socket that pyzmq's own class is derived from."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if (cls.__module__, cls.__name__) == ("zmq._future", "_AsyncSocket"):
            hasten(cls)


def zmq_version_info() -> tuple[int, int, int]:
    """The version of libzmq whose interface and behaviour this engine has."""
    return ZMQ_VERSION


def has(capability: str) -> bool:
    """Whether an optional transport or mechanism is there: "ipc", "curve", …"""
    return zmqcore.has(capability)


def curve_keypair() -> tuple[bytes, bytes]:
    """A new CURVE key pair, public and secret, in Z85; ENOTSUP without CURVE."""
    return _translating(zmqcore.curve_keypair)


def curve_public(secret_key: str | bytes) -> bytes:
    """The public key of a secret CURVE key, both in Z85; ENOTSUP without CURVE."""
    secret = secret_key.encode() if isinstance(secret_key, str) else secret_key
    if len(secret) != 40:
        raise ValueError("a secret key is 40 bytes of Z85")
    return _translating(zmqcore.curve_public, secret)


def _translating(call: Callable[..., Result], *args: Any) -> Result:
    try:
        return call(*args)
    except ZMQError as error:
        raise translated(error) from None


def proxy(frontend: Socket, backend: Socket, capture: Socket | None = None) -> int:
    """Forwards messages between two sockets, both ways, until the context ends (zmq_proxy(3))."""
    return proxy_steerable(frontend, backend, capture)


def proxy_steerable(
    frontend: Socket, backend: Socket, capture: Socket | None = None, control: Socket | None = None
) -> int:
    """proxy(), steered by PAUSE, RESUME, STATISTICS and TERMINATE on a control socket. 0 after TERMINATE."""
    loop = ProxyLoop(
        core_socket(frontend, "frontend"),
        core_socket(backend, "backend"),
        None if capture is None else core_socket(capture, "capture"),
        None if control is None else core_socket(control, "control"),
    )
    _translating(loop.run)
    return 0


def monitored_queue(
    in_socket: Socket,
    out_socket: Socket,
    mon_socket: Socket,
    in_prefix: bytes = b"in",
    out_prefix: bytes = b"out",
) -> int:
    """proxy() whose capture socket gets each message behind a prefix that tells where it came from.

    Between two ROUTERs the first two parts, the ids of sender and receiver, change places. Ends by an exception.
    """
    for prefix in (in_prefix, out_prefix):
        if not isinstance(prefix, bytes):
            raise TypeError(f"a prefix is bytes, not {prefix!r}")
    ins, outs = core_socket(in_socket, "in_socket"), core_socket(out_socket, "out_socket")
    side = core_socket(mon_socket, "mon_socket")
    swaps = ins.socket_type == outs.socket_type == SocketType.ROUTER

    def relay(source: Any, target: Any, prefix: bytes) -> None:
        parts = source.recv_multipart(copy=False)
        if swaps:
            parts[:2] = parts[1::-1]
        target.send_multipart(parts)
        side.send_multipart([prefix, *parts])

    ways = {in_socket: (ins, outs, in_prefix), out_socket: (outs, ins, out_prefix)}
    while True:
        for socket, _ in zmq_poll([(source, PollEvent.POLLIN) for source in ways]):
            _translating(relay, *ways[socket])


__all__ = [
    "IPC_PATH_MAX_LEN",
    "PYZMQ_DRAFT_API",
    "Context",
    "Frame",
    "Message",
    "Socket",
    "curve_keypair",
    "curve_public",
    "has",
    "monitored_queue",
    "proxy",
    "proxy_steerable",
    "strerror",
    "zmq_errno",
    "zmq_poll",
    "zmq_version_info",
]
