"""Threads: sockets passed on, shared (zmqcore only: libzmq's are not thread-safe), closed under a blocked call."""

from __future__ import annotations

import gc
import socket
import threading
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, blocked, inproc
from tests.support import DEADLINE_S, Task

THREADS = 4
MESSAGES = 500


def test_a_socket_is_handed_to_a_thread(zmq: ModuleType, sockets: Sockets) -> None:
    server, client = sockets.pair("REP", "REQ")

    def serve() -> None:
        for _ in range(MESSAGES):
            server.send(server.recv()[::-1])

    serving = Task(serve)
    for number in range(MESSAGES):
        client.send(b"%d" % number)
        assert client.recv() == (b"%d" % number)[::-1]
    serving.join()


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_many_senders_share_a_socket(core_sockets: Sockets, transport: str) -> None:
    sender, receiver = core_sockets("PUSH"), core_sockets("PULL")
    core_sockets.join(receiver, sender, "tcp://127.0.0.1:*" if transport == "tcp" else None)

    def send(name: int) -> None:
        for number in range(MESSAGES):
            sender.send_multipart([b"%d" % name, b"%d" % number])

    tasks = [Task(send, name) for name in range(THREADS)]
    seen: dict[bytes, list[int]] = {}
    for _ in range(THREADS * MESSAGES):
        parts = receiver.recv_multipart()
        assert len(parts) == 2
        seen.setdefault(parts[0], []).append(int(parts[1]))
    for task in tasks:
        task.join()
    # Nothing is lost or torn, and each thread's messages stay in order.
    assert seen == {b"%d" % name: list(range(MESSAGES)) for name in range(THREADS)}


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_many_receivers_share_a_socket(core_sockets: Sockets, transport: str) -> None:
    sender, receiver = core_sockets("PUSH"), core_sockets("PULL")
    core_sockets.join(receiver, sender, "tcp://127.0.0.1:*" if transport == "tcp" else None)
    got: list[list[int]] = [[] for _ in range(THREADS)]

    def receive(name: int) -> None:
        while True:
            parts = receiver.recv_multipart()
            if parts == [b"end", b""]:
                return
            got[name].append(int(parts[1]))

    tasks = [Task(receive, name) for name in range(THREADS)]
    for number in range(THREADS * MESSAGES):
        sender.send_multipart([b"number", b"%d" % number])
    for _ in range(THREADS):
        sender.send_multipart([b"end", b""])
    for task in tasks:
        task.join()
    assert sorted(sum(got, [])) == list(range(THREADS * MESSAGES))
    assert all(numbers == sorted(numbers) for numbers in got)
    assert receiver.poll(0) == 0


def test_sending_and_receiving_at_once(core_sockets: Sockets) -> None:
    left, right = core_sockets.pair(sndhwm=10, rcvhwm=10)

    def send(socket: Any) -> None:
        for number in range(MESSAGES):
            socket.send(b"%d" % number)

    def receive(socket: Any) -> list[int]:
        return [int(socket.recv()) for _ in range(MESSAGES)]

    sending = [Task(send, socket) for socket in (left, right)]
    receiving = [Task(receive, socket) for socket in (left, right)]
    for task in sending:
        task.join()
    for task in receiving:
        assert task.join() == list(range(MESSAGES))


def test_sending_and_receiving_at_once_again_and_again(core_sockets: Sockets) -> None:
    """One thread takes the news that another waits for, over and over; the chance to miss them is small each time."""
    for _ in range(40):
        left, right = core_sockets("PAIR", sndhwm=10, rcvhwm=10), core_sockets("PAIR", sndhwm=10, rcvhwm=10)
        core_sockets.join(left, right, inproc())

        def send(socket: Any) -> None:
            for number in range(200):
                socket.send(b"%d" % number)

        def receive(socket: Any) -> list[int]:
            return [int(socket.recv()) for _ in range(200)]

        tasks = [Task(call, socket) for call in (send, receive) for socket in (left, right)]
        for task in tasks:
            assert task.join() in (None, list(range(200)))
        left.close()
        right.close()


@pytest.mark.parametrize("call", ["recv", "poll", "recv_multipart", "zmq_poll"])
def test_closing_ends_a_call_in_another_thread(core_sockets: Sockets, call: str) -> None:
    zmq = core_sockets.zmq
    _, receiver = core_sockets.pair()
    calls = {name: getattr(receiver, name) for name in ("recv", "poll", "recv_multipart")}
    waiting = blocked(calls.get(call, lambda: zmq.zmq_poll([(receiver, zmq.POLLIN)])))
    receiver.close()
    with pytest.raises(zmq.ZMQError) as caught:
        waiting.join()
    assert caught.value.errno in (zmq.ENOTSOCK, zmq.ETERM)


def test_a_socket_whose_fd_was_asked_for_lingers_to_its_end(core: ModuleType, core_context: Any) -> None:
    """FD keeps the I/O thread away; from the closed socket, which another thread leaves only later, it must not."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dealer = core_context.socket(core.DEALER)
        dealer.connect(f"tcp://127.0.0.1:{nobody.getsockname()[1]}")
        dealer.send(b"never arrives")
        assert dealer.getsockopt(core.FD) >= 0
        receiving = blocked(dealer.recv)
        dealer.close(linger=50)
        with pytest.raises(core.ZMQError):
            receiving.join()
        Task(core_context.term).join()


def test_destroy_ends_calls_in_other_threads(core: ModuleType) -> None:
    context = core.Context()
    sockets = Sockets(core, context)
    waiting = [blocked(sockets("PULL").recv) for _ in range(3)]
    Task(context.destroy, 0).join()
    for task in waiting:
        with pytest.raises(core.ZMQError):
            task.join()


def test_sockets_come_and_go_in_threads(zmq: ModuleType, context: Any) -> None:
    def churn() -> None:
        for _ in range(20):
            first, second = Sockets(zmq, context).pair()
            first.send(b"x")
            assert second.recv() == b"x"
            first.close()
            second.close()

    tasks = [Task(churn) for _ in range(THREADS)]
    for task in tasks:
        task.join(2 * DEADLINE_S)
    gc.collect()
    assert "socket" not in repr(context)


def test_one_context_is_ended_by_many_threads(core: ModuleType) -> None:
    context = core.Context()
    Sockets(core, context).pair()
    start = threading.Barrier(THREADS)

    def end() -> None:
        start.wait(DEADLINE_S)
        context.destroy(0)

    tasks = [Task(end) for _ in range(THREADS)]
    for task in tasks:
        task.join()
    assert context.closed
