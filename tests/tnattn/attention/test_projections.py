"""Layer weights."""

import numpy as np
import pytest

from tnattn.attention.projections import LayerProblem, Projections


def layer(seed=0, *, heads=4, groups=4, batch=(), rotary=None, mask=None):
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(s) / 3 for s in ((heads, 6, 4), (groups, 6, 4), (groups, 6, 3), (heads, 3, 6))]
    hidden = rng.standard_normal((*batch, 7, 6))
    return LayerProblem(hidden, Projections(*weights, rotary=rotary), **({} if mask is None else {"mask": mask}))


@pytest.mark.parametrize(("heads", "groups"), [(8, 2), (6, 3), (4, 1), (4, 4), (12, 4)])
def test_query_head_h_uses_key_head_ceiling_of_h_groups_over_heads(heads, groups):
    target = layer(heads=heads, groups=groups)
    q, k = target.attention.q, target.attention.k
    for h in range(1, heads + 1):
        used = -(-h * groups // heads) - 1
        expected = q[h - 1] @ k[used].T / 2
        np.testing.assert_allclose(target.attention.dense_scores()[h - 1], expected, rtol=1e-11)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        Projections(np.ones((4, 6, 4)), np.ones((3, 6, 4)), np.ones((3, 6, 4)))
    with pytest.raises(ValueError, match="w_o"):
        LayerProblem(np.ones((7, 6)), Projections(*(np.ones((2, 6, 4)) for _ in range(3)))).project(np.ones((2, 7, 4)))


def test_the_output_is_the_sum_of_the_projected_heads():
    target = layer(groups=2)
    expected = sum(target.attention.output[h] @ target.projections.w_o[h] for h in range(4))
    np.testing.assert_allclose(target.output, expected, rtol=1e-12)
