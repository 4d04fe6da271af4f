"""What a program can write down: classes, methods and the names of their parameters, as in pyzmq."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

CLASSES = ("Context", "Frame", "MessageTracker", "Poller", "Socket")
FUNCTIONS = ("device", "has", "proxy", "proxy_steerable", "select", "strerror", "zmq_errno", "zmq_poll")
EXCEPTIONS = (
    "Again",
    "ContextTerminated",
    "InterruptedSystemCall",
    "NotDone",
    "ZMQBaseError",
    "ZMQBindError",
    "ZMQError",
    "ZMQVersionError",
)

# Draft API, handles of libzmq, and pyzmq's private parts.
NOT_HERE = {
    "Context": {"shadow", "shadow_pyczmq", "underlying"},
    "Frame": {"group", "routing_id", "tracker_event"},
    "MessageTracker": set(),
    "Poller": set(),
    "Socket": {"join", "leave", "shadow"},
}
DRAFT_PARAMETERS = {"group", "routing_id"}


@pytest.fixture
def theirs() -> Any:
    return pytest.importorskip("zmq", reason="pyzmq is not installed")


def public(owner: Any) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


def parameters(function: Any) -> list[str]:
    names = inspect.signature(function).parameters
    return [name for name in names if name not in DRAFT_PARAMETERS and names[name].kind.name != "VAR_KEYWORD"]


@pytest.mark.parametrize("name", CLASSES)
def test_methods(core: Any, theirs: Any, name: str) -> None:
    missing = public(getattr(theirs, name)) - public(getattr(core, name)) - NOT_HERE[name]
    assert not missing


@pytest.mark.parametrize("name", CLASSES)
def test_parameters_of_methods(core: Any, theirs: Any, name: str) -> None:
    ours, original = getattr(core, name), getattr(theirs, name)
    for method in sorted(public(original) - NOT_HERE[name]):
        if inspect.isroutine(getattr(original, method)):
            expected = parameters(getattr(original, method))
            assert parameters(getattr(ours, method))[: len(expected)] == expected, method


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_of_functions(core: Any, theirs: Any, name: str) -> None:
    expected = parameters(getattr(theirs, name))
    assert parameters(getattr(core, name))[: len(expected)] == expected


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_bases_of_exceptions(core: Any, theirs: Any, name: str) -> None:
    assert [base.__name__ for base in getattr(core, name).__mro__] == [
        base.__name__ for base in getattr(theirs, name).__mro__
    ]


def test_all_names_exist_once(core: Any) -> None:
    assert len(set(core.__all__)) == len(core.__all__)
    assert not [name for name in core.__all__ if not hasattr(core, name)]


def test_modules_that_programs_name(zmq: Any) -> None:
    assert zmq.error.ZMQError is zmq.ZMQError
    assert zmq.error.Again is zmq.Again
    assert zmq.constants.SocketType is zmq.SocketType
