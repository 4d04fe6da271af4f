"""The types of the public names, as a checker sees them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PROJECT

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed"),
    pytest.mark.timeout(300),
]


def mypy(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=PROJECT,
        env=dict(os.environ, MYPYPATH=str(PROJECT), MYPY_CACHE_DIR=str(cache)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_program_has_the_types_that_it_should(tmp_path: Path) -> None:
    done = mypy("mypy", "--strict", "--config-file", os.devnull, "tests/typing/sample.py", cache=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_has_no_type_errors(tmp_path: Path) -> None:
    done = mypy("mypy", cache=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


MODULES = ("core", "core_asyncio", "core_curve", "core_proxy", "errno", "frame", "pin")
STUBS = tuple(f"zmqcore._{name}" for name in MODULES)


def test_the_stub_says_what_the_module_has(tmp_path: Path) -> None:
    allowed = ("--allowlist", "tests/typing/stubtest.txt", "--ignore-unused-allowlist")
    done = mypy("mypy.stubtest", *STUBS, "--mypy-config-file", "pyproject.toml", *allowed, cache=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
