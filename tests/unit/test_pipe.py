"""The pipe against a plain list of messages, in each of its three uses: out, in and queue."""

from __future__ import annotations

import ctypes
import random
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.native import _probe_pipe as probe
from tests.unit.shim import address_of_fail_after, run_with_shim

LARGE = probe.LARGE_BODY_BYTES
CHUNK = probe.CHUNK_BYTES_MIN
LONG = 2

MODEL_SETTINGS = settings(max_examples=120, stateful_step_count=50, deadline=None)


def pattern(size: int, salt: int = 0) -> bytes:
    """Bytes in which a shift, a gap or a mixed-up body shows."""
    return bytes((salt * 37 + i + (i >> 8)) & 0xFF for i in range(min(size, 1021))) * (size // 1021 + 1)


def body_of(size: int, salt: int) -> bytes:
    return pattern(size, salt)[:size]


def head_of(flags: int, size: int, is_long: bool = False) -> bytes:
    if size > 255 or is_long:
        return bytes([flags | LONG]) + size.to_bytes(8, "big")
    return bytes([flags, size])


def frame_of(flags: int, body: bytes, is_long: bool = False) -> bytes:
    return head_of(flags, len(body), is_long) + body


def wire_of(parts: list[bytes]) -> bytes:
    return b"".join(frame_of(probe.MORE if i + 1 < len(parts) else 0, part) for i, part in enumerate(parts))


def low_mark(hwm: int) -> int:
    """patterns.md 2: (HWM + 1) / 2 messages have to be read."""
    return hwm - (hwm + 1) // 2


@dataclass
class Bound:
    """The high-water mark with its memory, over a number of messages that the caller knows."""

    hwm: int
    is_full: bool = False

    def full(self, msgs: int) -> bool:
        self.is_full = not self.reopened(msgs) if self.is_full else self.hwm != 0 and msgs >= self.hwm
        return self.is_full

    def reopened(self, msgs: int) -> bool:
        if self.hwm == 0 or msgs <= low_mark(self.hwm):
            self.is_full = False
            return True
        return False


# --- what is sent and received -----------------------------------------------------------------------------------

# Both header sizes, both sides of what one chunk takes, both sides of "by reference".
SIZES = st.one_of(
    st.integers(0, 300),
    st.sampled_from([255, 256, CHUNK - 9, CHUNK - 2, CHUNK, CHUNK + 1, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE, 70_000]),
)
SHORT_SIZES = st.integers(0, 40)
BODIES = st.tuples(st.one_of(SIZES, SHORT_SIZES), st.integers(0, 255)).map(lambda size_salt: body_of(*size_salt))
PARTS = st.lists(st.tuples(BODIES, st.booleans()), min_size=1, max_size=6)
HWMS = st.sampled_from([0, 0, 1, 2, 3, 4, 7, 30])


def given_bodies(parts: list[tuple[bytes, bool]]) -> list[bytes | probe.Store]:
    return [probe.Store(body) if has_store else body for body, has_store in parts]


@dataclass
class OutItem:
    """What goes over the wire as a whole: a message, or a command between messages."""

    wire: bytes
    is_message: bool


@dataclass
class OutModel:
    """What an out pipe holds, and how much of its oldest item has been sent."""

    items: deque[OutItem] = field(default_factory=deque)
    sent_bytes: int = 0

    def append(self, wire: bytes, is_message: bool = True) -> None:
        self.items.append(OutItem(wire, is_message))

    @property
    def msgs(self) -> int:
        return sum(item.is_message for item in self.items)

    @property
    def bytes(self) -> int:
        return sum(len(item.wire) for item in self.items) - self.sent_bytes

    def begins_with(self, data: bytes) -> bool:
        rest, skip = memoryview(data), self.sent_bytes
        for item in self.items:
            have = item.wire[skip:]
            skip = 0
            if len(rest) <= len(have):
                return have.startswith(rest)
            if not bytes(rest).startswith(have):
                return False
            rest = rest[len(have) :]
        return not rest

    def send(self, size: int) -> None:
        self.sent_bytes += size
        while self.items and self.sent_bytes >= len(self.items[0].wire):
            self.sent_bytes -= len(self.items[0].wire)
            self.items.popleft()

    def abandon(self) -> None:
        if self.sent_bytes:
            self.items.popleft()
            self.sent_bytes = 0


class OutMachine(RuleBasedStateMachine):
    """append · gather · sent · account · abandon, with any split of the writes."""

    @initialize(hwm=HWMS)
    def begin(self, hwm: int) -> None:
        self.pipe = probe.Pipe(hwm)
        self.model = OutModel()
        self.bound = Bound(hwm)
        self.stores: list[probe.Store] = []

    def remember(self, bodies: list[bytes | probe.Store]) -> list[bytes | probe.Store]:
        self.stores += [body for body in bodies if isinstance(body, probe.Store)]
        return bodies

    @rule(parts=PARTS)
    def append(self, parts: list[tuple[bytes, bool]]) -> None:
        assert self.pipe.append(self.remember(given_bodies(parts))) == 0
        self.model.append(wire_of([body for body, _ in parts]))

    @rule(part=st.tuples(BODIES, st.booleans()))
    def append_part(self, part: tuple[bytes, bool]) -> None:
        assert self.pipe.append_part(self.remember(given_bodies([part]))[0]) == 0
        self.model.append(wire_of([part[0]]))

    @rule(store=BODIES, times=st.integers(2, 4))
    def append_one_store_often(self, store: bytes, times: int) -> None:
        (shared,) = self.remember([probe.Store(store)])
        for _ in range(times):
            assert self.pipe.append([b"to", shared]) == 0
            self.model.append(wire_of([b"to", store]))

    @rule(head=st.binary(max_size=20), tail=BODIES, is_command=st.booleans())
    def append_frame(self, head: bytes, tail: bytes, is_command: bool) -> None:
        flags = probe.COMMAND if is_command else 0
        assert self.pipe.append_frame(flags, head, tail) == 0
        self.model.append(frame_of(flags, head + tail), not is_command)

    @rule(times=st.integers(1, 60), parts=st.lists(SHORT_SIZES, min_size=1, max_size=3))
    def append_a_flood(self, times: int, parts: list[int]) -> None:
        for salt in range(times):
            bodies = [body_of(size, salt) for size in parts]
            assert self.pipe.append(bodies) == 0
            self.model.append(wire_of(bodies))

    def write(self, room: int, pick: float, is_near_edge: bool) -> tuple[int, int]:
        """Begins a write and says how much of it is to go: anywhere, or within some bytes of a buffer's or frame's end."""
        total = self.pipe.gather(room)
        assert (total == 0) == (self.model.bytes == 0)
        buffers = self.pipe.gathered()
        assert self.model.begins_with(b"".join(buffers))
        size = round(total * pick)
        if is_near_edge and buffers:
            edge = sum(len(buffer) for buffer in buffers[: 1 + round((len(buffers) - 1) * pick)])
            size = min(total, max(0, edge + round(pick * 1000) % 21 - 10))
        return total, size

    @rule(room=st.sampled_from([1, 2, 3, 64]), pick=st.floats(0, 1), is_near_edge=st.booleans())
    def send(self, room: int, pick: float, is_near_edge: bool) -> None:
        _, size = self.write(room, pick, is_near_edge)
        self.pipe.sent(size)
        self.model.send(size)

    @rule(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=30))
    def send_a_few_bytes_at_a_time(self, sizes: list[int]) -> None:
        for size in sizes:
            total, _ = self.write(64, 0.0, False)
            self.pipe.sent(min(size, total))
            self.model.send(min(size, total))

    @rule()
    def send_everything(self) -> None:
        while total := self.pipe.gather():
            self.pipe.sent(total)
            self.model.send(total)

    @rule(parts=PARTS, pick=st.floats(0, 1))
    def append_during_a_write(self, parts: list[tuple[bytes, bool]], pick: float) -> None:
        total, size = self.write(64, pick, False)
        before = self.pipe.gathered()
        self.append(parts)
        self.account()
        self.is_full()
        assert self.pipe.gathered() == before
        self.pipe.sent(size)
        self.model.send(size)

    @rule()
    def account(self) -> None:
        self.pipe.account()
        assert self.pipe.msgs == self.model.msgs

    @rule()
    def is_full(self) -> None:
        assert self.pipe.is_full() == self.bound.full(self.model.msgs)
        assert self.pipe.is_latched == self.bound.is_full

    @rule()
    def has_reopened(self) -> None:
        assert self.pipe.has_reopened() == self.bound.reopened(self.model.msgs)

    @rule(hwm=HWMS)
    def change_the_bound(self, hwm: int) -> None:
        self.pipe.hwm_msgs = self.bound.hwm = hwm

    @rule()
    def lose_the_connection(self) -> None:
        self.pipe.abandon_begun()
        self.model.abandon()
        assert self.pipe.msgs == self.model.msgs
        assert not self.pipe.is_begun

    @rule()
    def clear(self) -> None:
        self.pipe.clear()
        self.model = OutModel()

    @invariant()
    def same(self) -> None:
        assert self.pipe.check()
        assert self.pipe.bytes == self.model.bytes
        assert self.pipe.ends == self.pipe.msgs >= self.model.msgs

    def teardown(self) -> None:
        self.pipe.clear()
        assert [store.refs for store in self.stores] == [1] * len(self.stores)


TestOutMachine = OutMachine.TestCase
TestOutMachine.settings = MODEL_SETTINGS


# --- in ------------------------------------------------------------------------------------------------------------


@dataclass
class Readable:
    """A message, or a command that was kept."""

    parts: list[bytes]
    is_command: bool = False


class InModel:
    """What an in pipe makes of a stream of bytes, decoded by hand."""

    def __init__(self, keep_commands: bool) -> None:
        self.keep_commands = keep_commands
        self.undecoded = b""
        self.parts: list[bytes] = []
        self.readable: deque[Readable] = deque()
        self.is_stalled = False

    def decode(self, hwm: int) -> None:
        while True:
            self.is_stalled = hwm != 0 and len(self.readable) >= hwm
            if self.is_stalled:
                return
            data = self.undecoded
            head_bytes = 9 if data[:1] and data[0] & LONG else 2
            if len(data) < head_bytes:
                return
            size = int.from_bytes(data[1:head_bytes], "big")
            if len(data) < head_bytes + size:
                return
            body = data[head_bytes : head_bytes + size]
            self.undecoded = data[head_bytes + size :]
            if data[0] & probe.COMMAND:
                if self.keep_commands and body.startswith(b"S") and not self.parts:
                    self.readable.append(Readable([body], True))
                continue
            self.parts.append(body)
            if not data[0] & probe.MORE:
                self.readable.append(Readable(self.parts))
                self.parts = []

    def drop_incomplete(self) -> None:
        self.undecoded = b""
        self.parts = []
        self.is_stalled = False


@st.composite
def peer_frames(draw: st.DrawFn) -> bytes:
    """A message or a command as a peer may send it: commands within a message, long headers of short bodies, reserved bits."""
    wire = b""
    parts = draw(st.lists(BODIES, max_size=4))
    for i, body in enumerate(parts):
        if draw(st.integers(0, 5)) == 0:
            wire += frame_of(probe.COMMAND, b"Xmiddle")
        flags = probe.MORE if i + 1 < len(parts) else 0
        wire += frame_of(flags | draw(st.sampled_from([0, 0, 0, 0x80, 0xF8])), body, draw(st.booleans()))
    if not parts or draw(st.integers(0, 3)) == 0:
        body = draw(st.sampled_from([b"S", b"Stopic", b"X", b"", b"Xping"])) + draw(st.sampled_from([b"", b"a" * 300]))
        wire += frame_of(probe.COMMAND | draw(st.sampled_from([0, 0, probe.MORE, 0x80])), body)
    return wire


class InMachine(RuleBasedStateMachine):
    """reserve · filled · decode · pop, and runs on to an out pipe, with any split of the stream and of the reads."""

    @initialize(hwm=HWMS, keep_commands=st.booleans())
    def begin(self, hwm: int, keep_commands: bool) -> None:
        self.pipe = probe.Pipe(hwm, keep_commands)
        self.pipe.start_in()
        self.model = InModel(keep_commands)
        self.hwm = hwm
        self.stream = b""
        self.room = -1
        self.is_queue = False
        self.held: list[tuple[probe.Msg, list[bytes]]] = []
        self.target = probe.Pipe()
        self.target_model = OutModel()
        self.prefix = probe.Store(b"\0peer")

    @property
    def may_read(self) -> bool:
        return self.room < 0 and not self.is_queue

    @rule(frames=peer_frames())
    def peer_sends(self, frames: bytes) -> None:
        self.stream += frames

    @rule(size=st.integers(0, 40), times=st.integers(1, 100), parts=st.integers(1, 3))
    def peer_floods(self, size: int, times: int, parts: int) -> None:
        for salt in range(times):
            self.stream += wire_of([body_of(size, salt + i) for i in range(parts)])

    def fill(self, size: int) -> None:
        data = self.stream[: min(size, self.room)]
        self.stream = self.stream[len(data) :]
        self.pipe.filled(data)
        self.room = -1
        self.model.undecoded += data
        self.decode()

    def decode(self) -> None:
        self.pipe.decode()
        self.model.decode(self.hwm)

    @precondition(lambda self: self.may_read)
    @rule(want=st.sampled_from([0, 0, 0, 1, 100, 5000]))
    def reserve(self, want: int) -> None:
        self.room = self.pipe.reserve(want)
        assert self.room >= 1

    @precondition(lambda self: self.room >= 0)
    @rule(size=st.one_of(st.integers(0, 30), st.just(10**9)))
    def filled(self, size: int) -> None:
        self.fill(size)

    @precondition(lambda self: self.may_read)
    @rule(sizes=st.lists(st.one_of(st.integers(0, 20), st.integers(0, 3000), st.just(10**9)), min_size=1, max_size=15))
    def read_some(self, sizes: list[int]) -> None:
        for size in sizes:
            if self.may_read:
                self.reserve(0)
                self.fill(size)
                self.same()

    @rule()
    def pop(self) -> None:
        got = self.pipe.pop()
        if not self.model.readable:
            assert got == -probe.EAGAIN
            return
        expected = self.model.readable.popleft()
        assert got.parts == expected.parts
        assert got.is_command == expected.is_command
        self.held.append((got, expected.parts))
        del self.held[:-6]

    @rule(count=st.integers(1, 60))
    def drop_many(self, count: int) -> None:
        for _ in range(count):
            assert self.pipe.drop() == (0 if self.model.readable else -probe.EAGAIN)
            if self.model.readable:
                self.model.readable.popleft()

    @rule(count=st.integers(1, 200))
    def pop_many(self, count: int) -> None:
        for _ in range(min(count, 1 + len(self.model.readable))):
            self.pop()

    @rule()
    def let_go(self) -> None:
        self.held.clear()

    @rule()
    def has_reopened(self) -> None:
        is_reopened = Bound(self.hwm).reopened(len(self.model.readable))
        assert self.pipe.has_reopened() == is_reopened
        if is_reopened and self.model.is_stalled:
            self.decode()

    @rule(most=st.sampled_from([1, 2, 5, 1000]), has_prefix=st.booleans(), by_reference=st.booleans())
    def forward(self, most: int, has_prefix: bool, by_reference: bool) -> None:
        run = self.pipe.peek_run()
        if run is None:
            return
        frames, msgs, frame_count, payload_bytes = run
        expected = [self.model.readable[i] for i in range(msgs)]
        assert frame_count == sum(len(one.parts) for one in expected)
        assert payload_bytes == sum(len(part) for one in expected for part in one.parts)
        assert not any(one.is_command for one in expected) or self.model.keep_commands
        if any(one.is_command for one in expected):
            return
        moved = self.pipe.forward(self.target, most, self.prefix if has_prefix else None, by_reference)
        assert len(moved) == min(most, msgs)
        assert frames.startswith(b"".join(wire for wire, _ in moved))
        for wire, first in moved:
            message = self.model.readable.popleft()
            reader = InModel(False)
            reader.undecoded = wire
            reader.decode(0)
            assert [one.parts for one in reader.readable] == [message.parts] and not reader.undecoded
            assert first == message.parts[0]
            self.target_model.append((frame_of(probe.MORE, self.prefix.data) if has_prefix else b"") + wire)

    @rule(pick=st.floats(0, 1))
    def send_forwarded(self, pick: float) -> None:
        total = self.target.gather()
        assert self.target_model.begins_with(b"".join(self.target.gathered()))
        self.target.sent(round(total * pick))
        self.target_model.send(round(total * pick))
        self.target.account()
        assert self.target.msgs == self.target_model.msgs

    @rule()
    def lose_the_target(self) -> None:
        self.target.abandon_begun()
        self.target_model.abandon()

    @precondition(lambda self: self.room < 0)
    @rule()
    def reconnect(self) -> None:
        self.pipe.drop_incomplete()
        self.model.drop_incomplete()
        self.same()
        self.pipe.start_in()
        self.stream = b""
        self.is_queue = False
        self.decode()

    @precondition(lambda self: self.room < 0)
    @rule()
    def reconnect_to_an_old_peer(self) -> None:
        """ZMTP 1.0 input is decoded elsewhere and appended."""
        self.pipe.drop_incomplete()
        self.model.drop_incomplete()
        self.pipe.start_queue()
        self.stream = b""
        self.is_queue = True

    @precondition(lambda self: self.is_queue)
    @rule(parts=PARTS)
    def append(self, parts: list[tuple[bytes, bool]]) -> None:
        assert self.pipe.append(given_bodies(parts)) == 0
        self.model.readable.append(Readable([body for body, _ in parts]))

    @precondition(lambda self: self.room < 0)
    @rule()
    def clear(self) -> None:
        self.pipe.clear()
        self.model.readable.clear()
        self.model.drop_incomplete()
        self.pipe.start_in()
        self.stream = b""
        self.is_queue = False

    @invariant()
    def same(self) -> None:
        assert self.pipe.check()
        assert self.pipe.msgs == len(self.model.readable) == self.pipe.count_readable()
        assert self.target.check() and self.target.bytes == self.target_model.bytes
        for msg, parts in self.held:
            assert msg.parts == parts

    def teardown(self) -> None:
        if self.room >= 0:
            self.pipe.filled(b"")


TestInMachine = InMachine.TestCase
TestInMachine.settings = MODEL_SETTINGS


# --- queue ---------------------------------------------------------------------------------------------------------


class QueueMachine(RuleBasedStateMachine):
    """append · pop · drop"""

    @initialize(hwm=HWMS)
    def begin(self, hwm: int) -> None:
        self.pipe = probe.Pipe(hwm)
        self.model: deque[list[bytes]] = deque()
        self.bound = Bound(hwm)
        self.stores: list[probe.Store] = []
        self.held: list[tuple[probe.Msg, list[bytes]]] = []

    @rule(parts=PARTS, times=st.integers(1, 4))
    def append(self, parts: list[tuple[bytes, bool]], times: int) -> None:
        bodies = given_bodies(parts)
        self.stores += [body for body in bodies if isinstance(body, probe.Store)]
        for _ in range(times):
            assert self.pipe.append(bodies) == 0
            self.model.append([body for body, _ in parts])

    @rule(part=st.tuples(BODIES, st.booleans()))
    def append_part(self, part: tuple[bytes, bool]) -> None:
        bodies = given_bodies([part])
        self.stores += [body for body in bodies if isinstance(body, probe.Store)]
        assert self.pipe.append_part(bodies[0]) == 0
        self.model.append([part[0]])

    @rule(times=st.integers(1, 100), size=SHORT_SIZES)
    def append_a_flood(self, times: int, size: int) -> None:
        for salt in range(times):
            assert self.pipe.append([body_of(size, salt)]) == 0
            self.model.append([body_of(size, salt)])

    @rule(count=st.integers(1, 80), holds=st.booleans())
    def pop_many(self, count: int, holds: bool) -> None:
        for _ in range(min(count, 1 + len(self.model))):
            got = self.pipe.pop()
            if not self.model:
                assert got == -probe.EAGAIN
                return
            assert got.parts == self.model[0]
            if holds:
                self.held = [*self.held[-5:], (got, self.model[0])]
            self.model.popleft()

    @rule()
    def drop(self) -> None:
        assert self.pipe.drop() == (0 if self.model else -probe.EAGAIN)
        if self.model:
            self.model.popleft()

    @rule()
    def let_go(self) -> None:
        self.held.clear()

    @rule()
    def is_full(self) -> None:
        assert self.pipe.is_full() == self.bound.full(len(self.model))

    @rule()
    def has_reopened(self) -> None:
        assert self.pipe.has_reopened() == self.bound.reopened(len(self.model))

    @rule()
    def clear(self) -> None:
        self.pipe.clear()
        self.model.clear()

    @invariant()
    def same(self) -> None:
        assert self.pipe.check()
        assert self.pipe.msgs == len(self.model) == self.pipe.count_readable() == self.pipe.ends
        assert self.pipe.bytes == sum(len(wire_of(parts)) for parts in self.model)
        for msg, parts in self.held:
            assert msg.parts == parts

    def teardown(self) -> None:
        self.pipe.clear()
        self.held.clear()
        assert [store.refs for store in self.stores] == [1] * len(self.stores)


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = MODEL_SETTINGS


# --- corners of out ------------------------------------------------------------------------------------------------


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
    copied = probe.Store(body_of(LARGE - 1, 3))
    pipe = probe.Pipe()
    pipe.append([store, copied])
    assert store.refs == 2 and copied.refs == 1
    pipe.gather()
    assert [len(buffer) for buffer in pipe.gathered()] == [9, LARGE, 9 + LARGE - 1]
    send(pipe, 9 + LARGE)
    assert store.refs == 1


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
    assert pipe.gather(3) == 9 + store.refs * 0 + len(store.data) + 9
    assert probe.GATHER_BYTES_MAX <= pipe.gather() <= probe.GATHER_BYTES_MAX + len(store.data)


def test_commands_among_queued_messages_are_not_popped() -> None:
    """A peer of ZMTP 1.0 knows none: what was queued for the connection before is popped and encoded anew."""
    pipe = probe.Pipe()
    for body in (b"a", b"b"):
        pipe.append_frame(probe.COMMAND, b"X", body)
        pipe.append([body])
    assert [pipe.pop().parts, pipe.pop().parts, pipe.pop()] == [[b"a"], [b"b"], -probe.EAGAIN]


@pytest.mark.parametrize(("hwm", "reads"), [(1, 1), (2, 1), (3, 2), (4, 2), (7, 4), (30, 15)])
def test_a_full_pipe_reopens_after_half_of_its_bound(hwm: int, reads: int) -> None:
    """patterns.md 2: after (HWM + 1) / 2 messages."""
    pipe = probe.Pipe(hwm)
    for i in range(hwm):
        assert not pipe.is_full()
        pipe.append([b"%d" % i])
    assert pipe.is_full()
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


# --- corners of in -------------------------------------------------------------------------------------------------


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
    skipped, kept = frame_of(probe.COMMAND, b"Xskipped"), frame_of(probe.COMMAND, b"Skept")
    more, last = frame_of(probe.MORE, b"1"), frame_of(0, b"2")
    pipe = in_pipe(keep_commands=is_kept)
    feed(pipe, skipped + kept + more + skipped + kept + last + kept + skipped + more + last + skipped)
    got = [pipe.pop() for _ in range(pipe.msgs)]
    expected = [([b"Skept"], True), ([b"1", b"2"], False), ([b"Skept"], True), ([b"1", b"2"], False)]
    assert [(msg.parts, msg.is_command) for msg in got] == [one for one in expected if is_kept or not one[1]]
    assert pipe.bytes == 0 and pipe.pop() == -probe.EAGAIN


def test_commands_alone_do_not_pile_up() -> None:
    pipe = in_pipe()
    for _ in range(2000):
        feed(pipe, frame_of(probe.COMMAND, b"X" * 40), 25)
    assert pipe.bytes == 0 and sum(pipe.chunk_sizes) <= 2 * CHUNK


def test_reserved_bits_and_more_on_a_kept_command_mean_nothing() -> None:
    pipe = in_pipe(keep_commands=True)
    feed(pipe, frame_of(0x80, b"a") + frame_of(probe.COMMAND | probe.MORE | 0xF8, b"S") + frame_of(0xF9, b"b") + b"\0\0")
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
    feed(pipe, wire_of([body_of(CHUNK - 100, 7)]) + wire_of([body_of(60, 8)])[:30])
    msg = pipe.pop()
    if is_lost:
        pipe.reserve()
        pipe.filled(b"")
        pipe.drop_incomplete()
        assert pipe.check() and pipe.bytes == 0
        pipe.start_in()
        feed(pipe, wire_of([bytes(60)]))
    else:
        feed(pipe, wire_of([body_of(60, 8)])[30:] + wire_of([bytes(CHUNK)]))
        assert pipe.pop().parts == [body_of(60, 8)]
    assert msg.parts == [body_of(CHUNK - 100, 7)]
    assert pipe.pop().parts == [bytes(60 if is_lost else CHUNK)] and pipe.bytes == 0


def test_a_long_body_is_read_into_one_piece_of_its_own_size() -> None:
    pipe = in_pipe()
    feed(pipe, wire_of([body_of(1_000_000, 6)]), 60_000)
    assert pipe.chunk_sizes == [1_000_009] and pipe.pop().parts == [body_of(1_000_000, 6)]
    assert sum(pipe.chunk_sizes) <= 4 * probe.CHUNK_BYTES_MAX


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
    """A frame whose size becomes known only in a chunk that is too small for it, behind a message that nobody has read."""
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


# --- corners of runs -----------------------------------------------------------------------------------------------


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
    """The peer that a connection finds again may speak ZMTP 1.0, whose messages are appended, and the next one 3.1 again."""
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
    probe.set_fail_function(address_of_fail_after(shim))
    rng = random.Random(2)
    seen: Counter[str] = Counter()
    large = probe.Store(body_of(LARGE + 100, 1))
    outs: deque[bytes] = deque()
    queued: deque[list[bytes]] = deque()
    out, queue, read, target = probe.Pipe(), probe.Pipe(), in_pipe(), probe.Pipe()
    incoming, undecoded, forwarded, stream = InModel(False), b"", b"", b""

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
    for pipe in (out, queue, read, target):
        pipe.clear()
    seen["references left"] = large.refs
    return dict(seen)


def test_without_memory_nothing_changes(tmp_path: Path) -> None:
    seen = run_with_shim(tmp_path, __name__, "run_without_memory")
    assert seen["references left"] == 1
    for what in ("append", "append_part", "append_frame", "queue append", "reserve", "run", "prefixed", "msg push"):
        assert seen[what] > 0, what
    assert seen["most refusals of append"] >= 4 and seen["most refusals of reserve"] == 2
    assert seen["most refusals of queue pop"] <= 1
