import numpy as np
import pytest

from tnattn.decomposition.subspace import leading_subspace, mode_subspace
from tnattn.linalg import leading_eigh

EPS = np.finfo(float).eps


def with_spectrum(s, m, n, seed=0):
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.standard_normal((k, len(s))))[0] for k in (m, n))
    return (u * np.asarray(s)) @ v.T


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (10, 10), (40, 200), (200, 40)], ids=str)
@pytest.mark.parametrize("decay", [0.9, 0.3, 1e-3], ids=str)
def test_what_is_left_is_the_tail_of_the_singular_values(shape, decay):
    a = with_spectrum(decay ** np.arange(8), *shape)
    found = leading_subspace(a, rank=3)
    tail = np.linalg.norm(np.linalg.svd(a, compute_uv=False)[3:])
    left = np.linalg.norm(a - found.basis @ (found.basis.T @ a))
    assert left == pytest.approx(tail, rel=1e-9, abs=20 * EPS)
    assert found.discarded**0.5 == pytest.approx(tail, rel=1e-3, abs=20 * EPS)


@pytest.mark.parametrize("shape", [(20, 60), (60, 20)], ids=str)
def test_directions_far_below_the_root_of_the_rounding_unit_are_found(shape):
    a = with_spectrum([1.0, 1e-10, 1e-13], *shape)
    found = leading_subspace(a, rank=2)
    assert np.linalg.norm(a - found.basis @ (found.basis.T @ a)) < 2e-13


def test_a_gram_matrix_alone_would_lose_them():
    """Negative control: the same without the direct factorization."""
    a = with_spectrum([1.0, 1e-10, 1e-13], 20, 60)
    basis = leading_eigh(a @ a.T, keep=2)[1]
    assert np.linalg.norm(a - basis @ (basis.T @ a)) > 1e-11


@pytest.mark.parametrize("shape", [(8, 30), (30, 8)], ids=str)
@pytest.mark.parametrize("energy", [1e-1, 1e-3, 1e-8, 1e-20])
def test_the_smallest_rank_that_keeps_the_energy_is_taken(shape, energy):
    s = 0.5 ** np.arange(8)
    found = leading_subspace(with_spectrum(s, *shape), energy=np.asarray(energy))
    expected = max(1, next(r for r in range(9) if np.sum(s[r:] ** 2) <= energy))
    assert found.ranks == expected == found.basis.shape[-1]
    assert found.discarded <= energy


def test_ranks_of_a_stack_differ_and_padding_is_zero():
    a = np.stack([with_spectrum([1.0, 0.5, 0.25], 6, 9), with_spectrum([1.0, 1e-9, 1e-9], 6, 9), np.zeros((6, 9))])
    found = leading_subspace(a, energy=np.full(3, 1e-3))
    assert found.ranks.tolist() == [3, 1, 1]
    assert not found.basis[1:, :, 1:].any()


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_a_mode_is_its_unfolding(mode, seed):
    x = np.random.default_rng(seed).standard_normal((2, 5, 6, 7))
    rows = np.moveaxis(x, 1 + mode, 1).reshape(2, x.shape[1 + mode], -1)
    ours, theirs = mode_subspace(x, mode, order=3, rank=2).basis, leading_subspace(rows, rank=2).basis
    np.testing.assert_allclose(ours @ ours.mT, theirs @ theirs.mT, atol=1e-12)


@pytest.mark.parametrize("keep", [1, 3, 20, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_leading_eigenpairs_are_those_of_the_whole_decomposition(keep, dtype):
    rows = np.random.default_rng(0).standard_normal((2, 40, 90)).astype(dtype)
    a = rows @ rows.mT
    values, vectors = leading_eigh(a, keep=keep)
    tolerance = 100 * np.finfo(dtype).eps * np.linalg.norm(a, axis=(1, 2)).max()
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a)[:, ::-1][:, :keep], atol=tolerance)
    np.testing.assert_allclose(a @ vectors, vectors * values[:, None], atol=tolerance)
    np.testing.assert_allclose(vectors.mT @ vectors, np.broadcast_to(np.eye(keep), (2, keep, keep)), atol=tolerance)
    assert vectors.dtype == values.dtype == dtype


def test_more_eigenpairs_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"keep 5 is outside 1 ... n = 4"):
        leading_eigh(np.eye(4), keep=5)
