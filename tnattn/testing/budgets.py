"""Laws about growing budgets: P7, P8, merging, and budgets beyond the number of keys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tnattn.arrays import to_host
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.trial import Trial, exact, require_close, require_counted

_TEMPERATURES = (0.25, 0.5, 1.0, 2.0, 4.0)  # factors of the requested scale, of which 1 must fit best
_SMALL = 0.05  # relative error at which a random method counts as converged
_MILD = 0.4  # of the natural scale: estimators of exp converge within the budgets tried here


def has_temperature(trial: Trial) -> None:
    """P7: among exact outputs at several scales, that at the requested scale fits the mean output best."""
    problem = trial.problem(scale=_MILD)
    method = trial.fitted(problem, _largest(trial, problem, 8))
    # 16 seeds: the bias is compared, not the noise of one draw
    outputs = [trial.output(problem, method=method, seed=seed) for seed in range(16 if trial.is_random() else 1)]
    mean = np.nanmean(outputs, axis=0)
    errors = {
        factor: float(np.linalg.norm(np.nan_to_num(mean - exact(replace(problem, scale=factor * problem.score_scale)))))
        for factor in _TEMPERATURES
    }
    best = min(errors, key=lambda factor: errors[factor])
    if best != 1.0:
        raise Violation(
            f"the output fits attention at {best:g} times the scale best (error {errors[best]:.2g}, against "
            f"{errors[1.0]:.2g} at the requested scale); use problem.score_scale exactly once"
        )


def converges(trial: Trial) -> None:
    """P8: the error vanishes as the budget goes to n, or decays as it grows beyond (random features)."""
    problem = trial.problem(scale=_MILD)
    full = _error(trial, problem, problem.n_k)
    if full <= 1e-6:  # exact up to rounding at a budget of all keys
        return
    if trial.method.budget is None:
        raise Violation(f"the relative error is {full:.2g}, and no budget makes it smaller; waive P8 with the reason")
    # Monte Carlo: 16 times the budget must at least halve the error
    sizes = (4 * problem.n_k, 64 * problem.n_k)
    try:
        few, many = (_error(trial, problem, size) for size in sizes)
    except ValueError as error:
        raise Violation(
            f"the relative error is {full:.2g} at the budget n = {problem.n_k}, the largest ({error})"
        ) from error
    if many > (max(_SMALL, few / 2) if trial.is_random() else few / 2):
        raise Violation(
            f"the relative error is {full:.2g}, {few:.2g}, {many:.2g} at budgets {problem.n_k}, {sizes[0]}, "
            f"{sizes[1]}; it must vanish, or at least halve; waive P8 with the limit of the error if it is not 0"
        )


def merges(trial: Trial) -> None:
    """A(first half of the keys) + A(second half) tends to the exact output as A(all keys) does; or + refuses."""
    problem = trial.problem(scale=_MILD)
    reason = _merged(trial, problem, max(1, problem.n_k // 6), 0)
    if isinstance(reason, str):
        raise NotApplicable(reason)
    truth, budget = exact(problem), _largest(trial, problem, 16)
    method = trial.fitted(problem, budget)
    seeds = range(8 if trial.is_random() else 1)
    # a rank cannot exceed the half; a number of samples or features may exceed the whole
    columns = budget if budget > problem.n_k else None
    merged = [np.linalg.norm(np.nan_to_num(_merged(trial, problem, columns, seed) - truth)) for seed in seeds]
    undivided = [
        np.linalg.norm(np.nan_to_num(trial.output(problem, method=method, seed=seed) - truth)) for seed in seeds
    ]
    negligible = 1e-6 * float(np.linalg.norm(truth))  # both exact: their ratio is one of rounding errors
    if not np.median(merged) <= 2 * np.median(undivided) + negligible:
        raise Violation(
            f"two merged halves have error {np.median(merged):.2g} at budget {budget}, the undivided keys "
            f"{np.median(undivided):.2g}; estimate the mass of a piece, or mark it unmergeable"
        )


def _merged(trial: Trial, problem: AttentionProblem, budget: int | None, seed: int) -> np.ndarray | str:
    """Return the output of two merged halves at a budget, or at their own lengths; or the reason against merging."""
    pieces = []
    for side, columns in enumerate((slice(0, problem.n_k // 2), slice(problem.n_k // 2, problem.n_k))):
        half = problem.rectangle(slice(0, problem.n_q), columns)
        method = trial.fitted(half, half.n_k if budget is None else budget)
        # independent draws for the two halves, as a caller would make them
        pieces.append(trial.run(half, method=method, seed=seed + 1000 * side).placed(columns, problem.n_k))
    first, second = pieces
    said = first.unmergeable or second.unmergeable
    try:
        merged = first + second
    except ValueError as error:
        if said:
            return f"unmergeable: {said}"
        raise Violation(f"two halves do not merge ({error}); mark them unmergeable and say why") from error
    if said:
        raise Violation(f"a piece merges although it is unmergeable: {said}")
    with np.errstate(all="ignore"):
        return np.asarray(to_host(merged.output), dtype=np.float64)


def _error(trial: Trial, problem: AttentionProblem, budget: int) -> float:
    """Return the median relative error over seeds, which heavy tails do not dominate."""
    method, truth = trial.fitted(problem, budget), exact(problem)
    errors = [
        np.linalg.norm(np.nan_to_num(trial.output(problem, method=method, seed=seed) - truth, nan=1e6))
        for seed in range(8 if trial.is_random() else 1)
    ]
    return float(np.median(errors) / np.linalg.norm(truth))


def _largest(trial: Trial, problem: AttentionProblem, factor: int) -> int:
    """Return a budget of ``factor`` times n where the method takes it, else n."""
    try:
        trial.run(problem, method=trial.fitted(problem, factor * problem.n_k))
    except (ValueError, Violation):
        return problem.n_k
    return factor * problem.n_k


def goes_beyond(trial: Trial) -> None:
    """A budget larger than the number of keys is an upper bound; a boolean is no budget."""
    problem = trial.problem()
    if trial.method.budget is None:
        raise NotApplicable("the method has no budget")
    try:
        trial.method.with_budget(True)
    except TypeError:
        pass
    else:
        raise Violation("the budget True is accepted; an integer is needed")
    whole = trial.run(problem, method=_raised(trial, problem.n_k))
    for budget in (problem.n_k + 44, 10**6):  # a little above, and far beyond any allocation
        found = trial.run(problem, method=_raised(trial, budget))
        with np.errstate(all="ignore"):
            require_counted(found, f"budget {budget} of {problem.n_k} keys: ")
        if found.kernel.shape[-1] > whole.kernel.shape[-1]:
            return  # features and draws with replacement: a larger budget is used
        require_close(
            to_host(found.output),
            to_host(whole.output),
            problem,
            f"budget {budget} of {problem.n_k} keys differs from all",
        )


def _raised(trial: Trial, budget: int) -> AttentionMethod:
    try:
        return trial.method.with_budget(budget)
    except ValueError as error:
        raise Violation(f"the budget {budget} is refused ({error}); clip it to what the problem has") from error
