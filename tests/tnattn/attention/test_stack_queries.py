"""Pieces for blocks of queries stacked are the piece of all queries."""

from dataclasses import replace

import numpy as np

from tnattn.attention.approximation import Approximation
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.stack_queries import stack_queries
from tnattn.structured import Dense

N = 12


def problem(seed=0, *, size=1.0, as_=np.asarray, n_q=5):
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal((4 // s, n, d)) for s, n, d in ((1, n_q, 3), (2, N, 3), (2, N, 2)))
    return AttentionProblem(as_(size * q), as_(k), as_(v))


def single(kernel=1.0, shift=0.0, values=1.0, **others):
    """Return a piece of one head, one query and one key."""
    given = {"kernel": Dense(np.full((1, 1, 1, 1), kernel)), "shift": np.full((1, 1, 1), shift)}
    return Approximation(**given, values=np.full((1, 1, 1, 1), values), **others)


def test_rows_stack():
    target = problem()
    parts = [Exact()(target.rectangle(rows, slice(0, N))) for rows in (slice(0, 2), slice(2, 5))]
    np.testing.assert_allclose(stack_queries(parts).output, target.output, atol=1e-14)


def test_stacked_rows_keep_masses_normalisers_and_reasons():
    plain, known = single(kernel=2.0), single(kernel=3.0, normaliser=np.full((1, 1, 1), 6.0))
    stacked = stack_queries([plain, known])
    assert stacked.output.tolist() == [[[1.0], [0.5]]]
    assert stacked.normaliser is not None
    assert stack_queries([plain, plain]).normaliser is None
    weighted = stack_queries([replace(plain, mass=np.array([4.0])), plain])
    assert weighted.denominators.tolist() == [[[8.0, 2.0]]]
    assert stack_queries([plain, replace(plain, unmergeable="why")]).unmergeable == "why"
    assert stack_queries([plain, plain]).unmergeable == ""
    lifted = single(expand=Dense(np.ones((1, 1))))
    assert stack_queries([lifted, plain]).expand is None
    assert stack_queries([lifted, lifted]).weights.to_dense().tolist() == [[[[1.0], [1.0]]]]
    assert stack_queries([plain, replace(plain, shift=plain.shift + 2)]).shift.tolist() == [[[0.0, 2.0]]]
    assert stack_queries([plain]).output.tolist() == [[[1.0]]]
