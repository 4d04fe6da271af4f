"""The link of two sockets of one process: bounds, posts, leaving, conflation, references."""

from __future__ import annotations

import ctypes
import threading
import time
from collections import deque
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.native import _probe_link as probe
from tests.support import DEADLINE_S
from tests.unit.shim import let_probes_fail, run_with_shim

CONNECTOR, BINDER = probe.CONNECTOR, probe.BINDER
SIDES = (CONNECTOR, BINDER)


def joined(
    connector: tuple[int, int] = (0, 0), binder: tuple[int, int] = (0, 0), **options: bool
) -> tuple[probe.Link, list[probe.Mailbox]]:
    """A link whose first posts have been taken; (SNDHWM, RCVHWM) of each side."""
    boxes = [probe.Mailbox(), probe.Mailbox()]
    link = probe.Link(boxes[CONNECTOR], *connector, options.get("connector_conflates", False))
    assert link.join(boxes[BINDER], *binder, options.get("binder_conflates", False)) == 0
    assert boxes[BINDER].take() == 1 and boxes[CONNECTOR].take() == 1 and link.refs == 1
    return link, boxes


def fill(link: probe.Link, side: int, most: int = 200) -> int:
    """How many messages that side may write."""
    count = 0
    while count < most and link.writable(side):
        assert link.push(side, [b"%d" % count]) == 0
        count += 1
    return count


# --- bounds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", SIDES)
@pytest.mark.parametrize(
    ("sndhwm", "rcvhwm", "fits"), [(10, 20, 30), (1, 1, 2), (7, 3, 10), (0, 5, 200), (5, 0, 200), (0, 0, 200)]
)
def test_the_bounds_of_writer_and_reader_add_up_and_0_means_none(
    writer: int, sndhwm: int, rcvhwm: int, fits: int
) -> None:
    # The bounds of the other direction must play no part.
    hwm = [(3, 2), (3, 2)]
    hwm[writer] = (sndhwm, 2)
    hwm[1 - writer] = (3, rcvhwm)
    link, _ = joined(*hwm)
    assert fill(link, writer) == fits


def test_before_the_binder_exists_only_the_own_bound_counts() -> None:
    boxes = probe.Mailbox(), probe.Mailbox()
    link = probe.Link(boxes[0], 7, 100)
    assert not link.is_joined and fill(link, CONNECTOR) == 7
    assert link.join(boxes[1], 100, 3) == 0
    assert link.is_joined and boxes[CONNECTOR].take() == 1  # the writer that was full hears of the room
    assert fill(link, CONNECTOR) == 3
    assert [link.pop(BINDER) for _ in range(7)] == [[b"%d" % i] for i in range(7)]


def test_a_bound_that_joins_as_none_opens_a_full_link() -> None:
    box, other = probe.Mailbox(), probe.Mailbox()
    link = probe.Link(box, 2, 0)
    assert fill(link, CONNECTOR) == 2
    link.join(other, 0, 0)
    assert fill(link, CONNECTOR) == 200


def test_the_largest_bounds_do_not_wrap_round() -> None:
    most = 2**31 - 1
    link, _ = joined((most, most), (most, most))
    assert link.bounds == (2 * most, 2 * most)
    assert fill(link, CONNECTOR) == 200


def test_a_full_link_reopens_after_half_and_the_writer_hears_of_it_once() -> None:
    link, boxes = joined((10, 0), (0, 20))
    assert fill(link, CONNECTOR) == 30
    boxes[BINDER].take()
    for i in range(15):
        assert not link.writable(CONNECTOR) and boxes[CONNECTOR].take() == 0, i
        link.pop(BINDER)
    assert boxes[CONNECTOR].take() == 1 and link.writable(CONNECTOR)
    link.pop(BINDER)
    assert boxes[CONNECTOR].take() == 0
    assert fill(link, CONNECTOR) == 16


# --- posts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", SIDES)
def test_a_reader_is_posted_to_when_its_pipe_was_empty(writer: int) -> None:
    link, boxes = joined()
    reader = 1 - writer
    assert not link.readable(reader) and link.pop(reader) == -probe.EAGAIN
    link.push(writer, [b"a"])
    assert link.readable(reader) and boxes[reader].take() == 1
    link.push(writer, [b"b"])
    assert boxes[reader].take() == 0
    assert link.pop(reader) == [b"a"] and link.pop(reader) == [b"b"]
    link.push(writer, [b"c"])
    assert boxes[reader].take() == 1 and boxes[writer].take() == 0


def test_a_post_counts_as_a_reference_until_it_is_taken() -> None:
    link, boxes = joined()
    link.push(CONNECTOR, [b"a"])
    link.push(BINDER, [b"b"])
    assert link.refs == 3
    assert boxes[BINDER].take() == 1 and link.refs == 2
    assert boxes[CONNECTOR].close() == 1 and link.refs == 1


def test_a_post_may_be_the_last_reference() -> None:
    link, boxes = joined()
    store = probe.Store(bytes(10_000))
    link.push(CONNECTOR, [b"a", store])
    assert store.refs == 2 and boxes[BINDER].refs == 2
    del link
    assert store.refs == 2
    assert boxes[BINDER].take() == 1
    assert store.refs == 1 and [box.refs for box in boxes] == [1, 1]


# --- joining and leaving -------------------------------------------------------------------------------------------


def test_joining_a_closed_socket_fails_and_the_connector_sees_it_gone() -> None:
    box, closed = probe.Mailbox(), probe.Mailbox()
    closed.close()
    link = probe.Link(box)
    assert link.join(closed) == -probe.ENOENT
    assert link.is_abandoned(CONNECTOR) and not link.writable(CONNECTOR) and box.take() == 1 and link.refs == 1


@pytest.mark.parametrize("leaver", SIDES)
def test_what_a_side_wrote_stays_readable_when_it_has_left(leaver: int) -> None:
    link, boxes = joined()
    stayer = 1 - leaver
    link.push(leaver, [b"1"])
    link.push(leaver, [b"2", b"3"])
    link.push(stayer, [b"unread"])
    boxes[stayer].take()
    assert not link.is_abandoned(stayer)
    link.leave(leaver)
    assert boxes[stayer].take() == 1 and link.is_abandoned(stayer) and not link.is_abandoned(leaver)
    assert not link.writable(stayer)
    assert link.push(stayer, [b"dropped"]) == 0 and not boxes[leaver].close() > 1
    assert link.pop(stayer) == [b"1"] and link.pop(stayer) == [b"2", b"3"] and link.pop(stayer) == -probe.EAGAIN
    link.leave(stayer)
    assert boxes[leaver].take() == 0 and link.refs == 1


def test_the_connector_may_leave_before_anybody_has_joined() -> None:
    box = probe.Mailbox()
    store = probe.Store(bytes(10_000))
    link = probe.Link(box, 5, 5, own_id=store)
    link.push(CONNECTOR, [store])
    link.leave(CONNECTOR)
    assert store.refs == 3 and box.refs == 2
    del link
    assert store.refs == 1 and box.refs == 1


def test_a_link_keeps_the_ids_of_both_sides() -> None:
    boxes = probe.Mailbox(), probe.Mailbox()
    ids = probe.Store(b"connector"), probe.Store(b"binder")
    link = probe.Link(boxes[0], own_id=ids[0])
    assert link.has_ids == (True, False)
    link.join(boxes[1], own_id=ids[1])
    assert link.has_ids == (True, True) and [one.refs for one in ids] == [2, 2]
    for box in boxes:
        box.close()
    del link
    assert [one.refs for one in ids] == [1, 1]


# --- conflation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["connector_conflates", "binder_conflates"])
@pytest.mark.parametrize("writer", SIDES)
def test_a_side_that_conflates_leaves_only_the_newest(who: str, writer: int) -> None:
    link, boxes = joined((1, 1), (1, 1), **{who: True})
    for i in range(10):
        assert link.writable(writer) and link.push(writer, [b"%d" % i]) == 0
    assert boxes[1 - writer].take() == 1
    assert link.pop(1 - writer) == [b"9"] and link.pop(1 - writer) == -probe.EAGAIN
    link.push(writer, [b"next"])
    assert boxes[1 - writer].take() == 1


def test_a_binder_that_conflates_finds_only_the_newest_of_what_waited() -> None:
    box, binder = probe.Mailbox(), probe.Mailbox()
    link = probe.Link(box, 10, 10)
    for i in range(5):
        link.push(CONNECTOR, [b"%d" % i])
    link.join(binder, 10, 10, True)
    assert link.pop(BINDER) == [b"4"] and link.pop(BINDER) == -probe.EAGAIN


# --- a model -------------------------------------------------------------------------------------------------------


class LinkMachine(RuleBasedStateMachine):
    """Both sides at random: no bound is passed, no post is missing where L2 promises one."""

    @initialize(hwm=st.tuples(*[st.sampled_from([0, 1, 2, 3, 8])] * 4))
    def begin(self, hwm: tuple[int, int, int, int]) -> None:
        self.link, self.boxes = joined(hwm[:2], hwm[2:])
        self.queues: list[deque[list[bytes]]] = [deque(), deque()]
        self.gone = [False, False]
        self.bounds = []
        for reader in SIDES:
            sndhwm, rcvhwm = hwm[2 * (1 - reader)], hwm[2 * reader + 1]
            self.bounds.append(sndhwm + rcvhwm if sndhwm and rcvhwm else 0)
        self.found_empty = [True, True]
        self.found_full = [False, False]
        self.serial = 0

    @rule(side=st.sampled_from(SIDES), count=st.integers(1, 20), parts=st.integers(1, 3))
    def write(self, side: int, count: int, parts: int) -> None:
        for _ in range(count):
            queue = self.queues[1 - side]
            if not self.link.writable(side):
                self.found_full[side] = not self.gone[1 - side]
                assert self.gone[1 - side] or self.bounds[1 - side] > 0
                return
            assert not self.gone[1 - side]
            assert self.bounds[1 - side] == 0 or len(queue) < self.bounds[1 - side]
            self.serial += 1
            bodies = [b"%d.%d" % (self.serial, i) for i in range(parts)]
            assert self.link.push(side, bodies) == 0
            queue.append(bodies)

    @rule(side=st.sampled_from(SIDES), count=st.integers(1, 25))
    def read(self, side: int, count: int) -> None:
        for _ in range(count):
            got = self.link.pop(side)
            if not self.queues[side]:
                assert got == -probe.EAGAIN
                self.found_empty[side] = True
                return
            assert got == self.queues[side].popleft()

    @rule(side=st.sampled_from(SIDES))
    def take(self, side: int) -> None:
        """A side wakes up: whatever it was waiting for must have posted to it."""
        posts = self.boxes[side].take()
        assert posts <= 1
        if self.found_empty[side] and self.queues[side] and not self.gone[side]:
            assert posts == 1
            self.found_empty[side] = False
        if self.found_full[side] and not self.gone[side] and self.link.writable(side):
            assert posts == 1
        self.found_full[side] = self.found_full[side] and not self.link.writable(side)

    @rule(side=st.sampled_from(SIDES), luck=st.integers(0, 9))
    def leave(self, side: int, luck: int) -> None:
        if luck == 0 and not self.gone[side]:
            self.link.leave(side)
            self.gone[side] = True
            assert self.gone[1 - side] or self.boxes[1 - side].take() == 1
            # Whoever was posted to looks at everything: what it waited for before is answered by this post too.
            self.found_empty[1 - side] = self.found_full[1 - side] = False

    @invariant()
    def same(self) -> None:
        for side in SIDES:
            assert self.link.readable(side) == bool(self.queues[side])
            assert self.link.is_abandoned(side) == self.gone[1 - side]

    def teardown(self) -> None:
        for box in self.boxes:
            box.close()
        assert self.link.refs == 1


TestLinkMachine = LinkMachine.TestCase
TestLinkMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def test_two_threads_pass_everything_and_lose_nothing() -> None:
    count = 2_000
    link, _ = joined((5, 0), (0, 5))
    results: list[int] = []
    writer = threading.Thread(target=lambda: results.append(link.stream(CONNECTOR, count)))
    writer.start()
    end = time.monotonic() + DEADLINE_S
    got = 0
    while got < count and time.monotonic() < end:
        if link.pop(BINDER) == [b"x"]:
            got += 1
    for _ in range(count - got):
        link.pop(BINDER)  # after a failure: lets the writer end
    writer.join()
    assert got == count and results == [0] and link.pop(BINDER) == -probe.EAGAIN


# --- no memory -----------------------------------------------------------------------------------------------------


def run_without_memory(shim: ctypes.CDLL) -> dict[str, int]:
    let_probes_fail(shim)
    seen = {"new refused": 0, "push refused": 0, "newest kept": 0}
    box, other = probe.Mailbox(), probe.Mailbox()
    for calls in range(10):
        try:
            link = probe.Link(box, 0, 0, True, fail_after=calls)
        except MemoryError:
            seen["new refused"] += 1
            continue
        break
    assert box.refs == 2
    link.join(other)
    other.take()
    link.push(CONNECTOR, [b"old"])
    other.take()
    large = probe.Store(bytes(100_000))
    for calls in range(10):
        if link.push(CONNECTOR, [bytes(50_000), large, large], fail_after=calls) == 0:
            break
        seen["push refused"] += 1
        seen["newest kept"] += link.readable(BINDER)
        assert other.take() == 0 and large.refs == 1
    newest = link.pop(BINDER)
    assert [len(part) for part in newest] == [50_000, 100_000, 100_000]
    assert link.pop(BINDER) == -probe.EAGAIN and large.refs == 1
    return seen


def test_without_memory_the_newest_message_stays(tmp_path: Path) -> None:
    seen = run_with_shim(tmp_path, __name__, "run_without_memory")
    assert seen["new refused"] == 1 and seen["push refused"] >= 4
    assert seen["newest kept"] == seen["push refused"]
