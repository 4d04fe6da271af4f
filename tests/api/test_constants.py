"""Names and numbers, compared with those of the installed pyzmq."""

from __future__ import annotations

from enum import Enum
from types import ModuleType
from typing import Any

import pytest

# Flat names carry a prefix that the members of these enums do not.
PREFIXES = {"Event": "EVENT_", "NormMode": "NORM_", "ReconnectStop": "RECONNECT_STOP_", "RouterNotify": "NOTIFY_"}

# zmqcore's own.
OWN = {"OptionType", "SPIN_US"}


@pytest.fixture
def theirs() -> Any:
    return pytest.importorskip("zmq.constants", reason="pyzmq is not installed")


def enums_of(module: Any) -> dict[str, Any]:
    members = {name: getattr(module, name) for name in module.__all__}
    enums = {name: value for name, value in members.items() if isinstance(value, type) and issubclass(value, Enum)}
    # pyzmq exports the empty base classes too.
    return {name: enum for name, enum in enums.items() if len(enum)}


def test_every_name_has_the_value_that_it_has_in_pyzmq(core: ModuleType, theirs: Any) -> None:
    flat = [name for name in theirs.__all__ if not isinstance(getattr(theirs, name), type)]
    assert len(flat) > 200
    wrong = {
        name: (getattr(core, name, None), getattr(theirs, name))
        for name in flat
        if getattr(core, name, None) != getattr(theirs, name)
        or type(getattr(core, name)).__name__ != type(getattr(theirs, name)).__name__
    }
    assert not wrong


def test_every_enum_has_the_members_that_it_has_in_pyzmq(core: ModuleType, theirs: Any) -> None:
    for name, enum in enums_of(theirs).items():
        ours = {member: int(value) for member, value in getattr(core, name).__members__.items() if member not in OWN}
        assert ours == {member: int(value) for member, value in enum.__members__.items()}, name


def test_nothing_else_is_exported(core: ModuleType, theirs: Any) -> None:
    assert set(core.constants.__all__) - set(theirs.__all__) == OWN


def test_each_option_takes_the_type_that_it_takes_in_pyzmq(core: ModuleType, theirs: Any) -> None:
    for name, option in theirs.SocketOption.__members__.items():
        assert core.SocketOption[name].option_type.value == option._opt_type.value, name
        assert core.constants.option_type(int(option)).value == option._opt_type.value, name


def test_flat_names_are_the_members_of_the_enums(core: ModuleType) -> None:
    enums = enums_of(core.constants)
    expected = {
        member if member.startswith("PROTOCOL_ERROR_") else PREFIXES.get(name, "") + member: value
        for name, enum in enums.items()
        if name != "OptionType"
        for member, value in enum.__members__.items()
    }
    flat = {name: getattr(core, name) for name in core.constants.__all__ if name not in enums}
    assert flat == expected
    assert all(type(flat[name]) is type(expected[name]) for name in flat)


def test_versions(zmq: ModuleType) -> None:
    assert zmq.zmq_version_info() == (4, 3, 5)
    assert zmq.zmq_version() == "4.3.5"
    assert zmq.COPY_THRESHOLD == 65536
    assert zmq.DRAFT_API is False
    assert zmq.IPC_PATH_MAX_LEN == 107


def test_has(zmq: ModuleType) -> None:
    assert zmq.has("ipc") is True
    assert zmq.has("no such thing") is False
    with pytest.raises(TypeError):
        zmq.has(5)
