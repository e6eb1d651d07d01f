"""The feature map elu + 1."""

import numpy as np
import pytest

from tnattn.attention.kernel.elu_features import EluFeatures, elu_plus_one


def test_entries_are_those_of_the_two_branches_to_the_bit():
    x = np.random.default_rng(0).standard_normal((50, 7)) * 3
    before = x.copy()
    np.testing.assert_array_equal(elu_plus_one(x), np.where(x > 0, x + 1, np.exp(np.minimum(x, 0))))
    np.testing.assert_array_equal(x, before)  # the argument stays


def test_large_entries_do_not_overflow():
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(elu_plus_one(np.array([-1e300, 1e300])), [0, 1e300])


@pytest.mark.parametrize("shape", [(4, 3), (2, 3)], ids=["fits", "does not fit"])
def test_spare_memory_changes_nothing_but_itself(shape):
    x, features = np.random.default_rng(0).standard_normal((4, 3)), EluFeatures(3, scale=0.25)
    before, spare = x.copy(), np.full(shape, 7.0)
    for side in (features.of_queries, features.of_keys):
        exponents, found = side(x, spare)
        assert exponents is None
        np.testing.assert_array_equal(found, elu_plus_one(x * 0.5))
        assert np.shares_memory(found, spare) == (shape == x.shape)
    np.testing.assert_array_equal(x, before)


def test_the_kernel_has_no_offset_and_no_heads_of_its_own():
    features = EluFeatures(3, scale=1.0)
    assert features.offset(np.ones((2, 3))) == 0
    assert features.per_head(lambda x: x[:1]) == features
    assert (features.flops, features.storage, features.exact) == (0, 0, True)


def test_every_ring(xp, assert_close):
    x = np.linspace(-3, 3, 12).reshape(4, 3)
    assert_close(elu_plus_one(xp.asarray(x)), xp.asarray(elu_plus_one(x)), rtol=4 * xp.eps())
