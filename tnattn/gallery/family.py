"""A family of attention problems: a generator and the properties that it declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tnattn.arrays import Array, from_host, require_host
from tnattn.attention.problem import AttentionProblem
from tnattn.scalars import Parameters

Arrays: TypeAlias = "tuple[np.ndarray, np.ndarray, np.ndarray]"


@dataclass(frozen=True)
class Sizes(Parameters):
    """Sizes of a problem: tokens, width, query heads, key heads.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.gallery.family import Sizes
    >>> from tnattn.gallery.generators import ties
    >>> q, k, v = ties(Sizes(n=16, d=4, heads=8, groups=2), np.random.default_rng(0))
    >>> q.shape, k.shape, bool((k[:, 0] == k[:, 1]).all())  # every key occurs twice
    ((8, 16, 4), (2, 16, 4), True)
    """

    n: int
    d: int
    heads: int
    groups: int


@dataclass(frozen=True)
class Property:
    """A declared property of the problems of a family.

    Parameters
    ----------
    statement : str
        A sentence.
    holds : callable
        Returns whether a problem of the family has the property; forms dense scores, for small problems.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.gallery import Property, problems
    >>> square = Property("as many queries as keys", lambda p: p.n_q == p.n_k)
    >>> square.holds(problems()["smooth"](32, 8, rng=np.random.default_rng(0)))
    True
    """

    statement: str
    holds: Callable[[AttentionProblem], bool]


@dataclass(frozen=True)
class ProblemFamily:
    """Attention problems of one kind.

    Parameters
    ----------
    name, description : str
    generate : callable
        (sizes, rng) to q (H, n, d), k (G, n, d) and v (G, n, d), float64 on the host.
    properties : tuple of Property

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.gallery import problems
    >>> family = problems()["sink"]
    >>> problem = family(64, 16, heads=4, groups=2, rng=np.random.default_rng(0))
    >>> problem.q.shape, problem.k.shape
    ((4, 64, 16), (2, 64, 16))
    >>> family.check(problem)  # raises nothing: every declared property holds
    >>> [declared.statement for declared in family.properties][1]
    '1 % of the values are outliers'
    """

    name: str
    description: str
    generate: Callable[[Sizes, np.random.Generator], Arrays]
    properties: tuple[Property, ...]

    def __call__(
        self,
        n: int,
        d: int,
        heads: int = 2,
        groups: int | None = None,
        *,
        rng: np.random.Generator,
        dtype: Any = "float64",
        like: Array | None = None,
    ) -> AttentionProblem:
        """Draw a problem with n queries and keys; ``replace(problem, mask=CausalMask())`` gives it a mask.

        Parameters
        ----------
        n, d : int
            Tokens, at least 2, and width of queries, keys and values, at least 4.
        heads, groups : int
            Query heads and key heads, which divide them; as many of both by default.
        rng : numpy.random.Generator
        dtype : dtype or str
        like : Array, optional
            Of the library and device of the problem; NumPy by default.
        """
        groups = heads if groups is None else groups
        if n < 2 or d < 4:  # neighbours; two coordinates of content and others for planted pairs
            raise ValueError(f"n = {n} and d = {d}; the gallery needs at least 2 tokens and width 4")
        if groups < 1 or heads % groups:
            raise ValueError(f"{heads} heads cannot be shared among {groups} groups; the first must be a multiple")
        # float64 on the host, then cast and moved: a seed gives the same problem in every library and dtype
        arrays = self.generate(Sizes(n, d, heads, groups), require_host(rng))
        prototype = np.zeros(0) if like is None else like
        q, k, v = (from_host(np.ascontiguousarray(x), like=prototype, dtype=dtype) for x in arrays)
        return AttentionProblem(q, k, v)

    def check(self, problem: AttentionProblem) -> None:
        """Raise AssertionError, naming the property, if a problem lacks one that the family declares."""
        for property_ in self.properties:
            if not property_.holds(problem):
                raise AssertionError(f"a problem of the family {self.name} is not as declared: {property_.statement}")
