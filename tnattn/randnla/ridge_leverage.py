"""Ridge leverage scores: how much a row or a kernel column counts at a given level of regularisation."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, eps, require_rng, uniform
from tnattn.linalg import eigh, small_svd
from tnattn.randnla.column_selection import ColumnSelection
from tnattn.randnla.leverage import sample_indices
from tnattn.randnla.operand import require_count, require_symmetric
from tnattn.structured.base import StructuredMatrix


def ridge_leverage_scores(a: Array, *, ridge: float) -> Array:
    """Return the ridge leverage scores of the rows of matrices, the diagonal of ``a (a^T a + ridge)^-1 a^T``.

    Parameters
    ----------
    a : Array, (..., m, n), floating
        Finite (not checked), of any rank.
    ridge : float
        Positive, in units of the square of ``a``.

    Returns
    -------
    Array, (..., m)
        In [0, 1); they add up to the effective dimension.

    Notes
    -----
    O(m n min(m, n)), through a singular value decomposition. Cohen, Musco & Musco 2017.
    """
    xp = array_namespace(a)
    _require_ridge(ridge)
    u, s, _ = small_svd(a)
    squares = s * s
    return xp.sum(u * u * (squares / (squares + ridge))[..., None, :], axis=-1)


def kernel_ridge_leverage_scores(kernel: Array, *, ridge: float) -> Array:
    """Return the diagonals of ``K (K + ridge)^-1`` of positive semidefinite matrices.

    Parameters
    ----------
    kernel : Array, (..., n, n)
        Symmetric and positive semidefinite (not checked).
    ridge : float
        Positive, in units of the kernel.

    Returns
    -------
    Array, (..., n)
        In [0, 1]; they add up to the effective dimension.

    Notes
    -----
    O(n^3). Alaoui & Mahoney 2015.
    """
    _require_ridge(ridge)
    return _smoothed_diagonal(*eigh(kernel), ridge)


def effective_dimension(kernel: Array, *, ridge: float) -> Array:
    """Return the traces (...) of ``K (K + ridge)^-1`` of positive semidefinite matrices (..., n, n); O(n^3)."""
    xp = array_namespace(kernel)
    _require_ridge(ridge)
    values = xp.linalg.eigvalsh(kernel)
    values = xp.maximum(values, xp.zeros_like(values))
    return xp.sum(values / (values + ridge), axis=-1)


@dataclass(frozen=True)
class RidgeLeverageDraws(ColumnSelection):
    """Draws columns of a positive semidefinite matrix with replacement, by their exact ridge leverage scores.

    Parameters
    ----------
    ridge : float
        Positive, relative to the mean of the diagonal: a number of the kernel's own scale.

    Notes
    -----
    O(n^3) and the dense matrix: a reference. ``RecursiveNystrom`` does without both. Alaoui & Mahoney 2015.
    """

    ridge: float = 0.1

    def __post_init__(self) -> None:
        _require_ridge(self.ridge)

    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        require_count(size, "size", least=1)
        require_symmetric(a)
        scores = relative_scores(a.to_dense(), self.ridge)
        return sample_indices(scores, uniform(require_rng(rng, "RidgeLeverageDraws"), (size,), like=a.like))


def relative_scores(kernel: Array, ridge: float) -> Array:
    """Return the ridge leverage scores (..., n) at a ridge relative to the mean of the diagonal, all positive.

    Raises ValueError if a kernel is not positive semidefinite.
    """
    xp = array_namespace(kernel)
    level = xp.mean(xp.abs(xp.linalg.diagonal(kernel)), axis=-1)[..., None, None]
    values, vectors = eigh(kernel / xp.where(level > 0, level, xp.ones_like(level)))
    noise = 8 * kernel.shape[-1] * eps(kernel) * xp.max(xp.abs(values), axis=-1)
    if bool(xp.any(values[..., 0] < -noise)):
        raise ValueError("a is not positive semidefinite; use RandomizedSVD for indefinite matrices")
    scores = _smoothed_diagonal(values, vectors, ridge)
    # a zero matrix has no scores to draw by: any columns will do
    return xp.maximum(scores, xp.full_like(scores, eps(scores) ** 2))


def _smoothed_diagonal(values: Array, vectors: Array, ridge: float) -> Array:
    xp = array_namespace(values)
    values = xp.maximum(values, xp.zeros_like(values))
    return xp.sum(vectors * vectors * (values / (values + ridge))[..., None, :], axis=-1)


def _require_ridge(ridge: float) -> None:
    if not ridge > 0:
        raise ValueError(f"ridge is {ridge!r}; a positive number is needed")
