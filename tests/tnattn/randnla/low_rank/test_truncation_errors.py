"""Errors of leading parts, against the parts themselves; available diagonals; the error stored with a sketch."""

import numpy as np
import pytest
import scipy.sparse
from fixtures import normal
from scipy.sparse.linalg import aslinearoperator

from tnattn.arrays import to_host
from tnattn.randnla.low_rank.error_sketch import ErrorSketch
from tnattn.randnla.low_rank.truncation_errors import truncation_errors
from tnattn.structured.conversion import as_structured
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import LowRank


def parts(m=30, n=20, r=6):
    """Return a matrix, and a left factor that is not what its rows would want."""
    a, vt = normal(2, m, n), np.linalg.qr(normal(2, n, r, seed=1))[0].mT
    return a, a @ vt.mT + 0.3 * normal(2, m, r, seed=2), vt


def test_errors_are_those_of_the_parts(xp):
    a, left, vt = parts()
    found = truncation_errors(Dense(xp.asarray(a)), xp.asarray(left), xp.asarray(vt), rtol=0.1)
    desired = [np.linalg.norm(a - left[..., :k] @ vt[:, :k], axis=(-2, -1)) for k in range(7)]
    desired = np.stack(desired, axis=-1) / np.linalg.norm(a, axis=(-2, -1))[:, None]
    np.testing.assert_allclose(to_host(found), desired, atol=100 * xp.eps())


def test_errors_of_parts_need_not_descend():
    a, left, vt = parts()
    errors = truncation_errors(Dense(a), left + 3, vt, rtol=0.1)
    assert (np.diff(errors) > 0).any()


def test_a_zero_matrix_has_no_relative_error():
    _, left, vt = parts()
    assert not truncation_errors(Dense(np.zeros((2, 30, 20))), 0 * left, vt, rtol=0.1).any()


def test_traces_are_known_without_products():
    a = normal(5, 5)
    sparse = scipy.sparse.csr_array(np.diag([1.0, 2.0, 4.0]))
    np.testing.assert_allclose(Dense(a).trace(), np.trace(a))
    np.testing.assert_allclose(LowRank(a, a.T).trace(), np.trace(a @ a.T))
    assert as_structured(sparse).trace() == 7
    assert all(m.explicit_trace for m in (Dense(a), LowRank(a, a.T), as_structured(sparse)))
    np.testing.assert_array_equal(Dense(a).diagonal(), np.diag(a))


def test_what_would_cost_products_is_not_at_hand():
    operator = as_structured(aslinearoperator(normal(5, 5)))
    assert not operator.explicit_trace
    assert not operator.explicit_diagonal


def test_a_sketch_of_all_rows_remembers_the_error_exactly():
    """With an orthogonal test matrix nothing is estimated; the level of a sketch is tested with SinglePassSVD."""
    a = normal(12, 20)
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    theta = np.linalg.qr(normal(12, 12, seed=1))[0]
    errors = ErrorSketch(0.5, Dense(theta), theta.T @ a).errors(u, s, vt)
    tails = np.sqrt(np.r_[np.cumsum((s**2)[::-1])[::-1], 0.0]) / np.linalg.norm(a)
    np.testing.assert_allclose(errors, tails, atol=1e-13)


@pytest.mark.parametrize("rtol, rank", [(0.99, 1), (0.5, 8)])
def test_the_smallest_truncation_within_the_tolerance_is_kept(rtol, rank):
    a = normal(12, 20)
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    found = ErrorSketch(rtol, Dense(np.eye(12)), a).smallest(u, s, vt, 12)
    tails = np.sqrt(np.r_[np.cumsum((s**2)[::-1])[::-1], 0.0]) / np.linalg.norm(a)
    assert found.ranks == np.argmax(tails <= rtol)
    assert found.residual <= rtol
    assert bool(found.converged)
    assert found.ranks <= rank
