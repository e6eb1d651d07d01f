"""Ranks and tolerances of truncations: admissible values, ranks that no tensor has, and the errors raised."""

import numpy as np
import pytest

from tnattn.decomposition.subspace import Subspace
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.decomposition.truncation import (
    DEFAULT_TOLERANCE,
    Truncation,
    relative_accuracy,
    require_ranks,
    truncation_record,
)
from tnattn.decomposition.tucker.hosvd import HOSVD
from tnattn.discovery import subclasses

TRUNCATIONS = list(subclasses("tnattn.decomposition", Truncation).values())


@pytest.mark.parametrize(
    "sizes, limits",
    [((4, 5, 6), (4, 5, 6)), ((2, 3, 30), (2, 3, 6)), ((30, 2, 3), (6, 2, 3)), ((2, 30, 3), (2, 6, 3)),
     ((7, 3), (3, 3)), ((1, 1, 5), (1, 1, 1)), ((2, 2, 2, 9), (2, 2, 2, 8))],
    ids=str,
)  # fmt: skip
def test_multilinear_ranks_are_at_most_size_and_number_of_fibres(sizes, limits):
    method = HOSVD(order=len(sizes))
    assert method.rank_limits(sizes) == limits
    assert method.with_rank(10**6, sizes).ranks == limits
    assert method.with_rank(2, sizes).ranks == tuple(min(2, n) for n in limits)
    assert method.with_rank(2, sizes).rtol is None


@pytest.mark.parametrize(
    "sizes, limits",
    [((4, 5, 6), (4, 6)), ((2, 3, 30), (2, 6)), ((30, 2, 3), (6, 3)), ((7, 3), (3,)), ((2, 3, 4, 5), (2, 6, 5)),
     ((1, 9, 1), (1, 1)), ((2, 2, 2, 2, 2, 2), (2, 4, 8, 4, 2))],
    ids=str,
)  # fmt: skip
def test_bond_ranks_are_at_most_the_products_on_either_side(sizes, limits):
    method = TTSVD(order=len(sizes))
    assert method.rank_limits(sizes) == limits
    assert method.with_rank(10**6, sizes).ranks == limits


@pytest.mark.parametrize("cls, ranks, message", [
    (HOSVD, (2, 6, 2),
     r"rank 6 at place 1 of \(2, 6, 2\) exceeds 5, .* sizes \(4, 5, 6\); reduce it, or use with_rank\(6"),
    (HOSVD, 5, r"rank 5 at place 0 of \(5, 5, 5\) exceeds 4"),
    (TTSVD, (4, 7), r"rank 7 at place 1 of \(4, 7\) exceeds 6"),
    (TTSVD, 5, r"rank 5 at place 0 of \(5, 5\) exceeds 4"),
])  # fmt: skip
def test_ranks_above_those_of_the_unfoldings(cls, ranks, message):
    with pytest.raises(ValueError, match=message):
        cls(ranks=ranks).ranks_for((4, 5, 6))


def test_a_tolerance_leaves_the_ranks_open():
    assert HOSVD(rtol=0.1).ranks_for((4, 5, 6)) is None
    assert HOSVD(ranks=2).ranks_for((4, 5, 6)) == (2, 2, 2)
    assert TTSVD(ranks=2).ranks_for((4, 5, 6)) == (2, 2)


@pytest.mark.parametrize("cls", TRUNCATIONS)
def test_as_many_ranks_as_modes_or_bonds(cls):
    count = len(cls().rank_limits((4, 5, 6)))
    cls(ranks=(2,) * count)
    for wrong in (count - 1, count + 1):
        with pytest.raises(ValueError, match=f"are {wrong} numbers; {count} are needed at order 3"):
            cls(ranks=(2,) * wrong)


@pytest.mark.parametrize("cls", [HOSVD, TTSVD])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_least_tolerance_is_the_longest_mode_in_units_of_rounding(cls, dtype):
    """Batch axes do not count."""
    eps = float(np.finfo(dtype).eps)
    x = np.ones((50, 3, 9, 4), dtype)
    method = cls(rtol=9 * eps)
    method._require_fit(x)
    with pytest.raises(
        ValueError, match=rf"is below .*, what {np.dtype(dtype).name} resolves in a tensor of sizes \(3, 9, 4\)"
    ):
        cls(rtol=9 * eps * (1 - 1e-3))._require_fit(x)


@pytest.mark.parametrize("rtol", [0.0, 1.0, -0.1, 1.5, float("inf"), float("nan")])
def test_tolerances_are_between_zero_and_one(rtol):
    with pytest.raises(ValueError, match="0 < rtol < 1 is needed"):
        HOSVD(rtol=rtol)


def test_ranks_and_a_tolerance_exclude_each_other():
    with pytest.raises(ValueError, match="ranks 2 and rtol 0.1 are both given; set one of them to None"):
        HOSVD(ranks=2, rtol=0.1)


def test_ranks_are_checked_before_the_entries_are_read():
    with pytest.raises(ValueError, match="rank 9 at place 0"):
        HOSVD(ranks=9)(np.full((4, 5, 6), np.nan))


def test_ends_of_a_train_have_one_row_and_one_column():
    assert TTSVD(ranks=1).ranks_for((1, 4, 1)) == (1, 1)


def test_a_hundredth_is_kept_where_nothing_is_given():
    assert DEFAULT_TOLERANCE == 0.01
    assert HOSVD().rtol == TTSVD().rtol == DEFAULT_TOLERANCE
    assert HOSVD(ranks=2).rtol is None
    assert HOSVD(rtol=0.5).rtol == 0.5


def test_one_rank_is_enough():
    assert HOSVD(ranks=1)(np.ones((3, 4, 5))).largest_ranks == (1, 1, 1)
    with pytest.raises(ValueError, match="rank is 0; rank >= 1 is needed; keep at least one"):
        HOSVD(ranks=(1, 0, 1))
    with pytest.raises(ValueError, match="rank is 0; rank >= 1 is needed; keep at least one"):
        HOSVD().with_rank(0, (3, 4, 5))


def test_a_rank_is_lowered_for_sizes_of_any_kind_of_integer():
    assert HOSVD().with_rank(np.int32(3), np.array([2, 30, 4])) == HOSVD().with_rank(3, (2, 30, 4))
    assert all(type(rank) is int for rank in HOSVD().with_rank(3, np.array([2, 30, 4])).ranks)


@pytest.mark.parametrize("cls", TRUNCATIONS)
@pytest.mark.parametrize("order, error", [(1, ValueError), (0, ValueError), (2.5, TypeError), ("3", TypeError)])
def test_the_order_of_what_is_truncated_is_checked(cls, order, error):
    with pytest.raises(error, match="order"):
        cls(order=order)


def steps(*squares):
    """Steps that discard so much of two tensors, with ranks 1, 2, ..."""
    return [Subspace(np.zeros((2, 3, 1)), np.array(x), np.array([i, i + 3])) for i, x in enumerate(squares, start=1)]


def test_squares_that_steps_discard_and_that_of_the_result_add_up_to_that_of_the_tensor():
    found = truncation_record(steps([9.0, 0.0], [16.0, 0.0]), np.array([12.0, 2.0]), None)
    np.testing.assert_array_equal(found["discarded"], [[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_array_equal(found["ranks"], [[1, 2], [4, 5]])
    np.testing.assert_allclose(found["residual"], [5 / 13, 0.0], rtol=1e-15)
    assert found["converged"].tolist() == [False, True]


def test_errors_are_relative_to_the_norms_that_are_given():
    found = truncation_record(steps([9.0, 0.0], [16.0, 0.0]), np.ones(2), 0.5, size=np.array([10.0, 0.0]))
    np.testing.assert_allclose(found["residual"], [0.5, 0.0], rtol=1e-15)
    assert found["converged"].tolist() == [True, True]


@pytest.mark.parametrize("rtol, bound", [(0.25, 0.25), (None, 0.0), (1e-300, 0.0)])
def test_a_residual_may_exceed_its_tolerance_by_rounding_only(rtol, bound):
    eps = float(np.finfo(float).eps)
    most = max(bound * (1 + 64 * eps), 64 * eps)
    for error, kept in ((most * (1 - eps), True), (most * (1 + 4 * eps), False), (bound * (1 + 60 * eps), True)):
        found = relative_accuracy(np.asarray(error), np.asarray(1.0), np.ones(1, int), rtol)
        assert bool(found["converged"]) == kept
        assert found["residual"] == error


def test_as_many_ranks_as_are_needed_are_positive():
    require_ranks(None)
    require_ranks(2, count=3, order=3)
    require_ranks((2, 3))
    require_ranks((2, 3), count=2, order=3)
    with pytest.raises(ValueError, match=r"ranks \(2, 3\) are 2 numbers; 3 are needed at order 4"):
        require_ranks((2, 3), count=3, order=4)
    for ranks in (0, (2, 0), (0, 2)):
        with pytest.raises(ValueError, match="rank is 0"):
            require_ranks(ranks)


@pytest.mark.parametrize("batch", [(), (2,), (2, 2), (2, 3, 2)], ids=str)
def test_records_of_every_stack_have_steps_on_the_last_axis(batch):
    made = [Subspace(np.zeros((*batch, 3, 1)), np.full(batch, x), np.full(batch, n)) for x, n in ((9.0, 1), (16.0, 7))]
    found = truncation_record(made, np.full(batch, 12.0), 0.5)
    assert found["ranks"].shape == found["discarded"].shape == (*batch, 2)
    assert (found["ranks"] == [1, 7]).all()
    np.testing.assert_allclose(found["residual"], np.full(batch, 5 / 13), rtol=1e-15)


@pytest.mark.parametrize("size", [2.0**-900, 0.5, 1.0, 4.0])
def test_errors_are_relative_whatever_the_size(size):
    found = relative_accuracy(np.asarray(0.25 * size), np.asarray(size), np.ones(1, int), 0.25)
    assert found["residual"] == 0.25
    assert found["converged"]


def test_rounding_is_sixty_four_units_of_the_tolerance():
    eps = float(np.finfo(float).eps)
    for units, kept in ((64, True), (65, False)):
        error = np.asarray(0.25 + 0.25 * units * eps)
        assert bool(relative_accuracy(error, np.asarray(1.0), np.ones(1, int), 0.25)["converged"]) == kept


@pytest.mark.parametrize("cls, ranks", [(HOSVD, (2, 5, 2)), (TTSVD, (1, 6))])
def test_ranks_that_no_tensor_has_at_once_are_refused(cls, ranks):
    with pytest.raises(ValueError, match="no core .*has such ranks"):
        cls(ranks=ranks).ranks_for((4, 5, 6))
