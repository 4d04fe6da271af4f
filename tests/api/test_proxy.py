"""proxy, proxy_steerable and device as calls: arguments, endings, commands. What they forward: tests/interop."""

from __future__ import annotations

import struct
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, blocked, finish, inproc, type_name
from tests.support import Task


@pytest.mark.parametrize("wrong", [5, None, "socket", object()], ids=type_name)
def test_only_sockets(zmq: ModuleType, sockets: Sockets, wrong: Any) -> None:
    front, back = sockets("ROUTER"), sockets("DEALER")
    for call in (
        lambda: zmq.proxy(wrong, back),
        lambda: zmq.proxy(front, wrong),
        lambda: zmq.device(zmq.QUEUE, wrong, back),
        lambda: zmq.proxy_steerable(front, wrong),
    ):
        with pytest.raises(TypeError):
            call()
    if wrong is not None:
        for call in (
            lambda: zmq.proxy(front, back, wrong),
            lambda: zmq.proxy_steerable(front, back, wrong),
            lambda: zmq.proxy_steerable(front, back, None, wrong),
        ):
            with pytest.raises(TypeError):
                call()
    with pytest.raises(TypeError):
        zmq.proxy(front)


def test_closed_sockets(zmq: ModuleType, sockets: Sockets) -> None:
    front, back = sockets("ROUTER"), sockets("DEALER")
    front.close()
    for call in (
        lambda: zmq.proxy(front, back),
        lambda: zmq.proxy(back, front),
        lambda: zmq.device(zmq.QUEUE, front, back),
        lambda: zmq.proxy_steerable(front, back),
    ):
        with pytest.raises(zmq.ZMQError) as caught:
            call()
        assert caught.value.errno in (zmq.EFAULT, zmq.ENOTSOCK)


def test_closed_capture_and_control(core_sockets: Sockets) -> None:
    # pyzmq takes a closed one for none.
    zmq = core_sockets.zmq
    front, back, closed = core_sockets("ROUTER"), core_sockets("DEALER"), core_sockets("PUB")
    closed.close()
    for call in (
        lambda: zmq.proxy(front, back, closed),
        lambda: zmq.proxy_steerable(front, back, closed),
        lambda: zmq.proxy_steerable(front, back, None, closed),
    ):
        with pytest.raises(zmq.ZMQError) as caught:
            call()
        assert caught.value.errno in (zmq.EFAULT, zmq.ENOTSOCK)


def queue(sockets: Sockets) -> tuple[Any, Any, Any, Any]:
    """Frontend, backend, a client and a worker."""
    front, back, client, worker = (sockets(kind) for kind in ("ROUTER", "DEALER", "REQ", "REP"))
    sockets.join(front, client)
    sockets.join(back, worker)
    return front, back, client, worker


def ask(client: Any, worker: Any) -> None:
    client.send(b"question")
    assert worker.recv() == b"question"
    worker.send(b"answer")
    assert client.recv() == b"answer"


@pytest.mark.parametrize("name", ["proxy", "device", "proxy_steerable"])
def test_the_end_of_the_context_ends_it(zmq: ModuleType, name: str) -> None:
    context = zmq.Context()
    front, back, client, worker = queue(Sockets(zmq, context))
    arguments = (zmq.QUEUE, front, back) if name == "device" else (front, back)
    running = blocked(getattr(zmq, name), *arguments)
    ask(client, worker)
    ending = Task(context.term)
    with pytest.raises(zmq.ContextTerminated):
        running.join()
    for socket in (front, back, client, worker):
        socket.close(0)
    ending.join()


def test_capture(zmq: ModuleType) -> None:
    context = zmq.Context()
    sockets = Sockets(zmq, context)
    front, back, client, worker = queue(sockets)
    capture, tap = sockets.pair("PUSH", "PULL")
    running = blocked(zmq.proxy, front, back, capture)
    ask(client, worker)
    forth, away = tap.recv_multipart(), tap.recv_multipart()
    assert (forth[1:], away) == ([b"", b"question"], [forth[0], b"", b"answer"])
    ending = Task(context.term)
    with pytest.raises(zmq.ContextTerminated):
        running.join()
    for socket in (front, back, client, worker, capture, tap):
        socket.close(0)
    ending.join()


@pytest.mark.parametrize("control_kind", ["REP", "PAIR"])
def test_terminate(zmq: ModuleType, sockets: Sockets, control_kind: str) -> None:
    front, back, client, worker = queue(sockets)
    control, operator = sockets.pair(control_kind, "REQ" if control_kind == "REP" else "PAIR")
    running = blocked(zmq.proxy_steerable, front, back, None, control)
    ask(client, worker)
    operator.send(b"STATISTICS")
    counts = [struct.unpack("=Q", part)[0] for part in operator.recv_multipart()]
    # Frames and bytes, in and out at the frontend, then at the backend; the routing id is 5 bytes.
    assert counts == [3, 13, 3, 11, 3, 11, 3, 13]
    operator.send(b"TERMINATE")
    assert running.join() == 0
    # The sockets are the caller's again.
    client.send(b"question")
    assert front.recv_multipart()[1:] == [b"", b"question"]


def test_pause_and_resume(core_sockets: Sockets) -> None:
    # libzmq 4.3.5 has the two exchanged.
    zmq = core_sockets.zmq
    front, back, client, worker = queue(core_sockets)
    control, operator = core_sockets.pair("REP", "REQ")
    running = blocked(zmq.proxy_steerable, front, back, None, control)
    operator.send(b"PAUSE")
    assert operator.recv() == b""
    client.send(b"question")
    assert worker.poll(100) == 0
    operator.send(b"RESUME")
    assert operator.recv() == b""
    assert worker.recv() == b"question"
    worker.send(b"answer")
    assert client.recv() == b"answer"
    # A command is one part: what only begins with one is none.
    for word in (b"TERMINATE", b"PAUSE"):
        operator.send_multipart([word, b""])
        assert operator.recv() == b""
    client.send(b"question")
    assert worker.recv() == b"question"
    operator.send(b"TERMINATE")
    assert running.join() == 0


def test_sockets_of_two_contexts(zmq: ModuleType) -> None:
    first, second = zmq.Context(), zmq.Context()
    left, right = Sockets(zmq, first), Sockets(zmq, second)
    front, client = left.pair("ROUTER", "REQ")
    back, worker = right.pair("DEALER", "REP")
    control, operator = left.pair("PAIR", "PAIR")
    running = blocked(zmq.proxy_steerable, front, back, None, control)
    ask(client, worker)
    operator.send(b"TERMINATE")
    assert running.join() == 0
    finish(first)
    finish(second)


def test_one_socket_as_both_sides(zmq: ModuleType, sockets: Sockets) -> None:
    echo = sockets("ROUTER")
    client = sockets("DEALER")
    sockets.join(echo, client)
    control, operator = sockets.pair()
    running = blocked(zmq.proxy_steerable, echo, echo, None, control)
    client.send_multipart([b"there", b"and back"])
    assert client.recv_multipart() == [b"there", b"and back"]
    operator.send(b"TERMINATE")
    assert running.join() == 0


def test_a_proxy_wakes_up_for_a_late_peer(zmq: ModuleType, sockets: Sockets) -> None:
    front, back, client = sockets("ROUTER"), sockets("DEALER"), sockets("REQ")
    sockets.join(front, client)
    endpoint = inproc()
    back.bind(endpoint)
    control, operator = sockets.pair()
    running = blocked(zmq.proxy_steerable, front, back, None, control)
    client.send(b"question")
    worker = sockets("REP")
    worker.connect(endpoint)
    assert worker.recv() == b"question"
    worker.send(b"answer")
    assert client.recv() == b"answer"
    operator.send(b"TERMINATE")
    assert running.join() == 0
