"""Test matrices biased towards the row space of the matrix that they multiply."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tnattn.arrays import Array, Rng, array_namespace, device, require_rng, signs, uniform
from tnattn.randnla.sketches.base import AdaptiveTestMatrix, Sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense

_SHARE = 3.0  # Frobenius norm of the row sums over that of the random part: the rows dominate, the rest stays regular


@dataclass(frozen=True)
class RowStart(Sketch):
    """Random test matrices to which range finders add signed sums of rows of the matrix.

    ``Omega + c A^T S`` for a sparse random S: the product with A^T is a gather, so that a subspace iteration starts
    half a power iteration ahead. The random part keeps the test matrix well conditioned: a Gaussian Omega added to a
    fixed matrix is no closer to singular than Omega alone, up to a constant (Sankar, Spielman & Teng 2006, Theorem
    3.3), whereas the rows alone could be orthogonal to a leading direction. Theorems for Gaussian test matrices do not
    apply to the sum. ``RangeFinder``, the methods built on it and ``BlockKrylov`` add the rows; for all others the
    test matrix is the random part.

    Parameters
    ----------
    rows : int
        Rows in the sum that is added to a column, positive.
    sketch : Sketch
        Distribution of the random part.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Gaussian, RangeFinder, RowStart
    >>> from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
    >>> a = matrix_with_spectrum(polynomial_spectrum(100), (100, 100), np.random.default_rng(1))
    >>> for sketch in Gaussian(), RowStart():
    ...     q = RangeFinder(10, power_iterations=0, sketch=sketch)(a, rng=np.random.default_rng(0))
    ...     print(round(float(np.linalg.norm(a - q @ (q.T @ a))), 2))
    0.32
    0.24
    """

    rows: int = 4
    sketch: Sketch = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        require_count(self.rows, "rows", least=1)

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        source = require_rng(rng, "a start from rows")
        omega = self.sketch.draw(n, size, rng=source, like=like).dense_view()
        places = uniform(source, (size, self.rows), like=like)
        return RowStarted(omega, places, signs(source, (size, self.rows), like=like))


@dataclass(frozen=True, eq=False, repr=False)
class RowStarted(Dense, AdaptiveTestMatrix):
    """A random test matrix with the positions and signs of the rows that ``adapted_to`` adds to it.

    Parameters
    ----------
    array : Array, (n, size)
        The random part, with which products are taken before the matrix is known.
    places : Array, (size, rows)
        Row positions as fractions of the number of rows, in [0, 1), sampled with replacement.
    signs : Array, (size, rows)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense, RowStart
    >>> a = np.outer(np.ones(30), np.eye(20)[0])  # every row is the first unit vector
    >>> omega = RowStart(rows=3).draw(20, 3, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> print(np.argmax(np.abs(omega.adapted_to(Dense(a)).to_dense()), axis=0))
    [0 0 0]
    """

    places: Array
    signs: Array

    @property
    def storage(self) -> int:
        return math.prod(self.shape) + 2 * int(math.prod(self.places.shape))

    def adapted_to(self, a: StructuredMatrix) -> Dense:
        xp = array_namespace(self.array)
        sums = self._sums(a)
        # one scale for the whole sum, relative to the random part: the result is independent of the scale of a
        length = xp.linalg.vector_norm(sums, axis=(-2, -1), keepdims=True)
        scale = _SHARE * xp.linalg.vector_norm(self.array) / xp.where(length > 0, length, xp.ones_like(length))
        return Dense(xp.matrix_transpose(scale * sums) + self.array)

    def _sums(self, a: StructuredMatrix) -> Array:
        """Return the signed sums of rows, (..., size, n); a gather from an array, else a product."""
        xp = array_namespace(self.signs)
        m, (size, rows) = a.shape[-2], self.signs.shape
        indices = xp.astype(xp.floor(self.places * m), xp.int64)
        # a fraction just below 1 may be rounded up to m in float32
        indices = xp.reshape(xp.minimum(indices, xp.full_like(indices, m - 1)), (-1,))
        if a.explicit:  # a gather; the product below costs size columns
            chosen = xp.reshape(a.rows(indices), (*a.batch, size, rows, a.shape[-1]))
            return (self.signs[:, None, :] @ chosen)[..., 0, :]
        flat = xp.reshape(self.signs, (-1,))
        units = xp.astype(xp.arange(m, device=device(flat))[:, None] == indices, flat.dtype) * flat
        return (a.mT @ xp.sum(xp.reshape(units, (m, size, rows)), axis=-1)).mT
