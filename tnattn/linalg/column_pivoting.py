"""Partial QR factorisation with greedy column pivoting, all matrices of a stack at once."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, device, eps, runs_on_host, to_host
from tnattn.linalg.scaling import largest_entry
from tnattn.scalars import as_integer, as_real

_BLOCK = 32  # pivots of a device between two waits; the steps of a block that loses digits are taken twice


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
    formed, but its column norms are, anew whenever they have fallen by the square root of eps. A device chooses the
    pivots and waits once for every 32 of them; some 30 launches for each pivot, however many matrices. Residual columns
    at the rounding error of the elimination count as zero.
    """
    steps, rtol = as_integer(steps, "steps"), as_real(rtol, "rtol")
    scale = largest_entry(a)
    elimination = _Elimination(a / scale, steps, rtol)  # squares neither overflow nor underflow
    if runs_on_host(a):
        elimination.run(steps)
    else:
        for start in range(0, steps, _BLOCK):
            if not elimination.run_block(range(start, min(start + _BLOCK, steps))):
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
        self._columns, self._zeros = xp.arange(n, device=place), xp.zeros_like(self._squares)
        self.q = xp.zeros((*batch, m, steps), dtype=a.dtype, device=place)
        self.r = xp.zeros((*batch, steps, n), dtype=a.dtype, device=place)
        self.pivots = xp.full((*batch, steps), -1, dtype=xp.int64, device=place)

    def run(self, steps: int) -> None:
        """Take pivots one at a time; the host decides at each whether to renew the norms, and whether to stop."""
        for step in range(steps):
            if bool(self._inaccurate()):
                self._renew(step)
            if not bool(self._xp.any(self._advance(step))):
                break

    def run_block(self, block: range) -> bool:
        """Take the pivots of a block, and wait once; return False if no matrix has more.

        The block assumes that the norms stay accurate. If they did not, it is repeated from the state before it with
        norms computed anew at each step and taken over where needed: the pivots are those of single steps.
        """
        xp = self._xp
        before = self._squares, self._reference, self._free
        inaccurate = []
        for step in block:
            inaccurate.append(self._inaccurate())
            alive = self._advance(step)
        again, more = (bool(x) for x in to_host(xp.stack([xp.any(xp.stack(inaccurate)), xp.any(alive)])))
        if again:
            self._squares, self._reference, self._free = before
            for step in block:
                self._renew(step, where=self._inaccurate())
                self._advance(step)
        return again or more

    def _advance(self, step: int) -> Array:
        """Take one more pivot of every matrix that has one; return which had, booleans (...)."""
        xp, a = self._xp, self._a
        pivot = xp.argmax(self._open_squares(), axis=-1)[..., None]  # (..., 1)
        before = self.q[..., :step]
        w = xp.take_along_axis(a, xp.broadcast_to(pivot[..., None, :], (*a.shape[:-1], 1)), axis=-1)
        w = w - before @ (before.mT @ w)
        w = w - before @ (before.mT @ w)  # once more: twice is enough
        length = xp.linalg.vector_norm(w, axis=-2)[..., 0]  # (...)
        alive = (length > self._noise) & (xp.sum(self._squares, axis=-1) > self._rtol**2 * self._total)
        unit = w / xp.where(alive, length, 1.0)[..., None, None]
        unit = xp.where(alive[..., None, None], unit, 0.0)
        here = (self._columns == pivot) & alive[..., None]
        row = xp.where(self._free, (unit.mT @ a)[..., 0, :], 0.0)
        row = xp.where(here, length[..., None], row)  # exact, where the product with a would round
        self.q[..., step], self.r[..., step, :] = unit[..., 0], row
        self.pivots[..., step] = xp.where(alive, pivot[..., 0], -1)
        self._free = self._free & ~here
        self._squares = xp.maximum(self._squares - row * row, self._zeros)
        return alive

    def _open_squares(self) -> Array:
        """Return the squared norms (..., n) of the residual columns, -1 at pivots."""
        return self._xp.where(self._free, self._squares, -1.0)

    def _inaccurate(self) -> Array:
        """Return whether the norms of a matrix, differences of squares, have lost half of their digits, 0-d."""
        xp = self._xp
        return xp.any(xp.max(self._open_squares(), axis=-1) < eps(self._a) ** 0.5 * self._reference)

    def _renew(self, step: int, *, where: Array | None = None) -> None:
        """Compute the norms anew, after some steps; where a 0-d boolean is given, take them over if it is true."""
        xp = self._xp
        squares, reference = self._squares, self._reference
        self._squares = xp.sum(xp.square(self._a - self.q[..., :step] @ self.r[..., :step, :]), axis=-2)
        self._reference = xp.max(self._open_squares(), axis=-1)
        if where is not None:
            self._squares = xp.where(where, self._squares, squares)
            self._reference = xp.where(where, self._reference, reference)

    def residual(self) -> Array:
        """Return the relative Frobenius norms (...) of the residuals."""
        xp = self._xp
        safe = xp.where(self._total > 0, self._total, xp.ones_like(self._total))
        return xp.sqrt(xp.sum(xp.square(self._a - self.q @ self.r), axis=(-2, -1)) / safe)
