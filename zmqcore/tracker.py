"""MessageTracker: tells when a buffer that was sent without a copy may be changed again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from threading import Event
from typing import Any

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
        # The events of trackers too: they never change, so a tracker is nothing but its events.
        self._events: set[Event] = set()
        for part in towatch:
            self._events.update(_events_of(part))

    @property
    def done(self) -> bool:
        """True when the engine holds none of the watched buffers any more."""
        return all(event.is_set() for event in self._events)

    def wait(self, timeout: float | None = -1) -> None:
        """Returns when done; raises NotDone after timeout seconds. Negative or None: waits for ever."""
        is_endless = timeout is None or timeout < 0
        end = 0.0 if timeout is None else time.monotonic() + timeout
        for event in self._events:
            if not event.wait(None if is_endless else max(0.0, end - time.monotonic())):
                raise NotDone


def _events_of(part: Any) -> Iterable[Event]:
    if isinstance(part, Event):
        return (part,)
    tracker = part if isinstance(part, MessageTracker) else getattr(part, "tracker", part)
    if tracker is None:
        raise ValueError("the frame was not made with track=True")
    if not isinstance(tracker, MessageTracker):
        raise TypeError(f"expected an Event, a MessageTracker or a Frame, not {type(part).__name__}")
    return tracker._events


# What a send that has copied its data returns.
FINISHED = MessageTracker()

__all__ = ["COPY_THRESHOLD", "FINISHED", "MessageTracker", "Released"]
