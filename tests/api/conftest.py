"""Each test that asks for `zmq` runs twice: with pyzmq, whose answers are the measure, and with zmqcore.

ZMQCORE_TEST_IMPL=pyzmq or =zmqcore runs one of the two.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, finish

IMPLEMENTATIONS = ("pyzmq", "zmqcore")


def _chosen(name: str) -> bool:
    return os.environ.get("ZMQCORE_TEST_IMPL", name) == name


@pytest.fixture(params=[name for name in IMPLEMENTATIONS if _chosen(name)])
def zmq(request: pytest.FixtureRequest) -> ModuleType:
    """The library, as `import … as zmq` gives it."""
    name: str = request.param
    if name == "pyzmq":
        module: ModuleType = pytest.importorskip("zmq", reason="pyzmq is not installed")
        return module
    return importlib.import_module("zmqcore")


@pytest.fixture
def core() -> ModuleType:
    """zmqcore, for what pyzmq does not have, or cannot do without a crash."""
    if not _chosen("zmqcore"):
        pytest.skip("ZMQCORE_TEST_IMPL chose pyzmq")
    return importlib.import_module("zmqcore")


@pytest.fixture
def context(zmq: ModuleType) -> Iterator[Any]:
    made = zmq.Context()
    yield made
    finish(made)


@pytest.fixture
def sockets(zmq: ModuleType, context: Any) -> Sockets:
    return Sockets(zmq, context)


@pytest.fixture
def core_context(core: ModuleType) -> Iterator[Any]:
    made = core.Context()
    yield made
    finish(made)


@pytest.fixture
def core_sockets(core: ModuleType, core_context: Any) -> Sockets:
    return Sockets(core, core_context)
