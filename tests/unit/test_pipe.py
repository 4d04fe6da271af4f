"""The corners of the pipe, one by one; test_pipe_model.py drives it at random."""

from __future__ import annotations

import ctypes
import random
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.native import _probe_pipe as probe
from tests.unit.pipe_model import CHUNK, LARGE, InModel, body_of, frame_of, head_of, wire_of
from tests.unit.shim import let_probes_fail, run_with_shim

# --- out ------------------------------------------------------------------------------------------------


def send(pipe: probe.Pipe, size: int) -> bytes:
    """Sends that many of the queued bytes and returns them."""
    assert pipe.gather() >= size
    data = b"".join(pipe.gathered())[:size]
    pipe.sent(size)
    return data


def send_all(pipe: probe.Pipe) -> bytes:
    data = b""
    while total := pipe.gather():
        data += send(pipe, total)
    return data


@pytest.mark.parametrize("has_store", [False, True])
@pytest.mark.parametrize("is_more_behind", [False, True])
def test_a_message_is_abandoned_wherever_the_write_stopped(has_store: bool, is_more_behind: bool) -> None:
    """Within a header, at the seam of header and referred body, within the body, between parts, and after 0 bytes."""
    bodies = [b"ab", body_of(LARGE + 5, 1), b"", b"c" * 300, body_of(LARGE, 2), b"end"]
    wire = wire_of(bodies)
    heads = [0, 2, 4, 4 + 9, 13 + LARGE + 5]
    edges = {edge + i for edge in heads for i in range(-2, 12)} | {len(wire) - i for i in range(6)} | {len(wire) // 2}
    for stop in sorted(edge for edge in edges if 0 <= edge <= len(wire)):
        stores = [probe.Store(body) if has_store else body for body in bodies]
        pipe = probe.Pipe()
        pipe.append(stores)
        pipe.append_frame(probe.COMMAND, b"X", b"")
        if is_more_behind:
            pipe.append([b"next"])
        assert send(pipe, stop) == wire[:stop]
        if stop % 2:
            pipe.account()
        pipe.abandon_begun()
        rest = frame_of(probe.COMMAND, b"X") + (wire_of([b"next"]) if is_more_behind else b"")
        assert pipe.msgs == is_more_behind + (stop == 0)
        assert pipe.check() and send_all(pipe) == (wire if stop == 0 else b"") + rest
        assert pipe.check() and pipe.bytes == 0 and pipe.msgs == 0
        del pipe
        assert all(store.refs == 1 for store in stores if isinstance(store, probe.Store))


@pytest.mark.parametrize("stop", [8, 9, 10, 9 + LARGE - 1])
def test_a_message_of_one_referred_body_is_abandoned_behind_its_header(stop: int) -> None:
    store = probe.Store(body_of(LARGE, 1))
    pipe = probe.Pipe()
    pipe.append([store])
    pipe.append([b"next"])
    send(pipe, stop)
    pipe.abandon_begun()
    assert store.refs == 1 and pipe.msgs == 1 and send_all(pipe) == wire_of([b"next"])


@pytest.mark.parametrize("stop", [0, 1, 2, 5])
def test_a_partly_sent_command_is_abandoned_alone(stop: int) -> None:
    pipe = probe.Pipe()
    pipe.append_frame(probe.COMMAND, b"abc", b"")
    pipe.append([b"m"])
    send(pipe, stop)
    pipe.abandon_begun()
    command = frame_of(probe.COMMAND, b"abc") if stop == 0 else b""
    assert pipe.msgs == 1 and pipe.check()
    assert send_all(pipe) == command + wire_of([b"m"])


def test_a_body_with_a_store_is_not_copied() -> None:
    store = probe.Store(body_of(LARGE, 3))
    copied = probe.Store(body_of(LARGE - 1, 3), is_own=True)
    small = probe.Store(b"small, and the sender's")
    pipe = probe.Pipe()
    pipe.append([store, copied, small])
    assert (store.refs, copied.refs, small.refs) == (2, 1, 2)
    pipe.gather()
    assert [len(buffer) for buffer in pipe.gathered()] == [9, LARGE, 9 + LARGE - 1, 2, len(small.data)]
    send(pipe, 9 + LARGE)
    assert (store.refs, small.refs) == (1, 2)
    send(pipe, 9 + LARGE - 1 + 2 + len(small.data))
    assert small.refs == 1


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_body_with_a_store_is_let_go_of_by_the_pop_of_its_message(size: int) -> None:
    stores = [probe.Store(body_of(size, i)) for i in range(4)]
    pipe = probe.Pipe()
    for store in stores:
        pipe.append([b"x", store])
    for i in range(4):
        pipe.pop()
        assert [store.refs for store in stores] == [1] * (i + 1) + [2] * (3 - i)


def test_a_store_in_many_pipes_outlives_all_but_the_last() -> None:
    held = probe.count_held_stores()
    store = probe.Store(body_of(LARGE, 4))
    pipes = [probe.Pipe() for _ in range(5)]
    for pipe in pipes:
        pipe.append([b"x", store])
    assert store.refs == 6
    del store
    pipes[1].clear()
    for pipe in pipes[2:]:
        assert send_all(pipe) == wire_of([b"x", body_of(LARGE, 4)])
    assert probe.count_held_stores() == held + 1
    msg = pipes[0].pop()
    del pipes[:], pipe
    assert msg.parts == [b"x", body_of(LARGE, 4)] and probe.count_held_stores() == held + 1
    del msg
    assert probe.count_held_stores() == held


def test_gather_keeps_to_its_room_and_about_its_bytes() -> None:
    store = probe.Store(body_of(probe.GATHER_BYTES_MAX // 4, 5))
    pipe = probe.Pipe()
    for _ in range(20):
        pipe.append([store])
    assert pipe.gather(3) == 9 + len(store.data) + 9
    assert probe.GATHER_BYTES_MAX <= pipe.gather() < probe.GATHER_BYTES_MAX + len(store.data)
    assert send_all(pipe) == wire_of([store.data]) * 20


def test_a_message_without_parts_is_refused() -> None:
    pipe = probe.Pipe()
    assert pipe.append([]) == -probe.EINVAL and pipe.msgs == 0 and pipe.bytes == 0 and pipe.check()
    pipe.append([b"a"])
    assert pipe.append([]) == -probe.EINVAL and send_all(pipe) == wire_of([b"a"])


def test_commands_among_queued_messages_are_not_popped() -> None:
    """A peer of ZMTP 1.0 knows none: what was queued for the connection before is popped and encoded anew."""
    pipe = probe.Pipe()
    for body in (b"a", b"b"):
        pipe.append_frame(probe.COMMAND, b"X", body)
        pipe.append([body])
    assert [pipe.pop().parts, pipe.pop().parts, pipe.pop()] == [[b"a"], [b"b"], -probe.EAGAIN]


@pytest.mark.parametrize(("hwm", "reads"), [(1, 1), (2, 1), (3, 2), (4, 2), (7, 4), (30, 15)])
def test_a_full_pipe_reopens_after_half_of_its_bound(hwm: int, reads: int) -> None:
    """As libzmq: after (HWM + 1) / 2 messages."""
    pipe = probe.Pipe(hwm)
    for i in range(hwm):
        assert not pipe.is_full()
        pipe.append([b"%d" % i])
    assert pipe.is_full() and pipe.times_full == 1
    for i in range(reads):
        assert not pipe.has_reopened() and pipe.is_full(), i
        pipe.pop()
    assert pipe.has_reopened() and not pipe.is_full()


def test_half_a_message_does_not_reopen() -> None:
    pipe = probe.Pipe(1)
    pipe.append([b"a", b"b"])
    assert pipe.is_full()
    send(pipe, 5)
    assert pipe.is_full()
    send(pipe, 1)
    assert not pipe.is_full()


def test_chunks_grow_in_a_flood_and_shrink_afterwards() -> None:
    pipe = probe.Pipe()
    for i in range(200_000):
        pipe.append([b"%07d" % i])
    assert probe.CHUNK_BYTES_MAX in pipe.chunk_sizes and pipe.chunk_bytes == probe.CHUNK_BYTES_MAX
    assert len(pipe.chunk_sizes) < 20
    for i in range(200_000):
        assert pipe.pop().parts == [b"%07d" % i]
    for _ in range(10):
        pipe.append([b"x"])
        pipe.drop()
    assert pipe.chunk_bytes == CHUNK and sum(pipe.chunk_sizes) <= 4 * CHUNK


# --- in -------------------------------------------------------------------------------------------------


def feed(pipe: probe.Pipe, data: bytes, step: int = 10**9) -> None:
    """Reads the bytes, at most so many at a time, and decodes after each read."""
    while data:
        size = min(pipe.reserve(), step, len(data))
        pipe.filled(data[:size])
        data = data[size:]
        pipe.decode()
        assert pipe.check()


def in_pipe(hwm: int = 0, keep_commands: bool = False) -> probe.Pipe:
    pipe = probe.Pipe(hwm, keep_commands)
    pipe.start_in()
    return pipe


def pop_all(pipe: probe.Pipe) -> Iterator[list[bytes]]:
    while pipe.msgs:
        yield pipe.pop().parts


@pytest.mark.parametrize("step", [1, 2, 3, 7, 8, 9, 10, 11, 2047, 2048, 2049, 10**9])
def test_any_step_of_reading_gives_the_same_messages(step: int) -> None:
    messages = [[b"a"], [b""], [b"", b""], [b"b" * 255, b"c" * 256], [body_of(3000, 1)], [body_of(9000, 2), b"tail"]]
    pipe = in_pipe()
    feed(pipe, b"".join(wire_of(parts) for parts in messages), step)
    assert list(pop_all(pipe)) == messages and pipe.bytes == 0 and pipe.check()


@pytest.mark.parametrize("is_kept", [False, True])
def test_commands_before_between_within_and_after_messages(is_kept: bool) -> None:
    skipped, kept = frame_of(probe.COMMAND, b"Xskipped"), frame_of(probe.COMMAND, b"Stopic")
    more, last = frame_of(probe.MORE, b"1"), frame_of(0, b"2")
    pipe = in_pipe(keep_commands=is_kept)
    feed(pipe, skipped + kept + more + skipped + kept + last + kept + skipped + more + last + skipped)
    got = [pipe.pop() for _ in range(pipe.msgs)]
    expected = [([b"Stopic"], True), ([b"1", b"2"], False), ([b"Stopic"], True), ([b"1", b"2"], False)]
    assert [(msg.parts, msg.is_command) for msg in got] == [one for one in expected if is_kept or not one[1]]
    assert pipe.bytes == 0 and pipe.pop() == -probe.EAGAIN


def test_commands_alone_do_not_pile_up() -> None:
    pipe = in_pipe()
    for _ in range(2000):
        feed(pipe, frame_of(probe.COMMAND, b"X" * 40), 25)
    assert pipe.bytes == 0 and sum(pipe.chunk_sizes) <= 2 * CHUNK


def test_reserved_bits_and_more_on_a_kept_command_mean_nothing() -> None:
    pipe = in_pipe(keep_commands=True)
    command = frame_of(probe.COMMAND | probe.MORE | 0xF8, b"S")
    feed(pipe, frame_of(0x80, b"a") + command + frame_of(0xF9, b"b") + b"\0\0")
    assert list(pop_all(pipe)) == [[b"a"], [b"S"], [b"b", b""]]


@pytest.mark.parametrize("cut", range(0, 30))
def test_a_lost_connection_takes_its_incomplete_message_along(cut: int) -> None:
    whole = wire_of([b"whole"])
    begun = frame_of(probe.MORE, b"first") + frame_of(probe.COMMAND, b"X") + frame_of(0, b"last" * 5, True)[:-1]
    pipe = in_pipe()
    feed(pipe, whole + begun[:cut], 3)
    pipe.drop_incomplete()
    assert pipe.check() and pipe.msgs == 1 and pipe.bytes == len(whole)
    pipe.start_in()
    feed(pipe, wire_of([b"new", b"one"]), 3)
    assert list(pop_all(pipe)) == [[b"whole"], [b"new", b"one"]]


def test_a_lost_connection_frees_what_a_long_incomplete_message_took() -> None:
    pipe = in_pipe()
    for i in range(50):
        feed(pipe, frame_of(probe.MORE, body_of(5000, i)))
    assert pipe.msgs == 0 and sum(pipe.chunk_sizes) > 250_000
    pipe.drop_incomplete()
    assert pipe.check() and pipe.bytes == 0 and sum(pipe.chunk_sizes) <= 4 * probe.CHUNK_BYTES_MAX
    pipe.start_in()
    feed(pipe, wire_of([b"x"]))
    assert list(pop_all(pipe)) == [[b"x"]]


def test_the_reader_may_drain_the_pipe_while_somebody_reads_into_it() -> None:
    pipe = in_pipe()
    feed(pipe, wire_of([b"a"]) + wire_of([b"b"]))
    room = pipe.reserve()
    a, b = pipe.pop(), pipe.pop()
    assert pipe.msgs == 0 and pipe.check()
    data = wire_of([b"c" * 100])
    assert room >= len(data)
    pipe.filled(data)
    pipe.decode()
    assert [a.parts, b.parts, pipe.pop().parts] == [[b"a"], [b"b"], [b"c" * 100]]
    assert pipe.check() and pipe.bytes == 0


def test_a_read_of_nothing_gives_the_drained_chunk_back() -> None:
    pipe = in_pipe()
    feed(pipe, wire_of([b"a" * 1500]))
    pipe.reserve()
    assert pipe.drop() == 0
    pipe.filled(b"")
    assert pipe.check() and pipe.chunk_loads == [0]
    assert pipe.reserve() >= CHUNK
    pipe.filled(b"")


def test_a_part_keeps_its_bytes_while_the_pipe_goes_on() -> None:
    pipe = in_pipe()
    held = []
    for i in range(400):
        feed(pipe, wire_of([body_of(i, i), body_of(3, i)]), 100)
        held.append(pipe.pop())
    assert [msg.parts for msg in held] == [[body_of(i, i), body_of(3, i)] for i in range(400)]


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_part_keeps_its_bytes_when_an_incomplete_frame_stands_behind_it(is_lost: bool) -> None:
    pipe = in_pipe()
    feed(pipe, wire_of([body_of(CHUNK - 100, 7)]) + wire_of([body_of(300, 8)])[:30])
    msg = pipe.pop()
    if is_lost:
        pipe.reserve()
        pipe.filled(b"")
        pipe.drop_incomplete()
        assert pipe.check() and pipe.bytes == 0
        pipe.start_in()
        feed(pipe, wire_of([bytes(60)]))
    else:
        feed(pipe, wire_of([body_of(300, 8)])[30:] + wire_of([bytes(CHUNK)]))
        assert pipe.pop().parts == [body_of(300, 8)]
    assert msg.parts == [body_of(CHUNK - 100, 7)]
    assert pipe.pop().parts == [bytes(60 if is_lost else CHUNK)] and pipe.bytes == 0


def test_a_long_body_is_read_into_one_piece_of_its_own_size() -> None:
    pipe = in_pipe()
    feed(pipe, wire_of([body_of(1_000_000, 6)]), 60_000)
    assert pipe.chunk_sizes == [1_000_009] and pipe.pop().parts == [body_of(1_000_000, 6)]
    assert sum(pipe.chunk_sizes) <= 4 * probe.CHUNK_BYTES_MAX


@pytest.mark.parametrize("announced", [10 * probe.FRAME_BYTES_AT_ONCE, 1 << 40, 1 << 48])
@pytest.mark.parametrize("has_unread", [False, True])
def test_an_announced_length_claims_no_memory(announced: int, has_unread: bool) -> None:
    pipe = in_pipe()
    if has_unread:
        feed(pipe, wire_of([b"unread"]))
    piece = bytes(1 << 20)
    feed(pipe, head_of(0, announced) + b"x")
    for here in range(1, 40):
        assert sum(pipe.chunk_sizes) <= max(probe.FRAME_BYTES_AT_ONCE, 2 * here * len(piece)) + CHUNK
        feed(pipe, piece)
        assert len(pipe.chunk_sizes) == 1 + has_unread
    pipe.drop_incomplete()
    assert pipe.check() and pipe.msgs == has_unread and sum(pipe.chunk_sizes) <= 4 * probe.CHUNK_BYTES_MAX
    pipe.start_in()
    feed(pipe, wire_of([b"x"]))
    assert list(pop_all(pipe)) == [[b"unread"]] * has_unread + [[b"x"]]


@pytest.mark.parametrize("step", [50_000, 1_000_000, 10**9])
@pytest.mark.parametrize("size", [probe.FRAME_BYTES_AT_ONCE + i for i in (-10, -9, -8, 1)] + [20_000_000])
def test_a_long_body_arrives_whole(size: int, step: int) -> None:
    """Among short messages of which one is held, in front of the next long one."""
    messages = [[b"held"], [b"id", body_of(size, 3)], [b"short"], [body_of(size - 1, 4), b"tail"]]
    pipe = in_pipe()
    feed(pipe, wire_of(messages[0]))
    held = pipe.pop()
    for parts in messages[1:]:
        feed(pipe, wire_of(parts), step)
    assert list(pop_all(pipe)) == messages[1:]
    assert held.parts == messages[0] and pipe.bytes == 0 and pipe.check()


def test_a_stream_of_long_bodies_is_not_read_beyond_their_headers() -> None:
    """What is read behind a header is copied when the body gets a chunk of its own."""
    pipe = in_pipe()
    feed(pipe, wire_of([b"x" * 100]) * 20_000)
    assert sum(1 for _ in pop_all(pipe)) == 20_000
    stream = wire_of([body_of(1_000_000, 1)]) * 12
    rooms = []
    while stream:
        rooms.append(pipe.reserve())
        data, stream = stream[: rooms[-1]], stream[rooms[-1] :]
        pipe.filled(data)
        pipe.decode()
        while pipe.msgs:
            pipe.drop()
    assert rooms[-2:] == [CHUNK, 1_000_009 - CHUNK] and len(rooms) == 24
    feed(pipe, wire_of([b"x" * 100]) * 20_000)
    assert pipe.chunk_bytes == probe.CHUNK_BYTES_MAX


def test_a_long_frame_that_fills_its_chunk_gets_as_much_again() -> None:
    pipe = in_pipe()
    size = probe.FRAME_BYTES_AT_ONCE
    feed(pipe, head_of(0, 4 * size) + bytes(size - 9))
    assert pipe.chunk_sizes == [size] and pipe.reserve() == size
    pipe.filled(b"")
    assert pipe.chunk_sizes == [2 * size] and pipe.bytes == size


def random_frames(rng: random.Random) -> bytes:
    """A message of short and long parts, or a command, which may be long too."""
    long = probe.CHUNK_BYTES_MAX
    sizes = rng.choices([0, 5, 300, CHUNK, long - 9, long - 8, long, long + 1, long + 70_000], k=rng.randint(1, 3))
    if rng.random() < 0.2:
        return frame_of(probe.COMMAND, b"S" + body_of(sizes[0], 1))
    return wire_of([body_of(size, rng.randrange(256)) for size in sizes])


@pytest.mark.parametrize("seed", range(24))
def test_a_long_body_that_is_read_apart_is_a_body_like_any_other(seed: int) -> None:
    rng = random.Random(seed)
    hwm, keeps = rng.choice([0, 0, 1, 3]), rng.random() < 0.5
    pipe, model, apart = in_pipe(hwm, keeps), InModel(keeps), 0
    for _ in range(12):
        stream = b"".join(random_frames(rng) for _ in range(rng.randint(1, 4)))
        while stream or model.is_stalled:
            if not model.is_stalled:
                step = rng.choice([7, 3000, 100_000, 10**9])
                data = stream[: min(pipe.reserve(offer=rng.choice([0, 1 << 19])), step)]
                apart += pipe.is_apart
                stream = stream[len(data) :]
                pipe.filled(data)
                model.undecoded += data
            pipe.decode()
            model.decode(hwm)
            assert pipe.check() and pipe.msgs == len(model.readable)
            if (run := pipe.peek_run()) is not None:
                first = [model.readable[i] for i in range(run[1])]
                assert run[0] == b"".join(wire_of(one.parts) for one in first) or any(one.is_command for one in first)
            while model.readable and rng.random() < 0.7:
                assert pipe.pop().parts == model.readable.popleft().parts
        if rng.random() < 0.2 and hwm == 0:
            feed(pipe, head_of(0, probe.CHUNK_BYTES_MAX + 5) + b"torn")
            pipe.reserve(offer=1 << 19)
            pipe.filled(b"")
            pipe.drop_incomplete()
            model.drop_incomplete()
            pipe.start_in()
            assert pipe.check() and not pipe.is_apart
    assert apart
    assert list(pop_all(pipe)) == [one.parts for one in model.readable]


@pytest.mark.parametrize("has_unread", [False, True])
def test_a_long_body_that_is_read_apart_may_be_torn(has_unread: bool) -> None:
    pipe = in_pipe()
    if has_unread:
        feed(pipe, wire_of([b"unread"]))
    feed(pipe, wire_of([b"begun", b""])[:-2] + head_of(0, 1_000_000) + b"torn")
    assert pipe.reserve(offer=1_000_000) == 1_000_000 - 4 and pipe.is_apart
    pipe.filled(b"here, too")
    assert pipe.check() and pipe.msgs == has_unread
    pipe.drop_incomplete()
    pipe.start_in()
    feed(pipe, wire_of([b"x"]))
    assert pipe.check() and list(pop_all(pipe)) == [[b"unread"]] * has_unread + [[b"x"]]


def test_a_long_body_that_is_read_apart_needs_memory_for_its_chunk(tmp_path: Path) -> None:
    assert run_with_shim(tmp_path, __name__, "run_apart_without_memory") == {"refused": 1}


def run_apart_without_memory(shim: ctypes.CDLL) -> dict[str, int]:
    let_probes_fail(shim)
    pipe = in_pipe()
    feed(pipe, head_of(0, 1_000_000) + b"x")
    failed = pipe.reserve(offer=1_000_000, fail_after=0) == -probe.ENOMEM
    assert failed and not pipe.is_apart and pipe.check()
    feed(pipe, bytes(999_999))
    assert pipe.pop().parts == [b"x" + bytes(999_999)]
    return {"refused": int(failed)}


def test_an_offer_is_for_long_messages_alone() -> None:
    pipe = in_pipe()
    assert pipe.reserve(offer=1 << 30) and not pipe.is_apart
    pipe.filled(head_of(0, 100_000) + b"x")
    pipe.decode()
    assert pipe.reserve(offer=1 << 30) == 100_009 - 10 and not pipe.is_apart
    pipe.filled(body_of(100_000, 1)[1:])
    pipe.decode()
    assert pipe.pop().parts == [b"x" + body_of(100_000, 1)[1:]]
    feed(pipe, head_of(probe.COMMAND, 1_000_000) + b"x")
    assert pipe.reserve(offer=1 << 30) == 1_000_009 - 10 and not pipe.is_apart
    pipe.filled(b"")


def test_reads_grow_under_load_and_shrink_when_idle() -> None:
    pipe = in_pipe()
    feed(pipe, wire_of([b"x" * 100]) * 20_000)
    assert pipe.chunk_bytes == probe.CHUNK_BYTES_MAX
    assert sum(len(parts) for parts in pop_all(pipe)) == 20_000
    for _ in range(20):
        feed(pipe, wire_of([b"x"]))
        pipe.drop()
    assert pipe.chunk_bytes == CHUNK and sum(pipe.chunk_sizes) <= 4 * CHUNK


def test_what_is_read_beyond_the_bound_finds_room() -> None:
    """Undecoded bytes may be more than the next chunk would hold: reads that bring little let it shrink."""
    pipe = in_pipe(1)
    stream = wire_of([b"x" * 50]) * 400
    feed(pipe, stream[:9000])
    while pipe.chunk_bytes > CHUNK:
        pipe.reserve()
        pipe.filled(b"")
    feed(pipe, stream[9000:], 100)
    assert pipe.msgs == 1 and pipe.bytes == len(stream)
    for _ in range(400):
        assert pipe.pop().parts == [b"x" * 50]
        pipe.decode()
    assert pipe.bytes == 0


def test_no_chunk_stays_behind_empty() -> None:
    """A frame that turns out to be larger than the chunk it was moved to, behind an unread message."""
    pipe = in_pipe()
    feed(pipe, wire_of([b"unread"]))
    for i in range(1, 20):
        feed(pipe, wire_of([body_of(CHUNK * i, i)]), 5)
        assert 0 not in pipe.chunk_loads
    out = probe.Pipe()
    for i in range(1, 20):
        out.append([body_of(CHUNK * 3 * i, i)])
        assert 0 not in out.chunk_loads and len(out.chunk_sizes) == 1
        send_all(out)


def test_decoding_stops_at_the_bound_and_goes_on_below_the_mark() -> None:
    pipe = in_pipe(4)
    feed(pipe, b"".join(wire_of([b"%d" % i]) for i in range(10)))
    assert pipe.msgs == 4 and pipe.is_latched
    pipe.drop()
    assert not pipe.has_reopened()
    pipe.drop()
    assert pipe.has_reopened() and not pipe.is_latched
    pipe.decode()
    assert pipe.msgs == 4 and pipe.is_latched
    assert list(pop_all(pipe)) == [[b"2"], [b"3"], [b"4"], [b"5"]]


# --- runs -----------------------------------------------------------------------------------------------


def test_a_run_ends_where_a_message_is_not_whole() -> None:
    pipe = in_pipe()
    feed(pipe, wire_of([b"a"]) + wire_of([b"b", b"c"]) + frame_of(probe.MORE, b"open"))
    whole = wire_of([b"a"]) + wire_of([b"b", b"c"])
    assert pipe.peek_run() == (whole, 2, 3, 3)
    target = probe.Pipe()
    assert pipe.forward(target, 1, None, True) == [(wire_of([b"a"]), b"a")]
    assert pipe.peek_run() == (wire_of([b"b", b"c"]), 1, 2, 2)
    assert pipe.forward(target, 9, probe.Store(b"id"), False) == [(wire_of([b"b", b"c"]), b"b")]
    assert pipe.peek_run() is None and pipe.msgs == 0
    feed(pipe, frame_of(0, b"end"))
    assert pipe.pop().parts == [b"open", b"end"] and pipe.bytes == 0
    assert send_all(target) == wire_of([b"a"]) + wire_of([b"id", b"b", b"c"])


def test_skipped_commands_are_in_no_run() -> None:
    pipe = in_pipe()
    feed(pipe, wire_of([b"a"]) + frame_of(probe.COMMAND, b"X") + wire_of([b"b"]))
    assert pipe.peek_run() is None
    assert list(pop_all(pipe)) == [[b"a"], [b"b"]]
    feed(pipe, wire_of([b"c"]))
    assert pipe.peek_run() == (wire_of([b"c"]), 1, 1, 1)


def test_a_run_knows_nothing_of_appended_messages() -> None:
    """The peer of a new connection may speak ZMTP 1.0, whose messages are appended, and the next 3.1."""
    for appended in (1, 2):
        pipe = in_pipe()
        feed(pipe, wire_of([b"a"]) + wire_of([b"b"]))
        pipe.drop_incomplete()
        pipe.start_queue()
        for _ in range(appended):
            pipe.append([b"c", b"d"])
        assert pipe.peek_run() is None
        pipe.drop_incomplete()
        pipe.start_in()
        feed(pipe, wire_of([b"e"]))
        assert pipe.peek_run() is None
        assert list(pop_all(pipe)) == [[b"a"], [b"b"]] + [[b"c", b"d"]] * appended + [[b"e"]]
        feed(pipe, wire_of([b"f"]))
        assert pipe.peek_run() == (wire_of([b"f"]), 1, 1, 1)


@pytest.mark.parametrize("sent", [0, 1, 9, 10, 5000, 9000, 12_345])
def test_a_run_by_reference_is_abandoned_within_its_window(sent: int) -> None:
    pipe, target = in_pipe(), probe.Pipe()
    # One message to grow the chunks, so that all others lie in one.
    feed(pipe, wire_of([bytes(30_000)]) + b"".join(wire_of([body_of(300, i)]) for i in range(60)))
    pipe.drop()
    moved = []
    while pipe.msgs:
        got = pipe.forward(target, 100, None, True)
        moved += [wire for wire, _ in got] or [wire_of(pipe.pop().parts)]
        if not got:
            target.append([moved[-1][9:]])
    feed(pipe, wire_of([b"overwrites?"]) * 500)
    assert target.msgs == 60 and send(target, sent) == b"".join(moved)[:sent]
    target.abandon_begun()
    left = 60 - -(-sent // 309)
    assert target.msgs == left and send_all(target) == b"".join(moved[60 - left :]) and target.check()


@pytest.mark.parametrize("stop", [3, 4, 5, 9000])
def test_a_prefixed_message_is_abandoned_with_its_prefix(stop: int) -> None:
    pipe, target = in_pipe(), probe.Pipe()
    feed(pipe, wire_of([body_of(3 * LARGE, 9)]) + wire_of([b"next"]))
    moved = pipe.forward(target, 1, probe.Store(b"id"), True)
    assert [first for _, first in moved] == [body_of(3 * LARGE, 9)]
    target.append([b"last"])
    send(target, stop)
    target.abandon_begun()
    assert target.msgs == 1 and send_all(target) == wire_of([b"last"])


# --- messages ------------------------------------------------------------------------------------------------------


def test_a_message_grows_at_both_ends_and_keeps_its_references() -> None:
    stores = [probe.Store(b"s%d" % i) for i in range(40)]
    msg = probe.Msg()
    for i in range(20):
        msg.push(stores[19 - i])
        msg.unshift(stores[20 + i])
    expected = [stores[39 - i].data for i in range(40)]
    assert msg.parts == expected and msg.bytes == sum(map(len, expected))
    msg.shift(15)
    assert msg.parts == expected[15:] and [store.refs for store in stores] == [2] * 25 + [1] * 15
    msg.shift(25)
    assert msg.parts == [] and [store.refs for store in stores] == [1] * 40


@pytest.mark.parametrize("count", [0, 1, 4, 5, 20])
def test_a_message_is_moved_with_its_references(count: int) -> None:
    stores = [probe.Store(b"s%d" % i) for i in range(count)]
    source, target = probe.Msg(), probe.Msg()
    for store in stores:
        source.push(store)
    source.push(b"copy")
    source.move_to(target)
    assert source.parts == [] and target.parts == [store.data for store in stores] + [b"copy"]
    assert source.push(b"again") == 0 and source.parts == [b"again"]
    source.move_to(target)
    assert target.parts == [b"again"] and [store.refs for store in stores] == [1] * count
    target.clear()
    target.fini()
    assert target.push(b"x") == 0 and target.parts == [b"x"]


# --- no memory -----------------------------------------------------------------------------------------------------


def run_without_memory(shim: ctypes.CDLL) -> dict[str, int]:
    """Refuses each allocation of each call once, through a random life of the three kinds of pipe."""
    let_probes_fail(shim)
    rng = random.Random(2)
    seen: Counter[str] = Counter()
    large = probe.Store(body_of(LARGE + 100, 1))
    outs: deque[bytes] = deque()
    queued: deque[list[bytes]] = deque()
    out, queue, read, target = probe.Pipe(), probe.Pipe(), in_pipe(), probe.Pipe()
    incoming, forwarded, stream = InModel(False), b"", b""

    def until_clean(what: str, call: object, *args: object) -> object:
        for calls in range(20):
            before = {pipe: (pipe.msgs, pipe.bytes) for pipe in (out, queue, read, target)}
            result = call(*args, fail_after=calls)  # type: ignore[operator]
            if result != -probe.ENOMEM:
                seen[f"most refusals of {what}"] = max(seen[f"most refusals of {what}"], calls)
                return result
            seen[what] += 1
            assert all(pipe.check() for pipe in before)
            assert {pipe: (pipe.msgs, pipe.bytes) for pipe in before} == before, what
        raise AssertionError(f"{what} never ends clean")

    for _ in range(1500):
        small = body_of(rng.choice([0, 5, 200, 300, 1500, 5000]), rng.randrange(256))
        bodies = [rng.choice([small, large, b"x"]) for _ in range(rng.randrange(1, 5))]
        parts = [body.data if isinstance(body, probe.Store) else body for body in bodies]
        match rng.randrange(10):
            case 0:
                until_clean("append", out.append, bodies)
                outs.append(wire_of(parts))
            case 1:
                until_clean("append_part", out.append_part, bodies[0])
                outs.append(wire_of(parts[:1]))
            case 2:
                until_clean("append_frame", out.append_frame, probe.COMMAND, b"X", small)
                outs.append(frame_of(probe.COMMAND, b"X" + small))
            case 3:
                until_clean("queue append", queue.append, bodies)
                queued.append(parts)
            case 4 | 5:
                if queued and rng.random() < 0.7:
                    msg = until_clean("queue pop", queue.pop)
                    assert msg.parts == queued.popleft()  # type: ignore[attr-defined]
            case 6:
                if out.append([b"head", large], fail_after=rng.randrange(3)) == 0:
                    outs.append(wire_of([b"head", large.data]))
                data = send_all(out)
                assert data == b"".join(outs) and not out.is_begun
                outs.clear()
            case 7 | 8:
                stream += wire_of(parts)
                for _ in range(3):
                    room = until_clean("reserve", read.reserve)
                    data, stream = stream[:room], stream[room:]  # type: ignore[misc]
                    read.filled(data)
                    read.decode()
                    incoming.undecoded += data
                    incoming.decode(0)
            case 9:
                if read.peek_run() is None or rng.random() < 0.4:
                    if incoming.readable:
                        msg = until_clean("in pop", read.pop)
                        assert msg.parts == incoming.readable.popleft().parts  # type: ignore[attr-defined]
                elif rng.random() < 0.5:
                    got = until_clean("run", read.forward, target, 1000, None, rng.random() < 0.5)
                    forwarded += b"".join(wire for wire, _ in got)  # type: ignore[attr-defined]
                    for _ in got:  # type: ignore[attr-defined]
                        incoming.readable.popleft()
                else:
                    got = until_clean("prefixed", read.forward, target, 1, large, rng.random() < 0.5)
                    for wire, _ in got:  # type: ignore[attr-defined]
                        forwarded += frame_of(probe.MORE, large.data) + wire
                        incoming.readable.popleft()
                if rng.random() < 0.5:
                    assert send_all(target) == forwarded
                    forwarded = b""
    grown = probe.Msg()
    for i in range(20):
        assert until_clean("msg push", grown.push, b"%d" % i) == 0
        assert until_clean("msg unshift", grown.unshift, large) == 0
    assert grown.parts == [large.data] * 20 + [b"%d" % i for i in range(20)]
    del grown
    long_body = in_pipe()
    feed(long_body, head_of(0, 3 * probe.FRAME_BYTES_AT_ONCE) + bytes(probe.FRAME_BYTES_AT_ONCE - 9))
    assert until_clean("grow", long_body.reserve) == probe.FRAME_BYTES_AT_ONCE
    long_body.filled(b"")
    feed(long_body, bytes(2 * probe.FRAME_BYTES_AT_ONCE + 9))
    assert long_body.pop().parts == [bytes(3 * probe.FRAME_BYTES_AT_ONCE)]
    for pipe in (out, queue, read, target):
        pipe.clear()
    msg = None  # the last one popped refers to its parts
    seen["references left"] = large.refs
    return dict(seen)


def test_without_memory_nothing_changes(tmp_path: Path) -> None:
    seen = run_with_shim(tmp_path, __name__, "run_without_memory")
    assert seen["references left"] == 1
    appends = ("append", "append_part", "append_frame", "queue append", "run", "prefixed", "msg push")
    for what in (*appends, "reserve", "grow"):
        assert seen[what] > 0, what
    assert seen["most refusals of append"] >= 4 and seen["most refusals of reserve"] == 2
    assert seen["most refusals of queue pop"] <= 1


def run_with_spares(shim: ctypes.CDLL) -> dict[str, int]:
    """How many blocks are given back, and taken, when ten bodies go and come."""
    seen = {}
    for name, size in (("long", 1 << 20), ("too_long", probe.SPARE_BODY_BYTES_MAX + 1)):
        body = bytes(size)
        msgs = [probe.Msg() for _ in range(20)]
        for msg in msgs:
            msg.push(body)
        full = shim.live_blocks()
        for msg in msgs:
            msg.clear()
        empty = shim.live_blocks()
        for msg in msgs:
            msg.push(body)
        seen |= {f"{name}_given": full - empty, f"{name}_taken": shim.live_blocks() - empty}
        assert all(msg.parts == [body] for msg in msgs)
        del msgs, msg
    return seen


def test_some_long_bodies_are_kept_for_the_next(tmp_path: Path) -> None:
    seen = run_with_shim(tmp_path, __name__, "run_with_spares")
    fresh = 20 - probe.SPARE_BODIES_MAX
    assert seen == {"long_given": fresh, "long_taken": fresh, "too_long_given": 20, "too_long_taken": 20}
