"""Verdicts on the theorems, with slack, figure and explanation of the words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from theory.reports import html
from theory.reports.figures import slack, style
from theory.reports.results import Results
from theory.statistics.verdict import Verdict

__all__ = ["VOCABULARY", "section"]

Row = dict[str, Any]

VOCABULARY = (
    (Verdict.REFUTED, "The observations contradict the theorem (or its implementation, or its hypotheses) at a stated "
     "level of error, corrected for the number of statements tried. Look here first."),
    (Verdict.SUPPORTED, "The observations would be unlikely if the statement were false by a stated margin. A "
     "theorem is "
     "proved by its proof, never by runs."),
    (Verdict.NOT_CONTRADICTED, "Nothing speaks against the theorem, but the runs are too few or too scattered to speak "
     "for it."),
    (Verdict.VACUOUS, "The hypotheses hold, but the bound exceeds what is trivially true (for instance a "
     "relative error "
     "above 1), so it says nothing here."),
    (Verdict.NOT_APPLICABLE, "A hypothesis does not hold on this problem, so the theorem is silent; the detail "
     "names it."),
    (Verdict.FAILED, "The theorem could not be evaluated: it raised an error, or its right-hand side is no number or a "
     "negative bound on an error. A defect of the theorem's code, not of the method; the detail names it."),
    (Verdict.CONSISTENT, "A rate without constants was stated; the measured slope agrees with it."),
    (Verdict.INCONSISTENT, "A rate without constants was stated; the measured slope disagrees with it."),
)  # fmt: skip


def section(results: Results, name: str) -> tuple[str, str]:
    """Return the verdicts with slack, figure and explanation of the words."""
    rows = results.of("verdict", name)
    words = html.details(
        "what the verdicts mean", html.definitions((str(v).capitalize(), text) for v, text in VOCABULARY)
    )
    if not rows:
        return html.section("Verdicts on the theorems", html.paragraph(
            "No theorem about these methods was tested in this run.", missing=True), words)  # fmt: skip
    counts = Counter(row["verdict"] for row in rows)
    said = ", ".join(f"{counts[str(v)]} {v}" for v, _ in VOCABULARY if counts[str(v)])
    theorems = _by_theorem(rows)
    silent = {key for key, entries in theorems.items() if all(e["verdict"] == Verdict.NOT_APPLICABLE for e in entries)}
    headers = ("method", "theorem", "verdict", "least slack", "largest slack", "budgets", "source")
    summary = html.table(headers, [_summary(key, found) for key, found in theorems.items() if key not in silent])
    full = html.table(
        ("method", "budget", "theorem", "verdict", "slack", "trials", "p-value", "guarantee", "detail"),
        [
            (
                row["method"], row["budget"] or None, row["bound"], row["verdict"], row.get("slack"), row.get("trials"),
                row.get("p_value"), row.get("guarantee"), row.get("detail"),
            )
            for row in rows
        ],
    )  # fmt: skip
    return html.section(
        "Verdicts on the theorems", html.paragraph(f"{len(rows)} statements tried: {said}."), words,
        _figure(rows, name), summary,
        html.details(f"all {len(rows)} verdicts; {len(silent)} theorems never apply, and why", full),
    )  # fmt: skip


def _figure(rows: Sequence[Row], name: str) -> str:
    """Return the figure of slack; empty where no verdict has one."""
    grouped = slack.grouped(rows)
    if not grouped:
        return ""
    shown = min(len(grouped), slack.MOST)
    drawing = style.svg(
        slack.draw(rows),
        name=html.identifier("slack", name),
        label=f"Predicted over observed for {shown} pairs of method and theorem on {name}",
    )
    caption = (
        f"A dot per budget for {shown} of {len(grouped)} pairs of method and theorem. 1: the theorem is sharp; "
        "100: it predicts a hundred times the error seen. For lower bounds the reciprocal is drawn."
    )
    return html.figure(drawing, caption)


def _by_theorem(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Group verdicts by method and theorem, the refuted first."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row["method"], row["bound"]), []).append(row)
    gravity = {str(verdict): i for i, (verdict, _) in enumerate(VOCABULARY)}
    order = sorted(grouped, key=lambda key: (min(gravity.get(r["verdict"], 0) for r in grouped[key]), key))
    return {key: grouped[key] for key in order}


def _summary(key: tuple[str, str], rows: Sequence[Row]) -> tuple[Any, ...]:
    counts = Counter(row["verdict"] for row in rows)
    known = [float(row["slack"]) for row in rows if row.get("slack") is not None and np.isfinite(row["slack"])]
    order = [str(verdict) for verdict, _ in VOCABULARY if counts[str(verdict)]]
    said = order[0] if len(order) == 1 else ", ".join(f"{counts[verdict]} {verdict}" for verdict in order)
    tried = [int(row["budget"]) for row in rows if row["budget"]]
    budgets = "" if not tried else f"{tried[0]}" if len(tried) == 1 else f"{min(tried)} to {max(tried)}"
    least, most = (min(known), max(known)) if known else (None, None)
    return (*key, said, least, most, budgets or None, rows[0].get("source"))
