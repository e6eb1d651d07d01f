"""Results of canonical polyadic fits: congruence of terms, and what scales with the tensor."""

import numpy as np
import pytest

from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.fitted_cp import DEGENERATE, FittedCP, congruence


@pytest.mark.parametrize("cosine", [-1.0, -0.5, 0.0, 0.7])
def test_congruence_is_the_smallest_cosine_between_terms(cosine):
    """Terms a o a o a and a o a o b, whose cosine is that of a and b."""
    a, b = np.array([1.0, 0.0]), np.array([cosine, (1 - cosine**2) ** 0.5])
    found = congruence((np.stack([a, a], axis=-1), np.stack([a, a], axis=-1), np.stack([a, b], axis=-1)))
    np.testing.assert_allclose(found, cosine, atol=1e-15)


def test_a_single_term_is_congruent_to_itself():
    assert congruence((np.ones((3, 1)),) * 3) == 1


@pytest.mark.parametrize("value", [-0.84, -0.86])
def test_degeneracy_is_a_threshold_on_congruence(value):
    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    result = CPALS(rank=2, sweeps=2)(x)
    assert isinstance(result, FittedCP)
    fields = {name: getattr(result, name) for name in ("weights", "factors", "errors", "sweeps", "error_certificate")}
    assert FittedCP(**fields, congruence=np.asarray(value)).degenerate == (value < DEGENERATE)


def test_a_result_counts_its_terms_and_measures_its_error():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    result = CPALS(rank=2, sweeps=5)(x)
    np.testing.assert_array_equal(result.ranks, [2, 2])
    true = np.linalg.norm((x - result.to_dense()).reshape(2, -1), axis=-1)
    np.testing.assert_allclose(result.error_certificate, true, rtol=1e-10)
    np.testing.assert_allclose(result.residual, true / np.linalg.norm(x.reshape(2, -1), axis=-1), rtol=1e-10)
