"""Costs: what adds, what is a maximum, what is shared, and what masks leave."""

import dataclasses

import numpy as np
import pytest

from tnattn.attention import masks
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.baseline.mean_value import MeanValue
from tnattn.attention.cost import Cost, admissible_pairs, columns_cost, exact_cost
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK
from tnattn.attention.wrappers.causal import Causal
from tnattn.discovery import subclasses
from tnattn.display import Displayed

H, G, D, E = 4, 2, 6, 3
METHODS = [cls() for cls in subclasses("tnattn.attention", AttentionMethod).values()]


def problem(n_q=20, n_k=20, mask=None, batch=()):
    q, k, v = (np.zeros((*batch, h, n, d)) for h, n, d in ((H, n_q, D), (G, n_k, D), (G, n_k, E)))
    return AttentionProblem(q, k, v, mask=mask if mask is not None else masks.FullMask())


def test_operations_and_traffic_add_the_peak_is_the_larger_and_the_cache_is_shared():
    a, b = Cost(1.0, 20.0, 300.0, 7.0), Cost(2.0, 30.0, 100.0, 9.0)
    assert a + b == b + a == Cost(3.0, 50.0, 300.0, 9.0)
    assert a + a == Cost(2.0, 40.0, 300.0, 7.0)


def test_three_stages_associate():
    a, b, c = (Cost(float(i), float(i * i), float(7 - i), float(i)) for i in range(3))
    assert (a + b) + c == a + (b + c) == Cost(3.0, 5.0, 7.0, 2.0)


@pytest.mark.parametrize(
    ("mask", "pairs"),
    [
        (masks.FullMask(), 20 * 20),
        (masks.CausalMask(), 20 * 21 // 2),
        (masks.SlidingWindowMask(4), 20 * 5 - 4 * 5 // 2),
        (masks.SlidingWindowMask(2, 3), 20 * 6 - 3 - 6),
        (masks.PaddingMask(0), 0),
        (masks.PaddingMask(7), 20 * 7),
        (masks.CausalMask() & masks.PaddingMask(7), 7 * 8 // 2 + 13 * 7),
        (masks.ExplicitMask(np.zeros((20, 20), dtype=bool)), 20 * 20),  # entries are not read
    ],
    ids=lambda x: type(x).__name__,
)
def test_the_pairs_are_those_that_the_mask_admits(mask, pairs):
    assert admissible_pairs(problem(mask=mask)) == pairs
    allowed = mask.additive(np.arange(20)[:, None], np.arange(20)[None, :], n_q=20, n_k=20, like=np.zeros(1))
    if not isinstance(mask, (masks.FullMask, masks.ExplicitMask)):
        assert np.count_nonzero(np.broadcast_to(allowed, (20, 20)) == 0) == pairs


def test_queries_are_the_last_positions():
    assert admissible_pairs(problem(3, 20, masks.CausalMask())) == 18 + 19 + 20


def test_pairs_are_counted_up_to_a_number_of_keys_for_every_query():
    assert admissible_pairs(problem(mask=masks.CausalMask()), most=5) == 1 + 2 + 3 + 4 + 16 * 5
    assert admissible_pairs(problem(), most=0) == 0
    assert admissible_pairs(problem(), most=100) == 400
    with pytest.raises(ValueError, match="most is -1"):
        admissible_pairs(problem(), most=-1)


def test_lengths_of_their_own_count_by_their_mean():
    mask = masks.PaddingMask(np.array([4, 8]))
    assert admissible_pairs(problem(mask=mask, batch=(2,))) == 20 * 6


def test_exact_attention_costs_its_pairs():
    whole, causal = exact_cost(problem()), exact_cost(problem(mask=masks.CausalMask()))
    assert whole == Cost(2 * H * 400 * (D + E), H * 20 * (D + E) + G * 20 * (D + E), 20, G * (D + E))
    assert causal == Cost(2 * H * 210 * (D + E), whole.scalars_moved, 20, G * (D + E))
    assert exact_cost(problem(5, 20)).scalars_moved == H * 5 * (D + E) + G * 20 * (D + E)


def test_columns_cost_their_scores_and_products():
    found = columns_cost(problem(5, 20), 7, build=11.0, state_per_token=2.5)
    assert found.flops == 2 * H * 5 * 7 * (D + E + 1) + 11
    assert found.scalars_moved == H * 5 * (D + E) + G * 20 * (D + E) + 2 * H * 5 * 7
    assert found.peak_scalars == H * 5 * 7
    assert found.state_per_token == 2.5
    assert columns_cost(problem(), 1).state_per_token == 0


N = 1024  # of several tiles
HONOURED = [
    pytest.param(method, mask, id=f"{type(method).__name__}-{type(mask).__name__}")
    for method in METHODS
    for mask in (masks.CausalMask(), masks.SlidingWindowMask(4, 2), masks.PaddingMask(7))
    # without a mask the wrapper has no exact leaves, and a mean needs one sum for all queries
    if method.honours(mask) and not isinstance(method, (Causal, MeanValue))
]


@pytest.mark.parametrize(("method", "mask"), HONOURED)
def test_a_mask_makes_every_method_cheaper(method, mask):
    whole, masked = method.cost(problem(N, N)), method.cost(problem(N, N, mask=mask))
    moved = isinstance(method, SlidingWindow)  # its window moves among the admissible keys, and keeps its width
    assert masked.flops == whole.flops if moved else masked.flops < whole.flops
    assert masked.scalars_moved <= whole.scalars_moved
    assert masked.peak_scalars <= whole.peak_scalars


def test_methods_under_masks_are_found():
    assert len(HONOURED) >= 3 * 7


@pytest.mark.parametrize(
    ("method", "flops"),
    [
        (Exact(), 2 * H * 210 * (D + E)),
        # two blocks of 16 queries, over the 20 keys that their windows may reach
        (SlidingWindow(5), 2 * H * 32 * 20 * (D + E + 1)),
        (SlidingWindow(5, sinks=3), 2 * H * 32 * 20 * (D + E + 1)),
        (TopK(5), 2 * H * (210 * D + (15 + 15 * 5) * (E + 1))),
    ],
    ids=str,
)
def test_a_causal_problem_costs_what_a_hand_count_says(method, flops):
    assert method.cost(problem(mask=masks.CausalMask())).flops == flops


def test_a_cost_is_a_value():
    cost = Cost(1, np.float32(2), 3, 4)
    assert cost == Cost(1.0, 2.0, 3.0, 4.0)
    assert hash(cost) == hash(Cost(1.0, 2.0, 3.0, 4.0))
    assert {type(x) for x in dataclasses.astuple(cost)} == {float}
    with pytest.raises(dataclasses.FrozenInstanceError):
        cost.flops = 5.0


def test_no_build_and_no_state_by_default():
    assert columns_cost(problem(5, 20), 7).flops == 2 * H * 5 * 7 * (D + E + 1)
    assert columns_cost(problem(5, 20), 7, build=1.0).state_per_token == 0


def test_a_most_of_zero_counts_none_and_one_counts_one():
    assert admissible_pairs(problem(), most=1) == 20


def test_pairs_are_counted_in_double_for_single_precision():
    x = np.zeros((1, 5000, 1), "f4")
    assert admissible_pairs(AttentionProblem(x, x, x, mask=masks.CausalMask())) == 5000 * 5001 // 2


def test_numbers_of_a_cost_are_displayed_in_short():
    assert Cost.__repr__ is Displayed.__repr__
