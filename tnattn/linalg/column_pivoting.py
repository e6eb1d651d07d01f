"""Partial QR factorisation with greedy column pivoting, all matrices of a stack at once."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, device, eps
from tnattn.linalg.scaling import largest_entry
from tnattn.scalars import as_integer, as_real


def pivoted_qr(a: Array, steps: int, *, rtol: float = 0.0) -> tuple[Array, Array, Array, Array]:
    """Return the factors of a QR factorisation with column pivoting, stopped after some steps.

    Parameters
    ----------
    a : Array, (..., m, n)
    steps : int
        Number of pivots; more than min(m, n) leave zero columns.
    rtol : float
        A matrix takes no pivot once its residual is at most ``rtol`` times its Frobenius norm.

    Returns
    -------
    q : Array, (..., m, steps)
        Columns orthonormal, zero where the residual was exhausted.
    r : Array, (..., steps, n)
        ``q^T a``; upper triangular in the order of the pivots.
    pivots : Array, (..., steps), integer
        Distinct; -1 for the zero columns.
    residual : Array, (...)
        ``||a - q r||_F / ||a||_F``; zero for a zero matrix.

    Notes
    -----
    4 m n steps flops. Businger & Golub 1965, with one product with the matrix for each pivot: the residual is not
    formed, but its column norms are, anew whenever they have fallen by the square root of eps. One synchronisation for
    each pivot. Residual columns at the rounding error of the elimination count as zero.
    """
    steps, rtol = as_integer(steps, "steps"), as_real(rtol, "rtol")
    scale = largest_entry(a)
    elimination = _Elimination(a / scale, steps, rtol)  # squares neither overflow nor underflow
    for step in range(steps):
        if not elimination.advance(step):
            break
    return elimination.q, elimination.r * scale, elimination.pivots, elimination.residual()


def with_unused(pivots: Array, n: int) -> Array:
    """Return pivots (..., size) with every -1 replaced by an index below n that is not among them, in order."""
    n, xp = as_integer(n, "n"), array_namespace(pivots)
    place = device(pivots)
    used = xp.any(pivots[..., None] == xp.arange(n, device=place), axis=-2)  # (..., n)
    unused = xp.argsort(xp.astype(used, xp.int64), axis=-1, stable=True)
    missing = pivots < 0
    position = xp.cumulative_sum(xp.astype(missing, xp.int64), axis=-1) - 1
    position = xp.where(missing, position, xp.zeros_like(position))
    return xp.where(missing, xp.take_along_axis(unused, position, axis=-1), pivots)


class _Elimination:
    """The factors after some pivots, and the squared norms of the residual columns."""

    def __init__(self, a: Array, steps: int, rtol: float) -> None:
        xp, place, (*batch, m, n) = array_namespace(a), device(a), a.shape
        self._xp, self._a, self._rtol = xp, a, rtol
        self._squares = xp.sum(a * a, axis=-2)  # (..., n)
        self._total = xp.sum(self._squares, axis=-1)
        self._reference = xp.max(self._squares, axis=-1)  # when squares were last computed anew
        self._noise = max(m, n) * eps(a) * xp.sqrt(self._reference)
        self._free = xp.ones((*batch, n), dtype=xp.bool, device=place)
        self._columns = xp.arange(n, device=place)
        self.q = xp.zeros((*batch, m, steps), dtype=a.dtype, device=place)
        self.r = xp.zeros((*batch, steps, n), dtype=a.dtype, device=place)
        self.pivots = xp.full((*batch, steps), -1, dtype=xp.int64, device=place)

    def advance(self, step: int) -> bool:
        """Take one more pivot of every matrix that has one; return whether any had."""
        xp, a = self._xp, self._a
        pivot = self._farthest(step)  # (..., 1)
        before = self.q[..., :step]
        w = xp.take_along_axis(a, xp.broadcast_to(pivot[..., None, :], (*a.shape[:-1], 1)), axis=-1)
        w = w - before @ (before.mT @ w)
        w = w - before @ (before.mT @ w)  # once more: twice is enough
        length = xp.linalg.vector_norm(w, axis=-2)[..., 0]  # (...)
        alive = (length > self._noise) & (xp.sum(self._squares, axis=-1) > self._rtol**2 * self._total)
        if not bool(xp.any(alive)):
            return False
        unit = w / xp.where(alive, length, xp.ones_like(length))[..., None, None]
        unit = xp.where(alive[..., None, None], unit, xp.zeros_like(unit))
        here = (self._columns == pivot) & alive[..., None]
        row = xp.where(self._free, (unit.mT @ a)[..., 0, :], xp.zeros_like(self._squares))
        row = xp.where(here, length[..., None], row)  # exact, where the product with a would round
        self.q[..., step], self.r[..., step, :] = unit[..., 0], row
        self.pivots[..., step] = xp.where(alive, pivot[..., 0], xp.full_like(pivot[..., 0], -1))
        self._free = self._free & ~here
        self._squares = xp.maximum(self._squares - row * row, xp.zeros_like(self._squares))
        return True

    def _farthest(self, step: int) -> Array:
        """Return the columns (..., 1) with the largest residuals, of those that are no pivots."""
        xp = self._xp
        open_squares = xp.where(self._free, self._squares, -xp.ones_like(self._squares))
        if bool(xp.any(xp.max(open_squares, axis=-1) < eps(self._a) ** 0.5 * self._reference)):
            # differences of squares have lost half of their digits
            self._squares = xp.sum(xp.square(self._a - self.q[..., :step] @ self.r[..., :step, :]), axis=-2)
            open_squares = xp.where(self._free, self._squares, -xp.ones_like(self._squares))
            self._reference = xp.max(self._squares, axis=-1)
        return xp.argmax(open_squares, axis=-1)[..., None]

    def residual(self) -> Array:
        """Return the relative Frobenius norms (...) of the residuals."""
        xp = self._xp
        safe = xp.where(self._total > 0, self._total, xp.ones_like(self._total))
        return xp.sqrt(xp.sum(xp.square(self._a - self.q @ self.r), axis=(-2, -1)) / safe)
