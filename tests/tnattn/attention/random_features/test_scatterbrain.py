"""Sparse plus features: exact in the window, unbiased outside."""

import dataclasses

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.dense_kernels import exact_kernel, unshifted_kernel
from tnattn.attention.masks import CausalMask, UnsupportedMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import Trigonometric
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.random_features.scatterbrain import Scatterbrain


def problem(seed=0, *, n_q=9, n_k=9, heads=4, groups=2, size=0.4, batch=(), dtype="float64", as_=np.asarray):
    rng = np.random.default_rng(seed)
    shapes = [(*batch, heads, n_q, 4), (*batch, groups, n_k, 4), (*batch, groups, n_k, 3)]
    q, k, v = (as_((size * rng.standard_normal(shape)).astype(dtype)) for shape in shapes)
    return AttentionProblem(q, k, v, scale=1.0)


def near(target, window):
    i = np.arange(target.n_q)[:, None] + target.n_k - target.n_q
    return np.abs(i - np.arange(target.n_k)[None, :]) <= window


@pytest.mark.parametrize(("n_q", "n_k"), [(9, 9), (5, 9), (1, 9), (9, 4)])
@pytest.mark.parametrize("window", [0, 2])
def test_the_kernel_is_exact_in_the_window_and_that_of_the_features_outside(n_q, n_k, window):
    target = problem(n_q=n_q, n_k=n_k)
    kernel = unshifted_kernel(target, Scatterbrain(8, window)(target, rng=np.random.default_rng(0)))
    features = unshifted_kernel(target, Performer(8)(target, rng=np.random.default_rng(0)))
    inside = near(target, window)
    np.testing.assert_allclose(kernel[:, inside], exact_kernel(target)[:, inside], rtol=1e-10)
    np.testing.assert_allclose(kernel[:, ~inside], features[:, ~inside], rtol=1e-10)


@pytest.mark.slow
def test_the_kernel_is_unbiased_with_less_variance_than_features_alone():
    """72 to 324 entries at |z| < 5.5."""
    target, exact = problem(), exact_kernel(problem())
    samples = {}
    for method in (Scatterbrain(8, 2), Performer(8)):
        rng = np.random.default_rng(1)
        samples[type(method)] = np.stack([unshifted_kernel(target, method(target, rng=rng)) for _ in range(400)])
    outside = ~near(target, 2)
    kernel = samples[Scatterbrain][:, :, outside]
    spread = kernel.std(axis=0) / np.sqrt(400)
    assert np.abs((kernel.mean(axis=0) - exact[:, outside]) / spread).max() < 5.5
    errors = [((s - exact) ** 2).mean() for s in samples.values()]
    assert errors[0] < errors[1]


def test_a_window_over_all_keys_is_exact():
    target = problem(batch=(2,))
    np.testing.assert_allclose(
        Scatterbrain(8, 8)(target, rng=np.random.default_rng(0)).output, target.output, rtol=1e-9
    )


def test_the_output_tends_to_the_exact_one():
    target = problem()
    errors = [
        np.median(
            [
                np.linalg.norm(Scatterbrain(m, 2)(target, rng=np.random.default_rng(s)).output - target.output)
                for s in range(9)
            ]
        )
        for m in (16, 256, 4096)
    ]
    # the rate m^(-1/2) predicts a quarter
    assert errors[1] < 0.4 * errors[0]
    assert errors[2] < 0.4 * errors[1]


def test_a_band_is_found_that_features_miss():
    """Sharp peaks on the diagonal: features alone are lost, the window has them."""
    base = problem(n_q=40, n_k=40, heads=2, size=2.0)
    unit = base.k / np.linalg.norm(base.k, axis=-1, keepdims=True)
    target = dataclasses.replace(base, q=20 * unit, k=unit)
    size = np.linalg.norm(target.output)
    errors = [
        np.linalg.norm(m(target, rng=np.random.default_rng(0)).output - target.output) / size
        for m in (Scatterbrain(32, 1), Performer(32))
    ]
    assert errors[0] < 0.5 * errors[1]


def test_weights_times_values_are_the_output():
    target = problem()
    piece = Scatterbrain(8, 2)(target, rng=np.random.default_rng(0))
    np.testing.assert_allclose(target.ungroup(piece.weights @ target.values), piece.output, rtol=1e-10)


def test_halves_merge_to_the_whole():
    target, parts = problem(), (slice(0, 4), slice(4, 9))
    rng = np.random.default_rng(0)
    one, two = (Scatterbrain(8000, 1)(target.rectangle(slice(0, 9), p), rng=rng).placed(p, 9) for p in parts)
    assert np.linalg.norm((one + two).output - target.output) < 0.05 * np.linalg.norm(target.output)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("factor", [8.0, 1e3])
def test_huge_logits_stay_finite_or_are_counted(dtype, factor):
    target = problem(size=1.0, dtype=dtype)
    target = dataclasses.replace(target, q=target.q * np.asarray(factor, dtype=dtype))
    piece = Scatterbrain(16, 2)(target, rng=np.random.default_rng(0))
    finite = np.isfinite(piece.output).all(axis=-1)
    np.testing.assert_array_equal((~finite).sum(axis=-1), piece.bad_rows)


def test_one_vector_added_to_all_keys_changes_nothing():
    target = problem()
    moved = dataclasses.replace(target, k=target.k + np.asarray([3.0, -2.0, 1.0, 4.0]))
    outputs = [Scatterbrain(16, 2)(x, rng=np.random.default_rng(0)).output for x in (target, moved)]
    np.testing.assert_allclose(*outputs, rtol=1e-7)


def test_permuted_keys_change_the_window():
    """The waiver of P11 is needed."""
    target, order = problem(), np.random.default_rng(1).permutation(9)
    moved = dataclasses.replace(target, k=target.k[:, order], v=target.v[:, order])
    outputs = [Scatterbrain(16, 1)(x, rng=np.random.default_rng(0)).output for x in (target, moved)]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def test_single_precision_agrees_with_double():
    single, double = (
        Scatterbrain(16, 2)(problem(dtype=d), rng=np.random.default_rng(0)).output for d in ("float32", "float64")
    )
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-4)


def test_it_runs_on_every_ring(xp, assert_close):
    output = Scatterbrain(16, 2)(problem(as_=xp.asarray), rng=np.random.default_rng(0)).output
    if xp.dtype == "float64":
        assert_close(to_host(output), Scatterbrain(16, 2)(problem(), rng=np.random.default_rng(0)).output, rtol=1e-9)
    else:
        assert np.isfinite(to_host(output)).all()


def test_masks_missing_generators_and_bad_parameters_are_refused():
    with pytest.raises(UnsupportedMask, match="CausalMask"):
        Scatterbrain()(dataclasses.replace(problem(), mask=CausalMask()), rng=np.random.default_rng(0))
    with pytest.raises(TypeError, match="rng"):
        Scatterbrain()(problem())
    with pytest.raises(ValueError, match="window"):
        Scatterbrain(window=-1)
    with pytest.raises(ValueError, match="odd"):
        Scatterbrain(3, kind=Trigonometric())


def test_the_cost_is_that_of_the_features_and_of_the_window():
    target = problem()
    # one block of 32 rows over all 9 keys, twice, and the features of 9 queries and 9 keys of 4 heads once more
    near_flops = 2 * 4 * 32 * 9 * (4 + 8 + 2 * (3 + 1)) + 2 * 4 * 18 * 8 * 4
    assert Scatterbrain(8, 2).cost(target).flops == Performer(8).cost(target).flops + near_flops
    assert Scatterbrain(8).with_budget(33).features == 33
