"""The exceptions, and the one table from errno to exception and text.

The compiled module raises through error_for(), so nothing here imports it.
"""

from __future__ import annotations

import errno as system_errno
import os

from .constants import ZMQ_VERSION, Errno

# Where zmq_strerror(3) does not give the system's text.
_OWN_TEXTS: dict[int, str] = {
    Errno.EHOSTUNREACH: "Host unreachable",
    Errno.EFSM: "Operation cannot be accomplished in current state",
    Errno.ENOCOMPATPROTO: "The protocol is not compatible with the socket type",
    Errno.ETERM: "Context was terminated",
    Errno.EMTHREAD: "No thread available",
}


def strerror(errno: int) -> str:
    """The text of an errno, ZeroMQ's own included."""
    return _OWN_TEXTS.get(errno) or os.strerror(errno)


class ZMQBaseError(Exception):
    """Base of all exceptions of this package, except ZMQVersionError."""


class ZMQError(ZMQBaseError):
    """An operation failed with an errno. Without a message the text is that of the errno; no errno counts as 0."""

    errno: int | None = None
    strerror: str

    def __init__(self, errno: int | str | None = None, msg: str | None = None) -> None:
        if isinstance(errno, str):
            self.strerror = errno if msg is None else msg
            return
        self.errno = 0 if errno is None else errno
        self.strerror = strerror(self.errno) if msg is None else msg

    def __str__(self) -> str:
        return self.strerror

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self}')"


class ZMQBindError(ZMQBaseError):
    """Socket.bind_to_random_port() found no free port."""


class NotDone(ZMQBaseError):
    """MessageTracker.wait() reached its timeout."""


class ContextTerminated(ZMQError):
    """The context was terminated under the call (ETERM)."""

    def __init__(self, errno: object = None, msg: object = None) -> None:
        super().__init__(Errno.ETERM)


class Again(ZMQError):
    """The call would have to wait, or its timeout is over (EAGAIN)."""

    def __init__(self, errno: object = None, msg: object = None) -> None:
        super().__init__(Errno.EAGAIN)


class InterruptedSystemCall(ZMQError, InterruptedError):
    """A signal interrupted the call (EINTR). Blocking calls resume by themselves, so this should not be seen."""

    errno = system_errno.EINTR
    strerror: str

    def __init__(self, errno: object = None, msg: object = None) -> None:
        super().__init__(system_errno.EINTR)


class ZMQVersionError(NotImplementedError):
    """A feature needs a newer ZeroMQ than the one whose interface this package has."""

    def __init__(self, min_version: str, msg: str = "Feature") -> None:
        super().__init__(min_version, msg)
        self.min_version = min_version
        self.msg = msg
        self.version = ".".join(map(str, ZMQ_VERSION))

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self}')"

    def __str__(self) -> str:
        return f"{self.msg} needs ZeroMQ {self.min_version} or later, this is {self.version}"


_BY_ERRNO: dict[int, type[ZMQError]] = {
    Errno.EAGAIN: Again,
    Errno.ETERM: ContextTerminated,
    system_errno.EINTR: InterruptedSystemCall,
}


def error_for(errno: int, message: str | None = None) -> ZMQError:
    """The exception that stands for an errno. The three that have a class of their own keep their own text."""
    kind = _BY_ERRNO.get(errno)
    return ZMQError(errno, message) if kind is None else kind()


__all__ = [
    "Again",
    "ContextTerminated",
    "InterruptedSystemCall",
    "NotDone",
    "ZMQBaseError",
    "ZMQBindError",
    "ZMQError",
    "ZMQVersionError",
    "error_for",
    "strerror",
]
