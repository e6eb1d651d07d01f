"""Measured properties hold on the family that declares them, and fail on one made to lack them."""

import numpy as np
import pytest

from tnattn import gallery
from tnattn.attention.problem import AttentionProblem
from tnattn.gallery import declared

RNG = np.random.default_rng(0)
STRANGER = AttentionProblem(*(0.1 * RNG.standard_normal((2, 48, 8)) for _ in range(3)))
PROPERTIES = {
    "clustered": declared.is_clustered,
    "smooth": declared.is_correlated,
    "sink": declared.feeds_sinks,
    "needle": declared.has_peaks,
    "value_outliers": lambda problem: declared.has_outliers(problem, 30.0),
    "low_rank_plus_sparse": declared.splits,
    "gauss": lambda problem: declared.has_variance(problem, 1.0),
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_property_tells_its_family_from_a_stranger(name):
    own = gallery.problems()[name](48, 8, rng=np.random.default_rng(1))
    assert PROPERTIES[name](own)
    assert not PROPERTIES[name](STRANGER)


def test_dense_scores_are_the_products():
    expected = STRANGER.q @ STRANGER.k.mT * STRANGER.score_scale
    np.testing.assert_allclose(declared.dense_scores(STRANGER), expected, rtol=0, atol=1e-12)
