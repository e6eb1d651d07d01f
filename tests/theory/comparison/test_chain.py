from __future__ import annotations

import numpy as np
import pytest

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.sampling import output_rows_squared
from theory.comparison import chain
from theory.comparison.chain import OutputPrediction, best_prediction, output_predictions
from theory.statement import errors
from theory.statement.bound import Bound, bound
from theory.statement.guarantee import Deterministic, InExpectation, WithProbability
from theory.statement.prediction import Values
from theory.statement.source import Source
from tnattn.attention.baseline.mean_value import MeanValue
from tnattn.attention.kernel.linear_attention import LinearAttention
from tnattn.attention.masks import CausalMask
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import Independent
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.sampling.column_sampling import ColumnSampling
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK
from tnattn.attention.wrappers.low_rank_weights import LowRankWeights
from tnattn.attention.wrappers.projected import Projected
from tnattn.attention.wrappers.weight_tensor import WeightTensor
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD

PROBLEM = random_problem(np.random.default_rng(0), heads=4, groups=2, n_q=24, n_k=24, size=0.5)
CAUSAL = random_problem(np.random.default_rng(0), heads=4, groups=2, n_q=24, n_k=24, size=0.5, mask=CausalMask())

METHODS = [
    (LowRankWeights(TruncatedSVD(4), renormalise=False), PROBLEM),
    (LowRankWeights(TruncatedSVD(8)), PROBLEM),
    (LowRankWeights(RandomizedSVD(rank=4, power_iterations=0), renormalise=False), CAUSAL),
    (WeightTensor(rank=6, renormalise=False), PROBLEM),
    (WeightTensor(rank=16), PROBLEM),
    (TopK(4), CAUSAL),
    (SlidingWindow(6, sinks=1), CAUSAL),
    (ValueSampling(32, normalise=False), PROBLEM),
    (ColumnSampling(32), CAUSAL),
    (Performer(4000, directions=Independent()), random_problem(np.random.default_rng(1), size=0.2)),
    (MeanValue(), random_problem(np.random.default_rng(1), size=0.1)),
    (LinearAttention(), PROBLEM),
]


def _named(found: list[OutputPrediction]) -> dict[str, OutputPrediction]:
    return {prediction.name: prediction for prediction in found}


@pytest.mark.parametrize("method, problem", METHODS, ids=lambda x: repr(x)[:40])
def test_a_certain_prediction_is_never_exceeded(method: AttentionMethod, problem: AttentionProblem) -> None:
    result = method(problem, rng=np.random.default_rng(2))
    observed = errors.output_frobenius(problem, result)
    certain = [p for p in output_predictions(method, problem, result) if isinstance(p.guarantee, Deterministic)]
    for prediction in certain:
        assert np.all(observed <= prediction.value * (1 + 1e-9) + 1e-12), prediction.name


@pytest.mark.parametrize(
    "method, problem",
    [pair for pair in METHODS if any(isinstance(p.guarantee, InExpectation) for p in output_predictions(*pair))],
)
def test_an_expected_prediction_bounds_the_mean(method: AttentionMethod, problem: AttentionProblem) -> None:
    """The mean of 60 runs may exceed its expectation by a fifth at these spreads, the bound is for each head."""
    rngs = np.random.default_rng(3).spawn(60)
    mean = np.mean([errors.output_frobenius(problem, method(problem, rng=rng)) for rng in rngs], axis=0)
    expected = [p for p in output_predictions(method, problem) if isinstance(p.guarantee, InExpectation)]
    for prediction in expected:
        assert np.all(mean <= 1.2 * prediction.value), prediction.name


@pytest.mark.parametrize("method, problem", METHODS, ids=lambda x: repr(x)[:40])
def test_predictions_have_one_finite_value_per_head(method: AttentionMethod, problem: AttentionProblem) -> None:
    result = method(problem, rng=np.random.default_rng(2))
    for prediction in output_predictions(method, problem, result):
        assert prediction.value.shape == prediction.failure.shape == (problem.heads,)
        assert np.all(np.isfinite(prediction.value))
        assert np.all((prediction.failure >= 0) & (prediction.failure <= 1))


def test_the_error_of_the_weights_reaches_the_output_through_the_spectral_norm() -> None:
    method = LowRankWeights(TruncatedSVD(4), renormalise=False)
    found = _named(output_predictions(method, PROBLEM))["truncated_svd_frobenius"]
    tail = np.linalg.norm(errors.spectrum_of(PROBLEM.dense_weights())[..., 4:], axis=-1)
    v = np.linalg.norm(PROBLEM.v, ord=2, axis=(-2, -1))
    np.testing.assert_allclose(found.value, tail * np.repeat(v, 2), rtol=1e-9)
    assert found.prior


def test_the_spectral_error_of_the_weights_takes_the_frobenius_norm_of_the_values() -> None:
    method = LowRankWeights(TruncatedSVD(4), renormalise=False)
    found = _named(output_predictions(method, PROBLEM))["truncated_svd_spectral"]
    following = errors.spectrum_of(PROBLEM.dense_weights())[..., 4]
    v = np.linalg.norm(PROBLEM.v, axis=(-2, -1))
    np.testing.assert_allclose(found.value, following * np.repeat(v, 2), rtol=1e-9)


def test_the_error_of_a_tensor_bounds_every_head() -> None:
    found = _named(output_predictions(WeightTensor(rank=6, renormalise=False), PROBLEM))["sthosvd"]
    v = np.repeat(np.linalg.norm(PROBLEM.v, ord=2, axis=(-2, -1)), 2)
    np.testing.assert_allclose(found.value / v, found.value[0] / v[0])


def test_renormalised_weights_go_through_the_normalisation() -> None:
    found = _named(output_predictions(LowRankWeights(TruncatedSVD(20)), PROBLEM))
    assert "truncated_svd_frobenius > kernel_normalisation_identity" in found
    assert "truncated_svd_frobenius" not in found


def test_an_expectation_does_not_pass_through_the_normalisation() -> None:
    method = LowRankWeights(RandomizedSVD(rank=20, oversampling=4, power_iterations=0))
    found = output_predictions(method, PROBLEM, method(PROBLEM, rng=np.random.default_rng(0)))
    assert not any(isinstance(p.guarantee, InExpectation) for p in found)


def test_large_errors_of_renormalised_weights_give_no_prediction_before_the_run() -> None:
    assert best_prediction(LowRankWeights(TruncatedSVD(1)), random_problem(np.random.default_rng(0), size=3.0)) is None


def test_a_square_is_rooted_and_stays_an_expectation() -> None:
    found = _named(output_predictions(ColumnSampling(32), PROBLEM))
    assert isinstance(found["amm_variance"].guarantee, InExpectation)
    np.testing.assert_allclose(found["amm_variance"].value, found["value_sampling_mse"].value, rtol=1e-9)


def test_means_of_the_norms_of_rows_do_not_reach_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of n rows, drawn at random, is wrong by 1: every mean is 1/n, their root of squares n^(-1/2), the norm 1."""

    def stated(error: errors.Error) -> Bound:
        @bound(method=ColumnSampling, error=error, guarantee=InExpectation(), source=Source("this test"))
        def statement(method: ColumnSampling, problem: AttentionProblem) -> Values:
            """Every row."""
            return np.ones((problem.heads, problem.n_q))

        return statement

    monkeypatch.setattr(chain, "bounds_about", lambda method: [stated(errors.output_rows)])
    assert output_predictions(ColumnSampling(4), PROBLEM) == []
    monkeypatch.setattr(chain, "bounds_about", lambda method: [stated(output_rows_squared)])
    assert len(output_predictions(ColumnSampling(4), PROBLEM)) == 1


def test_lower_bounds_do_not_predict() -> None:
    found = _named(output_predictions(ColumnSampling(32), PROBLEM))
    assert "amm_optimal" not in found


def test_rows_share_the_failure_probability() -> None:
    problem = random_problem(np.random.default_rng(1), size=0.2)
    found = _named(output_predictions(Performer(100_000, directions=Independent()), problem))["favor_output_markov"]
    assert isinstance(found.guarantee, WithProbability)
    np.testing.assert_allclose(found.failure, 0.2)


def test_dropped_mass_reaches_the_output_through_the_diameter() -> None:
    found = _named(output_predictions(TopK(4), CAUSAL))
    assert np.all(found["topk_mass"].value >= found["topk_error"].value)


def test_theorems_about_results_need_one() -> None:
    result = TopK(4)(CAUSAL)
    assert all(p.prior for p in output_predictions(TopK(4), CAUSAL))
    assert any(not p.prior for p in output_predictions(TopK(4), CAUSAL, result))


def test_the_best_prediction_is_the_smallest_known_before_the_run() -> None:
    best = best_prediction(TopK(20), CAUSAL, TopK(20)(CAUSAL))
    assert best is not None
    assert best.prior
    assert best.name == "topk_error"


def test_a_vacuous_prediction_gives_way_to_one_that_reads_the_result() -> None:
    best = best_prediction(TopK(4), CAUSAL, TopK(4)(CAUSAL))
    assert best is not None
    assert best.name == "chi_square_output"
    assert not best.prior


def test_without_a_theorem_there_is_no_prediction() -> None:
    assert best_prediction(LinearAttention(), PROBLEM) is None


def test_with_a_result_the_normalisation_speaks_about_any_kernel() -> None:
    best = best_prediction(LinearAttention(), PROBLEM, LinearAttention()(PROBLEM))
    assert best is not None
    assert not best.prior


def test_a_batch_of_problems_has_a_prediction_for_every_head() -> None:
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((3, heads, 12, 4)) for heads in (4, 2, 2))
    best = best_prediction(LowRankWeights(TruncatedSVD(3), renormalise=False), AttentionProblem(q, k, v))
    assert best is not None
    assert best.value.shape == (3, 4)


def test_a_projection_inherits_what_is_known_before_the_run() -> None:
    inner = LowRankWeights(TruncatedSVD(4), renormalise=False)
    (direct, projected) = (best_prediction(method, PROBLEM) for method in (inner, Projected(inner)))
    assert direct is not None
    assert projected is not None
    assert projected.names == direct.names
    np.testing.assert_allclose(projected.value, direct.value, rtol=1e-12)
