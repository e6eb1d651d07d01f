"""Terms of weight zero: least squares leaves them at zero for ever."""

import numpy as np
import pytest

from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.cp_leverage import CPLeverage
from tnattn.decomposition.cp.start import GivenStart
from tnattn.decomposition.cp.vanished_terms import revived


def diagonal(values, sizes=(4, 5, 6)):
    x = np.zeros(sizes)
    for place, value in enumerate(values):
        x[(place,) * len(sizes)] = value
    return x


def swapped(sizes=(4, 5, 6)):
    """Columns whose Khatri-Rao products are orthogonal to a diagonal tensor."""
    return tuple(np.eye(n)[:, [1, 0] if j == 2 else [0, 1]] for j, n in enumerate(sizes))


def test_a_start_orthogonal_to_the_tensor_recovers_it():
    x = diagonal([2.0, 1.0])
    result = CPALS(rank=2, start=GivenStart(swapped()))(x)
    np.testing.assert_allclose(result.to_dense(), x, atol=1e-12)
    assert result.errors[0] == 1


def test_each_tensor_of_a_stack_gets_the_terms_that_it_lacks():
    rng = np.random.default_rng(0)
    generic = np.einsum("ir,jr,kr->ijk", *(rng.standard_normal((n, 2)) for n in (4, 5, 6)))
    x = np.stack([diagonal([2.0, 1.0]), diagonal([1.0]), np.zeros((4, 5, 6)), generic])
    starts = tuple(
        np.stack([u, u, u, np.random.default_rng(j).standard_normal(u.shape)]) for j, u in enumerate(swapped())
    )
    result = CPALS(rank=2, start=GivenStart(starts), sweeps=200)(x)
    np.testing.assert_allclose(result.to_dense(), x, atol=1e-3)
    np.testing.assert_allclose(result.to_dense()[:3], x[:3], atol=1e-12)


def test_terms_without_weight_get_the_leading_vectors_of_the_residual():
    x = diagonal([5.0, 3.0, 2.0])
    e = [np.eye(n) for n in x.shape]
    factors = [np.stack([u[:, 0], 0 * u[:, 0], 0 * u[:, 0]], axis=-1) for u in e]
    found = revived(x, np.array([5.0, 0, 0]), factors, np.array(25.0), active=np.array(True))
    for u, old, new in zip(e, factors, found, strict=True):
        np.testing.assert_array_equal(new[:, 0], old[:, 0])
        np.testing.assert_allclose(np.abs(new[:, 1:]), u[:, 1:3], atol=1e-12)


@pytest.mark.parametrize(
    "weights, captured, active",
    [((5.0, 1.0, 1.0), 25.0, True), ((5.0, 0.0, 0.0), 38 * (1 - 1e-9), True), ((5.0, 0.0, 0.0), 25.0, False)],
    ids=["none has vanished", "only rounding is left", "the fit has ended"],
)
def test_nothing_else_is_touched(weights, captured, active):
    x = diagonal([5.0, 3.0, 2.0])
    factors = [np.eye(n)[:, :3] for n in x.shape]
    found = revived(x, np.array(weights), factors, np.array(captured), active=np.array(active))
    assert all(new is old for new, old in zip(found, factors, strict=True))


@pytest.mark.parametrize("value", [1.0, -5.0])
def test_samples_that_meet_no_entry_are_no_end(value, seed):
    x = diagonal([value], sizes=(6, 7, 8))
    x = np.roll(x, (2, 3, 4), axis=(0, 1, 2))
    result = CPLeverage(rank=2, samples=8)(x, rng=np.random.default_rng(seed))
    np.testing.assert_allclose(result.to_dense(), x, atol=1e-12)
