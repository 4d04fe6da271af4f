"""What do connections cost that carry nothing: memory of each, and CPU of all?

    python bench/idle.py                           1,000 accepted, 1,000 connecting; a table against the goals
    python bench/idle.py --cases bound-ipc-1000,bound-tcp-1000-used --impl zmqcore,pyzmq

The measured process has one socket (PULL that is bound, or PUSH that connects); the other ends are raw ZMTP connections
of one other process, alike for all contenders. Memory is counted from the first connection on, so that code and what is
made once are not in it; CPU while the application is outside its socket, and while it waits for a message.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import resource
import socket as net
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import common
import goals
import pairs
from goals import Goal

RSS, CPU, CPU_WAITING = "rss_kib", "cpu_percent", "cpu_waiting_percent"
CASE_LIMIT_S = 60
SETTLED_S = 0.1  # without CPU for so long: what the connections started has ended
PAGE_KIB = resource.getpagesize() / 1024
CASE_FORM = re.compile(r"(bound|connecting)-(tcp|ipc)-(\d+)(-used)?")


@dataclass(frozen=True)
class Case:
    """bound|connecting-TRANSPORT-COUNT[-used]. `used`: each connection carried one small message before."""

    name: str
    is_bound: bool
    transport: str
    count: int
    is_used: bool

    @classmethod
    def parse(cls, name: str) -> Case:
        side, transport, count, used = common.fields(CASE_FORM, name)
        if used and side != "bound":
            raise ValueError(f"no such case: {name}: only what is bound receives")
        return cls(name, side == "bound", transport, int(count), bool(used))


def idle_goals(case: str) -> list[Goal]:
    found = [Goal(case, "RSS per connection", RSS, 0.5)]
    whens = ((CPU, "% CPU outside"), (CPU_WAITING, "% CPU in poll"))
    return found + [Goal(case, what, figure, 0.1, reference="") for figure, what in whens]


GOALS = (*idle_goals("bound-tcp-1000"), *idle_goals("connecting-tcp-1000"))
ALL_CASES = [f"{side}-{on}-1000" for side in ("bound", "connecting") for on in ("tcp", "ipc")]
ALL_CASES += ["bound-tcp-100", "bound-tcp-1000-used", "bound-ipc-1000-used"]


def allow_many_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# --- the measured process ---------------------------------------------------------------------------------------------


def hold(config: dict[str, Any]) -> None:
    """Orders, one a line: connect N (more), receive N, wait MS (for a message). Each is answered by an empty report."""
    allow_many_files()
    zmq = common.implementation(config["impl"])
    socket = zmq.Context().socket(zmq.PULL if config["is_bound"] else zmq.PUSH)
    if config["is_bound"]:
        socket.bind(config["endpoint"])
    common.emit(endpoint=common.endpoint_of(zmq, socket) if config["is_bound"] else "")
    for line in sys.stdin:
        verb, number = line.split()
        if verb == "connect":
            for _ in range(int(number)):
                socket.connect(config["endpoint"])
        elif verb == "receive":
            for _ in range(int(number)):
                socket.recv()
        elif verb == "wait":
            socket.poll(int(number), zmq.POLLIN if config["is_bound"] else zmq.POLLERR)
        common.emit()
    common.leave()


# --- the process with the other ends ----------------------------------------------------------------------------------

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)  # ZMTP 3.0, as client


def ready_command(kind: bytes) -> bytes:
    body = b"\x05READY" + b"\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    return bytes((4, len(body))) + body


def shake_hands(connection: net.socket, kind: bytes) -> None:
    connection.settimeout(CASE_LIMIT_S)
    connection.sendall(GREETING)
    common.recv_exactly(connection, len(GREETING))
    connection.sendall(ready_command(kind))
    flags, size = common.recv_exactly(connection, 2)
    if flags != 4 or not common.recv_exactly(connection, size).startswith(b"\x05READY"):
        raise ConnectionError("no READY from the measured process")


def crowd(config: dict[str, Any]) -> None:
    """Orders, one a line: open N (more, one after the other), or send 1 (a message on each)."""
    allow_many_files()
    endpoint, listener = config["endpoint"], None
    family, address = common.bare_address(endpoint)
    kind = b"PUSH" if config["is_bound"] else b"PULL"
    if not config["is_bound"]:
        listener, endpoint = common.bare_listen(endpoint, 4096)
    common.emit(endpoint=endpoint)
    connections: list[net.socket] = []
    for line in sys.stdin:
        verb, number = line.split()
        if verb == "open":
            for _ in range(int(number)):
                if listener:
                    connections.append(listener.accept()[0])
                else:
                    connections.append(net.socket(family))
                    connections[-1].connect(address)
                shake_hands(connections[-1], kind)
        elif verb == "send":
            for connection in connections:
                connection.sendall(b"\x00\x05hello")
        common.emit()
    common.leave()


# --- one sample -------------------------------------------------------------------------------------------------------


class Run:
    """One sample: a fresh measured process, a fresh crowd."""

    def __init__(self, case: Case, impl: str, seconds: float, folder: str) -> None:
        self.case, self.impl, self.seconds = case, impl, seconds
        self.at = f"ipc://{folder}/end" if case.transport == "ipc" else "tcp://127.0.0.1:*"
        self.deadline = time.monotonic() + CASE_LIMIT_S

    def start(self, children: common.Children) -> None:
        both = (("hold", self.impl), ("crowd", "raw"))
        roles = both if self.case.is_bound else both[::-1]  # first the one that binds
        started, at = {}, self.at
        for role, impl in roles:
            config = {"impl": impl, "is_bound": self.case.is_bound, "endpoint": at}
            started[role] = children.python(__file__, role, config)
            at = started[role].message(self.deadline)["endpoint"] or at
        self.held, self.crowd = started["hold"], started["crowd"]

    def order(self, child: common.Child, text: str) -> None:
        child.tell(text)
        child.message(self.deadline)

    def open(self, count: int) -> None:
        if not self.case.is_bound:
            self.held.tell(f"connect {count}")
        self.order(self.crowd, f"open {count}")
        if not self.case.is_bound:
            self.held.message(self.deadline)
        self.settle()

    def settle(self) -> None:
        """Until the measured process does nothing any more, which may be never: then it shows in its CPU."""
        last_s, until = -1.0, time.monotonic() + 3
        while (now_s := self.held.cpu_s()) - last_s > SETTLED_S / 100 and time.monotonic() < until:
            last_s = now_s
            time.sleep(SETTLED_S)

    def rss_kib(self) -> float:
        return int(Path(f"/proc/{self.held.process.pid}/statm").read_text().split()[1]) * PAGE_KIB

    def cpu_s_of_a_while(self) -> float:
        before_s = self.held.cpu_s()
        time.sleep(self.seconds)
        return self.held.cpu_s() - before_s

    def sample(self, children: common.Children) -> common.Sample:
        self.start(children)
        self.open(1)
        first_kib, first_s = self.rss_kib(), self.held.cpu_s()
        self.open(self.case.count)
        if self.case.is_used:
            self.crowd.tell("send 1")
            self.order(self.held, f"receive {self.case.count + 1}")
            self.crowd.message(self.deadline)
            self.settle()
        each_kib = (self.rss_kib() - first_kib) / self.case.count
        opened_s = self.held.cpu_s()
        outside_s = self.cpu_s_of_a_while()
        self.held.tell(f"wait {int(1000 * (self.seconds + 3 * SETTLED_S))}")
        time.sleep(SETTLED_S)  # in it by now, and still in it at the end of the while
        waiting_s = self.cpu_s_of_a_while()
        self.held.message(self.deadline)
        figures = {RSS: each_kib, CPU: 100 * outside_s / self.seconds, CPU_WAITING: 100 * waiting_s / self.seconds}
        figures["open_us"] = 1e6 * (opened_s - first_s) / self.case.count
        return common.Sample(1 / max(each_kib, 1e-3), 0, figures)


def measure(case: Case, options: argparse.Namespace, impl: str) -> common.Sample:
    with contextlib.ExitStack() as stack:
        children = stack.enter_context(common.Children())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        return Run(case, impl, options.seconds, folder).sample(children)


def main() -> int:
    allow_many_files()
    options = pairs.parsed("idle", __doc__.splitlines()[0], pairs.IMPLS, 1.0)
    cases = [Case.parse(name) for name in goals.chosen(options.cases, GOALS, ALL_CASES)]
    impls = list(common.present(options.impl))
    rows: list[common.Row] = []
    for case in cases:
        rows += common.alternate(case.name, impls, options.rounds, partial(measure, case, options), "1/KiB")
    columns = [("KiB RSS/connection", RSS), ("CPU % outside", CPU), ("CPU % in poll", CPU_WAITING)]
    columns += [("us CPU/opening", "open_us")]
    title = "One process, one socket, idle connections"
    figures = [(RSS, "RSS of a connection"), ("open_us", "CPU of opening it")]
    return goals.report("idle", title, rows, columns, GOALS, ["pyzmq", "pyomq"], figures, options)


if __name__ == "__main__":
    if not common.run_child({"hold": hold, "crowd": crowd}):
        sys.exit(main())
