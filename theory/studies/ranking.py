"""Rankings at equal cost: error against cost, interpolated in log-log, head by head.

Ranked is the output of a method as it is, not its projection on a ball around the values. On trained heads the
projection changes nothing where weights are positive and normalised, little where a method is accurate, and much where
one fails: a ranking of projected errors would show the ball in place of the method, and hide rows that a method cannot
compute. Who wants it ranked compares ``Projected(method)``, with the cost of the ball.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from theory.comparison.table import shortened, table

__all__ = ["LEVELS", "TIMED_FROM", "Place", "Ranking", "interpolated", "rank", "rankings"]

LEVELS = (0.125, 0.25, 0.5)
"""Shares of the cost of exact attention at which methods are ranked."""

TIMED_FROM = 2048
"""Number of tokens from which times are ranked; below, they measure the overhead of calls."""

Row = dict[str, Any]
Values = npt.NDArray[np.float64]
Measure = Literal["flops", "state", "time"]


@dataclass(frozen=True)
class Place:
    """A method at a level of cost.

    Parameters
    ----------
    method : str
    error : float
        Median over the heads of the median over the trials of the relative output error.
    spent : float
        Cost at which it is ranked: the level, or less where its largest budget costs less.
    wins : int
        Heads on which it errs least, ties counted for all.
    oracle, control, leaks : bool
    time : float or None
        Relative to exact attention, printed beside.
    violates : tuple of str
        Laws of attention that a user's method violates.

    Examples
    --------
    >>> from theory.studies import Place
    >>> Place("Performer", error=0.21, spent=0.25, wins=3, oracle=False, control=False, leaks=False, time=None)
    <Performer: error 0.21 for 0.25, 3 heads won>
    """

    method: str
    error: float
    spent: float
    wins: int
    oracle: bool
    control: bool
    leaks: bool
    time: float | None
    violates: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.method}: error {self.error:.3g} for {self.spent:.3g}, {self.wins} heads won>"


@dataclass(frozen=True)
class Ranking:
    """The methods that can be had at a level of a cost, best first; oracles apart.

    Parameters
    ----------
    measure : "flops", "state" or "time"
    level : float
        Share of exact attention.
    places : tuple of Place
    oracles : tuple of Place
    too_dear : tuple of str
        Methods whose smallest budget costs more.

    Examples
    --------
    >>> from theory.studies.ranking import rank
    >>> flags = {"status": "done", "kind": "trial", "oracle": False, "control": False, "leaks": False}
    >>> points = (("A", 8, 0.1, 0.8), ("A", 16, 0.4, 0.2), ("B", 8, 0.2, 0.3), ("C", 8, 0.5, 0.1))
    >>> rows = [flags | {"method": m, "budget": b, "flops": c, "relative_output": [e]} for m, b, c, e in points]
    >>> ranking = rank(rows, "flops", 0.2)  # half way from 0.1 to 0.4 in the logarithm: sqrt(0.8 0.2)
    >>> ranking, ranking.too_dear
    (<2 methods at 0.2 of the flops, best first: B 0.3, A 0.4>, ('C',))
    """

    measure: Measure
    level: float
    places: tuple[Place, ...]
    oracles: tuple[Place, ...]
    too_dear: tuple[str, ...]

    def __repr__(self) -> str:
        best = ", ".join(f"{place.method} {place.error:.3g}" for place in self.places[:3])
        return f"<{len(self.places)} methods at {self.level:g} of the {self.measure}, best first: {shortened(best)}>"

    def _repr_html_(self) -> str:
        """Return the places as a table, for notebooks; oracles below, without a rank."""
        ranked = [*enumerate(self.places, start=1), *((None, place) for place in self.oracles)]
        rows = [(p.method, position, p.error, p.wins, p.spent, p.time) for position, p in ranked]
        columns = ("method", "rank", "error", "heads won", "spent", "time")
        return table(columns, rows, caption=f"At {self.level:g} of the {self.measure} of exact attention")


@dataclass(frozen=True, eq=False)
class _Curve:
    """Cost, error per head and time of one method, costs ascending."""

    first: Row
    costs: Values  # (budgets,)
    errors: Values  # (budgets, heads)
    times: Values  # (budgets,), NaN where not timed


def rankings(rows: Sequence[Row], *, tokens: int) -> list[Ranking]:
    """Return the rankings at equal flops and at equal state; by time only from ``TIMED_FROM`` tokens on."""
    measures: tuple[Measure, ...] = ("flops", "state", "time") if tokens >= TIMED_FROM else ("flops", "state")
    return [rank(rows, measure, level) for measure in measures for level in LEVELS]


def rank(rows: Iterable[Row], measure: Measure, level: float) -> Ranking:
    """Rank methods at a level of a cost.

    Parameters
    ----------
    rows : iterable of dict
        From ``theory.studies.attention.load``.
    measure : "flops", "state" or "time"
        Relative to exact attention.
    level : float
        Share of exact attention, positive.
    """
    if not level > 0:
        raise ValueError(f"level is {level}; a share of the exact cost is positive")
    found: list[tuple[_Curve, Values, float]] = []
    dear: list[str] = []
    for curve in _curves(rows, measure):
        # a cost that equals the level but for rounding counts as affordable
        if curve.costs[0] > level * (1 + 1e-12):
            dear.append(curve.first["method"])
        else:
            errors = interpolated(curve.costs, curve.errors, level)
            found.append((curve, errors, min(level, float(curve.costs[-1]))))
    fair = [errors for curve, errors, _ in found if not curve.first["oracle"]]
    least = np.min(fair, axis=0) if fair else np.zeros(0)
    places = sorted((_place(*entry, least) for entry in found), key=lambda place: place.error)
    return Ranking(
        measure,
        level,
        tuple(place for place in places if not place.oracle),
        tuple(place for place in places if place.oracle),
        tuple(dear),
    )


def interpolated(costs: Values, errors: Values, level: float) -> Values:
    """Return errors at a level, linear between logarithms of cost and error; constant beyond the largest cost.

    Parameters
    ----------
    costs : (b,), ascending; a cost of 0 counts as just above 0
    errors : (b, heads), non-negative; an error of 0 is kept where the level is met exactly
    level : float
        At least the smallest cost.

    Returns
    -------
    (heads,)
    """
    if level >= costs[-1]:
        return np.asarray(errors[-1])
    right = int(np.searchsorted(costs, level, side="right"))
    left = right - 1
    if costs[left] == level or costs[left] == 0:
        return np.asarray(errors[left])
    # errors and costs are close to power laws of the budget, straight lines in logarithms
    share = np.log(level / costs[left]) / np.log(costs[right] / costs[left])
    tiny = np.finfo(np.float64).tiny
    pair = np.log(np.maximum(errors[[left, right]], tiny))
    # an infinite error (a bad row) stays infinite until it is left behind
    bad = ~np.isfinite(errors[left]) | ~np.isfinite(errors[right])
    mixed = np.exp((1 - share) * np.where(bad, 0.0, pair[0]) + share * np.where(bad, 0.0, pair[1]))
    return np.asarray(np.where(bad, np.inf, mixed))


def _curves(rows: Iterable[Row], measure: Measure) -> list[_Curve]:
    trials: dict[str, dict[int, list[Row]]] = {}
    times: dict[tuple[str, int], float] = {}
    for row in rows:
        if row.get("status") != "done":
            continue
        if row["kind"] == "trial":
            trials.setdefault(row["method"], {}).setdefault(row["budget"], []).append(row)
        elif row["kind"] == "time":
            times[row["method"], row["budget"]] = row["ratio"]
    return [curve for budgets in trials.values() if (curve := _curve(budgets, times, measure)) is not None]


def _curve(budgets: dict[int, list[Row]], times: dict[tuple[str, int], float], measure: Measure) -> _Curve | None:
    points = []
    for budget, rows in budgets.items():
        timed = times.get((rows[0]["method"], budget), float("nan"))
        cost = timed if measure == "time" else rows[0][measure]
        errors = np.nan_to_num(
            np.asarray([row["relative_output"] for row in rows], dtype=np.float64), nan=np.inf, posinf=np.inf
        )
        if np.isfinite(cost):
            # the lower median: a mean of two middle trials would be infinite if one of them is
            points.append((float(cost), np.sort(errors, axis=0)[(len(rows) - 1) // 2], timed))
    if not points:
        return None
    points.sort(key=lambda point: point[0])
    first = next(iter(budgets.values()))[0]
    return _Curve(first, *(np.asarray([point[part] for point in points]) for part in range(3)))


def _place(curve: _Curve, errors: Values, spent: float, least: Values) -> Place:
    clock = float("nan")
    if np.isfinite(curve.times).all():
        clock = float(np.interp(spent, curve.costs, curve.times))
    first = curve.first
    return Place(
        method=first["method"],
        # the median as a mean of the two middle values, which an infinite one spoils only where it is one of them
        error=float(np.sort(errors)[[(errors.size - 1) // 2, errors.size // 2]].mean()),
        spent=spent,
        wins=0 if first["oracle"] else int(np.sum(errors <= least)),
        oracle=first["oracle"],
        control=first["control"],
        leaks=first["leaks"],
        time=clock if np.isfinite(clock) else None,
        violates=tuple(first.get("violates") or ()),
    )
