"""Optimal errors by Eckart, Young and Mirsky beside theorems and data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from theory.bounds.decomposition.hosvd import hosvd, hosvd_lower
from theory.bounds.decomposition.instances import decaying, diagonal_example
from theory.bounds.decomposition.tt_svd import ttsvd, ttsvd_identity, ttsvd_lower
from theory.bounds.randnla.range_finder import rrf_spec_expected
from theory.comparison.compare import compare
from theory.comparison.optimal import OptimalErrors, unfolding_ranks
from theory.statement import errors
from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.decomposition.tucker.block_term import BlockTerm
from tnattn.decomposition.tucker.hosvd import HOSVD
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD

X = decaying(np.random.default_rng(0), (5, 6, 7))
FOUR = decaying(np.random.default_rng(1), (4, 5, 3, 4))

HEADS, QUERIES, KEYS = (0,), (0, 2), (0, 1)
"""Rows of the unfoldings of three modes, of which the second has its mode in the columns, as the third."""


@pytest.mark.parametrize(
    "method, expected",
    [
        (HOSVD(ranks=(2, 3, 4)), {HEADS: 2, QUERIES: 3, KEYS: 4}),
        (TTSVD(ranks=(2, 3)), {HEADS: 2, QUERIES: 6, KEYS: 3}),
        (CPALS(rank=4), {HEADS: 4, QUERIES: 4, KEYS: 4}),
        (BlockTerm(terms=2, ranks=(1, 2, 2), sweeps=0), {HEADS: 2, QUERIES: 4, KEYS: 4}),
    ],
    ids=lambda x: type(x).__name__,
)
def test_ranks_of_unfoldings_are_the_least_cuts(method: Any, expected: dict[tuple[int, ...], int]) -> None:
    found = unfolding_ranks(method(X))
    assert {rows: rank for (rows, _), rank in found.items()} == expected


@pytest.mark.parametrize(
    "method",
    [STHOSVD(ranks=2, order=4), TTSVD(ranks=2, order=4), CPALS(rank=2, order=4), BlockTerm(ranks=1, order=4)],
    ids=lambda m: type(m).__name__,
)
def test_no_unfolding_of_a_result_has_a_larger_rank(method: Any) -> None:
    dense = method(FOUR).to_dense()
    found = unfolding_ranks(method(FOUR))
    assert len(found) == 7
    for (rows, columns), rank in found.items():
        matrix = np.transpose(dense, rows + columns).reshape(np.prod([FOUR.shape[j] for j in rows]), -1)
        assert np.linalg.matrix_rank(matrix, tol=1e-10) <= rank


def test_the_optimal_error_of_a_tensor_is_the_largest_tail_of_its_unfoldings() -> None:
    method = HOSVD(ranks=(2, 3, 4))
    comparison, lower = compare(method, X, [hosvd, hosvd_lower], rng=np.random.default_rng(0))
    assert comparison.optimal_errors is not None
    assert comparison.errors is not None
    np.testing.assert_allclose(comparison.optimal_errors, lower.predicted)
    assert comparison.above_optimal == pytest.approx(comparison.errors[0] / comparison.optimal_errors[0])
    assert 1 <= comparison.above_optimal <= comparison.slack * comparison.above_optimal <= 3**0.5 * (1 + 1e-9)


def test_the_optimal_error_of_a_train_counts_the_unfolding_that_is_no_bond() -> None:
    """A train of bonds r and r' lets the middle mode have rank r r': its tail is part of the optimal error."""
    method = TTSVD(ranks=(1, 1))
    comparison, lower = compare(method, X, [ttsvd, ttsvd_lower], rng=np.random.default_rng(0))
    assert comparison.optimal_errors is not None
    middle = np.linalg.svd(np.moveaxis(X, 1, 0).reshape(6, -1), compute_uv=False)
    np.testing.assert_allclose(comparison.optimal_errors[0], max(lower.predicted, np.linalg.norm(middle[1:])))


def test_the_worked_example_reaches_the_optimal_error() -> None:
    """X_000 = 2, X_111 = 1: every tail at rank 1 is 1, and so is the error."""
    comparison = compare(TTSVD(ranks=1), diagonal_example(), [ttsvd], rng=np.random.default_rng(0))[0]
    assert comparison.above_optimal == pytest.approx(1.0)
    assert comparison.slack == pytest.approx(2**0.5)


def test_the_optimal_error_of_a_matrix_is_the_next_singular_value() -> None:
    method, a = rrf_spec_expected.generic(np.random.default_rng(0))  # type: ignore[misc]
    comparison = compare(method, a, [rrf_spec_expected], rng=np.random.default_rng(0), trials=20)[0]
    s = np.linalg.svd(a, compute_uv=False)
    assert comparison.optimal_errors is not None
    np.testing.assert_allclose(comparison.optimal_errors[0], s[..., method(a, rng=np.random.default_rng(0)).rank])
    assert comparison.above_optimal > 1


def test_the_truncated_singular_value_decomposition_is_optimal_and_a_random_one_is_not() -> None:
    """Negative control beside it."""
    a = np.random.default_rng(0).standard_normal((8, 9))
    best = TruncatedSVD(rank=3)(a)
    optimal = OptimalErrors(a)
    for error in (errors.matrix_spectral, errors.matrix_frobenius, errors.matrix_frobenius_squared):
        assert error(a, best) == pytest.approx(optimal(error, best))
        assert error(a, TruncatedSVD(rank=2)(a)) > 1.01 * optimal(error, best)


def test_an_optimal_error_that_is_rounding_is_no_reference() -> None:
    exact = np.einsum("i,j,k->ijk", *(np.arange(1.0, n) for n in (4, 5, 6)))
    comparison = compare(TTSVD(ranks=1), exact, [ttsvd], rng=np.random.default_rng(0))[0]
    assert np.isnan(comparison.above_optimal)


def test_what_has_no_optimal_error_gets_none() -> None:
    identity = compare(TTSVD(ranks=2), X, [ttsvd_identity], rng=np.random.default_rng(0))[0]
    assert identity.optimal_errors is None
    assert np.isnan(identity.above_optimal)
    assert OptimalErrors(X)(errors.matrix_maximum, TTSVD(ranks=2)(X)) is None
    assert OptimalErrors(X[0])(errors.matrix_spectral, TruncatedSVD(rank=2)(X)) is None
