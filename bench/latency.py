"""How long does a round trip REQ > REP > REQ take between two Python programs, and what does it cost?

    python bench/latency.py                                     the cases of the goals, and a table against them
    python bench/latency.py --quick                             the same, a first look in a minute
    python bench/latency.py --cases reqrep-tcp-64,reqrep-ipc-1024-spin50 --impl zmqcore,pyzmq,raw --rounds 9
    python bench/latency.py --cases all --rounds 3              every case

A contender is an implementation on both ends, or CLIENT>SERVER. Each end is a process of its own; for inproc a thread.
`raw` is the floor: the same ping-pong over a bare TCP or Unix socket of Python. Ratios of speed compare medians
(2.00 is half of pyzmq's time); CPU is that of both processes, with all their threads.
"""

from __future__ import annotations

import argparse
import re
import socket as net
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import common
import goals
import pairs
from goals import Goal

IMPLS = (*pairs.IMPLS, "raw")
WARM_UP = 300
TRIPS_MIN, TRIPS_MAX = 1000, 100_000
SPIN_US = 50  # in the goals: longer than half a round trip; more of it only keeps the peer from a shared core
PERCENTILES = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999}
P50, CPU = "p50_us", "cpu_us"
CASE_FORM = re.compile(r"reqrep-(tcp|ipc|inproc)-(\d+)(?:-parts(\d+))?(?:-spin(\d+))?(-asyncio)?")


@dataclass(frozen=True)
class Case(pairs.Case):
    """reqrep-TRANSPORT-SIZE[-partsN][-spinN][-asyncio]. `spin`: SPIN_US of both sockets, where they have it."""

    name: str
    transport: str
    size: int
    parts: int
    spin_us: int
    is_asyncio: bool

    @classmethod
    def parse(cls, name: str) -> Case:
        transport, size, parts, spin, on_loop = common.fields(CASE_FORM, name)
        if on_loop and (spin or transport == "inproc"):
            raise ValueError(f"no such case: {name}: asyncio goes without spinning, and between processes")
        return cls(name, transport, int(size), int(parts or 1), int(spin or 0), bool(on_loop))

    def has(self, contender: str) -> bool:
        """Whether the contender can play it at all: raw knows no messages, and spinning needs its option at one end."""
        if contender == "raw":
            return self.transport != "inproc" and self.parts == 1 and self.size > 0 and not self.is_asyncio
        return True

    def skipped(self, contender: str) -> str:
        if self.is_asyncio:
            return pairs.skipped(contender, "asyncio")
        if self.spin_us and contender == "zmqcore":
            return pairs.skipped(contender, "SPIN_US")
        return ""


def time_goals(case: str, bound: float) -> list[Goal]:
    """zmqcore's goal, and that nobody loses by zmqcore at one end of the wire."""
    found = [Goal(case, "p50", P50, bound)]
    if "inproc" not in case:
        found += [Goal(case, f"p50 {mixed}", P50, 1, mixed) for mixed in ("zmqcore>pyzmq", "pyzmq>zmqcore")]
    return found


GOALS = (
    *time_goals("reqrep-tcp-64", 0.50),
    Goal("reqrep-tcp-64", "p50", P50, 1.3, reference="raw"),
    *time_goals(f"reqrep-tcp-64-spin{SPIN_US}", 0.25),
    *time_goals("reqrep-inproc-64", 0.50),
    *time_goals("reqrep-tcp-64-asyncio", 0.50),
)


def all_cases() -> list[str]:
    names = [f"reqrep-{on}-{size}" for on in pairs.TRANSPORTS for size in pairs.SIZES]
    names += [f"reqrep-{on}-64-spin{SPIN_US}" for on in pairs.TRANSPORTS]
    names += [f"reqrep-{on}-64-parts4" for on in pairs.TRANSPORTS]
    return names + [f"reqrep-{on}-{size}-asyncio" for on in ("tcp", "ipc") for size in (64, 1024, 65536)]


# --- bare sockets -----------------------------------------------------------------------------------------------------


def raw_tune(connection: net.socket) -> None:
    connection.settimeout(pairs.SILENCE_MS / 1000)
    if connection.family == net.AF_INET:
        connection.setsockopt(net.IPPROTO_TCP, net.TCP_NODELAY, 1)


def serve_raw(config: dict[str, Any], report: pairs.Report) -> None:
    listener, endpoint = common.bare_listen(config["endpoint"], 1)
    with listener:
        report(endpoint=endpoint)
        connection, _ = listener.accept()
    raw_tune(connection)
    while True:
        connection.sendall(common.recv_exactly(connection, config["size"]))


def raw_ping(config: dict[str, Any]) -> Callable[[bytes], bytes]:
    family, address = common.bare_address(config["endpoint"])
    connection, size = net.socket(family), config["size"]
    connection.connect(address)
    raw_tune(connection)

    def ping(message: bytes) -> bytes:
        connection.sendall(message)
        return common.recv_exactly(connection, size)

    return ping


# --- the two ends -----------------------------------------------------------------------------------------------------


def open_socket(config: dict[str, Any], context: Any, kind: str) -> tuple[Any, str]:
    zmq = common.implementation(config["impl"])
    socket = context.socket(getattr(zmq, kind))
    socket.setsockopt(zmq.LINGER, 0)
    if config["spin_us"] and hasattr(zmq, "SPIN_US"):
        socket.setsockopt(zmq.SPIN_US, config["spin_us"])
    return socket, pairs.attach(zmq, socket, config)


def serve(config: dict[str, Any], context: Any, _: pairs.Orders, report: pairs.Report) -> None:
    if config["impl"] == "raw":
        serve_raw(config, report)
    socket, endpoint = open_socket(config, context, "REP")
    report(endpoint=endpoint)
    many = config["parts"] > 1
    send, recv = (socket.send_multipart, socket.recv_multipart) if many else (socket.send, socket.recv)
    while True:
        send(recv())


async def serve_asyncio(config: dict[str, Any], context: Any, _: pairs.Orders, report: pairs.Report) -> None:
    socket, endpoint = open_socket(config, context, "REP")
    report(endpoint=endpoint)
    many = config["parts"] > 1
    send, recv = (socket.send_multipart, socket.recv_multipart) if many else (socket.send, socket.recv)
    while True:
        await send(await recv())


def payload(config: dict[str, Any]) -> Any:
    message = b"z" * config["size"]
    return [message] * config["parts"] if config["parts"] > 1 else message


def tell(report: pairs.Report, took_ns: list[int], wrong: bool) -> None:
    seconds = sum(took_ns) / 1e9
    took_ns.sort()
    at = {name: took_ns[int(share * (len(took_ns) - 1))] / 1e3 for name, share in PERCENTILES.items()}
    report(timed=len(took_ns), seconds=seconds, wrong=wrong, **at)


def ask(config: dict[str, Any], context: Any, orders: pairs.Orders, report: pairs.Report) -> None:
    clock, message, endpoint = time.perf_counter_ns, payload(config), config["endpoint"]
    if config["impl"] == "raw":
        ping = raw_ping(config)
    else:
        socket, endpoint = open_socket(config, context, "REQ")
        many = config["parts"] > 1
        send, recv = (socket.send_multipart, socket.recv_multipart) if many else (socket.send, socket.recv)

        def ping(message: Any) -> Any:
            send(message)
            return recv()

    report(endpoint=endpoint)
    while True:
        took_ns, reply = [], message
        for _ in range(orders(None) or 0):
            sent_ns = clock()
            reply = ping(message)
            took_ns.append(clock() - sent_ns)
        tell(report, took_ns, reply != message)


async def ask_asyncio(config: dict[str, Any], context: Any, orders: pairs.Orders, report: pairs.Report) -> None:
    clock, message = time.perf_counter_ns, payload(config)
    socket, endpoint = open_socket(config, context, "REQ")
    many = config["parts"] > 1
    send, recv = (socket.send_multipart, socket.recv_multipart) if many else (socket.send, socket.recv)
    report(endpoint=endpoint)
    while True:
        took_ns, reply = [], message
        for _ in range(orders(None) or 0):
            sent_ns = clock()
            await send(message)
            reply = await recv()
            took_ns.append(clock() - sent_ns)
        tell(report, took_ns, reply != message)


# --- one sample -------------------------------------------------------------------------------------------------------


def measure(case: Case, options: argparse.Namespace, contender: str) -> common.Sample:
    config = asdict(case) | {"asyncio": case.is_asyncio}
    server, client = ("serve_asyncio", "ask_asyncio") if case.is_asyncio else ("serve", "ask")
    with pairs.Pair(__file__, contender, case.transport, config, server, client, server, tells_both=False) as pair:
        count, result, cpu_s = pair.measured(WARM_UP, options.seconds, TRIPS_MIN, TRIPS_MAX)
    figures = {name: result[name] for name in PERCENTILES}
    figures |= {"trips_s": count / result["seconds"], CPU: 1e6 * cpu_s / count}
    return common.Sample(1e6 / result[P50], 0, figures)


def main() -> int:
    options = pairs.parsed("latency", __doc__.splitlines()[0], IMPLS, 0.5)
    cases = map(Case.parse, goals.chosen(options.cases, GOALS, all_cases()))
    rows, skipped = pairs.run(list(cases), options, measure, "1/p50 /s")
    columns = [("p50 us", P50), ("p99 us", "p99_us"), ("p99.9 us", "p999_us"), ("trips/s", "trips_s")]
    columns += [("us CPU/trip", CPU)]
    title = "REQ > REP > REQ: two processes, or two threads over inproc"
    figures = [(P50, "p50"), ("p99_us", "p99"), ("p999_us", "p99.9"), (CPU, "CPU per round trip")]
    others = ["pyomq", "raw"]
    return goals.report("latency", title, rows, columns, GOALS, others, figures, options, skipped=skipped)


ROLES = {
    "serve": pairs.in_process(serve),
    "ask": pairs.in_process(ask),
    "serve+ask": pairs.in_threads(serve, ask),
    "serve_asyncio": pairs.in_process(serve_asyncio),
    "ask_asyncio": pairs.in_process(ask_asyncio),
}

if __name__ == "__main__":
    if not common.run_child(ROLES):
        sys.exit(main())
