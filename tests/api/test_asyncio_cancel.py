"""zmqcore.asyncio: cancelling a receiver loses no message, at whatever moment."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.api.helpers import inproc
from tests.api.test_asyncio import TCP, Async, Run, own, run, turns, until

__all__ = ["own", "run"]  # fixtures

COUNT = 3000


async def _come(receiver: Any, tasks: list[asyncio.Task[Any]], waiters: list[Any]) -> None:
    """Lets the socket serve those who wait, outside of the loop, so that none of them has resumed yet."""

    def served() -> bool:
        receiver._seat.on_ready()
        return all(waiter.done() for waiter in waiters)

    end = asyncio.get_running_loop().time() + 10
    while not served():
        assert asyncio.get_running_loop().time() < end
    assert not any(task.done() for task in tasks)


async def _receive(receiver: Any, waiters: list[Any], whole: bool = False) -> Any:
    waiter = receiver.recv_multipart() if whole else receiver.recv()
    waiters.append(waiter)
    return await waiter


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, asyncio.CancelledError)


@pytest.mark.parametrize("is_whole", [False, True])
def test_frames_that_come_back_know_who_sent_them(own: Async, run: Run, is_whole: bool) -> None:
    async def main() -> None:
        a, b = own.pair("PUSH", "PULL")
        receive = b.recv_multipart if is_whole else b.recv
        waiters: list[Any] = []

        async def await_one() -> None:
            waiters.append(receive(copy=False))
            await waiters[0]

        task = asyncio.ensure_future(await_one())
        await turns()
        await a.send_multipart([b"1", b"2"])
        await _come(b, [task], waiters)
        await _cancelled([task])
        frames = [await b.recv(copy=False), await b.recv(copy=False)]
        assert [(frame.bytes, frame.get("Socket-Type")) for frame in frames] == [(b"1", "PUSH"), (b"2", "PUSH")]

    run(main())


@pytest.mark.parametrize("is_whole", [False, True])
def test_cancelled_between_arrival_and_resumption(own: Async, run: Run, is_whole: bool) -> None:
    async def main() -> None:
        a, b = own.pair()
        waiters: list[Any] = []
        task = asyncio.ensure_future(_receive(b, waiters, is_whole))
        await turns()
        await a.send_multipart([b"1", b"2", b"3"])
        await a.send(b"4")
        await _come(b, [task], waiters)
        await _cancelled([task])
        assert waiters[0].cancelled()
        with pytest.raises(asyncio.CancelledError):
            waiters[0].result()
        assert await b.poll(0) == own.zmq.POLLIN
        assert await b.recv() == b"1"
        assert await b.recv_multipart() == [b"2", b"3"]
        assert await b.recv() == b"4"
        assert await b.poll(0) == 0

    run(main())


def test_several_are_cancelled_and_the_order_stays(own: Async, run: Run) -> None:
    async def main() -> None:
        a, b = own.pair()
        waiters: list[Any] = []
        tasks = [asyncio.ensure_future(_receive(b, waiters, True)) for _ in range(5)]
        await turns()
        for number in range(7):
            await a.send_multipart([b"%d" % number, b"end"])
        await _come(b, tasks, waiters)
        await _cancelled(tasks)
        assert [await b.recv_multipart() for _ in range(7)] == [[b"%d" % number, b"end"] for number in range(7)]
        assert await b.poll(0) == 0

    run(main())


def test_what_came_back_within_another_message_is_in_the_batch_after_it(own: Async, run: Run) -> None:
    async def main() -> None:
        a, b = own.pair()
        waiters: list[Any] = []
        tasks = [asyncio.ensure_future(_receive(b, waiters, is_whole)) for is_whole in (True, False)]
        await turns()
        for parts in ([b"1", b"2"], [b"3", b"4", b"5"], [b"6"]):
            await a.send_multipart(parts)
        await _come(b, tasks, waiters)
        await _cancelled(tasks[:1])
        assert await tasks[1] == b"3"
        assert await b.recv_many(10) == [[b"4", b"5"]]
        assert await b.recv_many(10) == [[b"1", b"2"], b"6"]

    run(main())


def test_who_still_waits_gets_what_came_back(own: Async, run: Run) -> None:
    async def main() -> None:
        a, b = own.pair()
        waiters: list[Any] = []
        tasks = [asyncio.ensure_future(_receive(b, waiters)) for _ in range(2)]
        await turns()
        await a.send(b"x")
        await _come(b, tasks, waiters[:1])
        await _cancelled(tasks[:1])
        assert await tasks[1] == b"x"

    run(main())


def test_a_reply_that_came_back_is_still_to_be_received(own: Async, run: Run) -> None:
    async def main() -> None:
        client, server = own.pair("REQ", "REP")
        await client.send(b"question")
        waiters: list[Any] = []
        task = asyncio.ensure_future(_receive(client, waiters))
        await turns()
        await server.send(await server.recv())
        await _come(client, [task], waiters)
        await _cancelled([task])
        with pytest.raises(own.zmq.ZMQError) as caught:
            await client.send(b"too early")
        assert caught.value.errno == own.zmq.EFSM
        assert await client.recv() == b"question"
        await client.send(b"next")
        assert await server.recv() == b"next"

    run(main())


def test_cancelled_in_the_turn_of_the_others(own: Async, run: Run) -> None:
    # A message that was there at once may be handed out only after a turn of the loop.
    async def main() -> None:
        a, b = own.pair(endpoint=inproc(), sndhwm=0, rcvhwm=0)
        got: list[bytes] = []

        async def receive() -> None:
            while True:
                got.append(await b.recv())

        for number in range(COUNT):
            a.send(b"%d" % number)
        while len(got) < COUNT:
            task = asyncio.ensure_future(receive())
            before = len(got)
            while len(got) == before:
                await asyncio.sleep(0)
            await _cancelled([task])
        assert got == [b"%d" % number for number in range(COUNT)]

    run(main())


async def _by_cancel(receive: Callable[[], Coroutine[Any, Any, None]], numbers: random.Random) -> None:
    task = asyncio.ensure_future(receive())
    for _ in range(numbers.choice([0, 1, 1, 2, 3, 5, 30])):
        await asyncio.sleep(0)
    # Up to Python 3.11 wait_for swallows a cancellation that comes together with the result.
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


async def _by_wait_for(receive: Callable[[], Coroutine[Any, Any, None]], numbers: random.Random) -> None:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(receive(), numbers.choice([0, 0.00001, 0.0001, 0.001]))


@pytest.mark.parametrize("leave", [_by_cancel, _by_wait_for])
@pytest.mark.parametrize("transport", ["tcp", "inproc"])
@pytest.mark.parametrize("kind", ["recv", "recv_multipart", "wait_for"])
def test_cancelled_at_random(own: Async, run: Run, leave: Any, transport: str, kind: str) -> None:
    seed = random.randrange(1 << 32)
    numbers = random.Random(seed)
    print(f"seed {seed}")

    async def main() -> None:
        push, pull = own.pair("PUSH", "PULL", TCP if transport == "tcp" else inproc())
        got: list[int] = []

        async def receive() -> None:
            while True:
                if kind == "recv":
                    got.append(int(await pull.recv()))
                elif kind == "recv_multipart":
                    got.append(int((await pull.recv_multipart())[0]))
                else:
                    with contextlib.suppress(asyncio.TimeoutError):
                        got.append(int(await asyncio.wait_for(pull.recv(), 0.05)))
                    return  # up to Python 3.11 a cancellation may have been swallowed

        async def send() -> None:
            for number in range(COUNT):
                await push.send(b"%d" % number)
                if numbers.random() < 0.3:
                    await asyncio.sleep(0)

        sending = asyncio.ensure_future(send())

        async def receivers() -> None:
            while len(got) < COUNT:
                await leave(receive, numbers)

        await asyncio.gather(*(receivers() for _ in range(3)))
        await sending
        assert sorted(got) == list(range(COUNT))
        await turns()
        assert await pull.poll(0) == 0

    run(main())


def test_cancelled_senders_send_nothing(own: Async, run: Run) -> None:
    async def main() -> None:
        push = own.socket("PUSH")
        tasks = [asyncio.ensure_future(push.send(b"%d" % number)) for number in range(10)]
        await turns()
        await _cancelled(tasks[::2])
        pull = own.socket("PULL")
        pull.bind(TCP)
        push.connect(pull.last_endpoint.decode())
        assert [await pull.recv() for _ in range(5)] == [b"1", b"3", b"5", b"7", b"9"]
        await asyncio.gather(*tasks[1::2])

    run(main())


def test_a_cancelled_wait_leaves_the_socket_to_the_engine(own: Async, run: Run) -> None:
    async def main() -> None:
        a, b = own.pair()
        task = asyncio.ensure_future(b.recv())
        polling = asyncio.ensure_future(b.poll())
        # The I/O thread may still be at work on it.
        await until(lambda: b._seat.is_seated)
        await _cancelled([task])
        assert b._seat.is_seated
        await _cancelled([polling])
        assert not b._seat.is_seated
        # Nobody of this loop drives now, and still it arrives.
        await a.send(b"x")
        await until(lambda: b.stats()["peers"][0]["queued_in_messages"] == 1)
        assert await b.recv() == b"x"

    run(main())
