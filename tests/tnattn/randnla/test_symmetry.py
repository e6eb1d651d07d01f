"""Symmetry of operators, as far as an orthonormal basis shows it."""

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

from tnattn.arrays import to_host
from tnattn.randnla.symmetry import require_symmetric_within, symmetric_dense
from tnattn.structured.conversion import as_structured

SYMMETRIC = np.array([[2.0, 1.0, 0.0], [1.0, -3.0, 1.0], [0.0, 1.0, 1.0]])


def basis(n=3, width=2, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, width)))[0]


def test_the_compression_is_that_of_the_definition(xp, assert_close):
    q = basis()
    core = require_symmetric_within(xp.asarray(q), xp.asarray(np.stack([SYMMETRIC, 0 * SYMMETRIC]) @ q))
    assert_close(core, xp.asarray(np.stack([q.T @ SYMMETRIC @ q, np.zeros((2, 2))])), rtol=0, atol=10 * xp.eps())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_is_forgiven(dtype):
    a = np.random.default_rng(1).standard_normal((300, 300)).astype(dtype)
    q = basis(300, 20).astype(dtype)
    require_symmetric_within(q, 1e6 * (a + a.T) @ q)


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
@pytest.mark.parametrize("asymmetry", [1e-10, 1.0])
def test_an_asymmetric_matrix_of_a_stack_is_found_out(scale, asymmetry):
    q = basis()
    turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    stack = scale * np.stack([SYMMETRIC, SYMMETRIC + asymmetry * turn])
    with pytest.raises(ValueError, match="not symmetric: within its sketched range"):
        require_symmetric_within(q, stack @ q)


def test_a_rotation_is_found_out():
    """Its compressions are purely antisymmetric: nothing of them is left in the symmetric part."""
    with pytest.raises(ValueError, match="not symmetric"):
        require_symmetric_within(np.eye(2), np.array([[0.0, 1.0], [-1.0, 0.0]]))


def test_operators_are_formed_and_checked():
    np.testing.assert_array_equal(symmetric_dense(as_structured(aslinearoperator(SYMMETRIC))).array, SYMMETRIC)
    for a, words in [(np.triu(SYMMETRIC), "not symmetric"), (SYMMETRIC[:2], "square")]:
        with pytest.raises(ValueError, match=words):
            symmetric_dense(as_structured(aslinearoperator(a)))
    given = as_structured(SYMMETRIC)
    assert symmetric_dense(given) is given


def test_a_device_array_comes_back_as_it_was(xp):
    given = xp.asarray(SYMMETRIC)
    np.testing.assert_array_equal(to_host(symmetric_dense(as_structured(given)).array), to_host(given))
