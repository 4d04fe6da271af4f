"""A program as users write it, with the types that a checker must find. Checked, never run."""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

import zmqcore as zmq
from zmqcore.socket import EndpointHold


class OwnSocket(zmq.Socket):
    label: str = ""


def sockets(context: zmq.Context) -> None:
    assert_type(zmq.Context.instance(), zmq.Context)
    with zmq.Context(io_threads=2) as other:
        assert_type(other, zmq.Context)
    socket = context.socket(zmq.REQ)
    assert_type(socket, zmq.Socket)
    assert_type(context.socket(zmq.REQ, socket_class=OwnSocket), OwnSocket)
    assert_type(socket.context, zmq.Context)
    assert_type(socket.type, zmq.SocketType)
    assert_type(socket.closed, bool)
    assert_type(socket.bind("tcp://127.0.0.1:*"), EndpointHold[zmq.Socket])
    with socket.connect(b"inproc://a") as same:
        assert_type(same, zmq.Socket)
    with OwnSocket(context, zmq.PUB) as own, own.bind("inproc://b") as own_again:
        assert_type(own, OwnSocket)
        assert_type(own_again.label, str)
    assert_type(socket.bind_to_random_port("tcp://127.0.0.1"), int)
    context.destroy(linger=0)


def options(socket: zmq.Socket, context: zmq.Context) -> None:
    socket.linger = 0
    socket.SNDHWM = 5
    socket.set(zmq.ROUTING_ID, b"me")
    socket.setsockopt_string(zmq.ROUTING_ID, "me")
    socket.hwm = 5
    assert_type(socket.hwm, int)
    assert_type(socket.get_string(zmq.LAST_ENDPOINT), str)
    assert_type(socket.fileno(), int)
    assert_type(context.get(zmq.IO_THREADS), int)
    context.linger = 0
    assert_type(zmq.REQ, zmq.SocketType)
    assert_type(zmq.SocketOption.LINGER.option_type, zmq.OptionType)


def messages(socket: zmq.Socket, wants_copy: bool) -> None:
    assert_type(socket.send(b"x", zmq.SNDMORE), zmq.MessageTracker | None)
    socket.send(bytearray(b"x"), copy=False)
    socket.send(zmq.Frame(memoryview(b"x")))
    assert_type(socket.recv(), bytes)
    assert_type(socket.recv(zmq.NOBLOCK), bytes)
    assert_type(socket.recv(copy=False), zmq.Frame)
    assert_type(socket.recv(copy=False).get("User-Id"), str)
    assert_type(socket.recv(copy=False).get(zmq.SRCFD), int)
    assert_type(socket.recv(copy=False)["User-Id"], str)
    assert_type(socket.recv(copy=False)[0], int)
    assert_type(socket.recv(0, False), zmq.Frame)
    assert_type(socket.recv(copy=wants_copy), bytes | zmq.Frame)
    socket.send_multipart([b"a", bytearray(b"b"), zmq.Frame()])
    assert_type(socket.recv_multipart(), list[bytes])
    assert_type(socket.recv_multipart(copy=False), list[zmq.Frame])
    assert_type(socket.recv_into(bytearray(5), nbytes=2), int)
    socket.send_string("text", encoding="utf-8")
    assert_type(socket.recv_string(), str)
    socket.send_json({"a": 1}, sort_keys=True)
    assert_type(socket.recv_json(), Any)
    socket.send_serialized(5, lambda number: [b"%d" % number])
    assert_type(socket.recv_serialized(lambda parts: len(parts)), int)
    frame = socket.recv(copy=False)
    assert_type(frame.bytes, bytes)
    assert_type(frame.more, bool)


def waiting(socket: zmq.Socket) -> None:
    assert_type(socket.poll(100), int)
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    assert_type(poller.poll(), list[tuple[Any, int]])
    assert_type(zmq.select([socket], [], [], 0.1), tuple[list[Any], list[Any], list[Any]])


def errors() -> None:
    try:
        zmq.proxy_steerable(zmq.Socket(zmq.Context(), zmq.PULL), zmq.Socket(zmq.Context(), zmq.PUSH))
    except zmq.ContextTerminated as error:
        assert_type(error.errno, int | None)
    except zmq.ZMQError as error:
        assert_type(error.strerror, str)


def mistakes(socket: zmq.Socket, context: zmq.Context) -> None:
    """Each ignore is an error that the checker must find: --strict reports an ignore that is not needed."""
    socket.send("text")  # type: ignore[arg-type]
    socket.send_string(b"bytes")  # type: ignore[arg-type]
    socket.bind(5)  # type: ignore[arg-type]
    socket.recv_into(b"x", 5)  # type: ignore[call-arg]
    context.socket("REQ")  # type: ignore[call-overload]
    zmq.proxy(socket, None)  # type: ignore[arg-type]
    print(zmq.no_such_name)  # type: ignore[attr-defined]
