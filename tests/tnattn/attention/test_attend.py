"""The one function for the impatient."""

import numpy as np
import pytest

from tnattn import Bias, Causal, Explicit, attend
from tnattn.attention.problem import AttentionProblem


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.standard_normal((4, 9, 6)), rng.standard_normal((2, 9, 6)), rng.standard_normal((2, 9, 3))


def test_default_is_exact(arrays):
    np.testing.assert_allclose(attend(*arrays), AttentionProblem(*arrays).output)


def test_a_single_head_needs_no_head_axis():
    q, k, v = np.random.default_rng(1).standard_normal((3, 7, 5))
    np.testing.assert_allclose(attend(q, k, v), attend(q[None], k[None], v[None])[0])


def test_a_boolean_array_is_a_rule_of_admissible_keys(arrays):
    allowed = np.tril(np.ones((9, 9), dtype=bool))
    np.testing.assert_allclose(attend(*arrays, mask=allowed), attend(*arrays, mask=Causal()))
    np.testing.assert_allclose(attend(*arrays, mask=Explicit(allowed)), attend(*arrays, mask=Causal()))


def test_a_floating_array_is_added_to_the_scores(arrays):
    bias = np.random.default_rng(2).standard_normal((4, 9, 9))
    np.testing.assert_allclose(attend(*arrays, mask=bias), attend(*arrays, mask=Bias(bias)))
    assert np.abs(attend(*arrays, mask=bias) - attend(*arrays)).max() > 1e-3


@pytest.mark.parametrize("method", ["performer", 3, AttentionProblem])
def test_a_method_must_be_a_value(arrays, method):
    with pytest.raises(TypeError, match="method must be an AttentionMethod value"):
        attend(*arrays, method=method)


def test_a_mask_must_be_a_rule_or_an_array(arrays):
    with pytest.raises(TypeError, match="mask must be a rule"):
        attend(*arrays, mask="causal")
