import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name
from tnattn.decomposition.tensor_train.randomized_tt_rounding import RandomizedTTRounding
from tnattn.decomposition.tensor_train.train_truncation import TrainTruncation
from tnattn.decomposition.tensor_train.tt_rounding import TTRounding
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.structured.tensor_train import TensorTrain

quick = settings(max_examples=30, deadline=None)
shapes = st.lists(st.integers(1, 6), min_size=2, max_size=5).map(tuple)


def drawn_train(sizes, rank=4, batch=(), seed=0, convert=lambda x: x):
    rng = np.random.default_rng(seed)
    bonds = [1, *[rank] * (len(sizes) - 1), 1]
    pairs = zip(bonds, sizes, bonds[1:], strict=False)
    return TensorTrain(tuple(convert(rng.standard_normal((*batch, *shape))) for shape in pairs))


def distances(train, other, order):
    difference = train.to_dense() - other.to_dense()
    return np.linalg.norm(difference.reshape(*difference.shape[: difference.ndim - order], -1), axis=-1)


@quick
@given(sizes=shapes, rank=st.integers(1, 4), batch=st.sampled_from([(), (2,)]), seed=st.integers(0, 99))
def test_rounding_is_the_truncation_of_the_formed_tensor(sizes, rank, batch, seed):
    train = drawn_train(sizes, batch=batch, seed=seed)
    result = TTRounding(ranks=rank)(train)
    reference = TTSVD(order=len(sizes)).with_rank(rank, sizes)(train.to_dense())
    scale = np.linalg.norm(train.to_dense())
    assert np.all(np.abs(distances(train, result, len(sizes)) - reference.error_certificate) <= 1e-6 * scale)


@quick
@given(sizes=shapes, rtol=st.floats(0.01, 0.9), batch=st.sampled_from([(), (2,)]))
def test_the_tolerance_is_kept_and_the_certificate_is_the_error(sizes, rtol, batch):
    train = drawn_train(sizes, batch=batch)
    result = TTRounding(rtol=rtol)(train)
    error, size = distances(train, result, len(sizes)), train.norm()
    assert np.all(error <= rtol * size * (1 + 1e-9))
    assert np.all(np.abs(error - result.error_certificate) <= 1e-7 * size)


def test_a_sum_of_a_train_with_itself_loses_its_double_ranks(seed):
    train = drawn_train((5, 6, 7), 3, seed=seed)
    result = TTRounding(rtol=1e-10)(train + train)
    assert result.largest_ranks == (3, 3)
    np.testing.assert_allclose(result.to_dense(), 2 * train.to_dense(), atol=1e-10 * train.norm())


def test_bonds_that_no_core_can_fill_shrink():
    train = drawn_train((2, 2, 2), rank=9)
    result = TTRounding(ranks=9)(train)
    assert result.largest_ranks == (2, 2)
    np.testing.assert_allclose(result.to_dense(), train.to_dense(), atol=1e-12)


def test_cores_are_orthonormal():
    for core in TTRounding(ranks=3)(drawn_train((5, 6, 7))).cores[:-1]:
        basis = core.reshape(-1, core.shape[-1])
        np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[-1]), atol=1e-13)


def test_long_sums_of_positive_numbers_keep_small_ranks_in_float32():
    """One plus a thousandth of a smooth tensor: products over 3000 entries would lose all ranks but the first."""
    t = np.linspace(0, 1, 60)
    x = 1 + 1e-3 / (1 + t[:, None, None] + 2 * t[:, None] + t)
    cores = [np.repeat(core, 50, axis=-2).astype(np.float32) for core in TTSVD(ranks=4)(x).cores]
    exact, result = (TensorTrain(tuple(c.astype(np.float64) for c in cores)), TTRounding(ranks=3)(TensorTrain(cores)))
    difference = exact - TensorTrain(tuple(core.astype(np.float64) for core in result.cores))
    assert difference.norm() < 5e-6 * exact.norm()
    assert (exact - TTRounding(ranks=1)(exact)).norm() > 1e-5 * exact.norm()


def test_a_zero_train_stays_zero():
    train = 0.0 * drawn_train((3, 4, 5))
    result = TTRounding(rtol=0.1)(train)
    assert not result.to_dense().any()


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**100])  # powers of two: no entry is rounded
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("method", [TTRounding(ranks=2), TTRounding(rtol=0.5), RandomizedTTRounding(2)], ids=str)
def test_scales_whose_squares_leave_the_range(method, place, scale):
    cores = [core.astype(np.float32) for core in drawn_train((4, 5, 6)).cores]
    large = [core * np.float32(scale if j == place else 1) for j, core in enumerate(cores)]
    draws = {"rng": np.random.default_rng(0)} if isinstance(method, RandomizedTTRounding) else {}
    plain = method(TensorTrain(cores), **draws)
    draws = {"rng": np.random.default_rng(0)} if draws else {}
    result = method(TensorTrain(large), **draws)
    np.testing.assert_allclose(result.to_dense() / np.float32(scale), plain.to_dense(), atol=1e-3)
    np.testing.assert_allclose(result.error_certificate / np.float32(scale), plain.error_certificate, rtol=1e-3)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_randomized_rounding_recovers_a_train_of_smaller_ranks(batch, seed):
    train = drawn_train((6, 7, 8, 5), 3, batch)
    result = RandomizedTTRounding(ranks=3)(train + train, rng=np.random.default_rng(seed))
    assert max(result.largest_ranks) <= 3
    assert np.all(distances(train + train, result, 4) <= 1e-10 * train.norm())


def test_the_randomized_rounding_is_close_to_the_deterministic_one(seed):
    small = 1e-2 * drawn_train((9, 8, 7), 4, seed=seed + 50)
    train = drawn_train((9, 8, 7), 3, seed=seed) + small
    best = distances(train, TTRounding(ranks=3)(train), 3)
    found = distances(train, RandomizedTTRounding(ranks=3)(train, rng=np.random.default_rng(seed)), 3)
    assert best <= found * (1 + 1e-9) <= 2.5 * best


@quick
@given(sizes=shapes, rank=st.integers(1, 4), batch=st.sampled_from([(), (2,)]), seed=st.integers(0, 99))
def test_the_certificate_of_the_randomized_rounding_bounds_the_error(sizes, rank, batch, seed):
    train = drawn_train(sizes, batch=batch, seed=seed)
    result = RandomizedTTRounding(rank, oversampling=1)(train, rng=np.random.default_rng(seed))
    error, slack = distances(train, result, len(sizes)), 1e-6 * np.linalg.norm(train.to_dense())
    assert np.all(error <= result.error_certificate + slack)
    assert np.all(result.error_certificate <= 3 * error + slack)


def test_what_the_sketch_misses_is_more_than_what_the_last_rounding_says():
    """Negative control: without the sketch's share the certificate would promise too much."""
    train = drawn_train((9, 8, 7), 6)
    result = RandomizedTTRounding(2, 0)(train, rng=np.random.default_rng(0))
    assert distances(train, result, 3) == pytest.approx(result.error_certificate, rel=1e-6)
    assert result.error_certificate > 0.1 * train.norm()  # ranks of the sketch are those of the result: nothing is cut
    unmeasured = RandomizedTTRounding(2, 0, certify=False)(train, rng=np.random.default_rng(0))
    assert np.isnan(unmeasured.error_certificate)
    np.testing.assert_array_equal(unmeasured.to_dense(), result.to_dense())


def test_without_oversampling_it_is_worse():
    """Negative control: the sketch matters."""
    train = drawn_train((9, 8, 7), 6)
    errors = [
        np.mean([
            distances(train, RandomizedTTRounding(2, p)(train, rng=np.random.default_rng(s)), 3) for s in range(10)
        ])
        for p in (0, 4)
    ]  # fmt: skip
    assert errors[0] > 1.05 * errors[1]


def test_every_library_gives_the_same(xp, assert_close):
    host, ring = drawn_train((4, 5, 6)), drawn_train((4, 5, 6), convert=xp.asarray)
    tolerance = {"rtol": 0, "atol": 1e5 * xp.eps()}
    assert_close(TTRounding(ranks=2)(ring).to_dense(), TTRounding(ranks=2)(host).to_dense(), **tolerance)
    sketched = [RandomizedTTRounding(2)(t, rng=np.random.default_rng(0)).to_dense() for t in (ring, host)]
    assert_close(*sketched, **tolerance)
    single = drawn_train((4, 5, 6), convert=lambda a: xp.asarray(a, dtype="float32"))
    assert dtype_name(TTRounding(ranks=2)(single).to_dense().dtype) == "float32"


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: TTRounding(ranks=2)(np.ones((3, 4))), TypeError, "must be a TensorTrain"),
        (lambda: TTRounding(ranks=2)(TensorTrain((np.ones((1, 3, 1)),))), ValueError, "no bond"),
        (lambda: TTRounding(ranks=(2, 2, 2))(drawn_train((3, 4, 5))), ValueError, "3 numbers"),
        (lambda: TTRounding(ranks=0), ValueError, "rank is 0"),
        (lambda: TTRounding(ranks=2, rtol=0.1), ValueError, "both given"),
        (lambda: TTRounding(rtol=2.0), ValueError, "0 < rtol < 1"),
        (lambda: TTRounding(rtol=1e-16)(drawn_train((3, 4, 5))), ValueError, "below"),
        (lambda: RandomizedTTRounding(2)(drawn_train((3, 4))), TypeError, "randomized"),
        (lambda: RandomizedTTRounding(2, -1), ValueError, "oversampling is -1"),
    ],
    ids=range(9),
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_default_rounds_to_one_per_cent():
    assert TTRounding().rtol == 0.01
    assert issubclass(type(TTRounding().truncation(4)), TrainTruncation)
