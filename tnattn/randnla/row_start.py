"""Test matrices that lean towards the row space of the matrix they are meant for."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, device, require_rng, signs, uniform
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense

_SHARE = 3.0  # Frobenius norm of the rows over that of the random part


@dataclass(frozen=True, eq=False)
class RowStart:
    """Signed sums of random rows of a matrix, added to a random test matrix.

    ``Omega + c A^T S`` for a sparse random S: the product with A^T is a gather, so that a subspace iteration starts
    half a power iteration ahead. The random part keeps what the rows miss: given them, a Gaussian Omega added to any
    fixed matrix is no closer to singular than Omega alone, up to a constant (Sankar, Spielman & Teng 2006, Theorem
    3.3), where the rows alone could be orthogonal to a leading direction. Theorems that want a Gaussian test matrix do
    not speak of the sum.

    Parameters
    ----------
    places : Array, (columns, rows)
        Rows of a matrix with m rows, as fractions of m in [0, 1).
    signs : Array, (columns, rows)
    """

    places: Array
    signs: Array

    @classmethod
    def draw(cls, rows: int, columns: int, *, rng: Rng | None, like: Array) -> RowStart:
        """Draw the rows of every column, with replacement, and their signs."""
        source = require_rng(rng, "a start from rows")
        return cls(uniform(source, (columns, rows), like=like), signs(source, (columns, rows), like=like))

    def added_to(self, omega: Array, a: StructuredMatrix) -> Array:
        """Return the test matrix (..., n, columns) for matrices (..., m, n), from a random one (n, columns)."""
        xp = array_namespace(omega)
        sums = self._sums(a)
        length = xp.linalg.vector_norm(sums, axis=(-2, -1), keepdims=True)
        scale = _SHARE * xp.linalg.vector_norm(omega) / xp.where(length > 0, length, xp.ones_like(length))
        return xp.matrix_transpose(scale * sums) + omega

    def _sums(self, a: StructuredMatrix) -> Array:
        """Return the signed sums of rows, (..., columns, n)."""
        xp = array_namespace(self.signs)
        m, (columns, rows) = a.shape[-2], self.signs.shape
        indices = xp.astype(xp.floor(self.places * m), xp.int64)
        indices = xp.reshape(xp.minimum(indices, xp.full_like(indices, m - 1)), (-1,))
        if isinstance(a, Dense):
            chosen = xp.reshape(xp.take(a.array, indices, axis=-2), (*a.batch, columns, rows, a.shape[-1]))
            return (self.signs[:, None, :] @ chosen)[..., 0, :]
        flat = xp.reshape(self.signs, (-1,))
        units = xp.astype(xp.arange(m, device=device(flat))[:, None] == indices, flat.dtype) * flat
        return (a.mT @ xp.sum(xp.reshape(units, (m, columns, rows)), axis=-1)).mT
