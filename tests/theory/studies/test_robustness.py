"""The scan over variants finds theorems whose hypotheses or scales are wrong: negative controls."""

import dataclasses

import numpy as np
import pytest

from theory.bounds.randnla import columns, cross, johnson_lindenstrauss, pivoted_cholesky, ridge_leverage
from theory.bounds.randnla.instances import slow_spectrum, with_eigenvalues, with_singular_values
from theory.comparison.compare import compare
from theory.statement import errors
from theory.statement.bound import bound, require
from theory.statement.errors import eigenvalues, spectrum_of, tail
from theory.statement.guarantee import Deterministic, InExpectation
from theory.statement.source import Source
from theory.statistics.verdict import Verdict
from theory.studies.robustness import Outcome, over_methods, over_targets
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky
from tnattn.randnla.semidefinite.recursive_nystrom import RidgeNystrom


def without_hypotheses(theorem, value):
    """Return a theorem with its right-hand side only: false where a hypothesis fails."""
    named = lambda method, target: value(method, target)  # noqa: E731
    named.__name__ = theorem.name
    return dataclasses.replace(theorem, function=named)


def drawn_by_residual(method, a):
    values = eigenvalues(a)
    for _ in range(method.rank):
        values = values - values**2 / np.maximum(values.sum(axis=-1, keepdims=True), 1e-300)
    return values.sum(axis=-1)


def pairs(method, a):
    points, epsilon = a.shape[-1], 0.5
    rate = method.size / 2 * johnson_lindenstrauss.exponent(epsilon)
    return np.full(a.shape[:-2], epsilon), float(points**2 * np.exp(-rate))


def greedy(method, a):
    k, n, s = method.rank, a.shape[-1], spectrum_of(a)
    require(k < s.shape[-1], "k < min(m, n)")
    return np.asarray(((n - k) * columns.greedy_growth(k)) ** 0.5 * s[..., k])


def crossed(method, a):
    return (method.rank + 1) ** 2 * columns.elementary_ratio(spectrum_of(a) ** 2, method.rank)


def counted(method, a):
    expected = np.sum(method.probabilities(errors.dense(a)), axis=-1)
    return 2 * expected, np.full(a.shape[:-2], method.failure)


@pytest.mark.parametrize(
    ("theorem", "value", "field"),
    [
        pytest.param(pivoted_cholesky.rpcholesky_phi, drawn_by_residual, "rtol", marks=pytest.mark.slow),
        (columns.qrcp_greedy, greedy, "rtol"),
    ],
    ids=["random pivots", "greedy pivots"],
)
def test_a_method_that_stops_early_refutes_a_theorem_about_its_rank(theorem, value, field):
    refuted = [o for o in over_methods(without_hypotheses(theorem, value), trials=60) if o.verdict == "refuted"]
    assert refuted
    assert all(field in outcome.variant for outcome in refuted)
    assert not any(outcome.wrong for outcome in over_methods(theorem, trials=5))


@pytest.mark.parametrize(
    ("theorem", "value", "variant"),
    [
        (johnson_lindenstrauss.jl_all_pairs, pairs, "repeated rows and columns"),
        (cross.cross_volume_sampling_identity, crossed, "unit matrix"),
    ],
    ids=["equal points", "zero minors"],
)
def test_a_degenerate_target_refutes_a_theorem_without_its_hypothesis(theorem, value, variant):
    found = {o.variant: o.verdict for o in over_targets(without_hypotheses(theorem, value), trials=10, own=True)}
    assert found[variant] == "refuted"
    true = {o.variant: o.verdict for o in over_targets(theorem, trials=5, own=True)}
    assert true[variant] == "not applicable"


def test_too_few_ridge_columns_refute_their_number_without_the_condition_of_chernoff():
    """K = I of order 64, d_eff = 0.03, failure 0.01: the count is Poisson-like with mean 0.53."""
    method, target = RidgeNystrom(ridge=64 / 0.03, failure=0.01), np.eye(64)
    rng = np.random.default_rng(0)
    false = without_hypotheses(ridge_leverage.rls_musco_musco_columns, counted)
    assert compare(method, target, [false], trials=400, rng=rng)[0].verdict is Verdict.REFUTED
    assert (
        compare(method, target, [ridge_leverage.rls_musco_musco_columns], trials=5, rng=rng)[0].verdict
        is Verdict.NOT_APPLICABLE
    )


SOURCE = Source("made up", "for the test")


def instance(rng):
    return TruncatedSVD(3), with_singular_values(rng, slow_spectrum(8), 10, 8)


def kernels(rng):
    return RandomlyPivotedCholesky(3), with_eigenvalues(rng, slow_spectrum(8))


@bound(
    method=TruncatedSVD,
    error=errors.projection_frobenius,
    guarantee=Deterministic(),
    source=SOURCE,
    instances=(instance, None),
)
def not_homogeneous(method, a):
    """||A - A_k||_F <= tau_k^2, which holds for the instance times two and no smaller multiple."""
    return 4 * tail(spectrum_of(a), method.rank) ** 2


@bound(
    method=TruncatedSVD,
    error=errors.projection_frobenius,
    guarantee=Deterministic(),
    source=SOURCE,
    instances=(instance, None),
)
def divides_by_zero(method, a):
    """||A - A_k||_F <= tau_k, computed as NaN for the zero matrix."""
    s = spectrum_of(a)
    return s[..., 0] * tail(s / s[..., :1], method.rank)


@bound(
    method=TruncatedSVD,
    error=errors.projection_frobenius,
    guarantee=Deterministic(),
    source=SOURCE,
    instances=(instance, None),
)
def out_of_range(method, a):
    """||A - A_k||_F <= sqrt(n - k) s_{k+1}, for all k that are smaller than min(m, n), which is not required."""
    s = spectrum_of(a)
    return np.sqrt(s.shape[-1] - method.rank) * s[..., method.rank]


@bound(
    method=RandomlyPivotedCholesky,
    error=errors.projection_nuclear,
    guarantee=InExpectation(),
    source=SOURCE,
    instances=(kernels, None),
)
def needs_a_kernel(method, a):
    """E tr(K - K') <= tr K, for which the method itself refuses what is not semidefinite."""
    return eigenvalues(a).sum(axis=-1)


def test_a_theorem_of_another_degree_than_its_error_is_found_by_a_power_of_two():
    found = {o.variant: o.verdict for o in over_targets(not_homogeneous, trials=2)}
    assert found["2^-30"] == "refuted"
    assert found["2^30"] == "vacuous"


def test_a_prediction_that_is_no_number_is_found():
    found = {o.variant: o for o in over_targets(divides_by_zero, trials=2)}
    assert found["zero"].wrong
    assert found["zero"].verdict == "failed"
    assert found["2^30"].verdict == "supported"


def test_an_error_of_the_theorem_is_found():
    found = {o.variant: o for o in over_methods(out_of_range, trials=2)}
    assert found["rank=6"].verdict == "supported"
    assert found["rank=11"].verdict == "refused"
    nearly_full = dataclasses.replace(out_of_range, extremal=lambda rng: (TruncatedSVD(7), instance(rng)[1]))
    full = next(o for o in over_methods(nearly_full, trials=2) if o.variant == "rank=8")
    assert full.wrong
    assert "IndexError" in full.detail


def test_a_refusal_of_the_method_is_no_fault():
    found = list(over_targets(needs_a_kernel, trials=2))
    assert not any(outcome.wrong for outcome in found)


def test_outcomes_that_are_wrong():
    words = ("supported", "not applicable", "refused", "refuted", "failed", "raised")
    found = [word for word in words if Outcome("b", "extremal", "v", word, "").wrong]
    assert found == ["refuted", "failed", "raised"]
