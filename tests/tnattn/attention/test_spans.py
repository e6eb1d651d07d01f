"""The spans of positional masks against the entries of the masks."""

import numpy as np
import pytest

from tnattn.attention.masks import BiasMask, CausalMask, FullMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.spans import admissible_span

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "mask",
    [
        FullMask(),
        CausalMask(),
        SlidingWindowMask(2, 1),
        PaddingMask(6),
        PaddingMask(np.array([3, 10])),
        CausalMask() & PaddingMask(5),
    ],
    ids=repr,
)
def test_a_span_holds_exactly_the_admissible_keys(mask):
    q, k, v = (RNG.standard_normal((2, 1, n, 3)) for n in (7, 10, 10))
    problem = AttentionProblem(q, k, v, mask=mask)
    first, stop = admissible_span(problem)
    keys = np.arange(10)
    inside = (keys >= first[..., None]) & (keys < stop[..., None])
    seen = np.isfinite(problem.dense_scores())[:, :, None]
    np.testing.assert_array_equal(np.broadcast_to(inside, seen.shape), seen)


def test_biases_are_not_looked_at():
    q, k, v = (RNG.standard_normal((1, n, 3)) for n in (7, 10, 10))
    first, stop = admissible_span(AttentionProblem(q, k, v, mask=BiasMask(np.full((7, 10), -np.inf))))
    assert (first.max(), stop.min()) == (0, 10)


@pytest.mark.parametrize("mask", [FullMask(), PaddingMask(6), PaddingMask(np.array([3, 10], dtype="uint8"))], ids=repr)
def test_spans_of_more_queries_than_keys(mask):
    q, k, v = (RNG.standard_normal((2, 1, n, 3)) for n in (13, 10, 10))
    problem = AttentionProblem(q, k, v, mask=mask)
    first, stop = admissible_span(problem)
    keys = np.arange(10)
    inside = (keys >= first[..., None]) & (keys < stop[..., None])
    seen = np.isfinite(problem.dense_scores())[:, :, None]
    np.testing.assert_array_equal(np.broadcast_to(inside, seen.shape), seen)
