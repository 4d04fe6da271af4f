"""Runs a foreign test suite twice, without PYZMQ_BACKEND and with it, and compares which tests pass."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BACKEND = "zmqcore.pyzmq"
CACHE = Path(__file__).resolve().parents[2] / "build" / "foreign"


@dataclass
class Outcome:
    """What a run of a suite came to: the tests by how they ended."""

    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"


def fetched(project: str, version: str) -> Path:
    """The unpacked source distribution of a project, from PyPI or from an earlier run."""
    target = CACHE / f"{project}-{version}"
    if target.is_dir():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    # Only the project itself is built from source (pip asks it for its metadata); what builds it may be wheels.
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--no-binary", project, "--dest", str(CACHE), f"{project}=={version}"),
        ],
        check=True,
        timeout=900,
    )
    (archive,) = CACHE.glob(f"{project}-{version}.tar.gz")
    part = CACHE / f".{project}-{version}"
    with tarfile.open(archive) as source:
        if hasattr(tarfile, "data_filter"):
            source.extractall(part, filter="data")
        else:
            source.extractall(part)
    (part / f"{project}-{version}").rename(target)
    part.rmdir()
    return target


def run(
    where: Path, args: Sequence[str], *, on_engine: bool, workers: int = 2, timeout_s: int = 30, total_s: int = 900
) -> Outcome:
    """Runs pytest there. A test that hangs ends its worker, which is replaced; the whole run ends after total_s."""
    report = CACHE / f"report-{os.getpid()}.xml"
    environment = dict(os.environ)
    environment.pop("PYZMQ_BACKEND", None)
    if on_engine:
        environment["PYZMQ_BACKEND"] = BACKEND
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("-n", str(workers), "--max-worker-restart=50", "--timeout", str(timeout_s), "--timeout-method=thread"),
        *(f"--junit-xml={report}", "-o", "junit_family=xunit1"),
        *args,
    ]
    report.unlink(missing_ok=True)
    try:
        done = subprocess.run(
            command,
            cwd=where,
            env=environment,
            timeout=total_s,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output = done.stdout
    except subprocess.TimeoutExpired as error:
        output = f"{error.stdout!r}\nno end after {total_s} s"
    (CACHE / f"last-{'engine' if on_engine else 'libzmq'}.log").write_text(output)
    return read(report) if report.exists() else Outcome()


def read(report: Path) -> Outcome:
    """The outcome that a JUnit report tells."""
    outcome = Outcome()
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            outcome.failed.add(name)
        elif "skipped" in kinds:
            outcome.skipped.add(name)
        else:
            outcome.passed.add(name)
    # A test with an error in its end is there twice.
    outcome.passed -= outcome.failed
    report.unlink()
    return outcome


def compared(
    where: Path, args: Sequence[str], *, again: str = "", workers: int = 2, timeout_s: int = 30
) -> tuple[Outcome, Outcome]:
    """The outcomes on libzmq and on the engine. What fails on the engine alone has a second try, by itself."""
    libzmq = run(where, args, on_engine=False, workers=workers, timeout_s=timeout_s)
    print(f"libzmq: {libzmq}", flush=True)
    engine = run(where, args, on_engine=True, workers=workers, timeout_s=timeout_s)
    print(f"zmqcore: {engine}", flush=True)
    lost = sorted(libzmq.passed & engine.failed)
    if lost:
        names = {name.rpartition("::")[2].partition("[")[0] for name in lost}
        second = run(where, [*args, "-k", " or ".join(sorted(names))], on_engine=True, workers=1, timeout_s=timeout_s)
        engine.passed |= second.passed & set(lost)
        engine.failed -= second.passed
        print(f"zmqcore, after a second try of {len(lost)}: {engine}", flush=True)
    return libzmq, engine


def verdict(libzmq: Outcome, engine: Outcome, share: float, explained: Iterable[str]) -> bool:
    """Prints the comparison; whether enough of what passes on libzmq passes on the engine too."""
    kept = libzmq.passed & engine.passed
    known = list(explained)
    for name in sorted(libzmq.passed - kept):
        how = "skipped" if name in engine.skipped else "failed" if name in engine.failed else "not run"
        reason = next((line for line in known if f"`{name.rpartition('::')[2].partition('[')[0]}`" in line), None)
        print(f"  {how}: {name}{'' if reason else '  (not in the table of docs/pyzmq.md)'}")
    if not libzmq.passed:
        print("nothing passes on libzmq: the suite did not run")
        return False
    reached = len(kept) / len(libzmq.passed)
    print(f"{len(kept)} of {len(libzmq.passed)} that pass on libzmq pass on zmqcore: {reached:.1%}, {share:.0%} needed")
    # A closing line in the form that test runners have.
    print(f"{len(kept)} passed, {len(libzmq.passed) - len(kept)} failed")
    return reached >= share
