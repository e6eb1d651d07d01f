"""Heads by methods of their own: outputs, draws, costs and refusals are those of the heads."""

import numpy as np
import pytest

from tnattn import (
    AttentionProblem,
    CausalMask,
    Exact,
    LinearAttention,
    MeanValue,
    Nystromformer,
    Performer,
    PivotedCoreset,
    SlidingWindow,
    UnsupportedMask,
)
from tnattn.arrays import seeded, to_host
from tnattn.attention.head_problems import head_problem
from tnattn.attention.wrappers.per_head import PerHead
from tnattn.testing import check_method

MIXED = (SlidingWindow(4), SlidingWindow(4), Performer(8), PivotedCoreset(6))
RNG = np.random.default_rng(0)
Q, K, V = (RNG.standard_normal((h, 24, c)) for h, c in ((4, 4), (2, 4), (2, 3)))


def problem(xp=np, mask=None):
    return AttentionProblem(*(xp.asarray(x) for x in (Q, K, V)), **({} if mask is None else {"mask": mask}))


@pytest.mark.parametrize("mask", [None, CausalMask()])
def test_every_head_is_that_of_its_own_method(xp, mask):
    methods = (SlidingWindow(4), Exact(), MeanValue(), Exact()) if mask else MIXED
    target = problem(xp, mask)
    output = to_host(PerHead(methods, seed=3)(target).output)
    for h, method in enumerate(methods):
        direct = method(head_problem(target, slice(h, h + 1)), rng=seeded(3)).output
        assert np.allclose(output[h : h + 1], to_host(direct), rtol=1e-5, atol=1e-6)


def test_the_draw_belongs_to_the_value():
    method = PerHead((Performer(8),), seed=3)
    outputs = [method(problem(), rng=rng).output for rng in (None, np.random.default_rng(0))]
    assert np.array_equal(*outputs)
    assert not np.array_equal(outputs[0], PerHead((Performer(8),), seed=4)(problem()).output)


def test_without_a_seed_the_call_draws():
    method = PerHead(MIXED)
    first, again, other = (method(problem(), rng=np.random.default_rng(seed)).output for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    with pytest.raises(TypeError, match="randomized"):
        method(problem())


def test_one_method_for_all_heads_is_that_method():
    assert np.array_equal(PerHead((SlidingWindow(4),))(problem()).output, SlidingWindow(4)(problem()).output)
    assert PerHead((SlidingWindow(4),))(problem()).expand is not None


def test_costs_add_up_and_caches_of_a_group_are_kept_once():
    target = problem()
    parts = [m.cost(head_problem(target, slice(h, h + 1))) for h, m in enumerate(MIXED)]
    found = PerHead(MIXED, seed=0).cost(target)
    assert found.flops == pytest.approx(sum(part.flops for part in parts))
    assert found.scalars_moved == pytest.approx(sum(part.scalars_moved for part in parts))
    assert found.state_per_token == pytest.approx(sum(part.state_per_token for part in parts[1:]))
    assert PerHead().cost(target) == Exact().cost(target)


def test_pieces_merge_unless_a_head_refuses():
    rows = slice(0, 24)
    left, right = slice(0, 12), slice(12, 24)
    target, method = problem(), PerHead((Exact(), MeanValue(), Exact(), Exact()))
    pieces = [method(target.rectangle(rows, keys)).placed(keys, 24) for keys in (left, right)]
    merged = (pieces[0] + pieces[1]).output
    assert np.allclose(merged[[0, 2, 3]], target.output[[0, 2, 3]])
    other = PerHead((Exact(), LinearAttention(), Exact(), Nystromformer(4)))(target)
    assert other.unmergeable
    units = PerHead((Exact(), LinearAttention(), Exact(), Exact()))(target)
    assert units.unmergeable == "its heads hold sums of different kernels"


def test_a_mask_that_one_method_refuses_is_refused():
    with pytest.raises(UnsupportedMask, match="PerHead does not honour CausalMask"):
        PerHead((Exact(), Exact(), Exact(), Performer(8)))(problem(mask=CausalMask()))


def test_the_laws_hold_for_heads_of_several_methods():
    laws = ["output", "P1", "P2", "P4", "P6", "P12", "half", "scalars", "empty"]
    check_method(PerHead((Exact(), MeanValue(), SlidingWindow(4), Exact())), laws=laws)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((),), ValueError, "methods must be a tuple of one method for all heads"),
        (([Exact()],), ValueError, "methods must be a tuple"),
        ((("Exact",),), TypeError, "methods must hold attention methods; got 'Exact'"),
        (((Exact(),), -1), ValueError, "seed is -1"),
    ],
)
def test_wrong_fields_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        PerHead(*arguments)


def test_the_number_of_heads_is_that_of_the_methods():
    with pytest.raises(ValueError, match="there are 3 methods for 4 heads"):
        PerHead((Exact(),) * 3)(problem())
