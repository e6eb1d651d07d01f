"""Parts of a decision one by one: columns of the evidence, complaints, resolution, sides and quotients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from theory.comparison.decision import RESOLUTION, decide, evidence
from theory.comparison.rounding import rounding_slack
from theory.statement import errors
from theory.statement.bound import Bound, bound
from theory.statement.evidence import Evidence
from theory.statement.guarantee import (
    Asymptotic,
    Deterministic,
    ExactExpectation,
    Guarantee,
    InExpectation,
    WithProbability,
)
from theory.statement.prediction import Prediction
from theory.statement.source import Source
from theory.statistics.verdict import Judgement, Verdict

MATRIX = np.diag([3.0, 4.0])
STACK = np.stack([MATRIX] * 3)
LEVEL = 1e-3
ERROR = errors.projection_frobenius


class Method:
    """A method of which nothing but its class matters."""


def statement(kind: str, guarantee: Guarantee, side: str = "upper", error: Any = ERROR) -> Bound:
    def prior(method: Method, a: Any) -> Any:
        """A statement."""

    def given(method: Method, a: Any, result: Any) -> Any:
        """A statement."""

    def both_sides(method: Method, a: Any, result: Any) -> tuple[Any, Any]:
        """A statement."""

    if kind == "identity":
        return bound(method=Method, error=error, source=Source("test"))(both_sides)
    function = prior if kind == "prior" else given
    return bound(method=Method, error=error, guarantee=guarantee, source=Source("test"), side=side)(function)


def prediction(value: Any, failure: Any = 0.0, **others: Any) -> Prediction:
    value = np.asarray(value, dtype=np.float64)
    return Prediction(value, np.broadcast_to(np.asarray(failure, dtype=np.float64), value.shape), **others)


def judge(b: Bound, found: Any, predicted: Prediction, level: float = LEVEL, target: Any = STACK) -> Judgement:
    return decide(b, target, predicted, np.asarray(found, dtype=np.float64), level)


def slack(b: Bound, value: Any, target: Any = STACK) -> Any:
    return rounding_slack(b, target, np.asarray(value, dtype=np.float64))


# --- evidence ------------------------------------------------------------------------------------------------------


def test_columns_of_a_bound_before_the_run() -> None:
    b = statement("prior", InExpectation())
    given = prediction(
        [1.0, 2.0, 3.0], [0.1, 0.2, 0.3], ceiling=np.array([5.0, 6.0, 7.0]), spread=np.array([8.0, 9, 10])
    )
    found = evidence(b, STACK, given, np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]]))
    np.testing.assert_array_equal(found.errors, [[1, 3], [4, 6]])
    np.testing.assert_array_equal(found.value, [[1, 3]])
    np.testing.assert_array_equal(found.slack, slack(b, [1.0, 2.0, 3.0])[None, ::2])
    np.testing.assert_array_equal(found.failure, [0.1, 0.3])
    np.testing.assert_array_equal(found.ceiling, np.array([5.0, 7.0]) + slack(b, [5.0, 6.0, 7.0])[::2])
    np.testing.assert_array_equal(found.spread, [8, 10])
    assert found.left_out == 1


def test_columns_of_a_bound_on_realised_results() -> None:
    b = statement("conditional", InExpectation())
    value = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    given = prediction(value, value / 10, ceiling=value, spread=value)
    found = evidence(b, STACK, given, value)
    np.testing.assert_array_equal(found.value, value)
    np.testing.assert_array_equal(found.failure, value[1] / 10)
    np.testing.assert_array_equal(found.spread, value[1])
    assert found.ceiling is None
    assert found.left_out == 0


def test_entries_that_a_theorem_leaves_out_are_no_columns() -> None:
    b = statement("conditional", InExpectation())
    left_out = np.array([[False, True, False], [False, False, False]])
    found = evidence(b, STACK, prediction(np.ones((2, 3)), left_out=left_out), np.ones((2, 3)))
    assert found.errors.shape == (2, 2)
    assert found.left_out == 1
    judged = judge(b, np.ones((2, 3)), prediction(np.ones((2, 3)), left_out=left_out))
    assert judged.detail.endswith("; 1 of 3 errors are not finite and left out")
    judged = judge(b, np.ones((2, 3)), prediction(np.ones((2, 3)), left_out=left_out | True))
    assert judged.verdict is Verdict.NOT_APPLICABLE


def test_no_finite_error_says_nothing() -> None:
    judged = judge(statement("prior", InExpectation()), np.full((2, 3), np.nan), prediction(np.ones(3)))
    assert (judged.verdict, judged.p_value) == (Verdict.NOT_APPLICABLE, None)
    assert judged.detail == "all 3 errors are not finite: the result has bad rows"


def test_the_ceiling_is_that_of_the_theorem_or_that_of_the_error() -> None:
    b = statement("prior", InExpectation())
    (found,) = (evidence(b, STACK, prediction(np.ones(3)), np.ones((1, 3))),)
    own = ERROR.ceiling(STACK) if ERROR.ceiling is not None else None
    assert own is not None
    np.testing.assert_array_equal(found.ceiling, own + slack(b, own))
    stated = evidence(b, STACK, prediction(np.ones(3), ceiling=np.full(3, 9.0)), np.ones((1, 3)))
    np.testing.assert_array_equal(stated.ceiling, 9.0 + slack(b, np.full(3, 9.0)))
    none = statement("prior", InExpectation(), error=errors.matrix_frobenius)
    assert evidence(none, STACK, prediction(np.ones(3)), np.ones((1, 3))).ceiling is None


def test_a_ceiling_that_the_data_exceed_is_none() -> None:
    b, given = statement("prior", InExpectation()), prediction(np.ones(3), ceiling=np.full(3, 2.0))
    room = float(slack(b, np.full(3, 2.0))[0])
    assert evidence(b, STACK, given, np.array([[1.0, 1.0, 2.0 + room], [0.0, 0.0, 0.0]])).ceiling is not None
    assert evidence(b, STACK, given, np.array([[1.0, 1.0, 2.0 + 2 * room], [0.0, 0.0, 0.0]])).ceiling is None


# --- complaints ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "side", "value", "failure", "found", "words"),
    [
        ("prior", "upper", [1.0, np.nan, np.nan], 0.0, 1.0, "the right-hand side is NaN for 2 of 3 entries"),
        ("prior", "upper", 1.0, [0.1, -0.1, 0.5], 1.0, "the stated failure probability is -0.1; it is not negative"),
        ("prior", "upper", 1.0, [0.1, np.nan, 0.5], 1.0, "the stated failure probability is nan; it is not negative"),
        ("prior", "upper", 1.0, 0.1, [2.0, -1.0, 1.0], "an error is negative, -1"),
        ("prior", "upper", [1.0, -1.0, 1.0], 0.1, 1.0, "the bound on an error is negative, -1"),
        ("prior", "lower", [1.0, -1.0, 1.0], 0.1, 1.0, None),
        ("identity", "upper", [1.0, -1.0, 1.0], 0.1, [2.0, -1.0, 1.0], None),
        ("prior", "upper", 0.0, 0.0, 0.0, None),
    ],
)
def test_a_right_hand_side_that_cannot_be_one_fails(
    kind: str, side: str, value: Any, failure: Any, found: Any, words: str | None
) -> None:
    b = statement(kind, Deterministic(), side)
    value, failure, found = (np.broadcast_to(np.asarray(x, dtype=np.float64), (3,)) for x in (value, failure, found))
    given = prediction(value[None] if kind == "identity" else value, failure[None] if kind == "identity" else failure)
    judged = judge(b, found[None], given)
    assert (judged.verdict is Verdict.FAILED) is (words is not None)
    if words:
        assert (judged.p_value, judged.detail) == (None, words)


def test_a_rounding_allowance_that_is_nan_fails() -> None:
    given = prediction(np.ones(3), condition=np.array([1.0, np.nan, 1.0]))
    judged = judge(statement("prior", Deterministic()), np.ones((1, 3)), given)
    assert judged.detail == "the rounding allowance is NaN for 1 of 3 entries"


# --- resolution ----------------------------------------------------------------------------------------------------


def condition_for(b: Bound, share: Any) -> Any:
    """Factors on the rounding allowance that make it shares of a right-hand side of one."""
    return np.asarray(share) / slack(b, np.ones(3))


@pytest.mark.parametrize(
    ("shares", "value", "found", "coarse"),
    [
        ([0.01, 0.01, 0.01], [1.0, 1.0, 1.0], 0.5, 0),
        ([0.01, 0.2, 0.01], [1.0, 1.0, 1.0], 0.5, 1),
        ([0.2, 0.2, 0.01], [1.0, 1.0, 1.0], 0.5, 2),
        ([0.01, 0.01, 0.01], [1.0, 0.0, 1.0], [0.5, 0.0, 0.5], 0),
        ([0.01, 0.01, 0.01], [1.0, 0.0, 1.0], [0.5, 1e-17, 0.5], 1),
        ([0.01, 0.01, 0.01], [0.0, 0.0, 0.0], 0.0, 3),
    ],
)
def test_entries_that_rounding_does_not_resolve_are_counted(shares: Any, value: Any, found: Any, coarse: int) -> None:
    b = statement("prior", Deterministic())
    given = prediction(value, condition=condition_for(b, shares))
    judged = judge(b, np.broadcast_to(np.asarray(found), (1, 3)), given)
    assert judged.p_value == 1
    assert judged.verdict is (Verdict.NOT_CONTRADICTED if coarse else Verdict.SUPPORTED)
    note = f"; rounding exceeds a tenth of the right-hand side for {coarse} of 3 entries"
    assert judged.detail.endswith(note) is bool(coarse)
    assert "tightest" in judged.detail


def test_a_tenth_is_resolved() -> None:
    assert RESOLUTION == 0.1


# --- sides ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "side", "found", "expected"),
    [
        ("prior", "upper", 1.0, Verdict.SUPPORTED),
        ("prior", "upper", 2.1, Verdict.REFUTED),
        ("prior", "lower", 2.1, Verdict.SUPPORTED),
        ("prior", "lower", 1.0, Verdict.REFUTED),
        ("conditional", "upper", 2.1, Verdict.REFUTED),
        ("identity", "upper", 2.0, Verdict.SUPPORTED),
        ("identity", "upper", 2.1, Verdict.REFUTED),
        ("identity", "upper", 1.9, Verdict.REFUTED),
    ],
)
def test_sides_of_a_deterministic_statement(kind: str, side: str, found: float, expected: Verdict) -> None:
    shape = (3,) if kind == "prior" else (1, 3)
    judged = judge(statement(kind, Deterministic(), side), np.full((1, 3), found), prediction(np.full(shape, 2.0)))
    if kind == "identity" and expected is Verdict.SUPPORTED:
        assert judged.verdict is not Verdict.REFUTED
    else:
        assert judged.verdict is expected


def sample(mean: float, trials: int = 400) -> Any:
    return mean * np.random.default_rng(0).uniform(0.5, 1.5, (trials, 3))


@pytest.mark.parametrize(
    ("kind", "side", "mean", "spread", "expected"),
    [
        ("prior", "upper", 1.0, None, Verdict.SUPPORTED),
        ("prior", "upper", 3.0, None, Verdict.REFUTED),
        ("prior", "upper", 2.0, None, Verdict.NOT_CONTRADICTED),
        ("prior", "lower", 3.0, None, Verdict.SUPPORTED),
        ("prior", "lower", 1.0, None, Verdict.REFUTED),
        ("prior", "lower", 1.0, 0.1, Verdict.REFUTED),
        ("conditional", "upper", 1.0, None, Verdict.NOT_CONTRADICTED),
        ("conditional", "upper", 3.0, None, Verdict.REFUTED),
        ("conditional", "lower", 3.0, None, Verdict.SUPPORTED),
        ("conditional", "lower", 1.0, None, Verdict.NOT_CONTRADICTED),
        ("conditional", "lower", 1.0, 0.1, Verdict.REFUTED),
    ],
)
def test_sides_of_an_expectation(kind: str, side: str, mean: float, spread: float | None, expected: Verdict) -> None:
    shape = (3,) if kind == "prior" else (400, 3)
    others = {} if spread is None else {"spread": np.full(shape, spread)}
    given = prediction(np.full(shape, 2.0), ceiling=np.full(shape, 5.0), **others)
    assert judge(statement(kind, InExpectation(), side), sample(mean), given).verdict is expected


@pytest.mark.parametrize("kind", ["prior", "conditional"])
@pytest.mark.parametrize(
    ("mean", "known", "expected"),
    [
        (2.0, True, Verdict.NOT_CONTRADICTED),
        (3.0, False, Verdict.REFUTED),
        (1.0, True, Verdict.REFUTED),
        (1.0, False, Verdict.NOT_CONTRADICTED),
    ],
)
def test_sides_of_an_exact_expectation(kind: str, mean: float, known: bool, expected: Verdict) -> None:
    shape = (3,) if kind == "prior" else (400, 3)
    others = {"spread": np.full(shape, 0.1)} if known else {}
    b = statement(kind, ExactExpectation(margin=0.25), error=errors.matrix_frobenius)
    judged = judge(b, sample(mean), prediction(np.full(shape, 2.0), **others))
    assert judged.verdict is expected
    if mean == 2.0:
        assert judged.detail.endswith("asymptotically equal within 25%")


def test_a_ceiling_refutes_an_exact_expectation_from_below() -> None:
    b = statement("prior", ExactExpectation(), error=errors.matrix_frobenius)
    given = prediction(np.full(3, 2.0), ceiling=np.full(3, 3.0))
    assert judge(b, sample(1.0), given).verdict is Verdict.REFUTED


@pytest.mark.parametrize(
    ("side", "found", "expected"),
    [
        ("upper", 1.0, Verdict.SUPPORTED),
        ("upper", 2.1, Verdict.REFUTED),
        ("lower", 2.1, Verdict.SUPPORTED),
        ("lower", 1.0, Verdict.REFUTED),
        ("upper", 2.0, Verdict.SUPPORTED),
        ("lower", 2.0, Verdict.SUPPORTED),
    ],
)
def test_sides_of_a_probability(side: str, found: float, expected: Verdict) -> None:
    b = statement("prior", WithProbability(), side)
    assert judge(b, np.full((100, 3), found), prediction(np.full(3, 2.0), 0.2)).verdict is expected


@pytest.mark.parametrize(
    ("guarantee", "kind", "side"),
    [
        (Deterministic(), "prior", "upper"),
        (Deterministic(), "prior", "lower"),
        (InExpectation(), "prior", "upper"),
        (InExpectation(), "prior", "lower"),
        (InExpectation(), "conditional", "upper"),
        (InExpectation(), "conditional", "lower"),
        (ExactExpectation(), "prior", "upper"),
        (ExactExpectation(), "conditional", "upper"),
        (WithProbability(), "prior", "upper"),
        (WithProbability(), "prior", "lower"),
    ],
    ids=str,
)
def test_the_rounding_allowance_counts_on_the_right_side(guarantee: Guarantee, kind: str, side: str) -> None:
    """An error beyond the right-hand side by half the allowance refutes nothing, one by four allowances does."""
    b, sign = statement(kind, guarantee, side, errors.matrix_frobenius), 1 if side == "upper" else -1
    shape = (3,) if kind == "prior" else (4000, 3)
    given = prediction(
        np.ones(shape), 0.2, condition=condition_for(b, np.full(shape, 0.2)), spread=np.full(shape, 1e-6)
    )
    near, far = (np.full((4000, 3), 1 + sign * share) for share in (0.1, 0.8))
    assert judge(b, near, given).verdict is not Verdict.REFUTED
    assert judge(b, far, given).verdict is Verdict.REFUTED


def test_a_rate_is_left_to_the_studies() -> None:
    judged = judge(statement("prior", Asymptotic(-0.5)), np.ones((2, 3)), prediction(np.ones(3)))
    assert (judged.verdict, judged.p_value) == (Verdict.NOT_CONTRADICTED, None)
    assert judged.detail == "a rate needs several sizes; see theory.studies"


# --- quotients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["upper", "lower"])
def test_both_sides_that_vanish_are_equal(side: str) -> None:
    b = statement("conditional", InExpectation(), side, errors.matrix_frobenius)
    zeros = np.zeros((400, 3))
    judged = judge(b, zeros, prediction(zeros, condition=zeros))
    assert judged.verdict is Verdict.NOT_CONTRADICTED
    assert f"mean / bound at {'most' if side == 'upper' else 'least'} 1" in judged.detail


def test_an_error_where_none_is_allowed_is_infinite_evidence() -> None:
    b = statement("conditional", InExpectation(), error=errors.matrix_frobenius)
    zeros = np.zeros((3, 3))
    judged = judge(b, zeros + 1e10, prediction(zeros, condition=zeros))
    assert (judged.verdict, judged.p_value) == (Verdict.REFUTED, 0.0)


def test_evidence_is_compared_by_identity() -> None:
    made = [Evidence(np.ones(1), np.ones(1), np.ones(1), np.ones(1), None, None, 0) for _ in range(2)]
    assert made[0] != made[1]


# --- boundaries ----------------------------------------------------------------------------------------------------


def test_a_matrix_alone_is_one_column() -> None:
    b = statement("prior", InExpectation())
    given = prediction(2.0, 0.25, ceiling=np.asarray(5.0), spread=np.asarray(0.5))
    found = evidence(b, MATRIX, given, np.array([1.0, 3.0]))
    np.testing.assert_array_equal(found.errors, [[1], [3]])
    np.testing.assert_array_equal(found.value, [[2]])
    np.testing.assert_array_equal(found.slack, [[float(slack(b, 2.0, MATRIX))]])
    np.testing.assert_array_equal(found.failure, [0.25])
    np.testing.assert_array_equal(found.ceiling, [5.0 + float(slack(b, 5.0, MATRIX))])
    np.testing.assert_array_equal(found.spread, [0.5])
    assert found.left_out == 0
    judged = judge(b, [1.0, np.nan], given, target=MATRIX)
    assert judged.detail == "all 1 errors are not finite: the result has bad rows"


def test_columns_of_a_stack_of_stacks_are_in_the_order_of_memory() -> None:
    b, errors_ = statement("conditional", InExpectation()), np.arange(12.0).reshape(2, 2, 3)
    errors_[1, 0, 1] = np.inf
    found = evidence(b, np.stack([STACK] * 2), prediction(np.arange(12.0).reshape(2, 2, 3) + 20), errors_)
    np.testing.assert_array_equal(found.errors, [[0, 2, 3, 4, 5], [6, 8, 9, 10, 11]])
    np.testing.assert_array_equal(found.value, found.errors + 20)
    assert found.left_out == 1


def test_entries_are_counted_and_trials_are_not() -> None:
    """Three entries and five trials."""
    b = statement("conditional", Deterministic())
    value = np.ones((5, 3))
    value[2, 1] = np.nan
    judged = judge(b, np.ones((5, 3)), prediction(value))
    assert judged.detail == "the right-hand side is NaN for 1 of 3 entries"
    condition = np.tile(condition_for(b, np.full(3, 0.01)), (5, 1))
    condition[2, 1] *= 20  # in a single trial
    given = prediction(np.ones((5, 3)), condition=condition)
    assert judge(b, np.full((5, 3), 0.5), given).detail.endswith("for 1 of 3 entries")
    judged = judge(b, np.zeros((5, 3)), prediction(np.zeros((5, 3))))
    assert judged.detail.endswith("for 3 of 3 entries")


def test_a_negative_lower_bound_is_shown_as_the_zero_that_every_error_keeps() -> None:
    judged = judge(statement("prior", Deterministic(), "lower"), np.full((1, 3), 1.0), prediction(np.full(3, -0.5)))
    assert "left 0, right 1" in judged.detail


@pytest.mark.parametrize("side", ["upper", "lower"])
def test_an_error_at_the_right_hand_side_is_no_failure(side: str) -> None:
    b = statement("prior", WithProbability(), side, errors.matrix_frobenius)
    given = prediction(np.full(3, 2.0), 0.2, condition=np.zeros(3))
    assert judge(b, np.full((100, 3), 2.0), given).verdict is Verdict.SUPPORTED
    beyond = np.nextafter(2.0, 9.0 if side == "upper" else 0.0)
    assert judge(b, np.full((100, 3), beyond), given).verdict is Verdict.REFUTED


@pytest.mark.parametrize(
    ("value", "room", "expected"),
    [
        (1.0, 0.2, Verdict.NOT_CONTRADICTED),
        (1.0, 0.05, Verdict.REFUTED),
        (2.0, 0.4, Verdict.NOT_CONTRADICTED),
        (2.0, 0.15, Verdict.REFUTED),
    ],
)
def test_the_largest_allowance_of_all_trials_counts_for_quotients(value: float, room: float, expected: Verdict) -> None:
    """Of quotients of 0.9 a single one may be off by the allowance; the relative variance is next to nothing."""
    b = statement("conditional", ExactExpectation(), error=errors.matrix_frobenius)
    condition = np.zeros((100, 3))
    condition[7] = condition_for(b, room)
    given = prediction(np.full((100, 3), value), condition=condition, spread=np.full((100, 3), 1e-6))
    assert judge(b, np.full((100, 3), 0.9 * value), given).verdict is expected


def test_rounding_of_a_tenth_of_the_right_hand_side_is_resolved() -> None:
    """The allowance is 8 * 3 * 2^-52 * 5, exactly a tenth of ten times itself."""
    b = statement("prior", Deterministic())
    room = 120 * 2.0**-52
    np.testing.assert_array_equal(slack(b, np.ones(3)), room)
    assert judge(b, np.full((1, 3), room), prediction(np.full(3, 10 * room))).verdict is Verdict.SUPPORTED
    below = np.full(3, np.nextafter(10 * room, 0))
    assert judge(b, np.full((1, 3), room), prediction(below)).verdict is Verdict.NOT_CONTRADICTED


def test_zeros_on_both_sides_and_no_rounding_support_nothing() -> None:
    judged = judge(
        statement("prior", Deterministic()), np.zeros((1, 3)), prediction(np.zeros(3), condition=np.zeros(3))
    )
    assert judged.verdict is Verdict.NOT_CONTRADICTED
    assert judged.detail.endswith("for 3 of 3 entries")


def test_a_lower_bound_on_a_mean_is_not_below_zero_with_its_allowance() -> None:
    b = statement("prior", InExpectation(), "lower", errors.matrix_frobenius)
    judged = judge(b, np.ones((4, 3)), prediction([0.0, -0.5, 0.0], condition=condition_for(b, np.full(3, 0.3))))
    assert judged.verdict is Verdict.NOT_CONTRADICTED
    assert "mean / bound at least inf; a smaller mean is excluded at p = 0; rounding" in judged.detail
