"""Pooling of key and value weights."""

import numpy as np
import pytest
from fixtures.attention import layer

from tnattn.attention.conversion.grouped_queries import GroupedQueries
from tnattn.attention.projections import Projections


def test_the_mean_is_the_best_single_weight():
    """Worked example: heads (1, 0) and (0, 1) have mean (1/2, 1/2) and error 2 - 2 (1/2) = 1."""
    w = np.asarray([[[1.0, 0.0]], [[0.0, 1.0]]])
    pooled = GroupedQueries(1)(Projections(w, w, w)).w_k
    np.testing.assert_array_equal(pooled, [[[0.5, 0.5]]])
    assert np.sum((w - pooled) ** 2) == 1.0
    moved = pooled + 0.1 * np.random.default_rng(0).standard_normal(pooled.shape)
    assert np.sum((w - moved) ** 2) > 1.0


def test_the_error_of_pooling_is_the_identity():
    w = layer().projections.w_k
    pooled = GroupedQueries(2)(layer().projections).w_k
    grouped = w.reshape(2, 2, 6, 4)
    error = ((grouped - pooled[:, None]) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(error, (grouped**2).sum(axis=(1, 2, 3)) - 2 * (pooled**2).sum(axis=(1, 2)), rtol=1e-12)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="groups=3"):
        GroupedQueries(3)(layer().projections)
    with pytest.raises(ValueError, match="positive"):
        GroupedQueries(0)
