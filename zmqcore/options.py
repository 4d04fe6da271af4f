"""What contexts and sockets have in common: the Python values that options take, attributes, repr()."""

from __future__ import annotations

import operator
from typing import Any

from .constants import OptionType, option_type

# Half-open ranges, by the C type of the option.
_INT_RANGE = (-(1 << 31), 1 << 31)
_INT64_RANGE = (-(1 << 63), 1 << 63)


def checked_int(value: Any, limits: tuple[int, int] = _INT_RANGE) -> int:
    """The value as an int: TypeError for anything that is none, OverflowError outside of the limits."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"the option takes an int, not {value!r}") from None
    if not limits[0] <= number < limits[1]:
        raise OverflowError(f"the option has no room for {number}")
    return number


def checked_value(option: int, value: Any) -> int | bytes:
    """The value that the engine gets for a socket option; TypeError or OverflowError when it cannot be one."""
    if isinstance(value, str):
        raise TypeError("options take no str: use bytes or set_string()")
    kind = option_type(option)
    if kind is OptionType.BYTES:
        if not isinstance(value, bytes):
            raise TypeError(f"the option takes bytes, not {value!r}")
        return value
    if kind is OptionType.INT64:
        return checked_int(value, _INT64_RANGE)
    return checked_int(value)


def is_declared(owner: type, name: str) -> bool:
    """Whether a class or a base of it defines or annotates the name: only such attributes can be set freely."""
    return any(name in vars(cls) or name in getattr(cls, "__annotations__", ()) for cls in owner.__mro__)


def described(thing: Any, name: str | None, inside: str) -> str:
    """The repr() of a context or a socket: its name (None: that of its class), what is in it, whether it is closed."""
    if name is None:
        name = f"{type(thing).__module__}.{type(thing).__qualname__}"
    state = " closed" if thing.closed else ""
    return f"<{name}({inside}) at {id(thing):#x}{state}>"


__all__ = ["checked_int", "checked_value", "described", "is_declared"]
