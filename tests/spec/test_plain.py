"""PLAIN (RFC 24) byte by byte: both roles, what ZAP answers, and peers that do it wrongly."""

from __future__ import annotations

from typing import Any

import pytest

from tests.raw_peer import Rig, command, error, frame, greeting, message, prop, properties, ready
from tests.zap import ZapHandler, reply

UNEXPECTED, MALFORMED, BAD_HELLO = 0x10000001, 0x10000011, 0x10000013
BAD_ERROR, BAD_WELCOME, BAD_METADATA = 0x10000015, 0x10000017, 0x10000018
MANGLED_ERROR = b"^RROR"
HELLO = command(b"HELLO", b"\x05admin\x02pw")
WELCOME = command(b"WELCOME")


def initiate(socket_type: bytes = b"DEALER") -> bytes:
    return command(b"INITIATE", prop(b"Socket-Type", socket_type) + prop(b"Identity", b""))


def asking(rig: Rig) -> tuple[Any, Any, Any]:
    """A PLAIN client, the raw server that it has connected to and greeted, and its monitor."""
    listener = rig.listen()
    sock = rig.socket("DEALER", RECONNECT_IVL=10, PLAIN_USERNAME=b"admin", PLAIN_PASSWORD=b"pw")
    monitor = rig.monitor(sock)
    sock.connect(listener.endpoint)
    server = listener.accept()
    assert server.greet(b"PLAIN")[12:18] == b"PLAIN\0"
    server.expect(HELLO)
    return sock, server, monitor


def expect_failure(rig: Rig, monitor: Any, code: int) -> None:
    value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
    assert value == code, hex(value)
    monitor.wait_for(rig.zmq.EVENT_DISCONNECTED)


def test_server(rig: Rig) -> None:
    with ZapHandler(rig.zmq, rig.context) as zap:
        sock, peer = rig.accepting("ROUTER", PLAIN_SERVER=1, ROUTING_ID=b"me", ZAP_DOMAIN=b"here")
        peer.greet(b"PLAIN")
        peer.send(HELLO)
        peer.expect_hex("04 08 07 57 45 4c 43 4f 4d 45")
        peer.send(initiate())
        got = peer.read_frame()
        assert got.command_name == b"READY"
        assert properties(got.command_data) == {b"Socket-Type": b"ROUTER", b"Identity": b"me"}
        peer.send(message(b"hello"))
        assert sock.recv_multipart()[1] == b"hello"
        assert zap.requests == [[b"1.0", b"1", b"here", b"127.0.0.1", b"me", b"PLAIN", b"admin", b"pw"]]


def test_client(rig: Rig) -> None:
    sock, server, _ = asking(rig)
    server.send(WELCOME)
    server.expect(initiate())
    server.send(ready("ROUTER") + message(b"hello"))
    assert sock.recv() == b"hello"
    sock.send(b"answer")
    server.expect(message(b"answer"))


def test_empty_names_are_names(rig: Rig) -> None:
    with ZapHandler(rig.zmq, rig.context) as zap:
        _, peer = rig.accepting("ROUTER", PLAIN_SERVER=1)
        peer.greet(b"PLAIN")
        peer.send(command(b"HELLO", b"\0\0"))
        peer.expect(WELCOME)
        assert zap.requests[0][6:] == [b"", b""]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (command(b"READY"), UNEXPECTED),
        (initiate(), UNEXPECTED),
        (frame(b"", is_command=True), MALFORMED),
        (frame(b"\x05", is_command=True), MALFORMED),
        (command(b"HELLO"), BAD_HELLO),
        (command(b"HELLO", b"\x05admin"), BAD_HELLO),
        (command(b"HELLO", b"\x06admin"), BAD_HELLO),
        (command(b"HELLO", b"\x05admin\x03pw"), BAD_HELLO),
        (command(b"HELLO", b"\x05admin\x02pwx"), BAD_HELLO),
        (command(b"HELLO", b"\xffadmin"), BAD_HELLO),
    ],
)
def test_bad_hello(rig: Rig, sent: bytes, code: int) -> None:
    with ZapHandler(rig.zmq, rig.context) as zap:
        sock, endpoint = rig.bind("ROUTER", PLAIN_SERVER=1)
        monitor = rig.monitor(sock)
        peer = rig.peer(endpoint)
        peer.greet(b"PLAIN")
        peer.send(sent)
        expect_failure(rig, monitor, code)
        peer.expect_close()
        assert not zap.requests


@pytest.mark.parametrize("sent", [HELLO, ready("DEALER"), message(b"let me in"), command(b"WELCOME")])
def test_wrong_order(rig: Rig, sent: bytes) -> None:
    with ZapHandler(rig.zmq, rig.context):
        sock, endpoint = rig.bind("ROUTER", PLAIN_SERVER=1)
        monitor = rig.monitor(sock)
        peer = rig.peer(endpoint)
        peer.greet(b"PLAIN")
        peer.send(HELLO)
        peer.expect(WELCOME)
        peer.send(sent)
        value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
        assert value in (UNEXPECTED, MALFORMED)
        peer.expect_close()
        rig.expect_nothing(sock)


def test_a_client_of_a_wrong_type(rig: Rig) -> None:
    with ZapHandler(rig.zmq, rig.context):
        _, peer = rig.accepting("ROUTER", PLAIN_SERVER=1)
        peer.greet(b"PLAIN")
        peer.send(HELLO)
        peer.expect(WELCOME)
        peer.send(initiate(b"PUB"))
        peer.expect_close()


@pytest.mark.parametrize("status", [b"400", b"500"])
def test_refused(rig: Rig, status: bytes) -> None:
    """The mangled ERROR is what libzmq's clients understand."""
    with ZapHandler(rig.zmq, rig.context, status):
        sock, endpoint = rig.bind("ROUTER", PLAIN_SERVER=1)
        monitor = rig.monitor(sock)
        peer = rig.peer(endpoint)
        peer.greet(b"PLAIN")
        peer.send(HELLO)
        peer.expect(frame(MANGLED_ERROR + b"\x03" + status, is_command=True))
        value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        assert value == int(status)


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("status", [b"300", b"400", b"500"])
def test_a_refused_client_is_closed(rig: Rig, status: bytes) -> None:
    with ZapHandler(rig.zmq, rig.context, status):
        _, peer = rig.accepting("ROUTER", PLAIN_SERVER=1)
        peer.greet(b"PLAIN")
        peer.send(HELLO)
        told = b"" if status == b"300" else frame(MANGLED_ERROR + b"\x03" + status, is_command=True)
        assert peer.read_to_close() == told


@pytest.mark.parametrize(
    "options", [{}, {"ZAP_DOMAIN": b"here"}, pytest.param({"ZAP_ENFORCE_DOMAIN": 1}, marks=pytest.mark.unlike_libzmq)]
)
def test_nobody_to_ask(rig: Rig, options: dict[str, Any]) -> None:
    """PLAIN without a handler accepts nobody."""
    sock, endpoint = rig.bind("ROUTER", PLAIN_SERVER=1, **options)
    monitor = rig.monitor(sock)
    peer = rig.peer(endpoint)
    peer.greet(b"PLAIN")
    peer.send(HELLO)
    value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
    assert value == rig.zmq.EFAULT
    peer.expect_close()


@pytest.mark.parametrize(
    "sent",
    [
        frame(MANGLED_ERROR + b"\x03400", is_command=True),
        pytest.param(error(b"400"), marks=pytest.mark.unlike_libzmq),
    ],
)
def test_a_server_refuses(rig: Rig, sent: bytes) -> None:
    """RFC 24's form of ERROR and libzmq's are both understood."""
    _, server, monitor = asking(rig)
    server.send(sent)
    value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    assert value == 400


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (command(b"WELCOME", b"x"), BAD_WELCOME),
        (ready("ROUTER"), UNEXPECTED),
        (HELLO, UNEXPECTED),
        (frame(MANGLED_ERROR + b"\x04400", is_command=True), BAD_ERROR),
        (WELCOME + ready("PUB"), BAD_METADATA),
        (WELCOME + command(b"READY", b"x"), BAD_METADATA),
        (WELCOME + WELCOME, UNEXPECTED),
    ],
)
def test_bad_server(rig: Rig, sent: bytes, code: int) -> None:
    _, server, monitor = asking(rig)
    server.send(sent)
    expect_failure(rig, monitor, code)


@pytest.mark.unlike_libzmq
def test_a_peer_without_a_password_is_sent_nothing(rig: Rig) -> None:
    with ZapHandler(rig.zmq, rig.context, lambda request: reply(request, b"200") if request[7] == b"pw" else None):
        sock, endpoint = rig.bind("PUSH", PLAIN_SERVER=1)
        waiting = rig.peer(endpoint)
        waiting.greet(b"PLAIN")
        waiting.send(command(b"HELLO", b"\x05admin\x02xx") + initiate(b"PULL"))
        peer = rig.peer(endpoint)
        peer.greet(b"PLAIN")
        peer.send(HELLO)
        peer.expect(WELCOME)
        peer.send(initiate(b"PULL"))
        assert peer.read_frame().command_name == b"READY"
        for number in range(10):
            sock.send(b"%d" % number)
            peer.expect(message(b"%d" % number))
        waiting.expect_quiet()


def test_null_is_refused(rig: Rig) -> None:
    _, peer = rig.accepting("ROUTER", PLAIN_SERVER=1)
    peer.send(greeting())
    assert len(peer.read_to_close()) <= 64
