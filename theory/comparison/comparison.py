"""Predicted and observed errors of one method on one target, trial by trial, with the verdict on each theorem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.comparison.decision import decide
from theory.comparison.heads import evaluate
from theory.comparison.optimal import OptimalErrors
from theory.comparison.table import shortened, table
from theory.statement.bound import Bound, HypothesisViolated
from theory.statement.prediction import Prediction, Values
from theory.statistics.judge import is_vacuous
from theory.statistics.verdict import Judgement, Verdict

__all__ = ["Comparison", "Records", "failure"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Predicted and observed errors of a theorem, with the verdict.

    Parameters
    ----------
    bound : Bound
    verdict : Verdict
    detail : str
        The evidence in words, the hypothesis that fails, or the error that the theorem raised.
    p_value : float or None
    trials : int
    predicted : ndarray or None
        Right-hand sides, (...) or (trials, ...) for conditional statements; NaN for heads that are left out.
    errors : ndarray or None
        Left-hand sides, (trials, ...).
    optimal_errors : ndarray or None
        Least errors of anything with the ranks of the results, (trials, ...), by Eckart, Young and Mirsky.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.randnla.truncated_svd import truncated_svd_spectral
    >>> from theory.comparison import compare
    >>> from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
    >>> method, a = TruncatedSVD(rank=1), np.diag([3.0, 2.0, 1.0])
    >>> (found,) = compare(method, a, [truncated_svd_spectral], rng=np.random.default_rng(0))
    >>> str(found.verdict), found.predicted.round(4).item(), round(found.slack, 2)
    ('supported', 2.0, 1.0)
    """

    bound: Bound
    verdict: Verdict
    detail: str
    p_value: float | None = None
    trials: int = 0
    predicted: Values | None = None
    errors: Values | None = None
    optimal_errors: Values | None = None

    @property
    def above_optimal(self) -> float:
        """Observed / optimal (Eckart-Young) error, the geometric mean over the stack; NaN where there is none.

        The loss of the method against the optimum; slack, the loss of the theorem, times this is the quotient of
        right-hand side and optimal error.
        """
        if self.errors is None or self.optimal_errors is None:
            return float("nan")
        # zero errors are exact results, which have no ratio
        observed, optimal = self.errors.mean(axis=0), self.optimal_errors.mean(axis=0)
        known = (optimal > 0) & (observed > 0)
        return float(np.exp(np.mean(np.log(observed[known] / optimal[known])))) if np.any(known) else float("nan")

    @property
    def slack(self) -> float:
        """Predicted / observed, the geometric mean over the stack; the reciprocal for lower bounds; NaN without data.

        Observed is the mean for expectations, the largest error otherwise.
        """
        if self.predicted is None or self.errors is None or self.errors.shape[0] == 0:
            return float("nan")
        averaged = self.bound.guarantee.averaged
        observed = self.errors.mean(axis=0) if averaged else self.errors
        above, below = (observed, self.predicted) if self.bound.side == "lower" else (self.predicted, observed)
        # a ratio to zero is no measure of looseness: an exact result, or a lower bound of zero
        ratio = np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)
        if not averaged:
            ratio = np.where(np.isnan(ratio), np.inf, ratio).min(axis=0)
        known = np.isfinite(ratio) & (ratio > 0)
        return float(np.exp(np.mean(np.log(ratio[known])))) if np.any(known) else float("nan")

    def __repr__(self) -> str:
        return f"<{self.bound.name}: {self.verdict}, slack {self.slack:.3g}, {shortened(self.detail)}>"

    def _repr_html_(self) -> str:
        """Return a table of one line, for notebooks."""
        columns = ("theorem", "verdict", "slack", "error / optimal", "trials", "p-value", "source", "detail")
        row = (
            self.bound.name,
            str(self.verdict),
            self.slack,
            self.above_optimal,
            self.trials,
            self.p_value,
            str(self.bound.source),
            self.detail,
        )
        return table(columns, [row], caption=self.bound.statement)


def failure(b: Bound, error: Exception) -> Comparison:
    """Return the comparison of a theorem that raised an error which is no violated hypothesis."""
    return Comparison(b, Verdict.FAILED, f"{type(error).__name__}: {error}")


class Records:
    """Both sides of every theorem for every result so far; a theorem that fails is not evaluated again.

    Parameters
    ----------
    bounds : sequence of Bound
    optimal : OptimalErrors
    prior : mapping from theorem to Prediction
        Of those that were evaluated before the run.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.randnla.truncated_svd import truncated_svd_spectral as b
    >>> from theory.comparison.comparison import Records
    >>> from theory.comparison.optimal import OptimalErrors
    >>> from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
    >>> method, a = TruncatedSVD(rank=1), np.diag([3.0, 2.0, 1.0])
    >>> records = Records([b], OptimalErrors(a), {b: b(method, a)})
    >>> records.add(method, a, method(a))
    >>> records.count, str(records.judge(b, a, level=1e-3).verdict)
    (1, 'supported')
    """

    def __init__(self, bounds: Sequence[Bound], optimal: OptimalErrors, prior: dict[Bound, Prediction]) -> None:
        self._bounds = tuple(dict.fromkeys(bounds))
        self._prior = prior
        self._optimal = optimal
        self._optimal_errors: dict[Bound, list[Values]] = {b: [] for b in bounds}
        self._errors: dict[Bound, list[Values]] = {b: [] for b in bounds}
        self._predicted: dict[Bound, list[Prediction]] = {b: [] for b in bounds if b.kind != "prior"}
        self._refused: dict[Bound, str] = {}
        self._failed: dict[Bound, Comparison] = {}
        self.count = 0

    def add(self, method: Any, target: Any, result: Any) -> None:
        """Measure a result, and evaluate the theorems that depend on it."""
        measured: dict[int, Values | Exception] = {}
        evaluated: dict[Any, Prediction | Exception] = {}
        for b in self._bounds:
            if b in self._failed:
                continue
            try:
                self._add(b, method, target, result, measured, evaluated)
            except HypothesisViolated as violated:
                self._refused.setdefault(b, str(violated))
            except Exception as error:
                self._failed[b] = failure(b, error)
        self.count += 1

    def _add(
        self,
        b: Bound,
        method: Any,
        target: Any,
        result: Any,
        measured: dict[int, Values | Exception],
        evaluated: dict[Any, Prediction | Exception],
    ) -> None:
        prediction = None
        if b.kind != "prior":
            prediction = shared(evaluated, b, method, target, result)
        # an identity measures its own left-hand side
        if prediction is not None and prediction.observed is not None:
            errors = prediction.observed
        else:
            errors = _measured(measured, b, target, result)
        least = None if b.kind == "identity" else self._optimal(b.error, result)
        if prediction is not None:
            self._predicted[b].append(prediction)
        self._errors[b].append(errors)
        if least is not None:
            self._optimal_errors[b].append(least)

    def decided(self, target: Any, level: float) -> bool:
        """Return True if no more trials are needed; only tests that are valid under optional stopping decide early."""
        for b in self._bounds:
            if b.guarantee.always and self.count >= 10:
                continue
            # other tests are valid at a fixed number of trials only
            if not b.guarantee.decides_early(b.error.ceiling):
                return False
            verdict = self.judge(b, target, level).verdict
            if verdict not in (Verdict.REFUTED, Verdict.SUPPORTED, Verdict.VACUOUS, Verdict.FAILED):
                return False
        return True

    def judge(self, b: Bound, target: Any, level: float) -> Comparison:
        """Return the comparison of one theorem with the results so far."""
        if b in self._failed:
            return self._failed[b]
        if not self._errors[b]:
            return Comparison(b, Verdict.NOT_APPLICABLE, self._refused.get(b, "no result"))
        try:
            return self._judge(b, target, level)
        except Exception as error:
            return failure(b, error)

    def _judge(self, b: Bound, target: Any, level: float) -> Comparison:
        errors = np.stack(self._errors[b])
        prediction = self._prior[b] if b.kind == "prior" else _stacked(self._predicted[b])
        judged: Judgement = decide(b, target, prediction, errors, level)
        verdict = judged.verdict
        sized = verdict in (Verdict.SUPPORTED, Verdict.NOT_CONTRADICTED) and b.side == "upper" and b.kind != "identity"
        if sized and _is_trivial(prediction.value, b.error.trivial(target)):
            verdict = Verdict.VACUOUS
        found = self._optimal_errors[b]
        optimal = np.stack(found) if len(found) == len(errors) else None
        return Comparison(b, verdict, judged.detail, judged.p_value, len(errors), prediction.value, errors, optimal)


def shared(evaluated: dict[Any, Prediction | Exception], b: Bound, method: Any, target: Any, result: Any) -> Prediction:
    """Evaluate a theorem once for itself and its controls, which differ by a factor only."""
    # everything on which the value depends but the factor, which scales it
    key = (b.function, b.kind, b.guarantee, tuple(sorted(b.parameters.items())))
    if key not in evaluated:
        try:
            evaluated[key] = evaluate(b, method, target, result)
        except Exception as error:
            evaluated[key] = error
    found = evaluated[key]
    if isinstance(found, Exception):
        raise found
    return found.scaled(b.factor)


def _measured(measured: dict[int, Values | Exception], b: Bound, target: Any, result: Any) -> Values:
    """Measure an error once for all theorems about it."""
    key = id(b.error)
    if key not in measured:
        try:
            measured[key] = b.error(target, result)
        except np.linalg.LinAlgError as error:
            measured[key] = error
        except ValueError as reason:  # a result without the quantity, such as weights over the keys
            measured[key] = HypothesisViolated(str(reason))
        except Exception as error:
            measured[key] = error
    found = measured[key]
    if isinstance(found, Exception):
        raise found
    return found


def _is_trivial(value: Values, trivial: Values) -> bool:
    return bool(np.all(is_vacuous(value, trivial) | np.isnan(value)))


def _stacked(made: Iterable[Prediction]) -> Prediction:
    made = list(made)
    spreads = [p.spread for p in made if p.spread is not None]
    return Prediction(
        np.stack([p.value for p in made]),
        np.stack([p.failure for p in made]),
        condition=np.stack([np.broadcast_to(p.condition, p.value.shape) for p in made]),
        spread=np.stack(spreads) if spreads else None,
        left_out=np.stack([np.zeros(p.value.shape, np.bool_) if p.left_out is None else p.left_out for p in made]),
    )
