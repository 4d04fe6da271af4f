"""What each socket type puts on the wire and takes from it (RFC 28, 29, 30, 31)."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.raw_peer import RawListener, RawPeer, Rig, frame, message, ready, subscribe, wait_until


def ready_peer(rig: Rig, socket_type: str, other: str, **options: Any) -> tuple[Any, RawPeer]:
    """A bound socket and a raw peer of type `other` whose handshake is done."""
    sock, peer = rig.accepting(socket_type, **options)
    peer.handshake(other)
    return sock, peer


def asked(rig: Rig, request: bytes = b"hello", **options: Any) -> tuple[Any, RawPeer, RawListener]:
    """A REQ that has sent its request to a raw REP, which has read nothing of it yet."""
    req, listener = rig.connecting("REQ", **options)
    req.send(request)
    peer = listener.accept()
    peer.handshake("REP")
    return req, peer, listener


# --- REQ -----------------------------------------------------------------------------------------------------------


def test_req_puts_a_delimiter_in_front(rig: Rig) -> None:
    """REQ SHALL prefix the outgoing message with an empty delimiter frame (RFC 28)."""
    req, peer, _ = asked(rig)
    peer.expect_hex("01 00 00 05 68 65 6c 6c 6f")
    peer.send(message(b"", b"world"))
    assert req.recv_multipart() == [b"world"]
    req.send_multipart([b"a", b"bb"])
    peer.expect_hex("01 00 01 01 61 00 02 62 62")


@pytest.mark.parametrize("body", [[b""], [b"", b""], [b"a", b"", b"c"], [b"x" * 300] * 3])
def test_req_reply_bodies(rig: Rig, body: list[bytes]) -> None:
    """The reply is what follows the delimiter, empty parts included."""
    req, peer, _ = asked(rig)
    assert peer.read_message() == [b"", b"hello"]
    peer.send(message(b"", *body))
    assert req.recv_multipart() == body


def test_req_correlate_ids(rig: Rig) -> None:
    """REQ_CORRELATE: 4-byte id, delimiter, body; the id is a 32-bit counter in host byte order, +1 a request."""
    req, peer, _ = asked(rig, REQ_CORRELATE=1)
    ids = []
    for i in range(3):
        got = peer.read_message()
        assert got[1:] == [b"", b"hello"]
        ids.append(struct.unpack("=I", got[0])[0])
        peer.send(message(got[0], b"", b"%d" % i))
        assert req.recv() == b"%d" % i
        req.send(b"hello")
    assert [(later - ids[0]) & 0xFFFFFFFF for later in ids] == [0, 1, 2]


def test_req_correlate_skips_other_ids(rig: Rig) -> None:
    """Replies with another id are skipped."""
    req, peer, _ = asked(rig, REQ_CORRELATE=1)
    request_id = peer.read_message()[0]
    wrong = struct.pack("=I", struct.unpack("=I", request_id)[0] ^ 1)
    peer.send(message(wrong, b"", b"wrong") + message(request_id, b"", b"right"))
    assert req.recv_multipart() == [b"right"]


def test_req_takes_an_id_it_did_not_ask_for(rig: Rig) -> None:
    """First part 4 bytes, then 0 bytes: accepted even without REQ_CORRELATE, as far as the format goes."""
    req, peer, _ = asked(rig, RCVTIMEO=100)
    peer.read_message()
    peer.send(message(b"abcd", b"", b"x") + message(b"", b"y"))
    peer.barrier()
    assert req.recv_multipart() in ([b"x"], [b"y"], [b"", b"x"])


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(message(b"world"), id="no delimiter"),
        pytest.param(message(b""), id="only a delimiter"),
        pytest.param(message(b"x", b"world"), id="first part not empty"),
        pytest.param(message(b"abcde", b"", b"world"), id="id of 5 bytes"),
        pytest.param(message(b"abc", b"", b"world"), id="id of 3 bytes"),
        pytest.param(message(b"abcd", b"x", b"world"), id="no delimiter behind the id"),
        pytest.param(message(b"abcd"), id="only an id"),
        pytest.param(message(b"abcd", b""), id="nothing behind the delimiter"),
    ],
)
def test_req_malformed_reply(rig: Rig, reply: bytes) -> None:
    """A reply without delimiter is a protocol error: the connection is closed and never retried."""
    req, peer, listener = asked(rig)
    assert peer.read_message() == [b"", b"hello"]
    peer.send(reply)
    wait_until(lambda: req.poll(0) == 0 and peer.is_closed(), "the connection closed")
    peer.expect_close()
    listener.expect_no_connection()
    rig.expect_nothing(req)


def test_req_malformed_reply_in_the_background(rig: Rig) -> None:
    """The format is checked per connection, also while the application does not look at its REQ."""
    _, peer, listener = asked(rig)
    assert peer.read_message() == [b"", b"hello"]
    peer.send(message(b"world"))
    peer.expect_close()
    listener.expect_no_connection()


def test_req_never_resends(rig: Rig) -> None:
    """The peer of the request goes away: nothing is resent."""
    req, peer, listener = asked(rig)
    assert peer.read_message() == [b"", b"hello"]
    peer.close()
    second = listener.accept()
    second.handshake("REP")
    second.barrier()
    with pytest.raises(rig.zmq.ZMQError) as caught:
        req.send(b"again", rig.zmq.DONTWAIT)
    assert caught.value.errno == rig.zmq.EFSM


def test_req_drops_what_nobody_asked_for(rig: Rig) -> None:
    """At the start of a request everything already queued is thrown away (stale replies)."""
    req, peer, _ = asked(rig)
    assert peer.read_message() == [b"", b"hello"]
    peer.send(message(b"", b"one") + message(b"", b"stale"))
    assert req.recv() == b"one"
    peer.barrier()
    req.send(b"second")
    assert peer.read_message() == [b"", b"second"]
    peer.send(message(b"", b"two"))
    assert req.recv() == b"two"


def test_req_hears_only_the_one_it_asked(rig: Rig) -> None:
    """Replies from other pipes are dropped."""
    req, peer, _ = asked(rig)
    other_listener = rig.listen()
    req.connect(other_listener.endpoint)
    other = other_listener.accept()
    other.handshake("REP")
    assert peer.read_message() == [b"", b"hello"]
    other.send(message(b"", b"uninvited"))
    other.barrier()
    peer.send(message(b"", b"reply"))
    assert req.recv_multipart() == [b"reply"]


# --- REP -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_parts", "body", "envelope"),
    [
        ([b"", b"q"], [b"q"], [b""]),
        ([b"e1", b"", b"q"], [b"q"], [b"e1", b""]),
        ([b"e1", b"e2", b"", b"body", b"", b"x"], [b"body", b"", b"x"], [b"e1", b"e2", b""]),
        ([b"", b""], [b""], [b""]),
        ([b"abcd", b"", b"q"], [b"q"], [b"abcd", b""]),
        ([b"i" * 255, b"j" * 1000, b"", b"q" * 70000], [b"q" * 70000], [b"i" * 255, b"j" * 1000, b""]),
    ],
)
def test_rep_keeps_the_envelope(rig: Rig, request_parts: list[bytes], body: list[bytes], envelope: list[bytes]) -> None:
    """REP SHALL remove and store the address envelope, up to and including the first empty part (RFC 28)."""
    rep, peer = ready_peer(rig, "REP", "DEALER")
    peer.send(message(*request_parts))
    assert rep.recv_multipart() == body
    rep.send_multipart([b"r1", b"r2"])
    assert peer.read_message() == [*envelope, b"r1", b"r2"]


@pytest.mark.parametrize("request_parts", [[b"q"], [b""], [b"a", b"b"], [b"a", b"b", b""], [b"x" * 300]])
def test_rep_drops_requests_without_delimiter(rig: Rig, request_parts: list[bytes]) -> None:
    """A message without an empty part followed by more is dropped; the connection lives on."""
    rep, peer = ready_peer(rig, "REP", "DEALER")
    peer.send(message(*request_parts) + message(b"", b"good"))
    assert rep.recv_multipart() == [b"good"]
    rep.send(b"reply")
    assert peer.read_message() == [b"", b"reply"]


def test_rep_answers_the_one_that_asked(rig: Rig) -> None:
    """The reply goes back to the asker, requests are taken in turns."""
    rep, endpoint = rig.bind("REP")
    peers = [rig.peer(endpoint) for _ in range(3)]
    for i, peer in enumerate(peers):
        peer.handshake("REQ")
        peer.send(message(b"", b"%d" % i))
        peer.barrier()
    for _ in peers:
        got = rep.recv()
        rep.send(b"re" + got)
        assert peers[int(got)].read_message() == [b"", b"re" + got]


def test_rep_drops_the_reply_when_the_asker_is_gone(rig: Rig) -> None:
    """Asker gone: send succeeds, the reply is dropped, the state moves on."""
    rep, endpoint = rig.bind("REP")
    gone, other = rig.peer(endpoint), rig.peer(endpoint)
    gone.handshake("REQ")
    other.handshake("REQ")
    gone.send(message(b"", b"q"))
    assert rep.recv() == b"q"
    gone.close()
    other.send(message(b"", b"next"))
    other.barrier()
    rep.send(b"lost")
    assert rep.recv() == b"next"
    rep.send(b"reply")
    assert other.read_message() == [b"", b"reply"]


# --- DEALER and ROUTER ---------------------------------------------------------------------------------------------


def test_dealer_adds_nothing(rig: Rig) -> None:
    """DEALER has no framing of its own."""
    dealer, peer = ready_peer(rig, "DEALER", "ROUTER")
    dealer.send_multipart([b"", b"x"])
    peer.expect_hex("01 00 00 01 78")
    peer.send(message(b"a", b"", b"b"))
    assert dealer.recv_multipart() == [b"a", b"", b"b"]


def test_dealer_takes_turns(rig: Rig) -> None:
    """Round robin over writable pipes, one whole message a turn."""
    dealer, endpoint = rig.bind("DEALER")
    peers = [rig.peer(endpoint) for _ in range(3)]
    for peer in peers:
        peer.handshake("REP")
        rig.settle(dealer, peer)
    for i in range(6):
        dealer.send_multipart([b"%d" % i, b"more"])
    got = [[peer.read_message() for _ in range(2)] for peer in peers]
    assert sorted(int(first[0]) % 3 for first, _ in got) == [0, 1, 2]
    assert all(int(second[0]) - int(first[0]) == 3 for first, second in got)


def test_router_names_its_peers(rig: Rig) -> None:
    """ROUTER SHALL prefix each incoming message with the identity of the peer, and take it off again (RFC 28)."""
    router, peer = rig.accepting("ROUTER")
    peer.handshake("DEALER", b"me")
    peer.send(message(b"", b"q"))
    assert router.recv_multipart() == [b"me", b"", b"q"]
    router.send_multipart([b"me", b"", b"xxx"])
    peer.expect_hex("01 00 00 03 78 78 78")


def test_router_makes_ids(rig: Rig) -> None:
    """An empty Identity becomes 5 bytes: 00 and a 32-bit big-endian counter, +1 a peer."""
    router, endpoint = rig.bind("ROUTER")
    numbers = []
    for _ in range(3):
        peer = rig.peer(endpoint)
        peer.handshake("DEALER")
        peer.send(frame(b"hello"))
        got, body = router.recv_multipart()
        assert (len(got), got[:1], body) == (5, b"\0", b"hello")
        numbers.append(struct.unpack(">I", got[1:])[0])
        router.send_multipart([got, b"back"])
        assert peer.read_message() == [b"back"]
    assert [(number - numbers[0]) & 0xFFFFFFFF for number in numbers] == [0, 1, 2]


def test_router_drops_for_unknown_ids(rig: Rig) -> None:
    """Unknown id: the message is dropped, with success; the next one is clean."""
    router, peer = rig.accepting("ROUTER")
    peer.handshake("DEALER", b"me")
    peer.send(frame(b"hello"))
    assert router.recv_multipart() == [b"me", b"hello"]
    router.send_multipart([b"you", b"a", b"b"])
    router.send(b"me")
    router.send_multipart([b"me", b"c"])
    assert peer.read_message() == [b"c"]


def test_router_mandatory(rig: Rig) -> None:
    """ROUTER_MANDATORY: EHOSTUNREACH at the first part; the next message starts clean."""
    router, peer = rig.accepting("ROUTER", ROUTER_MANDATORY=1)
    peer.handshake("DEALER", b"me")
    peer.send(frame(b"hello"))
    assert router.recv_multipart() == [b"me", b"hello"]
    with pytest.raises(rig.zmq.ZMQError) as caught:
        router.send_multipart([b"you", b"a"])
    assert caught.value.errno == rig.zmq.EHOSTUNREACH
    router.send_multipart([b"me", b"c"])
    assert peer.read_message() == [b"c"]


@pytest.mark.unlike_libzmq
def test_router_duplicate_id(rig: Rig) -> None:
    """A second peer of a known id is closed, or is heard once the first has gone (libzmq ignores it for ever)."""
    router, endpoint = rig.bind("ROUTER")
    first, second = rig.peer(endpoint), rig.peer(endpoint)
    first.handshake("DEALER", b"me")
    first.send(frame(b"first"))
    assert router.recv_multipart() == [b"me", b"first"]
    second.greet()
    second.send(ready("DEALER", b"me"))
    second.try_send(frame(b"second"))
    first.send(frame(b"still"))
    assert router.recv_multipart() == [b"me", b"still"]
    first.close()
    wait_until(lambda: second.is_closed() or router.poll(0), "the second closed or heard")
    if not second.is_closed():
        assert router.recv_multipart() == [b"me", b"second"]


def test_router_handover(rig: Rig) -> None:
    """ROUTER_HANDOVER: the newcomer takes the id."""
    router, endpoint = rig.bind("ROUTER", ROUTER_HANDOVER=1)
    first, second = rig.peer(endpoint), rig.peer(endpoint)
    for peer in (first, second):
        peer.handshake("DEALER", b"me")
        peer.send(frame(b"hello"))
        assert router.recv_multipart() == [b"me", b"hello"]
    router.send_multipart([b"me", b"for the newcomer"])
    assert second.read_message() == [b"for the newcomer"]


@pytest.mark.unlike_libzmq
def test_router_handover_closes_the_old_connection(rig: Rig) -> None:
    """The old connection is closed (libzmq leaves it open and hears nothing from it)."""
    router, endpoint = rig.bind("ROUTER", ROUTER_HANDOVER=1)
    first, second = rig.peer(endpoint), rig.peer(endpoint)
    for peer in (first, second):
        peer.handshake("DEALER", b"me")
        peer.send(frame(b"hello"))
        assert router.recv_multipart() == [b"me", b"hello"]
    first.expect_close()


@pytest.mark.parametrize("socket_type", ["REQ", "DEALER", "ROUTER"])
def test_probe_router(rig: Rig, socket_type: str) -> None:
    """PROBE_ROUTER: one empty message is sent on every new connection."""
    sock, endpoint = rig.bind(socket_type, PROBE_ROUTER=1)
    for peer in (rig.peer(endpoint), rig.peer(endpoint)):
        peer.handshake("ROUTER")
        while not peer.has_bytes(2):
            sock.poll(1, rig.zmq.POLLIN)  # libzmq attaches new peers only inside of a call
        peer.expect_hex("00 00")
        rig.settle(sock, peer)


def test_probe_router_when_connecting(rig: Rig) -> None:
    """The probe is the first message of a connecting side too."""
    dealer, listener = rig.connecting("DEALER", PROBE_ROUTER=1)
    dealer.send(b"hello")
    peer = listener.accept()
    peer.handshake("ROUTER")
    assert [peer.read_message() for _ in range(2)] == [[b""], [b"hello"]]


def test_connect_routing_id(rig: Rig) -> None:
    """CONNECT_ROUTING_ID names the next outgoing connection: send to it at once."""
    listener = rig.listen()
    router = rig.socket("ROUTER", CONNECT_ROUTING_ID=b"you")
    router.connect(listener.endpoint)
    router.send_multipart([b"you", b"hello"])
    peer = listener.accept()
    peer.handshake("DEALER", b"another name")
    assert peer.read_message() == [b"hello"]
    peer.send(frame(b"back"))
    assert router.recv_multipart() == [b"you", b"back"]


# --- PUB, SUB, XPUB, XSUB ------------------------------------------------------------------------------------------


def test_pub_sends_what_was_asked_for(rig: Rig) -> None:
    """Only the first part is matched, as a byte prefix."""
    pub, peer = ready_peer(rig, "PUB", "SUB")
    peer.send(subscribe(b"A"))
    rig.settle(pub, peer)
    for parts in ([b"B", b"A"], [b""], [b"a"], [b"A", b"1"], [b"AB"], [b"A"]):
        pub.send_multipart(parts)
    assert [peer.read_message() for _ in range(3)] == [[b"A", b"1"], [b"AB"], [b"A"]]


def test_pub_drops_user_messages(rig: Rig) -> None:
    """Other messages than subscriptions are dropped by PUB."""
    pub, peer = ready_peer(rig, "PUB", "SUB")
    peer.send(message(b"hello", b"world") + frame(b"") + subscribe(b"A"))
    rig.settle(pub, peer)
    pub.send(b"A1")
    assert peer.read_message() == [b"A1"]


def test_xpub_hands_on_user_messages(rig: Rig) -> None:
    """Other messages go to the XPUB user, the empty one too, in arrival order."""
    xpub, peer = ready_peer(rig, "XPUB", "XSUB")
    peer.send(message(b"hello", b"world") + subscribe(b"A") + frame(b"") + frame(b"\x02x"))
    assert [xpub.recv_multipart() for _ in range(4)] == [[b"hello", b"world"], [b"\x01A"], [b""], [b"\x02x"]]


def test_xpub_welcome_message(rig: Rig) -> None:
    """XPUB_WELCOME_MSG goes to every new connection first, whatever it subscribed to."""
    xpub, endpoint = rig.bind("XPUB", XPUB_WELCOME_MSG=b"W")
    for _ in range(2):
        peer = rig.peer(endpoint)
        peer.handshake("SUB")
        peer.send(subscribe(b"A"))
        assert xpub.recv() == b"\x01A"
        xpub.send(b"A1")
        assert [peer.read_message() for _ in range(2)] == [[b"W"], [b"A1"]]
        peer.send(b"\x04\x08\x06CANCELA")
        assert xpub.recv() == b"\x00A"
        peer.close()


def test_sub_filters_again(rig: Rig) -> None:
    """SUB filters on receipt too."""
    sub, listener = rig.connecting("SUB", SUBSCRIBE=b"A")
    peer = listener.accept()
    peer.handshake("PUB")
    peer.expect(subscribe(b"A"))
    peer.send(message(b"B", b"A") + frame(b"") + message(b"A", b"1") + frame(b"b") + frame(b"AB"))
    assert [sub.recv_multipart() for _ in range(2)] == [[b"A", b"1"], [b"AB"]]
    peer.barrier()
    rig.expect_nothing(sub)


def test_xsub_does_not_filter(rig: Rig) -> None:
    """XSUB hands on everything."""
    xsub, listener = rig.connecting("XSUB")
    peer = listener.accept()
    peer.handshake("PUB")
    peer.send(message(b"B", b"A") + frame(b""))
    assert [xsub.recv_multipart() for _ in range(2)] == [[b"B", b"A"], [b""]]


def test_xsub_sends_user_messages_to_all(rig: Rig) -> None:
    """XSUB sends to all pipes; what does not begin with 01 or 00 is an ordinary message."""
    xsub, endpoint = rig.bind("XSUB")
    peers = [rig.peer(endpoint) for _ in range(3)]
    for peer in peers:
        peer.handshake("XPUB")
        rig.settle(xsub, peer)
    xsub.send_multipart([b"up", b"stream"])
    for peer in peers:
        assert peer.read_message() == [b"up", b"stream"]


# --- PUSH, PULL, PAIR ----------------------------------------------------------------------------------------------


def test_push_takes_turns(rig: Rig) -> None:
    """PUSH: round robin, all parts of a message to one pipe."""
    push, endpoint = rig.bind("PUSH")
    peers = [rig.peer(endpoint) for _ in range(2)]
    for peer in peers:
        peer.handshake("PULL")
        rig.settle(push, peer)
    for i in range(4):
        push.send_multipart([b"%d" % i, b"tail"])
    got = sorted([peer.read_message()[0] for _ in range(2)] for peer in peers)
    assert got == [[b"0", b"2"], [b"1", b"3"]]


def test_pull_takes_turns(rig: Rig) -> None:
    """Fair queue: round robin over pipes with data, one whole message a turn."""
    pull, endpoint = rig.bind("PULL")
    peers = [rig.peer(endpoint) for _ in range(3)]
    for peer in peers:
        peer.handshake("PUSH")
        peer.barrier()
    for i, peer in enumerate(peers):
        peer.send(b"".join(message(b"%d" % i, b"%d" % j) for j in range(3)))
        peer.barrier()
    got = [tuple(map(int, pull.recv_multipart())) for _ in range(9)]
    assert [j for _, j in got] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [i for i, _ in got] == [i for i, _ in got[:3]] * 3


def test_push_ignores_what_a_pull_sends(rig: Rig) -> None:
    """A PUSH has nothing to receive; a peer that sends all the same disturbs nothing."""
    push, peer = ready_peer(rig, "PUSH", "PULL")
    peer.send(message(b"what", b"ever"))
    push.send(b"hello")
    assert peer.read_message() == [b"hello"]


def test_pair_adds_nothing(rig: Rig) -> None:
    """PAIR has no framing of its own."""
    pair, peer = ready_peer(rig, "PAIR", "PAIR")
    peer.send(message(b"", b"a"))
    assert pair.recv_multipart() == [b"", b"a"]
    pair.send_multipart([b"b", b""])
    peer.expect_hex("01 01 62 00 00")


def test_pair_takes_a_new_peer_after_the_first(rig: Rig) -> None:
    """A PAIR has one peer; a new one is accepted after the first has gone."""
    pair, endpoint = rig.bind("PAIR")
    for body in (b"first", b"second"):
        with rig.peer(endpoint) as peer:
            peer.handshake("PAIR")
            peer.send(frame(body))
            assert pair.recv() == body
            pair.send(b"re " + body)
            assert peer.read_message() == [b"re " + body]
        wait_until(lambda: not pair.getsockopt(rig.zmq.EVENTS) & rig.zmq.POLLOUT, "PAIR without a peer")


@pytest.mark.unlike_libzmq
def test_pair_closes_a_second_connection(rig: Rig) -> None:
    """A surplus peer is closed (libzmq completes its handshake and ignores it for ever)."""
    pair, endpoint = rig.bind("PAIR")
    first, second = rig.peer(endpoint), rig.peer(endpoint)
    first.handshake("PAIR")
    first.send(frame(b"hello"))
    assert pair.recv() == b"hello"
    second.greet()
    second.send(ready("PAIR"))
    second.read_to_close()
    pair.send(b"back")
    assert first.read_message() == [b"back"]
