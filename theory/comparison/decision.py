"""Verdict on one theorem from its predictions and the errors measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from theory.comparison.rounding import rounding_slack
from theory.statement.bound import Bound
from theory.statement.evidence import Evidence
from theory.statement.prediction import Prediction, Values
from theory.statistics.verdict import Judgement, Verdict

__all__ = ["decide", "evidence"]

# with more a right-hand side that is too small by a tenth, or zero, would pass as well
RESOLUTION = 0.1
"""Largest share of the right-hand side that rounding may be where a theorem is called supported."""


def decide(b: Bound, target: Any, prediction: Prediction, errors: Values, level: float) -> Judgement:
    """Judge a theorem; entries with an error that is not finite are counted and left out, the others are judged.

    Parameters
    ----------
    b : Bound
    target : Any
    prediction : Prediction
        Before the run, (...), or stacked over the trials, (trials, ...).
    errors : ndarray, (trials, ...)
    level : float
        Probability of a wrong "refuted".
    """
    total = int(np.prod(errors.shape[1:]))
    found = evidence(b, target, prediction, errors)
    if found.left_out == total:
        return Judgement(Verdict.NOT_APPLICABLE, None, f"all {total} errors are not finite: the result has bad rows")
    complaint = _complaint(b, found)
    if complaint:
        return Judgement(Verdict.FAILED, None, complaint)
    judged = _resolved(found, b.guarantee.judge(found, level))
    if found.left_out:
        note = f"{judged.detail}; {found.left_out} of {total} errors are not finite and left out"
        judged = replace(judged, detail=note)
    return judged


def evidence(b: Bound, target: Any, prediction: Prediction, errors: Values) -> Evidence:
    """Return errors, right-hand sides and allowances with the entries of the stack on one axis."""
    trials, shape = errors.shape[0], errors.shape[1:]
    # an entry with one bad trial is left out of all: dropping single trials would bias a mean
    finite = np.isfinite(errors).all(axis=0)
    if prediction.left_out is not None:
        finite &= ~np.broadcast_to(prediction.left_out, errors.shape).any(axis=0)
    rounded = rounding_slack(b, target, prediction.value, prediction.condition)

    def flat(array: Values, *rows: int) -> Values:
        return np.asarray(np.broadcast_to(array, (*rows, *shape))[..., finite])

    rows = trials if b.kind != "prior" else 1
    # the largest over the trials: a count of failures is judged against one probability
    chance = prediction.failure if b.kind == "prior" else prediction.failure.max(axis=0)
    spread = prediction.spread
    if spread is not None and b.kind != "prior":
        spread = spread.max(axis=0)
    return Evidence(
        flat(errors, trials),
        flat(prediction.value, rows),
        flat(rounded, rows),
        flat(chance),
        _ceiling(b, target, prediction, errors, flat),
        None if spread is None else flat(spread),
        int(np.sum(~finite)),
        b.side,
        b.kind,
    )


def _ceiling(b: Bound, target: Any, prediction: Prediction, errors: Values, flat: Any) -> Values | None:
    """Return an upper bound on the error; None where there is none, or where the data exceed it."""
    if b.kind != "prior":
        return None  # the judged quantity is the quotient of both sides
    stated = prediction.ceiling
    if stated is None and b.error.ceiling is not None:
        stated = b.error.ceiling(target)
    if stated is None:
        return None
    ceiling: Values = flat(stated) + flat(rounding_slack(b, target, stated))
    return None if np.any(flat(errors, errors.shape[0]) > ceiling) else ceiling


def _complaint(b: Bound, found: Evidence) -> str:
    """Return the reason to reject an evaluated right-hand side; empty where there is none."""
    for name, array in (("right-hand side", found.value), ("rounding allowance", found.slack)):
        if np.isnan(array).any():
            return f"the {name} is NaN for {int(np.isnan(array).any(axis=0).sum())} of {array.shape[1]} entries"
    if np.isnan(found.failure).any() or (found.failure < 0).any():
        return f"the stated failure probability is {float(np.min(found.failure)):.3g}; it is not negative"
    if b.kind == "identity":
        return ""
    if (found.errors < 0).any():
        return f"an error is negative, {float(found.errors.min()):.3g}"
    # a right-hand side that rounding made negative is no defect, one beyond the slack is
    if b.side == "upper" and (found.value < -found.slack).any():
        return f"the bound on an error is negative, {float(found.value.min()):.3g}"
    return ""


def _resolved(found: Evidence, judged: Judgement) -> Judgement:
    """Withdraw "supported" where rounding is more than a tenth of the right-hand side.

    There a right-hand side of zero would pass as well. Entries where both sides are exactly zero count as resolved as
    long as another entry is.
    """
    if judged.verdict is not Verdict.SUPPORTED:
        return judged
    fine = found.slack <= RESOLUTION * np.abs(found.value)
    fine &= found.value != 0
    exact = (found.value == 0) & (found.errors == 0)
    if np.any(fine) and np.all(fine | exact):
        return judged
    coarse = int(np.sum(~(fine | exact).all(axis=0))) or fine.shape[1]
    note = f"{judged.detail}; rounding exceeds a tenth of the right-hand side for {coarse} of {fine.shape[1]} entries"
    return Judgement(Verdict.NOT_CONTRADICTED, judged.p_value, note)
