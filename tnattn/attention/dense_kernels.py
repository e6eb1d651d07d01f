"""Dense kernels exp(scores) and their approximations, per head, without row shifts."""

from __future__ import annotations

from typing import Any

from tnattn.arrays import Array, array_namespace, to_host
from tnattn.attention.approximation import Approximation
from tnattn.attention.problem import AttentionProblem


def exact_kernel(problem: AttentionProblem) -> Any:
    """Return exp(scores) per head, (..., H, n_q, n_k), as float64 on the host: quadratic memory."""
    scores = _host(problem.dense_scores())
    return array_namespace(scores).exp(scores)


def unshifted_kernel(problem: AttentionProblem, approximation: Approximation) -> Any:
    """Return the approximation of exp(scores) per head, (..., H, n_q, n_k), on the host: quadratic memory."""
    kernel = _host(approximation.kernel.to_dense())
    if approximation.expand is not None:
        kernel = kernel @ _host(approximation.expand.to_dense())
    shift = _host(approximation.shift)
    xp = array_namespace(shift)
    full = xp.broadcast_to(xp.exp(shift)[..., None] * kernel, (*problem.batch, problem.n_q, problem.n_k))
    return xp.reshape(full, (*problem.batch[:-2], problem.heads, problem.n_q, problem.n_k))


def _host(x: Array) -> Any:
    # float64, since exp of unshifted scores leaves the range of float32 at 88
    return to_host(x).astype("float64")
