"""Which options an endpoint takes when it is bound or connected, and which are read at each use.

Of the first sort: a value that is set later is for the next endpoint, and the one that was there keeps its own, for
connections that it accepts later and for those that it makes again. The peers are played by hand.
"""

from __future__ import annotations

import errno
import socket as raw_socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, inproc
from tests.raw_peer import QUIET_S, RawListener, RawPeer, message
from tests.support import wait_until

LOOPBACK = "tcp://127.0.0.1:*"
METADATA = 95
Meet = Callable[[Any], RawPeer]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.fixture(params=["bind", "connect"])
def meet(request: pytest.FixtureRequest, stack: ExitStack) -> Callable[[Any], Meet]:
    """meet(socket) makes an endpoint; each call of what it returns makes a new connection of it."""

    def bound(socket: Any) -> Meet:
        socket.bind(LOOPBACK)
        endpoint = socket.last_endpoint.decode()
        return lambda _: stack.enter_context(RawPeer.connect(endpoint))

    def connected(socket: Any) -> Meet:
        listener = stack.enter_context(closing(RawListener()))
        socket.connect(listener.endpoint)

        def again(last: RawPeer | None) -> RawPeer:
            if last is not None:
                last.close()
            return listener.accept()

        return again

    return bound if request.param == "bind" else connected


# --- taken by the endpoint -------------------------------------------------------------------------------------------


def test_maxmsgsize(sockets: Sockets, meet: Any) -> None:
    socket = sockets("PULL", maxmsgsize=200, reconnect_ivl=10)
    old = meet(socket)
    socket.maxmsgsize = 50
    new = meet(socket)
    peer = None
    for _ in range(2):
        peer = old(peer)
        peer.handshake("PUSH")
        peer.send(message(100 * b"x"))
        assert socket.recv() == 100 * b"x"
    peer = new(None)
    peer.handshake("PUSH")
    peer.send(message(100 * b"x"))
    peer.expect_close()


def test_routing_id(sockets: Sockets, meet: Any) -> None:
    socket = sockets("DEALER", routing_id=b"old", reconnect_ivl=10)
    old = meet(socket)
    socket.routing_id = b"new"
    new = meet(socket)
    peer = None
    for _ in range(2):
        peer = old(peer)
        assert peer.handshake("DEALER")[b"Identity"] == b"old"
    assert new(None).handshake("DEALER")[b"Identity"] == b"new"


def test_metadata(sockets: Sockets, meet: Any) -> None:
    socket = sockets("DEALER", reconnect_ivl=10)
    socket.set(METADATA, b"X-Old:1")
    old = meet(socket)
    socket.set(METADATA, b"X-New:1")
    new = meet(socket)
    peer = None
    for _ in range(2):
        peer = old(peer)
        got = peer.handshake("DEALER")
        assert b"X-Old" in got and b"X-New" not in got
    assert b"X-New" in new(None).handshake("DEALER")


def test_heartbeats(sockets: Sockets, meet: Any) -> None:
    socket = sockets("DEALER", heartbeat_ivl=20, heartbeat_timeout=60_000, heartbeat_ttl=700, reconnect_ivl=10)
    old = meet(socket)
    socket.heartbeat_ivl = 0
    quiet = meet(socket)
    socket.heartbeat_ttl = 300
    socket.heartbeat_ivl = 25
    new = meet(socket)
    for connect, ttl_tenths in ((old, 7), (new, 3)):
        peer = connect(None)
        peer.handshake("DEALER")
        for _ in range(3):
            got = peer.read_frame()
            assert (got.command_name, got.command_data) == (b"PING", ttl_tenths.to_bytes(2, "big"))
    peer = quiet(None)
    peer.handshake("DEALER")
    peer.expect_quiet()


def test_handshake_ivl(sockets: Sockets, meet: Any) -> None:
    socket = sockets("DEALER", handshake_ivl=50, reconnect_ivl=10)
    old = meet(socket)
    socket.handshake_ivl = 0
    new = meet(socket)
    patient = new(None)
    peer = None
    for _ in range(2):
        peer = old(peer)
        peer.read_to_close()
    patient.handshake("DEALER")


@pytest.mark.parametrize("is_first_for_ever", [False, True])
def test_reconnect_ivl(sockets: Sockets, stack: ExitStack, is_first_for_ever: bool) -> None:
    tries, gives_up = stack.enter_context(closing(RawListener())), stack.enter_context(closing(RawListener()))
    socket = sockets("DEALER")
    for is_forever in (is_first_for_ever, not is_first_for_ever):
        socket.reconnect_ivl = -1 if is_forever else 10
        socket.connect((gives_up if is_forever else tries).endpoint)
    gives_up.accept().close()
    for _ in range(3):
        tries.accept().close()
    gives_up.expect_no_connection()


LATER = [{"reconnect_ivl_max": 5000}, {"reconnect_ivl": 2000}, {"reconnect_stop": 1}]


@pytest.mark.parametrize("later", LATER, ids=str)
def test_delays_between_attempts(zmq: ModuleType, sockets: Sockets, later: dict[str, int]) -> None:
    """RECONNECT_IVL alone: between once and twice as long, time and again."""
    socket = sockets("DEALER", reconnect_ivl=10)
    monitor = socket.get_monitor_socket(zmq.EVENT_CONNECT_RETRIED)
    monitor.rcvtimeo = 5000
    with raw_socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        socket.connect(f"tcp://127.0.0.1:{nobody.getsockname()[1]}")
        monitor.recv_multipart()
        for name, value in later.items():
            setattr(socket, name, value)
        delays_ms = [struct.unpack("=HI", monitor.recv_multipart()[0])[1] for _ in range(6)]
    assert all(10 <= delay_ms < 20 for delay_ms in delays_ms)
    socket.disable_monitor()


def test_conflate_set_later(sockets: Sockets, meet: Any) -> None:
    socket = sockets("PULL", reconnect_ivl=10)
    old = meet(socket)
    socket.conflate = 1
    peer = None
    for _ in range(2):
        peer = old(peer)
        peer.handshake("PUSH")
        peer.send(b"".join(message(b"%d" % i) for i in range(5)))
        peer.barrier()
        assert [socket.recv() for _ in range(5)] == [b"%d" % i for i in range(5)]


def test_conflate_taken_back_later(sockets: Sockets, meet: Any) -> None:
    socket = sockets("PULL", reconnect_ivl=10)
    socket.conflate = 1
    old = meet(socket)
    socket.conflate = 0
    peer = old(None)
    peer.handshake("PUSH")
    peer.send(b"".join(message(b"%d" % i) for i in range(5)))
    peer.barrier()
    assert socket.recv() == b"4"
    assert not socket.poll(QUIET_S * 1000)


@pytest.mark.parametrize("transport", ["tcp", "inproc"])
@pytest.mark.parametrize("kind", ["PAIR", "ROUTER"])
def test_conflate_means_nothing_to_other_types(sockets: Sockets, kind: str, transport: str) -> None:
    reader, writer = sockets(kind, conflate=1), sockets("PAIR" if kind == "PAIR" else "DEALER")
    sockets.join(reader, writer, LOOPBACK if transport == "tcp" else inproc())
    for i in range(5):
        writer.send(b"%d" % i)
    assert [reader.recv_multipart()[-1] for _ in range(5)] == [b"%d" % i for i in range(5)]


@pytest.mark.parametrize("notifies", [0, 1])
def test_stream_notify(zmq: ModuleType, sockets: Sockets, stack: ExitStack, notifies: int) -> None:
    stream = sockets("STREAM")
    stream.set(zmq.STREAM_NOTIFY, notifies)
    stream.bind(LOOPBACK)
    stream.set(zmq.STREAM_NOTIFY, 1 - notifies)
    peer = stack.enter_context(RawPeer.connect(stream.last_endpoint.decode()))
    peer.send(b"hello")
    got = [stream.recv_multipart()[1]]
    if notifies:
        got.append(stream.recv_multipart()[1])
    assert got == ([b"", b"hello"] if notifies else [b"hello"])
    peer.close()
    assert bool(stream.poll(2000 if notifies else QUIET_S * 1000)) == bool(notifies)


def test_immediate_of_the_first_connection(zmq: ModuleType, sockets: Sockets, stack: ExitStack) -> None:
    silent = stack.enter_context(closing(RawListener()))
    socket = sockets("PUSH", immediate=1)
    socket.connect(silent.endpoint)
    socket.immediate = 0
    with pytest.raises(zmq.Again):
        socket.send(b"to nobody", zmq.DONTWAIT)
    socket.connect("tcp://127.0.0.1:9")
    socket.send(b"to a queue", zmq.DONTWAIT)


def lose_connection(zmq: ModuleType, socket: Any, stack: ExitStack, then: int) -> None:
    """Sets IMMEDIATE while connected, and ends the connection; the next one is made, but never shakes hands."""
    listener = stack.enter_context(closing(RawListener()))
    socket.connect(listener.endpoint)
    peer = listener.accept()
    peer.handshake("PULL")
    assert socket.poll(5000, zmq.POLLOUT)
    socket.immediate = then
    peer.close()
    listener.accept()


def test_a_pipe_outlives_its_connection(zmq: ModuleType, sockets: Sockets, stack: ExitStack) -> None:
    socket = sockets("PUSH", immediate=0, reconnect_ivl=10)
    lose_connection(zmq, socket, stack, then=1)
    assert socket.poll(0, zmq.POLLOUT)


def test_a_pipe_of_immediate_does_not(core: ModuleType, core_sockets: Sockets, stack: ExitStack) -> None:
    """Of zmqcore alone: libzmq 4.3.5 ends the process when IMMEDIATE has been set to 0 meanwhile."""
    socket = core_sockets("PUSH", immediate=1, reconnect_ivl=10)
    lose_connection(core, socket, stack, then=0)
    wait_until(lambda: not socket.poll(0, core.POLLOUT))


# --- high-water marks: taken by the endpoint, and spread to the pipes that are there ---------------------------------


def fill(zmq: ModuleType, socket: Any, body: bytes = b"x", most: int = 500) -> int:
    for sent in range(most):
        try:
            socket.send(body, zmq.DONTWAIT)
        except zmq.Again:
            return sent
    return most


def test_a_listener_keeps_its_high_water_mark(zmq: ModuleType, sockets: Sockets, stack: ExitStack) -> None:
    """A connection that comes later has the mark of the bind; one that is there gets each new one."""
    socket = sockets("PUSH", sndhwm=2, sndbuf=20_000)
    socket.bind(LOOPBACK)
    socket.sndhwm = 300
    peer = stack.enter_context(RawPeer.connect(socket.last_endpoint.decode(), rcvbuf_bytes=20_000))
    peer.handshake("PULL")
    assert socket.poll(5000, zmq.POLLOUT)
    assert fill(zmq, socket, 500_000 * b"x") < 10


def test_a_connection_gets_the_new_high_water_mark(zmq: ModuleType, sockets: Sockets, stack: ExitStack) -> None:
    listener = stack.enter_context(closing(RawListener(rcvbuf_bytes=20_000)))
    socket = sockets("PUSH", sndhwm=300, sndbuf=20_000)
    socket.connect(listener.endpoint)
    listener.accept().handshake("PULL")
    socket.sndhwm = 3
    assert fill(zmq, socket, 500_000 * b"x") < 12


@pytest.mark.parametrize(
    ("sndhwm", "rcvhwm", "room"),
    [(30, None, 40), (5, None, 15), (0, None, 500), (None, 40, 50), (None, 3, 13), (None, 0, 500)],
)
@pytest.mark.parametrize("is_sender_bound", [False, True])
def test_inproc_high_water_marks(
    zmq: ModuleType, sockets: Sockets, is_sender_bound: bool, sndhwm: int | None, rcvhwm: int | None, room: int
) -> None:
    """One queue stands for both sides' and has room for the sum of their marks."""
    sender, receiver = sockets("PUSH", sndhwm=10), sockets("PULL", rcvhwm=10)
    sockets.join(*((sender, receiver) if is_sender_bound else (receiver, sender)))
    # libzmq changes the pipes that the socket has looked at.
    assert sender.events == zmq.POLLOUT and receiver.events == 0
    if sndhwm is not None:
        sender.sndhwm = sndhwm
    if rcvhwm is not None:
        receiver.rcvhwm = rcvhwm
    assert (sender.events, receiver.events) == (zmq.POLLOUT, 0)
    assert fill(zmq, sender) == room


def test_an_inproc_name_keeps_its_high_water_mark(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets("PUSH", sndhwm=10), sockets("PULL", rcvhwm=10)
    endpoint = inproc()
    sender.bind(endpoint)
    sender.sndhwm = 30
    receiver.connect(endpoint)
    assert fill(zmq, sender) == 20


def test_raised_marks_of_a_full_inproc_queue(core: ModuleType, core_sockets: Sockets) -> None:
    """It is full until the reader has made room (libzmq: half of the higher mark has to be read)."""
    sender, receiver = core_sockets("PUSH", sndhwm=10), core_sockets("PULL", rcvhwm=10)
    core_sockets.join(receiver, sender)
    assert fill(core, sender) == 20
    receiver.rcvhwm = 30
    sender.sndhwm = 20
    for _ in range(12):
        receiver.recv()
    assert fill(core, sender) == 42


# --- inproc: what a name takes ---------------------------------------------------------------------------------------


def test_an_inproc_name_keeps_its_routing_id(sockets: Sockets) -> None:
    dealer, router = sockets("DEALER", routing_id=b"old"), sockets("ROUTER")
    endpoint = inproc()
    dealer.bind(endpoint)
    dealer.routing_id = b"new"
    router.connect(endpoint)
    dealer.send(b"who am I?")
    assert router.recv_multipart() == [b"old", b"who am I?"]


# --- read at each use ------------------------------------------------------------------------------------------------


def test_affinity_is_asked_for_each_endpoint(zmq: ModuleType, sockets: Sockets) -> None:
    socket = sockets("PUSH")
    socket.bind(LOOPBACK)
    socket.affinity = 1 << 5
    for call in (socket.bind, socket.connect):
        with pytest.raises(zmq.ZMQError) as caught:
            call("tcp://127.0.0.1:*" if call == socket.bind else "tcp://127.0.0.1:9")
        assert caught.value.errno == zmq.EMTHREAD
    socket.affinity = 1
    socket.bind(LOOPBACK)


def test_live_options(zmq: ModuleType, sockets: Sockets) -> None:
    router = sockets("ROUTER")
    dealer = sockets("DEALER")
    sockets.join(router, dealer, LOOPBACK)
    dealer.send(b"here")
    router.recv_multipart()
    router.send_multipart([b"nobody", b"dropped"])
    router.router_mandatory = 1
    with pytest.raises(zmq.ZMQError) as caught:
        router.send_multipart([b"nobody", b"refused"])
    assert caught.value.errno == errno.EHOSTUNREACH
    router.rcvtimeo = 0
    with pytest.raises(zmq.Again):
        router.recv()


def test_probe_router_of_a_listener(zmq: ModuleType, sockets: Sockets, stack: ExitStack) -> None:
    socket = sockets("ROUTER")
    socket.bind(LOOPBACK)
    socket.set(zmq.PROBE_ROUTER, 1)
    peer = stack.enter_context(RawPeer.connect(socket.last_endpoint.decode()))
    peer.handshake("ROUTER", b"id")
    # libzmq probes when the socket is looked at.
    wait_until(lambda: socket.events is not None and peer.has_bytes(2))
    assert peer.read_message() == [b""]


@pytest.mark.parametrize("linger", [0, -1])
def test_linger_counts_at_the_close(zmq: ModuleType, linger: int) -> None:
    context = zmq.Context()
    with closing(RawListener()) as listener:
        socket = context.socket(zmq.PUSH)
        socket.linger = 0 if linger else -1
        socket.connect(listener.endpoint)
        socket.linger = linger
        socket.send(b"the last one")
        peer = listener.accept()
        socket.close()
        if linger == 0:
            context.term()
            peer.read_to_close()
        else:
            peer.handshake("PULL")
            assert peer.read_message() == [b"the last one"]
            context.term()
