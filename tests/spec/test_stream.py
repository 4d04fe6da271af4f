"""STREAM and ROUTER_RAW (zmq_socket(3)): peers that speak no ZMTP; each message is [id, bytes]."""

from __future__ import annotations

import errno
import http.client
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.raw_peer import Monitor, RawPeer, Rig, wait_until

QUIET_MS = 100
FIRST_CHUNK_MAX = 32768  # libzmq: 8192


def arrival(stream: Any) -> bytes:
    """The id of a peer that has just come."""
    routing_id, empty = stream.recv_multipart()
    assert empty == b""
    assert len(routing_id) == 5 and routing_id[0] == 0
    return bytes(routing_id)


def accepting(rig: Rig, **options: Any) -> tuple[Any, RawPeer, bytes]:
    stream, peer = rig.accepting("STREAM", **options)
    return stream, peer, arrival(stream)


def read_bytes(stream: Any, routing_id: bytes, count: int) -> bytes:
    """The next count bytes of one peer, in however many messages."""
    data = bytearray()
    while len(data) < count:
        source, body = stream.recv_multipart()
        assert source == routing_id
        assert body, "the peer has gone"
        data += body
    return bytes(data)


def send_all(peer: RawPeer, pieces: list[bytes]) -> None:
    for piece in pieces:
        peer.send(piece)


def refused(rig: Rig, stream: Any, parts: list[bytes]) -> int:
    with pytest.raises(rig.zmq.ZMQError) as caught:
        stream.send_multipart(parts, rig.zmq.DONTWAIT)
    return int(caught.value.errno)


def expect_end(rig: Rig, stream: Any, peer: RawPeer) -> None:
    """The connection ends, in libzmq at the next call into the socket."""

    def has_ended() -> bool:
        stream.getsockopt(rig.zmq.EVENTS)
        return peer.is_closed()

    wait_until(has_ended, "the end of the connection")
    peer.expect_close()


# --- messages -------------------------------------------------------------------------------------------------------


def test_there_is_no_greeting(rig: Rig) -> None:
    """ZMQ_STREAM is used to send and receive TCP data from a non-ØMQ peer."""
    stream, peer, routing_id = accepting(rig)
    peer.expect_quiet()
    peer.send(b"GET")
    assert stream.recv_multipart() == [routing_id, b"GET"]
    stream.send_multipart([routing_id, b"200"])
    peer.expect(b"200")
    stream.send_multipart([routing_id, b"more"])
    peer.expect(b"more")


def test_notifications(rig: Rig) -> None:
    """When a connection is made, a zero-length message will be received by the application; also when it is lost."""
    stream, peer, routing_id = accepting(rig)
    peer.send(b"last words")
    peer.close()
    assert stream.recv_multipart() == [routing_id, b"last words"]
    assert stream.recv_multipart() == [routing_id, b""]
    assert not stream.poll(QUIET_MS)


def test_no_notifications(rig: Rig) -> None:
    """ZMQ_STREAM_NOTIFY 0: neither of them."""
    stream, peer = rig.accepting("STREAM", STREAM_NOTIFY=0)
    peer.send(b"x")
    _, body = stream.recv_multipart()
    assert body == b"x"
    peer.close()
    assert not stream.poll(QUIET_MS)


def test_ids_count(rig: Rig) -> None:
    stream, endpoint = rig.bind("STREAM")
    ids = []
    for _ in range(3):
        rig.peer(endpoint)
        ids.append(int.from_bytes(arrival(stream)[1:], "big"))
    assert [(after - before) % 2**32 for before, after in zip(ids, ids[1:], strict=False)] == [1, 1]


def test_peers_are_kept_apart(rig: Rig) -> None:
    stream, endpoint = rig.bind("STREAM")
    peers = {}
    for i in range(5):
        peer = rig.peer(endpoint)
        peers[arrival(stream)] = (peer, b"%d" % i)
    for routing_id, (peer, word) in peers.items():
        stream.send_multipart([routing_id, b"to " + word])
        peer.send(b"from " + word)
    for peer, word in peers.values():
        peer.expect(b"to " + word)
    got = dict(stream.recv_multipart() for _ in peers)
    assert got == {routing_id: b"from " + word for routing_id, (_, word) in peers.items()}


def test_more_on_the_data_says_nothing(rig: Rig) -> None:
    """The ZMQ_SNDMORE flag is ignored on data frames."""
    stream, peer, routing_id = accepting(rig)
    for word in (b"one", b"two"):
        stream.send(routing_id, rig.zmq.SNDMORE)
        stream.send(word, rig.zmq.SNDMORE)
    peer.expect(b"onetwo")


def test_unknown_ids(rig: Rig) -> None:
    stream, peer, routing_id = accepting(rig)
    for unknown in (b"", b"abcde", b"\0" * 5, routing_id + b"x", routing_id[:4]):
        assert refused(rig, stream, [unknown, b"x"]) == errno.EHOSTUNREACH
    with pytest.raises(rig.zmq.ZMQError) as caught:
        stream.send(b"abcde", rig.zmq.SNDMORE)
    assert caught.value.errno == errno.EHOSTUNREACH
    stream.send_multipart([routing_id, b"still well"])
    peer.expect(b"still well")


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_message_has_two_parts(rig: Rig, count: int) -> None:
    """libzmq takes a lone id, and throws away the next part that is sent."""
    stream, peer, routing_id = accepting(rig)
    assert refused(rig, stream, [routing_id] * count) == errno.EINVAL
    stream.send_multipart([routing_id, b"clean"])
    peer.expect(b"clean")


@pytest.mark.unlike_libzmq
def test_a_peer_that_has_just_gone(rig: Rig) -> None:
    """libzmq: EAGAIN, or a wait without end, until the notification has been received."""
    stream, peer, routing_id = accepting(rig)
    peer.close()

    def has_gone() -> bool:
        try:
            stream.send_multipart([routing_id, b"x"])
        except rig.zmq.ZMQError as error:
            assert error.errno == errno.EHOSTUNREACH
            return True
        return False

    wait_until(has_gone, "EHOSTUNREACH")
    assert stream.recv_multipart() == [routing_id, b""]


def test_half_closed_is_closed(rig: Rig) -> None:
    """The end of a peer's input is the end of the connection."""
    stream, peer, routing_id = accepting(rig)
    peer.send(b"request")
    peer.half_close()
    assert [stream.recv_multipart() for _ in range(2)] == [[routing_id, b"request"], [routing_id, b""]]
    expect_end(rig, stream, peer)


def test_polling(rig: Rig) -> None:
    """POLLOUT is always there."""
    stream, endpoint = rig.bind("STREAM")
    assert stream.getsockopt(rig.zmq.EVENTS) == rig.zmq.POLLOUT
    rig.peer(endpoint)
    assert stream.poll(10_000) == rig.zmq.POLLIN
    arrival(stream)
    assert stream.getsockopt(rig.zmq.EVENTS) == rig.zmq.POLLOUT


# --- closing --------------------------------------------------------------------------------------------------------


def test_an_empty_message_closes(rig: Rig) -> None:
    """To close a specific connection, send the routing id frame followed by a zero-length message."""
    stream, peer, routing_id = accepting(rig)
    stream.send_multipart([routing_id, b""])
    assert not stream.poll(QUIET_MS), "an own close is no news"
    expect_end(rig, stream, peer)


@pytest.mark.unlike_libzmq
def test_a_closed_peer_is_unknown_at_once(rig: Rig) -> None:
    """libzmq: EAGAIN until its I/O thread has closed it."""
    stream, _, routing_id = accepting(rig)
    stream.send_multipart([routing_id, b""])
    assert refused(rig, stream, [routing_id, b"x"]) == errno.EHOSTUNREACH
    assert refused(rig, stream, [routing_id, b""]) == errno.EHOSTUNREACH


@pytest.mark.unlike_libzmq
def test_closing_drops_what_was_not_received(rig: Rig) -> None:
    """libzmq still hands out the one message that poll has looked at."""
    stream, peer, routing_id = accepting(rig)
    peer.send(b"unread")
    assert stream.poll(10_000)
    stream.send_multipart([routing_id, b""])
    assert not stream.poll(QUIET_MS)
    expect_end(rig, stream, peer)


@pytest.mark.unlike_libzmq
def test_what_was_sent_before_the_close_arrives(rig: Rig) -> None:
    """libzmq drops what is still queued. A server that closes after its answer relies on luck there."""
    stream, peer = rig.accepting("STREAM", LINGER=-1)
    routing_id = arrival(stream)
    body = bytes(range(256)) * 32768
    stream.send_multipart([routing_id, body])
    stream.send_multipart([routing_id, b""])
    assert peer.read_to_close() == body


@pytest.mark.unlike_libzmq
def test_a_peer_that_does_not_read_can_be_closed(rig: Rig) -> None:
    """libzmq: EAGAIN for the close as well."""
    stream, peer, routing_id = accepting(rig, SNDHWM=2)
    with pytest.raises(rig.zmq.Again):
        for _ in range(1000):
            stream.send_multipart([routing_id, bytes(1 << 20)], rig.zmq.DONTWAIT)
    stream.send_multipart([routing_id, b""])
    wait_until(peer.is_closed, "the end of the connection")


@pytest.mark.unlike_libzmq
def test_a_closed_peer_that_does_not_read_holds_up_no_close(rig: Rig) -> None:
    """LINGER of the socket's close counts for the peers that were closed before, too."""
    stream, peer = rig.accepting("STREAM", LINGER=-1)
    routing_id = arrival(stream)
    stream.send_multipart([routing_id, bytes(64 << 20)])
    stream.send_multipart([routing_id, b""])
    stream.close(linger=0)
    assert len(peer.read_to_close()) < 64 << 20


@pytest.mark.unlike_libzmq
def test_a_close_ends_a_waiting_send(rig: Rig) -> None:
    stream, peer = rig.accepting("STREAM", LINGER=-1, SNDHWM=1, SNDTIMEO=-1)
    routing_id = arrival(stream)
    sent: list[int] = []
    found: list[int] = []

    def flood() -> None:
        try:
            while True:
                stream.send_multipart([routing_id, bytes(1 << 20)])
                sent.append(time.monotonic_ns())
        except rig.zmq.ZMQError as error:
            found.append(error.errno)

    def is_stuck() -> bool:
        return bool(sent) and time.monotonic_ns() - sent[-1] > 200_000_000

    sender = threading.Thread(target=flood)
    sender.start()
    wait_until(is_stuck, "a full queue")
    stream.send_multipart([routing_id, b""])
    sender.join(10)
    assert found == [errno.EHOSTUNREACH]


def test_close_of_the_socket_lingers(rig: Rig) -> None:
    stream, peer, routing_id = accepting(rig)
    body = bytes(3 << 20)
    stream.send_multipart([routing_id, body])
    stream.close(linger=10_000)
    assert peer.read_to_close() == body


# --- connecting -----------------------------------------------------------------------------------------------------


def test_connecting_gives_the_id(rig: Rig) -> None:
    """ZMQ_ROUTING_ID read after connect is the id of that connection; it can be sent to at once."""
    listeners = [rig.listen(), rig.listen()]
    stream = rig.socket("STREAM")
    assert stream.getsockopt(rig.zmq.ROUTING_ID) == b""
    ids = []
    for listener in listeners:
        stream.connect(listener.endpoint)
        ids.append(stream.getsockopt(rig.zmq.ROUTING_ID))
        stream.send_multipart([ids[-1], b"early %d" % len(ids)])
    assert ids[0] != ids[1]
    listeners[0].accept().expect(b"early 1")
    listeners[1].accept().expect(b"early 2")
    assert sorted(arrival(stream) for _ in range(2)) == sorted(ids)


def test_accepting_gives_the_id_too(rig: Rig) -> None:
    stream, _, routing_id = accepting(rig)
    assert stream.getsockopt(rig.zmq.ROUTING_ID) == routing_id


def test_connect_routing_id(rig: Rig) -> None:
    """ZMQ_CONNECT_ROUTING_ID names the next connection, and only that."""
    listener = rig.listen()
    stream = rig.socket("STREAM", CONNECT_ROUTING_ID=b"server")
    stream.connect(listener.endpoint)
    peer = listener.accept()
    assert stream.recv_multipart() == [b"server", b""]
    stream.send_multipart([b"server", b"hello"])
    peer.expect(b"hello")
    stream.connect(listener.endpoint)
    assert arrival(stream) == stream.getsockopt(rig.zmq.ROUTING_ID)


@pytest.mark.unlike_libzmq
def test_a_name_that_is_taken(rig: Rig) -> None:
    """libzmq ends the process."""
    listener = rig.listen()
    stream = rig.socket("STREAM", CONNECT_ROUTING_ID=b"server")
    stream.connect(listener.endpoint)
    stream.setsockopt(rig.zmq.CONNECT_ROUTING_ID, b"server")
    with pytest.raises(rig.zmq.ZMQError) as caught:
        stream.connect(listener.endpoint)
    assert caught.value.errno == errno.EINVAL


def test_reconnect_keeps_the_id(rig: Rig) -> None:
    stream, listener = rig.connecting("STREAM")
    routing_id = stream.getsockopt(rig.zmq.ROUTING_ID)
    first = listener.accept()
    assert arrival(stream) == routing_id
    first.close()
    assert stream.recv_multipart() == [routing_id, b""]
    second = listener.accept()
    assert stream.recv_multipart() == [routing_id, b""]
    stream.send_multipart([routing_id, b"again"])
    second.expect(b"again")


def test_what_is_sent_between_connections_waits(rig: Rig) -> None:
    listener = rig.listen()
    stream = rig.socket("STREAM", RECONNECT_IVL=300)
    stream.connect(listener.endpoint)
    routing_id = stream.getsockopt(rig.zmq.ROUTING_ID)
    listener.accept().close()
    assert [stream.recv_multipart() for _ in range(2)] == [[routing_id, b""]] * 2
    stream.send_multipart([routing_id, b"waiting"])
    listener.accept().expect(b"waiting")


def test_an_own_close_does_not_reconnect(rig: Rig) -> None:
    stream, listener = rig.connecting("STREAM")
    routing_id = arrival(stream)
    peer = listener.accept()
    stream.send_multipart([routing_id, b""])
    expect_end(rig, stream, peer)
    listener.expect_no_connection()
    stream.disconnect(listener.endpoint)


def test_two_streams(rig: Rig) -> None:
    server, endpoint = rig.bind("STREAM")
    client = rig.socket("STREAM")
    client.connect(endpoint)
    back, there = arrival(server), arrival(client)
    client.send_multipart([there, b"ping"])
    assert server.recv_multipart() == [back, b"ping"]
    server.send_multipart([back, b"pong"])
    assert client.recv_multipart() == [there, b"pong"]


def test_ipc(rig: Rig, tmp_path: Path) -> None:
    server, client = rig.socket("STREAM"), rig.socket("STREAM")
    server.bind(f"ipc://{tmp_path}/s")
    client.connect(f"ipc://{tmp_path}/s")
    there = arrival(client)
    client.send_multipart([there, b"x"])
    back = arrival(server)
    assert server.recv_multipart() == [back, b"x"]


def test_inproc(rig: Rig) -> None:
    """There is no connection to tell of; messages pass with the receiver's id for the sender."""
    server, client = rig.socket("STREAM"), rig.socket("STREAM")
    server.bind("inproc://stream")
    client.connect("inproc://stream")
    there = client.getsockopt(rig.zmq.ROUTING_ID)
    client.send_multipart([there, b"over there"])
    back, body = server.recv_multipart()
    assert (len(back), body) == (5, b"over there")
    server.send_multipart([back, b"and back"])
    assert client.recv_multipart() == [there, b"and back"]


# --- sizes and bounds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 255, 256, 8191, 8192, 8193, 65536, 3_000_001])
def test_bodies_of_any_size(rig: Rig, size: int) -> None:
    stream, peer, routing_id = accepting(rig)
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    stream.send_multipart([routing_id, body])
    peer.expect(body)
    sender = threading.Thread(target=peer.send, args=(body,))
    sender.start()
    assert read_bytes(stream, routing_id, size) == body
    sender.join()


def test_chunks_are_bounded(rig: Rig) -> None:
    stream, peer, routing_id = accepting(rig)
    sender = threading.Thread(target=peer.send, args=(bytes(4 << 20),))
    sender.start()
    total = 0
    while total < 4 << 20:
        _, body = stream.recv_multipart()
        assert 0 < len(body) <= FIRST_CHUNK_MAX
        total += len(body)
    sender.join()


def test_rcvhwm_stops_reading(rig: Rig) -> None:
    """A user who does not receive stops the peer, and loses nothing."""
    stream, peer, routing_id = accepting(rig, RCVHWM=3)
    body = bytes(range(256)) * (32 << 12)
    sent = peer.send_some(body, 0.2)
    assert sent < len(body)
    rest = threading.Thread(target=peer.send, args=(body[sent:],))
    rest.start()
    assert read_bytes(stream, routing_id, len(body)) == body
    rest.join()


def test_sndhwm_stops_sending(rig: Rig) -> None:
    """A peer that does not read stops the user, and gets everything once it reads."""
    stream, endpoint = rig.bind("STREAM", SNDHWM=4, SNDTIMEO=200)
    peer = rig.peer(endpoint, rcvbuf_bytes=4096)
    routing_id = arrival(stream)
    count = 0
    with pytest.raises(rig.zmq.Again):
        while count < 1000:
            stream.send_multipart([routing_id, bytes([count % 256]) * 500_000])
            count += 1
    assert count < 1000
    for i in range(count):
        peer.expect(bytes([i % 256]) * 500_000)
    stream.setsockopt(rig.zmq.SNDTIMEO, 10_000)
    stream.send_multipart([routing_id, b"goes on"])
    peer.expect(b"goes on")


@pytest.mark.unlike_libzmq
def test_a_waiting_send_hears_of_the_end(rig: Rig) -> None:
    """libzmq waits on."""
    stream, peer, routing_id = accepting(rig, SNDHWM=1)
    found: list[int] = []

    def flood() -> None:
        try:
            while True:
                stream.send_multipart([routing_id, bytes(1 << 20)])
        except rig.zmq.ZMQError as error:
            found.append(error.errno)

    sender = threading.Thread(target=flood)
    sender.start()
    assert peer.read(1 << 20)
    peer.reset()
    sender.join(10)
    assert found == [errno.EHOSTUNREACH]


def test_a_stalled_peer_costs_no_time(rig: Rig) -> None:
    """Neither direction of a blocked connection keeps a thread busy."""
    stream, peer, routing_id = accepting(rig, SNDHWM=2, RCVHWM=2)
    stream.setsockopt(rig.zmq.SNDTIMEO, 500)
    with pytest.raises(rig.zmq.Again):
        for _ in range(1000):
            stream.send_multipart([routing_id, bytes(1 << 20)])
    peer.send_some(bytes(16 << 20), 0.2)
    before = time.process_time()
    with pytest.raises(rig.zmq.Again):
        stream.send_multipart([routing_id, b"x"])
    assert time.process_time() - before < 0.25


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(min_size=1, max_size=40_000), min_size=1, max_size=8))
def test_any_split_gives_the_same_bytes(joined: tuple[Any, RawPeer, bytes], pieces: list[bytes]) -> None:
    """Both ways: however the bytes are cut into writes or messages, they come in order and complete."""
    stream, peer, routing_id = joined
    whole = b"".join(pieces)
    for piece in pieces:
        stream.send_multipart([routing_id, piece])
    peer.expect(whole)
    sender = threading.Thread(target=send_all, args=(peer, pieces))
    sender.start()
    assert read_bytes(stream, routing_id, len(whole)) == whole
    sender.join()


@pytest.fixture(scope="module")
def joined(zmq: Any) -> Iterator[tuple[Any, RawPeer, bytes]]:
    with Rig(zmq) as rig:
        yield accepting(rig)


# --- the neighbourhood ----------------------------------------------------------------------------------------------


def test_http(rig: Rig) -> None:
    """A web server of a few lines: what answers is closed, as HTTP/1.0 does."""
    stream, endpoint = rig.bind("STREAM", LINGER=-1)
    page = b"<p>" + b"x" * 500_000

    def serve(requests: int) -> None:
        seen: dict[bytes, bytes] = {}
        while requests:
            routing_id, data = stream.recv_multipart()
            seen[routing_id] = seen.get(routing_id, b"") + data
            if seen[routing_id].endswith(b"\r\n\r\n"):
                head = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page)
                stream.send_multipart([routing_id, head + page])
                seen[routing_id] = b""
                requests -= 1

    server = threading.Thread(target=serve, args=(3,))
    server.start()
    url = endpoint.replace("tcp://", "http://")
    for _ in range(3):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=10) as answer:
            assert isinstance(answer, http.client.HTTPResponse)
            assert (answer.status, answer.read()) == (200, page)
    server.join()


def test_events(rig: Rig) -> None:
    """libzmq takes a raw peer for one whose handshake never ends; programs that watch it see the same here."""
    stream = rig.socket("STREAM")
    events = rig.zmq.Event
    monitor = Monitor(rig, stream)
    stream.bind("tcp://127.0.0.1:*")
    endpoint = stream.getsockopt(rig.zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
    peer = rig.peer(endpoint)
    arrival(stream)
    peer.close()
    stream.recv_multipart()
    told = monitor.events()
    assert [next(told)[0] for _ in range(2)] == [events.LISTENING, events.ACCEPTED]
    assert next(told) == (events.HANDSHAKE_FAILED_NO_DETAIL, errno.EPIPE)
    assert next(told)[0] == events.DISCONNECTED


def test_events_of_a_connector(rig: Rig) -> None:
    events = rig.zmq.Event
    listener = rig.listen()
    stream = rig.socket("STREAM", RECONNECT_IVL=60_000)
    monitor = Monitor(rig, stream)
    stream.connect(listener.endpoint)
    arrival(stream)
    listener.accept().close()
    told = monitor.events()
    wanted = [
        events.CONNECT_DELAYED, events.CONNECTED, events.HANDSHAKE_FAILED_NO_DETAIL, events.DISCONNECTED,
        events.CONNECT_RETRIED,
    ]  # fmt: skip
    assert [next(told)[0] for _ in wanted] == wanted


def test_proxy(rig: Rig) -> None:
    """Raw peers in front of DEALER workers. What no peer can be sent is dropped (libzmq: ends the proxy)."""
    stream, endpoint = rig.bind("STREAM")
    back = rig.socket("DEALER")
    back.bind("inproc://workers")
    control, steer = rig.socket("PAIR"), rig.socket("PAIR")
    control.bind("inproc://control")
    steer.connect("inproc://control")
    worker = rig.socket("DEALER")
    worker.connect("inproc://workers")
    proxy = threading.Thread(target=rig.zmq.proxy_steerable, args=(stream, back, None, control))
    proxy.start()
    try:
        first = rig.peer(endpoint)
        routing_id = arrival(worker)
        if rig.zmq.__name__ == "zmqcore":
            for parts in ([b"nobod", b"x"], [b"lone"], [routing_id, b"a", b"b"]):
                worker.send_multipart(parts)
        for i in range(100):
            first.send(b"ask%03d" % i)
            assert read_bytes(worker, routing_id, 6) == b"ask%03d" % i
            worker.send_multipart([routing_id, b"answer"])
            first.expect(b"answer")
        worker.send_multipart([routing_id, b""])
        first.expect_close()
    finally:
        steer.send(b"TERMINATE")
        proxy.join(10)


# --- ROUTER_RAW -----------------------------------------------------------------------------------------------------


def test_raw_router(rig: Rig) -> None:
    """ZMQ_ROUTER_RAW, the predecessor of STREAM: the same messages, and what cannot be routed is dropped."""
    router, peer = rig.accepting("ROUTER", ROUTER_RAW=1)
    routing_id = arrival(router)
    peer.send(b"hi")
    assert router.recv_multipart() == [routing_id, b"hi"]
    router.send_multipart([b"abcde", b"nobody"])
    router.send_multipart([routing_id, b"yo"])
    peer.expect(b"yo")
    router.send_multipart([routing_id, b""])
    expect_end(rig, router, peer)


def test_raw_router_hears_of_the_end(rig: Rig) -> None:
    router, peer = rig.accepting("ROUTER", ROUTER_RAW=1)
    routing_id = arrival(router)
    peer.close()
    assert router.recv_multipart() == [routing_id, b""]
