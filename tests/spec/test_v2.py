"""ZMTP 2.0 peers (RFC 15): a greeting of 12 bytes, identities as messages, no commands."""

from __future__ import annotations

import pytest

from tests.raw_peer import Rig, frame, message, signature, wait_until

ALL_TYPES = ["PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"]


def test_as_in_the_reference(rig: Rig) -> None:
    """The greeting step by step: 03 after the signature, the type after the revision, the identity after all 12."""
    router, peer = rig.accepting("ROUTER")
    peer.expect(signature())
    peer.send(signature())
    peer.expect_hex("03")
    peer.send(b"\x01")
    peer.expect_hex("06")
    peer.expect_quiet(0.02)
    peer.send(b"\x05")
    peer.expect_hex("00 00")
    peer.send(bytes.fromhex("00 02 6d 65 00 02 68 69"))
    assert router.recv_multipart() == [b"me", b"hi"]
    router.send_multipart([b"me", b"x", b"y" * 300])
    peer.expect(bytes.fromhex("01 01 78 02 00 00 00 00 00 00 01 2c") + b"y" * 300)


def test_all_in_one_segment(rig: Rig) -> None:
    """Any split of the bytes gives the same frames: here none."""
    router, peer = rig.accepting("ROUTER")
    peer.send(signature() + b"\x01\x05" + frame(b"me") + message(b"a", b"b"))
    assert router.recv_multipart() == [b"me", b"a", b"b"]
    peer.expect(signature() + b"\x03\x06\x00\x00")


def test_byte_by_byte(rig: Rig) -> None:
    """And here all."""
    router, peer = rig.accepting("ROUTER")
    peer.trickle(signature() + b"\x01\x05" + frame(b"me") + message(b"a", b"x" * 300))
    assert router.recv_multipart() == [b"me", b"a", b"x" * 300]


@pytest.mark.parametrize("socket_type", ALL_TYPES)
def test_identity_is_sent_by_every_type(rig: Rig, socket_type: str) -> None:
    """Each side sends its identity as an ordinary message frame, whatever its type."""
    _, peer = rig.accepting(socket_type, ROUTING_ID=b"abc")
    peer.send(signature() + bytes([1, rig.zmq.DEALER]))
    peer.expect(signature(3) + bytes([3, getattr(rig.zmq, socket_type)]))
    peer.expect_hex("00 03 61 62 63")


def test_anonymous_peer(rig: Rig) -> None:
    """An empty identity: the ROUTER generates one."""
    router, peer = rig.accepting("ROUTER")
    assert peer.handshake_v2(rig.zmq.DEALER) == (rig.zmq.ROUTER, b"")
    peer.send(frame(b"hi"))
    identity, body = router.recv_multipart()
    assert (len(identity), identity[0], body) == (5, 0, b"hi")
    router.send_multipart([identity, b"back"])
    assert peer.read_message() == [b"back"]


@pytest.mark.parametrize("socket_type", ALL_TYPES)
def test_type_byte_is_not_checked(rig: Rig, socket_type: str) -> None:
    """The peer's socket type is not checked."""
    router, peer = rig.accepting("ROUTER")
    peer.handshake_v2(getattr(rig.zmq, socket_type), b"me")
    peer.send(frame(b"hi"))
    assert router.recv_multipart() == [b"me", b"hi"]


def test_long_frames_both_ways(rig: Rig) -> None:
    """The frames of 3.x: LONG for more than 255 bytes, and for fewer when the peer likes."""
    dealer, peer = rig.accepting("DEALER")
    peer.handshake_v2(rig.zmq.DEALER)
    parts = [b"", b"a" * 255, b"b" * 256, b"c" * 100000]
    peer.send(message(*parts) + frame(b"short", long=True))
    assert dealer.recv_multipart() == parts
    assert dealer.recv_multipart() == [b"short"]
    dealer.send_multipart(parts)
    peer.expect(message(*parts))


def test_request_and_reply(rig: Rig) -> None:
    """REQ and REP keep their envelopes with 2.0 peers."""
    rep, peer = rig.accepting("REP")
    peer.handshake_v2(rig.zmq.REQ)
    peer.send(message(b"", b"q"))
    assert rep.recv_multipart() == [b"q"]
    rep.send(b"r")
    assert peer.read_message() == [b"", b"r"]

    req, listener = rig.connecting("REQ")
    req.send(b"q")
    back = listener.accept()
    back.handshake_v2(rig.zmq.REP)
    assert back.read_message() == [b"", b"q"]
    back.send(message(b"", b"r"))
    assert req.recv() == b"r"


def test_subscriptions_go_out_as_messages(rig: Rig) -> None:
    """SUB subscriptions go as `00 02 01 54`."""
    sub, listener = rig.connecting("SUB", SUBSCRIBE=[b"T", b"A"])
    peer = listener.accept()
    peer.handshake_v2(rig.zmq.PUB)
    peer.expect_hex("00 02 01 41 00 02 01 54")
    sub.setsockopt(rig.zmq.UNSUBSCRIBE, b"T")
    peer.expect_hex("00 02 00 54")
    peer.send(frame(b"T1") + frame(b"A1"))
    assert sub.recv() == b"A1"


@pytest.mark.parametrize("socket_type", ["PUB", "XPUB"])
def test_subscriptions_come_in_as_messages(rig: Rig, socket_type: str) -> None:
    """A 2.0 subscriber gets what it asked for and nothing else."""
    pub, peer = rig.accepting(socket_type)
    peer.handshake_v2(rig.zmq.SUB)
    peer.send(frame(b"\x01A"))
    if socket_type == "XPUB":
        assert pub.recv() == b"\x01A"

    def published() -> bool:
        pub.send(b"B")
        pub.send(b"A1")
        return peer.has_bytes(4)

    wait_until(published, "the first message")
    assert peer.read_message() == [b"A1"]


def test_push_waits_for_the_identity(rig: Rig) -> None:
    """Messages follow the own identity, which does not wait for the peer's."""
    push, listener = rig.connecting("PUSH")
    push.send_multipart([b"a", b"b"])
    peer = listener.accept()
    peer.send(signature() + bytes([1, rig.zmq.PULL]))
    peer.expect(signature() + bytes([3, rig.zmq.PUSH]) + b"\0\0")
    peer.send(frame(b""))
    assert peer.read_message() == [b"a", b"b"]


def test_maxmsgsize(rig: Rig) -> None:
    """MAXMSGSIZE applies."""
    pull, peer = rig.accepting("PULL", MAXMSGSIZE=10)
    peer.handshake_v2(rig.zmq.PUSH)
    peer.send(frame(b"x" * 10) + frame(b"y" * 11))
    peer.expect_close()
    assert pull.recv() == b"x" * 10
    rig.expect_nothing(pull)


def test_reconnects_when_the_peer_goes(rig: Rig) -> None:
    """A 2.0 peer that comes back, in another version, is served as what it is then."""
    dealer, listener = rig.connecting("DEALER")
    first = listener.accept()
    first.handshake_v2(rig.zmq.DEALER)
    first.send(frame(b"two"))
    assert dealer.recv() == b"two"
    first.close()
    second = listener.accept()
    second.handshake("DEALER")
    second.send(frame(b"three"))
    assert dealer.recv() == b"three"
    second.barrier()
