"""The projection onto columns drawn by leverage scores."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import to_host
from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.columns.leverage_columns import LeverageColumns


def test_columns_drawn_are_reproduced_exactly(xp, assert_close):
    a = xp.asarray(matrix_with_spectrum(polynomial_spectrum(10), (12, 10), rng()))
    result = LeverageColumns(size=4, subspace=2)(a, rng=rng())
    index = to_host(result.indices)
    assert_close(to_host(result.to_dense())[:, index], to_host(a)[:, index], rtol=0, atol=200 * xp.eps())


def test_a_projection_onto_all_columns_is_exact():
    a = matrix_with_spectrum(polynomial_spectrum(4), (9, 6), rng())
    result = LeverageColumns(size=60, subspace=4)(a, rng=rng())
    assert set(result.indices.tolist()) == set(range(6))
    np.testing.assert_allclose(result.to_dense(), a, atol=1e-13)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: LeverageColumns(subspace=0), "subspace is 0"),
        (lambda: LeverageColumns(subspace=9)(np.eye(5), rng=rng()), "subspace 9 exceeds"),
    ],
)
def test_impossible_parameters_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_without_a_generator_it_raises():
    with pytest.raises(TypeError, match="pass rng"):
        LeverageColumns()(np.eye(16))
