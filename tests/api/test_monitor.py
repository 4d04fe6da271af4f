"""monitor(), get_monitor_socket(), disable_monitor(), and the module that reads what they tell.

Tests that run with pyzmq too end their monitors while somebody is there to hear of it: libzmq may hang otherwise.
"""

from __future__ import annotations

import errno
import importlib
import socket as raw_socket
import struct
import threading
from collections.abc import Awaitable, Generator
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, blocked, inproc
from tests.support import Task, wait_until


@pytest.fixture
def reader(zmq: ModuleType) -> ModuleType:
    """recv_monitor_message() and parse_monitor_message() of the implementation."""
    return importlib.import_module("zmq.utils.monitor" if zmq.__name__ == "zmq" else "zmqcore.monitor")


def test_get_monitor_socket(zmq: Any, sockets: Sockets, reader: Any) -> None:
    pull = sockets("PULL")
    monitor = pull.get_monitor_socket()
    assert pull.get_monitor_socket() is monitor
    assert monitor.type == zmq.PAIR
    pull.bind("tcp://127.0.0.1:*")
    message = reader.recv_monitor_message(monitor)
    assert message["event"] is zmq.Event.LISTENING
    assert message["event"] == zmq.EVENT_LISTENING
    assert message["value"] > 2
    assert message["endpoint"] == pull.last_endpoint.rstrip(b"\0")
    assert set(message) == {"event", "value", "endpoint"}
    pull.disable_monitor()


def test_disable_monitor(zmq: Any, sockets: Sockets, reader: Any) -> None:
    pull = sockets("PULL")
    monitor = pull.get_monitor_socket()
    pull.disable_monitor()
    assert reader.recv_monitor_message(monitor) == {"event": zmq.EVENT_MONITOR_STOPPED, "value": 0, "endpoint": b""}
    pull.disable_monitor()
    pull.bind("tcp://127.0.0.1:*")
    assert pull.get_monitor_socket(zmq.EVENT_ACCEPTED, inproc()) is not monitor


def test_recv_monitor_message_takes_flags(zmq: Any, sockets: Sockets, reader: Any) -> None:
    pull = sockets("PULL")
    monitor = pull.get_monitor_socket()
    with pytest.raises(zmq.Again):
        reader.recv_monitor_message(monitor, zmq.DONTWAIT)
    pull.disable_monitor()


@pytest.mark.parametrize("parts", [[], [b"123456"], [b"12345", b""], [b"123456", b"", b""]])
def test_what_is_no_event(reader: Any, parts: list[bytes]) -> None:
    with pytest.raises(RuntimeError):
        reader.parse_monitor_message(parts)


def test_protocol_errors_have_names(zmq: Any, reader: Any) -> None:
    head = struct.pack("=HI", zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, 0x11000002)
    message = reader.parse_monitor_message([head, b"tcp://127.0.0.1:1"])
    assert message["value"] is zmq.Event.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH


def test_an_asynchronous_socket_gives_an_awaitable(core: Any) -> None:
    from zmqcore.monitor import recv_monitor_message

    class Later(Awaitable[list[bytes]]):
        def __await__(self) -> Generator[None, None, list[bytes]]:
            yield
            return [struct.pack("=HI", core.EVENT_CONNECT_RETRIED, 7), b"here"]

    class Asynchronous:
        def recv_multipart(self, flags: int) -> Later:
            return Later()

    steps = recv_monitor_message(Asynchronous()).__await__()
    next(steps)
    with pytest.raises(StopIteration) as done:
        next(steps)
    assert done.value.value == {"event": core.EVENT_CONNECT_RETRIED, "value": 7, "endpoint": b"here"}


@pytest.mark.parametrize("addr", [7, 1.5, ["inproc://a"]])
def test_addresses_of_other_types(zmq: Any, sockets: Sockets, addr: Any) -> None:
    with pytest.raises(TypeError):
        sockets("PULL").monitor(addr)


def test_a_closed_socket(zmq: Any, sockets: Sockets) -> None:
    pull = sockets("PULL")
    pull.close()
    with pytest.raises(zmq.ZMQError) as caught:
        pull.monitor(inproc())
    assert caught.value.errno == zmq.ENOTSOCK


# --- what zmqcore promises -------------------------------------------------------------------------------------------


def test_the_context_has_ended(core: Any, core_context: Any, core_sockets: Sockets) -> None:
    pull = core_sockets("PULL")
    pull.monitor(inproc())
    core_context.shutdown()
    for addr in (inproc(), None):
        with pytest.raises(core.ContextTerminated):
            pull.monitor(addr)


def test_a_closed_monitor_socket_is_replaced(core: Any, core_sockets: Sockets) -> None:
    from zmqcore.monitor import recv_monitor_message

    pull = core_sockets("PULL")
    for _ in range(3):
        pull.get_monitor_socket().close()
    monitor = pull.get_monitor_socket(core.EVENT_LISTENING)
    pull.bind("tcp://127.0.0.1:*")
    assert recv_monitor_message(monitor)["event"] == core.EVENT_LISTENING


def knock(endpoint: bytes, times: int) -> None:
    """Connections that end at once: three events each."""
    address = ("127.0.0.1", int(endpoint.rpartition(b":")[2]))
    for _ in range(times):
        raw_socket.create_connection(address).close()


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_monitor_that_is_not_read_stops_nothing(core: Any, core_sockets: Sockets, is_closed: bool) -> None:
    """Its queues fill up and events are dropped; libzmq's I/O thread would stand still here."""
    pull = core_sockets("PULL", backlog=1000)
    monitor = pull.get_monitor_socket()
    if is_closed:
        monitor.close()
    pull.bind("tcp://127.0.0.1:*")
    knock(pull.last_endpoint, 800)
    push = core_sockets("PUSH")
    push.connect(pull.last_endpoint)
    for number in range(100):
        push.send(b"%d" % number)
    assert [pull.recv() for _ in range(100)] == [b"%d" % number for number in range(100)]
    if not is_closed:
        # SNDHWM and RCVHWM, and no more.
        read = []
        while monitor.poll(0):
            read.append(monitor.recv_multipart())
        assert len(read) == 2000
        pull.close()
        assert monitor.recv_multipart()[0] == struct.pack("=HI", core.EVENT_CLOSED, *struct.unpack("=2xI", read[0][0]))


def test_a_thread_that_sleeps_inside_the_socket_tells_too(core: Any, core_sockets: Sockets) -> None:
    """It drives the socket: events are sent before it goes back to sleep, not when it gets a message."""
    from zmqcore.monitor import recv_monitor_message

    pull = core_sockets("PULL")
    monitor = pull.get_monitor_socket(core.EVENT_HANDSHAKE_SUCCEEDED | core.EVENT_DISCONNECTED)
    pull.bind("tcp://127.0.0.1:*")
    receiver = blocked(pull.recv)
    push = core_sockets("PUSH")
    push.connect(pull.last_endpoint)
    assert recv_monitor_message(monitor)["event"] == core.EVENT_HANDSHAKE_SUCCEEDED
    push.send(b"hello")
    assert receiver.join() == b"hello"
    waiter = blocked(pull.poll, 5000)
    push.close()
    assert recv_monitor_message(monitor)["event"] == core.EVENT_DISCONNECTED
    with core_sockets("PUSH") as last:
        last.connect(pull.last_endpoint)
        last.send(b"bye")
        assert waiter.join() == core.POLLIN


def test_a_proxy_tells_too(core: Any, core_context: Any, core_sockets: Sockets) -> None:
    from zmqcore.monitor import recv_monitor_message

    front, back = core_sockets("PULL", rcvtimeo=-1), core_sockets("PUSH")
    monitors = front.get_monitor_socket(core.EVENT_ACCEPTED), back.get_monitor_socket(core.EVENT_ACCEPTED)
    front.bind("tcp://127.0.0.1:*")
    back.bind("tcp://127.0.0.1:*")
    control, steer = core_sockets.pair()
    proxy = blocked(core.proxy_steerable, front, back, None, control)
    core_sockets("PUSH").connect(front.last_endpoint)
    core_sockets("PULL").connect(back.last_endpoint)
    for monitor in monitors:
        assert recv_monitor_message(monitor)["event"] == core.EVENT_ACCEPTED
    steer.send(b"TERMINATE")
    proxy.join()


def test_monitors_come_and_go_while_connections_do(core: Any, core_context: Any, core_sockets: Sockets) -> None:
    """Any thread may start and stop monitors; each ends with MONITOR_STOPPED, and the context ends."""
    pull = core_sockets("PULL", backlog=1000)
    pull.bind("tcp://127.0.0.1:*")
    endpoint, name = pull.last_endpoint, inproc()
    is_over = threading.Event()

    def watch(own: str) -> None:
        while not is_over.is_set():
            try:
                pull.monitor(own)
            except core.ZMQError as error:
                assert error.errno == errno.EADDRINUSE
                continue
            with core_context.socket(core.PAIR) as monitor:
                monitor.linger = 0
                monitor.connect(own)

    watchers = [Task(watch, f"{name}-{number}") for number in range(3)]
    knock(endpoint, 300)
    is_over.set()
    for watcher in watchers:
        watcher.join()
    monitor = core_sockets("PAIR")
    pull.monitor(name)
    monitor.connect(name)
    pull.close()
    heads = [monitor.recv_multipart()[0]]
    while heads[-1] != struct.pack("=HI", core.EVENT_MONITOR_STOPPED, 0):
        heads.append(monitor.recv_multipart()[0])


def test_the_monitor_of_a_lingering_socket_lives_on(core: Any, core_sockets: Sockets) -> None:
    """It ends with the socket, not with close()."""
    from zmqcore.monitor import recv_monitor_message

    with raw_socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        push = core_sockets("PUSH", reconnect_ivl=5)
        monitor = push.get_monitor_socket(core.EVENT_CONNECT_RETRIED | core.EVENT_MONITOR_STOPPED)
        push.connect(f"tcp://127.0.0.1:{reserved.getsockname()[1]}")
        push.send(b"unsent")
        push.close(linger=300)
        seen = [recv_monitor_message(monitor)["event"]]
        while seen[-1] != core.EVENT_MONITOR_STOPPED:
            seen.append(recv_monitor_message(monitor)["event"])
    assert len(seen) > 3


def test_monitored_contexts_end(core: Any) -> None:
    """Termination, with the monitored socket and the monitor's still open."""
    context = core.Context()
    pull = context.socket(core.PULL)
    monitor = pull.get_monitor_socket()
    reader = blocked(monitor.recv)
    ending = Task(context.term)
    with pytest.raises(core.ContextTerminated):
        reader.join()
    assert ending.is_running
    pull.close()
    monitor.close()
    ending.join()
    wait_until(lambda: context.closed)
