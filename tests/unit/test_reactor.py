"""Poll sets, timers, mailboxes and I/O threads, each by itself."""

from __future__ import annotations

import gc
import os
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.native import _probe_reactor as probe
from tests.support import DEADLINE_S, wait_until

DEADLINE_US = int(DEADLINE_S * 1_000_000)
FOR_EVER = -1
HOUR_US = 3_600_000_000


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def threads_named(name: str) -> int:
    """Threads of this process that carry that name; a thread that ends meanwhile does not count."""
    count = 0
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/comm") as file:
                count += file.read().strip() == name
        except OSError:
            continue
    return count


@pytest.fixture
def poller() -> Iterator[probe.Poller]:
    made = probe.Poller()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    a, b = socket.socketpair()
    a.setblocking(False)
    b.setblocking(False)
    with a, b:
        yield a, b


# --- poll set ------------------------------------------------------------------------------------------------------


def test_a_watch_reports_what_it_asks_for(poller: probe.Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    a, b = pair
    watch = probe.Watch(a.fileno(), "a")
    assert poller.watch(watch, probe.IN) == 0
    assert poller.wait(0) == {}
    b.send(b"x")
    assert poller.wait(FOR_EVER) == {"a": probe.IN}
    assert poller.wait(0) == {"a": probe.IN}  # level-triggered
    assert poller.watch(watch, probe.IN | probe.OUT) == 0
    assert poller.wait(0) == {"a": probe.IN | probe.OUT}
    assert poller.watch(watch, probe.OUT) == 0
    assert poller.wait(0) == {"a": probe.OUT}
    assert poller.watch(watch, 0) == 0
    assert poller.wait(0) == {} and watch.is_added
    poller.unwatch(watch)
    assert poller.wait(0) == {} and not watch.is_added
    poller.unwatch(watch)
    assert poller.watch(watch, probe.IN) == 0
    assert poller.wait(0) == {"a": probe.IN}
    poller.unwatch(watch)


def test_a_failure_is_reported_to_a_watch_that_asks_for_nothing(poller: probe.Poller) -> None:
    a, b = socket.socketpair()
    with a:
        watch = probe.Watch(a.fileno(), "a")
        poller.watch(watch, 0)
        b.close()
        assert poller.wait(FOR_EVER)["a"] & probe.FAILED
        poller.unwatch(watch)


def test_a_bad_fd_is_an_error_and_not_added(poller: probe.Poller) -> None:
    watch = probe.Watch(-1)
    assert poller.watch(watch, probe.IN) < 0
    assert not watch.is_added


def test_no_more_events_than_there_is_room_for(poller: probe.Poller) -> None:
    pairs = [socket.socketpair() for _ in range(5)]
    watches = [probe.Watch(a.fileno(), i) for i, (a, _) in enumerate(pairs)]
    seen: set[int] = set()
    for watch, (_, b) in zip(watches, pairs):
        poller.watch(watch, probe.IN)
        b.send(b"x")
    for _ in range(3):
        ready = poller.wait(0, 2)
        assert len(ready) == 2
        seen |= set(ready)
    assert seen == set(range(5))
    for watch, (a, b) in zip(watches, pairs):
        poller.unwatch(watch)
        a.close()
        b.close()


def test_an_expiry_ends_a_wait_and_is_not_counted(poller: probe.Poller) -> None:
    due_us = probe.now_us() + 5000
    poller.set_timer(due_us)
    assert poller.wait(DEADLINE_US) == {}
    assert due_us <= probe.now_us() < due_us + DEADLINE_US


def test_a_time_in_the_past_expires_at_once(poller: probe.Poller) -> None:
    poller.set_timer(1)
    assert poller.wait(FOR_EVER) == {}


def test_a_timer_makes_the_poll_set_itself_readable(poller: probe.Poller) -> None:
    """An I/O thread sees nothing of a nested poll set but that."""
    outer = probe.Poller()
    watch = probe.Watch(poller.fd, "inner")
    outer.watch(watch, probe.IN)
    poller.set_timer(probe.now_us() + HOUR_US)
    assert outer.wait(0) == {}
    poller.set_timer(probe.now_us() + 2000)
    assert outer.wait(FOR_EVER) == {"inner": probe.IN}
    assert poller.wait(0) == {} and outer.wait(0) == {}
    outer.unwatch(watch)
    outer.close()


def test_a_timer_is_taken_back(poller: probe.Poller) -> None:
    poller.set_timer(probe.now_us() + 3000)
    poller.set_timer(0)
    assert poller.timer_due_us == 0
    begin_us = probe.now_us()
    assert poller.wait(20_000) == {}
    assert probe.now_us() - begin_us >= 20_000


@pytest.mark.parametrize("timeout_us", [1, 999, 1001, 4000])
def test_a_wait_does_not_end_early(poller: probe.Poller, timeout_us: int) -> None:
    begin_us = probe.now_us()
    assert poller.wait(timeout_us) == {}
    assert probe.now_us() - begin_us >= timeout_us


@pytest.mark.parametrize("count", [1, 2, 8])
def test_wait_fds_tells_the_readable(count: int) -> None:
    pairs = [socket.socketpair() for _ in range(count)]
    fds = [a.fileno() for a, _ in pairs]
    assert probe.wait_fds(fds, 0) == (0, [])
    for _, b in pairs[::2]:
        b.send(b"x")
    assert probe.wait_fds(fds, FOR_EVER) == (len(pairs[::2]), fds[::2])
    for a, b in pairs:
        a.close()
        b.close()


def test_a_poller_gives_its_fds_back() -> None:
    gc.collect()
    before = open_fds()
    for _ in range(50):
        poller = probe.Poller()
        poller.set_timer(probe.now_us() + HOUR_US)
        poller.close()
        poller.close()
    assert open_fds() == before


# --- timers --------------------------------------------------------------------------------------------------------


def test_timers_fire_in_order_and_only_when_due(poller: probe.Poller) -> None:
    timers = probe.Timers(poller)
    assert timers.reserve(1000) == 0
    due = list(range(1, 1001))
    random.Random(3).shuffle(due)
    all_timers = [probe.Timer(timers, when) for when in due]
    for timer in all_timers:
        timers.set(timer, timer.name)
        assert timers.check()
    assert poller.timer_due_us == 1
    timers.run(500)
    assert timers.order == list(range(1, 501)) and timers.check()
    assert poller.timer_due_us == 501
    timers.run(2000)
    assert timers.order == list(range(1, 1001)) and timers.count == 0 and poller.timer_due_us == 0


def test_a_timer_that_is_set_again_fires_once_at_its_new_time(poller: probe.Poller) -> None:
    timers = probe.Timers(poller)
    timers.reserve(2)
    timer, other = probe.Timer(timers, "timer"), probe.Timer(timers, "other")
    timers.set(other, 20)
    timers.set(timer, 10)
    timers.set(timer, 30)
    timers.run(25)
    assert timers.order == ["other"] and timer.is_set
    timers.set(timer, 28)
    timers.run(40)
    assert timers.order == ["other", "timer"] and not timer.is_set
    timers.cancel(timer)
    timers.run(50)
    assert timer.fired == 1


def test_a_timer_may_set_and_cancel_timers_when_it_fires(poller: probe.Poller) -> None:
    timers = probe.Timers(poller)
    timers.reserve(3)
    first, second, third = (probe.Timer(timers, name) for name in ("first", "second", "third"))

    def on_fire() -> None:
        timers.cancel(second)
        timers.set(third, 15)
        timers.set(first, 1000)

    first.on_fire = on_fire
    timers.set(first, 10)
    timers.set(second, 11)
    timers.run(20)
    assert timers.order == ["first", "third"] and timers.count == 1 and poller.timer_due_us == 1000
    first.on_fire = None


def test_nothing_is_called_before_the_poll_sets_timer_is_due(poller: probe.Poller) -> None:
    timers = probe.Timers(poller)
    timers.reserve(1)
    timer = probe.Timer(timers, "timer")
    due_us = probe.now_us() + 3000
    timers.set(timer, due_us)
    timers.run(due_us - 1)
    assert timer.fired == 0
    while not timer.fired:
        assert poller.wait(DEADLINE_US) == {} and probe.now_us() < due_us + DEADLINE_US
        timers.run(probe.now_us())


def test_an_expiry_whose_timer_was_cancelled_finds_nothing_and_sets_the_next(poller: probe.Poller) -> None:
    timers = probe.Timers(poller)
    timers.reserve(2)
    first, second = probe.Timer(timers, "first"), probe.Timer(timers, "second")
    begin_us = probe.now_us()
    timers.set(first, begin_us + 1000)
    timers.set(second, begin_us + 8000)
    timers.cancel(first)
    assert poller.wait(DEADLINE_US) == {}
    timers.run(probe.now_us())
    while not second.fired:
        assert poller.wait(DEADLINE_US) == {} and probe.now_us() < begin_us + DEADLINE_US
        timers.run(probe.now_us())
    assert timers.order == ["second"] and probe.now_us() >= begin_us + 8000


class TimersMachine(RuleBasedStateMachine):
    """The heap against a dict of due times."""

    NAMES = st.integers(0, 30)

    @initialize()
    def begin(self) -> None:
        self.poller = probe.Poller()
        self.timers = probe.Timers(self.poller)
        assert self.timers.reserve(31) == 0
        self.all = [probe.Timer(self.timers, name) for name in range(31)]
        self.due: dict[int, int] = {}
        # Due times lie far in the future, so that the clock plays no part.
        self.base = probe.now_us() + HOUR_US
        self.now = self.base

    @rule(name=NAMES, delay=st.integers(0, 50))
    def set(self, name: int, delay: int) -> None:
        self.timers.set(self.all[name], self.now + delay)
        self.due[name] = self.now + delay

    @rule(name=NAMES)
    def cancel(self, name: int) -> None:
        self.timers.cancel(self.all[name])
        self.due.pop(name, None)

    @rule(delay=st.integers(0, 40))
    def run(self, delay: int) -> None:
        self.now += delay
        self.timers.order.clear()
        self.timers.run(self.now)
        fired = {name: when for name, when in self.due.items() if when <= self.now}
        assert sorted(self.timers.order) == sorted(fired)
        assert [fired[name] for name in self.timers.order] == sorted(fired.values())
        for name in fired:
            del self.due[name]

    @rule(count=st.integers(1, 100))
    def reserve_more(self, count: int) -> None:
        assert self.timers.reserve(count) == 0
        self.timers.unreserve(count)

    @invariant()
    def same(self) -> None:
        assert self.timers.check() and self.timers.count == len(self.due)
        assert [timer.is_set for timer in self.all] == [name in self.due for name in range(31)]
        if self.due:
            assert self.poller.timer_due_us != 0 and self.poller.timer_due_us <= min(self.due.values())

    def teardown(self) -> None:
        self.poller.close()


TestTimersMachine = TimersMachine.TestCase
TestTimersMachine.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


# --- mailbox -------------------------------------------------------------------------------------------------------


@pytest.fixture
def box(poller: probe.Poller) -> probe.Mailbox:
    made = probe.Mailbox()
    assert made.open(poller) == 0
    return made


def test_posts_are_taken_oldest_first_and_each_is_queued_once(box: probe.Mailbox) -> None:
    assert not box.has and box.take() == []
    assert [box.post(number) for number in (3, 1, 2, 1)] == [1, 1, 1, 0]
    assert box.has and box.take() == [3, 1, 2]
    assert not box.has and box.take() == []
    assert box.post(1) == 1 and box.take() == [1]


def test_a_post_may_come_again_while_what_was_taken_is_walked(box: probe.Mailbox) -> None:
    for number in range(5):
        box.post(number)
    assert box.take_and_post_again() == list(range(5))
    assert box.has and box.take() == list(range(5))


def test_a_closed_mailbox_hands_out_what_it_has_and_takes_no_more(box: probe.Mailbox) -> None:
    box.post(1)
    box.post(2)
    assert box.close() == [1, 2]
    assert box.post(3) == -probe.ENOENT and box.take() == []
    box.ring()
    assert box.close() == []


def test_only_an_armed_mailbox_signals_its_fd(box: probe.Mailbox, poller: probe.Poller) -> None:
    box.post(1)
    assert poller.wait(0) == {}
    assert not box.arm()
    assert box.take() == [1]
    assert box.arm() and poller.wait(0) == {}
    box.post(2)
    box.post(3)
    box.ring()
    assert poller.wait(FOR_EVER) == {"mailbox": probe.IN}
    box.disarm()
    assert poller.wait(0) == {} and box.take() == [2, 3]


def test_a_ring_wakes_without_a_post(box: probe.Mailbox, poller: probe.Poller) -> None:
    assert box.arm()
    box.ring()
    assert box.has and poller.wait(FOR_EVER) == {"mailbox": probe.IN}
    box.disarm()
    assert box.take() == [] and not box.has and box.arm()
    box.disarm()


def test_disarmed_before_anything_came_nothing_is_signalled(box: probe.Mailbox, poller: probe.Poller) -> None:
    assert box.arm()
    box.disarm()
    box.post(1)
    assert poller.wait(0) == {} and box.take() == [1]


def test_a_late_signal_is_one_idle_wake_up(box: probe.Mailbox, poller: probe.Poller) -> None:
    """A ring may write the fd after the owner looked: it disarms after its wait, and when the fd is ready."""
    box.arm()
    box.disarm()
    box.ring_late()
    assert box.arm() and poller.wait(FOR_EVER) == {"mailbox": probe.IN}
    box.disarm()
    box.disarm()
    assert box.arm() and poller.wait(0) == {}
    box.disarm()


def test_a_mailbox_without_an_fd_takes_posts() -> None:
    box = probe.Mailbox()
    assert box.fd == -1 and box.post(1) == 1 and box.has
    box.ring()
    box.disarm()
    assert box.take() == [1]


def test_a_mailbox_lives_as_long_as_somebody_refers_to_it() -> None:
    before = open_fds()
    box = probe.Mailbox()
    assert box.open() == 0 and box.open() == 0
    box.ref()
    assert box.refs == 2 and open_fds() == before + 1
    box.unref()
    assert box.refs == 1
    del box
    assert open_fds() == before


@pytest.mark.parametrize(("threads", "count", "is_ringing"), [(2, 1, False), (2, 3, False), (2, 9, True), (4, 1, True)])
def test_no_post_and_no_wake_up_is_lost(box: probe.Mailbox, threads: int, count: int, is_ringing: bool) -> None:
    """Each post that was queued is taken once, and nobody sleeps while something is there."""
    posted, taken, lost = box.hammer(threads, count, 20_000, is_ringing, DEADLINE_US)
    assert lost == 0
    assert posted == taken and min(posted) > 0


# --- I/O threads ---------------------------------------------------------------------------------------------------


class Nested:
    """A nest whose poll set is readable while a byte lies in a pair of sockets."""

    def __init__(self, io: probe.IoThread) -> None:
        self.poller = probe.Poller()
        self.near, self.far = socket.socketpair()
        self.watch = probe.Watch(self.near.fileno(), "near")
        self.poller.watch(self.watch, probe.IN)
        self.nest = probe.Nest(io, self.poller)
        assert self.nest.nest() == 0

    def close(self) -> None:
        if self.nest.is_nested:
            self.nest.bury()
            wait_until(lambda: self.nest.buried == 1)
        self.poller.close()
        self.near.close()
        self.far.close()

    def quiet(self) -> None:
        """Takes the byte away, and waits until the thread has seen the end of it."""
        self.near.recv(1)
        settled = [-1]

        def is_settled() -> bool:
            before, settled[0] = settled[0], self.nest.readies
            return before == settled[0]

        wait_until(is_settled)


@pytest.fixture
def io() -> Iterator[probe.IoThread]:
    made = probe.IoThread(b"reactor-test")
    yield made
    made.stop()


@pytest.fixture
def nested(io: probe.IoThread) -> Iterator[Nested]:
    made = Nested(io)
    yield made
    made.close()


def test_the_thread_calls_a_nest_that_is_readable(nested: Nested) -> None:
    nested.far.send(b"x")
    wait_until(lambda: nested.nest.readies >= 3)
    assert nested.nest.ticks == 0
    nested.quiet()


def test_an_adopted_nest_is_left_alone_until_it_is_released(io: probe.IoThread, nested: Nested) -> None:
    nested.nest.adopt()
    nested.nest.adopt()
    assert nested.nest.is_adopted
    other = Nested(io)
    nested.far.send(b"x")
    other.far.send(b"x")
    wait_until(lambda: other.nest.readies > 100)
    assert nested.nest.readies == 0
    nested.nest.release()
    nested.nest.release()
    wait_until(lambda: nested.nest.readies > 0)
    nested.quiet()
    other.quiet()
    other.close()


def test_ticks_come_after_an_owner_left_and_end_when_all_are_inside(io: probe.IoThread, nested: Nested) -> None:
    nested.nest.place = probe.OUTSIDE
    nested.nest.adopt()
    assert not io.is_ticking and nested.nest.ticks == 0
    io.left()
    wait_until(lambda: nested.nest.ticks > 30)
    assert io.is_ticking
    nested.nest.place = probe.INSIDE
    wait_until(lambda: not io.is_ticking)
    nested.nest.place = probe.OUTSIDE
    ticks = nested.nest.ticks
    io.left()
    wait_until(lambda: nested.nest.ticks > ticks + 30)


def test_a_tick_may_take_the_nest_back(io: probe.IoThread, nested: Nested) -> None:
    nested.nest.place = probe.TAKEN
    nested.nest.adopt()
    nested.far.send(b"x")
    io.left()
    wait_until(lambda: nested.nest.readies > 0)
    assert not nested.nest.is_adopted and nested.nest.ticks == 1
    wait_until(lambda: not io.is_ticking)
    nested.quiet()


def test_a_crowd_is_adopted_and_released_in_any_order(io: probe.IoThread) -> None:
    crowd = [Nested(io) for _ in range(12)]
    assert io.load == 12
    rng = random.Random(4)
    adopted: set[int] = set()
    for _ in range(500):
        i = rng.randrange(12)
        if rng.random() < 0.5:
            crowd[i].nest.adopt()
            adopted.add(i)
        else:
            crowd[i].nest.release()
            adopted.discard(i)
    assert [one.nest.is_adopted for one in crowd] == [i in adopted for i in range(12)]
    for one in crowd:
        one.nest.place = probe.OUTSIDE
    io.left()
    wait_until(lambda: all(crowd[i].nest.ticks > 2 for i in adopted))
    assert all(one.nest.ticks == 0 for i, one in enumerate(crowd) if i not in adopted)
    for one in crowd:
        one.close()
    assert io.load == 0


def test_a_nest_is_buried_once_and_not_called_afterwards(io: probe.IoThread) -> None:
    for is_adopted in (False, True):
        nested = Nested(io)
        nested.nest.place = probe.OUTSIDE
        if is_adopted:
            nested.nest.adopt()
            io.left()
            wait_until(lambda nested=nested: nested.nest.ticks > 0)
        nested.far.send(b"x")
        nested.nest.bury()
        wait_until(lambda nested=nested: nested.nest.buried == 1)
        counts = nested.nest.readies, nested.nest.ticks
        other = Nested(io)
        other.far.send(b"x")
        wait_until(lambda other=other: other.nest.readies > 20)
        assert (nested.nest.readies, nested.nest.ticks) == counts and nested.nest.buried == 1
        assert not nested.nest.is_nested and not nested.nest.is_adopted and io.load == 1
        other.close()
        nested.close()


def test_stop_buries_what_is_dead(io: probe.IoThread) -> None:
    crowd = [Nested(io) for _ in range(5)]
    for one in crowd:
        one.nest.bury()
    io.stop()
    assert [one.nest.buried for one in crowd] == [1] * 5 and io.load == 0
    io.stop()
    for one in crowd:
        one.close()


def test_threads_and_fds_are_given_back() -> None:
    gc.collect()
    fds = open_fds()
    for _ in range(10):
        io = probe.IoThread(b"reactor-leak")
        wait_until(lambda: threads_named("reactor-leak") == 1)
        nested = Nested(io)
        nested.nest.adopt()
        nested.close()
        io.stop()
        assert threads_named("reactor-leak") == 0
    assert open_fds() == fds


def test_a_name_that_is_too_long_is_cut() -> None:
    io = probe.IoThread(b"a-name-of-more-than-fifteen")
    wait_until(lambda: threads_named("a-name-of-more-") == 1)
    io.stop()


def test_signals_stay_away_from_the_thread(io: probe.IoThread) -> None:
    wait_until(lambda: threads_named("reactor-test") == 1)
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status") as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file)
        if fields["Name"] == "reactor-test":
            # All but SIGKILL, SIGSTOP and the two that the C library keeps for itself.
            blocked = int(fields["SigBlk"], 16)
            assert all(blocked >> (number - 1) & 1 for number in range(1, 32) if number not in (9, 19))


def test_adoption_from_many_threads_while_the_thread_ticks(io: probe.IoThread) -> None:
    crowd = [Nested(io) for _ in range(3)]
    end = time.monotonic() + DEADLINE_S
    rounds = [0, 0, 0]

    def adopt_and_release(i: int) -> None:
        nest = crowd[i].nest
        nest.place = probe.OUTSIDE
        while rounds[i] < 2000 and time.monotonic() < end:
            nest.adopt()
            io.left()
            nest.release()
            rounds[i] += 1

    workers = [threading.Thread(target=adopt_and_release, args=(i,)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert rounds == [2000] * 3
    for one in crowd:
        one.close()
    assert io.load == 0
