"""PING and PONG (RFC 37, "The PING and PONG commands"). Times are short, but never asserted from above."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.raw_peer import DEADLINE_S, RawPeer, Rig, command, frame, message, ping, pong, ready


def dealer_of(rig: Rig, **options: Any) -> tuple[Any, RawPeer]:
    dealer, peer = rig.accepting("DEALER", **options)
    peer.handshake("DEALER")
    return dealer, peer


# --- PING received -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        (b"", "04 05 04 50 4f 4e 47"),
        (b"ctxctxctx", "04 0e 04 50 4f 4e 47 63 74 78 63 74 78 63 74 78"),
        (b"c" * 16, "04 15 04 50 4f 4e 47" + " 63" * 16),
        (b"c" * 16 + b"d", "04 15 04 50 4f 4e 47" + " 63" * 16),
        (b"c" * 16 + b"d" * 3, "04 15 04 50 4f 4e 47" + " 63" * 16),
        (b"c" * 16 + b"d" * 5000, "04 15 04 50 4f 4e 47" + " 63" * 16),
        (b"\0\xff", "04 07 04 50 4f 4e 47 00 ff"),
    ],
)
def test_context_is_echoed(rig: Rig, context: bytes, answer: str) -> None:
    """PONG carries the context of the PING, 0 to 16 bytes; a longer one comes back cut to 16."""
    _, peer = dealer_of(rig)
    peer.send(ping(0, context))
    peer.expect_hex(answer)


@pytest.mark.parametrize("socket_type", ["PAIR", "PUB", "SUB", "REQ", "REP", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"])
def test_every_type_answers(rig: Rig, socket_type: str) -> None:
    """PING is answered whatever the socket does, and also while nobody is inside of it."""
    others = {"PUB": "SUB", "SUB": "PUB", "REQ": "REP", "REP": "REQ", "PULL": "PUSH", "PUSH": "PULL", "XPUB": "XSUB"}
    _, peer = rig.accepting(socket_type)
    peer.handshake({**others, "XSUB": "XPUB"}.get(socket_type, socket_type))
    for i in range(20):
        peer.send(ping(0, b"%d" % i))
        peer.expect(pong(b"%d" % i))


def test_pongs_keep_their_order(rig: Rig) -> None:
    """PINGs that come together are answered one by one, in order."""
    _, peer = dealer_of(rig)
    peer.send(b"".join(ping(0, b"%d" % i) for i in range(50)))
    got = [peer.read_frame().raw]
    while got[-1] != pong(b"49"):
        got.append(peer.read_frame().raw)
    wanted = [pong(b"%d" % i) for i in range(50)]
    assert got == [raw for raw in wanted if raw in got]


def test_pong_does_not_cut_a_frame(rig: Rig) -> None:
    """A PONG goes between two frames, never into one that is half sent, and is not forgotten meanwhile."""
    dealer, peer = dealer_of(rig)
    body = b"x" * (8 << 20)
    dealer.send_multipart([body, b"tail"])
    peer.send(ping(0, b"now") + frame(b"behind"))
    assert dealer.recv() == b"behind"
    frames = [peer.read_frame() for _ in range(3)]
    assert [got.body for got in frames if not got.is_command] == [body, b"tail"]
    assert [got.raw for got in frames if got.is_command] == [pong(b"now")]


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("data", [b"", b"\0", b"\x10"], ids=["no TTL", "half a TTL", "half a large TTL"])
def test_short_ping(rig: Rig, data: bytes) -> None:
    """PING with fewer than 2 bytes behind the name is ignored or closes (libzmq reads outside the frame)."""
    _, peer = dealer_of(rig)
    peer.send(command(b"PING", data))
    if peer.try_send(ping(0, b"next")):
        left = bytearray()
        while not peer.is_closed() and len(left) < len(pong(b"next")):
            if peer.has_bytes(1):
                left += peer.read(1)
        assert bytes(left) in (pong(b"next"), b"")


@pytest.mark.parametrize("data", [pong(), pong(b"what"), pong(b"c" * 300)])
def test_unsolicited_pong_is_ignored(rig: Rig, data: bytes) -> None:
    """Unsolicited PONG, PONG with any context: ignored."""
    dealer, peer = dealer_of(rig)
    peer.send(data + frame(b"after"))
    assert dealer.recv() == b"after"
    peer.barrier()


# --- TTL -----------------------------------------------------------------------------------------------------------


def test_ttl_closes(rig: Rig) -> None:
    """PING with a TTL of 0.1 s: silence for that long closes, without any heartbeat option on the receiver."""
    _, peer = dealer_of(rig)
    start = time.monotonic()
    peer.send(ping(1))
    peer.expect(pong())
    peer.expect_close()
    assert time.monotonic() - start >= 0.09


def test_ttl_of_zero_is_none(rig: Rig) -> None:
    """TTL 0: no timer."""
    _, peer = dealer_of(rig)
    peer.send(ping(0))
    peer.expect(pong())
    peer.expect_quiet(0.15)


@pytest.mark.parametrize(
    "stopper", [frame(b"m"), pong(), command(b"UNKNOWN"), frame(b"", more=True)], ids=["message", "PONG", "?", "part"]
)
def test_any_frame_stops_the_ttl(rig: Rig, stopper: bytes) -> None:
    """Any decoded frame (message or command) stops the TTL timer."""
    _, peer = dealer_of(rig)
    peer.send(ping(1) + stopper)
    peer.expect(pong())
    peer.expect_quiet(0.2)


def test_last_ttl_counts(rig: Rig) -> None:
    """Any frame stops the timer, a PING too, which then starts it with its own TTL."""
    _, endpoint = rig.bind("DEALER")
    longer, shorter = rig.peer(endpoint), rig.peer(endpoint)
    longer.handshake("DEALER")
    shorter.handshake("DEALER")
    longer.send(ping(1, b"first") + ping(600, b"second"))
    shorter.send(ping(600, b"first") + ping(1, b"second"))
    for peer in (longer, shorter):
        while peer.read_frame().raw != pong(b"second"):
            pass
    shorter.expect_close()
    longer.barrier()


def test_each_ping_starts_the_ttl_anew(rig: Rig) -> None:
    """A peer that has sent several PINGs and then falls silent is closed by the TTL of the last."""
    _, peer = dealer_of(rig)
    start = time.monotonic()
    peer.send(ping(2) + ping(2) + frame(b"m") + ping(2))
    assert peer.read_to_close().startswith(pong())
    assert time.monotonic() - start >= 0.19


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("ttl_tenths", [656, 1311, 65535])
def test_ttl_does_not_wrap(rig: Rig, ttl_tenths: int) -> None:
    """The TTL is computed in more than 16 bits: 65.6 s must not become 64 ms (libzmq)."""
    _, peer = dealer_of(rig)
    peer.send(ping(ttl_tenths))
    peer.expect(pong())
    peer.expect_quiet(0.3)


# --- PING sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ttl_ms", "wanted"),
    [(0, "00 00"), (1500, "00 0f"), (250, "00 02"), (99, "00 00"), (70000, "02 bc"), (6553500, "ff ff")],
)
def test_ping_as_sent(rig: Rig, ttl_ms: int, wanted: str) -> None:
    """PING: TTL in tenths of a second, no context."""
    _, peer = dealer_of(rig, HEARTBEAT_IVL=10, HEARTBEAT_TTL=ttl_ms, HEARTBEAT_TIMEOUT=0)
    peer.expect_hex("04 07 04 50 49 4e 47 " + wanted)


def test_one_ping_each_interval(rig: Rig) -> None:
    """HEARTBEAT_IVL ms after the handshake the first PING, then one each interval; TIMEOUT 0: never closes."""
    _, peer = rig.accepting("DEALER", HEARTBEAT_IVL=30, HEARTBEAT_TIMEOUT=0)
    start = time.monotonic()
    peer.handshake("DEALER")
    for _ in range(6):
        peer.expect(ping(0))
    assert time.monotonic() - start >= 6 * 0.030 - 0.010


def test_no_ping_before_the_handshake_is_done(rig: Rig) -> None:
    """Heartbeats need the handshake done."""
    _, peer = rig.accepting("DEALER", HEARTBEAT_IVL=10)
    peer.greet()
    peer.expect(ready("DEALER"))
    peer.expect_quiet()


def test_no_ping_without_interval(rig: Rig) -> None:
    """HEARTBEAT_IVL 0 is off, whatever the other two say."""
    _, peer = dealer_of(rig, HEARTBEAT_TTL=100, HEARTBEAT_TIMEOUT=10)
    peer.expect_quiet()


def test_no_ping_to_2_0_peers(rig: Rig) -> None:
    """Heartbeats: 3.x only."""
    _, peer = rig.accepting("DEALER", HEARTBEAT_IVL=10)
    peer.handshake_v2(rig.zmq.DEALER)
    peer.expect_quiet()


def test_timeout_closes(rig: Rig) -> None:
    """At a PING a timeout timer starts; expiry closes the connection."""
    start = time.monotonic()
    _, peer = dealer_of(rig, HEARTBEAT_IVL=20, HEARTBEAT_TIMEOUT=120)
    pings = peer.read_to_close()
    assert pings == ping(0) * (len(pings) // len(ping(0)))
    assert len(pings) >= 2 * len(ping(0))
    assert time.monotonic() - start >= 0.130


def test_timeout_is_the_interval_by_default(rig: Rig) -> None:
    """HEARTBEAT_TIMEOUT -1 means HEARTBEAT_IVL: a silent peer sees one or two PINGs."""
    _, peer = dealer_of(rig, HEARTBEAT_IVL=50)
    assert peer.read_to_close() in (ping(0), ping(0) * 2)


def test_any_frame_stops_the_timeout(rig: Rig) -> None:
    """Any decoded frame stops the timeout, a PONG or another; without one it expires."""
    dealer, peer = dealer_of(rig, HEARTBEAT_IVL=20, HEARTBEAT_TIMEOUT=300)
    for answer in (pong(), frame(b"m"), command(b"UNKNOWN"), pong(b"x"), message(b"a", b"b")) * 4:
        peer.expect(ping(0))
        peer.send(answer)
    assert dealer.recv() == b"m"
    assert peer.read_to_close(DEADLINE_S).startswith(ping(0))


def test_timeout_counts_from_the_first_unanswered_ping(rig: Rig) -> None:
    """A frame stops the timer and the next PING starts it: 1 answered, 8 or 9 more within 400 ms, then the end."""
    _, peer = dealer_of(rig, HEARTBEAT_IVL=50, HEARTBEAT_TIMEOUT=400)
    peer.expect(ping(0))
    peer.send(pong())
    assert 3 <= len(peer.read_to_close()) // len(ping(0)) <= 12


def test_traffic_flows_beside_heartbeats(rig: Rig) -> None:
    """PINGs go between messages and messages stay whole."""
    dealer, peer = dealer_of(rig, HEARTBEAT_IVL=1, HEARTBEAT_TIMEOUT=0)
    for i in range(200):
        dealer.send_multipart([b"%d" % i, b"x" * 1000])
    parts: list[bytes] = []
    pings = 0
    while len(parts) < 400 or not pings:
        got = peer.read_frame()
        if got.is_command:
            assert got.raw == ping(0)
            pings += 1
        else:
            parts.append(got.body)
    assert parts[0::2] == [b"%d" % i for i in range(200)]
