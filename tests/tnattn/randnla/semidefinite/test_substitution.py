"""Forward substitution by blocks: agrees with the library's own on every library, well-conditioned or not."""

import numpy as np
import pytest
import scipy.linalg
from fixtures import rng

from tnattn.arrays import to_host
from tnattn.randnla.semidefinite.substitution import forward_substitution, next_rows


def triangular(*batch, r, spread=1.0):
    """Return lower triangular factors of positive definite matrices whose eigenvalues span the square of ``spread``."""
    q = np.linalg.qr(rng().standard_normal((*batch, r, r)))[0]
    return np.linalg.cholesky(q * np.geomspace(1, spread**-2, r) @ q.mT)


@pytest.mark.parametrize("spread", [3.0, 1e3], ids=["mild", "steep"])
@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
def test_the_solution_is_that_of_the_whole_triangle(xp, batch, spread, assert_close):
    lower, raw = triangular(*batch, r=230, spread=spread), rng(1).standard_normal((*batch, 230, 500))
    found = forward_substitution(xp.asarray(lower), xp.asarray(raw))
    desired = np.linalg.solve(np.tril(lower), raw)
    assert type(found) is type(xp.asarray(raw))
    assert np.abs(to_host(found) - desired).max() <= 30 * spread * xp.eps() * np.abs(desired).max()


def treacherous(r=60):
    """Return a triangle whose inverse has entries of 1e21, which products with it would amplify rounding by."""
    lower = np.tril(rng(3).standard_normal((r, r)))
    lower[np.diag_indices(r)] = 0.3
    return lower


@pytest.mark.parametrize(
    "lower", [triangular(r=230), triangular(r=230, spread=1e6), treacherous()], ids=["mild", "steep", "treacherous"]
)
def test_residuals_are_small_however_ill_conditioned_the_triangle(lower):
    raw = lower @ rng(1).standard_normal((len(lower), 500))
    found = forward_substitution(lower, raw)
    scale = np.abs(lower) @ np.abs(found)
    assert np.all(np.abs(lower @ found - raw) <= 200 * np.finfo(float).eps * scale)


def test_a_product_with_the_inverse_of_a_treacherous_triangle_leaves_large_residuals():
    lower = treacherous()
    raw = lower @ rng(1).standard_normal((60, 500))
    found = scipy.linalg.solve_triangular(lower, np.eye(60), lower=True) @ raw
    assert np.any(np.abs(lower @ found - raw) > 1e6 * np.finfo(float).eps * (np.abs(lower) @ np.abs(found)))


def test_the_next_rows_are_written_where_they_are_asked_for():
    lower, raw = triangular(r=8), rng(1).standard_normal((8, 50))
    rows = np.zeros_like(raw)
    rows[:5] = scipy.linalg.solve_triangular(lower[:5, :5], raw[:5], lower=True)
    target = rows[5:]
    made = next_rows(lower[5:, 5:], raw[5:], lower[5:, :5], rows[:5], out=target)
    assert made is target
    np.testing.assert_allclose(lower @ rows, raw, atol=1e-12)
