"""Leverage scores and samples."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import to_host
from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.scores.leverage import (
    LeverageSampling,
    coherence,
    leverage_scores,
    sample_indices,
    sketched_leverage_scores,
)
from tnattn.randnla.scores.ridge_leverage import (
    effective_dimension,
    kernel_ridge_leverage_scores,
    ridge_leverage_scores,
)
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.structured.low_rank import LowRank


def test_scores_are_the_diagonal_of_the_projector(xp, assert_close):
    a = rng().standard_normal((2, 15, 4))
    desired = np.diagonal(a @ np.linalg.pinv(a), axis1=-2, axis2=-1)
    given = xp.asarray(a)
    assert_close(leverage_scores(given), desired, rtol=0, atol=100 * xp.eps())
    assert leverage_scores(given).dtype == given.dtype


def test_scores_of_a_rank_deficient_matrix_add_up_to_its_rank():
    a = rng().standard_normal((20, 2)) @ rng(1).standard_normal((2, 6))
    np.testing.assert_allclose(leverage_scores(a).sum(), 2.0)
    assert leverage_scores(np.zeros((5, 3))).tolist() == [0.0] * 5


def test_leading_scores_use_the_leading_subspace():
    a = matrix_with_spectrum(polynomial_spectrum(10), (30, 10), rng())
    u = np.linalg.svd(a, full_matrices=False)[0][:, :3]
    np.testing.assert_allclose(leverage_scores(a, rank=3), (u**2).sum(axis=-1), atol=1e-13)


def test_scores_survive_a_condition_number_beyond_the_square_root_of_eps():
    """Through the Gram matrix the small direction, and with it the unit score, would be lost."""
    a = np.zeros((6, 2))
    a[:5, 0] = 1.0
    a[5, 1] = 1e-10
    np.testing.assert_allclose(leverage_scores(a), [0.2] * 5 + [1.0], atol=1e-6)


def test_indices_follow_the_weights():
    weights = np.array([0.0, 1.0, 3.0, 0.0])
    drawn = sample_indices(weights, rng().random(20_000))
    counts = np.bincount(drawn, minlength=4)
    assert counts[0] == counts[3] == 0
    assert abs(counts[1] - 5000) < 5 * np.sqrt(20_000 * 3 / 16)


def test_indices_of_a_stack_are_those_of_each_row():
    weights = rng().random((3, 7))
    uniforms = rng(1).random(50)
    together = sample_indices(weights, uniforms)
    assert np.array_equal(together, np.stack([sample_indices(w, uniforms) for w in weights]))


def test_indices_without_weight_are_drawn_in_no_row_of_a_stack(xp):
    weights = np.array([[0.0, 2.0, 0.0, 1e-3, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 7.0, 0.0, 0.0]])
    uniforms = np.concatenate([[0.0, 1 - 2.0**-23], rng().random(2000)])
    drawn = to_host(sample_indices(xp.asarray(weights), xp.asarray(uniforms)))
    assert set(drawn[0].tolist()) == {1, 3}
    assert set(drawn[1].tolist()) == {4}
    assert set(drawn[2].tolist()) == {2}


def test_a_sample_preserves_the_gram_matrix_on_average():
    a = rng().standard_normal((12, 2)) * np.array([[10.0]] + [[1.0]] * 11)
    method, generator = LeverageSampling(size=5), rng(3)
    draws = np.stack([s @ s.T for s in ((method(a, rng=generator) @ a).T for _ in range(1000))])
    z = (draws.mean(axis=0) - a.T @ a) / (draws.std(axis=0) / np.sqrt(1000))
    assert np.abs(z).max() < 5.5  # four entries at level 1e-6 each, with room for the tails


def test_samples_are_sparse_on_every_library(xp, assert_close):
    a = xp.asarray(rng().standard_normal((2, 9, 2)))
    sample = LeverageSampling(size=6)(a, rng=rng())
    assert sample.shape == (2, 6, 9)
    assert sample.storage == 24
    assert_close(sample @ a, to_host(sample.to_dense()) @ to_host(a), rtol=0, atol=100 * xp.eps())


def test_samples_of_a_zero_matrix_are_zero():
    assert np.all(LeverageSampling(size=3)(np.zeros((4, 2)), rng=rng()).to_dense() == 0)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: LeverageSampling(size=0), "size is 0"),
        (lambda: leverage_scores(np.eye(5), rank=6), "rank 6 exceeds"),
    ],
)
def test_impossible_parameters_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_without_a_generator_it_raises():
    with pytest.raises(TypeError, match="pass rng"):
        LeverageSampling()(np.eye(16))


@pytest.mark.parametrize("sketch", [Gaussian(), SparseSign()], ids=repr)
def test_sketched_scores_are_right_up_to_the_distortion_of_the_sketch(xp, sketch):
    a = rng().standard_normal((2, 500, 4))
    a[0, 3] *= 40.0  # a coherent matrix
    exact = leverage_scores(a)
    made = to_host(sketched_leverage_scores(xp.asarray(a), sketch=sketch, size=160, rng=rng(1)))
    assert np.all(np.abs(np.log(made / exact)) < np.log(2))
    assert not np.allclose(made, exact, rtol=1e-3)


def test_a_sketch_of_all_rows_gives_exact_scores():
    a = rng().standard_normal((30, 4))
    made = sketched_leverage_scores(a, sketch=Gaussian(), size=30)
    np.testing.assert_allclose(made, leverage_scores(a))


def test_sketched_scores_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match="size 3 is smaller"):
        sketched_leverage_scores(rng().standard_normal((30, 4)), sketch=Gaussian(), size=3, rng=rng())
    with pytest.raises(ValueError, match="singular"):
        sketched_leverage_scores(np.ones((30, 4)), sketch=Gaussian(), size=9, rng=rng())


def test_coherence_lies_between_one_and_the_quotient_of_the_sizes():
    flat = np.kron(np.ones((5, 1)), np.eye(2))
    spiky = np.eye(10, 2)
    np.testing.assert_allclose(coherence(np.stack([flat, spiky])), [1.0, 5.0])
    assert coherence(np.zeros((4, 2))) == 0.0


KERNEL = np.diag([3.0, 2.0, 1.0])
SCORES = {
    "leverage": leverage_scores,
    "coherence": coherence,
    "ridge leverage": lambda a: ridge_leverage_scores(a, ridge=0.1),
    "kernel ridge leverage": lambda a: kernel_ridge_leverage_scores(a, ridge=0.1),
    "effective dimension": lambda a: effective_dimension(a, ridge=0.1),
}
KERNEL_SCORES = list(SCORES)[3:]


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(
    "a, error, words",
    [
        (np.full((3, 3), np.nan), ValueError, "9 NaN"),
        (np.ones((3, 3), dtype=int), TypeError, "floating"),
        (np.ones(3), ValueError, "at least two axes"),
        (np.ones((0, 3)), ValueError, "length 0"),
    ],
    ids=["NaN", "integers", "vector", "empty"],
)
def test_scores_of_bad_input_are_refused(name, a, error, words):
    with pytest.raises(error, match=words):
        SCORES[name](a)


@pytest.mark.parametrize("name", KERNEL_SCORES)
@pytest.mark.parametrize(
    "a, words",
    [
        (np.ones((3, 2)), "square"),
        (np.triu(np.ones((3, 3))), "not symmetric"),
        (np.diag([1.0, 1.0, -0.1]), "not positive semidefinite"),
    ],
    ids=["rectangular", "asymmetric", "indefinite"],
)
def test_scores_of_what_is_no_kernel_are_refused(name, a, words):
    with pytest.raises(ValueError, match=words):
        SCORES[name](a)


@pytest.mark.parametrize("name", SCORES)
def test_scores_of_an_implicit_matrix_are_those_of_the_dense_one(name):
    given = LowRank(KERNEL, np.eye(3))
    np.testing.assert_allclose(SCORES[name](given), SCORES[name](KERNEL))


@pytest.mark.parametrize("power", [0, -530, 500])
@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (2, 9, 4)])
def test_a_relative_ridge_is_in_units_of_the_mean_square(shape, power):
    a = np.random.default_rng(0).standard_normal(shape)
    squares = np.linalg.svd(a, compute_uv=False) ** 2
    ridges = np.atleast_1d(0.3 * squares.mean(axis=-1))
    expected = [ridge_leverage_scores(x, ridge=r) for x, r in zip(a.reshape(-1, *shape[-2:]), ridges, strict=True)]
    found = ridge_leverage_scores(np.ldexp(a, power), ridge=0.3, relative=True)
    np.testing.assert_allclose(found, np.reshape(expected, found.shape), rtol=1e-12)
    assert np.abs(found - ridge_leverage_scores(a, ridge=0.3)).max() > 0.1  # the unit matters


def test_zeros_have_no_leverage_at_a_relative_ridge():
    a = np.random.default_rng(0).standard_normal((2, 9, 4))
    a[0] = 0
    found = ridge_leverage_scores(a, ridge=0.3, relative=True)
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_allclose(found[1], ridge_leverage_scores(a[1], ridge=0.3, relative=True), rtol=1e-12)
