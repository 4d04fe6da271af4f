"""Cases of test_backend.py: each runs in a process of its own that has PYZMQ_BACKEND=zmqcore.pyzmq."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import errno
import gc
import os
import select
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
import zmq.asyncio
from zmq.utils.garbage import gc as collector

import zmqcore
import zmqcore.pyzmq

DEADLINE_S = 20


def until(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < end, "the condition never came"
        time.sleep(0.002)


@contextlib.contextmanager
def pair(first: int, second: int, kind: Any = zmq.Context) -> Iterator[tuple[Any, Any]]:
    """Two connected sockets, and the end of their context."""
    with kind() as context, context.socket(first) as one, context.socket(second) as two:
        one.linger = two.linger = 0
        two.connect(f"tcp://127.0.0.1:{one.bind_to_random_port('tcp://127.0.0.1')}")
        yield one, two


# --- the backend as such ---------------------------------------------------------------------------------------------


def is_the_backend() -> None:
    assert zmq.backend.Socket is zmqcore.pyzmq.Socket
    assert zmq.zmq_version() == "4.3.5" and not zmq.DRAFT_API
    assert zmq.has("ipc") and not zmq.has("nothing of this name")


def options_are_read_beside_other_calls() -> None:
    """Those that are read without the lock: TSan ends this process with an error if they meet."""

    def call(function: Callable[[Any], Any], of: Any, start: threading.Barrier) -> None:
        with contextlib.suppress(zmq.ZMQError):
            start.wait(DEADLINE_S)
            function(of)

    reads = [lambda sock, option=option: sock.get(option) for option in (zmq.RCVMORE, zmq.RCVTIMEO, zmq.EVENTS)]
    reads.append(lambda sock: (sock.closed, sock.underlying, sock.context.closed, sock.context.underlying))
    others = [
        lambda sock: sock.close(),
        lambda sock: sock.context.destroy(0),
        lambda sock: sock.set(zmq.RCVTIMEO, 7),
        lambda sock: sock.recv(zmq.DONTWAIT),
        lambda sock: sock.recv_multipart(zmq.DONTWAIT),
    ]
    for read in reads:
        for other in others:
            with pair(zmq.PULL, zmq.PUSH) as (pull, push):
                push.send_multipart([b"two", b"parts"])
                assert pull.poll(1000 * DEADLINE_S)
                start = threading.Barrier(2)
                threads = [threading.Thread(target=call, args=(one, pull, start)) for one in (read, other)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()


def errors_are_pyzmqs() -> None:
    with pair(zmq.PULL, zmq.PUSH) as (pull, push):
        with pytest.raises(zmq.Again) as again:
            pull.recv(zmq.DONTWAIT)
        assert again.value.errno == zmq.EAGAIN == zmq.zmq_errno()
        with pytest.raises(zmq.ZMQError) as wrong:
            pull.send(b"")
        assert wrong.value.errno == zmq.ENOTSUP and not isinstance(wrong.value, zmqcore.ZMQError)
        for call in (
            lambda: push.bind("nonsense"),
            lambda: push.setsockopt(zmq.SNDHWM, -5),
            lambda: push.getsockopt(54321),
            lambda: push.monitor("tcp://127.0.0.1:*"),
            lambda: push.context.set(54321, 1),
        ):
            with pytest.raises(zmq.ZMQError):
                call()
        pull.close()
        for call in (pull.recv, lambda: pull.bind("inproc://x"), lambda: zmq.proxy(pull, push)):
            with pytest.raises(zmq.ZMQError) as closed:
                call()
            assert closed.value.errno == errno.ENOTSOCK


def term_ends_blocking_calls() -> None:
    context = zmq.Context()
    pull = context.socket(zmq.PULL)
    seen: list[BaseException] = []

    def wait() -> None:
        try:
            pull.recv()
        except zmq.ContextTerminated as error:
            seen.append(error)
            pull.close()

    waiting = threading.Thread(target=wait)
    waiting.start()
    context.term()
    waiting.join(DEADLINE_S)
    assert len(seen) == 1 and context.closed


# --- shadows ---------------------------------------------------------------------------------------------------------


def a_shadow_is_the_same_socket() -> None:
    with pair(zmq.PULL, zmq.PUSH) as (pull, push):
        shadow = zmq.Socket.shadow(pull.underlying)
        assert shadow.underlying == pull.underlying != push.underlying
        push.send(b"one")
        assert shadow.recv() == b"one"
        del shadow
        gc.collect()
        push.send(b"two")
        assert pull.recv() == b"two"
        shadow = copy.copy(pull)
        shadow.close()
        assert pull.closed and pull.underlying == 0


def a_stale_number_is_no_socket() -> None:
    with zmq.Context() as context:
        pull = context.socket(zmq.PULL)
        number = pull.underlying
        pull.close()
        others = [context.socket(zmq.PULL) for _ in range(50)]
        for stale in (number, context.underlying, 1 << 40, 12345678901234):
            shadow = zmq.Socket.shadow(stale)
            assert shadow.closed
            with pytest.raises(zmq.ZMQError) as wrong:
                shadow.recv()
            assert wrong.value.errno == errno.ENOTSOCK
            assert zmq.zmq_poll([(shadow, zmq.POLLIN)], 0) == []
            shadow.close()
        assert number not in {other.underlying for other in others}
        for other in others:
            other.close()
        with pytest.raises(zmq.ZMQError) as wrong:
            zmq.Context.shadow(number).socket(zmq.PULL)
        assert wrong.value.errno == errno.EFAULT


def a_shadow_outlives_its_socket() -> None:
    context = zmq.Context()
    pull = context.socket(zmq.PULL)
    shadow = zmq.Socket.shadow(pull.underlying)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del pull
        gc.collect()
    assert shadow.closed
    with pytest.raises(zmq.ZMQError):
        shadow.getsockopt(zmq.TYPE)
    context.term()


def a_forked_child_has_its_own() -> None:
    with pair(zmq.PULL, zmq.PUSH) as (pull, push):
        child = os.fork()
        if child == 0:
            try:
                with pytest.raises(zmq.ZMQError):
                    pull.recv(zmq.DONTWAIT)
                with zmq.Context.instance() as own, own.socket(zmq.PAIR) as one:
                    one.bind("inproc://x")
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        push.send(b"unharmed")
        assert pull.recv() == b"unharmed"


# --- FD and EVENTS ---------------------------------------------------------------------------------------------------


def readable(fd: int, seconds: float = DEADLINE_S) -> bool:
    return bool(select.select([fd], [], [], seconds)[0])


def the_fd_tells_of_each_message() -> None:
    with pair(zmq.PULL, zmq.PUSH) as (pull, push):
        fd = pull.FD
        for i in range(20):
            push.send(b"%d" % i)
            while not pull.EVENTS & zmq.POLLIN:
                assert readable(fd), i
            assert pull.recv(zmq.DONTWAIT) == b"%d" % i
            assert not pull.EVENTS
            assert not readable(fd, 0), "the fd is quiet when EVENTS has told everything"


def an_unread_message_does_not_ring_for_ever() -> None:
    with pair(zmq.PULL, zmq.PUSH) as (pull, push):
        fd = pull.FD
        for _ in range(100):
            push.send(b"unread")
        until(lambda: pull.EVENTS & zmq.POLLIN)
        rings = 0
        for _ in range(50):
            push.send(b"more")
            rings += readable(fd, 0)
            assert pull.EVENTS == zmq.POLLIN
        assert rings == 0


def room_rings() -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        push.linger = 0
        push.sndhwm = pull.rcvhwm = 1
        fd = push.FD
        pull.connect(f"tcp://127.0.0.1:{push.bind_to_random_port('tcp://127.0.0.1')}")
        until(lambda: push.EVENTS & zmq.POLLOUT)
        while push.poll(100, zmq.POLLOUT):
            with contextlib.suppress(zmq.Again):
                push.send(bytes(100_000), zmq.DONTWAIT)
        assert push.EVENTS == 0 and not readable(fd, 0)
        while not readable(fd, 0.01):
            assert pull.poll(DEADLINE_S * 1000)
            pull.recv()
        assert push.EVENTS == zmq.POLLOUT


def a_socket_with_an_fd_goes_on_by_itself() -> None:
    # Nobody waits for the fd of the sender: connecting and sending are the I/O thread's business.
    with zmq.Context() as context, context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        push.FD  # noqa: B018
        push.connect(f"tcp://127.0.0.1:{pull.bind_to_random_port('tcp://127.0.0.1')}")
        for i in range(1000):
            push.send(b"%d" % i)
        assert [pull.recv() for _ in range(1000)] == [b"%d" % i for i in range(1000)]


def an_fd_without_io_threads() -> None:
    with zmq.Context(0) as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as two:
        one.bind("inproc://x")
        fd = one.FD
        two.connect("inproc://x")
        for i in range(5):
            two.send(b"%d" % i)
            while not one.EVENTS & zmq.POLLIN:
                assert readable(fd)
            assert one.recv(zmq.DONTWAIT) == b"%d" % i


def the_end_of_the_context_rings() -> None:
    context = zmq.Context()
    pull = context.socket(zmq.PULL)
    fd = pull.FD
    pull.EVENTS  # noqa: B018
    ending = threading.Thread(target=context.term)
    ending.start()
    assert readable(fd)
    with pytest.raises(zmq.ContextTerminated):
        pull.EVENTS  # noqa: B018
    pull.close()
    ending.join(DEADLINE_S)
    assert not ending.is_alive()


# --- frames ----------------------------------------------------------------------------------------------------------


def zero_copy_frames_are_in_the_collectors_list() -> None:
    assert not collector.refs
    data = bytearray(b"x" * 100_000)
    frame = zmq.Frame(data, copy=False, track=True)
    assert len(collector.refs) == 1 and not frame.tracker.done
    with pytest.raises(BufferError):
        data.append(1)  # it is read in place
    again = copy.copy(frame)
    with pair(zmq.PULL, zmq.PUSH) as (pull, push):
        push.send(frame)
        assert pull.recv() == data
    del frame
    assert collector.refs
    tracker = again.tracker
    del again
    tracker.wait(DEADLINE_S)
    assert not collector.refs
    data.append(1)


def small_frames_are_copied() -> None:
    frame = zmq.Frame(b"small", track=True)
    assert not collector.refs and frame.tracker.done
    assert frame.bytes is frame.bytes and frame.buffer is frame.buffer and not frame.buffer.readonly
    assert len({frame, copy.copy(frame)}) == 2
    with pytest.raises(zmq.ZMQError):
        frame.get("no such property")


def received_frames_know_what_follows() -> None:
    with pair(zmq.PULL, zmq.PUSH) as (pull, push):
        push.send_multipart([b"a", b"b" * 100_000])
        first, second = pull.recv_multipart(copy=False)
        assert type(first) is zmq.Frame and first.more and first.get(zmq.MORE) == 1
        assert second.bytes == b"b" * 100_000 and not second.more
        assert zmqcore.Frame in zmq.Frame.__mro__


def received_frames_know_who_sent_them() -> None:
    with pair(zmq.PULL, zmq.PUSH) as (pull, push):
        push.send_multipart([b"a", b"b" * 100_000])
        push.send(b"c", copy=False)
        frames = [*pull.recv_multipart(copy=False), pull.recv(copy=False, track=True)]
        for frame in (*frames, copy.copy(frames[0]), frames[1].fast_copy()):
            assert frame["Socket-Type"] == frame.get(b"Socket-Type") == "PUSH"
            assert frame.get("Peer-Address") == "127.0.0.1" and frame.get(zmq.SRCFD) == int(frame["__fd"])
            with pytest.raises(zmq.ZMQError) as wrong:
                frame.get("User-Id")
            assert wrong.value.errno == errno.EINVAL
        with pytest.raises(TypeError):
            frames[0].get(None)
        with pytest.raises(zmq.ZMQError):
            zmq.Frame(b"x").get("Socket-Type")


def awaited_frames_know_who_sent_them() -> None:
    async def main() -> None:
        with pair(zmq.PULL, zmq.PUSH, zmq.asyncio.Context) as (pull, push):
            waiting = asyncio.ensure_future(pull.recv(copy=False))
            await asyncio.sleep(0)
            for _ in range(3):
                await push.send_multipart([b"a", b"b"])
            frames = [await waiting, await pull.recv(copy=False)]
            frames += await pull.recv_multipart(copy=False)
            assert await pull.poll(DEADLINE_S * 1000)
            frames += await pull.recv_multipart(copy=False)
            assert [frame["Socket-Type"] for frame in frames] == ["PUSH"] * 6

    asyncio.run(main())


# --- devices ---------------------------------------------------------------------------------------------------------


def proxy_steerable_obeys() -> None:
    with zmq.Context() as context:
        ends = [context.socket(kind) for kind in (zmq.PULL, zmq.PUSH, zmq.PAIR, zmq.PAIR)]
        front, back, control, orders = ends
        push, pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
        push.connect(f"tcp://127.0.0.1:{front.bind_to_random_port('tcp://127.0.0.1')}")
        pull.connect(f"tcp://127.0.0.1:{back.bind_to_random_port('tcp://127.0.0.1')}")
        control.bind("inproc://control")
        orders.connect("inproc://control")
        results: list[int] = []
        running = threading.Thread(target=lambda: results.append(zmq.proxy_steerable(front, back, None, control)))
        running.start()
        push.send(b"through")
        assert pull.recv() == b"through"
        orders.send(b"STATISTICS")
        assert len(orders.recv_multipart()) == 8
        orders.send(b"TERMINATE")
        running.join(DEADLINE_S)
        assert results == [0]
        context.destroy(linger=0)


def knows(router: Any, name: bytes) -> bool:
    try:
        router.send_multipart([name, b""])
    except zmq.ZMQError as error:
        assert error.errno == zmq.EHOSTUNREACH
        return False
    return True


def monitored_queue_swaps_ids_and_prefixes() -> None:
    from zmq.devices import monitored_queue

    context = zmq.Context()
    ins, outs, side = (context.socket(kind) for kind in (zmq.ROUTER, zmq.ROUTER, zmq.PUSH))
    asking, answering, watching = (context.socket(kind) for kind in (zmq.DEALER, zmq.DEALER, zmq.PULL))
    asking.routing_id, answering.routing_id = b"asks", b"answers"
    for bound, connected in ((ins, asking), (outs, answering), (side, watching)):
        connected.connect(f"tcp://127.0.0.1:{bound.bind_to_random_port('tcp://127.0.0.1')}")
    ended: list[BaseException] = []

    def run() -> None:
        try:
            monitored_queue(ins, outs, side, b"from in", b"from out")
        except zmq.ContextTerminated as error:
            ended.append(error)
            for one in (ins, outs, side):
                one.close(0)

    outs.router_mandatory = 1
    running = threading.Thread(target=run)
    # The ROUTER must know the one who is asked before the question comes.
    until(lambda: knows(outs, b"answers"))
    assert answering.recv() == b""
    running.start()
    asking.send_multipart([b"answers", b"?"])
    assert answering.recv_multipart() == [b"asks", b"?"]
    assert watching.recv_multipart() == [b"from in", b"answers", b"asks", b"?"]
    answering.send_multipart([b"asks", b"!"])
    assert asking.recv_multipart() == [b"answers", b"!"]
    assert watching.recv_multipart() == [b"from out", b"asks", b"answers", b"!"]
    for one in (asking, answering, watching):
        one.close(0)
    context.term()
    running.join(DEADLINE_S)
    assert len(ended) == 1


# --- asyncio ---------------------------------------------------------------------------------------------------------


def asyncio_sends_and_receives() -> None:
    async def main() -> None:
        with pair(zmq.PULL, zmq.PUSH, zmq.asyncio.Context) as (pull, push):
            waiting = pull.recv_multipart()
            assert isinstance(waiting, asyncio.Future) and not waiting.done()
            await push.send_multipart([b"a", b"b"])
            assert await asyncio.wait_for(waiting, DEADLINE_S) == [b"a", b"b"]
            for i in range(3000):
                await push.send(b"%d" % i)
                if i % 2:
                    assert await asyncio.wait_for(pull.recv(), DEADLINE_S) == b"%d" % (i // 2)
            for i in range(1500, 3000):
                frame = await asyncio.wait_for(pull.recv(copy=False), DEADLINE_S)
                assert frame.bytes == b"%d" % i
            with pytest.raises(zmq.Again):
                await pull.recv(zmq.DONTWAIT)
            with pytest.raises(TypeError):
                await push.send_multipart([b"a", "text"])
            first, second = pull.recv(), pull.recv()
            await push.send(b"1")
            await push.send(b"2")
            assert await asyncio.wait_for(asyncio.gather(first, second), DEADLINE_S) == [b"1", b"2"]

    asyncio.run(main())


def asyncio_serves_receivers_in_order() -> None:
    async def main() -> None:
        with pair(zmq.PULL, zmq.PUSH, zmq.asyncio.Context) as (pull, push):
            # The second call finds the message that is there, and the first has to have it.
            first = pull.recv()
            zmq.Socket.shadow(push.underlying).send(b"1")
            shadow = zmq.Socket.shadow(pull.underlying)
            until(lambda: shadow.get(zmq.EVENTS) & zmq.POLLIN)
            second = pull.recv()
            await push.send(b"2")
            assert await asyncio.wait_for(asyncio.gather(first, second), DEADLINE_S) == [b"1", b"2"]

    asyncio.run(main())


def asyncio_receivers_are_cancelled() -> None:
    async def main() -> None:
        with pair(zmq.PULL, zmq.PUSH, zmq.asyncio.Context) as (pull, push):
            # From the second wait on the socket knows its loop.
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(pull.recv(), 0.01)
                assert len(pull._recv_futures) == 0
            tasks = [asyncio.ensure_future(pull.recv_multipart()) for _ in range(9)]
            await asyncio.sleep(0)
            for task in tasks[::3]:
                task.cancel()
            alive = [task for number, task in enumerate(tasks) if number % 3]
            for number in range(len(alive) + 1):
                await push.send(b"%d" % number)
            found = await asyncio.wait_for(asyncio.gather(*alive), DEADLINE_S)
            assert found == [[b"%d" % number] for number in range(len(alive))]
            assert await asyncio.wait_for(pull.recv(), DEADLINE_S) == b"%d" % len(alive)
            lonely = pull.recv()
            pull.close()
            with pytest.raises(asyncio.CancelledError):
                await lonely

    asyncio.run(main())


def asyncio_waits_for_other_things_meanwhile() -> None:
    async def main() -> None:
        with pair(zmq.PAIR, zmq.PAIR, zmq.asyncio.Context) as (left, right):
            left.sndhwm = right.sndhwm = left.rcvhwm = right.rcvhwm = 10
            for number in range(50):
                buffer = bytearray(9)
                waiting = [left.recv(), left.poll(DEADLINE_S * 1000), left.recv_into(buffer), left.recv()]
                for part in range(4):
                    await right.send(b"%d-%d" % (number, part))
                first, event, size, last = await asyncio.wait_for(asyncio.gather(*waiting), DEADLINE_S)
                assert (first, event) == (b"%d-0" % number, zmq.POLLIN)
                assert bytes(buffer[:size]) == b"%d-1" % number
                assert last == b"%d-2" % number
                assert await left.recv() == b"%d-3" % number
            # A receiver waits while a sender has no room.
            receiving = asyncio.ensure_future(left.recv())
            await asyncio.sleep(0)
            sending = [asyncio.ensure_future(left.send(b"x" * 100_000)) for _ in range(200)]
            for _ in sending:
                assert len(await asyncio.wait_for(right.recv(), DEADLINE_S)) == 100_000
            await asyncio.wait_for(asyncio.gather(*sending), DEADLINE_S)
            await right.send(b"y")
            assert await asyncio.wait_for(receiving, DEADLINE_S) == b"y"

    asyncio.run(main())


def asyncio_round_trips_of_one_socket_in_many_tasks() -> None:
    async def main() -> None:
        with pair(zmq.ROUTER, zmq.DEALER, zmq.asyncio.Context) as (router, dealer):

            async def serve() -> None:
                while True:
                    await router.send_multipart(await router.recv_multipart())

            async def ask(number: int) -> bytes:
                await dealer.send(b"%d" % number)
                answer: bytes = await dealer.recv()
                return answer

            servers = [asyncio.ensure_future(serve()) for _ in range(3)]
            answers = await asyncio.wait_for(asyncio.gather(*(ask(number) for number in range(500))), DEADLINE_S)
            assert sorted(answers, key=int) == [b"%d" % number for number in range(500)]
            for server in servers:
                server.cancel()
            await asyncio.gather(*servers, return_exceptions=True)

    asyncio.run(main())


def asyncio_hears_of_the_end_of_its_context() -> None:
    async def main() -> None:
        with zmq.asyncio.Context() as context:
            pull = context.socket(zmq.PULL)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(pull.recv(), 0.01)
            ended: list[object] = []
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, report: ended.append(report.get("exception")))
            waiting = pull.recv()
            term = threading.Thread(target=zmq.Context.term, args=(context,))
            term.start()
            deadline = loop.time() + DEADLINE_S
            while not ended and not waiting.done():
                assert loop.time() < deadline
                await asyncio.sleep(0.002)
            pull.close(0)
            await loop.run_in_executor(None, term.join)

    asyncio.run(main())


if __name__ == "__main__":
    globals()[sys.argv[1]]()
