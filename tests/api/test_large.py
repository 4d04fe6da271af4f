"""Large messages received as bytes, for which memory is offered to the engine before they come."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import importlib
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets
from tests.raw_peer import Rig, frame, resident_bytes
from tests.support import DEADLINE_S, Task, wait_until

MIB = 1 << 20


@pytest.fixture
def rig(core: ModuleType) -> Iterator[Rig]:
    with Rig(core) as made:
        yield made


def data_of(size: int, salt: int) -> bytes:
    return random.Random(salt).randbytes(1024) * (size // 1024) + bytes([salt % 256]) * (size % 1024)


def digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()


def sizes_of(kind: str) -> list[int]:
    rng = random.Random(kind)
    around = [rng.randrange(300_000, 700_000) for _ in range(20)]
    return {
        "same": [MIB] * 20,
        "varied": around,
        "shrinking": [2 * MIB >> (i // 3) for i in range(20)],
        "growing": [100_000 << (i // 4) for i in range(20)],
        "among short ones": [size if i % 3 else 10 for i, size in enumerate(around)],
        "edges": [262_135 + i for i in range(20)],
    }[kind]


@pytest.mark.parametrize("kind", ["same", "varied", "shrinking", "growing", "among short ones", "edges"])
@pytest.mark.parametrize("way", ["recv", "recv_multipart", "recv_many"])
def test_large_messages_arrive_as_they_were_sent(core_sockets: Sockets, kind: str, way: str) -> None:
    """All are kept to the end, so that no memory can be used twice."""
    push, pull = core_sockets("PUSH"), core_sockets("PULL")
    core_sockets.join(pull, push, "tcp://127.0.0.1:*")
    sent = [data_of(size, i) for i, size in enumerate(sizes_of(kind))]

    def send_all() -> None:
        for data in sent:
            push.send(data)

    sending = Task(send_all)
    got: list[bytes] = []
    while len(got) < len(sent):
        if way == "recv_many":
            got += pull.recv_many(3)
        else:
            got += [pull.recv()] if way == "recv" else pull.recv_multipart()
    sending.join()
    assert all(type(data) is bytes for data in got)
    assert [(len(data), digest(data)) for data in got] == [(len(data), digest(data)) for data in sent]


@pytest.mark.parametrize("kind", ["same", "varied", "shrinking", "growing", "among short ones", "edges"])
@pytest.mark.parametrize("is_whole", [False, True])
def test_large_messages_that_are_awaited_arrive_as_they_were_sent(core: ModuleType, kind: str, is_whole: bool) -> None:
    sent = [data_of(size, i) for i, size in enumerate(sizes_of(kind))]

    async def main(context: Any) -> list[bytes]:
        push, pull = context.socket(core.PUSH), context.socket(core.PULL)
        push.connect(f"tcp://127.0.0.1:{pull.bind_to_random_port('tcp://127.0.0.1')}")

        async def send_all() -> None:
            for data in sent:
                await push.send(data)

        sending = asyncio.ensure_future(send_all())
        got: list[bytes] = []
        while len(got) < len(sent):
            got += await pull.recv_multipart() if is_whole else [await pull.recv()]
        await sending
        return got

    context = importlib.import_module(f"{core.__name__}.asyncio").Context()
    try:
        got = asyncio.run(asyncio.wait_for(main(context), DEADLINE_S))
    finally:
        Task(lambda: context.destroy(0)).join()
    assert all(type(data) is bytes for data in got)
    assert [(len(data), digest(data)) for data in got] == [(len(data), digest(data)) for data in sent]


@pytest.mark.parametrize("late", [1, 300_000, MIB + 8])
def test_the_wait_may_end_within_a_large_message(rig: Rig, late: int) -> None:
    """A timeout with the offered memory half filled; the rest comes later, as bytes, Frame or into a buffer."""
    pull, endpoint = rig.bind("PULL")
    peer = rig.peer(endpoint)
    peer.handshake("PUSH")
    first, wire = data_of(MIB, 1), frame(data_of(MIB, 2))
    for _ in range(2):
        peer.send(frame(first))
        assert pull.recv() == first
    for receive in (pull.recv, lambda: pull.recv(copy=False).bytes, lambda: take_into(pull, MIB)):
        pull.rcvtimeo = 1
        sending = Task(peer.send, wire[:-late])
        with pytest.raises(rig.zmq.Again):
            pull.recv()
        sending.join()
        pull.rcvtimeo = 10_000
        peer.send(wire[-late:])
        assert receive() == data_of(MIB, 2)


def take_into(socket: Any, size: int) -> bytes:
    into = bytearray(size)
    assert socket.recv_into(into) == size
    return bytes(into)


def test_a_peer_that_dies_within_a_large_message_costs_nothing(rig: Rig) -> None:
    pull, endpoint = rig.bind("PULL")
    body = data_of(4 * MIB, 1)

    def one() -> None:
        peer = rig.peer(endpoint)
        peer.handshake("PUSH")
        for _ in range(2):
            peer.send(frame(body))
            assert pull.recv() == body
        waiting = Task(pull.recv)
        peer.send(frame(body)[:-MIB])
        peer.close()
        other = rig.peer(endpoint)
        other.handshake("PUSH")
        other.send(frame(b"next"))
        assert waiting.join() == b"next"
        other.close()

    for _ in range(12):  # the allocator keeps some
        one()
    before = resident_bytes()
    for _ in range(20):
        one()
    gc.collect()
    assert resident_bytes() - before < 32 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_many_sockets_are_not_lent_more_than_so_much(core: ModuleType, core_sockets: Sockets) -> None:
    """Each has had bodies of 4 MiB, and waits for another."""
    push, body = core_sockets("PUSH"), data_of(4 * MIB, 1)
    pulls = [core_sockets("PULL") for _ in range(60)]
    before = address_space_bytes()
    for pull in pulls:
        endpoint = core_sockets.join(pull, push, "tcp://127.0.0.1:*")
        for _ in range(2):
            push.send(body)
            assert pull.recv() == body
        with pytest.raises(core.Again):
            pull.recv(core.DONTWAIT)
        push.disconnect(endpoint)
    assert address_space_bytes() - before < 220 * MIB  # what the allocator keeps is in it


def address_space_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def test_bytes_over_inproc_are_the_same_object(core_sockets: Sockets) -> None:
    first, second = core_sockets.pair()
    data = data_of(MIB, 1)
    before = sys.getrefcount(data)
    for head in ([], [b"head"]):
        first.send_multipart([*head, data])
        assert second.recv_multipart()[-1] is data
    first.send(data)
    frame_of_it = second.recv(copy=False)
    assert bytes(frame_of_it) == data and frame_of_it.bytes == data
    del frame_of_it
    first.send(b"")
    assert second.recv() == b""
    wait_until(lambda: sys.getrefcount(data) == before)


def test_a_part_of_bytes_is_not_the_whole(core_sockets: Sockets) -> None:
    """A view of the first bytes of a buffer has its place, and is shorter."""
    first, second = core_sockets.pair()
    data = data_of(MIB, 1)
    first.send(memoryview(data)[: MIB // 2], copy=False)
    got = second.recv()
    assert got == data[: MIB // 2] and len(data) == MIB
    assert digest(data) == digest(data_of(MIB, 1))
