"""Fixtures of the tests that play a peer by hand; tests/faults uses them too."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.raw_peer import Rig

HERE = Path(__file__).resolve().parent
LOCAL = "zmq" if os.environ.get("ZMQCORE_TEST_LOCAL") == "pyzmq" else "zmqcore"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "unlike_libzmq: zmqcore does better on purpose; deselected for pyzmq")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.pluginmanager.hasplugin("timeout"):
        for item in items:
            if HERE.parent in item.path.parents and item.path.parent.name in ("spec", "faults"):
                item.add_marker(pytest.mark.timeout(60), append=False)
    if LOCAL == "zmqcore":
        return
    dropped = [item for item in items if item.get_closest_marker("unlike_libzmq")]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]


@pytest.fixture(scope="session")
def zmq() -> Any:
    """The implementation under test: zmqcore, or pyzmq when ZMQCORE_TEST_LOCAL=pyzmq (to test the tests)."""
    return importlib.import_module(LOCAL)


@pytest.fixture
def rig(zmq: Any) -> Iterator[Rig]:
    with Rig(zmq) as made:
        yield made
