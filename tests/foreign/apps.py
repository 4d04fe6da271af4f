"""Programs that are built on pyzmq, on this engine and on libzmq. `make test-apps` runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from suites import BACKEND, compared, fetched, verdict

HERE = Path(__file__).resolve().parent


def aiozmq() -> bool:
    """aiozmq's own suite. rpc_test.py does not run on Python 3.11 and later."""
    where = fetched("aiozmq", "1.0.0")
    files = sorted(str(path.relative_to(where)) for path in where.glob("tests/*_test.py") if path.name != "rpc_test.py")
    libzmq, engine = compared(where, files)
    return verdict(libzmq, engine, 1.0, [])


def program(name: str) -> bool:
    """A program of ours that uses the library; it fails by its exit code."""
    codes = []
    for backend in (None, BACKEND):
        environment = dict(os.environ)
        environment.pop("PYZMQ_BACKEND", None)
        if backend:
            environment["PYZMQ_BACKEND"] = backend
        try:
            done = subprocess.run([sys.executable, str(HERE / f"{name}.py")], env=environment, timeout=240)
            codes.append(done.returncode)
        except subprocess.TimeoutExpired:
            codes.append(-1)
    print(f"{name}: exit codes on libzmq and on zmqcore: {codes}", flush=True)
    return codes == [0, 0]


def main() -> int:
    jobs = {"aiozmq": aiozmq}
    jobs.update({path.stem: lambda name=path.stem: program(name) for path in sorted(HERE.glob("app_*.py"))})
    wanted = sys.argv[1:] or list(jobs)
    failed = []
    for name in wanted:
        print(f"== {name}", flush=True)
        if not jobs[name]():
            failed.append(name)
    print(f"{len(wanted) - len(failed)} passed, {len(failed)} failed{': ' + ', '.join(failed) if failed else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
