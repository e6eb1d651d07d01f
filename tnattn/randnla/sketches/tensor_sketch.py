"""TensorSketch: CountSketches of tensor products by fast Fourier transforms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tnattn.arrays import Array, Rng, array_namespace, integers, require_rng, scatter_products, signs, widened
from tnattn.randnla.sketches.base import Sketch, admissible_sizes
from tnattn.randnla.sketches.modes import Modes, folded_sizes, require_modes
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.sparse import Sparse


@dataclass(frozen=True)
class TensorSketch(Sketch):
    """CountSketch whose buckets are sums modulo size, and whose signs are products, of those of CountSketches per mode.

    Parameters
    ----------
    modes : int or tuple of int
        Sizes of the modes, whose product is the number of rows and whose first runs slowest; or how many modes of
        nearly equal sizes the rows are folded into, those beyond the last row being dropped.

    Notes
    -----
    Stores the sum of the sizes instead of their product. An arbitrary vector costs its length; a tensor product
    costs the sum of the sizes and one Fourier transform per mode: ``TensorSketchMatrix.transposed_khatri_rao``.
    Pham & Pagh 2013; Avron, Nguyen & Woodruff 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import TensorSketch
    >>> omega = TensorSketch(modes=(30, 40)).draw(1200, 64, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> print(omega.shape, omega.storage, np.count_nonzero(omega.to_dense()))
    (1200, 64) 140 1200
    """

    modes: Modes = 2

    def __post_init__(self) -> None:
        require_modes(self.modes)

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        source = require_rng(rng, "a TensorSketch")
        sizes = folded_sizes(n, self.modes)
        buckets = tuple(integers(source, 0, size, (length,), like=like) for length in sizes)
        flips = tuple(signs(source, (length,), like=like) for length in sizes)
        return TensorSketchMatrix(buckets, flips, n, size)


@dataclass(frozen=True, eq=False, repr=False)
class TensorSketchMatrix(StructuredMatrix):
    """A sample of a TensorSketch, (n, size).

    Parameters
    ----------
    buckets : tuple of Array, (n_k,), integer
    flips : tuple of Array, (n_k,)
        Signs.
    row_count : int
        ``n <= prod n_k``; the row (i_1, i_2, ...) has its sign in column ``sum_k buckets[k][i_k] mod size``.
    column_count : int

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import TensorSketch
    >>> omega = TensorSketch(modes=(30, 40)).draw(1200, 64, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> x, y = np.ones((30, 1)), np.arange(40.0)[:, None]
    >>> print(np.allclose(omega.transposed_khatri_rao((x, y)), omega.mT @ np.kron(x, y)))
    True
    """

    buckets: tuple[Array, ...]
    flips: tuple[Array, ...]
    row_count: int
    column_count: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.row_count, self.column_count)

    @property
    def like(self) -> Array:
        return self.flips[0]

    @property
    def storage(self) -> int:
        return 2 * sum(int(part.shape[0]) for part in self.flips)

    def _explicit(self) -> Sparse:
        """Return it as a CountSketch, (n, size), with one stored entry per row."""
        xp = array_namespace(self.like)
        bucket, sign = self.buckets[0], self.flips[0]
        for other, flip in zip(self.buckets[1:], self.flips[1:], strict=True):
            bucket = xp.reshape(bucket[:, None] + other[None, :], (-1,)) % self.column_count
            sign = xp.reshape(sign[:, None] * flip[None, :], (-1,))
        return Sparse(sign[: self.row_count, None], bucket[: self.row_count, None], self.column_count)

    def _matmul(self, x: Array) -> Array:
        return self._explicit()._matmul(x)

    def _rmatmul(self, y: Array) -> Array:
        return self._explicit()._rmatmul(y)

    def transposed_khatri_rao(self, vectors: tuple[Array, ...]) -> Array:
        """Return the transpose times the column-wise Kronecker product of matrices, without forming it.

        Parameters
        ----------
        vectors : tuple of Array, (..., n_k, c)

        Returns
        -------
        Array, (..., size, c)

        Notes
        -----
        The sketch of a tensor product is the circular convolution of the sketches of its factors: O(sum n_k + d size
        log size) per column for d modes.
        """
        sizes = tuple(int(part.shape[0]) for part in self.flips)
        if tuple(int(v.shape[-2]) for v in vectors) != sizes or math.prod(sizes) != self.row_count:
            raise ValueError(
                f"factors with {[int(v.shape[-2]) for v in vectors]} rows do not fit modes {sizes} of "
                f"{self.row_count} rows"
            )
        xp = array_namespace(*vectors)
        spectrum = None
        for bucket, flip, vector in zip(self.buckets, self.flips, vectors, strict=True):
            one = scatter_products(flip[:, None], bucket[:, None], vector, self.column_count)
            # in double precision: products of d transforms lose digits of float32
            transform = xp.fft.rfft(widened(one), axis=-2)
            spectrum = transform if spectrum is None else spectrum * transform
        product: Any = xp.fft.irfft(spectrum, n=self.column_count, axis=-2)
        return xp.astype(product, vectors[0].dtype, copy=False)

    def to_dense(self) -> Array:
        return self._explicit().to_dense()

    def matmul_flops(self, columns: int) -> int:
        return 2 * columns * self.row_count
