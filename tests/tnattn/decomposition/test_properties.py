"""Properties of every decomposition, found by scanning, for tensors of any shape; new ones are included."""

import math

import numpy as np
import pytest
from fixtures import rng
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.decomposition.tucker.hosvd import HOSVD
from tnattn.decomposition.tucker.partial_tucker import PartialTucker
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.decomposition.tucker.tucker_truncation import TuckerTruncation
from tnattn.discovery import subclasses
from tnattn.structured.cp import CPTensor

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
shapes = st.lists(st.integers(1, 9), min_size=2, max_size=5).map(tuple).filter(lambda s: math.prod(s) <= 3000)

EVERY = subclasses("tnattn.decomposition", Decomposition)
# the largest rank of with_rank does not make sweeps exact that stop early
EXACT = [name for name, cls in EVERY.items() if cls.recovery <= Decomposition.recovery]
every_one = pytest.mark.parametrize("name", EVERY)


def run(method, x):
    return method(x, rng=rng())


def error(method, x):
    return np.linalg.norm(x - run(method, x).to_dense())


def tail(x, rows, rank):
    matrix = np.moveaxis(x, rows, range(len(rows))).reshape(math.prod(x.shape[j] for j in rows), -1)
    return np.linalg.norm(np.linalg.svd(matrix, compute_uv=False)[rank:])


@pytest.mark.parametrize("name", EXACT)
@quick
@given(shape=shapes)
def test_full_ranks_are_exact(name, shape):
    x = rng().standard_normal(shape)
    method = EVERY[name](order=len(shape)).with_rank(10**6, shape)
    if name in ("PartialTucker", "SharedFactors"):
        assert len(run(method, x).factors) == len(method.ranks)
    assert error(method, x) <= 1e-11 * np.linalg.norm(x)


@every_one
@quick
@given(shape=shapes, seed=st.integers(0, 99))
def test_a_tensor_of_rank_one_is_found_at_rank_one(name, shape, seed):
    parts = tuple(rng(seed + j).standard_normal((n, 1)) for j, n in enumerate(shape))
    x = CPTensor(np.ones(1), parts).to_dense()
    # padding raises the ranks of digits, and a product over digits is no product over modes
    rank = 1 if EVERY[name].recovers_rank else 10**6
    assert error(EVERY[name](order=len(shape)).with_rank(rank, shape), x) <= 1e-7 * np.linalg.norm(x)


@every_one
@quick
@given(shape=shapes, rank=st.integers(1, 9), seed=st.integers(0, 99))
def test_no_result_is_worse_than_nothing_and_the_certificate_is_sound(name, shape, rank, seed):
    x, limit = rng(seed).standard_normal(shape), math.prod(shape) // max(shape)
    method = EVERY[name](order=len(shape)).with_rank(min(rank, limit), shape)
    result, size = run(method, x), np.linalg.norm(x)
    true = np.linalg.norm(x - result.to_dense())
    assert result.storage > 0
    assert hasattr(result, "error_certificate") == EVERY[name].certifies
    if EVERY[name].certifies:
        assert true <= min(result.error_certificate, size) + 1e-7 * size


QUASI_OPTIMAL = [cls for cls in EVERY.values() if cls.quasi_optimal]


@pytest.mark.parametrize("cls", [cls for cls in QUASI_OPTIMAL if issubclass(cls, TuckerTruncation)])
@quick
@given(shape=shapes, rank=st.integers(1, 9), seed=st.integers(0, 99))
def test_tucker_errors_are_within_the_root_of_the_order_of_the_best(cls, shape, rank, seed):
    x = rng(seed).standard_normal(shape)
    method = cls(order=len(shape)).with_rank(rank, shape)
    tails = [tail(x, (j,), r) for j, r in enumerate(method.ranks)]
    slack = 1e-12 * np.linalg.norm(x)
    assert max(tails) - slack <= error(method, x) <= np.linalg.norm(tails) + slack
    assert np.linalg.norm(tails) <= len(shape) ** 0.5 * max(tails) + slack


@st.composite
def turns(draw):
    """A tensor, a permutation of its modes and a rank."""
    shape = draw(shapes)
    permutation = tuple(draw(st.permutations(range(len(shape)))))
    return rng(draw(st.integers(0, 99))).standard_normal(shape), permutation, draw(st.integers(1, 9))


@quick
@given(case=turns())
def test_the_order_of_the_modes_does_not_matter_to_hosvd(case):
    x, permutation, rank = case
    method = HOSVD(order=x.ndim).with_rank(rank, x.shape)
    turned = HOSVD(order=x.ndim).with_rank(rank, tuple(x.shape[j] for j in permutation))
    expected = np.transpose(run(method, x).to_dense(), permutation)
    found = run(turned, np.transpose(x, permutation)).to_dense()
    assert np.linalg.norm(found - expected) <= 1e-7 * np.linalg.norm(x)


@quick
@given(case=turns())
def test_sthosvd_turns_with_the_tensor_if_the_modes_are_truncated_in_the_same_order(case):
    x, permutation, rank = case
    order = tuple(range(x.ndim))
    method = STHOSVD(order=x.ndim, mode_order=order).with_rank(rank, x.shape)
    places = tuple(permutation.index(j) for j in order)
    turned = STHOSVD(order=x.ndim, mode_order=places).with_rank(rank, tuple(x.shape[j] for j in permutation))
    expected = np.transpose(run(method, x).to_dense(), permutation)
    found = run(turned, np.transpose(x, permutation)).to_dense()
    assert np.linalg.norm(found - expected) <= 1e-7 * np.linalg.norm(x)


@quick
@given(case=turns())
def test_a_basis_of_one_mode_turns_with_the_tensor(case):
    x, permutation, rank = case
    method = PartialTucker(order=x.ndim, modes=(permutation[0],)).with_rank(rank, x.shape)
    turned = PartialTucker(order=x.ndim, modes=(0,)).with_rank(rank, tuple(x.shape[j] for j in permutation))
    expected = np.transpose(run(method, x).to_dense(), permutation)
    assert np.linalg.norm(run(turned, np.transpose(x, permutation)).to_dense() - expected) <= 1e-7 * np.linalg.norm(x)


def test_the_order_of_the_modes_matters_to_a_train():
    """Negative control: trains are tied to their order, and the comparisons above can fail."""
    x = rng().standard_normal((4, 5, 6))
    turned = run(TTSVD(2), np.transpose(x, (2, 0, 1))).to_dense()
    assert np.abs(np.transpose(turned, (1, 2, 0)) - run(TTSVD(2), x).to_dense()).max() > 1e-2


def test_a_rank_too_low_is_not_exact():
    """Negative control for exactness: no decomposition reproduces noise at rank one."""
    x = rng().standard_normal((4, 5, 6))
    assert all(error(cls().with_rank(1, x.shape), x) > 0.1 for cls in EVERY.values())
