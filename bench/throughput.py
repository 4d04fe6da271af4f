"""How many messages a second go from one Python program to another, and what does one cost?

    python bench/throughput.py                                  the cases of the goals, and a table against them
    python bench/throughput.py --quick                          the same, a first look in a minute
    python bench/throughput.py --cases pushpull-tcp-64,pubsub-ipc-1024 --impl zmqcore,pyzmq --rounds 9
    python bench/throughput.py --cases all --rounds 3           every case

A contender is an implementation on both ends, or SENDER>RECEIVER. Each end is a process of its own; for inproc a
thread. The clock runs in the receiver from the first message to the last; CPU is that of both processes, all threads.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import common
import goals
import pairs
from goals import Goal

BATCH = 256  # in the goals
PROBE_EVERY_S = 0.002
WARM_UP_MAX = 20_000
WARM_UP_BYTES_MAX = 1 << 26
COUNT_BYTES_MAX = 1 << 32
CPU = "cpu_ns"
TYPES = {"pushpull": ("PUSH", "PULL"), "pubsub": ("PUB", "SUB")}
CASE_FORM = re.compile(r"(pushpull|pubsub)-(tcp|ipc|inproc)-(\d+)(?:-parts(\d+))?(?:-batch(\d+))?(-curve)?(-asyncio)?")


@dataclass(frozen=True)
class Case(pairs.Case):
    """PATTERN-TRANSPORT-SIZE[-partsN][-batchN][-curve][-asyncio].

    `parts`: messages of N parts of SIZE bytes each. `batch`: send_many and recv_many of N messages where the
    implementation has them, one call a message elsewhere.
    """

    name: str
    pattern: str
    transport: str
    size: int
    parts: int
    batch: int
    is_curve: bool
    is_asyncio: bool

    @classmethod
    def parse(cls, name: str) -> Case:
        pattern, transport, size, parts, batch, curve, on_loop = common.fields(CASE_FORM, name)
        if on_loop and (batch or transport == "inproc"):
            raise ValueError(f"no such case: {name}: asyncio goes without batches, and between processes")
        if curve and transport == "inproc":
            raise ValueError(f"no such case: {name}: nothing is encrypted within a process")
        return cls(name, pattern, transport, int(size), int(parts or 1), int(batch or 0), bool(curve), bool(on_loop))

    @property
    def bytes(self) -> int:
        return max(1, self.size * self.parts)

    @property
    def warm_up(self) -> int:
        return max(32, min(WARM_UP_MAX // (20 if self.is_asyncio else 1), WARM_UP_BYTES_MAX // self.bytes))

    def skipped(self, contender: str) -> str:
        if self.is_curve and (reason := pairs.skipped(contender, "CURVE")):
            return reason
        if self.is_asyncio:
            return pairs.skipped(contender, "asyncio")
        if self.batch and "zmqcore" in pairs.ends(contender):  # the others play it with one call a message
            return pairs.lack("zmqcore", "send_many")
        return ""


def speed_goals(case: str, bound: float) -> list[Goal]:
    """zmqcore's goal, and that nobody loses by zmqcore at one end of the wire."""
    found = [Goal(case, "throughput", None, bound)]
    if "inproc" not in case:
        found += [Goal(case, mixed, None, 1, mixed) for mixed in ("zmqcore>pyzmq", "pyzmq>zmqcore")]
    return found


GOALS = (
    *speed_goals("pushpull-tcp-64", 5),
    *speed_goals(f"pushpull-tcp-64-batch{BATCH}", 15),
    *speed_goals("pushpull-tcp-1024", 4),
    *speed_goals("pushpull-tcp-65536", 1.6),
    *speed_goals("pushpull-tcp-1048576", 1.7),
    *speed_goals("pushpull-inproc-64", 4),
    *speed_goals("pubsub-tcp-64", 5),
    *speed_goals("pushpull-tcp-64-curve", 1.5),
    *speed_goals("pushpull-tcp-1024-curve", 1.5),
    *speed_goals("pushpull-tcp-64-asyncio", 15),
)


def all_cases() -> list[str]:
    names = [f"{pattern}-{on}-{size}" for pattern in TYPES for on in pairs.TRANSPORTS for size in pairs.SIZES]
    names += [f"pushpull-{on}-{size}-batch{BATCH}" for on in pairs.TRANSPORTS for size in (16, 64, 1024)]
    names += [f"pubsub-tcp-64-batch{BATCH}", *(f"pushpull-{on}-64-parts4" for on in pairs.TRANSPORTS)]
    names += [f"pushpull-{on}-{size}-curve" for on in ("tcp", "ipc") for size in pairs.SIZES]
    names += [f"pushpull-{on}-{size}-asyncio" for on in ("tcp", "ipc") for size in (64, 1024, 65536)]
    return [*names, "pushpull-tcp-64-parts4-asyncio", "pubsub-tcp-64-asyncio"]


def secure(zmq: Any, socket: Any, keys: list[str]) -> None:
    """The receiver is the server; both have the same pair of keys, which is nobody's business here."""
    if not keys:
        return
    public, secret = (key.encode() for key in keys)
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
    if socket.getsockopt(zmq.TYPE) in (zmq.PULL, zmq.SUB):
        socket.setsockopt(zmq.CURVE_SERVER, 1)
    else:
        socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
        socket.setsockopt(zmq.CURVE_SERVERKEY, public)


# --- the sender -------------------------------------------------------------------------------------------------------


def sending_socket(config: dict[str, Any], context: Any) -> tuple[Any, str]:
    zmq = common.implementation(config["impl"])
    socket = context.socket(getattr(zmq, TYPES[config["pattern"]][0]))
    if config["pattern"] == "pubsub":  # the flow is kept
        common.keep_all(zmq, socket)
    secure(zmq, socket, config["keys"])
    return socket, pairs.attach(zmq, socket, config)


def send(config: dict[str, Any], context: Any, orders: pairs.Orders, report: pairs.Report) -> None:
    socket, endpoint = sending_socket(config, context)
    report(endpoint=endpoint)
    parts = [b"z" * config["size"]] * config["parts"]
    order = None
    while config["pattern"] == "pubsub" and order is None:  # empty messages until somebody has subscribed
        socket.send_multipart([b""] * config["parts"])
        order = orders(PROBE_EVERY_S)
    while True:
        count = order or orders(None) or 0
        order = None
        if config["batch"] and hasattr(socket, "send_many"):
            send_batches(socket, parts, config["batch"], count)
        elif len(parts) > 1:
            send_multipart = socket.send_multipart
            for _ in range(count):
                send_multipart(parts)
        else:
            message, send = parts[0], socket.send
            for _ in range(count):
                send(message)


def send_batches(socket: Any, parts: list[bytes], batch: int, count: int) -> None:
    messages: list[Any] = [parts if len(parts) > 1 else parts[0]] * batch
    send_many = socket.send_many
    while count > 0:
        count -= send_many(messages if count >= batch else messages[:count])


async def send_asyncio(config: dict[str, Any], context: Any, orders: pairs.Orders, report: pairs.Report) -> None:
    socket, endpoint = sending_socket(config, context)
    report(endpoint=endpoint)
    parts = [b"z" * config["size"]] * config["parts"]
    order = None
    while config["pattern"] == "pubsub" and order is None:
        await socket.send_multipart([b""] * config["parts"])
        order = orders(PROBE_EVERY_S)
    while True:
        count = order or orders(None) or 0
        order = None
        if len(parts) > 1:
            send_multipart = socket.send_multipart
            for _ in range(count):
                await send_multipart(parts)
        else:
            message, send = parts[0], socket.send
            for _ in range(count):
                await send(message)


# --- the receiver -----------------------------------------------------------------------------------------------------


def receiving_socket(config: dict[str, Any], context: Any) -> tuple[Any, str]:
    zmq = common.implementation(config["impl"])
    socket = context.socket(getattr(zmq, TYPES[config["pattern"]][1]))
    socket.setsockopt(zmq.LINGER, 0)
    if config["pattern"] == "pubsub":
        socket.setsockopt(zmq.SUBSCRIBE, b"")
    if not config["asyncio"]:  # there it would cost a timer a message
        socket.setsockopt(zmq.RCVTIMEO, pairs.SILENCE_MS)
    secure(zmq, socket, config["keys"])
    return socket, pairs.attach(zmq, socket, config)


def is_wrong(message: Any, config: dict[str, Any]) -> bool:
    parts = message if isinstance(message, list) else [message]
    return [len(part) for part in parts] != [config["size"]] * config["parts"]


def receive(config: dict[str, Any], context: Any, orders: pairs.Orders, report: pairs.Report) -> None:
    zmq = common.implementation(config["impl"])
    socket, endpoint = receiving_socket(config, context)
    batch = config["batch"] if config["batch"] and hasattr(socket, "recv_many") else 0
    recv = socket.recv_multipart if config["parts"] > 1 else socket.recv
    clock, empty = time.perf_counter_ns, [b""] * config["parts"] if config["parts"] > 1 else b""
    if config["pattern"] == "pubsub":
        recv()  # a probe: the publisher knows of the subscription
    report(endpoint=endpoint)
    while True:
        count, got, message = orders(None) or 0, 0, empty
        start_ns = end_ns = 0
        try:
            while message == empty:
                message = recv()
            got, start_ns = 1, clock()
            if batch:
                recv_many = socket.recv_many
                while got < count:
                    messages = recv_many(batch)
                    got += len(messages)
                    message = messages[-1]
            else:
                for got in range(2, count + 1):
                    message = recv()
            end_ns = clock()
        except zmq.Again:
            end_ns = clock() - pairs.SILENCE_MS * 1_000_000
            got -= not batch and got > 1  # the message that `got` was to count did not come
        report(received=got, timed=got - 1, seconds=(end_ns - start_ns) / 1e9, wrong=is_wrong(message, config))


async def receive_asyncio(config: dict[str, Any], context: Any, orders: pairs.Orders, report: pairs.Report) -> None:
    socket, endpoint = receiving_socket(config, context)
    recv = socket.recv_multipart if config["parts"] > 1 else socket.recv
    clock, empty = time.perf_counter_ns, [b""] * config["parts"] if config["parts"] > 1 else b""
    if config["pattern"] == "pubsub":
        await recv()
    report(endpoint=endpoint)
    while True:
        count, message = orders(None) or 0, empty
        while message == empty:
            message = await recv()
        start_ns = clock()
        for _ in range(count - 1):
            message = await recv()
        end_ns = clock()
        report(received=count, timed=count - 1, seconds=(end_ns - start_ns) / 1e9, wrong=is_wrong(message, config))


# --- one sample -------------------------------------------------------------------------------------------------------


def measure(case: Case, options: argparse.Namespace, contender: str) -> common.Sample:
    keys = [key.decode() for key in common.implementation("pyzmq").curve_keypair()] if case.is_curve else []
    config = asdict(case) | {"asyncio": case.is_asyncio, "keys": keys}
    first, second = ("send_asyncio", "receive_asyncio") if case.is_asyncio else ("send", "receive")
    binder = first if case.pattern == "pubsub" else second
    with pairs.Pair(__file__, contender, case.transport, config, first, second, binder, tells_both=True) as pair:
        at_most = COUNT_BYTES_MAX // case.bytes
        count, result, cpu_s = pair.measured(case.warm_up, options.seconds, case.warm_up, at_most)
    rate = result["timed"] / result["seconds"]
    figures = {"MB_s": rate * case.bytes / 1e6, CPU: 1e9 * cpu_s / max(1, result["received"]), "count": count}
    return common.Sample(rate, count - result["received"], figures)


def main() -> int:
    options = pairs.parsed("throughput", __doc__.splitlines()[0], pairs.IMPLS, 0.4)
    cases = map(Case.parse, goals.chosen(options.cases, GOALS, all_cases()))
    rows, skipped = pairs.run(list(cases), options, measure, "msg/s")
    columns = [("MB/s", "MB_s"), ("ns CPU/msg", CPU), ("messages", "count")]
    title = "One sender, one receiver: two processes, or two threads over inproc"
    figures = [(None, "speed"), (CPU, "CPU per message")]
    return goals.report("throughput", title, rows, columns, GOALS, ["pyomq"], figures, options, skipped=skipped)


ROLES = {
    "send": pairs.in_process(send),
    "receive": pairs.in_process(receive),
    "send+receive": pairs.in_threads(send, receive),
    "send_asyncio": pairs.in_process(send_asyncio),
    "receive_asyncio": pairs.in_process(receive_asyncio),
}

if __name__ == "__main__":
    if not common.run_child(ROLES):
        sys.exit(main())
