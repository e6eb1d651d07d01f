"""Features of queries and keys are matrices: products, transposes and dense forms agree."""

import numpy as np
import pytest

from tnattn.attention.feature_matrices import KeyFeatures, QueryFeatures
from tnattn.attention.kernel.elu_features import EluFeatures
from tnattn.attention.random_features.features import Trigonometric
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.summary import KeySet
from tnattn.testing import check_structured

RNG = np.random.default_rng(0)
Q, K = RNG.standard_normal((2, 3, 7, 4)), RNG.standard_normal((2, 1, 9, 4))  # (G, R, n, d)


def drawn(**options):
    return Performer(6, **options).draw(KeySet(K, K, 0.5), rng=np.random.default_rng(1))


FEATURES = {"elu": EluFeatures(4, scale=0.5), "positive": drawn(), "signed": drawn(kind=Trigonometric())}


def peak_of(features):
    exponents, _ = features.of_keys(K)
    return None if exponents is None else exponents.max(axis=-2, keepdims=True)


@pytest.mark.parametrize("name", FEATURES)
def test_features_of_keys_are_a_matrix(name):
    features = FEATURES[name]
    assert check_structured(KeyFeatures(features, K, peak_of(features)))
    assert check_structured(KeyFeatures(features, K, peak_of(features)).mT)  # KeyRows


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("tile", [5, 1 << 18])
def test_features_of_queries_are_a_matrix(monkeypatch, name, tile):
    monkeypatch.setattr("tnattn.structured.row_tiles.HOST_TILE", tile)
    features, right = FEATURES[name], np.ones((2, 1, FEATURES[name].features, 2))
    kernel, (product,) = QueryFeatures.shifted(features, Q, peak_of(features), times=(right,))
    assert check_structured(kernel)
    np.testing.assert_allclose(product, kernel.to_dense() @ right, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", FEATURES)
def test_inner_products_with_the_units_put_back_are_the_kernel(name):
    features, right = FEATURES[name], np.ones((2, 1, FEATURES[name].features, 1))
    kernel, _ = QueryFeatures.shifted(features, Q, peak_of(features), times=(right,))
    found = kernel.to_dense() @ KeyFeatures(features, K, peak_of(features)).to_dense()
    found *= np.exp(kernel.top + features.offset(Q))[..., None]
    parts = [side(x) for side, x in ((features.of_queries, Q), (features.of_keys, K))]
    phi = [np.exp(0.0 if a is None else a) * (1.0 if b is None else b) for a, b in parts]
    expected = phi[0] @ phi[1].mT * np.exp(np.broadcast_to(features.offset(Q), Q.shape[:-1]))[..., None]
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def test_rows_of_exponentials_reach_one():
    features = FEATURES["positive"]
    kernel, _ = QueryFeatures.shifted(features, 100 * Q, peak_of(features), times=(np.ones((2, 1, 6, 1)),))
    np.testing.assert_array_equal(kernel.to_dense().max(axis=-1), 1)
