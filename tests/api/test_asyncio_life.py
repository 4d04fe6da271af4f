"""zmqcore.asyncio: sockets that end under those who wait, loops that come and go, descriptors, turns."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket as raw_socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tests.api.test_asyncio import TCP, Async, Run, own, run, turns, until
from tests.support import DEADLINE_MS, Task

__all__ = ["own", "run"]  # fixtures


class Ear:
    """Hears what nobody was told: the calls of the loop's exception handler."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.heard.append(context))

    async def silence(self) -> None:
        gc.collect()
        await turns()
        assert self.heard == []


def in_thread(call: Callable[[], object]) -> Coroutine[Any, Any, Any]:
    async def done() -> None:
        task = Task(call)
        await until(lambda: not task.is_running)
        task.join()

    return done()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def raw_pair() -> Iterator[tuple[raw_socket.socket, raw_socket.socket]]:
    left, right = raw_socket.socketpair()
    with left, right:
        left.setblocking(False)
        yield left, right


# --- descriptors in a Poller ----------------------------------------------------------------------------------------


def test_two_pollers_wait_for_one_descriptor(own: Async, run: Run) -> None:
    zmq = own.zmq

    async def main() -> None:
        with raw_pair() as (left, right):
            pollers = [own.aio.Poller() for _ in range(3)]
            for poller in pollers:
                poller.register(left.fileno(), zmq.POLLIN)
            waiting = [asyncio.ensure_future(poller.poll(DEADLINE_MS)) for poller in pollers + pollers[:1]]
            await turns()
            waiting[1].cancel()
            await turns()
            right.send(b"x")
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert isinstance(results.pop(1), asyncio.CancelledError)
            assert results == [[(left.fileno(), zmq.POLLIN)]] * 3
            left.recv(1)
            assert not asyncio.get_running_loop().remove_reader(left.fileno())

    run(main())


def test_both_directions_of_a_descriptor(own: Async, run: Run) -> None:
    zmq = own.zmq

    async def main() -> None:
        with raw_pair() as (left, right):
            reading, writing = own.aio.Poller(), own.aio.Poller()
            reading.register(left.fileno(), zmq.POLLIN)
            writing.register(left.fileno(), zmq.POLLOUT)
            with contextlib.suppress(BlockingIOError):
                while True:
                    left.send(b"x" * 65536)
            waiting = [asyncio.ensure_future(poller.poll(DEADLINE_MS)) for poller in (reading, writing)]
            await turns()
            while not waiting[1].done():
                right.recv(65536)
                await turns()
            assert await waiting[1] == [(left.fileno(), zmq.POLLOUT)]
            assert not waiting[0].done()
            right.send(b"x")
            assert [event for _, event in await waiting[0]] == [zmq.POLLIN]

    run(main())


# --- closed by others -----------------------------------------------------------------------------------------------


def test_a_closed_plain_socket_is_told_once(own: Async, run: Run) -> None:
    zmq = own.zmq
    context = zmq.Context()

    async def main() -> None:
        ear = Ear()
        pull = context.socket(zmq.PULL)
        pull.bind(TCP)
        poller = own.aio.Poller()
        poller.register(pull, zmq.POLLIN)
        waiting = asyncio.ensure_future(poller.poll(DEADLINE_MS))
        await turns()
        pull.close()
        with pytest.raises(zmq.ZMQError) as caught:
            await waiting
        assert caught.value.errno == zmq.ENOTSOCK
        del waiting, caught
        await ear.silence()

    run(main())
    Task(context.term).join()


def test_a_closed_socket_ends_the_wait_of_a_poller(own: Async, run: Run) -> None:
    async def main() -> None:
        ear = Ear()
        a, b = own.pair()
        poller = own.aio.Poller()
        poller.register(a, own.zmq.POLLIN)
        poller.register(b, own.zmq.POLLIN)
        waiting = asyncio.ensure_future(poller.poll(DEADLINE_MS))
        await turns()
        b.close()
        with pytest.raises(own.zmq.ZMQError):
            await waiting
        await ear.silence()

    run(main())


@pytest.mark.parametrize("end", ["close", "term", "destroy"])
def test_ended_in_another_thread(own: Async, run: Run, end: str) -> None:
    zmq = own.zmq

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ear = Ear()
        context = own.aio.Context()
        lonely = context.socket(zmq.DEALER)
        lonely.linger = 0
        lonely.bind(TCP)
        poller = own.aio.Poller()
        poller.register(lonely, zmq.POLLIN)
        waiting = [
            asyncio.ensure_future(one) for one in (lonely.recv(), lonely.send(b"x"), lonely.poll(), poller.poll())
        ]
        await turns()
        begun = loop.time()
        ending = Task(lonely.close if end == "close" else getattr(context, end))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        # Nothing but the ring of the other thread could end it before.
        assert loop.time() - begun < 5
        expected = {"close": {zmq.ENOTSOCK}, "term": {zmq.ETERM}, "destroy": {zmq.ENOTSOCK, zmq.ETERM}}[end]
        assert {getattr(result, "errno", result) for result in results} <= expected
        lonely.close()
        await until(lambda: not ending.is_running)
        ending.join()
        await loop.run_in_executor(None, context.term)
        await ear.silence()

    run(main())


def test_the_next_socket_gets_its_messages(own: Async, run: Run) -> None:
    """A socket that is closed in another thread, between two waits, leaves nothing in the loop."""

    async def main() -> None:
        for _ in range(10):
            a, b = own.pair()
            waiting = asyncio.ensure_future(b.recv())
            await turns()
            await a.send(b"x")
            assert await waiting == b"x"
            # The same numbers for the next descriptors.
            await in_thread(a.close)
            await in_thread(b.close)

    run(main())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_collected_in_another_thread(own: Async, run: Run) -> None:
    zmq = own.zmq

    async def use() -> None:
        with zmq.Context() as context, context.socket(zmq.PULL) as pull, context.socket(zmq.PUSH) as push:
            push.linger = 0
            push.connect(f"tcp://127.0.0.1:{pull.bind_to_random_port('tcp://127.0.0.1')}")
            poller = own.aio.Poller()
            poller.register(pull, zmq.POLLIN)
            poller.poll()  # nobody awaits it
            unclosed = [own.context.socket(zmq.PULL)]
            unclosed[0].bind(TCP)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(unclosed[0].recv(), 0.01)

            def collect() -> None:
                unclosed.clear()
                gc.collect()

            await in_thread(collect)
            push.send(b"x")
            # The socket has its I/O thread again.
            await in_thread(lambda: pull.recv())

    async def main() -> None:
        ear = Ear()
        own.socket("PULL").bind(TCP)  # the context has an I/O thread now
        before = descriptors()
        await use()
        gc.collect()
        await until(lambda: descriptors() <= before)
        await ear.silence()

    run(main())


def test_a_loop_that_is_held_up_does_not_hold_up_the_end(own: Async, run: Run) -> None:
    """A thread closes a socket for which a task waits, and ends the context, without a turn of the loop."""

    async def main() -> None:
        context = own.aio.Context()
        lonely = context.socket(own.zmq.PULL)
        lonely.bind(TCP)
        waiting = asyncio.ensure_future(lonely.recv())
        await turns()

        def end() -> None:
            lonely.close(0)
            context.term()

        Task(end).join()
        with pytest.raises(own.zmq.ZMQError) as caught:
            await waiting
        assert caught.value.errno == own.zmq.ENOTSOCK

    run(main())


def test_closed_in_a_thread_while_it_is_used(own: Async, run: Run) -> None:
    zmq = own.zmq

    async def receive(socket: Any, has_begun: asyncio.Event) -> None:
        while True:
            try:
                await socket.recv()
            except zmq.ZMQError as error:
                assert error.errno == zmq.ENOTSOCK
                return
            has_begun.set()

    async def send(socket: Any) -> None:
        while True:
            await socket.send(b"x")
            await asyncio.sleep(0)

    async def main() -> None:
        for _ in range(10):
            a, b = own.pair("PUSH", "PULL")
            sending = asyncio.ensure_future(send(a))
            has_begun = asyncio.Event()
            receiving = asyncio.ensure_future(receive(b, has_begun))
            await has_begun.wait()
            closing = threading.Timer(0.002, b.close)
            closing.start()
            await receiving
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
            a.close()
            closing.join()

    run(main())


# --- loops ----------------------------------------------------------------------------------------------------------


def test_many_loops_leave_no_descriptors(own: Async, run: Run) -> None:
    async def main() -> None:
        async with own.aio.Context() as context:
            with context.socket(own.zmq.REP) as server, context.socket(own.zmq.REQ) as client:
                server.bind(TCP)
                client.connect(server.last_endpoint.decode())
                poller = own.aio.Poller()
                poller.register(server, own.zmq.POLLIN)
                waiting = asyncio.ensure_future(poller.poll(DEADLINE_MS))
                await client.send(b"x")
                await waiting
                await server.send(await server.recv())
                assert await client.recv() == b"x"
                server.recv()  # nobody awaits it

    run(main())
    gc.collect()
    before = descriptors()
    for _ in range(100):
        run(main())
    gc.collect()
    assert descriptors() == before


def test_a_loop_that_ends_frees_a_plain_socket(own: Async, run: Run) -> None:
    zmq = own.zmq
    with zmq.Context() as context, context.socket(zmq.PULL) as pull, context.socket(zmq.PUSH) as push:
        push.linger = 0
        port = pull.bind_to_random_port("tcp://127.0.0.1")
        push.connect(f"tcp://127.0.0.1:{port}")

        async def main() -> None:
            poller = own.aio.Poller()
            poller.register(pull, zmq.POLLIN)
            poller.poll()  # nobody awaits it
            await turns()

        run(main())
        gc.collect()
        push.send(b"x")
        assert pull.poll(DEADLINE_MS) == zmq.POLLIN
        assert pull.recv() == b"x"


def test_a_loop_that_ends_under_a_waiting_call(own: Async, run: Run) -> None:
    a, b = own.pair()

    async def leave() -> Any:
        waiting = b.recv()
        await turns()
        return waiting

    async def main() -> None:
        receiving = asyncio.ensure_future(b.recv())
        await turns()
        await a.send(b"x")
        assert await receiving == b"x"

    for _ in range(3):
        left = run(leave())
        run(main())
        assert not left.done() or left.cancelled()


def test_used_by_two_loops_at_once(own: Async) -> None:
    """The second one is told so, and the first goes on waiting."""
    a, b = own.pair()
    is_waiting = threading.Event()
    got: list[bytes] = []

    async def first() -> None:
        waiting = b.recv()
        is_waiting.set()
        got.append(await waiting)

    async def second() -> None:
        with pytest.raises(RuntimeError):
            await b.recv()
        await a.send(b"x")

    task = Task(lambda: asyncio.run(first()))
    assert is_waiting.wait(DEADLINE_MS / 1000)
    asyncio.run(second())
    task.join()
    assert got == [b"x"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_leaves_the_loop_of_its_parent_alone(own: Async, run: Run) -> None:
    async def main() -> None:
        a, b = own.pair()
        waiting = asyncio.ensure_future(b.recv())
        await turns()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                b._seat.close()
            os._exit(0)
        os.waitpid(child, 0)
        await a.send(b"x")
        assert await waiting == b"x"

    run(main())


# --- many -----------------------------------------------------------------------------------------------------------


def test_many_tasks_on_one_socket(own: Async, run: Run) -> None:
    """Each of 500 receivers gets one message or is cancelled, and no message is lost."""

    async def main() -> None:
        a, b = own.pair("PUSH", "PULL")
        tasks = [asyncio.ensure_future(b.recv()) for _ in range(500)]
        await turns()
        for number in range(0, 500, 3):
            tasks[number].cancel()
        alive = [task for number, task in enumerate(tasks) if number % 3]
        for number in range(len(alive)):
            await a.send(b"%d" % number)
        assert await asyncio.gather(*alive) == [b"%d" % number for number in range(len(alive))]
        assert await b.poll(0) == 0

    run(main())


def test_timeouts_of_wait_for_lose_nothing(own: Async, run: Run) -> None:
    async def main() -> None:
        a, b = own.pair("PUSH", "PULL")
        sent = 300

        async def send() -> None:
            for number in range(sent):
                await a.send(b"%d" % number)
                await asyncio.sleep(0.0005)

        sending = asyncio.ensure_future(send())
        found: list[bytes] = []
        while len(found) < sent:
            with contextlib.suppress(asyncio.TimeoutError):
                found.append(await asyncio.wait_for(b.recv(), 0.0005))
        assert found == [b"%d" % number for number in range(sent)]
        await sending

    run(main())


def test_calls_that_nobody_awaits(own: Async, run: Run) -> None:
    async def main() -> None:
        ear = Ear()
        a, b = own.pair()
        for _ in range(10):
            b.recv()
            b.poll(1)
            a.send(b"x")
        await turns()
        poller = own.aio.Poller()
        poller.register(b, own.zmq.POLLIN)
        poller.poll(1)
        await asyncio.sleep(0.01)
        a.close()
        b.close()
        await ear.silence()

    run(main())
