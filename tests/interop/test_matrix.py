"""Every legal pair of socket types between zmqcore and libzmq: transport, who binds, who sends, what is sent."""

from __future__ import annotations

import hashlib
import itertools
import random
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support import Peers, Side, await_event, join_publisher, wait_routable

# (sender, receiver). In the pairs with REQ or REP the receiver also answers, so both ways are covered.
PAIRS = (
    ("PAIR", "PAIR"),
    ("PUB", "SUB"),
    ("PUB", "XSUB"),
    ("XPUB", "SUB"),
    ("XPUB", "XSUB"),
    ("XSUB", "XPUB"),
    ("REQ", "REP"),
    ("REQ", "ROUTER"),
    ("DEALER", "REP"),
    ("DEALER", "DEALER"),
    ("DEALER", "ROUTER"),
    ("ROUTER", "DEALER"),
    ("ROUTER", "ROUTER"),
    ("PUSH", "PULL"),
)
BURST = 5000
LOCKSTEP_BURST = 500  # each is a round trip
SIZES = (0, 1, 255, 256, 8 * 1024 - 1, 8 * 1024, 64 * 1024, 1024 * 1024)
LARGE = 100_000_000
SEED = 20240229

SENDER_ID, RECEIVER_ID = b"sender", b"receiver"
SUBSCRIBE_ALL = b"\x01"


@dataclass(frozen=True)
class Case:
    sender: str
    receiver: str
    transport: str
    binder: str
    sending: str

    def __str__(self) -> str:
        return f"{self.sender}-{self.receiver}-{self.transport}-{self.binder}_binds-{self.sending}_sends"


CASES = [
    Case(sender, receiver, transport, binder, sending)
    for (sender, receiver), transport, binder, sending in itertools.product(
        PAIRS, ("tcp", "ipc"), ("local", "remote"), ("local", "remote")
    )
]


class Link:
    """Two connected sockets; hides the envelopes and the waiting that their types need.

    After prepare() nothing that is sent can be dropped: subscriptions and routing ids are known, and no queue
    has a limit.
    """

    def __init__(self, peers: Peers, local: Side, remote: Side, case: Case) -> None:
        self.sender_type, self.receiver_type = case.sender, case.receiver
        self.sender_side, self.receiver_side = (local, remote) if case.sending == "local" else (remote, local)
        self.sender = self._socket(peers, self.sender_side, case.sender, SENDER_ID)
        self.receiver = self._socket(peers, self.receiver_side, case.receiver, RECEIVER_ID)
        ends = [(self.sender_side, self.sender), (self.receiver_side, self.receiver)]
        ends.sort(key=lambda end: end[0].name != case.binder)
        peers.join(ends[0], ends[1], case.transport)
        self.is_lockstep = case.sender == "REQ"
        self.is_answered = case.sender == "REQ" or case.receiver == "REP"
        self._prepare()

    def security(self, side: Side) -> dict[str, Any]:
        """Options of that side's socket."""
        return {}

    def _socket(self, peers: Peers, side: Side, socket_type: str, routing_id: bytes) -> Any:
        options: dict[str, Any] = {"sndhwm": 0, "rcvhwm": 0, **self.security(side)}
        if socket_type in ("REQ", "DEALER", "ROUTER"):
            options["routing_id"] = routing_id
        if socket_type == "ROUTER":
            options["router_mandatory"] = 1
        if socket_type == "SUB":
            options["subscribe"] = b""
        return peers.socket(side, socket_type, **options)

    def _prepare(self) -> None:
        if self.receiver_type == "XSUB":
            self.receiver.send(SUBSCRIBE_ALL)
        if self.sender_type == "XSUB":
            self.sender.send(SUBSCRIBE_ALL)
            await_event(self.receiver, self.sender, self.sender_side)
            assert self.receiver.recv() == SUBSCRIBE_ALL
        if self.sender_type == "XPUB":
            await_event(self.sender, self.receiver, self.receiver_side)
            assert self.sender.recv() == SUBSCRIBE_ALL
        if self.sender_type == "PUB":
            join_publisher(self.sender, [self.receiver])
        if self.sender_type == "ROUTER":
            wait_routable(self.sender, self.sender_side, RECEIVER_ID)
            assert self.receiver.recv_multipart()[-1] == b"probe"

    def payload(self, parts: list[bytes]) -> list[bytes]:
        """XSUB: a part that starts with 00 or 01 would be a subscription."""
        if self.sender_type != "XSUB":
            return parts
        return [b"u" + part[1:] if part[:1] in (b"\0", b"\1") else part for part in parts]

    def send(self, parts: list[bytes]) -> None:
        envelope = {"ROUTER": [RECEIVER_ID], "DEALER": [b""] if self.receiver_type == "REP" else []}
        self.sender.send_multipart(envelope.get(self.sender_type, []) + parts)

    def receive(self) -> list[bytes]:
        """The next message; answers with the same parts where the pattern has replies."""
        parts: list[bytes] = self.receiver.recv_multipart()
        envelope: list[bytes] = []
        if self.receiver_type == "ROUTER":
            envelope = [SENDER_ID, b""] if self.sender_type == "REQ" else [SENDER_ID]
            assert parts[: len(envelope)] == envelope
        body = parts[len(envelope) :]
        if self.is_answered:
            self.receiver.send_multipart(envelope + body)
        return body

    def receive_answer(self) -> list[bytes]:
        parts: list[bytes] = self.sender.recv_multipart()
        if self.sender_type == "DEALER":
            assert parts[0] == b""
            return parts[1:]
        return parts

    def carry(self, messages: list[list[bytes]]) -> None:
        """Sends all messages, then checks that exactly they arrive, in order, and the answers likewise."""
        batches = [[message] for message in messages] if self.is_lockstep else [messages]
        for batch in batches:
            for message in batch:
                self.send(message)
            for message in batch:
                assert digest(self.receive()) == digest(message)
            if self.is_answered:
                for message in batch:
                    assert digest(self.receive_answer()) == digest(message)


def digest(parts: list[bytes]) -> list[bytes]:
    """Large parts by hash, so that a difference does not print megabytes."""
    return [part if len(part) <= 64 else b"%d " % len(part) + hashlib.sha256(part).digest() for part in parts]


@pytest.fixture(params=CASES, ids=str)
def link(request: pytest.FixtureRequest, peers: Peers, local: Side, remote: Side) -> Link:
    return Link(peers, local, remote, request.param)


def test_parts_arrive_as_they_were_sent(link: Link) -> None:
    """1 to 10 parts; empty ones first, between and last; both frame sizes; random bytes."""
    rng = random.Random(SEED)
    messages = [[rng.randbytes(rng.choice((0, 1, 7, 255, 256, 300))) for _ in range(count)] for count in range(1, 11)]
    messages += [[b"hello"], [b""], [b"", b""], [b"", b"x"], [b"x", b""], [b"a", b"", b"b"], [b"", b"", b"", b"c"]]
    messages += [[rng.randbytes(255), rng.randbytes(256), rng.randbytes(255)]]
    link.carry([link.payload(message) for message in messages])


def test_sizes(link: Link) -> None:
    rng = random.Random(SEED)
    link.carry([link.payload([rng.randbytes(size)]) for size in SIZES])
    link.carry([link.payload([rng.randbytes(size), b"", rng.randbytes(size)]) for size in SIZES])


def test_burst_is_complete_and_in_order(link: Link) -> None:
    count = LOCKSTEP_BURST if link.is_lockstep else BURST
    link.carry([[b"number %d" % number] for number in range(count)])


@pytest.mark.parametrize("sending", ["local", "remote"])
def test_very_large_message(peers: Peers, local: Side, remote: Side, sending: str) -> None:
    """100 MB in one part, then a small message behind it."""
    link = Link(peers, local, remote, Case("PUSH", "PULL", "tcp", "local", sending))
    link.carry([[random.Random(SEED).randbytes(LARGE)], [b"after"]])
