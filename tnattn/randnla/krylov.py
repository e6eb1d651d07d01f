"""Block Krylov subspaces: every product of the power scheme is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from tnattn.arrays import Array, Rng, array_namespace, device, eps
from tnattn.linalg import orthonormalise, small_svd
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.gaussian import Gaussian
from tnattn.randnla.operand import require_rank
from tnattn.randnla.randomized_svd import RandomizedSVDResult
from tnattn.randnla.range_finder import RangeFinder
from tnattn.randnla.sketch import Sketch, narrow_product, sketched
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True)
class BlockKrylov(MatrixMethod):
    """Truncates the projection onto ``range [A Omega, (A A^T) A Omega, ..., (A A^T)^q A Omega]`` to the target rank.

    Parameters
    ----------
    rank : int
        Target rank, positive.
    oversampling : int
        Further columns of the test matrix.
    power_iterations : int
        q, non-negative. The basis has up to ``(q + 1) (rank + oversampling)`` columns, never more than min(m, n).
    sketch : Sketch
        Distribution of the test matrix.

    Notes
    -----
    2 m n (rank + oversampling) (2 + 2 q) flops in products with the matrix, as many as ``RandomizedSVD``, and O((m + n)
    ((q + 1) (rank + oversampling))^2): the price of keeping the blocks buys a Chebyshev polynomial in place of a power,
    which pays on slow spectra and where products are dear. Every block is orthogonalised against all before it, twice.
    Musco & Musco 2015, Algorithm 2.
    """

    rank: int = rank_budget(16)
    oversampling: int = 10
    power_iterations: int = 2
    sketch: Sketch = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        self._start.__post_init__()

    @property
    def _start(self) -> RangeFinder:
        return RangeFinder(self.rank, self.oversampling, self.power_iterations, self.sketch)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> RandomizedSVDResult:
        require_rank(self.rank, a.shape)
        size = min(self._start.size, *a.shape[-2:])
        y = sketched(a, self.sketch.draw(a.shape[-1], size, rng=rng, like=a.like))
        space = KrylovSpace(a, orthonormalise(y))
        for _ in range(self.power_iterations):
            if not space.extend():
                break
        return space.truncated(self.rank)


class KrylovSpace:
    """An orthonormal basis Q of a growing block Krylov subspace of the range of A, with A^T Q.

    Parameters
    ----------
    a : StructuredMatrix, (..., m, n)
    basis : Array, (..., m, l)
        Orthonormal columns to start from.
    """

    def __init__(self, a: StructuredMatrix, basis: Array) -> None:
        self._a = a
        self.basis = basis
        self.image = a.mT @ basis  # (..., n, columns of the basis)
        self._last = self.image

    @property
    def size(self) -> int:
        """Number of columns of the basis."""
        return int(self.basis.shape[-1])

    def extend(self) -> bool:
        """Add A times the last block of A^T Q to the basis; return whether there was room for anything.

        Products with A and its transpose: one of each, as wide as the block.
        """
        xp = array_namespace(self.basis)
        room = min(self._a.shape[-2:]) - self.size
        if room <= 0:
            return False
        # scaling the columns changes no span, and keeps the block clear of overflow
        block = narrow_product(self._a, orthonormalise(self._last))[..., : min(room, self._last.shape[-1])]
        for _ in range(2):  # twice is enough
            block = orthonormalise(block - self.basis @ (xp.matrix_transpose(self.basis) @ block))
        joined = xp.concat([self.basis, block], axis=-1)
        if self._is_orthonormal(joined):
            self._last = self._a.mT @ block
            self.basis, self.image = joined, xp.concat([self.image, self._last], axis=-1)
            return True
        # the space had become invariant: what fills it up is arbitrary, and must not lie within it
        self.basis = orthonormalise(joined)
        self.image = self._a.mT @ self.basis
        self._last = self.image[..., -block.shape[-1] :]
        return True

    def truncated(self, rank: int) -> RandomizedSVDResult:
        """Return the leading singular triples of the projection ``Q Q^T A``."""
        v, s, wt = small_svd(self.image)
        xp = array_namespace(s)
        u = self.basis @ xp.matrix_transpose(wt)[..., :rank]
        return RandomizedSVDResult(u, s[..., :rank], xp.matrix_transpose(v)[..., :rank, :])

    def restart(self, keep: int) -> None:
        """Keep the leading left singular vectors of the projection only, and go on from all of them."""
        v, s, wt = small_svd(self.image)
        xp = array_namespace(s)
        self.basis = self.basis @ xp.matrix_transpose(wt)[..., :keep]
        self.image = v[..., :keep] * s[..., None, :keep]
        self._last = self.image

    def _is_orthonormal(self, joined: Array) -> bool:
        xp = array_namespace(joined)
        gram = xp.matrix_transpose(joined) @ joined
        departure = xp.max(xp.abs(gram - xp.eye(gram.shape[-1], dtype=joined.dtype, device=device(joined))))
        return bool(departure < 50 * eps(joined))
