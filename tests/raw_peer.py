"""A ZMTP peer played by hand over a plain socket: what a test writes is what the other side reads, byte for byte.

Three parts: functions that make bytes (`greeting`, `frame`, `ready`, ...), `RawPeer` and `RawListener`, which move
them with a deadline on every wait, and `Rig`, which owns the sockets of one test and closes them all.
A failed expectation is an AssertionError that shows what was there instead.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

__all__ = [
    "DEADLINE_S",
    "QUIET_S",
    "Frame",
    "Monitor",
    "RawListener",
    "RawPeer",
    "Rig",
    "cancel",
    "command",
    "error",
    "frame",
    "greeting",
    "message",
    "ping",
    "pong",
    "prop",
    "properties",
    "ready",
    "resident_bytes",
    "signature",
    "subscribe",
    "v1_frame",
    "v1_message",
    "wait_until",
]

DEADLINE_S = 10.0  # for things that must happen; long, because the machine may be busy
QUIET_S = 0.08  # for things that must not happen

MORE, LONG, COMMAND = 1, 2, 4
TYPES_WITH_IDENTITY = ("REQ", "DEALER", "ROUTER")


# --- bytes ---------------------------------------------------------------------------------------------------------


def signature(id_bytes: int = 0) -> bytes:
    return b"\xff" + struct.pack(">Q", id_bytes + 1) + b"\x7f"


def greeting(
    mechanism: bytes = b"NULL", *, major: int = 3, minor: int = 1, as_server: int = 0, filler: bytes = bytes(31)
) -> bytes:
    """The 64 bytes of a 3.x greeting."""
    return signature() + bytes([major, minor]) + mechanism.ljust(20, b"\0") + bytes([as_server]) + filler


def frame(body: bytes, *, more: bool = False, is_command: bool = False, long: bool | None = None) -> bytes:
    """A frame of ZMTP 2.0 and later; `long` forces the 8-byte size on or off."""
    if long is None:
        long = len(body) > 255
    flags = (MORE if more else 0) | (LONG if long else 0) | (COMMAND if is_command else 0)
    return struct.pack(">BQ" if long else ">BB", flags, len(body)) + body


def message(*parts: bytes) -> bytes:
    return b"".join(frame(part, more=i < len(parts) - 1) for i, part in enumerate(parts))


def command(name: bytes, data: bytes = b"") -> bytes:
    return frame(bytes([len(name)]) + name + data, is_command=True)


def prop(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


def ready(socket_type: str, identity: bytes | None = None, extra: bytes = b"") -> bytes:
    """READY as libzmq sends it; identity None means: what that type does by default."""
    if identity is None and socket_type in TYPES_WITH_IDENTITY:
        identity = b""
    data = prop(b"Socket-Type", socket_type.encode())
    if identity is not None:
        data += prop(b"Identity", identity)
    return command(b"READY", data + extra)


def error(reason: bytes) -> bytes:
    return command(b"ERROR", bytes([len(reason)]) + reason)


def ping(ttl_tenths: int = 0, context: bytes = b"") -> bytes:
    return command(b"PING", struct.pack(">H", ttl_tenths) + context)


def pong(context: bytes = b"") -> bytes:
    return command(b"PONG", context)


def subscribe(topic: bytes) -> bytes:
    """The command of ZMTP 3.1."""
    return command(b"SUBSCRIBE", topic)


def cancel(topic: bytes) -> bytes:
    return command(b"CANCEL", topic)


def v1_frame(body: bytes, *, more: bool = False) -> bytes:
    """A frame of ZMTP 1.0: the length counts the flags byte."""
    size = len(body) + 1
    head = bytes([size]) if size < 255 else b"\xff" + struct.pack(">Q", size)
    return head + bytes([MORE if more else 0]) + body


def v1_message(*parts: bytes) -> bytes:
    return b"".join(v1_frame(part, more=i < len(parts) - 1) for i, part in enumerate(parts))


def properties(data: bytes) -> dict[bytes, bytes]:
    """The property list of a READY, in order."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        name = data[at + 1 : at + 1 + data[at]]
        at += 1 + len(name)
        (size,) = struct.unpack_from(">I", data, at)
        found[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return found


# --- waiting -------------------------------------------------------------------------------------------------------


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Polls a condition that has no file descriptor to wait on."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(0.002)


def resident_bytes() -> int:
    """Memory that this process really occupies."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def shown(data: bytes | bytearray) -> str:
    return f"{len(data)} bytes {data[:80].hex(' ')}{' ...' if len(data) > 80 else ''}"


# --- one connection ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    flags: int
    body: bytes
    raw: bytes

    @property
    def more(self) -> bool:
        return bool(self.flags & MORE)

    @property
    def is_command(self) -> bool:
        return bool(self.flags & COMMAND)

    @property
    def command_name(self) -> bytes:
        assert self.is_command, f"a message frame, not a command: {shown(self.raw)}"
        return self.body[1 : 1 + self.body[0]]

    @property
    def command_data(self) -> bytes:
        return self.body[1 + self.body[0] :]


class RawPeer:
    """One TCP connection. Every read has a deadline; bytes read but not yet asked for wait in `pending`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.pending = bytearray()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def connect(cls, endpoint: str, *, rcvbuf_bytes: int = 0) -> RawPeer:
        """`endpoint` is tcp://127.0.0.1:port; a small receive buffer makes the other side feel a slow reader soon."""
        host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
        sock = socket.socket()
        if rcvbuf_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf_bytes)
        sock.settimeout(DEADLINE_S)
        sock.connect((host, int(port)))
        return cls(sock)

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # Ends of the connection

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Ends the connection with RST; what the other side has not read is lost."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def half_close(self) -> None:
        """Sends FIN and goes on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    # Writing

    def send(self, data: bytes) -> None:
        sent = self.send_some(data, DEADLINE_S)
        assert sent == len(data), f"only {sent} of {len(data)} bytes were taken"

    def send_some(self, data: bytes, quiet_s: float) -> int:
        """Writes until all is out, or nothing more is taken for quiet_s; bytes written."""
        view = memoryview(data)
        while view:
            if not select.select([], [self.sock], [], quiet_s)[1]:
                break
            with contextlib.suppress(BlockingIOError):
                view = view[self.sock.send(view) :]
        return len(data) - len(view)

    def try_send(self, data: bytes) -> bool:
        """As send(); False when the other side has closed meanwhile, which a hostile peer must expect."""
        try:
            self.send(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def trickle(self, data: bytes, piece_bytes: int = 1) -> None:
        """Sends in many small segments."""
        for at in range(0, len(data), piece_bytes):
            self.send(data[at : at + piece_bytes])

    # Reading

    def _fill(self, wait_s: float) -> bytes | None:
        """One read into pending. None: nothing came; b"": the connection has ended."""
        if not select.select([self.sock], [], [], max(wait_s, 0))[0]:
            return None
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""
        self.pending += data
        return data

    def read(self, count: int, deadline_s: float = DEADLINE_S) -> bytes:
        """Exactly count bytes."""
        end = time.monotonic() + deadline_s
        while len(self.pending) < count:
            data = self._fill(end - time.monotonic())
            assert data != b"", f"closed; {count} bytes wanted, there: {shown(self.pending)}"
            is_late = data is None and time.monotonic() >= end
            assert not is_late, f"{count} bytes wanted within {deadline_s} s, there: {shown(self.pending)}"
        taken = bytes(self.pending[:count])
        del self.pending[:count]
        return taken

    def expect(self, wanted: bytes) -> None:
        got = bytearray()
        while len(got) < len(wanted):
            got += self.read(1 if not self.pending else min(len(self.pending), len(wanted) - len(got)))
            assert wanted.startswith(got), f"wanted {shown(wanted)}\n   got {shown(bytes(got))}"

    def expect_hex(self, wanted: str) -> None:
        self.expect(bytes.fromhex(wanted))

    def expect_quiet(self, quiet_s: float = QUIET_S) -> None:
        """Nothing arrives, and the connection stays open, for as long as quiet_s."""
        assert not self.pending, f"more than expected: {shown(self.pending)}"
        data = self._fill(quiet_s)
        assert data != b"", "the connection was closed"
        assert data is None, f"more than expected: {shown(self.pending)}"

    def expect_close(self, deadline_s: float = DEADLINE_S) -> None:
        """The other side ends the connection and sends nothing before it does."""
        left = self.read_to_close(deadline_s)
        assert not left, f"sent before the close: {shown(left)}"

    def read_to_close(self, deadline_s: float = DEADLINE_S) -> bytes:
        """All that comes until the other side ends the connection."""
        end = time.monotonic() + deadline_s
        while self._fill(end - time.monotonic()) != b"":
            assert time.monotonic() < end, f"still open after {deadline_s} s; read {shown(self.pending)}"
        taken = bytes(self.pending)
        self.pending.clear()
        return taken

    def is_closed(self) -> bool:
        """Whether the other side has ended the connection by now; keeps what it sent before."""
        while (data := self._fill(0)) is not None:
            if data == b"":
                return True
        return False

    def has_bytes(self, count: int) -> bool:
        """Whether that many bytes are there to read by now."""
        while len(self.pending) < count and self._fill(0):
            pass
        return len(self.pending) >= count

    def read_frame(self, deadline_s: float = DEADLINE_S) -> Frame:
        end = time.monotonic() + deadline_s
        head = self.read(2, deadline_s)
        size = head[1]
        if head[0] & LONG:
            head += self.read(7, end - time.monotonic())
            (size,) = struct.unpack(">Q", head[1:])
        body = self.read(size, end - time.monotonic())
        return Frame(head[0], body, head + body)

    def read_message(self, deadline_s: float = DEADLINE_S) -> list[bytes]:
        """The parts of one message; a command in between fails the test."""
        end = time.monotonic() + deadline_s
        parts = []
        while True:
            got = self.read_frame(end - time.monotonic())
            assert not got.is_command, f"a command, not a message: {shown(got.raw)}"
            parts.append(got.body)
            if not got.more:
                return parts

    def read_v1_frame(self) -> Frame:
        raw = self.read(1)
        size = raw[0]
        if size == 255:
            raw += self.read(8)
            (size,) = struct.unpack(">Q", raw[1:])
        rest = self.read(size)
        return Frame(rest[0], rest[1:], raw + rest)

    def read_v1_message(self) -> list[bytes]:
        parts = []
        while True:
            got = self.read_v1_frame()
            parts.append(got.body)
            if not got.more:
                return parts

    # Conversations

    def greet(self, mechanism: bytes = b"NULL", *, major: int = 3, minor: int = 1) -> bytes:
        """Exchanges 3.x greetings; the 64 bytes of the other side."""
        self.send(greeting(mechanism, major=major, minor=minor))
        return self.read(64)

    def handshake(
        self, socket_type: str, identity: bytes | None = None, *, major: int = 3, minor: int = 1, extra: bytes = b""
    ) -> dict[bytes, bytes]:
        """Greetings and NULL handshake of a 3.x peer; the properties that the other side sent."""
        self.greet(major=major, minor=minor)
        self.send(ready(socket_type, identity, extra))
        got = self.read_frame()
        assert got.command_name == b"READY", f"not a READY: {shown(got.raw)}"
        return properties(got.command_data)

    def handshake_v2(self, type_number: int, identity: bytes = b"") -> tuple[int, bytes]:
        """The 12-byte greeting and the identities of 2.0; socket type number and identity of the other side."""
        self.send(signature() + bytes([1, type_number]))
        theirs = self.read(12)
        assert theirs[10] == 3, f"not the version byte: {shown(theirs)}"
        self.send(frame(identity))
        got = self.read_frame()
        assert not got.is_command and not got.more, f"not an identity: {shown(got.raw)}"
        return theirs[11], got.body

    def handshake_v1(self, identity: bytes = b"") -> bytes:
        """The identities of an unversioned 1.0 peer; the identity of the other side."""
        self.send(v1_frame(identity))
        head = self.read(10)
        assert head[0] == 255 and head[9] & 1, f"not a signature: {shown(head)}"
        (size,) = struct.unpack(">Q", head[1:9])
        return self.read(size - 1)

    def barrier(self, context: bytes = b"barrier") -> None:
        """Returns when all frames sent so far have been decoded, and shows that nothing was sent meanwhile (3.x).

        Twice: a PONG may leave before the messages read together with its PING are passed on.
        """
        for _ in range(2):
            self.send(ping(0, context))
            self.expect(pong(context))


class RawListener:
    """A listening TCP socket on a free port of 127.0.0.1."""

    def __init__(self, *, rcvbuf_bytes: int = 0) -> None:
        self.sock = socket.socket()
        if rcvbuf_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf_bytes)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(100)
        self.endpoint = "tcp://{}:{}".format(*self.sock.getsockname())
        self.accepted: list[RawPeer] = []

    def accept(self, deadline_s: float = DEADLINE_S) -> RawPeer:
        assert select.select([self.sock], [], [], deadline_s)[0], f"no connection within {deadline_s} s"
        peer = RawPeer(self.sock.accept()[0])
        self.accepted.append(peer)
        return peer

    def expect_no_connection(self, quiet_s: float = 2 * QUIET_S) -> None:
        assert not select.select([self.sock], [], [], quiet_s)[0], "a connection came in"

    def close(self) -> None:
        self.sock.close()
        for peer in self.accepted:
            peer.close()


# --- one test ------------------------------------------------------------------------------------------------------


class Monitor:
    """The events of one socket: 6 bytes (number, value, in host order) and an endpoint."""

    def __init__(self, rig: Rig, watched: Any) -> None:
        endpoint = f"inproc://monitor-{id(self)}"
        watched.monitor(endpoint, rig.zmq.EVENT_ALL & 0xFFFF)
        self.sock = rig.socket("PAIR")
        self.sock.connect(endpoint)

    def events(self) -> Iterator[tuple[int, int]]:
        """(number, value) of each event as it comes; ends with an exception when none comes in time."""
        while True:
            number, value = struct.unpack("=HI", self.sock.recv_multipart()[0])
            yield number, value

    def wait_for(self, wanted: int) -> tuple[int, list[int]]:
        """Value of the first event with that number, and the numbers of those before it."""
        before: list[int] = []
        for number, value in self.events():
            if number == wanted:
                return value, before
            before.append(number)
        raise AssertionError("unreachable")


class Rig:
    """The context, sockets and peers of one test. `zmq` is the implementation under test, with pyzmq's names.

    Socket options are given by name: rig.bind("ROUTER", ROUTING_ID=b"me"); a list sets the option once for each item.
    """

    def __init__(self, zmq: Any) -> None:
        self.zmq = zmq
        self.context = zmq.Context()
        self.sockets: list[Any] = []
        self.raw: list[RawPeer | RawListener] = []

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        for raw in self.raw:
            raw.close()
        for sock in self.sockets:
            sock.close(linger=0)
        self.context.term()

    def socket(self, socket_type: str, **options: Any) -> Any:
        sock = self.context.socket(getattr(self.zmq, socket_type))
        self.sockets.append(sock)
        wait_ms = int(DEADLINE_S * 1000)
        for name, value in {"LINGER": 0, "RCVTIMEO": wait_ms, "SNDTIMEO": wait_ms, **options}.items():
            for item in value if isinstance(value, list) else [value]:
                sock.setsockopt(getattr(self.zmq, name), item)
        return sock

    def bind(self, socket_type: str, **options: Any) -> tuple[Any, str]:
        """A bound socket and its endpoint."""
        sock = self.socket(socket_type, **options)
        sock.bind("tcp://127.0.0.1:*")
        return sock, sock.getsockopt(self.zmq.LAST_ENDPOINT).rstrip(b"\0").decode()

    def peer(self, endpoint: str, *, rcvbuf_bytes: int = 0) -> RawPeer:
        peer = RawPeer.connect(endpoint, rcvbuf_bytes=rcvbuf_bytes)
        self.raw.append(peer)
        return peer

    def listen(self, *, rcvbuf_bytes: int = 0) -> RawListener:
        listener = RawListener(rcvbuf_bytes=rcvbuf_bytes)
        self.raw.append(listener)
        return listener

    def accepting(self, socket_type: str, **options: Any) -> tuple[Any, RawPeer]:
        """A bound socket and a raw peer that has connected to it."""
        sock, endpoint = self.bind(socket_type, **options)
        return sock, self.peer(endpoint)

    def connecting(self, socket_type: str, **options: Any) -> tuple[Any, RawListener]:
        """A raw listener and a socket that connects to it, and tries again soon when it loses the connection."""
        listener = self.listen()
        sock = self.socket(socket_type, **{"RECONNECT_IVL": 10, **options})
        sock.connect(listener.endpoint)
        return sock, listener

    def monitor(self, sock: Any) -> Monitor:
        return Monitor(self, sock)

    def settle(self, sock: Any, peer: RawPeer) -> None:
        """What the 3.x peer has sent is in the socket, and the socket has looked at it.

        libzmq takes subscriptions in only when the application calls; reading EVENTS is such a call.
        """
        peer.barrier()
        sock.getsockopt(self.zmq.EVENTS)

    def expect_nothing(self, sock: Any) -> None:
        """There is no message to receive now. For use behind a barrier."""
        try:
            got = sock.recv_multipart(self.zmq.DONTWAIT)
        except self.zmq.Again:
            return
        raise AssertionError(f"a message arrived: {got!r}")
