"""Sampled keys: unbiased masses, exact variances, and what a summary keeps."""

import numpy as np
import pytest
from fixtures import run

from tnattn.arrays import to_host
from tnattn.attention.masks import CausalMask, UnsupportedMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.summary import KeySet


def problem(*, n_q=5, n_k=12, size=1.0, dtype="float64", as_=np.asarray, heads=(4, 2)):
    rng = np.random.default_rng(0)
    shapes = ((heads[0], n_q, 3), (heads[1], n_k, 3), (heads[1], n_k, 2))
    q, k, v = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    return AttentionProblem(as_(np.asarray(size, dtype=dtype) * q), as_(k), as_(v))


def repeated(target, trials):
    """The problem as a batch of itself: every copy gets its own draw."""
    return AttentionProblem(*(np.broadcast_to(x, (trials, *x.shape)) for x in (target.q, target.k, target.v)))


def test_probabilities_mix_value_norms_with_the_uniform_distribution():
    values = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 15.0]])
    np.testing.assert_allclose(ValueSampling(uniform=0.3).probabilities(values), [0.275, 0.1, 0.625])
    np.testing.assert_allclose(ValueSampling(uniform=0.3).probabilities(1e300 * values), [0.275, 0.1, 0.625])
    np.testing.assert_allclose(ValueSampling(uniform=0).probabilities(0 * values), [1 / 3] * 3)


@pytest.mark.parametrize("uniform", [0.0, 0.2, 1.0])
def test_the_mean_squared_error_with_exact_row_sums_is_the_formula(uniform):
    target = problem(heads=(1, 1))
    method = ValueSampling(4, uniform=uniform, normalise=False)
    weights, v = target.dense_weights()[0], target.v[0]
    p = method.probabilities(v)
    expected = ((weights**2 * (v**2).sum(-1) / p).sum(-1) - (target.output[0] ** 2).sum(-1)) / 4
    trials = 4000
    squares = ((run(method, repeated(target, trials)).output[:, 0] - target.output[0]) ** 2).sum(-1)
    deviation = np.std(squares, axis=0) / trials**0.5
    assert (np.abs(np.mean(squares, axis=0) - expected) < 6 * deviation).all()


def test_the_formula_of_other_probabilities_would_be_refuted():
    target = problem(heads=(1, 1))
    weights, v = target.dense_weights()[0], target.v[0]
    wrong = ((weights**2 * (v**2).sum(-1) * 12).sum(-1) - (target.output[0] ** 2).sum(-1)) / 4
    right = (weights**2 * (v**2).sum(-1) / ValueSampling(uniform=0).probabilities(v)).sum(-1) / 4
    right = right - (target.output[0] ** 2).sum(-1) / 4
    assert np.abs(wrong / right - 1).max() > 0.2


def test_the_estimated_mass_is_unbiased():
    target = problem()
    exact = np.exp(target.weights.log_mass)
    masses = np.exp(run(ValueSampling(6), repeated(target, 3000)).log_mass)
    deviation = np.std(masses, axis=0) / 3000**0.5
    assert (np.abs(np.mean(masses, axis=0) - exact) < 6 * deviation).all()


def test_errors_fall_like_the_square_root_of_the_samples():
    target = problem(n_q=20, n_k=60)
    errors = [np.linalg.norm(run(ValueSampling(m), repeated(target, 20)).output - target.output) for m in (50, 5000)]
    assert 6 < errors[0] / errors[1] < 16


def test_values_of_one_give_one():
    target = problem()
    ones = AttentionProblem(target.q, target.k, np.ones_like(target.v))
    np.testing.assert_allclose(run(ValueSampling(3), ones).output, 1, rtol=1e-14)


def test_exact_row_sums_do_not_give_one():
    target = problem()
    ones = AttentionProblem(target.q, target.k, np.ones_like(target.v))
    assert np.abs(run(ValueSampling(3, normalise=False), ones).output - 1).max() > 0.1


def test_halves_of_the_keys_merge_towards_softmax():
    target = problem()
    rows, parts = slice(0, 5), (slice(0, 8), slice(8, 12))
    errors = []
    for samples in (30, 3000, 300_000):
        first, second = (run(ValueSampling(samples), target.rectangle(rows, part)).placed(part, 12) for part in parts)
        errors.append(np.abs((first + second).output - target.output).max())
    assert errors[2] < 0.01 < errors[0]
    assert errors[0] > errors[1] > errors[2]


def test_a_summary_answers_queries_later():
    target = problem()
    summary = ValueSampling(7).summarise(KeySet.of(target), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(summary.attend(target.q).output, run(ValueSampling(7), target).output)


def test_a_summary_keeps_the_samples_only():
    keys = KeySet.of(problem(n_k=500))
    small, whole = (
        ValueSampling(7, normalise=normalise).summarise(keys, rng=np.random.default_rng(0)).nbytes
        for normalise in (True, False)
    )
    assert small == 2 * 7 * (3 + 2 + 1 + 1) * 8
    assert whole == small + 2 * 500 * (3 + 2) * 8


def test_weights_lift_to_the_original_keys():
    target = problem()
    found = run(ValueSampling(7), target)
    lifted = (found.weights.to_dense() @ target.values).reshape(4, 5, 2)
    np.testing.assert_allclose(lifted, found.output, atol=1e-14)


@pytest.mark.parametrize("normalise", [True, False])
def test_huge_scores_stay_finite(normalise):
    found = run(ValueSampling(7, normalise=normalise), problem(size=1e5, dtype="float32"))
    assert found.output.dtype == np.float32
    assert np.isfinite(found.output).all()


def test_every_ring_gives_the_same(xp, assert_close):
    method = ValueSampling(7, uniform=0.5)
    found = run(method, problem(as_=xp.asarray)).output
    if xp.dtype == "float64":  # float32 rounds the cumulative weights, and may draw a neighbour
        assert_close(found, xp.asarray(run(method, problem()).output), rtol=0, atol=1e-13)
    assert np.isfinite(to_host(found)).all()


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    target = problem()
    np.testing.assert_array_equal(run(ValueSampling(3), target, 1).output, run(ValueSampling(3), target, 1).output)
    assert np.abs(run(ValueSampling(3), target, 1).output - run(ValueSampling(3), target, 2).output).max() > 0


def test_a_generator_is_needed():
    with pytest.raises(TypeError, match="ValueSampling is randomized"):
        ValueSampling(3)(problem())


def test_masks_are_refused():
    target = problem()
    with pytest.raises(UnsupportedMask, match="wrap it in Causal"):
        run(ValueSampling(), AttentionProblem(target.q, target.k, target.v, mask=CausalMask()))


def test_softcaps_are_refused():
    target = problem()
    with pytest.raises(ValueError, match="softcap"):
        run(ValueSampling(), AttentionProblem(target.q, target.k, target.v, softcap=2.0))


@pytest.mark.parametrize("options", [{"samples": 0}, {"uniform": 1.1}, {"uniform": -0.1}])
def test_impossible_parameters_are_refused(options):
    with pytest.raises(ValueError, match="samples must|uniform must"):
        ValueSampling(**options)


def test_the_cost_is_that_of_the_samples():
    target = problem()
    assert ValueSampling(7).cost(target).flops == 2 * 4 * 5 * 7 * (3 + 2 + 1) + 3 * 2 * 12 * 2
    extra = ValueSampling(7, normalise=False).cost(target).flops - ValueSampling(7).cost(target).flops
    assert extra == 2 * 4 * 5 * 12 * 3
