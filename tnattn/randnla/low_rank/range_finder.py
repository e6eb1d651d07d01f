"""Randomized range finder by subspace iteration, in double or single precision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

from tnattn.arrays import Array, Rng, array_namespace, dtype_name, prefers_host_tiles, quiet_overflow
from tnattn.linalg import lu_normalise, orthonormalise
from tnattn.randnla.accuracy import require_rank
from tnattn.randnla.base import rank_budget
from tnattn.randnla.sketches.base import Sketch, adapted_to, require_sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.units import in_units
from tnattn.scalars import Parameters, require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.conversion import as_structured
from tnattn.structured.dense import Dense

__all__ = ["RangeFinder"]

_LARGE = 1 << 16  # entries: below, the conversion to float32 costs more than the faster products save


@dataclass(frozen=True)
class RangeFinder(Parameters):
    """Orthonormal basis whose range captures most of the range of a matrix.

    Parameters
    ----------
    rank : int
        Target rank k, positive.
    oversampling : int
        Further columns p of the test matrix, min(m, n) columns in all at most.
    power_iterations : int
        Non-negative; each one costs two more products with the matrix. For slowly decaying spectra (``1 / j``,
        ``j^(-1/2)``) the error of the projection exceeds the optimal one of the same size by 22 to 59 % with none, by 1
        to 2 % with two.
    sketch : Sketch
        Distribution of the test matrix.

    Notes
    -----
    2 m n (k + p) (1 + 2 power_iterations) flops in products with the matrix, and O(m (k + p)^2). Halko, Martinsson &
    Tropp 2011, Algorithms 4.1 and 4.4. Deviations: bases between the products are normalised by LU factorisations, not
    orthonormalised; all matrices of a stack share the test matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RangeFinder
    >>> from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(polynomial_spectrum(50), (80, 50), rng)
    >>> for power_iterations in 0, 2:
    ...     q = RangeFinder(rank=8, power_iterations=power_iterations)(a, rng=rng)
    ...     print(q.shape, round(float(np.linalg.norm(a - q @ (q.T @ a))), 2))
    (80, 18) 0.31
    (80, 18) 0.19
    """

    rank: int = rank_budget(16)
    oversampling: int = 10
    power_iterations: int = 2
    sketch: Sketch = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)
        require_iteration(self.oversampling, self.power_iterations, self.sketch)

    @property
    def size(self) -> int:
        """Number of columns of the test matrix, rank plus oversampling."""
        return self.rank + self.oversampling

    @final
    def __call__(self, a: Any, *, rng: Rng | None = None) -> Array:
        """Return an orthonormal basis.

        Parameters
        ----------
        a : as for a MatrixMethod, (..., m, n)
        rng : numpy.random.Generator or DeviceDraws

        Returns
        -------
        Array, (..., m, min(size, m, n))
            Columns orthonormal to rounding.
        """
        return self.basis(in_units(as_structured(a))[0], rng=rng)

    def basis(self, a: StructuredMatrix, *, rng: Rng | None) -> Array:
        """Return the basis of a matrix that has been checked; see ``__call__``."""
        return self.continued(a, self.test_matrix(a, rng=rng))

    def test_matrix(self, a: StructuredMatrix, *, rng: Rng | None) -> StructuredMatrix:
        """Draw the test matrix (n, min(size, m, n)) for a stack of matrices."""
        require_rank(self.rank, a.shape)
        return self.sketch.draw(a.shape[-1], min(self.size, *a.shape[-2:]), rng=rng, like=a.like)

    def continued(self, a: StructuredMatrix, omega: StructuredMatrix) -> Array:
        """Return the basis for a given test matrix."""
        return orthonormalise(self.sample(a, omega))

    def sample(self, a: StructuredMatrix, omega: StructuredMatrix) -> Array:
        """Return ``(a a^T)^q a omega`` up to a change of basis, not orthonormal."""
        y = a.sketch(adapted_to(omega, a))
        for _ in range(self.power_iterations):
            # powers of A A^T separate the columns by (s_i / s_1)^(2 q): unless normalised, the small ones are rounding
            z = a.mT @ lu_normalise(y)
            y = a.sketch(lu_normalise(z))
        return y

    def sample_in_float32(self, narrow: Dense, a: StructuredMatrix, omega: StructuredMatrix) -> Array:
        """Return ``sample`` in the dtype of ``a``, from products with its copy ``narrow`` in float32."""
        xp = array_namespace(narrow.array)
        y = self.sample(narrow, Dense(xp.astype(adapted_to(omega, a).to_dense(), narrow.dtype)))
        return xp.astype(y, a.dtype)


def require_iteration(oversampling: int, power_iterations: int, sketch: Sketch) -> None:
    """Raise unless the parameters of a randomized subspace iteration are in range."""
    require_count(oversampling, "oversampling", least=0)
    require_count(power_iterations, "power_iterations", least=0)
    require_sketch(sketch)


def narrowed(a: StructuredMatrix) -> Dense | None:
    """Return a large dense float64 matrix on the host as float32; None for others, or if it leaves the range."""
    if not a.explicit or a.batch or a.storage < _LARGE:
        return None
    if dtype_name(a.dtype) != "float64" or not prefers_host_tiles(a.like):
        return None
    xp = array_namespace(a.like)
    with quiet_overflow():
        narrow = xp.astype(a.dense_view(), xp.float32)
        flat = xp.reshape(narrow, (-1,))
        square = float(xp.vecdot(flat, flat))
    # squared norms in 1e-20 ... 1e20: nothing overflows in products, and entries that underflow are below rounding
    return Dense(narrow) if 1e-20 < square < 1e20 else None


def survives(s: Array, rank: int) -> bool:
    """Return True if a basis computed in float32 is as accurate as one in float64, judged by the singular values.

    Parameters
    ----------
    s : Array, (size,)
        Singular values of the projection, largest first, ``size > rank``: oversampling is needed.
    rank : int
        Target rank.

    Notes
    -----
    Rounding in float32 turns a basis by ``eps_32 s_1 / s_i`` in direction i, which adds ``size (eps_32 s_1)^2`` to the
    squared error. If the first singular value beyond the rank, which is truncated anyway, exceeds ``sqrt(eps_32) s_1``,
    that is at most ``size eps_32`` of the squared error.
    """
    xp = array_namespace(s)
    # the first truncated singular value against the rounding of float32
    return bool(s[rank] > xp.finfo(xp.float32).eps ** 0.5 * s[0])
