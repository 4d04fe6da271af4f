"""The trie against a dict of topics: what each change reports, who is matched, in which order topics are walked."""

from __future__ import annotations

import ctypes
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.native import _probe_trie as probe
from tests.unit.shim import let_probes_fail, run_with_shim

FIRST = probe.FIRST_OF_TOPIC | probe.FIRST_OF_WHO
LAST = probe.LAST_OF_WHO | probe.LAST_OF_TOPIC
# Of _trie.pyx: the lengths on both sides of these are worth trying.
LABEL_BYTES_MIN = 20
LABEL_BYTES_MAX = 84


class Model:
    """The trie, said with a dict: topic -> subscriber -> references."""

    def __init__(self) -> None:
        self.topics: dict[bytes, dict[int, int]] = {}

    def add(self, topic: bytes, who: int) -> int:
        bits = 0 if topic in self.topics else probe.FIRST_OF_TOPIC
        subs = self.topics.setdefault(topic, {})
        if who not in subs:
            bits |= probe.FIRST_OF_WHO
        subs[who] = subs.get(who, 0) + 1
        return bits

    def remove(self, topic: bytes, who: int, is_all: bool = False) -> int:
        subs = self.topics.get(topic, {})
        if who not in subs:
            return probe.UNKNOWN
        subs[who] -= 1
        if subs[who] > 0 and not is_all:
            return 0
        del subs[who]
        if subs:
            return probe.LAST_OF_WHO
        del self.topics[topic]
        return LAST

    def held_by(self, who: int) -> list[bytes]:
        return [topic for topic, subs in self.topics.items() if who in subs]

    def match(self, data: bytes) -> Counter[int]:
        return Counter(who for topic, subs in self.topics.items() if data.startswith(topic) for who in subs)


def assert_same(trie: probe.Trie, model: Model) -> None:
    assert trie.check()
    assert trie.topics == len(model.topics)
    assert trie.walk() == sorted(model.topics)
    everybody = {who for subs in model.topics.values() for who in subs}
    assert trie.is_for_all == (bool(everybody) and everybody == set(model.topics.get(b"", {})))


# --- what a change reports ---------------------------------------------------------------------------------------


def test_first_and_last_are_told_for_topic_and_subscriber() -> None:
    trie = probe.Trie()
    assert trie.add(b"a", 1) == FIRST
    assert trie.add(b"a", 1) == 0
    assert trie.add(b"a", 2) == probe.FIRST_OF_WHO
    assert trie.remove(b"a", 1) == 0
    assert trie.remove(b"a", 1) == probe.LAST_OF_WHO
    assert trie.remove(b"a", 1) == probe.UNKNOWN
    assert trie.remove(b"a", 2) == LAST
    assert trie.topics == 0 and trie.walk() == []


def test_remove_all_drops_every_reference() -> None:
    trie = probe.Trie()
    for _ in range(3):
        trie.add(b"a", 1)
    assert trie.remove(b"a", 1, True) == LAST
    assert trie.remove(b"a", 1, True) == probe.UNKNOWN


@pytest.mark.parametrize("topic", [b"", b"a", b"abc", b"abcde", b"abx", b"x"])
def test_a_part_of_a_path_is_not_a_topic(topic: bytes) -> None:
    trie = probe.Trie()
    trie.add(b"abcd", 1)
    trie.add(b"abce", 1)
    assert trie.remove(topic, 1) == probe.UNKNOWN
    assert trie.walk() == [b"abcd", b"abce"]


def test_the_empty_topic_matches_everything() -> None:
    trie = probe.Trie()
    assert not trie.matches(b"") and trie.match(b"") == []
    assert trie.add(b"", 7) == FIRST
    assert trie.match(b"") == [7] and trie.match(b"anything") == [7] and trie.matches(b"x")
    assert trie.remove(b"", 7) == LAST
    assert not trie.matches(b"x")


def test_it_is_for_all_while_every_subscriber_has_the_empty_topic() -> None:
    trie = probe.Trie()
    assert not trie.is_for_all
    for topic, who, is_for_all in ((b"a", 1, False), (b"", 1, True), (b"b", 2, False), (b"", 2, True), (b"c", 2, True)):
        trie.add(topic, who)
        assert trie.is_for_all == is_for_all
    trie.remove(b"", 1)
    assert not trie.is_for_all
    trie.remove_who(1, False)
    assert trie.is_for_all
    trie.remove_who(2, False)
    assert not trie.is_for_all


def test_a_subscriber_is_matched_once_for_each_of_its_topics() -> None:
    trie = probe.Trie()
    for topic in (b"", b"a", b"ab", b"abc", b"b"):
        trie.add(topic, 1)
    trie.add(b"ab", 1)
    trie.add(b"ab", 2)
    assert Counter(trie.match(b"abx")) == Counter({1: 3, 2: 1})


def test_walk_is_in_byte_order_with_prefixes_first() -> None:
    trie = probe.Trie()
    topics = [b"\xff", b"b", b"", b"\x00", b"a\xff", b"a", b"a\x00", b"\x00\x00", b"aa", b"\x7f", b"\x80"]
    for topic in topics:
        trie.add(topic, 1)
    assert trie.walk() == sorted(topics)


def test_remove_who_tells_each_topic_or_only_abandoned_ones() -> None:
    trie = probe.Trie()
    for topic in (b"", b"a", b"ab", b"c"):
        trie.add(topic, 1)
        trie.add(topic, 1)
    trie.add(b"a", 2)
    trie.add(b"z", 2)
    assert sorted(trie.remove_who(1, False)) == [b"", b"ab", b"c"]
    assert trie.check() and trie.walk() == [b"a", b"z"]
    trie.add(b"a", 3)
    assert sorted(trie.remove_who(2, True)) == [b"a", b"z"]
    assert trie.walk() == [b"a"]
    assert trie.remove_who(2, True) == []
    trie.remove_who_silently(3)
    assert trie.check() and trie.walk() == []


def test_fini_leaves_nothing_behind() -> None:
    trie = probe.Trie()
    for i in range(100):
        trie.add(b"%d" % i, i % 7)
    assert trie.fini_twice()


# --- the model, driven at random ---------------------------------------------------------------------------------

# Few letters make prefixes, splits and joins likely; runs around the label's bounds make chains of nodes.
BOUNDS = (LABEL_BYTES_MIN, LABEL_BYTES_MAX, LABEL_BYTES_MIN + LABEL_BYTES_MAX, 2 * LABEL_BYTES_MAX)
RUNS = st.sampled_from([1, 2, *(bound + more for bound in BOUNDS for more in (-1, 0, 1))])
SHORT_TOPICS = st.text("ab", max_size=6).map(str.encode)
LONG_TOPICS = st.lists(st.tuples(st.sampled_from([b"a", b"b"]), RUNS), max_size=4).map(
    lambda parts: b"".join(letter * size for letter, size in parts)
)
TOPICS = st.one_of(SHORT_TOPICS, LONG_TOPICS, st.binary(max_size=2))
SUBSCRIBERS = st.integers(1, 6)


class TrieMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.trie = probe.Trie()
        self.model = Model()

    @rule(topic=TOPICS, who=SUBSCRIBERS)
    def add(self, topic: bytes, who: int) -> None:
        assert self.trie.add(topic, who) == self.model.add(topic, who)

    @rule(topic=TOPICS, cut=st.integers(0, 200), who=SUBSCRIBERS)
    def add_with_a_prefix(self, topic: bytes, cut: int, who: int) -> None:
        for one in (topic, topic[:cut]):
            assert self.trie.add(one, who) == self.model.add(one, who)

    @rule(topic=TOPICS, who=SUBSCRIBERS, is_all=st.booleans())
    def remove_any(self, topic: bytes, who: int, is_all: bool) -> None:
        assert self.trie.remove(topic, who, is_all) == self.model.remove(topic, who, is_all)

    @rule(data=st.data(), who=SUBSCRIBERS, is_all=st.booleans())
    def remove_present(self, data: st.DataObject, who: int, is_all: bool) -> None:
        if self.model.topics:
            topic = data.draw(st.sampled_from(sorted(self.model.topics)))
            assert self.trie.remove(topic, who, is_all) == self.model.remove(topic, who, is_all)

    @rule(topic=TOPICS, first=st.integers(1, 50), count=st.integers(1, 50))
    def add_a_crowd(self, topic: bytes, first: int, count: int) -> None:
        for who in range(first, first + count):
            assert self.trie.add(topic, who) == self.model.add(topic, who)

    @rule(topic=SHORT_TOPICS, first=st.integers(0, 255), count=st.integers(1, 40), who=SUBSCRIBERS)
    def add_a_fan(self, topic: bytes, first: int, count: int, who: int) -> None:
        for last in range(first, min(first + count, 256)):
            one = topic + bytes([last])
            assert self.trie.add(one, who) == self.model.add(one, who)

    @rule(topic=SHORT_TOPICS, first=st.integers(0, 255), count=st.integers(1, 40), who=SUBSCRIBERS)
    def remove_a_fan(self, topic: bytes, first: int, count: int, who: int) -> None:
        for last in range(first, min(first + count, 256)):
            one = topic + bytes([last])
            assert self.trie.remove(one, who, True) == self.model.remove(one, who, True)

    @rule(who=st.integers(1, 100), is_each=st.booleans())
    def remove_who(self, who: int, is_each: bool) -> None:
        expected = []
        for topic in self.model.held_by(who):
            if self.model.remove(topic, who, True) == LAST or is_each:
                expected.append(topic)
        assert sorted(self.trie.remove_who(who, is_each)) == sorted(expected)

    @rule(data=TOPICS, tail=st.binary(max_size=3))
    def match(self, data: bytes, tail: bytes) -> None:
        expected = self.model.match(data + tail)
        self.trie.warm([data + tail, data, tail])
        assert Counter(self.trie.match(data + tail)) == expected
        assert self.trie.matches(data + tail) == bool(expected)

    @invariant()
    def same(self) -> None:
        assert_same(self.trie, self.model)


TestTrieMachine = TrieMachine.TestCase
TestTrieMachine.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


# --- shapes that hurt --------------------------------------------------------------------------------------------


def test_a_topic_of_a_megabyte() -> None:
    topic = b"m" * 1_000_000
    trie = probe.Trie()
    assert trie.add(topic, 1) == FIRST
    assert trie.add(topic[:500_000], 2) == FIRST
    assert trie.check()
    assert trie.match(topic) == [2, 1] and trie.match(topic[:-1]) == [2] and trie.match(topic[:499_999]) == []
    assert trie.walk() == [topic[:500_000], topic]
    assert trie.remove_who(2, False) == [topic[:500_000]]
    assert trie.check()
    assert trie.remove(topic, 1) == LAST
    assert trie.check() and trie.topics == 0


def test_a_hundred_thousand_nested_prefixes() -> None:
    count = 100_000
    longest = b"n" * count
    trie = probe.Trie()
    assert trie.add_prefixes(longest, 1)
    assert trie.topics == count and trie.check()
    assert trie.match_count(longest) == count
    assert trie.walk_sizes() == (count, count * (count + 1) // 2, True)
    trie.remove_who_silently(1)
    assert trie.topics == 0 and trie.walk() == [] and trie.check()


def test_nested_prefixes_are_freed_without_being_removed() -> None:
    trie = probe.Trie()
    assert trie.add_prefixes(b"n" * 100_000, 1)
    assert trie.fini_twice()


@pytest.mark.parametrize("order", [1, -1])
def test_a_fan_of_every_byte_at_every_of_two_levels(order: int) -> None:
    topics = [bytes([a, b]) for a in range(256) for b in range(256)]
    trie = probe.Trie()
    for topic in topics[::order]:
        assert trie.add(topic, 1) == FIRST
    assert trie.check() and trie.walk() == topics
    for topic in topics[::2]:
        assert trie.remove(topic, 1) == LAST
    assert trie.check() and trie.walk() == topics[1::2]
    for topic in topics[1::2]:
        assert trie.remove(topic, 1) == LAST
    assert trie.check() and trie.topics == 0


@pytest.mark.parametrize("tail", [b"", b"t" * LABEL_BYTES_MIN, b"t" * LABEL_BYTES_MAX], ids=len)
def test_a_fan_of_each_size(tail: bytes) -> None:
    """A fork grows and shrinks kid by kid, and changes its kind of memory on the way."""
    rng = random.Random(2)
    firsts = list(range(256))
    rng.shuffle(firsts)
    trie = probe.Trie()
    present: set[int] = set()
    for change, order in ((trie.add, firsts), (trie.remove, firsts[::-1])):
        for first in order:
            assert change(b"fan" + bytes([first]) + tail, 1) == (FIRST if change == trie.add else LAST)
            present ^= {first}
            assert trie.check()
            assert trie.walk() == [b"fan" + bytes([one]) + tail for one in sorted(present)]
            assert [one for one in range(256) if trie.matches(b"fan" + bytes([one]) + tail)] == sorted(present)


@pytest.mark.parametrize("count", [3, 4, 11, 12, 19, 20])
def test_a_kid_that_comes_and_goes(count: int) -> None:
    """Subscribers that come and go at the bound of a fork's size."""
    trie = probe.Trie()
    for i in range(count):
        trie.add(bytes([i]), 1)
    for _ in range(20):
        assert trie.remove(bytes([count - 1]), 1) == LAST
        assert trie.check()
        assert trie.add(bytes([count - 1]), 1) == FIRST
        assert trie.check()
    assert trie.walk() == [bytes([i]) for i in range(count)]


def test_a_join_frees_room_for_another() -> None:
    """A node with a short label meets a longer one only when the node between them has gone."""
    trie = probe.Trie()
    upper, middle, lower = b"u" * 15, b"m" * 15, b"w" * 30
    trie.add(upper + middle + lower, 1)
    for topic in (upper, upper + middle, upper + b"x", upper + middle + b"x"):
        trie.add(topic, 2)
    for topic in (upper + b"x", upper + middle + b"x", upper, upper + middle):
        assert trie.remove(topic, 2) == LAST
        assert trie.check()
    assert trie.walk() == [upper + middle + lower]


def test_fetching_ahead_finds_the_same() -> None:
    block = b"".join(b"topic-%08d" % i for i in range(0, 30_000, 3))
    size = len(b"topic-00000000")
    trie = probe.Trie()
    assert trie.change_each(block, size, size, 10, True) == 10_000
    for shape in (b"topic-%08d", b"topic-%08d.and.more", b"topic-%07d"):
        data = [shape % (i * 7919 % 30_000) for i in range(1003)]
        expected = sum(trie.match_count(one) for one in data)
        assert trie.match_each(b"".join(data), len(data[0]), 1, True) == expected
    trie.warm([])
    trie.warm([b""])
    trie.warm([b"topic-"] * 100)
    assert trie.check()
    assert trie.change_each(block, size, size, 10, False) == 10_000
    assert trie.check() and trie.topics == 0


def test_ten_thousand_subscribers_of_one_topic() -> None:
    # Addresses are multiples of 16 and more: the hash must spread them.
    everyone = [0x7F00_0000_0000 + 4096 * i for i in range(10_000)]
    trie = probe.Trie()
    for who in everyone:
        trie.add(b"crowd", who)
    assert trie.check()
    assert sorted(trie.match(b"crowded")) == everyone
    for who in everyone[::2]:
        assert trie.remove(b"crowd", who) == probe.LAST_OF_WHO
    assert trie.check() and sorted(trie.match(b"crowd")) == everyone[1::2]
    for who in everyone[1:-2:2]:
        assert trie.remove_who(who, False) == []
    assert trie.remove_who(everyone[-1], False) == [b"crowd"]
    assert trie.check() and trie.topics == 0


@pytest.mark.timeout(60)
def test_a_hundred_thousand_topics_of_ten_subscribers_each() -> None:
    """A time that grew with the number of topics or subscribers would not end before the timeout."""
    count = 100_000
    topics = [b"market.%d.quote.%d" % (i % 97, i) for i in range(count)]
    trie = probe.Trie()
    for i, topic in enumerate(topics):
        for k in range(10):
            trie.add(topic, 1 + (i + k * 7919) % 1000)
    assert trie.topics == count and trie.check()
    for i, topic in enumerate(topics):
        assert trie.matches(topic)
        assert trie.match_count(topic + b"/") >= 10, i
    assert not trie.matches(b"market.98.quote.")
    for who in range(1, 1001):
        trie.remove_who_silently(who)
    assert trie.topics == 0 and trie.check()


# --- no memory ---------------------------------------------------------------------------------------------------

def run_without_memory(shim: ctypes.CDLL) -> dict[str, int]:
    """Refuses each allocation of trie_add once, all through a long random life. How often each thing happened."""
    let_probes_fail(shim)
    rng = random.Random(1)
    trie, model = probe.Trie(), Model()
    seen: Counter[str] = Counter()
    refused = 0
    while trie.init_failing(refused) == -probe.ENOMEM:
        refused += 1
    seen["init refused"] = refused
    for step in range(3000):
        if step % 60 == 0 and step < 2000:
            # A small trie allocates at almost every change: its slabs are small.
            trie, model = probe.Trie(), Model()
        topic = b"".join(rng.choice([b"a", b"b", b"a" * 80, b"b" * 90]) for _ in range(rng.randrange(7)))
        if rng.random() < 0.2:
            topic = topic[:rng.randrange(3)] + bytes([rng.randrange(256)])
        who = rng.randrange(1, 60)
        if rng.random() < 0.6:
            calls = 0
            while True:
                bits = trie.add_failing(calls, topic, who)
                if bits != -probe.ENOMEM:
                    break
                assert_same(trie, model)
                assert Counter(trie.match(topic)) == model.match(topic)
                seen["add refused"] += 1
                calls += 1
            assert bits == model.add(topic, who)
            seen["most refusals of one add"] = max(seen["most refusals of one add"], calls)
        else:
            topic = rng.choice(sorted(model.topics) or [topic])
            who = rng.choice(sorted(model.topics.get(topic, {who: 1})))
            assert trie.remove_failing(topic, who) == model.remove(topic, who)
            seen["removed"] += 1
        assert_same(trie, model)
    return dict(seen)


def run_to_count_blocks(shim: ctypes.CDLL) -> dict[str, int]:
    """The C library's blocks that a trie of 5,000 topics takes, and those left when it has been emptied or freed."""
    topics = [b"%d." % (i * 7919 % 5000) + b"x" * (i % 200) for i in range(5000)]
    seen = {}
    for how in ("warm up", "remove", "remove_who", "fini"):
        before = shim.live_blocks()
        trie = probe.Trie()
        for i, topic in enumerate(topics):
            for who in range(1, 3 + i % 20):
                trie.add(topic, who)
        seen["taken"] = shim.live_blocks() - before
        for who in range(1, 23):
            if how == "remove_who":
                trie.remove_who_silently(who)
            elif how == "remove":
                for topic in topics:
                    trie.remove(topic, who)
        seen[f"held after {how}"] = shim.live_blocks() - before
        del trie
        seen[f"left after {how}"] = shim.live_blocks() - before
    return seen


def test_without_memory_nothing_changes(tmp_path: Path) -> None:
    seen = run_with_shim(tmp_path, __name__, "run_without_memory")
    assert seen["init refused"] == 3
    assert seen["most refusals of one add"] >= 5 and seen["add refused"] > 500 and seen["removed"] > 300, seen


def test_every_block_goes_back(tmp_path: Path) -> None:
    seen = run_with_shim(tmp_path, __name__, "run_to_count_blocks")
    slack = 20  # the interpreter's own blocks come and go; slabs alone would be 170
    assert seen["taken"] > 5_000
    for how in ("remove", "remove_who", "fini"):
        assert seen[f"left after {how}"] < slack
    assert seen["held after remove"] < slack and seen["held after remove_who"] < slack
