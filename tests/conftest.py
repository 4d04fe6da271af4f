"""Fixtures for all tests: the two implementations, and peers that clean up after themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Peers, Side, load_side


@pytest.fixture(scope="session")
def local() -> Side:
    """The library under test. ZMQCORE_TEST_LOCAL=pyzmq puts libzmq in its place, to validate the tests."""
    return load_side("local", os.environ.get("ZMQCORE_TEST_LOCAL", "zmqcore"))


@pytest.fixture(scope="session")
def remote() -> Side:
    """libzmq, through pyzmq."""
    pytest.importorskip("zmq", reason="pyzmq is not installed")
    return load_side("remote", "pyzmq")


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Peers]:
    with Peers(tmp_path) as made:
        yield made
