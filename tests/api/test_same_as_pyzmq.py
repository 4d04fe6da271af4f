"""The same calls on zmqcore and on pyzmq: the same results, exceptions and errnos, for every socket type.

Where an answer differs on purpose the case is not in the tables: docs/differences.md and docs/pyzmq.md name it.
"""

from __future__ import annotations

import importlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.helpers import finish, inproc
from tests.support import DEADLINE_MS

# ZMQCORE_FUZZ_ITERS=… looks further.
FUZZ = os.environ.get("ZMQCORE_FUZZ_ITERS", "")
EXAMPLES = int(FUZZ or "50")

KINDS = ("PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB")

Call = Callable[[Any, Any], Any]


@pytest.fixture(scope="module")
def theirs() -> Any:
    return pytest.importorskip("zmq", reason="pyzmq is not installed")


@pytest.fixture(scope="module")
def ours() -> Any:
    return importlib.import_module("zmqcore")


class World:
    """One library with a context, in which calls are answered."""

    def __init__(self, zmq: Any) -> None:
        self.zmq = zmq
        self.context = zmq.Context()

    def socket(self, kind: str) -> Any:
        made = self.context.socket(getattr(self.zmq, kind))
        made.linger = made.rcvtimeo = made.sndtimeo = 0
        return made

    def answer(self, call: Call, *args: Any) -> Any:
        """What the call gives, in a form that both libraries share."""
        try:
            return shown(self.zmq, call(self.zmq, *args))
        except self.zmq.ZMQError as error:
            return type(error).__name__, error.errno
        except Exception as error:
            return type(error).__name__


def shown(zmq: Any, value: Any) -> Any:
    """A value without what belongs to one library: addresses, classes."""
    if isinstance(value, zmq.Frame):
        return "Frame", bytes(value), value.more
    if isinstance(value, zmq.MessageTracker):
        return "MessageTracker"
    if isinstance(value, (list, tuple)):
        return [shown(zmq, item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str, bytes, dict)):
        return int(value) if isinstance(value, int) else value
    return type(value).__name__ if type(value).__module__ == "builtins" else "object"


@pytest.fixture
def worlds(theirs: Any, ours: Any) -> Iterator[tuple[World, World]]:
    made = World(theirs), World(ours)
    yield made
    for world in made:
        finish(world.context)


BAD_TEXTS: tuple[Any, ...] = ("", "tcp", "tcp://", "foo://x", "inproc://", b"nonsense", None, 7)

# On a socket without peers. Each is called on a new socket of each type.
ALONE: dict[str, Call] = {
    "send": lambda zmq, s: s.send(b"x", zmq.NOBLOCK),
    "send empty": lambda zmq, s: s.send(b"", zmq.DONTWAIT),
    "send a head": lambda zmq, s: s.send(b"x", zmq.NOBLOCK | zmq.SNDMORE),
    "send blocking": lambda zmq, s: s.send(b"x"),
    "send without a copy": lambda zmq, s: s.send(b"x", zmq.NOBLOCK, copy=False),
    "send str": lambda zmq, s: s.send("x"),
    "send None": lambda zmq, s: s.send(None),
    "send int": lambda zmq, s: s.send(5),
    "send list": lambda zmq, s: s.send([b"x"]),
    "send nothing": lambda zmq, s: s.send(),
    "send flags None": lambda zmq, s: s.send(b"x", None),
    "send flags str": lambda zmq, s: s.send(b"x", "1"),
    "send flags huge": lambda zmq, s: s.send(b"x", 2**40),
    "send bad keyword": lambda zmq, s: s.send(b"x", colour=1),
    "send frame": lambda zmq, s: s.send(zmq.Frame(b"x"), zmq.NOBLOCK),
    "send bytearray": lambda zmq, s: s.send(bytearray(b"x"), zmq.NOBLOCK),
    "send_multipart": lambda zmq, s: s.send_multipart([b"x"], zmq.NOBLOCK),
    "send_multipart two": lambda zmq, s: s.send_multipart([b"", b"x"], zmq.NOBLOCK),
    "send_multipart str part": lambda zmq, s: s.send_multipart([b"x", "y"]),
    "send_multipart None part": lambda zmq, s: s.send_multipart([None]),
    "send_multipart None": lambda zmq, s: s.send_multipart(None),
    "send_multipart int": lambda zmq, s: s.send_multipart(3),
    "send_string": lambda zmq, s: s.send_string("x", zmq.NOBLOCK),
    "send_string bytes": lambda zmq, s: s.send_string(b"x"),
    "send_string encoding": lambda zmq, s: s.send_string("é", encoding="ascii"),
    "send_string no encoding": lambda zmq, s: s.send_string("x", encoding="no such"),
    "send_json": lambda zmq, s: s.send_json({"a": [1, None]}, zmq.NOBLOCK),
    "send_json bad": lambda zmq, s: s.send_json(object()),
    "send_pyobj": lambda zmq, s: s.send_pyobj({1: 2}, zmq.NOBLOCK),
    "send_pyobj bad": lambda zmq, s: s.send_pyobj(threading.Lock()),
    "send_serialized": lambda zmq, s: s.send_serialized([b"x"], lambda parts: parts, zmq.NOBLOCK),
    "send_serialized bad": lambda zmq, s: s.send_serialized(1, None),
    "recv": lambda zmq, s: s.recv(zmq.NOBLOCK),
    "recv blocking": lambda zmq, s: s.recv(),
    "recv frame": lambda zmq, s: s.recv(zmq.NOBLOCK, copy=False),
    "recv flags None": lambda zmq, s: s.recv(None),
    "recv flags str": lambda zmq, s: s.recv("x"),
    "recv_multipart": lambda zmq, s: s.recv_multipart(zmq.NOBLOCK),
    "recv_string": lambda zmq, s: s.recv_string(zmq.NOBLOCK),
    "recv_json": lambda zmq, s: s.recv_json(zmq.NOBLOCK),
    "recv_pyobj": lambda zmq, s: s.recv_pyobj(zmq.NOBLOCK),
    "recv_serialized": lambda zmq, s: s.recv_serialized(list, zmq.NOBLOCK),
    "recv_into": lambda zmq, s: s.recv_into(bytearray(4), flags=zmq.NOBLOCK),
    "recv_into bytes": lambda zmq, s: s.recv_into(b"four", flags=zmq.NOBLOCK),
    "recv_into None": lambda zmq, s: s.recv_into(None),
    "recv_into nbytes": lambda zmq, s: s.recv_into(bytearray(4), nbytes=5),
    "recv_into negative": lambda zmq, s: s.recv_into(bytearray(4), nbytes=-1),
    "poll": lambda zmq, s: s.poll(0),
    "poll out": lambda zmq, s: s.poll(0, zmq.POLLOUT),
    "poll both": lambda zmq, s: s.poll(0, zmq.POLLIN | zmq.POLLOUT),
    "poll none": lambda zmq, s: s.poll(0, 0) if hasattr(s, "poll") else None,
    "poll str": lambda zmq, s: s.poll("x"),
    "poll float": lambda zmq, s: s.poll(0.9),
    "Poller": lambda zmq, s: [events for _, events in poller_of(zmq, s).poll(0)],
    "zmq_poll": lambda zmq, s: [events for _, events in zmq.zmq_poll([(s, 3)], 0)],
    "select": lambda zmq, s: [len(found) for found in zmq.select([s], [s], [s], 0)],
    "events": lambda zmq, s: s.events,
    "type": lambda zmq, s: s.type,
    "rcvmore": lambda zmq, s: s.rcvmore,
    "closed": lambda zmq, s: s.closed,
    "subscribe": lambda zmq, s: s.subscribe("x"),
    "subscribe bytes": lambda zmq, s: s.subscribe(b"x"),
    "subscribe int": lambda zmq, s: s.subscribe(5),
    "unsubscribe": lambda zmq, s: s.unsubscribe("x"),
    "set subscribe": lambda zmq, s: s.set(zmq.SUBSCRIBE, b"x"),
    "set subscribe str": lambda zmq, s: s.set(zmq.SUBSCRIBE, "x"),
    "get subscribe": lambda zmq, s: s.get(zmq.SUBSCRIBE),
    "set unknown": lambda zmq, s: s.set(9999, 1),
    "get unknown": lambda zmq, s: s.get(9999),
    "set str": lambda zmq, s: s.set("linger", 1),
    "get str": lambda zmq, s: s.get("linger"),
    "set linger None": lambda zmq, s: s.set(zmq.LINGER, None),
    "set linger bytes": lambda zmq, s: s.set(zmq.LINGER, b"1234"),
    "set routing id int": lambda zmq, s: s.set(zmq.ROUTING_ID, 5),
    "set routing id empty": lambda zmq, s: s.set(zmq.ROUTING_ID, b""),
    "set routing id long": lambda zmq, s: s.set(zmq.ROUTING_ID, b"x" * 256),
    "set_string": lambda zmq, s: (s.set_string(zmq.ROUTING_ID, "é"), s.get_string(zmq.ROUTING_ID)),
    "set_string bytes": lambda zmq, s: s.set_string(zmq.ROUTING_ID, b"x"),
    "get_string int": lambda zmq, s: s.get_string(zmq.LINGER),
    "hwm": lambda zmq, s: (s.set_hwm(5), s.get_hwm(), s.hwm, s.rcvhwm),
    "hwm negative": lambda zmq, s: s.set_hwm(-1),
    "attribute": lambda zmq, s: s.colour,
    "set attribute": lambda zmq, s: setattr(s, "colour", 1),
    "bind and unbind": lambda zmq, s: bind_and_unbind(s),
    "connect and disconnect": lambda zmq, s: connect_and_disconnect(s),
    "bind in use": lambda zmq, s: bind_twice(s, inproc()),
    "bind tcp in use": lambda zmq, s: bind_twice(s, "tcp://127.0.0.1:*"),
    "bind_to_random_port": lambda zmq, s: s.bind_to_random_port("tcp://127.0.0.1") > 0,
    "bind_to_random_port bad": lambda zmq, s: s.bind_to_random_port("foo://127.0.0.1"),
    "bind_to_random_port empty": lambda zmq, s: s.bind_to_random_port("tcp://127.0.0.1", 5, 5),
    "monitor": lambda zmq, s: s.monitor(inproc(), zmq.EVENT_ALL),
    "monitor tcp": lambda zmq, s: s.monitor("tcp://127.0.0.1:*", zmq.EVENT_ALL),
    "monitor nothing": lambda zmq, s: s.monitor(None, 0),
    "monitor int": lambda zmq, s: s.monitor(5),
    "disable_monitor": lambda zmq, s: s.disable_monitor(),
    "close": lambda zmq, s: (s.close(), s.close(5), s.closed),
    "close str": lambda zmq, s: s.close("x"),
    "with": lambda zmq, s: s.__enter__() is s,
    "context": lambda zmq, s: s.context.closed,
    "hash": lambda zmq, s: hash(s) == hash(s) and s == s,
    "len": lambda zmq, s: len(s),
    "iterate": lambda zmq, s: iter(s),
}


def endpoint_call(verb: str, text: Any) -> Call:
    return lambda zmq, socket: getattr(socket, verb)(text)


ALONE.update(
    (f"{verb} {text!r}", endpoint_call(verb, text))
    for verb, text in itertools.product(("bind", "connect", "unbind", "disconnect"), BAD_TEXTS)
)


def poller_of(zmq: Any, socket: Any) -> Any:
    made = zmq.Poller()
    made.register(socket)
    return made


def bind_and_unbind(socket: Any) -> Any:
    socket.bind("tcp://127.0.0.1:*")
    return socket.unbind(socket.last_endpoint), socket.unbind(socket.last_endpoint)


def connect_and_disconnect(socket: Any) -> Any:
    socket.connect("tcp://127.0.0.1:9")
    return socket.disconnect("tcp://127.0.0.1:9"), socket.disconnect("tcp://127.0.0.1:9")


def bind_twice(socket: Any, endpoint: str) -> None:
    socket.bind(endpoint)
    socket.bind(socket.last_endpoint)


@pytest.mark.parametrize("name", ALONE)
def test_a_socket_alone(worlds: tuple[World, World], name: str) -> None:
    for kind in KINDS:
        theirs, ours = (world.answer(ALONE[name], world.socket(kind)) for world in worlds)
        assert ours == theirs, kind


# --- what is no socket ---------------------------------------------------------------------------------------------


def ended(zmq: Any) -> Any:
    made = zmq.Context()
    made.term()
    return made


def told(error: Any) -> Any:
    """What a program can read from an exception."""
    return type(error).__name__, error.errno, error.strerror, str(error), repr(error)


def waited(tracker: Any, *args: Any) -> Any:
    return tracker.done, tracker.wait(*args)


REST: dict[str, Callable[[Any, Any], Any]] = {
    "Context str": lambda zmq, c: zmq.Context("x"),
    "Context negative": lambda zmq, c: zmq.Context(-1),
    "Context.get": lambda zmq, c: [c.get(option) for option in (zmq.IO_THREADS, zmq.MAX_SOCKETS, zmq.SOCKET_LIMIT)],
    "Context.get unknown": lambda zmq, c: c.get(999),
    "Context.get str": lambda zmq, c: c.get("io_threads"),
    "Context.set": lambda zmq, c: (c.set(zmq.IO_THREADS, 2), c.get(zmq.IO_THREADS), c.io_threads),
    "Context.set negative": lambda zmq, c: c.set(zmq.IO_THREADS, -1),
    "Context.set no sockets": lambda zmq, c: c.set(zmq.MAX_SOCKETS, 0),
    "Context.set unknown": lambda zmq, c: c.set(999, 1),
    "Context.set str": lambda zmq, c: c.set(zmq.IO_THREADS, "1"),
    "Context.set None": lambda zmq, c: c.set(zmq.IO_THREADS, None),
    "Context attribute": lambda zmq, c: (setattr(c, "linger", 5), c.linger, c.socket(zmq.PUB).linger),
    "Context attribute unset": lambda zmq, c: c.linger,
    "Context attribute unknown": lambda zmq, c: setattr(c, "colour", 5),
    "Context attribute deleted": lambda zmq, c: (setattr(c, "linger", 5), delattr(c, "linger"), c.linger),
    "Context.setsockopt": lambda zmq, c: (c.setsockopt(zmq.SNDHWM, 7), c.getsockopt(zmq.SNDHWM), c.socket(1).sndhwm),
    "Context.getsockopt unset": lambda zmq, c: c.getsockopt(zmq.SNDHWM),
    "Context default of another type": lambda zmq, c: (c.setsockopt(zmq.SUBSCRIBE, b""), c.socket(zmq.REQ).closed),
    "Context default bad": lambda zmq, c: (c.setsockopt(zmq.SNDHWM, "x"), c.socket(zmq.REQ)),
    "Context.socket str": lambda zmq, c: c.socket("REQ"),
    "Context.socket None": lambda zmq, c: c.socket(None),
    "Context.socket unknown": lambda zmq, c: c.socket(77),
    "Context.socket keyword": lambda zmq, c: c.socket(zmq.REQ, colour=1),
    "Context.destroy": lambda zmq, c: (c.socket(zmq.REQ), c.destroy(), c.closed, c.destroy(), c.term()),
    "Context.destroy linger": lambda zmq, c: (c.socket(zmq.REQ), c.destroy(linger=0), c.closed),
    "Context.term twice": lambda zmq, c: (c.term(), c.term(), c.closed),
    "ended Context.socket": lambda zmq, c: ended(zmq).socket(zmq.REQ),
    "ended Context.get": lambda zmq, c: ended(zmq).get(zmq.IO_THREADS),
    "ended Context.set": lambda zmq, c: ended(zmq).set(zmq.IO_THREADS, 1),
    "Context with": lambda zmq, c: c.__enter__() is c,
    "Frame": lambda zmq, c: [zmq.Frame(), zmq.Frame(b""), zmq.Frame(b"ab"), zmq.Frame(bytearray(b"x"))],
    "Frame str": lambda zmq, c: zmq.Frame("x"),
    "Frame int": lambda zmq, c: zmq.Frame(5),
    "Frame parts": lambda zmq, c: (zmq.Frame(b"abc").bytes, bytes(zmq.Frame(b"abc").buffer), len(zmq.Frame(b"abc"))),
    "Frame and others": lambda zmq, c: (zmq.Frame(b"a") == b"a", zmq.Frame(b"a") == zmq.Frame(b"b"), zmq.Frame() != 0),
    "Frame.get": lambda zmq, c: zmq.Frame(b"a").get(zmq.MORE),
    "Frame.get unknown": lambda zmq, c: zmq.Frame(b"a").get(77),
    "Frame.set": lambda zmq, c: zmq.Frame(b"a").set(zmq.MORE, 1),
    "Frame tracker": lambda zmq, c: (zmq.Frame(b"a").tracker, zmq.Frame(b"a", track=True).tracker.done),
    "MessageTracker": lambda zmq, c: (*waited(zmq.MessageTracker()), *waited(zmq.MessageTracker(), 0)),
    "MessageTracker set": lambda zmq, c: waited(zmq.MessageTracker(event(True), zmq.MessageTracker(event(True))), 1),
    "MessageTracker unset": lambda zmq, c: waited(zmq.MessageTracker(event(True), zmq.MessageTracker(event(False))), 0),
    "MessageTracker int": lambda zmq, c: zmq.MessageTracker(5),
    "MessageTracker untracked": lambda zmq, c: zmq.MessageTracker(zmq.Frame(b"x")),
    "strerror": lambda zmq, c: [zmq.strerror(number) for number in (0, 2, 11, 22, zmq.EFSM, zmq.ETERM, 99999)],
    "strerror str": lambda zmq, c: zmq.strerror("x"),
    "errors": lambda zmq, c: [
        told(zmq.ZMQError(11)),
        told(zmq.ZMQError(zmq.EFSM, "text")),
        told(zmq.ZMQError("text")),
        told(zmq.ZMQError("text", "more")),
        told(zmq.Again()),
        told(zmq.Again(5, "text")),
        told(zmq.ContextTerminated()),
    ],
    "has": lambda zmq, c: (zmq.has("ipc"), zmq.has("nonsense")),
    "has int": lambda zmq, c: zmq.has(5),
    "version": lambda zmq, c: (zmq.zmq_version(), zmq.zmq_version_info()),
    "Poller": lambda zmq, c: polled(zmq, c),
    "Poller.unregister unknown": lambda zmq, c: zmq.Poller().unregister(5),
    "Poller.register list": lambda zmq, c: zmq.Poller().register([]),
    "Poller.poll str": lambda zmq, c: zmq.Poller().poll("x"),
    "Poller without sockets": lambda zmq, c: zmq.Poller().poll(0),
    "Poller object": lambda zmq, c: (polling := zmq.Poller(), polling.register(object()), polling.poll(0)),
    "Poller fd": lambda zmq, c: (polling := zmq.Poller(), polling.register(-1), polling.poll(0))[2],
    "zmq_poll None": lambda zmq, c: zmq.zmq_poll(None),
    "zmq_poll short": lambda zmq, c: zmq.zmq_poll([(5,)], 0),
    "zmq_poll events": lambda zmq, c: zmq.zmq_poll([(c.socket(zmq.PUB), "x")], 0),
    "select": lambda zmq, c: zmq.select([], [], [], 0),
    "select object": lambda zmq, c: zmq.select([object()], [], [], 0),
    "proxy None": lambda zmq, c: zmq.proxy(None, None),
    "proxy int": lambda zmq, c: zmq.proxy(c.socket(zmq.PULL), 5),
    "proxy_steerable None": lambda zmq, c: zmq.proxy_steerable(None, None, None, None),
    "instance": lambda zmq, c: (zmq.Context.instance() is zmq.Context.instance(), zmq.Context.instance().term()),
}


def event(is_set: bool) -> threading.Event:
    made = threading.Event()
    if is_set:
        made.set()
    return made


def polled(zmq: Any, context: Any) -> Any:
    """The list of a poller after each change of it."""
    poller, names = zmq.Poller(), {context.socket(zmq.PUB): "a", context.socket(zmq.PULL): "b"}
    first, second = names
    seen = []
    for change in (
        lambda: poller.register(first),
        lambda: poller.register(second, zmq.POLLIN),
        lambda: poller.modify(first, zmq.POLLOUT),
        lambda: poller.register(first, 0),
        lambda: poller.register(first, 0),
        lambda: poller.register(first, zmq.POLLIN),
        lambda: poller.unregister(second),
    ):
        change()
        seen.append([(names[socket], events) for socket, events in poller.sockets])
        seen.append([(names[socket], events) for socket, events in poller.poll(0)])
        seen.append([socket in poller for socket in names])
    return seen


@pytest.mark.parametrize("name", REST)
def test_what_is_no_socket(worlds: tuple[World, World], name: str) -> None:
    theirs, ours = (world.answer(REST[name], world.context) for world in worlds)
    assert ours == theirs


# --- two sockets ---------------------------------------------------------------------------------------------------

PAIRS = (
    ("PAIR", "PAIR"),
    ("PUSH", "PULL"),
    ("REQ", "REP"),
    ("REQ", "ROUTER"),
    ("DEALER", "REP"),
    ("DEALER", "ROUTER"),
    ("DEALER", "DEALER"),
    ("ROUTER", "ROUTER"),
    ("PUB", "SUB"),
    ("PUB", "XSUB"),
    ("XPUB", "SUB"),
    ("XPUB", "XSUB"),
)

# Subscriptions as messages stand alone: libzmq loses the rest of a message that has one among its parts.
PARTS = st.one_of(
    st.lists(st.sampled_from([b"", b"a", b"b", b"first", b"x" * 300]), min_size=1, max_size=3),
    st.sampled_from([[b"\1a"], [b"\0a"]]),
)
ENDS = st.integers(0, 1)
STEPS = st.one_of(
    st.tuples(st.just("send"), ENDS, st.sampled_from([b"", b"a", b"second"]), st.booleans()),
    st.tuples(st.just("send_multipart"), ENDS, PARTS, st.booleans()),
    st.tuples(st.just("recv"), ENDS, st.booleans()),
    st.tuples(st.just("recv_multipart"), ENDS, st.booleans()),
    st.tuples(st.just("recv_into"), ENDS, st.sampled_from([0, 1, 4])),
    st.tuples(st.just("rcvmore"), ENDS),
    st.tuples(st.just("subscribe"), ENDS, st.sampled_from([b"", b"a", b"b"])),
    st.tuples(st.just("unsubscribe"), ENDS, st.sampled_from([b"", b"a", b"b"])),
)


# Set on both ends before they are joined; what a type refuses, it refuses in both libraries.
OPTIONS = st.lists(
    st.tuples(
        ENDS,
        st.sampled_from(
            [
                "INVERT_MATCHING",
                "PROBE_ROUTER",
                "REQ_RELAXED",
                "XPUB_VERBOSE",
                "XPUB_VERBOSER",
            ]
        ),
    ),
    max_size=3,
)


def do(zmq: Any, sockets: list[Any], step: tuple[Any, ...]) -> Any:
    """One step on one of two sockets. What was sent is there when send returns: they are joined over inproc."""
    name, end, *args = step
    socket = sockets[end]
    if name.startswith("send") and socket.type in (zmq.PUB, zmq.XPUB, zmq.XSUB):
        args[1] = False  # libzmq looks for subscribers at the first part, zmqcore when the message is whole
    if name == "send":
        return socket.send(args[0], zmq.NOBLOCK | (zmq.SNDMORE if args[1] else 0))
    if name == "send_multipart":
        return socket.send_multipart(args[0], zmq.NOBLOCK | (zmq.SNDMORE if args[1] else 0))
    if name == "recv":
        return socket.recv(zmq.NOBLOCK, copy=args[0])
    if name == "recv_multipart":
        return socket.recv_multipart(zmq.NOBLOCK, copy=args[0])
    if name == "recv_into":
        buffer = bytearray(4)
        return socket.recv_into(buffer, nbytes=args[0], flags=zmq.NOBLOCK), bytes(buffer)
    if name == "rcvmore":
        return socket.rcvmore
    return getattr(socket, name)(args[0])


def set_option(zmq: Any, sockets: list[Any], end: int, name: str) -> None:
    if name == "PROBE_ROUTER" and sockets[end].type == zmq.REP:
        return  # libzmq sends a probe to the DEALER, which is no ROUTER
    sockets[end].set(getattr(zmq, name), 1)


def events(zmq: Any, socket: Any) -> int:
    """What poll() tells, without what differs."""
    wanted = zmq.POLLIN | zmq.POLLOUT
    if socket.type == zmq.REP:
        wanted = zmq.POLLOUT  # in libzmq readable also for a malformed request, which recv then skips
    found: int = socket.poll(0, wanted) if wanted else 0
    return found


@pytest.mark.parametrize("kinds", PAIRS, ids=":".join)
@given(options=OPTIONS, steps=st.lists(STEPS, min_size=1, max_size=12))
@settings(
    max_examples=EXAMPLES,
    derandomize=not FUZZ,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_two_sockets(
    worlds: tuple[World, World], kinds: tuple[str, str], options: list[tuple[int, str]], steps: list[tuple[Any, ...]]
) -> None:
    """Any steps on two sockets that are joined over inproc have the same answers in both libraries."""
    seen = []
    for world in worlds:
        sockets = [world.socket(kind) for kind in kinds]
        try:
            for name, socket in zip(("first", "second"), sockets, strict=True):
                if socket.type in (world.zmq.ROUTER, world.zmq.DEALER, world.zmq.REQ):
                    socket.routing_id = name.encode()
            answers: list[Any] = [world.answer(set_option, sockets, *option) for option in options]
            endpoint = inproc()
            sockets[0].bind(endpoint)
            sockets[1].connect(endpoint)
            for step in steps:
                # libzmq attaches peers and takes in subscriptions only inside of calls.
                for socket in (*sockets, *sockets):
                    socket.poll(0)
                answers.append((step, world.answer(do, sockets, step), [events(world.zmq, s) for s in sockets]))
            seen.append(answers)
        finally:
            for socket in sockets:
                socket.close(0)
    for answer, wanted in zip(seen[1], seen[0], strict=True):
        assert answer == wanted


@pytest.mark.parametrize("asker", ["REQ", "DEALER"])
def test_no_turn_to_send_before_the_last_part(worlds: tuple[World, World], asker: str) -> None:
    """A REP that has taken only a part of the request cannot answer, and says so in its events."""
    for world in worlds:
        zmq = world.zmq
        first, second = world.socket(asker), world.socket("REP")
        endpoint = inproc()
        second.bind(endpoint)
        first.connect(endpoint)
        first.send_multipart([b"", b"1", b"2"] if asker == "DEALER" else [b"1", b"2"])
        second.rcvtimeo = DEADLINE_MS
        assert second.recv() == b"1"
        assert second.poll(0, zmq.POLLOUT) == 0
        assert world.answer(do, [first, second], ("send", 1, b"x", False)) == ("ZMQError", zmq.EFSM)
        assert second.recv() == b"2"
        assert second.poll(0, zmq.POLLOUT) == zmq.POLLOUT
