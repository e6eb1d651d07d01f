"""One piece of attention, and the algebra in which pieces merge."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from tnattn.arrays import Array, array_namespace, broadcast_shape, device
from tnattn.attention.broadcasting import concat_broadcast, copied, entrywise_maximum
from tnattn.attention.key_relations import Relation, relation, shown, union
from tnattn.attention.precision import InDtype
from tnattn.display import Displayed
from tnattn.structured import Columns, Diagonal, Product, Rows, Selection, StructuredMatrix

SOFTMAX = "exp(scores)"  # units of all methods that approximate softmax; kernels of other methods name their own


@dataclass(frozen=True, eq=False, repr=False)
class Approximation(Displayed):
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

    # every property returns arrays of its own, so that a caller may write into them

    @property
    def _products(self) -> tuple[Array, Array]:
        """Numerators (..., G, R, n_q, d_v) and denominators (..., G, R, n_q), in units of exp(shift), computed once."""
        # stored by hand: functools.cached_property holds one lock for all instances on Python 3.11
        found: tuple[Array, Array] | None = self.__dict__.get("_kept")
        if found is None:
            found = self.__dict__["_kept"] = self._multiplied()
        return found

    def _multiplied(self) -> tuple[Array, Array]:
        xp = array_namespace(self.values)
        if self.normaliser is not None:  # its own denominator saves the column of the mass
            return self.kernel @ self.values, self.normaliser
        mass = self.mass if self.mass is not None else xp.ones_like(self.values[..., 0])
        outer = broadcast_shape(self.values.shape[:-2], mass.shape[:-1])
        width, m = self.values.shape[-1], self.values.shape[-2]
        columns = [xp.broadcast_to(self.values, (*outer, m, width)), xp.broadcast_to(mass[..., None], (*outer, m, 1))]
        product = self.kernel @ xp.concat(columns, axis=-1)  # one pass over the kernel gives both
        return product[..., :width], product[..., width]

    @property
    def numerators(self) -> Array:
        """Sums of kernel times value, (..., G, R, n_q, d_v), in units of exp(shift)."""
        return copied(self._products[0])

    @property
    def denominators(self) -> Array:
        """Row sums of the kernel, (..., G, R, n_q), in units of exp(shift)."""
        return copied(self._products[1])

    @property
    def output(self) -> Array:
        """The approximate output, (..., H, n_q, d_v); bad rows are NaN, rows without keys zero."""
        xp = array_namespace(self.values)
        numerators, denominators = self._products
        # one division: by NaN where a row is bad, and by infinity, which gives zero, where it sees no key
        divisors = xp.where(self._usable, denominators, xp.full_like(denominators, float("nan")))
        quotients = numerators / divisors[..., None]
        if self.dtype is not None:
            quotients = xp.astype(quotients, self.dtype, copy=False)
        # a sum or a quotient may overflow although the denominator is usable
        finite = xp.all(xp.isfinite(quotients), axis=-1, keepdims=True)
        result = xp.where(finite, quotients, xp.full_like(quotients, float("nan")))
        return _ungroup(xp.where(self._empty[..., None], xp.zeros_like(result), result))

    @property
    def bad_rows(self) -> Array:
        """Number of rows of every head, (..., H), whose output is not finite, for whatever reason."""
        xp = array_namespace(self.values)
        finite = xp.all(xp.isfinite(self.output), axis=-1)
        return xp.sum(xp.astype(~finite, xp.int64), axis=-1)

    @property
    def _empty(self) -> Array:
        """Rows that see no key, (..., G, R, n_q): those of shift minus infinity, and no others."""
        return self.shift == -float("inf")

    @property
    def _usable(self) -> Array:
        """Rows with a positive, finite denominator in units of a finite exp(shift), (..., G, R, n_q)."""
        xp = array_namespace(self.shift)
        denominators = self._products[1]
        return (denominators > 0) & xp.isfinite(denominators) & xp.isfinite(self.shift)

    @property
    def log_mass(self) -> Array:
        """Logarithm of the estimated row sums of the kernel, (..., G, R, n_q); NaN in bad rows."""
        xp = array_namespace(self.values)
        denominators = self._products[1]
        log = xp.log(xp.where(self._usable, denominators, xp.ones_like(denominators))) + self.shift
        return xp.where(self._usable | self._empty, log, xp.full_like(log, float("nan")))

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
        return replace(self, keys=keys, expand=expand)

    def __add__(self, other: Approximation) -> Approximation:
        """Merge two pieces in the signed linear domain.

        Pieces of disjoint keys are put side by side; the kernels of pieces of the same keys are added.
        """
        self._require_mergeable(other, {"same", "disjoint"})
        return _merged([self, other], [1.0, 1.0], union(self.keys, other.keys, like=self.values))

    def __sub__(self, other: Approximation) -> Approximation:
        """Subtract a piece whose keys are among those of ``self``."""
        self._require_mergeable(other, {"same", "contains"})
        return _merged([self, other], [1.0, -1.0], self.keys)

    def _rescaled(self, shift: Array, sign: float) -> Approximation:
        xp = array_namespace(self.values)
        # a row that sees no key has minus infinity less a finite number, of which exp is zero; a shift of plus infinity
        # or NaN stays in the result, whose row is bad
        common = xp.where(shift == -float("inf"), xp.zeros_like(shift), shift)
        factor = sign * xp.exp(xp.broadcast_to(self.shift, shift.shape) - common)
        normaliser = None if self.normaliser is None else factor * self.normaliser
        return replace(self, kernel=Product(Diagonal(factor), self.kernel), shift=shift, normaliser=normaliser)

    def _require_mergeable(self, other: Approximation, admissible: set[Relation]) -> None:
        for piece in (self, other):
            if piece.unmergeable:
                raise ValueError(f"a piece cannot be merged: {piece.unmergeable}")
        if self.units != other.units:
            raise ValueError(
                f"a piece in units of {self.units} and one in units of {other.units} cannot be merged; "
                "their sums are of different kernels"
            )
        found = relation(self.keys, other.keys)
        if found not in admissible:
            raise ValueError(
                f"the pieces cover keys {shown(self.keys)} and {shown(other.keys)} ({found}); "
                f"merging needs {' or '.join(sorted(admissible))} keys; take an overlap out with a - b first"
            )


def merge_all(pieces: list[Approximation]) -> Approximation:
    """Merge pieces of the same keys, all at once: one level of nesting instead of one per piece.

    Parameters
    ----------
    pieces : list of Approximation
        A row without keys in a piece has shift minus infinity there.

    Raises
    ------
    ValueError
        If a piece does not estimate its mass, or keys or units are not the same.
    """
    for other in pieces[1:]:
        pieces[0]._require_mergeable(other, {"same"})
    return pieces[0] if len(pieces) == 1 else _merged(pieces, [1.0] * len(pieces), pieces[0].keys)


def _merged(pieces: list[Approximation], signs: list[float], keys: slice | Array) -> Approximation:
    xp = array_namespace(pieces[0].values)
    shift = entrywise_maximum([piece.shift for piece in pieces])  # no factor exp(shift_i - shift) exceeds one
    parts = [piece._rescaled(shift, sign) for piece, sign in zip(pieces, signs, strict=True)]
    masses = [p.mass if p.mass is not None else xp.ones_like(p.values[..., 0]) for p in parts]
    own = any(part.normaliser is not None for part in parts)
    lifted = [part.expand for part in parts if part.expand is not None]
    return Approximation(
        kernel=Columns(tuple(part.kernel for part in parts)),
        shift=shift,
        values=concat_broadcast([part.values for part in parts], axis=-2),
        mass=concat_broadcast(masses, axis=-1),
        # denominators of one kind: where one piece has its own, those of the others are formed
        normaliser=reduce(lambda a, b: a + b, (part.denominators for part in parts)) if own else None,
        keys=keys,
        expand=Rows(tuple(lifted)) if len(lifted) == len(parts) else None,
        units=pieces[0].units,
        dtype=pieces[0].dtype,
    )


def _ungroup(array: Array) -> Array:
    """(..., G, R, a, b) to (..., H, a, b)."""
    xp = array_namespace(array)
    *batch, groups, ratio, a, b = array.shape
    return xp.reshape(array, (*batch, groups * ratio, a, b))
