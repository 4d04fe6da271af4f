"""Message metadata between zmqcore and libzmq: what each tells of itself, and whom ZAP says it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import Peers, Side, last_endpoint, raises_errno
from tests.zap import ZapHandler, reply

ROLES = pytest.mark.parametrize("roles", [("local", "remote"), ("remote", "local")], ids=["receives", "sends"])
MECHANISMS = ("NULL", "PLAIN", "CURVE")
PAIRS = [("PULL", "PUSH"), ("ROUTER", "DEALER"), ("DEALER", "REP"), ("REP", "REQ"), ("SUB", "PUB"), ("PAIR", "PAIR")]
EINVAL = 22
USERS = {"NULL": "127.0.0.1", "PLAIN": "admin"}


@pytest.fixture
def sides(local: Side, remote: Side) -> dict[str, Side]:
    return {"local": local, "remote": remote}


def answer(request: list[bytes]) -> list[bytes]:
    """Who it is, by what was shown; and something more that the handler knows."""
    from zmqcore import z85

    mechanism = request[5].decode()
    user = z85.encode(request[6]) if mechanism == "CURVE" else USERS[mechanism].encode()
    return reply(request, b"200", user, b"\x04Rank\x00\x00\x00\x04high\x06X-Name\x00\x00\x00\x05vouch")


def security(mechanism: str, server: Side, client: Side) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Options of the server and of the client, and the User-Id that it gets."""
    if mechanism == "NULL":
        return {"zap_domain": b"here"}, {}, USERS["NULL"]
    if mechanism == "PLAIN":
        return {"plain_server": 1}, {"plain_username": b"admin", "plain_password": b"pw"}, USERS["PLAIN"]
    pytest.importorskip("nacl")
    server_public, server_secret = server.zmq.curve_keypair()
    public, secret = client.zmq.curve_keypair()
    asked = {"curve_serverkey": server_public, "curve_publickey": public, "curve_secretkey": secret}
    return {"curve_server": 1, "curve_secretkey": server_secret}, asked, public.decode()


@pytest.mark.parametrize("server_binds", [True, False], ids=["server_binds", "client_binds"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
@ROLES
def test_whom_zap_says_it_is(
    peers: Peers, sides: dict[str, Side], roles: tuple[str, str], mechanism: str, server_binds: bool
) -> None:
    server, client = (sides[role] for role in roles)
    served, asked, user = security(mechanism, server, client)
    with ZapHandler(server.zmq, peers.context(server), answer):
        router = peers.socket(server, "ROUTER", **served)
        dealer = peers.socket(client, "DEALER", metadata=b"X-Name:told", routing_id=b"me", **asked)
        ends = [(server, router), (client, dealer)]
        peers.join(*(ends if server_binds else ends[::-1]), "tcp")
        for parts in ([b"x"], [b"x" * 100_000, b"end"]):
            dealer.send_multipart(parts)
            frames = router.recv_multipart(copy=False)
            for frame in frames:
                assert frame.get("User-Id") == user
                assert frame.get("Rank") == "high"
                assert frame.get("X-Name") == "vouch"
                assert frame.get("Socket-Type") == "DEALER"
                assert frame.get("Identity") == "me"
                assert frame.get("Peer-Address") == "127.0.0.1"
                assert frame.get(server.constant("SRCFD")) > 0
            router.send_multipart(frames)
            back = dealer.recv_multipart(copy=False)
            assert {frame.get("Socket-Type") for frame in back} == {"ROUTER"}
            with raises_errno(client, EINVAL):
                back[0].get("User-Id")


@pytest.mark.parametrize("mechanism", ["NULL", "CURVE"])
@ROLES
def test_without_a_handler_nobody_is_anybody(
    peers: Peers, sides: dict[str, Side], roles: tuple[str, str], mechanism: str
) -> None:
    server, client = (sides[role] for role in roles)
    served, asked, _ = security(mechanism, server, client) if mechanism == "CURVE" else ({}, {}, "")
    pull = peers.socket(server, "PULL", **served)
    push = peers.socket(client, "PUSH", metadata=b"X-Name:told", **asked)
    push.connect(peers.bind(server, pull, "tcp"))
    push.send(b"x")
    frame = pull.recv(copy=False)
    assert frame.get("X-Name") == "told"
    with raises_errno(server, EINVAL):
        frame.get("User-Id")


def test_two_users_of_one_socket(peers: Peers, sides: dict[str, Side], local: Side, remote: Side) -> None:
    def by_name(request: list[bytes]) -> list[bytes]:
        return reply(request, b"200", b"user " + request[6])

    with ZapHandler(local.zmq, peers.context(local), by_name):
        pull = peers.socket(local, "PULL", plain_server=1)
        pull.bind(peers.wildcard("tcp"))
        names = ["ada", "bob", "cy"]
        for name in names:
            push = peers.socket(remote, "PUSH", plain_username=name.encode(), plain_password=b"pw")
            push.connect(last_endpoint(pull, local))
            for _ in range(10):
                push.send(name.encode())
        for _ in range(10 * len(names)):
            frame = pull.recv(copy=False)
            assert frame.get("User-Id") == f"user {frame.bytes.decode()}"


@pytest.mark.parametrize("types", PAIRS, ids="-".join)
@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@ROLES
def test_what_each_type_tells(
    peers: Peers, sides: dict[str, Side], roles: tuple[str, str], types: tuple[str, str], transport: str
) -> None:
    receiver, sender = (sides[role] for role in roles)
    options: dict[str, Any] = {"subscribe": b""} if types[0] == "SUB" else {}
    sink = peers.socket(receiver, types[0], **options)
    source = peers.socket(sender, types[1])
    peers.join((receiver, sink), (sender, source), transport)
    if types[1] == "REP":
        sink.send_multipart([b"", b"question"])
        source.recv()
    source.send(b"x")
    while types[1] == "PUB" and not sink.poll(10):
        source.send(b"x")
    frame = sink.recv_multipart(copy=False)[-1]
    assert frame.get("Socket-Type") == types[1]
    assert frame.get("Peer-Address").startswith("127.0.0.1" if transport == "tcp" else "localhost:")
    with raises_errno(receiver, EINVAL):
        frame.get("User-Id")
