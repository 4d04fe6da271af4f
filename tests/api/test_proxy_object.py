"""zmqcore.Proxy: a proxy in a thread of its own, its orders and its numbers; Socket.stats()."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import zmqcore
from tests.support import Task, wait_until
from zmqcore._core_proxy import ProxyLoop

TIMEOUT_MS = 10_000


class Bench:
    """A streamer between a PUSH and a PULL of one context."""

    def __init__(self) -> None:
        self.context = zmqcore.Context()
        self.frontend = self.socket(zmqcore.PULL)
        self.backend = self.socket(zmqcore.PUSH)
        self.source = self.socket(zmqcore.PUSH)
        self.sink = self.socket(zmqcore.PULL)
        self.proxy = zmqcore.Proxy(self.frontend, self.backend)

    def socket(self, kind: int) -> Any:
        socket = self.context.socket(kind)
        socket.rcvtimeo = socket.sndtimeo = TIMEOUT_MS
        socket.linger = 0
        return socket

    def join(self) -> None:
        for near, far in ((self.frontend, self.source), (self.backend, self.sink)):
            near.bind("tcp://127.0.0.1:*")
            far.connect(near.last_endpoint.decode())

    def close(self) -> None:
        self.proxy.stop(TIMEOUT_MS / 1000)
        self.context.destroy(0)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    made.join()
    yield made
    made.close()


def test_it_runs_between_start_and_stop(bench: Bench) -> None:
    with bench.proxy as proxy:
        assert proxy is bench.proxy
        bench.source.send_multipart([b"a", b"", b"b" * 300])
        assert bench.sink.recv_multipart() == [b"a", b"", b"b" * 300]
        wait_until(lambda: proxy.running, what="the proxy to run")
    assert not bench.proxy.running
    bench.source.send(b"waits")
    assert not bench.sink.poll(20)
    bench.proxy.start()
    assert bench.sink.recv() == b"waits"


def test_starting_twice(bench: Bench) -> None:
    bench.proxy.start()
    with pytest.raises(RuntimeError):
        bench.proxy.start()
    assert bench.proxy.stop() and bench.proxy.stop()


def test_pause_and_resume(bench: Bench) -> None:
    with bench.proxy as proxy:
        proxy.pause()
        wait_until(lambda: proxy.stats()["paused"] == 1, what="the pause")
        bench.source.send(b"later")
        assert not bench.sink.poll(20)
        proxy.resume()
        assert bench.sink.recv() == b"later"
        assert proxy.stats()["paused"] == 0


def test_the_end_of_the_context_ends_it(bench: Bench) -> None:
    bench.proxy.start()
    for socket in (bench.source, bench.sink):
        socket.close(0)
    bench.context.shutdown()
    assert bench.proxy.join(10)


def test_what_ends_it_is_raised_by_join(bench: Bench) -> None:
    proxy = zmqcore.Proxy(bench.frontend, bench.backend, capture=bench.frontend)
    proxy.start()
    with pytest.raises(zmqcore.ZMQError) as caught:
        proxy.join(10)
    assert caught.value.errno == zmqcore.EINVAL


def test_the_destruction_of_the_context_ends_it(bench: Bench) -> None:
    bench.proxy.start()
    wait_until(lambda: bench.proxy.running, what="the proxy to run")
    bench.context.destroy(0)
    assert bench.proxy.join(10)
    assert not bench.proxy.running


@pytest.mark.parametrize("role", ["frontend", "backend", "capture", "control"])
def test_closing_one_of_its_sockets_ends_it(bench: Bench, role: str) -> None:
    sockets = {"capture": bench.socket(zmqcore.PUB), "control": bench.socket(zmqcore.REP)}
    proxy = zmqcore.Proxy(bench.frontend, bench.backend, **sockets)
    proxy.start()
    bench.source.send(b"1")
    assert bench.sink.recv() == b"1"
    getattr(proxy, role).close()
    assert proxy.join(10)
    with pytest.raises(zmqcore.ZMQError) as caught:
        proxy.start()
    assert caught.value.errno == zmqcore.ENOTSOCK
    assert proxy.stop()


def fill(bench: Bench) -> None:
    """Until the proxy is blocked: nobody takes what it has."""
    bench.source.send(b"the sink is joined")
    assert bench.sink.recv() == b"the sink is joined"
    bench.sink.close(0)
    wait_until(lambda: bench.proxy.stats()["backend_peers"] == 0, what="the sink to be gone")
    bench.source.send(b"x")
    wait_until(lambda: bench.proxy.stats()["forward_blocked_us"] > 0, what="the proxy to be blocked")


@pytest.mark.parametrize("end", ["stop", "shutdown", "close"])
def test_ending_it_while_it_is_blocked(bench: Bench, end: str) -> None:
    bench.proxy.start()
    fill(bench)
    {"stop": bench.proxy.stop, "shutdown": bench.context.shutdown, "close": bench.frontend.close}[end]()
    assert bench.proxy.join(10)
    assert not bench.proxy.running


def pause(proxy: zmqcore.Proxy) -> None:
    proxy.pause()
    wait_until(lambda: proxy.stats()["paused"] == 1, what="the pause")


@pytest.mark.parametrize("end", ["stop", "shutdown", "close"])
def test_ending_it_while_it_is_paused(bench: Bench, end: str) -> None:
    bench.proxy.start()
    pause(bench.proxy)
    bench.source.send(b"x")
    {"stop": bench.proxy.stop, "shutdown": bench.context.shutdown, "close": bench.backend.close}[end]()
    assert bench.proxy.join(10)
    assert not bench.proxy.running


def test_a_pause_outlives_a_stop(bench: Bench) -> None:
    with bench.proxy as proxy:
        pause(proxy)
    bench.source.send(b"later")
    with bench.proxy as proxy:
        assert proxy.stats()["paused"] == 1
        assert not bench.sink.poll(20)
        proxy.resume()
        assert bench.sink.recv() == b"later"


@pytest.mark.parametrize("wrong", [None, "frontend", 7])
def test_wrong_sockets(bench: Bench, wrong: Any) -> None:
    with pytest.raises(TypeError):
        zmqcore.Proxy(wrong, bench.backend)


def test_numbers_of_a_proxy(bench: Bench) -> None:
    with bench.proxy as proxy:
        for _ in range(10):
            bench.source.send_multipart([b"ab", b"c"])
        for _ in range(10):
            bench.sink.recv_multipart()
        stats = proxy.stats()
        assert (stats["forward_messages"], stats["backward_messages"]) == (10, 0)
        assert (stats["frontend_in_parts"], stats["frontend_in_bytes"]) == (20, 30)
        assert (stats["backend_out_parts"], stats["backend_out_bytes"]) == (20, 30)
        assert (stats["frontend_peers"], stats["backend_peers"]) == (1, 1)
        assert set(stats) == set(zmqcore.Proxy.stats_help())


def test_what_waits_and_how_long(bench: Bench) -> None:
    bench.backend.sndhwm = 5
    with bench.proxy as proxy:
        bench.source.send(b"the sink is joined")
        assert bench.sink.recv() == b"the sink is joined"
        bench.sink.close(0)
        wait_until(lambda: proxy.stats()["backend_peers"] == 0, what="the sink to be gone")
        bench.source.send(b"x" * 100)
        wait_until(lambda: proxy.stats()["frontend_queued_messages"] == 1, what="the message to wait")
        bench.source.send(b"x" * 100)
        wait_until(lambda: proxy.stats()["forward_blocked_us"] > 0, what="the time to be counted")
        assert proxy.stats()["frontend_queued_bytes"] >= 102


def test_details_through_the_control_socket(bench: Bench) -> None:
    control, controller = bench.socket(zmqcore.REP), bench.socket(zmqcore.REQ)
    control.bind("inproc://control")
    controller.connect("inproc://control")
    with zmqcore.Proxy(bench.frontend, bench.backend, control=control) as proxy:
        bench.source.send(b"12345")
        assert bench.sink.recv() == b"12345"
        controller.send(b"DETAILS")
        parts = controller.recv_multipart()
        details = {n.decode(): int.from_bytes(v, "little") for n, v in zip(parts[::2], parts[1::2], strict=True)}
        assert details["forward_messages"] == 1
        assert set(details) == set(proxy.stats())
        controller.send(b"STATISTICS")
        assert [int.from_bytes(v, "little") for v in controller.recv_multipart()] == [1, 5, 0, 0, 0, 0, 1, 5]
        controller.send(b"TERMINATE")
        assert controller.recv() == b""
        assert proxy.join(10)


def test_numbers_of_a_socket(bench: Bench) -> None:
    bench.source.send(b"abc")
    wait_until(lambda: bench.frontend.stats()["received_messages"] == 1, what="the message to arrive")
    stats = bench.frontend.stats()
    assert (stats["connected"], stats["queued_in_messages"], stats["received_bytes"]) == (1, 1, 3)
    assert len(stats["peers"]) == 1 and stats["peers"][0]["queued_in_messages"] == 1
    assert bench.frontend.recv() == b"abc"
    assert bench.frontend.stats()["queued_in_messages"] == 0
    assert set(stats) - {"peers"} | {"serial"} == set(zmqcore.Socket.stats_help())


def test_drops_and_high_water_marks_are_counted(bench: Bench) -> None:
    lonely = bench.socket(zmqcore.PUSH)
    lonely.sndhwm = 2
    lonely.connect("tcp://127.0.0.1:1")
    for _ in range(2):
        lonely.send(b"x", zmqcore.DONTWAIT)
    with pytest.raises(zmqcore.Again):
        lonely.send(b"x", zmqcore.DONTWAIT)
    stats = lonely.stats()
    assert (stats["queued_out_messages"], stats["times_full"]) == (2, 1)
    lonely.close()
    with pytest.raises(zmqcore.ZMQError):
        lonely.stats()


@contextlib.contextmanager
def low_marks(buffer_bytes: int = -1) -> Iterator[Bench]:
    """A running proxy with high-water marks of 5, and 800 messages of 100 bytes on their way to it."""
    made = Bench()
    made.frontend.rcvhwm = made.backend.sndhwm = made.sink.rcvhwm = 5
    made.backend.sndbuf = made.sink.rcvbuf = buffer_bytes
    made.join()
    try:
        made.proxy.start()
        made.proxy.pause()
        wait_until(lambda: made.proxy.stats()["paused"] == 1, what="the pause")
        wait_until(lambda: made.proxy.stats()["backend_peers"] == 1, what="the sink")
        made.source.send_many([b"%100d" % number for number in range(800)])
        wait_until(lambda: made.frontend.stats()["queued_in_messages"] >= 5, what="messages")
        made.proxy.resume()
        yield made
    finally:
        made.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not say what it takes")
def test_what_the_kernel_takes_at_once_is_no_question_of_the_mark() -> None:
    with low_marks() as bench:
        assert [int(bench.sink.recv()) for _ in range(800)] == list(range(800))
        assert bench.backend.stats()["times_full"] == 0


def test_no_more_than_the_mark_stays_in_a_blocked_proxy() -> None:
    with low_marks(buffer_bytes=16 * 1024) as bench:

        def fill() -> bool:
            with contextlib.suppress(zmqcore.Again):
                while True:
                    bench.source.send(bytes(100), zmqcore.DONTWAIT)
            return bool(bench.proxy.stats()["forward_blocked_us"] > 0)

        wait_until(fill, what="the proxy to be blocked")
        assert 0 < bench.backend.stats()["queued_out_messages"] <= 5


def test_totals_outlive_the_peer(bench: Bench) -> None:
    bench.source.send(b"abc")
    assert bench.frontend.poll(TIMEOUT_MS)
    bench.source.close()
    wait_until(lambda: bench.frontend.stats()["connected"] == 0, what="the peer to go")
    assert bench.frontend.stats()["received_messages"] == 1


def test_a_proxy_that_waits_for_its_sockets_can_be_stopped(bench: Bench) -> None:
    """Another proxy drives them: the second one begins when that ends, or not at all."""
    second = zmqcore.Proxy(bench.frontend, bench.backend)
    with bench.proxy:
        bench.source.send(b"first")
        assert bench.sink.recv() == b"first"
        second.start()
        second.stop(TIMEOUT_MS / 1000)
        assert not second.running
        second.start()
        bench.source.send(b"still the first")
        assert bench.sink.recv() == b"still the first"
    bench.source.send(b"now the second")
    assert bench.sink.recv() == b"now the second"
    second.stop(TIMEOUT_MS / 1000)


def test_many_threads_start_it_at_once(bench: Bench) -> None:
    threads = 8
    gate = threading.Barrier(threads)

    def start() -> bool:
        gate.wait(TIMEOUT_MS / 1000)
        try:
            bench.proxy.start()
        except RuntimeError:
            return False
        return True

    started = [task.join() for task in [Task(start) for _ in range(threads)]]
    assert started.count(True) == 1
    bench.source.send(b"goes through")
    assert bench.sink.recv() == b"goes through"
    assert bench.proxy.stop(TIMEOUT_MS / 1000)


def test_a_loop_is_one_threads(bench: Bench) -> None:
    running = Task(bench.proxy.run)
    wait_until(lambda: bench.proxy.running, what="the proxy to run")
    with pytest.raises(RuntimeError):
        bench.proxy.run()
    assert bench.proxy.running
    ProxyLoop.stop(bench.proxy)
    running.join()
    assert not bench.proxy.running
