"""Making sockets for one library, and finding out that a thread is asleep."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support import DEADLINE_MS, DEADLINE_S, Task, wait_until

_names = itertools.count()

# How often a thread must be found asleep, one look after the other, to count as blocked.
LOOKS = 5


class Sockets:
    """Sockets of one context, whose calls all have a deadline."""

    def __init__(self, zmq: ModuleType, context: Any) -> None:
        self.zmq = zmq
        self.context = context

    def __call__(self, kind: str, **options: Any) -> Any:
        made = self.context.socket(getattr(self.zmq, kind))
        for name, value in {"linger": 0, "rcvtimeo": DEADLINE_MS, "sndtimeo": DEADLINE_MS, **options}.items():
            setattr(made, name, value)
        return made

    def join(self, binder: Any, connector: Any, endpoint: str | None = None) -> str:
        """Binds one and connects the other, by default over inproc; returns the endpoint."""
        binder.bind(endpoint or inproc())
        resolved: str = binder.last_endpoint.decode()
        connector.connect(resolved)
        return resolved

    def pair(self, first: str = "PAIR", second: str = "PAIR", **options: Any) -> tuple[Any, Any]:
        """Two sockets, joined over inproc."""
        binder, connector = self(first, **options), self(second, **options)
        self.join(binder, connector)
        return binder, connector


def inproc() -> str:
    """A name that no other test uses."""
    return f"inproc://api-{os.getpid()}-{next(_names)}"


def type_name(value: object) -> str:
    """A name for a parameter: repr() may contain an address, which differs between the workers of xdist."""
    return type(value).__name__


def finish(context: Any) -> None:
    """Ends a context with all its sockets; fails instead of hanging."""
    Task(context.destroy, 0).join()


def _is_asleep(stat: Path) -> bool:
    with contextlib.suppress(OSError):
        return stat.read_text().rpartition(")")[2].split()[0] == "S"
    return True  # no /proc on this system, or the thread is gone: nothing to wait for


def wait_asleep(thread_id: int, process_id: int | None = None) -> None:
    """Returns when a thread was seen asleep several times in a row: most likely it blocks in the call under test."""
    stat = Path(f"/proc/{process_id or os.getpid()}/task/{thread_id}/stat")
    seen = 0

    def settled() -> bool:
        nonlocal seen
        seen = seen + 1 if _is_asleep(stat) else 0
        return seen >= LOOKS

    wait_until(settled, what=f"thread {thread_id} falling asleep")


def blocked(function: Any, *args: Any) -> Task:
    """A task that runs the call and, most likely, blocks in it by now."""
    task = Task(function, *args)
    wait_asleep(task.native_id)
    return task


@contextlib.contextmanager
def signalled(handler: Any) -> Iterator[Task]:
    """Within: a thread sends SIGUSR1 to the main thread as soon as that one sleeps. The handler is the caller's."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signal handlers run in the main thread only")
    main_id = threading.get_native_id()
    main_ident = threading.get_ident()

    def send() -> None:
        wait_asleep(main_id)
        signal.pthread_kill(main_ident, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    task = Task(send)
    try:
        yield task
    finally:
        task.join(2 * DEADLINE_S)
        signal.signal(signal.SIGUSR1, before)
