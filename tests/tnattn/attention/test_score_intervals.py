"""Bounds from intervals of scores: sure for scores anywhere in them, attained by two keys, infinite where unknown."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.score_intervals import interval_sums, score_interval_error

RNG = np.random.default_rng(0)


def attention(scores, v):
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True) @ v


def bounds(scores, eta, v, **options):
    sums = interval_sums(scores, eta)
    return score_interval_error(sums, v, sums.weights @ v, **options)


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("width", [1e-3, 0.3, 3.0])
def test_the_bound_is_sure(xp, width, spectral):
    scores, v = 4 * RNG.standard_normal((6, 20)), RNG.standard_normal((20, 3))
    eta = width * RNG.uniform(0, 1, scores.shape)
    eta[:, :5] = 0
    found = bounds(xp.asarray(scores), xp.asarray(eta), xp.asarray(v), spectral=spectral)
    found = to_host(found).astype(np.float64)
    exact = attention(scores, v)
    for signs in (np.sign(v[:, 0]), RNG.choice([-1.0, 1.0], scores.shape), RNG.uniform(-1, 1, scores.shape)):
        error = np.linalg.norm(attention(scores + signs * eta, v) - exact, axis=-1)
        assert np.all(error <= found + 64 * np.finfo(np.float32).eps)


def test_two_keys_with_opposite_errors_attain_the_bound():
    eta, v = 0.3, np.asarray([[1.0], [-1.0]])
    scores = np.asarray([[eta, -eta]])
    # exact scores move to (0, 0) from weights proportional to (e^eta, e^-eta): output tanh(eta), C = sech^2(eta)
    found = bounds(scores, np.full((1, 2), eta), v)
    np.testing.assert_allclose(found, np.tanh(eta), rtol=1e-7)


def test_a_false_interval_gives_a_false_bound():
    """The control: scores move by three times the half width."""
    scores, v = np.zeros((1, 2)), np.asarray([[1.0], [-1.0]])
    error = abs(attention(scores + 0.3 * np.asarray([1.0, -1.0]), v)).item()
    assert error > 1.5 * float(bounds(scores, np.full((1, 2), 0.1), v)[0])


def test_the_eigenvalue_is_below_the_trace():
    scores, v = RNG.standard_normal((4, 30)), RNG.standard_normal((30, 8))
    eta = np.full(scores.shape, 0.01)
    by_trace, by_eigenvalue = (bounds(scores, eta, v, spectral=spectral) for spectral in (False, True))
    assert np.all(by_eigenvalue < 0.7 * by_trace)


def test_exact_scores_have_the_bound_zero():
    assert np.all(bounds(RNG.standard_normal((3, 5)), np.zeros((3, 1)), RNG.standard_normal((5, 2))) == 0)


def test_keys_that_are_not_seen_have_no_part():
    scores, v = RNG.standard_normal((3, 6)), RNG.standard_normal((6, 2))
    eta = RNG.uniform(0, 0.5, scores.shape)
    hidden = np.concatenate([scores, np.full((3, 2), -np.inf)], axis=-1)
    wide = np.concatenate([eta, np.full((3, 2), np.inf)], axis=-1)
    more = np.concatenate([v, np.zeros((2, 2))])
    centre = np.zeros((1, 2))
    np.testing.assert_allclose(bounds(hidden, wide, more, centre=centre), bounds(scores, eta, v, centre=centre))


def test_a_row_without_keys_has_the_bound_zero():
    assert bounds(np.full((1, 3), -np.inf), np.ones((1, 3)), np.ones((3, 2))).tolist() == [0.0]


@pytest.mark.parametrize("eta", [np.inf, np.nan, 2000.0])
def test_an_unknown_score_leaves_no_bound(eta):
    half_widths = np.asarray([[0.1, eta, 0.1]])
    assert bounds(np.asarray([[0.0, -900.0, 1.0]]), half_widths, np.asarray([[0.0], [1.0], [2.0]])).tolist() == [np.inf]


def test_a_tiny_weight_with_a_wide_interval_counts():
    """The key has weight e^-800, zero in float64; its score may be 300 larger than that of the other."""
    scores, eta = np.asarray([[0.0, -400.0]]), np.asarray([[0.0, 700.0]])
    assert bounds(scores, eta, np.asarray([[0.0], [1.0]]))[0] > 1


def test_few_bits_exceed_the_envelope():
    """Keys in 4 bits, half widths of about one: no useful bound, whatever the values."""
    scores, v = 3 * RNG.standard_normal((16, 64)), RNG.standard_normal((64, 8))
    radius = np.linalg.norm(v, axis=-1).max()
    assert np.all(bounds(scores, np.full(scores.shape, 3.0), v) > 2 * radius)


@pytest.mark.parametrize("spectral", [False, True])
def test_values_that_are_not_finite_leave_no_bound(spectral):
    v = np.asarray([[0.0], [np.nan]])
    assert bounds(np.zeros((1, 2)), np.full((1, 2), 0.1), v, spectral=spectral).tolist() == [np.inf]
