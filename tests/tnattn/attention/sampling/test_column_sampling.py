"""The oracle of sampled products has the smallest variance of all common draws."""

import numpy as np
import pytest
from fixtures import run

from tnattn.arrays import to_host
from tnattn.attention.masks import CausalMask, FullMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.column_sampling import ColumnSampling


def problem(mask=FullMask(), *, as_=np.asarray):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, n, d)) for h, n, d in ((4, 5, 3), (2, 12, 3), (2, 12, 2)))
    return AttentionProblem(as_(q), as_(k), as_(v), mask=mask)


@pytest.mark.parametrize("mask", [FullMask(), CausalMask()], ids=repr)
def test_probabilities_are_column_norms_times_value_norms(mask):
    target = problem(mask)
    found = ColumnSampling().probabilities(target)
    columns = np.linalg.norm(target.dense_weights(), axis=-2)
    expected = columns * np.repeat(np.linalg.norm(target.v, axis=-1), 2, axis=0)
    np.testing.assert_allclose(found.reshape(4, 12), expected / expected.sum(-1, keepdims=True), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [FullMask(), CausalMask()], ids=repr)
def test_the_mean_squared_error_is_the_optimal_one(mask):
    target = problem(mask)
    columns = np.linalg.norm(target.dense_weights(), axis=-2)
    reach = (columns * np.repeat(np.linalg.norm(target.v, axis=-1), 2, axis=0)).sum(-1)
    expected = (reach**2 - (target.output**2).sum((-1, -2))) / 3
    copies = (np.broadcast_to(x, (2000, *x.shape)) for x in (target.q, target.k, target.v))
    found = run(ColumnSampling(3), AttentionProblem(*copies, mask=mask)).output  # every copy has its own draw
    squares = ((found - target.output) ** 2).sum((-1, -2))
    deviation = np.std(squares, axis=0) / 2000**0.5
    assert (np.abs(np.mean(squares, axis=0) - expected) < 6 * deviation).all()


def test_the_worked_example_has_variance_zero():
    # weights (1, 2) / 3 and values (3, 1): probabilities (0.6, 0.4) give every sample the value of the product
    target = AttentionProblem(np.ones((1, 1, 1)), np.log([[[1.0], [2.0]]]), np.array([[[3.0], [1.0]]]), scale=1.0)
    for seed in range(5):
        np.testing.assert_allclose(run(ColumnSampling(1), target, seed).output, target.output, rtol=1e-14)


def test_self_normalised_weights_sum_to_one():
    found = run(ColumnSampling(3, normalise=True), problem())
    np.testing.assert_allclose(to_host(found.weights.to_dense()).sum(-1), 1)
    assert np.abs(to_host(run(ColumnSampling(3), problem()).weights.to_dense()).sum(-1) - 1).max() > 0.1


def test_every_ring_runs(xp, assert_close):
    found = run(ColumnSampling(4), problem(as_=xp.asarray)).output
    assert found.shape == (4, 5, 2)
    if xp.dtype == "float64":
        assert_close(found, xp.asarray(run(ColumnSampling(4), problem()).output), rtol=0, atol=1e-12)


def test_it_says_that_it_is_an_oracle():
    assert ColumnSampling.reads_weights
    assert ColumnSampling(4).cost(problem()).flops == 2 * 4 * 5 * 12 * 5 + 2 * 4 * 5 * 4 * 6


def test_zero_samples_are_refused():
    with pytest.raises(ValueError, match="samples must be an integer >= 1"):
        ColumnSampling(0)


def test_large_halves_are_not_squared_in_half_precision():
    v = np.full((1, 6, 2), 256, "f2")
    found = run(ColumnSampling(samples=2), AttentionProblem(np.zeros((1, 3, 2), "f2"), np.zeros((1, 6, 2), "f2"), v))
    assert found.output.dtype == np.float16
    np.testing.assert_array_equal(found.output, 256)
    np.testing.assert_array_equal(found.bad_rows, 0)


@pytest.mark.parametrize("exponent", [-1000, -600, 600, 1000])
def test_probabilities_do_not_depend_on_the_size_of_the_values(exponent):
    target = problem()
    scaled = AttentionProblem(target.q, target.k, target.v * 2.0**exponent)
    np.testing.assert_array_equal(ColumnSampling().probabilities(scaled), ColumnSampling().probabilities(target))


def test_small_weights_of_single_precision_count():
    q, k = np.ones((1, 1, 1), "f4"), np.array([[[0.0], [-60.0]]], "f4")
    target = AttentionProblem(q, k, np.array([[[0.0], [1.0]]], "f4"), scale=1.0)
    np.testing.assert_array_equal(ColumnSampling().probabilities(target).ravel(), [0, 1])
