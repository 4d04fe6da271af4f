"""Context: makes sockets, knows which of them are open, and ends them all."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from . import _core
from .constants import ContextOption, Errno, SocketOption
from .errors import ZMQError
from .options import checked_int, described, is_declared
from .socket import Socket

if TYPE_CHECKING:
    from typing_extensions import Self

S = TypeVar("S", bound=Socket)


class Context(_core.Context):
    """Owns the I/O threads of its sockets. A program needs one; instance() gives it.

    Context options are attributes. A socket option set as an attribute (`context.linger = 0`) is the default of
    sockets made later.
    """

    # Stays 0 when __init__ fails, so that __del__ knows that there is nothing to end.
    _pid: int = 0
    _socket_class: type[Socket] = Socket
    _instance: Context | None = None
    # Reentrant: a signal handler may call instance() too.
    _instance_lock = threading.RLock()
    # Options that sockets made later start with.
    sockopts: dict[int, Any]
    # Open sockets by id. Each access is one dict operation, or is tried again, so threads and __del__ need no lock.
    _sockets: dict[int, weakref.ref[Socket]]

    def __init__(self, io_threads: int = 1) -> None:
        super().__init__(io_threads)
        self.sockopts = {}
        self._sockets = {}
        self._pid = os.getpid()

    def __del__(
        self,
        _getpid: Callable[[], int] = os.getpid,
        _is_finalizing: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        # Termination waits for LINGER: neither the end of the process nor a forked child may hang on it.
        if self._pid == _getpid() and not self.closed and not _is_finalizing():
            warnings.warn(f"{self!r} was never terminated", ResourceWarning, stacklevel=2, source=self)
            if any(reference() is None for reference in self._references()):
                # A socket is collected together with this context, and term() would wait for it: it is closed later.
                self.shutdown()
            else:
                self._destroy_loudly()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._destroy_loudly()

    def __copy__(self) -> Self:
        """A copy is the same context, as in pyzmq, where it is a second handle."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __repr__(self) -> str:
        inside = {0: "", 1: "1 socket"}.get(len(self._sockets), f"{len(self._sockets)} sockets")
        return described(self, "zmqcore.Context" if type(self) is Context else None, inside)

    @classmethod
    def instance(cls, io_threads: int = 1) -> Self:
        """The context that the whole process shares, one for each class; made when there is none or it was ended.

        A forked child gets its own. io_threads counts only when the context is made.
        """
        with Context._instance_lock:
            shared = cls.__dict__.get("_instance")
            if shared is None or shared.closed or shared._pid != os.getpid():
                shared = cls._instance = cls(io_threads)
            return shared

    # --- sockets ---------------------------------------------------------------------------------------------------

    @overload
    def socket(self, socket_type: int, socket_class: None = None, **kwargs: Any) -> Socket: ...

    @overload
    def socket(self, socket_type: int, socket_class: Callable[..., S], **kwargs: Any) -> S: ...

    def socket(self, socket_type: int, socket_class: Callable[..., Any] | None = None, **kwargs: Any) -> Any:
        """A new socket with the default options of this context; keyword arguments go to its class."""
        if self.closed:
            raise ZMQError(Errno.ENOTSUP)
        made = (socket_class or self._socket_class)(self, socket_type, **kwargs)
        try:
            self._apply_defaults(made)
        except BaseException:
            made.close(0)
            raise
        return made

    def _apply_defaults(self, made: Socket) -> None:
        for option, value in self.sockopts.copy().items():
            # The defaults are for sockets of all types, and each type refuses what it has no use for.
            with contextlib.suppress(ZMQError):
                made.set(option, value)

    def _remember(self, made: Socket) -> None:
        self._sockets[id(made)] = weakref.ref(made)

    def _forget(self, closed: Socket) -> None:
        self._sockets.pop(id(closed), None)

    def _references(self) -> list[weakref.ref[Socket]]:
        while True:
            try:
                return list(self._sockets.values())
            except RuntimeError:
                continue  # a socket was made, closed or collected meanwhile; dict.copy() may even come out damaged then

    def _open_sockets(self) -> list[Socket]:
        found = [reference() for reference in self._references()]
        return [socket for socket in found if socket is not None and not socket.closed]

    def destroy(self, linger: int | None = None) -> None:
        """Closes every open socket of this context, then term(). linger: milliseconds, instead of their LINGER."""
        if self.closed:
            return
        for socket in self._open_sockets():
            socket.close(linger)
        self.term()

    def _destroy_loudly(self) -> None:
        for socket in self._open_sockets():
            warnings.warn(
                f"{socket!r} is still open and closed with its context", ResourceWarning, stacklevel=3, source=socket
            )
        self.destroy()

    # --- options ---------------------------------------------------------------------------------------------------

    def set(self, option: int, optval: int) -> None:
        """Sets a context option; those about threads count until the first socket is made."""
        self._check_open()
        super().set(option, checked_int(optval))

    def get(self, option: int) -> int:
        """The value of a context option."""
        self._check_open()
        return super().get(option)

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError("the context is terminated")

    def setsockopt(self, opt: int, value: Any) -> None:
        """Sets a default option of sockets made later."""
        self.sockopts[opt] = value

    def getsockopt(self, opt: int) -> Any:
        """A default option of sockets made later; KeyError when it was not set."""
        return self.sockopts[opt]

    def __getattr__(self, name: str) -> Any:
        if option := ContextOption.__members__.get(name.upper()):
            return self.get(option)
        default = SocketOption.__members__.get(name.upper())
        if default is None or default not in self.sockopts:
            raise AttributeError(f"{type(self).__name__} has no attribute or option {name!r}")
        return self.sockopts[default]

    def __setattr__(self, name: str, value: Any) -> None:
        if is_declared(type(self), name):
            super().__setattr__(name, value)
        elif option := ContextOption.__members__.get(name.upper()):
            self.set(option, value)
        elif default := SocketOption.__members__.get(name.upper()):
            self.sockopts[default] = value
        else:
            raise AttributeError(f"{type(self).__name__} has no attribute or option {name!r}")

    def __delattr__(self, name: str) -> None:
        """Forgets a default option."""
        default = SocketOption.__members__.get(name.upper())
        if default is None or default not in self.sockopts:
            raise AttributeError(f"{type(self).__name__} has no default option {name!r}")
        del self.sockopts[default]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name.lower() for name in ContextOption.__members__)})


__all__ = ["Context"]
