"""Frames of ZMTP 2.0 and later (RFC 37, "Framing"): sizes, flags, commands between messages, limits."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.raw_peer import (
    DEADLINE_S,
    QUIET_S,
    RawPeer,
    Rig,
    cancel,
    command,
    error,
    frame,
    message,
    ping,
    pong,
    prop,
    ready,
    resident_bytes,
    subscribe,
    wait_until,
)


def pull(rig: Rig, **options: Any) -> tuple[Any, RawPeer]:
    """A PULL and a raw PUSH whose handshake is done."""
    sock, peer = rig.accepting("PULL", **options)
    peer.handshake("PUSH")
    return sock, peer


def push(rig: Rig, **options: Any) -> tuple[Any, RawPeer]:
    """A PUSH and a raw PULL whose handshake is done."""
    sock, peer = rig.accepting("PUSH", **options)
    peer.handshake("PULL")
    return sock, peer


# --- sizes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (b"", "00 00"),
        (b"z", "00 01"),
        (b"x" * 254, "00 fe"),
        (b"x" * 255, "00 ff"),
        (b"x" * 256, "02 00 00 00 00 00 00 01 00"),
        (b"x" * 65535, "02 00 00 00 00 00 00 ff ff"),
        (b"x" * 65536, "02 00 00 00 00 00 01 00 00"),
        (b"x" * 1000000, "02 00 00 00 00 00 0f 42 40"),
    ],
    ids=lambda value: str(len(value)) if isinstance(value, bytes) else "",
)
def test_sizes_as_sent(rig: Rig, body: bytes, head: str) -> None:
    """A short size is 1 byte, for 0 to 255 bytes; a long size is 8 bytes in network order."""
    sock, peer = push(rig)
    sock.send(body)
    peer.expect(bytes.fromhex(head) + body)


@pytest.mark.parametrize("size", [0, 1, 2, 127, 254, 255, 256, 257, 8191, 8192, 8193, 65535, 65536, 1000000])
@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
def test_sizes_as_received(rig: Rig, size: int, long: bool) -> None:
    """The receiver accepts LONG for any size."""
    if size > 255 and not long:
        long = True
    sock, peer = pull(rig)
    body = bytes(i & 255 for i in range(size))
    peer.send(frame(body, long=long) + frame(b"next"))
    assert sock.recv() == body
    assert sock.recv() == b"next"


def test_long_form_of_three_bytes(rig: Rig) -> None:
    """LONG with a small size, byte for byte."""
    sock, peer = pull(rig)
    peer.send(bytes.fromhex("02 00 00 00 00 00 00 00 03 61 62 63"))
    assert sock.recv() == b"abc"


def test_multipart_as_sent(rig: Rig) -> None:
    """MORE is set on all parts but the last."""
    sock, peer = push(rig)
    sock.send_multipart([b"M1", b"body"])
    peer.expect_hex("01 02 4d 31 00 04 62 6f 64 79")
    sock.send_multipart([b"", b"x" * 300, b""])
    peer.expect(bytes.fromhex("01 00 03 00 00 00 00 00 00 01 2c") + b"x" * 300 + b"\0\0")


def test_multipart_as_received(rig: Rig) -> None:
    """Empty, short and long parts in any mixture make one message."""
    sock, peer = pull(rig)
    parts = [b"", b"a", b"b" * 256, b"", b"c" * 70000, b""]
    peer.send(message(*parts))
    assert sock.recv_multipart() == parts


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 7, 64])
def test_any_split_gives_the_same_frames(rig: Rig, piece_bytes: int) -> None:
    """Frame headers and bodies may be cut anywhere."""
    sock, peer = pull(rig)
    peer.trickle(
        message(b"a", b"", b"x" * 300) + ping(0, b"c") + frame(b"", long=True) + frame(b"last", long=True), piece_bytes
    )
    assert sock.recv_multipart() == [b"a", b"", b"x" * 300]
    assert sock.recv_multipart() == [b""]
    assert sock.recv_multipart() == [b"last"]
    peer.expect(pong(b"c"))


def test_thousand_messages_in_one_segment(rig: Rig) -> None:
    """Frames need no segment of their own; order is kept."""
    sock, peer = pull(rig)
    peer.send(b"".join(message(b"%d" % i, b"x" * (i % 300)) for i in range(900)))
    for i in range(900):
        assert sock.recv_multipart() == [b"%d" % i, b"x" * (i % 300)]


# --- flags ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reserved", [0x08, 0x10, 0x20, 0x40, 0x80, 0xF8])
def test_reserved_flags_are_ignored(rig: Rig, reserved: int) -> None:
    """Bits 3..7 are ignored on receipt (`f8 03 61 62 63` is the message "abc")."""
    sock, peer = pull(rig)
    peer.send(bytes([reserved, 3]) + b"abc")
    assert sock.recv_multipart() == [b"abc"]
    peer.send(bytes([reserved | 1, 1]) + b"a" + bytes([reserved | 2]) + struct.pack(">Q", 1) + b"b")
    assert sock.recv_multipart() == [b"a", b"b"]
    peer.barrier()


def test_reserved_flags_are_sent_as_zero(rig: Rig) -> None:
    """Bits 3..7 are sent 0, also on messages that came in with them."""
    dealer, peer = rig.accepting("DEALER")
    peer.handshake("DEALER")
    peer.send(b"\xf8\x03abc")
    dealer.send_multipart(dealer.recv_multipart())
    assert peer.read_frame().raw == b"\x00\x03abc"


# --- commands ------------------------------------------------------------------------------------------------------

STRAY_COMMANDS = [
    pytest.param(command(b"FOO", b"bar"), id="unknown name"),
    pytest.param(command(b"ping", b"\0\0"), id="ping"),
    pytest.param(command(b"PINGX", b"\0\0"), id="PINGX"),
    pytest.param(command(b"P", b""), id="P"),
    pytest.param(command(b"", b"data"), id="empty name"),
    pytest.param(frame(b"", is_command=True), id="empty body"),
    pytest.param(frame(b"\x04", is_command=True), id="only a name length"),
    pytest.param(frame(b"\xffPING", is_command=True), id="name length beyond the body"),
    pytest.param(ready("PUSH"), id="second READY"),
    pytest.param(command(b"READY", prop(b"Socket-Type", b"SUB")), id="second READY of another type"),
    pytest.param(error(b"400"), id="ERROR"),
    pytest.param(pong(), id="PONG"),
    pytest.param(pong(b"context that nobody sent, and longer than 16 bytes"), id="PONG with context"),
    pytest.param(command(b"JOIN", b"grp1"), id="JOIN"),
    pytest.param(command(b"LEAVE", b"grp1"), id="LEAVE"),
    pytest.param(command(b"X" * 255, b"y" * 5000), id="long name"),
]


@pytest.mark.parametrize("stray", STRAY_COMMANDS)
def test_stray_commands_are_dropped(rig: Rig, stray: bytes) -> None:
    """A COMMAND frame that means nothing here is dropped silently and the connection lives on."""
    sock, peer = pull(rig)
    peer.send(stray + frame(b"after"))
    assert sock.recv_multipart() == [b"after"]
    peer.barrier()


@pytest.mark.parametrize("stray", STRAY_COMMANDS)
def test_stray_commands_between_parts(rig: Rig, stray: bytes) -> None:
    """COMMAND frames are never part of a message and may arrive between its parts."""
    sock, peer = pull(rig)
    peer.send(frame(b"a", more=True) + stray + frame(b"b"))
    assert sock.recv_multipart() == [b"a", b"b"]
    peer.barrier()


def test_more_on_a_command_is_ignored(rig: Rig) -> None:
    """MORE on a COMMAND frame is ignored."""
    sock, peer = pull(rig)
    peer.send(frame(b"\x03FOO", more=True, is_command=True) + frame(b"one") + frame(b"two"))
    assert sock.recv_multipart() == [b"one"]
    assert sock.recv_multipart() == [b"two"]


def test_ping_between_parts(rig: Rig) -> None:
    """PING between two parts is answered and the message stays whole."""
    sock, peer = pull(rig)
    peer.send(frame(b"a", more=True) + ping(0, b"mid"))
    peer.expect(pong(b"mid"))
    rig.expect_nothing(sock)
    peer.send(frame(b"b"))
    assert sock.recv_multipart() == [b"a", b"b"]


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("other", [("PULL", "PUSH"), ("DEALER", "DEALER"), ("PAIR", "PAIR"), ("SUB", "PUB")])
@pytest.mark.parametrize("stray", [subscribe(b"zz"), cancel(b"zz")], ids=["SUBSCRIBE", "CANCEL"])
def test_subscriptions_go_to_publishers_only(rig: Rig, other: tuple[str, str], stray: bytes) -> None:
    """SUBSCRIBE and CANCEL are dropped on types other than PUB and XPUB (libzmq hands their body to the user)."""
    options = {"SUBSCRIBE": b""} if other[0] == "SUB" else {}
    sock, listener = rig.connecting(other[0], **options)
    peer = listener.accept()
    peer.handshake(other[1])
    if other[0] == "SUB":
        peer.expect(subscribe(b""))
    peer.send(stray + frame(b"after"))
    assert sock.recv_multipart() == [b"after"]


def test_incomplete_message_is_invisible(rig: Rig) -> None:
    """An incomplete multipart message is invisible to the receiver."""
    sock, peer = pull(rig)
    peer.send(frame(b"a", more=True) + frame(b"b", more=True))
    peer.barrier()
    assert not sock.poll(0)
    rig.expect_nothing(sock)
    peer.send(frame(b"c"))
    assert sock.recv_multipart() == [b"a", b"b", b"c"]


# --- limits --------------------------------------------------------------------------------------------------------


def test_maxmsgsize_accepts_its_own_value(rig: Rig) -> None:
    """MAXMSGSIZE is the largest frame accepted, in either form."""
    sock, peer = pull(rig, MAXMSGSIZE=100)
    peer.send(frame(b"x" * 100) + frame(b"y" * 100, long=True))
    assert sock.recv() == b"x" * 100
    assert sock.recv() == b"y" * 100


@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
def test_maxmsgsize_closes_one_byte_above(rig: Rig, long: bool) -> None:
    """A larger one drops the connection, as soon as its header is in."""
    sock, peer = pull(rig, MAXMSGSIZE=100)
    peer.send(frame(b"fits") + frame(b"x" * 101, long=long)[: 9 if long else 2])
    peer.expect_close()
    assert sock.recv() == b"fits"
    rig.expect_nothing(sock)


def test_maxmsgsize_counts_frames_not_messages(rig: Rig) -> None:
    """It does not limit the sum of a multipart message."""
    sock, peer = pull(rig, MAXMSGSIZE=100)
    peer.send(message(*[b"x" * 100] * 50))
    assert sock.recv_multipart() == [b"x" * 100] * 50


def test_maxmsgsize_counts_commands_too(rig: Rig) -> None:
    """It counts handshake commands too: MAXMSGSIZE=10 makes every handshake fail."""
    _, peer = rig.accepting("PULL", MAXMSGSIZE=10)
    peer.greet()
    peer.expect(ready("PULL"))
    peer.send(ready("PUSH"))
    peer.expect_close()


def test_maxmsgsize_in_mid_message(rig: Rig) -> None:
    """An oversize part takes the begun message with it."""
    sock, peer = pull(rig, MAXMSGSIZE=100)
    peer.send(frame(b"begun", more=True) + frame(b"x" * 101))
    peer.expect_close()
    rig.expect_nothing(sock)


@pytest.mark.parametrize("size", [1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 9, (1 << 64) - 1], ids=hex)
@pytest.mark.parametrize("flags", [0x02, 0x03, 0x06], ids=["message", "more", "command"])
def test_absurd_sizes(rig: Rig, size: int, flags: int) -> None:
    """A size that cannot be allocated closes the connection, or waits; nobody else notices and no memory goes."""
    sock, endpoint = rig.bind("PULL")
    good, bad = rig.peer(endpoint), rig.peer(endpoint)
    good.handshake("PUSH")
    bad.handshake("PUSH")
    before = resident_bytes()
    assert bad.try_send(bytes([flags]) + struct.pack(">Q", size))
    bad.try_send(b"\x55" * 100000)
    good.send(frame(b"fine"))
    assert sock.recv() == b"fine"
    good.barrier()
    assert resident_bytes() - before < 32 << 20


@pytest.mark.parametrize("size", [1 << 40, (1 << 63) - 1, (1 << 64) - 1], ids=hex)
def test_absurd_sizes_before_ready(rig: Rig, size: int) -> None:
    """The same before the handshake is done, when the peer has shown nothing at all."""
    sock, endpoint = rig.bind("PULL")
    bad = rig.peer(endpoint)
    bad.greet()
    before = resident_bytes()
    assert bad.try_send(b"\x06" + struct.pack(">Q", size))
    bad.try_send(b"\x05READY" + b"\x55" * 100000)
    good = rig.peer(endpoint)
    good.handshake("PUSH")
    good.send(frame(b"fine"))
    assert sock.recv() == b"fine"
    assert resident_bytes() - before < 32 << 20


def test_announced_size_takes_no_memory(rig: Rig) -> None:
    """A peer that announces a gigabyte and sends none of it costs address space at most, no memory."""
    sock, peer = pull(rig)
    before = resident_bytes()
    peer.send(b"\x02" + struct.pack(">Q", 1 << 30) + b"x" * 1000)
    peer.expect_quiet(QUIET_S)
    assert resident_bytes() - before < 32 << 20
    rig.expect_nothing(sock)


def test_large_message_both_ways(rig: Rig) -> None:
    """Message sizes are limited by memory only."""
    dealer, peer = rig.accepting("DEALER")
    peer.handshake("DEALER")
    body = bytes(range(256)) * 65536
    peer.send(frame(body))
    assert dealer.recv() == body
    dealer.send(body)
    assert peer.read_message(DEADLINE_S) == [body]


def test_messages_survive_the_connection(rig: Rig) -> None:
    """Messages already received stay readable after the connection is gone."""
    sock, peer = pull(rig)
    peer.send(b"".join(frame(b"%d" % i) for i in range(5)))
    peer.barrier()
    peer.close()
    wait_until(lambda: sock.getsockopt(rig.zmq.EVENTS) & rig.zmq.POLLIN, "the first message")
    assert [sock.recv() for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    rig.expect_nothing(sock)
