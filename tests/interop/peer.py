"""One ZeroMQ peer as a process, for tests that stop or kill it.

    python -m tests.interop.peer ROLE LIBRARY TYPE bind|connect ENDPOINT [option=value ...]

ROLE: sink (prints each message it gets: parts in hex, comma between), echo (sends each message back),
source (sends b"0", b"1", … with a pause of some milliseconds between) or idle (touches the socket never again).
The first line of output is the endpoint. It ends when its standard input does.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from typing import Any

from tests.support import last_endpoint, load_side


def run_sink(sock: Any) -> None:
    while True:
        print(",".join(part.hex() for part in sock.recv_multipart()), flush=True)


def run_echo(sock: Any) -> None:
    while True:
        sock.send_multipart(sock.recv_multipart())


def run_source(sock: Any) -> None:
    pace = threading.Event()
    for number in itertools.count():
        sock.send(b"%d" % number)
        pace.wait(0.005)


def run_idle(sock: Any) -> None:
    threading.Event().wait()


def main() -> None:
    role, library, socket_type, verb, endpoint, *options = sys.argv[1:]
    side = load_side("peer", library)
    context = side.zmq.Context()
    sock = context.socket(side.constant(socket_type))
    for option in options:
        name, _, value = option.partition("=")
        number = side.constant(name.upper())
        sock.setsockopt(number, int(value) if value.lstrip("-").isdigit() else value.encode())
    getattr(sock, verb)(endpoint)
    print(last_endpoint(sock, side), flush=True)
    run = {"sink": run_sink, "echo": run_echo, "source": run_source, "idle": run_idle}[role]
    threading.Thread(target=run, args=(sock,), daemon=True).start()
    sys.stdin.read()
    # The thread is inside a blocking call; a regular exit would wait for its context.
    os._exit(0)


if __name__ == "__main__":
    main()
