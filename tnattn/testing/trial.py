"""Trial of an attention method on one family of problems: sampling, runs and comparisons for the laws."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tnattn.arrays import eps, to_host
from tnattn.attention.approximation import Approximation
from tnattn.attention.masks import FullMask, Mask
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.gallery import ProblemFamily
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.testing.report import Violation

_ROUNDING = 1e5  # admitted growth of rounding errors, in units of n eps; an algebraic mistake is far larger


@dataclass(frozen=True)
class Trial:
    """A method, a family of problems, and the seed of both.

    Parameters
    ----------
    method : AttentionMethod
    family : ProblemFamily
    n, d : int
        Tokens and width of the problems.
    seed : int
    alternatives : mapping
        Further values of fields, by dotted name, for the law ``fields``.

    Examples
    --------
    >>> from tnattn.attention.sparse.top_k import TopK
    >>> from tnattn.gallery import problems
    >>> from tnattn.testing.trial import Trial
    >>> trial = Trial(TopK(), problems()["gauss"], n=12, d=4, seed=0)
    >>> trial.output(trial.problem()).shape, trial.fitted(trial.problem()).budget, trial.is_random()
    ((4, 12, 4), 4, False)
    """

    method: AttentionMethod
    family: ProblemFamily
    n: int
    d: int
    seed: int
    alternatives: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def problem(
        self,
        n: int | None = None,
        *,
        dtype: str = "float64",
        mask: Mask | None = None,
        key: int = 0,
        scale: float = 1.0,
    ) -> AttentionProblem:
        """Return a random problem of four heads in two groups, one for each key; ``scale`` multiplies the scores."""
        n = self.n if n is None else n
        rng = np.random.default_rng([self.seed, n, key])
        drawn = self.family(n, self.d, 4, 2, rng=rng, dtype=dtype)
        return replace(drawn, mask=mask if mask is not None else FullMask(), scale=scale * drawn.score_scale)

    def run(
        self, problem: AttentionProblem, *, method: AttentionMethod | None = None, seed: int | None = None
    ) -> Approximation:
        """Run the method, at a budget of a third of the keys, on a copy of a problem that has nothing cached."""
        method = self.fitted(problem) if method is None else method
        rng = np.random.default_rng(self.seed if seed is None else seed)
        with np.errstate(all="ignore"), warnings.catch_warnings():  # bad rows are counted
            # a law sets the budget, which may be too small for a tolerance among the method's fields
            warnings.simplefilter("ignore", ToleranceWarning)
            return method(replace(problem, check_finite=False), rng=rng)

    def output(
        self, problem: AttentionProblem, *, method: AttentionMethod | None = None, seed: int | None = None
    ) -> np.ndarray:
        """Return the output, float64 on the host; bad rows are NaN."""
        with np.errstate(all="ignore"):
            return to_host(self.run(problem, method=method, seed=seed).output).astype(np.float64)

    def fitted(self, problem: AttentionProblem, columns: int | None = None) -> AttentionMethod:
        """Return the method with a budget of ``columns``, or the next that it accepts.

        By default a third of the keys, or of the queries where they are fewer: the budget may be a rank.
        """
        if self.method.budget is None:
            return self.method
        if columns is None:
            third = min(problem.n_q, problem.n_k) // 3
            columns = third + third % 2 or 1  # even, since features may come in pairs
        wanted = columns
        reason: Exception | None = None
        for size in range(wanted, 2 * wanted + 3):  # a power of two, or a small multiple, lies within
            try:
                return self.method.with_budget(size)
            except ValueError as error:
                reason = error
        raise Violation(
            f"no budget from {wanted} to {2 * wanted + 2} is accepted ({reason}); round it up in with_budget"
        )

    def is_random(self) -> bool:
        """Return true if two seeds give different outputs."""
        problem = self.problem()
        return not np.array_equal(self.output(problem, seed=1), self.output(problem, seed=2), equal_nan=True)


def exact(problem: AttentionProblem) -> np.ndarray:
    """Return the exact output, float64 on the host."""
    return to_host(replace(problem, check_finite=False).output).astype(np.float64)


def tolerance(problem: AttentionProblem) -> float:
    """Return the relative difference that rounding may make on a problem."""
    return _ROUNDING * problem.n_k * eps(problem.q)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return the largest difference relative to the largest entry; infinite where only one of both is NaN."""
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return float("inf")
    finite = ~np.isnan(a)
    if not np.any(finite):
        return 0.0
    # ``tiny`` where both outputs are zero: their difference is then 0, not 0 / 0
    scale = max(float(np.abs(a[finite]).max()), float(np.abs(b[finite]).max()), np.finfo(np.float64).tiny)
    return float(np.abs(a[finite] - b[finite]).max()) / scale


def require_close(a: np.ndarray, b: np.ndarray, problem: AttentionProblem, said: str) -> None:
    """Raise Violation if outputs differ by more than rounding."""
    found, allowed = difference(a, b), tolerance(problem)
    if not found <= allowed:
        raise Violation(f"{said} (relative difference {found:.2g}, rounding allows {allowed:.2g})")


def require_counted(found: Approximation, where: str = "") -> None:
    """Raise Violation unless the number of rows that are not finite is the one reported, head by head."""
    host, counted = to_host(found.output), to_host(found.bad_rows)
    broken = np.sum(~np.all(np.isfinite(host), axis=-1), axis=-1)
    if found.fallback is not None and not np.any(broken):
        return  # bad rows have a finite output of their own
    if not np.array_equal(broken, counted):
        raise Violation(
            f"{where}{int(broken.sum())} rows of the output are not finite, but {int(counted.sum())} are counted as "
            "bad; shift before exp, and leave non-positive denominators to Approximation"
        )


def changed(problem: AttentionProblem, **arrays: Any) -> AttentionProblem:
    """Return a problem with other arrays or another mask."""
    return dataclasses.replace(problem, **arrays)
