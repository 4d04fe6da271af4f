"""Poller, zmq_poll() and select(): waiting for several sockets and file descriptors at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import _core
from .constants import PollEvent

_IN_OUT = PollEvent.POLLIN | PollEvent.POLLOUT


def _pollable(target: Any) -> Any:
    """A socket or a descriptor as it is, anything else as the descriptor that its fileno() gives."""
    if isinstance(target, (_core.Socket, int)):
        return target
    fileno = getattr(target, "fileno", None)
    if fileno is None:
        raise TypeError(f"expected a socket, a file descriptor or an object with fileno(), not {target!r}")
    fd = fileno()
    if not isinstance(fd, int) or fd < 0:
        raise ValueError(f"fileno() of {target!r} gave no file descriptor: {fd!r}")
    return fd


def zmq_poll(sockets: Iterable[tuple[Any, int]], timeout: float = -1) -> list[tuple[Any, int]]:
    """Waits until one of the (socket or descriptor, events) pairs is ready; gives the ready ones with what they have.

    timeout: milliseconds; negative: for ever. An object with fileno() stands in the result as its descriptor. With
    nothing to wait for the result is empty at once.
    """
    timeout_ms = int(timeout) if isinstance(timeout, float) else timeout
    items = [(_pollable(target), events) for target, events in sockets]
    return _core.zmq_poll(items, timeout_ms) if items else []


class Poller:
    """A set of sockets and descriptors to wait for, kept between polls."""

    def __init__(self) -> None:
        self._events: dict[Any, int] = {}

    def __contains__(self, socket: object) -> bool:
        return socket in self._events

    @property
    def sockets(self) -> list[tuple[Any, int]]:
        """What is registered, in the order of registration, with the events asked for."""
        return list(self._events.items())

    def register(self, socket: Any, flags: int = _IN_OUT) -> None:
        """Adds a socket, a descriptor or an object with fileno(), or changes its events. No events: takes it out."""
        if flags:
            self._events[socket] = flags
        else:
            self._events.pop(socket, None)

    def modify(self, socket: Any, flags: int = _IN_OUT) -> None:
        """The same as register()."""
        self.register(socket, flags)

    def unregister(self, socket: Any) -> None:
        """Takes it out; KeyError when it is not registered."""
        del self._events[socket]

    def poll(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        """zmq_poll() of what is registered; timeout in milliseconds, None or negative: for ever."""
        if timeout is None or timeout < 0:
            timeout = -1
        return zmq_poll(self._events.copy().items(), timeout)  # other threads may register meanwhile


def select(
    rlist: Iterable[Any], wlist: Iterable[Any], xlist: Iterable[Any], timeout: float | None = None
) -> tuple[list[Any], list[Any], list[Any]]:
    """select.select() for sockets and descriptors; timeout in seconds, None or negative: for ever."""
    wanted: dict[Any, int] = {}
    kinds = (PollEvent.POLLIN, PollEvent.POLLOUT, PollEvent.POLLERR)
    for kind, targets in zip(kinds, (rlist, wlist, xlist), strict=True):
        for target in targets:
            wanted[target] = wanted.get(target, 0) | kind
    timeout_ms = -1 if timeout is None or timeout < 0 else int(timeout * 1000)
    ready = zmq_poll(wanted.items(), timeout_ms)
    readable, writable, failed = ([target for target, events in ready if events & kind] for kind in kinds)
    return readable, writable, failed


__all__ = ["Poller", "select", "zmq_poll"]
