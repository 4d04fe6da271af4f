"""zmqcore.asyncio: send_many and recv_many, awaited."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

import zmqcore
from tests.api.helpers import inproc
from tests.api.test_asyncio import Async, Run, background, own, run, turns, until
from tests.support import DEADLINE_S
from zmqcore._core_asyncio import rest

__all__ = ["own", "run"]  # fixtures


async def take_all(socket: Any) -> list[Any]:
    found: list[Any] = []
    with contextlib.suppress(zmqcore.Again):
        while True:
            found += await socket.recv_many(1000, zmqcore.DONTWAIT)
    return found


async def waits(call: asyncio.Task[Any], socket: Any) -> None:
    await until(lambda: call.done() or socket._seat.has_waiters)
    assert not call.done()


async def routed(own: Async) -> tuple[Any, Any]:
    """A ROUTER that refuses whom it does not know, and the only peer that it knows, which takes few messages."""
    router = own.socket("ROUTER", router_mandatory=1, sndhwm=2)
    dealer = own.socket("DEALER", routing_id=b"d", rcvhwm=2)
    router.bind(inproc())
    dealer.connect(router.last_endpoint.decode())
    await dealer.send(b"hello")
    assert await router.recv_multipart() == [b"d", b"hello"]
    return router, dealer


def test_batches_are_awaited(own: Async, run: Run) -> None:
    async def main() -> None:
        pull, push = own.pair("PULL", "PUSH", sndhwm=5, rcvhwm=5)
        given = [b"%d" % number if number % 3 else [b"%d" % number, b"more"] for number in range(50_000)]
        sending = asyncio.ensure_future(push.send_many(given))
        found: list[Any] = []
        while len(found) < len(given):
            found += await asyncio.wait_for(pull.recv_many(1000), DEADLINE_S)
        assert found == given
        assert await sending == len(given)
        with pytest.raises(zmqcore.Again):
            await pull.recv_many(1, zmqcore.DONTWAIT)
        pull.rcvtimeo = 20
        with pytest.raises(zmqcore.Again):
            await pull.recv_many(1)

    run(main())


@pytest.mark.parametrize("most", [10, 1000])
def test_busy_batches_let_others_run(own: Async, run: Run, most: int) -> None:
    async def main() -> None:
        a, b = own.pair(endpoint=inproc(), sndhwm=0, rcvhwm=0)
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        given = [b"x"] * 100_000
        async with background(tick()):
            assert await a.send_many(given) == len(given)
            assert ticks >= 3
            ticks = got = 0
            while got < len(given):
                got += len(await b.recv_many(most))
            assert ticks >= 8

    run(main())


# --- what stands in the list ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("text", TypeError),
        (5, TypeError),
        (None, TypeError),
        ([b"a", "text"], TypeError),
        ([], ValueError),
        (memoryview(b"abcd")[::2], BufferError),
        ((b"a", memoryview(b"abcd")[::2]), BufferError),
    ],
    ids=["text", "number", "None", "text part", "no parts", "strided", "strided part"],
)
def test_nothing_is_sent_of_a_batch_with_a_message_that_is_none(
    own: Async, run: Run, wrong: Any, error: type[Exception]
) -> None:
    async def main() -> None:
        a, b = own.pair(endpoint=inproc(), sndhwm=0, rcvhwm=0)
        plain = own.zmq.Socket(own.context, own.zmq.PAIR)
        for send_many in (a.send_many, plain.send_many):
            with pytest.raises(error, match="message 200: ") as caught:
                await send_many([b"x"] * 200 + [wrong, b"y"])
            assert caught.type is error
        plain.close()
        assert await take_all(b) == []

    run(main())


def test_buffers_that_wait_are_copied(own: Async, run: Run) -> None:
    async def main() -> None:
        push, data = own.socket("PUSH"), bytearray(b"then")
        sending = asyncio.ensure_future(push.send_many([data, (data, own.zmq.Frame(b"frame"))]))
        await waits(sending, push)
        data[:] = b"now!"
        pull = own.socket("PULL")
        pull.bind("tcp://127.0.0.1:*")
        push.connect(pull.last_endpoint.decode())
        assert await sending == 2
        assert [await pull.recv_multipart() for _ in range(2)] == [[b"then"], [b"then", b"frame"]]

    run(main())


# --- errors behind the first message --------------------------------------------------------------------------------


def test_an_error_comes_with_the_message_that_it_stopped(own: Async, run: Run) -> None:
    async def main() -> None:
        router, dealer = await routed(own)
        given = [[b"d", b"1"], [b"d", b"2"], [b"nobody", b"3"], [b"d", b"4"]]
        assert await router.send_many(given) == 2
        with pytest.raises(own.zmq.ZMQError) as caught:
            await router.send_many(given[2:])
        assert caught.value.errno == own.zmq.EHOSTUNREACH
        assert await take_all(dealer) == [b"1", b"2"]

    run(main())


def test_an_error_after_a_wait_comes_with_the_message_that_it_stopped(own: Async, run: Run) -> None:
    async def main() -> None:
        router, dealer = await routed(own)
        given = [[b"d", b"%d" % number] for number in range(20)]
        sending = asyncio.ensure_future(router.send_many([*given, [b"nobody", b"x"], [b"d", b"y"]]))
        await waits(sending, router)
        assert [await dealer.recv() for _ in given] == [message for _, message in given]
        assert await sending == len(given)
        assert await take_all(dealer) == []

    run(main())


def test_a_request_is_sent_once(own: Async, run: Run) -> None:
    async def main() -> None:
        request, reply = own.pair("REQ", "REP")
        assert await request.send_many([b"one", b"two"]) == 1
        with pytest.raises(own.zmq.ZMQError) as caught:
            await request.send_many([b"two"])
        assert caught.value.errno == own.zmq.EFSM
        assert await reply.recv_many(5) == [b"one"]

    run(main())


@pytest.mark.parametrize("is_begun", [False, True])
def test_the_context_ends_meanwhile(own: Async, run: Run, is_begun: bool) -> None:
    async def main() -> None:
        router, dealer = await routed(own)
        if not is_begun:
            with contextlib.suppress(own.zmq.Again):
                while True:
                    await router.send_multipart([b"d", b"x"], own.zmq.DONTWAIT)
        sending = asyncio.ensure_future(router.send_many([[b"d", b"x"]] * 100))
        await waits(sending, router)
        own.context.shutdown()
        if is_begun:
            assert 0 < await sending < 100
        else:
            with pytest.raises(own.zmq.ContextTerminated):
                await sending

    run(main())


def test_what_went_before_a_cancellation_stays_sent(own: Async, run: Run) -> None:
    async def main() -> None:
        router, dealer = await routed(own)
        sending = asyncio.ensure_future(router.send_many([[b"d", b"%d" % number] for number in range(100)]))
        await waits(sending, router)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        found = await take_all(dealer)
        assert 0 < len(found) < 100
        assert found == [b"%d" % number for number in range(len(found))]
        assert not router._seat.has_waiters

    run(main())


# --- waiting --------------------------------------------------------------------------------------------------------


def test_sndtimeo_is_that_of_the_whole_call(own: Async, run: Run) -> None:
    async def main() -> None:
        push, pull = own.pair("PUSH", "PULL", inproc(), sndhwm=1, rcvhwm=1)
        push.sndtimeo = 100

        async def read_slowly() -> None:
            while True:
                await pull.recv()
                await asyncio.sleep(0.01)

        async with background(read_slowly()):
            # The rest would take minutes, with never a long wait for the next.
            assert 0 < await push.send_many([b"x"] * 100_000) < 100_000
        with contextlib.suppress(own.zmq.Again):
            while True:
                await push.send(b"x", own.zmq.DONTWAIT)
        with pytest.raises(own.zmq.Again):
            await push.send_many([b"x"])

    run(main())


def test_rcvtimeo_is_that_of_the_whole_call(own: Async, run: Run) -> None:
    async def main() -> None:
        push, pull = own.pair("PUSH", "PULL", inproc())
        pull.rcvtimeo = 100

        async def feed() -> None:
            while True:
                await push.send(b"x")
                await asyncio.sleep(0.01)

        async def take_first() -> None:
            while True:
                await pull.recv_many(10)

        async with background(feed()), background(take_first()):
            await turns()
            # The other one waits longer, so it is nearly always first; both are woken.
            with pytest.raises(own.zmq.Again):
                while True:
                    await pull.recv_many(10)

    run(main())


def test_a_router_sleeps_while_one_of_its_peers_is_full(own: Async, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # POLLOUT is there all the time: others can take messages.
    async def main() -> None:
        router, dealer = await routed(own)
        other = own.socket("DEALER", routing_id=b"other")
        other.connect(router.last_endpoint.decode())
        await other.send(b"hello")
        await router.recv_multipart()
        given = [[b"d", b"%d" % number] for number in range(100)]
        rests = 0

        def counted() -> Any:
            nonlocal rests
            rests += 1
            return rest()

        monkeypatch.setattr("zmqcore.asyncio.rest", counted)
        sending = asyncio.ensure_future(router.send_many(given))
        await turns(100)
        assert not sending.done()
        assert await router.poll(0, own.zmq.POLLOUT)
        assert rests < 100
        assert [await dealer.recv() for _ in given] == [message for _, message in given]
        assert await sending == len(given)

    run(main())


def test_nothing_happens_before_it_is_awaited(own: Async, run: Run) -> None:
    async def main() -> None:
        a, b = own.pair(endpoint=inproc())
        sending, receiving = a.send_many([b"x"]), b.recv_many(1)
        assert await b.poll(0) == 0
        done, _ = await asyncio.wait([asyncio.ensure_future(sending), asyncio.ensure_future(receiving)])
        assert {str(task.result()) for task in done} == {"1", "[b'x']"}

    run(main())
