"""The NULL mechanism: READY byte for byte, and what each possible answer of the peer leads to."""

from __future__ import annotations

import errno
import struct

import pytest

from tests.native import _probe_mechanism as probe
from tests.raw_peer import command, error, frame, ping, prop, ready

TYPES = ["PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB", "STREAM"]
PEERS = {
    "PAIR": {"PAIR"},
    "PUB": {"SUB", "XSUB"},
    "SUB": {"PUB", "XPUB"},
    "REQ": {"REP", "ROUTER"},
    "REP": {"REQ", "DEALER"},
    "DEALER": {"REP", "DEALER", "ROUTER"},
    "ROUTER": {"REQ", "DEALER", "ROUTER"},
    "PULL": {"PUSH"},
    "PUSH": {"PULL"},
    "XPUB": {"SUB", "XSUB"},
    "XSUB": {"PUB", "XPUB"},
    "STREAM": set[str](),
}
DRAFTS = ["SERVER", "CLIENT", "RADIO", "DISH", "GATHER", "SCATTER", "DGRAM", "PEER", "CHANNEL"]

ROUTING_ID, METADATA = 5, 95
HANDSHAKE, DONE, FAILED = range(3)
NONE, SILENT, PROTOCOL, AUTH = range(4)
UNSPECIFIED, UNEXPECTED_COMMAND, MALFORMED_ERROR = 0x10000000, 0x10000001, 0x10000015

READY_SOCKET_TYPE = "05 52 45 41 44 59 0b 53 6f 63 6b 65 74 2d 54 79 70 65 00 00 00 "
IDENTITY = " 08 49 64 65 6e 74 69 74 79 00 00 00 "
SENT = {
    "PAIR": "04 1a " + READY_SOCKET_TYPE + "04 50 41 49 52",
    "PUB": "04 19 " + READY_SOCKET_TYPE + "03 50 55 42",
    "SUB": "04 19 " + READY_SOCKET_TYPE + "03 53 55 42",
    "REQ": "04 26 " + READY_SOCKET_TYPE + "03 52 45 51" + IDENTITY + "00",
    "REP": "04 19 " + READY_SOCKET_TYPE + "03 52 45 50",
    "DEALER": "04 29 " + READY_SOCKET_TYPE + "06 44 45 41 4c 45 52" + IDENTITY + "00",
    "ROUTER": "04 29 " + READY_SOCKET_TYPE + "06 52 4f 55 54 45 52" + IDENTITY + "00",
    "PULL": "04 1a " + READY_SOCKET_TYPE + "04 50 55 4c 4c",
    "PUSH": "04 1a " + READY_SOCKET_TYPE + "04 50 55 53 48",
    "XPUB": "04 1a " + READY_SOCKET_TYPE + "04 58 50 55 42",
    "XSUB": "04 1a " + READY_SOCKET_TYPE + "04 58 53 55 42",
}
DEALER_TYPE = prop(b"Socket-Type", b"DEALER")


def mechanism(name: str, options: dict[int, list[bytes]] | None = None) -> probe.Mechanism:
    return probe.Mechanism(TYPES.index(name), options)


def body(whole: bytes) -> bytes:
    """The body of a frame that raw_peer made."""
    return whole[9:] if whole[0] & 2 else whole[2:]


def ready_body(properties: bytes) -> bytes:
    return b"\x05READY" + properties


# --- as sent -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("socket_type", SENT)
def test_ready_as_sent(socket_type: str) -> None:
    made = mechanism(socket_type)
    assert made.next() == bytes.fromhex(SENT[socket_type])
    assert made.next() == b""
    assert made.state == HANDSHAKE


def test_ready_with_identity_and_metadata() -> None:
    made = mechanism("DEALER", {ROUTING_ID: [b"abc"], METADATA: [b"X-app:demo"]})
    assert made.next() == bytes.fromhex(
        "04 3a " + READY_SOCKET_TYPE + "06 44 45 41 4c 45 52" + IDENTITY
        + "03 61 62 63 05 58 2d 61 70 70 00 00 00 04 64 65 6d 6f"
    )  # fmt: skip


@pytest.mark.parametrize("socket_type", SENT)
def test_identity_is_told_by_three_types_only(socket_type: str) -> None:
    told = b"abc" if socket_type in ("REQ", "DEALER", "ROUTER") else None
    assert mechanism(socket_type, {ROUTING_ID: [b"abc"]}).next() == ready(socket_type, told)


def test_metadata_follows_in_byte_order_of_its_names() -> None:
    made = mechanism("PUSH", {METADATA: [b"X-b:2", b"X-a:1"]})
    assert made.next() == ready("PUSH", None, prop(b"X-a", b"1") + prop(b"X-b", b"2"))


@pytest.mark.parametrize("value_bytes", [210, 217, 218, 219, 5000])
def test_long_ready_is_a_long_frame(value_bytes: int) -> None:
    value = b"v" * value_bytes
    made = mechanism("PUSH", {METADATA: [b"X-a:" + value]})
    assert made.next() == ready("PUSH", None, prop(b"X-a", value))


@pytest.mark.parametrize("value_bytes", [1, 300])
def test_too_little_room_changes_nothing(value_bytes: int) -> None:
    made = mechanism("DEALER", {METADATA: [b"X-a:" + b"v" * value_bytes]})
    whole = ready("DEALER", b"", prop(b"X-a", b"v" * value_bytes))
    for room in (0, 1, len(whole) - 1):
        assert made.next(room) == -errno.ENOBUFS
    assert made.next(len(whole)) == whole


def test_name() -> None:
    assert mechanism("PAIR").name == b"NULL"


# --- order ---------------------------------------------------------------------------------------------------------


def test_own_ready_first() -> None:
    made = mechanism("ROUTER")
    assert made.next()
    assert made.step(body(ready("DEALER"))) == 0
    assert made.state == DONE
    assert made.next() == b""


def test_ready_of_the_peer_first() -> None:
    made = mechanism("ROUTER")
    assert made.step(body(ready("DEALER"))) == 0
    assert made.state == HANDSHAKE
    assert made.next() == ready("ROUTER")
    assert made.state == DONE


@pytest.mark.parametrize("second", [b"message", body(ready("DEALER")), body(error(b"400"))])
def test_something_behind_ready_before_the_own_is_out(second: bytes) -> None:
    made = mechanism("ROUTER")
    assert made.step(body(ready("DEALER"))) == 0
    assert made.step(second, False) == -errno.EPROTO
    assert made.failure == (PROTOCOL, UNEXPECTED_COMMAND)
    assert made.next() == b""


def test_a_step_after_the_end() -> None:
    made = mechanism("ROUTER")
    made.next()
    made.step(body(ready("DEALER")))
    assert made.step(body(ready("DEALER"))) == -errno.EPROTO
    assert made.state == FAILED
    assert made.failure == (PROTOCOL, UNSPECIFIED)


def test_nothing_follows_a_failure() -> None:
    made = mechanism("ROUTER")
    assert made.step(body(error(b"400"))) == -errno.EPROTO
    assert made.next() == b""
    assert made.step(body(ready("DEALER"))) == -errno.EPROTO
    assert made.failure == (AUTH, 400)
    assert made.state == FAILED


# --- what the receiver checks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "peer_type", "peer_id"),
    [
        (b"", None, b""),
        (prop(b"Identity", b"me"), None, b"me"),
        (DEALER_TYPE, "DEALER", b""),
        (DEALER_TYPE + prop(b"Identity", b""), "DEALER", b""),
        (prop(b"socket-type", b"PUB") + prop(b"identity", b"me"), None, b""),
        (prop(b"Socket-Type", b"REQ") + prop(b"Identity", b"x" * 255), "REQ", b"x" * 255),
        (DEALER_TYPE + prop(b"Identity", b"x" * 256), "DEALER", b"x" * 256),
        (DEALER_TYPE + prop(b"Identity", b"\0id"), "DEALER", b"\0id"),
        (prop(b"Identity", b"first") + DEALER_TYPE + prop(b"Identity", b"last"), "DEALER", b"last"),
        (DEALER_TYPE + prop(b"X-other", b"1") + prop(b"", b"2") + prop(b"", b""), "DEALER", b""),
        (DEALER_TYPE + prop(b"X-large", b"x" * 10000), "DEALER", b""),
        (DEALER_TYPE + DEALER_TYPE, "DEALER", b""),
    ],
)
@pytest.mark.parametrize("is_command", [True, False])
def test_accepted(properties: bytes, peer_type: str | None, peer_id: bytes, is_command: bool) -> None:
    made = mechanism("ROUTER")
    made.next()
    assert made.step(ready_body(properties), is_command) == 0
    assert made.state == DONE
    assert made.failure == (NONE, 0)
    assert made.peer_type == (-1 if peer_type is None else TYPES.index(peer_type))
    assert made.peer_id == peer_id
    assert made.properties == properties


@pytest.mark.parametrize(
    "properties",
    [
        *(prop(b"Socket-Type", name) for name in (b"PUB", b"dealer", b"DEALE", b"DEALERS", b"", b"DEALER\0")),
        prop(b"Socket-Type", b"STREAM"),
        *(prop(b"Socket-Type", name.encode()) for name in DRAFTS),
        DEALER_TYPE + prop(b"Socket-Type", b"PUB"),
        prop(b"Socket-Type", b"PUB") + DEALER_TYPE,
        DEALER_TYPE + b"x",
        DEALER_TYPE + b"\0",
        DEALER_TYPE[:-1],
        DEALER_TYPE[:8],
        DEALER_TYPE[:14],
        DEALER_TYPE + b"\x05X-a",
        DEALER_TYPE + b"\x01x" + struct.pack(">I", 2) + b"v",
        DEALER_TYPE + b"\x01x" + struct.pack(">I", 0x80000000) + b"v",
        DEALER_TYPE + b"\x01x" + struct.pack(">I", 0xFFFFFFFF) + b"v",
        DEALER_TYPE + b"\xff",
    ],
)
def test_closed_without_a_word(properties: bytes) -> None:
    made = mechanism("ROUTER")
    made.next()
    assert made.step(ready_body(properties)) == -errno.EPROTO
    assert made.state == FAILED
    assert made.failure == (SILENT, 0)


@pytest.mark.parametrize("cut", range(len(DEALER_TYPE)))
def test_every_cut_of_a_ready(cut: int) -> None:
    made = mechanism("ROUTER")
    made.next()
    rc = made.step(ready_body(DEALER_TYPE[:cut]))
    assert rc == (0 if cut == 0 else -errno.EPROTO)
    assert made.state == (DONE if cut == 0 else FAILED)


@pytest.mark.parametrize(
    "wrong",
    [
        body(command(b"ready", DEALER_TYPE)),
        body(command(b"READYX", DEALER_TYPE)),
        body(command(b"READ")),
        body(command(b"HELLO")),
        body(ping()),
        body(frame(b"a message")),
        b"",
        b"\x05",
        b"\x00",
        b"\x00x",
        b"\x05READ",
        b"\x09READY",
    ],
)
@pytest.mark.parametrize("is_command", [True, False])
def test_anything_but_ready_is_a_protocol_error(wrong: bytes, is_command: bool) -> None:
    made = mechanism("ROUTER")
    made.next()
    assert made.step(wrong, is_command) == -errno.EPROTO
    assert made.state == FAILED
    assert made.failure == (PROTOCOL, UNEXPECTED_COMMAND)


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (b"\x03300", (AUTH, 300)),
        (b"\x03400", (AUTH, 400)),
        (b"\x03500", (AUTH, 500)),
        (b"\x03400trailing", (AUTH, 400)),
        (b"\x03200", (SILENT, 0)),
        (b"\x03600", (SILENT, 0)),
        (b"\x03410", (SILENT, 0)),
        (b"\x03401", (SILENT, 0)),
        (b"\x03\xb400", (SILENT, 0)),
        (b"\x0240", (SILENT, 0)),
        (b"\x044000", (SILENT, 0)),
        (b"\x07no luck", (SILENT, 0)),
        (b"\x00", (SILENT, 0)),
        (b"", (PROTOCOL, MALFORMED_ERROR)),
        (b"\x01", (PROTOCOL, MALFORMED_ERROR)),
        (b"\x0440", (PROTOCOL, MALFORMED_ERROR)),
        (b"\xff400", (PROTOCOL, MALFORMED_ERROR)),
    ],
)
@pytest.mark.parametrize("is_command", [True, False])
def test_error(data: bytes, failure: tuple[int, int], is_command: bool) -> None:
    made = mechanism("DEALER")
    assert made.step(b"\x05ERROR" + data, is_command) == -errno.EPROTO
    assert made.state == FAILED
    assert made.failure == failure


# --- socket types --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", SENT)
@pytest.mark.parametrize("peer", TYPES)
def test_who_may_talk_to_whom(own: str, peer: str) -> None:
    fits = peer in PEERS[own]
    assert probe.types_fit(TYPES.index(own), TYPES.index(peer)) == fits
    made = mechanism(own)
    made.next()
    assert (made.step(body(ready(peer))) == 0) == fits


def test_types_beyond_the_table() -> None:
    assert [probe.type_name(number).decode() for number in range(12)] == TYPES
    for number in (-1, 12, 2**31 - 1, -(2**31)):
        assert probe.type_name(number) == b""
        for known in range(12):
            assert not probe.types_fit(known, number)
            assert not probe.types_fit(number, known)
    assert not any(probe.types_fit(TYPES.index("STREAM"), known) for known in range(12))


# --- properties ----------------------------------------------------------------------------------------------------


def test_property_lookup() -> None:
    made = mechanism("ROUTER")
    properties = DEALER_TYPE + prop(b"X-a", b"1") + prop(b"X-empty", b"") + prop(b"X-a", b"2")
    assert made.property(b"X-a") is None
    assert made.step(ready_body(properties)) == 0
    assert made.property(b"Socket-Type") == b"DEALER"
    assert made.property(b"X-a") == b"1"
    assert made.property(b"X-empty") == b""
    for unknown in (b"x-a", b"X-", b"X-ab", b"", b"Identity"):
        assert made.property(unknown) is None


def test_fini_forgets_the_peer_and_may_come_twice() -> None:
    made = mechanism("ROUTER")
    assert made.step(body(ready("DEALER", b"me"))) == 0
    assert made.peer_id == b"me"
    made.fini()
    assert made.properties == b""
    assert made.peer_id == b""
    assert made.property(b"Identity") is None
