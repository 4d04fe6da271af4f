"""Hostile peers of CURVE and PLAIN: floods of handshakes, replays of what was overheard, handlers that lie or die.

What one wrong command does is in tests/spec/test_curve.py and test_plain.py.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.raw_peer import (
    COMMAND,
    LONG,
    MORE,
    RawPeer,
    Rig,
    command,
    error,
    frame,
    greeting,
    message,
    prop,
    ready,
    wait_until,
)
from tests.support import Task
from tests.zap import Reply, ZapHandler, reply

pytest.importorskip("nacl")

from tests.curve_peer import CurveClient, CurveServer, Keys

UNEXPECTED, SEQUENCE = 0x10000001, 0x10000002
BAD_ERROR, CRYPTOGRAPHIC = 0x10000015, 0x11000001
SERVER, CLIENT = Keys(), Keys()
OPTIONS = {"CURVE_SERVER": 1, "CURVE_SECRETKEY": SERVER.secret}
CROWD = 200


def stranger(rig: Rig, endpoint: str) -> CurveClient:
    return CurveClient(rig.peer(endpoint), CLIENT, SERVER.public)


def welcomed(rig: Rig, endpoint: str) -> CurveClient:
    client = stranger(rig, endpoint)
    client.greet()
    client.peer.send(client.hello())
    client.take_welcome()
    return client


def authenticated(rig: Rig, endpoint: str, socket_type: bytes = b"DEALER") -> CurveClient:
    client = stranger(rig, endpoint)
    client.handshake(socket_type)
    return client


def expect_failure(rig: Rig, monitor: Any, code: int) -> None:
    value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
    assert value == code, hex(value)
    monitor.wait_for(rig.zmq.EVENT_DISCONNECTED)


def echo(sock: Any, client: CurveClient, body: bytes) -> None:
    client.peer.send(client.message(body))
    sock.send_multipart(sock.recv_multipart())
    assert client.read_message() == (0, body)


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- floods --------------------------------------------------------------------------------------------------------


def answered_first(rig: Rig, sock: Any, endpoint: str, friend: CurveClient) -> int:
    """A crowd says HELLO at once, and then a friend asks: how many of the crowd are answered before him."""
    crowd = [stranger(rig, endpoint) for _ in range(CROWD)]
    hello = crowd[0].hello()
    for client in crowd:
        client.greet()
    asked = friend.message(b"and I?")
    for client in crowd:
        client.peer.send(hello)
    friend.peer.send(asked)
    sock.send_multipart(sock.recv_multipart())
    assert friend.read_message() == (0, b"and I?")
    count = sum(client.peer.has_bytes(1) for client in crowd)
    for client in crowd:
        client.peer.close()
    return count


@pytest.mark.unlike_libzmq
def test_strangers_take_turns(rig: Rig) -> None:
    """Without turns nearly the whole crowd is served first. The machine may be busy: one good try of some is enough."""
    sock, endpoint = rig.bind("ROUTER", **OPTIONS, BACKLOG=CROWD)
    friend = authenticated(rig, endpoint)
    assert any(answered_first(rig, sock, endpoint, friend) < CROWD // 3 for _ in range(8))


@pytest.mark.unlike_libzmq
def test_hundreds_of_handshakes_that_stop_halfway(rig: Rig) -> None:
    """At each stage; those who are through are served meanwhile, and HANDSHAKE_IVL sends the others away."""
    sock, endpoint = rig.bind("ROUTER", **OPTIONS, HANDSHAKE_IVL=1500, BACKLOG=CROWD)
    before = open_fds()
    friend = authenticated(rig, endpoint)
    crowd = [stranger(rig, endpoint) for _ in range(2 * CROWD)]
    hello = greeting(b"CURVE") + crowd[0].hello()
    for number, client in enumerate(crowd):
        client.peer.try_send(hello[: (0, 11, 64, 100, len(hello) - 1, len(hello))[number % 6]])
    echo(sock, friend, b"still there")
    for client in crowd:
        client.peer.read_to_close()
        client.peer.close()
    echo(sock, friend, b"and now")
    wait_until(lambda: open_fds() <= before + 4, "the descriptors of the crowd are closed")


def test_sockets_end_in_the_midst_of_handshakes(rig: Rig) -> None:
    """The arithmetic of a handshake goes on without the lock while its connection, endpoint or socket ends."""
    opening = greeting(b"CURVE") + CurveClient(rig.peer(rig.listen().endpoint), CLIENT, SERVER.public).hello()
    for turn in range(40):
        sock = rig.context.socket(rig.zmq.ROUTER)
        sock.linger = 0
        for name, value in OPTIONS.items():
            sock.setsockopt(getattr(rig.zmq, name), value)
        sock.bind("tcp://127.0.0.1:*")
        endpoint = sock.getsockopt(rig.zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
        peers = [rig.peer(endpoint) for _ in range(6)]
        for peer in peers:
            peer.send(opening)
        if turn % 4 == 0:
            peers[-1].read(64)
        if turn % 4 == 1:
            sock.unbind(endpoint)
        for peer in peers[: turn % 7]:
            peer.reset()
        if turn % 4 == 2:
            assert not sock.poll(1)
        sock.close()
        for peer in peers:
            peer.close()


@pytest.mark.unlike_libzmq
def test_options_change_in_the_midst_of_handshakes(rig: Rig) -> None:
    """What a handshake says of the socket is what held when the connection began."""
    sock, endpoint = rig.bind("ROUTER", **OPTIONS, ROUTING_ID=b"before", METADATA=[b"X-Own:1"])
    clients = [stranger(rig, endpoint) for _ in range(20)]
    for client in clients:
        client.greet()

    def change() -> None:
        for number in range(2000):
            sock.setsockopt(rig.zmq.ROUTING_ID, b"%d" % number * (1 + number % 50))
            sock.setsockopt(rig.zmq.METADATA, b"X-More-%d:%d" % (number % 30, number))

    changing = Task(change)
    for client in clients:
        client.peer.send(client.hello())
        client.take_welcome()
        client.peer.send(client.initiate())
    for client in clients:
        assert client.take_ready() == {b"Socket-Type": b"ROUTER", b"Identity": b"before", b"X-Own": b"1"}
    changing.join()


# --- what was overheard --------------------------------------------------------------------------------------------


def test_a_whole_conversation_again(rig: Rig) -> None:
    """The server's keys of a connection are new, so that nothing of another one opens."""
    sock, endpoint = rig.bind("ROUTER", **OPTIONS)
    first = stranger(rig, endpoint)
    first.greet()
    said = [first.hello()]
    first.peer.send(said[0])
    first.take_welcome()
    said.append(first.initiate())
    first.peer.send(said[1])
    first.take_ready()
    said.append(first.message(b"pay him"))
    first.peer.send(said[2])
    assert sock.recv_multipart()[1] == b"pay him"
    monitor = rig.monitor(sock)
    again = stranger(rig, endpoint)
    again.greet()
    again.peer.send(said[0])
    assert again.peer.read_frame().command_name == b"WELCOME"
    again.peer.try_send(said[1] + said[2])
    expect_failure(rig, monitor, CRYPTOGRAPHIC)
    assert again.peer.read_to_close() == b""
    rig.expect_nothing(sock)


def test_the_cookie_of_a_connection_that_has_ended(rig: Rig) -> None:
    """Also with the same short-term key: a cookie ends with its connection."""
    sock, endpoint = rig.bind("ROUTER", **OPTIONS)
    first = welcomed(rig, endpoint)
    monitor = rig.monitor(sock)
    first.peer.close()
    monitor.wait_for(rig.zmq.EVENT_DISCONNECTED)
    second = stranger(rig, endpoint)
    second.public, second.secret = first.public, first.secret
    second.greet()
    second.peer.send(second.hello())
    second.take_welcome()
    second.peer.send(second.initiate(cookie=first.cookie))
    expect_failure(rig, monitor, CRYPTOGRAPHIC)


@pytest.mark.unlike_libzmq
def test_messages_of_another_connection(rig: Rig) -> None:
    sock, endpoint = rig.bind("ROUTER", **OPTIONS)
    first, second = authenticated(rig, endpoint), authenticated(rig, endpoint)
    monitor = rig.monitor(sock)
    second.peer.send(first.message(b"not mine"))
    expect_failure(rig, monitor, CRYPTOGRAPHIC)
    echo(sock, first, b"unharmed")


@pytest.mark.unlike_libzmq
def test_what_the_server_said_sent_back(rig: Rig) -> None:
    """The two directions have nonces of their own."""
    sock, endpoint = rig.bind("ROUTER", **OPTIONS)
    client = authenticated(rig, endpoint)
    for number in range(3):
        client.peer.send(client.message(b"%d" % number))
        sock.send_multipart(sock.recv_multipart())
    raw = [client.peer.read_frame().raw for _ in range(3)]
    monitor = rig.monitor(sock)
    # Their counters are 2, 3 and 4; that of the client's last message is 5.
    client.peer.send(raw[0][:10] + struct.pack(">Q", 9) + raw[0][18:])
    expect_failure(rig, monitor, CRYPTOGRAPHIC)


def test_our_counters_only_grow(rig: Rig) -> None:
    """No nonce is used twice: READY has 1, and each frame one more, commands included."""
    sock, endpoint = rig.bind("ROUTER", **OPTIONS)
    client = authenticated(rig, endpoint)
    client.peer.send(client.message(b"hello"))
    routing_id = sock.recv_multipart()[0]
    for number in range(200):
        sock.send_multipart([routing_id, b"%d" % number, b"x" * (number * 97 % 5000)])
        if number % 10 == 0:
            client.peer.send(client.message(b"\x04PING\0\0", 2))
    seen: list[int] = []
    while len(seen) < 420:
        got = client.peer.read_frame()
        seen.append(struct.unpack(">Q", got.body[8:16])[0])
    assert seen == list(range(2, 422))


@pytest.mark.unlike_libzmq
def test_no_counter_follows_the_last(rig: Rig) -> None:
    """It does not begin again at 0."""
    sock, endpoint = rig.bind("ROUTER", **OPTIONS)
    client = authenticated(rig, endpoint)
    client.peer.send(client.message(b"the last", number=(1 << 64) - 1))
    assert sock.recv_multipart()[1] == b"the last"
    monitor = rig.monitor(sock)
    client.peer.send(client.message(b"one more", number=0))
    expect_failure(rig, monitor, SEQUENCE)
    rig.expect_nothing(sock)


# --- lengths and flags ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["HELLO", "INITIATE"])
def test_a_command_of_any_length_claims_no_memory(rig: Rig, stage: str) -> None:
    sock, endpoint = rig.bind("ROUTER", **OPTIONS)
    if stage == "HELLO":
        client = stranger(rig, endpoint)
        client.greet()
    else:
        client = welcomed(rig, endpoint)
    client.peer.try_send(struct.pack(">BQ", COMMAND | LONG, 1 << 40) + bytes([len(stage)]) + stage.encode())
    client.peer.expect_close()


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize(("size", "is_fine"), [(60_000, True), (70_000, False)])
def test_the_properties_of_a_client_are_bounded(rig: Rig, size: int, is_fine: bool) -> None:
    _, endpoint = rig.bind("ROUTER", **OPTIONS)
    client = welcomed(rig, endpoint)
    client.peer.try_send(client.initiate(metadata=prop(b"Socket-Type", b"DEALER") + prop(b"X-Much", b"x" * size)))
    if is_fine:
        client.take_ready()
    else:
        client.peer.expect_close()


def test_maxmsgsize_is_for_the_handshake_too(rig: Rig) -> None:
    _, endpoint = rig.bind("ROUTER", **OPTIONS, MAXMSGSIZE=150)
    client = stranger(rig, endpoint)
    client.greet()
    client.peer.send(client.hello())
    client.peer.expect_close()


@pytest.mark.unlike_libzmq
def test_flags_that_mean_nothing(rig: Rig) -> None:
    """Of the flags inside of a box two have a meaning; outside of it none."""
    sock, endpoint = rig.bind("ROUTER", **OPTIONS)
    client = authenticated(rig, endpoint)
    client.peer.send(client.message(b"one", 0xFD) + client.message(b"two", 0xFC))
    assert sock.recv_multipart()[1:] == [b"one", b"two"]
    raw = client.message(b"three")
    client.peer.send(bytes([raw[0] | MORE]) + raw[1:])
    assert sock.recv_multipart()[1:] == [b"three"]
    client.peer.send(client.message(b"four", 2) + client.message(b"five"))
    assert sock.recv_multipart()[1:] == [b"five"]


@pytest.mark.unlike_libzmq
def test_messages_outside_of_boxes_that_are_commands(rig: Rig) -> None:
    sock, endpoint = rig.bind("ROUTER", **OPTIONS)
    client = authenticated(rig, endpoint)
    monitor = rig.monitor(sock)
    client.peer.send(command(b"PING", b"\0\0"))
    expect_failure(rig, monitor, UNEXPECTED)


# --- ERROR ---------------------------------------------------------------------------------------------------------


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("stage", ["HELLO", "INITIATE", "READY"])
def test_a_client_says_error(rig: Rig, stage: str) -> None:
    """ERROR is the server's to say."""
    sock, endpoint = rig.bind("ROUTER", **OPTIONS)
    client = stranger(rig, endpoint)
    client.greet()
    if stage != "HELLO":
        client.peer.send(client.hello())
        client.take_welcome()
    if stage == "READY":
        client.peer.send(client.initiate())
        client.take_ready()
    monitor = rig.monitor(sock)
    client.peer.send(error(b"400"))
    expect_failure(rig, monitor, UNEXPECTED)
    client.peer.expect_close()


def asking(rig: Rig) -> tuple[Any, CurveServer]:
    listener = rig.listen()
    keys = {"CURVE_SERVERKEY": SERVER.public, "CURVE_PUBLICKEY": CLIENT.public, "CURVE_SECRETKEY": CLIENT.secret}
    sock = rig.socket("DEALER", RECONNECT_IVL=10, **keys)
    monitor = rig.monitor(sock)
    sock.connect(listener.endpoint)
    server = CurveServer(listener.accept(), SERVER)
    server.greet()
    server.take_hello()
    return monitor, server


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("data", [b"", b"\x04400", b"\xff400"])
def test_a_server_says_error_badly(rig: Rig, data: bytes) -> None:
    monitor, server = asking(rig)
    server.peer.send(command(b"ERROR", data))
    expect_failure(rig, monitor, BAD_ERROR)
    server.peer.expect_close()


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("reason", [b"", b"200", b"401", b"Not today", b"x" * 255])
def test_a_server_gives_another_reason(rig: Rig, reason: bytes) -> None:
    """It is a refusal all the same; there is no event for its reason."""
    monitor, server = asking(rig)
    server.peer.send(error(reason))
    _, before = monitor.wait_for(rig.zmq.EVENT_DISCONNECTED)
    assert rig.zmq.EVENT_HANDSHAKE_SUCCEEDED not in before
    assert rig.zmq.EVENT_HANDSHAKE_FAILED_AUTH not in before
    server.peer.expect_close()


# --- ZAP -----------------------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Callable[[list[bytes]], Reply], int]] = {
    "five frames": (lambda request: reply(request)[:-1], 0x20000001),
    "seven frames": (lambda request: [*reply(request), b""], 0x20000001),
    "one frame": (lambda request: [b"1.0"], 0x20000001),
    "id": (lambda request: [b"1.0", b"", *reply(request)[2:]], 0x20000002),
    "version": (lambda request: [b"", *reply(request)[1:]], 0x20000003),
    "status": (lambda request: reply(request, b"2000"), 0x20000004),
    "no status": (lambda request: reply(request, b""), 0x20000004),
    "metadata": (lambda request: reply(request, metadata=b"\x05abc"), 0x20000005),
    "type": (lambda request: reply(request, metadata=prop(b"Socket-Type", b"PUB")), 0x20000005),
}


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("mechanism", ["PLAIN", "CURVE"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_handler_that_answers_badly(rig: Rig, fault: str, mechanism: str) -> None:
    """Nobody gets in by it, whatever he sent meanwhile."""
    answer, code = FAULTS[fault]
    with ZapHandler(rig.zmq, rig.context, answer):
        sock, endpoint = rig.bind("PULL", **(OPTIONS if mechanism == "CURVE" else {"PLAIN_SERVER": 1}))
        monitor = rig.monitor(sock)
        if mechanism == "CURVE":
            client = welcomed(rig, endpoint)
            client.peer.try_send(client.initiate(b"PUSH") + client.message(b"let me in"))
            peer = client.peer
        else:
            peer = rig.peer(endpoint)
            peer.greet(b"PLAIN")
            properties = prop(b"Socket-Type", b"PUSH")
            hello = command(b"HELLO", b"\x05admin\x02pw") + command(b"INITIATE", properties)
            peer.try_send(hello + message(b"let me in"))
        expect_failure(rig, monitor, code)
        assert peer.read_to_close() == b""
        rig.expect_nothing(sock)


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("status", [b"300", b"400", b"500"])
def test_a_refused_client(rig: Rig, status: bytes) -> None:
    with ZapHandler(rig.zmq, rig.context, status):
        sock, endpoint = rig.bind("PULL", **OPTIONS)
        monitor = rig.monitor(sock)
        client = welcomed(rig, endpoint)
        client.peer.try_send(client.initiate(b"PUSH") + client.message(b"let me in"))
        value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        assert value == int(status)
        monitor.wait_for(rig.zmq.EVENT_DISCONNECTED)
        assert client.peer.read_to_close() == (b"" if status == b"300" else error(status))
        rig.expect_nothing(sock)


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize("mechanism", ["PLAIN", "CURVE"])
def test_a_handler_that_dies(rig: Rig, mechanism: str) -> None:
    """It has the request, and closes: as if there were none."""
    handler = rig.socket("ROUTER")
    handler.bind("inproc://zeromq.zap.01")
    sock, endpoint = rig.bind("PULL", **(OPTIONS if mechanism == "CURVE" else {"PLAIN_SERVER": 1}))
    monitor = rig.monitor(sock)
    if mechanism == "CURVE":
        client = welcomed(rig, endpoint)
        client.peer.send(client.initiate(b"PUSH"))
        peer = client.peer
    else:
        peer = rig.peer(endpoint)
        peer.greet(b"PLAIN")
        peer.send(command(b"HELLO", b"\x05admin\x02pw"))
    handler.recv_multipart()
    handler.close()
    value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
    assert value == rig.zmq.EFAULT
    peer.expect_close()
    rig.expect_nothing(sock)


@pytest.mark.unlike_libzmq
@pytest.mark.parametrize(
    ("options", "is_accepted"),
    [
        ({}, True),
        ({"ZAP_DOMAIN": b"here"}, True),
        ({"ZAP_ENFORCE_DOMAIN": 1}, True),
        ({"ZAP_DOMAIN": b"here", "ZAP_ENFORCE_DOMAIN": 1}, False),
    ],
)
def test_nobody_to_ask(rig: Rig, options: dict[str, Any], is_accepted: bool) -> None:
    sock, endpoint = rig.bind("ROUTER", **OPTIONS, **options)
    monitor = rig.monitor(sock)
    client = welcomed(rig, endpoint)
    client.peer.send(client.initiate())
    if is_accepted:
        client.take_ready()
        monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_SUCCEEDED)
    else:
        value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        assert value == rig.zmq.EFAULT
        client.peer.expect_close()


@pytest.mark.unlike_libzmq
def test_only_the_first_answer_counts(rig: Rig) -> None:
    """Others come to a pipe that nobody reads: neither for this peer nor for the next."""
    handler = rig.socket("ROUTER")
    handler.bind("inproc://zeromq.zap.01")
    sock, endpoint = rig.bind("ROUTER", **OPTIONS)
    client = welcomed(rig, endpoint)
    client.peer.send(client.initiate())
    asked = handler.recv_multipart()
    for status in (b"200", b"400", b"200"):
        handler.send_multipart([*asked[:2], *reply(asked[2:], status)])
    client.take_ready()
    echo(sock, client, b"in")
    other = welcomed(rig, endpoint)
    other.peer.send(other.initiate())
    asked = handler.recv_multipart()
    other.peer.expect_quiet()
    handler.send_multipart([*asked[:2], *reply(asked[2:], b"400")])
    assert other.peer.read_to_close() == error(b"400")


@pytest.mark.unlike_libzmq
def test_an_answer_that_comes_too_late(rig: Rig) -> None:
    handler = rig.socket("ROUTER")
    handler.bind("inproc://zeromq.zap.01")
    sock, endpoint = rig.bind("ROUTER", **OPTIONS, HANDSHAKE_IVL=300)
    monitor = rig.monitor(sock)
    client = welcomed(rig, endpoint)
    client.peer.send(client.initiate() + client.message(b"let me in"))
    asked = handler.recv_multipart()
    value, _ = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
    assert value == rig.zmq.EAGAIN
    client.peer.expect_close()
    handler.send_multipart([*asked[:2], *reply(asked[2:])])
    rig.expect_nothing(sock)


# --- those who are not through are sent nothing ----------------------------------------------------------------------


@pytest.mark.unlike_libzmq
def test_a_peer_that_never_takes_ready(rig: Rig) -> None:
    """CVE-2020-15166: what is sent goes to others, and nothing is kept for those who are not through."""
    sock, endpoint = rig.bind("PUSH", **OPTIONS, SNDHWM=5, HANDSHAKE_IVL=0)
    strangers = [welcomed(rig, endpoint) for _ in range(3)]
    for client in strangers:
        client.peer.send(client.initiate(b"PULL")[:-1])
    with pytest.raises(rig.zmq.Again):
        sock.send(b"for nobody", rig.zmq.DONTWAIT)
    friend = authenticated(rig, endpoint, b"PULL")
    for number in range(50):
        sock.send(b"%d" % number)
        assert friend.read_message() == (0, b"%d" % number)
    for client in strangers:
        client.peer.expect_quiet()


def test_null_and_older_peers_beside_a_friend(rig: Rig) -> None:
    """However they begin, they get no further than the greeting."""
    sock, endpoint = rig.bind("ROUTER", **OPTIONS)
    friend = authenticated(rig, endpoint)
    openings = [
        greeting() + ready("DEALER") + message(b"x"),
        greeting(b"curve") + ready("DEALER") + message(b"x"),
        greeting(b"CURVE\0x") + ready("DEALER") + message(b"x"),
        bytes.fromhex("ff00000000000000017f01050000 0001 78"),
        frame(b"x") + message(b"x"),
    ]
    for opening in openings:
        peer: RawPeer = rig.peer(endpoint)
        peer.try_send(opening)
        with contextlib.suppress(OSError):  # it may be closed by now
            peer.half_close()
        assert b"READY" not in peer.read_to_close()
    echo(sock, friend, b"alone")
    rig.expect_nothing(sock)
