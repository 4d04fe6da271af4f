"""A ZeroMQ proxy at work between real libzmq peers.

    python demo/demo.py [--model queue|forwarder|streamer] [--seconds 6] [--clients 8] [--workers 4] [--capture]

The proxy is `zmqcore.proxy` in a process of its own; all others are pyzmq processes, over tcp on ports that the system
chooses. queue: REQ clients, REP workers. forwarder: PUB sources, SUB sinks. streamer: PUSH sources, PULL sinks. Every
message is numbered and checked. Exit code: 0 if all was right, 1 if not, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from types import FrameType
from typing import NoReturn

import verdict
from crew import Crew, DemoError, Member
from verdict import Verdict

START_S = 20.0  # until everybody has heard everybody
RESULT_S = 15.0  # until a process that is over has reported
QUIET_S = 5.0  # nothing arrived for so long: the rest is lost
OVERALL_S = 60.0  # for all that is not --seconds: then the watchdog ends the run
TITLES = {
    "queue": "shared queue (ROUTER/DEALER) between {clients} REQ clients and {workers} REP workers",
    "forwarder": "forwarder (XSUB/XPUB) between {clients} PUB sources and {workers} SUB sinks",
    "streamer": "streamer (PULL/PUSH) between {clients} PUSH sources and {workers} PULL sinks",
}


class Interrupts:
    """The first Ctrl-C ends the traffic and lets the run come to its table; a second one ends everything."""

    def __init__(self) -> None:
        self.is_set = False

    def install(self, limit_s: float) -> None:
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGALRM, self._watchdog)
        signal.setitimer(signal.ITIMER_REAL, limit_s)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_set:
            raise KeyboardInterrupt
        self.is_set = True

    def _terminate(self, number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    def _watchdog(self, _number: int, _frame: FrameType | None) -> NoReturn:
        raise DemoError("the watchdog ended the run")


class Display:
    """One line that is rewritten on a terminal; a new line every second elsewhere."""

    def __init__(self, receiver: str) -> None:
        self.receiver = receiver
        self.is_terminal = sys.stdout.isatty()
        self.start = self.shown = time.monotonic()
        self.last = 0

    def update(self, senders: list[Member], receivers: list[Member]) -> None:
        now = time.monotonic()
        if now - self.shown < (0.25 if self.is_terminal else 1.0):
            return
        counts = [member.count("received") for member in receivers]
        received, sent = sum(counts), sum(member.count("sent") for member in senders)
        rate = (received - self.last) / (now - self.shown)
        shares = " ".join(f"{100 * count / (received or 1):.0f}%" for count in counts)
        text = f"{now - self.start:5.1f} s  sent {sent:>11,}  received {received:>11,}  {rate:>9,.0f}/s"
        text += f"  {self.receiver}s: {shares}"
        print(f"\r\x1b[K{text}" if self.is_terminal else text, end="" if self.is_terminal else "\n", flush=True)
        self.last, self.shown = received, now

    def clear(self) -> None:
        if self.is_terminal:
            print("\r\x1b[K", end="", flush=True)


class Demo:
    """One run, step by step."""

    def __init__(self, crew: Crew, options: argparse.Namespace, interrupts: Interrupts) -> None:
        self.crew, self.options, self.interrupts = crew, options, interrupts
        self.sender, self.receiver = ("client", "worker") if options.model == "queue" else ("source", "sink")
        self.topic_count = options.workers if options.model == "forwarder" else 0

    @property
    def senders(self) -> list[Member]:
        return self.crew.of(self.sender)

    @property
    def receivers(self) -> list[Member]:
        return self.crew.of(self.receiver)

    @property
    def watchers(self) -> list[Member]:
        return self.crew.of("watcher")

    def run(self) -> Verdict:
        self.start()
        self.send()
        self.drain(self.receivers, self.expected())
        self.drain(self.watchers, self.copies())
        return self.end()

    def start(self) -> None:
        """Everybody is started, and everybody has been heard."""
        crew, options = self.crew, self.options
        proxy = crew.start("proxy", impl=options.impl, model=options.model, capture=options.capture)
        crew.wait("the proxy binds", lambda: "ready" in proxy.events, START_S)
        endpoints = proxy.events["ready"]["endpoints"]
        shared = {"sources": options.clients, "topics": self.topic_count, "size": options.size}
        for number in range(options.workers):
            crew.start(self.receiver, number=number, endpoint=endpoints[1], **shared)
        if options.capture:
            crew.start("watcher", endpoint=endpoints[2])
        timing = {"seconds": options.seconds, "rate": options.rate}
        for number in range(options.clients):
            seed = random.randrange(1 << 32)
            crew.start(self.sender, number=number, endpoint=endpoints[0], seed=seed, **timing, **shared)

        def all_ready() -> bool:
            if self.interrupts.is_set:
                raise KeyboardInterrupt
            return all("ready" in member.events for member in self.receivers + self.watchers)

        crew.wait("everybody hears everybody", all_ready, START_S)

    def send(self) -> None:
        """From `go` until every sender has reported; the display runs meanwhile."""
        for member in self.senders:
            member.tell("go")
        display = Display(self.receiver)
        end = time.monotonic() + self.options.seconds + RESULT_S
        is_told = False
        while not all("result" in member.events for member in self.senders):
            if self.interrupts.is_set and not is_told:
                is_told = True
                for member in self.senders:
                    member.tell("stop")
            if time.monotonic() > end:
                raise DemoError(f"a {self.sender} does not come to its end")
            self.crew.listen()
            display.update(self.senders, self.receivers)
        display.clear()

    def expected(self) -> int:
        """Messages that all receivers together have to get."""
        results = [member.events["result"] for member in self.senders]
        if self.topic_count:
            return verdict.expected_by_sinks(results, self.options.workers, self.topic_count)
        return verdict.total(results, "sent")

    def copies(self) -> int:
        """What capture has to see: all that was sent, and in the queue the answers too."""
        results = [member.events["result"] for member in self.senders]
        return verdict.total(results, "sent") + (verdict.total(results, "matched") if self.sender == "client" else 0)

    def drain(self, members: list[Member], expected: int) -> None:
        """Until all has arrived, or nothing has for a while."""
        count, changed = -1, time.monotonic()
        while members and count < expected and time.monotonic() - changed < QUIET_S:
            self.crew.listen()
            now = sum(member.count("received") for member in members)
            if now != count:
                count, changed = now, time.monotonic()

    def end(self) -> Verdict:
        receivers, watchers, senders = self.receivers, self.watchers, self.senders
        for member in receivers + watchers + senders:
            member.tell("stop")
        self.crew.wait(
            "the receivers report",
            lambda: all("result" in member.events for member in receivers + watchers),
            RESULT_S,
        )
        sent = [member.events["result"] for member in senders]
        got = [member.events["result"] for member in receivers]
        if self.options.model == "queue":
            found = verdict.queue(sent, got)
        elif self.options.model == "forwarder":
            found = verdict.forwarder(sent, got, self.topic_count)
        else:
            found = verdict.streamer(sent, got)
        if watchers:
            captured = watchers[0].count("received")
            found.count("copies captured", captured)
            if captured != self.copies():
                found.faults.append(f"captured {captured:,} of {self.copies():,} copies")
        (proxy,) = self.crew.of("proxy")
        complaint = self.crew.interrupt(proxy)
        if complaint:
            found.faults.append(complaint)
        elif "result" in proxy.events:
            found.text("proxy CPU", f"{proxy.events['result']['cpu_s']:.2f} s")
            if self.crew.interrupts > 1:
                found.text("proxy ended", f"at SIGINT number {self.crew.interrupts}")
        if self.options.model != "queue" and not self.options.rate:
            found.text("note", "a flood: latency is that of full queues; --rate 500 shows the way alone")
        return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A ZeroMQ proxy at work between real libzmq peers.")
    parser.add_argument("--model", choices=sorted(TITLES), default="queue")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--clients", type=int, default=8, help="clients, or sources")
    parser.add_argument("--workers", type=int, default=4, help="workers, or sinks")
    parser.add_argument("--impl", choices=("zmqcore", "pyzmq"), default="zmqcore", help="whose proxy it is")
    parser.add_argument("--capture", action="store_true", help="a PUB capture socket, and a process that counts there")
    parser.add_argument("--size", type=int, default=256, help="payloads have 0 to SIZE random bytes")
    parser.add_argument("--rate", type=float, default=0, help="messages/s of one source; 0: as many as go through")
    options = parser.parse_args()
    if options.clients < 1 or options.workers < 1 or options.seconds <= 0 or options.size < 0 or options.rate < 0:
        parser.error("--clients, --workers and --seconds must be positive, --size and --rate not negative")
    return options


def main() -> int:
    options, interrupts = arguments(), Interrupts()
    print(f"{options.impl}: {TITLES[options.model].format_map(vars(options))}", flush=True)
    try:
        with Crew(time.monotonic() + options.seconds + OVERALL_S) as crew:
            interrupts.install(options.seconds + OVERALL_S + 2)
            try:
                found = Demo(crew, options, interrupts).run()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)  # the children are reaped undisturbed
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except DemoError as error:
        print(f"\nFAILED: {error}", file=sys.stderr)
        return 1
    found.show()
    for fault in found.faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    if found.faults:
        return 1
    print("interrupted; all that was sent is accounted for" if interrupts.is_set else "everything matched")
    return 130 if interrupts.is_set else 0


if __name__ == "__main__":
    sys.exit(main())
