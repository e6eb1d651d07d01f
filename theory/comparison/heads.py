"""Predictions for the heads whose approximate output is finite, when other heads of the same result have bad rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from theory.statement.bound import Bound, HypothesisViolated
from theory.statement.prediction import Prediction, Values
from tnattn.arrays import to_host
from tnattn.attention.approximation import Approximation
from tnattn.attention.masks import BiasMask, ConjunctionMask, ExplicitMask, Mask
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Dense

__all__ = ["evaluate", "finite_heads", "part_of"]


def finite_heads(target: Any, result: Any) -> list[int] | None:
    """Return the heads without a bad row in any problem of the batch; None where the target is no attention problem."""
    if not (isinstance(target, AttentionProblem) and isinstance(result, Approximation)):
        return None
    finite = np.asarray(to_host(result.bad_rows)) == 0
    return [int(h) for h in np.flatnonzero(finite.reshape(-1, target.heads).all(axis=0))]


def evaluate(b: Bound, method: Any, target: Any, result: Any = None) -> Prediction:
    """Evaluate a theorem, on the heads with a finite output alone where the others violate its hypotheses.

    Returns
    -------
    Prediction
        As from ``b.evaluated``, NaN for the heads left out.

    Raises
    ------
    HypothesisViolated
        If the theorem applies to none of the heads.
    """
    try:
        prediction = b.evaluated(method, target, result)
        # a bound before the run does not read the result, so that bad rows do not matter to it
        if b.kind == "prior" or np.isfinite(prediction.value).all():
            return prediction
    except Exception as whole:
        heads = finite_heads(target, result) if b.kind != "prior" else None
        if not heads or len(heads) == target.heads:
            raise
        try:
            return _scattered(target, heads, lambda part: b.evaluated(method, *part), result)
        except HypothesisViolated:
            raise
        except Exception:
            raise whole from None
    heads = finite_heads(target, result)
    if not heads or len(heads) == target.heads:
        return prediction
    try:
        return _scattered(target, heads, lambda part: b.evaluated(method, *part), result)
    except HypothesisViolated:
        return prediction


def _scattered(
    problem: AttentionProblem,
    heads: Sequence[int],
    evaluated: Callable[[tuple[AttentionProblem, Approximation]], Prediction],
    result: Approximation,
) -> Prediction:
    # NaN rows would spread to norms over all heads, so that the theorem sees only the finite ones
    small = evaluated(part_of(problem, result, heads))
    axis = len(problem.batch) - 2
    bad = problem.heads - len(heads)
    if small.value.ndim <= axis or small.value.shape[axis] != len(heads):
        raise HypothesisViolated(f"the statement is about all heads together, and {bad} of them have bad rows")

    def spread(array: Values | None) -> Values | None:
        if array is None or array.ndim <= axis or array.shape[axis] != len(heads):
            return array
        full = np.full((*array.shape[:axis], problem.heads, *array.shape[axis + 1 :]), np.nan)
        full[(slice(None),) * axis + (list(heads),)] = array
        return full

    parts: dict[str, Any] = {f.name: spread(getattr(small, f.name)) for f in fields(small)}
    parts["left_out"] = np.ones(parts["value"].shape, dtype=np.bool_)
    parts["left_out"][(slice(None),) * axis + (list(heads),)] = False
    return replace(small, **parts)


def part_of(
    problem: AttentionProblem, result: Approximation, heads: Sequence[int]
) -> tuple[AttentionProblem, Approximation]:
    """Return problem and result restricted to some heads, on the host, each with keys of its own.

    Factors of the kernel are multiplied out: theorems about the structure of a kernel do not apply to the part.
    """
    ratio = problem.heads // problem.groups
    chosen, groups = list(heads), [h // ratio for h in heads]
    part = replace(
        problem,
        q=np.asarray(to_host(problem.q))[..., chosen, :, :],
        k=np.asarray(to_host(problem.k))[..., groups, :, :],
        v=np.asarray(to_host(problem.v))[..., groups, :, :],
        mask=_mask_of(problem.mask, chosen, problem.heads),
    )

    def taken(array: Any, axes: int) -> Any:
        """(..., G, R, own axes) to (..., H', 1, own axes)."""
        host = np.asarray(to_host(array))
        own = host.shape[host.ndim - axes :]
        full = np.broadcast_to(host, (*problem.batch, *own)).reshape(*problem.batch[:-2], problem.heads, 1, *own)
        return np.take(full, chosen, axis=len(problem.batch) - 2)

    def optional(array: Any, axes: int) -> Any:
        return None if array is None else taken(array, axes)

    return part, replace(
        result,
        kernel=Dense(taken(result.kernel.to_dense(), 2)),
        shift=taken(result.shift, 1),
        values=taken(result.values, 2),
        mass=optional(result.mass, 1),
        normaliser=optional(result.normaliser, 1),
        expand=None if result.expand is None else Dense(taken(result.expand.to_dense(), 2)),
    )


def _mask_of(mask: Mask, heads: Sequence[int], count: int) -> Mask:
    """Return the mask of some heads: explicit masks and biases may have one for each, (..., H, n_q, n_k)."""

    def taken(array: Any) -> Any:
        host = np.asarray(to_host(array))
        return host[..., list(heads), :, :] if host.ndim >= 3 and host.shape[-3] == count > 1 else host

    match mask:
        case ExplicitMask(allowed=allowed):
            return ExplicitMask(taken(allowed))
        case BiasMask(bias=bias):
            return BiasMask(taken(bias))
        case ConjunctionMask(parts=parts):
            return ConjunctionMask(tuple(_mask_of(part, heads, count) for part in parts))
        case _:
            return mask
