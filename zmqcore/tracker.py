"""MessageTracker: tells when a buffer that was sent without a copy may be changed again."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

from ._pin import wait_for_release
from .errors import NotDone

# Buffers of fewer bytes are copied also with copy=False: handing them over costs more.
COPY_THRESHOLD = 65536


class Released(Event):
    """Is set when the engine has let go of a buffer. Who waits for it lets go of what is due."""

    def is_set(self) -> bool:
        wait_for_release(0)
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = -1.0 if end is None else end - time.monotonic()
            if end is not None and left <= 0:
                return False
            wait_for_release(left)
        return True


class MessageTracker:
    """Watches any number of sends. Its parts are events, other trackers, or frames made with track=True.

    An event is set by the engine when it has let go of a buffer.
    """

    def __init__(self, *towatch: object) -> None:
        self._events: list[Event] = []
        self._trackers: list[MessageTracker] = []
        for part in towatch:
            if isinstance(part, Event):
                self._events.append(part)
            elif isinstance(part, MessageTracker):
                self._trackers.append(part)
            elif not hasattr(part, "tracker"):
                raise TypeError(f"expected an Event, a MessageTracker or a Frame, not {type(part).__name__}")
            elif part.tracker is None:
                raise ValueError("the frame was not made with track=True")
            else:
                self._trackers.append(part.tracker)

    @property
    def done(self) -> bool:
        """True when the engine holds none of the watched buffers any more."""
        return all(event.is_set() for event in self._events) and all(tracker.done for tracker in self._trackers)

    def wait(self, timeout: float | None = -1) -> None:
        """Returns when done; raises NotDone after timeout seconds. Negative or None: waits for ever."""
        if timeout is None or timeout < 0:
            self._wait_for(lambda: None)
            return
        end = time.monotonic() + timeout
        self._wait_for(lambda: max(0.0, end - time.monotonic()))

    def _wait_for(self, seconds_left: Callable[[], float | None]) -> None:
        for event in self._events:
            if not event.wait(seconds_left()):
                raise NotDone
        for tracker in self._trackers:
            tracker.wait(seconds_left())


# What a send that has copied its data returns.
FINISHED = MessageTracker()

__all__ = ["COPY_THRESHOLD", "FINISHED", "MessageTracker", "Released"]
