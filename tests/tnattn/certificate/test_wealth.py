"""Wealth of a mixture of stakes: a martingale for fair draws, and a bisection that ends on the safe side."""

import numpy as np
import pytest

from tnattn.certificate.wealth import least_excluded, log_wealth


@pytest.mark.parametrize("mean", [0.1, 0.5])
def test_fair_coins_neither_win_nor_lose(mean):
    """The mean over both sides of a coin, of the wealth after two draws, is one."""
    edges = np.asarray([(mean - 0) / (1 - mean), (mean - 1) / (1 - mean)])
    chances = np.asarray([1 - mean, mean])
    pairs = np.stack(np.meshgrid(edges, edges, indexing="ij"), axis=-1)
    wealth = np.exp(log_wealth(pairs))[..., -1]
    np.testing.assert_allclose(chances @ wealth @ chances, 1.0, rtol=1e-12)


def test_half_of_the_wealth_is_at_stake():
    """After an edge of minus one the stake of one has lost all; the others keep a half of theirs in the mean."""
    np.testing.assert_allclose(np.exp(log_wealth(np.asarray([-1.0]))), 0.25, rtol=1e-12)


def test_a_portfolio_wins_where_the_largest_stake_loses():
    edges = np.tile([0.5, 0.5, 0.5, -0.9], 200)
    assert log_wealth(edges)[-1] > np.log(100)
    assert np.sum(np.log1p(edges)) < 0


def test_the_bisection_ends_above_the_least_excluded_mean():
    found = least_excluded(lambda mean: mean >= np.asarray([0.3, 0.7]), np.zeros(2), np.ones(2))
    assert np.all(found >= [0.3, 0.7])
    np.testing.assert_allclose(found, [0.3, 0.7], atol=1e-7)


def test_where_nothing_is_excluded_the_largest_mean_remains():
    assert least_excluded(lambda mean: np.zeros(2, dtype=bool), np.zeros(2), np.asarray([0.5, 1.0])).tolist() == [
        0.5,
        1,
    ]
