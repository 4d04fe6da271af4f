"""ZeroMQ written anew. `import zmqcore as zmq` serves code that was written for pyzmq.

Context, Socket, Poller and proxy() carry pyzmq's names, semantics, exceptions and errnos; the engine beneath them runs
without the GIL and is no wrapper of libzmq.
"""

from __future__ import annotations

from . import constants, errors
from ._core import IPC_PATH_MAX_LEN
from ._core_curve import curve_keypair, curve_public, has_curve
from ._core_proxy import proxy, proxy_steerable
from ._errno import zmq_errno
from ._frame import Frame
from .constants import *  # noqa: F403
from .constants import ZMQ_VERSION
from .context import Context
from .errors import (
    Again,
    ContextTerminated,
    InterruptedSystemCall,
    NotDone,
    ZMQBaseError,
    ZMQBindError,
    ZMQError,
    ZMQVersionError,
    strerror,
)
from .poller import Poller, select, zmq_poll
from .proxy_thread import Proxy
from .socket import Socket
from .tracker import COPY_THRESHOLD, MessageTracker

__version__ = "0.1.0"

DRAFT_API = False

# pyzmq's names of the module and of the class.
error = errors
Message = Frame

_CAPABILITIES = frozenset({"ipc"})


def zmq_version() -> str:
    """The version of libzmq whose interface and behaviour this package has."""
    return ".".join(map(str, ZMQ_VERSION))


def zmq_version_info() -> tuple[int, int, int]:
    """zmq_version() as numbers."""
    return ZMQ_VERSION


def has(capability: str) -> bool:
    """Whether an optional transport or mechanism is there: "ipc", "curve", "tipc", "pgm", …"""
    if not isinstance(capability, str):
        raise TypeError(f"a str is needed, not {capability!r}")
    return has_curve() if capability == "curve" else capability in _CAPABILITIES


def device(device_type: int, frontend: Socket, backend: Socket) -> None:
    """proxy() under its old name; the type is ignored."""
    proxy(frontend, backend)


__all__ = [
    *constants.__all__,
    "COPY_THRESHOLD",
    "DRAFT_API",
    "IPC_PATH_MAX_LEN",
    "Again",
    "Context",
    "ContextTerminated",
    "Frame",
    "InterruptedSystemCall",
    "Message",
    "MessageTracker",
    "NotDone",
    "Poller",
    "Proxy",
    "Socket",
    "ZMQBaseError",
    "ZMQBindError",
    "ZMQError",
    "ZMQVersionError",
    "curve_keypair",
    "curve_public",
    "device",
    "has",
    "proxy",
    "proxy_steerable",
    "select",
    "strerror",
    "zmq_errno",
    "zmq_poll",
    "zmq_version",
    "zmq_version_info",
]
