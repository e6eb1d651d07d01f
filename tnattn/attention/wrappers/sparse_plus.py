"""Sparse plus low rank: a far field corrected on the support of a sparse method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Rng
from tnattn.attention.approximation import Approximation
from tnattn.attention.corrected import corrected
from tnattn.attention.cost import Cost
from tnattn.attention.method import AttentionMethod, JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.structured import BandTiles, BlockSparse, Sparse


@dataclass(frozen=True)
class SparsePlus(JointMethod):
    """The far field's kernel everywhere, plus exact minus far on the keys that the sparse method keeps.

    On the kept places the kernel is exact, elsewhere it is the far field's: nothing is counted twice.

    Parameters
    ----------
    method : AttentionMethod
        A sparse method, which keeps distinct keys in every row.
    far : AttentionMethod
        A method that estimates its mass and whose columns lift to the keys (features, landmarks).

    Raises
    ------
    TypeError
        If ``method`` gives no sparse kernel.
    ValueError
        If the far field cannot be merged or lifted.

    Notes
    -----
    Both costs, and 2 n_q w (m + d_v) operations for the far field's kernel at the w kept places, m its columns. The far
    field is a product, from which kept places are subtracted, not left out: terms small beside its entries there,
    times their values, are lost to rounding. ``MeanResidual`` has a far field that leaves them out.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Performer, SparsePlus, TopK
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 128, 4)))
    >>> for method in (TopK(keys=16), Performer(features=64), SparsePlus(TopK(keys=16), Performer(features=64))):
    ...     error = np.linalg.norm(method(problem, rng=np.random.default_rng(0)).output - problem.output)
    ...     print(type(method).__name__, round(float(error / np.linalg.norm(problem.output)), 2))
    TopK 1.17
    Performer 0.54
    SparsePlus 0.34
    """

    method: AttentionMethod = field(default_factory=SlidingWindow)
    far: AttentionMethod = field(default_factory=Performer)

    guarantee: ClassVar[str] = "kernel error is the far field's without the kept places"
    source: ClassVar[str] = "Chen et al. 2021 (Scatterbrain), Algorithm 1"
    role: ClassVar = "representative"

    def __post_init__(self) -> None:
        for name in ("method", "far"):
            if not isinstance(getattr(self, name), AttentionMethod):
                raise TypeError(f"{name} must be an attention method; got {getattr(self, name)!r}")

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        return corrected(self._near(problem, rng=rng), self.far(problem, rng=rng))

    def _near(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        near = self.method(problem, rng=rng)
        if not isinstance(near.kernel, (Sparse, BlockSparse, BandTiles)):  # kind of argument: only these have a pattern
            raise TypeError(f"{type(self.method).__name__} gives no sparse kernel; choose a sparse method")
        return near

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of both methods, and of the far field's kernel at the kept places and its products.

        The far field's factors are taken to be evaluated once more, from vectors as wide as queries and keys.
        """
        near, far = self.method.cost(problem), self.far.cost(problem)
        h, n_q, n_k, m = problem.heads, problem.n_q, problem.n_k, self.far.budget or 0
        if isinstance(self.method, SlidingWindow):
            entries = self.method.entries(problem)
        else:
            entries = n_q * min(self.method.budget or 0, n_k)
        factors, products = (n_q + n_k) * m * problem.width, entries * (m + problem.value_width + 1)
        held = float(h * n_q * (problem.value_width + 2) + n_k * m)
        overlap = Cost(2.0 * h * (factors + products), float(h * (n_q + n_k) * m), held, 0.0)
        return near + far + overlap
