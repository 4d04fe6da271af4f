"""What a pipe holds, said with plain lists; shared by the tests of the pipe."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tests.native import _probe_pipe as probe

LARGE = probe.LARGE_BODY_BYTES
CHUNK = probe.CHUNK_BYTES_MIN
LONG = 2


def pattern(size: int, salt: int = 0) -> bytes:
    """Bytes in which a shift, a gap or a mixed-up body shows."""
    return bytes((salt * 37 + i + (i >> 8)) & 0xFF for i in range(min(size, 1021))) * (size // 1021 + 1)


def body_of(size: int, salt: int) -> bytes:
    return pattern(size, salt)[:size]


def head_of(flags: int, size: int, is_long: bool = False) -> bytes:
    if size > 255 or is_long:
        return bytes([flags | LONG]) + size.to_bytes(8, "big")
    return bytes([flags, size])


def frame_of(flags: int, body: bytes, is_long: bool = False) -> bytes:
    return head_of(flags, len(body), is_long) + body


def wire_of(parts: list[bytes]) -> bytes:
    return b"".join(frame_of(probe.MORE if i + 1 < len(parts) else 0, part) for i, part in enumerate(parts))


def low_mark(hwm: int) -> int:
    """As libzmq: (HWM + 1) / 2 messages have to be read."""
    return hwm - (hwm + 1) // 2


@dataclass
class Bound:
    """The high-water mark with its memory, over a number of messages that the caller knows."""

    hwm: int
    is_full: bool = False

    def full(self, msgs: int) -> bool:
        self.is_full = not self.reopened(msgs) if self.is_full else self.hwm != 0 and msgs >= self.hwm
        return self.is_full

    def reopened(self, msgs: int) -> bool:
        if self.hwm == 0 or msgs <= low_mark(self.hwm):
            self.is_full = False
            return True
        return False


@dataclass
class OutItem:
    """What goes over the wire as a whole: a message, or a command between messages."""

    wire: bytes
    is_message: bool


@dataclass
class OutModel:
    """What an out pipe holds, and how much of its oldest item has been sent."""

    items: deque[OutItem] = field(default_factory=deque)
    sent_bytes: int = 0

    def append(self, wire: bytes, is_message: bool = True) -> None:
        self.items.append(OutItem(wire, is_message))

    @property
    def msgs(self) -> int:
        return sum(item.is_message for item in self.items)

    @property
    def bytes(self) -> int:
        return sum(len(item.wire) for item in self.items) - self.sent_bytes

    def begins_with(self, data: bytes) -> bool:
        rest, skip = memoryview(data), self.sent_bytes
        for item in self.items:
            have = item.wire[skip:]
            skip = 0
            if len(rest) <= len(have):
                return have.startswith(rest)
            if not bytes(rest).startswith(have):
                return False
            rest = rest[len(have) :]
        return not rest

    def send(self, size: int) -> None:
        self.sent_bytes += size
        while self.items and self.sent_bytes >= len(self.items[0].wire):
            self.sent_bytes -= len(self.items[0].wire)
            self.items.popleft()

    def abandon(self) -> None:
        if self.sent_bytes:
            self.items.popleft()
            self.sent_bytes = 0


@dataclass
class Readable:
    """A message, or a command that was kept."""

    parts: list[bytes]
    is_command: bool = False


class InModel:
    """What an in pipe makes of a stream of bytes, decoded by hand."""

    def __init__(self, keep_commands: bool) -> None:
        self.keep_commands = keep_commands
        self.undecoded = b""
        self.parts: list[bytes] = []
        self.readable: deque[Readable] = deque()
        self.is_stalled = False

    def decode(self, hwm: int) -> None:
        while True:
            self.is_stalled = hwm != 0 and len(self.readable) >= hwm
            if self.is_stalled:
                return
            data = self.undecoded
            head_bytes = 9 if data[:1] and data[0] & LONG else 2
            if len(data) < head_bytes:
                return
            size = int.from_bytes(data[1:head_bytes], "big")
            if len(data) < head_bytes + size:
                return
            body = data[head_bytes : head_bytes + size]
            self.undecoded = data[head_bytes + size :]
            if data[0] & probe.COMMAND:
                if self.keep_commands and body.startswith(b"S") and not self.parts:
                    self.readable.append(Readable([body], True))
                continue
            self.parts.append(body)
            if not data[0] & probe.MORE:
                self.readable.append(Readable(self.parts))
                self.parts = []

    def drop_incomplete(self) -> None:
        self.undecoded = b""
        self.parts = []
        self.is_stalled = False
