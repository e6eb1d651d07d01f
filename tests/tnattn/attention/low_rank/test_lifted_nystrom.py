"""A Gaussian kernel of queries and keys together: exactness, invariances, size of numbers, libraries, refusals."""

import numpy as np
import pytest
from fixtures import run
from fixtures.attention import with_one_large_key

from tnattn.arrays import to_host
from tnattn.attention.low_rank.lifted_nystrom import LiftedNystrom, _sums
from tnattn.attention.low_rank.lifting import LandmarkFactor
from tnattn.attention.problem import AttentionProblem


def arrays(n_q=20, n_k=24, size=1.0, seed=0):
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal(shape) for shape in ((4, n_q, 3), (2, n_k, 3), (2, n_k, 2)))
    return size * q, k, v


def error(method, target, seed=0):
    found = np.nan_to_num(run(method, target, seed).output, nan=10.0)
    return np.linalg.norm(found - target.output) / np.linalg.norm(target.output)


CASES = [LiftedNystrom(44), LiftedNystrom(44, centre=False), LiftedNystrom(44, balance=False), LiftedNystrom(500)]


@pytest.mark.parametrize("method", CASES, ids=repr)
def test_all_landmarks_are_exact(method):
    assert error(method, AttentionProblem(*arrays())) < 1e-8


@pytest.mark.parametrize("method", CASES, ids=repr)
def test_scores_are_the_outer_factors_and_the_distances(method):
    target = AttentionProblem(*arrays(size=2.0), scale=0.7)
    x, y, rows, columns = method.points(target)
    distance = np.sum((x[..., :, None, :] - y[..., None, :, :]) ** 2, axis=-1)
    scores = rows[..., :, None] + columns[..., None, :] - distance / 2
    np.testing.assert_allclose(scores, target.scaled_queries @ target.keys.mT, atol=1e-12)


def test_balance_gives_both_sides_one_mean_square():
    x, y, _, _ = LiftedNystrom().points(AttentionProblem(*arrays(size=30.0)))
    sizes = [np.mean(np.sum(z * z, axis=-1), axis=-1) for z in (x, y)]
    np.testing.assert_allclose(sizes[0], sizes[1])
    x, y, _, _ = LiftedNystrom(balance=False).points(AttentionProblem(*arrays(size=30.0)))
    assert np.mean(x * x) > 100 * np.mean(y * y)


@pytest.mark.parametrize("which", [0, 1])
def test_zero_queries_or_keys_weigh_all_values_alike(which):
    given = list(arrays())
    given[which] = np.zeros_like(given[which])
    target = AttentionProblem(*given)
    np.testing.assert_allclose(run(LiftedNystrom(30), target).output, target.output, atol=1e-8)


def test_centring_helps_where_queries_and_keys_have_means():
    q, k, v = arrays(60, 60)
    target = AttentionProblem(q + 3.0, k + 4.0, v)
    plain, centred = (
        np.median([error(LiftedNystrom(24, centre=c), target, s) for s in range(5)]) for c in (False, True)
    )
    assert centred < plain


def test_a_seed_decides_and_more_landmarks_help():
    target = AttentionProblem(*arrays(60, 60))
    medians = [np.median([error(LiftedNystrom(m), target, s) for s in range(7)]) for m in (10, 40)]
    assert medians[1] < 0.5 * medians[0]
    assert np.array_equal(run(LiftedNystrom(10), target).output, run(LiftedNystrom(10), target).output)


def test_large_scores_stay_finite_or_are_counted():
    q, k, v = arrays()
    found = run(LiftedNystrom(30), AttentionProblem(40 * q, 40 * k, v))
    assert np.isfinite(found.shift).all()
    assert int(found.bad_rows.sum()) == int(np.isnan(found.output).any(axis=-1).sum())


def test_every_library_gives_the_output_of_numpy(xp, assert_close):
    host = [x.astype(xp.dtype) for x in arrays()]
    found = run(LiftedNystrom(44), AttentionProblem(*(xp.asarray(x) for x in host)))
    assert_close(found.output, AttentionProblem(*host).output, rtol=0, atol=1e5 * xp.eps())
    assert to_host(found.bad_rows).sum() == 0


def test_cost_grows_linearly_with_the_tokens():
    small, large = (LiftedNystrom(16).cost(AttentionProblem(*arrays(n, n))) for n in (2000, 4000))
    assert large.flops == pytest.approx(2 * small.flops, rel=0.01)
    assert large.peak_scalars == pytest.approx(2 * small.peak_scalars, rel=0.01)


def test_impossible_input_is_refused():
    with pytest.raises(ValueError, match="landmarks must be"):
        LiftedNystrom(0)
    with pytest.raises(ValueError, match="softcap"):
        run(LiftedNystrom(4), AttentionProblem(*arrays(), softcap=5.0))
    with pytest.raises(TypeError, match="pass rng"):
        LiftedNystrom(4)(AttentionProblem(*arrays()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm", [100, 1000, 1e6])
@pytest.mark.parametrize(("landmarks", "allowed"), [(16, 0.25), (64, 0.1)])
def test_one_large_key_costs_the_others_nothing(landmarks, allowed, norm, dtype):
    target = with_one_large_key(norm, dtype)
    for seed in range(3):
        found = run(LiftedNystrom(landmarks), target, seed)
        assert found.bad_rows.tolist() == [0, 0]
        assert found.output.dtype == np.dtype(dtype)
        assert error(LiftedNystrom(landmarks), target, seed) < allowed
        np.testing.assert_allclose(
            found.weights.to_dense() @ target.values, found.output[:, None], rtol=1e-3, atol=1e-5
        )


def test_large_keys_take_their_place_in_the_budget():
    target = with_one_large_key(100, "float64")
    target.k[1, 9] *= 100
    found = run(LiftedNystrom(16), target)
    used = np.count_nonzero(np.abs(found.kernel.to_dense()).max(axis=-2) > 0, axis=-1)
    assert used.ravel().tolist() == [16, 16]
    alone = AttentionProblem(target.q[:1], target.k[:1], target.v[:1])
    np.testing.assert_allclose(run(LiftedNystrom(16), alone).output[0], found.output[0], rtol=1e-9)


def test_without_large_keys_the_kernel_is_the_factor():
    found = run(LiftedNystrom(16), AttentionProblem(*arrays()))
    assert isinstance(found.kernel, LandmarkFactor)
    assert not found.kernel.rescaled
    assert (np.sum(found.kernel.to_dense() ** 2, axis=-1) <= 1 + 1e-12).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_that_single_precision_does_not_hold_are_rescaled(dtype):
    rng = np.random.default_rng(0)
    left, lift = (10 ** rng.uniform(-120, -20, size=(2, *shape)) for shape in ((20, 6), (6, 24)))
    values = rng.standard_normal((2, 24, 3)).astype(dtype)
    units, row_units, shift, summed, products = _sums(left, lift, np.full((2, 20), 7.0), values)
    assert summed.dtype == products.dtype == shift.dtype == np.dtype(dtype)
    assert np.abs(left * units[:, None] / row_units[..., None]).max() == 1
    rows = left @ lift
    tolerance = 200 * np.finfo(dtype).eps  # of logarithms that are hundreds
    np.testing.assert_allclose(
        np.log(products[..., -1]) + shift, np.log(rows.sum(axis=-1)) + 7, rtol=tolerance, atol=tolerance
    )
    expected = rows @ values / rows.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(products[..., :-1] / products[..., -1:], expected, atol=tolerance)


def test_numbers_that_are_held_stay_as_they_are():
    rng = np.random.default_rng(0)
    left, lift, values = rng.random((2, 20, 6)), rng.random((2, 6, 24)), rng.random((2, 24, 2))
    units, row_units, shift, summed, products = _sums(left, lift, np.zeros((2, 20)), values)
    assert (units == 1).all()
    assert (row_units == 1).all()
    np.testing.assert_array_equal(shift, 0)
    np.testing.assert_allclose(summed, lift @ np.concatenate([values, np.ones((2, 24, 1))], axis=-1), rtol=1e-12)
    np.testing.assert_allclose(products, left @ summed, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1.0, 200.0])
def test_products_held_are_those_of_the_factors_evaluated_again(size, dtype):
    target = AttentionProblem(*(x.astype(dtype) for x in arrays(size=size)))
    found = run(LiftedNystrom(12), target)
    assert found.kernel.rescaled == (size > 1)
    scale = np.abs(found.denominators).max()
    tolerance = 1e3 * np.finfo(dtype).eps
    np.testing.assert_allclose(
        found.kernel @ found.mass[..., None], found.denominators[..., None], atol=tolerance * scale
    )
    ones = np.ones((*found.mass.shape[:-1], 24, 1), dtype=dtype)
    masses = (found.expand @ ones)[..., 0]
    np.testing.assert_allclose(masses, found.mass, rtol=tolerance, atol=tolerance * np.abs(found.mass).max())


def test_a_head_in_range_is_not_rescaled_with_its_neighbours():
    q, k, v = arrays()
    q[0] *= 200
    units = run(LiftedNystrom(12), AttentionProblem(q, k, v)).kernel.row_units
    assert (units[0, 0] != 1).any()
    assert (units[0, 1] == 1).all()


def test_single_precision_loses_few_rows_more_than_double():
    q, k, v = arrays()
    lost = [
        int(run(LiftedNystrom(20), AttentionProblem(*(x.astype(d) for x in (12 * q, 12 * k, v)))).bad_rows.sum())
        for d in ("float32", "float64")
    ]
    assert lost[0] < lost[1] + 20  # 23 and 21 of 80; without rescaling 78 in single precision


def test_squares_that_overflow_are_bad_rows_and_an_end():
    q, k, v = arrays()
    with np.errstate(all="ignore"):
        found = run(LiftedNystrom(8), AttentionProblem(1e200 * q, 1e150 * k, v))
        assert found.bad_rows.tolist() == [20] * 4
