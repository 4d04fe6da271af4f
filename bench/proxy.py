"""What does a message cost a proxy, and how many go through it a second?

    python bench/proxy.py                                       the cases of the goals, and a table against them
    python bench/proxy.py --cases streamer-1x1-64,queue-32x4-64-ipc --impl zmqcore,pyzmq,bare --rounds 7
    python bench/proxy.py --cases all --rounds 3                every case

The proxy is the only ZeroMQ in the run: sources, sinks, clients and workers are raw ZMTP peers (load.c) that are
cheaper than any proxy. Contenders: the proxy of zmqcore, of pyzmq (libzmq), of pyomq, and `bare` (forward.c), which is
no proxy but the limit for one that uses one thread and knows only frames. Two more of its kind can be asked for, where
one source feeds one sink: `bare-memory` and `bare-splice` pass bytes on as they come, without collecting frames, by
recv and send or by splice. A libzmq proxy settles into one of several
speeds for its whole life, so every sample has a process of its own.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import common
import goals
from goals import Goal

IMPLS = ("zmqcore", "pyzmq", "pyomq", "bare")
THROUGH = {"bare": "", "bare-memory": "memory", "bare-splice": "pipe"}
OTHERS = ("pyomq", "bare")  # beside the goals; the limit is bare's
BYTES_MAX = 1 << 30
CASE_LIMIT_S = 40
WINDOW = 64  # requests in flight a client, when pipelined
TYPES = {"streamer": ("PULL", "PUSH"), "forwarder": ("XSUB", "XPUB"), "queue": ("ROUTER", "DEALER")}
SIZES = (16, 64, 1024, 65536, 1048576)
CASE_FORM = re.compile(r"(streamer|forwarder|queue)-(\d+)x(\d+)-(\d+)(-ipc)?(-turns)?(?:-topics(\d+))?(?:-spin(\d+))?")


@dataclass(frozen=True)
class Case:
    """MODEL-FRONTxBACK-SIZE[-ipc][-turns][-topicsN][-spinN].

    A queue with one client asks one request at a time, else WINDOW a client. `turns`: one message from each source in
    turn, the next turn when the sink has them all. `topics`: that many subscriptions over all subscribers, one matches
    a message. `spin`: SPIN_US on both sockets, where the implementation has it.
    """

    name: str
    model: str
    front: int
    back: int
    size: int
    is_ipc: bool
    is_turns: bool
    topics: int
    spin_us: int

    @classmethod
    def parse(cls, name: str) -> Case:
        model, *peers, ipc, turns, topics, spin = common.fields(CASE_FORM, name)
        front, back, size = map(int, peers)
        return cls(name, model, front, back, size, bool(ipc), bool(turns), int(topics or 0), int(spin or 0))

    def count(self, wanted: int) -> int:
        """Messages that enter the proxy in one sample, so that every case takes about a second or two."""
        if self.model == "queue":
            wanted = wanted // 200 if self.front == 1 else wanted // 10
        elif self.is_turns:
            wanted = wanted // 20 if self.front >= 100 else wanted // 200
        elif self.topics:
            return max(1, wanted // 4 // self.topics) * self.topics
        elif self.model == "forwarder":
            wanted //= self.back
        return max(self.front, min(wanted, BYTES_MAX // self.size) // self.front * self.front)

    @property
    def copies(self) -> int:
        """How many of them leave it for one that enters."""
        return self.back if self.model == "forwarder" and not self.topics else 1

    def has(self, impl: str) -> bool:
        """Whether the contender can play it: bare knows no topics, its variants nothing but one stream."""
        is_one_stream = self.model == "streamer" and self.front == self.back == 1 and not self.is_turns
        return not (impl in THROUGH and self.topics) and (is_one_stream or not THROUGH.get(impl))


CPU, ROUND_TRIP = "proxy_ns", "p50_us"
GOALS = (
    Goal("streamer-1x1-64", "throughput", None, 8),
    Goal("streamer-1x1-64", "CPU", CPU, 1 / 8),
    Goal("streamer-1x1-1024", "throughput", None, 3),
    Goal("streamer-1x1-1024", "CPU", CPU, 1 / 3),
    Goal("streamer-1x1-65536", "throughput", None, 1.5),
    Goal("streamer-1x1-65536", "CPU", CPU, 0.65),
    Goal("streamer-4x4-64", "throughput", None, 5),
    Goal("streamer-4x4-64", "CPU", CPU, 1 / 5),
    Goal("forwarder-1x8-64", "delivered", None, 4),
    Goal("forwarder-1x8-64", "CPU", CPU, 1 / 4),
    Goal("queue-32x4-64", "round trips", None, 4),
    Goal("queue-32x4-64", "CPU", CPU, 1 / 4),
    Goal("queue-1x1-64", "round trip p50", ROUND_TRIP, 0.60),
    Goal("queue-1x1-64", "CPU", CPU, 0.45),
    Goal("queue-1x1-64-spin50", "round trip p50", ROUND_TRIP, 0.40),
    Goal("forwarder-1x10-64-topics100000", "CPU", CPU, 1 / 3),
    Goal("streamer-1000x1-64-turns", "CPU", CPU, 0.6),
)


def all_cases() -> list[str]:
    names = [f"streamer-{peers}-{size}{on}" for on in ("", "-ipc") for peers in ("1x1", "4x4") for size in SIZES]
    names += [f"streamer-{sources}x1-64" for sources in (10, 100, 1000)]
    names += [f"streamer-{sources}x1-64-turns" for sources in (1, 10, 100, 1000)]
    names += [f"forwarder-1x{subscribers}-{size}" for subscribers in (1, 8, 64) for size in (64, 1024)]
    names += ["forwarder-1x8-64-ipc", "forwarder-1x64-64-topics64", "forwarder-1x10-64-topics100000"]
    names += ["queue-1x1-64", "queue-1x1-64-spin50", "queue-1x1-1024", "queue-1x1-64-ipc"]
    names += ["queue-32x4-64", "queue-32x4-1024", "queue-32x4-64-ipc"]
    return names


# --- in the proxy's process -------------------------------------------------------------------------------------------


def run_proxy(config: dict[str, Any]) -> None:
    zmq = common.implementation(config["impl"])
    context = zmq.Context()
    front, back = (context.socket(getattr(zmq, name)) for name in TYPES[config["model"]])
    for socket in (front, back):
        if config["hwm"] is not None:
            socket.setsockopt(zmq.SNDHWM, config["hwm"])
            socket.setsockopt(zmq.RCVHWM, config["hwm"])
        if config["spin_us"] and hasattr(zmq, "SPIN_US"):
            socket.setsockopt(zmq.SPIN_US, config["spin_us"])
    if config["model"] == "forwarder" and not config["drop"]:
        common.keep_all(zmq, back)
    if config["topics"]:
        front.setsockopt(zmq.SNDHWM, 0)  # libzmq would drop subscriptions on their way up
    for socket, endpoint in ((front, config["front"]), (back, config["back"])):
        socket.bind(endpoint)
    common.emit(front=common.endpoint_of(zmq, front), back=common.endpoint_of(zmq, back))
    zmq.proxy(front, back)


# --- one sample -------------------------------------------------------------------------------------------------------


class Run:
    """One sample: a fresh proxy and its peers."""

    def __init__(self, case: Case, impl: str, options: argparse.Namespace) -> None:
        self.case, self.impl, self.options = case, impl, options
        self.count = case.count(options.count)
        self.deadline = time.monotonic() + CASE_LIMIT_S
        self.children = common.Children()

    def start_proxy(self, directory: str) -> dict[str, Any]:
        case = self.case
        ends = {name: f"ipc://{directory}/{name}" if case.is_ipc else "tcp://127.0.0.1:*" for name in ("front", "back")}
        if self.impl in THROUGH:
            arguments = [
                f"through={THROUGH[self.impl]}",
                f"mode={case.model}",
                f"size={case.size + 64}",
                f"spin_us={case.spin_us}",
            ]
            arguments += [f"seconds={CASE_LIMIT_S}"]
            arguments += [f"{name}={end}" for name, end in ends.items() if case.is_ipc]
            self.proxy = self.children.program([common.native("forward"), *arguments], f"proxy ({self.impl})")
        else:
            config = {"impl": self.impl, "model": case.model, "hwm": self.options.hwm, "drop": self.options.drop}
            config |= {"topics": case.topics, "spin_us": case.spin_us, **ends}
            self.proxy = self.children.python(__file__, "proxy", config)
        return self.proxy.message(self.deadline)

    def load(self, role: str, at: str, peers: int, **more: object) -> common.Child:
        arguments = {"role": role, "at": at, "peers": peers, "size": self.case.size, "count": self.count}
        arguments |= {"topics": self.case.topics, "seconds": CASE_LIMIT_S, **more}
        command = [common.native("load"), *(f"{name}={value}" for name, value in arguments.items())]
        return self.children.program(command, f"load {role}")

    def play(self, measured: str, *loads: common.Child) -> common.Sample:
        """From the moment when all peers are ready to the report of the role that measures."""
        for load in loads:
            if load.line(self.deadline) != "ready":
                raise common.BenchError(f"{load.name} is not ready")
        cpu_s, generator_s = self.proxy.cpu_s(), sum(load.cpu_s() for load in loads)
        for load in loads:
            load.tell("go")
        result = next(load for load in loads if load.name == f"load {measured}").message(self.deadline)
        cpu_s, generator_s = self.proxy.cpu_s() - cpu_s, sum(load.cpu_s() for load in loads) - generator_s
        if result["wrong"]:
            raise common.BenchError(f"{result['wrong']} wrong frames or replies")
        received, seconds = result["received"], result["seconds"]
        if not received:
            raise common.BenchError("nothing arrived")
        figures = {
            "MB_s": received / seconds * self.case.size / 1e6,
            "proxy_ns": 1e9 * cpu_s / received,
            "proxy_cpu": 100 * cpu_s / seconds,
            "load_ns": 1e9 * generator_s / received,
        }
        figures |= {name: result[name] for name in ("p50_us", "p99_us") if name in result}
        return common.Sample(received / seconds, self.count * self.case.copies - received, figures)

    def sample(self) -> common.Sample:
        case = self.case
        with tempfile.TemporaryDirectory() as directory, self.children:
            ends = self.start_proxy(directory)
            front, back = ends["front"], ends["back"]
            if case.is_turns:
                return self.play("turns", self.load("turns", front, case.front, back=back))
            if case.model == "streamer":
                sink = self.load("pull", back, case.back)
                return self.play("pull", sink, self.load("push", front, case.front))
            if case.model == "forwarder":
                source = self.load("pub", front, case.front, ready=case.back)
                return self.play("sub", self.load("sub", back, case.back), source)
            worker = self.load("worker", back, case.back)
            window = 1 if case.front == 1 else self.options.window
            return self.play("client", worker, self.load("client", front, case.front, window=window))


def measure(case: Case, options: argparse.Namespace, impl: str) -> common.Sample:
    return Run(case, impl, options).sample()


# --- report -----------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = common.parser("proxy", __doc__.splitlines()[0], IMPLS)
    parser.add_argument("--count", type=int, default=4_000_000, help="messages of the streamer; less for the others")
    parser.add_argument("--window", type=int, default=WINDOW, help="requests in flight a client, when pipelined")
    parser.add_argument("--hwm", type=int, help="SNDHWM and RCVHWM of both sockets (default: 1000, the library's)")
    parser.add_argument("--drop", action="store_true", help="forwarder: XPUB_NODROP off, let it drop")
    options = common.parsed(parser)
    if options.quick:
        options.rounds, options.count = 1, options.count // 8
    cases = [Case.parse(name) for name in goals.chosen(options.cases, GOALS, all_cases())]
    impls = list(common.present(options.impl))
    rows: list[common.Row] = []
    for case in cases:
        contenders = [impl for impl in impls if case.has(impl)]
        rows += common.alternate(
            case.name,
            contenders,
            options.rounds,
            partial(measure, case, options),
            "msg/s",
        )
    columns = [("MB/s", "MB_s"), ("proxy ns CPU/msg", CPU), ("proxy CPU %", "proxy_cpu")]
    columns += [("load ns CPU/msg", "load_ns"), ("p50 us", ROUND_TRIP), ("p99 us", "p99_us")]
    title = "Proxy process between raw peers (forwarder: messages out; queue: round trips)"
    figures = [(None, "speed"), (CPU, "CPU per message")]
    return goals.report("proxy", title, rows, columns, GOALS, OTHERS, figures, options)


if __name__ == "__main__":
    if not common.run_child({"proxy": run_proxy}):
        sys.exit(main())
