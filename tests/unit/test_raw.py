"""Raw peers: bytes to messages and back, without frames on the wire."""

from __future__ import annotations

import ctypes
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.native import _probe_raw as probe
from tests.unit.shim import let_probes_fail, run_with_shim

SIZES = st.sampled_from([1, 2, 100, 255, 256, 257, 8191, 8192, 8193, 40_000, 100_000])


def body(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def read_all(raw: probe.Raw, data: bytes) -> list[int]:
    """Reads until all is in; the size of each read."""
    sizes: list[int] = []
    while data:
        sizes.append(raw.read(data))
        assert sizes[-1] > 0
        data = data[sizes[-1] :]
    return sizes


def write_all(raw: probe.Raw, most: int) -> bytes:
    data = b""
    while True:
        assert raw.encode() == 0
        assert raw.is_sound
        piece = raw.write(most)
        if not piece:
            return data
        data += piece


def test_each_read_is_a_message() -> None:
    raw = probe.Raw()
    for data in (b"a", body(255), body(256), b"\0\0\0"):
        assert raw.read(data) == len(data)
    assert [raw.pop() for _ in range(5)] == [[b"a"], [body(255)], [body(256)], [b"\0\0\0"], None]


def test_a_read_of_nothing_is_no_message() -> None:
    raw = probe.Raw()
    assert raw.read(b"") == 0
    assert raw.pop() is None
    assert raw.is_sound


def test_an_empty_message_tells_of_the_peer() -> None:
    raw = probe.Raw()
    assert raw.notify() == 0
    assert raw.read(b"x") == 1
    assert raw.notify() == 0
    assert [raw.pop() for _ in range(4)] == [[b""], [b"x"], [b""], None]


def test_reads_grow_up_to_their_bound() -> None:
    raw = probe.Raw()
    sizes = read_all(raw, bytes(1 << 20))
    assert max(sizes) == probe.READ_BYTES_MAX == sizes[-2]
    assert sizes[0] < 8192


def test_a_run_has_the_shortest_headers() -> None:
    """A proxy puts it on the wire as it stands (RFC 37: a long size is for what a short one cannot say)."""
    raw = probe.Raw()
    raw.read(b"abc")
    raw.read(body(256))
    assert raw.run() == (2, 259, b"\x00\x03abc" + b"\x02" + (256).to_bytes(8, "big") + body(256))


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), SIZES.map(body)), max_size=12), st.lists(st.booleans(), min_size=1))
def test_input_in_any_pieces(reads: list[bytes | None], pops: list[bool]) -> None:
    """None: a notification. Between the reads some messages are taken."""
    raw = probe.Raw()
    wanted, got = [], []
    for i, data in enumerate(reads):
        if data is None:
            assert raw.notify() == 0
            wanted.append(b"")
        else:
            for size in read_all(raw, data):
                wanted.append(data[:size])
                data = data[size:]
        assert raw.is_sound
        while pops[i % len(pops)] and (parts := raw.pop()) is not None:
            got += parts
            assert raw.is_sound
    while (parts := raw.pop()) is not None:
        got += parts
    assert got == wanted


@settings(deadline=None)
@given(
    st.lists(st.lists(st.one_of(st.just(0), SIZES).map(body), min_size=1, max_size=3), max_size=8),
    st.sampled_from([997, 8192, 100_000]),
)
def test_output_in_any_pieces(messages: list[list[bytes]], most: int) -> None:
    raw = probe.Raw()
    wanted = b"".join(part for parts in messages for part in parts)
    data = b""
    for parts in messages:
        assert raw.append(parts) == 0
        assert raw.encode() == 0
        assert raw.is_sound
        data += raw.write(most)
    assert data + write_all(raw, most) == wanted


def test_no_more_is_taken_than_is_worth_a_write() -> None:
    raw = probe.Raw()
    for _ in range(100):
        assert raw.append([body(1000)]) == 0
    assert raw.encode() == 0
    assert probe.WRITE_BYTES <= raw.pending_bytes < probe.WRITE_BYTES + 1000


# --- out of memory (in a process of its own) ------------------------------------------------------------------------


def run_without_memory(shim: ctypes.CDLL) -> dict[str, int]:
    let_probes_fail(shim)
    failures = 0
    for calls in range(20):
        raw = probe.Raw()
        rcs = [raw.notify(fail_after=calls), raw.read(body(300), fail_after=calls)]
        for _ in range(3):
            assert raw.append([body(20_000), b"x", body(20_000)]) == 0
        rcs.append(raw.encode(fail_after=calls))
        assert raw.is_sound
        failed = sum(rc == -probe.ENOMEM for rc in rcs)
        failures += failed
        assert raw.read(b"again") == 5
        told = [b""] if rcs[0] == 0 else []
        read = [body(300)] if rcs[1] > 0 else []
        assert [raw.pop() for _ in range(raw.queued)] == [[each] for each in [*told, *read, b"again"]]
        if not failed:
            return {"failures": failures, "calls": calls}
    raise AssertionError("it never got through")


def test_every_allocation_may_fail(tmp_path: Path) -> None:
    seen = run_with_shim(tmp_path, __name__, "run_without_memory")
    assert seen["calls"] > 2 and seen["failures"] > seen["calls"]
