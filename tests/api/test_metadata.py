"""Frame.get by name and number: what is known of who sent a received message (zmq_msg_get(3), zmq_msg_gets(3))."""

from __future__ import annotations

import copy
import socket as raw_socket
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets
from tests.support import Task

TCP = "tcp://127.0.0.1:*"


def has(frame: Any, name: str | int) -> bool:
    try:
        frame.get(name)
    except Exception as error:
        assert getattr(error, "errno", None) == 22, error
        return False
    return True


def pair(sockets: Sockets, first: str, second: str, endpoint: str = TCP, **options: Any) -> tuple[Any, Any]:
    """The options are the second one's."""
    binder, connector = sockets(first), sockets(second, **options)
    sockets.join(binder, connector, endpoint)
    return binder, connector


@pytest.mark.parametrize("parts", [[b"small"], [b"x" * 100_000], [b"", b"small", b"x" * 100_000, b"4", b"5"]], ids=len)
def test_every_part_tells(zmq: ModuleType, sockets: Sockets, parts: list[bytes]) -> None:
    pull, push = pair(sockets, "PULL", "PUSH", metadata=b"X-Name:some body")
    for _ in range(2):
        push.send_multipart(parts)
    frames = pull.recv_multipart(copy=False)
    frames += [pull.recv(copy=False) for _ in parts]
    for frame in frames:
        assert frame.get("Socket-Type") == "PUSH"
        assert frame.get("Peer-Address") == frame.get(b"Peer-Address") == "127.0.0.1"
        assert frame.get("X-Name") == "some body"
        assert frame.get("__fd") == str(frame.get(zmq.SRCFD)) and frame.get(zmq.SRCFD) > 0
        assert not any(has(frame, name) for name in ("Identity", "User-Id", "x-name", "peer-address", "", "X"))
        assert frame["Socket-Type"] == "PUSH"


def test_frames_of_ones_own_have_none(zmq: ModuleType) -> None:
    frame = zmq.Frame(b"mine")
    assert not has(frame, "Peer-Address") and not has(frame, zmq.SRCFD)
    assert not has(copy.copy(frame), "Peer-Address")
    assert frame.get(zmq.MORE) == frame.get(zmq.SHARED) == 0
    assert not has(frame, 5)
    with pytest.raises(TypeError):
        frame.get(None)
    with pytest.raises(zmq.ZMQError):
        frame["Peer-Address"]


def test_inproc_has_none(zmq: ModuleType, sockets: Sockets) -> None:
    a, b = sockets.pair()
    a.send(b"x")
    frame = b.recv(copy=False)
    assert not has(frame, "Socket-Type") and not has(frame, zmq.SRCFD)


def test_ipc_tells_the_process(sockets: Sockets, tmp_path: Path) -> None:
    pull, push = pair(sockets, "PULL", "PUSH", f"ipc://{tmp_path}/s")
    push.send(b"x")
    assert pull.recv(copy=False).get("Peer-Address").startswith("localhost:")


@pytest.mark.parametrize("size", [1, 100_000])
def test_copies_and_the_end_of_the_connection(sockets: Sockets, size: int) -> None:
    pull, push = pair(sockets, "PULL", "PUSH")
    push.send(b"x" * size)
    frame = pull.recv(copy=False)
    push.close()
    again = copy.copy(frame)
    assert again.get("Socket-Type") == "PUSH"
    pull.close()
    del frame
    assert again.get("Socket-Type") == "PUSH"
    assert again.bytes == b"x" * size


def test_a_copy_is_shared(zmq: ModuleType) -> None:
    frame = zmq.Frame(b"x" * 100_000)
    again = copy.copy(frame)
    assert frame.get(zmq.SHARED) == again.get(zmq.SHARED) == 1


def test_what_is_sent_on_says_who_sent_it_on(sockets: Sockets) -> None:
    pull, push = pair(sockets, "PULL", "PUSH", metadata=b"X-Name:first")
    sink, source = pair(sockets, "PULL", "PUSH", metadata=b"X-Name:second")
    push.send(b"x" * 100_000)
    source.send(pull.recv(copy=False))
    assert sink.recv(copy=False).get("X-Name") == "second"


def test_a_router_tells_of_each_peer(sockets: Sockets) -> None:
    router = sockets("ROUTER")
    router.bind(TCP)
    for name in (b"one", b"two"):
        dealer = sockets("DEALER", routing_id=name)
        dealer.connect(router.last_endpoint.decode())
        dealer.send_multipart([b"body", b"end"])
        frames = router.recv_multipart(copy=False)
        assert frames[0].bytes == name
        assert [frame.get("Identity") for frame in frames] == [name.decode()] * 3
        router.send_multipart(frames)
        assert [frame.get("Socket-Type") for frame in dealer.recv_multipart(copy=False)] == ["ROUTER"] * 2


def test_request_and_reply(sockets: Sockets) -> None:
    server, client = pair(sockets, "REP", "REQ")
    for _ in range(2):
        client.send_multipart([b"question", b"more of it"])
        frames = server.recv_multipart(copy=False)
        assert [frame.get("Socket-Type") for frame in frames] == ["REQ"] * 2
        server.send(frames[0])
        assert client.recv(copy=False).get("Socket-Type") == "REP"


def test_one_that_poll_has_seen_first(zmq: ModuleType, sockets: Sockets) -> None:
    """A REP looks at a request before anybody receives it."""
    server, client = pair(sockets, "REP", "REQ")
    client.send(b"question")
    assert server.poll(5000)
    client.close()
    assert server.recv(copy=False).get("Socket-Type") == "REQ"


def test_who_subscribes_and_who_publishes(sockets: Sockets) -> None:
    publisher, subscriber = pair(sockets, "XPUB", "SUB", subscribe=b"t")
    assert publisher.recv(copy=False).get("Socket-Type") == "SUB"
    publisher.send(b"topic")
    assert subscriber.recv(copy=False).get("Socket-Type") == "XPUB"


def test_messages_of_an_xsub(sockets: Sockets) -> None:
    publisher, subscriber = pair(sockets, "XPUB", "XSUB")
    subscriber.send_multipart([b"message", b"upstream"])
    assert [frame.get("Socket-Type") for frame in publisher.recv_multipart(copy=False)] == ["XSUB"] * 2


def test_a_subscription_outlives_its_peer(zmq: ModuleType, sockets: Sockets) -> None:
    """What the end of the connection itself brings tells nothing."""
    publisher, subscriber = pair(sockets, "XPUB", "SUB", subscribe=b"t")
    assert publisher.poll(5000)
    monitor = publisher.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    subscriber.close()
    assert monitor.poll(5000)
    frames = [publisher.recv(copy=False) for _ in range(2)]
    assert [frame.bytes for frame in frames] == [b"\1t", b"\0t"]
    assert [has(frame, "Socket-Type") for frame in frames] == [True, False]
    monitor.close()


def test_unread_subscriptions_are_let_go(sockets: Sockets) -> None:
    publisher, subscriber = pair(sockets, "XPUB", "SUB", subscribe=b"t")
    assert publisher.poll(5000)
    publisher.close()
    subscriber.close()


def test_raw_peers_have_an_address(sockets: Sockets) -> None:
    stream = sockets("STREAM")
    stream.bind(TCP)
    port = int(stream.last_endpoint.decode().rpartition(":")[2])
    with raw_socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(b"hello")
        met = stream.recv_multipart(copy=False)
        said = stream.recv_multipart(copy=False)
    left = stream.recv_multipart(copy=False)
    assert [frames[1].bytes for frames in (met, said, left)] == [b"", b"hello", b""]
    for frame in met + said + left:
        assert frame.get("Peer-Address") == "127.0.0.1"
        assert not has(frame, "Socket-Type")


def test_text(sockets: Sockets) -> None:
    """A value that is no UTF-8 is an error of whoever asks for it, and of nobody else."""
    pull = sockets("PULL")
    pull.bind(TCP)
    for value in ("é", "x"):
        push = sockets("PUSH", metadata=f"X-Text:{value}".encode())
        push.connect(pull.last_endpoint.decode())
        push.send(b"x")
        assert pull.recv(copy=False).get("X-Text") == value
    push = sockets("PUSH", metadata=b"X-Text:\xe9")
    push.connect(pull.last_endpoint.decode())
    push.send(b"x")
    frame = pull.recv(copy=False)
    with pytest.raises(UnicodeDecodeError):
        frame.get("X-Text")
    assert frame.get("Socket-Type") == "PUSH"


# --- zmqcore only ----------------------------------------------------------------------------------------------------


def test_the_name_that_is_documented(core_sockets: Sockets) -> None:
    router, dealer = pair(core_sockets, "ROUTER", "DEALER", routing_id=b"me")
    dealer.send(b"x")
    frame = router.recv_multipart(copy=False)[1]
    assert frame.get("Routing-Id") == frame.get("Identity") == "me"


def test_a_nul_is_a_byte_like_others(core_sockets: Sockets) -> None:
    pull, push = pair(core_sockets, "PULL", "PUSH", metadata=b"X-Name:a\0b")
    push.send(b"x")
    assert pull.recv(copy=False).get("X-Name") == "a\0b"


def test_indices_are_still_bytes(core: ModuleType) -> None:
    frame = core.Frame(b"abc")
    assert (frame[0], frame[1:]) == (97, b"bc")


def test_however_messages_are_read(core_sockets: Sockets) -> None:
    """Those that are read as bytes, or many at a time, take nothing from those that are read as frames."""
    pull, push = pair(core_sockets, "PULL", "PUSH")
    for size in (1, 5000, 100_000):
        body = b"x" * size
        push.send_many([body] * 5)
        assert pull.recv() == body
        assert pull.recv(copy=False).get("Socket-Type") == "PUSH"
        assert pull.recv_into(bytearray(size)) == size
        seen = 0
        while seen < 2:
            seen += len(pull.recv_many(2 - seen))
        push.send(body)
        assert pull.recv(copy=False).get("Socket-Type") == "PUSH"


def test_several_threads_let_go(core_sockets: Sockets) -> None:
    """The count on the metadata of one connection is everybody's."""
    pull, push = pair(core_sockets, "PULL", "PUSH")
    push.send_many([b"x"] * 1000)
    frames = [pull.recv(copy=False) for _ in range(1000)]
    push.close()
    pull.close()

    def use(mine: list[Any]) -> None:
        while mine:
            assert copy.copy(mine.pop()).get("Socket-Type") == "PUSH"

    tasks = [Task(use, frames[i::4]) for i in range(4)]
    del frames
    for task in tasks:
        task.join()
