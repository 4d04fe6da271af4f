"""Runs every bench with short defaults and prints one table.

    python bench/run.py [--rounds 3] [--json FILE] [--only thr,lat] [--plot FILE]

Each bench runs alone, one after the other; its own table gives way to the one of this file. `--plot` needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import common

CASE_LIMIT_S = 1800
BENCHES: dict[str, list[str]] = {
    "thr": ["thr.py", "--sizes", "16,1024,65536", "--count", "50000"],
    "thr_ipc": ["thr.py", "--transport", "ipc", "--sizes", "64", "--count", "50000"],
    "lat": ["lat.py", "--count", "3000"],
    "inproc_thr": ["inproc_thr.py", "--sizes", "16,65536", "--count", "50000"],
    "proxy_thr": ["proxy_thr.py", "--count", "1000000"],
}
COST_NAMES = ("proxy_ns", "cpu_ns", "send_ns", "recv_ns", "client_us", "server_us")
UNITS = {"ns": 1.0, "us": 1000.0}


def run_one(name: str, rounds: int, extra: list[str]) -> tuple[dict[str, Any] | None, int]:
    file, *arguments = BENCHES[name]
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        command = [sys.executable, str(common.BENCH / file), *arguments, "--rounds", str(rounds), "--json", str(report)]
        code = subprocess.run(command + extra, stdout=subprocess.DEVNULL, timeout=CASE_LIMIT_S, check=False).returncode
        return (json.loads(report.read_text()) if report.exists() else None), code


def cost_ns(figures: dict[str, float | None]) -> str:
    """CPU of all measured ZeroMQ processes for one message or round trip."""
    parts = [(name, figures[name]) for name in COST_NAMES if figures.get(name) is not None]
    return common.number(sum(UNITS[name[-2:]] * float(value or 0) for name, value in parts)) if parts else "-"


def lines_of(report: dict[str, Any]) -> list[list[str]]:
    lines = []
    for row in report["rows"]:
        speed = next((value for key, value in row.items() if key.endswith("/s")), None)
        ratio = row["ratio"]
        ratios = [f"{ratio[key]:.2f}" for key in ("median", "min", "max")] if ratio else ["-"] * 3
        figures = row["figures"]
        round_trip = [common.number(figures.get(name)) for name in ("p50_us", "p99_us")]
        speed_text = common.number(speed["median"]) if speed else "failed"
        cells = [report["bench"], row["case"], row["impl"], speed_text, *ratios, cost_ns(figures)]
        lines.append([*cells, *round_trip, f"{row['lost']:,}"])
    return lines


HEAD = ["bench", "case", "implementation", "per second", "ratio", "min", "max", "ns CPU", "p50 us", "p99 us", "lost"]


def print_lines(lines: list[list[str]]) -> None:
    widths = [max(len(line[i]) for line in [HEAD, *lines]) for i in range(len(HEAD))]
    for line in [HEAD, *lines]:
        cells = [text.ljust(widths[i]) if i < 3 else text.rjust(widths[i]) for i, text in enumerate(line)]
        print("  ".join(cells).rstrip())


def plot(reports: list[dict[str, Any]], file: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no plot", file=sys.stderr)
        return
    matplotlib.use("agg")
    from matplotlib import pyplot

    rows = [(report["bench"], row) for report in reports for row in report["rows"] if row["ratio"]]
    rows = [(bench, row) for bench, row in rows if row["impl"] != common.REFERENCE]
    figure, axes = pyplot.subplots(figsize=(8, 1 + 0.25 * len(rows)))
    middles = [row["ratio"]["median"] for _, row in rows]
    spans = [[m - row["ratio"]["min"] for m, (_, row) in zip(middles, rows)]]
    spans += [[row["ratio"]["max"] - m for m, (_, row) in zip(middles, rows)]]
    axes.barh([f"{bench} {row['case']} {row['impl']}" for bench, row in rows], middles, xerr=spans)
    axes.axvline(1, color="black")
    axes.invert_yaxis()
    axes.set_xlabel(f"speed / {common.REFERENCE} (median, min, max)")
    figure.tight_layout()
    figure.savefig(file)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--plot", metavar="FILE", type=Path)
    parser.add_argument("--only", type=common.names, default=list(BENCHES), help="of: " + ", ".join(BENCHES))
    parser.add_argument("--impl", help="passed on to every bench that knows all of them")
    options = parser.parse_args()
    reports, worst = [], 0
    for name in options.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        report, code = run_one(name, options.rounds, ["--impl", options.impl] if options.impl else [])
        worst = max(worst, code)
        if report is None:
            print(f"FAILED {name}: exit code {code}, no report", file=sys.stderr)
            continue
        reports.append(report)
    print_lines([line for report in reports for line in lines_of(report)])
    for report in reports:
        for row in report["rows"]:
            for failure in row["failures"]:
                print(f"FAILED {report['bench']} {row['case']}, {row['impl']}: {failure}")
    info = common.machine()
    versions = ", ".join(f"{name} {text}" for name, text in info["versions"].items())
    print(f"\nratio: against {common.REFERENCE} in the same round, above 1 is faster; {options.rounds} rounds")
    print(f"{versions}; Python {info['python']}, {info['cpus']} CPUs, load {info['load']:.1f}, {info['system']}")
    if options.json:
        options.json.write_text(json.dumps({"machine": info, "reports": reports}, indent=1) + "\n")
    if options.plot:
        plot(reports, options.plot)
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
