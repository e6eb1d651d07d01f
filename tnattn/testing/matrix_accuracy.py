"""Laws of matrix methods on shape, precision, accuracy and reproducibility."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tnattn.arrays import array_namespace, dtype_name, to_host
from tnattn.testing.matrix_trial import RANK, MatrixTrial, arrays_of, relative_error
from tnattn.testing.report import NotApplicable, Violation

_SEEDS = 6  # over which errors of random choices are averaged
_CLOSE = 1.05  # a residual by differences of squares keeps half of the digits; a wrong one is off by far more


def result_fits(trial: MatrixTrial) -> None:
    """Shape, dtype and library are those of the matrices, batch axes included."""
    for dtype in ("float32", "float64"):
        for batch in ((), (2, 3), (1,)):
            a = trial.matrix(*batch, dtype=dtype)
            result = trial.run(a)
            dense = result.to_dense()
            if tuple(result.shape) != a.shape or tuple(dense.shape) != a.shape:
                raise Violation(f"the result for {a.shape} has shape {tuple(result.shape)}")
            if array_namespace(dense) is not array_namespace(a):
                raise Violation("the result belongs to another array library")
            # ranks and pivots are int64, masks bool; every other array has the dtype of the matrix
            found = {dtype_name(x.dtype) for _, x in [*arrays_of(result), ("to_dense()", dense)]}
            if not found <= {dtype, "int64", "bool"}:
                raise Violation(f"the result for {dtype} matrices holds {', '.join(sorted(found))}")


def is_exact_at_full_rank(trial: MatrixTrial) -> None:
    """The largest rank gives the matrix back, where nothing is promised otherwise."""
    if not trial.ranked or not trial.method.exact_at_full_rank:
        raise NotApplicable("the method is not exact at its largest rank")
    a = trial.matrix(decay=0.8)
    rank = min(a.shape) * (2 if trial.method.rank_is_limit else 1)  # a limit may exceed the size
    error = relative_error(trial.dense(a, rank, rtol=1e-7 if trial.method.budget and _stops(trial) else None), a)
    if not error <= 1e-6:
        raise Violation(f"the relative error at full rank is {error:.2g}")


def _stops(trial: MatrixTrial) -> bool:
    """Return true if the method has a tolerance by default."""
    return bool(getattr(trial.method, "rtol", None))


def improves_with_rank(trial: MatrixTrial) -> None:
    """Mean errors fall with the rank, at last below the norm of the matrix; at few pivots a cross may exceed it."""
    if not trial.ranked:
        raise NotApplicable("the method has no rank")
    a = trial.matrix()
    errors = [
        np.mean([relative_error(trial.dense(a, rank, seed=seed), a) for seed in range(_SEEDS)]) for rank in (2, 4, 8)
    ]
    if not (errors[2] < errors[1] < errors[0] and errors[2] < 1):
        raise Violation(f"relative errors {[f'{e:.3g}' for e in errors]} at ranks 2, 4 and 8 do not fall below 1")


def residual_is_honest(trial: MatrixTrial) -> None:
    """The realised residual is that of the result, in the norm that the class names."""
    kind = trial.method.residual_norm
    if kind == "estimate":
        raise NotApplicable("the residual is an estimate")
    a = trial.matrix(2)
    for rank, rtol in ((2, 0.3), (RANK, 0.3), (8, 1e-3)):
        result = trial.run(a, rank, rtol=rtol)
        residual = getattr(result, "residual", None)
        if residual is None:
            raise NotApplicable("the result carries no residual")
        difference = a - to_host(result.to_dense())
        norm: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "Frobenius": lambda x: np.linalg.norm(x, axis=(-2, -1)),
            "trace": lambda x: np.trace(x, axis1=-2, axis2=-1),
            "largest entry": lambda x: np.abs(x).max(axis=(-2, -1)),
        }
        true, found = norm[kind](difference) / norm[kind](a), to_host(residual)
        if not np.all((found <= _CLOSE * true + 1e-7) & (true <= _CLOSE * found + 1e-7)):
            raise Violation(f"the residual at rank {rank} is {found}, but the {kind} error is {true}")
        claimed = to_host(result.converged)  # type: ignore[attr-defined]
        if trial.tolerant and not np.all(~claimed | (true <= _CLOSE * rtol)):
            raise Violation(f"converged is {claimed} at rtol {rtol}, but the {kind} error is {true}")


def is_reproducible(trial: MatrixTrial) -> None:
    """One seed gives the same bits twice."""
    a = trial.matrix(2)
    first, second = trial.run(a), trial.run(a)
    for (name, one), (_, two) in zip(arrays_of(first), arrays_of(second), strict=True):
        if not np.array_equal(to_host(one), to_host(two), equal_nan=True):
            raise Violation(f"{name} differs between two runs with one seed; draw from rng only")


def ignores_batch_mates(trial: MatrixTrial) -> None:
    """Another matrix in the stack, however large, changes nothing."""
    a, mate = trial.matrix(), trial.matrix(key=1)
    alone = trial.dense(a)
    for factor in (0.0, 1.0, 1e6):  # a zero mate, an ordinary one, and one that dominates shared tolerances
        if factor == 0 and trial.method.needs_full_rank:
            continue
        together = trial.dense(np.stack([a, factor * mate]))[0]
        gap = relative_error(together, alone)
        if not gap <= 1e-9:
            raise Violation(f"a mate of size {factor:g} in the stack changes the result by {gap:.2g}")


def keeps_precision(trial: MatrixTrial) -> None:
    """Results of float32 are those of float64 up to what float32 allows."""
    a = trial.matrix()
    single = np.mean([relative_error(trial.dense(a.astype(np.float32), seed=s), a) for s in range(_SEEDS)])
    double = np.mean([relative_error(trial.dense(a, seed=s), a) for s in range(_SEEDS)])
    # a draw near the border between two columns may go either way
    if not single <= 1.5 * double + 1e-4:
        raise Violation(f"the mean error is {single:.3g} in float32 and {double:.3g} in float64")


ACCURACY: dict[str, Callable[[MatrixTrial], None]] = {
    "result": result_fits,
    "full rank": is_exact_at_full_rank,
    "progress": improves_with_rank,
    "residual": residual_is_honest,
    "seed": is_reproducible,
    "batch": ignores_batch_mates,
    "precision": keeps_precision,
}
