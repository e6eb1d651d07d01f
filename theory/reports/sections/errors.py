"""Figures of error against budget and against cost, with their numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from theory.reports import html
from theory.reports.curves import Curve, best_rank
from theory.reports.figures import error_budget, frontier, style
from theory.reports.results import Results

__all__ = ["against_budget", "against_cost"]

Budgets = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

BUDGET_CAPTION = (
    "One panel per family. Line: median over heads and trials; band: 10 to 90 %. Dashed in the same colour: what the "
    "best applicable theorem predicts for the median head; a cross marks predictions above 1, which say nothing. The "
    "lines in grey and black are the controls; a method above them is not worth its cost. What lies outside the axes "
    "is drawn on their edge."
)


def against_budget(results: Results, name: str, found: list[Curve], look: dict[str, style.Look]) -> tuple[str, str]:
    """Return the figure of error against budget with its numbers."""
    best = best_rank(results.of("floor", name))
    figure = error_budget.draw(found, look, best)
    figure.savefig(results.folder / "error_against_budget.png", dpi=100, metadata={"Software": None})
    drawing = style.svg(
        figure,
        name=html.identifier("error", name),
        label=f"Relative output error against budget for {len(found)} methods on {name}; numbers in the table below",
    )
    missing = [
        html.paragraph("No theorem is about these methods on this problem, so nothing is predicted.", missing=True)
        if not results.of("prediction", name)
        else "",
        html.paragraph("The best rank-m errors were not computed (too many tokens, or interrupted).", missing=True)
        if not len(best[0])
        else "",
    ]
    return html.section(
        "Error against budget",
        html.figure(drawing, BUDGET_CAPTION),
        *missing,
        html.details("the numbers of this figure", _numbers(found, best)),
    )


def _numbers(found: list[Curve], best: tuple[Budgets, Values]) -> str:
    """Return the table of the curves, and that of the best rank-m errors where they are known."""
    rows = [
        (
            curve.method, int(budget) or None, *(float(x) for x in point[:4]),
            bool(vacuous) if np.isfinite(point[3]) else None, *(float(x) for x in point[4:]),
        )
        for curve in found
        for budget, vacuous, *point in zip(
            curve.budgets, curve.vacuous, curve.median, curve.low, curve.high, curve.predicted, curve.projected,
            curve.flops, curve.time, strict=True,
        )
    ]  # fmt: skip
    headers = ("method", "budget", "median", "10 %", "90 %", "predicted", "vacuous", "projected", "flops", "time")
    optimal = [(str(m), *(float(x) for x in q)) for m, q in zip(*best, strict=True)]
    if not optimal:
        return html.table(headers, rows)
    caption = "Best rank-m relative error of the weights"
    return html.table(headers, rows) + html.table(("budget", "median", "10 %", "90 %"), optimal, caption=caption)


def against_cost(name: str, found: list[Curve], look: dict[str, style.Look]) -> tuple[str, str]:
    """Return the figure of error against time and operations."""
    timed = any(np.isfinite(curve.time).any() for curve in found)
    drawing = style.svg(
        frontier.draw(found, look),
        name=html.identifier("frontier", name),
        label=f"Median relative output error against time and flops relative to exact attention on {name}",
    )
    caption = (
        "Each path is one method over its budgets. Left: time measured beside exact attention in the same run; right: "
        "operations counted. Oracles (open marks) are no part of the frontier; a cost of zero is drawn at the "
        "left edge. "
        "Below some thousand tokens times measure the overhead of calls more than the methods."
    )
    missing = html.paragraph("No times were measured (they come last; was the run interrupted?).", missing=True)
    return html.section(
        "Error against cost",
        html.figure(drawing, caption if timed else caption.replace("Left: time", "Not here: time")),
        "" if timed else missing,
        html.paragraph("The numbers are in the table of the previous figure (columns median, flops, time)."),
    )
