"""Bounds on the Frobenius norm of an output error, from theorems about a method or about the step inside it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.bounds.attention.rows import (
    denominators_over_mass,
    exact_output,
    head_values,
    values_spectral,
)
from theory.bounds.attention.sampling import output_rows_squared
from theory.bounds.attention.sparse import dropped_mass
from theory.comparison.catalogue import bounds_about
from theory.comparison.heads import evaluate, finite_heads
from theory.statement import errors
from theory.statement.bound import Bound
from theory.statement.errors import Error
from theory.statement.guarantee import Guarantee
from theory.statement.prediction import Prediction, Values
from tnattn.attention.approximation import Approximation
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax import SoftmaxOperator


@dataclass(frozen=True, eq=False)
class OutputPrediction:
    """Bound on ||O' - O||_F of every head, with the theorems from which it follows.

    Parameters
    ----------
    names : tuple of str
        The theorems of the chain, the innermost first.
    value : ndarray, (..., H)
    guarantee : Guarantee
        Deterministic, in expectation, or with probability.
    failure : ndarray, (..., H)
        Probability with which it may fail; 0 unless the guarantee is a probability.
    prior : bool
        True for a bound known before the run.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.attention.perturbed import random_problem
    >>> from theory.comparison import best_prediction
    >>> from tnattn.attention.wrappers.low_rank_weights import LowRankWeights
    >>> from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
    >>> problem = random_problem(np.random.default_rng(0), heads=2)
    >>> best = best_prediction(LowRankWeights(TruncatedSVD(rank=3), renormalise=False), problem)
    >>> best.name, str(best.guarantee), best.prior, best.value.shape
    ('truncated_svd_frobenius', 'always', True, (2,))
    """

    names: tuple[str, ...]
    value: Values
    guarantee: Guarantee
    failure: Values
    prior: bool

    @property
    def name(self) -> str:
        """The theorems of the chain in one string."""
        return " > ".join(self.names)

    def __repr__(self) -> str:
        known = "before" if self.prior else "after"
        low, high = np.nanmin(self.value), np.nanmax(self.value)
        return f"<{self.name}: {low:.3g} to {high:.3g} over {self.value.size} heads, {self.guarantee}, {known} the run>"


def output_predictions(
    method: AttentionMethod, problem: AttentionProblem, result: Approximation | None = None
) -> list[OutputPrediction]:
    """Return every bound on the Frobenius norm of the output error that the theorems about a method give.

    Parameters
    ----------
    method : AttentionMethod
    problem : AttentionProblem
    result : Approximation, optional
        With it, theorems about a realised result take part.

    Returns
    -------
    list of OutputPrediction
        Theorems whose hypotheses fail, and chains of which a link is missing, do not appear.

    Notes
    -----
    Heads with bad rows have no prediction that reads the result, NaN; the others have theirs. A theorem about the
    output counts as it is; squares are rooted (then it bounds the root of the mean square, hence
    the mean); rows are summed; an error of the weights is multiplied with the spectral norm of the values. A theorem
    about the step inside (``method.stages``) reaches the output through the weights P: ||(P' - P) V||_F is at most
    ||P' - P||_F ||V|| and at most ||P' - P|| ||V||_F; where the method divides by the row sums d' of P',
    ||O' - O||_F <= ||P' - P||_F max_i ||V - 1 o_i^T|| / min_i d'_i. A stage on the problem itself, as of a projection,
    says that the output errs no more than that of the method inside.
    """
    found = [_direct(b, method, problem, result) for b in bounds_about(method)]
    for inner, target in method.stages(problem):
        if target is problem:  # the output errs no more than that of the method inside
            found += output_predictions(inner, problem)
            continue
        # the step inside approximates the weights, of which the output is a product with the values
        found += [_through_weights(b, method, problem, inner, target, result) for b in bounds_about(inner)]
    judged = _judged_heads(problem, result)
    return [p for p in found if p is not None and np.all(np.isfinite(p.value[judged])) and np.any(judged)]


def best_prediction(
    method: AttentionMethod, problem: AttentionProblem, result: Approximation | None = None
) -> OutputPrediction | None:
    """Return the smallest bound on the output error, None where no theorem applies.

    Bounds known before the run are preferred to those that read the result, unless none is below the norm of the
    output on any head; the smallest is that of least geometric mean over the heads.
    """
    found = output_predictions(method, problem, result)
    size = np.linalg.norm(exact_output(problem), axis=(-2, -1))
    candidates = [p for p in found if p.prior and np.any(p.value < size)] or found
    judged = _judged_heads(problem, result)
    # 1e-300: an exact method has the bound 0, of which there is no logarithm
    return min(candidates, key=lambda p: float(np.mean(np.log(np.maximum(p.value[judged], 1e-300)))), default=None)


def _judged_heads(problem: AttentionProblem, result: Approximation | None) -> NDArray[np.bool_]:
    """Return the heads that are compared, (..., H): all before the run, after it those without a bad row."""
    judged = np.ones((*problem.batch[:-2], problem.heads), dtype=np.bool_)
    heads = finite_heads(problem, result) if result is not None else None
    if heads is not None and len(heads) < problem.heads:
        judged[...] = np.isin(np.arange(problem.heads), heads)
    return judged


def _direct(
    b: Bound, method: AttentionMethod, problem: AttentionProblem, result: Approximation | None
) -> OutputPrediction | None:
    convert = _CONVERSIONS.get(b.error)
    if convert is None or b.side != "upper" or b.kind == "identity" or b.guarantee.growth:
        return None
    if b.kind == "conditional" and result is None:
        return None
    # a statement about every row becomes one about the Frobenius norm by summing squares
    by_row = b.error in _BY_ROW
    if b.guarantee.averaged and by_row and not b.error.squared:
        return None  # the root of a sum of squares is convex: its mean may exceed that of the rows' means
    if by_row and b.guarantee.chance and "delta" in inspect.signature(b.function).parameters:
        delta = b.parameters.get("delta", inspect.signature(b.function).parameters["delta"].default)
        b = b.with_parameters(delta=delta / problem.n_q)  # then no row fails with the probability of the statement
    prediction = _evaluate(b, method, problem, result)
    if prediction is None:
        return None
    failure = np.broadcast_to(prediction.failure, prediction.value.shape) if by_row else prediction.failure
    failure = np.minimum(failure.sum(axis=-1), 1.0) if by_row else failure
    return _prediction((b.name,), convert(problem, prediction.value), b.guarantee, failure, b.kind == "prior", problem)


def _through_weights(
    b: Bound,
    method: AttentionMethod,
    problem: AttentionProblem,
    inner: Any,
    target: Any,
    result: Approximation | None,
) -> OutputPrediction | None:
    norm = _WEIGHT_NORMS.get(b.error)
    if norm is None or b.side != "upper" or b.kind != "prior" or b.guarantee.growth:
        return None
    heads = (*problem.batch[:-2], problem.heads)
    if not isinstance(target, SoftmaxOperator) and tuple(target.shape) != (*heads, problem.n_q, problem.n_k):
        return None  # the step inside is not about the weights
    prediction = _evaluate(b, inner, target, None)
    if prediction is None:
        return None
    value, failure = (_by_head(array, heads) for array in (prediction.value, prediction.failure))
    rooted, factor = norm
    error = np.sqrt(value) if rooted else value
    # P' V - P V = (P' - P) V: Hoelder's inequality for the two norms
    if not getattr(method, "renormalise", False):
        return _prediction((b.name,), error * factor(problem), b.guarantee, failure, True, problem)
    if b.guarantee.averaged or b.error in _SPECTRAL:
        return None  # a mean does not bound a quotient, nor the spectral norm single rows
    return _renormalised(b, problem, error, failure, result)


def _renormalised(
    b: Bound, problem: AttentionProblem, error: Values, failure: Values, result: Approximation | None
) -> OutputPrediction | None:
    """Divide by the row sums: those of the result, or before the run at least 1 - sqrt(n_k) ||P' - P||_F."""
    v, o = head_values(problem), exact_output(problem)
    mean = v.mean(axis=-2, keepdims=True)
    # max_i ||V - 1 o_i^T|| <= ||V - 1 m^T|| + sqrt(n_k) max_i ||o_i - m|| for the mean value m
    offset = np.linalg.norm(o - mean, axis=-1).max(axis=-1)
    spread = np.linalg.norm(v - mean, ord=2, axis=(-2, -1)) + np.sqrt(problem.n_k) * offset
    # |d'_i - 1| <= sqrt(n_k) ||p'_i - p_i|| by Cauchy and Schwarz
    smallest = 1 - np.sqrt(problem.n_k) * error
    if result is not None:
        smallest = denominators_over_mass(problem, result).min(axis=-1)
    judged = _judged_heads(problem, result)
    if not np.all(smallest[judged] > 0):
        return None
    smallest = np.where(judged, smallest, np.nan)
    names = (b.name, "kernel_normalisation_identity")
    return _prediction(names, error * spread / smallest, b.guarantee, failure, result is None, problem)


def _evaluate(b: Bound, method: Any, target: Any, result: Any) -> Prediction | None:
    """Evaluate a theorem; one that does not apply, or fails, gives no prediction. ``compare`` reports the failure."""
    try:
        return evaluate(b, method, target, result).scaled(b.factor)
    except Exception:
        return None


def _prediction(
    names: tuple[str, ...],
    value: Values,
    guarantee: Guarantee,
    failure: Values,
    prior: bool,
    problem: AttentionProblem,
) -> OutputPrediction:
    heads = (*problem.batch[:-2], problem.heads)
    return OutputPrediction(names, _by_head(value, heads), guarantee.of_a_bound(), _by_head(failure, heads), prior)


def _by_head(array: Values, heads: tuple[int, ...]) -> Values:
    """Return one value per head: (..., G, R) is merged, and one value for all heads is repeated."""
    array = np.asarray(array, dtype=np.float64)
    # grouped layout (..., G, R) to (..., H)
    merged = array.reshape(heads) if array.size == np.prod(heads) else np.broadcast_to(array, heads)
    return np.asarray(merged)


def _rows(problem: AttentionProblem, value: Values) -> Values:
    return np.asarray(np.linalg.norm(np.broadcast_to(value, (*value.shape[:-1], problem.n_q)), axis=-1))


def _diameter(problem: AttentionProblem) -> Values:
    return np.repeat(errors.value_diameter(problem), problem.heads // problem.groups, axis=-1)


def _values_frobenius(problem: AttentionProblem) -> Values:
    return np.asarray(np.linalg.norm(head_values(problem), axis=(-2, -1)))


_CONVERSIONS: dict[Error, Callable[[AttentionProblem, Values], Values]] = {
    errors.output_frobenius: lambda problem, value: value,
    errors.output_frobenius_squared: lambda problem, value: np.sqrt(value),
    errors.output_spectral: lambda problem, value: value * np.sqrt(min(problem.n_q, problem.value_width)),
    errors.output_row: lambda problem, value: value * np.sqrt(problem.n_q),
    errors.output_rows: _rows,
    output_rows_squared: lambda problem, value: np.sqrt(value.sum(axis=-1)),
    errors.weights_frobenius: lambda problem, value: value * values_spectral(problem),
    errors.weights_spectral: lambda problem, value: value * _values_frobenius(problem),
    dropped_mass: lambda problem, value: _rows(problem, value) * _diameter(problem),
}
_BY_ROW = {errors.output_rows, output_rows_squared, dropped_mass}

_WEIGHT_NORMS: dict[Error, tuple[bool, Callable[[AttentionProblem], Values]]] = {
    errors.matrix_frobenius: (False, values_spectral),
    errors.matrix_frobenius_squared: (True, values_spectral),
    errors.matrix_nuclear: (False, values_spectral),
    errors.matrix_spectral: (False, _values_frobenius),
    errors.projection_frobenius: (False, values_spectral),
    errors.projection_frobenius_squared: (True, values_spectral),
    errors.projection_nuclear: (False, values_spectral),
    errors.projection_spectral: (False, _values_frobenius),
    errors.tensor_frobenius: (False, values_spectral),
    errors.tensor_frobenius_squared: (True, values_spectral),
}
_SPECTRAL = {errors.matrix_spectral, errors.projection_spectral}
