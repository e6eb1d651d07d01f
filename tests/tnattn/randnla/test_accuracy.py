"""Ranks and tolerances: their range, the leading terms that meet them, the warning, the limit of rounding."""

import warnings
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.discovery import subclasses
from tnattn.randnla import accuracy
from tnattn.randnla.accuracy import (
    Accuracy,
    RankOrTolerance,
    ToleranceWarning,
    TrimmedFactors,
    counted,
    judged,
    leading_terms,
    relative_errors,
    require_above_rounding,
    require_optional_tolerance,
    require_rank,
    require_resolved,
    require_tolerance,
    warn_of_missed,
    within,
)
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.columns.pivoted_qr import PivotedQR
from tnattn.randnla.iteration_accuracy import IterationAccuracy
from tnattn.structured.low_rank import LowRankMatrix


@pytest.mark.parametrize("rtol", [-0.1, 1.0, float("nan")])
def test_a_tolerance_out_of_range_is_refused(rtol):
    with pytest.raises(ValueError, match="0 <= rtol < 1"):
        require_tolerance(rtol)


@pytest.mark.parametrize("rtol", [0.0, 0.999])
def test_a_tolerance_in_range_passes(rtol):
    require_tolerance(rtol)


def test_one_matrix_that_misses_is_enough_for_one_warning(xp):
    size = xp.asarray(np.array([2.0, 4.0, 0.0]))
    with pytest.warns(ToleranceWarning) as caught:
        residual, converged = judged(xp.asarray(np.array([0.2, 1.0, 0.0])), size, 0.11, "rank 3")
    assert [str(w.message) for w in caught] == [
        "rtol 0.11 is not met at rank 3 by 1 of the 3 matrices: the largest relative error is 0.25; raise rank or rtol"
    ]
    np.testing.assert_allclose(to_host(residual), [0.1, 0.25, 0.0], rtol=4 * xp.eps())
    assert to_host(converged).tolist() == [True, False, True]
    assert type(residual) is type(converged) is type(size)


@pytest.mark.parametrize("error, rtol", [(0.1, 0.11), (0.1, 0.0)], ids=["met", "none given"])
def test_nothing_is_said_where_nothing_is_missed(xp, error, rtol):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, converged = judged(xp.asarray(np.array([error])), xp.asarray(np.ones(1)), rtol, "rank 3")
    assert to_host(converged).tolist() == [rtol > 0]


def test_nobody_is_asked_for_more_than_rounding_allows():
    eps = float(np.finfo(np.float32).eps)
    assert np.all(within(np.full(2, 32 * eps, dtype="f4"), 1e-12))
    assert not np.any(within(np.full(2, 32 * eps), 1e-12))


ELIMINATIONS = [
    cls for cls in subclasses("tnattn.randnla.columns", MatrixMethod).values() if issubclass(cls, RankOrTolerance)
]


@pytest.mark.parametrize("method", ELIMINATIONS)
def test_a_tolerance_below_rounding_is_refused(method):
    a = np.eye(20, dtype="f4")
    with pytest.raises(ValueError, match="rtol 1e-06 is below 7.6e-06, the rounding of a float32 matrix"):
        method(rtol=1e-6)(a)
    assert method(20, rtol=1e-6)(a.astype("f8")).ranks == 20


def test_the_warning_points_at_the_line_outside_the_package():
    with pytest.warns(ToleranceWarning) as caught:
        warn_of_missed(np.asarray(False), np.asarray(0.5), 0.1, "rank 3")
    assert caught[0].filename == __file__


@pytest.mark.parametrize("rtol", [None, 1e-300, 0.5, 0.999])
def test_an_optional_tolerance_in_range_or_none_passes(rtol):
    require_optional_tolerance(rtol)


@pytest.mark.parametrize("rtol", [0.0, -0.1, 1.0, 1.5, float("nan")])
def test_an_optional_tolerance_out_of_range_is_refused(rtol):
    with pytest.raises(ValueError, match="0 < rtol < 1 is needed, or None for the given rank"):
        require_optional_tolerance(rtol)


@pytest.mark.parametrize("dtype, words", [("f4", "below 0.00069, .* a float32 matrix"), ("f8", "3e-08, .* float64")])
def test_differences_of_squares_resolve_twice_the_root_of_rounding(dtype, words):
    like, least = np.ones(1, dtype), 2 * float(np.finfo(dtype).eps) ** 0.5
    require_resolved(least * (1 + 1e-9), like)
    for rtol in (least, least / 2, 0.0):
        with pytest.raises(ValueError, match=words):
            require_resolved(rtol, like)


@pytest.mark.parametrize("dtype, words", [("f4", "below 7.6e-06, .* a float32 matrix"), ("f8", "1.4e-14, .* float64")])
def test_nothing_is_resolved_below_sixty_four_units_of_rounding(dtype, words):
    like, least = np.ones(1, dtype), 64 * float(np.finfo(dtype).eps)
    for rtol in (0.0, least, 2 * least, 1.0):
        require_above_rounding(rtol, like)
    for rtol in (least * (1 - 1e-9), 1e-300):
        with pytest.raises(ValueError, match=words):
            require_above_rounding(rtol, like)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_tolerance_is_met_up_to_itself_or_up_to_rounding(dtype):
    least = 64 * np.finfo(dtype).eps
    for rtol, bound in ((0.25, 0.25), (0.0, float(least)), (float(least) / 4, float(least))):
        errors = np.asarray([0.0, bound / 2, bound, np.nextafter(np.asarray(bound, dtype), np.inf, dtype=dtype)], dtype)
        assert within(errors, rtol).tolist() == [True, True, True, False]


def test_errors_of_a_stack_are_counted_over_all_its_axes():
    errors, size = np.array([[0.5, 0.1, 0.0], [0.3, 0.0, 0.2]]), np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.25]])
    with pytest.warns(ToleranceWarning, match="rtol 0.2 is not met at 7 columns by 3 of the 6 .* error is 0.8; raise"):
        residual, converged = judged(errors, size, 0.2, "7 columns")
    assert residual.tolist() == [[0.5, 0.1, 0.0], [0.3, 0.0, 0.8]]
    assert converged.tolist() == [[False, True, True], [False, True, False]]


def test_a_warning_passes_all_frames_of_the_package():
    a = np.diag(0.9 ** np.arange(20.0))
    with pytest.warns(ToleranceWarning) as caught:
        PivotedQR(2, rtol=1e-3)(a)
    assert [w.filename for w in caught] == [__file__]


def test_a_frame_without_a_caller_ends_the_search():
    """A package whose outermost frame is its own, as when it runs as a program."""
    inner = SimpleNamespace(f_globals={"__name__": "tnattn.inner"}, f_back=None)
    outer = SimpleNamespace(f_globals={"__name__": "outside"}, f_back=None)
    lookalike = SimpleNamespace(f_globals={"__name__": "tnattn_other.x"}, f_back=None)
    assert accuracy._depth(None) == 1
    assert accuracy._depth(outer) == accuracy._depth(lookalike) == 1
    assert accuracy._depth(inner) == 2
    assert accuracy._depth(SimpleNamespace(f_globals={"__name__": "tnattn"}, f_back=outer)) == 2


# the leading terms that meet a tolerance

ERRORS = np.array([[1.0, 0.5, 0.2, 0.01], [1.0, 0.05, 0.2, 0.05], [0.0, 0.0, 0.0, 0.0], [1.0, 0.9, 0.8, 0.7]])


def test_every_matrix_gets_the_smallest_rank_that_meets_its_tolerance(xp):
    terms = leading_terms(xp.asarray(ERRORS), 0.2, like=xp.asarray(ERRORS))
    assert to_host(terms.ranks).tolist() == [2, 1, 0, 3]  # errors need not decrease
    np.testing.assert_array_equal(
        to_host(terms.residual), np.asarray([0.2, 0.05, 0.0, 0.7], to_host(terms.residual).dtype)
    )
    assert to_host(terms.converged).tolist() == [True, True, True, False]
    assert terms.size == 3


@pytest.mark.parametrize("rtol, size", [(0.9, 1), (0.5, 1), (1e-3, 3)])
def test_a_stack_is_as_wide_as_its_largest_rank_and_never_empty(rtol, size):
    assert leading_terms(ERRORS[2:3], rtol, like=ERRORS).size == 1
    assert leading_terms(ERRORS[:1], rtol, like=ERRORS).size == size


@pytest.mark.parametrize("most, ranks", [(0, [0, 0, 0, 0]), (1, [1, 1, 0, 1]), (2, [2, 1, 0, 2]), (9, [2, 1, 0, 3])])
def test_no_more_terms_are_taken_than_are_admitted(xp, most, ranks):
    terms = leading_terms(xp.asarray(ERRORS), 0.2, like=xp.asarray(ERRORS), most=most)
    assert to_host(terms.ranks).tolist() == ranks
    assert terms.size == max(1, *ranks)


@pytest.mark.parametrize("batch", [(), (1,), (1, 1), (6, 1), (1, 6)], ids=str)
def test_the_terms_admitted_do_not_depend_on_the_stack(batch):
    errors = np.broadcast_to(ERRORS[0], (*batch, 4))
    terms = leading_terms(errors, 0.2, like=ERRORS, most=2)
    assert (terms.ranks.shape, terms.size) == (batch, 2)
    assert (terms.ranks == 2).all()


def test_factors_are_trimmed_and_zero_beyond_the_rank_of_a_matrix(xp):
    terms = leading_terms(xp.asarray(ERRORS[:3, :3]), 0.2, like=xp.asarray(ERRORS))
    there = np.array([[1, 1], [1, 0], [0, 0]])
    tall, wide, values = np.full((3, 4, 5), 2.0), np.full((3, 5, 4), 3.0), np.full((3, 5), 4.0)
    np.testing.assert_array_equal(
        to_host(terms.columns(xp.asarray(tall))), np.repeat(2.0 * there[:, None, :], 4, axis=1)
    )
    np.testing.assert_array_equal(to_host(terms.rows(xp.asarray(wide))), np.repeat(3.0 * there[:, :, None], 4, axis=2))
    np.testing.assert_array_equal(to_host(terms.values(xp.asarray(values))), 4.0 * there)
    indices = to_host(terms.indices(xp.asarray(np.full((3, 5), 7))))
    assert indices.tolist() == [[7, 7], [7, -1], [-1, -1]]


def test_the_accuracy_of_leading_terms_warns_once_of_those_that_miss():
    terms = leading_terms(ERRORS, 0.2, like=ERRORS)
    with pytest.warns(ToleranceWarning, match="rtol 0.2 is not met at rank 3 by 1 of the 4 .* error is 0.7;"):
        fields = terms.accuracy(0.2, "rank 3")
    assert fields["ranks"] is terms.ranks
    assert fields["residual"] is terms.residual
    assert fields["converged"] is terms.converged


def test_the_residual_has_the_dtype_that_is_asked_for():
    terms = leading_terms(ERRORS, 0.2, like=np.ones(1, "f4"))
    assert terms.residual.dtype == np.float32


def test_errors_are_relative_to_that_of_rank_zero():
    squares = np.array([[4.0, 1.0, 0.25], [0.25, 0.0625, 0.0], [0.0, 0.0, 0.0]])
    assert relative_errors(squares, like=squares).tolist() == [[1.0, 0.5, 0.25], [1.0, 0.5, 0.0], [0.0, 0.0, 0.0]]


def test_indices_of_minus_one_do_not_count():
    assert counted(np.array([[3, 0, -1], [-1, -1, -1]])).tolist() == [2, 0]


@dataclass(frozen=True, eq=False, repr=False)
class Trimmed(TrimmedFactors):
    left: np.ndarray
    right: np.ndarray

    def factors(self):
        return self.left, self.right


def test_storage_counts_true_ranks_where_a_tolerance_chose_them():
    sides = np.ones((2, 5, 3)), np.ones((2, 3, 4))
    assert Trimmed(*sides).storage == 2 * 3 * (5 + 4)
    ranks = np.array([3, 1])
    assert Trimmed(*sides, ranks=ranks).storage == 2 * 3 * (5 + 4)
    trimmed = Trimmed(*sides, ranks=ranks, residual=np.zeros(2), converged=np.ones(2, dtype=bool))
    assert trimmed.storage == 4 * (5 + 4)
    assert isinstance(trimmed, Accuracy)


def test_accuracy_leaves_display_and_comparison_to_the_matrix_and_takes_keywords_only():
    assert Accuracy.__repr__ is IterationAccuracy.__repr__ is object.__repr__
    assert TrimmedFactors.__repr__ is LowRankMatrix.__repr__
    sides = np.ones((2, 5, 3)), np.ones((2, 3, 4))
    assert Trimmed(*sides) != Trimmed(*sides)  # no array is asked for its truth value
    for cls in (Accuracy, IterationAccuracy):
        with pytest.raises(TypeError, match="positional"):
            cls(None)


@dataclass(frozen=True)
class Method(RankOrTolerance):
    rank: int = 4
    rtol: float | None = None


@dataclass(frozen=True)
class Elimination(RankOrTolerance):
    no_tolerance: ClassVar = 0.0

    rank: int = 4
    rtol: float = 0.0


@pytest.mark.parametrize("make", [Method, Elimination])
def test_methods_check_rank_and_tolerance_alike(make):
    assert make(np.int64(3), rtol=np.float32(0.5)) == make(3, rtol=0.5)
    assert make(1).rank == 1
    for rank, error in ((0, ValueError), (True, TypeError), (2.0, TypeError)):
        with pytest.raises(error, match="rank is"):
            make(rank)
    for rtol in (-0.1, 1.0):
        with pytest.raises(ValueError, match="rtol is"):
            make(rtol=rtol)


def test_zero_is_no_tolerance_for_eliminations_only():
    assert Elimination(rtol=0.0).rtol == 0
    with pytest.raises(ValueError, match="0 < rtol < 1"):
        Method(rtol=0.0)


def test_iterations_add_whether_they_became_stationary():
    names = [field.name for field in fields(IterationAccuracy)]
    assert names == ["ranks", "residual", "converged", "stationary"]
    assert IterationAccuracy().stationary is None


def test_a_rank_beyond_the_smaller_side_is_refused():
    require_rank(4, (2, 4, 9))
    with pytest.raises(ValueError, match=r"rank 5 exceeds min\(m, n\) = 4 of the \(2, 4, 9\) stack"):
        require_rank(5, (2, 4, 9))
