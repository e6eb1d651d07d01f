"""Roundings of trains of any size, and of what is no train of real numbers."""

import warnings

import numpy as np
import pytest

from tnattn.decomposition.tensor_train.randomized_tt_rounding import RandomizedTTRounding, right_grams
from tnattn.decomposition.tensor_train.tt_rounding import TTRounding, orthogonalised_from_right
from tnattn.structured.tensor_train import TensorTrain

EVERY = [
    TTRounding(ranks=2),
    TTRounding(rtol=0.3),
    RandomizedTTRounding(ranks=2),
    RandomizedTTRounding(2, oversampling=0),
]
every_rounding = pytest.mark.parametrize("rounding", EVERY, ids=repr)


def train_of(sizes, rank=4, exponents=None, dtype=np.float64, seed=0, batch=()):
    rng = np.random.default_rng(seed)
    bonds = [1, *[rank] * (len(sizes) - 1), 1]
    pairs = zip(bonds, sizes, bonds[1:], strict=False)
    cores = [rng.standard_normal((*batch, *shape)).astype(dtype) for shape in pairs]
    return TensorTrain(tuple(np.ldexp(core, e) for core, e in zip(cores, exponents or [0] * len(sizes), strict=True)))


def rounded(rounding, train):
    if isinstance(rounding, TTRounding):
        return rounding(train)
    return rounding(train, rng=np.random.default_rng(0))


@every_rounding
@pytest.mark.parametrize(
    "dtype, exponents",
    [
        (np.float32, (100, 0, 0)),
        (np.float32, (-100, 0, 0)),
        (np.float32, (100, -100, 100)),
        (np.float32, (29, 29, 29)),
        (np.float32, (-30, -30, -30)),
        (np.float64, (900, -900, 900)),
        (np.float64, (-300, -300, -300)),
        (np.float64, (1000, 1000, -1000)),
    ],
    ids=str,
)
def test_cores_times_powers_of_two(rounding, dtype, exponents):
    plain = rounded(rounding, train_of((5, 6, 7), dtype=dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled = rounded(rounding, train_of((5, 6, 7), exponents=exponents, dtype=dtype))
    total = sum(exponents)
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    size = np.linalg.norm(plain.to_dense())
    assert scaled.largest_ranks == plain.largest_ranks
    np.testing.assert_allclose(np.ldexp(scaled.cores[-1], -total), plain.cores[-1], atol=tolerance * size)
    for a, b in zip(scaled.cores[:-1], plain.cores[:-1], strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)
    np.testing.assert_allclose(
        np.ldexp(scaled.error_certificate, -total), plain.error_certificate, rtol=100 * tolerance
    )


@every_rounding
@pytest.mark.parametrize("exponent", [-20, 20])
def test_products_of_many_harmless_cores(rounding, exponent):
    """20 cores of size 2^20 in float32: each has harmless squares, their product has none."""
    sizes, count = (2,) * 12, 12
    shifts = [exponent] * (count // 2) + [-exponent] * (count // 2)
    plain = rounded(rounding, train_of(sizes, dtype=np.float32))
    shifted = rounded(rounding, train_of(sizes, exponents=shifts, dtype=np.float32))
    np.testing.assert_allclose(shifted.to_dense(), plain.to_dense(), atol=1e-4 * plain.norm())
    np.testing.assert_allclose(shifted.error_certificate, plain.error_certificate, rtol=1e-3)


@every_rounding
def test_the_error_is_within_the_certificate(rounding):
    train = train_of((5, 6, 7, 4), exponents=(40, -20, 7, 3), batch=(2,))
    result = rounded(rounding, train)
    error = np.linalg.norm((train.to_dense() - result.to_dense()).reshape(2, -1), axis=-1)
    assert np.all(error <= result.error_certificate * (1 + 1e-9))
    assert np.all(result.error_certificate <= 3 * error)


@every_rounding
def test_a_train_of_which_a_core_is_zero(rounding):
    cores = list(train_of((5, 6, 7), exponents=(900, 0, 900)).cores)
    cores[1] = 0 * cores[1]
    result = rounded(rounding, TensorTrain(tuple(cores)))
    assert not result.to_dense().any()
    assert result.error_certificate == 0


@every_rounding
def test_a_result_beyond_the_range(rounding):
    with pytest.raises(ValueError, match="cores of the result overflows float32"):
        rounded(rounding, train_of((5, 6, 7), exponents=(60, 60, 60), dtype=np.float32))


@every_rounding
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_core_that_is_not_finite(rounding, bad):
    cores = list(train_of((5, 6, 7)).cores)
    cores[1][0, 2, 1] = bad
    with pytest.raises(ValueError, match=r"core 1 of the train holds .* \(0, 2, 1\)"):
        rounded(rounding, TensorTrain(tuple(cores)))


@every_rounding
@pytest.mark.parametrize("dtype", ["float16", "complex64", "complex128", "int64", "bool"])
def test_a_core_of_another_dtype(rounding, dtype):
    with pytest.raises(TypeError, match=dtype):
        rounded(rounding, TensorTrain(tuple(core.astype(dtype) for core in train_of((5, 6, 7)).cores)))


@every_rounding
def test_a_train_of_bfloat16(rounding):
    torch = pytest.importorskip("torch")
    cores = tuple(torch.asarray(core).bfloat16() for core in train_of((5, 6, 7)).cores)
    with pytest.raises(TypeError, match="bfloat16"):
        rounded(rounding, TensorTrain(cores))


@every_rounding
def test_cores_in_any_layout(rounding):
    train = train_of((5, 6, 7))
    expected = rounded(rounding, train).to_dense()
    for changed in (np.asfortranarray, lambda core: core[::-1, ::-1][::-1, ::-1]):
        cores = tuple(changed(core) for core in train.cores)
        for core in cores:
            core.flags.writeable = False
        np.testing.assert_allclose(rounded(rounding, TensorTrain(cores)).to_dense(), expected, atol=1e-11)


@every_rounding
def test_the_result_shares_no_memory_with_the_train(rounding):
    train = train_of((2, 2, 2), rank=2)
    before = [core.copy() for core in train.cores]
    for core in rounded(rounding, train).cores:
        core[...] = np.nan
    for core, original in zip(train.cores, before, strict=True):
        np.testing.assert_array_equal(core, original)


@pytest.mark.parametrize("ranks", [np.int64(2), np.asarray([2, 2]), [2, 2], (np.int32(2), 2)], ids=repr)
@pytest.mark.parametrize("cls", [TTRounding, RandomizedTTRounding])
def test_ranks_of_numpy(cls, ranks):
    assert cls(ranks=ranks) == cls(ranks=2 if np.ndim(ranks) == 0 else (2, 2))


@pytest.mark.parametrize("ranks, error", [(True, TypeError), ((2, True), TypeError), (2.0, TypeError), (0, ValueError)])
@pytest.mark.parametrize("cls", [TTRounding, RandomizedTTRounding])
def test_ranks_that_are_no_counts(cls, ranks, error):
    with pytest.raises(error, match="rank"):
        cls(ranks=ranks)


@pytest.mark.parametrize("exponents", [(0, 0, 0, 0), (90, -400, 33, 7)], ids=str)
def test_orthogonal_cores_make_the_same_tensor_in_their_unit(exponents):
    train = train_of((5, 3, 4, 2), rank=5, exponents=exponents, batch=(2,))
    cores, exponent = orthogonalised_from_right(train)
    np.testing.assert_allclose(
        np.ldexp(TensorTrain(tuple(cores)).to_dense(), exponent.astype(int)[:, None, None, None, None]),
        train.to_dense(),
        atol=1e-12 * np.abs(train.to_dense()).max(),
    )
    assert np.all((np.abs(cores[0]).max(axis=(1, 2, 3)) >= 1) & (np.abs(cores[0]).max(axis=(1, 2, 3)) < 2))
    for core in cores[1:]:
        rows = core.reshape(2, core.shape[1], -1)
        np.testing.assert_allclose(
            rows @ rows.mT, np.broadcast_to(np.eye(rows.shape[1]), (2,) * 1 + (rows.shape[1],) * 2), atol=1e-12
        )


@pytest.mark.parametrize("exponents", [(0, 0, 0), (900, -300, 77)], ids=str)
def test_gram_matrices_are_those_of_what_lies_to_the_right(exponents):
    train = train_of((5, 6, 7), exponents=exponents, batch=(2,))
    plain = train_of((5, 6, 7), batch=(2,))
    rest = [np.einsum("zamb,zbnc->zamn", *plain.cores[1:]).reshape(2, 4, -1), plain.cores[2][..., 0]]
    shifts = [exponents[1] + exponents[2], exponents[2]]
    for (gram, exponent), rows, shift in zip(right_grams(train), rest, shifts, strict=True):
        scale = np.ldexp(1.0, (2 * (exponent - shift)).astype(int))[:, None, None]
        np.testing.assert_allclose(gram * scale, rows @ rows.mT, rtol=1e-10, atol=1e-10)
        assert np.all((np.abs(gram).max(axis=(1, 2)) >= 1) & (np.abs(gram).max(axis=(1, 2)) < 4))
