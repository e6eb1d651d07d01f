"""The randomized range finder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

from tnattn.arrays import Array, Rng
from tnattn.linalg import lu_normalise, orthonormalise
from tnattn.randnla.arguments import require_count, require_rank
from tnattn.randnla.base import rank_budget
from tnattn.randnla.scaling import in_units
from tnattn.randnla.sketches.base import Sketch, meeting
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.scalars import Parameters
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.conversion import as_structured


@dataclass(frozen=True)
class RangeFinder(Parameters):
    """An orthonormal basis whose range captures most of the range of a matrix.

    Parameters
    ----------
    rank : int
        Target rank k, positive.
    oversampling : int
        Further columns p of the test matrix. Never more columns than min(m, n) are used: they span everything.
    power_iterations : int
        Non-negative; each one costs two more products with the matrix. On slow spectra (``1 / j``, ``j^(-1/2)``) the
        error of the projection exceeds the best of the same size by 22 to 59 % without any, by 1 to 2 % with two.
    sketch : Sketch
        Distribution of the test matrix.

    Notes
    -----
    2 m n (k + p) (1 + 2 power_iterations) flops in products with the matrix, and O(m (k + p)^2). Halko, Martinsson &
    Tropp 2011, Algorithms 4.1 and 4.4. Deviations: bases between the products are normalised by LU factorisations, not
    orthonormalised; all matrices of a stack share the test matrix.
    """

    rank: int = rank_budget(16)
    oversampling: int = 10
    power_iterations: int = 2
    sketch: Sketch = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)
        require_count(self.oversampling, "oversampling", least=0)
        require_count(self.power_iterations, "power_iterations", least=0)
        if not isinstance(self.sketch, Sketch):
            raise TypeError(f"sketch is {self.sketch!r}; a Sketch such as Gaussian() is needed")

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
        """Return the basis that a test matrix leads to."""
        return orthonormalise(self.sample(a, omega))

    def sample(self, a: StructuredMatrix, omega: StructuredMatrix) -> Array:
        """Return ``(a a^T)^q a omega`` up to a change of basis, not orthonormal."""
        y = a.sketch(meeting(omega, a))
        for _ in range(self.power_iterations):
            # without normalisation rounding would drown all but the leading directions
            z = a.mT @ lu_normalise(y)
            y = a.sketch(lu_normalise(z))
        return y
