"""Eigenvalue problems: order, edges of the number of pairs, and the road each size takes."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.linalg import eigenvalues
from tnattn.linalg.eigenvalues import eigh, leading_eigh

both = pytest.mark.parametrize("dtype", ["float32", "float64"])


def symmetric(*shape, seed=0):
    """Return a stack of symmetric matrices with entries of very different size from one matrix to the next."""
    a = np.random.default_rng(seed).standard_normal((*shape, shape[-1]))
    sizes = 10.0 ** np.arange(np.prod(shape[:-1], dtype=int)).reshape(*shape[:-1], 1, 1)
    return (a + a.mT) * sizes


def residual(a, values, vectors):
    """Return |A V - V diag(w)| over |A|, the largest of a stack, in float64."""
    host, w, v = (to_host(x).astype(np.float64) for x in (a, values, vectors))
    gap = np.abs(host @ v - v * w[..., None, :]).max(axis=(-2, -1))
    return float((gap / np.abs(host).max(axis=(-2, -1))).max(initial=0))


@both
@pytest.mark.parametrize("shape", [(5,), (3, 6), (2, 2, 4)], ids=str)
def test_eigenpairs_are_those_of_every_matrix_of_a_stack(xp, dtype, shape):
    a = xp.asarray(symmetric(*shape), dtype)
    values, vectors = eigh(a)
    host = to_host(vectors).astype(np.float64)
    eps = float(np.finfo(to_host(a).dtype).eps)
    assert values.dtype == vectors.dtype == a.dtype
    assert (values.shape, vectors.shape) == (a.shape[:-1], a.shape)
    assert (np.diff(to_host(values), axis=-1) >= 0).all()
    assert residual(a, values, vectors) <= 50 * eps
    assert np.abs(host.mT @ host - np.eye(shape[-1])).max() <= 50 * eps


@both
@pytest.mark.parametrize("exponent", [-100, 100])
def test_eigenvalues_grow_with_a_power_of_two(xp, dtype, exponent):
    host = symmetric(6)
    values = to_host(eigh(xp.asarray(host, dtype))[0])
    found = to_host(eigh(xp.asarray(np.ldexp(host, exponent), dtype))[0])
    np.testing.assert_allclose(np.ldexp(found, -exponent), values, rtol=0, atol=1e3 * np.finfo(found.dtype).eps)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)], ids=str)
def test_empty_stacks_have_empty_eigenpairs(xp, shape):
    a = xp.asarray(np.zeros((*shape, shape[-1])))
    values, vectors = eigh(a)
    assert (tuple(values.shape), tuple(vectors.shape)) == (shape, (*shape, shape[-1]))


@both
@pytest.mark.parametrize("keep", [1, 2, 3, 5, 6, 23, 24])
def test_leading_pairs_are_the_last_ones_backwards(xp, dtype, keep):
    a = xp.asarray(symmetric(3, 24), dtype)
    values, vectors = leading_eigh(a, keep=keep)
    eps = float(np.finfo(to_host(a).dtype).eps)
    expected = np.linalg.eigvalsh(to_host(a).astype(np.float64))[:, ::-1][:, :keep]
    assert (tuple(values.shape), tuple(vectors.shape)) == ((3, keep), (3, 24, keep))
    np.testing.assert_allclose(to_host(values) / expected[:, :1], expected / expected[:, :1], atol=100 * eps)
    assert residual(a, values, vectors) <= 100 * eps


@pytest.mark.parametrize("shape", [(4, 1), (5,), (2, 3, 4)], ids=str)
def test_all_pairs_are_the_whole_problem_backwards(xp, shape):
    a = xp.asarray(symmetric(*shape))
    for ours, whole in zip(leading_eigh(a, keep=shape[-1]), eigh(a), strict=True):
        np.testing.assert_array_equal(to_host(ours), to_host(whole)[..., ::-1])


@pytest.mark.parametrize("keep", [0, -1, 7])
def test_a_number_of_pairs_outside_the_side_is_refused(xp, keep):
    with pytest.raises(ValueError, match=rf"keep {keep} is outside 1 \.\.\. n = 6; reduce keep"):
        leading_eigh(xp.asarray(symmetric(2, 6)), keep=keep)


@pytest.mark.parametrize(
    "n, keep, whole", [(16, 1, False), (16, 2, False), (16, 3, True), (17, 2, False), (15, 2, True)]
)
def test_an_eighth_of_the_pairs_is_found_without_the_others(monkeypatch, n, keep, whole):
    calls, plain = [], eigenvalues.eigh
    monkeypatch.setattr(eigenvalues, "eigh", lambda a: calls.append(a.shape) or plain(a))
    leading_eigh(symmetric(n), keep=keep)
    assert bool(calls) == whole


def test_the_host_leaves_the_scaling_to_lapack(monkeypatch):
    monkeypatch.setattr(eigenvalues, "binary_scale", None)
    assert eigh(symmetric(3, 4))[0].shape == (3, 4)


def test_the_number_of_pairs_is_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        leading_eigh(symmetric(4), 2)
