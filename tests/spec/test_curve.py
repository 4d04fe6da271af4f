"""CURVE (RFC 26) byte by byte: the handshake in both roles, messages, and peers that do it wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.raw_peer import Rig, command, error, frame, greeting, message, ping, prop, ready
from tests.zap import ZapHandler

pytest.importorskip("nacl")

from tests.curve_peer import CurveClient, CurveServer, Keys

UNEXPECTED, SEQUENCE, KEY_EXCHANGE = 0x10000001, 0x10000002, 0x10000003
MALFORMED, SHORT_MESSAGE, BAD_HELLO, BAD_INITIATE = 0x10000011, 0x10000012, 0x10000013, 0x10000014
BAD_READY, BAD_METADATA, CRYPTOGRAPHIC = 0x10000016, 0x10000018, 0x11000001

SERVER, CLIENT = Keys(), Keys()


def serving(rig: Rig, socket_type: str = "ROUTER", **options: Any) -> tuple[Any, CurveClient]:
    """A CURVE server and a client of ours that has connected to it."""
    sock, peer = rig.accepting(socket_type, CURVE_SERVER=1, CURVE_SECRETKEY=SERVER.secret, **options)
    return sock, CurveClient(peer, CLIENT, SERVER.public)


def asking(rig: Rig, socket_type: str = "DEALER", **options: Any) -> tuple[Any, CurveServer, Any]:
    """A CURVE client, and the server of ours that it has connected to; its monitor."""
    listener = rig.listen()
    keys = {"CURVE_SERVERKEY": SERVER.public, "CURVE_PUBLICKEY": CLIENT.public, "CURVE_SECRETKEY": CLIENT.secret}
    sock = rig.socket(socket_type, RECONNECT_IVL=10, **keys, **options)
    monitor = rig.monitor(sock)
    sock.connect(listener.endpoint)
    return sock, CurveServer(listener.accept(), SERVER), monitor


def expect_failure(rig: Rig, monitor: Any, code: int) -> None:
    value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
    assert value == code, hex(value)
    monitor.wait_for(rig.zmq.EVENT_DISCONNECTED)


# --- the handshake ---------------------------------------------------------------------------------------------------


def test_server(rig: Rig) -> None:
    """HELLO, WELCOME, INITIATE, READY; then messages of any size both ways, each frame in a box of its own."""
    sock, client = serving(rig, ROUTING_ID=b"me")
    assert client.handshake() == {b"Socket-Type": b"ROUTER", b"Identity": b"me"}
    for size in (0, 1, 222, 223, 2014, 2015, 2016, 70_000):
        client.peer.send(client.message(b"a" * size, 1) + client.message(b"b"))
        routing_id, first, second = sock.recv_multipart()
        assert (first, second) == (b"a" * size, b"b")
        sock.send_multipart([routing_id, first, second])
        assert client.read_message() == (1, first)
        assert client.read_message() == (0, b"b")


def test_client(rig: Rig) -> None:
    sock, server, _ = asking(rig, ROUTING_ID=b"me")
    assert server.handshake() == (CLIENT.public, {b"Socket-Type": b"DEALER", b"Identity": b"me"})
    sock.send_multipart([b"one", b"two"])
    assert server.read_message() == (1, b"one")
    assert server.read_message() == (0, b"two")
    server.peer.send(server.message(b"answer"))
    assert sock.recv() == b"answer"


def test_a_message_may_come_with_ready(rig: Rig) -> None:
    sock, server, _ = asking(rig)
    server.greet()
    server.take_hello()
    server.peer.send(server.welcome())
    server.take_initiate()
    server.peer.send(server.ready(prop(b"Socket-Type", b"ROUTER")) + server.message(b"at once"))
    assert sock.recv() == b"at once"


def test_every_byte_may_come_alone(rig: Rig) -> None:
    sock, client = serving(rig)
    client.greet()
    client.peer.trickle(client.hello())
    client.take_welcome()
    client.peer.trickle(client.initiate())
    client.take_ready()
    client.peer.trickle(client.message(b"slow" * 20))
    assert sock.recv_multipart()[1] == b"slow" * 20


def test_commands_travel_in_boxes(rig: Rig) -> None:
    """PING and SUBSCRIBE are commands by the flag inside of the box."""
    sock, client = serving(rig, "PUB")
    client.handshake(b"SUB")
    client.peer.send(client.message(ping(0, b"x")[2:], 2))
    assert client.read_message() == (2, b"\x04PONGx")
    client.peer.send(client.message(b"\x09SUBSCRIBEtopic", 2) + client.message(ping(0, b"y")[2:], 2))
    assert client.read_message() == (2, b"\x04PONGy")
    sock.send(b"other")
    sock.send(b"topic 1")
    assert client.read_message() == (0, b"topic 1")


def test_each_connection_has_new_keys(rig: Rig) -> None:
    sock, endpoint = rig.bind("ROUTER", CURVE_SERVER=1, CURVE_SECRETKEY=SERVER.secret)
    seen = set()
    for _ in range(3):
        client = CurveClient(rig.peer(endpoint), CLIENT, SERVER.public)
        client.handshake()
        seen.add(client.other)
    assert len(seen) == 3


# --- peers that do it wrongly ----------------------------------------------------------------------------------------


def flip(data: bytes, at: int) -> bytes:
    """One bit of a body, counted from its end, is wrong."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


HELLO_FAULTS: dict[str, tuple[Callable[[CurveClient], bytes], int]] = {
    "short": (lambda c: command(b"HELLO", c.hello()[8:-1]), BAD_HELLO),
    "long": (lambda c: command(b"HELLO", c.hello()[8:] + b"x"), BAD_HELLO),
    "version": (lambda c: c.hello(version=b"\x02\x00"), BAD_HELLO),
    "another server": (lambda c: c.hello(server=Keys().public), CRYPTOGRAPHIC),
    "changed": (lambda c: flip(c.hello(), -1), CRYPTOGRAPHIC),
    "key of nobody": (lambda c: c.hello()[:82] + bytes(32) + c.hello()[114:], CRYPTOGRAPHIC),
    "no command": (lambda c: frame(b""), MALFORMED),
    "READY": (lambda c: ready("DEALER"), UNEXPECTED),
    "message": (lambda c: message(b"hello, let me in"), MALFORMED),
    "MESSAGE": (lambda c: frame(b"\x07MESSAGE" + bytes(40)), UNEXPECTED),
}


@pytest.mark.parametrize("fault", HELLO_FAULTS)
def test_bad_hello(rig: Rig, fault: str) -> None:
    sock, endpoint = rig.bind("ROUTER", CURVE_SERVER=1, CURVE_SECRETKEY=SERVER.secret)
    monitor = rig.monitor(sock)
    client = CurveClient(rig.peer(endpoint), CLIENT, SERVER.public)
    client.greet()
    make, code = HELLO_FAULTS[fault]
    client.peer.send(make(client))
    expect_failure(rig, monitor, code)
    client.peer.expect_close()


INITIATE_FAULTS: dict[str, tuple[Callable[[CurveClient], bytes], int]] = {
    "short": (lambda c: command(b"INITIATE", bytes(200)), BAD_INITIATE),
    "cookie": (lambda c: c.initiate(cookie=bytes(96)), CRYPTOGRAPHIC),
    "changed": (lambda c: flip(c.initiate(), -1), CRYPTOGRAPHIC),
    "vouched by somebody else": (lambda c: c.initiate(secret=Keys().secret), CRYPTOGRAPHIC),
    "vouch for another key": (lambda c: c.initiate(vouched=Keys().public + SERVER.public), KEY_EXCHANGE),
    "HELLO again": (lambda c: c.hello(), UNEXPECTED),
    "MESSAGE too early": (lambda c: c.message(b"let me in"), UNEXPECTED),
}


@pytest.mark.parametrize("fault", INITIATE_FAULTS)
def test_bad_initiate(rig: Rig, fault: str) -> None:
    sock, endpoint = rig.bind("ROUTER", CURVE_SERVER=1, CURVE_SECRETKEY=SERVER.secret)
    monitor = rig.monitor(sock)
    client = CurveClient(rig.peer(endpoint), CLIENT, SERVER.public)
    client.greet()
    client.peer.send(client.hello())
    client.take_welcome()
    make, code = INITIATE_FAULTS[fault]
    client.peer.send(make(client))
    expect_failure(rig, monitor, code)
    client.peer.expect_close()
    rig.expect_nothing(sock)


@pytest.mark.unlike_libzmq
def test_a_vouch_for_another_server(rig: Rig) -> None:
    """RFC 26: the vouch holds the server's long-term key."""
    sock, client = serving(rig)
    monitor = rig.monitor(sock)
    client.greet()
    client.peer.send(client.hello())
    client.take_welcome()
    client.peer.send(client.initiate(vouched=client.public + Keys().public))
    expect_failure(rig, monitor, KEY_EXCHANGE)


def test_the_cookie_of_another_connection(rig: Rig) -> None:
    sock, endpoint = rig.bind("ROUTER", CURVE_SERVER=1, CURVE_SECRETKEY=SERVER.secret)
    monitor = rig.monitor(sock)
    clients = [CurveClient(rig.peer(endpoint), CLIENT, SERVER.public) for _ in range(2)]
    for client in clients:
        client.greet()
        client.peer.send(client.hello())
        client.take_welcome()
    clients[1].peer.send(clients[1].initiate(cookie=clients[0].cookie))
    expect_failure(rig, monitor, CRYPTOGRAPHIC)


@pytest.mark.parametrize("metadata", [b"x", prop(b"Socket-Type", b"PUB"), prop(b"Socket-Type", b"DEALER")[:-1]])
def test_bad_properties_of_a_client(rig: Rig, metadata: bytes) -> None:
    sock, client = serving(rig)
    client.greet()
    client.peer.send(client.hello())
    client.take_welcome()
    client.peer.send(client.initiate(metadata=metadata))
    client.peer.expect_close()


MESSAGE_FAULTS: dict[str, tuple[Callable[[CurveClient], bytes], int]] = {
    "replayed": (lambda c: c.message(b"x", number=3), SEQUENCE),
    "counter 0": (lambda c: c.message(b"x", number=0), SEQUENCE),
    "changed": (lambda c: flip(c.message(b"x"), -1), CRYPTOGRAPHIC),
    "changed mac": (lambda c: flip(c.message(b"x"), 18), CRYPTOGRAPHIC),
    "changed and long": (lambda c: flip(c.message(b"x" * 5000), -1), CRYPTOGRAPHIC),
    "counter of another box": (
        lambda c: c.message(b"x", number=9)[:18] + c.message(b"x", number=8)[18:],
        CRYPTOGRAPHIC,
    ),
    "in the clear": (lambda c: message(b"not in a box"), UNEXPECTED),
    "empty": (lambda c: frame(b""), UNEXPECTED),
    "short": (lambda c: frame(b"\x07MESSAGE" + bytes(24)), SHORT_MESSAGE),
    "INITIATE": (lambda c: c.initiate(), UNEXPECTED),
}


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("fault", MESSAGE_FAULTS)
def test_bad_message(rig: Rig, fault: str) -> None:
    """The connection ends; nothing of it reaches the user, and what was sound before does."""
    sock, endpoint = rig.bind("ROUTER", CURVE_SERVER=1, CURVE_SECRETKEY=SERVER.secret)
    monitor = rig.monitor(sock)
    client = CurveClient(rig.peer(endpoint), CLIENT, SERVER.public)
    client.handshake()
    client.peer.send(client.message(b"sound"))
    assert sock.recv_multipart()[1] == b"sound"
    make, code = MESSAGE_FAULTS[fault]
    client.peer.send(make(client))
    expect_failure(rig, monitor, code)
    client.peer.expect_close()
    rig.expect_nothing(sock)


def test_counters_may_have_gaps(rig: Rig) -> None:
    sock, client = serving(rig)
    client.handshake()
    for number in (3, 10, 1 << 63):
        client.peer.send(client.message(b"%d" % number, number=number))
        assert sock.recv_multipart()[1] == b"%d" % number


def test_maxmsgsize_counts_the_box(rig: Rig) -> None:
    sock, client = serving(rig, MAXMSGSIZE=1000)
    client.handshake()
    client.peer.send(client.message(b"x" * 967))
    assert len(sock.recv_multipart()[1]) == 967
    client.peer.send(client.message(b"x" * 968))
    client.peer.expect_close()


SERVER_FAULTS: dict[str, tuple[Callable[[CurveServer], bytes], int]] = {
    "WELCOME changed": (lambda s: flip(s.welcome(), -1), CRYPTOGRAPHIC),
    "WELCOME with the key of nobody": (lambda s: s.welcome(public=bytes(32)), CRYPTOGRAPHIC),
    "READY too early": (lambda s: command(b"READY", bytes(100)), UNEXPECTED),
    "READY of NULL": (lambda s: ready("ROUTER"), UNEXPECTED),
    "message": (lambda s: message(b"\x01ab"), UNEXPECTED),
}


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("fault", SERVER_FAULTS)
def test_bad_welcome(rig: Rig, fault: str) -> None:
    _, server, monitor = asking(rig)
    server.greet()
    server.take_hello()
    make, code = SERVER_FAULTS[fault]
    server.peer.send(make(server))
    expect_failure(rig, monitor, code)
    server.peer.expect_close()


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda s: command(b"READY", bytes(23)), BAD_READY),
        (lambda s: flip(s.ready(prop(b"Socket-Type", b"ROUTER")), -1), CRYPTOGRAPHIC),
        (lambda s: s.ready(prop(b"Socket-Type", b"PUB")), BAD_METADATA),
        (lambda s: s.welcome(), UNEXPECTED),
    ],
)
def test_bad_ready(rig: Rig, make: Callable[[CurveServer], bytes], code: int) -> None:
    _, server, monitor = asking(rig)
    server.greet()
    server.take_hello()
    server.peer.send(server.welcome())
    server.take_initiate()
    server.peer.send(make(server))
    expect_failure(rig, monitor, code)


@pytest.mark.parametrize("status", [b"300", b"400", b"500"])
def test_a_server_refuses(rig: Rig, status: bytes) -> None:
    _, server, monitor = asking(rig)
    server.greet()
    server.take_hello()
    server.peer.send(error(status))
    value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    assert value == int(status)


# --- nobody gets in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", [b"NULL", b"PLAIN"])
def test_another_mechanism(rig: Rig, mechanism: bytes) -> None:
    sock, client = serving(rig)
    client.peer.send(greeting(mechanism))
    assert len(client.peer.read_to_close()) <= 64


@pytest.mark.parametrize("hello", ["ff 00 00 00 00 00 00 00 01 7f 01 05 00 00 00 01 78", "01 00 02 00 78"])
def test_older_peers_are_refused(rig: Rig, hello: str) -> None:
    """2.0 and 1.0 know no mechanism (H3)."""
    sock, client = serving(rig)
    client.peer.send(bytes.fromhex(hello))
    client.peer.read_to_close()
    rig.expect_nothing(sock)


@pytest.mark.unlike_libzmq
def test_an_unauthenticated_peer_holds_up_nobody(rig: Rig) -> None:
    """CVE-2020-15166: a peer that stays silent behind the greeting or WELCOME is sent nothing and stops nothing."""
    sock, endpoint = rig.bind("PUB", CURVE_SERVER=1, CURVE_SECRETKEY=SERVER.secret, HANDSHAKE_IVL=0, SNDHWM=10)
    silent = [CurveClient(rig.peer(endpoint), CLIENT, SERVER.public) for _ in range(3)]
    silent[1].greet()
    silent[2].greet()
    silent[2].peer.send(silent[2].hello())
    silent[2].take_welcome()
    client = CurveClient(rig.peer(endpoint), CLIENT, SERVER.public)
    client.handshake(b"SUB")
    client.peer.send(client.message(b"\x09SUBSCRIBE", 2) + client.message(ping()[2:], 2))
    assert client.read_message() == (2, b"\x04PONG")
    for number in range(100):
        sock.send(b"%d" % number)
        assert client.read_message() == (0, b"%d" % number)
    for other in silent[1:]:
        other.peer.expect_quiet()


def test_a_push_waits_for_an_authenticated_peer(rig: Rig) -> None:
    sock, endpoint = rig.bind("PUSH", CURVE_SERVER=1, CURVE_SECRETKEY=SERVER.secret)
    silent = CurveClient(rig.peer(endpoint), CLIENT, SERVER.public)
    silent.greet()
    silent.peer.send(silent.hello())
    silent.take_welcome()
    with pytest.raises(rig.zmq.Again):
        sock.send(b"for nobody", rig.zmq.DONTWAIT)
    client = CurveClient(rig.peer(endpoint), CLIENT, SERVER.public)
    client.handshake(b"PULL")
    sock.send(b"for somebody")
    assert client.read_message() == (0, b"for somebody")


def test_handshake_ivl_ends_a_silent_peer(rig: Rig) -> None:
    sock, client = serving(rig, HANDSHAKE_IVL=100)
    client.greet()
    client.peer.send(client.hello())
    client.take_welcome()
    client.peer.expect_close()


@pytest.mark.unlike_libzmq
def test_a_slow_handler_holds_up_nobody_else(rig: Rig) -> None:
    """ZAP answers only for the second key: the first client waits, the second one gets through."""
    first, second = Keys(), Keys()

    def answer(request: list[bytes]) -> list[bytes] | None:
        return [b"1.0", request[1], b"200", b"", b"second", b""] if request[6] == second.public else None

    with ZapHandler(rig.zmq, rig.context, answer) as zap:
        sock, endpoint = rig.bind("ROUTER", CURVE_SERVER=1, CURVE_SECRETKEY=SERVER.secret)
        waiting = CurveClient(rig.peer(endpoint), first, SERVER.public)
        waiting.greet()
        waiting.peer.send(waiting.hello())
        waiting.take_welcome()
        waiting.peer.send(waiting.initiate() + waiting.message(b"let me in"))
        client = CurveClient(rig.peer(endpoint), second, SERVER.public)
        client.handshake()
        client.peer.send(client.message(b"hello"))
        assert sock.recv_multipart()[1] == b"hello"
        waiting.peer.expect_quiet()
        assert sorted(request[6] for request in zap.requests) == sorted([first.public, second.public])


@pytest.mark.unlike_libzmq
def test_endpoints_keep_the_options_they_were_bound_with(rig: Rig) -> None:
    """A second endpoint without CURVE opens the first one to nobody."""
    sock, endpoint = rig.bind("ROUTER", CURVE_SERVER=1, CURVE_SECRETKEY=SERVER.secret)
    sock.curve_server = 0
    sock.bind("tcp://127.0.0.1:*")
    plain = rig.peer(sock.getsockopt(rig.zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
    plain.handshake("DEALER")
    CurveClient(rig.peer(endpoint), CLIENT, SERVER.public).handshake()
    intruder = rig.peer(endpoint)
    intruder.send(greeting())
    assert len(intruder.read_to_close()) <= 64
