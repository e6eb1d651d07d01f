"""Converted layers as approximations."""

import numpy as np
import pytest
from fixtures.attention import layer

from tnattn.attention.conversion.converted import Converted
from tnattn.attention.conversion.grouped_queries import GroupedQueries
from tnattn.attention.masks import CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.projections import LayerProblem, Projections
from tnattn.attention.rotary import Rotary


@pytest.mark.parametrize("rotary", [None, Rotary(4)])
@pytest.mark.parametrize("mask", [None, CausalMask()])
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


def test_weights_are_what_is_converted():
    with pytest.raises(TypeError, match="LayerProblem"):
        Converted()(layer().attention)


def test_a_layer_in_half_precision_attends_in_single():
    plain = layer()
    weights = (plain.projections.w_q, plain.projections.w_k, plain.projections.w_v)
    half = LayerProblem(plain.hidden.astype("f2"), Projections(*(w.astype("f2") for w in weights)))
    piece = Converted(GroupedQueries(2))(half)
    assert piece.output.dtype == np.float16
    assert piece.kernel.dtype == np.float32
    converted = LayerProblem(half.hidden, GroupedQueries(2)(half.projections)).attention
    q, k, v = (x.astype("f4") for x in (half.attention.q, converted.k, converted.v))
    np.testing.assert_array_equal(piece.output, AttentionProblem(q, k, v).output.astype("f2"))
