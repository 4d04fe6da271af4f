"""How many messages a second go from a PUSH to a PULL over inproc, in two threads of one process?

    python bench/inproc_thr.py --sizes 16,1024 --count 100000

Both threads share one GIL, as threads of a Python program do; the figure says what that program gets.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from functools import partial
from typing import Any

import common

BYTES_MAX = 1 << 29
IMPLS = ("zmqcore", "pyzmq", "pyomq")
SILENCE_MS = 5000
CASE_LIMIT_S = 60


def both(config: dict[str, Any]) -> None:
    zmq = common.implementation(config["impl"])
    count, size = config["count"], config["size"]
    context = zmq.Context()
    pull = context.socket(zmq.PULL)
    pull.setsockopt(zmq.RCVTIMEO, SILENCE_MS)
    pull.bind("inproc://thr")

    def send_all() -> None:
        push = context.socket(zmq.PUSH)
        push.setsockopt(zmq.SNDTIMEO, SILENCE_MS)
        push.connect("inproc://thr")
        message, send = b"z" * size, push.send
        for _ in range(count):
            send(message)
        push.close()

    sender = threading.Thread(target=send_all)
    before_s = time.process_time()
    sender.start()
    got, message, recv = 0, b"", pull.recv
    start_ns = end_ns = 0
    try:
        message = recv()
        start_ns = time.perf_counter_ns()
        for got in range(1, count):
            message = recv()
        got += 1
        end_ns = time.perf_counter_ns()
    except zmq.Again:
        end_ns = time.perf_counter_ns() - SILENCE_MS * 1_000_000
    sender.join()
    cpu_s = time.process_time() - before_s
    pull.close()
    context.term()
    common.emit(received=got, wrong=int(len(message) != size), seconds=(end_ns - start_ns) / 1e9, cpu_s=cpu_s)
    common.leave()


def measure(impl: str, size: int, count: int) -> common.Sample:
    with common.Children() as children:
        child = children.python(__file__, "both", {"impl": impl, "size": size, "count": count})
        result = child.message(time.monotonic() + CASE_LIMIT_S)
    if result["wrong"]:
        raise common.BenchError("a message of another size arrived")
    if result["received"] < 2:
        raise common.BenchError(f"{result['received']} of {count} messages arrived")
    rate = (result["received"] - 1) / result["seconds"]
    figures = {"MB_s": rate * size / 1e6, "cpu_ns": 1e9 * result["cpu_s"] / count}
    return common.Sample(rate, count - result["received"], figures)


def run(options: argparse.Namespace) -> int:
    rows: list[common.Row] = []
    impls = list(common.present(options.impl))
    for size in options.sizes:
        count = max(2, min(options.count, BYTES_MAX // size))
        rows += common.alternate(
            f"inproc {size} B",
            impls,
            options.rounds,
            partial(measure, size=size, count=count),
            "msg/s",
        )
    common.print_table("PUSH > PULL, inproc", rows, [("MB/s", "MB_s"), ("ns CPU/msg", "cpu_ns")])
    return common.finish("inproc_thr", rows, options)


def main() -> int:
    parser = common.parser(__doc__.splitlines()[0], IMPLS)
    parser.add_argument("--sizes", type=common.numbers, default=[16, 64, 1024, 65536])
    parser.add_argument("--count", type=int, default=100_000)
    return run(parser.parse_args())


if __name__ == "__main__":
    if not common.run_child({"both": both}):
        sys.exit(main())
