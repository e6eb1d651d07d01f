"""Simultaneous diagonalisation finds a tensor of the rank at once, and is a start otherwise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name
from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.diagonalisation import DiagonalisationStart
from tnattn.decomposition.cp.start import GaussianStart
from tnattn.structured.cp import CPTensor

START = DiagonalisationStart()


def of_rank(sizes, rank, seed=0, batch=()):
    rng = np.random.default_rng(seed)
    return CPTensor(np.ones(rank), tuple(rng.standard_normal((*batch, n, rank)) for n in sizes)).to_dense()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_tensor_of_the_rank_is_found_in_one_sweep(data):
    rank = data.draw(st.integers(1, 5))
    sizes = data.draw(
        st.permutations([rank + 1, rank + 2, *data.draw(st.lists(st.integers(2, 4), min_size=1, max_size=2))])
    )
    x = of_rank(sizes, rank, data.draw(st.integers(0, 20)))
    result = CPALS(rank=rank, sweeps=1, start=START, order=len(sizes))(x)
    assert result.error_certificate <= 1e-6 * np.linalg.norm(x)


def test_the_factors_are_those_of_the_tensor():
    rng = np.random.default_rng(0)
    planted = [rng.standard_normal((n, 3)) for n in (5, 6, 4)]
    found = START.factors(CPTensor(np.ones(3), tuple(planted)).to_dense(), rank=3, order=3, rng=None)
    for true, own in zip(planted, found, strict=True):
        cosines = np.abs((true / np.linalg.norm(true, axis=0)).T @ (own / np.linalg.norm(own, axis=0)))
        np.testing.assert_allclose(np.sort(cosines.max(axis=1)), 1, atol=1e-10)


def test_nearly_parallel_columns_are_told_apart_where_sweeps_creep():
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky(0.99 + 0.01 * np.eye(4)).T
    x = CPTensor(np.ones(4), tuple(np.linalg.qr(rng.standard_normal((9, 4)))[0] @ root for _ in range(3))).to_dense()
    at_once = CPALS(rank=4, sweeps=2, stagnation=0, start=START)(x).errors[-1]
    creeping = CPALS(rank=4, sweeps=50, stagnation=0, start=GaussianStart())(x, rng=np.random.default_rng(1)).errors[-1]
    assert at_once < 1e-8 < 1e-4 < creeping


def test_noise_leaves_a_good_start(seed):
    x = of_rank((8, 9, 10), 3, seed)
    noise = 1e-2 * np.random.default_rng(seed).standard_normal(x.shape)
    result = CPALS(rank=3, sweeps=20, start=START)(x + noise)
    assert result.error_certificate <= 1.05 * np.linalg.norm(noise)


def test_pure_noise_with_complex_pairs_gives_real_factors(seed):
    x = np.random.default_rng(seed).standard_normal((6, 7, 8))
    factors = START.factors(x, rank=5, order=3, rng=None)
    assert all(np.isrealobj(u) and np.isfinite(u).all() for u in factors)
    assert [u.shape for u in factors] == [(6, 5), (7, 5), (8, 5)]


def test_a_stack_is_started_as_its_members_are():
    x = np.stack([of_rank((5, 6, 4), 3, s) for s in range(3)])
    result = CPALS(rank=3, sweeps=1, start=START)(x)
    assert np.all(result.error_certificate <= 1e-7 * np.linalg.norm(x))


def test_every_library_finds_the_tensor(xp):
    x = of_rank((5, 6, 4), 3)
    result = CPALS(rank=3, sweeps=2, start=START)(xp.asarray(x))
    assert dtype_name(result.weights.dtype) == xp.dtype
    assert float(result.error_certificate) <= 1e6 * xp.eps() * np.linalg.norm(x)


def test_a_zero_tensor_is_no_obstacle():
    assert CPALS(rank=2, start=START)(np.zeros((3, 4, 5))).error_certificate == 0


@pytest.mark.parametrize("sizes, rank", [((3, 3, 9), 4), ((5, 6), 2), ((5, 6, 1), 2)], ids=str)
def test_ranks_that_cannot_be_diagonalised_are_refused(sizes, rank):
    with pytest.raises(ValueError, match="too large to diagonalise"):
        START.factors(np.ones(sizes), rank=rank, order=len(sizes), rng=None)


def test_too_few_terms_are_not_exact():
    """Negative control for the recovery."""
    x = of_rank((5, 6, 4), 3)
    assert CPALS(rank=2, sweeps=1, start=START)(x).error_certificate > 1e-3 * np.linalg.norm(x)
