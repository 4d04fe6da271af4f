"""What do awaited sockets cost: PUSH > PULL messages a second, and the round trip REQ > REP, two processes over tcp?

    python bench/asyncio_thr.py --count 100000 --rounds 5 [--uvloop]

The same lines run with zmqcore.asyncio, zmq.asyncio and pyomq.asyncio: one `await` a message.
"""

from __future__ import annotations

import asyncio
import importlib
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import common

IMPLS = ("zmqcore", "pyzmq", "pyomq")
CASE_LIMIT_S = 60
WARM_UP = 100  # round trips that are not counted
ROUND_TRIPS = 5000


def start(role: Callable[[Any, Any, dict[str, Any]], Coroutine[Any, Any, None]], config: dict[str, Any]) -> None:
    """Plays a role with a context of its own, in asyncio's loop or in uvloop."""

    async def play() -> None:
        zmq = common.implementation(config["impl"])
        context = importlib.import_module(f"{common.MODULES[config['impl']]}.asyncio").Context()
        await role(zmq, context, config)

    if config["uvloop"]:
        importlib.import_module("uvloop").run(play())
    else:
        asyncio.run(play())
    common.leave()


async def receive(zmq: Any, context: Any, config: dict[str, Any]) -> None:
    socket = context.socket(zmq.PULL)
    socket.bind("tcp://127.0.0.1:*")
    common.emit(endpoint=common.endpoint_of(zmq, socket), cpu_s=time.process_time())
    await socket.recv()
    began_ns = time.perf_counter_ns()
    for _ in range(1, config["count"]):
        await socket.recv()
    common.emit(seconds=(time.perf_counter_ns() - began_ns) / 1e9, cpu_s=time.process_time())


async def send(zmq: Any, context: Any, config: dict[str, Any]) -> None:
    socket = context.socket(zmq.PUSH)
    socket.connect(config["endpoint"])
    common.emit(cpu_s=time.process_time())
    message = b"z" * config["size"]
    for _ in range(config["count"]):
        await socket.send(message)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    common.emit(cpu_s=time.process_time())


async def serve(zmq: Any, context: Any, config: dict[str, Any]) -> None:
    socket = context.socket(zmq.REP)
    socket.bind("tcp://127.0.0.1:*")
    common.emit(endpoint=common.endpoint_of(zmq, socket))
    while True:
        await socket.send(await socket.recv())


async def ask(zmq: Any, context: Any, config: dict[str, Any]) -> None:
    socket = context.socket(zmq.REQ)
    socket.connect(config["endpoint"])
    message, times_ns = b"z" * config["size"], []
    for _ in range(WARM_UP + ROUND_TRIPS):
        began_ns = time.perf_counter_ns()
        await socket.send(message)
        await socket.recv()
        times_ns.append(time.perf_counter_ns() - began_ns)
    percentiles = statistics.quantiles(times_ns[WARM_UP:], n=1000)
    common.emit(p50_us=percentiles[499] / 1e3, p99_us=percentiles[989] / 1e3)


def measure_throughput(impl: str, size: int, count: int, uvloop: bool) -> common.Sample:
    deadline = time.monotonic() + CASE_LIMIT_S
    config = {"impl": impl, "size": size, "count": count, "uvloop": uvloop}
    with common.Children() as children:
        receiver = children.python(__file__, "receive", config)
        bound = receiver.message(deadline)
        sender = children.python(__file__, "send", config | {"endpoint": bound["endpoint"]})
        started = sender.message(deadline)
        result = receiver.message(deadline)
        sender.tell("done")
        sent = sender.message(deadline)
    cpus = {"send_ns": sent["cpu_s"] - started["cpu_s"], "recv_ns": result["cpu_s"] - bound["cpu_s"]}
    return common.Sample((count - 1) / result["seconds"], 0, {name: 1e9 * cpu / count for name, cpu in cpus.items()})


def measure_latency(impl: str, size: int, uvloop: bool) -> common.Sample:
    deadline = time.monotonic() + CASE_LIMIT_S
    config = {"impl": impl, "size": size, "uvloop": uvloop}
    with common.Children() as children:
        bound = children.python(__file__, "serve", config).message(deadline)
        client = children.python(__file__, "ask", config | {"endpoint": bound["endpoint"]})
        figures = client.message(deadline)
    return common.Sample(1e6 / figures["p50_us"], 0, figures)


def main() -> int:
    parser = common.parser(__doc__.splitlines()[0], IMPLS)
    parser.add_argument("--sizes", type=common.numbers, default=[64])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--uvloop", action="store_true")
    options = parser.parse_args()
    impls = list(common.present(options.impl))
    flow: list[common.Row] = []
    trips: list[common.Row] = []
    for size in options.sizes:
        flow += common.alternate(
            f"asyncio {size} B",
            impls,
            options.rounds,
            partial(measure_throughput, size=size, count=options.count, uvloop=options.uvloop),
            "msg/s",
        )
        trips += common.alternate(
            f"asyncio round trip {size} B",
            impls,
            options.rounds,
            partial(measure_latency, size=size, uvloop=options.uvloop),
            "trips/s at p50",
        )
    columns = [("send ns CPU/msg", "send_ns"), ("recv ns CPU/msg", "recv_ns")]
    common.print_table("PUSH > PULL, awaited, two processes", flow, columns)
    common.print_table("REQ > REP > REQ, awaited, two processes", trips, [("p50 us", "p50_us"), ("p99 us", "p99_us")])
    return common.finish("asyncio_thr", flow + trips, options)


if __name__ == "__main__":
    roles = {"receive": receive, "send": send, "serve": serve, "ask": ask}
    if not common.run_child({name: partial(start, role) for name, role in roles.items()}):
        sys.exit(main())
