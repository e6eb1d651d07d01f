"""Keys drawn by leverage: probabilities, no bias, rare directions, refusals."""

import numpy as np
import pytest

from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.leverage_key_sampling import LeverageKeySampling


def problem(n_k=20, seed=0):
    rng = np.random.default_rng(seed)
    return AttentionProblem(*(rng.standard_normal(s) for s in ((2, 6, 3), (1, n_k, 3), (1, n_k, 2))))


def rare_direction(n=200):
    """All keys but one lie near a plane; queries look along the one that does not, whose value is large."""
    rng = np.random.default_rng(1)
    k = np.concatenate([0.5 * rng.standard_normal((n, 2)), 0.01 * rng.standard_normal((n, 1))], axis=-1)
    k[7] = [0.0, 0.0, 4.0]
    q = np.concatenate([0.1 * rng.standard_normal((10, 2)), np.full((10, 1), 3.0)], axis=-1)
    v = np.where(np.arange(n) == 7, 5.0, 0.0)[:, None]
    return AttentionProblem(q[None], k[None], v[None])


def test_probabilities_are_those_of_numpy_on_every_library(xp, assert_close):
    host = np.random.default_rng(0).standard_normal((2, 1, 15, 4))
    found = LeverageKeySampling(uniform=0.3).probabilities(xp.asarray(host))
    assert_close(found, LeverageKeySampling(uniform=0.3).probabilities(host), rtol=0, atol=50 * xp.eps())


def test_a_key_with_a_direction_of_its_own_is_rarely_missed():
    target = rare_direction()
    p = LeverageKeySampling().probabilities(target.keys)[0, 0]
    assert p[7] > 10 / 200
    assert p.min() >= 0.5 / 200
    np.testing.assert_allclose(p.sum(), 1.0)


def test_equal_keys_are_drawn_uniformly():
    p = LeverageKeySampling(uniform=0.1).probabilities(np.ones((1, 1, 8, 3)))
    np.testing.assert_allclose(p, 1 / 8)


def test_probabilities_ignore_the_mean_and_the_scale_of_the_keys():
    keys = np.random.default_rng(0).standard_normal((1, 1, 15, 4))
    method = LeverageKeySampling()
    np.testing.assert_allclose(method.probabilities(1e5 * (keys + 7.0)), method.probabilities(keys), rtol=1e-9)


@pytest.mark.slow
def test_the_estimator_with_exact_row_sums_has_no_bias():
    target = problem()
    method, generator = LeverageKeySampling(8, normalise=False), np.random.default_rng(5)
    draws = np.stack([method(target, rng=generator).output for _ in range(800)])
    z = (draws.mean(axis=0) - target.output) / (draws.std(axis=0) / np.sqrt(len(draws)))
    assert np.abs(z).max() < 5.5


def test_leverage_beats_uniform_draws_on_a_rare_direction():
    target = rare_direction()

    def error(uniform, seed):
        found = LeverageKeySampling(40, uniform=uniform)(target, rng=np.random.default_rng(seed))
        return np.linalg.norm(found.output - target.output)

    plain, leverage = (np.median([error(uniform, seed) for seed in range(15)]) for uniform in (1.0, 0.5))
    assert leverage < 0.5 * plain


@pytest.mark.parametrize(
    "fields, words",
    [({"samples": 0}, "samples must be"), ({"ridge": 0.0}, "ridge must be"), ({"uniform": 0.0}, "uniform must lie")],
)
def test_impossible_parameters_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        LeverageKeySampling(**fields)


def test_without_a_generator_it_raises():
    with pytest.raises(TypeError, match="pass rng"):
        LeverageKeySampling()(problem())
