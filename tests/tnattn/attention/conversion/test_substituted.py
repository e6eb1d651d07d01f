"""Means of heads, and exact attention to other keys."""

import numpy as np
import pytest

from tnattn.attention.conversion.substituted import mean_pooled, substituted
from tnattn.attention.problem import AttentionProblem


def test_heads_next_to_each_other_are_pooled():
    heads = np.arange(6.0)[:, None, None] * np.ones((6, 2, 3))
    np.testing.assert_array_equal(mean_pooled(heads, 2, axis=0)[:, 0, 0], [1, 4])
    np.testing.assert_array_equal(mean_pooled(heads[None], 3, axis=-3)[0, :, 0, 0], [0.5, 2.5, 4.5])


def test_the_same_keys_are_exact_and_heads_that_do_not_divide_are_refused():
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, 5, 3)) for h in (4, 2, 2))
    target = AttentionProblem(q, k, v)
    np.testing.assert_allclose(substituted(target, q, k, v).output, target.output, rtol=1e-12)
    with pytest.raises(ValueError, match="multiple"):
        substituted(target, q, np.ones((3, 5, 3)), np.ones((3, 5, 3)))
