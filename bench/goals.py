"""The goals of a bench: what zmqcore is to reach beside another implementation; and the report against them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common

AT_LEAST, AT_MOST = ">=", "<="


@dataclass(frozen=True)
class Goal:
    """A bound of a ratio to the reference, round by round; without a reference, of the figure itself."""

    case: str
    what: str
    figure: str | None  # None: speed
    bound: float
    contender: str = "zmqcore"
    reference: str = common.REFERENCE

    @property
    def sign(self) -> str:
        return AT_LEAST if self.figure is None else AT_MOST

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.figure is None else value <= self.bound

    def values(self, row: common.Row, rows: dict[tuple[str, str], common.Row]) -> list[float]:
        if not self.reference:
            return row.values(self.figure)
        base = rows.get((self.case, self.reference))
        return common.ratios(row, base, self.figure) if base else []


def chosen(wanted: Sequence[str] | None, goals: Sequence[Goal], every: Sequence[str]) -> list[str]:
    """The names of the cases to run: the wanted ones, `every` of them for `all`, or those of the goals."""
    if not wanted:
        return list(dict.fromkeys(goal.case for goal in goals))
    return list(every if wanted == ["all"] else wanted)


def lines_of(goals: Sequence[Goal], rows: Sequence[common.Row], others: Sequence[str]) -> list[dict[str, Any]]:
    """A line for each goal whose case was run; `others` are shown beside zmqcore."""
    found = {(row.case, row.impl): row for row in rows}
    cases = {row.case for row in rows}
    lines = []
    for goal in goals:
        row = found.get((goal.case, goal.contender))
        if goal.case not in cases or (row is None and goal.contender != "zmqcore"):
            continue
        value = common.spread(goal.values(row, found)) if row else None
        lost, failed = (row.lost, len(row.failures)) if row else (0, 0)
        beside = {impl: found[goal.case, impl] for impl in others if (goal.case, impl) in found}
        lines.append(
            {
                "case": goal.case,
                "what": goal.what,
                "contender": goal.contender,
                "reference": goal.reference,
                "sign": goal.sign,
                "bound": goal.bound,
                "ratio": value,
                "lost": lost,
                "failed": failed,
                "is_met": value is not None and not lost and goal.is_met(value["median"]),
                "others": {impl: common.spread(goal.values(other, found)) for impl, other in beside.items()},
            }
        )
    return lines


def verdict(line: dict[str, Any]) -> str:
    if line["ratio"] is None:
        return "FAILED" if line["failed"] else "no figure"
    text = "met" if line["is_met"] else "MISSED"
    if line["lost"]:
        text += f", {line['lost']:,} lost"
    return text + (f", {line['failed']} failed" if line["failed"] else "")


def print_lines(lines: Sequence[dict[str, Any]], others: Sequence[str]) -> None:
    table = [["case", "what", "of", "goal", "measured", "min", "max", *others, ""]]
    for line in lines:
        cells = [line["case"], line["what"], line["reference"] or "(itself)", f"{line['sign']} {line['bound']:.3g}"]
        cells += [f"{line['ratio'][key]:.3g}" if line["ratio"] else "-" for key in ("median", "min", "max")]
        for impl in others:
            other = line["others"].get(impl) if line["contender"] == "zmqcore" else None
            cells.append(f"{other['median']:.3g}" if other else "-")
        table.append([*cells, verdict(line)])
    print("\nGoals: ratios taken round by round (median, min, max)")
    common.print_columns(table, left=4, right_text=1)
    print(f"{sum(line['is_met'] for line in lines)} of {len(lines)} goals met")
    sys.stdout.flush()


def ratios_to_plot(row: common.Row, figure: str | None) -> dict[str, float] | None:
    return common.spread(row.ratios if figure is None else row.figure_ratios.get(figure, []))


def bars(rows: Sequence[common.Row], cases: list[str], impls: list[str], figure: str | None) -> Iterator[Any]:
    for row in rows:
        ratio = ratios_to_plot(row, figure)
        if row.impl in impls and ratio is not None:
            at = cases.index(row.case) + 0.8 * (impls.index(row.impl) + 0.5) / len(impls) - 0.4
            yield at, ratio, impls.index(row.impl)


def plot(
    rows: Sequence[common.Row], goals: Sequence[Goal], figures: Sequence[tuple[str | None, str]], file: Path
) -> None:
    """For each (figure, title) the ratio of every contender to the reference, with its span; the goals as ticks."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no plot", file=sys.stderr)
        return
    matplotlib.use("agg")
    from matplotlib import pyplot

    cases = list(dict.fromkeys(row.case for row in rows))
    impls = list(dict.fromkeys(row.impl for row in rows if row.impl != common.REFERENCE))
    if not impls:
        return
    width = 0.7 / len(impls)
    size = (2.5 + 4 * len(figures), 1.8 + 0.15 * len(cases) * len(impls))
    canvas, all_axes = pyplot.subplots(1, len(figures), sharey=True, figsize=size)
    for axes, (figure, title) in zip(all_axes, figures):
        for at, ratio, color in bars(rows, cases, impls, figure):
            middle = ratio["median"]
            span = [[middle - ratio["min"]], [ratio["max"] - middle]]
            axes.barh(at, middle, width, xerr=span, color=f"C{color}", error_kw={"lw": 0.7})
        for goal in goals:
            if goal.case in cases and goal.figure == figure and goal.reference == common.REFERENCE:
                at = cases.index(goal.case)
                axes.plot([goal.bound] * 2, [at - 0.45, at + 0.45], color="black", lw=1.5)
        axes.set_xscale("log")
        axes.axvline(1, color="grey", lw=0.7)
        axes.xaxis.set_minor_formatter("")
        axes.set_xlabel(title)
    all_axes[0].set_yticks(range(len(cases)), cases)
    all_axes[0].invert_yaxis()
    for impl in impls:
        all_axes[-1].plot([], [], color=f"C{impls.index(impl)}", lw=5, label=impl)
    canvas.legend(loc="upper right", ncols=len(impls))
    canvas.suptitle(f"Ratios to {common.REFERENCE} (median, min, max; black: goal)", x=0.01, ha="left", size="medium")
    canvas.tight_layout()
    canvas.savefig(file)
    pyplot.close(canvas)


def report(
    bench: str,
    title: str,
    rows: Sequence[common.Row],
    columns: Sequence[tuple[str, str]],
    goals: Sequence[Goal],
    others: Sequence[str],
    figures: Sequence[tuple[str | None, str]],
    options: argparse.Namespace,
    **more: object,
) -> int:
    """Prints the table and the verdicts, draws the plot, writes the JSON with `more` in it; the exit code."""
    common.print_table(title, rows, columns)
    lines = lines_of(goals, rows, others)
    if lines:
        print_lines(lines, others)
    plot(rows, goals, figures, options.plot)
    return common.finish(bench, rows, options, goals=lines, **more)
