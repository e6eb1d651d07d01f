"""Quotients of predicted and observed errors, theorem by theorem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from theory.reports.figures.style import FAINT, INK, SOFT, VERDICTS, heading, new_figure, plain_log, styled

__all__ = ["MOST", "draw", "grouped"]

Row = dict[str, Any]

# lines of a figure as tall as a page
MOST = 45
# beyond, the dots that matter would be crowded
LOWEST, HIGHEST = 1e-8, 1e8


def grouped(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the verdicts that have a slack by (method, theorem), in that order; not applicable ones are left out."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["method"], row["bound"], row["budget"])):
        slack = row.get("slack")
        if slack is not None and not np.isnan(slack) and slack > 0 and row["verdict"] in VERDICTS:
            found.setdefault((row["method"], row["bound"]), []).append(row)
    return found


@styled
def draw(rows: Sequence[Row]) -> Figure:
    """Draw one line per method and theorem, a dot per budget.

    Parameters
    ----------
    rows : sequence of dict
        Of kind "verdict".

    Returns
    -------
    Figure
        At most 45 lines: the refuted first, then those of least slack. Slacks beyond 1e-8 and 1e8 are drawn there.
    """
    lines = grouped(rows)
    if len(lines) > MOST:
        order = sorted(lines, key=lambda k: (all(r["verdict"] != "refuted" for r in lines[k]), _least(lines[k]), k))
        lines = {key: lines[key] for key in sorted(order[:MOST])}
    figure = new_figure(0.235 * max(2, len(lines)) + 1.5)
    heading(figure, "Slack of the theorems: predicted / observed (1 is sharp, below 1 contradicts)")
    ax = figure.subplots()
    if not lines:
        ax.set_axis_off()
        ax.text(0, 0.5, "no theorem with a slack", color=SOFT)
        return figure
    for position, entries in enumerate(lines.values()):
        slack = [_shown(row) for row in entries]
        ax.plot([min(slack), max(slack)], [position] * 2, color=FAINT, lw=2, zorder=1)
        for x, row in zip(slack, entries, strict=True):
            colour, marker = VERDICTS[row["verdict"]]
            ax.plot(x, position, color=colour, marker=marker, ms=5.5, ls="", mec="white", mew=0.5, label=row["verdict"])
    ax.axvline(1, color=INK, lw=1)
    ax.set_xscale("log")
    every = [_shown(row) for entries in lines.values() for row in entries]
    ax.set_xlim(min(0.5, min(every) / 1.5), max(10.0, max(every) * 1.6))
    ax.set_yticks(range(len(lines)), [f"{method}: {bound.replace('_', ' ')}" for method, bound in lines], fontsize=7.5)
    ax.set_ylim(len(lines) - 0.4, -0.6)
    plain_log(ax.xaxis, float(np.log10(ax.get_xlim()[1] / ax.get_xlim()[0])))
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("predicted / observed")
    used = {row["verdict"] for entries in lines.values() for row in entries}
    marks = [Line2D([], [], color=c, marker=m, ls="", ms=6, label=v) for v, (c, m) in VERDICTS.items() if v in used]
    figure.legend(handles=marks, loc="outside lower left", ncols=6)
    return figure


def _shown(row: Row) -> float:
    return min(max(float(row["slack"]), LOWEST), HIGHEST)


def _least(rows: Sequence[Row]) -> float:
    return min(float(row["slack"]) for row in rows)
