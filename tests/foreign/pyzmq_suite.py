"""pyzmq's own test suite on this engine, against the same on libzmq. `make test-pyzmq` runs it.

The suite is that of the installed pyzmq's version, from its source distribution, which is fetched and never kept in
the tree.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from suites import compared, fetched, verdict

SHARE = 0.97
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "pyzmq.md"


def main() -> int:
    source = fetched("pyzmq", version("pyzmq"))
    with tempfile.TemporaryDirectory() as scratch:
        # Away from the sources of pyzmq, so that the installed one is tested.
        where = Path(scratch)
        shutil.copytree(source / "tests", where / "tests")
        shutil.copy(source / "pytest.ini", where)
        libzmq, engine = compared(where, sys.argv[1:])
    table = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    return 0 if verdict(libzmq, engine, SHARE, table) else 1


if __name__ == "__main__":
    sys.exit(main())
