import functools
import math

import numpy as np
import pytest
from fixtures import drawn
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name
from tnattn.decomposition.tensor_train.randomized_tt import RandomizedTTSVD
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.randnla.sketches.sparse_sign import SparseSign

sketching = functools.partial(RandomizedTTSVD, exact_below=0.0)  # however short the unfoldings are
quick = settings(max_examples=30, deadline=None)
shapes = st.lists(st.integers(1, 7), min_size=2, max_size=5).map(tuple)


def decaying(shape, seed=0):
    x = drawn(shape, seed)
    for mode, n in enumerate(shape):
        basis = np.linalg.qr(drawn((n, n), seed + mode))[0] / np.arange(1, n + 1) ** 2
        x = np.moveaxis(np.tensordot(basis, x, (1, mode)), 0, mode)
    return x


@quick
@given(shape=shapes, rank=st.integers(1, 6), truncate=st.booleans(), seed=st.integers(0, 99))
def test_the_certificate_is_the_error(shape, rank, truncate, seed):
    x = drawn(shape, seed)
    method = sketching(order=len(shape), oversampling=2, truncate=truncate).with_rank(rank, shape)
    result = method(x, rng=np.random.default_rng(seed))
    error = np.linalg.norm(x - result.to_dense())
    assert abs(error - result.error_certificate) <= 1e-6 * np.linalg.norm(x)


@quick
@given(shape=shapes)
def test_full_ranks_are_exact(shape):
    x = drawn(shape)
    result = sketching(order=len(shape)).with_rank(10**6, shape)(x, rng=np.random.default_rng(0))
    assert np.linalg.norm(x - result.to_dense()) <= 1e-12 * np.linalg.norm(x)


@quick
@given(shape=shapes, rtol=st.floats(0.02, 0.8), seed=st.integers(0, 99))
def test_the_tolerance_is_kept(shape, rtol, seed):
    x = decaying(shape, seed)
    result = sketching(rtol=rtol, order=len(shape))(x, rng=np.random.default_rng(seed))
    assert np.linalg.norm(x - result.to_dense()) <= rtol * np.linalg.norm(x) * (1 + 1e-7)


def test_the_tolerance_needs_few_more_ranks_than_the_deterministic_one(seed):
    x = decaying((20, 21, 22), seed)
    few, some = (
        TTSVD(rtol=0.01)(x).largest_ranks,
        sketching(rtol=0.01)(x, rng=np.random.default_rng(seed)).largest_ranks,
    )
    assert all(b <= a + 3 for a, b in zip(few, some, strict=True))


def test_the_range_finder_grows_until_it_suffices(seed):
    """More directions than the first draw of 11 + 10 columns has."""
    x = drawn((40, 30, 2), seed)
    result = sketching(rtol=0.05)(x, rng=np.random.default_rng(seed))
    assert result.largest_ranks[0] > 21
    assert np.linalg.norm(x - result.to_dense()) <= 0.05 * np.linalg.norm(x)


@pytest.mark.parametrize("power_iterations, factor", [(0, 2.0), (1, 1.15), (2, 1.05)])
def test_power_iterations_bring_the_error_to_the_deterministic_one(power_iterations, factor, seed):
    x = decaying((20, 21, 22), seed)
    method = sketching(ranks=(4, 6), power_iterations=power_iterations, oversampling=4)
    errors = [np.linalg.norm(x - m(x, rng=np.random.default_rng(seed)).to_dense()) for m in (TTSVD((4, 6)), method)]
    assert errors[0] * (1 - 1e-6) <= errors[1] <= factor * errors[0]


def test_without_truncation_the_oversampling_stays():
    x = drawn((9, 9, 9))
    result = sketching(ranks=2, oversampling=3, truncate=False)(x, rng=np.random.default_rng(0))
    assert result.largest_ranks == (5, 5)


def test_members_of_a_stack_keep_their_own_tolerance():
    x = np.stack([decaying((8, 9, 10)), 1e6 * drawn((8, 9, 10)), np.zeros((8, 9, 10))])
    result = sketching(rtol=0.1)(x, rng=np.random.default_rng(0))
    errors = np.linalg.norm((x - result.to_dense()).reshape(3, -1), axis=-1)
    assert np.all(errors <= 0.1 * np.linalg.norm(x.reshape(3, -1), axis=-1) * (1 + 1e-7))
    assert result.ranks[0].max() < result.ranks[1].max()


@pytest.mark.parametrize("field", [{"sketch": SparseSign()}, {"oversampling": 1}, {"power_iterations": 0}], ids=str)
def test_every_field_changes_the_result(field):
    x = drawn((20, 21, 22))
    results = [m(x, rng=np.random.default_rng(0)).to_dense() for m in (sketching(2), sketching(2, **field))]
    assert np.abs(results[0] - results[1]).max() > 1e-6


def test_too_low_a_rank_is_not_exact():
    """Negative control."""
    x = drawn((6, 7, 8))
    result = sketching(ranks=(5, 7))(x, rng=np.random.default_rng(0))
    assert np.linalg.norm(x - result.to_dense()) > 0.1
    assert result.error_certificate > 0.1


def test_every_library_gives_the_same(xp, assert_close):
    x = decaying((6, 7, 8))
    host, ring = (sketching(3)(a, rng=np.random.default_rng(0)) for a in (x, xp.asarray(x)))
    assert_close(ring.to_dense(), host.to_dense(), rtol=0, atol=1e4 * xp.eps() * math.sqrt(x.size))
    single = sketching(3)(xp.asarray(x, dtype="float32"), rng=np.random.default_rng(0))
    assert dtype_name(single.to_dense().dtype) == "float32"


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: sketching()(np.ones((3, 4, 5))), TypeError, "randomized"),
        (lambda: sketching(exact_below=-1.0), ValueError, "exact_below is -1.0"),
        (lambda: sketching(oversampling=-1), ValueError, "oversampling is -1"),
        (lambda: sketching(power_iterations=0.5), TypeError, "power_iterations is 0.5"),
        (lambda: sketching(ranks=9)(np.ones((3, 4, 5))), ValueError, "rank 9 at place 0"),
    ],
    ids=range(5),
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_short_unfoldings_are_truncated_as_they_are():
    x = decaying((6, 7, 8))
    drawn_not, exact = RandomizedTTSVD(3)(x, rng=np.random.default_rng(0)), TTSVD(ranks=3)(x)
    np.testing.assert_allclose(drawn_not.to_dense(), exact.to_dense(), atol=1e-12)
    assert np.linalg.norm(
        sketching(3, oversampling=1, power_iterations=0)(x, rng=np.random.default_rng(0)).to_dense() - x
    ) > (np.linalg.norm(exact.to_dense() - x))


def test_untruncated_bonds_of_short_unfoldings_have_the_columns_of_a_sketch():
    result = RandomizedTTSVD(2, oversampling=3, truncate=False)(decaying((6, 7, 8)), rng=np.random.default_rng(0))
    assert [core.shape[-1] for core in result.cores] == [5, 5, 1]
