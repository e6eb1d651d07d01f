"""Rankings of the methods at equal cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from theory.reports import html
from theory.reports.results import Results
from theory.studies.ranking import LEVELS, Ranking, rankings
from theory.studies.summary import lines

__all__ = ["section"]


def section(results: Results, name: str) -> tuple[str, str]:
    """Return the rankings and the table of everything."""
    rows = [row for row in results.rows if row.get("problem") == name]
    tokens = int(results.specification.get("keys") or 0)
    parts = [html.paragraph(
        "Median relative output error over heads at a share of the cost of exact attention, interpolated "
        "between budgets; in brackets the place. Oracles read the exact weights and have no place; controls are in "
        "italics. A dash: the smallest budget costs more.")]  # fmt: skip
    made = rankings(rows, tokens=tokens)
    for measure in dict.fromkeys(ranking.measure for ranking in made):
        parts.append(_table(measure, [ranking for ranking in made if ranking.measure == measure]))
    summary = [
        (
            line.method, line.family, line.budget or None, line.error, line.low, line.high, line.weights,
            line.predicted, line.vacuous if line.predicted is not None else None, line.sense or None,
            line.certified, line.covered, line.certified_cost,
            line.verdict or None, line.flops, line.storage, line.state, line.time, line.trials,
            ", ".join(line.marks) or None,
        )
        for line in lines(rows)
    ]  # fmt: skip
    headers = (
        "method", "family", "budget", "error", "95 % from", "to", "error of weights", "predicted", "vacuous", "holds",
        "certified", "for a share of the rows", "cost of that", "verdicts", "flops", "storage", "state", "time",
        "trials", "notes",
    )  # fmt: skip
    caption = (
        "Errors are medians over heads and trials, certified ones of a row relative to its size; flops, storage, state "
        "and time are relative to exact attention."
    )
    everything = html.table(headers, summary, caption=caption)
    parts.append(html.details(f"every method at every budget ({len(summary)} rows)", everything))
    return html.section("Ranking", *parts)


def _table(measure: str, made: Sequence[Ranking]) -> str:
    words = {"flops": "operations", "state": "state kept per token", "time": "time"}
    cells: dict[str, dict[float, str]] = {}
    order: dict[str, tuple[Any, ...]] = {}
    # by method: the same for every level
    control, times, notes = set(), {}, dict[str, str]()
    for ranking in made:
        for oracle, places in ((False, ranking.places), (True, ranking.oracles)):
            for position, place in enumerate(places, 1):
                text = html.number(place.error) + ("" if oracle else f" ({position})")
                cells.setdefault(place.method, {})[ranking.level] = text
                # the place at the largest level decides: there, most methods can be had
                order[place.method] = (oracle, -ranking.level, position)
                times[place.method] = place.time
                if place.control:
                    control.add(place.method)
                if place.violates:
                    notes[place.method] = f"violates {', '.join(place.violates)}"
                if oracle:
                    notes[place.method] = "oracle"
    names = sorted(cells, key=lambda method: (*order[method], method))
    table = [
        (
            name, *(cells[name].get(level) for level in LEVELS),
            html.number(times.get(name)), notes.get(name, ""),
        )
        for name in names
    ]  # fmt: skip
    muted = [i for i, name in enumerate(names) if name in control]
    headers = ("method", *(f"at {level:g}" for level in LEVELS), "time / exact", "")
    dear = [method for method in made[-1].too_dear if method not in cells]
    note = html.paragraph(f"Too dear at every share: {', '.join(dear)}.") if dear else ""
    caption = f"At equal {words[measure]}, relative to exact attention"
    return html.table(headers, table, caption=caption, muted=muted) + note
