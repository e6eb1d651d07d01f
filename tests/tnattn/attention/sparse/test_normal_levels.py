"""Lloyd-Max levels: the published distortions, and both conditions of optimality."""

import itertools
import math

import numpy as np
import pytest

from tnattn.attention.sparse.normal_levels import MOST_BITS, normal_levels

EVERY = pytest.mark.parametrize("bits", range(1, MOST_BITS + 1))
PUBLISHED = [1.0, 0.3634, 0.1175, 0.0345, 0.0095, 0.0025, 0.0006]  # Max 1960, Table I, rounded


@pytest.mark.parametrize("bits", range(MOST_BITS + 1))
def test_the_distortion_is_the_published_one(bits):
    assert normal_levels(bits).distortion == pytest.approx(PUBLISHED[bits], abs=6e-5)


@EVERY
def test_levels_are_means_of_their_cells_and_thresholds_lie_midway(bits):
    found = normal_levels(bits)
    levels, edges = np.array(found.levels), [-math.inf, *found.thresholds, math.inf]
    assert levels.size == 2**bits
    np.testing.assert_allclose(found.thresholds, (levels[1:] + levels[:-1]) / 2, atol=1e-15)
    density = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in edges]
    mass = [(math.erf(b / 2**0.5) - math.erf(a / 2**0.5)) / 2 for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(-np.diff(density) / mass, levels, atol=1e-10)


@EVERY
def test_the_distortion_is_the_mean_square_error(bits):
    found = normal_levels(bits)
    x = np.linspace(-9, 9, 20001)
    nearest = np.array(found.levels)[np.searchsorted(found.thresholds, x)]
    error = np.sum((x - nearest) ** 2 * np.exp(-x * x / 2)) * (x[1] - x[0]) / math.sqrt(2 * math.pi)
    assert found.distortion == pytest.approx(error, abs=1e-6)


def test_other_levels_err_more():
    """Negative control: uniform levels of the best step."""
    x = np.linspace(-9, 9, 20001)
    weight = np.exp(-x * x / 2) * (x[1] - x[0]) / math.sqrt(2 * math.pi)
    uniform = [
        np.sum(weight * np.min((x[:, None] - step * (np.arange(8) - 3.5)) ** 2, axis=-1))
        for step in np.linspace(0.4, 0.8, 21)
    ]
    assert min(uniform) > 1.05 * normal_levels(3).distortion


def test_more_bits_than_there_are_levels_for_are_refused():
    with pytest.raises(ValueError, match="bits is 7"):
        normal_levels(7)
