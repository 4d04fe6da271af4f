"""The benches run, count what they say they count, and tell the truth about losses and failures."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("zmq", reason="every ratio is to pyzmq")

BENCH = Path(__file__).resolve().parents[2] / "bench"
IMPLS = "zmqcore,pyzmq"
CASES = {
    "throughput": [
        "pushpull-tcp-64",
        "pushpull-ipc-16-parts3",
        "pushpull-inproc-64",
        "pubsub-tcp-64",
        "pubsub-inproc-64-parts2",
        "pushpull-tcp-64-batch16",
        "pushpull-tcp-64-curve",
        "pushpull-tcp-64-asyncio",
    ],
    "latency": [
        "reqrep-tcp-64",
        "reqrep-ipc-1024-parts2",
        "reqrep-inproc-64-spin5",
        "reqrep-tcp-64-asyncio",
    ],
    "idle": ["bound-tcp-5-used", "connecting-ipc-5"],
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))

    def loaded(name: str) -> ModuleType:
        return importlib.import_module(name)

    return loaded


def run(name: str, folder: Path, *more: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    files = ["--json", str(folder / "it.json"), "--plot", str(folder / "it.png")]
    command = [sys.executable, str(BENCH / f"{name}.py"), "--rounds", "1", "--seconds", "0.01", *files, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    return done, json.loads((folder / "it.json").read_text()) if (folder / "it.json").exists() else {}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CASES)
def test_each_bench_measures_both_sides(name: str, tmp_path: Path) -> None:
    done, report = run(name, tmp_path, "--impl", IMPLS, "--cases", ",".join(CASES[name]))
    assert done.returncode == 0, done.stdout + done.stderr
    skipped = {(one["case"], one["contender"]) for one in report.get("skipped", [])}
    measured = {(row["case"], row["impl"]): row for row in report["rows"]}
    for case in CASES[name]:
        for impl in IMPLS.split(","):
            assert ((case, impl) in measured) != ((case, impl) in skipped)
    for row in measured.values():
        assert not row["failures"]
        assert not row["lost"]
    for case, contender in skipped:
        assert f"SKIPPED {case}, {contender}: " in done.stdout


@pytest.mark.timeout(120)
def test_a_contender_that_cannot_run_is_reported_and_fails_the_run(tmp_path: Path) -> None:
    done, report = run("throughput", tmp_path, "--impl", "nobody", "--cases", "pushpull-tcp-64")
    assert done.returncode == 1
    assert "FAILED pushpull-tcp-64, nobody: " in done.stdout
    assert "KeyError" in report["rows"][0]["failures"][0]


@pytest.mark.parametrize("name", ["throughput", "latency"])
def test_the_name_of_a_case_is_what_it_is_made_from(name: str, load: Any) -> None:
    bench = load(name)
    cases = bench.all_cases()
    assert len(set(cases)) == len(cases)
    assert {goal.case for goal in bench.GOALS} <= set(cases)
    assert [bench.Case.parse(case).name for case in cases] == cases
    with pytest.raises(ValueError, match="no such case"):
        bench.Case.parse(cases[0] + "-backwards")


def rows_of(load: Any, zmqcore: list[float], pyzmq: list[float], lost: int = 0) -> list[Any]:
    common = load("common")
    rows = [common.Row("it", impl, "msg/s") for impl in ("zmqcore", "pyzmq")]
    for row, speeds in zip(rows, (zmqcore, pyzmq)):
        row.samples = {at: common.Sample(speed, 0, {"ns": 1 / speed}) for at, speed in enumerate(speeds) if speed}
    if lost:
        rows[0].samples[0].lost = lost
    return rows


@pytest.mark.parametrize(
    ("zmqcore", "pyzmq", "lost", "said"),
    [
        ([5, 50, 5], [1, 10, 2], 0, "met"),  # ratios are taken within a round: 5, 5, 2.5
        ([4.9, 49, 49], [1, 10, 10], 0, "MISSED"),
        ([5, 50, 5], [1, 10, 1], 7, "MISSED, 7 lost"),
        ([5, 5, 0], [0, 0, 1], 0, "no figure"),  # no round that both have
    ],
)
def test_the_verdict_on_a_goal(
    zmqcore: list[float], pyzmq: list[float], lost: int, said: str, load: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    goals = load("goals")
    rows = rows_of(load, zmqcore, pyzmq, lost)
    asked = [goals.Goal("it", "throughput", None, 5), goals.Goal("not run", "throughput", None, 5)]
    (line,) = goals.lines_of(asked, rows, [])
    assert goals.verdict(line) == said
    goals.print_lines([line], [])
    assert said in capsys.readouterr().out


def test_a_goal_of_a_figure_is_an_upper_bound(load: Any) -> None:
    goals = load("goals")
    rows = rows_of(load, [4, 4, 4], [1, 1, 1])
    is_met = [goals.lines_of([goals.Goal("it", "CPU", "ns", bound)], rows, [])[0]["is_met"] for bound in (0.3, 0.2)]
    assert is_met == [True, False]
    (line,) = goals.lines_of([goals.Goal("it", "CPU itself", "ns", 0.25, reference="")], rows, [])
    assert line["is_met"] and line["ratio"]["median"] == 0.25
