"""What the benches share: implementations, child processes, rounds, statistics, tables, JSON.

A bench spawns fresh processes for every measurement of every round, alternates the implementations inside a round, and
compares them round by round: the ratio is taken within a round, then median, min and max over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import platform
import re
import select
import shutil
import signal
import socket as net
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

BENCH = Path(__file__).resolve().parent
OUT = BENCH / "out"
REFERENCE = "pyzmq"  # every ratio is against this implementation
MODULES = {"zmqcore": "zmqcore", "pyzmq": "zmq", "pyomq": "pyomq"}
CONGESTION = Path("/proc/sys/net/ipv4/tcp_congestion_control")  # of the machine: it changes figures by half
PROCESS_LIMIT_S = 90  # no child outlives this, whatever happens to its parent

# A checkout that was built in place serves too, but an installed package comes first.
sys.path.append(str(BENCH.parent))


def implementation(name: str) -> Any:
    return importlib.import_module(MODULES[name])


def is_available(name: str) -> bool:
    """Whether the implementation can be imported (tried in a process of its own: a broken build may not only raise)."""
    code = "import sys; sys.path.append(sys.argv[1]); import importlib; importlib.import_module(sys.argv[2]).Context"
    command = [sys.executable, "-c", code, str(BENCH.parent), MODULES[name]]
    done = subprocess.run(command, cwd=BENCH, capture_output=True, timeout=60, check=False)  # finds what a bench finds
    return done.returncode == 0


def version(name: str) -> str:
    module = implementation(name)
    if name == "pyzmq":
        return f"{module.__version__} (libzmq {module.zmq_version()})"
    return str(getattr(module, "__version__", "?"))


# --- in a child -------------------------------------------------------------------------------------------------------


def emit(**values: object) -> None:
    """One line of JSON to the parent."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def leave() -> NoReturn:
    """Ends the process at once, so that the interpreter's own end is not counted as work."""
    sys.stdout.flush()
    os._exit(0)


def run_child(roles: dict[str, Callable[[dict[str, Any]], None]]) -> bool:
    """True when this process is a child (`FILE --child ROLE JSON`); its role has then been played."""
    if len(sys.argv) < 4 or sys.argv[1] != "--child":
        return False
    signal.alarm(PROCESS_LIMIT_S)
    roles[sys.argv[2]](json.loads(sys.argv[3]))
    return True


def endpoint_of(zmq: Any, socket: Any) -> str:
    return str(socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())


def keep_all(zmq: Any, socket: Any) -> None:
    """A publisher waits for its subscribers instead of dropping, where the implementation can."""
    if hasattr(zmq, "XPUB_NODROP"):
        socket.setsockopt(zmq.XPUB_NODROP, 1)
    elif hasattr(zmq, "OMQ_ON_MUTE"):  # pyomq's name for it
        socket.setsockopt(zmq.OMQ_ON_MUTE, zmq.OMQ_ON_MUTE_BLOCK)


def bare_address(endpoint: str) -> tuple[int, Any]:
    """Of a tcp or ipc endpoint, for a socket of Python: family and address; port 0 for a wildcard."""
    scheme, _, rest = endpoint.partition("://")
    if scheme == "ipc":
        return net.AF_UNIX, rest
    host, _, port = rest.rpartition(":")
    return net.AF_INET, (host, 0 if port == "*" else int(port))


def bare_listen(endpoint: str, backlog: int) -> tuple[net.socket, str]:
    """A socket of Python that listens there, and the endpoint to connect to."""
    family, address = bare_address(endpoint)
    listener = net.socket(family)
    listener.bind(address)
    listener.listen(backlog)
    return listener, endpoint if family == net.AF_UNIX else f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def recv_exactly(connection: net.socket, size: int) -> bytes:
    data = connection.recv(size)
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("the peer closed the connection")
        data += more
    return data


# --- in the parent ----------------------------------------------------------------------------------------------------


class BenchError(Exception):
    """A measurement that did not come to its end; the text says which process and why."""


class Child:
    """A process that talks in lines of JSON on stdout and is reaped with its resource usage."""

    def __init__(self, command: Sequence[str], name: str) -> None:
        self.name = name
        self.errors = tempfile.TemporaryFile()  # closed by end()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, start_new_session=True
        )
        self.buffer = b""
        self.usage: Any = None
        self.complaint = ""  # the last line of its stderr, once it has ended

    def line(self, deadline: float) -> str:
        """The next line of its output; BenchError at the deadline (time.monotonic) or when it ended."""
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([fd], [], [], left_s)[0]:
                raise BenchError(f"{self.name}: no answer in time")
            data = os.read(fd, 65536)
            if not data:
                self.end()
                raise BenchError(f"{self.name}: ended with {self.process.returncode}: {self.complaint}")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()

    def message(self, deadline: float) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.line(deadline))
        return answer

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()

    def close_input(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def cpu_s(self) -> float:
        """CPU seconds of all its threads so far, exact to the ns (the clock of clock_getcpuclockid; Linux)."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def end(self) -> float:
        """Kills it if it still lives, reaps it, and returns the CPU seconds of its whole life."""
        if self.usage is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            _, status, self.usage = os.wait4(self.process.pid, 0)
            self.process.returncode = os.waitstatus_to_exitcode(status)
            self.errors.seek(0)
            self.complaint = self.errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            self.errors.close()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.close_input()
        return float(self.usage.ru_utime + self.usage.ru_stime)


class Children:
    """The processes of one measurement; on every way out they are killed and reaped."""

    def __init__(self) -> None:
        self.all: list[Child] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.all:
            child.end()

    def python(self, file: str, role: str, config: dict[str, Any]) -> Child:
        command = [sys.executable, file, "--child", role, json.dumps(config)]
        return self.program(command, f"{role} ({config.get('impl', '')})")

    def program(self, command: Sequence[str], name: str) -> Child:
        self.all.append(Child(command, name))
        return self.all[-1]


def native(name: str) -> str:
    """Path of bench/<name>.c, compiled into bench/out/ when it is missing or older than its sources."""
    program, source = OUT / name, BENCH / f"{name}.c"
    newest = max(path.stat().st_mtime for path in (source, BENCH / "zmtp.h"))
    if not program.exists() or program.stat().st_mtime < newest:
        OUT.mkdir(exist_ok=True)
        compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
        fresh = program.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", str(fresh), str(source)], check=True)
        fresh.replace(program)
    return str(program)


# --- rounds and statistics --------------------------------------------------------------------------------------------


@dataclass
class Sample:
    """One measurement. `speed` is what ratios are made of: higher is better."""

    speed: float
    lost: int = 0
    figures: dict[str, float] = field(default_factory=dict)


@dataclass
class Row:
    """One implementation in one case, over all rounds."""

    case: str
    impl: str
    speed_name: str
    samples: dict[int, Sample] = field(default_factory=dict)  # by round
    failures: list[str] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    figure_ratios: dict[str, list[float]] = field(default_factory=dict)  # figure to those of the reference, by round

    @property
    def lost(self) -> int:
        return sum(sample.lost for sample in self.samples.values())

    def values(self, figure: str | None = None) -> list[float]:
        """Of all rounds: a figure, or the speed."""
        if figure is None:
            return [sample.speed for sample in self.samples.values()]
        return [sample.figures[figure] for sample in self.samples.values() if figure in sample.figures]

    def median(self, figure: str | None = None) -> float | None:
        values = self.values(figure)
        return statistics.median(values) if values else None

    def record(self) -> dict[str, Any]:
        names = sorted({name for sample in self.samples.values() for name in sample.figures})
        return {
            "case": self.case,
            "impl": self.impl,
            self.speed_name: spread(self.values()),
            "ratio": spread(self.ratios),
            "lost": self.lost,
            "figures": {name: self.median(name) for name in names},
            "figure_ratios": {name: spread(ratios) for name, ratios in self.figure_ratios.items()},
            "failures": self.failures,
        }


def spread(values: Iterable[float]) -> dict[str, float] | None:
    found = list(values)
    if not found:
        return None
    return {"median": statistics.median(found), "min": min(found), "max": max(found)}


def ratios(row: Row, base: Row, figure: str | None = None) -> list[float]:
    """One row to another, for each round that both have."""
    found = []
    for number, own in row.samples.items():
        other = base.samples.get(number)
        if other is not None:
            mine = own.speed if figure is None else own.figures.get(figure, 0)
            theirs = other.speed if figure is None else other.figures.get(figure, 0)
            if mine and theirs:
                found.append(mine / theirs)
    return found


def alternate(
    case: str,
    contenders: Sequence[str],
    rounds: int,
    measure: Callable[[str], Sample],
    speed_name: str,
    reference: str = REFERENCE,
) -> list[Row]:
    """Measures the contenders in turn, `rounds` times; a failure costs its own sample and is kept with its reason."""
    rows = {name: Row(case, name, speed_name) for name in contenders}
    for number in range(rounds):
        for name in contenders:
            note(f"{case}: round {number + 1}/{rounds}: {name}")
            try:
                rows[name].samples[number] = measure(name)
            except (BenchError, OSError) as error:
                rows[name].failures.append(f"round {number + 1}: {error}")
    note("")
    base = rows.get(reference)
    for row in rows.values():
        if base is not None:
            row.ratios = ratios(row, base)
            figures = sorted({name for sample in row.samples.values() for name in sample.figures})
            row.figure_ratios = {figure: ratios(row, base, figure) for figure in figures}
    return list(rows.values())


def note(text: str) -> None:
    """Progress on a terminal, nothing otherwise."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def print_columns(lines: Sequence[Sequence[str]], left: int, right_text: int = 0) -> None:
    """The first `left` columns are text, and the last `right_text`; numbers stand to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        is_text = [i < left or i >= len(line) - right_text for i in range(len(line))]
        cells = [text.ljust(widths[i]) if is_text[i] else text.rjust(widths[i]) for i, text in enumerate(line)]
        print("  ".join(cells).rstrip())


def print_table(title: str, rows: Sequence[Row], columns: Sequence[tuple[str, str]]) -> None:
    """`columns` are (heading, name of a figure); speed, ratio and loss stand in every table."""
    speed_name = rows[0].speed_name if rows else "speed"
    head = ["case", "implementation", speed_name, "ratio", "min", "max", *(heading for heading, _ in columns), "lost"]
    lines = [head]
    for row in rows:
        ratio = spread(row.ratios)
        ratios = [f"{ratio[key]:.2f}" for key in ("median", "min", "max")] if ratio else ["-"] * 3
        figures = [number(row.median(name)) for _, name in columns]
        lines.append([row.case, row.impl, number(row.median()), *ratios, *figures, f"{row.lost:,}"])
    print(f"\n{title}")
    print_columns(lines, left=2)
    for row in rows:
        for failure in row.failures:
            print(f"FAILED {row.case}, {row.impl}: {failure}")
    sys.stdout.flush()


# --- command line -----------------------------------------------------------------------------------------------------


def parser(bench: str, description: str, impls: Sequence[str]) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--impl", type=names, default=list(impls), help="comma-separated, of: " + ", ".join(impls))
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--quick", action="store_true", help="few rounds of short samples: a first look, not a figure")
    made.add_argument("--cases", type=names, help="names (see Case), or `all`; default: those of the goals")
    made.add_argument("--json", metavar="FILE", type=Path, default=OUT / f"{bench}.json", help="the figures")
    made.add_argument("--plot", metavar="FILE", type=Path, default=OUT / f"{bench}.png", help="the ratios")
    return made


def parsed(made: argparse.ArgumentParser) -> argparse.Namespace:
    options = made.parse_args()
    for file in (options.json, options.plot):
        file.parent.mkdir(parents=True, exist_ok=True)
    return options


def fields(form: re.Pattern[str], name: str) -> tuple[Any, ...]:
    """What the name of a case is made from; ValueError when it is none."""
    found = form.fullmatch(name)
    if found is None:
        raise ValueError(f"no such case: {name}")
    return found.groups()


def names(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def numbers(text: str) -> list[int]:
    return [int(part) for part in names(text)]


def present(wanted: Iterable[str]) -> Iterator[str]:
    """Those of the wanted implementations that can be imported; says which are left out."""
    for name in wanted:
        if name not in MODULES or is_available(name):
            yield name
        else:
            print(f"{name} is not installed or does not import: left out", file=sys.stderr)


def machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "tcp": CONGESTION.read_text().strip() if CONGESTION.exists() else "?",
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": {name: version(name) for name in MODULES if is_available(name)},
    }


def finish(bench: str, rows: Sequence[Row], options: argparse.Namespace, **more: object) -> int:
    """Writes the JSON, with `more` in it; exit code 1 when a measurement failed."""
    report = {"bench": bench, "machine": machine(), "rounds": options.rounds}
    report |= {"rows": [row.record() for row in rows], **more}
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if any(row.failures for row in rows) else 0
