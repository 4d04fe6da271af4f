"""How long does a round trip REQ > REP > REQ take between two processes?

    python bench/lat.py --transport tcp --sizes 64 --count 5000

A contender is CLIENT>SERVER. `raw` is the floor: the same ping-pong over a bare TCP or Unix socket of Python. Ratios
compare medians: 2.00 is half of pyzmq's time.
"""

from __future__ import annotations

import socket as net
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import common

IMPLS = ("zmqcore", "pyzmq", "pyomq", "raw")
WARM_UP = 200  # round trips before the clock starts, on both sides alike
SILENCE_MS = 5000
CASE_LIMIT_S = 60


def raw_address(endpoint: str) -> tuple[int, Any]:
    scheme, _, rest = endpoint.partition("://")
    if scheme == "ipc":
        return net.AF_UNIX, rest
    host, _, port = rest.rpartition(":")
    return net.AF_INET, (host, 0 if port == "*" else int(port))


def raw_tune(connection: net.socket) -> None:
    connection.settimeout(SILENCE_MS / 1000)
    if connection.family == net.AF_INET:
        connection.setsockopt(net.IPPROTO_TCP, net.TCP_NODELAY, 1)


def recv_exactly(connection: net.socket, size: int) -> bytes:
    data = connection.recv(size)
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("the peer went away")
        data += more
    return data


def serve(config: dict[str, Any]) -> None:
    count, size = config["count"], config["size"]
    if config["impl"] == "raw":
        family, address = raw_address(config["endpoint"])
        with net.socket(family) as listener:
            if family == net.AF_UNIX:  # what the sample before left behind
                Path(address).unlink(missing_ok=True)
            listener.bind(address)
            listener.listen()
            bound = config["endpoint"] if family == net.AF_UNIX else f"tcp://127.0.0.1:{listener.getsockname()[1]}"
            common.emit(endpoint=bound, cpu_s=time.process_time())
            connection, _ = listener.accept()
        raw_tune(connection)
        for _ in range(count):
            connection.sendall(recv_exactly(connection, size))
        common.emit(cpu_s=time.process_time())
        common.leave()
    zmq = common.implementation(config["impl"])
    context = zmq.Context()
    socket = context.socket(zmq.REP)
    socket.setsockopt(zmq.RCVTIMEO, SILENCE_MS)
    socket.bind(config["endpoint"])
    common.emit(endpoint=common.endpoint_of(zmq, socket), cpu_s=time.process_time())
    send, recv = socket.send, socket.recv
    for _ in range(count):
        send(recv())
    cpu_s = time.process_time()
    socket.close()
    context.term()
    common.emit(cpu_s=cpu_s)
    common.leave()


def ask(config: dict[str, Any]) -> None:
    size = config["size"]
    ping: Callable[[bytes], bytes]
    if config["impl"] == "raw":
        family, address = raw_address(config["endpoint"])
        connection = net.socket(family)
        connection.connect(address)
        raw_tune(connection)

        def ping(message: bytes) -> bytes:
            connection.sendall(message)
            return recv_exactly(connection, size)
    else:
        zmq = common.implementation(config["impl"])
        socket = zmq.Context().socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, SILENCE_MS)
        socket.connect(config["endpoint"])
        send, recv = socket.send, socket.recv

        def ping(message: bytes) -> bytes:
            send(message)
            return bytes(recv())

    message = b"z" * size
    for _ in range(WARM_UP):
        ping(message)
    took_ns, clock, reply = [], time.perf_counter_ns, b""
    before_s, start_ns = time.process_time(), clock()
    for _ in range(config["count"]):
        sent_ns = clock()
        reply = ping(message)
        took_ns.append(clock() - sent_ns)
    seconds, cpu_s = (clock() - start_ns) / 1e9, time.process_time() - before_s
    took_ns.sort()
    common.emit(
        wrong=int(reply != message),
        seconds=seconds,
        cpu_s=cpu_s,
        **{name: took_ns[int(share * (len(took_ns) - 1))] / 1e3 for name, share in PERCENTILES.items()},
    )
    common.leave()


PERCENTILES = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999}


def measure(contender: str, endpoint: str, size: int, count: int) -> common.Sample:
    client_impl, server_impl = contender.split(">") if ">" in contender else (contender, contender)
    deadline = time.monotonic() + CASE_LIMIT_S
    with common.Children() as children:
        config = {"endpoint": endpoint, "size": size, "count": count + WARM_UP, "impl": server_impl}
        server = children.python(__file__, "serve", config)
        bound = server.message(deadline)
        config |= {"endpoint": bound["endpoint"], "count": count, "impl": client_impl}
        result = children.python(__file__, "ask", config).message(deadline)
        served = server.message(deadline)
    if result["wrong"]:
        raise common.BenchError("a reply is not the request")
    figures = {name: result[name] for name in PERCENTILES}
    figures["trips_s"] = count / result["seconds"]
    figures["client_us"] = 1e6 * result["cpu_s"] / count
    figures["server_us"] = 1e6 * (served["cpu_s"] - bound["cpu_s"]) / (count + WARM_UP)
    return common.Sample(1e6 / result["p50_us"], 0, figures)


def main() -> int:
    parser = common.parser(__doc__.splitlines()[0], IMPLS)
    parser.add_argument("--transport", choices=("tcp", "ipc"), default="tcp")
    parser.add_argument("--sizes", type=common.numbers, default=[64])
    parser.add_argument("--count", type=int, default=5000)
    options = parser.parse_args()
    impls = list(common.present(options.impl))
    if {"zmqcore", "pyzmq"} <= set(impls):
        impls += ["zmqcore>pyzmq", "pyzmq>zmqcore"]
    rows: list[common.Row] = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as directory:
            endpoint = "tcp://127.0.0.1:*" if options.transport == "tcp" else f"ipc://{Path(directory) / 'lat'}"
            rows += common.alternate(
                f"{options.transport} {size} B",
                impls,
                options.rounds,
                partial(measure, endpoint=endpoint, size=size, count=options.count),
                "1/p50 /s",
            )
    columns = [("p50 us", "p50_us"), ("p99 us", "p99_us"), ("p99.9 us", "p999_us"), ("trips/s", "trips_s")]
    columns += [("client us CPU", "client_us"), ("server us CPU", "server_us")]
    common.print_table("REQ > REP > REQ, two processes", rows, columns)
    return common.finish(f"lat_{options.transport}", rows, options)


if __name__ == "__main__":
    if not common.run_child({"serve": serve, "ask": ask}):
        sys.exit(main())
