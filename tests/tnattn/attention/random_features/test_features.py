"""Feature maps and directions."""

import numpy as np
import pytest

from tnattn.attention.random_features.features import Hyperbolic, Independent, Orthogonal, Positive, Trigonometric


def test_orthogonal_directions_are_orthogonal_within_blocks():
    w = Orthogonal().draw(7, 4, rng=np.random.default_rng(0), like=np.zeros(1))
    gram = w @ w.T
    off = gram - np.diag(np.diag(gram))
    np.testing.assert_allclose(off[:4, :4], 0, atol=1e-13)
    np.testing.assert_allclose(off[4:, 4:], 0, atol=1e-13)
    assert np.abs(off[:4, 4:]).max() > 0.1


@pytest.mark.parametrize("directions", [Independent(), Orthogonal()])
def test_every_direction_is_standard_normal(directions):
    """Squared lengths of 4000 directions: mean d, variance 2 d, within five standard errors."""
    rng = np.random.default_rng(0)
    squares = (np.concatenate([directions.draw(8, 4, rng=rng, like=np.zeros(1)) for _ in range(500)]) ** 2).sum(axis=-1)
    assert abs(squares.mean() - 4) < 5 * np.sqrt(8 / 4000)
    assert abs(squares.var() - 8) < 1.5


@pytest.mark.parametrize("directions", [Independent(), Orthogonal()])
def test_a_seed_means_the_same_directions_in_both_precisions(directions):
    double, single = (
        directions.draw(6, 4, rng=np.random.default_rng(0), like=np.zeros(1, dtype=t)) for t in ("float64", "float32")
    )
    np.testing.assert_array_equal(single, double.astype("float32"))


@pytest.mark.parametrize(("kind", "pairs"), [(Positive(), False), (Hyperbolic(), True), (Trigonometric(), True)])
def test_features_are_counted_in_scalars(kind, pairs):
    assert kind.directions(8) == (4 if pairs else 8)
    exponents, factors = kind.parts(np.ones((3, kind.directions(8))), np.ones((3, 1)))
    assert (exponents if factors is None else factors).shape == (3, 8)
