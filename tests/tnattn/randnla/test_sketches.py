"""Test matrices: their second moment, their products, and that a seed means one draw."""

import dataclasses

import numpy as np
import pytest

from tnattn.arrays import DeviceDraws, to_host
from tnattn.randnla.gaussian import Gaussian
from tnattn.randnla.sketch import Sketch, sketched
from tnattn.randnla.sparse_sign import SparseSign
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import LowRank
from tnattn.structured.sparse import Sparse

SKETCHES = [Gaussian(), SparseSign(), SparseSign(nonzeros=3)]
every_sketch = pytest.mark.parametrize("sketch", SKETCHES, ids=repr)


@dataclasses.dataclass(frozen=True)
class Unscaled(Sketch):
    """Normal entries of variance one: the second moment is ``size`` times the identity."""

    def draw(self, n, size, *, rng, like):
        return Dense(np.sqrt(size) * Gaussian().draw(n, size, rng=rng, like=like).array)


def second_moment_z(sketch, n=6, size=10, draws=4000):
    """Return the largest |z| over the entries of the mean of Omega Omega^T minus the identity."""
    rng = np.random.default_rng(7)
    like = np.empty(0)
    products = np.empty((draws, n, n))
    for i in range(draws):
        omega = sketch.draw(n, size, rng=rng, like=like).to_dense()
        products[i] = omega @ omega.T
    error = products.std(axis=0, ddof=1) / np.sqrt(draws)
    difference = products.mean(axis=0) - np.eye(n)
    exact = error < 1e-12  # rows of signs have length one in every draw
    assert np.abs(difference[exact]).max(initial=0.0) < 1e-12
    return np.abs(difference[~exact] / error[~exact]).max(initial=0.0)


@every_sketch
def test_second_moment_is_the_identity(sketch):
    # 36 entries at level 1e-6 each: |z| < 4.9 for a normal mean, 6 leaves room for the tails of 4000 draws
    assert second_moment_z(sketch) < 6


def test_a_wrong_scale_is_noticed():
    assert second_moment_z(Unscaled()) > 100


@every_sketch
@pytest.mark.parametrize("size", [1, 5, 12])
def test_a_draw_has_the_shape_dtype_and_library_asked_for(xp, sketch, size):
    for dtype in xp.dtypes:
        like = xp.asarray(np.zeros(1), dtype)
        omega = sketch.draw(9, size, rng=np.random.default_rng(0), like=like)
        assert omega.shape == (9, size)
        assert omega.dtype == like.dtype
        assert type(omega.to_dense()) is type(like)


@every_sketch
def test_a_sketched_product_equals_the_dense_product(xp, sketch, assert_close):
    rng = np.random.default_rng(1)
    a = xp.asarray(rng.standard_normal((2, 3, 8, 11)))
    omega = sketch.draw(11, 5, rng=rng, like=a)
    desired = a @ omega.to_dense()
    assert_close(sketched(Dense(a), omega), desired, rtol=0, atol=100 * xp.eps())


@every_sketch
def test_a_sketched_product_of_factors_equals_the_dense_product(sketch, assert_close):
    rng = np.random.default_rng(1)
    a = LowRank(rng.standard_normal((2, 8, 3)), rng.standard_normal((2, 3, 11)))
    omega = sketch.draw(11, 5, rng=rng, like=a.like)
    assert_close(sketched(a, omega), a.to_dense() @ omega.to_dense(), rtol=0, atol=1e-13)


@every_sketch
@pytest.mark.parametrize("make", [np.random.default_rng, DeviceDraws], ids=["generator", "device draws"])
def test_a_seed_gives_the_same_bits_twice(sketch, make):
    one, two = (sketch.draw(20, 6, rng=make(3), like=np.empty(0)).to_dense() for _ in range(2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, sketch.draw(20, 6, rng=make(4), like=np.empty(0)).to_dense())


@every_sketch
def test_a_seed_means_one_draw_on_every_library(xp, sketch):
    here = sketch.draw(20, 6, rng=np.random.default_rng(3), like=xp.asarray(np.zeros(1), "float32")).to_dense()
    there = sketch.draw(20, 6, rng=np.random.default_rng(3), like=np.zeros(1, "float32")).to_dense()
    np.testing.assert_allclose(to_host(here), there, rtol=1e-6)


@every_sketch
def test_without_a_generator_it_raises(sketch):
    with pytest.raises(TypeError, match="pass rng"):
        sketch.draw(4, 2, rng=None, like=np.empty(0))


@pytest.mark.parametrize("size, nonzeros", [(12, 8), (16, 8), (8, 8), (5, 5), (1, 1)])
def test_sparse_signs_sit_in_distinct_columns(size, nonzeros):
    omega = SparseSign(nonzeros=8).draw(50, size, rng=np.random.default_rng(0), like=np.empty(0))
    assert isinstance(omega, Sparse)
    dense = omega.to_dense()
    assert np.all((dense != 0).sum(axis=1) == nonzeros)
    np.testing.assert_allclose(np.abs(dense[dense != 0]), nonzeros**-0.5)


def test_sparse_signs_use_every_column_equally():
    omega = SparseSign(nonzeros=3).draw(30_000, 6, rng=np.random.default_rng(0), like=np.empty(0)).to_dense()
    used = (omega != 0).sum(axis=0)
    # binomial(30000, 1/2) per column: five standard deviations are 433
    assert np.all(np.abs(used - 15_000) < 5 * np.sqrt(30_000 / 4))


@pytest.mark.parametrize("nonzeros, error", [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)])
def test_sparse_signs_refuse_impossible_counts(nonzeros, error):
    with pytest.raises(error, match="nonzeros"):
        SparseSign(nonzeros=nonzeros)
