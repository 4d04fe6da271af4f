"""An authentication handler (RFC 27) for tests: a REP in a thread, in the context of whoever asks it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["Reply", "ZapHandler", "reply"]

Reply = list[bytes] | None
DEADLINE_S = 10.0
ENDPOINT = "inproc://zeromq.zap.01"


def reply(
    request: list[bytes], status: bytes = b"200", user_id: bytes = b"", metadata: bytes = b"", text: bytes = b""
) -> list[bytes]:
    return [b"1.0", request[1], status, text, user_id, metadata]


class ZapHandler:
    """answer(request) is the reply; bytes are a status; None means: never. `requests` keeps what was asked."""

    def __init__(self, zmq: Any, context: Any, answer: Callable[[list[bytes]], Reply] | bytes = b"200") -> None:
        self.zmq = zmq
        self.requests: list[list[bytes]] = []
        self._answer = answer if callable(answer) else lambda request: reply(request, answer)
        # A ROUTER can leave a request unanswered and take the next one.
        self._sock = context.socket(zmq.ROUTER)
        self._sock.linger = 0
        self._sock.bind(ENDPOINT)
        self._stop = context.socket(zmq.PAIR)
        self._stop.linger = 0
        stopped = f"inproc://stop-{id(self)}"
        self._stop.bind(stopped)
        self._stopped = context.socket(zmq.PAIR)
        self._stopped.linger = 0
        self._stopped.connect(stopped)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        poller = self.zmq.Poller()
        poller.register(self._sock, self.zmq.POLLIN)
        poller.register(self._stopped, self.zmq.POLLIN)
        while self._stopped not in dict(poller.poll()):
            peer, delimiter, *request = self._sock.recv_multipart()
            assert delimiter == b""
            self.requests.append(request)
            answer = self._answer(request)
            if answer is not None:
                self._sock.send_multipart([peer, b"", *answer])

    def __enter__(self) -> ZapHandler:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.send(b"")
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        for sock in (self._sock, self._stop, self._stopped):
            sock.close()
