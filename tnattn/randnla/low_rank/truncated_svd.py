"""Truncated singular value decomposition: the optimal approximation of given rank, as a reference."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, device, eps
from tnattn.linalg import orthonormalise, orthonormalise_with_factor, svd
from tnattn.randnla.accuracy import require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.low_rank.krylov import KrylovSpace
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVDResult
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.conversion import worth_forming

_STEPS = 400  # Krylov blocks at most; 16,384 keys with a slowly decaying spectrum take some ten of them


@dataclass(frozen=True)
class TruncatedSVD(MatrixMethod):
    """Optimal approximation of a given rank in every unitarily invariant norm; deterministic.

    Parameters
    ----------
    rank : int
        Positive.

    Raises
    ------
    ValueError
        If the iteration for an implicit matrix does not converge, and as for every method.

    Notes
    -----
    O(m n min(m, n)) for dense matrices. Products of thin factors with r columns cost O((m + n) r^2), never formed.
    Other implicit matrices of more than a million entries are not formed either: block Golub-Kahan iteration with full
    orthogonalisation and restarts, from a fixed first block, until each residual ``||A v - s u||`` is below ``eps^(3/4)
    s_1``; O((m + n) rank) memory. Eckart & Young 1936; Mirsky 1960; Golub, Luk &
    Overton 1981.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import TruncatedSVD
    >>> from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(polynomial_spectrum(50), (80, 50), rng)
    >>> svd = TruncatedSVD(rank=8)(a)
    >>> print(np.round(svd.s[:4], 2))
    [1.   0.5  0.33 0.25]
    >>> print(np.isclose(np.linalg.norm(a - svd.to_dense()), np.linalg.norm(polynomial_spectrum(50)[8:])))
    True
    """

    rank: int = rank_budget(16)

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> RandomizedSVDResult:
        require_rank(self.rank, a.shape)
        factors = a.thin_factors()
        if factors is not None and self.rank <= factors[0].shape[-1] <= min(a.shape[-2:]):
            # A = (Q R) (P T)^T: the SVD of the small R T^T
            left, right = factors
            q, r = orthonormalise_with_factor(left)
            p, t = orthonormalise_with_factor(right.mT)
            u, s, vt = svd(r @ t.mT)
            u, vt = q @ u, vt @ p.mT
        elif worth_forming(a):
            u, s, vt = svd(a.to_dense())
        else:
            return _iterated(a, self.rank)
        return RandomizedSVDResult(u[..., : self.rank], s[..., : self.rank], vt[..., : self.rank, :])


def _iterated(a: StructuredMatrix, rank: int) -> RandomizedSVDResult:
    """Return the leading singular triples of an implicit matrix, from products alone."""
    xp = array_namespace(a.like)
    limit = min(a.shape[-2:])
    block = min(limit, rank + 8)  # a guard of eight columns separates clusters at the end of the spectrum wanted
    room = min(limit, 8 * block)  # memory of eight blocks; then a restart
    space = KrylovSpace(a, orthonormalise(a @ _first_block(a, block)))
    for _ in range(_STEPS):
        svd = space.truncated(rank)
        # A^T u = s v holds by construction: only A v = s u remains to be checked
        residual = a @ svd.vt.mT - svd.u * svd.s[..., None, :]
        lengths = xp.sqrt(xp.sum(residual * residual, axis=-2))
        # singular values err by the square of the residual over the gap: eps^(3/2)
        allowed = eps(a.like) ** 0.75 * svd.s[..., :1]
        worst = float(xp.max(lengths - allowed))
        if worst <= 0 or space.size == limit:
            return svd
        if space.size + block > room:
            space.restart(block)
        space.extend()
    raise ValueError(
        f"the leading {rank} singular vectors of the {a.shape} operator did not converge in {_STEPS} steps (residual "
        f"{worst:.2g} above its limit): its singular values hardly decay; use RandomizedSVD or BlockKrylov, which need "
        f"no convergence"
    )


def _first_block(a: StructuredMatrix, columns: int) -> Array:
    """Return a fixed, unstructured block (n, columns), the same on every library: cosines of quasi-random angles."""
    xp = array_namespace(a.like)
    place = device(a.like)
    i = xp.arange(1, a.shape[-1] + 1, dtype=a.dtype, device=place)[:, None]
    j = xp.arange(1, columns + 1, dtype=a.dtype, device=place)[None, :]
    # multiples of irrational numbers, the last the golden ratio; i^2 modulo a prime keeps digits in float32
    turns = i * xp.sqrt(j + 1.0) + xp.remainder(i * i, xp.asarray(4093.0, dtype=a.dtype, device=place)) * 0.6180339887
    return xp.cos(6.283185307 * xp.remainder(turns, xp.ones_like(turns)))
