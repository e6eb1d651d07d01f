"""Errors of approximate weights, entry by entry, on one head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from theory.comparison.table import shortened, table
from tnattn.arrays import to_host
from tnattn.attention.approximation import Approximation
from tnattn.attention.problem import AttentionProblem

__all__ = ["DENSE", "ErrorMap", "block_root_mean_squares", "entrywise_errors"]

Values = npt.NDArray[np.float64]

DENSE = 2048
"""Largest number of keys up to which the dense weights of all heads are formed."""


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """The weights of one head and how far approximations are from them.

    Parameters
    ----------
    head : int
        Batch entries counted apart.
    weights : (n_q, n_k)
        Exact, P.
    errors : mapping from label to (n_q, n_k)
        Absolute values of P' - P, entry by entry; a row that the approximation cannot normalise is zero in P'.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.studies import entrywise_errors
    >>> from tnattn import AttentionProblem
    >>> from tnattn import TopK
    >>> problem = AttentionProblem(np.ones((1, 2, 1)), np.array([[[1.0], [0.0]]]), np.ones((1, 2, 1)), scale=1.0)
    >>> found = entrywise_errors(problem, {"TopK": TopK(1)(problem)})
    >>> found.errors["TopK"].round(3).tolist(), round(found.relative("TopK"), 3)
    ([[0.269, 0.269], [0.269, 0.269]], 0.488)
    """

    head: int
    weights: Values
    errors: Mapping[str, Values]

    def __repr__(self) -> str:
        n_q, n_k = self.weights.shape
        errors = ", ".join(f"{label} {self.relative(label):.3g}" for label in self.errors)
        return f"<error map of head {self.head}, {n_q} x {n_k}: {shortened(errors)}>"

    def _repr_html_(self) -> str:
        """Return the relative errors as a table, for notebooks."""
        rows = [(label, self.relative(label), float(np.nanmax(found))) for label, found in self.errors.items()]
        return table(("method", "relative error", "largest entry"), rows, caption=f"Weights of head {self.head}")

    def relative(self, label: str) -> float:
        """Return ||P' - P||_F / ||P||_F."""
        error, weights = self.errors[label], self.weights
        scale = float(np.max(np.abs(error), initial=0.0))
        if not np.isfinite(scale):
            return scale
        size = float(np.linalg.norm(weights))  # of at most sqrt(n_q); zero for a head that sees no key
        # scaled, since the square of a weight divided by a tiny row sum may overflow
        norm = scale * float(np.linalg.norm(error / scale)) if scale > 0 else 0.0
        return norm / size if size > 0 else (np.nan if norm > 0 else 0.0)


def entrywise_errors(
    problem: AttentionProblem, approximations: Mapping[str, Approximation], *, head: int | None = None
) -> ErrorMap:
    """Compare approximate weights with the exact ones, entry by entry, on one head.

    Parameters
    ----------
    problem : AttentionProblem
    approximations : mapping from label to Approximation
        Each with weights over the original keys.
    head : int, optional
        By default the one in the middle when heads are ordered by their median error over the approximations.

    Raises
    ------
    ValueError
        If there is no approximation, one has no weights, or the head does not exist.

    Notes
    -----
    Dense weights of all heads, O(H n_q n_k) memory per approximation.
    """
    if not approximations:
        raise ValueError("approximations is empty; pass at least one, such as {'TopK': TopK()(problem)}")
    exact = _dense(problem.weights.to_dense(), problem)
    if head is not None and not 0 <= head < exact.shape[0]:
        raise ValueError(f"head {head} does not exist; the problem has heads 0 to {exact.shape[0] - 1}")
    differences = {}
    for label, approximation in approximations.items():
        if approximation.expand is None:
            raise ValueError(f"{label} has no weights over the original keys; leave it out")
        differences[label] = np.abs(_dense(approximation.weights.to_dense(), problem) - exact)
    if head is None:
        relative = np.stack([np.linalg.norm(d, axis=(-2, -1)) for d in differences.values()])
        sizes = np.linalg.norm(exact, axis=(-2, -1))
        relative /= np.where(sizes > 0, sizes, 1.0)  # a head that sees no key has no weights
        # the median over the methods, so that one bad method does not choose the head
        order = np.argsort(np.median(relative, axis=0), kind="stable")
        head = int(order[(len(order) - 1) // 2])
    return ErrorMap(head, exact[head], {label: difference[head] for label, difference in differences.items()})


def _dense(grouped: Any, problem: AttentionProblem) -> Values:
    """Return grouped matrices as (all heads, n_q, n_k), float64 on the host."""
    host = np.asarray(to_host(grouped), dtype=np.float64)
    return np.broadcast_to(host, (*problem.batch, *host.shape[-2:])).reshape(-1, *host.shape[-2:])


def block_root_mean_squares(a: Values, most: int) -> Values:
    """Return root mean squares over blocks, so that no more than ``most`` rows and columns remain."""
    steps = [-(-extent // most) for extent in a.shape]
    if max(steps) == 1:
        return np.abs(a)
    finite = np.abs(a[np.isfinite(a)])
    scale = float(finite.max(initial=0.0)) or 1.0  # squares of large entries would overflow, of tiny ones vanish
    a = a / scale
    # root mean squares of rows, then of columns: the mean square of a block
    for axis, step in enumerate(steps):
        starts = np.arange(0, a.shape[axis], step)
        sizes = np.diff(np.append(starts, a.shape[axis]))
        mean = np.add.reduceat(a**2, starts, axis=axis) / (sizes[:, None] if axis == 0 else sizes)
        a = np.sqrt(mean)
    return np.asarray(scale * a)
