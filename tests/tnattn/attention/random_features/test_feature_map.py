"""A drawn map: features of both sides, their offset, and the memory that they may reuse."""

import numpy as np
import pytest

from tnattn.attention.random_features.feature_map import FeatureMap
from tnattn.attention.random_features.features import Hyperbolic, Positive, Trigonometric

RNG = np.random.default_rng(0)
X, W, O = RNG.standard_normal((2, 1, 5, 3)), RNG.standard_normal((4, 3)), RNG.standard_normal((2, 1, 1, 3))


def entries(parts):
    exponents, factors = parts
    return np.exp(exponents) * (1.0 if factors is None else factors)


@pytest.mark.parametrize("origin", [None, O], ids=["plain", "centred"])
@pytest.mark.parametrize("kind, features", [(Positive(), 4), (Hyperbolic(), 8), (Trigonometric(), 8)])
def test_the_offset_gives_back_what_the_origin_takes(kind, features, origin):
    drawn = FeatureMap(kind, features, W, 0.5, origin)
    estimate = entries(drawn.of_queries(X)) @ entries(drawn.of_keys(X)).mT
    centred = FeatureMap(kind, features, W, 0.5, None).of_keys(X if origin is None else X - origin)
    expected = entries(FeatureMap(kind, features, W, 0.5, None).of_queries(X)) @ entries(centred).mT
    np.testing.assert_allclose(estimate, expected, rtol=1e-12)
    lost = 0.0 if origin is None else 0.5 * (X @ origin.mT)[..., 0]
    np.testing.assert_allclose(
        np.broadcast_to(drawn.offset(X), X.shape[:-1]), lost - np.log(kind.divisor(features)) * np.ones(X.shape[:-1])
    )


@pytest.mark.parametrize("kind, features", [(Positive(), 4), (Hyperbolic(), 8), (Trigonometric(), 8)])
def test_memory_that_is_reused_changes_no_feature(kind, features):
    drawn, before = FeatureMap(kind, features, W, 0.5, O), X.copy()
    spare = np.full((2, 1, 5, 4), 7.0)
    for side in (drawn.of_queries, drawn.of_keys):
        np.testing.assert_array_equal(entries(side(X, spare)), entries(side(X)))
    np.testing.assert_array_equal(X, before)


def test_the_map_of_one_head_has_its_origin():
    drawn = FeatureMap(Positive(), 4, W, 0.5, O)
    one = drawn.per_head(lambda x: x[1:, ...])
    np.testing.assert_array_equal(one.of_keys(X[1:])[0], drawn.of_keys(X)[0][1:])
    plain = FeatureMap(Positive(), 4, W, 0.5, None)
    assert plain.per_head(lambda x: x[1:, ...]) is plain


def test_operations_and_storage_are_counted():
    assert FeatureMap(Positive(), 4, W, 0.5, O).flops == 2 * 4 * 3
    assert FeatureMap(Positive(), 4, W, 0.5, O).storage == 4 * 3 + 2 * 3
    assert FeatureMap(Positive(), 4, W, 0.5, None).storage == 4 * 3
