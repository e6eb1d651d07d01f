"""Block Krylov subspaces: orthonormality, breakdown, and what they gain over power iterations."""

import numpy as np
import pytest
from fixtures import rng
from scipy.sparse.linalg import LinearOperator

from tnattn.arrays import to_host
from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
from tnattn.linalg import orthonormalise
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.low_rank.krylov import BlockKrylov, KrylovSpace
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.sketches.adaptive import RowStart
from tnattn.structured.dense import Dense


def slow(m=100, n=80):
    return matrix_with_spectrum(polynomial_spectrum(min(m, n)), (m, n), rng())


def test_a_krylov_space_beats_power_iterations_of_the_same_products(seed):
    a = slow()
    krylov, power = (
        np.linalg.norm(a - method(a, rng=rng(seed)).to_dense()) - np.linalg.norm(polynomial_spectrum(80)[10:])
        for method in (BlockKrylov(10, 2, 2), RandomizedSVD(10, 2, 2))
    )
    assert 0 < krylov < 0.1 * power


def test_without_products_it_is_the_randomized_decomposition():
    a = slow()
    one, two = (method(a, rng=rng()).to_dense() for method in (BlockKrylov(10, 5, 0), RandomizedSVD(10, 5, 0)))
    np.testing.assert_allclose(one, two, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_basis_stays_orthonormal(xp, dtype):
    if dtype not in xp.dtypes:
        pytest.skip("no float64 there")
    a = xp.asarray(slow(), dtype)
    space = KrylovSpace(Dense(a), orthonormalise(a[:, :6]))
    for _ in range(8):
        assert space.extend()
    q = to_host(space.basis)
    assert q.shape == (100, 54)
    np.testing.assert_allclose(q.T @ q, np.eye(54), atol=100 * float(np.finfo(dtype).eps))
    np.testing.assert_allclose(to_host(space.image), to_host(a).T @ q, atol=100 * float(np.finfo(dtype).eps))


def test_a_full_space_does_not_grow():
    a = slow(20, 9)
    space = KrylovSpace(Dense(a), orthonormalise(a[:, :7]))
    assert space.extend()
    assert space.size == 9
    assert not space.extend()


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_an_invariant_space_is_filled_up_with_orthonormal_columns(rank):
    """The blocks vanish for a diagonal matrix of low rank, and what takes their place must not repeat the basis."""
    a = np.diag(np.r_[np.arange(1.0, 1 + rank), np.zeros(40 - rank)])
    result = BlockKrylov(5, 2, 3)(np.stack([a, slow(40, 40)]), rng=rng())
    np.testing.assert_allclose(result.u.mT @ result.u, np.broadcast_to(np.eye(5), (2, 5, 5)), atol=1e-13)
    np.testing.assert_allclose(result.to_dense()[0], a, atol=1e-13)


def test_a_restart_keeps_the_leading_triples():
    a = slow()
    space = KrylovSpace(Dense(a), orthonormalise(a[:, :8]))
    space.extend()
    before = space.truncated(5)
    space.restart(8)
    after = space.truncated(5)
    np.testing.assert_allclose(after.to_dense(), before.to_dense(), atol=1e-13)
    assert space.size == 8


@pytest.mark.parametrize("fields", [{"block": 4}, {"block": 4, "sketch": RowStart(2)}, {"sketch": RowStart()}])
def test_narrow_blocks_and_rows_give_the_rank_asked_for(xp, fields):
    a = xp.asarray(np.stack([slow(), slow()[::-1]]))
    result = BlockKrylov(10, 2, 2, **fields)(a, rng=rng())
    u = to_host(result.u)
    assert u.shape == (2, 100, 10)
    np.testing.assert_allclose(u.mT @ u, np.broadcast_to(np.eye(10), (2, 10, 10)), atol=100 * xp.eps())
    best = np.linalg.norm(polynomial_spectrum(80)[10:]) * 2**0.5
    assert np.linalg.norm(to_host(result.to_dense()) - to_host(a)) <= 1.3 * best


def test_narrow_blocks_buy_a_higher_degree_with_the_same_products(seed):
    a = slow()
    narrow, wide = (
        np.linalg.norm(a - method(a, rng=rng(seed)).to_dense())
        for method in (BlockKrylov(10, 0, 5, block=4), BlockKrylov(10, 2, 1))
    )
    assert narrow < wide


def test_blocks_that_do_not_span_the_rank_are_refused():
    with pytest.raises(ValueError, match="block 3 spans 9 columns in 3 blocks, fewer than rank 10; widen it"):
        BlockKrylov(10, 2, 2, block=3)


@pytest.mark.parametrize("fields", [{"block": 0}, {"power_iterations": -1}, {"block": 2.5}])
def test_counts_are_checked(fields):
    with pytest.raises((TypeError, ValueError), match=next(iter(fields))):
        BlockKrylov(2, **fields)


def spectra(m=60, n=50):
    """Return a fast spectrum, a faster one, a matrix of rank 3, and zero."""
    decays = (0.7 ** np.arange(n), 0.3 ** np.arange(n), np.r_[[3.0, 2.0, 1.0], np.zeros(n - 3)], np.zeros(n))
    return np.stack([matrix_with_spectrum(10.0**i * s, (m, n), rng(i)) for i, s in enumerate(decays)])


@pytest.mark.parametrize("fields", [{}, {"block": 3, "power_iterations": 9}], ids=["wide", "narrow"])
@pytest.mark.parametrize("rtol", [0.5, 0.05, 0.005])
def test_a_tolerance_takes_the_smallest_rank_that_meets_it(xp, rtol, fields):
    for dtype in xp.dtypes:
        a = spectra()
        result = BlockKrylov(25, rtol=rtol, **fields)(xp.asarray(a, dtype), rng=rng())
        size = np.linalg.norm(a, axis=(-2, -1))
        error = np.linalg.norm(a - to_host(result.to_dense()), axis=(-2, -1)) / np.where(size > 0, size, 1)
        s = np.linalg.svd(a, compute_uv=False)
        tails = np.sqrt(np.cumsum(s[:, ::-1] ** 2, axis=-1)[:, ::-1])
        best = np.sum(tails > rtol * size[:, None] + 1e-12, axis=-1)
        assert np.all(error <= rtol * 1.001)
        noise = 5 * np.finfo(dtype).eps ** 0.5
        np.testing.assert_allclose(to_host(result.residual), error, rtol=0.02, atol=noise)
        assert np.all(to_host(result.converged))
        assert np.all(to_host(result.ranks) - best <= [1, 1, 1, 0])
        assert np.all(to_host(result.ranks) >= best)
        assert result.storage == 110 * int(np.sum(to_host(result.ranks)))


def test_blocks_are_added_only_as_far_as_a_tolerance_takes():
    a, calls = matrix_with_spectrum(0.5 ** np.arange(80), (100, 80), rng()), []

    def product(x):
        calls.append(x.shape[-1])
        return a @ x

    counted = LinearOperator(a.shape, dtype=a.dtype, matvec=product, matmat=product, rmatmat=lambda y: a.T @ y)
    spent = []
    for rtol in (0.3, 0.003):
        calls.clear()
        BlockKrylov(60, power_iterations=30, block=4, rtol=rtol)(counted, rng=rng())
        assert calls.count(80) == 1  # the norm
        spent.append(calls.count(4))
    assert spent == [1, 3]


def test_a_tolerance_out_of_reach_keeps_the_leading_triples():
    a = slow()
    with pytest.warns(ToleranceWarning, match=r"rtol 0.01 is not met at rank 10 by 1 of the 1") as caught:
        result = BlockKrylov(10, rtol=0.01)(a, rng=rng())
    assert len(caught) == 1
    given = BlockKrylov(10)(a, rng=rng())
    np.testing.assert_allclose(result.to_dense(), given.to_dense(), atol=1e-10)
    np.testing.assert_allclose(result.residual, np.linalg.norm(a - given.to_dense()) / np.linalg.norm(a), rtol=1e-9)
    assert (int(result.ranks), bool(result.converged)) == (10, False)


@pytest.mark.parametrize("rtol, words", [(0.0, "0 < rtol < 1"), (1.0, "0 < rtol < 1"), (1e-9, "told from rounding")])
def test_an_impossible_tolerance_is_refused(rtol, words):
    with pytest.raises(ValueError, match=words):
        BlockKrylov(3, rtol=rtol)(slow(), rng=rng())
