"""ZMTP 1.0 peers (RFC 13), unversioned, and those with a signature and major 0."""

from __future__ import annotations

import pytest

from tests.raw_peer import Rig, signature, v1_frame, v1_message, wait_until


def test_anonymous_peer(rig: Rig) -> None:
    """The 10 signature bytes are a legal long identity header; only the id bytes follow, here none."""
    dealer, peer = rig.accepting("DEALER")
    peer.expect_hex("ff 00 00 00 00 00 00 00 01 7f")
    peer.send(bytes.fromhex("01 00"))
    peer.send(bytes.fromhex("06 00 68 65 6c 6c 6f"))
    assert dealer.recv_multipart() == [b"hello"]
    dealer.send(b"q")
    peer.expect_hex("02 00 71")


def test_own_identity(rig: Rig) -> None:
    """DEALER with id "abc": the header told 4 bytes, `61 62 63` follows."""
    dealer, peer = rig.accepting("DEALER", ROUTING_ID=b"abc")
    peer.expect_hex("ff 00 00 00 00 00 00 00 04 7f")
    peer.expect_quiet(0.02)
    peer.send(b"\x01\x00")
    peer.expect_hex("61 62 63")
    rig_wait_writable(rig, dealer)
    dealer.send(b"q")
    peer.expect_hex("02 00 71")


def rig_wait_writable(rig: Rig, sock: object) -> None:
    """An old peer says nothing when its handshake is done; the socket can then write."""
    wait_until(lambda: sock.getsockopt(rig.zmq.EVENTS) & rig.zmq.POLLOUT, "POLLOUT")  # type: ignore[attr-defined]


@pytest.mark.parametrize("socket_type", ["PAIR", "PUB", "SUB", "REQ", "REP", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"])
def test_own_identity_of_every_type(rig: Rig, socket_type: str) -> None:
    """The identity goes to 1.0 peers from all types."""
    _, peer = rig.accepting(socket_type, ROUTING_ID=b"abc")
    assert peer.handshake_v1() == b"abc"


def test_router_and_named_peer(rig: Rig) -> None:
    """Short and long frames: flags + body of 255 bytes is the first long one."""
    router, peer = rig.accepting("ROUTER")
    assert peer.handshake_v1(b"me") == b""
    peer.send(v1_frame(b"hi"))
    assert router.recv_multipart() == [b"me", b"hi"]
    router.send_multipart([b"me", b"", b"yo", b"w" * 254, b"v" * 253])
    peer.expect(
        bytes.fromhex("01 01 03 01 79 6f ff 00 00 00 00 00 00 00 ff 01")
        + b"w" * 254
        + bytes.fromhex("fe 00")
        + b"v" * 253
    )


def test_long_identity_header_of_the_peer(rig: Rig) -> None:
    """Detection: tenth byte with bit 0 clear. Such a peer has sent its identity in the long form."""
    router, peer = rig.accepting("ROUTER")
    peer.send(b"\xff" + bytes(7) + b"\x03" + b"\x00" + b"me" + v1_frame(b"hi"))
    assert router.recv_multipart() == [b"me", b"hi"]


@pytest.mark.parametrize("size", [0, 1, 253, 254, 255, 256, 65536, 1000000])
def test_sizes_both_ways(rig: Rig, size: int) -> None:
    """Length 1 byte, or ff and 8 bytes; it counts flags + body."""
    dealer, peer = rig.accepting("DEALER")
    peer.handshake_v1()
    body = b"x" * size
    peer.send(v1_frame(body) + v1_frame(b"next"))
    assert dealer.recv() == body
    assert dealer.recv() == b"next"
    dealer.send(body)
    peer.expect(v1_frame(body))


def test_long_form_of_a_short_frame(rig: Rig) -> None:
    """The long form is legal for any size."""
    dealer, peer = rig.accepting("DEALER")
    peer.handshake_v1()
    peer.send(b"\xff" + bytes(7) + b"\x04" + b"\x00abc")
    assert dealer.recv_multipart() == [b"abc"]


def test_multipart_both_ways(rig: Rig) -> None:
    """Flags bit 0 = MORE."""
    dealer, peer = rig.accepting("DEALER")
    peer.handshake_v1()
    parts = [b"", b"a", b"b" * 300, b""]
    peer.send(v1_message(*parts))
    assert dealer.recv_multipart() == parts
    dealer.send_multipart(parts)
    assert peer.read_v1_message() == parts


@pytest.mark.parametrize("flags", [0x02, 0x04, 0x7E, 0x80])
def test_other_flag_bits_are_ignored(rig: Rig, flags: int) -> None:
    """A 1.0 receiver must ignore the other bits (RFC 13: bits 7-1 are reserved)."""
    dealer, peer = rig.accepting("DEALER")
    peer.handshake_v1()
    peer.send(bytes([2, flags]) + b"a" + bytes([2, flags | 1]) + b"b" + v1_frame(b"c"))
    assert dealer.recv_multipart() == [b"a"]
    assert dealer.recv_multipart() == [b"b", b"c"]


def test_byte_by_byte(rig: Rig) -> None:
    """Any split of the bytes gives the same frames."""
    router, peer = rig.accepting("ROUTER")
    peer.trickle(v1_frame(b"me") + v1_message(b"a", b"x" * 300))
    assert router.recv_multipart() == [b"me", b"a", b"x" * 300]


def test_request_and_reply(rig: Rig) -> None:
    """REQ and REP keep their envelopes with 1.0 peers."""
    rep, peer = rig.accepting("REP")
    peer.handshake_v1()
    peer.send(v1_message(b"", b"q"))
    assert rep.recv_multipart() == [b"q"]
    rep.send(b"r")
    assert peer.read_v1_message() == [b"", b"r"]

    req, listener = rig.connecting("REQ")
    req.send(b"q")
    back = listener.accept()
    back.handshake_v1()
    assert back.read_v1_message() == [b"", b"q"]
    back.send(v1_message(b"", b"r"))
    assert req.recv() == b"r"


def test_subscriptions_go_out_as_messages(rig: Rig) -> None:
    """To 1.0 peers: subscribe "A" is `03 00 01 41`, subscribe "" is `02 00 01`."""
    sub, listener = rig.connecting("SUB", SUBSCRIBE=[b"A", b""])
    peer = listener.accept()
    peer.handshake_v1()
    peer.expect_hex("02 00 01 03 00 01 41")
    sub.setsockopt(rig.zmq.UNSUBSCRIBE, b"")
    peer.expect_hex("02 00 00")
    peer.send(v1_frame(b"B") + v1_frame(b"A1"))
    assert sub.recv() == b"A1"


@pytest.mark.parametrize("socket_type", ["PUB", "XPUB"])
def test_unversioned_subscribers_get_everything(rig: Rig, socket_type: str) -> None:
    """1.0 peers do not forward subscriptions: they get a subscription to everything; the XPUB user sees `01`."""
    pub, peer = rig.accepting(socket_type)
    peer.handshake_v1()
    if socket_type == "XPUB":
        assert pub.recv_multipart() == [b"\x01"]

    def published() -> bool:
        pub.send_multipart([b"any", b"thing"])
        return peer.has_bytes(11)

    wait_until(published, "the first message")
    assert peer.read_v1_message() == [b"any", b"thing"]


def test_major_zero(rig: Rig) -> None:
    """Major 0 after a valid signature: 1.0 framing with the 2.0 style greeting."""
    router, peer = rig.accepting("ROUTER")
    peer.send(signature() + b"\x00\x05")
    peer.expect(signature() + b"\x03\x06")
    peer.expect_hex("01 00")
    peer.send(v1_frame(b"me") + v1_message(b"hi", b"x" * 254))
    assert router.recv_multipart() == [b"me", b"hi", b"x" * 254]
    router.send_multipart([b"me", b"yo"])
    peer.expect_hex("03 00 79 6f")


def test_length_of_zero_closes(rig: Rig) -> None:
    """A length of 0 closes the connection."""
    dealer, peer = rig.accepting("DEALER")
    peer.handshake_v1()
    peer.send(v1_frame(b"good") + b"\x00")
    peer.expect_close()
    assert dealer.recv() == b"good"


def test_long_length_of_zero_closes(rig: Rig) -> None:
    """The same in the long form."""
    _, peer = rig.accepting("DEALER")
    peer.handshake_v1()
    peer.send(b"\xff" + bytes(8) + b"\x00")
    peer.expect_close()


@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
def test_maxmsgsize(rig: Rig, long: bool) -> None:
    """MAXMSGSIZE applies, to the body without the flags byte."""
    pull, peer = rig.accepting("PULL", MAXMSGSIZE=10)
    peer.handshake_v1()
    peer.send(v1_frame(b"x" * 10) + (b"\xff" + bytes(7) if long else b"") + b"\x0c\x00" + b"y" * 11)
    peer.expect_close()
    assert pull.recv() == b"x" * 10
    rig.expect_nothing(pull)


@pytest.mark.parametrize("size", [1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1], ids=hex)
def test_absurd_lengths(rig: Rig, size: int) -> None:
    """A length that cannot be allocated closes the connection, or waits; nobody else notices."""
    pull, endpoint = rig.bind("PULL")
    good, bad = rig.peer(endpoint), rig.peer(endpoint)
    bad.handshake_v1()
    assert bad.try_send(b"\xff" + size.to_bytes(8, "big") + b"\x00" + b"x" * 1000)
    good.handshake_v1()
    good.send(v1_frame(b"fine"))
    assert pull.recv() == b"fine"
