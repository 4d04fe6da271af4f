"""The common socket types between zmqcore and pyomq, an implementation in Rust that shares no code with libzmq.

Releases differ by Python: 3.10 gets 0.17, 3.11 gets 0.21, newer Pythons later ones. What is used here they all have.
"""

from __future__ import annotations

import importlib
import random
from typing import Any

import pytest

from tests.support import DEADLINE_S, FAST_RECONNECT, Peers, Side, join_publisher, load_side, wait_until

BINDERS = pytest.mark.parametrize("binder", ["local", "omq"])
TRANSPORTS = pytest.mark.parametrize("transport", ["tcp", "ipc"])
SENDERS = pytest.mark.parametrize("sending", ["local", "omq"])
SIZES = (0, 1, 255, 256, 8191, 8192, 65536, 1024 * 1024)
BURST = 2000
SEED = 1729


@pytest.fixture(scope="module")
def omq() -> Side:
    try:
        importlib.import_module("pyomq")
    except ImportError as error:
        pytest.skip(f"pyomq cannot be imported on this Python: {error}")
    return load_side("omq", "pyomq")


End = tuple[Side, str, dict[str, Any]]


def linked(peers: Peers, transport: str, binder: str, left: End, right: End) -> tuple[Any, Any]:
    """Two connected sockets without limits, given as (side, type, options); the side named binder binds."""
    ends = [(side, peers.socket(side, name, sndhwm=0, rcvhwm=0, **options)) for side, name, options in (left, right)]
    first, second = sorted(ends, key=lambda end: end[0].name != binder)
    peers.join(first, second, transport)
    return ends[0][1], ends[1][1]


def samples() -> list[list[bytes]]:
    rng = random.Random(SEED)
    messages = [[rng.randbytes(size)] for size in SIZES]
    messages += [[rng.randbytes(rng.choice((0, 1, 255, 256, 300))) for _ in range(count)] for count in range(1, 11)]
    return [*messages, [b"", b""], [b"", b"x", b""], [b"%d" % number for number in range(10)]]


@TRANSPORTS
@BINDERS
@SENDERS
def test_push_pull(peers: Peers, local: Side, omq: Side, sending: str, binder: str, transport: str) -> None:
    sender, receiver = (local, omq) if sending == "local" else (omq, local)
    push, pull = linked(peers, transport, binder, (sender, "PUSH", {}), (receiver, "PULL", {}))
    for message in samples():
        push.send_multipart(message)
        assert pull.recv_multipart() == message
    for number in range(BURST):
        push.send_multipart([b"%d" % number, b""])
    for number in range(BURST):
        assert pull.recv_multipart() == [b"%d" % number, b""]


@TRANSPORTS
@BINDERS
def test_pair(peers: Peers, local: Side, omq: Side, binder: str, transport: str) -> None:
    ours, theirs = linked(peers, transport, binder, (local, "PAIR", {}), (omq, "PAIR", {}))
    for message in samples():
        ours.send_multipart(message)
        assert theirs.recv_multipart() == message
        theirs.send_multipart(message)
        assert ours.recv_multipart() == message


@TRANSPORTS
@BINDERS
@SENDERS
def test_publish_subscribe(peers: Peers, local: Side, omq: Side, sending: str, binder: str, transport: str) -> None:
    publishing, subscribing = (local, omq) if sending == "local" else (omq, local)
    pub, sub = linked(peers, transport, binder, (publishing, "PUB", {}), (subscribing, "SUB", {}))
    # pyomq's setsockopt(SUBSCRIBE, …) has no effect.
    sub.subscribe(b"a")
    join_publisher(pub, [sub], b"a")
    for number in range(200):
        pub.send_multipart([b"b", b"unwanted"])
        pub.send_multipart([b"ab", b"", b"%d" % number])
    for number in range(200):
        assert sub.recv_multipart() == [b"ab", b"", b"%d" % number]
    sub.subscribe(b"long" * 100)
    join_publisher(pub, [sub], b"long" * 100)
    sub.unsubscribe(b"a")

    def is_unsubscribed() -> bool:
        pub.send(b"a after")
        pub.send(b"long" * 100 + b" end")
        return bool(sub.recv() == b"long" * 100 + b" end")

    wait_until(is_unsubscribed, what="the end of the subscription")


@TRANSPORTS
@BINDERS
@SENDERS
def test_request_reply(peers: Peers, local: Side, omq: Side, sending: str, binder: str, transport: str) -> None:
    asking, answering = (local, omq) if sending == "local" else (omq, local)
    req, rep = linked(peers, transport, binder, (asking, "REQ", {}), (answering, "REP", {}))
    for message in samples():
        if message[0] == b"" and len(message) > 1:
            continue  # pyomq's REP takes every leading empty part for the envelope
        req.send_multipart(message)
        assert rep.recv_multipart() == message
        rep.send_multipart([*message, b"answer"])
        assert req.recv_multipart() == [*message, b"answer"]


@TRANSPORTS
@BINDERS
@SENDERS
def test_dealer_router(peers: Peers, local: Side, omq: Side, sending: str, binder: str, transport: str) -> None:
    dealing, routing = (local, omq) if sending == "local" else (omq, local)
    dealer, router = linked(
        peers, transport, binder, (dealing, "DEALER", {"routing_id": b"dealer"}), (routing, "ROUTER", {})
    )
    for message in samples():
        dealer.send_multipart(message)
        assert router.recv_multipart() == [b"dealer", *message]
        router.send_multipart([b"dealer", *message])
        assert dealer.recv_multipart() == message
    for number in range(BURST):
        dealer.send(b"%d" % number)
    for number in range(BURST):
        assert router.recv_multipart() == [b"dealer", b"%d" % number]


@BINDERS
def test_anonymous_dealer_gets_its_answers(peers: Peers, local: Side, omq: Side, binder: str) -> None:
    dealer, router = linked(peers, "tcp", binder, (omq, "DEALER", {}), (local, "ROUTER", {}))
    dealer.send_multipart([b"", b"question"])
    routing_id, *rest = router.recv_multipart()
    assert rest == [b"", b"question"]
    router.send_multipart([routing_id, b"", b"answer"])
    assert dealer.recv_multipart() == [b"", b"answer"]


def test_queue_survives_a_late_peer(peers: Peers, local: Side, omq: Side) -> None:
    endpoint = peers.reserve("tcp")
    push = peers.socket(local, "PUSH", **FAST_RECONNECT)
    push.connect(endpoint)
    for number in range(100):
        push.send(b"%d" % number)
    pull = peers.socket(omq, "PULL")
    pull.bind(endpoint)
    assert [pull.recv() for _ in range(100)] == [b"%d" % number for number in range(100)]


def test_pyomq_comes_back(peers: Peers, local: Side, omq: Side) -> None:
    """A bound pyomq socket is closed and another bound at the same port."""
    endpoint = peers.reserve("tcp")
    sub = peers.socket(local, "SUB", subscribe=b"t", **FAST_RECONNECT)
    sub.connect(endpoint)
    for life in range(2):
        pub = peers.socket(omq, "PUB")

        def bound(pub: Any = pub) -> bool:
            try:
                pub.bind(endpoint)
            except omq.zmq.ZMQError:
                return False
            return True

        wait_until(bound, DEADLINE_S, "bind to the same port")
        join_publisher(pub, [sub], b"t")
        pub.send(b"t%d" % life)
        assert sub.recv() == b"t%d" % life
        pub.close()


def test_heartbeats_with_pyomq(peers: Peers, local: Side, omq: Side) -> None:
    """PING of either side is answered by the other: the anonymous routing id, so the connection, stays the same."""
    beats = {"heartbeat_ivl": 50, "heartbeat_timeout": 200, "heartbeat_ttl": 500}
    for ours, theirs in ((beats, {}), ({}, beats)):
        dealer, router = linked(peers, "tcp", "local", (omq, "DEALER", theirs), (local, "ROUTER", ours))
        dealer.send(b"before")
        routing_id, _ = router.recv_multipart()
        assert not router.poll(400)
        dealer.send(b"after")
        assert router.recv_multipart() == [routing_id, b"after"]
