"""Khatri-Rao products: Kronecker products column by column."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul

import opt_einsum

from tnattn.arrays import Array, array_namespace, broadcast_shape, contract, expanded, require_floating
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True, eq=False, repr=False)
class KhatriRao(StructuredMatrix):
    """A stack of matrices (..., n_1 n_2 ..., r) whose column j is the Kronecker product of the columns j of factors.

    Parameters
    ----------
    factors : tuple of Array, (..., n_j, r)
        The index of the last runs fastest. At most 20.

    Notes
    -----
    The transpose contracts one factor after the other along a planned path and never forms the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import KhatriRao
    >>> matrix = KhatriRao((np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [1.0, 1.0]])))
    >>> matrix.to_dense()
    array([[1., 0.],
           [1., 2.],
           [3., 0.],
           [3., 4.]])
    >>> matrix.gram()
    array([[20., 14.],
           [14., 20.]])
    """

    factors: tuple[Array, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(self.factors))
        shapes = [tuple(u.shape) for u in self.factors]
        # one lower-case letter for each factor in a contraction
        if not 1 <= len(shapes) <= 20 or any(len(shape) < 2 for shape in shapes):
            raise ValueError(f"factors have shapes {shapes}; give 1 to 20, each with at least two axes")
        for u in self.factors:
            require_floating(u, "factors")
        if len({shape[-1] for shape in shapes}) != 1:
            raise ValueError(f"factors have shapes {shapes}; all must have the same number of columns")
        try:
            self._batch()
        except ValueError as error:
            raise ValueError(f"the batch axes of {shapes} do not broadcast; give all the same leading axes") from error

    def _batch(self) -> tuple[int, ...]:
        return broadcast_shape(*(u.shape[:-2] for u in self.factors))

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self._batch(), math.prod(self._sizes), int(self.factors[0].shape[-1]))

    @property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(int(u.shape[-2]) for u in self.factors)

    @property
    def like(self) -> Array:
        return self.factors[0]

    @property
    def storage(self) -> int:
        return sum(math.prod(u.shape) for u in self.factors)

    def gram(self) -> Array:
        """Return the Gram matrix (..., r, r): the entrywise product of those of the factors, O(r^2 sum of n_j)."""
        # (A kr B)^T (A kr B) = A^T A * B^T B, entry by entry
        product = None
        for u in self.factors:
            own = u.mT @ u
            product = own if product is None else product * own
        return product

    def transposed_khatri_rao(self, vectors: Sequence[Array]) -> Array:
        """Return the transpose times the Khatri-Rao product of matrices (..., n_j, c), never formed: (..., r, c)."""
        return reduce(mul, (u.mT @ v for u, v in zip(self.factors, vectors, strict=True)))

    def _matmul(self, x: Array) -> Array:
        modes, terms = self._network()
        product = contract(f"{terms},...RZ->...{modes}Z", *self.factors, x)
        return self._shaped(product, x, (self.shape[-2], x.shape[-1]), len(modes) + 1)

    def _rmatmul(self, y: Array) -> Array:
        modes, terms = self._network()
        folded = array_namespace(y).reshape(y, (*y.shape[:-2], *self._sizes, y.shape[-1]))
        product = contract(f"{terms},...{modes}Z->...RZ", *self.factors, folded)
        return self._shaped(product, y, (self.shape[-1], y.shape[-1]), 2)

    def to_dense(self) -> Array:
        modes, terms = self._network()
        product = contract(f"{terms}->...{modes}R", *self.factors)
        if len(self.factors) == 1:  # nothing was multiplied: a view of the only factor
            product = array_namespace(product).asarray(product, copy=True)
        return self._shaped(product, self.factors[0], self.shape[-2:], len(modes) + 1)

    def matmul_flops(self, columns: int) -> int:
        modes, terms = self._network()
        expression = f"{terms},...RZ->...{modes}Z".replace("...", "")
        r = self.shape[-1]
        # the path that contract takes, so that the count is that of the product itself
        _, plan = opt_einsum.contract_path(expression, *((n, r) for n in self._sizes), (r, columns), shapes=True)
        return int(plan.opt_cost) * self.count

    def _network(self) -> tuple[str, str]:
        modes = string.ascii_lowercase[: len(self.factors)]
        return modes, ",".join(f"...{mode}R" for mode in modes)

    # contractions leave out batch axes of length one, and one axis per mode: both are restored

    def _shaped(self, product: Array, x: Array, matrix: tuple[int, ...], trailing: int) -> Array:
        xp, batch = array_namespace(product), broadcast_shape(self._batch(), x.shape[:-2])
        flat = xp.reshape(product, (*product.shape[: product.ndim - trailing], *matrix))
        return expanded(flat, (*batch, *matrix))
