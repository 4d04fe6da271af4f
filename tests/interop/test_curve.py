"""CURVE between zmqcore and libzmq: each pair of socket types, who serves, all sizes; proxies; the events of both."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from tests.interop.test_matrix import PAIRS, SEED, Case, Link
from tests.interop.test_monitor import ONE_RETRY, Event, Stage
from tests.support import Peers, Side, receive, skip_libzmq_quirk
from tests.zap import ZapHandler

pytest.importorskip("nacl")

# Both sides of what is sealed by parts, of one chunk, of a write, and of what is read at once.
SIZES = (0, 1, 222, 223, 2014, 2015, 2016, 8 * 1024, 65_000, 1024 * 1024, 5 * 1024 * 1024)
BURST = 2000
LOCKSTEP_BURST = 200


def keys(side: Side) -> tuple[bytes, bytes]:
    public, secret = side.zmq.curve_keypair()
    return public, secret


class Secured:
    """The options of a server and of a client that knows it."""

    def __init__(self, server: Side, client: Side) -> None:
        self.public, secret = keys(server)
        own_public, own_secret = keys(client)
        self.server: dict[str, Any] = {"curve_server": 1, "curve_secretkey": secret}
        self.client: dict[str, Any] = {
            "curve_serverkey": self.public,
            "curve_publickey": own_public,
            "curve_secretkey": own_secret,
        }


class CurveLink(Link):
    def __init__(self, peers: Peers, local: Side, remote: Side, case: Case, server: str) -> None:
        self.server_name = server
        self.options = Secured(local, remote)
        super().__init__(peers, local, remote, case)

    def security(self, side: Side) -> dict[str, Any]:
        return self.options.server if side.name == self.server_name else self.options.client


@pytest.mark.parametrize("server", ["local", "remote"], ids=["serves", "asks"])
@pytest.mark.parametrize("binder", ["local", "remote"], ids=["binds", "connects"])
@pytest.mark.parametrize("sending", ["local", "remote"], ids=["sends", "receives"])
@pytest.mark.parametrize("types", PAIRS, ids="-".join)
def test_each_pair_of_types(
    peers: Peers, local: Side, remote: Side, types: tuple[str, str], sending: str, binder: str, server: str
) -> None:
    link = CurveLink(peers, local, remote, Case(*types, "tcp", binder, sending), server)
    rng = random.Random(SEED)
    link.carry([link.payload([rng.randbytes(size)]) for size in SIZES])
    link.carry([link.payload([rng.randbytes(size), b"", rng.randbytes(300), b""]) for size in SIZES[:-1]])
    count = LOCKSTEP_BURST if link.is_lockstep else BURST
    link.carry([[b"number %d" % number, b"x" * (number % 300)] for number in range(count)])


@pytest.mark.parametrize("is_serving", [True, False], ids=["serves", "asks"])
def test_subscriptions_come_and_go(peers: Peers, local: Side, remote: Side, is_serving: bool) -> None:
    """A SUB of ours with a publisher of libzmq; the other way round is in test_security.py."""
    secured = Secured(local, remote) if is_serving else Secured(remote, local)
    own, other = (secured.server, secured.client) if is_serving else (secured.client, secured.server)
    publisher = peers.socket(remote, "XPUB", **other)
    subscriber = peers.socket(local, "SUB", **own)
    subscriber.connect(peers.bind(remote, publisher, "tcp"))
    for topic in (b"a", b"", b"long" * 1000):
        subscriber.setsockopt(local.constant("SUBSCRIBE"), topic)
        assert publisher.recv() == b"\x01" + topic
        publisher.send_multipart([topic, b"1"])
        assert subscriber.recv_multipart() == [topic, b"1"]
        subscriber.setsockopt(local.constant("UNSUBSCRIBE"), topic)
        assert publisher.recv() == b"\x00" + topic
    publisher.send(b"a for nobody")
    subscriber.setsockopt(local.constant("SUBSCRIBE"), b"end")
    assert publisher.recv() == b"\x01end"
    publisher.send(b"end")
    assert subscriber.recv() == b"end"


@pytest.mark.parametrize(
    ("front", "back", "client", "worker"),
    [("ROUTER", "DEALER", "REQ", "REP"), ("PULL", "PUSH", "PUSH", "PULL"), ("XSUB", "XPUB", "PUB", "SUB")],
    ids=["queue", "streamer", "forwarder"],
)
def test_a_proxy_with_curve_on_both_sides(
    peers: Peers, local: Side, remote: Side, front: str, back: str, client: str, worker: str
) -> None:
    """Serves in front, asks behind; the capture, in the clear, has everything once."""
    before, behind = Secured(local, remote), Secured(remote, local)
    wide = {"sndhwm": 0, "rcvhwm": 0}
    frontend = peers.socket(local, front, **before.server, **wide)
    backend = peers.socket(local, back, **behind.client, **wide)
    capture = peers.socket(local, "PUSH", **wide)
    captured = peers.socket(remote, "PULL", **wide)
    captured.connect(peers.bind(local, capture, "tcp"))
    asking = peers.socket(remote, client, **before.client, **wide)
    working = peers.socket(remote, worker, **behind.server, **wide)
    if worker == "SUB":
        working.setsockopt(remote.constant("SUBSCRIBE"), b"")
    asking.connect(peers.bind(local, frontend, "tcp"))
    backend.connect(peers.bind(remote, working, "tcp"))
    proxy = local.zmq.Proxy(frontend, backend, capture)
    proxy.start()
    try:
        expected = 0
        if worker == "SUB":
            # The subscription goes through the proxy, and is captured as well.
            while not working.poll(20):
                asking.send(b"probe")
            while working.poll(50):
                assert working.recv() == b"probe"
            while captured.poll(50):
                captured.recv_multipart()
        for number, size in itertools.product(range(5), SIZES[:-1]):
            asking.send_multipart([b"%d" % number, b"x" * size])
            assert working.recv_multipart() == [b"%d" % number, b"x" * size]
            expected += 1
            if worker == "REP":
                working.send_multipart([b"%d" % number, b"y" * size])
                assert asking.recv_multipart() == [b"%d" % number, b"y" * size]
                expected += 1
        seen = receive(captured, expected)
        assert [len(parts[-1]) for parts in seen] == [
            size for _, size in itertools.product(range(5), SIZES[:-1]) for _ in range(expected // 5 // len(SIZES[:-1]))
        ]
        assert not captured.poll(20)
    finally:
        proxy.stop()
        proxy.join()


# --- events ----------------------------------------------------------------------------------------------------------


def accepting(stage: Stage) -> None:
    secured = Secured(stage.watched, stage.other)
    pull = stage.socket("PULL", **secured.server)
    monitor = stage.monitor(pull)
    endpoint = stage.name(stage.peers.bind(stage.watched, pull, "tcp"), "own")
    push = stage.peer("PUSH", **secured.client)
    push.connect(endpoint)
    stage.until(monitor, "HANDSHAKE_SUCCEEDED")
    push.close()
    stage.until(monitor, "DISCONNECTED")
    stage.end(pull, monitor)


def connecting(stage: Stage) -> None:
    secured = Secured(stage.other, stage.watched)
    pull = stage.peer("PULL", **secured.server)
    endpoint = stage.name(stage.peers.bind(stage.other, pull, "tcp"), "remote")
    push = stage.socket("PUSH", **ONE_RETRY, **secured.client)
    monitor = stage.monitor(push)
    push.connect(endpoint)
    stage.until(monitor, "HANDSHAKE_SUCCEEDED")
    pull.close()
    stage.until(monitor, "CONNECT_RETRIED")
    stage.end(push, monitor)


def refusing(stage: Stage) -> None:
    secured = Secured(stage.watched, stage.other)
    with ZapHandler(stage.watched.zmq, stage.peers.context(stage.watched), b"400"):
        pull = stage.socket("PULL", **secured.server)
        monitor = stage.monitor(pull)
        endpoint = stage.name(stage.peers.bind(stage.watched, pull, "tcp"), "own")
        stage.peer("PUSH", **secured.client).connect(endpoint)
        stage.until(monitor, "DISCONNECTED")
        stage.end(pull, monitor)


def refused(stage: Stage) -> None:
    # In a context of its own: libzmq lets go of a handler's name only later.
    server = Side(f"server of {stage.watched.name}", stage.other.zmq)
    secured = Secured(server, stage.watched)
    with ZapHandler(server.zmq, stage.peers.context(server), b"400"):
        pull = stage.peers.socket(server, "PULL", **secured.server)
        endpoint = stage.name(stage.peers.bind(server, pull, "tcp"), "remote")
        push = stage.socket("PUSH", **ONE_RETRY, **secured.client)
        monitor = stage.monitor(push)
        push.connect(endpoint)
        stage.until(monitor, "DISCONNECTED")
        stage.end(push, monitor)


def asked_with_another_key(stage: Stage) -> None:
    secured = Secured(stage.watched, stage.other)
    pull = stage.socket("PULL", **secured.server)
    monitor = stage.monitor(pull)
    endpoint = stage.name(stage.peers.bind(stage.watched, pull, "tcp"), "own")
    stage.peer("PUSH", **ONE_RETRY, **{**secured.client, "curve_serverkey": keys(stage.other)[0]}).connect(endpoint)
    stage.until(monitor, "DISCONNECTED")
    stage.end(pull, monitor)


@pytest.mark.parametrize(
    "scenario", [accepting, connecting, refusing, refused, asked_with_another_key], ids=lambda it: str(it.__name__)
)
def test_same_events(peers: Peers, local: Side, remote: Side, scenario: Any) -> None:
    """Those of libzmq, in its order, with their values and endpoints."""
    skip_libzmq_quirk(local)
    stories: list[list[Event]] = []
    for side in (remote, local):
        stage = Stage(peers, side, remote)
        scenario(stage)
        stories.append(stage.events)
    assert stories[1] == stories[0]
