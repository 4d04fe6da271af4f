"""Exceptions by themselves: errno, text, bases, pickling."""

from __future__ import annotations

import errno
import os
import pickle
from types import ModuleType

import pytest

OWN_TEXTS = {
    "EHOSTUNREACH": "Host unreachable",
    "EFSM": "Operation cannot be accomplished in current state",
    "ENOCOMPATPROTO": "The protocol is not compatible with the socket type",
    "ETERM": "Context was terminated",
    "EMTHREAD": "No thread available",
}


def test_an_errno_brings_its_text(zmq: ModuleType) -> None:
    error = zmq.ZMQError(errno.EINVAL)
    assert (error.errno, error.strerror, str(error)) == (errno.EINVAL, "Invalid argument", "Invalid argument")
    assert repr(error) == "ZMQError('Invalid argument')"


def test_a_message_replaces_the_text(zmq: ModuleType) -> None:
    error = zmq.ZMQError(errno=errno.EINVAL, msg="bad luck")
    assert (error.errno, str(error)) == (errno.EINVAL, "bad luck")


def test_without_an_errno(zmq: ModuleType) -> None:
    assert str(zmq.ZMQError("bad luck")) == "bad luck"
    assert zmq.ZMQError("bad luck").errno is None


@pytest.mark.parametrize(("name", "text"), OWN_TEXTS.items())
def test_texts_of_the_own_errnos(zmq: ModuleType, name: str, text: str) -> None:
    number = getattr(zmq, name)
    assert zmq.strerror(number) == text
    assert str(zmq.ZMQError(number)) == text


@pytest.mark.parametrize("number", [0, errno.EAGAIN, errno.ENOTSUP, 99999])
def test_texts_of_the_system_errnos(zmq: ModuleType, number: int) -> None:
    assert zmq.strerror(number) == os.strerror(number)


@pytest.mark.parametrize(
    ("name", "number"), [("Again", "EAGAIN"), ("ContextTerminated", "ETERM"), ("InterruptedSystemCall", None)]
)
def test_the_three_with_an_errno_of_their_own(zmq: ModuleType, name: str, number: str | None) -> None:
    expected = errno.EINTR if number is None else getattr(zmq, number)
    kind = getattr(zmq, name)
    # Whatever they are given, they stay what they are.
    for error in (kind(), kind(5), kind(5, "other")):
        assert error.errno == expected
        assert str(error).startswith(zmq.strerror(expected))
        assert isinstance(error, zmq.ZMQError)
    assert issubclass(zmq.InterruptedSystemCall, InterruptedError)


def test_the_exceptions_without_an_errno(zmq: ModuleType) -> None:
    assert str(zmq.ZMQBindError("no port")) == "no port"
    assert not issubclass(zmq.NotDone, zmq.ZMQError)
    error = zmq.ZMQVersionError("5.0", "flying")
    assert isinstance(error, NotImplementedError)
    assert (error.min_version, error.msg, error.version) == ("5.0", "flying", "4.3.5")
    assert str(error).startswith("flying ")


@pytest.mark.parametrize("name", ["Again", "ContextTerminated", "ZMQError"])
def test_exceptions_can_be_pickled(zmq: ModuleType, name: str) -> None:
    kind = getattr(zmq, name)
    error = kind(errno.EFAULT, "told") if name == "ZMQError" else kind()
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.errno, str(again)) == (kind, error.errno, str(error))


def test_error_for_chooses_the_class(core: ModuleType) -> None:
    from zmqcore.errors import error_for

    assert type(error_for(errno.EAGAIN)) is core.Again
    assert type(error_for(core.ETERM)) is core.ContextTerminated
    assert type(error_for(errno.EINTR)) is core.InterruptedSystemCall
    other = error_for(errno.EINVAL, "told")
    assert (type(other), other.errno, str(other)) == (core.ZMQError, errno.EINVAL, "told")
