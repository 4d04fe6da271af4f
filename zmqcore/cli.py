"""`python -m zmqcore`: runs one proxy until a signal or a TERMINATE ends it."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from . import _core_proxy
from .constants import SocketType
from .context import Context
from .errors import ZMQError
from .socket import Socket

# Frontend and backend of each model.
MODELS: dict[str, tuple[SocketType, SocketType]] = {
    "queue": (SocketType.ROUTER, SocketType.DEALER),
    "forwarder": (SocketType.XSUB, SocketType.XPUB),
    "streamer": (SocketType.PULL, SocketType.PUSH),
}

# What was forwarded already may take this long to leave after the end, milliseconds.
LINGER_MS = 1000

EXIT_FAILED = 1
EXIT_USAGE = 2


class EndpointError(Exception):
    """An endpoint from the command line could not be bound or connected; str() is the line for the user."""


class OutputError(Exception):
    """Standard output takes nothing; str() is the line for the user: empty when the reader of a pipe has gone."""


def _print(lines: Sequence[str]) -> None:
    """Prints all the lines or none; OutputError."""
    if sys.stdout is None:  # closed by the caller, who wants no output
        return
    try:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    except OSError as error:
        # What the buffer still holds would fail once more at exit, with a traceback: the null device takes it.
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), sys.stdout.fileno())
        raise OutputError("" if isinstance(error, BrokenPipeError) else f"standard output: {error.strerror}") from error


class _Parser(argparse.ArgumentParser):
    def print_help(self, file: Any = None) -> None:
        """Does not pass over an error, as the base class may."""
        _print(self.format_help().splitlines())


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = _Parser(
        prog="python -m zmqcore",
        description="Runs a ZeroMQ proxy: queue (ROUTER, DEALER), forwarder (XSUB, XPUB) or streamer (PULL, PUSH).",
        epilog="Endpoints are bound; a leading > connects instead: '>tcp://10.0.0.1:5555', quoted for the shell. "
        "The resolved endpoints are printed, one a line, once all are bound. "
        "Ctrl-C, SIGTERM and the control command TERMINATE end the proxy with exit code 0; "
        "a bad endpoint gives exit code 2, any other error 1.",
    )
    made.add_argument("model", choices=MODELS)
    made.add_argument("frontend", metavar="FRONTEND", help="where clients, publishers or pushers are")
    made.add_argument("backend", metavar="BACKEND", help="where workers, subscribers or pullers are")
    made.add_argument("--capture", metavar="ADDR", help="PUB socket that gets a copy of every message")
    made.add_argument("--control", metavar="ADDR", help="REP socket for PAUSE, RESUME, TERMINATE and STATISTICS")
    made.add_argument("-q", "--quiet", action="store_true", help="do not print the endpoints")
    return made


def _open(context: Context, role: str, kind: SocketType, endpoint: str) -> Socket:
    socket = context.socket(kind)
    try:
        if endpoint.startswith(">"):
            socket.connect(endpoint[1:])
        else:
            socket.bind(endpoint)
    except ZMQError as error:
        raise EndpointError(f"{role}: {error}") from error
    return socket


def _run(context: Context, arguments: argparse.Namespace) -> None:
    front_kind, back_kind = MODELS[arguments.model]
    wanted = {
        "frontend": (front_kind, arguments.frontend),
        "backend": (back_kind, arguments.backend),
        "capture": (SocketType.PUB, arguments.capture),
        "control": (SocketType.REP, arguments.control),
    }
    sockets = {
        role: _open(context, role, kind, endpoint) for role, (kind, endpoint) in wanted.items() if endpoint is not None
    }
    if not arguments.quiet:
        _print([f"{role} {socket.last_endpoint.decode()}" for role, socket in sockets.items()])
    _core_proxy.proxy_steerable(sockets["frontend"], sockets["backend"], sockets.get("capture"), sockets.get("control"))


def _failed(error: Exception) -> int:
    """Tells the user; the exit code."""
    if str(error) and sys.stderr is not None:
        with contextlib.suppress(OSError):  # nobody is left to be told
            print(f"zmqcore: {error}", file=sys.stderr, flush=True)
    return EXIT_USAGE if isinstance(error, EndpointError) else EXIT_FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code."""
    try:
        arguments = parser().parse_args(argv)
    except OutputError as error:
        return _failed(error)
    context = Context()
    try:
        # A service manager stops with SIGTERM what a terminal stops with Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _run(context, arguments)
    except KeyboardInterrupt:
        return 0
    except (EndpointError, OutputError, ZMQError) as error:
        return _failed(error)
    finally:
        # LINGER_MS bounds what follows, so an impatient second Ctrl-C need not break it off.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        context.destroy(LINGER_MS)
    return 0


__all__ = ["MODELS", "main", "parser"]
