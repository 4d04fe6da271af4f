"""How a connection ends, and whether it comes back."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from tests.raw_peer import (
    RawPeer,
    Rig,
    command,
    error,
    frame,
    greeting,
    message,
    ping,
    pong,
    prop,
    ready,
    signature,
    wait_until,
)


def nothing(peer: RawPeer) -> None:
    """The peer ends the connection before it has said a word."""


def half_a_greeting(peer: RawPeer) -> None:
    peer.send(signature() + b"\x03")
    peer.read(64)


def whole_greeting(peer: RawPeer) -> None:
    peer.greet()


def handshake(peer: RawPeer) -> None:
    peer.handshake("DEALER")


def half_a_frame(peer: RawPeer) -> None:
    peer.handshake("DEALER")
    peer.send(b"\x00\x05he")


def old_handshake(peer: RawPeer) -> None:
    peer.handshake_v1()


# --- what retries --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [RawPeer.close, RawPeer.reset, RawPeer.half_close])
@pytest.mark.parametrize("stage", [nothing, half_a_greeting, whole_greeting, handshake, half_a_frame, old_handshake])
def test_lost_connections_come_back(rig: Rig, stage: Callable[[RawPeer], None], end: Callable[[RawPeer], None]) -> None:
    """TCP closed or reset, before, during or after the handshake: reconnects."""
    dealer, listener = rig.connecting("DEALER")
    peer = listener.accept()
    stage(peer)
    end(peer)
    again = listener.accept()
    again.handshake("DEALER")
    again.send(frame(b"hello"))
    assert dealer.recv_multipart() == [b"hello"]
    dealer.send(b"back")
    assert again.read_message() == [b"back"]


def test_retries_again_and_again(rig: Rig) -> None:
    """A peer that accepts and closes is retried at RECONNECT_IVL, whatever the number of times."""
    dealer, listener = rig.connecting("DEALER", RECONNECT_IVL=1)
    for _ in range(30):
        listener.accept().close()
    peer = listener.accept()
    peer.handshake("DEALER")
    dealer.send(b"hello")
    assert peer.read_message() == [b"hello"]


@pytest.mark.parametrize("stage", [nothing, half_a_greeting, whole_greeting])
def test_handshake_timeout_comes_back(rig: Rig, stage: Callable[[RawPeer], None]) -> None:
    """HANDSHAKE_IVL: closes, and reconnects."""
    start = time.monotonic()
    _, listener = rig.connecting("DEALER", HANDSHAKE_IVL=150)
    peer = listener.accept()
    stage(peer)
    peer.read_to_close()
    assert time.monotonic() - start >= 0.14
    listener.accept()


def test_handshake_timeout_ends_with_the_handshake(rig: Rig) -> None:
    """A connection whose handshake is done is never closed by HANDSHAKE_IVL."""
    _, listener = rig.connecting("DEALER", HANDSHAKE_IVL=200)
    peer = listener.accept()
    peer.handshake("DEALER")
    peer.expect_quiet(0.3)


def test_heartbeat_timeout_comes_back(rig: Rig) -> None:
    """Heartbeat timeouts: reconnects, with heartbeats."""
    _, listener = rig.connecting("DEALER", HEARTBEAT_IVL=20)
    for _ in range(2):
        peer = listener.accept()
        peer.handshake("DEALER")
        assert peer.read_to_close().startswith(ping(0))


def test_ttl_comes_back(rig: Rig) -> None:
    """Expiry of a TTL that the peer has set: reconnects."""
    _, listener = rig.connecting("DEALER")
    peer = listener.accept()
    peer.handshake("DEALER")
    peer.send(ping(1))
    peer.expect(pong())
    peer.expect_close()
    listener.accept().handshake("DEALER")


def test_refused_connection_is_tried_again(rig: Rig) -> None:
    """connect() is asynchronous: it succeeds for a port nobody listens on, and finds the one who comes later."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{reserved.getsockname()[1]}"
        dealer = rig.socket("DEALER", RECONNECT_IVL=10)
        dealer.connect(endpoint)
        dealer.send(b"early")
        assert not dealer.poll(100)  # time for several attempts, all refused
        reserved.listen()
        reserved.settimeout(10)
        peer = RawPeer(reserved.accept()[0])
    with peer:
        peer.handshake("DEALER")
        assert peer.read_message() == [b"early"]


# --- what gives up -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ivl_ms", [0, -1])
def test_reconnect_ivl_of_zero_never_retries(rig: Rig, ivl_ms: int) -> None:
    """RECONNECT_IVL 0 or -1: never retry."""
    _, listener = rig.connecting("DEALER", RECONNECT_IVL=ivl_ms)
    peer = listener.accept()
    peer.handshake("DEALER")
    peer.close()
    listener.expect_no_connection()


def test_reconnect_stop_after_handshake_failed(rig: Rig) -> None:
    """RECONNECT_STOP 2: connection lost during the handshake: give up."""
    _, listener = rig.connecting("DEALER", RECONNECT_STOP=2)
    first = listener.accept()
    first.greet()
    first.close()
    listener.expect_no_connection()


DEALER_TYPE = prop(b"Socket-Type", b"DEALER")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(greeting(b"PLAIN"), id="mechanism mismatch"),
        pytest.param(greeting() + ready("PUB"), id="wrong Socket-Type"),
        pytest.param(greeting() + command(b"READY", DEALER_TYPE + b"\x01"), id="malformed READY"),
        pytest.param(greeting() + command(b"HELLO"), id="other command"),
        pytest.param(greeting() + frame(b"hello"), id="message before READY"),
        pytest.param(greeting() + error(b"400"), id="ERROR 400"),
        pytest.param(greeting() + error(b"no"), id="ERROR with text"),
        pytest.param(greeting() + command(b"ERROR"), id="malformed ERROR"),
        pytest.param(greeting() + ready("DEALER") + frame(b"x" * 101), id="over MAXMSGSIZE"),
    ],
)
def test_protocol_errors_give_up(rig: Rig, data: bytes) -> None:
    """Any protocol error: gives up for good; the endpoint still counts as connected and disconnect() works."""
    dealer, listener = rig.connecting("DEALER", MAXMSGSIZE=100)
    peer = listener.accept()
    peer.send(data[:64])
    if len(data) > 64:
        peer.expect(greeting() + ready("DEALER"))
        peer.send(data[64:])
    peer.read_to_close()
    listener.expect_no_connection()
    dealer.disconnect(listener.endpoint)


@pytest.mark.parametrize(
    "data", [pytest.param(b"\x00", id="length 0"), pytest.param(b"\x70\x00" + b"x" * 111, id="over MAXMSGSIZE")]
)
def test_protocol_errors_of_old_peers_give_up(rig: Rig, data: bytes) -> None:
    """The same in 1.0 framing."""
    _, listener = rig.connecting("DEALER", MAXMSGSIZE=100)
    peer = listener.accept()
    peer.handshake_v1()
    peer.send(data)
    peer.expect_close()
    listener.expect_no_connection()


def test_giving_up_one_endpoint_leaves_the_others(rig: Rig) -> None:
    """A protocol error costs its own connection only."""
    dealer, bad_listener = rig.connecting("DEALER")
    good_listener = rig.listen()
    dealer.connect(good_listener.endpoint)
    bad, good = bad_listener.accept(), good_listener.accept()
    bad.send(greeting(b"PLAIN"))
    bad.read_to_close()
    good.handshake("DEALER")
    good.send(frame(b"hello"))
    assert dealer.recv() == b"hello"
    bad_listener.expect_no_connection()


def test_disconnect_stops_retrying(rig: Rig) -> None:
    """After disconnect() nobody comes back."""
    dealer, listener = rig.connecting("DEALER")
    peer = listener.accept()
    peer.handshake("DEALER")
    dealer.disconnect(listener.endpoint)
    wait_until(lambda: dealer.getsockopt(rig.zmq.EVENTS) == 0 and peer.is_closed(), "the connection closed")
    listener.expect_no_connection()


# --- what becomes of messages --------------------------------------------------------------------------------------


def test_unsent_messages_go_to_the_next_connection(rig: Rig) -> None:
    """Connection lost, IMMEDIATE=0: unsent messages stay and go to the next connection, in order."""
    push, listener = rig.connecting("PUSH")
    listener.accept().close()
    for i in range(10):
        push.send_multipart([b"%d" % i, b"tail"])
    peer = listener.accept()
    while peer.is_closed():
        peer = listener.accept()
    peer.handshake("PULL")
    assert [peer.read_message() for _ in range(10)] == [[b"%d" % i, b"tail"] for i in range(10)]


@pytest.mark.parametrize("end", [RawPeer.close, RawPeer.reset])
@pytest.mark.parametrize(
    "parts",
    [[b"x" * (24 << 20)], [b"head", b"x" * (24 << 20), b"tail"], [b"x" * 1000] * 24000],
    ids=["1 part", "3 parts", "24000 parts"],
)
def test_half_sent_message_is_dropped(rig: Rig, parts: list[bytes], end: Callable[[RawPeer], None]) -> None:
    """A half-sent message is dropped; the next connection starts with a whole one."""
    push, listener = rig.connecting("PUSH")
    first = listener.accept()
    first.handshake("PULL")
    push.send_multipart(parts)
    push.send_multipart([b"next", b"one"])
    wanted = message(*parts)[:500]
    first.expect(wanted)
    end(first)
    second = listener.accept()
    second.handshake("PULL")
    assert second.read_message() == [b"next", b"one"]


def test_incomplete_message_is_discarded(rig: Rig) -> None:
    """An incomplete multipart message is discarded when the connection ends (accepting side)."""
    pull, endpoint = rig.bind("PULL")
    dying, other = rig.peer(endpoint), rig.peer(endpoint)
    dying.handshake("PUSH")
    dying.send(message(b"whole", b"one") + frame(b"begun", more=True) + frame(b"more", more=True) + b"\x00\x09cut")
    dying.close()
    assert pull.recv_multipart() == [b"whole", b"one"]
    other.handshake("PUSH")
    other.send(message(b"next", b"one"))
    assert pull.recv_multipart() == [b"next", b"one"]
    rig.expect_nothing(pull)


@pytest.mark.parametrize(
    "begun",
    [frame(b"begun", more=True), frame(b"a", more=True) + b"\x00\x09cut", b"\x00\x09cut", b"\x02\x00\x00"],
    ids=["part", "part and half", "half", "half a header"],
)
def test_incomplete_message_is_not_joined_to_the_next(rig: Rig, begun: bytes) -> None:
    """The same on the connecting side, where the pipe lives on: the next connection starts clean."""
    pull, listener = rig.connecting("PULL")
    first = listener.accept()
    first.handshake("PUSH")
    first.send(message(b"whole", b"one") + begun)
    first.close()
    second = listener.accept()
    second.handshake("PUSH")
    second.send(message(b"next", b"one"))
    assert pull.recv_multipart() == [b"whole", b"one"]
    assert pull.recv_multipart() == [b"next", b"one"]
    second.barrier()
    rig.expect_nothing(pull)


def test_received_messages_stay_readable(rig: Rig) -> None:
    """Received but unread messages stay readable when the connection is lost, in front of those that follow."""
    pull, listener = rig.connecting("PULL")
    for i in range(3):
        peer = listener.accept()
        peer.handshake("PUSH")
        peer.send(message(b"%d" % i, b"a") + message(b"%d" % i, b"b"))
        peer.barrier()
        peer.close()
    assert [pull.recv_multipart() for _ in range(6)] == [[b"%d" % i, x] for i in range(3) for x in (b"a", b"b")]


def test_immediate_has_no_queue_for_absent_peers(rig: Rig) -> None:
    """IMMEDIATE=1: no pipe until the handshake; no peer: EAGAIN."""
    push, listener = rig.connecting("PUSH", IMMEDIATE=1)
    peer = listener.accept()
    peer.greet()
    assert not push.poll(0, rig.zmq.POLLOUT)
    with pytest.raises(rig.zmq.Again):
        push.send(b"x", rig.zmq.DONTWAIT)
    peer.send(ready("PULL"))
    push.send(b"hello")
    peer.expect(ready("PUSH"))
    assert peer.read_message() == [b"hello"]
    peer.close()
    wait_until(lambda: not push.poll(0, rig.zmq.POLLOUT), "the pipe gone")


def test_router_keeps_the_id_of_an_outgoing_connection(rig: Rig) -> None:
    """On the connecting side the pipe, and so the id, stay over a reconnect."""
    router, listener = rig.connecting("ROUTER")
    ids = []
    for _ in range(2):
        peer = listener.accept()
        peer.handshake("DEALER")
        peer.send(frame(b"hello"))
        ids.append(router.recv_multipart()[0])
        peer.close()
    assert ids[0] == ids[1]


@pytest.mark.unlike_libzmq
def test_connections_survive_their_listener(rig: Rig) -> None:
    """unbind(): stops listening, those that are there live on (libzmq ends them at the next call into the socket)."""
    pull, endpoint = rig.bind("PULL")
    peer = rig.peer(endpoint)
    peer.handshake("PUSH")
    peer.send(frame(b"first"))
    assert pull.recv() == b"first"
    pull.unbind(endpoint)

    def is_refused() -> bool:
        try:
            RawPeer.connect(endpoint).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(is_refused, "the listener gone")
    peer.send(frame(b"hello"))
    assert pull.recv() == b"hello"
