"""The events of a socket: the same scenario on both sides, with a libzmq peer, tells the same story."""

from __future__ import annotations

import socket as raw_socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import Peers, Side, last_endpoint, raises_errno, wait_until

HEAD = struct.Struct("=Hi")

# Long enough that nothing of a second attempt gets into the story.
ONE_RETRY: dict[str, Any] = {"reconnect_ivl": 60_000}

Event = tuple[str, Any, str]
Scenario = Callable[["Stage", str], None]


class Stage:
    """One run of a scenario: the watched socket, its monitor, its libzmq peer and what was told so far."""

    def __init__(self, peers: Peers, watched: Side, other: Side) -> None:
        self.peers, self.watched, self.other = peers, watched, other
        self.events: list[Event] = []
        self.places: dict[str, str] = {}
        self._monitors = 0

    def socket(self, socket_type: str, **options: Any) -> Any:
        return self.peers.socket(self.watched, socket_type, **options)

    def peer(self, socket_type: str, **options: Any) -> Any:
        return self.peers.socket(self.other, socket_type, **options)

    def name(self, endpoint: str, name: str) -> str:
        """An endpoint that differs from run to run, and what to call it."""
        self.places[endpoint] = name
        self.places[endpoint.partition("://")[2]] = f"bare {name}"
        return endpoint

    def monitor(self, sock: Any, events: int = 0xFFFF) -> Any:
        self._monitors += 1
        endpoint = f"inproc://monitor-{self._monitors}"
        sock.monitor(endpoint, events)
        monitor = self.socket("PAIR")
        monitor.connect(endpoint)
        return monitor

    def until(self, monitor: Any, last: str) -> Event:
        """Takes events up to the one of that name."""
        while True:
            head, place = monitor.recv_multipart()
            number, value = HEAD.unpack(head)
            event = self.watched.zmq.Event(number).name
            self.events.append((event, self.told(event, value), self.places.get(place.decode(), place.decode())))
            if event == last:
                return self.events[-1]

    def bind(self, sock: Any, transport: str, name: str = "own") -> str:
        """Binds a watched socket, or (name is "remote") one of the peer."""
        return self.name(self.peers.bind(self.watched if name == "own" else self.other, sock, transport), name)

    def push_to(self, endpoint: str, last: str, **options: Any) -> tuple[Any, Any]:
        """A watched PUSH that connects there, and its monitor, which has told up to the event of that name."""
        push = self.socket("PUSH", **options)
        monitor = self.monitor(push)
        push.connect(endpoint)
        self.until(monitor, last)
        return push, monitor

    def close(self, sock: Any, monitor: Any) -> None:
        sock.close()
        self.until(monitor, "MONITOR_STOPPED")

    def end(self, sock: Any, monitor: Any) -> None:
        """Each scenario ends its monitors while they are read: libzmq hangs when nobody is there any more."""
        sock.monitor(None, 0)
        self.until(monitor, "MONITOR_STOPPED")

    def told(self, event: str, value: int) -> Any:
        if event in ("CONNECTED", "LISTENING", "ACCEPTED", "DISCONNECTED"):
            assert value > 2
            return "fd"
        if event == "CLOSED":
            return "fd"  # zmqcore tells -1 where the fd was closed at once
        if event == "CONNECT_RETRIED":
            assert 60_000 <= value < 120_000
            return "ms"
        return value


def accepting(stage: Stage, transport: str) -> None:
    pull = stage.socket("PULL")
    monitor = stage.monitor(pull)
    endpoint = stage.bind(pull, transport)
    stage.until(monitor, "LISTENING")
    push = stage.peer("PUSH")
    push.connect(endpoint)
    stage.until(monitor, "HANDSHAKE_SUCCEEDED")
    push.close()
    stage.until(monitor, "DISCONNECTED")
    pull.unbind(endpoint)
    stage.until(monitor, "CLOSED")
    stage.end(pull, monitor)


def closing_with_a_peer(stage: Stage, transport: str) -> None:
    pull = stage.socket("PULL")
    endpoint = stage.bind(pull, transport)
    monitor = stage.monitor(pull)
    stage.peer("PUSH", **ONE_RETRY).connect(endpoint)
    stage.until(monitor, "HANDSHAKE_SUCCEEDED")
    stage.close(pull, monitor)


def connecting(stage: Stage, transport: str) -> None:
    pull = stage.peer("PULL")
    endpoint = stage.bind(pull, transport, "remote")
    push, monitor = stage.push_to(endpoint, "HANDSHAKE_SUCCEEDED", **ONE_RETRY)
    pull.close()
    stage.until(monitor, "CONNECT_RETRIED")
    stage.close(push, monitor)


def leaving(stage: Stage, transport: str) -> None:
    pull = stage.peer("PULL")
    endpoint = stage.bind(pull, transport, "remote")
    push, monitor = stage.push_to(endpoint, "HANDSHAKE_SUCCEEDED")
    stage.close(push, monitor)


def nobody_there(stage: Stage, transport: str) -> None:
    endpoint = stage.name(stage.peers.reserve(transport), "remote")
    push, monitor = stage.push_to(endpoint, "CONNECT_RETRIED", **ONE_RETRY)
    stage.close(push, monitor)


def nobody_there_once(stage: Stage, transport: str) -> None:
    endpoint = stage.name(stage.peers.reserve(transport), "remote")
    push, monitor = stage.push_to(endpoint, "CLOSED", reconnect_ivl=-1)
    stage.close(push, monitor)


def bind_failing(stage: Stage, transport: str) -> None:
    if transport == "tcp":
        taken = stage.socket("PULL")
        endpoint = stage.bind(taken, transport)
    else:
        endpoint = stage.name("ipc:///nonexistent/socket", "own")
    pull = stage.socket("PULL")
    monitor = stage.monitor(pull)
    with pytest.raises(stage.watched.zmq.ZMQError):
        pull.bind(endpoint)
    stage.until(monitor, "BIND_FAILED")
    stage.end(pull, monitor)


def replaced(stage: Stage, transport: str) -> None:
    pull = stage.socket("PULL")
    old = stage.monitor(pull)
    new = stage.monitor(pull)
    stage.until(old, "MONITOR_STOPPED")
    stage.bind(pull, transport)
    stage.until(new, "LISTENING")
    assert not old.poll(20)
    stage.end(pull, new)


def masked(stage: Stage, transport: str) -> None:
    pull = stage.socket("PULL")
    zmq = stage.watched.zmq
    monitor = stage.monitor(pull, zmq.EVENT_ACCEPTED | zmq.EVENT_CLOSED)
    endpoint = stage.bind(pull, transport)
    stage.peer("PUSH").connect(endpoint)
    stage.until(monitor, "ACCEPTED")
    pull.unbind(endpoint)
    stage.until(monitor, "CLOSED")
    pull.monitor(None, 0)
    assert not monitor.poll(20)


def silent_inproc(stage: Stage, transport: str) -> None:
    pull, push = stage.socket("PULL"), stage.socket("PUSH")
    monitors = stage.monitor(pull), stage.monitor(push)
    endpoint = stage.peers.bind(stage.watched, pull, "inproc")
    push.connect(endpoint)
    push.send(b"")
    pull.recv()
    push.close()
    pull.close()
    for monitor in monitors:
        stage.until(monitor, "MONITOR_STOPPED")


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize(
    "scenario",
    [
        accepting, closing_with_a_peer, connecting, leaving, nobody_there, nobody_there_once, bind_failing, replaced,
        masked, silent_inproc,
    ],
    ids=lambda scenario: scenario.__name__,
)  # fmt: skip
def test_same_events(peers: Peers, local: Side, remote: Side, scenario: Scenario, transport: str) -> None:
    """Events, their order, values and endpoints."""
    ours, theirs = Stage(peers, local, remote), Stage(peers, remote, remote)
    scenario(theirs, transport)
    scenario(ours, transport)
    assert ours.events == theirs.events


def test_accepted_names_the_own_end_of_the_connection(peers: Peers, local: Side, remote: Side) -> None:
    """A wildcard bind: LISTENING and CLOSED name the listener, the events of a connection the address it came to."""
    stories = []
    for side in (remote, local):
        stage = Stage(peers, side, remote)
        pull = stage.socket("PULL")
        monitor = stage.monitor(pull)
        pull.bind("tcp://*:*")
        port = last_endpoint(pull, side).rpartition(":")[2]
        stage.name(f"tcp://0.0.0.0:{port}", "any")
        push = stage.peer("PUSH")
        push.connect(stage.name(f"tcp://127.0.0.1:{port}", "loopback"))
        stage.until(monitor, "HANDSHAKE_SUCCEEDED")
        push.close()
        stage.until(monitor, "DISCONNECTED")
        stage.close(pull, monitor)
        stories.append(stage.events)
    assert stories[0] == stories[1]


def test_reset_while_active(peers: Peers, local: Side) -> None:
    """A connection that was reset is still named: its own end outlives it."""
    stage = Stage(peers, local, local)
    pull = stage.socket("PULL", handshake_ivl=0)
    monitor = stage.monitor(pull)
    endpoint = stage.bind(pull, "tcp")
    with raw_socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2]))) as peer:
        stage.until(monitor, "ACCEPTED")
        assert peer.recv(1)
        peer.setsockopt(raw_socket.SOL_SOCKET, raw_socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert stage.until(monitor, "DISCONNECTED") == ("DISCONNECTED", "fd", "own")


@pytest.mark.parametrize(
    ("endpoint", "events", "error"),
    [
        ("tcp://127.0.0.1:5555", 1, "EPROTONOSUPPORT"),
        ("ipc:///tmp/socket", 1, "EPROTONOSUPPORT"),
        ("nonsense", 1, "EINVAL"),
        ("inproc://", 1, "EINVAL"),
        ("inproc://name", 0x10000, "EINVAL"),
        ("tcp://127.0.0.1:5555", 0x10000, "EINVAL"),
        (None, 0x10000, "EINVAL"),
        ("inproc://taken", 1, "EADDRINUSE"),
    ],
)
def test_errors(
    peers: Peers, local: Side, remote: Side, endpoint: str | None, events: int, error: str
) -> None:  # fmt: skip
    for side in (remote, local):
        peers.socket(side, "PULL").bind("inproc://taken")
        with raises_errno(side, side.constant(error)):
            peers.socket(side, "PULL").monitor(endpoint, events)


def test_a_failed_replacement_has_ended_the_old_one(peers: Peers, local: Side, remote: Side) -> None:
    for side in (remote, local):
        stage = Stage(peers, side, remote)
        stage.socket("PULL").bind("inproc://taken")
        pull = stage.socket("PULL")
        monitor = stage.monitor(pull)
        with raises_errno(side, side.zmq.EADDRINUSE):
            pull.monitor("inproc://taken")
        stage.until(monitor, "MONITOR_STOPPED")


def test_the_same_endpoint_again(peers: Peers, local: Side) -> None:
    """The name is free when the monitor that had it is stopped."""
    stage = Stage(peers, local, local)
    pull = stage.socket("PULL")
    for _ in range(20):
        pull.monitor("inproc://again")
    monitor = stage.socket("PAIR")
    monitor.connect("inproc://again")
    stage.bind(pull, "tcp")
    assert stage.until(monitor, "LISTENING")[2] == "own"


def test_old_peers_that_leave_later(peers: Peers, local: Side) -> None:
    """ZMTP 2.0: no handshake event at all, when it was up. libzmq raises HANDSHAKE_FAILED_NO_DETAIL at its end."""
    if not local.is_zmqcore:
        pytest.skip("libzmq has a quirk here that zmqcore does not copy")
    stage = Stage(peers, local, local)
    pull = stage.socket("PULL")
    monitor = stage.monitor(pull)
    endpoint = stage.bind(pull, "tcp")
    with raw_socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2]))) as peer:
        peer.sendall(b"\xff" + bytes(8) + b"\x7f\x01\x08\0\0" + b"\0\x05hello")
        assert pull.recv() == b"hello"
        got = b""
        while len(got) < 14:
            got += peer.recv(100)
    wait_until(lambda: monitor.poll(0), what="an event")
    stage.until(monitor, "DISCONNECTED")
    assert [event[0] for event in stage.events] == ["LISTENING", "ACCEPTED", "DISCONNECTED"]
