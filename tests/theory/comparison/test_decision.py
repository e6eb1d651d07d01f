"""A theorem that cannot be evaluated fails alone, and nothing is supported that rounding cannot resolve."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from theory.comparison import catalogue
from theory.comparison.compare import compare
from theory.comparison.decision import RESOLUTION
from theory.comparison.rounding import rounding_slack
from theory.statement import errors
from theory.statement.bound import Bound, bound
from theory.statement.guarantee import Deterministic, ExactExpectation, Guarantee, InExpectation, WithProbability
from theory.statement.source import Source
from theory.statistics.verdict import Verdict
from tnattn.attention.problem import AttentionProblem

OWN = Source("this test")
MATRIX = np.diag([3.0, 4.0])
BOUNDS = catalogue.bounds()


@dataclass(frozen=True)
class Scaling:
    """It returns the matrix times 1 - U for U uniform on [0, 1]."""

    def __call__(self, a: Any, *, rng: np.random.Generator) -> Any:
        return (1 - rng.uniform()) * a


def _prior(answer: Callable[[], Any], guarantee: Guarantee, side: str = "upper") -> Bound:
    @bound(method=Scaling, error=errors.projection_frobenius, guarantee=guarantee, source=OWN, side=side)
    def statement(method: Scaling, a: Any) -> Any:
        """A statement that is evaluated before the run."""
        return (answer(), np.asarray(0.5)) if isinstance(guarantee, WithProbability) else answer()

    return statement


def _conditional(answer: Callable[[], Any], guarantee: Guarantee, side: str = "upper") -> Bound:
    @bound(method=Scaling, error=errors.projection_frobenius, guarantee=guarantee, source=OWN, side=side)
    def statement(method: Scaling, a: Any, result: Any) -> Any:
        """A statement that reads the result."""
        return (answer(), np.asarray(0.5)) if isinstance(guarantee, WithProbability) else answer()

    return statement


def _identity(answer: Callable[[], Any], guarantee: Guarantee, side: str = "upper") -> Bound:
    @bound(method=Scaling, error=errors.matrix_frobenius, source=OWN)
    def statement(method: Scaling, a: Any, result: Any) -> tuple[Any, Any]:
        """Both sides are given."""
        return np.zeros(()), answer()

    return statement


def _raise(error: Exception) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


GUARANTEES = [Deterministic(), InExpectation(), ExactExpectation(), WithProbability()]
BROKEN = {
    "NaN": lambda: np.asarray(np.nan),
    "a Python error": _raise(ZeroDivisionError("division by zero")),
    "a value error": _raise(ValueError("no such axis")),
    "an algebra error": _raise(np.linalg.LinAlgError("SVD did not converge")),
    "an assertion": _raise(AssertionError("never")),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("guarantee", GUARANTEES, ids=str)
@pytest.mark.parametrize("make", [_prior, _conditional, _identity], ids=["prior", "conditional", "identity"])
def test_a_broken_theorem_fails_and_the_others_are_judged(make: Any, guarantee: Guarantee, fault: str) -> None:
    broken, sound = make(BROKEN[fault], guarantee), _prior(lambda: np.asarray(4.0), InExpectation())
    found = compare(Scaling(), MATRIX, [sound, broken, sound], rng=np.random.default_rng(0))
    assert [c.verdict for c in found] == [Verdict.SUPPORTED, Verdict.FAILED, Verdict.SUPPORTED]
    assert found[1].detail


@pytest.mark.parametrize("guarantee", GUARANTEES, ids=str)
@pytest.mark.parametrize("make", [_prior, _conditional], ids=["prior", "conditional"])
def test_a_negative_bound_on_an_error_fails(make: Any, guarantee: Guarantee) -> None:
    (judged,) = compare(
        Scaling(), MATRIX, [make(lambda: np.asarray(-1.0), guarantee)], rng=np.random.default_rng(0), trials=20
    )
    assert judged.verdict is Verdict.FAILED
    assert "negative" in judged.detail


@pytest.mark.parametrize("guarantee", GUARANTEES, ids=str)
def test_a_bound_that_rounding_makes_negative_does_not_fail(guarantee: Guarantee) -> None:
    small = _prior(lambda: np.asarray(-1e-18), guarantee)
    (judged,) = compare(Scaling(), np.zeros((2, 2)) + 1e-3, [small], rng=np.random.default_rng(0), trials=20)
    assert judged.verdict is not Verdict.FAILED


def test_a_negative_lower_bound_holds() -> None:
    (judged,) = compare(
        Scaling(), MATRIX, [_prior(lambda: np.asarray(-1.0), Deterministic(), "lower")], rng=np.random.default_rng(0)
    )
    assert judged.verdict is not Verdict.FAILED


def test_a_failure_probability_that_is_no_number_fails() -> None:
    @bound(method=Scaling, error=errors.projection_frobenius, guarantee=WithProbability(), source=OWN)
    def statement(method: Scaling, a: Any) -> Any:
        """The chance is missing."""
        return np.ones(()), np.asarray(np.nan)

    (judged,) = compare(Scaling(), MATRIX, [statement], rng=np.random.default_rng(0), trials=20)
    assert judged.verdict is Verdict.FAILED


def test_an_error_of_the_method_itself_is_raised() -> None:
    class Broken:
        def __call__(self, a: Any) -> Any:
            raise ArithmeticError("the method")

    @bound(method=Broken, error=errors.matrix_frobenius, guarantee=Deterministic(), source=OWN)
    def statement(method: Broken, a: Any) -> Any:
        """It holds."""
        return np.ones(())

    with pytest.raises(ArithmeticError, match="the method"):
        compare(Broken(), MATRIX, [statement], rng=np.random.default_rng(0))


def test_a_matrix_of_a_stack_that_is_not_finite_is_left_out_of_its_neighbours() -> None:
    """The spectral norm of a stack with one NaN is NaN there alone, not an error of the SVD."""

    class OneNaN:
        def __call__(self, a: Any) -> Any:
            return np.where(np.arange(3)[:, None, None] == 1, np.nan, a / 2)

    @bound(method=OneNaN, error=errors.matrix_spectral, guarantee=Deterministic(), source=OWN)
    def statement(method: OneNaN, a: Any) -> Any:
        """The error is at most 0.6."""
        return np.full(3, 0.6)

    stack = np.stack([np.eye(4)] * 3)
    true, false = compare(OneNaN(), stack, [statement, statement.scaled(0.5)], rng=np.random.default_rng(0))
    assert (true.verdict, false.verdict) == (Verdict.SUPPORTED, Verdict.REFUTED)
    assert "left out" in true.detail


# the resolution of rounding


@pytest.mark.parametrize("side", ["upper", "lower"])
@pytest.mark.parametrize(
    "guarantee", [Deterministic(), InExpectation(ceiling=lambda m, a: 1e-14), WithProbability()], ids=str
)
def test_what_rounding_cannot_resolve_is_not_supported(guarantee: Guarantee, side: str) -> None:
    """A right-hand side of nine times the allowance is not supported, one of eleven times is."""

    @dataclass(frozen=True)
    class Constant:
        factor: float

        def __call__(self, a: Any) -> Any:
            return a * (1 - self.factor)

    unit = float(rounding_slack(_prior(lambda: None, guarantee), MATRIX, np.zeros(())))

    def judged(multiple: float) -> Verdict:
        @bound(method=Constant, error=errors.projection_frobenius, guarantee=guarantee, source=OWN, side=side)
        def statement(method: Constant, a: Any) -> Any:
            """The error is on the stated side of a multiple of the allowance."""
            value = np.asarray(multiple * unit)
            return (value, np.asarray(0.5)) if isinstance(guarantee, WithProbability) else value

        method = Constant((0.1 if side == "upper" else 100.0) * unit / 5)
        return compare(method, MATRIX, [statement], trials=400, rng=np.random.default_rng(0))[0].verdict

    assert judged(0.9 / RESOLUTION) is Verdict.NOT_CONTRADICTED
    assert judged(1.1 / RESOLUTION) is Verdict.SUPPORTED


def _in_precision(target: Any, dtype: str) -> Any:
    if isinstance(target, AttentionProblem):
        q, k, v = (np.asarray(x).astype(dtype) for x in (target.q, target.k, target.v))
        return AttentionProblem(q, k, v, target.mask, target.scale, target.softcap)
    return target.astype(dtype) if isinstance(target, np.ndarray) else target


@pytest.mark.slow
@pytest.mark.parametrize(("instance", "dtype"), [("extremal", "float32"), ("generic", "float64")])
@pytest.mark.parametrize("name", BOUNDS)
def test_no_theorem_is_supported_below_the_resolution(name: str, instance: str, dtype: str) -> None:
    """With the right-hand side times zero none is supported; otherwise the allowance is at most a tenth of it."""
    b = BOUNDS[name]
    rng = np.random.default_rng([zlib.crc32(f"{name} {instance}".encode())])
    method, target = getattr(b, instance)(rng)
    target = _in_precision(target, dtype)
    try:
        true, zero = compare(method, target, [b, b.scaled(0.0)], trials=100, rng=rng)
    except ValueError as refused:
        pytest.skip(f"the method refuses {dtype}: {refused}")
    assert zero.verdict is not Verdict.SUPPORTED
    assert true.verdict not in (Verdict.REFUTED, Verdict.FAILED), true
    if true.verdict is Verdict.SUPPORTED:
        slack = rounding_slack(b, target, true.predicted)
        resolved = (slack <= RESOLUTION * np.abs(true.predicted)) | (true.predicted == 0)
        assert np.all(resolved)
