"""Helpers that every test directory shares: waiting, sides, sockets that clean up, threads, peer processes.

A test names its two implementations by `Side`: `local` is the library under test, `remote` the one it talks to.
`Peers` makes their sockets and endpoints and closes everything at the end, each step with a deadline.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import queue
import signal
import socket as raw_socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, TypeVar

import pytest

DEADLINE_S = 10.0
DEADLINE_MS = int(DEADLINE_S * 1000)

# Long enough for a message that should not come to show itself; a test waits this long only on success.
QUIET_MS = 100

# Retry quickly: the default of 100..199 ms would make each restart test that much slower.
FAST_RECONNECT: dict[str, Any] = {"reconnect_ivl": 20}

PROJECT = Path(__file__).resolve().parent.parent

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout: float = DEADLINE_S, what: str = "the condition") -> T:
    """Calls condition until its result is true and returns that result; fails at the deadline (seconds)."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come true within {timeout} s (last result: {result!r})")
        time.sleep(0.002)


@dataclass(frozen=True)
class Side:
    """One implementation in a role. Two sides have contexts of their own, also when both use one library."""

    name: str
    zmq: ModuleType

    @property
    def is_zmqcore(self) -> bool:
        return self.zmq.__name__ == "zmqcore"

    def constant(self, name: str) -> int:
        return int(getattr(self.zmq, name))


def skip_libzmq_quirk(local: Side) -> None:
    """For tests of behaviour where zmqcore deliberately does better than libzmq."""
    if not local.is_zmqcore:
        pytest.skip("libzmq has a quirk here that zmqcore does not copy")


@contextlib.contextmanager
def raises_errno(side: Side, number: int) -> Iterator[None]:
    with pytest.raises(side.zmq.ZMQError) as caught:
        yield
    assert caught.value.errno == number


def last_endpoint(sock: Any, side: Side) -> str:
    value = sock.getsockopt(side.zmq.LAST_ENDPOINT)
    text = value.decode() if isinstance(value, bytes) else str(value)
    return text.rstrip("\0")


class Task:
    """A function in a daemon thread; join() hands over its result or its exception."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._function = function
        self._args = args
        self._error: BaseException | None = None
        self._result: Any = None
        self.native_id = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(DEADLINE_S)

    def _run(self) -> None:
        self.native_id = threading.get_native_id()
        self._started.set()
        try:
            self._result = self._function(*self._args)
        except BaseException as error:
            self._error = error

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout: float = DEADLINE_S) -> Any:
        self._thread.join(timeout)
        if self._thread.is_alive():
            pytest.fail(f"a thread of the test still runs after {timeout} s")
        if self._error is not None:
            raise self._error
        return self._result

    def cpu_seconds(self) -> float:
        """CPU time of this thread so far (Linux)."""
        task = Path(f"/proc/self/task/{self.native_id}")
        schedstat = task / "schedstat"
        if schedstat.exists():
            return int(schedstat.read_text().split()[0]) / 1e9
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tcp_connections(endpoint: str) -> int:
    """Open sockets of this machine that are connected to a tcp endpoint on 127.0.0.1, seen from the connecting side.

    A socket whose peer is gone counts until its owner has closed it, so zero means that the loss was noticed.
    """
    port = int(endpoint.rpartition(":")[2])
    wanted = f"0100007F:{port:04X}"
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        is_connected = fields[3] in ("01", "08")
        has_owner = fields[9] != "0"
        if fields[2] == wanted and is_connected and has_owner:
            count += 1
    return count


class PeerProcess:
    """A peer in a process of its own (tests/interop/peer.py); its lines of output are read by a thread."""

    def __init__(self, role: str, library: str, socket_type: str, verb: str, endpoint: str, **options: Any) -> None:
        pairs = [f"{name}={value}" for name, value in options.items()]
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(PROJECT), *filter(None, sys.path)]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.interop.peer", role, library, socket_type, verb, endpoint, *pairs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.endpoint = self.line()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))

    def line(self, timeout: float = DEADLINE_S) -> str:
        try:
            return self._lines.get(timeout=timeout)
        except queue.Empty:
            pytest.fail(f"the peer process wrote nothing for {timeout} s (exit code {self._process.poll()})")

    def message(self, timeout: float = DEADLINE_S) -> list[bytes]:
        """The next message that a sink has received."""
        return [bytes.fromhex(part) for part in self.line(timeout).split(",")]

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()


class Peers:
    """Sockets, contexts, endpoints and peer processes of one test. close() ends them all, with deadlines."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._names = 0
        self._contexts: dict[Side, Any] = {}
        self._sockets: list[tuple[Side, Any]] = []
        self._processes: list[PeerProcess] = []
        self._reserved: list[raw_socket.socket] = []

    def context(self, side: Side) -> Any:
        if side not in self._contexts:
            self._contexts[side] = side.zmq.Context()
        return self._contexts[side]

    def socket(self, side: Side, socket_type: str, **options: Any) -> Any:
        """A socket whose calls all have a deadline; options by their lower-case names, e.g. sndhwm=5."""
        sock = self.context(side).socket(side.constant(socket_type))
        self._sockets.append((side, sock))
        defaults: dict[str, Any] = {"linger": 0, "rcvtimeo": DEADLINE_MS, "sndtimeo": DEADLINE_MS}
        for name, value in {**defaults, **options}.items():
            sock.setsockopt(side.constant(name.upper()), value)
        return sock

    def forget(self, side: Side, sock: Any) -> None:
        """The test closes this socket itself (in another thread, or with a linger of its own)."""
        self._sockets.remove((side, sock))

    def wildcard(self, transport: str) -> str:
        """An endpoint to bind that no one else uses; the resolved text is in LAST_ENDPOINT."""
        self._names += 1
        if transport == "tcp":
            return "tcp://127.0.0.1:*"
        if transport == "ipc":
            path = self._directory / f"s{self._names}"
            # sun_path holds 107 bytes and its final NUL on Linux.
            assert len(os.fsencode(path)) <= 107, f"temporary directory too deep for ipc: {path}"
            return f"ipc://{path}"
        return f"inproc://{self._directory.name}-{self._names}"

    def bind(self, side: Side, sock: Any, transport: str) -> str:
        sock.bind(self.wildcard(transport))
        return last_endpoint(sock, side)

    def reserve(self, transport: str) -> str:
        """An endpoint where no one listens yet, and that stays ours: a later bind to it succeeds.

        For tcp a raw socket holds the port without listening. SO_REUSEADDR lets a listener join it, and keeps the
        port from being given to someone who asks for any.
        """
        if transport != "tcp":
            return self.wildcard(transport)
        holder = raw_socket.socket()
        holder.setsockopt(raw_socket.SOL_SOCKET, raw_socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        self._reserved.append(holder)
        return f"tcp://127.0.0.1:{holder.getsockname()[1]}"

    def rebind(self, sock: Any, side: Side, endpoint: str) -> None:
        """Binds where another socket was just closed; close() is asynchronous, so the name may still be taken."""

        def bound() -> bool:
            try:
                sock.bind(endpoint)
            except side.zmq.ZMQError as error:
                if error.errno != side.zmq.EADDRINUSE:
                    raise
                return False
            return True

        wait_until(bound, what=f"bind to {endpoint}")

    def join(self, binder: tuple[Side, Any], connector: tuple[Side, Any], transport: str) -> str:
        """Binds one socket, connects the other; returns the endpoint."""
        endpoint = self.bind(*binder, transport)
        connector[1].connect(endpoint)
        return endpoint

    def process(
        self, role: str, library: str, socket_type: str, verb: str, endpoint: str, **options: Any
    ) -> PeerProcess:
        peer = PeerProcess(role, library, socket_type, verb, endpoint, **options)
        self._processes.append(peer)
        return peer

    def end_context(self, side: Side, timeout: float = DEADLINE_S) -> None:
        """Closes what is left of one side and terminates its context; fails if that hangs."""
        for owner, sock in [entry for entry in self._sockets if entry[0] == side]:
            self._sockets.remove((owner, sock))
            sock.close(0)
        context = self._contexts.pop(side, None)
        if context is not None:
            Task(context.term).join(timeout)

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            for side in self._contexts:
                stack.callback(self.end_context, side)
            for process in self._processes:
                stack.callback(process.kill)
            for holder in self._reserved:
                stack.callback(holder.close)

    def __enter__(self) -> Peers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def receive(sock: Any, count: int) -> list[list[bytes]]:
    """The next `count` messages."""
    return [sock.recv_multipart() for _ in range(count)]


def await_event(receiver: Any, sender: Any, sender_side: Side) -> None:
    """Returns when receiver has a message that sender sends by itself, such as its subscriptions.

    libzmq attaches connections to a socket only inside the application's calls to it, so a libzmq sender is touched
    meanwhile. zmqcore does it in the background and is left alone.
    """

    def arrived() -> bool:
        if not sender_side.is_zmqcore:
            sender.getsockopt(sender_side.zmq.EVENTS)
        return bool(receiver.poll(2))

    wait_until(arrived, what="the first message")


def receive_waiting(sock: Any, quiet_ms: int = QUIET_MS) -> list[list[bytes]]:
    """All messages until none comes for quiet_ms."""
    messages = []
    while sock.poll(quiet_ms):
        messages.append(sock.recv_multipart())
    return messages


def fill(sock: Any, side: Side, message: Callable[[int], list[bytes]], stalled_ms: int = 2 * QUIET_MS) -> int:
    """Sends message(0), message(1), … until the socket has taken nothing for stalled_ms; how many it took."""
    option = side.zmq.SNDTIMEO
    before = sock.getsockopt(option)
    sock.setsockopt(option, stalled_ms)
    count = 0
    try:
        while True:
            sock.send_multipart(message(count))
            count += 1
            assert count < 1_000_000, "the socket never fills"
    except side.zmq.Again:
        return count
    finally:
        sock.setsockopt(option, before)


def join_publisher(publisher: Any, subscribers: Sequence[Any], topic: bytes = b"") -> None:
    """Returns when messages with this topic reach every subscriber; no probe of its own is left behind.

    Probes may be dropped. A subscriber that has the newest one has nothing more to come.
    """
    numbers = itertools.count()

    def got(subscriber: Any, probe: bytes) -> bool:
        while subscriber.poll(10):
            if subscriber.recv() == probe:
                return True
        return False

    def reached() -> bool:
        probe = topic + b" probe %d" % next(numbers)
        publisher.send(probe)
        return all([got(subscriber, probe) for subscriber in subscribers])

    wait_until(reached, what="the subscription")


def wait_routable(router: Any, side: Side, routing_id: bytes, body: bytes = b"probe") -> None:
    """Sends one message to this peer as soon as the router (with ROUTER_MANDATORY) knows it."""

    def routed() -> bool:
        try:
            router.send_multipart([routing_id, body])
        except side.zmq.ZMQError as error:
            if error.errno != side.zmq.EHOSTUNREACH:
                raise
            return False
        return True

    wait_until(routed, what=f"a route to {routing_id!r}")


def wait_unroutable(router: Any, side: Side, routing_id: bytes) -> None:
    """Returns when a ROUTER_MANDATORY router refuses to send to this peer. Reads what arrives meanwhile.

    libzmq lets go of a lost peer, and so of its id, only when the socket is read.
    """

    def refused() -> bool:
        receive_waiting(router, 1)
        try:
            router.send_multipart([routing_id, b"still there?"])
        except side.zmq.ZMQError as error:
            assert error.errno == side.zmq.EHOSTUNREACH
            return True
        return False

    wait_until(refused, what=f"the loss of {routing_id!r}")


def load_side(name: str, library: str) -> Side:
    """library: "zmqcore", "pyzmq" or "pyomq"."""
    module = {"zmqcore": "zmqcore", "pyzmq": "zmq", "pyomq": "pyomq"}[library]
    return Side(name, importlib.import_module(module))
