"""Columns drawn by ridge leverage scores."""

import numpy as np
import pytest

from tnattn.randnla.columns.ridge_leverage_draws import RidgeLeverageDraws
from tnattn.randnla.scores.ridge_leverage import kernel_ridge_leverage_scores
from tnattn.structured.dense import Dense


def test_columns_come_as_often_as_their_scores_say():
    kernel = np.diag([4.0, 1.0, 0.1])
    drawn = RidgeLeverageDraws(0.5).select(Dense(kernel), 20000, rng=np.random.default_rng(0))
    scores = kernel_ridge_leverage_scores(kernel, ridge=0.5 * np.mean(np.diag(kernel)))
    shares = np.bincount(drawn, minlength=3) / 20000
    np.testing.assert_allclose(shares, scores / np.sum(scores), atol=5 * 0.5 / 20000**0.5)


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan")])
def test_a_ridge_that_is_not_positive_is_refused(ridge):
    with pytest.raises(ValueError, match="a positive number is needed"):
        RidgeLeverageDraws(ridge)
