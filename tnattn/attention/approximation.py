"""One piece of attention, and the algebra in which pieces merge."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from tnattn.arrays import Array, array_namespace, device
from tnattn.attention.ball import Ball
from tnattn.attention.broadcasting import add_scaled, concat_broadcast, entrywise_maximum
from tnattn.attention.key_relations import Relation, relation, shown, union
from tnattn.attention.precision import InDtype
from tnattn.attention.quotients import Quotients
from tnattn.display import Displayed
from tnattn.structured import Columns, Diagonal, Product, Rows, Selection, StructuredMatrix, Sum

SOFTMAX = "exp(scores)"  # units of all methods that approximate softmax; kernels of other methods name their own


@dataclass(frozen=True, eq=False, repr=False)
class Approximation(Quotients, Displayed):
    """One piece of attention: numerator and denominator are ``kernel @ [values | mass]`` in units of exp(shift).

    All arrays have the grouped layout (..., G, R, ...); ``output`` and ``bad_rows`` are per head, (..., H, ...).

    Parameters
    ----------
    kernel : StructuredMatrix, (..., G, R, n_q, m)
        Approximates exp(scores - shift) for m keys, kept keys, clusters or features; signs are allowed.
    shift : Array, (..., G, R, n_q)
        Minus infinity marks a row that sees no key; its output is zero.
    values : Array, (..., m, d_v)
    mass : Array, (..., m), optional
        Number of keys that each column represents; ones by default.
    normaliser : Array, (..., G, R, n_q), optional
        The denominator in units of exp(shift) where it is not ``kernel @ mass``, for instance an exact row sum.
    keys : slice or Array
        The original keys that the piece covers.
    expand : StructuredMatrix, (..., m, n_k), optional
        Lifts the columns to the original keys; None where a column is no combination of keys.
    unmergeable : str
        Reason for which the piece does not estimate its mass and must not be merged; empty when it may be.
    units : str
        The kernel of which the piece holds sums; only pieces in the same units merge.
    fallback : Array, broadcastable to (..., G, R, n_q, d_v), optional
        The output of bad rows, which stay counted; NaN by default. Their mass is not known: merging drops it.
    dtype : dtype, optional
        Of ``output`` and ``weights``; that of the values by default. Pieces of problems in half precision are held and
        merged in float32, and only what they give is cast.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Exact
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 2, 6, 4))
    >>> problem, queries = AttentionProblem(q, k, v), slice(0, 6)
    >>> left, right = (Exact()(problem.rectangle(queries, keys)).placed(keys, 6) for keys in (slice(0, 3), slice(3, 6)))
    >>> bool(np.allclose((left + right).output, problem.output))  # pieces merge by their masses
    True
    """

    kernel: StructuredMatrix
    shift: Array
    values: Array
    mass: Array | None = None
    normaliser: Array | None = None
    keys: slice | Array = field(default_factory=lambda: slice(None))
    expand: StructuredMatrix | None = None
    unmergeable: str = ""
    units: str = SOFTMAX
    fallback: Array | None = None
    dtype: Any = None

    def __post_init__(self) -> None:
        m = self.kernel.shape[-1]
        if self.values.shape[-2] != m:
            raise ValueError(f"the kernel has {m} columns and values {self.values.shape[-2]} rows; they must agree")
        if self.mass is not None and self.mass.shape[-1] != m:
            raise ValueError(f"the kernel has {m} columns and mass length {self.mass.shape[-1]}; they must agree")
        if self.shift.shape[-1] != self.kernel.shape[-2]:
            raise ValueError(f"shift has length {self.shift.shape[-1]}; the kernel has {self.kernel.shape[-2]} rows")
        if len(self.kernel.shape) < 4:
            raise ValueError(f"the kernel must have the grouped layout (..., G, R, n_q, m); got {self.kernel.shape}")

    def projected(self, ball: Ball) -> Array:
        """Return the output (..., H, n_q, d_v) projected on a ball that holds the exact one, such as ``Ball.for_rows``.

        No row moves away from the exact output. Bad rows become the centre and stay among ``bad_rows``.
        """
        return ball.projected(self.output)

    @property
    def weights(self) -> StructuredMatrix:
        """Row-normalised weights over the columns, lifted to the original keys where ``expand`` allows.

        Rows without a usable denominator are NaN, rows without keys zero.

        Raises
        ------
        ValueError
            If the columns cannot be lifted to keys.
        """
        if self.expand is None:
            raise ValueError("this approximation has no weights over the original keys; use output")
        xp = array_namespace(self.values)
        usable, denominators = self._usable, self._products[1]
        inverse = 1 / xp.where(usable, denominators, xp.ones_like(denominators))
        inverse = xp.where(usable, inverse, xp.full_like(inverse, float("nan")))
        inverse = xp.where(self._empty, xp.zeros_like(inverse), inverse)
        weights = Product(Diagonal(inverse), Product(self.kernel, self.expand))  # never formed: (..., n_q, n_k)
        return weights if self.dtype is None else InDtype(weights, self.dtype)

    @property
    def storage(self) -> int:
        """Stored scalars: kernel, values, mass and shift."""
        parts = [self.shift, self.values, *(x for x in (self.mass, self.normaliser) if x is not None)]
        return self.kernel.storage + sum(int(math.prod(part.shape)) for part in parts)

    @property
    def flops(self) -> int:
        """Operations of the product that gives the output."""
        return self.kernel.matmul_flops(self.values.shape[-1] + 1)

    # the algebra

    def labelled(self, **labels: Any) -> Approximation:
        """Return the piece with other ``keys``, ``expand``, ``unmergeable``, ``units`` or ``dtype``, without a product.

        Raises
        ------
        TypeError
            If a field is named on which products depend.
        """
        if unknown := labels.keys() - {"keys", "expand", "unmergeable", "units", "dtype"}:
            raise TypeError(f"{', '.join(sorted(unknown))} would change the products; use dataclasses.replace")
        changed = replace(self, **labels)
        if "_kept" in self.__dict__:
            changed.holding(*self.__dict__["_kept"])
        return changed

    def divided_by(self, normaliser: Array) -> Approximation:
        """Return the piece with a denominator (..., G, R, n_q) of its own, in units of exp(shift)."""
        return replace(self, normaliser=normaliser).holding(self._products[0], normaliser)

    def placed(self, columns: slice, total: int) -> Approximation:
        """Return the piece of a block of keys, seen from the problem of all ``total`` keys."""
        xp = array_namespace(self.values)
        expand = self.expand
        if expand is not None:
            indices = xp.arange(columns.start, columns.stop, dtype=xp.int64, device=device(self.values))
            expand = Product(expand, Selection(indices, total, self.values))
        keys: slice | Array = columns  # a piece that covers all keys of its block covers the block
        if not isinstance(self.keys, slice):
            keys = self.keys + columns.start
        elif self.keys != slice(None):
            keys = slice(self.keys.start + columns.start, self.keys.stop + columns.start)
        return self.labelled(keys=keys, expand=expand)

    def __add__(self, other: Approximation) -> Approximation:
        """Merge two pieces in the signed linear domain.

        Pieces of disjoint keys are put side by side; the kernels of pieces of the same keys are added.
        """
        known = self._require_mergeable(other, {"same", "disjoint"})
        return _merged([self, other], [1.0, 1.0], union(self.keys, other.keys, like=self.values, known=known))

    def __sub__(self, other: Approximation) -> Approximation:
        """Subtract a piece whose keys are among those of ``self``."""
        self._require_mergeable(other, {"same", "contains"})
        return _merged([self, other], [1.0, -1.0], self.keys)

    def rescaled(self, shift: Array, sign: float = 1.0) -> Approximation:
        """Return ``sign`` times the piece in units of exp(shift), for shifts (..., G, R, n_q) that broadcast to it."""
        factor = sign * self.unit_in(shift)
        normaliser = None if self.normaliser is None else factor * self.normaliser
        numerators, denominators = self._products
        changed = replace(self, kernel=Product(Diagonal(factor), self.kernel), shift=shift, normaliser=normaliser)
        return changed.holding(factor[..., None] * numerators, factor * denominators)

    def unit_in(self, shift: Array) -> Array:
        """Return exp(own shift - shift), the unit of the piece in units of exp(shift), (..., G, R, n_q)."""
        xp = array_namespace(self.values)
        # a row that sees no key has minus infinity less a finite number, of which exp is zero; a shift of plus infinity
        # or NaN stays in the result, whose row is bad
        common = xp.where(shift == -float("inf"), xp.zeros_like(shift), shift)
        return xp.exp(xp.broadcast_to(self.shift, shift.shape) - common)

    def _require_mergeable(self, other: Approximation, admissible: set[Relation]) -> Relation:
        for piece in (self, other):
            require_mergeable(piece, self.units)
        found = relation(self.keys, other.keys)
        if found not in admissible:
            raise ValueError(
                f"the pieces cover keys {shown(self.keys)} and {shown(other.keys)} ({found}); "
                f"merging needs {' or '.join(sorted(admissible))} keys; take an overlap out with a - b first"
            )
        return found


def require_mergeable(piece: Approximation, units: str) -> None:
    """Raise ValueError if a piece does not estimate its mass, or is not in the given units."""
    if piece.unmergeable:
        raise ValueError(f"a piece cannot be merged: {piece.unmergeable}")
    if piece.units != units:
        raise ValueError(
            f"a piece in units of {units} and one in units of {piece.units} cannot be merged; "
            "their sums are of different kernels"
        )


def merge_all(pieces: list[Approximation], *, products: tuple[Array, Array] | None = None) -> Approximation:
    """Merge pieces of the same keys, all at once: one level of nesting instead of one per piece.

    Parameters
    ----------
    pieces : list of Approximation
        A row without keys in a piece has shift minus infinity there.
    products : tuple of Array, optional
        Their numerators and denominators in units of exp(largest shift), where a sweep has computed them already.

    Raises
    ------
    ValueError
        If a piece does not estimate its mass, or keys or units are not the same.
    """
    for other in pieces[1:]:
        pieces[0]._require_mergeable(other, {"same"})
    return pieces[0] if len(pieces) == 1 else _merged(pieces, [1.0] * len(pieces), pieces[0].keys, products)


def _merged(
    pieces: list[Approximation],
    signs: list[float],
    keys: slice | Array,
    products: tuple[Array, Array] | None = None,
) -> Approximation:
    xp = array_namespace(pieces[0].values)
    shift = entrywise_maximum([piece.shift for piece in pieces])  # no factor exp(shift_i - shift) exceeds one
    factors = [sign * piece.unit_in(shift) for piece, sign in zip(pieces, signs, strict=True)]
    kernels = tuple(Product(Diagonal(f), piece.kernel) for f, piece in zip(factors, pieces, strict=True))
    numerators, denominators = _added(pieces, factors) if products is None else products
    own = any(piece.normaliser is not None for piece in pieces)
    first = pieces[0]
    labels: dict[str, Any] = {
        "shift": shift,
        # denominators of one kind: where one piece has its own, those of the others are formed
        "normaliser": denominators if own else None,
        "keys": keys,
        "units": first.units,
        "dtype": first.dtype,
    }
    if all(p.values is first.values and p.expand is first.expand and p.mass is None for p in pieces):
        # the columns are the same, and no value is repeated
        merged = Approximation(kernel=Sum(kernels), values=first.values, expand=first.expand, **labels)
        return merged.holding(numerators, denominators)
    masses = [p.mass if p.mass is not None else xp.ones_like(p.values[..., 0]) for p in pieces]
    lifted = [piece.expand for piece in pieces if piece.expand is not None]
    return Approximation(
        kernel=Columns(kernels),
        values=concat_broadcast([piece.values for piece in pieces], axis=-2),
        mass=concat_broadcast(masses, axis=-1),
        expand=Rows(tuple(lifted)) if len(lifted) == len(pieces) else None,
        **labels,
    ).holding(numerators, denominators)


def _added(pieces: list[Approximation], factors: list[Array]) -> tuple[Array, Array]:
    """Return the sums of factors (..., G, R, n_q) times numerators and denominators, piece by piece."""
    top = bottom = None
    for factor, piece in zip(factors, pieces, strict=True):
        numerators, denominators = piece._products
        top, bottom = add_scaled(top, factor[..., None], numerators), add_scaled(bottom, factor, denominators)
    assert top is not None
    assert bottom is not None
    return top, bottom
