"""The codec: bytes in, verdicts and bytes out. Literal frames and greetings are captures of libzmq 4.3.5."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.native import _probe_zmtp as zmtp

SIGNATURE = bytes.fromhex("ff 00 00 00 00 00 00 00 01 7f")
MECHANISM_NULL = b"NULL" + bytes(16)
ROUTER = 6
DEALER = 5


def greeting_3x(major: int = 3, minor: int = 1, mechanism: bytes = MECHANISM_NULL, filler: bytes = bytes(32)) -> bytes:
    return SIGNATURE + bytes([major, minor]) + mechanism + filler


# --- frame headers -----------------------------------------------------------------------------------------------

SIZES = [0, 1, 255, 256, 65536, 2**32, 2**63 - 1]


@pytest.mark.parametrize(
    ("flags", "size", "head"),
    [
        (0, 0, "00 00"),
        (0, 1, "00 01"),
        (0, 255, "00 ff"),
        (0, 256, "02 00 00 00 00 00 00 01 00"),
        (0, 65536, "02 00 00 00 00 00 01 00 00"),
        (zmtp.MORE, 2, "01 02"),
        (zmtp.MORE, 256, "03 00 00 00 00 00 00 01 00"),
        (zmtp.COMMAND, 26, "04 1a"),
        (zmtp.COMMAND, 256, "06 00 00 00 00 00 00 01 00"),
        (0, 2**63 - 1, "02 7f ff ff ff ff ff ff ff"),
    ],
)
def test_head_as_captured(flags: int, size: int, head: str) -> None:
    assert zmtp.head_write(flags, size) == bytes.fromhex(head)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("flags", [0, zmtp.MORE, zmtp.COMMAND])
def test_head_round_trip_needs_every_byte(flags: int, size: int) -> None:
    head = zmtp.head_write(flags, size)
    used, got_flags, got_size = zmtp.head_read(head)
    assert (used, got_flags & 5, got_size) == (len(head), flags, size)
    for cut in range(len(head)):
        assert zmtp.head_read(head[:cut])[0] == 0


def test_head_long_form_for_a_short_size_is_read() -> None:
    assert zmtp.head_read(bytes.fromhex("02 00 00 00 00 00 00 00 03 61 62 63")) == (9, 2, 3)


def test_head_unknown_flags_do_not_change_the_size() -> None:
    used, flags, size = zmtp.head_read(bytes.fromhex("f8 03 61 62 63"))
    assert (used, flags & 7, size) == (2, 0, 3)


@pytest.mark.parametrize(
    ("flags", "size", "head"),
    [
        (0, 0, "01 00"),
        (zmtp.MORE, 0, "01 01"),
        (zmtp.MORE, 2, "03 01"),
        (0, 5, "06 00"),
        (0, 253, "fe 00"),
        (zmtp.MORE, 254, "ff 00 00 00 00 00 00 00 ff 01"),
        (0, 2**63 - 1, "ff 80 00 00 00 00 00 00 00 00"),
    ],
)
def test_v1_head_as_captured(flags: int, size: int, head: str) -> None:
    assert zmtp.v1_head_write(flags, size) == bytes.fromhex(head)


@pytest.mark.parametrize("size", [*SIZES, 253, 254])
@pytest.mark.parametrize("flags", [0, zmtp.MORE])
def test_v1_head_round_trip_needs_every_byte(flags: int, size: int) -> None:
    head = zmtp.v1_head_write(flags, size)
    assert zmtp.v1_head_read(head) == (len(head), flags, size)
    for cut in range(len(head)):
        assert zmtp.v1_head_read(head[:cut])[0] == 0


def test_v1_head_of_a_signature_is_an_identity_without_more() -> None:
    assert zmtp.v1_head_read(bytes.fromhex("ff 00 00 00 00 00 00 00 04 7f 61 62 63")) == (10, 1, 3)


@pytest.mark.parametrize(
    "head", ["00", "00 00", "00 01 61", "ff 00 00 00 00 00 00 00 00", "ff 00 00 00 00 00 00 00 00 00"]
)
def test_v1_length_of_zero_is_malformed(head: str) -> None:
    assert zmtp.v1_head_read(bytes.fromhex(head))[0] == -zmtp.EPROTO


def reference_frames(stream: bytes) -> list[tuple[int, bytes]]:
    """The frames of a stream, read the slow and obvious way (RFC 37, framing)."""
    found = []
    while stream:
        flags = stream[0]
        width = 8 if flags & 2 else 1
        size = int.from_bytes(stream[1 : 1 + width], "big")
        if len(stream) < 1 + width + size:
            break
        found.append((flags, stream[1 + width : 1 + width + size]))
        stream = stream[1 + width + size :]
    return found


class FrameReader:
    """What an engine does with zmtp_head_read: it keeps what it cannot use yet."""

    def __init__(self) -> None:
        self.held = b""
        self.frames: list[tuple[int, bytes]] = []

    def feed(self, data: bytes) -> None:
        self.held += data
        while True:
            used, flags, size = zmtp.head_read(self.held)
            if used == 0 or len(self.held) - used < size:
                return
            self.frames.append((flags, self.held[used : used + size]))
            self.held = self.held[used + size :]


def split(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in zip(places, places[1:], strict=False)]


@st.composite
def frame_streams(draw: st.DrawFn) -> bytes:
    """Whole frames, short and long, also long ones that need not be, then the start of one more."""
    stream = b""
    bodies = st.one_of(st.binary(max_size=12), st.integers(250, 260).map(lambda size: b"x" * size))
    for body in draw(st.lists(bodies, max_size=6)):
        flags = draw(st.integers(0, 255)) & ~2
        if len(body) > 255 or draw(st.booleans()):
            stream += bytes([flags | 2]) + len(body).to_bytes(8, "big") + body
        else:
            stream += bytes([flags, len(body)]) + body
    return stream + draw(st.binary(max_size=10))


@given(frame_streams(), st.lists(st.integers(0, 400), max_size=12))
def test_any_split_of_a_stream_gives_the_same_frames(stream: bytes, cuts: list[int]) -> None:
    reader = FrameReader()
    for part in split(stream, cuts):
        reader.feed(part)
    assert reader.frames == reference_frames(stream)


@given(st.binary(max_size=12), st.integers(0, 2**63 - 1), st.sampled_from([0, 1]))
def test_v1_heads_read_alike_with_and_without_what_follows(tail: bytes, size: int, flags: int) -> None:
    head = zmtp.v1_head_write(flags, size)
    assert zmtp.v1_head_read(head + tail) == zmtp.v1_head_read(head) == (len(head), flags, size)


# --- greeting ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What one side knows and has sent after a number of the peer's bytes."""

    verdict: int
    version: int
    sent: bytes
    used: int
    peer_type: int = 0


def reference_greeting(stream: bytes, mechanism: bytes = b"NULL", own_type: int = ROUTER, id_bytes: int = 0) -> Outcome:
    """RFC 37 and RFC 23, as a function of everything that came so far. used counts only for peers with a version."""
    sent = b"\xff" + (id_bytes + 1).to_bytes(8, "big") + b"\x7f"
    if stream[:1] not in (b"", b"\xff") or (len(stream) >= 10 and not stream[9] & 1):
        return Outcome(zmtp.GREETING_DONE, 1, sent, 0)
    if len(stream) < 10:
        return Outcome(zmtp.GREETING_MORE, 0, sent, len(stream))
    sent += b"\x03"
    if len(stream) < 11:
        return Outcome(zmtp.GREETING_MORE, 0, sent, len(stream))
    major = stream[10]
    if major in (0, 1):
        sent += bytes([own_type])
        if len(stream) < 12:
            return Outcome(zmtp.GREETING_MORE, 0, sent, len(stream))
        return Outcome(zmtp.GREETING_DONE, major + 1, sent, 12, stream[11])
    own = mechanism.ljust(20, b"\0")
    sent += b"\x01" + own + bytes(32)
    if len(stream) < 12:
        return Outcome(zmtp.GREETING_MORE, 0, sent, len(stream))
    version = 30 if stream[10:12] == b"\x03\x00" else 31
    if len(stream) < 64:
        return Outcome(zmtp.GREETING_MORE, version, sent, len(stream))
    return Outcome(zmtp.GREETING_DONE if stream[12:32] == own else zmtp.GREETING_MISMATCH, version, sent, 64)


def run_greeting(
    parts: list[bytes], mechanism: bytes = b"NULL", own_type: int = ROUTER, id_bytes: int = 0
) -> tuple[Outcome, bytes]:
    """Feeds the parts until the verdict, checks every step against the reference; the outcome and the bytes seen."""
    greeting = zmtp.Greeting(mechanism, own_type, id_bytes)
    came = sent = b""
    used_total = 0
    for part in [b"", *parts]:
        verdict, used, out = greeting.step(part)
        came += part
        sent += out
        used_total += used
        expected = reference_greeting(came, mechanism, own_type, id_bytes)
        assert (verdict, greeting.version, sent) == (expected.verdict, expected.version, expected.sent)
        assert greeting.seen == came[:used_total]
        if verdict != zmtp.GREETING_MORE:
            assert greeting.step(b"\xff" * 70) == (verdict, 0, b"")
            break
        assert used == len(part)
    return Outcome(verdict, greeting.version, sent, used_total, greeting.peer_type), greeting.seen


def test_greeting_goes_out_as_captured() -> None:
    greeting = zmtp.Greeting(b"NULL", ROUTER, 0)
    assert greeting.step(b"") == (zmtp.GREETING_MORE, 0, SIGNATURE)
    assert greeting.step(SIGNATURE[:9]) == (zmtp.GREETING_MORE, 9, b"")
    assert greeting.step(SIGNATURE[9:]) == (zmtp.GREETING_MORE, 1, b"\x03")
    rest = bytes.fromhex("01 4e 55 4c 4c") + bytes(16) + bytes(32)
    assert greeting.step(b"\x03") == (zmtp.GREETING_MORE, 1, rest)
    assert greeting.step(rest) == (zmtp.GREETING_DONE, 53, b"")
    assert greeting.version == 31


def test_greeting_in_one_read_leaves_what_follows() -> None:
    ready = bytes.fromhex("04 19 05 52 45 41 44 59")
    verdict, used, out = zmtp.Greeting(b"NULL", ROUTER, 0).step(greeting_3x() + ready)
    assert (verdict, used, out) == (zmtp.GREETING_DONE, 64, greeting_3x())


@pytest.mark.parametrize(
    ("id_bytes", "padding"), [(0, "00*7 01"), (3, "00*7 04"), (254, "00*7 ff"), (255, "00*6 01 00")]
)
def test_greeting_padding_is_the_id_length_of_a_1_0_frame(id_bytes: int, padding: str) -> None:
    expected = bytes.fromhex(padding.replace("00*7", "00" * 7).replace("00*6", "00" * 6))
    out = zmtp.Greeting(b"NULL", ROUTER, id_bytes).step(b"")[2]
    assert out == b"\xff" + expected + b"\x7f"


@pytest.mark.parametrize("last", [0x01, 0x7F, 0xFF])
def test_greeting_accepts_any_padding_and_an_odd_tenth_byte(last: int) -> None:
    outcome, _ = run_greeting([b"\xff" + b"\xa5" * 8 + bytes([last]) + greeting_3x()[10:]])
    assert (outcome.verdict, outcome.version) == (zmtp.GREETING_DONE, 31)


@pytest.mark.parametrize(
    ("major", "minor", "version"),
    [(3, 0, 30), (3, 1, 31), (3, 2, 31), (3, 255, 31), (2, 0, 31), (4, 0, 31), (255, 255, 31)],
)
def test_greeting_version_of_3_x_peers(major: int, minor: int, version: int) -> None:
    outcome, _ = run_greeting([greeting_3x(major, minor)])
    assert (outcome.verdict, outcome.version, outcome.used) == (zmtp.GREETING_DONE, version, 64)


@pytest.mark.parametrize(("major", "version"), [(0, 1), (1, 2)])
def test_greeting_of_12_bytes(major: int, version: int) -> None:
    greeting = zmtp.Greeting(b"NULL", ROUTER, 0)
    assert greeting.step(SIGNATURE) == (zmtp.GREETING_MORE, 10, SIGNATURE + b"\x03")
    assert greeting.step(bytes([major])) == (zmtp.GREETING_MORE, 1, bytes([ROUTER]))
    # The identity that follows the type is not the greeting's.
    assert greeting.step(bytes([DEALER]) + bytes.fromhex("00 02 6d 65")) == (zmtp.GREETING_DONE, 1, b"")
    assert (greeting.version, greeting.peer_type) == (version, DEALER)


@pytest.mark.parametrize("first", [bytes.fromhex("01 00"), b"GET / HTTP/1.1\r\n", b"\x00", b"\xfe"])
def test_greeting_first_byte_shows_an_unversioned_peer(first: bytes) -> None:
    greeting = zmtp.Greeting(b"NULL", ROUTER, 3)
    assert greeting.step(first) == (zmtp.GREETING_DONE, 0, bytes.fromhex("ff 00 00 00 00 00 00 00 04 7f"))
    assert (greeting.version, greeting.seen) == (1, b"")


def test_greeting_tenth_byte_shows_an_unversioned_peer() -> None:
    """A 1.0 peer with an identity of 300 bytes."""
    stream = bytes.fromhex("ff 00 00 00 00 00 00 01 2d 00") + b"i" * 300
    greeting = zmtp.Greeting(b"NULL", ROUTER, 0)
    assert greeting.step(stream[:4]) == (zmtp.GREETING_MORE, 4, SIGNATURE)
    assert greeting.step(stream[4:]) == (zmtp.GREETING_DONE, 0, b"")
    assert (greeting.version, greeting.seen) == (1, stream[:4])


@pytest.mark.parametrize("theirs", [b"PLAIN", b"null", b"NULLX", b"NULL" + bytes(15) + b"x", b""])
def test_greeting_mechanism_must_be_the_same_in_all_20_bytes(theirs: bytes) -> None:
    stream = greeting_3x(mechanism=theirs.ljust(20, b"\0"))
    outcome, _ = run_greeting([stream[:63]])
    assert outcome.verdict == zmtp.GREETING_MORE
    outcome, _ = run_greeting([stream])
    assert (outcome.verdict, outcome.used) == (zmtp.GREETING_MISMATCH, 64)


def test_greeting_with_another_own_mechanism() -> None:
    outcome, _ = run_greeting([greeting_3x(mechanism=b"CURVE" + bytes(15))], mechanism=b"CURVE")
    assert (outcome.verdict, outcome.sent) == (zmtp.GREETING_DONE, greeting_3x(mechanism=b"CURVE" + bytes(15)))


def test_greeting_own_mechanism_of_20_bytes_and_more_is_cut() -> None:
    outcome, _ = run_greeting([greeting_3x(mechanism=b"ABCDEFGHIJKLMNOPQRST")], mechanism=b"ABCDEFGHIJKLMNOPQRST")
    assert outcome.verdict == zmtp.GREETING_DONE
    out = zmtp.Greeting(b"ABCDEFGHIJKLMNOPQRST" + b"x" * 80, ROUTER, 0).step(greeting_3x())[2]
    assert out == greeting_3x(mechanism=b"ABCDEFGHIJKLMNOPQRST")


def test_greeting_ignores_as_server_and_filler() -> None:
    outcome, _ = run_greeting([greeting_3x(filler=b"\x01" + b"\xee" * 31)])
    assert outcome.verdict == zmtp.GREETING_DONE


@st.composite
def peer_streams(draw: st.DrawFn) -> bytes:
    """What a peer of some version sends first, and what follows it."""
    padding = draw(st.binary(min_size=8, max_size=8))
    odd = draw(st.integers(0, 127)) * 2 + 1
    signature = b"\xff" + padding + bytes([odd])
    kind = draw(st.sampled_from(["1.0 short", "1.0 long", "major 0", "2.0", "3.x", "any"]))
    if kind == "1.0 short":
        stream = bytes([draw(st.integers(0, 254))])
    elif kind == "1.0 long":
        stream = b"\xff" + padding + bytes([odd - 1])
    elif kind == "major 0":
        stream = signature + b"\x00" + draw(st.binary(min_size=1, max_size=1))
    elif kind == "2.0":
        stream = signature + b"\x01" + draw(st.binary(min_size=1, max_size=1))
    elif kind == "3.x":
        version = draw(st.sampled_from([b"\x03\x00", b"\x03\x01", b"\x03\x07", b"\x02\x00", b"\x04\x00", b"\xff\x00"]))
        mechanism = draw(st.sampled_from([b"NULL", b"PLAIN", b"CURVE"])).ljust(20, b"\0")
        stream = signature + version + mechanism + draw(st.binary(min_size=32, max_size=32))
    else:
        stream = signature
    return stream + draw(st.binary(max_size=70))


@given(
    peer_streams(),
    st.lists(st.integers(0, 80), max_size=10),
    st.sampled_from([b"NULL", b"PLAIN"]),
    st.integers(0, 11),
    st.integers(0, 255),
)
def test_any_split_of_a_greeting_is_the_same_greeting(
    stream: bytes, cuts: list[int], mechanism: bytes, own_type: int, id_bytes: int
) -> None:
    outcomes = [
        run_greeting(parts, mechanism, own_type, id_bytes)
        for parts in ([stream], split(stream, cuts), [stream[i : i + 1] for i in range(len(stream))])
    ]
    expected = reference_greeting(stream, mechanism, own_type, id_bytes)
    for outcome, seen in outcomes:
        if expected.version == 1 and expected.used == 0:
            # An unversioned peer: what was taken before it was known is kept, and is less than a signature.
            assert outcome.used == len(seen) < 10
            assert (outcome.verdict, outcome.version, outcome.sent) == (zmtp.GREETING_DONE, 1, expected.sent)
        else:
            assert outcome == expected
        assert seen == stream[: outcome.used]


# --- commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "command", "data"),
    [
        (b"\x05READY", zmtp.COMMAND_READY, b""),
        (b"\x05READY\x0bSocket-Type", zmtp.COMMAND_READY, b"\x0bSocket-Type"),
        (b"\x05ERROR\x03400", zmtp.COMMAND_ERROR, b"\x03400"),
        (b"\x04PING\x00\x0f", zmtp.COMMAND_PING, b"\x00\x0f"),
        (b"\x04PONG", zmtp.COMMAND_PONG, b""),
        (b"\x09SUBSCRIBEA", zmtp.COMMAND_SUBSCRIBE, b"A"),
        (b"\x09SUBSCRIBE", zmtp.COMMAND_SUBSCRIBE, b""),
        (b"\x06CANCELA", zmtp.COMMAND_CANCEL, b"A"),
        (b"\x04JOINgrp1", zmtp.COMMAND_OTHER, b"grp1"),
        (b"\x05ready", zmtp.COMMAND_OTHER, b""),
        (b"\x06READYX", zmtp.COMMAND_OTHER, b""),
        (b"\x04READY", zmtp.COMMAND_OTHER, b"Y"),
        (b"\x00x", zmtp.COMMAND_OTHER, b"x"),
        (b"", zmtp.COMMAND_MALFORMED, b""),
        (b"\x00", zmtp.COMMAND_MALFORMED, b""),
        (b"\x05", zmtp.COMMAND_MALFORMED, b""),
        (b"\x06READY", zmtp.COMMAND_MALFORMED, b""),
        (b"\xffREADY", zmtp.COMMAND_MALFORMED, b""),
    ],
)
def test_command_read(body: bytes, command: int, data: bytes) -> None:
    assert zmtp.command_read(body) == (command, data)


@given(st.binary(max_size=40))
def test_command_read_of_anything_stays_inside(body: bytes) -> None:
    command, data = zmtp.command_read(body)
    if len(body) <= 1 or body[0] >= len(body):
        assert (command, data) == (zmtp.COMMAND_MALFORMED, b"")
    else:
        assert command != zmtp.COMMAND_MALFORMED
        assert data == body[1 + body[0] :]


SOCKET_TYPE = "0b 53 6f 63 6b 65 74 2d 54 79 70 65"


@pytest.mark.parametrize(
    ("frame", "properties"),
    [
        (f"04 1a 05 52 45 41 44 59 {SOCKET_TYPE} 00 00 00 04 50 41 49 52", [(b"Socket-Type", b"PAIR")]),
        (
            f"04 29 05 52 45 41 44 59 {SOCKET_TYPE} 00 00 00 06 44 45 41 4c 45 52"
            " 08 49 64 65 6e 74 69 74 79 00 00 00 00",
            [(b"Socket-Type", b"DEALER"), (b"Identity", b"")],
        ),
        (
            f"04 3a 05 52 45 41 44 59 {SOCKET_TYPE} 00 00 00 06 44 45 41 4c 45 52"
            " 08 49 64 65 6e 74 69 74 79 00 00 00 03 61 62 63 05 58 2d 61 70 70 00 00 00 04 64 65 6d 6f",
            [(b"Socket-Type", b"DEALER"), (b"Identity", b"abc"), (b"X-app", b"demo")],
        ),
    ],
)
def test_ready_as_captured(frame: str, properties: list[tuple[bytes, bytes]]) -> None:
    wire = bytes.fromhex(frame)
    body = b"\x05READY" + b"".join(zmtp.property_write(name, value) for name, value in properties)
    assert zmtp.head_write(zmtp.COMMAND, len(body)) + body == wire
    used, flags, size = zmtp.head_read(wire)
    assert (used, flags, size) == (2, zmtp.COMMAND, len(wire) - 2)
    command, data = zmtp.command_read(wire[used:])
    assert command == zmtp.COMMAND_READY
    assert zmtp.properties_read(data) == (0, properties, len(data))


def reference_properties(data: bytes) -> tuple[int, list[tuple[bytes, bytes]], int]:
    found = []
    off = 0
    while off < len(data):
        name_end = off + 1 + data[off]
        if name_end + 4 > len(data):
            return -zmtp.EPROTO, found, off
        value_end = name_end + 4 + int.from_bytes(data[name_end : name_end + 4], "big")
        if value_end > len(data):
            return -zmtp.EPROTO, found, off
        found.append((data[off + 1 : name_end], data[name_end + 4 : value_end]))
        off = value_end
    return 0, found, off


@pytest.mark.parametrize(
    "tail",
    [
        b"\x05",
        b"\x05X-app",
        b"\x05X-app\x00\x00\x00",
        b"\x05X-app\x00\x00\x00\x01",
        b"\x00\xff\xff\xff\xff",
        b"\xff",
        b"x",
    ],
)
def test_property_that_does_not_fit_is_malformed(tail: bytes) -> None:
    good = zmtp.property_write(b"Socket-Type", b"PUB")
    assert zmtp.properties_read(good + tail) == (-zmtp.EPROTO, [(b"Socket-Type", b"PUB")], len(good))


def test_property_empty_name_and_empty_value_are_read() -> None:
    assert zmtp.properties_read(bytes(5)) == (0, [(b"", b"")], 5)


# Names without NUL: the writer takes them as C text.
NAMES = st.lists(st.integers(1, 255), max_size=255).map(bytes)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=5))
def test_properties_round_trip(properties: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(zmtp.property_write(name, value) for name, value in properties)
    assert zmtp.properties_read(data) == (0, properties, len(data))


@st.composite
def property_like(draw: st.DrawFn) -> bytes:
    """Bytes that are nearly properties: true lists, cut and with one byte changed."""
    names = draw(st.lists(st.tuples(st.binary(max_size=4), st.binary(max_size=4)), max_size=4))
    data = bytearray(b"".join(bytes([len(n)]) + n + len(v).to_bytes(4, "big") + v for n, v in names))
    if data and draw(st.booleans()):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(st.one_of(property_like(), st.binary(max_size=40)))
def test_properties_of_anything_stay_inside(data: bytes) -> None:
    assert zmtp.properties_read(data) == reference_properties(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x00\x0f", (0, 15, b"")),
        (b"\x02\xbcctxctxctx", (0, 700, b"ctxctxctx")),
        (b"\xff\xff" + b"c" * 16, (0, 65535, b"c" * 16)),
        (b"\x00\x00" + b"c" * 16 + b"ddd", (0, 0, b"c" * 16)),
        (b"", (-zmtp.EPROTO, 0, b"")),
        (b"\x00", (-zmtp.EPROTO, 0, b"")),
    ],
)
def test_ping_read(data: bytes, expected: tuple[int, int, bytes]) -> None:
    assert zmtp.ping_read(data) == expected


def test_ping_and_pong_as_captured() -> None:
    assert zmtp.ping_write(15) == bytes.fromhex("04 07 04 50 49 4e 47 00 0f")
    assert zmtp.ping_write(65535)[-2:] == b"\xff\xff"
    assert zmtp.pong_write(b"") == bytes.fromhex("04 05 04 50 4f 4e 47")
    assert zmtp.pong_write(b"ctxctxctx") == bytes.fromhex("04 0e 04 50 4f 4e 47 63 74 78 63 74 78 63 74 78")


def test_pong_context_is_cut_to_16_bytes() -> None:
    assert zmtp.pong_write(b"c" * 19) == bytes.fromhex("04 15 04 50 4f 4e 47") + b"c" * 16


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x03ab", b"\xffab"])
def test_error_reason_that_does_not_fit_is_malformed(data: bytes) -> None:
    assert zmtp.error_read(data) == (-zmtp.EPROTO, b"")


@given(st.binary(max_size=24))
def test_error_read_of_anything_stays_inside(data: bytes) -> None:
    if not data or data[0] > len(data) - 1:
        assert zmtp.error_read(data) == (-zmtp.EPROTO, b"")
    else:
        assert zmtp.error_read(data) == (0, data[1 : 1 + data[0]])


def test_error_as_captured() -> None:
    body = bytes.fromhex("04 0a 05 45 52 52 4f 52 03 34 30 30")[2:]
    command, data = zmtp.command_read(body)
    assert (command, zmtp.error_read(data)) == (zmtp.COMMAND_ERROR, (0, b"400"))


# --- subscriptions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "is_subscribe", "topic", "wire"),
    [
        (31, True, b"", "04 0a 09 53 55 42 53 43 52 49 42 45"),
        (31, True, b"A", "04 0b 09 53 55 42 53 43 52 49 42 45 41"),
        (31, True, b"late", "04 0e 09 53 55 42 53 43 52 49 42 45 6c 61 74 65"),
        (31, False, b"A", "04 08 06 43 41 4e 43 45 4c 41"),
        (30, True, b"", "00 01 01"),
        (30, True, b"A", "00 02 01 41"),
        (30, False, b"A", "00 02 00 41"),
        (2, True, b"T", "00 02 01 54"),
        (2, True, b"late", "00 05 01 6c 61 74 65"),
        (1, True, b"A", "00 02 01 41"),
    ],
)
def test_subscription_as_captured(version: int, is_subscribe: bool, topic: bytes, wire: str) -> None:
    assert zmtp.subscription_head_write(version, is_subscribe, len(topic)) + topic == bytes.fromhex(wire)


@pytest.mark.parametrize(
    ("version", "is_subscribe", "topic_bytes", "start"),
    [
        (31, True, 245, "04 ff 09 53"),
        (31, True, 246, "06 00 00 00 00 00 00 01 00 09 53"),
        (31, True, 255, "06 00 00 00 00 00 00 01 09 09 53"),
        (31, False, 248, "04 ff 06 43"),
        (31, False, 249, "06 00 00 00 00 00 00 01 00 06 43"),
        (30, True, 245, "00 f6 01"),
        (30, True, 254, "00 ff 01"),
        (30, True, 255, "02 00 00 00 00 00 00 01 00 01"),
        (30, True, 256, "02 00 00 00 00 00 00 01 01 01"),
        (30, False, 256, "02 00 00 00 00 00 00 01 01 00"),
    ],
)
def test_subscription_of_a_long_topic(version: int, is_subscribe: bool, topic_bytes: int, start: str) -> None:
    head = zmtp.subscription_head_write(version, is_subscribe, topic_bytes)
    assert head.startswith(bytes.fromhex(start))
    used, _, size = zmtp.head_read(head)
    assert size == len(head) - used + topic_bytes


@given(st.booleans(), st.integers(0, 2**62))
def test_subscription_heads_of_3_1_read_back(is_subscribe: bool, topic_bytes: int) -> None:
    head = zmtp.subscription_head_write(31, is_subscribe, topic_bytes)
    used, flags, size = zmtp.head_read(head)
    assert (flags & 5, size) == (zmtp.COMMAND, len(head) - used + topic_bytes)
    expected = zmtp.COMMAND_SUBSCRIBE if is_subscribe else zmtp.COMMAND_CANCEL
    assert zmtp.command_read(head[used:]) == (expected, b"")
