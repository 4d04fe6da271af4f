"""Signals during blocking calls: handlers run, what they raise comes out, and calls that go on lose nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, signalled, wait_asleep
from tests.support import DEADLINE_MS, DEADLINE_S, PROJECT, Task, wait_until

CALLS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "recv": ("PULL", lambda zmq, s: s.recv()),
    "recv a frame": ("PULL", lambda zmq, s: s.recv(copy=False)),
    "recv_multipart": ("DEALER", lambda zmq, s: s.recv_multipart()),
    "recv_into": ("DEALER", lambda zmq, s: s.recv_into(bytearray(1))),
    "recv_string": ("SUB", lambda zmq, s: s.recv_string()),
    "send": ("PUSH", lambda zmq, s: s.send(b"nobody there")),
    "send_multipart": ("DEALER", lambda zmq, s: s.send_multipart([b"nobody", b"there"])),
    "poll": ("DEALER", lambda zmq, s: s.poll()),
    "poll with a timeout": ("DEALER", lambda zmq, s: s.poll(DEADLINE_MS)),
    "zmq_poll": ("DEALER", lambda zmq, s: zmq.zmq_poll([(s, zmq.POLLIN)])),
    "zmq_poll with a descriptor": ("DEALER", lambda zmq, s: zmq.zmq_poll([(s, zmq.POLLIN), (s.FD, zmq.POLLERR)])),
    "proxy": ("DEALER", lambda zmq, s: zmq.proxy(s, s)),
    "proxy_steerable": ("DEALER", lambda zmq, s: zmq.proxy_steerable(s, s)),
}


class Bell(Exception):
    """What the handlers of these tests raise."""


def ring(number: int, frame: FrameType | None) -> None:
    raise Bell


@pytest.mark.parametrize("name", CALLS)
def test_what_a_handler_raises_comes_out(zmq: ModuleType, sockets: Sockets, name: str) -> None:
    kind, call = CALLS[name]
    if zmq.__name__ == "zmq" and name.startswith("proxy"):
        pytest.skip("pyzmq's proxy raises InterruptedSystemCall or goes on, depending on the version")
    socket = sockets(kind, rcvtimeo=-1, sndtimeo=-1)
    with signalled(ring), pytest.raises(Bell):
        call(zmq, socket)
    # The socket is as it was.
    assert not socket.closed
    assert socket.get(zmq.TYPE) == getattr(zmq, kind)


def test_term_can_be_interrupted(zmq: ModuleType) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    with signalled(ring), pytest.raises(Bell):
        context.term()
    socket.close()
    Task(context.term).join()


@pytest.mark.parametrize("call", ["recv", "poll", "Poller"])
def test_a_call_goes_on_after_the_handler(zmq: ModuleType, sockets: Sockets, call: str) -> None:
    sender, receiver = sockets.pair()
    poller = zmq.Poller()
    poller.register(receiver, zmq.POLLIN)
    calls = {"recv": receiver.recv, "poll": receiver.poll, "Poller": poller.poll}
    runs: list[int] = []

    def count(number: int, frame: FrameType | None) -> None:
        runs.append(number)

    with signalled(count):

        def send_afterwards() -> bool:
            wait_until(lambda: runs, what="the signal handler")
            sender.send(b"afterwards")
            return True

        sending = Task(send_afterwards)
        result = calls[call]()
        assert runs == [signal.SIGUSR1]
        assert sending.join()
    assert result == {"recv": b"afterwards", "poll": zmq.POLLIN, "Poller": [(receiver, zmq.POLLIN)]}[call]


def test_a_timeout_holds_through_a_signal(zmq: ModuleType, sockets: Sockets) -> None:
    runs: list[int] = []
    socket = sockets("DEALER", rcvtimeo=200)
    with signalled(lambda number, frame: runs.append(number)), pytest.raises(zmq.Again):
        socket.recv()
    assert runs


def test_no_message_is_lost_when_a_handler_raises(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    with signalled(ring), pytest.raises(Bell):
        receiver.recv()
    sender.send_multipart([b"whole", b"message"])
    assert receiver.recv_multipart() == [b"whole", b"message"]


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------

SCRIPT = """
import importlib, sys
zmq = importlib.import_module(sys.argv[1])
context = zmq.Context()
socket = context.socket(zmq.DEALER)
other = context.socket(zmq.ROUTER)
socket.bind("tcp://127.0.0.1:*")
other.bind("tcp://127.0.0.1:*")
poller = zmq.Poller()
poller.register(socket, zmq.POLLIN)
calls = {
    "recv": socket.recv,
    "poll": socket.poll,
    "Poller": poller.poll,
    "send": lambda: socket.send(b"nobody there"),
    "proxy": lambda: zmq.proxy(other, socket),
}
print("ready", flush=True)
try:
    calls[sys.argv[2]]()
except KeyboardInterrupt:
    print("interrupted", flush=True)
context.destroy(0)
"""


@pytest.mark.parametrize("call", ["recv", "poll", "Poller", "send", "proxy"])
def test_ctrl_c(zmq: ModuleType, call: str) -> None:
    if zmq.__name__ == "zmq" and call == "proxy":
        pytest.skip("pyzmq's proxy raises InterruptedSystemCall or goes on, depending on the version")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, zmq.__name__, call],
        env=dict(os.environ, PYTHONPATH=str(PROJECT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            wait_asleep(process.pid, process.pid)
            process.send_signal(signal.SIGINT)
            if zmq.__name__ == "zmq":
                # libzmq misses a signal that comes right before it sleeps, and sleeps on.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(DEADLINE_S / 4)
                process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
    assert (process.returncode, output) == (0, "interrupted\n"), errors
