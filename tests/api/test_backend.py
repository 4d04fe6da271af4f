"""pyzmq on this engine: each case of backend_cases.py in a process that has loaded the backend."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed")

ROOT = Path(__file__).resolve().parents[2]
CASES = [
    node.name
    for node in ast.parse((Path(__file__).parent / "backend_cases.py").read_text()).body
    if isinstance(node, ast.FunctionDef) and not node.args.args and isinstance(node.returns, ast.Constant)
]


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error::ResourceWarning", *args],
        cwd=ROOT,
        env=os.environ | {"PYZMQ_BACKEND": "zmqcore.pyzmq"},
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.mark.parametrize("case", CASES)
def test_backend(case: str) -> None:
    done = run("-m", "tests.api.backend_cases", case)
    assert done.returncode == 0, done.stderr


def test_the_module_can_be_imported_before_pyzmq() -> None:
    done = run("-c", "import zmqcore.pyzmq, zmq; assert zmq.backend.Socket is zmqcore.pyzmq.Socket")
    assert done.returncode == 0, done.stderr
