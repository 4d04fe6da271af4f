"""Peers that are slow, half closed, killed or reset, beside good ones on the same socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.raw_peer import (
    RawPeer,
    Rig,
    frame,
    greeting,
    message,
    ping,
    pong,
    ready,
    signature,
    v1_frame,
    wait_until,
)

ROOT = Path(__file__).resolve().parents[2]


def echo(rig: Rig, router: object, good: RawPeer, count: int = 20) -> None:
    """Round trips of a named DEALER with the ROUTER under test."""
    for i in range(count):
        good.send(frame(b"%d" % i))
        assert router.recv_multipart() == [b"good", b"%d" % i]  # type: ignore[attr-defined]
        router.send_multipart([b"good", b"re %d" % i])  # type: ignore[attr-defined]
        assert good.read_message() == [b"re %d" % i]


# --- slow ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [0, 10, 12, 63, 66])
def test_slow_loris(rig: Rig, stage: int) -> None:
    """HANDSHAKE_IVL closes a peer that goes on sending but never finishes; others are served meanwhile."""
    opening = greeting() + ready("DEALER")
    router, endpoint = rig.bind("ROUTER", HANDSHAKE_IVL=400)
    good = rig.peer(endpoint)
    good.handshake("DEALER", b"good")
    start = time.monotonic()
    slow = rig.peer(endpoint)
    slow.send(opening[:stage])
    for at in range(stage, len(opening) - 1):
        if slow.is_closed() or time.monotonic() - start > 0.3:
            break
        slow.try_send(opening[at : at + 1])
        echo(rig, router, good, 1)
    slow.read_to_close()
    assert time.monotonic() - start >= 0.38
    echo(rig, router, good, 3)


def test_handshake_interval_is_for_the_whole_handshake(rig: Rig) -> None:
    """Each byte that comes does not start it over."""
    _, endpoint = rig.bind("ROUTER", HANDSHAKE_IVL=100)
    slow = rig.peer(endpoint)
    opening = greeting()[:63]
    at = 0

    def is_over() -> bool:
        nonlocal at
        if at < len(opening):
            slow.try_send(opening[at : at + 1])
            at += 1
        return slow.is_closed()

    wait_until(is_over, "closed")


def test_hundred_silent_peers(rig: Rig) -> None:
    """Connections that never say a word cost the good ones nothing."""
    router, endpoint = rig.bind("ROUTER")
    for _ in range(100):
        rig.peer(endpoint)
    good = rig.peer(endpoint)
    good.handshake("DEALER", b"good")
    echo(rig, router, good)


def test_peer_that_never_reads_its_greeting(rig: Rig) -> None:
    """A peer that writes its whole part at once and reads nothing is served all the same."""
    pull, endpoint = rig.bind("PULL")
    peer = rig.peer(endpoint)
    peer.send(greeting() + ready("PUSH"))
    peer.expect(greeting() + ready("PULL"))
    peer.send(b"".join(frame(b"%d" % i) for i in range(100)))
    assert [pull.recv() for _ in range(100)] == [b"%d" % i for i in range(100)]


# --- tiny segments -------------------------------------------------------------------------------------------------


def test_thousands_of_tiny_segments(rig: Rig) -> None:
    """A conversation of several thousand one-byte segments, interleaved with a good peer."""
    router, endpoint = rig.bind("ROUTER")
    good, tiny = rig.peer(endpoint), rig.peer(endpoint)
    good.handshake("DEALER", b"good")
    tiny.trickle(greeting() + ready("DEALER", b"tiny"))
    tiny.expect(greeting() + ready("ROUTER"))
    for i in range(10):
        tiny.trickle(message(b"%d" % i, b"x" * 300, b"") + ping(0, b"%d" % i))
        assert router.recv_multipart() == [b"tiny", b"%d" % i, b"x" * 300, b""]
        tiny.expect(pong(b"%d" % i))
        echo(rig, router, good, 1)


def test_tiny_segments_from_many(rig: Rig) -> None:
    """Twenty peers, one byte each in turn."""
    router, endpoint = rig.bind("ROUTER")
    peers = [rig.peer(endpoint) for _ in range(20)]
    data = [greeting() + ready("DEALER", b"%d" % i) for i in range(len(peers))]
    for at in range(max(map(len, data))):
        for peer, mine in zip(peers, data, strict=True):
            peer.send(mine[at : at + 1])
    for i, peer in enumerate(peers):
        peer.expect(greeting() + ready("ROUTER"))
        peer.trickle(message(b"from", b"%d" % i))
        assert router.recv_multipart() == [b"%d" % i, b"from", b"%d" % i]


# --- half closed, reset, killed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", signature(), greeting(), greeting() + ready("DEALER", b"half")])
def test_half_closed_in_the_handshake(rig: Rig, sent: bytes) -> None:
    """A peer that sends FIN is closed, whatever it has said before."""
    router, endpoint = rig.bind("ROUTER")
    half, good = rig.peer(endpoint), rig.peer(endpoint)
    half.send(sent)
    half.half_close()
    half.read_to_close()
    good.handshake("DEALER", b"good")
    echo(rig, router, good, 3)


def test_half_closed_behind_its_messages(rig: Rig) -> None:
    """What came before the FIN is delivered."""
    pull, peer = rig.accepting("PULL")
    peer.handshake("PUSH")
    peer.send(b"".join(frame(b"%d" % i) for i in range(500)))
    peer.half_close()
    assert [pull.recv() for _ in range(500)] == [b"%d" % i for i in range(500)]
    peer.read_to_close()


@pytest.mark.parametrize("end", [RawPeer.close, RawPeer.reset])
@pytest.mark.parametrize(
    "begun",
    [b"\x00", b"\x02\0\0\0", frame(b"x" * 100)[:50], frame(b"x" * 500000)[:300000], frame(b"a", more=True)],
    ids=["1 byte", "head", "body", "large body", "part"],
)
def test_gone_in_mid_message(rig: Rig, begun: bytes, end: Callable[[RawPeer], None]) -> None:
    """FIN or RST in the middle of a message: the good peer goes on, and nothing of the half is seen."""
    router, endpoint = rig.bind("ROUTER")
    good = rig.peer(endpoint)
    good.handshake("DEALER", b"good")
    for _ in range(5):
        bad = rig.peer(endpoint)
        bad.handshake("DEALER", b"bad")
        bad.send(begun)
        echo(rig, router, good, 2)
        end(bad)
    echo(rig, router, good, 3)


@pytest.mark.parametrize("end", [RawPeer.close, RawPeer.reset])
def test_gone_while_being_sent_to(rig: Rig, end: Callable[[RawPeer], None]) -> None:
    """A reader that goes in the middle of a large message; the next one gets whole messages."""
    router, endpoint = rig.bind("ROUTER")
    good = rig.peer(endpoint)
    good.handshake("DEALER", b"good")
    for i in range(5):
        bad = rig.peer(endpoint, rcvbuf_bytes=4096)
        bad.handshake("DEALER", b"bad%d" % i)
        bad.send(frame(b"hello"))
        assert router.recv_multipart() == [b"bad%d" % i, b"hello"]
        router.send_multipart([b"bad%d" % i, b"x" * 3000000, b"tail"])
        bad.read(1000)
        end(bad)
        echo(rig, router, good, 2)


KILLED = """
import sys
from tests.raw_peer import RawPeer, frame
peer = RawPeer.connect(sys.argv[1])
peer.handshake("PUSH")
peer.send(frame(b"whole") + frame(b"x" * 1000000)[:600000])
print("sent", flush=True)
sys.stdin.read()
"""


def test_killed_in_mid_message(rig: Rig) -> None:
    """A process that is killed in the middle of a message; a second one takes its place."""
    pull, endpoint = rig.bind("PULL")
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, endpoint], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"sent\n"
            assert pull.recv() == b"whole"
            os.kill(process.pid, signal.SIGKILL)
    good = rig.peer(endpoint)
    good.handshake("PUSH")
    good.send(frame(b"good"))
    assert pull.recv_multipart() == [b"good"]
    rig.expect_nothing(pull)


# --- all at once ---------------------------------------------------------------------------------------------------


def test_bad_peers_do_not_disturb_a_good_one(rig: Rig) -> None:
    """Malformed peers of every kind on the socket of a good one."""
    router, endpoint = rig.bind("ROUTER", MAXMSGSIZE=1000)
    good = rig.peer(endpoint)
    good.handshake("DEALER", b"good")
    for data in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 100,
        b"\xff" * 100,
        greeting(b"CURVE"),
        greeting() + ready("PUB"),
        greeting() + frame(b"early"),
        greeting() + ready("DEALER", b"bad")[:-1],
        signature() + b"\x01\x05" + frame(b"bad") + frame(b"x" * 1001),
        v1_frame(b"bad") + b"\x00",
        v1_frame(b"bad") + v1_frame(b"begun", more=True),
    ):
        bad = rig.peer(endpoint)
        assert bad.try_send(data)
        echo(rig, router, good, 2)
    assert not good.is_closed()
