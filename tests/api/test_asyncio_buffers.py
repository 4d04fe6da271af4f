"""zmqcore.asyncio: the caller's buffers, to receive into and to send from."""

from __future__ import annotations

import array
import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.helpers import inproc, type_name
from tests.api.test_asyncio import Async, Run, lib, own, run, turns, until
from tests.support import DEADLINE_S

__all__ = ["lib", "own", "run"]  # fixtures


def test_recv_into(own: Async, run: Run) -> None:
    async def main() -> None:
        a, b = own.pair()
        room = bytearray(4)
        waiting = b.recv_into(room)
        await a.send(b"abcdef")
        assert await waiting == 6
        assert room == b"abcd"
        await a.send(b"xy")
        assert await b.recv_into(room, nbytes=1) == 2
        assert room == b"xbcd"

    run(main())


@pytest.mark.parametrize("make", [lambda: bytearray(), lambda: array.array("d", [0.0] * 2)], ids=["empty", "numbers"])
def test_recv_into_buffers_of_other_shapes(own: Async, run: Run, make: Callable[[], Any]) -> None:
    async def main() -> None:
        a, b = own.pair()
        buffer = make()
        size = memoryview(buffer).nbytes
        waiting = b.recv_into(buffer)
        await a.send(b"x" * 20)
        assert await waiting == 20
        assert bytes(memoryview(buffer)) == b"x" * size

    run(main())


@pytest.mark.parametrize("waits_behind", [False, True])
@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize(
    ("buffer", "nbytes", "error"),
    [
        (b"read-only", 0, BufferError),
        ("text", 0, TypeError),
        (None, 0, TypeError),
        (memoryview(bytearray(8))[::2], 0, BufferError),
        (bytearray(4), 5, ValueError),
        (bytearray(4), -1, ValueError),
    ],
    ids=type_name,
)
def test_recv_into_what_cannot_be_filled(
    own: Async, run: Run, buffer: Any, nbytes: int, error: type[Exception], is_there: bool, waits_behind: bool
) -> None:
    async def main() -> None:
        a, b = own.pair(endpoint=inproc())
        first = b.recv() if waits_behind else None
        if is_there:
            await a.send(b"1")
        # At the call: nobody has to send something first.
        refused = b.recv_into(buffer, nbytes=nbytes)
        assert refused.done()
        with pytest.raises(error):
            await refused
        for message in (b"2", b"3"):
            await a.send(message)
        expected = [b"1", b"2"] if is_there else [b"2", b"3"]
        assert [await first if first else await b.recv(), await b.recv()] == expected

    run(main())


@pytest.mark.parametrize("others", [0, 1])
def test_a_buffer_that_is_gone_when_the_message_comes(own: Async, run: Run, others: int) -> None:
    async def main() -> None:
        a, b = own.pair()
        released, shrunk = memoryview(bytearray(8)), bytearray(8)
        waiting = [b.recv_into(released), b.recv_into(shrunk, nbytes=8)]
        behind = [b.recv_multipart() for _ in range(others)]
        await turns()
        released.release()
        del shrunk[4:]
        await a.send_multipart([b"kept", b"whole"])
        for one in waiting:
            with pytest.raises(ValueError):
                await asyncio.wait_for(one, DEADLINE_S)
        assert await asyncio.wait_for(behind[0] if others else b.recv_multipart(), DEADLINE_S) == [b"kept", b"whole"]

    run(main())


def test_a_cancelled_recv_into_gives_its_message_back(own: Async, run: Run) -> None:
    async def main() -> None:
        a, b = own.pair()
        waiting: list[Any] = []

        async def receive() -> None:
            waiting.append(b.recv_into(bytearray(8)))
            await waiting[0]

        task = asyncio.ensure_future(receive())
        await turns()
        await a.send(b"kept")
        end = asyncio.get_running_loop().time() + DEADLINE_S
        while not waiting[0].done():  # outside of the loop, so that the task does not resume
            assert asyncio.get_running_loop().time() < end
            b._seat.on_ready()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await b.recv() == b"kept"

    run(main())


def test_a_buffer_that_lies_by_columns_waits_as_it_lies(own: Async, run: Run) -> None:
    arrays = pytest.importorskip("_testbuffer", reason="a module of CPython's own tests")

    async def main() -> None:
        columns = arrays.ndarray(list(range(6)), shape=[2, 3], flags=arrays.ND_FORTRAN, format="B")
        push = own.socket("PUSH")
        sending = [push.send(columns), push.send_multipart([columns]), asyncio.ensure_future(push.send_many([columns]))]
        await until(lambda: push._seat.polls)
        pull = own.socket("PULL")
        pull.bind("tcp://127.0.0.1:*")
        push.connect(pull.last_endpoint.decode())
        await asyncio.gather(*sending)
        assert [await pull.recv() for _ in sending] == [bytes(range(6))] * 3

    run(main())


def test_a_tracked_frame_keeps_its_tracker(lib: Async, run: Run) -> None:
    async def main() -> None:
        a, b = lib.pair()
        data = bytearray(1_000_000)
        frame = lib.zmq.Frame(data, track=True, copy=False)
        tracker = frame.tracker
        assert await a.send(frame, copy=False, track=True) is tracker
        assert len(await b.recv()) == len(data)
        assert not tracker.done
        del frame
        await until(lambda: tracker.done)

    run(main())


def test_trackers_of_whole_messages(own: Async, run: Run) -> None:
    async def main() -> None:
        a, b = own.pair()
        frames = [own.zmq.Frame(bytearray(100), track=True, copy=False) for _ in range(2)]
        assert await a.send_multipart([b"x", frames[0]], copy=False, track=True) is frames[0].tracker
        both = await a.send_multipart(frames, copy=False, track=True)
        for _ in range(2):
            await b.recv_multipart()
        assert not both.done
        del frames
        await until(lambda: both.done)
        assert (await a.send(b"copied", copy=False, track=True)).done
        assert (await a.send(own.zmq.Frame(b"x"), copy=False)).done
        with pytest.raises(ValueError, match="track"):
            await a.send(own.zmq.Frame(b"x"), copy=False, track=True)
        assert await b.recv() == b"copied"

    run(main())
