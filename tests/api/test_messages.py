"""Sending and receiving: types of data, multipart messages, text, JSON, pickle, states of the socket types."""

from __future__ import annotations

import array
import errno
import json
import pickle
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, type_name
from tests.support import Task


@pytest.mark.parametrize(
    "data",
    [b"", b"bytes", bytearray(b"array"), memoryview(b"view"), array.array("i", [1, 2, 3]), b"x" * 100_000],
    ids=lambda data: f"{type(data).__name__}-{len(data)}",
)
@pytest.mark.parametrize("copy", [True, False])
def test_any_buffer_is_a_message(sockets: Sockets, data: Any, copy: bool) -> None:
    sender, receiver = sockets.pair()
    sender.send(data, copy=copy)
    received = receiver.recv()
    assert type(received) is bytes
    assert received == bytes(data)


@pytest.mark.parametrize("data", ["text", 5, None, [1], {}, object()], ids=type_name)
@pytest.mark.parametrize("copy", [True, False])
def test_other_types_are_refused(zmq: ModuleType, sockets: Sockets, data: Any, copy: bool) -> None:
    sender, receiver = sockets.pair()
    with pytest.raises(TypeError):
        sender.send(data, copy=copy)
    assert receiver.poll(0) == 0


def test_a_buffer_with_holes_is_refused(sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    with pytest.raises((BufferError, ValueError)):
        sender.send(memoryview(b"abcdef")[::2])
    assert receiver.poll(0) == 0


@pytest.mark.parametrize("copy", [True, False])
def test_a_buffer_that_lies_by_columns_is_sent_as_it_lies(sockets: Sockets, copy: bool) -> None:
    arrays = pytest.importorskip("_testbuffer", reason="a module of CPython's own tests")
    columns = arrays.ndarray(list(range(6)), shape=[2, 3], flags=arrays.ND_FORTRAN, format="B")
    sender, receiver = sockets.pair()
    sender.copy_threshold = 1
    sender.send(columns, copy=copy)
    assert columns.tobytes() == bytes([0, 2, 4, 1, 3, 5])
    assert receiver.recv() == bytes(range(6))


@pytest.mark.parametrize("flags", ["1", None, 1.5, b"x"])
def test_flags_are_ints(zmq: ModuleType, sockets: Sockets, flags: Any) -> None:
    if flags == 1.5 and zmq.__name__ == "zmq":
        pytest.skip("pyzmq cuts floats")
    sender, receiver = sockets.pair()
    with pytest.raises(TypeError):
        sender.send(b"x", flags)
    with pytest.raises(TypeError):
        receiver.recv(flags)


def test_nothing_there(zmq: ModuleType, sockets: Sockets) -> None:
    _, receiver = sockets.pair()
    for receive in (receiver.recv, receiver.recv_multipart, receiver.recv_string, receiver.recv_json):
        with pytest.raises(zmq.Again) as caught:
            receive(zmq.NOBLOCK)
        assert caught.value.errno == zmq.EAGAIN
    with pytest.raises(zmq.Again):
        receiver.recv(copy=False, flags=zmq.DONTWAIT)
    with pytest.raises(zmq.Again):
        receiver.recv_into(bytearray(1), flags=zmq.DONTWAIT)


def test_timeouts(zmq: ModuleType, sockets: Sockets) -> None:
    lonely = sockets("DEALER", rcvtimeo=1, sndtimeo=1)
    with pytest.raises(zmq.Again):
        lonely.recv()
    with pytest.raises(zmq.Again):
        lonely.send(b"nobody there")
    with pytest.raises(zmq.Again):
        lonely.send_multipart([b"nobody", b"there"])


def test_parts(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    sender.send(b"a", zmq.SNDMORE)
    sender.send(b"", flags=zmq.SNDMORE)
    sender.send(b"c")
    assert receiver.recv() == b"a"
    assert receiver.rcvmore == 1
    assert receiver.recv() == b""
    assert receiver.getsockopt(zmq.RCVMORE) == 1
    assert receiver.recv() == b"c"
    assert receiver.rcvmore == 0


@pytest.mark.parametrize("copy", [True, False])
def test_multipart(sockets: Sockets, copy: bool) -> None:
    sender, receiver = sockets.pair()
    sender.send_multipart([b"a", bytearray(b"bc"), memoryview(b"")], copy=copy)
    sender.send_multipart((b"single",), copy=copy)
    assert receiver.recv_multipart() == [b"a", b"bc", b""]
    assert receiver.recv_multipart() == [b"single"]


def test_multipart_takes_the_rest_of_a_message(sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    sender.send_multipart([b"a", b"b", b"c"])
    assert receiver.recv() == b"a"
    assert receiver.recv_multipart() == [b"b", b"c"]


def test_multipart_can_be_the_head_of_a_message(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    sender.send_multipart([b"a", b"b"], zmq.SNDMORE)
    assert receiver.poll(0) == 0
    sender.send(b"c")
    assert receiver.recv_multipart() == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    "parts", [[b"a", "text"], [b"a", 5], "text", b"bytes", 5, None, {"a": 1}, [None]], ids=type_name
)
def test_a_bad_part_sends_nothing(sockets: Sockets, parts: Any) -> None:
    sender, receiver = sockets.pair()
    with pytest.raises(TypeError):
        sender.send_multipart(parts)
    assert receiver.poll(0) == 0
    # Nothing of it is left in the way of the next message either.
    sender.send_multipart([b"next"])
    assert receiver.recv_multipart() == [b"next"]


def test_a_message_without_parts(sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    with pytest.raises((IndexError, ValueError)):
        sender.send_multipart([])
    assert receiver.poll(0) == 0


def test_recv_into(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    for _ in range(5):
        sender.send(b"0123456789")
    buffer = bytearray(12)
    assert receiver.recv_into(buffer) == 10
    assert buffer == b"0123456789\0\0"
    # A message longer than the buffer is cut; its size tells.
    buffer = bytearray(4)
    assert receiver.recv_into(buffer) == 10
    assert buffer == b"0123"
    buffer = bytearray(8)
    assert receiver.recv_into(buffer, nbytes=3) == 10
    assert buffer == b"012\0\0\0\0\0"
    numbers = array.array("i", [0, 0])
    assert receiver.recv_into(numbers) == 10
    assert numbers.tobytes() == b"01234567"
    view = bytearray(6)
    assert receiver.recv_into(memoryview(view)[2:4], flags=zmq.DONTWAIT) == 10
    assert view == b"\0\00001\0\0"[:2] + b"01" + b"\0\0"


@pytest.mark.parametrize(
    ("buffer", "nbytes", "error"),
    [
        (b"read-only", 0, (BufferError, TypeError, ValueError)),
        ("text", 0, (TypeError,)),
        (None, 0, (TypeError,)),
        (memoryview(bytearray(8))[::2], 0, (BufferError, ValueError)),
        (bytearray(4), 5, (ValueError,)),
        (bytearray(4), -1, (ValueError,)),
    ],
    ids=type_name,
)
def test_recv_into_what_cannot_be_filled(
    sockets: Sockets, buffer: Any, nbytes: int, error: tuple[type[Exception], ...]
) -> None:
    sender, receiver = sockets.pair()
    sender.send(b"kept")
    with pytest.raises(error):
        receiver.recv_into(buffer, nbytes=nbytes)
    assert receiver.recv() == b"kept"


def test_text(sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    sender.send_string("größe")
    assert receiver.recv() == "größe".encode()
    sender.send_unicode("größe", encoding="latin-1")
    assert receiver.recv_string(encoding="latin-1") == "größe"
    sender.send_string("größe", copy=False)
    assert receiver.recv_unicode() == "größe"
    with pytest.raises(TypeError):
        sender.send_string(b"bytes")
    sender.send(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        receiver.recv_string()


def test_json(sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    value = {"ö": [1, 2.5, None, True], "nested": {"a": "b"}}
    sender.send_json(value)
    assert json.loads(receiver.recv()) == value
    sender.send_json(value, sort_keys=True, indent=1)
    assert receiver.recv_json(parse_float=str)["ö"] == [1, "2.5", None, True]
    with pytest.raises(TypeError):
        sender.send_json(object())
    sender.send(b"{nonsense")
    with pytest.raises(json.JSONDecodeError):
        receiver.recv_json()
    assert receiver.poll(0) == 0


def test_pickle(sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    value = {"key": (1, b"two", {3})}
    sender.send_pyobj(value)
    assert receiver.recv_pyobj() == value
    sender.send_pyobj(value, protocol=0)
    assert receiver.recv() == pickle.dumps(value, 0)
    sender.send(b"zz")
    with pytest.raises(pickle.UnpicklingError):
        receiver.recv_pyobj()


def test_flags_of_the_typed_sends(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    sender.send_string("a", zmq.SNDMORE)
    sender.send_json("b", zmq.SNDMORE)
    sender.send_pyobj("c", zmq.SNDMORE)
    sender.send(b"d")
    parts = receiver.recv_multipart()
    assert (parts[0], parts[1], pickle.loads(parts[2]), parts[3]) == (b"a", b'"b"', "c", b"d")


@pytest.mark.parametrize("copy", [True, False])
def test_serialized(sockets: Sockets, copy: bool) -> None:
    sender, receiver = sockets.pair()
    sender.send_serialized([1, 22], lambda numbers: [str(number).encode() for number in numbers], copy=copy)
    assert receiver.recv_serialized(lambda parts: [int(bytes(part)) for part in parts], copy=copy) == [1, 22]


@pytest.mark.parametrize("kind", ["SUB", "PULL"])
def test_types_that_do_not_send(zmq: ModuleType, sockets: Sockets, kind: str) -> None:
    socket = sockets(kind)
    for send in (socket.send, lambda data: socket.send_multipart([data])):
        with pytest.raises(zmq.ZMQError) as caught:
            send(b"x")
        assert caught.value.errno == zmq.ENOTSUP


@pytest.mark.parametrize("kind", ["PUB", "PUSH"])
def test_types_that_do_not_receive(zmq: ModuleType, sockets: Sockets, kind: str) -> None:
    with pytest.raises(zmq.ZMQError) as caught:
        sockets(kind).recv()
    assert caught.value.errno == zmq.ENOTSUP


def test_out_of_turn(zmq: ModuleType, sockets: Sockets) -> None:
    server, client = sockets.pair("REP", "REQ")
    for call in (client.recv, lambda: server.send(b"x")):
        with pytest.raises(zmq.ZMQError) as caught:
            call()
        assert caught.value.errno == zmq.EFSM
        assert str(caught.value) == "Operation cannot be accomplished in current state"
    client.send(b"request")
    with pytest.raises(zmq.ZMQError) as caught:
        client.send(b"again")
    assert caught.value.errno == zmq.EFSM
    assert server.recv() == b"request"
    with pytest.raises(zmq.ZMQError) as caught:
        server.recv()
    assert caught.value.errno == zmq.EFSM
    server.send(b"reply")
    assert client.recv() == b"reply"


def test_unroutable(zmq: ModuleType, sockets: Sockets) -> None:
    router = sockets("ROUTER")
    router.send_multipart([b"nobody", b"dropped"])
    router.router_mandatory = 1
    with pytest.raises(zmq.ZMQError) as caught:
        router.send_multipart([b"nobody", b"refused"])
    assert caught.value.errno == errno.EHOSTUNREACH
    assert str(caught.value) == "Host unreachable"


def test_many_messages_in_order(sockets: Sockets) -> None:
    sender, receiver = sockets.pair(sndhwm=0, rcvhwm=0)
    for number in range(5000):
        sender.send(b"%d" % number)
    assert [int(receiver.recv()) for _ in range(5000)] == list(range(5000))


@pytest.mark.parametrize("kinds", [("PUSH", "PULL"), ("XPUB", "SUB")], ids="-".join)
@pytest.mark.parametrize("hwm", [0, 1, 10, 1000])
def test_the_last_messages_of_a_flood_leave_by_themselves(sockets: Sockets, kinds: tuple[str, str], hwm: int) -> None:
    # In a flood the I/O thread or the caller writes, by how much has gathered; afterwards nobody is inside the sender.
    sender, receiver = (sockets(kind, sndhwm=hwm, rcvhwm=hwm) for kind in kinds)
    if kinds[0] == "XPUB":
        sender.setsockopt(sockets.zmq.XPUB_NODROP, 1)
        receiver.setsockopt(sockets.zmq.SUBSCRIBE, b"")
    sockets.join(sender, receiver, "tcp://127.0.0.1:*")
    if kinds[0] == "XPUB":
        assert sender.recv() == b"\x01"
    number = 0
    for count in (3, 90, 600, 2500):
        first = number

        def read(first: int = first, count: int = count) -> None:
            assert [receiver.recv()[:6] for _ in range(count)] == [b"%6d" % i for i in range(first, first + count)]

        reading = Task(read)
        for number in range(first, first + count):
            sender.send(b"%6d" % number + b"f" * (number % 1200))
        number += 1
        reading.join()
