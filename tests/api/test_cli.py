"""`python -m zmqcore`: a proxy by hand, with pyzmq at both ends."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, finish, wait_asleep
from tests.support import DEADLINE_S, PROJECT, join_publisher

WILDCARD = "tcp://127.0.0.1:*"


class Command:
    """A running `python -m zmqcore …`."""

    def __init__(self, *arguments: str, stdout: Any = subprocess.PIPE) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "zmqcore", *arguments],
            env=dict(os.environ, PYTHONPATH=str(PROJECT)),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )

    def endpoint(self, role: str) -> str:
        """The next line of output, which must be about this role."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(f"{role} "), self.finish()
        return line.split()[1]

    def stop(self, number: int) -> tuple[int, str, str]:
        wait_asleep(self.process.pid, self.process.pid)
        self.process.send_signal(number)
        return self.finish()

    def finish(self) -> tuple[int, str, str]:
        """Exit code, what is left of the output, and the errors."""
        output, errors = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, output, errors


@pytest.fixture
def commands(core: ModuleType) -> Iterator[list[Command]]:
    started: list[Command] = []
    yield started
    for command in started:
        with command.process:
            command.process.kill()


@pytest.fixture
def peers() -> Iterator[Sockets]:
    zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
    context = zmq.Context()
    yield Sockets(zmq, context)
    finish(context)


def start(commands: list[Command], *arguments: str, stdout: Any = subprocess.PIPE) -> Command:
    commands.append(Command(*arguments, stdout=stdout))
    return commands[-1]


def connected(peers: Sockets, kind: str, endpoint: str) -> Any:
    made = peers(kind)
    made.connect(endpoint)
    return made


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_queue(commands: list[Command], peers: Sockets, number: int) -> None:
    command = start(commands, "queue", WILDCARD, WILDCARD)
    client = connected(peers, "REQ", command.endpoint("frontend"))
    worker = connected(peers, "REP", command.endpoint("backend"))
    client.send(b"question")
    assert worker.recv() == b"question"
    worker.send(b"answer")
    assert client.recv() == b"answer"
    assert command.stop(number) == (0, "", "")


def test_forwarder(commands: list[Command], peers: Sockets) -> None:
    command = start(commands, "forwarder", WILDCARD, WILDCARD)
    publisher = connected(peers, "PUB", command.endpoint("frontend"))
    subscriber = connected(peers, "SUB", command.endpoint("backend"))
    subscriber.subscribe("news")
    join_publisher(publisher, [subscriber], b"news")
    publisher.send(b"weather")
    publisher.send_multipart([b"news", b"today"])
    assert subscriber.recv_multipart() == [b"news", b"today"]
    assert command.stop(signal.SIGINT) == (0, "", "")


def test_streamer_with_capture_and_control(commands: list[Command], peers: Sockets, tmp_path: Path) -> None:
    command = start(
        commands, "streamer", WILDCARD, f"ipc://{tmp_path}/back", "--capture", WILDCARD, "--control", WILDCARD
    )
    source = connected(peers, "PUSH", command.endpoint("frontend"))
    sink = connected(peers, "PULL", command.endpoint("backend"))
    tap = connected(peers, "SUB", command.endpoint("capture"))
    operator = connected(peers, "REQ", command.endpoint("control"))
    tap.subscribe("")
    join_publisher(source, [tap])
    source.send(b"end")
    while sink.recv() != b"end":
        pass
    while tap.recv() != b"end":
        pass
    operator.send(b"TERMINATE")
    assert operator.recv() == b""
    assert command.finish() == (0, "", "")


def test_connecting_instead_of_binding(commands: list[Command], peers: Sockets) -> None:
    source, sink = peers("PUSH"), peers("PULL")
    source.bind(WILDCARD)
    sink.bind(WILDCARD)
    ends = [socket.last_endpoint.decode() for socket in (source, sink)]
    command = start(commands, "streamer", *(f">{end}" for end in ends))
    assert [command.endpoint(role) for role in ("frontend", "backend")] == ends
    source.send(b"through")
    assert sink.recv() == b"through"
    assert command.stop(signal.SIGTERM) == (0, "", "")


def test_quiet(commands: list[Command], peers: Sockets, tmp_path: Path) -> None:
    command = start(commands, "-q", "streamer", f"ipc://{tmp_path}/front", f"ipc://{tmp_path}/back")
    source = connected(peers, "PUSH", f"ipc://{tmp_path}/front")
    sink = connected(peers, "PULL", f"ipc://{tmp_path}/back")
    source.send(b"through")
    assert sink.recv() == b"through"
    assert command.stop(signal.SIGINT) == (0, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("queue", "nonsense", WILDCARD),
        ("queue", WILDCARD, "foo://bar"),
        ("queue", WILDCARD, ">tcp://127.0.0.1:*"),
        ("queue", WILDCARD, WILDCARD, "--capture", "nonsense"),
        ("queue", WILDCARD, WILDCARD, "--control", "tcp://192.0.2.1:5555"),
        ("queue", "tcp://127.0.0.1:1x", ""),
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_a_bad_endpoint(commands: list[Command], arguments: tuple[str, ...]) -> None:
    code, output, errors = start(commands, *arguments).finish()
    assert (code, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert errors.startswith("zmqcore: ")
    assert "(addr=" in errors


@pytest.mark.parametrize("arguments", [(), ("queue",), ("queue", WILDCARD), ("telephone", WILDCARD, WILDCARD)])
def test_a_bad_command_line(commands: list[Command], arguments: tuple[str, ...]) -> None:
    code, output, errors = start(commands, *arguments).finish()
    assert (code, output) == (2, "")
    assert errors.startswith("usage: python -m zmqcore")


def test_help(commands: list[Command]) -> None:
    code, output, errors = start(commands, "--help").finish()
    assert (code, errors) == (0, "")
    text = " ".join(output.split())
    for word in ("queue", "forwarder", "streamer", "--capture", "--control", "a leading > connects instead"):
        assert word in text


PRINTING = pytest.mark.parametrize("arguments", [("--help",), ("queue", WILDCARD, WILDCARD)], ids=["help", "queue"])


@PRINTING
def test_an_output_that_is_full(commands: list[Command], arguments: tuple[str, ...]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb") as full:
        command = start(commands, *arguments, stdout=full)
    assert command.finish() == (1, None, f"zmqcore: standard output: {os.strerror(errno.ENOSPC)}\n")


@PRINTING
def test_an_output_that_nobody_reads(commands: list[Command], arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        command = start(commands, *arguments, stdout=pipe)
    assert command.finish() == (1, None, "")


def test_without_an_output(commands: list[Command], peers: Sockets, tmp_path: Path) -> None:
    """As `>&-` of a shell: nothing can be printed, and the proxy runs."""
    code = "import os, sys; os.close(1); os.execv(sys.argv[1], sys.argv[1:])"
    ends = [f"ipc://{tmp_path}/front", f"ipc://{tmp_path}/back"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, sys.executable, "-m", "zmqcore", "streamer", *ends],
        env=dict(os.environ, PYTHONPATH=str(PROJECT)),
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            source, sink = connected(peers, "PUSH", ends[0]), connected(peers, "PULL", ends[1])
            source.send(b"through")
            assert sink.recv() == b"through"
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=DEADLINE_S) == (None, "")
            assert process.returncode == 0
        finally:
            process.kill()
