"""Compares what was sent with what arrived, and prints the last table."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import wire

Results = list[dict[str, Any]]


class Verdict:
    """Lines of the table, in order, and whatever must not be."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.faults: list[str] = []

    def count(self, label: str, value: int, *, must_be_zero: bool = False) -> None:
        self.lines.append((label, f"{value:,}"))
        if must_be_zero and value:
            self.faults.append(f"{label}: {value:,}")

    def text(self, label: str, text: str) -> None:
        self.lines.append((label, text))

    def latency(self, results: Results) -> None:
        total = wire.Histogram()
        for result in results:
            total.merge(wire.Histogram(result["latency"]))
        for label, share in (("latency p50", 0.5), ("latency p99", 0.99)):
            value = total.percentile_ms(share)
            self.text(label, "-" if value is None else f"{value:.3f} ms")

    def shares(self, name: str, counts: Sequence[int]) -> None:
        total = sum(counts) or 1
        for number, value in enumerate(counts):
            self.text(f"{name} {number}", f"{value:,}  {100 * value / total:.1f} %")

    def show(self) -> None:
        width = max(len(label) for label, _ in self.lines)
        for label, text in self.lines:
            print(f"  {label:<{width}}  {text}")


def total(results: Results, name: str) -> int:
    return sum(int(result[name]) for result in results)


def queue(clients: Results, workers: Results) -> Verdict:
    verdict = Verdict()
    sent, matched = total(clients, "sent"), total(clients, "matched")
    answered = total(workers, "received")
    verdict.count("requests sent", sent)
    verdict.count("replies matched", matched)
    verdict.count("lost", total(clients, "lost"), must_be_zero=True)
    verdict.count("wrong replies", total(clients, "wrong"), must_be_zero=True)
    verdict.count("answered twice or not at all", abs(answered - sent), must_be_zero=True)
    by_worker = [sum(client["workers"].get(f"worker-{n}", 0) for client in clients) for n in range(len(workers))]
    verdict.shares("share of worker", by_worker)
    seconds = max(client["seconds"] for client in clients)
    verdict.text("requests/s", f"{matched / seconds:,.0f}")
    verdict.latency(clients)
    if not sent or matched != sent:
        verdict.faults.append(f"{matched:,} of {sent:,} replies matched")
    return verdict


def expected_by_sinks(sources: Results, sink_count: int, topic_count: int) -> int:
    """Forwarder: a message goes to every sink that has its topic."""
    topics = [topic for sink in range(sink_count) for topic in wire.topics_of(sink, topic_count)]
    return sum(source["by_topic"][topic] for source in sources for topic in topics)


def forwarder(sources: Results, sinks: Results, topic_count: int) -> Verdict:
    """Each sink has to have each message of its topics: what the sources sent, topic by topic."""
    verdict = Verdict()
    lost = 0
    for number, sink in enumerate(sinks):
        ends = {(sender, name): count for sender, name, count in sink["ends"]}
        lost += sink["missing"]
        for sender, source in enumerate(sources):
            for topic in wire.topics_of(number, topic_count):
                sent = source["by_topic"][topic]
                lost += max(sent - ends.get((sender, wire.topic(topic).decode()), 0), 0)
    expected = expected_by_sinks(sources, len(sinks), topic_count)
    verdict.count("messages sent", total(sources, "sent"))
    verdict.count("to be received, all sinks", expected)
    _streams(verdict, sources, sinks, lost, total(sinks, "twice"), expected)
    return verdict


def streamer(sources: Results, sinks: Results) -> Verdict:
    """Each message at exactly one sink: the maps of what every sink saw are laid over each other."""
    verdict = Verdict()
    lost, twice = 0, total(sinks, "twice")
    for sender, source in enumerate(sources):
        union = 0
        for sink in sinks:
            seen = int.from_bytes(zlib.decompress(base64.b64decode(sink["seen"][sender])), "little")
            twice += (union & seen).bit_count()
            union |= seen
        known = union & ((1 << 8 * source["sent"]) - 1)
        lost += source["sent"] - known.bit_count()
        sinks[0]["strange"] += (union ^ known).bit_count()
    verdict.count("messages sent", total(sources, "sent"))
    _streams(verdict, sources, sinks, lost, twice, total(sources, "sent"))
    return verdict


def _streams(verdict: Verdict, sources: Results, sinks: Results, lost: int, twice: int, expected: int) -> None:
    received = total(sinks, "received")
    verdict.count("received", received)
    verdict.count("lost", lost, must_be_zero=True)
    verdict.count("received twice", twice, must_be_zero=True)
    verdict.count("order errors", total(sinks, "order_errors"), must_be_zero=True)
    verdict.count("damaged", total(sinks, "damaged"), must_be_zero=True)
    verdict.count("never sent", total(sinks, "strange"), must_be_zero=True)
    verdict.shares("share of sink", [sink["received"] for sink in sinks])
    last_ns = max(sink["last_ns"] for sink in sinks)
    start_ns = min(source["start_ns"] for source in sources)
    verdict.text("messages/s", f"{1e9 * received / (last_ns - start_ns):,.0f}" if received else "0")
    verdict.latency(sinks)
    if not expected or received != expected:
        verdict.faults.append(f"received {received:,} of {expected:,}")
