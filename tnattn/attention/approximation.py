"""One piece of attention, and the algebra in which pieces merge."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce

from tnattn.arrays import Array, array_namespace, broadcast_shape, device, to_host
from tnattn.cached import cached_property
from tnattn.structured import BlockDiagonal, Columns, Diagonal, Product, Rows, Selection, StructuredMatrix


@dataclass(frozen=True, eq=False)
class Approximation:
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
        How many keys each column stands for; ones by default.
    normaliser : Array, (..., G, R, n_q), optional
        The denominator that the method knows itself, in units of exp(shift), where it is not ``kernel @ mass``.
    keys : slice or Array
        The original keys that the piece speaks for.
    expand : StructuredMatrix, (..., m, n_k), optional
        Lifts the columns to the original keys, where that makes sense.
    unmergeable : str
        Why the piece does not estimate its mass and must not be merged; empty when it may be.
    """

    kernel: StructuredMatrix
    shift: Array
    values: Array
    mass: Array | None = None
    normaliser: Array | None = None
    keys: slice | Array = field(default_factory=lambda: slice(None))
    expand: StructuredMatrix | None = None
    unmergeable: str = ""

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

    # what it gives

    @cached_property
    def _products(self) -> tuple[Array, Array]:
        """Numerators (..., G, R, n_q, d_v) and denominators (..., G, R, n_q), in units of exp(shift)."""
        xp = array_namespace(self.values)
        if self.normaliser is not None:
            return self.kernel @ self.values, self.normaliser
        mass = self.mass if self.mass is not None else xp.ones_like(self.values[..., 0])
        outer = broadcast_shape(self.values.shape[:-2], mass.shape[:-1])
        width, m = self.values.shape[-1], self.values.shape[-2]
        columns = [xp.broadcast_to(self.values, (*outer, m, width)), xp.broadcast_to(mass[..., None], (*outer, m, 1))]
        product = self.kernel @ xp.concat(columns, axis=-1)
        return product[..., :width], product[..., width]

    @property
    def numerators(self) -> Array:
        """Sums of kernel times value, (..., G, R, n_q, d_v), in units of exp(shift)."""
        return self._products[0]

    @property
    def denominators(self) -> Array:
        """Row sums of the kernel, (..., G, R, n_q), in units of exp(shift)."""
        return self._products[1]

    @cached_property
    def output(self) -> Array:
        """The approximate output, (..., H, n_q, d_v); bad rows are NaN, rows without keys zero."""
        xp = array_namespace(self.values)
        numerators, denominators = self._products
        usable = (denominators > 0) & ~xp.isinf(denominators)
        # one division: by NaN where a row is bad, and by infinity, which gives zero, where it sees no key
        divisors = xp.where(usable, denominators, xp.full_like(denominators, float("nan")))
        divisors = xp.where(self._empty, xp.full_like(denominators, float("inf")), divisors)
        return _ungroup(numerators / divisors[..., None])

    @cached_property
    def bad_rows(self) -> Array:
        """Number of rows of every head, (..., H), whose denominator is not positive and finite."""
        xp = array_namespace(self.values)
        denominators = self.denominators
        bad = ~((denominators > 0) & ~xp.isinf(denominators)) & ~self._empty
        counts = xp.sum(xp.astype(bad, xp.int64), axis=-1)
        return _ungroup(counts[..., None, None])[..., 0, 0]

    @property
    def _empty(self) -> Array:
        return array_namespace(self.shift).isinf(self.shift) & (self.shift < 0)

    @property
    def log_mass(self) -> Array:
        """Logarithm of the estimated row sums of exp(scores), (..., G, R, n_q); NaN in bad rows."""
        xp = array_namespace(self.values)
        denominators = xp.where(self._empty, xp.ones_like(self.denominators), self.denominators)
        usable = denominators > 0
        log = xp.log(xp.where(usable, denominators, xp.ones_like(denominators)))
        return xp.where(usable, log + self.shift, xp.full_like(log, float("nan")))

    @property
    def weights(self) -> StructuredMatrix:
        """Row-normalised weights over the columns, lifted to the original keys where ``expand`` allows.

        Bad rows are NaN, rows without keys zero, as in ``output``.

        Raises
        ------
        ValueError
            If the columns cannot be lifted to keys.
        """
        if self.expand is None:
            raise ValueError("this approximation has no weights over the original keys; use output")
        xp = array_namespace(self.values)
        usable = (self.denominators > 0) & ~xp.isinf(self.denominators) & ~self._empty
        inverse = 1 / xp.where(usable, self.denominators, xp.ones_like(self.denominators))
        inverse = xp.where(usable, inverse, xp.full_like(inverse, float("nan")))
        inverse = xp.where(self._empty, xp.zeros_like(inverse), inverse)
        return Product(Diagonal(inverse), Product(self.kernel, self.expand))

    @property
    def storage(self) -> int:
        """Stored scalars: kernel, values, mass and shift."""
        parts = [self.shift, self.values, *(x for x in (self.mass, self.normaliser) if x is not None)]
        return self.kernel.storage + sum(_size(part) for part in parts)

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
        keys: slice | Array = columns
        if not isinstance(self.keys, slice):
            keys = self.keys + columns.start
        elif self.keys != slice(None):
            keys = slice(self.keys.start + columns.start, self.keys.stop + columns.start)
        return replace(self, keys=keys, expand=expand)

    def __add__(self, other: Approximation) -> Approximation:
        """Merge two pieces in the signed linear domain.

        Pieces that speak for disjoint keys are put side by side; pieces that speak for the same keys add their kernels.
        """
        self._require_mergeable(other)
        return _merged([self, other], [1.0, 1.0], _union(self.keys, other.keys, self.values))

    def __sub__(self, other: Approximation) -> Approximation:
        """Take a piece out: its keys must be among those that ``self`` speaks for."""
        self._require_mergeable(other, subset=True)
        return _merged([self, other], [1.0, -1.0], self.keys)

    def _rescaled(self, shift: Array, sign: float) -> Approximation:
        xp = array_namespace(self.values)
        own = xp.broadcast_to(self.shift, shift.shape)
        empty = xp.isinf(own)
        gap = xp.where(empty, xp.zeros_like(shift), own - xp.where(xp.isinf(shift), xp.zeros_like(shift), shift))
        factor = sign * xp.where(empty, xp.zeros_like(shift), xp.exp(gap))
        normaliser = None if self.normaliser is None else factor * self.normaliser
        return replace(self, kernel=Product(Diagonal(factor), self.kernel), shift=shift, normaliser=normaliser)

    def _require_mergeable(self, other: Approximation, subset: bool = False) -> None:
        for piece in (self, other):
            if piece.unmergeable:
                raise ValueError(f"a piece cannot be merged: {piece.unmergeable}")
        relation = _relation(self.keys, other.keys)
        admissible = {"same", "contains"} if subset else {"same", "disjoint"}
        if relation not in admissible:
            raise ValueError(
                f"the pieces speak for keys {_show(self.keys)} and {_show(other.keys)} ({relation}); "
                f"merging needs {' or '.join(sorted(admissible))} keys; take an overlap out with a - b first"
            )


def merge_all(pieces: list[Approximation]) -> Approximation:
    """Merge pieces that speak for the same keys, all at once: one level of nesting instead of one per piece.

    Parameters
    ----------
    pieces : list of Approximation
        A row that sees nothing of a piece has shift minus infinity there.

    Raises
    ------
    ValueError
        If a piece does not estimate its mass, or the keys are not the same.
    """
    for other in pieces[1:]:
        pieces[0]._require_mergeable(other)
    return pieces[0] if len(pieces) == 1 else _merged(pieces, [1.0] * len(pieces), pieces[0].keys)


def _merged(pieces: list[Approximation], signs: list[float], keys: slice | Array) -> Approximation:
    xp = array_namespace(pieces[0].values)
    shift = reduce(lambda a, b: xp.maximum(*_same_shape(a, b)), (piece.shift for piece in pieces))
    parts = [piece._rescaled(shift, sign) for piece, sign in zip(pieces, signs, strict=True)]
    masses = [p.mass if p.mass is not None else xp.ones_like(p.values[..., 0]) for p in parts]
    own = any(part.normaliser is not None for part in parts)
    lifted = [part.expand for part in parts if part.expand is not None]
    return Approximation(
        kernel=Columns(tuple(part.kernel for part in parts)),
        shift=shift,
        values=_concat([part.values for part in parts], axis=-2),
        mass=_concat(masses, axis=-1),
        normaliser=reduce(lambda a, b: a + b, (part.denominators for part in parts)) if own else None,
        keys=keys,
        expand=Rows(tuple(lifted)) if len(lifted) == len(parts) else None,
    )


def stack_queries(pieces: list[Approximation]) -> Approximation:
    """Put the approximations of consecutive blocks of queries on top of each other.

    Parameters
    ----------
    pieces : list of Approximation
        Each covers its own rows; together they are all queries, in order.
    """
    if len(pieces) == 1:
        return pieces[0]
    xp = array_namespace(pieces[0].values)
    masses = [p.mass if p.mass is not None else xp.ones_like(p.values[..., 0]) for p in pieces]
    own = any(piece.normaliser is not None for piece in pieces)
    lifted = [piece.expand for piece in pieces if piece.expand is not None]
    return Approximation(
        kernel=BlockDiagonal(tuple(piece.kernel for piece in pieces)),
        shift=_concat([piece.shift for piece in pieces], axis=-1),
        values=_concat([piece.values for piece in pieces], axis=-2),
        mass=_concat(masses, axis=-1),
        normaliser=_concat([piece.denominators for piece in pieces], axis=-1) if own else None,
        keys=slice(None),
        expand=Rows(tuple(lifted)) if len(lifted) == len(pieces) else None,
        unmergeable=next((piece.unmergeable for piece in pieces if piece.unmergeable), ""),
    )


def _ungroup(array: Array) -> Array:
    """(..., G, R, a, b) to (..., H, a, b)."""
    xp = array_namespace(array)
    *batch, groups, ratio, a, b = array.shape
    return xp.reshape(array, (*batch, groups * ratio, a, b))


def _size(array: Array) -> int:
    total = 1
    for extent in array.shape:
        total *= extent
    return total


def _same_shape(a: Array, b: Array) -> tuple[Array, Array]:
    xp = array_namespace(a)
    shape = broadcast_shape(a.shape, b.shape)
    return xp.broadcast_to(a, shape), xp.broadcast_to(b, shape)


def _concat(parts: list[Array], axis: int) -> Array:
    """Concatenate after broadcasting all axes but one."""
    xp = array_namespace(parts[0])
    position = parts[0].ndim + axis
    trimmed = [tuple(1 if a == part.ndim + axis else n for a, n in enumerate(part.shape)) for part in parts]
    shape = trimmed[0]
    for other in trimmed[1:]:
        shape = broadcast_shape(shape, other)
    position = len(shape) + axis
    full = [xp.broadcast_to(p, (*shape[:position], p.shape[axis], *shape[position + 1 :])) for p in parts]
    return xp.concat(full, axis=axis)


def _relation(a: slice | Array, b: slice | Array) -> str:
    """How two sets of keys lie to each other: same, disjoint, contains (b lies in a), or overlapping."""
    if isinstance(a, slice) and isinstance(b, slice):
        if a == b:
            return "same"
        if a == slice(None):
            return "contains"
        if b == slice(None):
            return "overlapping"
        if a.stop <= b.start or b.stop <= a.start:
            return "disjoint"
        return "contains" if a.start <= b.start and b.stop <= a.stop else "overlapping"
    first, second = (_as_set(keys) for keys in (a, b))
    if first is None:
        return "contains"
    if second is None:
        return "overlapping"
    if first == second:
        return "same"
    if not first & second:
        return "disjoint"
    return "contains" if second <= first else "overlapping"


def _as_set(keys: slice | Array) -> set[int] | None:
    if isinstance(keys, slice):
        return None if keys == slice(None) else set(range(keys.start, keys.stop))
    return {int(key) for key in to_host(keys).ravel()}


def _union(a: slice | Array, b: slice | Array, like: Array) -> slice | Array:
    if _relation(a, b) in ("same", "contains"):
        return a
    if isinstance(a, slice) and isinstance(b, slice) and (a.stop == b.start or b.stop == a.start):
        return slice(min(a.start, b.start), max(a.stop, b.stop))
    members = sorted((_as_set(a) or set()) | (_as_set(b) or set()))
    xp = array_namespace(like)
    return xp.asarray(members, dtype=xp.int64, device=device(like))


def _show(keys: slice | Array) -> str:
    if isinstance(keys, slice):
        return "all" if keys == slice(None) else f"{keys.start}:{keys.stop}"
    return f"a list of {_size(keys)}"
