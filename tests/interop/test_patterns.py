"""Options and state machines whose effect is seen by a libzmq peer."""

from __future__ import annotations

import struct
import sys
import time
from functools import partial
from typing import Any

import pytest

from tests.support import (
    DEADLINE_MS,
    FAST_RECONNECT,
    QUIET_MS,
    Peers,
    Side,
    Task,
    await_event,
    fill,
    join_publisher,
    raises_errno,
    receive,
    receive_waiting,
    skip_libzmq_quirk,
    tcp_connections,
    wait_routable,
    wait_unroutable,
    wait_until,
)

BOTH_WAYS = pytest.mark.parametrize("owner", ["local", "remote"])


def sides(local: Side, remote: Side, owner: str) -> tuple[Side, Side]:
    """The side that the test is about, then its peer."""
    return (local, remote) if owner == "local" else (remote, local)


def no_connection(endpoint: str) -> bool:
    return tcp_connections(endpoint) == 0


# Routing ids -----------------------------------------------------------------------------------------------------


@BOTH_WAYS
@pytest.mark.parametrize("routing_id", [b"x", b"\0odd", bytes(range(255)), b"\xff" * 255])
def test_routing_ids_travel(peers: Peers, local: Side, remote: Side, owner: str, routing_id: bytes) -> None:
    named, other = sides(local, remote, owner)
    dealer = peers.socket(named, "DEALER", routing_id=routing_id)
    router = peers.socket(other, "ROUTER")
    peers.join((other, router), (named, dealer), "tcp")
    dealer.send_multipart([b"", b"hello"])
    assert router.recv_multipart() == [routing_id, b"", b"hello"]
    router.send_multipart([routing_id, b"", b"answer"])
    assert dealer.recv_multipart() == [b"", b"answer"]


def test_anonymous_peers_get_different_ids(peers: Peers, local: Side, remote: Side) -> None:
    """Five bytes, the first zero, the rest a counter (big-endian)."""
    router = peers.socket(local, "ROUTER")
    endpoint = peers.bind(local, router, "tcp")
    ids = []
    dealers = []
    for number in range(3):
        dealer = peers.socket(remote, "DEALER")
        dealer.connect(endpoint)
        dealer.send(b"%d" % number)
        routing_id, body = router.recv_multipart()
        assert body == b"%d" % number
        ids.append(routing_id)
        dealers.append(dealer)
    assert all(len(routing_id) == 5 and routing_id[0] == 0 for routing_id in ids)
    first = struct.unpack(">I", ids[0][1:])[0]
    assert [struct.unpack(">I", routing_id[1:])[0] for routing_id in ids] == [first, first + 1, first + 2]
    for number, (routing_id, dealer) in enumerate(zip(ids, dealers, strict=True)):
        router.send_multipart([routing_id, b"to %d" % number])
        assert dealer.recv() == b"to %d" % number


def test_connect_routing_id(peers: Peers, local: Side, remote: Side) -> None:
    """Names the next outgoing connection only, whatever the peer calls itself; it can be used at once."""
    router = peers.socket(local, "ROUTER", router_mandatory=1)
    dealer = peers.socket(remote, "DEALER", routing_id=b"own name")
    other = peers.socket(remote, "DEALER", routing_id=b"other")
    router.setsockopt(local.zmq.CONNECT_ROUTING_ID, b"given name")
    router.connect(peers.bind(remote, dealer, "tcp"))
    router.connect(peers.bind(remote, other, "tcp"))
    router.send_multipart([b"given name", b"at once"])
    assert dealer.recv() == b"at once"
    dealer.send(b"back")
    assert router.recv_multipart() == [b"given name", b"back"]
    other.send(b"hello")
    assert router.recv_multipart() == [b"other", b"hello"]


def test_connect_routing_id_in_use(peers: Peers, local: Side, remote: Side) -> None:
    """libzmq ends the process; zmqcore raises EINVAL and the first connection goes on."""
    skip_libzmq_quirk(local)
    router = peers.socket(local, "ROUTER")
    dealer = peers.socket(remote, "DEALER")
    endpoint = peers.bind(remote, dealer, "tcp")
    router.setsockopt(local.zmq.CONNECT_ROUTING_ID, b"name")
    router.connect(endpoint)
    router.setsockopt(local.zmq.CONNECT_ROUTING_ID, b"name")
    with raises_errno(local, local.zmq.EINVAL):
        router.connect(endpoint)
    router.send_multipart([b"name", b"still there"])
    assert dealer.recv() == b"still there"


def test_duplicate_routing_id_does_not_disturb_the_first(peers: Peers, local: Side, remote: Side) -> None:
    router = peers.socket(local, "ROUTER")
    endpoint = peers.bind(local, router, "tcp")
    first = peers.socket(remote, "DEALER", routing_id=b"same")
    first.connect(endpoint)
    first.send(b"first")
    assert router.recv_multipart() == [b"same", b"first"]
    second = peers.socket(remote, "DEALER", routing_id=b"same")
    second.connect(endpoint)
    second.send(b"second")
    assert not router.poll(QUIET_MS)
    router.send_multipart([b"same", b"answer"])
    assert first.recv() == b"answer"
    assert not second.poll(QUIET_MS)
    first.send(b"again")
    assert router.recv_multipart() == [b"same", b"again"]


def test_handover_gives_the_id_to_the_newcomer(peers: Peers, local: Side, remote: Side) -> None:
    router = peers.socket(local, "ROUTER", router_handover=1)
    endpoint = peers.bind(local, router, "tcp")
    old, new = (peers.socket(remote, "DEALER", routing_id=b"same", reconnect_ivl=-1) for _ in range(2))
    for dealer, body in ((old, b"old"), (new, b"new")):
        dealer.connect(endpoint)
        dealer.send(body)
        assert router.recv_multipart() == [b"same", body]
    router.send_multipart([b"same", b"for the new one"])
    assert new.recv() == b"for the new one"
    assert not old.poll(QUIET_MS)
    new.send(b"still here")
    assert router.recv_multipart() == [b"same", b"still here"]


def test_handover_closes_the_old_connection(peers: Peers, local: Side, remote: Side) -> None:
    """libzmq leaves it open and unread, so that its peer never learns of it; zmqcore closes it."""
    skip_libzmq_quirk(local)
    router = peers.socket(local, "ROUTER", router_handover=1)
    endpoint = peers.bind(local, router, "tcp")
    old, new = (peers.socket(remote, "DEALER", routing_id=b"same", reconnect_ivl=-1) for _ in range(2))
    for dealer, body in ((old, b"old"), (new, b"new")):
        dealer.connect(endpoint)
        dealer.send(body)
        assert router.recv_multipart() == [b"same", body]
    wait_until(lambda: tcp_connections(endpoint) == 1, what="the end of the old connection")
    router.send_multipart([b"same", b"x"])
    assert new.recv() == b"x"


def test_router_mandatory_pollout(peers: Peers, local: Side, remote: Side) -> None:
    """POLLOUT means that some peer has room."""
    router = peers.socket(local, "ROUTER", router_mandatory=1)
    endpoint = peers.bind(local, router, "tcp")
    assert not router.poll(0, local.zmq.POLLOUT)
    dealer = peers.socket(remote, "DEALER", routing_id=b"peer")
    dealer.connect(endpoint)
    assert router.poll(DEADLINE_MS, local.zmq.POLLOUT)
    router.send_multipart([b"peer", b"hello"])
    assert dealer.recv() == b"hello"


def test_router_mandatory_after_the_peer_has_gone(peers: Peers, local: Side, remote: Side) -> None:
    router = peers.socket(local, "ROUTER", router_mandatory=1)
    endpoint = peers.bind(local, router, "tcp")
    dealer = peers.socket(remote, "DEALER", routing_id=b"peer")
    dealer.connect(endpoint)
    wait_routable(router, local, b"peer")
    dealer.close(0)
    wait_unroutable(router, local, b"peer")
    back = peers.socket(remote, "DEALER", routing_id=b"peer")
    back.connect(endpoint)
    wait_routable(router, local, b"peer", b"welcome back")
    assert back.recv() == b"welcome back"


@BOTH_WAYS
def test_probe_router(peers: Peers, local: Side, remote: Side, owner: str) -> None:
    """[id, ""] arrives at a ROUTER without a send; a DEALER sees [""]."""
    prober, other = sides(local, remote, owner)
    router = peers.socket(other, "ROUTER")
    dealer = peers.socket(other, "DEALER")
    for sock, seen in ((router, [b"prober", b""]), (dealer, [b""])):
        for socket_type in ("DEALER", "ROUTER"):
            probing = peers.socket(prober, socket_type, probe_router=1, routing_id=b"prober")
            endpoint = peers.bind(other, sock, "tcp")
            probing.connect(endpoint)
            await_event(sock, probing, prober)
            assert sock.recv_multipart() == seen
            probing.close(0)
            # The id is free again when the loss has been noticed.
            wait_until(partial(no_connection, endpoint), what="the end of the connection")
            assert not sock.poll(20)


# Requests and replies --------------------------------------------------------------------------------------------


def test_request_envelope(peers: Peers, local: Side, remote: Side) -> None:
    req = peers.socket(local, "REQ", routing_id=b"asker")
    router = peers.socket(remote, "ROUTER")
    peers.join((remote, router), (local, req), "tcp")
    req.send_multipart([b"a", b"", b"b"])
    assert router.recv_multipart() == [b"asker", b"", b"a", b"", b"b"]
    router.send_multipart([b"asker", b"", b"", b"c"])
    assert req.recv_multipart() == [b"", b"c"]


def test_reply_envelope(peers: Peers, local: Side, remote: Side) -> None:
    """All parts up to the first empty one come back before the reply; a message without an empty part is skipped."""
    rep = peers.socket(local, "REP")
    dealer = peers.socket(remote, "DEALER")
    peers.join((local, rep), (remote, dealer), "tcp")
    dealer.send_multipart([b"no", b"delimiter"])
    dealer.send_multipart([b"e1", b"e2", b"", b"body", b"", b"x"])
    assert rep.recv_multipart() == [b"body", b"", b"x"]
    rep.send_multipart([b"reply", b"", b"end"])
    assert dealer.recv_multipart() == [b"e1", b"e2", b"", b"reply", b"", b"end"]
    dealer.send_multipart([b"", b""])
    assert rep.recv_multipart() == [b""]
    rep.send(b"")
    assert dealer.recv_multipart() == [b"", b""]


def test_states_of_req_and_rep(peers: Peers, local: Side, remote: Side) -> None:
    zmq = local.zmq
    req, rep = peers.socket(local, "REQ"), peers.socket(local, "REP")
    far_rep, far_req = peers.socket(remote, "REP"), peers.socket(remote, "REQ")
    peers.join((remote, far_rep), (local, req), "tcp")
    peers.join((local, rep), (remote, far_req), "tcp")
    with raises_errno(local, zmq.EFSM):
        req.recv()
    with raises_errno(local, zmq.EFSM):
        rep.send(b"x")
    assert req.poll(DEADLINE_MS, zmq.POLLOUT) == zmq.POLLOUT
    req.send(b"question")
    with raises_errno(local, zmq.EFSM):
        req.send(b"another")
    assert not req.poll(0, zmq.POLLIN | zmq.POLLOUT)
    assert far_rep.recv() == b"question"
    far_rep.send_multipart([b"an", b"swer"])
    assert req.poll(DEADLINE_MS) == zmq.POLLIN
    assert req.recv() == b"an"
    with raises_errno(local, zmq.EFSM):
        req.send(b"too early")
    assert req.recv() == b"swer"
    far_req.send_multipart([b"ask", b"ing"])
    assert rep.recv_multipart() == [b"ask", b"ing"]
    with raises_errno(local, zmq.EFSM):
        rep.recv()
    rep.send(b"re", zmq.SNDMORE)
    with raises_errno(local, zmq.EFSM):
        rep.recv()
    rep.send(b"ply")
    assert far_req.recv_multipart() == [b"re", b"ply"]


def test_correlated_requests(peers: Peers, local: Side, remote: Side) -> None:
    """[id, "", body]; the id counts up in host byte order; replies with another id are skipped."""
    req = peers.socket(local, "REQ", req_correlate=1, routing_id=b"asker")
    router = peers.socket(remote, "ROUTER")
    peers.join((remote, router), (local, req), "tcp")
    numbers = []
    for body in (b"1", b"2"):
        req.send(body)
        asker, number, *rest = router.recv_multipart()
        assert [asker, *rest] == [b"asker", b"", body]
        router.send_multipart([b"asker", struct.pack("=I", int.from_bytes(number, sys.byteorder) ^ 1), b"", b"wrong"])
        router.send_multipart([b"asker", number, b"", b"right " + body])
        assert req.recv() == b"right " + body
        numbers.append(int.from_bytes(number, sys.byteorder))
        assert len(number) == 4
    assert numbers[1] == (numbers[0] + 1) % 2**32


@BOTH_WAYS
def test_relaxed_and_correlated_requests(peers: Peers, local: Side, remote: Side, owner: str) -> None:
    """A newer request abandons the older one, whose late reply is skipped."""
    asking, answering = sides(local, remote, owner)
    req = peers.socket(asking, "REQ", req_relaxed=1, req_correlate=1)
    rep = peers.socket(answering, "REP")
    peers.join((answering, rep), (asking, req), "tcp")
    req.send(b"first")
    assert rep.recv() == b"first"
    req.send(b"second")
    rep.send(b"late")
    assert rep.recv() == b"second"
    rep.send(b"in time")
    assert req.recv() == b"in time"


@BOTH_WAYS
def test_correlated_requests_through_rep(peers: Peers, local: Side, remote: Side, owner: str) -> None:
    asking, answering = sides(local, remote, owner)
    req = peers.socket(asking, "REQ", req_correlate=1)
    rep = peers.socket(answering, "REP")
    peers.join((answering, rep), (asking, req), "tcp")
    for number in range(5):
        req.send_multipart([b"%d" % number, b""])
        assert rep.recv_multipart() == [b"%d" % number, b""]
        rep.send_multipart([b"", b"%d" % number])
        assert req.recv_multipart() == [b"", b"%d" % number]


def test_replies_of_other_peers_are_skipped(peers: Peers, local: Side, remote: Side) -> None:
    """Only the peer that was asked may answer."""
    routers = [peers.socket(remote, "ROUTER", router_mandatory=1) for _ in range(2)]
    req = peers.socket(local, "REQ", routing_id=b"asker")
    for router in routers:
        req.connect(peers.bind(remote, router, "tcp"))
    req.send(b"question")
    assert routers[0].recv_multipart() == [b"asker", b"", b"question"]
    wait_until(lambda: is_sent(routers[1], remote, [b"asker", b"", b"forged"]), what="a route to the asker")
    assert not req.poll(QUIET_MS) or not receive_now(req, local)
    routers[0].send_multipart([b"asker", b"", b"answer"])
    assert req.recv() == b"answer"


def is_sent(router: Any, side: Side, message: list[bytes]) -> bool:
    try:
        router.send_multipart(message)
    except side.zmq.ZMQError:
        return False
    return True


def receive_now(sock: Any, side: Side) -> list[bytes]:
    try:
        parts: list[bytes] = sock.recv_multipart(side.zmq.DONTWAIT)
    except side.zmq.Again:
        return []
    return parts


# Publish and subscribe -------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_subscriptions_are_counted_prefixes(peers: Peers, local: Side, remote: Side, owner: str) -> None:
    """Two subscribes need two unsubscribes; overlapping prefixes deliver once; the first part alone is matched."""
    subscribing, publishing = sides(local, remote, owner)
    zmq = subscribing.zmq
    sub = peers.socket(subscribing, "SUB")
    xpub = peers.socket(publishing, "XPUB")
    peers.join((publishing, xpub), (subscribing, sub), "tcp")
    for topic in (b"a", b"ab", b"a"):
        sub.setsockopt(zmq.SUBSCRIBE, topic)
    await_event(xpub, sub, subscribing)
    assert receive(xpub, 2) == [[b"\x01a"], [b"\x01ab"]]
    xpub.send_multipart([b"b", b"abc"])
    xpub.send_multipart([b"abc", b"once"])
    xpub.send_multipart([b"a", b"last"])
    assert receive(sub, 2) == [[b"abc", b"once"], [b"a", b"last"]]
    sub.setsockopt(zmq.UNSUBSCRIBE, b"a")
    sub.setsockopt(zmq.UNSUBSCRIBE, b"unknown")
    assert not xpub.poll(50)
    xpub.send(b"a2")
    assert sub.recv() == b"a2"
    sub.setsockopt(zmq.UNSUBSCRIBE, b"a")
    assert xpub.recv() == b"\x00a"
    xpub.send(b"ac")
    xpub.send(b"abd")
    assert sub.recv() == b"abd"
    sub.setsockopt(zmq.UNSUBSCRIBE, b"a")
    sub.setsockopt(zmq.UNSUBSCRIBE, b"ab")
    assert xpub.recv() == b"\x00ab"
    assert not xpub.poll(50)


@BOTH_WAYS
def test_odd_topics(peers: Peers, local: Side, remote: Side, owner: str) -> None:
    """Empty, binary, and long ones: the command form that carries a topic changes at 245 and 256 bytes."""
    subscribing, publishing = sides(local, remote, owner)
    topics = [b"", b"\0", b"\x01", b"\xff" * 244, b"k" * 245, b"l" * 246, b"m" * 255, b"n" * 256, b"o" * 5000]
    sub = peers.socket(subscribing, "SUB")
    xpub = peers.socket(publishing, "XPUB")
    peers.join((publishing, xpub), (subscribing, sub), "tcp")
    for topic in topics:
        sub.setsockopt(subscribing.zmq.SUBSCRIBE, topic)
    await_event(xpub, sub, subscribing)
    assert sorted(receive(xpub, len(topics))) == sorted([b"\x01" + topic] for topic in topics)
    sub.setsockopt(subscribing.zmq.UNSUBSCRIBE, b"")
    assert xpub.recv() == b"\x00"
    for topic in topics[1:]:
        xpub.send(b"unwanted")
        xpub.send_multipart([topic + b" and more", b"body"])
        assert sub.recv_multipart() == [topic + b" and more", b"body"]
    for topic in topics[1:]:
        sub.setsockopt(subscribing.zmq.UNSUBSCRIBE, topic)
        assert xpub.recv() == b"\x00" + topic


def test_many_topics_reach_the_publisher(peers: Peers, local: Side, remote: Side) -> None:
    """libzmq counts subscriptions against the SNDHWM of the SUB and drops the surplus; zmqcore drops none."""
    skip_libzmq_quirk(local)
    count = 3000
    sub = peers.socket(local, "SUB", sndhwm=3)
    xpub = peers.socket(remote, "XPUB", rcvhwm=0)
    for number in range(count):
        sub.setsockopt(local.zmq.SUBSCRIBE, b"%04d" % number)
    peers.join((remote, xpub), (local, sub), "tcp")
    assert receive(xpub, count) == [[b"\x01%04d" % number] for number in range(count)]


def test_xpub_reports_first_and_last(peers: Peers, local: Side, remote: Side) -> None:
    xpub = peers.socket(local, "XPUB")
    endpoint = peers.bind(local, xpub, "tcp")
    subs = [peers.socket(remote, "SUB", subscribe=b"t") for _ in range(2)]
    subs[0].connect(endpoint)
    await_event(xpub, subs[0], remote)
    assert xpub.recv() == b"\x01t"
    subs[1].connect(endpoint)
    join_publisher(xpub, [subs[1]], b"t")
    assert not xpub.poll(20)
    subs[0].close(0)
    wait_until(lambda: tcp_connections(endpoint) == 1, what="the end of the first subscriber")
    assert not xpub.poll(50)
    subs[1].close(0)
    assert xpub.recv() == b"\x00t"
    assert not xpub.poll(20)


def test_xpub_verbose(peers: Peers, local: Side, remote: Side) -> None:
    """Every subscribe, duplicates of one peer too; only the last unsubscribe."""
    xpub = peers.socket(local, "XPUB", xpub_verbose=1)
    endpoint = peers.bind(local, xpub, "tcp")
    subs = [peers.socket(remote, "SUB", subscribe=b"t") for _ in range(2)]
    for sub in subs:
        sub.connect(endpoint)
        await_event(xpub, sub, remote)
        assert xpub.recv() == b"\x01t"
    subs[0].setsockopt(remote.zmq.SUBSCRIBE, b"t")
    assert xpub.recv() == b"\x01t"
    subs[0].close(0)
    assert not xpub.poll(50)
    subs[1].close(0)
    assert xpub.recv() == b"\x00t"


def test_xpub_verboser(peers: Peers, local: Side, remote: Side) -> None:
    xpub = peers.socket(local, "XPUB", xpub_verboser=1)
    endpoint = peers.bind(local, xpub, "tcp")
    subs = [peers.socket(remote, "SUB", subscribe=b"t") for _ in range(2)]
    for sub in subs:
        sub.connect(endpoint)
        await_event(xpub, sub, remote)
        assert xpub.recv() == b"\x01t"
    for sub in subs:
        sub.setsockopt(remote.zmq.UNSUBSCRIBE, b"t")
        assert xpub.recv() == b"\x00t"
    assert not xpub.poll(20)


def test_xpub_manual(peers: Peers, local: Side, remote: Side) -> None:
    """The user decides what the peer of the last notification gets; the SUB filters with its own topics still."""
    xpub = peers.socket(local, "XPUB", xpub_manual=1)
    endpoint = peers.bind(local, xpub, "tcp")
    moved, refused = peers.socket(remote, "XSUB"), peers.socket(remote, "XSUB")
    for sock, topic in ((moved, b"asked"), (refused, b"secret")):
        sock.connect(endpoint)
        sock.send(b"\x01" + topic)
        await_event(xpub, sock, remote)
        assert xpub.recv() == b"\x01" + topic
        if sock is moved:
            xpub.setsockopt(local.zmq.SUBSCRIBE, b"granted")
    for topic in (b"asked", b"secret", b"granted"):
        xpub.send_multipart([topic, b"body"])
    assert moved.recv_multipart() == [b"granted", b"body"]
    moved.send(b"\x00asked")
    assert xpub.recv() == b"\x00asked"
    xpub.setsockopt(local.zmq.UNSUBSCRIBE, b"granted")
    xpub.send(b"granted")
    assert not moved.poll(QUIET_MS)
    assert not refused.poll(QUIET_MS)


def test_subscribe_on_an_ordinary_xpub_is_refused(peers: Peers, local: Side) -> None:
    xpub = peers.socket(local, "XPUB")
    with raises_errno(local, local.zmq.EINVAL):
        xpub.setsockopt(local.zmq.SUBSCRIBE, b"t")


@BOTH_WAYS
def test_xpub_welcome_message(peers: Peers, local: Side, remote: Side, owner: str) -> None:
    """Goes to each new peer first; a SUB sees it if it matches its topics."""
    publishing, subscribing = sides(local, remote, owner)
    xpub = peers.socket(publishing, "XPUB", xpub_welcome_msg=b"welcome")
    endpoint = peers.bind(publishing, xpub, "tcp")
    everything = peers.socket(subscribing, "SUB", subscribe=b"w")
    nothing = peers.socket(subscribing, "SUB", subscribe=b"x")
    for sub in (everything, nothing):
        sub.connect(endpoint)
        await_event(xpub, sub, subscribing)
        xpub.recv()
    xpub.send(b"w1")
    xpub.send(b"x1")
    assert receive(everything, 2) == [[b"welcome"], [b"w1"]]
    assert receive(nothing, 1) == [[b"x1"]]


def test_xpub_nodrop(peers: Peers, local: Side, remote: Side) -> None:
    """A full subscriber makes the send wait, and nobody misses anything."""
    buffers = {"sndbuf": 16 * 1024, "rcvbuf": 16 * 1024}
    xpub = peers.socket(local, "XPUB", xpub_nodrop=1, sndhwm=5, **buffers)
    endpoint = peers.bind(local, xpub, "tcp")
    subs = [peers.socket(remote, "SUB", subscribe=b"", rcvhwm=hwm, **buffers) for hwm in (5, 0)]
    for sub in subs:
        sub.connect(endpoint)
    join_publisher(xpub, subs)
    count = fill(xpub, local, lambda number: [b"%d" % number, bytes(16 * 1024)])
    assert 5 <= count < 200
    with pytest.raises(local.zmq.Again):
        xpub.send(b"refused", local.zmq.DONTWAIT)
    expected = [b"%d" % number for number in range(count)]
    assert [message[0] for message in receive(subs[0], count)] == expected
    assert [message[0] for message in receive(subs[1], count)] == expected
    xpub.send(b"and on")
    assert receive(subs[0], 1) == receive(subs[1], 1) == [[b"and on"]]


def test_xpub_gets_user_messages(peers: Peers, local: Side, remote: Side) -> None:
    xpub = peers.socket(local, "XPUB")
    xsub = peers.socket(remote, "XSUB")
    peers.join((local, xpub), (remote, xsub), "tcp")
    xsub.send(b"\x01t")
    xsub.send_multipart([b"user", b"", b"data"])
    xsub.send(b"")
    xsub.send(b"\x00t")
    await_event(xpub, xsub, remote)
    assert receive(xpub, 4) == [[b"\x01t"], [b"user", b"", b"data"], [b""], [b"\x00t"]]


def test_xsub_counts_and_forwards(peers: Peers, local: Side, remote: Side) -> None:
    """Subscriptions as messages; an unsubscription for a topic that is not there is not forwarded."""
    xsub = peers.socket(local, "XSUB")
    xpub = peers.socket(remote, "XPUB", xpub_verboser=1)
    peers.join((remote, xpub), (local, xsub), "tcp")
    # What is set before the connection is there would be sent as the set of topics, each once.
    xsub.send(b"\x01first")
    await_event(xpub, xsub, local)
    assert xpub.recv() == b"\x01first"
    for message in (b"\x00none", b"\x01t", b"\x01t", b"\x00t", b"\x00t", b"\x00t", b"user"):
        xsub.send(message)
    assert receive(xpub, 4) == [[b"\x01t"], [b"\x01t"], [b"\x00t"], [b"user"]]


@BOTH_WAYS
def test_invert_matching(peers: Peers, local: Side, remote: Side, owner: str) -> None:
    """With the option on both sides: what matches no subscription is delivered."""
    publishing, subscribing = sides(local, remote, owner)
    xpub = peers.socket(publishing, "XPUB", invert_matching=1)
    sub = peers.socket(subscribing, "SUB", invert_matching=1, subscribe=b"a")
    peers.join((publishing, xpub), (subscribing, sub), "tcp")
    await_event(xpub, sub, subscribing)
    assert xpub.recv() == b"\x01a"
    for topic in (b"a", b"abc", b"b", b"", b"ba"):
        xpub.send(topic)
    assert receive(sub, 3) == [[b"b"], [b""], [b"ba"]]


# Queues and lifetimes --------------------------------------------------------------------------------------------


def test_conflate_on_the_receiver(peers: Peers, local: Side, remote: Side) -> None:
    pull = peers.socket(local, "PULL", conflate=1)
    push = peers.socket(remote, "PUSH")
    peers.join((local, pull), (remote, push), "tcp")
    for number in range(1000):
        push.send(b"%d" % number)
    seen = [int(pull.recv())]
    while seen[-1] != 999:
        seen.append(int(pull.recv()))
    assert seen == sorted(set(seen))
    assert not pull.poll(20)


def test_conflate_on_the_sender(peers: Peers, local: Side, remote: Side) -> None:
    """Without a peer the queue holds the newest message only, and never blocks."""
    endpoint = peers.reserve("tcp")
    push = peers.socket(local, "PUSH", conflate=1, sndhwm=1, **FAST_RECONNECT)
    push.connect(endpoint)
    for number in range(100):
        push.send(b"%d" % number, local.zmq.DONTWAIT)
    pull = peers.socket(remote, "PULL")
    pull.bind(endpoint)
    assert pull.recv() == b"99"
    assert not pull.poll(50)


def test_conflate_on_a_subscriber(peers: Peers, local: Side, remote: Side) -> None:
    sub = peers.socket(local, "SUB", conflate=1, subscribe=b"")
    xpub = peers.socket(remote, "XPUB")
    peers.join((remote, xpub), (local, sub), "tcp")
    await_event(xpub, sub, local)
    assert xpub.recv() == b"\x01"
    for number in range(100):
        xpub.send(b"%d" % number)
    seen = [int(sub.recv())]
    while seen[-1] != 99:
        seen.append(int(sub.recv()))
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("socket_type", ["PUSH", "DEALER"])
def test_immediate_queues_for_live_connections_only(peers: Peers, local: Side, remote: Side, socket_type: str) -> None:
    absent, endpoint = peers.reserve("tcp"), peers.reserve("tcp")
    sender = peers.socket(local, socket_type, immediate=1, **FAST_RECONNECT)
    sender.connect(absent)
    sender.connect(endpoint)
    assert not sender.poll(20, local.zmq.POLLOUT)
    with pytest.raises(local.zmq.Again):
        sender.send(b"refused", local.zmq.DONTWAIT)
    receiver = peers.socket(remote, "PULL" if socket_type == "PUSH" else "DEALER")
    receiver.bind(endpoint)
    for number in range(20):
        sender.send(b"%d" % number)
    assert receive(receiver, 20) == [[b"%d" % number] for number in range(20)]
    receiver.close(0)
    wait_until(lambda: not sender.poll(0, local.zmq.POLLOUT), what="the loss")
    with pytest.raises(local.zmq.Again):
        sender.send(b"refused", local.zmq.DONTWAIT)


def test_linger_delivers_after_close(peers: Peers, local: Side, remote: Side) -> None:
    """close() returns at once; term waits until a peer has come and taken everything."""
    endpoint = peers.reserve("tcp")
    push = peers.socket(local, "PUSH", linger=-1, **FAST_RECONNECT)
    push.connect(endpoint)
    for number in range(100):
        push.send(b"%d" % number)
    peers.forget(local, push)
    push.close()
    term = Task(peers.context(local).term)
    pull = peers.socket(remote, "PULL")
    assert not pull.poll(50)
    assert term.is_running
    pull.bind(endpoint)
    assert receive(pull, 100) == [[b"%d" % number] for number in range(100)]
    term.join()


def test_linger_of_a_live_connection(peers: Peers, local: Side, remote: Side) -> None:
    """Far more than the kernel buffers is still on its way when the socket is closed."""
    pull = peers.socket(remote, "PULL", rcvhwm=1)
    endpoint = peers.bind(remote, pull, "tcp")
    push = peers.socket(local, "PUSH", linger=-1)
    push.connect(endpoint)
    for number in range(200):
        push.send_multipart([b"%d" % number, bytes(100_000)])
    push.close()
    peers.forget(local, push)
    term = Task(peers.context(local).term)
    assert [message[0] for message in receive(pull, 200)] == [b"%d" % number for number in range(200)]
    term.join()


@pytest.mark.parametrize(("linger", "at_least", "at_most"), [(0, 0.0, 2.0), (300, 0.25, 3.0)])
def test_linger_limits_term(peers: Peers, local: Side, linger: int, at_least: float, at_most: float) -> None:
    push = peers.socket(local, "PUSH", linger=linger)
    push.connect(peers.reserve("tcp"))
    push.send(b"to nobody")
    peers.forget(local, push)
    push.close()
    begin = time.monotonic()
    Task(peers.context(local).term).join()
    assert at_least <= time.monotonic() - begin <= at_most


@BOTH_WAYS
def test_message_over_maxmsgsize_ends_the_connection(peers: Peers, local: Side, remote: Side, owner: str) -> None:
    """The frame is not delivered and only its sender is cut off; the exact limit passes."""
    limited, sending = sides(local, remote, owner)
    pull = peers.socket(limited, "PULL", maxmsgsize=1000)
    endpoint = peers.bind(limited, pull, "tcp")
    good, bad = (peers.socket(sending, "PUSH", **FAST_RECONNECT) for _ in range(2))
    good.connect(endpoint)
    good.send(bytes(1000))
    assert len(pull.recv()) == 1000
    bad.connect(endpoint)
    bad.send(b"small")
    assert pull.recv() == b"small"
    bad.send(bytes(1001))
    assert not pull.poll(QUIET_MS)
    good.send_multipart([bytes(600), bytes(600)])
    assert [len(part) for part in pull.recv_multipart()] == [600, 600]

    def comes_back() -> bool:
        bad.send(b"reconnected")
        return bool(pull.poll(50))

    wait_until(comes_back, what="the reconnection")
    assert pull.recv() == b"reconnected"


# Heartbeats ------------------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_heartbeats_keep_a_quiet_connection(peers: Peers, local: Side, remote: Side, owner: str) -> None:
    """Over some ten intervals the peer, which is inside no call, answers every PING: the routing id stays."""
    beating, answering = sides(local, remote, owner)
    router = peers.socket(beating, "ROUTER", heartbeat_ivl=50, heartbeat_timeout=150, heartbeat_ttl=300)
    dealer = peers.socket(answering, "DEALER")
    peers.join((beating, router), (answering, dealer), "tcp")
    dealer.send(b"before")
    routing_id, _ = router.recv_multipart()
    assert not router.poll(500)
    dealer.send(b"after")
    assert router.recv_multipart() == [routing_id, b"after"]
    router.send_multipart([routing_id, b"answer"])
    assert dealer.recv() == b"answer"


def test_heartbeats_on_both_sides(peers: Peers, local: Side, remote: Side) -> None:
    beats = {"heartbeat_ivl": 20, "heartbeat_timeout": 200, "heartbeat_ttl": 500}
    router = peers.socket(local, "ROUTER", **beats)
    dealer = peers.socket(remote, "DEALER", **beats)
    peers.join((local, router), (remote, dealer), "tcp")
    dealer.send(b"0")
    routing_id, _ = router.recv_multipart()
    for number in range(1, 200):
        dealer.send(b"%d" % number)
        assert router.recv_multipart() == [routing_id, b"%d" % number]
    assert not router.poll(400)
    dealer.send(b"last")
    assert router.recv_multipart() == [routing_id, b"last"]


def test_stopped_peer_is_noticed(peers: Peers, local: Side, remote: Side) -> None:
    """A process that is stopped keeps its connections open; only the missing PONG tells. It comes back by itself."""
    router = peers.socket(local, "ROUTER", router_mandatory=1, heartbeat_ivl=50, heartbeat_timeout=150)
    endpoint = peers.bind(local, router, "tcp")
    peer = peers.process("echo", "pyzmq", "DEALER", "connect", endpoint, routing_id="peer", reconnect_ivl=20)
    wait_routable(router, local, b"peer", b"hello")
    assert router.recv_multipart() == [b"peer", b"hello"]
    peer.pause()
    wait_unroutable(router, local, b"peer")
    peer.resume()
    wait_routable(router, local, b"peer", b"again")
    wait_until(lambda: router.recv_multipart() == [b"peer", b"again"], what="the echo")


def test_ttl_of_the_peer_ends_a_silent_connection(peers: Peers, local: Side, remote: Side) -> None:
    """The TTL in the peer's PING counts here without any heartbeat option of our own."""
    router = peers.socket(local, "ROUTER", router_mandatory=1)
    endpoint = peers.bind(local, router, "tcp")
    peer = peers.process(
        "idle", "pyzmq", "DEALER", "connect", endpoint, routing_id="peer", heartbeat_ivl=50, heartbeat_ttl=300
    )
    wait_routable(router, local, b"peer")
    # At least one PING has to be here before the peer falls silent.
    assert not router.poll(200)
    peer.pause()
    wait_unroutable(router, local, b"peer")


# PAIR ------------------------------------------------------------------------------------------------------------


def test_pair_serves_one_peer_at_a_time(peers: Peers, local: Side, remote: Side) -> None:
    pair = peers.socket(local, "PAIR")
    endpoint = peers.bind(local, pair, "tcp")
    first = peers.socket(remote, "PAIR")
    first.connect(endpoint)
    first.send(b"first")
    assert pair.recv() == b"first"
    second = peers.socket(remote, "PAIR", **FAST_RECONNECT)
    second.connect(endpoint)
    second.send(b"second")
    assert not pair.poll(QUIET_MS)
    pair.send(b"to the first")
    assert first.recv() == b"to the first"
    first.close(0)
    second.close(0)
    wait_until(lambda: not receive_waiting(pair, 1) and tcp_connections(endpoint) == 0, what="the end of both")
    third = peers.socket(remote, "PAIR")
    third.connect(endpoint)
    third.send(b"third")
    assert pair.recv() == b"third"
