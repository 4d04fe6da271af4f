"""STREAM of zmqcore and of libzmq at the two ends of a connection, and a libzmq peer that speaks ZMTP to a STREAM."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import Peers, Side

READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x04%s"


def arrival(stream: Any) -> bytes:
    routing_id, empty = stream.recv_multipart()
    assert empty == b""
    return bytes(routing_id)


def read_bytes(stream: Any, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        data += stream.recv_multipart()[1]
    return bytes(data)


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize("binder", ["local", "remote"])
def test_both_ends(peers: Peers, local: Side, remote: Side, transport: str, binder: str) -> None:
    here, there = (local, remote) if binder == "local" else (remote, local)
    server, client = peers.socket(here, "STREAM"), peers.socket(there, "STREAM")
    peers.join((here, server), (there, client), transport)
    to_server, to_client = arrival(client), arrival(server)
    body = bytes(range(251)) * 40_000
    for _ in range(3):
        client.send_multipart([to_server, body])
        assert read_bytes(server, len(body)) == body
        server.send_multipart([to_client, body])
        assert read_bytes(client, len(body)) == body
    local_end, routing_id = (server, to_client) if binder == "local" else (client, to_server)
    remote_end, remote_id = (client, to_server) if binder == "local" else (server, to_client)
    local_end.send_multipart([routing_id, b""])
    assert remote_end.recv_multipart() == [remote_id, b""]


def test_a_greeting_is_bytes_like_any(peers: Peers, local: Side, remote: Side) -> None:
    """The first ten bytes of a libzmq peer (RFC 23); closed, it comes again."""
    stream = peers.socket(local, "STREAM")
    dealer = peers.socket(remote, "DEALER", reconnect_ivl=20)
    peers.join((local, stream), (remote, dealer), "tcp")
    ids = set()
    for _ in range(3):
        ids.add(arrival(stream))
        routing_id, body = stream.recv_multipart()
        assert body == bytes.fromhex("ff 00 00 00 00 00 00 00 01 7f")
        stream.send_multipart([routing_id, b""])
    assert len(ids) == 3


def test_zmtp_by_hand(peers: Peers, local: Side, remote: Side) -> None:
    pull, stream = peers.socket(remote, "PULL"), peers.socket(local, "STREAM")
    peers.join((remote, pull), (local, stream), "tcp")
    routing_id = arrival(stream)
    stream.send_multipart([routing_id, b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)])
    answer = read_bytes(stream, 64 + 2 + len(READY % b"PULL"))
    assert answer.endswith(READY % b"PULL")
    ready = READY % b"PUSH"
    stream.send_multipart([routing_id, b"\x04" + bytes([len(ready)]) + ready])
    stream.send_multipart([routing_id, b"\x00\x05hello"])
    assert pull.recv() == b"hello"
