"""Implicit matrices and operators, which cannot be checked beforehand: every method ends, and names what it read.

The products of each operator are those of a matrix for a while, and NaN, infinite or other numbers from then on. A
method that runs on is stopped by the operator, which counts, and by a deadline.
"""

import contextlib
import dataclasses
import threading

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator

from tnattn.discovery import subclasses
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.low_rank.qb import QB
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky
from tnattn.structured import Dense, LowRank, Product, Transposed
from tnattn.testing.matrix_trial import MatrixTrial

METHODS = subclasses("tnattn.randnla", MatrixMethod)
SIZE, RANK, MANY, DEADLINE = 24, 6, 2000, 20.0
FACTOR = np.random.default_rng(0).standard_normal((SIZE, 30))
KERNEL = FACTOR @ FACTOR.T / 30


class RunsOn(Exception):
    """An operator was asked more often than any method has reason to."""


class Turning:
    """Gives what it is asked for ``good`` times, and then an array of one number."""

    def __init__(self, good, then):
        self.good, self.then, self.asked = good, then, 0

    @property
    def turned(self):
        return self.asked > self.good

    def __call__(self, answer):
        self.asked += 1
        if self.asked > MANY:
            raise RunsOn
        return np.full_like(answer, self.then) if self.turned else answer


class Entries:
    """Implicit entries."""

    shape, like = (SIZE, SIZE), np.zeros(0)

    def __init__(self, turning):
        self.turning = turning

    def diagonal(self):
        return self.turning(np.diagonal(KERNEL).copy())

    def columns(self, indices):
        return self.turning(KERNEL[:, indices])


def operator(turning):
    def product(x):
        return turning(KERNEL @ x)

    return LinearOperator(
        (SIZE, SIZE), matvec=product, rmatvec=product, matmat=product, rmatmat=product, dtype="float64"
    )


KINDS = {"entries": Entries, "operator": operator}


def variants(cls):
    """A method with a small rank, and with a tolerance where it has one."""
    method = cls()
    with contextlib.suppress(ValueError):  # no rank to set
        method = method.with_rank(RANK)
    yield method
    if "rtol" in {f.name for f in dataclasses.fields(method)}:
        yield dataclasses.replace(method, rtol=0.05)


def outcome(method, matrix):
    """The result of a method, or what it raised; None if it has not ended by the deadline."""
    found = []

    def run():
        try:
            with np.errstate(all="ignore"):
                found.append(method(matrix, rng=np.random.default_rng(0)))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    return found[0] if found else None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("then", [np.nan, np.inf, 0.0, -1.0, 1e300])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_ends_whatever_is_returned(name, kind, then):
    for method in variants(METHODS[name]):
        for good in (0, 1, 2, 4):
            turning = Turning(good, then)
            result = outcome(method, KINDS[kind](turning))
            assert result is not None, f"{method} has not ended"
            if isinstance(result, Exception):
                assert isinstance(result, ValueError), f"{method} after {good} products: {result!r}"
                assert not isinstance(result, np.linalg.LinAlgError), f"{method}: {result!r}"
            else:
                assert np.isfinite(result.to_dense()).all()
                assert np.isfinite(then) or not turning.turned, f"{method} has read {then} and says nothing"


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if MatrixTrial(cls(), 0).ranked])
def test_numbers_that_are_not_finite_are_named(name):
    turning = Turning(1, np.nan)
    found = outcome(METHODS[name]().with_rank(RANK), Entries(turning))
    assert "NaN" in str(found) or not turning.turned  # some read all entries at once


class Endless(MatrixMethod):
    """Asks until the answer is small, which NaN is not."""

    def factorise(self, a, *, rng):
        while not np.all(np.abs(a.operator.matmat(np.ones((SIZE, 1)))) < 1):
            pass
        return a


def test_a_loop_that_only_a_number_ends_is_found():
    assert isinstance(outcome(Endless(), operator(Turning(0, np.nan))), RunsOn)


@pytest.mark.parametrize("rank", [1, RANK])
def test_columns_that_contradict_the_diagonal_are_refused(rank):
    """Columns of 1e-11 under a diagonal of ones: a proposal would be accepted once in 1e11 blocks."""

    class Faint(Entries):
        def columns(self, indices):
            return 1e-11 * super().columns(indices)

    found = outcome(RandomlyPivotedCholesky(rank, block=1), Faint(Turning(MANY, 0.0)))
    assert isinstance(found, ValueError)
    assert "contradict" in str(found)


@pytest.mark.parametrize(
    "matrix",
    [
        Dense(np.full((4, 4), np.nan)),
        LowRank(np.ones((4, 1)), np.full((1, 4), np.inf)),
        Transposed(Product(Dense(np.full((4, 2), np.nan)), Dense(np.ones((2, 4))))),
    ],
    ids=repr,
)
def test_the_arrays_of_a_structure_must_be_finite(matrix):
    with pytest.raises(ValueError, match="all entries must be finite"):
        QB().with_rank(1)(matrix, rng=np.random.default_rng(0))
