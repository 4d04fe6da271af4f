"""Subscriptions on the wire (RFC 37, "SUBSCRIBE, CANCEL"; RFC 23 and 29 for the message form)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.raw_peer import RawPeer, Rig, cancel, frame, message, subscribe, wait_until


def sub_of(rig: Rig, *topics: bytes, minor: int = 1, **options: Any) -> tuple[Any, RawPeer]:
    """A SUB with topics and the raw PUB it has connected to; nothing of the topics is read yet."""
    sub, listener = rig.connecting("SUB", SUBSCRIBE=list(topics), **options)
    peer = listener.accept()
    peer.handshake("PUB", minor=minor)
    return sub, peer


def publisher(rig: Rig, socket_type: str = "XPUB", **options: Any) -> tuple[Any, RawPeer]:
    sock, peer = rig.accepting(socket_type, **options)
    peer.handshake("SUB")
    return sock, peer


# --- as sent -------------------------------------------------------------------------------------------------------


def test_commands_to_3_1_peers(rig: Rig) -> None:
    """To 3.1 peers a SUBSCRIBE or CANCEL command."""
    sub, peer = sub_of(rig)
    zmq = rig.zmq
    sub.setsockopt(zmq.SUBSCRIBE, b"")
    peer.expect_hex("04 0a 09 53 55 42 53 43 52 49 42 45")
    sub.setsockopt(zmq.SUBSCRIBE, b"A")
    peer.expect_hex("04 0b 09 53 55 42 53 43 52 49 42 45 41")
    sub.setsockopt(zmq.SUBSCRIBE, b"late")
    peer.expect_hex("04 0e 09 53 55 42 53 43 52 49 42 45 6c 61 74 65")
    sub.setsockopt(zmq.UNSUBSCRIBE, b"A")
    peer.expect_hex("04 08 06 43 41 4e 43 45 4c 41")
    sub.setsockopt(zmq.UNSUBSCRIBE, b"")
    peer.expect_hex("04 07 06 43 41 4e 43 45 4c")


def test_messages_to_3_0_peers(rig: Rig) -> None:
    """To 3.0 peers a message that begins with 01 or 00."""
    sub, peer = sub_of(rig, minor=0)
    zmq = rig.zmq
    sub.setsockopt(zmq.SUBSCRIBE, b"")
    peer.expect_hex("00 01 01")
    sub.setsockopt(zmq.SUBSCRIBE, b"A")
    peer.expect_hex("00 02 01 41")
    sub.setsockopt(zmq.SUBSCRIBE, b"late")
    peer.expect_hex("00 05 01 6c 61 74 65")
    sub.setsockopt(zmq.UNSUBSCRIBE, b"A")
    peer.expect_hex("00 02 00 41")
    sub.setsockopt(zmq.UNSUBSCRIBE, b"")
    peer.expect_hex("00 01 00")


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (244, "04 fe"),
        (245, "04 ff"),
        (246, "06 00 00 00 00 00 00 01 00"),
        (254, "06 00 00 00 00 00 00 01 08"),
        (255, "06 00 00 00 00 00 00 01 09"),
        (256, "06 00 00 00 00 00 00 01 0a"),
        (70000, "06 00 00 00 00 00 01 11 7a"),
    ],
)
def test_long_topics_to_3_1_peers(rig: Rig, size: int, head: str) -> None:
    """A topic of 246 bytes is the first that makes SUBSCRIBE a LONG frame."""
    _, peer = sub_of(rig, b"t" * size)
    peer.expect(bytes.fromhex(head) + b"\x09SUBSCRIBE" + b"t" * size)


@pytest.mark.parametrize(("size", "head"), [(248, "04 ff"), (249, "06 00 00 00 00 00 00 01 00")])
def test_long_topics_in_cancel(rig: Rig, size: int, head: str) -> None:
    """CANCEL has the shorter name, and room for 3 bytes more."""
    sub, peer = sub_of(rig, b"t" * size)
    peer.expect(subscribe(b"t" * size))
    sub.setsockopt(rig.zmq.UNSUBSCRIBE, b"t" * size)
    peer.expect(bytes.fromhex(head) + b"\x06CANCEL" + b"t" * size)


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (245, "00 f6"),
        (246, "00 f7"),
        (254, "00 ff"),
        pytest.param(255, "02 00 00 00 00 00 00 01 00", marks=pytest.mark.unlike_libzmq),
        (256, "02 00 00 00 00 00 00 01 01"),
        (70000, "02 00 00 00 00 00 01 11 71"),
    ],
)
def test_long_topics_to_3_0_peers(rig: Rig, size: int, head: str) -> None:
    """In the message form 255 bytes is the first long one (where libzmq forgets the LONG bit)."""
    sub, peer = sub_of(rig, b"t" * size, minor=0)
    peer.expect(bytes.fromhex(head) + b"\x01" + b"t" * size)
    sub.setsockopt(rig.zmq.UNSUBSCRIBE, b"t" * size)
    peer.expect(bytes.fromhex(head) + b"\x00" + b"t" * size)


@pytest.mark.parametrize(("minor", "form"), [(1, subscribe), (0, lambda topic: frame(b"\x01" + topic))])
def test_topics_go_in_byte_order_on_a_new_connection(rig: Rig, minor: int, form: Any) -> None:
    """On a new connection each distinct topic is sent once, in byte order (prefix first), directly after READY."""
    topics = [b"b", b"A", b"", b"\xff", b"AB", b"\x00", b"A", b"aa", b"B", b"", b"A\x00", b"\x7f", b"\x80"]
    listener = rig.listen()
    sub = rig.socket("SUB", SUBSCRIBE=topics)
    sub.connect(listener.endpoint)
    peer = listener.accept()
    peer.handshake("PUB", minor=minor)
    peer.expect(b"".join(form(topic) for topic in sorted(set(topics))))
    peer.barrier()


def test_duplicates_on_a_live_connection(rig: Rig) -> None:
    """Every further subscribe() is sent, duplicates too; only the last unsubscribe is."""
    sub, peer = sub_of(rig)
    zmq = rig.zmq
    peer.barrier()  # what is subscribed before the peer's READY is in goes out once only
    for _ in range(3):
        sub.setsockopt(zmq.SUBSCRIBE, b"A")
    peer.expect(subscribe(b"A") * 3)
    for _ in range(2):
        sub.setsockopt(zmq.UNSUBSCRIBE, b"A")
    sub.setsockopt(zmq.SUBSCRIBE, b"mark")
    peer.expect(subscribe(b"mark"))
    sub.setsockopt(zmq.UNSUBSCRIBE, b"A")
    peer.expect(cancel(b"A"))


def test_unknown_unsubscribe_is_not_sent(rig: Rig) -> None:
    """A surplus unsubscribe, or one for an unknown topic, does nothing."""
    sub, peer = sub_of(rig, b"A")
    zmq = rig.zmq
    peer.expect(subscribe(b"A"))
    for topic in (b"B", b"", b"AB", b"A", b"A"):
        sub.setsockopt(zmq.UNSUBSCRIBE, topic)
    sub.setsockopt(zmq.SUBSCRIBE, b"mark")
    peer.expect(cancel(b"A") + subscribe(b"mark"))


def test_removed_topics_are_not_sent_to_new_connections(rig: Rig) -> None:
    """What is unsubscribed before the connection is there is never sent; what has references left is."""
    listener = rig.listen()
    sub = rig.socket("SUB", SUBSCRIBE=[b"A", b"B", b"B", b"C"], UNSUBSCRIBE=[b"A", b"B"])
    sub.connect(listener.endpoint)
    peer = listener.accept()
    peer.handshake("PUB")
    peer.expect(subscribe(b"B") + subscribe(b"C"))
    peer.barrier()


@pytest.mark.parametrize("minor", [0, 1])
def test_xsub_sends_user_subscriptions_as_given(rig: Rig, minor: int) -> None:
    """XSUB: a user message that starts with 01/00 goes out as an ordinary message frame exactly as given."""
    xsub, listener = rig.connecting("XSUB")
    peer = listener.accept()
    peer.handshake("XPUB", minor=minor)
    peer.barrier()
    xsub.send(b"\x01topic")
    peer.expect_hex("00 06 01 74 6f 70 69 63")
    xsub.send(b"\x01topic")
    peer.expect_hex("00 06 01 74 6f 70 69 63")
    xsub.send(b"\x00other")
    xsub.send(b"\x00topic")
    xsub.send(b"plain")
    peer.expect_hex("00 05 70 6c 61 69 6e")
    xsub.send(b"\x00topic")
    peer.expect_hex("00 06 00 74 6f 70 69 63")


def test_xsub_replay_makes_commands(rig: Rig) -> None:
    """XSUB: the replay on a new connection makes commands, once a topic."""
    xsub, endpoint = rig.bind("XSUB")
    xsub.send(b"\x01b")
    xsub.send(b"\x01a")
    xsub.send(b"\x01b")
    peer = rig.peer(endpoint)
    peer.handshake("PUB")
    wait_until(lambda: xsub.getsockopt(rig.zmq.EVENTS) and peer.has_bytes(26), "the topics")
    peer.expect(subscribe(b"a") + subscribe(b"b"))


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("minor", [0, 1])
def test_what_an_xsub_sent_before_the_connection_comes_behind_its_subscriptions(rig: Rig, minor: int) -> None:
    """libzmq sends all in the order of the calls, also what was taken back since."""
    xsub, listener = rig.connecting("XSUB")
    long = b"x" * 100_000
    for parts in ([b"\x01b"], [b"one"], [b"\x01a", b"two"], [b"\x00b"], [b"three", b"", long], [b"\x01c"], [b"four"]):
        xsub.send_multipart(parts)
    peer = listener.accept()
    peer.handshake("XPUB", minor=minor)
    subscriptions = [subscribe(topic) if minor else message(b"\x01" + topic) for topic in (b"a", b"c")]
    rest = [message(b"one"), message(b"two"), message(b"three", b"", long), message(b"four")]
    peer.expect(b"".join(subscriptions + rest))


# --- reconnect -----------------------------------------------------------------------------------------------------


def test_replay_after_reconnect(rig: Rig) -> None:
    """After a reconnect all current topics are sent once each, in byte order."""
    sub, listener = rig.connecting("SUB", SUBSCRIBE=[b"b", b"a", b"b"])
    first = listener.accept()
    first.handshake("PUB")
    first.expect(subscribe(b"a") + subscribe(b"b"))
    sub.setsockopt(rig.zmq.SUBSCRIBE, b"0")
    sub.setsockopt(rig.zmq.UNSUBSCRIBE, b"a")
    first.expect(subscribe(b"0") + cancel(b"a"))
    first.close()
    second = listener.accept()
    second.handshake("PUB")
    wanted = subscribe(b"0") + subscribe(b"b")
    wait_until(lambda: sub.getsockopt(rig.zmq.EVENTS) == 0 and second.has_bytes(len(wanted)), "the topics")
    second.expect(wanted)
    second.barrier()
    second.send(frame(b"b1"))
    assert sub.recv() == b"b1"


@pytest.mark.unlike_libzmq
def test_replay_in_the_background(rig: Rig) -> None:
    """The same for a SUB that nobody is inside of (libzmq waits for the next call of the application)."""
    _, listener = rig.connecting("SUB", SUBSCRIBE=[b"b", b"a"])
    for _ in range(3):
        peer = listener.accept()
        peer.handshake("PUB")
        peer.expect(subscribe(b"a") + subscribe(b"b"))
        peer.close()


def test_topics_change_while_disconnected(rig: Rig) -> None:
    """What is subscribed and unsubscribed between two connections is sent as it stands at the second."""
    sub, listener = rig.connecting("SUB", SUBSCRIBE=[b"a", b"b"])
    first = listener.accept()
    first.handshake("PUB")
    first.expect(subscribe(b"a") + subscribe(b"b"))
    first.close()
    second = listener.accept()
    sub.setsockopt(rig.zmq.SUBSCRIBE, b"c")
    sub.setsockopt(rig.zmq.UNSUBSCRIBE, b"a")
    second.handshake("PUB")
    got: list[bytes] = []

    def settled() -> bool:
        sub.getsockopt(rig.zmq.EVENTS)
        while second.has_bytes(2):
            got.append(second.read_frame().raw)
        topics: set[bytes] = set()
        for raw in got:
            if raw == cancel(b"a"):
                topics.discard(b"a")
            else:
                topics.add(raw)
        return topics == {subscribe(b"b"), subscribe(b"c")}

    wait_until(settled, "b and c")


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("when", ["before connect", "after connect"])
def test_no_subscription_is_ever_dropped(rig: Rig, when: str) -> None:
    """1500 topics with SNDHWM 3 all arrive (libzmq counts them against the SNDHWM and drops the surplus)."""
    topics = [b"%04d" % i for i in range(1500)]
    listener = rig.listen()
    sub = rig.socket("SUB", SNDHWM=3, RECONNECT_IVL=10)
    if when == "after connect":
        sub.connect(listener.endpoint)
    for topic in reversed(topics):
        sub.setsockopt(rig.zmq.SUBSCRIBE, topic)
    if when == "before connect":
        sub.connect(listener.endpoint)
    for _ in range(2):
        peer = listener.accept()
        peer.handshake("PUB")
        peer.expect(b"".join(subscribe(topic) for topic in topics))
        peer.barrier()
        peer.close()


@pytest.mark.unlike_libzmq
def test_no_subscription_is_dropped_on_a_slow_connection(rig: Rig) -> None:
    """Nor are those of a live connection whose peer does not read."""
    topics = [b"%06d" % i + b"x" * 1000 for i in range(3000)]
    listener = rig.listen(rcvbuf_bytes=4096)
    sub = rig.socket("SUB", SNDHWM=3)
    sub.connect(listener.endpoint)
    peer = listener.accept()
    peer.handshake("PUB")
    for topic in topics:
        sub.setsockopt(rig.zmq.SUBSCRIBE, topic)
    for topic in topics:
        peer.expect(subscribe(topic))
    sub.setsockopt(rig.zmq.UNSUBSCRIBE, topics[0])
    peer.expect(cancel(topics[0]))


# --- as received ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "form"),
    [("3.1", "command"), ("3.1", "message"), ("3.0", "command"), ("3.0", "message"), ("2.0", "message")],
)
def test_publishers_take_both_forms(rig: Rig, version: str, form: str) -> None:
    """Receivers (PUB, XPUB) accept both forms from any version."""
    pub, peer = rig.accepting("XPUB")
    if version == "2.0":
        peer.handshake_v2(rig.zmq.SUB)
    else:
        peer.handshake("SUB", minor=int(version[2]))
    peer.send(subscribe(b"A") if form == "command" else frame(b"\x01A"))
    assert pub.recv_multipart() == [b"\x01A"]
    pub.send(b"A1")
    assert peer.read_message() == [b"A1"]
    peer.send(cancel(b"A") if form == "command" else frame(b"\x00A"))
    assert pub.recv_multipart() == [b"\x00A"]
    pub.send(b"A2")
    peer.send(frame(b"\x01B"))
    assert pub.recv() == b"\x01B"
    pub.send(b"B3")
    assert peer.read_message() == [b"B3"]


def test_one_cancel_removes_a_topic(rig: Rig) -> None:
    """XPUB and PUB keep a set of pipes a topic: one CANCEL removes it however often that peer subscribed."""
    xpub, peer = publisher(rig)
    peer.send(subscribe(b"A") * 3 + cancel(b"A") + subscribe(b"B"))
    assert [xpub.recv() for _ in range(3)] == [b"\x01A", b"\x00A", b"\x01B"]
    xpub.send(b"A")
    xpub.send(b"B")
    assert peer.read_message() == [b"B"]


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ("LINGER", [b"\x01A", b"\x00A", b"\x00Z", b"\x01e"]),
        ("XPUB_VERBOSE", [b"\x01A", b"\x01A", b"\x00A", b"\x00Z", b"\x01e"]),
        ("XPUB_VERBOSER", [b"\x01A", b"\x01A", b"\x00A", b"\x00A", b"\x00Z", b"\x01e"]),
    ],
)
def test_xpub_verbosity(rig: Rig, option: str, wanted: list[bytes]) -> None:
    """Default: first subscribe and last unsubscribe, and a cancel for a topic nobody has; VERBOSE: every subscribe;
    VERBOSER: every one."""
    xpub, endpoint = rig.bind("XPUB", **{option: 1})
    first, second = rig.peer(endpoint), rig.peer(endpoint)
    for peer in (first, second):
        peer.handshake("SUB")
    for peer, data in (
        (first, subscribe(b"A")),
        (second, subscribe(b"A")),
        (first, cancel(b"A")),
        (second, cancel(b"A")),
        (first, cancel(b"Z")),
        (second, subscribe(b"e")),
    ):
        peer.send(data)
        rig.settle(xpub, peer)
    assert [xpub.recv() for _ in wanted] == wanted
    rig.expect_nothing(xpub)


def test_xpub_hears_of_peers_that_go(rig: Rig) -> None:
    """A peer that goes takes its topics with it; the user hears of those that nobody else has."""
    xpub, endpoint = rig.bind("XPUB")
    stays, goes = rig.peer(endpoint), rig.peer(endpoint)
    for peer, topics in ((stays, b"A"), (goes, b"ABC")):
        peer.handshake("SUB")
        peer.send(b"".join(subscribe(bytes([topic])) for topic in topics))
        rig.settle(xpub, peer)
    assert [xpub.recv() for _ in range(3)] == [b"\x01A", b"\x01B", b"\x01C"]
    goes.close()
    assert sorted(xpub.recv() for _ in range(2)) == [b"\x00B", b"\x00C"]
    rig.expect_nothing(xpub)


def test_every_part_may_subscribe(rig: Rig) -> None:
    """First byte 01/00 makes a subscription in every part of a message; the user gets all parts of a mixed one."""
    xpub, peer = publisher(rig)
    peer.send(message(b"zz", b"\x01C") + subscribe(b"end"))
    assert [xpub.recv_multipart() for _ in range(2)] == [[b"zz", b"\x01C"], [b"\x01end"]]
    xpub.send(b"C1")
    assert peer.read_message() == [b"C1"]


def test_only_first_subscribe(rig: Rig) -> None:
    """ONLY_FIRST_SUBSCRIBE: only if the first part is one are later parts looked at."""
    xpub, peer = publisher(rig, ONLY_FIRST_SUBSCRIBE=1)
    peer.send(message(b"zz", b"\x01C") + subscribe(b"end"))
    assert [xpub.recv_multipart() for _ in range(2)] == [[b"zz", b"\x01C"], [b"\x01end"]]
    xpub.send(b"C1")
    xpub.send(b"end1")
    assert peer.read_message() == [b"end1"]


def test_a_subscription_counts_for_the_next_message(rig: Rig) -> None:
    """A subscription that has arrived counts for the next message."""
    xpub, peer = publisher(rig, "PUB")
    peer.send(subscribe(b"A"))
    peer.barrier()
    xpub.send(b"A1")
    assert peer.read_message() == [b"A1"]


# --- hostile subscribers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("socket_type", ["PUB", "XPUB"])
def test_flood_of_topics(rig: Rig, socket_type: str) -> None:
    """Twenty thousand topics from one peer, each matched, and all gone with it."""
    topics = [b"%d/%d" % (i % 97, i) for i in range(20000)]
    sock, endpoint = rig.bind(socket_type, RCVHWM=0)
    peer, other = rig.peer(endpoint), rig.peer(endpoint)
    other.handshake("SUB")
    other.send(subscribe(b"end"))
    peer.handshake("SUB")
    peer.send(b"".join(subscribe(topic) for topic in topics))
    rig.settle(sock, peer)
    rig.settle(sock, other)
    if socket_type == "XPUB":
        assert {sock.recv() for _ in range(len(topics) + 1)} == {b"\x01" + topic for topic in [*topics, b"end"]}
    for topic in topics[:100]:
        sock.send(topic)
        assert peer.read_message() == [topic]
    peer.close()
    if socket_type == "XPUB":
        assert {sock.recv() for _ in topics} == {b"\x00" + topic for topic in topics}
    sock.send(b"end")
    assert other.read_message() == [b"end"]


@pytest.mark.parametrize("end", ["cancel", "close"])
def test_deep_topic_from_a_peer(rig: Rig, end: str) -> None:
    """A topic of 1 MB is matched like any other, and goes without recursion on its depth."""
    topic = b"deep" * (1 << 18)
    xpub, peer = publisher(rig)
    peer.send(subscribe(topic))
    assert xpub.recv() == b"\x01" + topic
    xpub.send(topic[:-1])
    xpub.send(topic + b"!")
    assert peer.read_message() == [topic + b"!"]
    if end == "cancel":
        peer.send(cancel(topic))
    else:
        peer.close()
    assert xpub.recv() == b"\x00" + topic


def test_many_deep_topics_from_a_peer(rig: Rig) -> None:
    """Ten topics of 100 kB that share all but their last byte."""
    topics = [b"s" * 100000 + b"%d" % i for i in range(10)]
    xpub, peer = publisher(rig)
    peer.send(b"".join(subscribe(topic) for topic in topics))
    assert [xpub.recv() for _ in topics] == [b"\x01" + topic for topic in topics]
    xpub.send(topics[7])
    assert peer.read_message() == [topics[7]]
    peer.close()
    assert sorted(xpub.recv() for _ in topics) == [b"\x00" + topic for topic in topics]


@pytest.mark.unlike_libzmq
def test_deep_topic_of_our_own(rig: Rig) -> None:
    """SUB with a topic of 1 MB: sent, matched, removed, and closed with (libzmq recurses when it frees its trie)."""
    topic = b"deep" * (1 << 18)
    sub, peer = sub_of(rig, topic, topic + b"2")
    peer.expect(subscribe(topic) + subscribe(topic + b"2"))
    peer.send(frame(topic[:-1]) + frame(topic + b"!"))
    assert sub.recv() == topic + b"!"
    sub.setsockopt(rig.zmq.UNSUBSCRIBE, topic)
    peer.expect(cancel(topic))
    sub.close()
