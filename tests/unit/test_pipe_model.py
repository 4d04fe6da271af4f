"""The pipe against a plain list of messages, in each of its three uses: out, in and queue, driven at random."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.native import _probe_pipe as probe
from tests.unit.pipe_model import (
    CHUNK,
    LARGE,
    Bound,
    InModel,
    OutModel,
    Readable,
    body_of,
    frame_of,
    wire_of,
)

MODEL_SETTINGS = settings(max_examples=120, stateful_step_count=50, deadline=None)


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


# --- out ---


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
        """Begins a write and says how much of it is to go: anywhere, or near the end of a buffer."""
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


# --- in ---


@st.composite
def peer_frames(draw: st.DrawFn) -> bytes:
    """A message or a command as a peer may send it: commands in between, long headers, reserved bits."""
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
