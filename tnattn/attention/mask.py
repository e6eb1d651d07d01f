"""Base class of masks, the full mask and conjunctions."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from tnattn.arrays import Array, array_namespace, dtype_name
from tnattn.display import Displayed
from tnattn.scalars import Parameters

Coverage = Literal["all", "some", "none"]


class UnsupportedMask(ValueError):
    """A method was given a mask that it does not honour."""


class Mask(Parameters, Displayed, abc.ABC):
    """A rule that adds 0, a finite bias or minus infinity to every score.

    ``aligned`` is true for rules that use positions of queries, which are defined for n_q <= n_k only; ``stationary``
    for those that read nothing but the distance of a key from the query.
    """

    aligned: ClassVar[bool] = True
    stationary: ClassVar[bool] = False

    @abc.abstractmethod
    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        """Return what is added to the scores of queries i and keys j.

        Parameters
        ----------
        i, j : Array, integer, broadcastable against each other; the last two axes are (query, key)
        n_q, n_k : int
            Numbers of queries and keys of the whole problem.
        like : Array
            Gives library, device and dtype.

        Returns
        -------
        Array or None
            Broadcastable to the scores in grouped layout (..., G, R, query, key); None when nothing is added.
        """

    def coverage(self, rows: slice, columns: slice, *, n_q: int, n_k: int) -> Coverage:
        """Return "all", "some" (or unknown) or "none": the admissible part of a block, without reading entries."""
        return "some"  # the safe answer: the block is evaluated and masked entry by entry

    @property
    def conjuncts(self) -> tuple[Mask, ...]:
        """The rules that must hold together."""
        return (self,)

    @property
    def has_bias(self) -> bool:
        """True if finite values other than zero are added somewhere."""
        return False

    def largest(self) -> float:
        """Return the largest magnitude of a finite value that is added."""
        return 0.0

    def validate(self, batch: tuple[int, ...], heads: int, n_q: int, n_k: int, *, like: Array | None = None) -> None:
        """Raise ValueError or TypeError when the mask does not fit a problem.

        Parameters
        ----------
        batch, heads, n_q, n_k
            Sizes of the problem.
        like : Array, optional
            Scores of the problem: their library, device and dtype. Values are checked in that dtype.
        """
        for part in self.conjuncts:
            if part.aligned and n_q > n_k:
                raise ValueError(
                    f"{type(part).__name__} places the queries at the last positions of the keys, but {n_q} queries "
                    f"are more than {n_k} keys; masks without positions of queries serve: "
                    "from tnattn import BiasMask, ExplicitMask, PaddingMask"
                )

    def grouped(self, groups: int) -> Mask:
        """Return the rule with its arrays in grouped layout, (..., G, R, n_q, n_k)."""
        return self

    def of_heads(self, heads: slice) -> Mask:
        """Return the rule of some consecutive heads, with views of its arrays."""
        return self

    @final
    def __and__(self, other: Mask) -> Mask:
        """Return the rule that adds what both add."""
        # flat and without full masks, so that every conjunct is one a method can honour
        parts = tuple(m for m in (*self.conjuncts, *other.conjuncts) if not isinstance(m, FullMask))
        if not parts:
            return FullMask()
        return parts[0] if len(parts) == 1 else ConjunctionMask(parts)


@dataclass(frozen=True, repr=False)
class FullMask(Mask):
    """Every query sees every key.

    Examples
    --------
    >>> from tnattn import CausalMask, FullMask
    >>> FullMask() & CausalMask()
    CausalMask()
    >>> FullMask() & FullMask()
    FullMask()
    """

    aligned: ClassVar[bool] = False
    stationary: ClassVar[bool] = True

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        return None

    def coverage(self, rows: slice, columns: slice, *, n_q: int, n_k: int) -> Coverage:
        return "all"


@dataclass(frozen=True, repr=False)
class ConjunctionMask(Mask):
    """Several rules at once; made by ``&``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, CausalMask, PaddingMask
    >>> mask = CausalMask() & PaddingMask(2)
    >>> mask
    ConjunctionMask(parts=(CausalMask(), PaddingMask(lengths=2)))
    >>> AttentionProblem(*np.zeros((3, 1, 3, 1)), mask=mask).dense_weights()[0].tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]
    """

    parts: tuple[Mask, ...]

    aligned: ClassVar[bool] = False  # checked conjunct by conjunct

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        total = None
        for part in self.parts:
            term = part.additive(i, j, n_q=n_q, n_k=n_k, like=like)
            if term is not None:
                total = term if total is None else total + term
        return total

    def coverage(self, rows: slice, columns: slice, *, n_q: int, n_k: int) -> Coverage:
        found = {part.coverage(rows, columns, n_q=n_q, n_k=n_k) for part in self.parts}
        if "none" in found:  # one rule that forbids the block is enough
            return "none"
        return "all" if found == {"all"} else "some"

    def grouped(self, groups: int) -> Mask:
        return ConjunctionMask(tuple(part.grouped(groups) for part in self.parts))

    def of_heads(self, heads: slice) -> Mask:
        return ConjunctionMask(tuple(part.of_heads(heads) for part in self.parts))

    @property
    def has_bias(self) -> bool:
        return any(part.has_bias for part in self.parts)

    @property
    def conjuncts(self) -> tuple[Mask, ...]:
        return self.parts

    def validate(self, batch: tuple[int, ...], heads: int, n_q: int, n_k: int, *, like: Array | None = None) -> None:
        for part in self.parts:
            part.validate(batch, heads, n_q, n_k, like=like)
        # every bias fits by itself; only a sum of two may overflow
        if like is None or sum(part.has_bias for part in self.parts) < 2:
            return
        total, most = self.largest(), float(array_namespace(like).finfo(like.dtype).max)
        if total > most:  # a finite sum must not turn into minus infinity, which forbids a key
            raise ValueError(
                f"biases add up to as much as {total:.3g}, beyond the range of {dtype_name(like.dtype)} ({most:.3g}), "
                "in which scores are computed; use minus infinity to forbid a key"
            )

    def largest(self) -> float:
        return sum(part.largest() for part in self.parts)
