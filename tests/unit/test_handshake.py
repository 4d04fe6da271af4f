"""The handshake without a network: any split of the bytes gives the same answers; and the frames of 1.0 peers."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.native import _probe_handshake as probe
from tests.raw_peer import command, error, frame, greeting, ready

DEALER, ROUTER = 5, 6
ROUTING_ID, ZAP_DOMAIN = 5, 55
MORE, DONE, FAILED = range(3)
NONE, SILENT, PROTOCOL, AUTH = range(4)
MISMATCH, UNEXPECTED_COMMAND = 0x11000002, 0x10000001

SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
PEERS = {
    "3.1": (31, greeting() + ready("DEALER", b"peer"), b"peer"),
    "3.0": (30, greeting(minor=0) + ready("DEALER", b"peer"), b"peer"),
    "2.0": (2, SIGNATURE + b"\x01\x05\x00\x04peer", b"peer"),
    "1.0": (1, b"\x05\x00peer", b"peer"),
    "1.0, nameless": (1, b"\x01\x00", b""),
}
BEHIND = b"\x00\x05hello"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize("peer", PEERS)
@given(cuts=st.lists(st.integers(0, 120), max_size=12))
def test_every_split_comes_to_the_same_end(peer: str, cuts: list[int]) -> None:
    version, data, peer_id = PEERS[peer]
    whole = probe.Handshake(ROUTER, {ROUTING_ID: b"me"})
    verdict, sent, left = whole.step(data + BEHIND)
    assert (verdict, left) == (DONE, b"")
    torn = probe.Handshake(ROUTER, {ROUTING_ID: b"me"})
    answers = b""
    for piece in [b"", *pieces(data, cuts)]:
        verdict, out, _ = torn.step(piece)
        answers += out
    assert (verdict, answers) == (DONE, sent)
    assert (torn.version, torn.peer_id, torn.rest) == (version, peer_id, b"")
    assert (whole.version, whole.peer_id, whole.rest) == (version, peer_id, BEHIND)


def test_nothing_is_written_behind_the_end() -> None:
    """H1."""
    shaking = probe.Handshake(ROUTER)
    assert shaking.step(greeting() + command(b"HELLO"))[0] == FAILED
    assert shaking.step(ready("DEALER"))[:2] == (FAILED, b"")
    done = probe.Handshake(ROUTER)
    assert done.step(PEERS["3.1"][1])[0] == DONE
    assert done.step(BEHIND)[:2] == (DONE, b"")
    assert done.rest == BEHIND


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (greeting(b"PLAIN"), (PROTOCOL, MISMATCH)),
        (greeting() + frame(b"hello"), (PROTOCOL, UNEXPECTED_COMMAND)),
        (greeting() + error(b"400"), (AUTH, 400)),
        (greeting() + ready("PUB"), (SILENT, 0)),
        (greeting() + b"\x06" + b"\xff" * 8, (SILENT, 0)),
        (SIGNATURE + b"\x01\x05\x02" + b"\xff" * 8, (SILENT, 0)),
    ],
)
def test_why_it_failed(data: bytes, failure: tuple[int, int]) -> None:
    shaking = probe.Handshake(ROUTER)
    assert shaking.step(data)[0] == FAILED
    assert shaking.failure == failure


@pytest.mark.parametrize("peer", ["2.0", "1.0"])
def test_nobody_vouches_for_old_peers(peer: str) -> None:
    """H3."""
    shaking = probe.Handshake(ROUTER, {ZAP_DOMAIN: b"here"})
    assert shaking.step(PEERS[peer][1])[0] == FAILED


def test_a_peer_that_goes_on_and_on_is_cut_off() -> None:
    """H2: a frame that would not fit is refused by its header, before it is waited for."""
    shaking = probe.Handshake(ROUTER)
    assert shaking.step(greeting() + b"\x06" + (65536).to_bytes(8, "big"))[0] == FAILED


# --- 1.0 ----------------------------------------------------------------------------------------------------


def v1_frame(body: bytes, more: bool = False) -> bytes:
    size = len(body) + 1
    return (bytes([size]) if size < 255 else b"\xff" + size.to_bytes(8, "big")) + bytes([more]) + body


MESSAGES = st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=4), max_size=6)


@given(messages=MESSAGES, cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_v1_there_and_back(messages: list[list[bytes]], cuts: list[int]) -> None:
    data = probe.encode_v1(messages)
    assert data == b"".join(v1_frame(part, i + 1 < len(parts)) for parts in messages for i, part in enumerate(parts))
    first, *others = pieces(data, cuts)
    peer = probe.V1(first)
    assert peer.decode() == 0
    for piece in others:
        assert peer.decode(piece) == 0
    for parts in messages:
        assert peer.pop() == parts
    assert peer.pop() is None


def test_v1_stops_at_the_high_water_mark() -> None:
    peer = probe.V1(b"".join(v1_frame(b"%d" % number) for number in range(5)), 2)
    assert peer.decode() == 1
    assert [peer.pop(), peer.pop(), peer.pop()] == [[b"0"], [b"1"], None]
    assert peer.decode() == 1
    assert peer.pop() == [b"2"]


def test_v1_only_whole_messages_get_out() -> None:
    """T3."""
    peer = probe.V1(v1_frame(b"a", more=True) + v1_frame(b"b", more=True))
    assert peer.decode() == 0
    assert peer.pop() is None
    assert peer.decode(v1_frame(b"c")) == 0
    assert peer.pop() == [b"a", b"b", b"c"]


@pytest.mark.parametrize("data", [b"\x00\x00", b"\xff" + bytes(8), v1_frame(b"x" * 11), b"\xff" + b"\xff" * 8 + b"\0"])
def test_v1_errors(data: bytes) -> None:
    peer = probe.V1(v1_frame(b"before") + data)
    assert peer.decode(b"", 10) == -errno.EPROTO
    assert peer.pop() == [b"before"]
