"""Pooling of key and value weights."""

import numpy as np
import pytest

from tnattn.attention.conversion.converted import Converted
from tnattn.attention.conversion.grouped_queries import GroupedQueries
from tnattn.attention.masks import Causal
from tnattn.attention.projections import LayerProblem, Projections
from tnattn.attention.rotary import Rotary


def layer(seed=0, *, heads=4, groups=4, batch=(), rotary=None, mask=None):
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(s) / 3 for s in ((heads, 6, 4), (groups, 6, 4), (groups, 6, 3), (heads, 3, 6))]
    hidden = rng.standard_normal((*batch, 7, 6))
    return LayerProblem(hidden, Projections(*weights, rotary=rotary), **({} if mask is None else {"mask": mask}))


def test_the_mean_is_the_best_single_weight():
    """Worked example: heads (1, 0) and (0, 1) have mean (1/2, 1/2) and error 2 - 2 (1/2) = 1."""
    w = np.asarray([[[1.0, 0.0]], [[0.0, 1.0]]])
    pooled = GroupedQueries(1)(Projections(w, w, w)).w_k
    np.testing.assert_array_equal(pooled, [[[0.5, 0.5]]])
    assert np.sum((w - pooled) ** 2) == 1.0
    moved = pooled + 0.1 * np.random.default_rng(0).standard_normal(pooled.shape)
    assert np.sum((w - moved) ** 2) > 1.0


def test_the_error_of_pooling_is_the_identity():
    w = layer().projections.w_k
    pooled = GroupedQueries(2)(layer().projections).w_k
    grouped = w.reshape(2, 2, 6, 4)
    error = ((grouped - pooled[:, None]) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(error, (grouped**2).sum(axis=(1, 2, 3)) - 2 * (pooled**2).sum(axis=(1, 2)), rtol=1e-12)


@pytest.mark.parametrize(("heads", "groups"), [(8, 2), (6, 3), (4, 1), (4, 4), (12, 4)])
def test_query_head_h_uses_key_head_ceiling_of_h_groups_over_heads(heads, groups):
    target = layer(heads=heads, groups=groups)
    q, k = target.attention.q, target.attention.k
    for h in range(1, heads + 1):
        used = -(-h * groups // heads) - 1
        expected = q[h - 1] @ k[used].T / 2
        np.testing.assert_allclose(target.attention.dense_scores()[h - 1], expected, rtol=1e-11)


@pytest.mark.parametrize("rotary", [None, Rotary(4)])
@pytest.mark.parametrize("mask", [None, Causal()])
def test_conversion_to_as_many_groups_is_exact_and_to_fewer_is_not(rotary, mask):
    target = layer(rotary=rotary, mask=mask, batch=(2,))
    np.testing.assert_allclose(Converted(GroupedQueries(4))(target).output, target.attention.output, rtol=1e-10)
    assert np.linalg.norm(Converted(GroupedQueries(2))(target).output - target.attention.output) > 0.01


@pytest.mark.parametrize("rotary", [None, Rotary(4)])
def test_a_converted_layer_attends_as_its_own_problem(rotary):
    target = layer(rotary=rotary)
    converted = LayerProblem(target.hidden, GroupedQueries(2)(target.projections))
    piece = Converted(GroupedQueries(2))(target)
    np.testing.assert_allclose(piece.output, converted.attention.output, rtol=1e-10)
    np.testing.assert_allclose(converted.output, target.project(piece.output), rtol=1e-10)
    assert converted.attention.k.shape == (2, 7, 4)


def test_equal_heads_pool_without_error():
    target = layer(groups=1)
    weights = target.projections
    full = Projections(weights.w_q, np.repeat(weights.w_k, 4, axis=0), np.repeat(weights.w_v, 4, axis=0))
    piece = Converted(GroupedQueries(1))(LayerProblem(target.hidden, full))
    np.testing.assert_allclose(piece.output, target.attention.output, rtol=1e-10)


def test_the_stage_is_the_conversion_of_the_weights():
    target, method = layer(), Converted(GroupedQueries(2))
    assert method.stages(target) == [(method.conversion, target.projections)]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="groups=3"):
        GroupedQueries(3)(layer().projections)
    with pytest.raises(ValueError, match="positive"):
        GroupedQueries(0)
    with pytest.raises(TypeError, match="LayerProblem"):
        Converted()(layer().attention)
    with pytest.raises(ValueError, match="do not fit"):
        Projections(np.ones((4, 6, 4)), np.ones((3, 6, 4)), np.ones((3, 6, 4)))
    with pytest.raises(ValueError, match="w_o"):
        LayerProblem(np.ones((7, 6)), Projections(*(np.ones((2, 6, 4)) for _ in range(3)))).project(np.ones((2, 7, 4)))
