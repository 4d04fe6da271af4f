"""NULL with ZAP, PLAIN and CURVE between zmqcore and libzmq: who serves, who binds, what the handler says."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import Peers, Side, Task, last_endpoint
from tests.zap import ZapHandler, reply

pytest.importorskip("nacl")

ROLES = [("local", "remote"), ("remote", "local")]
MECHANISMS = ("NULL", "PLAIN", "CURVE")
SIZES = (0, 1, 255, 256, 2014, 2015, 65_000, 1_000_000)
FLOOD = 10_000
EVENT = struct.Struct("=HI")


@pytest.fixture
def sides(local: Side, remote: Side) -> dict[str, Side]:
    return {"local": local, "remote": remote}


class Scene:
    """A server and a client of one mechanism, with their monitors; the handler is in the server's context."""

    def __init__(self, peers: Peers, server: Side, client: Side, mechanism: str, **options: Any) -> None:
        self.peers, self.server, self.client = peers, server, client
        self.public, self.secret = client.zmq.curve_keypair()
        served, asked = self._options(mechanism)
        self.listening = peers.socket(server, "ROUTER", **served, **options)
        self.asking = peers.socket(client, "DEALER", reconnect_ivl=20, **asked)

    def _options(self, mechanism: str) -> tuple[dict[str, Any], dict[str, Any]]:
        if mechanism == "NULL":
            return {"zap_domain": b"here"}, {}
        if mechanism == "PLAIN":
            return {"plain_server": 1}, {"plain_username": b"admin", "plain_password": b"pw"}
        self.server_key, secret = self.server.zmq.curve_keypair()
        public = self.server_key
        keys = {"curve_publickey": self.public, "curve_secretkey": self.secret}
        return {"curve_server": 1, "curve_secretkey": secret}, {"curve_serverkey": public, **keys}

    def monitor(self, side: Side, sock: Any) -> Iterator[tuple[int, int]]:
        """(event, value) of each event that tells how a handshake ended."""
        endpoint = f"inproc://monitor-{id(sock)}"
        names = ("HANDSHAKE_SUCCEEDED", *(f"HANDSHAKE_FAILED_{how}" for how in ("NO_DETAIL", "PROTOCOL", "AUTH")))
        sock.monitor(endpoint, sum(side.constant(f"EVENT_{name}") for name in names))
        monitor = self.peers.socket(side, "PAIR")
        monitor.connect(endpoint)
        return (EVENT.unpack(monitor.recv_multipart()[0]) for _ in itertools.repeat(None))

    def join(self, server_binds: bool = True) -> None:
        if server_binds:
            self.listening.bind(self.peers.wildcard("tcp"))
            self.asking.connect(last_endpoint(self.listening, self.server))
        else:
            self.asking.bind(self.peers.wildcard("tcp"))
            self.listening.connect(last_endpoint(self.asking, self.client))

    def talk(self) -> None:
        for size in SIZES:
            self.asking.send_multipart([b"x" * size, b"end"])
            routing_id, body, end = self.listening.recv_multipart()
            assert (body, end) == (b"x" * size, b"end")
            self.listening.send_multipart([routing_id, body])
            assert self.asking.recv() == body


@pytest.mark.parametrize("server_binds", [True, False], ids=["server_binds", "client_binds"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("roles", ROLES, ids=["serves", "asks"])
def test_accepted(
    peers: Peers, sides: dict[str, Side], roles: tuple[str, str], mechanism: str, server_binds: bool
) -> None:
    server, client = (sides[role] for role in roles)
    with ZapHandler(server.zmq, peers.context(server)) as zap:
        scene = Scene(peers, server, client, mechanism, routing_id=b"srv")
        scene.join(server_binds)
        scene.talk()
        (request,) = zap.requests
        assert request[:6] == [
            b"1.0", b"1", b"here" if mechanism == "NULL" else b"", b"127.0.0.1", b"srv", mechanism.encode(),
        ]  # fmt: skip
        if mechanism == "PLAIN":
            assert request[6:] == [b"admin", b"pw"]
        elif mechanism == "CURVE":
            from zmqcore import z85

            assert request[6:] == [z85.decode(scene.public)]


@pytest.mark.parametrize("status", [b"300", b"400", b"500"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("roles", ROLES, ids=["serves", "asks"])
def test_refused(peers: Peers, sides: dict[str, Side], roles: tuple[str, str], mechanism: str, status: bytes) -> None:
    """The server tells the status to its monitor; the client learns of 400 and 500, and sees a close for 300."""
    server, client = (sides[role] for role in roles)
    with ZapHandler(server.zmq, peers.context(server), status):
        scene = Scene(peers, server, client, mechanism)
        served = scene.monitor(server, scene.listening)
        asked = scene.monitor(client, scene.asking)
        scene.listening.setsockopt(server.constant("HANDSHAKE_IVL"), 500)
        wanted = (server.constant("EVENT_HANDSHAKE_FAILED_AUTH"), int(status))
        scene.join()
        assert next(served) == wanted
        if status != b"300":
            assert next(asked) == wanted


@pytest.mark.parametrize("roles", ROLES, ids=["serves", "asks"])
def test_only_one_key_is_known(peers: Peers, sides: dict[str, Side], roles: tuple[str, str]) -> None:
    from zmqcore import z85

    server, client = (sides[role] for role in roles)
    known, secret = client.zmq.curve_keypair()

    def answer(request: list[bytes]) -> list[bytes]:
        return reply(request, b"200" if request[6] == z85.decode(known) else b"400", b"somebody")

    with ZapHandler(server.zmq, peers.context(server), answer):
        scene = Scene(peers, server, client, "CURVE")
        scene.join()
        scene.asking = peers.socket(
            client,
            "DEALER",
            curve_serverkey=scene.server_key,
            curve_publickey=known,
            curve_secretkey=secret,
        )
        scene.asking.connect(last_endpoint(scene.listening, server))
        scene.talk()


@pytest.mark.parametrize("roles", ROLES, ids=["serves", "asks"])
def test_wrong_server_key(peers: Peers, sides: dict[str, Side], roles: tuple[str, str]) -> None:
    server, client = (sides[role] for role in roles)
    scene = Scene(peers, server, client, "CURVE", handshake_ivl=500)
    scene.asking.setsockopt(client.constant("CURVE_SERVERKEY"), client.zmq.curve_keypair()[0])
    served = scene.monitor(server, scene.listening)
    scene.join()
    assert next(served) == (server.constant("EVENT_HANDSHAKE_FAILED_PROTOCOL"), 0x11000001)


@pytest.mark.parametrize(
    ("served", "asked"), [m for m in itertools.permutations(MECHANISMS, 2)], ids=lambda name: str(name)
)
@pytest.mark.parametrize("roles", ROLES, ids=["serves", "asks"])
def test_mechanisms_must_be_the_same(
    peers: Peers, sides: dict[str, Side], roles: tuple[str, str], served: str, asked: str
) -> None:
    server, client = (sides[role] for role in roles)
    scene = Scene(peers, server, client, served)
    scene.asking = Scene(peers, server, client, asked).asking
    local = sides["local"]
    events = scene.monitor(local, scene.listening if server is local else scene.asking)
    scene.join()
    event, value = next(events)
    # Whoever is the second to look at the other's greeting may see no more than a close.
    if event != local.constant("EVENT_HANDSHAKE_FAILED_NO_DETAIL"):
        assert (event, value) == (local.constant("EVENT_HANDSHAKE_FAILED_PROTOCOL"), 0x11000002)


@pytest.mark.parametrize("roles", ROLES, ids=["serves", "asks"])
def test_subscriptions_over_curve(peers: Peers, sides: dict[str, Side], roles: tuple[str, str]) -> None:
    server, client = (sides[role] for role in roles)
    public, secret = server.zmq.curve_keypair()
    own_public, own_secret = client.zmq.curve_keypair()
    publisher = peers.socket(server, "XPUB", curve_server=1, curve_secretkey=secret)
    subscriber = peers.socket(
        client, "SUB", curve_serverkey=public, curve_publickey=own_public, curve_secretkey=own_secret
    )
    subscriber.setsockopt(client.constant("SUBSCRIBE"), b"topic")
    subscriber.connect(peers.bind(server, publisher, "tcp"))
    assert publisher.recv() == b"\x01topic"
    for number in range(2000):
        publisher.send_multipart([b"other" if number % 2 else b"topic", b"%d" % number])
        if number % 100 == 98:
            received = [subscriber.recv_multipart() for _ in range(50)]
            assert received == [[b"topic", b"%d" % n] for n in range(number - 98, number + 1, 2)]
    subscriber.setsockopt(client.constant("UNSUBSCRIBE"), b"topic")
    assert publisher.recv() == b"\x00topic"


@pytest.mark.parametrize("roles", ROLES, ids=["sends", "receives"])
def test_a_flood_over_curve(peers: Peers, sides: dict[str, Side], roles: tuple[str, str]) -> None:
    """Both sides stall at their marks again and again; nothing is lost or out of order."""
    sender, receiver = (sides[role] for role in roles)
    public, secret = receiver.zmq.curve_keypair()
    own_public, own_secret = sender.zmq.curve_keypair()
    pull = peers.socket(receiver, "PULL", curve_server=1, curve_secretkey=secret, rcvhwm=50)
    push = peers.socket(
        sender, "PUSH", curve_serverkey=public, curve_publickey=own_public, curve_secretkey=own_secret, sndhwm=50
    )
    push.connect(peers.bind(receiver, pull, "tcp"))

    def body(number: int) -> bytes:
        return b"%d" % number + b"." * (number * 37 % 3000 if number % 100 else 100_000)

    sending = Task(lambda: [push.send(body(number)) for number in range(FLOOD)])
    for number in range(FLOOD):
        assert pull.recv() == body(number)
    sending.join()


def test_a_proxy_between_curve_and_null(peers: Peers, local: Side, remote: Side) -> None:
    """Runs of messages go from pipe to pipe; what is in a box on one side is not on the other."""
    public, secret = local.zmq.curve_keypair()
    own_public, own_secret = remote.zmq.curve_keypair()
    front = peers.socket(local, "PULL", curve_server=1, curve_secretkey=secret)
    back = peers.socket(local, "PUSH")
    push = peers.socket(remote, "PUSH", curve_serverkey=public, curve_publickey=own_public, curve_secretkey=own_secret)
    pull = peers.socket(remote, "PULL")
    push.connect(peers.bind(local, front, "tcp"))
    pull.connect(peers.bind(local, back, "tcp"))
    proxy = local.zmq.Proxy(front, back)
    proxy.start()
    try:
        for number in range(5000):
            push.send_multipart([b"%d" % number, b"x" * (number % 700)])
            if number % 100 == 99:
                received = [pull.recv_multipart() for _ in range(100)]
                assert received == [[b"%d" % n, b"x" * (n % 700)] for n in range(number - 99, number + 1)]
    finally:
        proxy.stop()
        proxy.join()
