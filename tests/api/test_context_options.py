"""Options of a context: what they take, and what becomes of its threads."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets
from tests.support import wait_until

IO_THREADS, MAX_SOCKETS, THREAD_PRIORITY, THREAD_SCHED_POLICY, MAX_MSGSZ = 1, 2, 3, 4, 5
CPU_ADD, CPU_REMOVE, THREAD_NAME_PREFIX, ZERO_COPY_RECV, IPV6, BLOCKY = 7, 8, 9, 10, 42, 70
VALUES = [-(2**31), -2, 0, 1, 2, 5, 1000, 65535, 65536, 2**31 - 1]
OPTIONS = [*range(13), IPV6, BLOCKY, -1, 71, 2**31 - 1]

_prefixes = itertools.count(os.getpid() * 100 % 1_000_000)


@pytest.fixture
def both(core_context: Any) -> Iterator[tuple[Any, Any]]:
    """A context of zmqcore and one of libzmq."""
    zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
    if zmq.zmq_version_info()[:2] != (4, 3) or zmq.DRAFT_API:
        pytest.skip("the table is that of libzmq 4.3 without drafts")
    context = zmq.Context()
    yield core_context, context
    context.destroy(0)


def answer(call: Any, *args: Any) -> Any:
    """The value, or the errno."""
    try:
        return call(*args)
    except Exception as error:
        number = getattr(error, "errno", None)
        if number is None:
            raise
        return -number


@pytest.mark.parametrize("option", OPTIONS)
def test_every_number_answers_as_in_libzmq(both: tuple[Any, Any], option: int) -> None:
    ours, theirs = both
    for value in VALUES:
        # libzmq takes any number for a CPU and starts no thread with it.
        if option == CPU_ADD and value > 1023:
            continue
        accepted = answer(ours.set, option, value)
        assert accepted == answer(theirs.set, option, value), value
        # Unset it reads as -1, for which pyzmq looks at an errno that may be an old one.
        if option != THREAD_SCHED_POLICY or accepted is None:
            assert answer(ours.get, option) == answer(theirs.get, option), value


def test_cpus_are_removed_when_they_were_added(zmq: ModuleType, context: Any) -> None:
    def refused(option: int, number: int) -> bool:
        return bool(answer(context.set, option, number) == -errno.EINVAL)

    assert refused(CPU_REMOVE, 3)
    context.set(CPU_ADD, 3)
    context.set(CPU_ADD, 3)
    context.set(CPU_REMOVE, 3)
    assert refused(CPU_REMOVE, 3)


def test_cpus_that_no_system_has(core_context: Any) -> None:
    for option in (CPU_ADD, CPU_REMOVE):
        assert answer(core_context.set, option, 1024) == -errno.EINVAL


def io_thread(zmq: ModuleType, context: Any) -> int:
    """Starts the I/O thread, which has a name of its own; its number for the system."""
    prefix = next(_prefixes)
    context.set(THREAD_NAME_PREFIX, prefix)
    assert context.get(THREAD_NAME_PREFIX) == prefix
    Sockets(zmq, context)("PULL").bind("tcp://127.0.0.1:*")

    def found() -> int:
        for task in Path("/proc/self/task").iterdir():
            try:
                if (task / "comm").read_text().startswith(f"{prefix}/ZMQbg/"[:15]):
                    return int(task.name)
            except OSError:
                continue
        return 0

    return wait_until(found, what="a thread of that name")


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system shows no threads")


@needs_proc
def test_threads_run_where_they_may(zmq: ModuleType, context: Any) -> None:
    cpu = max(os.sched_getaffinity(0))
    context.set(CPU_ADD, cpu)
    number = io_thread(zmq, context)
    wait_until(lambda: os.sched_getaffinity(number) == {cpu}, what="the affinity")


@needs_proc
def test_threads_run_as_told(zmq: ModuleType, context: Any) -> None:
    context.set(THREAD_SCHED_POLICY, os.SCHED_BATCH)
    number = io_thread(zmq, context)
    wait_until(lambda: os.sched_getscheduler(number) == os.SCHED_BATCH, what="the policy")


@pytest.mark.parametrize(("option", "value"), [(THREAD_SCHED_POLICY, 99), (CPU_ADD, 1023)])
def test_what_the_system_refuses_shows_at_the_first_endpoint(core_sockets: Sockets, option: int, value: int) -> None:
    """libzmq ends the process."""
    core_sockets.context.set(option, value)
    if option == CPU_ADD and value in os.sched_getaffinity(0):
        pytest.skip("a large machine")
    socket = core_sockets("PULL")
    for call, endpoint in ((socket.bind, "tcp://127.0.0.1:*"), (socket.connect, "tcp://127.0.0.1:1")):
        assert answer(call, endpoint) == -errno.EINVAL
    other = core_sockets("PUSH")
    core_sockets.join(socket, other)
    other.send(b"inproc needs no thread")
    assert socket.recv() == b"inproc needs no thread"
