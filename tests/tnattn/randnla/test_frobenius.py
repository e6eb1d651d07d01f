"""Squared norms that overflow or vanish are refused, those of zero matrices are not."""

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

from tnattn.randnla.frobenius import resolved_square
from tnattn.structured.conversion import as_structured


# a product that vanishes when squared cannot be told from zero
@pytest.mark.parametrize(("size", "kind"), [(1e-200, np.asarray), (1e200, np.asarray), (1e200, aslinearoperator)])
def test_a_square_outside_the_range_is_refused(size, kind):
    with pytest.raises(ValueError, match="leaves the range"):
        resolved_square(as_structured(kind(size * np.eye(3))))


@pytest.mark.parametrize("kind", [np.asarray, aslinearoperator])
def test_the_square_of_a_zero_matrix_is_zero(kind):
    assert resolved_square(as_structured(kind(np.zeros((3, 4))))) == 0


def test_the_square_is_that_of_the_norm():
    a = np.random.default_rng(0).standard_normal((2, 5, 4))
    np.testing.assert_allclose(resolved_square(as_structured(a)), np.linalg.norm(a, axis=(-2, -1)) ** 2, rtol=1e-14)
