"""Summary of a comparison: one line per method and budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from theory.comparison.table import shortened
from theory.statistics.intervals import median_interval
from theory.statistics.verdict import Verdict

__all__ = ["Line", "lines"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """Results of a method at a budget.

    Parameters
    ----------
    method, family : str
    budget : int
        0 for a method without budget.
    control, oracle, leaks : bool
    error, low, high : float
        Median of the relative output error over trials and heads, and its 95 % interval; a bad row makes it infinite.
    weights : float or None
        Median relative error of the weights.
    predicted : float or None
        Median over the heads of the best bound on the relative output error.
    vacuous : bool
        True if that is at least 1, the error of the zero output.
    sense : str
        Guarantee of that bound: "always", "in expectation" (then a single error may be larger) or "with probability";
        ", after the run" where the theorem reads the result. Empty where nothing is predicted.
    verdict : str
        Verdicts on the theorems about the method.
    flops, storage, state : float
        Relative to exact attention.
    time : float or None
        Relative to exact attention in the same run.
    certified : float or None
        Median over trials and heads of the certified relative error of nearly all rows; ``covered`` says how many.
    covered, certified_cost : float or None
        Share of the rows that are certified, and cost of that relative to exact attention.
    marks : tuple of str
        "loses to mean(V) and window" or to one of them, "violates P1", "leaks later queries", "3 bad rows".
    trials : int
    projected : float or None
        As ``error``, of the output projected on a ball around the values, where bad rows become its centre.

    Examples
    --------
    >>> from theory.studies import lines
    >>> flags = {"status": "done", "kind": "trial", "oracle": False, "control": False, "leaks": False, "bad_rows": 0}
    >>> sizes = {"flops": 0.2, "storage": 0.3, "state": 0.3, "relative_output": [0.2, 0.4], "relative_weights": None}
    >>> lines([flags | sizes | {"method": "Performer", "family": "random_features", "budget": 8}])
    [<Performer at 8: error 0.3; no theorem>]
    """

    method: str
    family: str
    budget: int
    control: bool
    oracle: bool
    leaks: bool
    error: float
    low: float
    high: float
    weights: float | None
    predicted: float | None
    vacuous: bool
    sense: str
    verdict: str
    flops: float
    storage: float
    state: float
    time: float | None
    marks: tuple[str, ...]
    trials: int
    projected: float | None = None
    certified: float | None = None
    covered: float | None = None
    certified_cost: float | None = None

    def __repr__(self) -> str:
        budget = f" at {self.budget}" if self.budget else ""
        known = "" if self.predicted is None else f", predicted {self.predicted:.3g} {self.sense}"
        return f"<{self.method}{budget}: error {self.error:.3g}{known}; {shortened(self.verdict) or 'no theorem'}>"


def lines(rows: Iterable[Row]) -> list[Line]:
    """Return one line per method and budget, controls first, in the order of the rows.

    Parameters
    ----------
    rows : iterable of dict
        From ``theory.studies.attention.load``.
    """
    grouped: dict[tuple[str, int], dict[str, list[Row]]] = {}
    for row in rows:
        if row.get("status") == "done" and "method" in row:
            kinds = grouped.setdefault((row["method"], row["budget"]), {})
            kinds.setdefault(row["kind"], []).append(row)
    made = [_line(kinds) for kinds in grouped.values() if "trial" in kinds]
    baselines = {(line.method, line.budget): line.error for line in made if line.control}
    marked = [_marked(line, baselines) for line in made]
    return sorted(marked, key=lambda line: not line.control)


def _line(kinds: dict[str, list[Row]]) -> Line:
    trials = kinds["trial"]
    first = trials[0]
    error, low, high = pooled([row["relative_output"] for row in trials])
    prediction = next(iter(kinds.get("prediction", [])), None)
    timed = next(iter(kinds.get("time", [])), None)
    bad = sum(row["bad_rows"] for row in trials)
    broken = first.get("violates") or ()
    marks = (
        *((f"violates {', '.join(broken)}",) if broken else ()),
        *(("leaks later queries",) if first["leaks"] else ()),
        *((f"{bad} bad row{'s' if bad > 1 else ''}",) if bad else ()),
    )
    predicted = pooled([prediction["predicted_relative"]])[0] if prediction else None
    return Line(
        method=first["method"],
        family=first["family"],
        budget=first["budget"],
        control=first["control"],
        oracle=first["oracle"],
        leaks=first["leaks"],
        error=error,
        low=low,
        high=high,
        projected=_median(trials, "relative_projected"),
        weights=_median(trials, "relative_weights"),
        predicted=predicted,
        vacuous=predicted is not None and predicted >= 1,
        sense=_sense(prediction) if prediction else "",
        verdict=verdicts_in_words([row["verdict"] for row in kinds.get("verdict", [])]),
        flops=first["flops"],
        storage=float(np.median([row["storage"] for row in trials])),
        state=first["state"],
        time=timed["ratio"] if timed else None,
        certified=_median(trials, "certified"),
        covered=first.get("covered"),
        certified_cost=first.get("certified_cost"),
        marks=marks,
        trials=len(trials),
    )


def _median(trials: list[Row], name: str) -> float | None:
    """Return the median over trials and heads of what may be missing."""
    given = [row[name] for row in trials if row.get(name) is not None]
    return pooled(given)[0] if given else None


def pooled(values: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Return the median of all values and its 95 % interval; NaN, the error of a bad row, counts as infinite."""
    flat = np.nan_to_num(np.asarray(values, dtype=np.float64).ravel(), nan=np.inf, posinf=np.inf)
    # heads and trials are pooled as if they were independent
    low, high = median_interval(flat)
    # the mean of the two middle values, without arithmetic on infinities elsewhere
    middle = np.sort(flat)[[(flat.size - 1) // 2, flat.size // 2]]
    return float(middle.mean()), low, high


def _sense(prediction: Row) -> str:
    return str(prediction["guarantee"]) + ("" if prediction["prior"] else ", after the run")


def verdicts_in_words(verdicts: Sequence[str]) -> str:
    """Return the verdicts with their counts, the gravest first; those that do not apply are left out."""
    order = [verdict for verdict in Verdict if verdict is not Verdict.NOT_APPLICABLE]
    counts = Counter(verdicts)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in order if counts[verdict])


def _marked(line: Line, baselines: dict[tuple[str, int], float]) -> Line:
    if line.control:
        return line
    mean = baselines.get(("MeanValue", 0))
    window = baselines.get(("SlidingWindow", line.budget))
    lost = [name for name, error in (("mean(V)", mean), ("window", window)) if _worse(line.error, error)]
    marks = (*((f"loses to {' and '.join(lost)}",) if lost else ()), *line.marks)
    return replace(line, marks=marks)


def _worse(error: float, baseline: float | None) -> bool:
    return baseline is not None and error > baseline
