"""Verdicts on deterministic inequalities, expectations and probabilities from measured errors.

A verdict is about a whole stack of problems: it is refuted if any of them is, at the level divided by their number
(Bonferroni), and supported only if all of them are. Trials are independent; problems of a stack need not be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.statistics.betting import bennett_lower_p_value, expectation_p_value, support_p_value
from theory.statistics.intervals import binomial_p_value, clopper_pearson, tost
from theory.statistics.required_trials import required_trials_for_support
from theory.statistics.verdict import Judgement, Verdict

__all__ = [
    "is_vacuous",
    "judge_deterministic",
    "judge_exact_expectation",
    "judge_expectation",
    "judge_lower_expectation",
    "judge_probability",
]

Floats = NDArray[np.float64]

_UNSEEN = "the sample is smaller, but rare larger values that carry the mean may be unseen"


def is_vacuous(bound: ArrayLike, trivial: ArrayLike) -> NDArray[np.bool_]:
    """Return where a bound is at least the trivial one, such as 1 for a probability or ||A|| for an error."""
    return np.asarray(np.asarray(bound, dtype=np.float64) >= np.asarray(trivial, dtype=np.float64))


def _familywise(p_values: Floats) -> float:
    """Return a p-value of "no problem of the stack violates the statement"."""
    # Bonferroni: problems of a stack share their samples, so that independence cannot be used
    return float(min(1.0, p_values.size * np.min(p_values)))


def _smallest(p_values: Sequence[Floats]) -> float | None:
    """Return the smallest of several p-values of one hypothesis, times their number, for the whole stack."""
    return _familywise(len(p_values) * np.min(p_values, axis=0)) if p_values else None


def _ratio(observed: Floats, predicted: ArrayLike) -> Floats:
    """Return observed / predicted, where 0 / 0 and anything below infinity count as no violation."""
    predicted = np.broadcast_to(np.asarray(predicted, dtype=np.float64), observed.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        # an infinite bound is not violated by an infinite error
        ratio = np.where(np.isinf(predicted), 0.0, observed / predicted)
    return np.where(np.isnan(ratio), 0.0, ratio)


def _mean_ratio(x: Floats, predicted: ArrayLike) -> Floats:
    """Return the mean of x / predicted over the trials: divided first, so that large numbers do not overflow."""
    with np.errstate(over="ignore"):
        return np.asarray(np.mean(_ratio(x, predicted), axis=0))


def judge_deterministic(lhs: ArrayLike, rhs: ArrayLike, slack: ArrayLike) -> Judgement:
    """Judge lhs <= rhs, which must hold without exception: one violation beyond the rounding ``slack`` refutes.

    Parameters
    ----------
    lhs, rhs : float64, broadcastable
        Both sides of the inequality, one entry per instance.
    slack : float64, broadcastable
        Absolute allowance; see ``deterministic_slack``. Add 8 n eps rhs where the right side was itself computed.

    Returns
    -------
    Judgement
        Supported means: no violation larger than the slack on these instances.
    """
    left, right, room = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (lhs, rhs, slack)))
    if left.size == 0 or np.isnan(left).any() or np.isnan(right).any() or np.isnan(room).any():
        raise ValueError("lhs, rhs or slack is empty or NaN; count failed runs apart instead of comparing them")
    violated = left > right + room
    ratio = _ratio(left, right)
    # of violations the largest beyond the slack, else the instance nearest to equality
    worst = int(np.argmax(np.where(violated, left - right - room, -np.inf)) if violated.any() else np.argmax(ratio))
    where = "" if left.ndim == 0 else f" at {tuple(int(i) for i in np.unravel_index(worst, left.shape))}"
    evidence = f"left {left.flat[worst]:.6g}, right {right.flat[worst]:.6g}, slack {room.flat[worst]:.2g}{where}"
    if violated.any():
        return Judgement(Verdict.REFUTED, 0.0, f"{int(violated.sum())} of {left.size} instances violate it: {evidence}")
    return Judgement(Verdict.SUPPORTED, 1.0, f"no violation in {left.size} instances; tightest: {evidence}")


def judge_expectation(
    x: ArrayLike, bound: ArrayLike, upper: ArrayLike | None, level: float, *, slack: ArrayLike = 0.0
) -> Judgement:
    """Judge E X <= B for X >= 0.

    Parameters
    ----------
    x : float64, (trials, ...)
        The statistic of the theorem: the squared error if the theorem is about the square.
    bound : float64, broadcastable to (...)
        B, the right-hand side of the statement.
    upper : float64, broadcastable to (...), or None
        M with X <= M almost surely, rounding included. Without it the verdict is never "supported".
    level : float
        Probability of a wrong "refuted", and of a wrong "supported", each.
    slack : float64, broadcastable to (...)
        Rounding allowance, added to the bound; indispensable where the bound may be zero.

    Returns
    -------
    Judgement
    """
    x, allowed = np.asarray(x, dtype=np.float64), np.asarray(bound, dtype=np.float64) + np.asarray(slack)
    p_value = _familywise(expectation_p_value(x, allowed))
    detail = f"{x.shape[0]} trials, mean / bound at most {float(np.max(_mean_ratio(x, allowed))):.4g}"
    if p_value <= level:
        return Judgement(Verdict.REFUTED, p_value, detail)
    if upper is not None:
        against = float(np.max(support_p_value(x, allowed, upper)))
        if against <= level:
            return Judgement(Verdict.SUPPORTED, p_value, f"{detail}; a larger mean is excluded at p = {against:.2g}")
        return Judgement(Verdict.NOT_CONTRADICTED, p_value, f"{detail}; too few trials to exclude a larger mean")
    # without an upper bound on X only an asymptotic statement is possible, and it is reported as such
    shifted = bennett_lower_p_value(x, allowed)
    if float(np.max(shifted)) <= level:
        return Judgement(Verdict.NOT_CONTRADICTED, p_value, f"{detail}; asymptotically supported, X is unbounded")
    return Judgement(Verdict.NOT_CONTRADICTED, p_value, f"{detail}; X is unbounded, a rare larger value may be unseen")


def judge_lower_expectation(
    x: ArrayLike, bound: ArrayLike, upper: ArrayLike | None, level: float, *, spread: ArrayLike | None = None
) -> Judgement:
    """Judge E X >= B for X >= 0.

    Here the roles are exchanged: support comes from the e-process and needs no upper bound on X; refutation comes
    from the mirrored one, or from Bennett's inequality where a bound ``spread`` on Var X / (E X)^2 is known. Without
    either no sample refutes, for a rare large value may carry the mean. Other parameters as in ``judge_expectation``.
    """
    x, least = np.asarray(x, dtype=np.float64), np.asarray(bound, dtype=np.float64)
    lower = [] if upper is None else [support_p_value(x, least, upper)]
    if spread is not None:
        lower.append(bennett_lower_p_value(x, least, spread=spread))
    p_value = _smallest(lower)
    smallest = float(np.min(np.where(least > 0, _mean_ratio(x, least), np.inf)))
    detail = f"{x.shape[0]} trials, mean / bound at least {smallest:.4g}"
    if not lower and smallest < 1:
        detail += f"; {_UNSEEN}"
    if p_value is not None and p_value <= level:
        return Judgement(Verdict.REFUTED, p_value, detail)
    against = float(np.max(expectation_p_value(x, least)))
    if against <= level:
        return Judgement(Verdict.SUPPORTED, p_value, f"{detail}; a smaller mean is excluded at p = {against:.2g}")
    return Judgement(Verdict.NOT_CONTRADICTED, p_value, f"{detail}; a smaller mean is not excluded")


def judge_probability(failed: ArrayLike, delta: ArrayLike, level: float) -> Judgement:
    """Judge P{failure} <= delta from independent trials, exactly (Clopper-Pearson).

    Parameters
    ----------
    failed : bool, (trials, ...)
        Whether each trial failed.
    delta : float64, broadcastable to (...)
        The stated probability of failure.
    level : float
        Probability of a wrong "refuted", and of a wrong "supported", each.

    Returns
    -------
    Judgement
    """
    failures = np.asarray(failed)
    if failures.dtype != np.bool_ or failures.ndim < 1 or failures.shape[0] < 1:
        raise TypeError(f"failed has dtype {failures.dtype} and shape {failures.shape}; pass booleans, trials first")
    trials, counts = failures.shape[0], failures.sum(axis=0)
    claim = np.broadcast_to(np.asarray(delta, dtype=np.float64), counts.shape)
    if not (claim >= 0).all():
        raise ValueError(f"delta is {claim}; a failure probability is non-negative and not NaN")
    # a failure probability of one or more holds for every method
    if is_vacuous(claim, 1.0).all():
        return Judgement(Verdict.VACUOUS, None, f"the stated failure probability {float(claim.min()):.3g} is >= 1")
    p_value = _familywise(binomial_p_value(counts, trials, claim))
    lower, upper = clopper_pearson(counts, trials, level)
    worst = int(np.argmax(counts))
    interval = f"[{lower.flat[worst]:.3g}, {upper.flat[worst]:.3g}]"
    claims = f"{float(claim.flat[worst]):.3g}"
    detail = f"{int(counts.flat[worst])} failures in {trials} trials, rate in {interval}, claim {claims}"
    if p_value <= level:
        return Judgement(Verdict.REFUTED, p_value, detail)
    if (upper <= claim).all():
        return Judgement(Verdict.SUPPORTED, p_value, detail)
    if counts.max() == 0:  # the smallest claim, which is below one, decides
        smallest = float(claim.min())
        needed = required_trials_for_support(smallest, level) if smallest > 0 else np.inf
        detail = f"no failure in {trials} trials; the claim {smallest:.3g} is beyond the resolution (needs {needed})"
    return Judgement(Verdict.NOT_CONTRADICTED, p_value, detail)


def judge_exact_expectation(
    x: ArrayLike,
    expected: ArrayLike,
    level: float,
    *,
    variance: ArrayLike | None = None,
    spread: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    margin: float = 0.05,
    slack: ArrayLike = 0.0,
) -> Judgement:
    """Judge the identity E X = mu for X >= 0, possibly heavy-tailed.

    Parameters
    ----------
    x : float64, (trials, ...)
        The sample, one statistic per trial.
    expected : float64, broadcastable to (...)
        The mean that the identity states.
    level : float
        Probability of a wrong "refuted", at every number of trials.
    variance : float64, broadcastable to (...), optional
        Variance of X or a bound on it, where the theory has one.
    spread : float64, broadcastable to (...), optional
        The same in units of mu^2, in place of ``variance``; infinite where there is none.
    upper : float64, broadcastable to (...), optional
        M with X <= M almost surely, rounding included.
    margin : float
        Relative margin of the equivalence that the detail reports. An identity is never "supported": equality within
        a margin rests on the central limit theorem, so the verdict stays "not contradicted".
    slack : float64, broadcastable to (...)
        Rounding allowance on both sides of mu.

    Returns
    -------
    Judgement

    Notes
    -----
    Without ``variance``, ``spread`` and ``upper`` a mean below mu refutes nothing: the values that make up for it may
    be too rare to be in the sample, however alike the values seen are.
    """
    x, target = np.asarray(x, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    room = np.asarray(slack, dtype=np.float64)
    above = _familywise(expectation_p_value(x, target + room))
    least = np.maximum(target - room, 0.0)
    lower: list[Floats] = []
    if variance is not None:
        lower.append(bennett_lower_p_value(x, least, variance))
    if spread is not None:
        growth = np.divide(target, least, out=np.ones_like(least), where=least > 0)  # no mean is below zero
        lower.append(bennett_lower_p_value(x, least, spread=np.asarray(spread) * growth**2))
    if upper is not None:
        lower.append(support_p_value(x, least, upper))
    below = _smallest(lower)
    # two one-sided tests of one hypothesis
    p_value = above if below is None else min(1.0, 2.0 * min(above, below))
    ratio = _mean_ratio(x, target)
    detail = f"{x.shape[0]} trials, mean / expected in [{float(np.min(ratio)):.4g}, {float(np.max(ratio)):.4g}]"
    if p_value <= level:
        return Judgement(Verdict.REFUTED, p_value, detail)
    if below is None and _familywise(bennett_lower_p_value(x, least)) <= level:
        return Judgement(Verdict.NOT_CONTRADICTED, p_value, f"{detail}; {_UNSEEN}")
    equal = x.shape[0] > 1 and bool(np.all(tost(x, target, margin, level)))
    note = f"asymptotically equal within {margin:.0%}" if equal else f"not yet equal within {margin:.0%}"
    return Judgement(Verdict.NOT_CONTRADICTED, p_value, f"{detail}; {note}")
