"""Socket.poll, Poller, zmq_poll and select, with sockets, descriptors and files."""

from __future__ import annotations

import os
import socket as raw_socket
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, blocked, type_name
from tests.support import DEADLINE_MS


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def test_poll_a_socket(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    assert receiver.poll(0) == 0
    assert receiver.poll(1, zmq.POLLIN) == 0
    assert sender.poll(0, zmq.POLLOUT) == zmq.POLLOUT
    sender.send(b"x")
    assert receiver.poll(DEADLINE_MS) == zmq.POLLIN
    assert receiver.poll(0, zmq.POLLIN | zmq.POLLOUT) == zmq.POLLIN | zmq.POLLOUT
    assert receiver.poll(0, 0) == 0
    assert receiver.poll(flags=zmq.POLLIN, timeout=0) == zmq.POLLIN
    assert type(receiver.poll(0)) is int


@pytest.mark.parametrize("timeout", [None, -1, -5, 0.5, 2.5])
def test_timeouts(zmq: ModuleType, sockets: Sockets, timeout: float | None) -> None:
    sender, receiver = sockets.pair()
    assert sender.poll(timeout, zmq.POLLOUT) == zmq.POLLOUT
    if timeout is not None and timeout > 0:
        assert receiver.poll(timeout) == 0
    poller = zmq.Poller()
    poller.register(sender, zmq.POLLOUT)
    assert poller.poll(timeout) == [(sender, zmq.POLLOUT)]


def test_poll_wakes_up(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    for timeout in (None, -1, DEADLINE_MS):
        polling = blocked(receiver.poll, timeout)
        sender.send(b"wake up")
        assert polling.join() == zmq.POLLIN
        receiver.recv()


def test_pollout_comes_back(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair("PUSH", "PULL", sndhwm=1, rcvhwm=1)
    while sender.poll(0, zmq.POLLOUT):
        sender.send(b"x")
    polling = blocked(sender.poll, DEADLINE_MS, zmq.POLLOUT)
    while receiver.poll(0):
        receiver.recv()
    assert polling.join() == zmq.POLLOUT


@pytest.mark.parametrize("timeout", ["1", b"x", [1]])
def test_a_timeout_is_a_number(zmq: ModuleType, sockets: Sockets, timeout: Any) -> None:
    sender, _ = sockets.pair()
    with pytest.raises(TypeError):
        sender.poll(timeout)
    poller = zmq.Poller()
    poller.register(sender)
    with pytest.raises(TypeError):
        poller.poll(timeout)


# --- Poller ----------------------------------------------------------------------------------------------------------


def test_register_modify_unregister(zmq: ModuleType, sockets: Sockets) -> None:
    first, second = sockets.pair()
    poller = zmq.Poller()
    poller.register(first)
    poller.register(second, zmq.POLLIN)
    assert poller.sockets == [(first, zmq.POLLIN | zmq.POLLOUT), (second, zmq.POLLIN)]
    assert first in poller
    poller.modify(first, zmq.POLLIN)
    poller.register(second, zmq.POLLOUT)
    assert poller.sockets == [(first, zmq.POLLIN), (second, zmq.POLLOUT)]
    assert dict(poller.poll(0)) == {second: zmq.POLLOUT}
    poller.unregister(first)
    assert poller.sockets == [(second, zmq.POLLOUT)]
    assert first not in poller
    poller.register(second, 0)
    assert poller.sockets == []
    poller.register(second, 0)
    poller.modify(first, zmq.POLLIN)
    assert poller.sockets == [(first, zmq.POLLIN)]


def test_unregister_what_is_not_there(zmq: ModuleType, sockets: Sockets) -> None:
    first, second = sockets.pair()
    poller = zmq.Poller()
    poller.register(first)
    with pytest.raises(KeyError):
        poller.unregister(second)
    with pytest.raises(TypeError):
        poller.register([1])


def test_an_empty_poller(zmq: ModuleType) -> None:
    poller = zmq.Poller()
    assert poller.poll(0) == []
    # With nothing to wait for nobody waits, for ever least of all.
    assert poller.poll() == []
    assert zmq.zmq_poll([], 10_000) == []


def test_several_sockets(zmq: ModuleType, sockets: Sockets) -> None:
    pairs = [sockets.pair() for _ in range(10)]
    poller = zmq.Poller()
    for _, receiver in pairs:
        poller.register(receiver, zmq.POLLIN)
    assert poller.poll(0) == []
    for sender, _ in pairs[2:4]:
        sender.send(b"x")
    assert dict(poller.poll(DEADLINE_MS)) == {pairs[2][1]: zmq.POLLIN, pairs[3][1]: zmq.POLLIN}
    polling = blocked(poller.poll, None)
    assert polling.join()


def test_a_poller_wakes_up(zmq: ModuleType, sockets: Sockets) -> None:
    (first_sender, first), (second_sender, second) = sockets.pair(), sockets.pair()
    poller = zmq.Poller()
    poller.register(first, zmq.POLLIN)
    poller.register(second, zmq.POLLIN)
    for sender, receiver in ((second_sender, second), (first_sender, first)):
        polling = blocked(poller.poll, DEADLINE_MS)
        sender.send(b"x")
        assert polling.join() == [(receiver, zmq.POLLIN)]
        receiver.recv()


def test_a_closed_socket_in_a_poller(core_sockets: Sockets) -> None:
    # pyzmq polls descriptor 0 instead.
    zmq = core_sockets.zmq
    socket = core_sockets("DEALER")
    poller = zmq.Poller()
    poller.register(socket)
    socket.close()
    with pytest.raises(zmq.ZMQError) as caught:
        poller.poll(0)
    assert caught.value.errno == zmq.ENOTSOCK


def test_sockets_of_two_contexts(zmq: ModuleType, sockets: Sockets) -> None:
    with zmq.Context() as other:
        first, second = sockets("PUB"), other.socket(zmq.PUB)
        ready = zmq.zmq_poll([(first, zmq.POLLOUT), (second, zmq.POLLOUT)], 0)
        assert ready == [(first, zmq.POLLOUT), (second, zmq.POLLOUT)]
        second.close()


# --- descriptors -----------------------------------------------------------------------------------------------------


def test_descriptors(zmq: ModuleType, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    poller = zmq.Poller()
    poller.register(reader, zmq.POLLIN)
    assert poller.poll(0) == []
    poller.register(writer, zmq.POLLOUT)
    assert poller.poll(0) == [(writer, zmq.POLLOUT)]
    os.write(writer, b"x")
    assert dict(poller.poll(0)) == {reader: zmq.POLLIN, writer: zmq.POLLOUT}


def test_a_descriptor_and_a_socket(zmq: ModuleType, sockets: Sockets, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sender, receiver = sockets.pair()
    poller = zmq.Poller()
    poller.register(receiver, zmq.POLLIN)
    poller.register(reader, zmq.POLLIN)
    polling = blocked(poller.poll, DEADLINE_MS)
    os.write(writer, b"x")
    assert polling.join() == [(reader, zmq.POLLIN)]
    os.read(reader, 1)
    polling = blocked(poller.poll, DEADLINE_MS)
    sender.send(b"x")
    assert polling.join() == [(receiver, zmq.POLLIN)]


def test_objects_with_fileno(zmq: ModuleType) -> None:
    left, right = raw_socket.socketpair()
    with left, right:
        poller = zmq.Poller()
        poller.register(left, zmq.POLLIN | zmq.POLLOUT)
        # The result names the descriptor, not the object.
        assert poller.poll(0) == [(left.fileno(), zmq.POLLOUT)]
        right.send(b"x")
        assert poller.poll(DEADLINE_MS) == [(left.fileno(), zmq.POLLIN | zmq.POLLOUT)]


def test_a_hang_up_is_an_error(zmq: ModuleType, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(writer)
    assert zmq.zmq_poll([(reader, zmq.POLLIN)], DEADLINE_MS) == [(reader, zmq.POLLERR)]


def test_what_is_not_open(zmq: ModuleType, pipe: tuple[int, int]) -> None:
    reader, _ = pipe
    file = os.fdopen(os.dup(reader), "rb")
    file.close()
    with pytest.raises(ValueError):
        zmq.zmq_poll([(file, zmq.POLLIN)], 0)
    # Descriptors up here are not in use.
    assert zmq.zmq_poll([(1_000_000, zmq.POLLIN)], 0) == [(1_000_000, zmq.POLLERR)]


@pytest.mark.parametrize("target", ["text", None, object(), 1.5], ids=type_name)
def test_what_cannot_be_polled(zmq: ModuleType, target: Any) -> None:
    with pytest.raises(TypeError):
        zmq.zmq_poll([(target, zmq.POLLIN)], 0)
    poller = zmq.Poller()
    poller.register(target, zmq.POLLIN)
    with pytest.raises(TypeError):
        poller.poll(0)


def test_zmq_poll(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    assert zmq.zmq_poll([(sender, zmq.POLLOUT), (receiver, zmq.POLLIN)], timeout=0) == [(sender, zmq.POLLOUT)]
    assert zmq.zmq_poll([(sender, zmq.POLLOUT)]) == [(sender, zmq.POLLOUT)]
    assert zmq.zmq_poll(((sender, zmq.POLLOUT),), -1) == [(sender, zmq.POLLOUT)]
    # One socket, two entries.
    twice = [(sender, zmq.POLLOUT), (sender, zmq.POLLIN | zmq.POLLOUT)]
    assert zmq.zmq_poll(twice, 0) == [(sender, zmq.POLLOUT), (sender, zmq.POLLOUT)]
    assert all(type(events) is int for _, events in zmq.zmq_poll(twice, 0))


@pytest.mark.parametrize("items", [5, None, [5], [("text",)]], ids=type_name)
def test_what_is_no_list_of_pairs(zmq: ModuleType, items: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        zmq.zmq_poll(items, 0)


def test_events_are_ints(zmq: ModuleType, sockets: Sockets) -> None:
    with pytest.raises(TypeError):
        zmq.zmq_poll([(sockets("DEALER"), "in")], 0)
    with pytest.raises(TypeError):
        zmq.zmq_poll([(0, None)], 0)


# --- select ----------------------------------------------------------------------------------------------------------


def test_select(zmq: ModuleType, sockets: Sockets, pipe: tuple[int, int]) -> None:
    sender, receiver = sockets.pair()
    assert zmq.select([receiver], [], [], 0) == ([], [], [])
    assert zmq.select([sender], [sender], [sender], 0) == ([], [sender], [])
    assert zmq.select([], [sender], [], None) == ([], [sender], [])
    sender.send(b"x")
    assert zmq.select([receiver], [], [], timeout=5) == ([receiver], [], [])
    assert zmq.select([pipe[0]], [pipe[1]], [], 0.001) == ([], [pipe[1]], [])
    assert zmq.select([], [], [], 0) == ([], [], [])


# --- FD and EVENTS ---------------------------------------------------------------------------------------------------


def test_the_descriptor_announces_a_message(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets("PUSH"), sockets("PULL")
    sockets.join(receiver, sender, "tcp://127.0.0.1:*")

    # The contract of zmq_getsockopt(3): read EVENTS before waiting for the descriptor, and after every call.
    def wait() -> None:
        while not receiver.events & zmq.POLLIN:
            assert zmq.zmq_poll([(receiver.fileno(), zmq.POLLIN)], DEADLINE_MS)

    for round_number in range(3):
        waiting = blocked(wait)
        sender.send(b"%d" % round_number)
        waiting.join()
        assert receiver.recv(zmq.DONTWAIT) == b"%d" % round_number
    assert not receiver.events & zmq.POLLIN


def test_who_registers_while_another_polls(core: ModuleType, pipe: tuple[int, int]) -> None:
    poller = core.Poller()

    class Registers:
        def fileno(self) -> int:
            poller.register(pipe[0], core.POLLIN)
            return pipe[1]

    poller.register(Registers(), core.POLLOUT)
    assert poller.poll(DEADLINE_MS) == [(pipe[1], core.POLLOUT)]
    assert pipe[0] in poller
