"""A proxy with a thread of its own, which can be watched and stopped."""

from __future__ import annotations

import threading
from types import TracebackType

from ._core import Socket
from ._core_proxy import ProxyLoop
from .constants import Errno
from .errors import ContextTerminated, ZMQError

__all__ = ["Proxy"]


class Proxy(ProxyLoop):
    """Forwards messages between two sockets in a thread of its own; `with Proxy(front, back):` starts and stops it.

    frontend, backend: any two sockets (or one for both) as for proxy(). capture: gets a copy of every message.
    control: steered by messages as in proxy_steerable(). The sockets stay the caller's, who must not use them while it
    runs, but for stats(), and who closes them. pause(), resume(), stop(), stats() and running: from any thread.

    It ends by stop(), by TERMINATE on the control socket, and with its context or with any of its sockets: ending or
    destroying the context or closing a socket under it is an ordinary end, after which join() returns. Anything else
    that ends it is an error, which join() and stop() raise once. A paused proxy that is stopped and started again is
    still paused.
    """

    def __init__(
        self, frontend: Socket, backend: Socket, capture: Socket | None = None, control: Socket | None = None
    ) -> None:
        super().__init__(frontend, backend, capture, control)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._starting = threading.Lock()

    def start(self) -> None:
        """Starts the thread. RuntimeError when it runs already, ENOTSOCK when one of its sockets is closed."""
        with self._starting:
            if self._thread is not None and self._thread.is_alive():
                raise RuntimeError("this proxy is running already")
            if self._has_closed_socket():
                raise ZMQError(Errno.ENOTSOCK)
            self._error = None
            thread = threading.Thread(target=self._main, name="zmqcore-proxy", daemon=True)
            thread.start()
            self._thread = thread

    def _main(self) -> None:
        try:
            self.run()
        except ContextTerminated:
            pass
        except BaseException as error:
            is_end = isinstance(error, ZMQError) and error.errno == Errno.ENOTSOCK and self._has_closed_socket()
            self._error = None if is_end else error

    def _has_closed_socket(self) -> bool:
        sockets = (self.frontend, self.backend, self.capture, self.control)
        return any(socket is not None and socket.closed for socket in sockets)

    def join(self, timeout: float | None = None) -> bool:
        """Waits up to timeout seconds (None: for ever) for the thread to end. Whether it has; raises what ended it."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
            if thread.is_alive():
                return False
        error, self._error = self._error, None
        if error is not None:
            raise error
        return True

    def stop(self, timeout: float | None = None) -> bool:
        """Ends the thread between two messages and waits for it; as join(). Does nothing when it does not run."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return self.join(0)
        super().stop()
        return self.join(timeout)

    def __enter__(self) -> Proxy:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
