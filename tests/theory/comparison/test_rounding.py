"""Rounding is allowed for in units of the data that round."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from theory.comparison import catalogue
from theory.comparison.compare import compare
from theory.comparison.rounding import rounding_slack, sizes_and_precision
from theory.statement import errors
from theory.statement.bound import Bound, bound
from theory.statement.guarantee import Deterministic, InExpectation
from theory.statement.source import Source
from theory.statistics.verdict import Verdict
from theory.studies import candidates
from tnattn.attention.baseline.mean_value import MeanValue
from tnattn.attention.masks import CausalMask, FullMask, Mask, UnsupportedMask
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem

OWN = Source("this test")
EPS = np.finfo(np.float64).eps


def _problem(values: np.ndarray, mask: Mask = FullMask()) -> AttentionProblem:
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, 2, 24, 8))
    return AttentionProblem(q, k, values, mask=mask)


def _values(kind: str) -> np.ndarray:
    v = np.random.default_rng(1).standard_normal((2, 24, 3))
    return {
        "equal": np.full_like(v, 0.1),
        "offset": v + 1e8,
        "one large": np.where(np.arange(24)[:, None] == 7, 1e6 * v, v),
        "zero": np.zeros_like(v),
    }[kind]


def _about_the_mean(condition: Any) -> Bound:
    @bound(method=MeanValue, error=errors.output_rows, guarantee=Deterministic(condition=condition), source=OWN)
    def statement(method: MeanValue, problem: AttentionProblem) -> Any:
        """The error of a row is at most one."""
        return np.ones((problem.heads, problem.n_q))

    return statement


@pytest.mark.parametrize("error", [errors.output_row, errors.output_rows], ids=lambda error: error.name)
def test_the_allowance_for_a_row_is_measured_by_the_largest_value(error: errors.Error) -> None:
    """Eight times n_k eps times the norm (0.1, 0.1, 0.1), although the values do not differ at all."""
    b = dataclasses.replace(_about_the_mean(1.0), error=error)
    slack = rounding_slack(b, _problem(_values("equal")), np.ones(()))
    np.testing.assert_allclose(slack, 8 * 24 * EPS * 0.1 * 3**0.5, rtol=1e-12)


@pytest.mark.parametrize("error", [errors.output_frobenius, errors.output_spectral], ids=lambda error: error.name)
def test_the_allowance_for_an_output_does_not_vanish_with_it(error: errors.Error) -> None:
    """Values of opposite sign average to nothing; what rounds is each of them."""
    v = np.where(np.arange(24) % 2, 1.0, -1.0)[None, :, None] * np.ones((2, 1, 1))
    b = dataclasses.replace(_about_the_mean(1.0), error=error)
    slack = rounding_slack(b, AttentionProblem(np.zeros((2, 24, 1)), np.zeros((2, 24, 1)), v), np.zeros(()))
    np.testing.assert_allclose(slack, 8 * 24 * EPS * 24**0.5, rtol=1e-12)


def test_a_squared_error_is_off_by_twice_its_root_times_the_rounding() -> None:
    b = dataclasses.replace(_about_the_mean(1.0), error=errors.output_frobenius_squared, guarantee=InExpectation())
    problem = _problem(_values("equal"))
    unit = 24**0.5 * 0.1 * 3**0.5
    r = 8 * 24 * EPS * unit
    np.testing.assert_allclose(rounding_slack(b, problem, np.asarray(4.0)), 4 * r + r**2 + r * unit, rtol=1e-12)


def test_a_condition_number_comes_from_the_data() -> None:
    def condition(method: MeanValue, problem: AttentionProblem) -> np.ndarray:
        return np.asarray([[2.0], [5.0]]) * np.ones((2, problem.n_q))

    problem = _problem(_values("equal"))
    prediction = _about_the_mean(condition)(MeanValue(), problem)
    np.testing.assert_array_equal(prediction.condition[:, 0], [2.0, 5.0])
    plain, scaled = (
        rounding_slack(_about_the_mean(c), problem, prediction.value, p)
        for c, p in ((1.0, None), (condition, prediction.condition))
    )
    np.testing.assert_allclose(scaled, plain * prediction.condition)


def test_a_condition_number_may_read_the_result() -> None:
    seen = []

    def condition(method: Any, a: Any, result: Any) -> float:
        seen.append(result)
        return 3.0

    class Half:
        def __call__(self, a: Any) -> Any:
            return a / 2

    @bound(method=Half, error=errors.matrix_frobenius, guarantee=Deterministic(condition=condition), source=OWN)
    def statement(method: Any, a: Any, result: Any) -> Any:
        """The error is half the norm, less what a large condition number must forgive."""
        return np.asarray(np.linalg.norm(a) / 2 * (1 - 20 * EPS * 4))

    (judged,) = compare(Half(), np.eye(4), [statement], trials=2, rng=np.random.default_rng(0))
    assert judged.verdict is Verdict.SUPPORTED
    assert len(seen) == 2


def test_the_precision_of_the_target_decides() -> None:
    assert sizes_and_precision(np.zeros((3, 5), dtype=np.float32)) == ((5, 5), np.finfo(np.float32).eps)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [FullMask(), CausalMask()], ids=lambda mask: type(mask).__name__)
@pytest.mark.parametrize("kind", ["equal", "offset", "one large", "zero"])
@pytest.mark.parametrize("name", candidates.methods())
def test_rounding_refutes_no_theorem_about_attention(name: str, kind: str, mask: Mask) -> None:
    method: AttentionMethod = candidates.methods()[name]()
    if method.budget_field is not None:
        method = method.with_budget(8)
    try:
        found = compare(method, _problem(_values(kind), mask), trials=10, rng=np.random.default_rng(1))
    except UnsupportedMask:
        pytest.skip("the method does not honour the mask")
    assert [c for c in found if c.verdict in (Verdict.REFUTED, Verdict.FAILED)] == []


def test_units_of_the_diameter_would_refute_a_true_theorem() -> None:
    """Negative control: equal values have no diameter, so that nothing would be allowed for."""
    b = catalogue.bounds()["relative_entry_propagation"]
    wrong = dataclasses.replace(b.error, norm=lambda t: errors.value_diameter(t)[..., None])
    assert np.all(rounding_slack(dataclasses.replace(b, error=wrong), _problem(_values("equal")), np.zeros(())) < 1e-25)
    assert np.all(rounding_slack(b, _problem(_values("equal")), np.zeros(())) > 1e-15)
