"""Sums of features over keys: those of the formula, in parts as in one, in units that never overflow."""

import numpy as np
import pytest

from tnattn.attention import feature_sums
from tnattn.attention.feature_sums import FeatureSums
from tnattn.attention.kernel.elu_features import EluFeatures, elu_plus_one
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.summary import KeySet

RNG = np.random.default_rng(0)
K, V = RNG.standard_normal((2, 3, 10, 4)), RNG.standard_normal((2, 3, 10, 5))


def part(rows, size=1.0):
    return KeySet.from_arrays(size * K[..., rows, :], V[..., rows, :])


def exponential(size=1.0):
    return Performer(8).draw(part(slice(0, 10), size), rng=np.random.default_rng(1))


@pytest.mark.parametrize("tile", [1, 40, 1 << 18])
def test_sums_are_those_of_all_features(monkeypatch, tile):
    monkeypatch.setattr("tnattn.structured.row_tiles.HOST_TILE", tile)
    keys = part(slice(0, 10))
    features, found = exponential(), FeatureSums.of(exponential(), keys)
    exponents, _ = features.of_keys(keys.keys)
    phi = np.exp(exponents - found.peak)
    np.testing.assert_allclose(found.values, phi.mT @ keys.values, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.mass, phi.sum(axis=-2), rtol=1e-12)
    np.testing.assert_allclose(found.peak, exponents.max(axis=-2, keepdims=True))


def test_features_without_exponents_have_units_of_one():
    found = FeatureSums.of(EluFeatures(4, scale=0.25), part(slice(0, 10)))
    phi = elu_plus_one(K[..., None, :, :] / 2)
    assert found.peak is None
    np.testing.assert_allclose(found.mass, phi.sum(axis=-2), rtol=1e-14)


@pytest.mark.parametrize("features", [EluFeatures(4, scale=0.5), exponential()], ids=["elu", "exponential"])
def test_parts_add_to_the_whole(features):
    first, second = (FeatureSums.of(features, part(rows)) for rows in (slice(0, 3), slice(3, 10)))
    both, whole = first.plus(second), FeatureSums.of(features, part(slice(0, 10)))
    np.testing.assert_allclose(both.values, whole.values, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(both.mass, whole.mass, rtol=1e-12)
    assert np.abs(first.mass - whole.mass).max() > 0.1


def test_huge_keys_stay_in_range():
    found = FeatureSums.of(exponential(1e3), part(slice(0, 10), 1e3))
    assert np.isfinite(found.values).all()
    assert (found.mass >= 1).all()  # the largest feature of every column is exp(0)


def test_every_ring(xp, assert_close):
    k, v = (xp.asarray(x) for x in (K, V))
    features = EluFeatures(4, scale=0.5)
    found = feature_sums.FeatureSums.of(features, KeySet.from_arrays(k, v, scale=0.5))
    expected = FeatureSums.of(features, KeySet.from_arrays(K, V, scale=0.5))
    assert_close(found.values, xp.asarray(expected.values), rtol=100 * xp.eps(), atol=100 * xp.eps())
