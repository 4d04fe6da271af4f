"""How many messages a second go through a proxy process, and what does one cost it?

    python bench/proxy_thr.py --cases streamer-1x1-64,forwarder-1x8-64,queue-32x4-64 --count 1000000

The proxy is the only ZeroMQ in the run: sources, sinks, clients and workers are raw ZMTP peers (load.c) that are
cheaper than any proxy. Contenders: the proxy of zmqcore, of pyzmq (libzmq), of pyomq, and `bare` (forward.c), which is
no proxy but the limit for one that uses one thread and knows only frames. A libzmq proxy settles into one of several
speeds for its whole life, so every sample has a process of its own.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import common

IMPLS = ("zmqcore", "pyzmq", "pyomq", "bare")
BYTES_MAX = 1 << 30  # through one sample
CASE_LIMIT_S = 40
WINDOW = 16  # requests in flight a client, when pipelined
TYPES = {"streamer": ("PULL", "PUSH"), "forwarder": ("XSUB", "XPUB"), "queue": ("ROUTER", "DEALER")}
CASES = (
    "streamer-1x1-64",
    "streamer-1x1-1024",
    "streamer-1x1-65536",
    "streamer-4x4-64",
    "streamer-4x4-1024",
    "streamer-4x4-65536",
    "forwarder-1x8-64",
    "queue-1x1-64",
    "queue-32x4-64",
)


@dataclass(frozen=True)
class Case:
    """MODEL-FRONTxBACK-SIZE. A queue with one client asks one request at a time, else WINDOW a client."""

    name: str
    model: str
    front: int
    back: int
    size: int

    @classmethod
    def parse(cls, name: str) -> Case:
        model, peers, size = name.split("-")
        front, back = peers.split("x")
        if model not in TYPES:
            raise ValueError(f"unknown model in {name}")
        return cls(name, model, int(front), int(back), int(size))

    def count(self, wanted: int) -> int:
        """Messages that enter the proxy in one sample, so that every case takes about a second or two."""
        if self.model == "queue":
            wanted = wanted // 100 if self.front == 1 else wanted // 5
        if self.model == "forwarder":
            wanted //= self.back
        return max(self.front, min(wanted, BYTES_MAX // self.size) // self.front * self.front)


def run_proxy(config: dict[str, Any]) -> None:
    zmq = common.implementation(config["impl"])
    context = zmq.Context()
    front, back = (context.socket(getattr(zmq, name)) for name in TYPES[config["model"]])
    if config["hwm"] is not None:
        for socket in (front, back):
            socket.setsockopt(zmq.SNDHWM, config["hwm"])
            socket.setsockopt(zmq.RCVHWM, config["hwm"])
    if config["nodrop"] and hasattr(zmq, "XPUB_NODROP"):
        back.setsockopt(zmq.XPUB_NODROP, 1)
    for socket in (front, back):
        socket.bind("tcp://127.0.0.1:*")
    ports = [int(common.endpoint_of(zmq, socket).rpartition(":")[2]) for socket in (front, back)]
    common.emit(front=ports[0], back=ports[1], cpu_s=time.process_time())
    zmq.proxy(front, back)


class Run:
    """One sample: a fresh proxy and its peers."""

    def __init__(self, case: Case, impl: str, count: int, options: argparse.Namespace) -> None:
        self.case, self.count = case, count
        self.deadline = time.monotonic() + CASE_LIMIT_S
        self.children = common.Children()
        if impl == "bare":
            command = [common.native("forward"), f"mode={case.model}", f"seconds={CASE_LIMIT_S}"]
            self.proxy = self.children.program(command, "proxy (bare)")
        else:
            config = {"impl": impl, "model": case.model, "hwm": options.hwm, "nodrop": not options.drop}
            config["nodrop"] = config["nodrop"] and case.model == "forwarder"
            self.proxy = self.children.python(__file__, "proxy", config)

    def load(self, role: str, port: int, peers: int, **more: int) -> common.Child:
        arguments = {"role": role, "port": port, "peers": peers, "size": self.case.size, "count": self.count}
        arguments |= {"seconds": CASE_LIMIT_S} | more
        command = [common.native("load"), *(f"{name}={value}" for name, value in arguments.items())]
        return self.children.program(command, f"load {role}")

    def start(self, *loads: common.Child) -> None:
        for load in loads:
            if load.line(self.deadline) != "ready":
                raise common.BenchError(f"{load.name} is not ready")
        for load in loads:
            load.tell("go")

    def sample(self) -> common.Sample:
        with self.children:
            started = self.proxy.message(self.deadline)
            flow = self.ask if self.case.model == "queue" else self.stream
            result, moved, generator_cpu_s = flow(started)
            proxy_cpu_s = self.proxy.end() - started["cpu_s"]
        if result["wrong"]:
            raise common.BenchError(f"{result['wrong']} wrong frames or replies")
        if not result["received"]:
            raise common.BenchError("nothing arrived")
        rate = result["received"] / result["seconds"]
        figures = {
            "MB_s": rate * self.case.size / 1e6,
            "proxy_ns": 1e9 * proxy_cpu_s / result["received"],
            "proxy_cpu": 100 * proxy_cpu_s / result["seconds"],
            "load_ns": 1e9 * generator_cpu_s / result["received"],
        }
        figures |= {name: result[name] for name in ("p50_us", "p99_us") if name in result}
        return common.Sample(rate, moved - result["received"], figures)

    def stream(self, ports: dict[str, Any]) -> tuple[dict[str, Any], int, float]:
        case = self.case
        if case.model == "streamer":
            sink = self.load("pull", ports["back"], case.back)
            source = self.load("push", ports["front"], case.front)
            moved = self.count
        else:
            source = self.load("pub", ports["front"], case.front, ready=case.back)
            sink = self.load("sub", ports["back"], case.back)
            moved = self.count * case.back
        self.start(sink, source)
        result = sink.message(self.deadline)
        return result, moved, result["cpu_s"] + source.message(self.deadline)["cpu_s"]

    def ask(self, ports: dict[str, Any]) -> tuple[dict[str, Any], int, float]:
        case = self.case
        worker = self.load("worker", ports["back"], case.back)
        client = self.load("client", ports["front"], case.front, window=1 if case.front == 1 else WINDOW)
        self.start(worker, client)
        result = client.message(self.deadline)
        worker.close_input()
        return result, self.count, result["cpu_s"] + worker.message(self.deadline)["cpu_s"]


def measure(impl: str, case: Case, count: int, options: argparse.Namespace) -> common.Sample:
    return Run(case, impl, count, options).sample()


def main() -> int:
    parser = common.parser(__doc__.splitlines()[0], IMPLS)
    parser.add_argument("--cases", type=common.names, default=list(CASES), help="MODEL-FRONTxBACK-SIZE,...")
    parser.add_argument("--count", type=int, default=2_000_000, help="messages of the streamer; less for the others")
    parser.add_argument("--hwm", type=int, help="SNDHWM and RCVHWM of both sockets (default: 1000, the library's)")
    parser.add_argument("--drop", action="store_true", help="forwarder: XPUB_NODROP off, let it drop")
    options = parser.parse_args()
    cases = [Case.parse(name) for name in options.cases]
    impls = list(common.present(options.impl))
    rows: list[common.Row] = []
    for case in cases:
        count = case.count(options.count)
        rows += common.alternate(
            case.name,
            impls,
            options.rounds,
            partial(measure, case=case, count=count, options=options),
            "msg/s",
        )
    columns = [("MB/s", "MB_s"), ("proxy ns CPU/msg", "proxy_ns"), ("proxy CPU %", "proxy_cpu")]
    columns += [("load ns CPU/msg", "load_ns"), ("p50 us", "p50_us"), ("p99 us", "p99_us")]
    title = "Proxy process between raw peers (forwarder: messages out; queue: round trips)"
    common.print_table(title, rows, columns)
    return common.finish("proxy_thr", rows, options)


if __name__ == "__main__":
    if not common.run_child({"proxy": run_proxy}):
        sys.exit(main())
