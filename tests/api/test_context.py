"""The life of a context: instance, term, destroy, shutdown, options, defaults for sockets, fork, garbage."""

from __future__ import annotations

import copy
import errno
import gc
import os
import socket as raw_socket
import subprocess
import sys
import warnings
import weakref
from types import ModuleType
from typing import Any

import pytest

import zmqcore
from tests.api.helpers import Sockets, blocked, finish, inproc
from tests.support import DEADLINE_S, PROJECT, Task


def test_term(zmq: ModuleType) -> None:
    context = zmq.Context()
    assert not context.closed
    context.term()
    assert context.closed
    context.term()
    context.destroy()
    assert repr(context).endswith(" closed>")


def test_what_an_ended_context_refuses(zmq: ModuleType) -> None:
    context = zmq.Context()
    context.term()
    with pytest.raises(zmq.ZMQError) as caught:
        context.socket(zmq.REQ)
    assert caught.value.errno == zmq.ENOTSUP
    with pytest.raises(RuntimeError):
        context.get(zmq.IO_THREADS)
    with pytest.raises(RuntimeError):
        context.set(zmq.IO_THREADS, 1)
    with pytest.raises(zmq.ZMQError):
        zmq.Socket(context, zmq.REQ)


def test_with_closes_everything(zmq: ModuleType) -> None:
    with warnings.catch_warnings(), pytest.raises(ZeroDivisionError), zmq.Context() as context:
        warnings.simplefilter("ignore", ResourceWarning)
        socket = context.socket(zmq.REQ)
        _ = 1 / 0
    assert socket.closed
    assert context.closed


def test_destroy_closes_everything(zmq: ModuleType) -> None:
    context = zmq.Context()
    made = [context.socket(kind) for kind in (zmq.PUB, zmq.PUSH, zmq.ROUTER)]
    made[1].connect("tcp://127.0.0.1:9")
    made[1].send(b"nobody takes this")
    Task(context.destroy, 0).join()
    assert context.closed
    assert all(socket.closed for socket in made)


def test_term_waits_for_sockets(zmq: ModuleType) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.REQ)
    ending = blocked(context.term)
    assert ending.is_running
    socket.close()
    ending.join()
    assert context.closed


def test_term_waits_for_linger(zmq: ModuleType, context: Any) -> None:
    ending = zmq.Context()
    sender = ending.socket(zmq.PUSH)
    with raw_socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        sender.reconnect_ivl = 20
        sender.connect(endpoint)
        sender.send(b"on its way")
        sender.close(-1)
        waiting = blocked(ending.term)
        assert waiting.is_running
    # Only now somebody listens there, takes the message, and lets term() go.
    receiver = Sockets(zmq, context)("PULL")
    receiver.bind(endpoint)
    assert receiver.recv() == b"on its way"
    waiting.join()


CALLS: dict[str, Any] = {
    "recv": ("PULL", lambda zmq, s: s.recv()),
    "recv a frame": ("PULL", lambda zmq, s: s.recv(copy=False)),
    "recv_multipart": ("DEALER", lambda zmq, s: s.recv_multipart()),
    "recv_into": ("DEALER", lambda zmq, s: s.recv_into(bytearray(1))),
    "recv of a reply": ("REP", lambda zmq, s: s.recv()),
    "recv of a subscriber": ("SUB", lambda zmq, s: s.recv()),
    "send": ("PUSH", lambda zmq, s: s.send(b"nobody there")),
    "send_multipart": ("DEALER", lambda zmq, s: s.send_multipart([b"nobody", b"there"])),
    "poll": ("DEALER", lambda zmq, s: s.poll()),
    "Poller.poll": ("DEALER", lambda zmq, s: zmq.zmq_poll([(s, zmq.POLLIN)])),
    "proxy": ("DEALER", lambda zmq, s: zmq.proxy(s, s)),
}


@pytest.mark.parametrize("name", CALLS)
def test_term_ends_blocking_calls(zmq: ModuleType, name: str) -> None:
    kind, call = CALLS[name]
    context = zmq.Context()
    socket = context.socket(getattr(zmq, kind))
    calling = blocked(call, zmq, socket)
    assert calling.is_running
    ending = Task(context.term)
    with pytest.raises(zmq.ContextTerminated) as caught:
        calling.join()
    assert caught.value.errno == zmq.ETERM
    # The socket is unusable from here on, and term() goes on waiting until it is closed.
    for further in (lambda: socket.recv(zmq.DONTWAIT), lambda: socket.get(zmq.EVENTS), lambda: socket.bind(inproc())):
        with pytest.raises(zmq.ContextTerminated):
            further()
    assert ending.is_running
    socket.close()
    ending.join()


def test_a_socket_cannot_be_made_while_the_context_ends(zmq: ModuleType) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    waiting = Task(socket.recv)
    ending = Task(context.term)
    with pytest.raises(zmq.ContextTerminated):
        waiting.join()
    with pytest.raises(zmq.ZMQError) as caught:
        context.socket(zmq.REQ)
    assert caught.value.errno == zmq.ETERM
    socket.close()
    ending.join()


def test_shutdown_ends_calls_without_waiting(core: ModuleType) -> None:
    context = core.Context()
    socket = context.socket(core.PULL)
    calling = blocked(socket.recv)
    context.shutdown()
    with pytest.raises(core.ContextTerminated):
        calling.join()
    context.shutdown()
    with pytest.raises(core.ContextTerminated):
        context.socket(core.PULL)
    socket.close()
    Task(context.term).join()
    assert context.closed


def test_many_contexts(zmq: ModuleType) -> None:
    contexts = [zmq.Context() for _ in range(20)]
    for context in contexts:
        Sockets(zmq, context).pair()
    for context in contexts:
        finish(context)
    assert all(context.closed for context in contexts)


# --- instance --------------------------------------------------------------------------------------------------------


def test_one_instance(zmq: ModuleType) -> None:
    shared = zmq.Context.instance()
    assert zmq.Context.instance() is shared
    assert all(task.join() is shared for task in [Task(zmq.Context.instance) for _ in range(4)])
    finish(shared)
    again = zmq.Context.instance()
    assert again is not shared
    assert not again.closed
    finish(again)


def test_a_subclass_has_an_instance_of_its_own(core: ModuleType) -> None:
    # pyzmq hands out that of the base class when there is one already.
    class Own(core.Context):  # type: ignore[name-defined, misc]
        pass

    base, own = core.Context.instance(), Own.instance()
    assert type(base) is core.Context
    assert type(own) is Own
    assert Own.instance() is own
    finish(own)
    finish(base)


FORK = """
import importlib, os, sys, warnings
warnings.simplefilter("error")
zmq = importlib.import_module(sys.argv[1])
parent = zmq.Context.instance()
kept = parent.socket(zmq.PAIR)
kept.bind("inproc://kept")
child = os.fork()
if child == 0:
    own = zmq.Context.instance()
    assert own is not parent
    a, b = own.socket(zmq.PAIR), own.socket(zmq.PAIR)
    a.bind("inproc://pair")
    b.connect("inproc://pair")
    if zmq.__name__ == "zmqcore":
        # libzmq says EINTR, which callers take for a signal: they try for ever.
        for use in (lambda: kept.send(b""), kept.recv, kept.poll, lambda: parent.socket(zmq.PAIR), kept.stats):
            try:
                use()
            except zmq.ZMQError as error:
                assert error.errno in (zmq.ENOTSOCK, zmq.EFAULT), error
            else:
                raise AssertionError("a parent's socket was used in its child")
    a.send(b"in the child")
    assert b.recv() == b"in the child"
    a.close()
    b.close()
    own.term()
    del kept, parent
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert zmq.Context.instance() is parent
other = parent.socket(zmq.PAIR)
other.connect("inproc://kept")
other.send(b"in the parent")
assert kept.recv() == b"in the parent"
other.close()
kept.close()
parent.term()
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_gets_its_own_instance(zmq: ModuleType) -> None:
    if zmq.__name__ == "zmq" and "LD_PRELOAD" in os.environ:
        pytest.skip("libzmq's threads may hold a lock of the sanitizer's allocator at the fork")
    done = run_script(FORK, zmq.__name__)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def run_script(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, PYTHONPATH=str(PROJECT))
    return subprocess.run(
        [sys.executable, "-c", source, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE_S,
        check=False,
    )


# --- garbage and the end of the process ------------------------------------------------------------------------------


def test_an_unclosed_context_warns_and_ends(zmq: ModuleType) -> None:
    context = zmq.Context()
    gone = weakref.ref(context)
    with pytest.warns(ResourceWarning, match="Context"):
        del context
        gc.collect()
    assert gone() is None


def test_a_socket_keeps_its_context(zmq: ModuleType) -> None:
    sockets = Sockets(zmq, zmq.Context())
    first, second = sockets.pair()
    del sockets
    gc.collect()
    first.send(b"still there")
    assert second.recv() == b"still there"
    finish(first.context)


CYCLE = """
import gc, importlib, sys, warnings
warnings.simplefilter("ignore")
zmq = importlib.import_module(sys.argv[1])
class Holder: pass
for first in ("context", "socket"):
    holder = Holder()
    holder.myself = holder
    if first == "context":
        holder.context = zmq.Context()
        holder.socket = holder.context.socket(zmq.REQ)
    else:
        context = zmq.Context()
        holder.socket = context.socket(zmq.REQ)
        holder.context = context
        del context
    del holder
    gc.collect()
print("done")
"""


def test_a_cycle_of_socket_and_context_is_collected(core: ModuleType) -> None:
    assert run_script(CYCLE, "zmqcore").stdout == "done\n"


LEFT_OPEN = """
import importlib, sys
zmq = importlib.import_module(sys.argv[1])
context = zmq.Context.instance()
socket = context.socket(zmq.PUSH)
socket.connect("tcp://127.0.0.1:9")
socket.send(b"nobody takes this")
print("done")
"""


def test_the_process_ends_with_everything_open(zmq: ModuleType) -> None:
    done = run_script(LEFT_OPEN, zmq.__name__)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_copies_are_handles_of_the_same_context(zmq: ModuleType, context: Any) -> None:
    for duplicate in (copy.copy(context), copy.deepcopy(context)):
        with context.socket(zmq.PAIR) as first, duplicate.socket(zmq.PAIR) as second:
            endpoint = inproc()
            first.bind(endpoint)
            second.connect(endpoint)
            first.send(b"one context")
            assert second.recv() == b"one context"


def test_repr(zmq: ModuleType, context: Any) -> None:
    def text(sockets: str) -> str:
        return f"<{zmq.__name__}.Context({sockets}) at {hex(id(context))}>"

    assert repr(context) == text("")
    with context.socket(zmq.REQ):
        assert repr(context) == text("1 socket")
        with context.socket(zmq.REQ):
            assert repr(context) == text("2 sockets")
    assert repr(context) == text("")


# --- options ---------------------------------------------------------------------------------------------------------


def test_io_threads(zmq: ModuleType) -> None:
    for number in (0, 1, 3):
        context = zmq.Context(number)
        assert context.get(zmq.IO_THREADS) == context.io_threads == context.IO_THREADS == number
        finish(context)
    context = zmq.Context(io_threads=2)
    assert context.io_threads == 2
    finish(context)


def test_without_io_threads_there_is_only_inproc(zmq: ModuleType) -> None:
    context = zmq.Context(0)
    sockets = Sockets(zmq, context)
    first, second = sockets.pair()
    first.send(b"inproc")
    assert second.recv() == b"inproc"
    for call in (first.bind, first.connect):
        with pytest.raises(zmq.ZMQError) as caught:
            call("tcp://127.0.0.1:5555")
        assert caught.value.errno == zmq.EMTHREAD
    finish(context)


@pytest.mark.parametrize("number", [-1, -(2**31)])
def test_a_negative_number_of_threads(zmq: ModuleType, number: int) -> None:
    with pytest.raises(zmq.ZMQError) as caught:
        zmq.Context(number)
    assert caught.value.errno == zmq.EINVAL


@pytest.mark.parametrize("number", ["1", None, b"x", [1]])
def test_the_number_of_threads_is_a_number(zmq: ModuleType, number: Any) -> None:
    with pytest.raises(TypeError):
        zmq.Context(number)


@pytest.mark.parametrize(
    ("name", "default", "good", "bad"),
    [
        ("IO_THREADS", 1, 2, -1),
        ("MAX_SOCKETS", 1023, 5, 0),
        ("MAX_MSGSZ", 2**31 - 1, 1000, -1),
        ("SOCKET_LIMIT", 65535, None, -1),
        ("MSG_T_SIZE", 64, None, 5),
    ],
)
def test_options(zmq: ModuleType, context: Any, name: str, default: int, good: int | None, bad: int) -> None:
    option = getattr(zmq, name)
    assert context.get(option) == default
    with pytest.raises(zmq.ZMQError) as caught:
        context.set(option, bad)
    assert caught.value.errno == zmq.EINVAL
    if good is not None:
        context.set(option, good)
        assert getattr(context, name.lower()) == good
        setattr(context, name, good)
    with pytest.raises(TypeError):
        context.set(option, "text")
    with pytest.raises(TypeError):
        context.set(option, 1.5)
    with pytest.raises(OverflowError):
        context.set(option, 2**40)


def test_unknown_options(zmq: ModuleType, context: Any) -> None:
    for call in (lambda: context.get(999), lambda: context.set(999, 1)):
        with pytest.raises(zmq.ZMQError) as caught:
            call()
        assert caught.value.errno == zmq.EINVAL
    with pytest.raises(TypeError):
        context.get("IO_THREADS")
    for name in ("no_such_option", "REQ", "EAGAIN"):
        with pytest.raises(AttributeError):
            getattr(context, name)
        with pytest.raises(AttributeError):
            setattr(context, name, 1)


def test_max_sockets(zmq: ModuleType, context: Any) -> None:
    context.max_sockets = 3
    made = [context.socket(zmq.REQ) for _ in range(3)]
    with pytest.raises(zmq.ZMQError) as caught:
        context.socket(zmq.REQ)
    assert caught.value.errno == errno.EMFILE
    for socket in made:
        socket.close()


def test_ipv6_and_blocky_are_inherited(zmq: ModuleType, context: Any) -> None:
    assert (context.get(42), context.get(70)) == (0, 1)
    context.set(42, 1)
    context.set(70, 0)
    with context.socket(zmq.DEALER) as socket:
        assert (socket.ipv6, socket.linger) == (1, 0)


# --- default options of sockets --------------------------------------------------------------------------------------


def test_defaults_for_later_sockets(zmq: ModuleType, context: Any) -> None:
    earlier = context.socket(zmq.SUB)
    context.linger = 5
    context.RCVTIMEO = 7
    context.setsockopt(zmq.SUBSCRIBE, b"topic")
    assert (context.linger, context.getsockopt(zmq.RCVTIMEO)) == (5, 7)
    subscriber, dealer = context.socket(zmq.SUB), context.socket(zmq.DEALER)
    assert (subscriber.linger, subscriber.rcvtimeo, subscriber.topics_count) == (5, 7, 1)
    # What a type does not have is left out.
    assert (dealer.linger, dealer.rcvtimeo) == (5, 7)
    assert (earlier.linger, earlier.rcvtimeo, earlier.topics_count) == (0, -1, 0)


def test_defaults_can_be_read_and_replaced(zmq: ModuleType, context: Any) -> None:
    assert context.sockopts == {}
    with pytest.raises(AttributeError):
        _ = context.linger
    with pytest.raises(KeyError):
        context.getsockopt(zmq.LINGER)
    context.linger = 5
    assert context.sockopts == {zmq.LINGER: 5}
    context.sockopts = {zmq.RCVTIMEO: 3}
    assert context.rcvtimeo == 3
    assert not hasattr(context, "linger")


def test_defaults_are_set_while_a_socket_is_made(core: ModuleType, core_context: Any) -> None:
    class Sets(core.Socket):  # type: ignore[misc, name-defined]
        def set(self, option: int, optval: Any) -> None:
            core_context.sockopts[core.RCVTIMEO] = 7
            super().set(option, optval)

    core_context.linger = 5
    with core_context.socket(core.PULL, Sets) as made:
        assert made.linger == 5
    with core_context.socket(core.PULL) as made:
        assert made.rcvtimeo == 7


def test_a_default_can_be_forgotten(core_context: Any) -> None:
    # pyzmq cannot: its __delattr__ never finds the default by its small name.
    core_context.linger = 5
    del core_context.linger
    with core_context.socket(5) as socket:
        assert socket.linger == -1
    with pytest.raises(AttributeError):
        del core_context.linger
    with pytest.raises(AttributeError):
        del core_context.no_such_option


def test_a_default_of_the_wrong_type_shows_when_a_socket_is_made(core_context: Any) -> None:
    core_context.linger = "text"
    with pytest.raises(TypeError):
        core_context.socket(5)
    assert "socket" not in repr(core_context)


def test_attributes_of_a_subclass(zmq: ModuleType) -> None:
    class Named(zmq.Context):  # type: ignore[name-defined, misc]
        label = "none"

    class Own(zmq.Socket):  # type: ignore[name-defined, misc]
        pass

    Named._socket_class = Own
    context = Named()
    context.label = "first"
    with context.socket(zmq.REQ) as socket:
        assert (context.label, type(socket)) == ("first", Own)
    with context.socket(zmq.REQ, socket_class=zmq.Socket) as socket:
        assert type(socket) is zmq.Socket
    with pytest.raises(AttributeError):
        context.other = 1
    finish(context)


def test_close_may_give_less_time_than_disconnect(core_sockets: Sockets) -> None:
    """What lingers for ever after disconnect() ends with close(0)."""
    context = zmqcore.Context()
    with raw_socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        sender = context.socket(zmqcore.PUSH)
        sender.linger = -1
        endpoint = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        sender.connect(endpoint)
        sender.send(b"nobody reads this")
        sender.disconnect(endpoint)
        sender.close(0)
        Task(context.term).join()
