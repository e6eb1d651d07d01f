"""Run a method, evaluate the theorems about it, and say what the data say."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.bound import Bound, HypothesisViolated, Prediction, Values
from theory.catalogue import bounds_about
from theory.floor import Floors
from theory.guarantee import Asymptotic, Deterministic, ExactExpectation, InExpectation, WithProbability
from theory.intervals import deterministic_slack
from theory.verdict import (
    Judgement,
    Verdict,
    is_vacuous,
    judge_deterministic,
    judge_exact_expectation,
    judge_expectation,
    judge_lower_expectation,
    judge_probability,
)
from tnattn.arrays import eps

LEVEL = 1e-6  # of a single verdict; ``verify`` controls a whole family instead


@dataclass(frozen=True, eq=False)
class Comparison:
    """A theorem beside what was measured.

    Parameters
    ----------
    bound : Bound
    verdict : Verdict
    detail : str
        The evidence in words, or the hypothesis that fails.
    p_value : float or None
    trials : int
    predicted : ndarray or None
        Right-hand sides, (...) or (trials, ...) for conditional statements.
    errors : ndarray or None
        Left-hand sides, (trials, ...).
    floors : ndarray or None
        Least errors of anything with the ranks of the results, (trials, ...), where the error has such a floor.
    """

    bound: Bound
    verdict: Verdict
    detail: str
    p_value: float | None = None
    trials: int = 0
    predicted: Values | None = None
    errors: Values | None = None
    floors: Values | None = None

    @property
    def above_floor(self) -> float:
        """Observed / floor of Eckart, Young and Mirsky, the geometric mean over the stack; NaN where there is none.

        What of a theorem's distance to the best is the method's and not the theorem's: slack times this is the distance
        of the right-hand side to the floor.
        """
        if self.errors is None or self.floors is None:
            return float("nan")
        observed, floor = self.errors.mean(axis=0), self.floors.mean(axis=0)
        known = (floor > 0) & (observed > 0)
        return float(np.exp(np.mean(np.log(observed[known] / floor[known])))) if np.any(known) else float("nan")

    @property
    def slack(self) -> float:
        """Predicted / observed, the geometric mean over the stack; the reciprocal for lower bounds; NaN without data.

        Observed is the mean for expectations, the largest error otherwise.
        """
        if self.predicted is None or self.errors is None or self.errors.shape[0] == 0:
            return float("nan")
        averaged = isinstance(self.bound.guarantee, (InExpectation, ExactExpectation))
        observed = self.errors.mean(axis=0) if averaged else self.errors
        above, below = (observed, self.predicted) if self.bound.side == "lower" else (self.predicted, observed)
        # a ratio to zero is no measure of looseness: an exact result, or a floor that says nothing
        ratio = np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)
        if not averaged:
            ratio = np.where(np.isnan(ratio), np.inf, ratio).min(axis=0)
        known = np.isfinite(ratio) & (ratio > 0)
        return float(np.exp(np.mean(np.log(ratio[known])))) if np.any(known) else float("nan")

    def __repr__(self) -> str:
        return f"<{self.bound.name}: {self.verdict}, slack {self.slack:.3g}, {self.detail}>"


def compare(
    method: Any,
    target: Any,
    bounds: Iterable[Bound] | None = None,
    *,
    trials: int = 200,
    rng: np.random.Generator,
    level: float = LEVEL,
) -> list[Comparison]:
    """Measure a method on a target and judge every theorem about it; one set of results serves all.

    Parameters
    ----------
    method : a method of ``tnattn``
        Called as ``method(target, rng=...)``, or without a generator where it takes none.
    target : matrix, tensor or AttentionProblem
    bounds : iterable of Bound, optional
        All theorems in ``theory.bounds`` about the method's class by default.
    trials : int
        Independent runs at most; statements that hold for every realisation use 10 of them at most.
    rng : numpy.random.Generator
    level : float
        Probability of a wrong "refuted" per verdict.

    Returns
    -------
    list of Comparison, one per theorem
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng must be a numpy.random.Generator; got {type(rng).__name__}; pass numpy.random.default_rng(seed)"
        )
    if trials < 1:
        raise ValueError(f"trials must be positive; got {trials}")
    chosen = list(bounds) if bounds is not None else bounds_about(method)
    prior, answered = _before_the_run(chosen, method, target)
    speaking = [b for b in chosen if b not in answered]
    if not speaking:
        return [answered[b] for b in chosen]
    if all(isinstance(b.guarantee, Deterministic) for b in speaking):
        trials = min(trials, 10)
    records = _Records(speaking, Floors(target))
    draws = "rng" in inspect.signature(method).parameters
    for child in rng.spawn(trials):
        records.add(method, target, method(target, rng=child) if draws else method(target))
        if records.count % 20 == 0 and records.decided(method, target, prior, level):
            break
    for b in speaking:
        answered[b] = records.judge(b, target, prior.get(b), level)
    return [answered[b] for b in chosen]


class _Records:
    """What was measured so far, per theorem."""

    def __init__(self, bounds: Sequence[Bound], floors: Floors) -> None:
        self._bounds = tuple(dict.fromkeys(bounds))
        self._floor = floors
        self._floors: dict[Bound, list[Values]] = {b: [] for b in bounds}
        self._errors: dict[Bound, list[Values]] = {b: [] for b in bounds}
        self._predicted: dict[Bound, list[Prediction]] = {b: [] for b in bounds if b.kind != "prior"}
        self._refused: dict[Bound, str] = {}
        self.count = 0

    def add(self, method: Any, target: Any, result: Any) -> None:
        measured: dict[int, Values] = {}
        for b in self._bounds:
            if b.kind != "prior":
                try:
                    prediction = b(method, target, result)
                except HypothesisViolated as violated:
                    self._refused.setdefault(b, str(violated))
                    continue
                self._predicted[b].append(prediction)
                if prediction.observed is not None:
                    self._errors[b].append(prediction.observed)
                    continue
            key = id(b.error)
            if key not in measured:
                try:
                    measured[key] = b.error(target, result)
                except ValueError as reason:  # a result without the quantity, such as weights over the keys
                    self._refused.setdefault(b, str(reason))
                    if b.kind != "prior":
                        self._predicted[b].pop()
                    continue
            self._errors[b].append(measured[key])
            floor = self._floor(b.error, result)
            if floor is not None:
                self._floors[b].append(floor)
        self.count += 1

    def decided(self, method: Any, target: Any, prior: dict[Bound, Prediction], level: float) -> bool:
        """Whether more trials cannot be needed: only tests that stay valid under optional stopping may decide early."""
        for b in self._bounds:
            if isinstance(b.guarantee, Deterministic) and self.count >= 10:
                continue
            if not isinstance(b.guarantee, InExpectation) or b.error.ceiling is None:
                return False
            verdict = self.judge(b, target, prior.get(b), level).verdict
            if verdict not in (Verdict.REFUTED, Verdict.SUPPORTED, Verdict.VACUOUS):
                return False
        return True

    def judge(self, b: Bound, target: Any, prior: Prediction | None, level: float) -> Comparison:
        if not self._errors[b]:
            return Comparison(b, Verdict.NOT_APPLICABLE, self._refused.get(b, "no result"))
        errors = np.stack(self._errors[b])
        if prior is None:
            made = self._predicted[b]
            prior = Prediction(np.stack([p.value for p in made]), np.stack([p.failure for p in made]))
        if not np.all(np.isfinite(errors)):
            bad = int(np.sum(~np.isfinite(errors)))
            return Comparison(
                b, Verdict.NOT_APPLICABLE, f"{bad} of {errors.size} errors are not finite: a result has bad rows"
            )
        judgement = _judge(b, target, prior, errors, level)
        verdict = judgement.verdict
        says_size = verdict is not Verdict.REFUTED and b.side == "upper" and b.kind != "identity"
        if says_size and np.all(is_vacuous(prior.value, b.error.trivial(target))):
            verdict = Verdict.VACUOUS
        floors = np.stack(self._floors[b]) if len(self._floors[b]) == len(errors) else None
        return Comparison(b, verdict, judgement.detail, judgement.p_value, len(errors), prior.value, errors, floors)


def _judge(b: Bound, target: Any, prediction: Prediction, errors: Values, level: float) -> Judgement:
    slack = rounding_slack(b, target, prediction.value)
    match b.guarantee:
        case Deterministic():
            if b.kind == "identity":
                return judge_deterministic(np.abs(errors - prediction.value), 0.0, slack)
            if b.side == "lower":
                return judge_deterministic(prediction.value, errors, slack)
            return judge_deterministic(errors, prediction.value, slack)
        case InExpectation() if b.kind == "conditional":
            # given the result the mean is at most its right-hand side, so the mean of the quotient is at most one
            room = -slack if b.side == "lower" else slack
            quotient = errors / np.maximum(prediction.value + room, np.finfo(np.float64).tiny)
            one = np.ones(quotient.shape[1:])
            if b.side == "lower":
                return judge_lower_expectation(quotient, one, None, level, light_tails=b.guarantee.light_tails)
            return judge_expectation(quotient, one, None, level)
        case InExpectation(light_tails=light):
            ceiling = _ceiling(b, target, errors)
            value = prediction.value
            if b.side == "lower":
                return judge_lower_expectation(
                    errors, np.maximum(value - slack, 0.0), ceiling, level, light_tails=light
                )
            return judge_expectation(errors, value, ceiling, level, slack=slack)
        case ExactExpectation(margin=margin, light_tails=light) if b.kind == "conditional":
            size = np.maximum(prediction.value, np.finfo(np.float64).tiny)
            one = np.ones(errors.shape[1:])
            room = np.max(np.broadcast_to(slack / size, errors.shape), axis=0)
            return judge_exact_expectation(errors / size, one, level, margin=margin, light_tails=light, slack=room)
        case ExactExpectation(margin=margin, light_tails=light):
            ceiling = _ceiling(b, target, errors)
            return judge_exact_expectation(
                errors, prediction.value, level, upper=ceiling, margin=margin, light_tails=light, slack=slack
            )
        case WithProbability():
            failure = prediction.failure.max(axis=0) if b.kind == "conditional" else prediction.failure
            failed = errors < prediction.value - slack if b.side == "lower" else errors > prediction.value + slack
            return judge_probability(failed, failure, level)
        case Asymptotic():
            return Judgement(Verdict.NOT_CONTRADICTED, None, "a rate needs several sizes; see theory.studies")


def _ceiling(b: Bound, target: Any, errors: Values) -> Values | None:
    """Return what the error cannot exceed; None where there is no such value, or where the data exceed it."""
    if b.error.ceiling is None:
        return None
    stated = np.broadcast_to(b.error.ceiling(target), errors.shape[1:])
    ceiling = stated + rounding_slack(b, target, stated)
    return None if np.any(errors.max(axis=0) > ceiling) else ceiling


def rounding_slack(b: Bound, target: Any, predicted: Values) -> Values:
    """Return the allowance for rounding, in the units of the theorem's error, with the constant 8.

    A squared error E^2, with E off by r, is off by 2 E r + r^2: much less than the same share of the squared norm where
    the error is small. Statements that hold always may be differences of squares, and keep the whole share.
    """
    shape, precision = _size(target)
    if b.error.squared and not isinstance(b.guarantee, Deterministic):
        size = np.sqrt(np.maximum(predicted, 0.0))
        norm = b.error.norm(target)
        rounded = deterministic_slack(shape, precision, np.sqrt(norm))
        return np.asarray(2 * size * rounded + rounded**2 + deterministic_slack(shape, np.finfo(np.float64).eps, norm))
    guarantee = b.guarantee if isinstance(b.guarantee, Deterministic) else Deterministic()
    return np.asarray(
        deterministic_slack(
            shape,
            precision,
            b.error.norm(target),
            condition=guarantee.condition,
            subtraction=guarantee.subtraction,
        ),
        dtype=np.float64,
    )


def _size(target: Any) -> tuple[tuple[int, int], float]:
    """Return the two sizes that enter the rounding slack, and the unit roundoff of the target's precision."""
    if hasattr(target, "n_q"):
        return (target.n_q, target.n_k), eps(target.q)
    if hasattr(target, "w_k"):  # the weights of a layer
        return (int(target.w_k.shape[-2]), int(target.w_k.shape[-1])), eps(target.w_k)
    shape = tuple(int(n) for n in target.shape)
    sizes = shape[-2:] if len(shape) >= 2 else (shape[0], 1)
    like = getattr(target, "like", target)
    return (max(shape), sizes[-1]), eps(like)


def _before_the_run(
    bounds: Sequence[Bound], method: Any, target: Any
) -> tuple[dict[Bound, Prediction], dict[Bound, Comparison]]:
    """Evaluate what can be evaluated; collect the theorems that do not apply."""
    predictions: dict[Bound, Prediction] = {}
    refused: dict[Bound, Comparison] = {}
    for b in bounds:
        if not b.speaks_of(method):
            refused[b] = Comparison(b, Verdict.NOT_APPLICABLE, f"it does not speak about {type(method).__name__}")
        elif b.kind == "prior":
            try:
                predictions[b] = b(method, target)
            except HypothesisViolated as violated:
                refused[b] = Comparison(b, Verdict.NOT_APPLICABLE, str(violated))
    return predictions, refused


def control(b: Bound) -> Bound:
    """Return the false theorem that the data must refute on the extremal instance.

    Raises
    ------
    ValueError
        If the theorem names no such factor.
    """
    if b.must_fail is None:
        raise ValueError(f"{b.name} names no factor that must fail")
    return b.scaled(b.must_fail)
