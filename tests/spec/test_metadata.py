"""What messages tell of peers that say strange things, or come and go."""

from __future__ import annotations

from typing import Any

import pytest

from tests.raw_peer import RawPeer, Rig, frame, message, prop, subscribe, v1_message

EINVAL = 22


def told(rig: Rig, frame: Any, name: str) -> str | None:
    try:
        value: str = frame.get(name)
    except rig.zmq.ZMQError as error:
        assert error.errno == EINVAL
        return None
    return value


def named(peer: RawPeer, name: bytes, *bodies: bytes) -> None:
    """A handshake that says a name, then messages that the socket has looked at."""
    peer.handshake("PUSH", extra=prop(b"X-Name", name))
    peer.send(b"".join(message(body) for body in bodies))
    peer.barrier()


def test_what_is_said_twice(rig: Rig) -> None:
    """What we know ourselves goes before what the peer says, and what it says first before the rest."""
    pull, peer = rig.accepting("PULL")
    extra = prop(b"Peer-Address", b"::1") + prop(b"__fd", b"none") + prop(b"X-Name", b"one") + prop(b"X-Name", b"two")
    peer.handshake("PUSH", extra=extra)
    peer.send(message(b"x"))
    got = pull.recv(copy=False)
    assert told(rig, got, "Peer-Address") == "127.0.0.1"
    assert told(rig, got, "X-Name") == "one"
    assert got.get(rig.zmq.SRCFD) == int(told(rig, got, "__fd") or "")


@pytest.mark.unlike_libzmq
def test_nobody_says_himself_who_he_is(rig: Rig) -> None:
    pull, peer = rig.accepting("PULL")
    peer.handshake("PUSH", extra=prop(b"User-Id", b"root"))
    peer.send(message(b"x"))
    assert told(rig, pull.recv(copy=False), "User-Id") is None


def test_an_empty_value(rig: Rig) -> None:
    pull, peer = rig.accepting("PULL")
    peer.handshake("PUSH", extra=prop(b"X-Name", b""))
    peer.send(message(b"x"))
    assert told(rig, pull.recv(copy=False), "X-Name") == ""


def test_a_long_value(rig: Rig) -> None:
    pull, peer = rig.accepting("PULL")
    peer.handshake("PUSH", extra=prop(b"X-Name", b"n" * 5000))
    peer.send(message(b"x"))
    assert told(rig, pull.recv(copy=False), "X-Name") == "n" * 5000


def test_old_peers_tell_nothing(rig: Rig) -> None:
    pull, endpoint = rig.bind("PULL")
    for version in (1, 2):
        peer = rig.peer(endpoint)
        if version == 1:
            peer.handshake_v1()
            peer.send(v1_message(b"x"))
        else:
            peer.handshake_v2(8)
            peer.send(frame(b"x"))
        got = pull.recv(copy=False)
        assert told(rig, got, "Peer-Address") is None and told(rig, got, "Socket-Type") is None


def test_unread_messages_keep_what_their_peer_said(rig: Rig) -> None:
    """A connector reads what came over three connections when they are all over."""
    pull, listener = rig.connecting("PULL")
    for name in (b"one", b"two", b"three"):
        with listener.accept() as peer:
            named(peer, name, name + b" a", name + b" b")
    for name in ("one", "two", "three"):
        for letter in "ab":
            got = pull.recv(copy=False)
            assert got.bytes == f"{name} {letter}".encode()
            assert told(rig, got, "X-Name") == name


@pytest.mark.parametrize("taken", [0, 1, 2, 3, 4])
def test_whichever_way_the_earlier_ones_are_read(rig: Rig, taken: int) -> None:
    """Connections that brought nothing, or whose messages were read as bytes, are forgotten."""
    pull, listener = rig.connecting("PULL")
    sent = []
    for number, count in enumerate((2, 0, 1, 2)):
        with listener.accept() as peer:
            sent += [b"%d" % number] * count
            named(peer, b"%d" % number, *[b"%d" % number] * count)
        if number == 1:
            for _ in range(min(taken, 2)):
                assert pull.recv() == sent.pop(0)
    for _ in range(taken - 2):
        assert pull.recv() == sent.pop(0)
    for body in sent:
        got = pull.recv(copy=False)
        assert (got.bytes, told(rig, got, "X-Name")) == (body, body.decode())


def test_an_old_peer_between_new_ones(rig: Rig) -> None:
    pull, listener = rig.connecting("PULL")
    with listener.accept() as peer:
        named(peer, b"first", b"1")
    with listener.accept() as peer:
        peer.handshake_v2(8)
        peer.send(frame(b"2"))
        peer.half_close()
        peer.read_to_close()
    with listener.accept() as peer:
        named(peer, b"third", b"3")
    frames = [pull.recv(copy=False) for _ in range(3)]
    assert [got.bytes for got in frames] == [b"1", b"2", b"3"]
    assert [told(rig, got, "X-Name") for got in frames] == ["first", None, "third"]


def test_subscriptions_over_several_connections(rig: Rig) -> None:
    publisher, listener = rig.connecting("XPUB")
    for name in (b"one", b"two"):
        with listener.accept() as peer:
            peer.handshake("SUB", extra=prop(b"X-Name", name))
            peer.send(subscribe(name))
            rig.settle(publisher, peer)
    got = [publisher.recv(copy=False) for _ in range(3)]
    assert [each.bytes for each in got] == [b"\1one", b"\0one", b"\1two"]
    assert [told(rig, each, "X-Name") for each in got] == ["one", None, "two"]
