"""Conversations that are cut at each byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.raw_peer import (
    RawPeer,
    Rig,
    command,
    frame,
    greeting,
    message,
    ping,
    ready,
    signature,
    subscribe,
    v1_frame,
    v1_message,
)

OPENINGS = {
    "3.1": (greeting(), ready("PUSH") + ping(0, b"c") + message(b"a", b"b") + frame(b"x" * 300)),
    "2.0": (signature() + b"\x01\x08", frame(b"me") + message(b"a", b"b") + frame(b"x" * 300)),
    "1.0": (v1_frame(b"me"), v1_message(b"a", b"b") + v1_frame(b"x" * 300)),
}


@pytest.mark.parametrize("end", [RawPeer.close, RawPeer.reset])
@pytest.mark.parametrize("version", OPENINGS)
def test_cut_at_each_byte(rig: Rig, version: str, end: Callable[[RawPeer], None]) -> None:
    """Only whole messages arrive, whatever the byte behind which the connection ends."""
    opening, rest = OPENINGS[version]
    whole = opening + rest
    pull, endpoint = rig.bind("PULL", RCVHWM=0, BACKLOG=1000)
    for count in range(len(whole)):
        with RawPeer.connect(endpoint) as peer:
            peer.send(whole[:count])
            end(peer)
    good = rig.peer(endpoint)
    good.handshake("PUSH")
    good.send(frame(b"last"))
    while (got := pull.recv_multipart()) != [b"last"]:
        assert got == [b"a", b"b"]


@pytest.mark.parametrize("version", OPENINGS)
def test_cut_in_two_at_each_byte(rig: Rig, version: str) -> None:
    """Two segments, cut anywhere behind the greeting, make the same messages as one."""
    opening, rest = OPENINGS[version]
    pull, endpoint = rig.bind("PULL")
    for count in range(0, len(rest), 1 if len(rest) < 200 else 3):
        with RawPeer.connect(endpoint) as peer:
            peer.send(opening)
            peer.read({"3.1": 64 + 28, "2.0": 12 + 2, "1.0": 10}[version])
            peer.send(rest[:count])
            peer.send(rest[count:])
            assert pull.recv_multipart() == [b"a", b"b"]
            assert pull.recv_multipart() == [b"x" * 300]


def test_ready_cut_short_inside(rig: Rig) -> None:
    """A READY whose frame is whole but whose body ends at each byte is accepted or refused; nothing else happens."""
    whole = ready("DEALER", b"name")[2:]
    router, endpoint = rig.bind("ROUTER")
    for count in range(len(whole)):
        with RawPeer.connect(endpoint) as peer:
            peer.greet()
            peer.send(frame(whole[:count], is_command=True))
            peer.half_close()
            peer.read_to_close()
    good = rig.peer(endpoint)
    good.handshake("DEALER", b"good")
    good.send(frame(b"hello"))
    assert router.recv_multipart() == [b"good", b"hello"]


@pytest.mark.parametrize("name", [b"SUBSCRIBE", b"CANCEL", b"PONG", b"READY", b"ERROR"])
def test_command_cut_short_inside(rig: Rig, name: bytes) -> None:
    """The same for commands in traffic: a name that does not fit its body is no command of that name."""
    xpub, endpoint = rig.bind("XPUB")
    peer = rig.peer(endpoint)
    peer.handshake("SUB")
    for count in range(len(name) + 1):
        peer.send(frame((bytes([len(name)]) + name)[:count], is_command=True))
        peer.send(command(name[:count]) if name[:count] not in (b"SUBSCRIBE", b"CANCEL") else b"")
    peer.send(subscribe(b"end"))
    assert xpub.recv() == b"\x01end"
    peer.barrier()
