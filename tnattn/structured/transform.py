"""Columns of a fast orthonormal transform with random signs: the subsampled randomized transforms."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, device, parallel_map, require_floating, require_integer, scatter_rows
from tnattn.linalg.fast_transforms import cosine_transform, hadamard_transform
from tnattn.structured.base import StructuredMatrix

_BLOCK = 1 << 20  # scalars transformed at a time: 8 MB of float64, and a copy of them


class FastTransform(abc.ABC):
    """An orthonormal matrix T of which products take O(N log N) per column."""

    @abc.abstractmethod
    def length(self, n: int) -> int:
        """The smallest admissible N that is at least n."""

    @abc.abstractmethod
    def forward(self, x: Array) -> Array:
        """Return T x along the last axis, (..., N)."""

    @abc.abstractmethod
    def backward(self, x: Array) -> Array:
        """Return T^T x along the last axis, (..., N)."""


@dataclass(frozen=True)
class Cosine(FastTransform):
    """The orthonormal discrete cosine transform of type II, of any length.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured.transform import Cosine
    >>> Cosine().forward(np.ones(5)).round(4) + 0.0
    array([2.2361, 0.    , 0.    , 0.    , 0.    ])
    """

    def length(self, n: int) -> int:
        return n

    def forward(self, x: Array) -> Array:
        return cosine_transform(x)

    def backward(self, x: Array) -> Array:
        return cosine_transform(x, inverse=True)


@dataclass(frozen=True)
class WalshHadamard(FastTransform):
    """The orthonormal Walsh-Hadamard transform, whose length is a power of two.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured.transform import WalshHadamard
    >>> WalshHadamard().length(100), WalshHadamard().forward(np.array([1.0, 0.0, 0.0, 0.0]))
    (128, array([0.5, 0.5, 0.5, 0.5]))
    """

    def length(self, n: int) -> int:
        return 1 << (n - 1).bit_length()

    def forward(self, x: Array) -> Array:
        return hadamard_transform(x)

    def backward(self, x: Array) -> Array:
        return hadamard_transform(x)


@dataclass(frozen=True, eq=False, repr=False)
class SubsampledTransform(StructuredMatrix):
    """The n-by-l matrix ``scale * diag(signs) T^T R^T``, R selecting l of the N rows of an orthonormal transform T.

    Parameters
    ----------
    transform : FastTransform
    signs : Array, (n,)
        Plus or minus one. Where T is longer, ``N > n``, its last ``N - n`` columns are dropped.
    chosen : Array, (l,), integer
        Rows of T, repetitions allowed.
    scale : float

    Notes
    -----
    A product with c columns takes O(c N log N); nothing of size n l is formed.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured.transform import SubsampledTransform, WalshHadamard
    >>> signs, chosen = np.array([1.0, -1.0, 1.0, 1.0]), np.array([0, 3])
    >>> matrix = SubsampledTransform(WalshHadamard(), signs, chosen, scale=2.0)
    >>> matrix.to_dense()
    array([[ 1.,  1.],
           [-1.,  1.],
           [ 1., -1.],
           [ 1.,  1.]])
    """

    transform: FastTransform
    signs: Array
    chosen: Array
    scale: float

    def __post_init__(self) -> None:
        require_floating(self.signs, "signs")
        require_integer(self.chosen, "chosen")

    @property
    def shape(self) -> tuple[int, ...]:
        return (int(self.signs.shape[0]), int(self.chosen.shape[0]))

    @property
    def like(self) -> Array:
        return self.signs

    @property
    def storage(self) -> int:
        return sum(self.shape)

    @property
    def length(self) -> int:
        """N, the length of the transform."""
        return self.transform.length(self.shape[0])

    def _matmul(self, x: Array) -> Array:
        xp = array_namespace(self.signs, x)
        chosen = xp.broadcast_to(self.chosen, (*x.shape[:-2], x.shape[-2]))
        spread = scatter_rows(x, chosen, self.length)  # (..., N, c)
        back = self.transform.backward(xp.matrix_transpose(spread))[..., : self.shape[0]]
        return xp.matrix_transpose(self.scale * back * self.signs)

    def _rmatmul(self, y: Array) -> Array:
        xp = array_namespace(self.signs, y)
        n, size = self.shape
        rows = xp.matrix_transpose(y)  # (..., c, n): a row-major matrix that is multiplied from the right comes so
        count = math.prod(rows.shape[:-1])
        flat = xp.reshape(rows, (count, n))
        step = max(1, _BLOCK // self.length)

        def work(start: int) -> Array:
            signed = flat[start : min(start + step, count), :] * self.signs
            if self.length > n:
                padding = xp.zeros((signed.shape[0], self.length - n), dtype=y.dtype, device=device(y))
                signed = xp.concat([signed, padding], axis=-1)
            return self.scale * xp.take(self.transform.forward(signed), self.chosen, axis=-1)

        parts = parallel_map(work, range(0, max(count, 1), step), like=y)
        return xp.matrix_transpose(xp.reshape(xp.concat(parts, axis=0), (*rows.shape[:-1], size)))

    def to_dense(self) -> Array:
        xp = array_namespace(self.signs)
        identity = xp.eye(self.shape[1], dtype=self.signs.dtype, device=device(self.signs))
        return self._matmul(identity)

    def matmul_flops(self, columns: int) -> int:
        # a radix-2 transform of real numbers: 2.5 N log2 N
        logarithm = max(1, (self.length - 1).bit_length())
        return columns * (5 * self.length * logarithm // 2 + sum(self.shape))
