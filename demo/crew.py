"""The demo's child processes as their parent sees them: started, listened to, ended and reaped."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

PEERS = Path(__file__).resolve().with_name("peers.py")
LOOK_S = 0.1  # how often the parent looks at the clock and its signals
END_S = 3.0  # how long a process may take to leave after its output has ended
INTERRUPTS, INTERRUPT_S = 3, 1.0


class DemoError(Exception):
    """The run could not come to its end."""


class Member:
    """One child process."""

    def __init__(self, role: str, config: dict[str, Any]) -> None:
        self.role = role
        self.name = f"{role} {config['number']}" if "number" in config else role
        self.events: dict[str, dict[str, Any]] = {}  # the last one of each kind
        self.buffer = b""
        self.complaints = tempfile.TemporaryFile()
        # A session of its own: Ctrl-C reaches the demo alone, which then ends the others in order.
        self.process = subprocess.Popen(
            [sys.executable, str(PEERS), role, json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.complaints,
            start_new_session=True,
        )

    @property
    def output(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def count(self, name: str) -> int:
        """The newest value of a count, from its result or its last progress."""
        for event in ("result", "progress"):
            if name in self.events.get(event, {}):
                return int(self.events[event][name])
        return 0

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()

    def complaint(self) -> str:
        self.complaints.seek(0)
        return self.complaints.read().decode(errors="replace").strip()


class Crew:
    """All child processes; leaving the `with` block kills and reaps whoever is left."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline  # time.monotonic(); nothing waits longer
        self.members: list[Member] = []
        self.interrupts = 0  # how many it took to end the proxy
        self.selector = selectors.DefaultSelector()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            with contextlib.suppress(ProcessLookupError):
                member.process.kill()
        for member in self.members:
            member.process.wait()
            member.output.close()
            member.complaints.close()
            with contextlib.suppress(BrokenPipeError):
                if member.process.stdin:
                    member.process.stdin.close()
        self.selector.close()

    def start(self, role: str, **config: Any) -> Member:
        config["limit_s"] = int(self.deadline - time.monotonic()) + 5
        member = Member(role, config)
        self.members.append(member)
        os.set_blocking(member.output.fileno(), False)
        self.selector.register(member.output, selectors.EVENT_READ, member)
        return member

    def of(self, *roles: str) -> list[Member]:
        return [member for member in self.members if member.role in roles]

    def listen(self, timeout_s: float = LOOK_S) -> None:
        """Takes what the children say; DemoError when one ended without a result, or at the deadline."""
        if time.monotonic() > self.deadline:
            raise DemoError("the run took too long")
        for key, _ in self.selector.select(timeout_s):
            member: Member = key.data
            data = os.read(member.output.fileno(), 1 << 20)
            if not data:
                self.selector.unregister(member.output)
                if "result" not in member.events:
                    code = member.process.wait(END_S)
                    raise DemoError(f"{member.name} ended with {code}\n{member.complaint()}")
                continue
            *lines, member.buffer = (member.buffer + data).split(b"\n")
            for line in lines:
                event = json.loads(line)
                member.events[event.pop("event")] = event

    def wait(self, what: str, is_done: Callable[[], bool], limit_s: float) -> None:
        """Listens until the condition holds; DemoError when it does not in time."""
        end = time.monotonic() + limit_s
        while not is_done():
            if time.monotonic() > end:
                raise DemoError(f"waited {limit_s:.0f} s in vain: {what}")
            self.listen()

    def interrupt(self, member: Member) -> str | None:
        """Ends a process by SIGINT as Ctrl-C would; returns what was wrong about its end.

        One a second: libzmq's proxy goes on when the signal comes while it is not asleep in poll, and sleeps again.
        """
        for self.interrupts in range(1, INTERRUPTS + 1):
            member.process.send_signal(signal.SIGINT)
            end = time.monotonic() + INTERRUPT_S
            while member.process.poll() is None and time.monotonic() < end:
                self.listen()
            if member.process.poll() is not None:
                break
        code = member.process.poll()
        if code is None:
            return f"the {member.name} did not end on SIGINT"
        self.listen(0)
        return None if code == 0 else f"the {member.name} ended with {code} on SIGINT\n{member.complaint()}"
