"""How many messages a second go from a PUSH to a PULL, each in a process of its own?

    python bench/thr.py --transport tcp --sizes 16,64,1024,65536 --count 100000

A contender is SENDER>RECEIVER: the same implementation on both ends, and zmqcore mixed with pyzmq. The clock runs in
the receiver from the first message to the last; CPU is that of both processes between their set-up and their end.
"""

from __future__ import annotations

import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import common

BYTES_MAX = 1 << 29  # large messages: fewer of them
IMPLS = ("zmqcore", "pyzmq", "pyomq")
SILENCE_MS = 5000  # nothing came for so long: the rest is lost
CASE_LIMIT_S = 60


def receive(config: dict[str, Any]) -> None:
    zmq = common.implementation(config["impl"])
    count, size = config["count"], config["size"]
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVTIMEO, SILENCE_MS)
    socket.bind(config["endpoint"])
    common.emit(endpoint=common.endpoint_of(zmq, socket), cpu_s=time.process_time())
    recv, got, message = socket.recv, 0, b""
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
    socket.close()
    context.term()
    wrong = int(len(message) != size)
    common.emit(received=got, wrong=wrong, seconds=(end_ns - start_ns) / 1e9, cpu_s=time.process_time())
    common.leave()


def send(config: dict[str, Any]) -> None:
    zmq = common.implementation(config["impl"])
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.setsockopt(zmq.SNDTIMEO, SILENCE_MS)
    socket.connect(config["endpoint"])
    common.emit(cpu_s=time.process_time())
    message = b"z" * config["size"]
    send = socket.send
    for _ in range(config["count"]):
        send(message)
    sys.stdin.readline()  # the receiver is done: no implementation's LINGER is at work in this figure
    socket.close()
    context.term()
    common.emit(cpu_s=time.process_time())
    common.leave()


def measure(contender: str, endpoint: str, size: int, count: int) -> common.Sample:
    sender_impl, receiver_impl = contender.split(">") if ">" in contender else (contender, contender)
    deadline = time.monotonic() + CASE_LIMIT_S
    config = {"endpoint": endpoint, "size": size, "count": count}
    with common.Children() as children:
        receiver = children.python(__file__, "receive", config | {"impl": receiver_impl})
        bound = receiver.message(deadline)
        sender = children.python(__file__, "send", config | {"impl": sender_impl, "endpoint": bound["endpoint"]})
        started = sender.message(deadline)
        result = receiver.message(deadline)
        sender.tell("done")
        sent = sender.message(deadline)
    if result["wrong"]:
        raise common.BenchError("a message of another size arrived")
    if result["received"] < 2:
        raise common.BenchError(f"{result['received']} of {count} messages arrived")
    rate = (result["received"] - 1) / result["seconds"]
    cpus = {"send_ns": sent["cpu_s"] - started["cpu_s"], "recv_ns": result["cpu_s"] - bound["cpu_s"]}
    figures = {name: 1e9 * cpu_s / count for name, cpu_s in cpus.items()}
    return common.Sample(rate, count - result["received"], figures | {"MB_s": rate * size / 1e6})


def contenders(impls: list[str]) -> list[str]:
    mixed = ["zmqcore>pyzmq", "pyzmq>zmqcore"] if {"zmqcore", "pyzmq"} <= set(impls) else []
    return impls + mixed


def main() -> int:
    parser = common.parser(__doc__.splitlines()[0], IMPLS)
    parser.add_argument("--transport", choices=("tcp", "ipc", "inproc"), default="tcp")
    parser.add_argument("--sizes", type=common.numbers, default=[16, 64, 1024, 65536])
    parser.add_argument("--count", type=int, default=100_000)
    options = parser.parse_args()
    if options.transport == "inproc":  # two threads of one process: another question, another file
        import inproc_thr

        return inproc_thr.run(options)
    rows: list[common.Row] = []
    impls = list(common.present(options.impl))
    with tempfile.TemporaryDirectory() as directory:
        endpoint = "tcp://127.0.0.1:*" if options.transport == "tcp" else f"ipc://{Path(directory) / 'thr'}"
        for size in options.sizes:
            count = max(2, min(options.count, BYTES_MAX // size))
            rows += common.alternate(
                f"{options.transport} {size} B",
                contenders(impls),
                options.rounds,
                partial(measure, endpoint=endpoint, size=size, count=count),
                "msg/s",
            )
    columns = [("MB/s", "MB_s"), ("send ns CPU/msg", "send_ns"), ("recv ns CPU/msg", "recv_ns")]
    common.print_table("PUSH > PULL, two processes", rows, columns)
    return common.finish(f"thr_{options.transport}", rows, options)


if __name__ == "__main__":
    if not common.run_child({"receive": receive, "send": send}):
        sys.exit(main())
