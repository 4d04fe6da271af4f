"""Frame and MessageTracker: messages without a copy."""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, type_name
from tests.support import Task

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
    assert sender.send(b"not tracked", copy=False).done


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
