"""What throughput.py and latency.py share: contenders, the two ends of a measurement, their phases, and the run.

A pair is two ends, each in a process of its own, or in a thread of one process for inproc. One end binds and tells its
endpoint; the other connects and says that it is ready; then the parent orders phases, each of so many messages. The
first phase is the warm-up and says how many messages make a sample of the wanted length; the second is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import importlib
import os
import queue
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import common

IMPLS = ("zmqcore", "pyzmq", "pyomq")
TRANSPORTS = ("tcp", "ipc", "inproc")
SIZES = (16, 64, 1024, 16384, 65536, 1048576)
SILENCE_MS = 5000  # nothing came for so long: the rest is lost
SAMPLE_LIMIT_S = 40
WARM_UP_LIMIT_S = 10
INPROC = "inproc://bench"
FEATURES = {
    "asyncio": "importlib.import_module(name + '.asyncio').Context",
    "send_many": "importlib.import_module(name).Socket.send_many, importlib.import_module(name).Socket.recv_many",
    "CURVE": "(importlib.import_module(name).has('curve') or 1 / 0)",
    "SPIN_US": "importlib.import_module(name).SPIN_US",
}


# --- contenders -------------------------------------------------------------------------------------------------------


def ends(contender: str) -> tuple[str, str]:
    """Of `zmqcore` or `zmqcore>pyzmq`: who sends or asks, who receives or answers."""
    first, _, second = contender.partition(">")
    return first, second or first


def contenders(impls: Sequence[str], transport: str) -> list[str]:
    mixed = ["zmqcore>pyzmq", "pyzmq>zmqcore"] if {"zmqcore", "pyzmq"} <= set(impls) else []
    return [*impls, *(mixed if transport != "inproc" else [])]


@functools.cache
def lack(impl: str, feature: str) -> str:
    """Why the implementation cannot be used so (the error, since a broken module is not an absent one); or empty."""
    code = f"import sys, importlib; sys.path.append(sys.argv[1]); name = sys.argv[2]; {FEATURES[feature]}"
    command = [sys.executable, "-c", code, str(common.BENCH.parent), common.MODULES[impl]]
    done = subprocess.run(command, cwd=common.BENCH, capture_output=True, text=True, timeout=60, check=False)
    return f"{impl} without {feature}: {done.stderr.strip().rpartition(chr(10))[2]}" if done.returncode else ""


def skipped(contender: str, feature: str) -> str:
    """Why the contender cannot play a case that needs the feature; empty when it can."""
    return "; ".join(filter(None, (lack(impl, feature) for impl in dict.fromkeys(ends(contender)))))


class Case:
    """What a case has to say of itself."""

    name: str
    transport: str

    def has(self, contender: str) -> bool:
        """Whether the contender can play it at all."""
        return True

    def skipped(self, contender: str) -> str:
        """Why a contender that should play it cannot; empty when it can."""
        raise NotImplementedError


# --- in a child -------------------------------------------------------------------------------------------------------

Orders = Callable[[float | None], "int | None"]  # waits so many seconds (None: for ever); None when nothing came
Report = Callable[..., None]
Role = Callable[[dict[str, Any], Any, Orders, Report], Any]  # config, context, orders, report; a coroutine for asyncio


def stdin_orders() -> Orders:
    buffer = b""

    def orders(timeout_s: float | None) -> int | None:
        nonlocal buffer
        if timeout_s is not None and not buffer and not select.select([0], [], [], timeout_s)[0]:
            return None
        while b"\n" not in buffer:
            data = os.read(0, 4096)
            if not data:
                common.leave()
            buffer += data
        line, _, buffer = buffer.partition(b"\n")
        return int(line)

    return orders


def queue_orders(given: queue.SimpleQueue[int]) -> Orders:
    def orders(timeout_s: float | None) -> int | None:
        try:
            return given.get(timeout=timeout_s)
        except queue.Empty:
            return None

    return orders


def context_of(config: dict[str, Any]) -> tuple[Any, Any]:
    """The module with the constants, and a new context of the wanted kind."""
    zmq = common.implementation(config["impl"])
    if config["asyncio"]:
        return zmq, importlib.import_module(common.MODULES[config["impl"]] + ".asyncio").Context()
    return zmq, zmq.Context()


def attach(zmq: Any, socket: Any, config: dict[str, Any]) -> str:
    """Binds or connects as told; the endpoint to connect to."""
    if config["is_binder"]:
        socket.bind(config["endpoint"])
        return common.endpoint_of(zmq, socket)
    socket.connect(config["endpoint"])
    return str(config["endpoint"])


def play(role: Role, config: dict[str, Any], context: Any, orders: Orders, report: Report) -> None:
    if config["asyncio"]:
        asyncio.run(role(config, context, orders, report))
    else:
        role(config, context, orders, report)


def in_process(role: Role) -> Callable[[dict[str, Any]], None]:
    def child(config: dict[str, Any]) -> None:
        context = None if config["impl"] == "raw" else context_of(config)[1]
        play(role, config, context, stdin_orders(), common.emit)
        common.leave()

    return child


def in_threads(first: Role, second: Role) -> Callable[[dict[str, Any]], None]:
    """`first` in a thread of its own, `second` in the main thread, which alone talks to the parent."""

    def child(config: dict[str, Any]) -> None:
        context = context_of(config)[1]
        given: queue.SimpleQueue[int] = queue.SimpleQueue()
        bound, from_parent = threading.Event(), stdin_orders()

        def orders(timeout_s: float | None) -> int | None:
            order = from_parent(timeout_s)
            if order is not None:
                given.put(order)
            return order

        def play_first() -> None:
            its = config | {"is_binder": config["first_binds"]}
            if not its["is_binder"]:
                bound.wait()
            try:
                first(its, context, queue_orders(given), lambda **_: bound.set())
            except BaseException as error:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
                sys.stderr.flush()
                os._exit(3)

        def report(**values: object) -> None:
            common.emit(**values)
            bound.set()

        threading.Thread(target=play_first, daemon=True).start()
        if config["first_binds"]:
            bound.wait()
        second(config | {"is_binder": not config["first_binds"]}, context, orders, report)
        common.leave()

    return child


# --- in the parent ----------------------------------------------------------------------------------------------------


class Pair:
    """Two ends of one sample; killed and reaped on every way out."""

    def __init__(
        self,
        file: str,
        contender: str,
        transport: str,
        config: dict[str, Any],
        first: str,
        second: str,
        binder: str,
        tells_both: bool,
    ) -> None:
        self.file, self.contender, self.transport, self.config = file, contender, transport, config
        self.first, self.second, self.binder = first, second, binder  # names of the roles; the second one reports
        self.tells_both = tells_both  # or the first only answers
        self.children = common.Children()
        self.folder = tempfile.TemporaryDirectory()
        self.deadline = time.monotonic() + SAMPLE_LIMIT_S

    def __enter__(self) -> Pair:
        try:
            if self.transport == "inproc":
                self.start_threads()
            else:
                self.start_processes()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.children.__exit__()
        self.folder.cleanup()

    def start_threads(self) -> None:
        config = self.config | {"impl": self.contender, "endpoint": INPROC, "first_binds": self.binder == self.first}
        self.reporter = self.children.python(self.file, f"{self.first}+{self.second}", config)
        self.told = [self.reporter]
        self.answer()

    def start_processes(self) -> None:
        first_impl, second_impl = ends(self.contender)
        impls = {self.first: first_impl, self.second: second_impl}
        at = {"tcp": "tcp://127.0.0.1:*", "ipc": f"ipc://{self.folder.name}/end"}[self.transport]
        roles = [self.binder, self.first if self.binder == self.second else self.second]
        started = {}
        for role in roles:
            config = self.config | {"impl": impls[role], "endpoint": at, "is_binder": role == self.binder}
            self.reporter = started[role] = self.children.python(self.file, role, config)
            at = self.answer()["endpoint"]
        self.reporter = started[self.second]
        self.told = [started[self.second]] + ([started[self.first]] if self.tells_both else [])

    def answer(self) -> dict[str, Any]:
        """What the reporter says next. If that does not come: the complaints of all who ended."""
        try:
            return self.reporter.message(self.deadline)
        except common.BenchError as error:
            self.children.__exit__()
            complaints = [f"{child.name}: {child.complaint}" for child in self.children.all if child.complaint]
            raise common.BenchError("; ".join(complaints) or str(error)) from error

    def cpu_s(self) -> float:
        return sum(child.cpu_s() for child in self.children.all)

    def phase(self, count: int) -> tuple[dict[str, Any], float]:
        """The report of one phase, and the CPU seconds of all processes together while it ran."""
        before_s = self.cpu_s()
        for child in self.told:
            child.tell(str(count))
        result = self.answer()
        return result, self.cpu_s() - before_s

    def measured(self, warm_up: int, seconds: float, at_least: int, at_most: int) -> tuple[int, dict[str, Any], float]:
        """After the warm-up: messages, report and CPU seconds of a phase that takes about so many seconds."""
        result, _ = self.phase(warm_up)
        self.check(result, warm_up)
        rate = result["timed"] / max(result["seconds"], 1e-6)
        count = max(at_least, min(int(rate * seconds), at_most))
        result, cpu_s = self.phase(count)
        self.check(result, count)
        return count, result, cpu_s

    def check(self, result: dict[str, Any], count: int) -> None:
        if result.get("wrong"):
            raise common.BenchError("a message arrived that was not sent so")
        if result["timed"] < 1:
            raise common.BenchError(f"nothing of {count:,} messages arrived")


# --- command line and run ---------------------------------------------------------------------------------------------


def parsed(bench: str, description: str, impls: Sequence[str], seconds: float) -> argparse.Namespace:
    made = common.parser(bench, description, impls)
    made.add_argument("--seconds", type=float, default=seconds, help="about how long each sample is measured")
    options = common.parsed(made)
    if options.quick:
        options.rounds, options.seconds = min(options.rounds, 2), min(options.seconds, 0.15)
    return options


def run(
    cases: Iterable[Any],
    options: argparse.Namespace,
    measure: Callable[[Any, argparse.Namespace, str], common.Sample],
    speed_name: str,
) -> tuple[list[common.Row], list[dict[str, str]]]:
    """The rows of all cases (each a Case), and who was left out of which, with the reason."""
    impls = list(common.present(options.impl))
    rows: list[common.Row] = []
    left_out = []
    for case in cases:
        playing = []
        for contender in filter(case.has, contenders(impls, case.transport)):
            if reason := case.skipped(contender):
                print(f"SKIPPED {case.name}, {contender}: {reason}")
                sys.stdout.flush()
                left_out.append({"case": case.name, "contender": contender, "reason": reason})
            else:
                playing.append(contender)
        measured = functools.partial(measure, case, options)
        rows += common.alternate(case.name, playing, options.rounds, measured, speed_name)
    return rows, left_out
