"""CURVE played by hand (RFC 26), on PyNaCl's functions: makes and opens one command each, and may do it wrongly."""

from __future__ import annotations

import os
import struct
from typing import Any

import nacl.bindings as nacl

from tests.raw_peer import RawPeer, command, frame, greeting, prop, properties

__all__ = ["CurveClient", "CurveServer", "Keys"]


class Keys:
    """A long-term pair."""

    def __init__(self) -> None:
        self.public, self.secret = nacl.crypto_box_keypair()


def box(plain: bytes, nonce: bytes, public: bytes, secret: bytes) -> bytes:
    return nacl.crypto_box(plain, nonce, public, secret)


def open_box(sealed: bytes, nonce: bytes, public: bytes, secret: bytes) -> bytes:
    return nacl.crypto_box_open(sealed, nonce, public, secret)


def counter(number: int) -> bytes:
    return struct.pack(">Q", number)


class CurveEnd:
    """What both ends have in common once the keys of the connection are there."""

    prefix_sent = prefix_received = b""

    def __init__(self, peer: RawPeer) -> None:
        self.peer = peer
        self.public, self.secret = nacl.crypto_box_keypair()
        self.other = b""
        self.sent = 0

    def message(self, body: bytes, flags: int = 0, number: int | None = None) -> bytes:
        """The frame of a MESSAGE; a number of its own does not count."""
        if number is None:
            self.sent += 1
            number = self.sent
        nonce = self.prefix_sent + counter(number)
        return frame(b"\x07MESSAGE" + counter(number) + box(bytes([flags]) + body, nonce, self.other, self.secret))

    def read_message(self) -> tuple[int, bytes]:
        """Flags and body of the next MESSAGE."""
        got = self.peer.read_frame()
        assert not got.flags & 5 and got.body[:8] == b"\x07MESSAGE"
        plain = open_box(got.body[16:], self.prefix_received + got.body[8:16], self.other, self.secret)
        return plain[0], plain[1:]


class CurveClient(CurveEnd):
    prefix_sent, prefix_received = b"CurveZMQMESSAGEC", b"CurveZMQMESSAGES"

    def __init__(self, peer: RawPeer, keys: Keys, server: bytes) -> None:
        super().__init__(peer)
        self.keys = keys
        self.server = server
        self.cookie = b""

    def hello(self, *, version: bytes = b"\x01\x00", plain: bytes = bytes(64), server: bytes | None = None) -> bytes:
        self.sent += 1
        nonce = b"CurveZMQHELLO---" + counter(self.sent)
        sealed = box(plain, nonce, server or self.server, self.secret)
        return command(b"HELLO", version + bytes(72) + self.public + counter(self.sent) + sealed)

    def take_welcome(self) -> bytes:
        got = self.peer.read_frame()
        assert got.command_name == b"WELCOME" and len(got.body) == 168
        data = got.command_data
        plain = open_box(data[16:], b"WELCOME-" + data[:16], self.server, self.secret)
        self.other, self.cookie = plain[:32], plain[32:]
        return got.raw

    def initiate(self, socket_type: bytes = b"DEALER", **faults: Any) -> bytes:
        self.sent += 1
        random = os.urandom(16)
        vouched = faults.get("vouched", self.public + self.server)
        vouch = box(vouched, b"VOUCH---" + random, self.other, faults.get("secret", self.keys.secret))
        metadata = faults.get("metadata", prop(b"Socket-Type", socket_type) + prop(b"Identity", b""))
        plain = self.keys.public + random + vouch + metadata
        sealed = box(plain, b"CurveZMQINITIATE" + counter(self.sent), self.other, self.secret)
        return command(b"INITIATE", faults.get("cookie", self.cookie) + counter(self.sent) + sealed)

    def take_ready(self) -> dict[bytes, bytes]:
        got = self.peer.read_frame()
        assert got.command_name == b"READY"
        data = got.command_data
        return properties(open_box(data[8:], b"CurveZMQREADY---" + data[:8], self.other, self.secret))

    def greet(self) -> None:
        self.peer.send(greeting(b"CURVE"))
        assert self.peer.read(64)[12:17] == b"CURVE"

    def handshake(self, socket_type: bytes = b"DEALER") -> dict[bytes, bytes]:
        self.greet()
        self.peer.send(self.hello())
        self.take_welcome()
        self.peer.send(self.initiate(socket_type))
        return self.take_ready()


class CurveServer(CurveEnd):
    prefix_sent, prefix_received = b"CurveZMQMESSAGES", b"CurveZMQMESSAGEC"

    def __init__(self, peer: RawPeer, keys: Keys) -> None:
        super().__init__(peer)
        self.keys = keys
        self.cookie = os.urandom(96)

    def greet(self) -> None:
        self.peer.send(greeting(b"CURVE"))
        assert self.peer.read(64)[12:17] == b"CURVE"

    def take_hello(self) -> None:
        got = self.peer.read_frame()
        assert got.command_name == b"HELLO" and len(got.body) == 200
        self.other = got.body[80:112]
        plain = open_box(got.body[120:], b"CurveZMQHELLO---" + got.body[112:120], self.other, self.keys.secret)
        assert plain == bytes(64)

    def welcome(self, *, public: bytes | None = None) -> bytes:
        random = os.urandom(16)
        sealed = box((public or self.public) + self.cookie, b"WELCOME-" + random, self.other, self.keys.secret)
        return command(b"WELCOME", random + sealed)

    def take_initiate(self) -> tuple[bytes, dict[bytes, bytes]]:
        """The client's long-term key and its properties."""
        got = self.peer.read_frame()
        assert got.command_name == b"INITIATE"
        data = got.command_data
        assert data[:96] == self.cookie
        plain = open_box(data[104:], b"CurveZMQINITIATE" + data[96:104], self.other, self.secret)
        vouched = open_box(plain[48:128], b"VOUCH---" + plain[32:48], plain[:32], self.secret)
        assert vouched == self.other + self.keys.public
        return plain[:32], properties(plain[128:])

    def ready(self, metadata: bytes = b"") -> bytes:
        self.sent += 1
        nonce = b"CurveZMQREADY---" + counter(self.sent)
        return command(b"READY", counter(self.sent) + box(metadata, nonce, self.other, self.secret))

    def handshake(self, socket_type: bytes = b"ROUTER") -> tuple[bytes, dict[bytes, bytes]]:
        self.greet()
        self.take_hello()
        self.peer.send(self.welcome())
        told = self.take_initiate()
        self.peer.send(self.ready(prop(b"Socket-Type", socket_type) + prop(b"Identity", b"")))
        return told
