"""A peer goes and comes back: connections, queues, subscriptions and request states afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import (
    FAST_RECONNECT,
    QUIET_MS,
    Peers,
    Side,
    await_event,
    join_publisher,
    raises_errno,
    receive,
    skip_libzmq_quirk,
    tcp_connections,
    wait_until,
)

TRANSPORTS = ("tcp", "ipc")

# (type that stays and connects, type that is closed and bound anew)
FLOWS = (
    ("PUSH", "PULL"),
    ("PULL", "PUSH"),
    ("PAIR", "PAIR"),
    ("DEALER", "DEALER"),
    ("DEALER", "ROUTER"),
    ("SUB", "PUB"),
    ("SUB", "XPUB"),
    ("XSUB", "PUB"),
    ("XSUB", "XPUB"),
    ("PUB", "SUB"),
    ("REQ", "REP"),
)


def subscribe_all(sock: Any, side: Side, socket_type: str) -> None:
    if socket_type == "SUB":
        sock.setsockopt(side.zmq.SUBSCRIBE, b"")
    if socket_type == "XSUB":
        sock.send(b"\x01")


def exchange(stayer: Any, stayer_type: str, other: Any, other_type: str, token: bytes) -> None:
    """One message through the connection, by whatever way the types have."""
    if stayer_type == "REQ":
        stayer.send(token)
        assert other.recv() == token
        other.send(token)
        assert stayer.recv() == token
    elif stayer_type in ("SUB", "XSUB"):
        join_publisher(other, [stayer])
        other.send(token)
        assert stayer.recv() == token
    elif stayer_type == "PUB":
        join_publisher(stayer, [other])
        stayer.send(token)
        assert other.recv() == token
    elif stayer_type == "PULL":
        other.send(token)
        assert stayer.recv() == token
    else:
        stayer.send(token)
        assert other.recv_multipart()[-1] == token


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("stays", ["local", "remote"])
@pytest.mark.parametrize(("stayer_type", "other_type"), FLOWS)
def test_messages_flow_again_after_a_restart(
    peers: Peers, local: Side, remote: Side, stayer_type: str, other_type: str, stays: str, transport: str
) -> None:
    """The binding peer is closed and bound again at the same endpoint, twice; the connecting one is left alone."""
    stayer_side, other_side = (local, remote) if stays == "local" else (remote, local)
    endpoint = peers.reserve(transport)
    stayer = peers.socket(stayer_side, stayer_type, **FAST_RECONNECT)
    subscribe_all(stayer, stayer_side, stayer_type)
    stayer.connect(endpoint)
    # The loss of an ipc connection cannot be seen from here, so what is sent next might die with it.
    can_send_next = transport == "tcp" or stayer_type in ("PULL", "SUB", "XSUB", "PUB")
    for life in range(3 if can_send_next else 1):
        other = peers.socket(other_side, other_type)
        subscribe_all(other, other_side, other_type)
        peers.rebind(other, other_side, endpoint)
        exchange(stayer, stayer_type, other, other_type, b"life %d" % life)
        other.close(0)
        if transport == "tcp":
            # What is sent before the loss is noticed may die in the kernel's buffers.
            wait_until(lambda: tcp_connections(endpoint) == 0, what="the end of the connection")


def test_subscriptions_are_sent_again_without_a_call(peers: Peers, local: Side, remote: Side) -> None:
    """libzmq sends them only when the application next touches the SUB; zmqcore does it in the background."""
    skip_libzmq_quirk(local)
    endpoint = peers.reserve("tcp")
    sub = peers.socket(local, "SUB", **FAST_RECONNECT)
    for topic in (b"b", b"a", b"a", b""):
        sub.setsockopt(local.zmq.SUBSCRIBE, topic)
    sub.connect(endpoint)
    for _ in range(3):
        xpub = peers.socket(remote, "XPUB", xpub_verbose=1)
        peers.rebind(xpub, remote, endpoint)
        assert receive(xpub, 3) == [[b"\x01"], [b"\x01a"], [b"\x01b"]]
        assert not xpub.poll(50)
        xpub.close(0)


@pytest.mark.parametrize("keeper", ["local", "remote"])
def test_subscriptions_changed_while_alone(peers: Peers, local: Side, remote: Side, keeper: str) -> None:
    """Topics come and go while there is no connection; the next one starts with exactly those that are left."""
    sub_side, pub_side = (local, remote) if keeper == "local" else (remote, local)
    endpoint = peers.reserve("tcp")
    sub = peers.socket(sub_side, "SUB", **FAST_RECONNECT)
    sub.setsockopt(sub_side.zmq.SUBSCRIBE, b"old")
    sub.connect(endpoint)
    first = peers.socket(pub_side, "XPUB")
    first.bind(endpoint)
    assert first.recv() == b"\x01old"
    first.close(0)
    wait_until(lambda: tcp_connections(endpoint) == 0, what="the end of the connection")
    sub.setsockopt(sub_side.zmq.SUBSCRIBE, b"new")
    sub.setsockopt(sub_side.zmq.UNSUBSCRIBE, b"old")
    second = peers.socket(pub_side, "XPUB")
    peers.rebind(second, pub_side, endpoint)
    await_event(second, sub, sub_side)
    assert second.recv() == b"\x01new"
    second.send_multipart([b"old", b"1"])
    second.send_multipart([b"new", b"2"])
    assert sub.recv_multipart() == [b"new", b"2"]
    assert not second.poll(50)


def test_queue_of_a_connecting_push_survives_a_killed_peer(peers: Peers, local: Side, remote: Side) -> None:
    endpoint = peers.reserve("tcp")
    push = peers.socket(local, "PUSH", sndhwm=0, **FAST_RECONNECT)
    push.connect(endpoint)
    push.send(b"early")
    first = peers.process("sink", "pyzmq", "PULL", "bind", endpoint)
    assert first.message() == [b"early"]
    first.kill()
    wait_until(lambda: tcp_connections(endpoint) == 0, what="the end of the connection")
    sent = [[b"%d" % number, b"", b"tail"] for number in range(500)]
    for message in sent:
        push.send_multipart(message)
    second = peers.process("sink", "pyzmq", "PULL", "bind", endpoint)
    assert [second.message() for _ in sent] == sent
    push.send(b"late")
    assert second.message() == [b"late"]


def test_bound_pull_keeps_what_a_killed_sender_sent(peers: Peers, local: Side, remote: Side) -> None:
    """Messages that were received stay readable after the connection is gone; the socket serves the next peer."""
    pull = peers.socket(local, "PULL")
    endpoint = peers.bind(local, pull, "tcp")
    source = peers.process("source", "pyzmq", "PUSH", "connect", endpoint)
    assert receive(pull, 5) == [[b"%d" % number] for number in range(5)]
    assert pull.poll(2000)
    source.kill()
    assert pull.recv() == b"5"
    peers.process("source", "pyzmq", "PUSH", "connect", endpoint)

    def started_over() -> bool:
        return bool(pull.recv() == b"0")

    wait_until(started_over, what="the messages of the second sender")


def test_local_publisher_outlives_killed_subscribers(peers: Peers, local: Side, remote: Side) -> None:
    xpub = peers.socket(local, "XPUB")
    endpoint = peers.bind(local, xpub, "tcp")
    for _ in range(2):
        sink = peers.process("sink", "pyzmq", "SUB", "connect", endpoint, subscribe="news")
        assert xpub.recv() == b"\x01news"
        xpub.send_multipart([b"news", b"1"])
        assert sink.message() == [b"news", b"1"]
        sink.kill()
        assert xpub.recv() == b"\x00news"


@pytest.mark.parametrize("correlate", [0, 1])
def test_relaxed_request_after_a_killed_peer(peers: Peers, local: Side, remote: Side, correlate: int) -> None:
    endpoint = peers.reserve("tcp")
    req = peers.socket(local, "REQ", req_relaxed=1, req_correlate=correlate, **FAST_RECONNECT)
    req.connect(endpoint)
    silent = peers.process("sink", "pyzmq", "REP", "bind", endpoint)
    req.send(b"lost")
    assert silent.message() == [b"lost"]
    silent.kill()
    wait_until(lambda: tcp_connections(endpoint) == 0, what="the end of the connection")
    peers.process("echo", "pyzmq", "REP", "bind", endpoint)
    req.send(b"again")
    assert req.recv() == b"again"
    req.send(b"and again")
    assert req.recv() == b"and again"


def test_strict_request_stays_open_after_a_restart(peers: Peers, local: Side, remote: Side) -> None:
    """Nothing is sent again: the REQ waits for its reply and may not send."""
    endpoint = peers.reserve("tcp")
    req = peers.socket(local, "REQ", **FAST_RECONNECT)
    req.connect(endpoint)
    silent = peers.process("sink", "pyzmq", "REP", "bind", endpoint)
    req.send(b"lost")
    assert silent.message() == [b"lost"]
    silent.kill()
    fresh = peers.socket(remote, "REP")
    peers.rebind(fresh, remote, endpoint)
    wait_until(lambda: tcp_connections(endpoint) >= 1, what="the new connection")
    assert not fresh.poll(100)
    with raises_errno(local, local.zmq.EFSM):
        req.send(b"too early")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_connect_before_bind(peers: Peers, local: Side, remote: Side, transport: str) -> None:
    endpoint = peers.reserve(transport)
    dealer = peers.socket(local, "DEALER", **FAST_RECONNECT)
    dealer.connect(endpoint)
    dealer.send_multipart([b"", b"first"])
    assert not dealer.poll(150)
    rep = peers.socket(remote, "REP")
    rep.bind(endpoint)
    assert rep.recv() == b"first"
    rep.send(b"answer")
    assert dealer.recv_multipart() == [b"", b"answer"]


def test_unbind_refuses_new_connections(peers: Peers, local: Side, remote: Side) -> None:
    pull = peers.socket(local, "PULL")
    endpoint = peers.bind(local, pull, "tcp")
    push = peers.socket(remote, "PUSH", immediate=1)
    push.connect(endpoint)
    push.send(b"before")
    assert pull.recv() == b"before"
    pull.unbind(endpoint)

    def is_refused() -> bool:
        late = peers.socket(remote, "PUSH", immediate=1)
        late.connect(endpoint)
        return not late.poll(QUIET_MS, remote.zmq.POLLOUT)

    wait_until(is_refused, what="the end of the listener")
    fresh_endpoint = peers.bind(local, pull, "tcp")
    late = peers.socket(remote, "PUSH")
    late.connect(fresh_endpoint)
    late.send(b"elsewhere")
    assert pull.recv() == b"elsewhere"


def test_disconnect_ends_the_flow(peers: Peers, local: Side, remote: Side) -> None:
    left, right = peers.socket(remote, "PULL"), peers.socket(remote, "PULL")
    push = peers.socket(local, "PUSH")
    endpoints = [peers.bind(remote, sock, "tcp") for sock in (left, right)]
    for endpoint in endpoints:
        push.connect(endpoint)
    for number in range(4):
        push.send(b"%d" % number)
    assert receive(left, 2) == [[b"0"], [b"2"]]
    assert receive(right, 2) == [[b"1"], [b"3"]]
    push.disconnect(endpoints[0])
    for number in range(4):
        push.send(b"%d" % number)
    assert receive(right, 4) == [[b"%d" % number] for number in range(4)]
    assert not left.poll(50)
