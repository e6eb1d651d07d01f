"""Conformance check of column selection rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from tnattn.arrays import to_host
from tnattn.randnla.columns.selection import ColumnSelection
from tnattn.scalars import Parameters
from tnattn.structured.dense import Dense
from tnattn.testing.report import NotApplicable, Report, Violation, conformance
from tnattn.testing.tensor_arguments import require_refused

M = N = 12  # square, so that rules for semidefinite matrices can be checked
SIZE = 4  # a third of the columns, so that the choice matters


def check_selection(selection: ColumnSelection, *, laws: Iterable[str] | None = None, seed: int = 0) -> Report:
    """Check a rule that selects columns on matrices of its domain.

    Parameters
    ----------
    selection : ColumnSelection
        The class variables ``domain``, ``reads_matrix`` and ``repeats`` select and parametrise the laws.
    laws : iterable of str, optional
        All by default.
    seed : int

    Raises
    ------
    ConformanceError
        If a law is violated.

    Examples
    --------
    >>> from tnattn.randnla.columns.pivoted_qr import QRColumns
    >>> from tnattn.testing import check_selection
    >>> check_selection(QRColumns(), laws=["indices", "support"]).of("violated")
    ()
    """
    if not isinstance(selection, ColumnSelection):
        raise TypeError(f"selection must be an instance of ColumnSelection; got {selection!r}")
    trial, where = _Trial(selection, seed), f"matrices of {M} by {N}"
    checks = {name: partial(law, trial) for name, law in SELECTION_LAWS.items()}
    return conformance(repr(selection), where, checks, laws)


@dataclasses.dataclass(frozen=True)
class _Trial(Parameters):
    selection: ColumnSelection
    seed: int

    def choose(self, a: Any, size: Any = None, *, seed: int | None = None) -> np.ndarray:
        """Return the columns selected from a matrix or stack, on the host."""
        rng = np.random.default_rng(self.seed if seed is None else seed)
        chosen = self.selection.select(Dense(a), self.size if size is None else size, rng=rng)
        return np.asarray(to_host(chosen))

    @property
    def size(self) -> int:
        """Number of columns: four, or the most that a rule with a list of its own can give."""
        rng = np.random.default_rng
        for size in range(SIZE, 1, -1):  # found by trial: rules do not state their largest size
            try:
                self.selection.select(Dense(self.matrix()), size, rng=rng(self.seed))
            except ValueError:
                continue
            return size
        return 1

    def matrix(self, *batch: int, key: int = 0, dtype: str = "float64") -> np.ndarray:
        """Return matrices of the domain of the rule with singular values 0.7^i."""
        rng = np.random.default_rng([self.seed, key])
        v = np.linalg.qr(rng.standard_normal((*batch, N, N)))[0]
        u = v if self.selection.domain == "semidefinite" else np.linalg.qr(rng.standard_normal((*batch, M, N)))[0]
        a = (u * 0.7 ** np.arange(N)) @ np.swapaxes(v, -1, -2)
        if self.selection.domain == "semidefinite":
            a = (a + np.swapaxes(a, -1, -2)) / 2
        return np.asarray(a).astype(dtype)

    def embedded(self) -> tuple[np.ndarray, list[int]]:
        """Return a matrix with as many columns that are not zero as are selected, and their indices."""
        support = np.sort(np.random.default_rng([self.seed, 7]).permutation(N)[: self.size])
        a = np.zeros((M, N))
        # rows of the same indices, so that a semidefinite matrix stays semidefinite
        a[np.ix_(support, support)] = self.matrix()[: self.size, : self.size]
        return a, support.tolist()


def _is_a_value(trial: _Trial) -> None:
    selection = trial.selection
    if not dataclasses.is_dataclass(selection) or hash(selection) != hash(dataclasses.replace(selection)):
        raise Violation("it is no frozen dataclass: equal parameters must give equal values")


def _gives_indices(trial: _Trial) -> None:
    size = trial.size
    for dtype in ("float32", "float64"):
        chosen = trial.choose(trial.matrix(2, 3, dtype=dtype))
        if chosen.dtype != np.int64 or chosen.shape != (2, 3, size):
            raise Violation(f"{size} columns of a (2, 3) stack are {chosen.dtype} of shape {chosen.shape}")
        if chosen.min() < 0 or chosen.max() >= N:
            raise Violation(f"indices between {chosen.min()} and {chosen.max()} are selected from {N} columns")
        repeated = any(len(set(row)) < size for row in chosen.reshape(-1, size).tolist())
        if repeated and not trial.selection.repeats:
            raise Violation("a column is selected twice; declare repeats = True if draws are with replacement")


def _repeats_if_it_says_so(trial: _Trial) -> None:
    if not trial.selection.repeats:
        raise NotApplicable("columns are distinct")
    if trial.choose(trial.matrix(), 3 * N).shape != (3 * N,):
        raise Violation(f"{3 * N} draws with replacement from {N} columns are not admitted")


def _refuses_too_many(trial: _Trial) -> None:
    if trial.selection.repeats:
        raise NotApplicable("draws are with replacement")
    require_refused(partial(trial.choose, trial.matrix(), N + 1), ValueError, f"{N + 1} of {N} columns")


def _takes_sizes(trial: _Trial) -> None:
    a = trial.matrix()
    plain = trial.choose(a)
    if not np.array_equal(trial.choose(a, np.int64(trial.size)), plain):
        raise Violation("a size of NumPy changes the choice")
    for bad, kind in ((0, ValueError), (-1, ValueError), (True, TypeError), (2.0, TypeError)):
        require_refused(partial(trial.choose, a, bad), kind, f"size {bad!r}")


def _passes_randomness(trial: _Trial) -> None:
    a = trial.matrix()
    first, again = trial.choose(a), trial.choose(a)
    if not np.array_equal(first, again):
        raise Violation("the same seed gives another choice; draw from rng only")
    # five other seeds: a random choice of 4 of 12 columns agrees with all of them with probability below 1e-13
    others = [trial.choose(a, seed=trial.seed + offset) for offset in range(1, 6)]
    if all(np.array_equal(first, other) for other in others):
        return  # the choice is deterministic
    try:
        trial.selection.select(Dense(a), trial.size, rng=None)
    except TypeError:
        return
    raise Violation("it draws without a generator; pass rng through require_rng")


def _ignores_batch_mates(trial: _Trial) -> None:
    a, mate = trial.matrix(), trial.matrix(key=1)
    # the second mate is 100 times larger: a shared threshold would show
    first, second = (trial.choose(np.stack([a, factor * mate])) for factor in (1.0, 100.0))
    if not np.array_equal(first[0], second[0]):
        raise Violation("another matrix in the stack changes the choice")


def _ignores_units(trial: _Trial) -> None:
    a = trial.matrix()
    # a power of two is exact: the same bits decide, unless a tolerance is absolute
    if not np.array_equal(trial.choose(a), trial.choose(np.ldexp(a, 40))):
        raise Violation("2^40 times the matrix has other columns selected")


def _selects_from_support(trial: _Trial) -> None:
    if not trial.selection.reads_matrix:
        raise NotApplicable("the choice does not depend on the matrix")
    a, support = trial.embedded()
    chosen = trial.choose(a).tolist()
    if not set(chosen) <= set(support):
        raise Violation(f"columns {chosen} are selected where only {support} are not zero")


def _ignores_the_matrix_if_it_says_so(trial: _Trial) -> None:
    if trial.selection.reads_matrix:
        raise NotApplicable("the choice depends on the matrix")
    if not np.array_equal(trial.choose(trial.matrix()), trial.choose(trial.matrix(key=1))):
        raise Violation("another matrix has other columns selected; declare reads_matrix = True")


def _leaves_the_matrix_alone(trial: _Trial) -> None:
    a = trial.matrix(2)
    before = a.copy()
    trial.choose(a)
    if not np.array_equal(a, before):
        raise Violation("the matrix is written into")


SELECTION_LAWS: dict[str, Callable[[_Trial], None]] = {
    "value": _is_a_value,
    "indices": _gives_indices,
    "repeats": _repeats_if_it_says_so,
    "demand": _refuses_too_many,
    "scalars": _takes_sizes,
    "rng": _passes_randomness,
    "batch": _ignores_batch_mates,
    "scale": _ignores_units,
    "support": _selects_from_support,
    "oblivious": _ignores_the_matrix_if_it_says_so,
    "buffers": _leaves_the_matrix_alone,
}
