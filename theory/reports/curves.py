"""Curves of error against budget, with the spread over heads and trials, from the rows of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BAND", "ROUNDING", "Curve", "best_rank", "curves", "frontier", "head_errors", "quantiles"]

Row = dict[str, Any]
Values = npt.NDArray[np.float64]

BAND = (0.1, 0.9)
"""Quantiles over heads and trials between which a band is drawn."""


# about a hundred times the unit roundoff of float32
ROUNDING = 1e-5
"""Relative errors up to which a method is exact but for rounding in single precision."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One method, budgets ascending; a method without budget has the one budget 0.

    Parameters
    ----------
    method, family : str
    control, oracle, leaks : bool
    budgets : (b,)
    median, low, high : (b,)
        Quantiles 0.5, 0.1 and 0.9 of the relative output error over heads and trials; a bad row counts as infinite.
    projected : (b,)
        Median of the error of outputs projected on a ball around the values; NaN where not measured.
    predicted : (b,)
        Median over the heads of the best bound on the same error; NaN where no theorem applies.
    vacuous : (b,), boolean
        True where that prediction is at least 1, the error of the zero output.
    flops, time : (b,)
        Relative to exact attention; NaN where not measured.

    Examples
    --------
    >>> from theory.reports.curves import curves
    >>> trial = {"status": "done", "kind": "trial", "method": "TopK", "family": "sparse"}
    >>> trial |= {"control": False, "oracle": True}
    >>> heads = {8: [0.4, 0.2, 0.3], 16: [0.1, 0.05, 0.2]}
    >>> (curve,) = curves({**trial, "budget": m, "relative_output": errors} for m, errors in heads.items())
    >>> curve, curve.high.tolist()
    (<TopK, median error by budget: 8: 0.3, 16: 0.1>, [0.4, 0.2])
    """

    method: str
    family: str
    control: bool
    oracle: bool
    leaks: bool
    budgets: npt.NDArray[np.int64]
    median: Values
    low: Values
    high: Values
    predicted: Values
    projected: Values
    vacuous: npt.NDArray[np.bool_]
    flops: Values
    time: Values

    def __repr__(self) -> str:
        points = ", ".join(f"{m}: {error:.3g}" for m, error in zip(self.budgets, self.median, strict=True))
        return f"<{self.method}, median error by budget: {points}>"

    @property
    def budgeted(self) -> bool:
        """True where the method has a budget."""
        return bool(self.budgets[-1] > 0)

    @property
    def errs(self) -> bool:
        """True where some median error is more than rounding; exact attention has no place on a log axis."""
        return bool(np.any(self.median > ROUNDING))


def quantiles(values: Any, shares: Sequence[float]) -> Values:
    """Return quantiles of all values; NaN counts as infinite, and none is interpolated, so that infinities stay apart.

    Parameters
    ----------
    values : array-like
    shares : sequence of float
        In [0, 1].
    """
    flat = np.nan_to_num(np.asarray(values, dtype=np.float64).ravel(), nan=np.inf, posinf=np.inf)
    return np.asarray(np.quantile(flat, shares, method="inverted_cdf"))


def curves(rows: Iterable[Row]) -> list[Curve]:
    """Return one curve per method of one problem, by family and name; rows of failed trials are left out."""
    grouped: dict[str, dict[int, dict[str, list[Row]]]] = {}
    for row in rows:
        if row.get("status") == "done" and row["kind"] in ("trial", "prediction", "time"):
            at = grouped.setdefault(row["method"], {}).setdefault(int(row["budget"]), {})
            at.setdefault(row["kind"], []).append(row)
    found = [_curve(budgets) for budgets in grouped.values() if any("trial" in kinds for kinds in budgets.values())]
    return sorted(found, key=lambda curve: (curve.family, curve.method))


def _curve(budgets: dict[int, dict[str, list[Row]]]) -> Curve:
    points = [(budget, kinds) for budget, kinds in sorted(budgets.items()) if "trial" in kinds]
    first = points[0][1]["trial"][0]
    spread = np.stack(
        [quantiles([row["relative_output"] for row in kinds["trial"]], (0.5, *BAND)) for _, kinds in points]
    )
    predictions = [next(iter(kinds.get("prediction", [])), None) for _, kinds in points]
    times = [next(iter(kinds.get("time", [])), None) for _, kinds in points]
    predicted = np.asarray([quantiles(p["predicted_relative"], (0.5,))[0] if p else np.nan for p in predictions])
    return Curve(
        method=first["method"],
        family=first["family"],
        control=bool(first["control"]),
        oracle=bool(first["oracle"]),
        leaks=bool(first.get("leaks")),
        budgets=np.asarray([budget for budget, _ in points], dtype=np.int64),
        median=spread[:, 0],
        low=spread[:, 1],
        high=spread[:, 2],
        predicted=predicted,
        projected=np.asarray([_median(kinds["trial"], "relative_projected") for _, kinds in points]),
        vacuous=predicted >= 1,
        flops=np.asarray([_or_nan(kinds["trial"][0].get("flops")) for _, kinds in points]),
        time=np.asarray([_or_nan(row and row.get("ratio")) for row in times]),
    )


def _median(rows: Sequence[Row], name: str) -> float:
    """Return the median over trials and heads of an error, NaN where a row lacks it."""
    found = [row[name] for row in rows if row.get(name) is not None]
    return float(quantiles(found, (0.5,))[0]) if len(found) == len(rows) else float("nan")


def _or_nan(value: Any) -> float:
    return float("nan") if value is None else float(value)


def best_rank(rows: Iterable[Row]) -> tuple[npt.NDArray[np.int64], Values]:
    """Return budgets m, ascending, and the quantiles 0.5, 0.1, 0.9 over heads of the best rank-m error, (b, 3)."""
    optimal = {
        int(row["budget"]): quantiles(row["best_rank_relative"], (0.5, *BAND))
        for row in rows
        if row.get("status") == "done" and row["kind"] == "floor"
    }
    budgets = sorted(optimal)
    return np.asarray(budgets, dtype=np.int64), np.asarray([optimal[m] for m in budgets]).reshape(-1, 3)


def head_errors(rows: Iterable[Row], budget: int) -> dict[str, Values]:
    """Return the median over trials of the relative output error per head, by method, at a budget (or without one)."""
    trials: dict[str, list[list[float]]] = {}
    for row in rows:
        if row.get("status") == "done" and row["kind"] == "trial" and row["budget"] in (0, budget):
            trials.setdefault(row["method"], []).append(row["relative_output"])
    return {
        method: np.asarray([quantiles(column, (0.5,))[0] for column in np.asarray(values, dtype=np.float64).T])
        for method, values in trials.items()
    }


def frontier(cost: Values, error: Values) -> npt.NDArray[np.int64]:
    """Return the indices of the Pareto-optimal points, cost ascending; points that are not finite are left out.

    Parameters
    ----------
    cost, error : (p,)
    """
    # by cost, and by error where costs are equal
    order = np.lexsort((error, cost))
    kept, least = [], np.inf
    for index in order:
        if np.isfinite(cost[index]) and error[index] < least:
            kept.append(index)
            least = error[index]
    return np.asarray(kept, dtype=np.int64)
