"""A socket as an object: construction, closing, what a closed one says, copies, warnings."""

from __future__ import annotations

import copy
import gc
import pickle
import warnings
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets

# What a closed socket refuses with ENOTSOCK.
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "send": lambda zmq, s: s.send(b"x"),
    "send a frame": lambda zmq, s: s.send(zmq.Frame(b"x")),
    "send without a copy": lambda zmq, s: s.send(b"x", copy=False),
    "send_multipart": lambda zmq, s: s.send_multipart([b"x"]),
    "send_string": lambda zmq, s: s.send_string("x"),
    "send_json": lambda zmq, s: s.send_json(1),
    "send_pyobj": lambda zmq, s: s.send_pyobj(1),
    "recv": lambda zmq, s: s.recv(),
    "recv a frame": lambda zmq, s: s.recv(copy=False),
    "recv_into": lambda zmq, s: s.recv_into(bytearray(1)),
    "recv_multipart": lambda zmq, s: s.recv_multipart(),
    "recv_string": lambda zmq, s: s.recv_string(),
    "bind": lambda zmq, s: s.bind("tcp://127.0.0.1:*"),
    "connect": lambda zmq, s: s.connect("tcp://127.0.0.1:9"),
    "unbind": lambda zmq, s: s.unbind("tcp://127.0.0.1:9"),
    "disconnect": lambda zmq, s: s.disconnect("tcp://127.0.0.1:9"),
    "bind_to_random_port": lambda zmq, s: s.bind_to_random_port("tcp://127.0.0.1"),
    "get": lambda zmq, s: s.get(zmq.LINGER),
    "set": lambda zmq, s: s.set(zmq.LINGER, 0),
    "read an attribute": lambda zmq, s: s.linger,
    "set an attribute": lambda zmq, s: setattr(s, "linger", 0),
    "get_string": lambda zmq, s: s.get_string(zmq.ROUTING_ID),
    "hwm": lambda zmq, s: s.hwm,
    "set_hwm": lambda zmq, s: s.set_hwm(5),
    "fileno": lambda zmq, s: s.fileno(),
    "subscribe": lambda zmq, s: s.subscribe(""),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_closed_socket_refuses(zmq: ModuleType, context: Any, name: str) -> None:
    socket = context.socket(zmq.DEALER)
    socket.close()
    with pytest.raises(zmq.ZMQError) as caught:
        CALLS[name](zmq, socket)
    assert caught.value.errno == zmq.ENOTSOCK


def test_a_closed_socket_cannot_be_polled(zmq: ModuleType, context: Any) -> None:
    socket = context.socket(zmq.DEALER)
    socket.close()
    with pytest.raises(zmq.ZMQError) as caught:
        socket.poll(0)
    assert caught.value.errno == zmq.ENOTSUP


def test_what_a_closed_socket_still_tells(zmq: ModuleType, context: Any) -> None:
    socket = context.socket(zmq.DEALER)
    assert not socket.closed
    socket.close()
    socket.close()
    assert socket.closed
    assert socket.context is context
    assert socket.type == zmq.DEALER
    assert repr(socket).endswith(" closed>")
    assert hash(socket) == hash(socket)


def test_closing_with_a_linger(zmq: ModuleType, context: Any) -> None:
    for linger in (0, 5, -1, None):
        socket = context.socket(zmq.DEALER)
        socket.close(linger=linger)
        assert socket.closed
    socket = context.socket(zmq.DEALER)
    with pytest.raises(TypeError):
        socket.close(linger="long")
    assert not socket.closed
    socket.close()


@pytest.mark.parametrize("size", [5, 3000])
def test_what_was_sent_right_before_closing_without_a_linger(core_sockets: Sockets, size: int) -> None:
    """A flood that the engine lets gather goes as far as the kernel takes it at once."""
    each = 20
    router = core_sockets("ROUTER", rcvhwm=0)
    router.bind("tcp://127.0.0.1:*")
    for _ in range(20):
        dealer = core_sockets("DEALER")
        dealer.connect(router.last_endpoint.decode())
        dealer.send(b"hello")
        router.send_multipart(router.recv_multipart())
        assert dealer.recv() == b"hello"
        for _ in range(each):
            dealer.send(b"x" * size)
        dealer.close(linger=0)
        for _ in range(each):
            assert len(router.recv_multipart()[1]) == size


def test_with(zmq: ModuleType, context: Any) -> None:
    with pytest.raises(ZeroDivisionError), context.socket(zmq.DEALER) as socket:
        assert not socket.closed
        _ = 1 / 0
    assert socket.closed


def test_repr(zmq: ModuleType, context: Any) -> None:
    class Own(zmq.Socket):  # type: ignore[name-defined, misc]
        pass

    with context.socket(zmq.REP) as socket, context.socket(zmq.PUB, socket_class=Own) as own:
        assert repr(socket) == f"<{zmq.__name__}.Socket(zmq.REP) at {hex(id(socket))}>"
        assert "Own(zmq.PUB) at" in repr(own)


@pytest.mark.parametrize("kind", [99, 21, 2**31 - 1])
def test_unknown_types(zmq: ModuleType, context: Any, kind: int) -> None:
    with pytest.raises(zmq.ZMQError) as caught:
        context.socket(kind)
    assert caught.value.errno == zmq.EINVAL


@pytest.mark.parametrize("kind", [12, 15, 20, -2])
def test_draft_types_are_refused(core_sockets: Sockets, kind: int) -> None:
    # pyzmq makes them, and its stable libzmq aborts the process at the first handshake.
    with pytest.raises(core_sockets.zmq.ZMQError) as caught:
        core_sockets.context.socket(kind)
    assert caught.value.errno == core_sockets.zmq.EINVAL


@pytest.mark.parametrize("kind", ["REQ", None, b"x"])
def test_a_type_is_a_number(context: Any, kind: Any) -> None:
    with pytest.raises(TypeError):
        context.socket(kind)


@pytest.mark.parametrize("owner", [None, 5, "context"])
def test_a_socket_needs_a_context(zmq: ModuleType, owner: Any) -> None:
    with pytest.raises(TypeError):
        zmq.Socket(owner, zmq.REQ)


def test_a_socket_made_directly(zmq: ModuleType, context: Any) -> None:
    with zmq.Socket(context, zmq.REQ) as socket:
        assert socket.type == zmq.REQ
        assert socket.context is context
    with pytest.raises(TypeError):
        context.socket(zmq.REQ, no_such_argument=1)


def test_copy_threshold_is_taken(zmq: ModuleType, context: Any) -> None:
    with context.socket(zmq.REQ, copy_threshold=5) as socket:
        assert socket.copy_threshold == 5
    with context.socket(zmq.REQ) as socket:
        assert socket.copy_threshold == zmq.COPY_THRESHOLD


def test_an_unclosed_socket_warns_and_closes(zmq: ModuleType, context: Any) -> None:
    socket = context.socket(zmq.REP)
    endpoint = f"inproc://{id(socket)}-unclosed"
    socket.bind(endpoint)
    gone = weakref.ref(socket)
    with pytest.warns(ResourceWarning, match="Socket"):
        del socket
        gc.collect()
    assert gone() is None
    # Its name is free again, so it was closed.
    with context.socket(zmq.REP) as other:
        other.bind(endpoint)


def test_a_closed_socket_does_not_warn(zmq: ModuleType, context: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        socket = context.socket(zmq.REP)
        socket.close()
        del socket
        gc.collect()


def test_a_failed_construction_leaves_nothing(zmq: ModuleType, context: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(zmq.ZMQError):
            context.socket(99)
        with pytest.raises(TypeError):
            context.socket("REQ")
        gc.collect()
    assert "socket" not in repr(context)


def test_copies_are_handles_of_the_same_socket(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    for duplicate in (copy.copy(sender), copy.deepcopy(sender)):
        duplicate.send(b"by the copy")
        assert receiver.recv() == b"by the copy"
    with pytest.raises(TypeError):
        pickle.dumps(sender)


def test_sockets_are_compared_by_identity(zmq: ModuleType, sockets: Sockets) -> None:
    first, second = sockets.pair()
    assert first == first
    assert first != second
    assert len({first, second, first}) == 2
    assert bool(first)
