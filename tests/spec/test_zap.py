"""ZAP (RFC 27): when a handler is asked, what it is asked, and what follows from each answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.raw_peer import RawPeer, Rig, error, greeting, message, prop, ready
from tests.support import wait_until
from tests.zap import Reply, ZapHandler, reply


def serving(rig: Rig, **options: Any) -> tuple[Any, RawPeer, Any]:
    """A NULL server with a domain, a peer that has greeted it, its monitor."""
    sock, endpoint = rig.bind("ROUTER", **{"ZAP_DOMAIN": b"here", **options})
    monitor = rig.monitor(sock)
    peer = rig.peer(endpoint)
    peer.greet()
    return sock, peer, monitor


def test_null_with_a_domain(rig: Rig) -> None:
    """The own READY waits for the answer; the peer's may come before."""
    with ZapHandler(rig.zmq, rig.context) as zap:
        sock, peer, monitor = serving(rig, ROUTING_ID=b"me")
        peer.send(ready("DEALER"))
        peer.expect(ready("ROUTER", b"me"))
        monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_SUCCEEDED)
        peer.send(message(b"hello"))
        assert sock.recv_multipart()[1] == b"hello"
        assert zap.requests == [[b"1.0", b"1", b"here", b"127.0.0.1", b"me", b"NULL"]]


def test_null_without_a_domain_asks_nobody(rig: Rig) -> None:
    with ZapHandler(rig.zmq, rig.context, b"400") as zap:
        _, peer, _ = serving(rig, ZAP_DOMAIN=[], ZAP_ENFORCE_DOMAIN=1)
        peer.expect(ready("ROUTER"))
        assert not zap.requests


def test_a_connecting_socket_asks_as_well(rig: Rig) -> None:
    with ZapHandler(rig.zmq, rig.context) as zap:
        sock, listener = rig.connecting("DEALER", ZAP_DOMAIN=b"here")
        peer = listener.accept()
        peer.handshake("ROUTER")
        sock.send(b"hello")
        peer.expect(message(b"hello"))
        assert len(zap.requests) == 1


def test_a_handler_that_is_a_rep(rig: Rig) -> None:
    handler = rig.socket("REP")
    handler.bind("inproc://zeromq.zap.01")
    _, peer, _ = serving(rig)
    request = handler.recv_multipart()
    peer.expect_quiet()
    handler.send_multipart(reply(request))
    peer.expect(ready("ROUTER"))


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("status", [b"400", b"500"])
def test_refused(rig: Rig, status: bytes) -> None:
    with ZapHandler(rig.zmq, rig.context, status):
        sock, peer, monitor = serving(rig)
        peer.expect(error(status))
        value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        assert value == int(status)
        peer.expect_close()


@pytest.mark.unlike_libzmq
def test_refused_for_now(rig: Rig) -> None:
    with ZapHandler(rig.zmq, rig.context, b"300"):
        sock, peer, monitor = serving(rig)
        peer.send(ready("DEALER"))
        value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        assert value == 300
        peer.expect_close()


FAULTS: dict[str, tuple[Any, int]] = {
    "five frames": (lambda request: reply(request)[:-1], 0x20000001),
    "seven frames": (lambda request: [*reply(request), b""], 0x20000001),
    "id": (lambda request: [b"1.0", b"2", *reply(request)[2:]], 0x20000002),
    "version": (lambda request: [b"1.1", *reply(request)[1:]], 0x20000003),
    "status 201": (lambda request: reply(request, b"201"), 0x20000004),
    "status 600": (lambda request: reply(request, b"600"), 0x20000004),
    "status 100": (lambda request: reply(request, b"100"), 0x20000004),
    "short status": (lambda request: reply(request, b"20"), 0x20000004),
    "metadata": (lambda request: reply(request, metadata=b"x"), 0x20000005),
    "type": (lambda request: reply(request, metadata=prop(b"Socket-Type", b"PUB")), 0x20000005),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_reply(rig: Rig, fault: str) -> None:
    answer, code = FAULTS[fault]
    with ZapHandler(rig.zmq, rig.context, answer):
        sock, peer, monitor = serving(rig)
        value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
        assert value == code, hex(value)
        peer.expect_close()


@pytest.mark.parametrize(("delimiter", "code"), [([], 0x20000001), ([b"x"], 0x20000000)])
def test_a_reply_without_an_empty_delimiter(rig: Rig, delimiter: list[bytes], code: int) -> None:
    handler = rig.socket("ROUTER")
    handler.bind("inproc://zeromq.zap.01")
    sock, peer, monitor = serving(rig)
    asker, _, *request = handler.recv_multipart()
    handler.send_multipart([asker, *delimiter, *reply(request)])
    value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
    assert value == code, hex(value)
    peer.expect_close()


@pytest.mark.unlike_libzmq
def test_a_handler_gives_no_routing_id(rig: Rig) -> None:
    """An Identity in the reply is metadata; routing uses the peer's own."""
    with ZapHandler(rig.zmq, rig.context, lambda request: reply(request, metadata=prop(b"Identity", b"zz"))):
        sock, peer, _ = serving(rig)
        peer.send(ready("DEALER", b"peer"))
        peer.expect(ready("ROUTER"))
        peer.send(message(b"hello"))
        assert sock.recv_multipart() == [b"peer", b"hello"]


def test_no_handler(rig: Rig) -> None:
    """NULL goes without, as it does in libzmq."""
    _, peer, _ = serving(rig)
    peer.expect(ready("ROUTER"))


@pytest.mark.unlike_libzmq
def test_no_handler_where_the_domain_is_enforced(rig: Rig) -> None:
    sock, endpoint = rig.bind("ROUTER", ZAP_DOMAIN=b"here", ZAP_ENFORCE_DOMAIN=1)
    monitor = rig.monitor(sock)
    peer = rig.peer(endpoint)
    peer.send(greeting())
    value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
    assert value == rig.zmq.EFAULT
    assert len(peer.read_to_close()) <= 64


def test_no_answer(rig: Rig) -> None:
    """Only HANDSHAKE_IVL ends the wait; others are served meanwhile."""

    def answer(request: list[bytes]) -> Reply:
        return None if len(zap.requests) == 1 else reply(request)

    with ZapHandler(rig.zmq, rig.context, answer) as zap:
        sock, endpoint = rig.bind("ROUTER", ZAP_DOMAIN=b"here", HANDSHAKE_IVL=300)
        first = rig.peer(endpoint)
        first.greet()
        wait_until(lambda: zap.requests, what="the first request")
        second = rig.peer(endpoint)
        second.handshake("DEALER")
        second.send(message(b"hello"))
        assert sock.recv_multipart()[1] == b"hello"
        assert first.read_to_close() == b""


def test_a_peer_that_has_gone_is_answered_to_nobody(rig: Rig) -> None:
    handler = rig.socket("ROUTER")
    handler.bind("inproc://zeromq.zap.01")
    sock, endpoint = rig.bind("ROUTER", ZAP_DOMAIN=b"here")
    monitor = rig.monitor(sock)
    peer = rig.peer(endpoint)
    peer.greet()
    request = handler.recv_multipart()
    peer.close()
    monitor.wait_for(rig.zmq.EVENT_DISCONNECTED)
    handler.send_multipart([*request[:2], *reply(request[2:])])
    other = rig.peer(endpoint)
    other.greet()
    request = handler.recv_multipart()
    handler.send_multipart([*request[:2], *reply(request[2:])])
    other.expect(ready("ROUTER"))


def test_what_comes_before_the_answer_is_bounded(rig: Rig) -> None:
    handler = rig.socket("ROUTER")
    handler.bind("inproc://zeromq.zap.01")
    _, peer, _ = serving(rig)
    handler.recv_multipart()
    flood = ready("DEALER") + message(b"x" * 1000) * 200
    peer.try_send(flood)
    peer.read_to_close()


@pytest.mark.parametrize("options", [{"ZAP_DOMAIN": b"here"}, {"PLAIN_SERVER": 1}])
def test_older_peers_are_refused(rig: Rig, options: dict[str, Any]) -> None:
    """2.0 and 1.0 know no mechanism, and nobody can vouch for them."""
    with ZapHandler(rig.zmq, rig.context) as zap:
        sock, endpoint = rig.bind("PULL", **options)
        for hello in ("ff 00 00 00 00 00 00 00 01 7f 01 08 00 00 00 01 78", "01 00 02 00 78"):
            peer = rig.peer(endpoint)
            peer.send(bytes.fromhex(hello))
            peer.read_to_close()
        rig.expect_nothing(sock)
        assert not zap.requests


@pytest.mark.unlike_libzmq
def test_a_handler_that_closes(rig: Rig) -> None:
    handler = rig.socket("ROUTER")
    handler.bind("inproc://zeromq.zap.01")
    _, peer, monitor = serving(rig)
    handler.recv_multipart()
    handler.close()
    value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
    assert value == rig.zmq.EFAULT
    peer.expect_close()
