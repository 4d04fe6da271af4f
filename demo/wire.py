"""What the demo's processes agree on: the messages, the latency histogram, lines of JSON between parent and child."""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import sys
import zlib

HELLO = b"hello"  # sent until everybody is connected; counted by nobody
WORK = b"work"
HEADER = struct.Struct("<HIQI")  # sender, sequence, time.monotonic_ns() at the send, CRC-32 of the payload
PAYLOADS = 256  # made once a sender, then used in turn


def payloads(seed: int, size: int) -> list[tuple[bytes, int]]:
    """Random payloads of 0 to `size` bytes, each with its CRC-32."""
    source = random.Random(seed)
    made = [source.randbytes(source.randint(0, size)) for _ in range(PAYLOADS)]
    return [(payload, zlib.crc32(payload)) for payload in made]


def digest(request: bytes, worker: bytes) -> bytes:
    """The answer that only this worker can give to this request."""
    return hashlib.blake2b(request, digest_size=16, key=worker).digest()


def topic(number: int) -> bytes:
    return b"topic-%03d" % number


def topics_of(sink: int, count: int) -> list[int]:
    """Each sink takes two neighbouring topics: every topic has a sink, and of three or more no sink gets all."""
    return sorted({sink % count, (sink + 1) % count})


class Histogram:
    """Durations in ns, kept in buckets that are about 1.6 % wide, so that those of many processes can be added up."""

    SUB_BITS = 6

    def __init__(self, buckets: dict[str, int] | None = None) -> None:
        self.buckets = {int(key): count for key, count in (buckets or {}).items()}

    def add(self, value_ns: int) -> None:
        shift = max(value_ns.bit_length() - 1 - self.SUB_BITS, 0)
        key = value_ns >> shift << shift
        self.buckets[key] = self.buckets.get(key, 0) + 1

    def merge(self, other: Histogram) -> None:
        for key, count in other.buckets.items():
            self.buckets[key] = self.buckets.get(key, 0) + count

    def percentile_ms(self, share: float) -> float | None:
        left = share * sum(self.buckets.values())
        for key in sorted(self.buckets):
            left -= self.buckets[key]
            if left <= 0:
                return key / 1e6
        return None


def emit(event: str, **values: object) -> None:
    """From a child to its parent."""
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def order(fd: int = 0) -> str:
    """What the parent said last; `stop` when it is gone. Call it only when stdin is readable."""
    return (os.read(fd, 4096).decode().split() or ["stop"])[-1]
