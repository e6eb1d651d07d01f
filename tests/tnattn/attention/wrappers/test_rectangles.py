"""Rectangles and leaves cover the causal triangle once, in stacks of bounded size, and make up one matrix."""

import copy

import numpy as np
import pytest
from fixtures import run

from tnattn.attention import masks
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.wrappers import rectangles
from tnattn.attention.wrappers.causal import Causal
from tnattn.attention.wrappers.rectangles import Parts, Span, blocks_of, cut, halves, replayed, stacked, with_queries
from tnattn.testing import check_structured


def problem(n_q=24, n_k=24):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, n_k, d)) for h, d in ((4, 3), (2, 3), (2, 2)))
    return AttentionProblem(q[:, n_k - n_q :], k, v, mask=masks.CausalMask())


@pytest.mark.parametrize("n_q", [24, 11])
def test_the_kernel_is_a_structured_matrix(n_q):
    target = problem(n_q)
    kernel = run(Causal(ValueSampling(3), leaf=4), target).kernel
    storage = 4 * n_q * 3 + 2 * 24 * (3 + 2) + 4 * n_q
    assert check_structured(kernel, storage=storage)


@pytest.mark.parametrize("entries", [1, 3000, 1 << 21])
def test_stacks_that_are_cut_give_the_same(monkeypatch, entries):
    target, method = problem(), Causal(ValueSampling(3), leaf=4)
    whole = run(method, target)
    monkeypatch.setattr(rectangles, "_ENTRIES", entries)
    parts = run(method, target)
    np.testing.assert_allclose(parts.output, whole.output, rtol=1e-12)
    np.testing.assert_allclose(parts.weights.to_dense(), whole.weights.to_dense(), rtol=1e-11, atol=1e-14)


def test_a_stack_holds_a_bounded_number_of_scalars(monkeypatch):
    target, (_, leaves) = problem(), halves(24, 4)
    monkeypatch.setattr(rectangles, "_ENTRIES", 4 * (2 * 3 + 7) * (3 + 2) * 2)  # two leaves of 3 with 7 columns
    lists = list(cut(leaves[0], target, 7))
    assert [len(part) for part in lists] == [2] * 4
    assert [span for part in lists for span in part] == leaves[0]
    assert list(cut([], target, 7)) == []


def test_the_blocks_of_a_piece_are_the_rows_of_its_parts():
    target = problem(11)
    spans = with_queries(target, [Span(slice(18, 24), slice(12, 18)), Span(slice(12, 18), slice(6, 12))])
    piece = ValueSampling(3).exact_piece(stacked(target, spans, masks.FullMask()))
    found = dict(enumerate(blocks_of(piece, spans, target)))
    assert [rows for rows, _ in found.values()] == [slice(5, 11), slice(0, 5)]  # the second lacks its first query
    exact = np.exp(target.score_scale * target.queries[..., :5, :] @ target.keys[..., 6:12, :].mT)
    numerators, _, shift = found[1][1]
    np.testing.assert_allclose(numerators * np.exp(shift)[..., None], exact @ target.values[..., 6:12, :], rtol=1e-12)


def test_a_replayed_stack_draws_the_same_and_leaves_its_generator_alone():
    stack = Parts([], np.random.default_rng(3), leaf=False)
    before = copy.deepcopy(stack.rng).random()
    assert replayed(stack).rng.random() == replayed(stack).rng.random() == before
