from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from theory.bounds.attention.sampling import amm_variance
from theory.comparison.compare import Comparison, compare, control
from theory.statement import errors
from theory.statement.bound import Bound, bound, require
from theory.statement.guarantee import (
    Asymptotic,
    Deterministic,
    ExactExpectation,
    Guarantee,
    InExpectation,
    WithProbability,
)
from theory.statement.source import Source
from theory.statistics.verdict import Verdict
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.value_sampling import ValueSampling


@dataclass(frozen=True)
class Scaling:
    """A method with a known error: it returns the matrix times 1 - U for U uniform on [0, 1]."""

    def __call__(self, a: Any, *, rng: np.random.Generator) -> Any:
        return (1 - rng.uniform()) * a


@dataclass(frozen=True)
class Halving:
    """A method without chance: it returns half the matrix."""

    calls: list[int]

    def __call__(self, a: Any, *, rng: np.random.Generator) -> Any:
        self.calls.append(1)
        return a / 2


MATRIX = np.diag([3.0, 4.0])  # Frobenius norm 5, so that the error of Scaling is 5 U
OWN = Source("this test")


def _about_scaling(value: float, guarantee: Guarantee, *, side: str = "upper", failure: float = 0.0) -> Bound:
    @bound(method=Scaling, error=errors.projection_frobenius, guarantee=guarantee, source=OWN, side=side)
    def statement(method: Scaling, a: Any) -> Any:
        """The error is bounded."""
        return (np.asarray(value), np.asarray(failure)) if isinstance(guarantee, WithProbability) else np.asarray(value)

    return statement


def _judge(b: Bound, *, trials: int = 400, seed: int = 0, method: Any = Scaling()) -> Comparison:
    (comparison,) = compare(method, MATRIX, [b], trials=trials, rng=np.random.default_rng(seed))
    return comparison


TRUE_AND_FALSE = {
    "always": (_about_scaling(5.0, Deterministic()), _about_scaling(2.0, Deterministic())),
    "always, below": (
        _about_scaling(0.0, Deterministic(), side="lower"),
        _about_scaling(3.0, Deterministic(), side="lower"),
    ),
    "in expectation": (_about_scaling(2.6, InExpectation()), _about_scaling(1.8, InExpectation())),
    "in expectation, below": (
        _about_scaling(2.4, InExpectation(), side="lower"),
        _about_scaling(3.3, InExpectation(), side="lower"),
    ),
    "exact expectation": (_about_scaling(2.5, ExactExpectation()), _about_scaling(2.0, ExactExpectation())),
    "exact expectation, too large": (_about_scaling(2.5, ExactExpectation()), _about_scaling(3.1, ExactExpectation())),
    "with probability": (
        _about_scaling(4.0, WithProbability(), failure=0.2),
        _about_scaling(3.0, WithProbability(), failure=0.2),
    ),
    "with probability, below": (
        _about_scaling(1.0, WithProbability(), side="lower", failure=0.2),
        _about_scaling(2.0, WithProbability(), side="lower", failure=0.2),
    ),
}


@pytest.mark.parametrize("kind", TRUE_AND_FALSE)
def test_a_true_bound_is_not_refuted(kind: str, seed: int) -> None:
    assert _judge(TRUE_AND_FALSE[kind][0], seed=seed).verdict is not Verdict.REFUTED


@pytest.mark.parametrize("kind", TRUE_AND_FALSE)
def test_a_planted_wrong_constant_is_refuted(kind: str, seed: int) -> None:
    assert _judge(TRUE_AND_FALSE[kind][1], seed=seed).verdict is Verdict.REFUTED


def _identity(factor: float) -> Bound:
    @bound(method=Scaling, error=errors.matrix_frobenius, source=OWN)
    def statement(method: Scaling, a: Any, result: Any) -> tuple[Any, Any]:
        """The norms of error and result add up."""
        return errors.matrix_frobenius(a, result) + np.linalg.norm(result), factor * np.linalg.norm(a)

    return statement


def test_a_true_identity_is_supported() -> None:
    assert _judge(_identity(1.0)).verdict is Verdict.SUPPORTED


def test_a_false_identity_is_refuted() -> None:
    assert _judge(_identity(1 + 1e-9)).verdict is Verdict.REFUTED


def _conditional(factor: float, guarantee: Guarantee) -> Bound:
    @bound(method=Scaling, error=errors.matrix_frobenius, guarantee=guarantee, source=OWN)
    def statement(method: Scaling, a: Any, result: Any) -> Any:
        """The error is what the result lacks."""
        value = np.asarray(factor * (np.linalg.norm(a) - np.linalg.norm(result)))
        return (value, np.asarray(0.1)) if isinstance(guarantee, WithProbability) else value

    return statement


CONDITIONAL = [Deterministic(), InExpectation(), ExactExpectation(), WithProbability()]


@pytest.mark.parametrize("guarantee", CONDITIONAL, ids=str)
def test_a_true_conditional_bound_is_not_refuted(guarantee: Guarantee) -> None:
    factor = 1.0 if isinstance(guarantee, ExactExpectation) else 1 + 1e-9
    assert _judge(_conditional(factor, guarantee), trials=50).verdict is not Verdict.REFUTED


@pytest.mark.parametrize("guarantee", CONDITIONAL, ids=str)
def test_a_false_conditional_bound_is_refuted(guarantee: Guarantee) -> None:
    assert _judge(_conditional(0.5, guarantee), trials=100).verdict is Verdict.REFUTED


def test_an_expectation_with_a_ceiling_is_supported_by_enough_trials() -> None:
    assert _judge(_about_scaling(3.5, InExpectation())).verdict is Verdict.SUPPORTED


def test_a_ceiling_that_the_errors_exceed_supports_nothing() -> None:
    low = errors.Error("norm", errors.matrix_frobenius.measure, lambda a: 9.0, lambda a: 5.0, lambda a: np.asarray(3.0))

    @bound(method=Scaling, error=low, guarantee=InExpectation(), source=OWN)
    def statement(method: Scaling, a: Any) -> Any:
        """The bound is above the false ceiling."""
        return np.asarray(3.05)

    assert _judge(statement).verdict is Verdict.NOT_CONTRADICTED


@dataclass(frozen=True)
class Nudge:
    """A method whose error is a thousandth of the matrix, in single precision."""

    def __call__(self, a: Any, *, rng: np.random.Generator) -> Any:
        return a * np.float32(1 - 1e-3)


def test_a_small_squared_error_in_single_precision_is_not_lost_in_the_allowance_for_rounding() -> None:
    """The squared error is 1e-6 of the squared norm; 8 n eps of it, for n = 64, is 6e-5."""

    @bound(method=Nudge, error=errors.matrix_frobenius_squared, guarantee=InExpectation(), source=OWN)
    def statement(method: Nudge, a: Any) -> Any:
        """The error is stated 16 times too small."""
        return np.sum(np.asarray(a, dtype=np.float64) ** 2) * 1e-6 / 16

    a = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    (judged,) = compare(Nudge(), a, [statement], trials=400, rng=np.random.default_rng(0))
    assert judged.verdict is Verdict.REFUTED


def test_an_exact_expectation_of_zero_is_not_refuted_by_rounding() -> None:
    """Equal weights and equal values: whichever keys are drawn, the output is exact up to rounding."""
    v = np.full((1, 12, 3), 0.1)
    problem = AttentionProblem(np.zeros((1, 6, 2)), np.ones((1, 12, 2)), v)
    method = ValueSampling(7, uniform=0.0, normalise=False)
    (judged,) = compare(method, problem, [amm_variance], trials=50, rng=np.random.default_rng(0))
    assert judged.verdict in (Verdict.NOT_CONTRADICTED, Verdict.VACUOUS)


def test_a_bound_above_the_trivial_one_is_vacuous() -> None:
    assert _judge(_about_scaling(5.1, InExpectation())).verdict is Verdict.VACUOUS


def test_a_bound_below_the_trivial_one_is_not_vacuous() -> None:
    assert _judge(_about_scaling(4.9, InExpectation())).verdict is not Verdict.VACUOUS


def test_a_rate_gets_no_verdict_from_one_size() -> None:
    comparison = _judge(_about_scaling(1.0, Asymptotic(-0.5)), trials=3)
    assert comparison.verdict is Verdict.NOT_CONTRADICTED
    assert "several sizes" in comparison.detail


def test_trials_stop_once_an_expectation_is_decided() -> None:
    assert _judge(_about_scaling(1.0, InExpectation()), trials=4000).trials < 400


def test_trials_go_on_where_stopping_early_would_not_be_honest() -> None:
    assert _judge(_about_scaling(2.5, ExactExpectation()), trials=60).trials == 60


def test_statements_about_every_realisation_cost_ten_runs_at_most() -> None:
    calls: list[int] = []

    @bound(method=Halving, error=errors.matrix_frobenius, guarantee=Deterministic(), source=OWN)
    def half(method: Halving, a: Any) -> Any:
        """The error is half the norm."""
        return np.linalg.norm(a) / 2

    assert _judge(half, method=Halving(calls)).verdict is Verdict.SUPPORTED
    assert len(calls) == 10


def test_a_violated_hypothesis_makes_a_bound_not_applicable() -> None:
    @bound(method=Scaling, error=errors.matrix_frobenius, guarantee=Deterministic(), source=OWN)
    def demanding(method: Scaling, a: Any) -> Any:
        """It holds for large matrices."""
        require(a.shape[-1] > 10, "more than ten columns")
        return np.zeros(())

    comparison = _judge(demanding)
    assert comparison.verdict is Verdict.NOT_APPLICABLE
    assert comparison.detail == "more than ten columns"
    assert comparison.trials == 0


def test_a_hypothesis_about_the_result_makes_a_bound_not_applicable() -> None:
    @bound(method=Scaling, error=errors.matrix_frobenius, guarantee=Deterministic(), source=OWN)
    def demanding(method: Scaling, a: Any, result: Any) -> Any:
        """It holds for results that are zero."""
        require(not np.any(result), "the result is zero")
        return np.zeros(())

    comparison = _judge(demanding)
    assert comparison.verdict is Verdict.NOT_APPLICABLE
    assert comparison.detail == "the result is zero"


def test_a_bound_about_another_class_is_not_applicable() -> None:
    comparison = _judge(_about_scaling(1.0, Deterministic()), method=Halving([]))
    assert comparison.verdict is Verdict.NOT_APPLICABLE
    assert "Halving" in comparison.detail


def test_errors_that_are_not_finite_are_reported_and_not_judged() -> None:
    @dataclass(frozen=True)
    class Broken:
        def __call__(self, a: Any, *, rng: np.random.Generator) -> Any:
            return a * np.nan

    @bound(method=Broken, error=errors.matrix_frobenius, guarantee=Deterministic(), source=OWN)
    def statement(method: Broken, a: Any) -> Any:
        """The error is at most one."""
        return np.ones(())

    comparison = _judge(statement, method=Broken())
    assert comparison.verdict is Verdict.NOT_APPLICABLE
    assert "not finite" in comparison.detail


def test_a_bound_and_its_control_are_judged_side_by_side() -> None:
    true = _about_scaling(5.0, Deterministic())
    found = compare(Scaling(), MATRIX, [true, true.scaled(0.1)], rng=np.random.default_rng(0))
    assert [c.verdict for c in found] == [Verdict.VACUOUS, Verdict.REFUTED]


def test_control_scales_by_the_factor_that_must_fail() -> None:
    assert control(_about_scaling(5.0, Deterministic()))(Scaling(), MATRIX).value == pytest.approx(1.5)


def test_a_bound_without_such_a_factor_has_no_control() -> None:
    @bound(method=Scaling, error=errors.matrix_frobenius, guarantee=Deterministic(), source=OWN, must_fail=None)
    def loose(method: Scaling, a: Any) -> Any:
        """The error is small."""
        return np.ones(())

    with pytest.raises(ValueError, match="loose names no factor"):
        control(loose)


def test_slack_is_predicted_over_the_largest_error() -> None:
    comparison = _judge(_about_scaling(10.0, Deterministic()))
    assert comparison.errors is not None
    assert comparison.slack == pytest.approx(10 / comparison.errors.max())


def test_slack_of_an_expectation_is_predicted_over_the_mean() -> None:
    comparison = _judge(_about_scaling(4.0, InExpectation()))
    assert comparison.errors is not None
    assert comparison.slack == pytest.approx(4 / comparison.errors.mean())


def test_slack_of_a_lower_bound_is_the_reciprocal() -> None:
    comparison = _judge(_about_scaling(2.0, InExpectation(), side="lower"))
    assert comparison.errors is not None
    assert comparison.slack == pytest.approx(comparison.errors.mean() / 2)


def test_the_same_generator_gives_the_same_comparison() -> None:
    first, second = (_judge(_about_scaling(2.5, ExactExpectation()), trials=20) for _ in range(2))
    np.testing.assert_array_equal(first.errors, second.errors)


def test_a_seed_in_place_of_a_generator_is_refused() -> None:
    with pytest.raises(TypeError, match="rng must be"):
        compare(Scaling(), MATRIX, [], rng=0)  # type: ignore[arg-type]


def test_no_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="trials must be positive; got 0"):
        compare(Scaling(), MATRIX, [], trials=0, rng=np.random.default_rng(0))


def test_a_result_without_the_quantity_is_not_judged() -> None:
    def measure(target: Any, result: Any) -> Any:
        raise ValueError("no weights here")

    missing = errors.Error("missing", measure, np.linalg.norm, np.linalg.norm)

    @bound(method=Scaling, error=missing, guarantee=Deterministic(), source=OWN)
    def statement(method: Scaling, a: Any) -> Any:
        """The quantity is small."""
        return np.ones(())

    comparison = _judge(statement)
    assert comparison.verdict is Verdict.NOT_APPLICABLE
    assert comparison.detail == "no weights here"


def test_a_method_that_takes_no_generator_is_called_without_one() -> None:
    class Plain:
        def __call__(self, a: Any) -> Any:
            return a

    @bound(method=Plain, error=errors.matrix_frobenius, guarantee=Deterministic(), source=OWN)
    def exact(method: Plain, a: Any) -> Any:
        """There is an error of at most a tenth of the matrix."""
        return np.asarray(0.5)

    assert _judge(exact, method=Plain()).verdict is Verdict.SUPPORTED
