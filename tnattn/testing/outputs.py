"""Laws about one output: its form, its weights, constants, seeds, failures and single precision."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np

from tnattn.arrays import Array, array_namespace, to_host
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax import SoftmaxOperator
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.trial import Trial, changed, difference, exact, require_close, require_counted


def output_fits(trial: Trial) -> None:
    """Shape, dtype and library are those of the problem, with batch axes and a value width of its own."""
    problem = trial.problem()
    # values wider than keys: an output allocated with the shape of the queries would show
    wide = changed(problem, v=np.concatenate([problem.v, problem.v[..., :3]], axis=-1))
    batched = changed(wide, **{name: np.stack([getattr(wide, name)] * 2) for name in ("q", "k", "v")})
    for case in (
        wide,
        batched,
        changed(batched, q=batched.q.astype("f4"), k=batched.k.astype("f4"), v=batched.v.astype("f4")),
    ):
        approximation = trial.run(case)
        output = approximation.output
        expected = (*case.q.shape[:-1], case.v.shape[-1])
        if tuple(output.shape) != expected:
            raise Violation(f"the output has shape {tuple(output.shape)}, not {expected}")
        if output.dtype != case.q.dtype:
            raise Violation(f"the output is {output.dtype} for {case.q.dtype} inputs; keep the dtype of the problem")
        if array_namespace(output) is not array_namespace(case.q):
            raise Violation("the output belongs to another array library than the problem")
        require_counted(approximation)


def weights_agree(trial: Trial) -> None:
    """Weights times values are the output, if the approximation has weights."""
    problem = trial.problem()
    approximation = trial.run(problem)
    if approximation.expand is None:
        raise NotApplicable("the approximation has no weights over the original keys")
    weights = approximation.weights
    expected = (*problem.batch, problem.n_q, problem.n_k)
    if tuple(weights.shape) != expected:
        raise Violation(f"the weights have shape {tuple(weights.shape)}, not {expected}")
    output = to_host(approximation.output)
    product = to_host(problem.ungroup(weights.to_dense() @ problem.values))
    require_close(np.where(np.isnan(output), np.nan, product), output, problem, "weights @ values is not the output")
    streamed = to_host(problem.ungroup(weights @ problem.values))
    require_close(streamed, product, problem, "a product with the weights differs from that with their dense form")


def reads_no_dense_weights(trial: Trial) -> None:
    """A method that is no oracle runs with the dense scores and weights made to raise."""
    if trial.method.reads_weights:
        raise NotApplicable("reads_weights: the method is an oracle")
    problem = trial.problem()

    def refuse(*_: object, **__: object) -> Array:
        raise Violation("it forms the dense scores or weights; stream them, or declare reads_weights = True")

    few_rows = SoftmaxOperator.rows

    def rows(self: SoftmaxOperator, indices: Array) -> Array:
        # a few exact rows are no dense weights; as many as there are queries are
        return refuse() if indices.shape[0] >= problem.n_q else few_rows(self, indices)

    with (
        patch.object(AttentionProblem, "dense_weights", refuse),
        patch.object(AttentionProblem, "dense_scores", refuse),
        patch.object(SoftmaxOperator, "to_dense", refuse),
        patch.object(SoftmaxOperator, "rows", rows),
    ):
        trial.output(problem)


def constants_stay(trial: Trial) -> None:
    """P1: V = 1 gives 1."""
    problem = trial.problem()
    output = trial.output(changed(problem, v=np.ones_like(problem.v)))
    require_close(np.where(np.isnan(output), np.nan, 1.0), output, problem, "values of 1 do not give 1: normalise rows")


def seeds_decide(trial: Trial) -> None:
    """P6: the same seed gives the same bits, twice."""
    if not np.array_equal(trial.output(trial.problem()), trial.output(trial.problem()), equal_nan=True):
        raise Violation("two runs with one seed differ; draw from rng only, and keep no state")


def failures_are_counted(trial: Trial) -> None:
    """P10: with q times 8, every row is finite or counted."""
    for dtype in ("float32", "float64"):
        problem = trial.problem(dtype=dtype)
        approximation = trial.run(changed(problem, q=8 * problem.q))
        with np.errstate(all="ignore"):
            require_counted(approximation, f"{dtype}: ")


def single_precision_agrees(trial: Trial) -> None:
    """P12: float32 agrees with float64 to the accuracy that float32 allows."""
    single = trial.problem(dtype="float32")
    double = changed(single, **{name: getattr(single, name).astype(np.float64) for name in ("q", "k", "v")})
    allowed = 1e4 * float(np.finfo(np.float32).eps)  # rounding of scores is amplified by the exponential
    found = difference(trial.output(single), trial.output(double))
    if found <= allowed:
        return
    # a sample, a pivot or a threshold may differ between precisions: then the median errors must agree
    truth = exact(double)
    errors = [[_error(trial.output(case, seed=seed), truth) for seed in range(12)] for case in (single, double)]
    low, high = np.median(errors[1]), np.median(errors[0])
    if not high <= 1.5 * low + allowed:
        raise Violation(
            f"float32 and float64 outputs differ by {found:.2g} (allowed {allowed:.2g}), and so do the median errors, "
            f"{high:.2g} against {low:.2g}; accumulate in the wider dtype or scale before summing"
        )


def _error(output: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(np.nan_to_num(output - truth, nan=1e6)) / np.linalg.norm(truth))
