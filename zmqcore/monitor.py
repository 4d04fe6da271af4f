"""Reading what Socket.monitor() and Socket.get_monitor_socket() tell: pyzmq's zmq.utils.monitor."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Sequence
from typing import Any, TypedDict

from .constants import Event

# Number and value, in the byte order of the machine, without padding.
_HEAD = struct.Struct("=HI")


class MonitorMessage(TypedDict):
    """One event. value, as the event has it: an fd, an errno, milliseconds, an Event that names a protocol error."""

    event: Event
    value: int
    endpoint: bytes


def parse_monitor_message(msg: Sequence[bytes]) -> MonitorMessage:
    """The event in the two parts of a monitor's message; RuntimeError when it is no such message."""
    if len(msg) != 2 or len(msg[0]) != _HEAD.size:
        raise RuntimeError(f"not the message of a monitor: {msg}")
    number, value = _HEAD.unpack(msg[0])
    event = Event(number)
    if event is Event.HANDSHAKE_FAILED_PROTOCOL:
        value = Event(value)
    elif value >= 1 << 31:
        value -= 1 << 32  # an fd that is not known is -1
    return {"event": event, "value": value, "endpoint": msg[1]}


async def _parse_when_there(msg: Awaitable[Sequence[bytes]]) -> MonitorMessage:
    return parse_monitor_message(await msg)


def recv_monitor_message(socket: Any, flags: int = 0) -> Any:
    """Receives one event from a monitor's socket: a MonitorMessage; of an asynchronous socket an awaitable of one.

    socket: what get_monitor_socket() returned, or a PAIR socket connected to the endpoint given to monitor().
    """
    msg = socket.recv_multipart(flags)
    if isinstance(msg, Awaitable):
        return _parse_when_there(msg)
    return parse_monitor_message(msg)


__all__ = ["MonitorMessage", "parse_monitor_message", "recv_monitor_message"]
