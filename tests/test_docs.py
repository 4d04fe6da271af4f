"""Every Python sample of README.md and docs/ is run as it stands, each in an interpreter of its own.

A sample that never ends by itself is fenced as ```python no-run and only compiled.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zmqcore

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
PACKAGE_FOLDER = Path(zmqcore.__file__).resolve().parent.parent
SAMPLE_LIMIT_S = 30


def samples() -> list[pytest.ParameterSet]:
    found = []
    for path in DOCUMENTS:
        text = path.read_text()
        for match in re.finditer(r"^```python *([^\n]*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
            info, code = match.groups()
            line = text.count("\n", 0, match.start()) + 2
            found.append(pytest.param(path, line, info.strip(), code, id=f"{path.name}:{line}"))
    return found


SAMPLES = samples()


def test_there_are_samples_to_run() -> None:
    assert [sample for sample in SAMPLES if sample.values[2] != "no-run"]


@pytest.mark.parametrize(("path", "line", "info", "code"), SAMPLES)
def test_sample(path: Path, line: int, info: str, code: str, tmp_path: Path) -> None:
    assert info in ("", "no-run"), f"unknown word behind the fence: {info}"
    # Empty lines in front make a traceback point at the line of the document.
    program = "\n" * (line - 1) + code
    compile(program, str(path), "exec")
    if info == "no-run":
        return
    file = tmp_path / f"{path.stem}_sample.py"
    file.write_text(program)
    done = subprocess.run(
        [sys.executable, "-X", "dev", str(file)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PACKAGE_FOLDER)},
        capture_output=True,
        text=True,
        timeout=SAMPLE_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr, done.stderr
