"""Connecting through a SOCKS 5 proxy (RFC 1928, RFC 1929; zmq_setsockopt(3), ZMQ_SOCKS_PROXY).

The proxy is played by hand. Behind its last answer the same connection is the server's.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.raw_peer import DEADLINE_S, RawListener, RawPeer, Rig, signature, wait_until

TARGET = "tcp://127.0.0.9:4660"
REQUEST = b"\5\1\0\1\x7f\0\0\x09\x12\x34"
OPEN, LOGIN = b"\5\0", b"\5\2"
CONNECTED = b"\5\0\0\1\0\0\0\0\0\0"

# libzmq has the same bytes and the same events, but ends the process when such a socket is closed between two attempts.
pytestmark = pytest.mark.unlike_libzmq


def text(listener: RawListener) -> bytes:
    return listener.endpoint.removeprefix("tcp://").encode()


def through(rig: Rig, kind: str = "DEALER", target: str = TARGET, **options: Any) -> tuple[Any, RawListener]:
    """A socket that connects to the target through the proxy that is returned."""
    proxy = rig.listen()
    sock = rig.socket(kind, RECONNECT_IVL=10, SOCKS_PROXY=text(proxy), **options)
    sock.connect(target)
    return sock, proxy


def let_through(proxy: RawListener, request: bytes = REQUEST) -> RawPeer:
    peer = proxy.accept()
    peer.expect(b"\5\1\0")
    peer.send(OPEN)
    peer.expect(request)
    peer.send(CONNECTED)
    return peer


# --- a proxy that does its work --------------------------------------------------------------------------------------


def test_zmtp_begins_behind_the_reply(rig: Rig) -> None:
    """The client begins with the method selection, and nothing of ZMTP comes before the proxy's last answer."""
    sock, proxy = through(rig)
    peer = proxy.accept()
    peer.expect(b"\5\1\0")
    peer.expect_quiet()
    peer.send(OPEN)
    peer.expect(REQUEST)
    peer.expect_quiet()
    peer.send(CONNECTED)
    peer.handshake("DEALER")
    sock.send(b"out")
    assert peer.read_message() == [b"out"]
    peer.send(b"\0\2in")
    assert sock.recv() == b"in"


def test_a_name_is_left_to_the_proxy(rig: Rig) -> None:
    """No look-up takes place here."""
    _, proxy = through(rig, target="tcp://no.such.host.invalid:80")
    let_through(proxy, b"\5\1\0\3\x14no.such.host.invalid\0\x50").read(10)


def test_an_ipv6_address(rig: Rig) -> None:
    _, proxy = through(rig, target="tcp://[::1]:80")
    let_through(proxy, b"\5\1\0\4" + bytes(15) + b"\1\0\x50").read(10)


def test_user_and_password(rig: Rig) -> None:
    sock, proxy = through(rig, SOCKS_USERNAME=b"user", SOCKS_PASSWORD=b"word")
    peer = proxy.accept()
    peer.expect(b"\5\1\2")
    peer.send(LOGIN)
    peer.expect(b"\1\4user\4word")
    peer.send(b"\1\0")
    peer.expect(REQUEST)
    peer.send(CONNECTED)
    peer.handshake("DEALER")
    sock.send(b"out")
    assert peer.read_message() == [b"out"]


def test_user_and_password_refused(rig: Rig) -> None:
    _, proxy = through(rig, SOCKS_USERNAME=b"user", SOCKS_PASSWORD=b"word")
    for _ in range(2):
        peer = proxy.accept()
        peer.expect(b"\5\1\2")
        peer.send(LOGIN)
        peer.expect(b"\1\4user\4word")
        peer.send(b"\1\1")
        peer.expect_close()


def test_answers_byte_by_byte(rig: Rig) -> None:
    sock, proxy = through(rig, SOCKS_USERNAME=b"user", SOCKS_PASSWORD=b"word")
    peer = proxy.accept()
    for wanted, answer in (
        (b"\5\1\2", LOGIN),
        (b"\1\4user\4word", b"\1\0"),
        (REQUEST, b"\5\0\0\3\x09some.host\x12\x34"),
    ):
        peer.expect(wanted)
        for at in range(len(answer)):
            peer.send(answer[at : at + 1])
            if at + 1 < len(answer):
                peer.expect_quiet(0.003)
    peer.handshake("DEALER")
    sock.send(b"out")
    assert peer.read_message() == [b"out"]


def test_the_servers_greeting_may_come_with_the_reply(rig: Rig) -> None:
    sock, proxy = through(rig)
    peer = proxy.accept()
    peer.expect(b"\5\1\0")
    peer.send(OPEN)
    peer.expect(REQUEST)
    peer.send(CONNECTED + signature())
    peer.read(10)
    greeting = b"\3\1NULL".ljust(22, b"\0") + bytes(32)
    peer.send(greeting)
    peer.read(54)
    peer.send(b"\4\x1c\5READY\x0bSocket-Type\0\0\0\6DEALER")
    assert peer.read_frame().command_name == b"READY"
    sock.send(b"out")
    assert peer.read_message() == [b"out"]


def test_a_lost_connection_comes_back_through_the_proxy(rig: Rig) -> None:
    sock, proxy = through(rig)
    for number in range(3):
        peer = let_through(proxy)
        peer.handshake("DEALER")
        sock.send(b"%d" % number)
        assert peer.read_message() == [b"%d" % number]
        peer.close()


def test_last_endpoint_and_disconnect_name_the_target(rig: Rig) -> None:
    sock, proxy = through(rig)
    let_through(proxy).handshake("DEALER")
    assert sock.getsockopt(rig.zmq.LAST_ENDPOINT).rstrip(b"\0").decode() == TARGET
    sock.disconnect(TARGET)
    proxy.accepted[0].read_to_close()


def test_events_name_the_proxy(rig: Rig) -> None:
    proxy = rig.listen()
    sock = rig.socket("DEALER", SOCKS_PROXY=text(proxy))
    monitor = rig.monitor(sock)
    sock.connect(TARGET)
    let_through(proxy).handshake("DEALER")
    seen: list[tuple[int, str]] = []
    while not seen or seen[-1][0] != rig.zmq.EVENT_HANDSHAKE_SUCCEEDED:
        head, endpoint = monitor.sock.recv_multipart()
        seen.append((struct.unpack("=HI", head)[0], endpoint.decode()))
    assert [number for number, _ in seen] == [
        rig.zmq.EVENT_CONNECT_DELAYED, rig.zmq.EVENT_CONNECTED, rig.zmq.EVENT_HANDSHAKE_SUCCEEDED
    ]  # fmt: skip
    assert {endpoint for _, endpoint in seen} == {proxy.endpoint}
    sock.disable_monitor()


def test_the_proxy_of_a_connection_is_that_of_its_connect(rig: Rig) -> None:
    sock, proxy = through(rig)
    sock.setsockopt(rig.zmq.SOCKS_PROXY, b"127.0.0.1:1")
    direct = rig.listen()
    for _ in range(2):
        let_through(proxy).close()
    sock.setsockopt(rig.zmq.SOCKS_PROXY, text(direct))
    let_through(proxy)
    direct.expect_no_connection()


def test_a_source_address_is_ours(rig: Rig) -> None:
    """libzmq asks the proxy for a host of the name "127.0.0.5:0;127.0.0.9"."""
    _, proxy = through(rig, target="tcp://127.0.0.5:0;127.0.0.9:4660")
    peer = let_through(proxy)
    assert peer.sock.getpeername()[0] == "127.0.0.5"


def test_other_transports_know_no_proxy(rig: Rig, tmp_path: Any) -> None:
    proxy = rig.listen()
    server = rig.socket("DEALER")
    server.bind(f"ipc://{tmp_path}/s")
    sock = rig.socket("DEALER", SOCKS_PROXY=text(proxy))
    sock.connect(f"ipc://{tmp_path}/s")
    sock.send(b"out")
    assert server.recv() == b"out"
    proxy.expect_no_connection()


# --- a proxy that does not -------------------------------------------------------------------------------------------

ANSWERS = [
    [b"\5\xff"],
    [b"\4\0"],
    [b"\5\1"],
    [OPEN, b"\5\5\0\1\0\0\0\0\0\0"],
    [OPEN, b"\5\1\0\1\0\0\0\0\0\0"],
    [OPEN, b"\4\0\0\1\0\0\0\0\0\0"],
    [OPEN, b"\5\0\0\7\0\0\0\0\0\0"],
    [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    [OPEN, b"\xff" * 300],
]


@pytest.mark.parametrize("answers", ANSWERS, ids=lambda answers: repr(answers[-1][:6]))
def test_what_a_proxy_refuses_is_tried_again(rig: Rig, answers: list[bytes]) -> None:
    """The connection ends at once, and the next attempt follows."""
    sock, proxy = through(rig)
    for _ in range(2):
        peer = proxy.accept()
        for wanted, answer in zip((b"\5\1\0", REQUEST), answers, strict=False):
            peer.expect(wanted)
            peer.send(answer)
        peer.expect_close()
    peer = let_through(proxy)
    peer.handshake("DEALER")
    sock.send(b"in the end")
    assert peer.read_message() == [b"in the end"]


@pytest.mark.parametrize("stage", [0, 1, 2])
@pytest.mark.parametrize("end", [RawPeer.close, RawPeer.reset])
def test_a_proxy_that_goes_away(rig: Rig, stage: int, end: Any) -> None:
    sock, proxy = through(rig)
    peer = proxy.accept()
    for wanted, answer in [(b"\5\1\0", OPEN), (REQUEST, CONNECTED[:5])][:stage]:
        peer.expect(wanted)
        peer.send(answer)
    end(peer)
    peer = let_through(proxy)
    peer.handshake("DEALER")
    sock.send(b"in the end")
    assert peer.read_message() == [b"in the end"]


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_silent_proxy_is_given_up(rig: Rig, stage: int) -> None:
    """HANDSHAKE_IVL bounds the talk with the proxy as well. libzmq waits for ever."""
    proxy = rig.listen()
    sock = rig.socket("DEALER", SOCKS_PROXY=text(proxy), RECONNECT_IVL=10, HANDSHAKE_IVL=50)
    monitor = rig.monitor(sock)
    sock.connect(TARGET)
    for _ in range(2):
        peer = proxy.accept()
        for wanted, answer in [(b"\5\1\0", OPEN), (REQUEST, CONNECTED[:7])][:stage]:
            peer.expect(wanted)
            peer.send(answer)
        peer.read_to_close()
    _, before = monitor.wait_for(rig.zmq.EVENT_CONNECT_RETRIED)
    assert before == [rig.zmq.EVENT_CONNECT_DELAYED, rig.zmq.EVENT_CLOSED]
    sock.disable_monitor()


def test_a_silent_proxy_holds_nobody_up(rig: Rig) -> None:
    """Other connections of the same socket and the same I/O thread go on."""
    sock, proxy = through(rig)
    proxy.accept().expect(b"\5\1\0")
    server, _ = rig.bind("DEALER")
    sock.bind("tcp://127.0.0.1:*")
    other = rig.socket("DEALER")
    for target in (server, sock):
        other.connect(target.getsockopt(rig.zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
    for _ in range(2):
        other.send(b"past it")
    assert server.recv() == sock.recv() == b"past it"


@pytest.mark.parametrize("name", [b"127.0.0.1", b"127.0.0.1:", b":1", b"not a host:1", b"x" * 2000 + b":1", b"a\0b:1"])
def test_a_proxy_that_cannot_be(rig: Rig, name: bytes) -> None:
    """Found out at each attempt, as with every address that does not exist."""
    sock = rig.socket("DEALER", SOCKS_PROXY=name, RECONNECT_IVL=10)
    monitor = rig.monitor(sock)
    sock.connect(TARGET)
    for _ in range(2):
        monitor.wait_for(rig.zmq.EVENT_CONNECT_RETRIED)
    sock.disable_monitor()


def test_a_target_without_a_port(rig: Rig) -> None:
    _, proxy = through(rig, target="tcp://127.0.0.1:0")
    peer = proxy.accept()
    peer.expect_close()


def test_what_is_sent_before_the_end_lingers_through_the_proxy(rig: Rig) -> None:
    """close() with LINGER while the proxy still thinks."""
    sock, proxy = through(rig, "PUSH", LINGER=int(DEADLINE_S * 1000))
    sock.send(b"last words")
    peer = proxy.accept()
    peer.expect(b"\5\1\0")
    sock.close()
    rig.sockets.remove(sock)
    peer.send(OPEN)
    peer.expect(REQUEST)
    peer.send(CONNECTED)
    peer.handshake("PULL")
    assert peer.read_message() == [b"last words"]


@pytest.mark.parametrize("stage", [0, 1])
def test_closing_while_the_proxy_thinks(rig: Rig, stage: int) -> None:
    sock, proxy = through(rig)
    peer = proxy.accept()
    peer.expect(b"\5\1\0")
    if stage:
        peer.send(OPEN)
        peer.expect(REQUEST)
    sock.close(0)
    rig.sockets.remove(sock)
    peer.read_to_close()


# --- a whole proxy ---------------------------------------------------------------------------------------------------


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def serve(listener: socket.socket, hosts: list[bytes]) -> None:
    """A small SOCKS 5 proxy: every name is this machine."""
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            assert client.recv(3, socket.MSG_WAITALL) == b"\5\1\0"
            client.sendall(OPEN)
            assert client.recv(4, socket.MSG_WAITALL) == b"\5\1\0\3"
            hosts.append(client.recv(client.recv(1)[0], socket.MSG_WAITALL))
            (port,) = struct.unpack(">H", client.recv(2, socket.MSG_WAITALL))
            server = socket.create_connection(("127.0.0.1", port))
            client.sendall(CONNECTED)
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()


@pytest.fixture
def socks_server() -> Iterator[tuple[bytes, list[bytes]]]:
    """A proxy that works; its address, and the hosts that were asked for."""
    hosts: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, hosts), daemon=True)
        thread.start()
        yield b"%s:%d" % (listener.getsockname()[0].encode(), listener.getsockname()[1]), hosts
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(DEADLINE_S)


def test_requests_and_replies_through_a_real_proxy(rig: Rig, socks_server: tuple[bytes, list[bytes]]) -> None:
    address, hosts = socks_server
    server, endpoint = rig.bind("REP")
    port = endpoint.rpartition(":")[2]
    clients = [rig.socket("REQ", SOCKS_PROXY=address) for _ in range(3)]
    for client in clients:
        client.connect(f"tcp://only.the.proxy.knows:{port}")
    for number in range(100):
        for client in clients:
            client.send(b"%d" % number * 50)
            server.send(server.recv())
            assert client.recv() == b"%d" % number * 50
    wait_until(lambda: hosts == [b"only.the.proxy.knows"] * 3, "three connections")
