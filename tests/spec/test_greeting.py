"""ZMTP greetings (RFC 37, "Connection Setup" and "Version Negotiation"; RFC 23 and 15 for the older ones)."""

from __future__ import annotations

import contextlib

import pytest

from tests.raw_peer import RawPeer, Rig, cancel, frame, greeting, message, ready, signature, subscribe

SIGNATURE = signature()
REST = b"\x01" + b"NULL".ljust(20, b"\0") + bytes(32)  # minor, mechanism, as-server, filler
ALL_TYPES = ["PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"]


@pytest.fixture(params=["accepting", "connecting"])
def dealer_peer(request: pytest.FixtureRequest, rig: Rig) -> RawPeer:
    """A raw peer of a DEALER, which has accepted it or has connected to it."""
    if request.param == "accepting":
        return rig.accepting("DEALER")[1]
    return rig.connecting("DEALER")[1].accept()


@pytest.mark.parametrize("socket_type", ALL_TYPES)
def test_signature_comes_at_once(rig: Rig, socket_type: str) -> None:
    """At once, without having read anything: the 10 signature bytes."""
    rig.accepting(socket_type)[1].expect_hex("ff 00 00 00 00 00 00 00 01 7f")


@pytest.mark.parametrize("socket_type", ALL_TYPES)
def test_signature_padding_tells_length_of_routing_id(rig: Rig, socket_type: str) -> None:
    """The padding is the own ROUTING_ID length + 1 (it doubles as a 1.0 long length)."""
    rig.accepting(socket_type, ROUTING_ID=b"abc")[1].expect_hex("ff 00 00 00 00 00 00 00 04 7f")


def test_signature_padding_for_longest_routing_id(rig: Rig) -> None:
    """A routing id of 255 bytes makes a length of 256, in network byte order."""
    rig.accepting("DEALER", ROUTING_ID=b"i" * 255)[1].expect_hex("ff 00 00 00 00 00 00 01 00 7f")


def test_silent_peer_sees_only_the_signature(dealer_peer: RawPeer) -> None:
    """A peer that stays silent gets only the 10 bytes."""
    dealer_peer.expect(SIGNATURE)
    dealer_peer.expect_quiet()


def test_one_byte_at_a_time(dealer_peer: RawPeer) -> None:
    """Nothing may wait for more, or come after less, than stated: signature, major, the rest, then READY."""
    theirs = greeting()
    dealer_peer.expect(SIGNATURE)
    dealer_peer.trickle(theirs[:9])
    dealer_peer.expect_quiet()
    dealer_peer.send(theirs[9:10])
    dealer_peer.expect_hex("03")
    dealer_peer.expect_quiet()
    dealer_peer.send(theirs[10:11])
    dealer_peer.expect(REST)
    dealer_peer.trickle(theirs[11:63])
    dealer_peer.expect_quiet()
    dealer_peer.send(theirs[63:])
    dealer_peer.expect(ready("DEALER"))


def test_ready_byte_by_byte_too(rig: Rig) -> None:
    """Any split of the bytes gives the same frames, in the handshake and behind it."""
    dealer, peer = rig.accepting("DEALER")
    peer.trickle(greeting())
    peer.expect(greeting())
    peer.trickle(ready("DEALER"))
    peer.expect(ready("DEALER"))
    peer.trickle(frame(b"hello"))
    assert dealer.recv() == b"hello"


def test_greeting_as_sent(dealer_peer: RawPeer) -> None:
    """Mechanism NULL padded with zeros, as-server 0, filler zeros."""
    dealer_peer.send(greeting())
    dealer_peer.expect(SIGNATURE + b"\x03" + REST)


@pytest.mark.parametrize("padding", [b"\xaa" * 8, bytes(8), b"\xff" * 8, b"\0\0\0\0\0\0\0\x01"])
def test_padding_is_not_checked(dealer_peer: RawPeer, padding: bytes) -> None:
    """Padding of the signature: any bytes are accepted."""
    dealer_peer.send(b"\xff" + padding + greeting()[9:])
    dealer_peer.expect(greeting())
    dealer_peer.expect(ready("DEALER"))


@pytest.mark.parametrize("last", [0x01, 0x7F, 0xFF])
def test_only_bit_0_of_tenth_byte_counts(dealer_peer: RawPeer, last: int) -> None:
    """Tenth byte: bit 0 set (01, 7f, ff pass)."""
    dealer_peer.send(b"\xff" + bytes(8) + bytes([last]))
    dealer_peer.expect(SIGNATURE + b"\x03")


@pytest.mark.parametrize(
    ("major", "minor"), [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (3, 255), (4, 0), (4, 1), (255, 0), (255, 255)]
)
def test_newer_majors_get_the_whole_greeting(dealer_peer: RawPeer, major: int, minor: int) -> None:
    """Major: 0 = 1.0, 1 = 2.0, anything else = 3.x. A higher version is answered with the own one (RFC 37)."""
    dealer_peer.send(greeting(major=major, minor=minor))
    dealer_peer.expect(SIGNATURE + b"\x03" + REST)
    dealer_peer.expect(ready("DEALER"))


@pytest.mark.parametrize(
    ("major", "minor", "has_commands"),
    [(3, 0, False), (3, 1, True), (3, 7, True), (4, 0, True), (4, 1, True), (255, 0, True), (2, 0, True)],
)
def test_version_decides_form_of_subscriptions(rig: Rig, major: int, minor: int, has_commands: bool) -> None:
    """3 with 0 = 3.0; every other minor, and every other major, = 3.1."""
    sub, listener = rig.connecting("SUB", SUBSCRIBE=b"A")
    peer = listener.accept()
    peer.handshake("PUB", major=major, minor=minor)
    peer.expect(subscribe(b"A") if has_commands else frame(b"\x01A"))
    sub.setsockopt(rig.zmq.UNSUBSCRIBE, b"A")
    peer.expect(cancel(b"A") if has_commands else frame(b"\x00A"))


@pytest.mark.parametrize("major", [0, 1])
@pytest.mark.parametrize(("socket_type", "number"), [(name, i) for i, name in enumerate(ALL_TYPES)])
def test_older_majors_get_the_socket_type(rig: Rig, major: int, socket_type: str, number: int) -> None:
    """For major 0 or 1 one byte, the own socket type number: the 2.0 greeting, 12 bytes in all."""
    number = getattr(rig.zmq, socket_type)
    _, peer = rig.accepting(socket_type)
    peer.send(SIGNATURE + bytes([major]))
    peer.expect(SIGNATURE + bytes([3, number]))
    peer.expect_quiet(0.01)


@pytest.mark.parametrize(
    "mechanism", [b"PLAIN", b"CURVE", b"GSSAPI", b"null", b"NUL", b"NULLX", b"", b"NULL\0X", b"N" * 20]
)
def test_mechanism_mismatch_closes(dealer_peer: RawPeer, mechanism: bytes) -> None:
    """All 20 bytes must equal the own mechanism (case matters), else the connection is closed without a word."""
    dealer_peer.send(greeting(mechanism))
    assert greeting().startswith(dealer_peer.read_to_close())


def test_as_server_and_filler_are_ignored(dealer_peer: RawPeer) -> None:
    """As-server and filler are ignored on receipt."""
    dealer_peer.send(greeting(as_server=1, filler=b"\xee" * 31))
    dealer_peer.expect(greeting())
    dealer_peer.expect(ready("DEALER"))


def test_http_client_gets_nothing(rig: Rig) -> None:
    """An HTTP client is taken for a 1.0 peer whose identity frame is 0x47 long; nothing is delivered."""
    dealer, peer = rig.accepting("DEALER")
    peer.expect(SIGNATURE)
    peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    peer.expect_quiet()
    rig.expect_nothing(dealer)


@pytest.mark.parametrize("options", [{"PLAIN_SERVER": 1}, {"CURVE_SERVER": 1}, {"CURVE_SECRETKEY": b"k" * 32}], ids=str)
def test_whoever_asked_for_security_never_speaks_in_the_clear(rig: Rig, options: dict[str, object]) -> None:
    """A peer with NULL gets no further than the greeting."""
    if "PLAIN_SERVER" not in options:
        pytest.importorskip("nacl")
    pull, endpoint = rig.bind("PULL", **options)
    peer = rig.peer(endpoint)
    with contextlib.suppress(OSError):
        peer.send(greeting() + ready("PUSH") + message(b"in the clear"))
    assert b"READY" not in peer.read_to_close()
    rig.expect_nothing(pull)
