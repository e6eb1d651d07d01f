"""Column-wise Kronecker products of matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.kronecker import khatri_rao


@dataclass(frozen=True, eq=False, repr=False)
class KhatriRao(StructuredMatrix):
    """One matrix whose column j is the Kronecker product of the columns j of all factors.

    Parameters
    ----------
    parts : tuple of Array, (n_k, r)
        The index of the first runs slowest.

    Notes
    -----
    O(r prod n_k) per column of a product, as for a dense matrix, but storage of r sum n_k. Khatri-Rao columns on the
    other side cost O(r sum n_k) each: ``transposed_khatri_rao``.
    """

    parts: tuple[Array, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        shapes = [tuple(part.shape) for part in self.parts]
        if not shapes or any(len(s) != 2 for s in shapes) or len({s[1] for s in shapes}) != 1:
            raise ValueError(f"a Khatri-Rao product needs factors (n, r) of one r; got shapes {shapes}")

    @property
    def shape(self) -> tuple[int, ...]:
        return (math.prod(int(part.shape[0]) for part in self.parts), int(self.parts[0].shape[1]))

    @property
    def like(self) -> Array:
        return self.parts[0]

    @property
    def storage(self) -> int:
        return sum(math.prod(part.shape) for part in self.parts)

    def _matmul(self, x: Array) -> Array:
        # the first factor against the product of the others, which is the larger part of the work, as one product
        xp = array_namespace(self.like, x)
        first, rest = self.parts[0], self._rest()
        scaled = first[:, :, None] * x[..., None, :, :]  # (..., n_1, r, c)
        return xp.reshape(rest @ scaled, (*x.shape[:-2], self.shape[0], x.shape[-1]))

    def _rmatmul(self, y: Array) -> Array:
        xp = array_namespace(self.like, y)
        first, rest = self.parts[0], self._rest()
        cut = xp.reshape(y, (*y.shape[:-2], first.shape[0], rest.shape[0], y.shape[-1]))
        inner = xp.matrix_transpose(rest) @ cut  # (..., n_1, r, c)
        return xp.sum(first[:, :, None] * inner, axis=-3)

    def transposed_khatri_rao(self, vectors: tuple[Array, ...]) -> Array:
        """Return the transpose times Khatri-Rao columns, (..., r, c): a product of small products.

        Parameters
        ----------
        vectors : tuple of Array, (..., n_k, c)
        """
        xp = array_namespace(*vectors)
        made = None
        for part, vector in zip(self.parts, vectors, strict=True):
            one = xp.matrix_transpose(part) @ vector
            made = one if made is None else made * one
        return made

    def _rest(self) -> Array:
        """Return the Khatri-Rao product of all factors but the first, (prod n_k / n_1, r)."""
        xp = array_namespace(self.like)
        if len(self.parts) == 1:
            return xp.ones_like(self.parts[0][:1, :])
        return khatri_rao(list(self.parts[1:]))

    def to_dense(self) -> Array:
        return khatri_rao(list(self.parts))

    def matmul_flops(self, columns: int) -> int:
        rows, rank = self.shape
        return columns * rank * (2 * rows + int(self.parts[0].shape[0]))
