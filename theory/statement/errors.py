"""Errors that theorems bound: float64 on the host, one value per matrix of the stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tnattn.arrays import to_host
from tnattn.attention.approximation import Approximation
from tnattn.attention.dense_kernels import exact_kernel, unshifted_kernel
from tnattn.attention.problem import AttentionProblem

Values: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Error:
    """Error of a result against its target, with the scales that verdicts need.

    Parameters
    ----------
    name : str
        Norm of the error, with "squared" or "relative" where it is; absolute otherwise.
    measure : callable
        ``(target, result) -> values``.
    trivial : callable
        ``target -> values``: the error of the zero (or trivial) result, above which a bound is vacuous.
    norm : callable
        ``target -> values``: the size of the data that are rounded, in the units of the error. For an output this is
        the size of the values, not of their differences or means: these may vanish while rounding does not.
    ceiling : callable, optional
        ``target -> values``: a value that the error cannot exceed whatever the method's randomness does.
    squared : bool
        True for the square of a norm, whose rounding error is small where the norm is.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.statement import Error
    >>> trace = Error(
    ...     "distance of the traces",
    ...     lambda target, result: abs(np.trace(target) - np.trace(result)),
    ...     trivial=lambda target: abs(np.trace(target)),
    ...     norm=lambda target: np.linalg.norm(target),
    ... )
    >>> float(trace(np.eye(3), np.diag([1.0, 1.0, 0.5]))), float(trace.trivial(np.eye(3)))
    (0.5, 3.0)
    """

    name: str
    measure: Callable[[Any, Any], Values]
    trivial: Callable[[Any], Values]
    norm: Callable[[Any], Values]
    ceiling: Callable[[Any], Values] | None = None
    squared: bool = False

    def __call__(self, target: Any, result: Any) -> Values:
        """Measure the error."""
        return np.asarray(self.measure(target, result), dtype=np.float64)


def dense(target: Any) -> Values:
    """Return a matrix, tensor or their structured forms as a float64 array on the host."""
    array = target.to_dense() if hasattr(target, "to_dense") else target
    return np.asarray(to_host(array)).astype(np.float64)


def spectrum_of(target: Any) -> Values:
    """Return the singular values of a matrix or stack, float64 on the host, descending."""
    return np.asarray(np.linalg.svd(dense(target), compute_uv=False))


def eigenvalues(target: Any) -> Values:
    """Return the eigenvalues of a symmetric matrix or stack, float64 on the host, descending, negative rounding cut."""
    # the matrix is semidefinite by hypothesis, so that a negative eigenvalue is rounding
    return np.asarray(np.maximum(np.linalg.eigvalsh(dense(target))[..., ::-1], 0.0))


def tail(values: Values, k: int) -> Values:
    """Return (sum of values[k:]**2) ** 0.5, the Frobenius tail of singular values."""
    return np.asarray(np.linalg.norm(values[..., k:], axis=-1))


# matrices


def _difference(target: Any, result: Any) -> Values:
    return dense(target) - dense(result)


def _where_finite(norm: Callable[[Values], Values]) -> Callable[[Values], Values]:
    """Return a norm that is NaN for matrices with entries that are not finite, and for them alone."""

    def careful(a: Values) -> Values:
        # LAPACK raises for the whole stack where one matrix of it is not finite
        finite = np.asarray(np.isfinite(a).all(axis=(-2, -1)))
        if np.all(finite):
            return norm(a)
        return np.where(finite, norm(np.where(finite[..., None, None], a, 0.0)), np.nan)

    return careful


@_where_finite
def _spectral(a: Values) -> Values:
    return np.asarray(np.linalg.norm(a, ord=2, axis=(-2, -1)))


def _frobenius(a: Values) -> Values:
    return np.asarray(np.linalg.norm(a, axis=(-2, -1)))


@_where_finite
def _nuclear(a: Values) -> Values:
    return np.asarray(np.linalg.norm(a, ord="nuc", axis=(-2, -1)))


def _of(norm: Callable[[Values], Values]) -> Callable[[Any], Values]:
    return lambda target: norm(dense(target))


def _matrix(name: str, norm: Callable[[Values], Values], *, bounded: bool, squared: bool = False) -> Error:
    norm = _squared(norm) if squared else norm
    size = _of(norm)
    return Error(name, lambda t, r: norm(_difference(t, r)), size, size, size if bounded else None, squared)


def _squared(norm: Callable[[Values], Values]) -> Callable[[Values], Values]:
    return lambda a: norm(a) ** 2


# a result that is no projection may be further from its target than zero is: no ceiling
matrix_spectral = _matrix("spectral norm", _spectral, bounded=False)
matrix_frobenius = _matrix("Frobenius norm", _frobenius, bounded=False)
matrix_frobenius_squared = _matrix("squared Frobenius norm", _frobenius, bounded=False, squared=True)
matrix_nuclear = _matrix("nuclear norm", _nuclear, bounded=False)
matrix_maximum = _matrix("largest entry", lambda a: np.asarray(np.abs(a).max(axis=(-2, -1))), bounded=False)
# projections cannot be worse than nothing: the norm of the target is a ceiling
projection_spectral = _matrix("spectral norm", _spectral, bounded=True)
projection_frobenius = _matrix("Frobenius norm", _frobenius, bounded=True)
projection_frobenius_squared = _matrix("squared Frobenius norm", _frobenius, bounded=True, squared=True)
projection_nuclear = _matrix("nuclear norm", _nuclear, bounded=True)


# tensors: a single tensor has no batch axes; stacks are compared one by one


def _tensor_norm(a: Values) -> Values:
    return np.asarray(np.sqrt(np.sum(np.square(a))))


tensor_frobenius = _matrix("Frobenius norm of the tensor", _tensor_norm, bounded=False)
tensor_frobenius_squared = _matrix("squared Frobenius norm of the tensor", _tensor_norm, bounded=False, squared=True)


# attention, per head


def exact_output(problem: AttentionProblem) -> Values:
    """Return the exact output as float64 on the host, (..., H, n_q, d_v)."""
    return np.asarray(to_host(problem.output), dtype=np.float64)


def _output_difference(problem: AttentionProblem, approximation: Approximation) -> Values:
    return exact_output(problem) - np.asarray(to_host(approximation.output), dtype=np.float64)


def _output_error(norm: Callable[[Values], Values], name: str, *, squared: bool = False) -> Error:
    norm = _squared(norm) if squared else norm

    def trivial(problem: AttentionProblem) -> Values:
        return norm(exact_output(problem))

    def size(problem: AttentionProblem) -> Values:
        # n_q rows, each an average of values; the spectral norm of such a matrix may be as large as its Frobenius norm
        rows = problem.n_q * value_size(problem) ** 2
        return rows if squared else np.sqrt(rows)

    return Error(name, lambda t, r: norm(_output_difference(t, r)), trivial, size, squared=squared)


def _largest_row(a: Values) -> Values:
    return np.asarray(np.linalg.norm(a, axis=-1).max(axis=-1))


def _values_diameter(problem: AttentionProblem) -> Values:
    return np.repeat(value_diameter(problem), problem.heads // problem.groups, axis=-1)


def value_diameter(problem: AttentionProblem) -> Values:
    """Return the largest distance of two values of every key head, (..., G)."""
    v = np.asarray(to_host(problem.v), dtype=np.float64)
    v = v - v.mean(axis=-2, keepdims=True)  # distances do not change, but squares cancel less
    square = np.sum(v * v, axis=-1)
    distance = square[..., :, None] + square[..., None, :] - 2 * v @ np.swapaxes(v, -1, -2)
    return np.asarray(np.sqrt(np.maximum(distance, 0.0).max(axis=(-2, -1))))


def value_size(problem: AttentionProblem) -> Values:
    """Return the largest Euclidean norm of a value for every query head, (..., H): ||P|| ||V|| in the row norm."""
    v = np.asarray(to_host(problem.v), dtype=np.float64)
    return np.repeat(np.linalg.norm(v, axis=-1).max(axis=-1), problem.heads // problem.groups, axis=-1)


output_frobenius = _output_error(_frobenius, "Frobenius norm of the output")
output_frobenius_squared = _output_error(_frobenius, "squared Frobenius norm of the output", squared=True)
output_spectral = _output_error(_spectral, "spectral norm of the output")
output_row = Error(
    "largest Euclidean row norm of the output",
    lambda t, r: _largest_row(_output_difference(t, r)),
    _values_diameter,
    value_size,
)

output_rows = Error(
    "Euclidean norm of every row of the output",
    lambda t, r: np.asarray(np.linalg.norm(_output_difference(t, r), axis=-1)),
    lambda t: _values_diameter(t)[..., None],
    lambda t: value_size(t)[..., None],
)


def relative_output(problem: AttentionProblem, approximation: Approximation) -> Values:
    """Return ||O' - O||_F / ||O||_F per head, (..., H); NaN rows of O' make it NaN."""
    # a head that sees no key has the exact output 0; its error stays absolute there
    size = _frobenius(exact_output(problem))
    return _frobenius(_output_difference(problem, approximation)) / np.where(size > 0, size, 1.0)


def _weights_difference(problem: AttentionProblem, approximation: Approximation) -> Values:
    approximate = approximation.weights
    shape = (*problem.batch, problem.n_q, problem.n_k)
    # grouped layout (..., G, R, n_q, n_k): one matrix may serve all heads of a group
    lifted = np.broadcast_to(dense(approximate), shape)
    return np.asarray(to_host(problem.dense_weights()), dtype=np.float64) - lifted.reshape(
        *problem.batch[:-2], problem.heads, *shape[-2:]
    )


def exact_weights(problem: AttentionProblem) -> Values:
    """Return the exact weights as float64 on the host, (..., H, n_q, n_k): quadratic memory."""
    return np.asarray(to_host(problem.dense_weights()), dtype=np.float64)


def _weights_error(norm: Callable[[Values], Values], name: str) -> Error:
    def size(problem: AttentionProblem) -> Values:
        return norm(exact_weights(problem))

    return Error(name, lambda t, r: norm(_weights_difference(t, r)), size, size)


weights_frobenius = _weights_error(_frobenius, "Frobenius norm of the weights")
weights_spectral = _weights_error(_spectral, "spectral norm of the weights")
weights_row_l1 = _weights_error(
    lambda a: np.asarray(np.abs(a).sum(axis=-1).max(axis=-1)), "largest row sum of the weights"
)


def _weights_rows(norm: Callable[[Values], Values], name: str, trivial: float) -> Error:
    """Make an error with one value per query, (..., H, n_q); rows of weights sum to one."""
    return Error(
        name,
        lambda t, r: norm(_weights_difference(t, r)),
        lambda t: np.asarray(trivial),
        lambda t: np.ones(()),
    )


# two probability vectors are at most 2, sqrt(2) and 1 apart in these norms
weights_rows_l1 = _weights_rows(
    lambda a: np.asarray(np.abs(a).sum(axis=-1)), "sum of absolute values of every row of the weights", 2.0
)
weights_rows_l2 = _weights_rows(
    lambda a: np.asarray(np.linalg.norm(a, axis=-1)), "Euclidean norm of every row of the weights", 2**0.5
)
weights_rows_max = _weights_rows(
    lambda a: np.asarray(np.abs(a).max(axis=-1)), "largest entry of every row of the weights", 1.0
)


def _kernel_size(problem: AttentionProblem) -> Values:
    return _frobenius(exact_kernel(problem)) ** 2


kernel_frobenius_squared = Error(
    "squared Frobenius norm of the kernel exp(scores)",
    lambda t, r: _frobenius(exact_kernel(t) - unshifted_kernel(t, r)) ** 2,
    _kernel_size,
    _kernel_size,
    squared=True,
)
