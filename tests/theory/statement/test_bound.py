from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from theory.statement import errors
from theory.statement.bound import Bound, HypothesisViolated, bound, require
from theory.statement.guarantee import Deterministic, WithProbability
from theory.statement.source import Source


class Method:
    """A method of which nothing but its class matters."""


@bound(method=Method, error=errors.matrix_frobenius, guarantee=Deterministic(), source=Source("Nobody", "Theorem 1"))
def prior(method: Method, a: Any, *, factor: float = 2.0) -> Any:
    """The error is at most twice
    the norm.

    More words.
    """
    return factor * np.linalg.norm(a)


@bound(method=Method, error=errors.matrix_frobenius, guarantee=Deterministic(), source=Source("Nobody"))
def after(method: Method, a: Any, result: Any) -> Any:
    """The error is at most the norm of the result."""
    return np.linalg.norm(result)


@bound(method=Method, error=errors.matrix_frobenius, source=Source("Nobody"))
def equal(method: Method, a: Any, result: Any) -> tuple[Any, Any]:
    """Both sides agree."""
    return 2.0, 3.0


@bound(method=Method, error=errors.matrix_frobenius, guarantee=WithProbability(), source=Source("Nobody"))
def likely(method: Method, a: Any, *, delta: float = 0.1) -> Any:
    """The error is small."""
    return 1 / delta, delta


def test_a_prior_bound_is_evaluated_before_the_run() -> None:
    prediction = prior(Method(), np.eye(4))
    assert prediction.value == 4.0
    assert prediction.failure == 0.0
    assert prediction.observed is None


def test_a_conditional_bound_is_evaluated_on_a_result() -> None:
    assert after(Method(), np.eye(4), 3 * np.eye(4)).value == 6.0


def test_a_conditional_bound_without_a_result_is_refused() -> None:
    with pytest.raises(TypeError, match="after is evaluated on a result"):
        after(Method(), np.eye(4))


def test_an_identity_gives_both_sides() -> None:
    prediction = equal(Method(), np.eye(4), np.eye(4))
    assert (prediction.observed, prediction.value) == (2.0, 3.0)


def test_the_kind_follows_from_parameters_and_value() -> None:
    assert [b.kind for b in (prior, after, equal, likely)] == ["prior", "conditional", "identity", "prior"]


def test_a_pair_with_a_probability_is_no_identity() -> None:
    @bound(method=Method, error=errors.matrix_frobenius, guarantee=WithProbability(), source=Source("Nobody"))
    def statement(method: Method, a: Any, result: Any) -> tuple[Any, Any]:
        """The error is small."""
        return 3.0, 0.25

    prediction = statement(Method(), np.eye(4), np.eye(4))
    assert statement.kind == "conditional"
    assert (prediction.value, prediction.failure, prediction.observed) == (3.0, 0.25, None)


def test_a_pair_that_is_not_announced_is_refused() -> None:
    @bound(method=Method, error=errors.matrix_frobenius, source=Source("Nobody"))
    def statement(method: Method, a: Any, result: Any) -> Any:
        """Both sides agree."""
        return 2.0, 3.0

    with pytest.raises(TypeError, match=r"statement returns 2 values; annotate an identity with tuple"):
        statement(Method(), np.eye(4), np.eye(4))


def test_a_theorem_of_one_parameter_is_refused() -> None:
    with pytest.raises(TypeError, match=r"takes 1 positional parameters; a theorem takes \(method, target\)"):

        @bound(method=Method, error=errors.matrix_frobenius, source=Source("Nobody"))
        def statement(method: Method) -> Any:
            """Nothing."""


@pytest.mark.parametrize(("side", "factor"), [("upper", 0.3), ("lower", 1 / 0.3)])
def test_the_factor_that_must_fail_follows_the_side(side: Any, factor: float) -> None:
    made = bound(method=Method, error=errors.matrix_frobenius, source=Source("Nobody"), side=side)(prior.function)
    assert made.must_fail == factor


def test_a_theorem_that_gives_a_reason_has_no_control() -> None:
    made = bound(method=Method, error=errors.matrix_frobenius, source=Source("Nobody"), no_control="dull")
    assert made(prior.function).must_fail is None
    assert made(prior.function).controls == ()


def test_a_probability_comes_beside_its_right_hand_side() -> None:
    prediction = likely(Method(), np.eye(4))
    assert (prediction.value, prediction.failure) == (10.0, 0.1)


def test_parameters_of_the_statement_can_be_set() -> None:
    prediction = likely.with_parameters(delta=0.5)(Method(), np.eye(4))
    assert (prediction.value, prediction.failure) == (2.0, 0.5)


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="likely has no parameter epsilon"):
        likely.with_parameters(epsilon=0.5)


def test_scaling_changes_the_right_hand_side_and_not_the_left() -> None:
    prediction = equal.scaled(0.5).scaled(0.5)(Method(), np.eye(4), np.eye(4))
    assert (prediction.observed, prediction.value) == (2.0, 0.75)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.0])
def test_a_prediction_is_scaled_by_any_factor(factor: float) -> None:
    assert prior(Method(), np.eye(4)).scaled(factor).value == 4.0 * factor


def test_another_class_violates_the_first_hypothesis() -> None:
    with pytest.raises(HypothesisViolated, match="the method is a Method"):
        prior("method", np.eye(4))


def test_a_subclass_is_spoken_of() -> None:
    assert prior.is_about(type("Special", (Method,), {})())


def test_require_names_the_hypothesis() -> None:
    with pytest.raises(HypothesisViolated, match="k >= 2"):
        require(False, "k >= 2")


def test_require_is_silent_when_the_hypothesis_holds() -> None:
    require(True, "k >= 2")


def test_the_statement_is_the_first_paragraph() -> None:
    assert prior.statement == "The error is at most twice the norm."


def test_the_name_is_that_of_the_function() -> None:
    assert prior.name == "prior"
    assert prior.module == __name__


def test_the_source_prints_reference_and_statement() -> None:
    assert str(prior.source) == "Nobody, Theorem 1"
    assert str(after.source) == "Nobody"


@pytest.mark.parametrize("b, kind", [(prior, "prior"), (after, "conditional"), (equal, "identity")])
def test_the_decorator_fixes_the_kind(b: Bound, kind: str) -> None:
    assert b.kind == kind
