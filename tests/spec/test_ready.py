"""The NULL handshake (RFC 37, "The NULL Security Mechanism"): READY as sent, and what a received one must be."""

from __future__ import annotations

import pytest

from tests.raw_peer import RawPeer, Rig, command, error, frame, greeting, message, ping, prop, properties, ready

SOCKET_TYPE = "04 {} 05 52 45 41 44 59 0b 53 6f 63 6b 65 74 2d 54 79 70 65 00 00 00 {:02x} {}"
IDENTITY = " 08 49 64 65 6e 74 69 74 79 00 00 00 00"
DEALER_TYPE = prop(b"Socket-Type", b"DEALER")

PEERS = {
    "PAIR": ["PAIR"],
    "PUB": ["SUB", "XSUB"],
    "SUB": ["PUB", "XPUB"],
    "REQ": ["REP", "ROUTER"],
    "REP": ["REQ", "DEALER"],
    "DEALER": ["REP", "DEALER", "ROUTER"],
    "ROUTER": ["REQ", "DEALER", "ROUTER"],
    "PULL": ["PUSH"],
    "PUSH": ["PULL"],
    "XPUB": ["SUB", "XSUB"],
    "XSUB": ["PUB", "XPUB"],
}


def raw_ready(data: bytes) -> bytes:
    return command(b"READY", data)


def ready_to_router(rig: Rig, data: bytes) -> tuple[object, RawPeer]:
    """A ROUTER and a peer that has sent data in place of its READY and has read the ROUTER's."""
    router, peer = rig.accepting("ROUTER")
    peer.greet()
    peer.expect(ready("ROUTER"))
    peer.send(data)
    return router, peer


# --- as sent -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("socket_type", "size"),
    [
        ("PAIR", "1a"), ("PUB", "19"), ("SUB", "19"), ("REQ", "26"), ("REP", "19"), ("DEALER", "29"),
        ("ROUTER", "29"), ("PULL", "1a"), ("PUSH", "1a"), ("XPUB", "1a"), ("XSUB", "1a"),
    ],
)  # fmt: skip
def test_ready_as_sent(rig: Rig, socket_type: str, size: str) -> None:
    """Socket-Type from all types; Identity from REQ, DEALER and ROUTER only, also when it is empty."""
    _, peer = rig.accepting(socket_type)
    peer.greet()
    name = socket_type.encode()
    wanted = SOCKET_TYPE.format(size, len(name), name.hex(" "))
    if socket_type in ("REQ", "DEALER", "ROUTER"):
        wanted += IDENTITY
    peer.expect_hex(wanted)


@pytest.mark.parametrize("socket_type", PEERS)
def test_identity_is_sent_by_three_types_only(rig: Rig, socket_type: str) -> None:
    """Sent properties: Identity (REQ, DEALER, ROUTER only)."""
    _, peer = rig.accepting(socket_type, ROUTING_ID=b"abc")
    peer.greet()
    with_identity = socket_type in ("REQ", "DEALER", "ROUTER")
    peer.expect(ready(socket_type, b"abc" if with_identity else None))


def test_metadata_follows_in_key_order(rig: Rig) -> None:
    """Then METADATA options (X-...) in byte order of the key."""
    metadata = [b"X-b:two", b"X-app:demo", b"X-B:x:y"]
    _, peer = rig.accepting("DEALER", ROUTING_ID=b"abc", METADATA=metadata)
    peer.greet()
    peer.expect(ready("DEALER", b"abc", prop(b"X-B", b"x:y") + prop(b"X-app", b"demo") + prop(b"X-b", b"two")))


def test_long_ready_is_a_long_frame(rig: Rig) -> None:
    """READY of more than 255 bytes goes out as a LONG command frame."""
    _, peer = rig.accepting("DEALER", ROUTING_ID=b"i" * 255)
    peer.greet()
    got = peer.read_frame()
    assert got.flags == 0x06
    assert properties(got.command_data) == {b"Socket-Type": b"DEALER", b"Identity": b"i" * 255}


def test_ready_does_not_wait_for_the_other(rig: Rig) -> None:
    """Both sides send READY as soon as the peer's greeting is complete; it does not wait for the peer's READY."""
    _, listener = rig.connecting("PUSH")
    peer = listener.accept()
    peer.greet()
    peer.expect(ready("PUSH"))
    peer.expect_quiet()


def test_nothing_follows_ready_before_the_other(rig: Rig) -> None:
    """Do not send anything after READY before the peer's READY has arrived."""
    push, listener = rig.connecting("PUSH")
    push.send(b"first")
    peer = listener.accept()
    peer.greet()
    peer.expect(ready("PUSH"))
    peer.expect_quiet()
    peer.send(ready("PULL"))
    assert peer.read_message() == [b"first"]


def test_subscriptions_wait_for_the_other_ready(rig: Rig) -> None:
    """The same for the subscriptions that follow READY."""
    _, listener = rig.connecting("SUB", SUBSCRIBE=b"A")
    peer = listener.accept()
    peer.greet()
    peer.expect(ready("SUB"))
    peer.expect_quiet()
    peer.send(ready("PUB"))
    assert peer.read_frame().command_name == b"SUBSCRIBE"


# --- as received ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("socket_type", PEERS)
@pytest.mark.parametrize("other", PEERS)
def test_socket_types_that_fit(rig: Rig, socket_type: str, other: str) -> None:
    """Socket-Type not in the allowed set: closed (RFC 37, "A ZMTP peer MUST check ...")."""
    _, peer = rig.accepting(socket_type)
    peer.greet()
    assert peer.read_frame().command_name == b"READY"
    peer.send(ready(other))
    if other in PEERS[socket_type]:
        peer.barrier()
    else:
        peer.expect_close()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(prop(b"Identity", b"me"), id="no Socket-Type"),
        pytest.param(prop(b"socket-type", b"DEALER") + prop(b"identity", b""), id="names in lower case"),
        pytest.param(DEALER_TYPE, id="no Identity"),
        pytest.param(DEALER_TYPE + prop(b"Identity", b""), id="empty Identity"),
        pytest.param(prop(b"Identity", b"x") + DEALER_TYPE, id="other order"),
        pytest.param(DEALER_TYPE + prop(b"X-unknown", b"value") + prop(b"Resource", b"/r"), id="unknown property"),
        pytest.param(DEALER_TYPE + prop(b"", b"value"), id="empty property name"),
        pytest.param(DEALER_TYPE + prop(b"X-empty", b""), id="empty value"),
        pytest.param(DEALER_TYPE + prop(b"X-big", b"v" * 10000), id="10 kB"),
        pytest.param(DEALER_TYPE + prop(b"N" * 255, b"v"), id="longest name"),
    ],
)
def test_accepted(rig: Rig, data: bytes) -> None:
    """What the receiver accepts: missing, unknown and empty properties, and READY of any size."""
    router, peer = ready_to_router(rig, raw_ready(data))
    peer.send(frame(b"hello"))
    assert router.recv_multipart()[1] == b"hello"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(prop(b"Socket-Type", b"dealer"), id="type in lower case"),
        pytest.param(prop(b"Socket-Type", b""), id="empty type"),
        pytest.param(prop(b"Socket-Type", b"DEALERX"), id="longer type"),
        pytest.param(prop(b"Socket-Type", b"DEALE"), id="shorter type"),
        pytest.param(prop(b"Socket-Type", b"STREAM"), id="STREAM"),
        pytest.param(DEALER_TYPE + b"\x01", id="1 trailing byte"),
        pytest.param(DEALER_TYPE + b"\x00", id="1 trailing zero"),
        pytest.param(DEALER_TYPE + b"\x08Ident", id="truncated name"),
        pytest.param(DEALER_TYPE + b"\x08Identity", id="no value length", marks=pytest.mark.unlike_libzmq),
        pytest.param(DEALER_TYPE + b"\x08Identity\0\0\0", id="truncated value length"),
        pytest.param(DEALER_TYPE + b"\x08Identity\0\0\0\x05abc", id="value length beyond the body"),
        pytest.param(DEALER_TYPE + b"\x08Identity\xff\xff\xff\xffabc", id="value length of 4 GB"),
        pytest.param(DEALER_TYPE + b"\x08Identity\x80\0\0\0abc", id="value length with the sign bit"),
        pytest.param(DEALER_TYPE + b"\xff", id="name length beyond the body"),
    ],
)
def test_refused(rig: Rig, data: bytes) -> None:
    """Malformed property lists and wrong types: closed."""
    _, peer = ready_to_router(rig, raw_ready(data))
    peer.expect_close()


@pytest.mark.parametrize(
    "identity", [b"i", b"i" * 255, b"i" * 256, b"i" * 300, b"\x00abc", b"\x00", b"\xff\x00\xff"], ids=repr
)
def test_identity_is_used_as_it_is(rig: Rig, identity: bytes) -> None:
    """Identity of 255, 256, 300 bytes, or starting with 00: accepted and used as it is."""
    router, peer = ready_to_router(rig, ready("DEALER", identity))
    peer.send(frame(b"hello"))
    assert router.recv_multipart() == [identity, b"hello"]  # type: ignore[attr-defined]
    router.send_multipart([identity, b"back"])  # type: ignore[attr-defined]
    assert peer.read_message() == [b"back"]


def test_last_identity_wins(rig: Rig) -> None:
    """Identity twice: the last one wins for routing."""
    data = raw_ready(DEALER_TYPE + prop(b"Identity", b"one") + prop(b"Identity", b"two"))
    router, peer = ready_to_router(rig, data)
    peer.send(frame(b"hello"))
    assert router.recv_multipart() == [b"two", b"hello"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(b"\x05READY" + DEALER_TYPE, is_command=True, long=True), id="LONG"),
        pytest.param(frame(b"\x05READY" + DEALER_TYPE), id="without the COMMAND flag"),
    ],
)
def test_other_frames_for_ready(rig: Rig, data: bytes) -> None:
    """READY in a LONG frame, and READY without the COMMAND flag: accepted."""
    router, peer = ready_to_router(rig, data)
    peer.send(frame(b"hello"))
    assert router.recv_multipart()[1] == b"hello"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(command(b"ready", DEALER_TYPE), id="ready"),
        pytest.param(command(b"READYX", DEALER_TYPE), id="READYX"),
        pytest.param(command(b"HELLO"), id="HELLO"),
        pytest.param(ping(), id="PING"),
        pytest.param(command(b"SUBSCRIBE", b""), id="SUBSCRIBE"),
        pytest.param(frame(b"hello"), id="a message"),
        pytest.param(frame(b""), id="an empty message"),
        pytest.param(frame(b"", is_command=True), id="an empty command"),
        pytest.param(frame(b"\x09READY", is_command=True), id="name length beyond the body"),
        pytest.param(message(b"two", b"parts"), id="two parts"),
    ],
)
def test_before_ready(rig: Rig, data: bytes) -> None:
    """Any other command, or any message, before READY: closed."""
    _, peer = ready_to_router(rig, data)
    peer.expect_close()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(error(b"400"), id="400"),
        pytest.param(error(b"300"), id="300"),
        pytest.param(error(b"500"), id="500"),
        pytest.param(error(b"Go away, whoever you are"), id="text"),
        pytest.param(error(b""), id="empty reason"),
        pytest.param(command(b"ERROR"), id="no reason length"),
        pytest.param(command(b"ERROR", b"\x09abc"), id="length beyond the body"),
        pytest.param(command(b"ERROR", b"\xff"), id="length without reason"),
    ],
)
def test_error_ends_the_connection(rig: Rig, data: bytes) -> None:
    """ERROR in the handshake, well-formed or not: closed, and nothing is answered."""
    _, peer = ready_to_router(rig, data)
    peer.expect_close()


@pytest.mark.unlike_libzmq
def test_message_together_with_ready(rig: Rig) -> None:
    """A message that comes together with READY, before the own READY is out, is accepted (libzmq closes)."""
    router, peer = rig.accepting("ROUTER")
    peer.send(greeting() + ready("DEALER", b"me") + frame(b"hello"))
    assert router.recv_multipart() == [b"me", b"hello"]
    peer.expect(greeting() + ready("ROUTER"))


def test_greeting_together_with_ready(rig: Rig) -> None:
    """READY alone in one write with the greeting works."""
    router, peer = rig.accepting("ROUTER")
    peer.send(greeting() + ready("DEALER", b"me"))
    peer.expect(greeting() + ready("ROUTER"))
    peer.send(frame(b"hello"))
    assert router.recv_multipart() == [b"me", b"hello"]


@pytest.mark.unlike_libzmq
def test_error_together_with_the_greeting(rig: Rig) -> None:
    """ERROR that comes in one write with the greeting ends the connection too (libzmq waits for ever)."""
    _, peer = rig.accepting("ROUTER")
    peer.send(greeting() + error(b"400"))
    assert (greeting() + ready("ROUTER")).startswith(peer.read_to_close())
