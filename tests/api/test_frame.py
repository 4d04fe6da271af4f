"""Frame and MessageTracker: messages without a copy."""

from __future__ import annotations

import socket as raw_socket
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, type_name
from tests.support import DEADLINE_S, PROJECT, Task, wait_until

LARGE = 1_000_000


@pytest.mark.parametrize("data", [b"", b"abc", bytearray(b"abc"), memoryview(b"abc"), b"x" * LARGE], ids=len)
def test_a_frame_holds_data(zmq: ModuleType, data: Any) -> None:
    frame = zmq.Frame(data)
    assert frame.bytes == bytes(frame) == bytes(frame.buffer) == bytes(memoryview(frame)) == bytes(data)
    assert len(frame) == len(data)
    assert frame.more is False
    assert frame.tracker is None
    assert zmq.Message is zmq.Frame


def test_an_empty_frame(zmq: ModuleType) -> None:
    assert zmq.Frame().bytes == b""
    assert zmq.Frame(None).bytes == b""


@pytest.mark.parametrize("data", ["text", 5, [1], object()], ids=type_name)
def test_what_is_no_data(zmq: ModuleType, data: Any) -> None:
    with pytest.raises(TypeError):
        zmq.Frame(data)


def test_sent_and_received(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    frame = zmq.Frame(b"again")
    sender.send(frame, zmq.SNDMORE)
    sender.send(frame)
    first = receiver.recv(copy=False)
    second = receiver.recv(copy=False)
    assert isinstance(first, zmq.Frame)
    assert (first.bytes, first.more, first.get(zmq.MORE)) == (b"again", True, 1)
    assert (second.bytes, second.more, second.get(zmq.MORE)) == (b"again", False, 0)
    assert frame.bytes == b"again"


def test_multipart(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    sender.send_multipart([zmq.Frame(b"a"), b"b", zmq.Frame(b"")])
    frames = receiver.recv_multipart(copy=False)
    assert [frame.bytes for frame in frames] == [b"a", b"b", b""]
    assert [frame.more for frame in frames] == [True, True, False]
    # What was received can go on as it is.
    sender_back, receiver_back = receiver, sender
    sender_back.send_multipart(frames)
    assert receiver_back.recv_multipart() == [b"a", b"b", b""]


def test_data_outlives_the_socket(sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    sender.send(b"x" * LARGE, copy=False)
    frame = receiver.recv(copy=False)
    view = frame.buffer
    receiver.close()
    sender.close()
    del frame
    assert bytes(view) == b"x" * LARGE


def test_properties(zmq: ModuleType) -> None:
    frame = zmq.Frame(b"x")
    with pytest.raises(zmq.ZMQError):
        frame.get("No-Such-Property")
    assert frame.get(zmq.MORE) == 0


def test_the_tracker_of_a_send(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets("PUSH"), sockets("PULL")
    sockets.join(receiver, sender, "tcp://127.0.0.1:*")
    data = bytearray(LARGE)
    tracker = sender.send(data, copy=False, track=True)
    assert isinstance(tracker, zmq.MessageTracker)
    assert receiver.recv() == data
    tracker.wait(10)
    assert tracker.done
    assert sender.send(b"copied", track=True) is None
    for data, has_tracker in ((b"small", True), (b"x" * LARGE, False)):
        assert (sender.send(data, copy=False) is not None) is has_tracker
        assert (sender.send_multipart([b"x" * LARGE, data], copy=False) is not None) is has_tracker
    assert sender.send(b"small", copy=False, track=True).done


def test_the_tracker_knows_what_is_not_sent_yet(zmq: ModuleType, sockets: Sockets) -> None:
    sender = sockets("PUSH")
    with raw_socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        sender.connect(f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        tracker = sender.send(bytearray(LARGE), copy=False, track=True)
        assert not tracker.done
        with pytest.raises(zmq.NotDone):
            tracker.wait(0.01)
        sender.close(0)
    wait_until(lambda: tracker.done, what="the release of the buffer")


@pytest.mark.parametrize("sizes", [[9], [9, 4], [1, 0, 5000], [20_000, 3]], ids=str)
@pytest.mark.parametrize("transport", ["ipc", "inproc"])
def test_small_bodies_stay_where_they_are_below_a_threshold_of_ones_own(
    sockets: Sockets, tmp_path: Path, transport: str, sizes: list[int]
) -> None:
    sender, receiver = sockets("PUSH"), sockets("PULL")
    sender.copy_threshold = 0
    parts = [bytearray([1 + i]) * size for i, size in enumerate(sizes)]
    endpoint = f"{transport}://{tmp_path}/e"
    sender.connect(endpoint)
    trackers = [sender.send_multipart(parts, copy=False, track=True) for _ in range(3)]
    assert not any(tracker.done for tracker in trackers)
    receiver.bind(endpoint)
    for tracker in trackers:
        assert receiver.recv_multipart() == parts
        tracker.wait(DEADLINE_S)


def test_a_shared_frame_is_done_when_nobody_has_it(zmq: ModuleType, sockets: Sockets) -> None:
    sender, receiver = sockets.pair()
    frame = zmq.Frame(b"x" * LARGE, track=True)
    tracker = frame.tracker
    assert sender.send(frame, copy=False, track=True) is tracker
    assert receiver.recv() == b"x" * LARGE
    assert not tracker.done
    del frame
    tracker.wait(DEADLINE_S)
    assert zmq.Frame(b"x" * 100, track=True).tracker.done
    assert not zmq.Frame(b"x" * 100, track=True, copy=False, copy_threshold=1).tracker.done
    with pytest.raises(ValueError, match="track"):
        sender.send(zmq.Frame(b"x"), copy=False, track=True)


def test_shared_buffers_are_kept_and_let_go_of(core_sockets: Sockets) -> None:
    """Large bytes always, other buffers with copy=False: the engine counts on them until they are sent, no longer."""

    class Held(bytearray):
        pass

    sender, receiver = core_sockets.pair()
    gone: list[int] = []
    data = b"y" * LARGE
    counted = sys.getrefcount(data)
    for i in range(5):
        held = Held(LARGE)
        held[0] = i
        weakref.finalize(held, gone.append, i)
        tracker = sender.send_multipart([held, data], copy=False, track=True)
        with pytest.raises(BufferError):
            held.append(1)
        del held
        assert receiver.recv_multipart()[0][0] == i
        tracker.wait(DEADLINE_S)
    wait_until(lambda: gone == list(range(5)), what="the release of the buffers")
    sender.send(data)
    assert receiver.recv() == data
    wait_until(lambda: sys.getrefcount(data) == counted, what="the release of the bytes")


def test_a_tracker_waits_in_any_thread(sockets: Sockets) -> None:
    """Nobody comes by to let go of anything while the main thread waits."""
    sender, receiver = sockets("PUSH"), sockets("PULL")
    sockets.join(receiver, sender, "tcp://127.0.0.1:*")
    tracker = sender.send(bytearray(LARGE), copy=False, track=True)
    waiting = Task(lambda: tracker.wait(DEADLINE_S))
    reading = Task(receiver.recv)
    tracker.wait(DEADLINE_S)
    waiting.join()
    reading.join()


def test_nothing_is_let_go_of_after_the_end() -> None:
    """The interpreter ends with buffers still queued; the I/O thread goes on a while."""
    source = """
import socket, zmqcore
silent = socket.socket()
silent.bind(("127.0.0.1", 0))
silent.listen()
sender = zmqcore.Context().socket(zmqcore.PUSH)
sender.linger = 0
sender.connect("tcp://127.0.0.1:%d" % silent.getsockname()[1])
for _ in range(5):
    sender.send(bytearray(1000000), copy=False)
"""
    command = [sys.executable, "-W", "ignore", "-c", source]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_trackers_of_trackers(zmq: ModuleType) -> None:
    events = [threading.Event(), threading.Event()]
    inner = zmq.MessageTracker(events[0])
    outer = zmq.MessageTracker(inner, events[1])
    assert not outer.done
    events[1].set()
    assert not outer.done
    with pytest.raises(zmq.NotDone):
        outer.wait(0)
    waiting = Task(outer.wait)
    events[0].set()
    waiting.join()
    assert outer.done
    outer.wait(1)


def test_what_cannot_be_tracked(zmq: ModuleType) -> None:
    assert zmq.MessageTracker().done
    with pytest.raises(TypeError):
        zmq.MessageTracker(5)
    with pytest.raises(ValueError):
        zmq.MessageTracker(zmq.Frame(b"not tracked"))


def test_a_frame_is_made_once(core: ModuleType) -> None:
    for frame in (core.Frame(b"first"), core.Frame()):
        before = frame.bytes
        with memoryview(frame) as view:
            frame.__init__(b"second")
            assert bytes(view) == frame.bytes == before
