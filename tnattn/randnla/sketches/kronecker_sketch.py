"""Test matrices that act mode by mode: Kronecker and Khatri-Rao products of small Gaussian ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tnattn.arrays import Array, Rng, array_namespace, choice, device, normal, require_rng, signs
from tnattn.randnla.sketches.base import Sketch, admissible_sizes
from tnattn.randnla.sketches.modes import Modes, folded_sizes, require_modes
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.composite import Product
from tnattn.structured.khatri_rao import KhatriRao
from tnattn.structured.kronecker import Kronecker
from tnattn.structured.selection import Selection


@dataclass(frozen=True)
class KroneckerSketch(Sketch):
    """Kronecker product of one Gaussian test matrix per mode, or a random selection of its columns.

    Parameters
    ----------
    modes : int or tuple of int
        Sizes of the modes, whose product is the number of rows and whose first runs slowest; or how many modes of
        nearly equal sizes the rows are folded into, those beyond the last row being dropped.

    Notes
    -----
    ``size^(1/d)`` columns per mode, rounded up; of the columns of the product a uniform choice without replacement.
    Storage and, for tensor products, time are those of the factors, but the columns are dependent: a vector of rank one
    is distorted like a product of d independent distortions of ``size^(1/d)`` columns.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import KroneckerSketch
    >>> from tnattn.randnla.sketches import sketched_tensor_products
    >>> omega = KroneckerSketch(modes=(30, 40)).draw(1200, 64, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> print(omega.shape, omega.storage)
    (1200, 64) 560
    >>> x, y = np.ones((30, 1)), np.ones((40, 1))
    >>> print(np.allclose(sketched_tensor_products(omega, (x, y)), omega.mT @ np.kron(x, y)))
    True
    """

    modes: Modes = 2

    def __post_init__(self) -> None:
        require_modes(self.modes)

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        source = require_rng(rng, "a Kronecker sketch")
        sizes = folded_sizes(n, self.modes)
        widths = folded_sizes(size, len(sizes))  # size^(1/d) each, rounded up
        factors = [normal(source, shape, like=like) * shape[1] ** -0.5 for shape in zip(sizes, widths, strict=True)]
        total = math.prod(widths)
        # the selection below keeps size of total columns; the first factor carries the scale that this costs
        omega: StructuredMatrix = Kronecker((factors[0] * (total / size) ** 0.5, *factors[1:]))
        if total > size:
            chosen = choice(source, total, size, replace=False, like=like)
            omega = Product(omega, Selection(chosen, total, omega.like).mT)
        return _leading_rows(omega, n)


@dataclass(frozen=True)
class KhatriRaoSketch(Sketch):
    """Independent columns, each the Kronecker product of one random vector per mode.

    Parameters
    ----------
    modes : int or tuple of int
        As for ``KroneckerSketch``.
    rademacher : bool
        Random signs in place of normal entries: lighter tails.

    Notes
    -----
    Storage of the factors. The fourth moment grows like 3^d: ``kr_sketch_moment``. Rakhshan & Rabusseau 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import KhatriRaoSketch
    >>> sketch = KhatriRaoSketch(modes=(30, 40), rademacher=True)
    >>> omega = sketch.draw(1200, 64, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> print(omega.shape, omega.storage, np.unique(np.abs(omega.to_dense())))
    (1200, 64) 4480 [0.125]
    """

    modes: Modes = 2
    rademacher: bool = False

    def __post_init__(self) -> None:
        require_modes(self.modes)

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        source = require_rng(rng, "a Khatri-Rao sketch")
        draw = signs if self.rademacher else normal
        factors = [draw(source, (length, size), like=like) for length in folded_sizes(n, self.modes)]
        return _leading_rows(KhatriRao((factors[0] * size**-0.5, *factors[1:])), n)


def sketched_tensor_products(omega: StructuredMatrix, vectors: Sequence[Array]) -> Array:
    """Return the transpose of a test matrix times the column-wise Kronecker product of matrices, without forming it.

    Parameters
    ----------
    omega : KhatriRao or Kronecker
        A sample whose modes multiply to its number of rows and, for ``KroneckerSketch``, which has all columns of the
        product.
    vectors : sequence of Array, (..., n_k, c)
        One per mode; column j of the operand is the Kronecker product of the columns j of all of them.

    Returns
    -------
    Array, (..., size, c)

    Notes
    -----
    One thin product per mode, O(size sum n_k) per column or less, in place of O(size prod n_k).
    """
    # an attribute, not a type: TensorSketchMatrix has the product too
    project: Any = getattr(omega, "transposed_khatri_rao", None)
    if project is None or len(vectors) != len(getattr(omega, "factors", ())):
        raise TypeError(
            f"omega is a {type(omega).__name__} and there are {len(vectors)} factors; a KhatriRao or Kronecker matrix "
            f"of as many factors is needed, so give the sizes of the modes and a size that needs no selection"
        )
    return project(vectors)


def _leading_rows(omega: StructuredMatrix, n: int) -> StructuredMatrix:
    """Return the first n rows of a test matrix."""
    if omega.shape[0] == n:
        return omega
    xp = array_namespace(omega.like)
    rows = xp.arange(n, dtype=xp.int64, device=device(omega.like))
    return Product(Selection(rows, omega.shape[0], omega.like), omega)
