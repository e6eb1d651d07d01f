"""Lengths and inner products from which the moments of random features are computed."""

import numpy as np
import pytest

from theory.bounds.attention.feature_pairs import LARGEST_EXPONENT, Pairs
from theory.statement.bound import HypothesisViolated
from tnattn.attention.masks import CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.performer import Performer


def problem(size=1.0, **options):
    rng = np.random.default_rng(0)
    q, k = size * rng.standard_normal((2, 1, 5, 3))
    return AttentionProblem(q, k, k, **options)


@pytest.mark.parametrize("centre", [False, True])
def test_pairs_are_those_of_scaled_queries_and_keys(centre):
    target = problem()
    pairs = Pairs(Performer(centre=centre), target)
    x, y = 3**-0.25 * target.q, 3**-0.25 * target.k
    origin = y.mean(axis=-2, keepdims=True) if centre else 0 * y[..., :1, :]
    y = y - origin
    np.testing.assert_allclose(pairs.dot, x @ y.mT)
    np.testing.assert_allclose(pairs.sum, np.square(x[..., :, None, :] + y[..., None, :, :]).sum(-1))
    np.testing.assert_allclose(pairs.difference, np.square(x[..., :, None, :] - y[..., None, :, :]).sum(-1))
    # the kernel of the problem is the factor of the origin times that of the centred keys
    np.testing.assert_allclose(np.sqrt(pairs.gain) * np.exp(pairs.dot), np.exp(target.dense_scores()))
    np.testing.assert_allclose(pairs.total(np.ones((1, 5, 5))), 5 * pairs.gain.sum(axis=(-2, -1)))


@pytest.mark.parametrize(
    "target, words",
    [
        (problem(mask=CausalMask()), "every query sees every key"),
        (problem(softcap=5.0), "inner products"),
        (problem(30.0), f"<= {LARGEST_EXPONENT:.0f}"),
    ],
    ids=["causal", "softcap", "large"],
)
def test_what_the_moments_do_not_cover_is_refused(target, words):
    with pytest.raises(HypothesisViolated, match=words):
        Pairs(Performer(), target)
