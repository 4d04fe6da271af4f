"""send_many and recv_many: many messages in one call."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

import zmqcore
from tests.api.helpers import Sockets, type_name
from tests.support import Task, wait_until

ENDPOINTS = ["tcp://127.0.0.1:*", "ipc://*", "inproc://batches"]


def take(socket: Any, count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        found += socket.recv_many(count - len(found))
    return found


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("kinds", [("PUSH", "PULL"), ("DEALER", "DEALER"), ("PAIR", "PAIR")], ids="-".join)
def test_messages_of_all_forms_arrive_in_order(core_sockets: Sockets, kinds: tuple[str, str], endpoint: str) -> None:
    sender, receiver = core_sockets(kinds[0]), core_sockets(kinds[1])
    core_sockets.join(receiver, sender, endpoint)
    given: list[Any] = [
        b"",
        bytearray(b"array"),
        memoryview(b"view"),
        zmqcore.Frame(b"frame"),
        [b"one part"],
        (b"two", b"parts"),
        [b"", b"x" * 9000, zmqcore.Frame(b"z" * 100_000)],
        b"large" * 50_000,
    ]
    for _ in range(20):
        assert sender.send_many(given) == len(given)
        assert take(receiver, len(given)) == [
            b"",
            b"array",
            b"view",
            b"frame",
            b"one part",
            [b"two", b"parts"],
            [b"", b"x" * 9000, b"z" * 100_000],
            b"large" * 50_000,
        ]


def test_a_libzmq_peer_sees_no_difference(core_sockets: Sockets) -> None:
    pyzmq = pytest.importorskip("zmq")
    sender = core_sockets("DEALER")
    sender.bind("tcp://127.0.0.1:*")
    with pyzmq.Context() as context, context.socket(pyzmq.DEALER) as peer:
        peer.rcvtimeo = peer.sndtimeo = 10_000
        peer.linger = 0
        peer.connect(sender.last_endpoint.decode())
        assert sender.send_many([b"%d" % i if i % 3 else [b"%d" % i, b"more"] for i in range(500)]) == 500
        for i in range(500):
            assert peer.recv_multipart() == ([b"%d" % i] if i % 3 else [b"%d" % i, b"more"])
            peer.send(b"back %d" % i)
        assert take(sender, 500) == [b"back %d" % i for i in range(500)]


def test_the_generator_is_read_to_its_end_before_anything_is_sent(core_sockets: Sockets) -> None:
    sender, receiver = core_sockets.pair()

    def broken() -> Any:
        yield b"first"
        raise KeyError("in the generator")

    with pytest.raises(KeyError):
        sender.send_many(broken())
    for wrong in ("text", 5, None, [b"a", "text"]):
        with pytest.raises(TypeError, match="message 1"):
            sender.send_many([b"first", wrong])
    with pytest.raises(ValueError, match="message 1: .* part"):
        sender.send_many([b"first", []])
    with pytest.raises(BufferError, match="message 1: "):
        sender.send_many([b"first", memoryview(b"abcd")[::2]])
    assert sender.send_many([]) == 0
    assert sender.send_many(b"%d" % i for i in range(3)) == 3
    assert take(receiver, 3) == [b"0", b"1", b"2"]


def test_at_most_so_many(core_sockets: Sockets) -> None:
    sender, receiver = core_sockets.pair()
    sender.send_many([b"%d" % i for i in range(10)])
    assert receiver.recv_many(1) == [b"0"]
    assert take(receiver, 4) == [b"1", b"2", b"3", b"4"]
    assert take(receiver, 5) == [b"5", b"6", b"7", b"8", b"9"]
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="max_messages"):
            receiver.recv_many(wrong)
    with pytest.raises(zmqcore.Again):
        receiver.recv_many(3, zmqcore.DONTWAIT)
    receiver.rcvtimeo = 10
    with pytest.raises(zmqcore.Again):
        receiver.recv_many(10**18)


def test_a_full_queue_takes_what_it_can(core_sockets: Sockets) -> None:
    sender, receiver = core_sockets("PUSH"), core_sockets("PULL")
    sender.sndhwm = receiver.rcvhwm = 5
    receiver.bind("inproc://full")
    sender.connect("inproc://full")
    sent = sender.send_many([b"%d" % i for i in range(100)], zmqcore.DONTWAIT)
    assert sent == 10
    with pytest.raises(zmqcore.Again):
        sender.send_many([b"more"], zmqcore.DONTWAIT)
    waiting = Task(lambda: sender.send_many([b"%d" % i for i in range(10, 1000)]))
    assert take(receiver, 1000) == [b"%d" % i for i in range(1000)]
    assert waiting.join() == 990


def test_parts_that_recv_has_left_come_first(core_sockets: Sockets) -> None:
    sender, receiver = core_sockets.pair()
    sender.send_many([[b"a", b"b", b"c"], b"d"])
    assert receiver.recv() == b"a"
    assert take(receiver, 2) == [[b"b", b"c"], b"d"]


def test_states_and_types(core_sockets: Sockets) -> None:
    request, reply = core_sockets("REQ"), core_sockets("REP")
    core_sockets.join(reply, request, "inproc://states")
    assert request.send_many([b"one", b"two"]) == 1
    assert take(reply, 1) == [b"one"]
    with pytest.raises(zmqcore.ZMQError) as failed:
        reply.recv_many(1)
    assert failed.value.errno == zmqcore.EFSM
    assert reply.send_many([b"answer"]) == 1
    assert request.recv_many(5) == [b"answer"]
    for socket, call in ((core_sockets("PULL"), "send_many"), (core_sockets("PUSH"), "recv_many")):
        with pytest.raises(zmqcore.ZMQError) as failed:
            getattr(socket, call)([b"x"] if call == "send_many" else 1)
        assert failed.value.errno == zmqcore.ENOTSUP
        socket.close()
        with pytest.raises(zmqcore.ZMQError) as failed:
            getattr(socket, call)([b"x"] if call == "send_many" else 1)
        assert failed.value.errno == zmqcore.ENOTSOCK
    sender, _ = core_sockets.pair()
    with pytest.raises(zmqcore.ZMQError) as failed:
        sender.send_many([b"x"], zmqcore.SNDMORE)
    assert failed.value.errno == zmqcore.EINVAL
    sender.send(b"begun", zmqcore.SNDMORE)
    with pytest.raises(zmqcore.ZMQError) as failed:
        sender.send_many([b"x"])
    assert failed.value.errno == zmqcore.EFSM


@pytest.mark.parametrize("call", [lambda s: s.recv_many(5), lambda s: s.send_many([b"nobody"])], ids=type_name)
def test_the_end_of_the_context_ends_them(core_sockets: Sockets, call: Any) -> None:
    context = zmqcore.Context()
    socket = context.socket(zmqcore.DEALER)
    waiting = Task(lambda: pytest.raises(zmqcore.ContextTerminated, call, socket) and socket.close(0))
    context.term()
    waiting.join()


def test_threads_that_share_a_socket_get_every_message_once(core_sockets: Sockets) -> None:
    sender, receiver = core_sockets("PUSH"), core_sockets("PULL")
    core_sockets.join(receiver, sender, "tcp://127.0.0.1:*")
    found: list[bytes] = []
    lock = threading.Lock()

    def read() -> None:
        while True:
            got = receiver.recv_many(7)
            with lock:
                found.extend(message for message in got if message != b"end")
            if b"end" in got:
                # Those behind it are the other readers'.
                for _ in range(got.count(b"end") - 1):
                    sender.send(b"end")
                return

    readers = [Task(read) for _ in range(3)]
    writers = [Task(lambda n=n: sender.send_many([b"%d %d" % (n, i) for i in range(2000)])) for n in range(3)]
    for writer in writers:
        assert writer.join() == 2000
    for _ in readers:
        sender.send(b"end")
    for reader in readers:
        reader.join()
    assert sorted(found) == sorted(b"%d %d" % (n, i) for n in range(3) for i in range(2000))


def test_large_bytes_are_not_copied_and_released(core_sockets: Sockets) -> None:
    sender, receiver = core_sockets.pair()
    data = b"p" * 200_000
    counted = sys.getrefcount(data)
    assert sender.send_many([data, [data, b"x"]]) == 2
    assert take(receiver, 2) == [data, [data, b"x"]]
    wait_until(lambda: sys.getrefcount(data) == counted, what="the release of the bytes")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_long_batches_beyond_the_marks_keep_their_order(core_sockets: Sockets, endpoint: str) -> None:
    # Small ones, ones of other forms in between, and sizes up to where the short way ends: 20,000 of them, in one call.
    sender, receiver = core_sockets("PUSH"), core_sockets("PULL")
    sender.sndhwm, receiver.rcvhwm = 700, 300
    core_sockets.join(receiver, sender, endpoint)
    given: list[Any] = []
    for i in range(20_000):
        body = b"%d:" % i + b"b" * (i % 97 if i % 1000 else 2040 + i // 1000)
        given.append([body, b"more"] if i % 1501 == 0 else body)
    sending = Task(lambda: sender.send_many(given))
    assert take(receiver, len(given)) == given
    assert sending.join() == len(given)


def test_the_peers_of_a_batch_take_turns(core_sockets: Sockets) -> None:
    receiver = core_sockets("PULL")
    receiver.bind("tcp://127.0.0.1:*")
    senders = [core_sockets("PUSH") for _ in range(2)]
    for i, sender in enumerate(senders):
        sender.connect(receiver.last_endpoint.decode())
        sender.send_many([b"%d" % i * 60] * 500)
    wait_until(lambda: [peer["queued_in_messages"] for peer in receiver.stats()["peers"]] == [500, 500])
    assert {message[:1] for message in receiver.recv_many(2)} == {b"0", b"1"}
    found = [message[:1] for message in take(receiver, 998)]
    assert sorted(found) == [b"0"] * 499 + [b"1"] * 499


def test_a_list_may_change_while_its_messages_wait(core_sockets: Sockets) -> None:
    sender, receiver = core_sockets("PUSH"), core_sockets("PULL")
    sender.sndhwm = receiver.rcvhwm = 5
    core_sockets.join(receiver, sender, "inproc://changes")
    given = [b"message %d" % i for i in range(100)]
    expected = list(given)
    sending = Task(lambda: sender.send_many(given))
    wait_until(lambda: receiver.poll(0))
    given[:] = [None] * 5
    assert take(receiver, 100) == expected
    assert sending.join() == 100
