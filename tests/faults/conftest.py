"""The fixtures of tests/spec, here too."""

from __future__ import annotations

from tests.spec.conftest import pytest_collection_modifyitems, pytest_configure, rig, zmq

__all__ = ["pytest_collection_modifyitems", "pytest_configure", "rig", "zmq"]
