"""Problems of some heads: exact outputs of the heads, views, masks, refusals."""

import numpy as np
import pytest

from tnattn import AttentionProblem, BiasMask, CausalMask, ExplicitMask, PaddingMask
from tnattn.arrays import to_host
from tnattn.attention.head_problems import head_problem, runs_of_equal

RNG = np.random.default_rng(0)
Q, K, V = RNG.standard_normal((2, 4, 6, 3)), RNG.standard_normal((2, 2, 6, 3)), RNG.standard_normal((2, 2, 6, 2))
MASKS = {
    "full": None,
    "causal": CausalMask(),
    "padding": PaddingMask(np.asarray([3, 5])),
    "bias": BiasMask(RNG.standard_normal((4, 6, 6))),
    "bias of all": BiasMask(RNG.standard_normal((2, 1, 6, 6))),
    "both": CausalMask() & ExplicitMask(RNG.random((4, 6, 6)) < 0.7),
    "flat": ExplicitMask(RNG.random((6, 6)) < 0.7),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("heads", [(0, 1), (3, 4), (2, 4), (0, 4)])
def test_outputs_are_those_of_the_heads(name, heads):
    options = {} if MASKS[name] is None else {"mask": MASKS[name]}
    problem = AttentionProblem(Q, K, V, scale=0.7, softcap=3.0, **options)
    part = head_problem(problem, slice(*heads))
    assert np.allclose(part.output, problem.output[:, slice(*heads)], rtol=1e-12, atol=1e-14)


def test_nothing_is_copied(xp):
    q, k, v = (xp.asarray(x) for x in (Q, K, V))
    part = head_problem(AttentionProblem(q, k, v), slice(2, 3))
    assert np.allclose(to_host(part.k), K[:, 1:2])
    if isinstance(q, np.ndarray):
        assert all(np.shares_memory(*pair) for pair in ((part.q, q), (part.k, k), (part.v, v)))


@pytest.mark.parametrize(("heads", "message"), [((1, 3), "cut a group of 2"), ((0, 5), "among"), ((2, 2), "among")])
def test_heads_that_do_not_fit_are_refused(heads, message):
    with pytest.raises(ValueError, match=message):
        head_problem(AttentionProblem(Q, K, V), slice(*heads))


@pytest.mark.parametrize(
    ("items", "ratio", "runs"),
    [
        ("aaaa", 2, [(0, 4)]),
        ("abbb", 2, [(0, 1), (1, 2), (2, 4)]),
        ("aaab", 2, [(0, 2), (2, 3), (3, 4)]),
        ("abab", 1, [(0, 1), (1, 2), (2, 3), (3, 4)]),
        ("aabbbb", 3, [(0, 2), (2, 3), (3, 6)]),
    ],
)
def test_runs_lie_in_a_group_or_are_whole_groups(items, ratio, runs):
    assert [(run.start, run.stop) for run in runs_of_equal(tuple(items), ratio)] == runs
