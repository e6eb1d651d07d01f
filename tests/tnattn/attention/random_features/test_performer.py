"""Performer against the theorems on its kernel, and as a method."""

import dataclasses
import warnings

import numpy as np
import pytest
from fixtures.attention import z_score
from scipy.special import hyp1f1

from tnattn.arrays import to_host
from tnattn.attention.dense_kernels import exact_kernel, unshifted_kernel
from tnattn.attention.masks import CausalMask, UnsupportedMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import Hyperbolic, Independent, Orthogonal, Positive, Trigonometric
from tnattn.attention.random_features.performer import Performer

KINDS = [Positive(), Hyperbolic(), Trigonometric()]
DIRECTIONS = [Independent(), Orthogonal()]


def problem(seed=0, *, n_q=6, n_k=9, d=4, size=0.5, heads=2, groups=2, mean=0.0, batch=(), dtype="float64", as_=None):
    """Queries and keys with entries of the given size; keys around a mean."""
    rng = np.random.default_rng(seed)
    q = size * rng.standard_normal((*batch, heads, n_q, d))
    k = size * rng.standard_normal((*batch, groups, n_k, d)) + mean
    v = rng.standard_normal((*batch, groups, n_k, 3))
    move = as_ or np.asarray
    return AttentionProblem(*(move(x.astype(dtype)) for x in (q, k, v)), scale=1.0)


def kernels(method, target, trials, seed=1):
    rng = np.random.default_rng(seed)
    return np.stack([unshifted_kernel(target, method(target, rng=rng)) for _ in range(trials)])


def favor_mse(kind, x, y, m):
    """Mean squared error of independent features, per entry; m directions (bounds: favor_*_mse)."""
    z, delta = ((x[..., :, None, :] + s * y[..., None, :, :]) for s in (1, -1))
    z, delta = (z**2).sum(-1), (delta**2).sum(-1)
    kernel = np.exp(x @ np.swapaxes(y, -1, -2))
    if isinstance(kind, Trigonometric):
        return np.exp(z) * (1 - np.exp(-delta)) ** 2 / (2 * m * kernel**2)
    positive = kernel**2 * np.expm1(z) / m
    return positive * (1 - np.exp(-z)) / 2 if isinstance(kind, Hyperbolic) else positive


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("centre", [False, True])
def test_the_unnormalised_kernel_is_unbiased(kind, directions, centre):
    """36 to 108 entries at |z| < 5.5: level about 1e-6 each."""
    target = problem(size=0.3, mean=0.2)
    method = Performer(features=8, kind=kind, directions=directions, centre=centre)
    assert np.abs(z_score(kernels(method, target, 1500), exact_kernel(target))).max() < 5.5


@pytest.mark.slow
@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_squared_error_of_independent_features_is_the_formula(kind, centre):
    """Also shows the exponent -|x|^2/2 of positive features: -|x|^2, as is sometimes printed, is biased."""
    target = problem(size=0.25, mean=0.3)
    method = Performer(features=8, kind=kind, directions=Independent(), centre=centre)
    k = to_host(target.k)
    origin = k.mean(axis=-2, keepdims=True) if centre else 0 * k[..., :1, :]
    lost = np.exp(target.q @ np.swapaxes(origin, -1, -2))
    expected = lost**2 * favor_mse(kind, target.q, k - origin, kind.directions(8))
    squares = (kernels(method, target, 3000) - exact_kernel(target)) ** 2
    assert np.abs(z_score(squares, expected)).max() < 6
    assert np.abs(z_score(squares, 0.7 * expected)).max() > 6


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Positive(), Trigonometric()])
def test_the_mean_squared_error_of_orthogonal_features_is_the_formula(kind):
    target = problem(size=0.25, d=8)
    m, d = 8, 8
    x, y = target.q, target.k
    z, delta = (((x[..., :, None, :] + s * y[..., None, :, :]) ** 2).sum(-1) for s in (1, -1))
    norms = (x**2).sum(-1)[..., :, None] + (y**2).sum(-1)[..., None, :]
    if isinstance(kind, Positive):
        gain = -(m - 1) / m * np.exp(-norms) * (np.exp(z) - hyp1f1(d, d / 2, z / 2))
    else:
        gain = (m - 1) / m * np.exp(norms) * (hyp1f1(d, d / 2, -delta / 2) - np.exp(-delta))
    method = Performer(features=m * (2 if isinstance(kind, Trigonometric) else 1), kind=kind, centre=False)
    squares = (kernels(method, target, 4000) - exact_kernel(target)) ** 2
    independent = favor_mse(kind, x, y, m)
    pooled = squares.mean(axis=(-2, -1))
    assert np.abs(z_score(pooled, (independent + gain).mean(axis=(-2, -1)))).max() < 5
    assert np.abs(z_score(pooled, independent.mean(axis=(-2, -1)))).max() > 5


@pytest.mark.parametrize("kind", KINDS)
def test_the_output_tends_to_the_exact_one(kind):
    target = problem(size=0.4)
    errors = [
        np.median(
            [
                np.linalg.norm(Performer(m, kind)(target, rng=np.random.default_rng(s)).output - target.output)
                for s in range(12)
            ]
        )
        for m in (16, 256, 4096)
    ]
    # the rate m^(-1/2) predicts a quarter; three eighths leave room for the median of twelve
    assert errors[1] < 0.375 * errors[0]
    assert errors[2] < 0.375 * errors[1]


def test_two_halves_merge_to_the_whole():
    target = problem(size=0.4, n_k=10, mean=0.5)
    halves = [target.rectangle(slice(0, 6), columns) for columns in (slice(0, 4), slice(4, 10))]
    rng = np.random.default_rng(0)
    one, two = (
        Performer(20000)(half, rng=rng).placed(part, 10)
        for half, part in zip(halves, (slice(0, 4), slice(4, 10)), strict=True)
    )
    merged = (one + two).output
    error = np.linalg.norm(merged - target.output) / np.linalg.norm(target.output)
    assert error < 0.05
    assert np.linalg.norm(one.output - target.output) > 10 * error * np.linalg.norm(target.output)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_times_values_are_the_output(kind):
    approximation = Performer(512, kind)(problem(size=0.3), rng=np.random.default_rng(0))
    target = problem(size=0.3)
    product = target.ungroup(approximation.weights @ target.values)
    np.testing.assert_allclose(product, approximation.output, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mean_key_that_is_added_changes_nothing(kind):
    target, rng = problem(), np.random.default_rng
    moved = dataclasses.replace(target, k=target.k + np.asarray([3.0, -2.0, 1.0, 4.0]))
    method = Performer(32, kind)
    np.testing.assert_allclose(method(moved, rng=rng(0)).output, method(target, rng=rng(0)).output, rtol=1e-9)
    plain = Performer(32, kind, centre=False)
    assert not np.allclose(plain(moved, rng=rng(0)).output, plain(target, rng=rng(0)).output, rtol=0.01)


@pytest.mark.parametrize("kind", [Positive(), Hyperbolic()])
@pytest.mark.parametrize("factor", [8.0, 1e3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_positive_features_of_huge_logits_stay_finite(kind, factor, dtype):
    target = problem(size=1.0, d=16, dtype=dtype)
    target = dataclasses.replace(target, q=target.q * np.asarray(factor, dtype=dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        approximation = Performer(32, kind)(target, rng=np.random.default_rng(0))
        assert np.isfinite(approximation.output).all()
    assert (approximation.bad_rows == 0).all()
    assert (np.asarray(approximation.denominators) > 0).all()
    # averages of values
    assert np.abs(approximation.output).max() <= np.abs(target.v).max() * (1 + 1e-5)


def test_rows_that_trigonometric_features_spoil_are_counted_and_nan():
    target = problem(size=2.0, n_q=64, d=8)
    approximation = Performer(16, Trigonometric())(target, rng=np.random.default_rng(0))
    bad = np.isnan(approximation.output).all(axis=-1).sum(axis=-1)
    assert bad.sum() > 0
    np.testing.assert_array_equal(approximation.bad_rows, bad)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("directions", DIRECTIONS)
def test_single_precision_agrees_with_double(kind, directions):
    method = Performer(32, kind, directions)
    double = method(problem(), rng=np.random.default_rng(0)).output
    single = method(problem(dtype="float32"), rng=np.random.default_rng(0)).output
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_grouped_queries_equal_repeated_keys(groups):
    target = problem(heads=4, groups=groups, batch=(2,))
    repeated = dataclasses.replace(
        target, k=np.repeat(target.k, 4 // groups, axis=-3), v=np.repeat(target.v, 4 // groups, axis=-3)
    )
    outputs = [Performer(16)(x, rng=np.random.default_rng(0)).output for x in (target, repeated)]
    np.testing.assert_allclose(*outputs, rtol=1e-10)


def test_a_batch_mate_changes_nothing():
    target = problem(batch=(2,))
    alone = AttentionProblem(target.q[:1], target.k[:1], target.v[:1], scale=1.0)
    outputs = [Performer(16)(x, rng=np.random.default_rng(0)).output[0] for x in (target, alone)]
    np.testing.assert_allclose(*outputs, rtol=1e-12)


@pytest.mark.parametrize(("n_q", "n_k"), [(1, 9), (5, 1), (1, 1)])
def test_a_single_key_or_row_works(n_q, n_k):
    target = problem(n_q=n_q, n_k=n_k)
    output = Performer(16)(target, rng=np.random.default_rng(0)).output
    assert output.shape == (2, n_q, 3)
    if n_k == 1:
        np.testing.assert_allclose(output, np.broadcast_to(target.v, output.shape), rtol=1e-12)


def test_the_same_seed_gives_the_same_bits():
    outputs = [Performer(16)(problem(), rng=np.random.default_rng(7)).output for _ in range(2)]
    np.testing.assert_array_equal(*outputs)
    assert (Performer(16)(problem(), rng=np.random.default_rng(8)).output != outputs[0]).any()


def test_it_runs_on_every_ring(xp, assert_close):
    target = problem(as_=xp.asarray)
    output = Performer(16)(target, rng=np.random.default_rng(0)).output
    assert type(output) is type(target.q)
    if xp.dtype == "float64":
        reference = Performer(16)(problem(), rng=np.random.default_rng(0)).output
        assert_close(to_host(output), reference, rtol=1e-10)
    else:
        assert np.isfinite(to_host(output)).all()


@pytest.mark.parametrize(
    ("arguments", "message"), [({"features": 0}, "features"), ({"features": 3, "kind": Trigonometric()}, "odd")]
)
def test_bad_parameters_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Performer(**arguments)


def test_a_mask_a_missing_generator_and_a_softcap_are_refused():
    target = problem(n_q=9)
    with pytest.raises(UnsupportedMask, match="CausalMask"):
        Performer()(dataclasses.replace(target, mask=CausalMask()), rng=np.random.default_rng(0))
    with pytest.raises(TypeError, match="rng"):
        Performer()(target)
    with pytest.raises(ValueError, match="softcap"):
        Performer()(dataclasses.replace(target, softcap=5.0), rng=np.random.default_rng(0))


def test_a_budget_of_pairs_is_even_and_costs_are_counted():
    assert Performer(kind=Hyperbolic()).with_budget(33).features == 32
    assert Performer().with_budget(33).features == 33
    target = problem(heads=4)
    m, d, e = 8, 4, 3
    counted = 2 * 2 * 9 * m * (d + e + 1) + 2 * 4 * 6 * m * (d + e + 1)
    assert Performer(m).cost(target).flops == counted
    assert Performer(m).cost(target).state_per_token == 0
    assert Performer(m).cost(target).peak_scalars == 2 * m * (e + 1) + m


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_many_equal_keys_in_half_precision_give_their_value(dtype):
    z = np.zeros((1, 8192, 4), dtype)
    target = AttentionProblem(z[:, :3], z, np.ones((1, 8192, 1), dtype))
    found = Performer(features=2)(target, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.output, 1.0, rtol=1e-6 if dtype == "float32" else 0)
    assert found.output.dtype == np.dtype(dtype)
    assert found.bad_rows.tolist() == [0]
