"""An initial guess for canonical polyadic fits by simultaneous diagonalisation, exact if the tensor has the rank."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, from_host, to_host
from tnattn.decomposition.cp.start import CPStart
from tnattn.decomposition.multilinear import mode_product, mode_sizes, unfold
from tnattn.decomposition.subspace import mode_subspace
from tnattn.linalg import pseudo_inverse_apply, small_svd


@dataclass(frozen=True)
class DiagonalisationStart(CPStart):
    """Take the eigenvectors of a pencil of two slices, compressed to the rank.

    Two modes must be at least as long as the rank. If the tensor has that rank, with independent columns in their
    factors and different ratios of the coefficients of the two slices, the factors are exact up to rounding, whatever
    the alternating iteration would make of it. With noise they are an initial guess.

    Notes
    -----
    Leurgans, Ross and Abel 1993; the two slices are the leading singular vectors of the other modes together. Complex
    pairs of eigenvectors, which noise brings, are replaced by their real and imaginary parts. The eigenvectors of the
    small pencil are found on the host.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.cp import CPALS, DiagonalisationStart
    >>> rng = np.random.default_rng(0)
    >>> a, b, c = (rng.standard_normal((n, 3)) for n in (8, 9, 10))
    >>> tensor = np.einsum("ir,jr,kr->ijk", a, b, c)
    >>> fit = CPALS(rank=3, sweeps=1, start=DiagonalisationStart())(tensor)
    >>> bool(fit.residual < 1e-9)
    True
    """

    def factors(self, tensor: Array, *, rank: int, order: int, rng: Rng | None) -> tuple[Array, ...]:
        xp, sizes = array_namespace(tensor), mode_sizes(tensor, order=order)
        first, second = _longest_pair(sizes, rank)
        batch = tuple(tensor.shape[: tensor.ndim - order])
        others = [j for j in range(order) if j not in (first, second)]
        bases, core = {}, tensor  # compress the two longest modes to the rank
        for mode in (first, second):
            bases[mode] = mode_subspace(tensor, mode, order=order, rank=rank).basis
            core = mode_product(core, xp.matrix_transpose(bases[mode]), mode, order=order)
        axes = (*range(len(batch)), *(len(batch) + j for j in (first, second, *others)))
        cube = xp.reshape(xp.permute_dims(core, axes), (*batch, rank, rank, -1))  # (..., r, r, rest)
        columns = _common_columns(cube)  # (..., r, r): the factor of ``first`` within its basis
        found = {first: xp.matmul(bases[first], columns)}
        # row r of what the columns leave is the outer product of the other factors' columns r
        terms = pseudo_inverse_apply(columns, xp.reshape(cube, (*batch, rank, -1)))
        shape = (*batch, rank, rank, *(sizes[j] for j in others))
        terms = xp.reshape(terms, shape)
        for place, mode in enumerate([second, *others]):
            leading = small_svd(unfold(terms, place, order=order - 1))[0][..., 0]  # (..., r, n)
            vectors = xp.matrix_transpose(leading)
            found[mode] = xp.matmul(bases[mode], vectors) if mode == second else vectors
        return tuple(found[j] for j in range(order))


def _longest_pair(sizes: tuple[int, ...], rank: int) -> tuple[int, int]:
    """Return the two longest modes, or raise ValueError if they are too short or there is a single slice."""
    first, second = sorted(sorted(range(len(sizes)), key=lambda j: -sizes[j])[:2])
    rest = math.prod(sizes) // (sizes[first] * sizes[second])
    if min(sizes[first], sizes[second]) < rank or (rest < 2 and rank > 1):
        raise ValueError(
            f"rank {rank} is too large to diagonalise a tensor of sizes {sizes}: two modes of at least the rank and "
            "a slice besides are needed; reduce the rank, or start from SingularVectorStart() or GaussianStart()"
        )
    return first, second


def _common_columns(cube: Array) -> Array:
    """Return the real eigenvectors (..., r, r) common to the slices of a stack of cubes (..., r, r, rest)."""
    xp = array_namespace(cube)
    rank, batch = cube.shape[-2], tuple(cube.shape[:-3])
    if rank == 1:
        return xp.ones_like(cube[..., 0])
    rows = xp.reshape(cube, (*batch, rank * rank, -1))
    # the two leading combinations of slices: less noise than in any two slices themselves
    u, s, _ = small_svd(rows)
    pair = xp.reshape(u[..., :2] * s[..., None, :2], (*batch, rank, rank, 2))
    # M_2 M_1^+ = A (D_2 D_1^-1) A^-1, M_1 being the larger of the two
    pencil = xp.matrix_transpose(
        pseudo_inverse_apply(xp.matrix_transpose(pair[..., 0]), xp.matrix_transpose(pair[..., 1]))
    )
    host = to_host(pencil)  # eigenvalues of nonsymmetric matrices are not in the array API standard
    hp = array_namespace(host)
    values, vectors = hp.linalg.eig(host)
    imaginary = values.imag < 0  # of a pair of conjugates one gives its real part, the other its imaginary part
    real = hp.where(imaginary[..., None, :], vectors.imag, vectors.real)
    return from_host(hp.asarray(real, dtype=host.dtype), like=cube)
