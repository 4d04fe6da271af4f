"""Boxes from and to plain frames: sizes, pieces, rooms, counters; NaCl's own functions open and seal what ours do."""

from __future__ import annotations

import os
import struct

import pytest

from tests.raw_peer import frame, message

nacl = pytest.importorskip("nacl.bindings")

from tests.native import _probe_curve as probe  # noqa: E402
from zmqcore import has  # noqa: E402

KEY = bytes(range(32))
ROOM = 1 << 20
SIZES = (0, 1, 31, 32, 222, 223, 255, 256, 2014, 2015, 2016, 5000, 200_000)

assert has("curve")  # provides the functions


def sealed(body: bytes, number: int, flags: int = 0, text: bytes = b"CurveZMQMESSAGEC") -> bytes:
    """A MESSAGE as RFC 26 has it."""
    counter = struct.pack(">Q", number)
    return frame(b"\x07MESSAGE" + counter + nacl.crypto_box_afternm(bytes([flags]) + body, text + counter, KEY))


@pytest.mark.parametrize("is_derived", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_sealed_as_by_nacl(size: int, is_derived: bool) -> None:
    body = os.urandom(size)
    client = probe.Curve(KEY, False, 2, 1, is_derived)
    assert client.seal([frame(body, more=True)]) == (len(frame(body)), sealed(body, 3, 1))
    assert client.seal([frame(body, is_command=True)]) == (len(frame(body)), sealed(body, 4, 2))
    server = probe.Curve(KEY, True, 1, 2, is_derived)
    assert server.seal([frame(body)])[1] == sealed(body, 2, 0, b"CurveZMQMESSAGES")


@pytest.mark.parametrize("is_derived", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_opened_as_by_nacl(size: int, is_derived: bool) -> None:
    body = os.urandom(size)
    server = probe.Curve(KEY, True, 1, 2, is_derived)
    server.feed(sealed(body, 3, 1) + sealed(body, 4, 2) + sealed(body, 5))
    assert server.open(ROOM) == (frame(body, more=True) + frame(body, is_command=True) + frame(body), 0, 0)


def test_a_body_may_be_the_next_buffer() -> None:
    head, body = frame(b"x" * 10_000)[:9], b"x" * 10_000
    client, server = probe.Curve(KEY, False), probe.Curve(KEY, True)
    used, output = client.seal([message(b"a", b"b") + head, body, message(b"c")])
    assert used == len(message(b"a", b"b") + head + body + message(b"c"))
    server.feed(output)
    assert server.open(ROOM)[0] == message(b"a", b"b") + head + body + message(b"c")


def test_a_head_whose_body_was_not_gathered_is_left() -> None:
    client = probe.Curve(KEY, False)
    assert client.seal([message(b"a") + frame(b"x" * 10_000)[:9]]) == (len(message(b"a")), sealed(b"a", 1))


def test_a_write_has_a_bound() -> None:
    """What is left is for the next one; the counters go on."""
    plain = message(b"x" * 100) * 5000
    client, server = probe.Curve(KEY, False), probe.Curve(KEY, True)
    opened, off, rounds = b"", 0, 0
    while off < len(plain):
        used, output = client.seal([plain[off:]])
        assert 0 < used and len(output) < 140_000
        off += used
        rounds += 1
        server.feed(output)
        opened += server.open(ROOM)[0]
    assert opened == plain and rounds > 5


def test_pieces() -> None:
    server = probe.Curve(KEY, True)
    data = sealed(b"x" * 300, 1)
    for at in range(len(data)):
        assert server.next_bytes == 0
        server.feed(data[at : at + 1])
        assert server.open(ROOM)[0] == (frame(b"x" * 300) if at == len(data) - 1 else b"")


def test_rooms() -> None:
    """A frame that does not fit waits, and says what room it wants."""
    server = probe.Curve(KEY, True)
    server.feed(sealed(b"a" * 100, 1) + sealed(b"b" * 500, 2))
    opened, need, _ = server.open(200)
    assert opened == frame(b"a" * 100)
    assert server.next_bytes == need >= len(frame(b"b" * 500))
    assert server.open(need)[:2] == (frame(b"b" * 500), 0)


@pytest.mark.parametrize("is_derived", [True, False])
@pytest.mark.parametrize("size", [1, 5000])
def test_every_changed_byte_is_found(size: int, is_derived: bool) -> None:
    data = sealed(b"x" * size, 1)
    head = 2 if size == 1 else 9
    for at in [*range(head, head + 40), len(data) - 1]:
        if at >= len(data):
            continue
        server = probe.Curve(KEY, True, 0, 0, is_derived)
        server.feed(data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :])
        rc, _, error = server.open(ROOM)
        assert isinstance(rc, int) and rc < 0
        assert error == (0x10000001 if at < head + 8 else 0x11000001)


@pytest.mark.parametrize(("received", "number"), [(0, 0), (5, 5), (5, 4), ((1 << 64) - 1, (1 << 64) - 1)])
def test_replays(received: int, number: int) -> None:
    server = probe.Curve(KEY, True, 0, received)
    server.feed(sealed(b"x", number))
    assert server.open(ROOM)[2] == 0x10000002


def test_maxmsgsize_is_of_the_box() -> None:
    server = probe.Curve(KEY, True)
    server.feed(sealed(b"x" * 67, 1) + sealed(b"x" * 68, 2)[:9])
    rc, _, error = server.open(ROOM, 100)
    assert isinstance(rc, int) and rc < 0 and error == 0
