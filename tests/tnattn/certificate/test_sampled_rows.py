"""Drawn rows are distinct and fresh, their outputs exact under every mask, their errors those of the whole."""

import numpy as np
import pytest

from tnattn import AttentionProblem, BiasMask, CausalMask, ExplicitMask, PaddingMask, SlidingWindowMask
from tnattn.arrays import to_host
from tnattn.certificate import RowErrors, drawn_rows, exact_rows
from tnattn.certificate import sampled_rows as module

RNG = np.random.default_rng(0)
Q, K, V = (RNG.standard_normal((h, 40, c)) for h, c in ((4, 6), (2, 6), (2, 3)))
ALLOWED = RNG.random((40, 40)) < 0.5
ALLOWED[:, 0] = True
MASKS = {
    "causal": CausalMask(),
    "window": SlidingWindowMask(3, 2),
    "padding": PaddingMask(17),
    "explicit": ExplicitMask(ALLOWED),
    "bias": BiasMask(RNG.standard_normal((4, 40, 40))),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("block", [1, 1 << 22])
def test_rows_are_exact_under_every_mask(monkeypatch, mask, block):
    monkeypatch.setattr(module, "_BLOCK", block)
    problem = AttentionProblem(Q, K, V, mask=mask)
    indices = np.asarray([39, 0, 7])
    np.testing.assert_allclose(exact_rows(problem, indices), problem.output[:, indices], rtol=1e-12, atol=1e-14)


def test_rows_are_exact_on_every_library(xp, assert_close):
    problem = AttentionProblem(*(xp.asarray(x) for x in (Q, K, V)))
    assert_close(
        exact_rows(problem, np.asarray([5, 2])), to_host(problem.output)[:, [5, 2]], rtol=0, atol=100 * xp.eps()
    )


def test_draws_are_distinct_uniform_and_decided_by_the_seed():
    problem = AttentionProblem(Q, K, V)
    counts = np.zeros(40)
    for seed in range(2000):
        rows = drawn_rows(problem, 10, rng=np.random.default_rng(seed))
        assert len(set(rows.tolist())) == 10
        counts[rows] += 1
    assert np.abs(counts / 2000 - 0.25).max() < 0.06  # six standard deviations
    again = [drawn_rows(problem, 10, rng=np.random.default_rng(3)).tolist() for _ in range(2)]
    assert again[0] == again[1]
    np.testing.assert_array_equal(drawn_rows(problem, 100, rng=np.random.default_rng(0)), np.arange(40))


def test_errors_are_those_of_the_drawn_rows():
    problem = AttentionProblem(Q, K, V)
    output = problem.output.copy()
    output[2, 5] += 0.5
    measured = RowErrors.measured(output, problem, rows=40, rng=np.random.default_rng(0))
    assert measured.rows == measured.population == 40
    np.testing.assert_allclose(measured.errors[2, 5], 0.5 * 3**0.5, rtol=1e-12)
    assert np.delete(measured.errors, 2, axis=0).max() < 1e-13
    np.testing.assert_allclose(measured.sizes, np.linalg.norm(problem.output, axis=-1), rtol=1e-12)
    assert np.all(measured.errors <= measured.envelope[:, None])


def test_a_row_that_is_not_finite_has_an_infinite_error():
    problem = AttentionProblem(Q, K, V)
    output = problem.output.copy()
    output[0, 1] = np.nan
    measured = RowErrors.measured(output, problem, rows=40, rng=np.random.default_rng(0))
    assert np.isinf(measured.errors[0, 1])
    assert np.isinf(measured.envelope[0])
    assert np.isfinite(measured.envelope[1:]).all()


def test_the_envelope_covers_rows_without_keys():
    allowed = np.ones((40, 40), bool)
    allowed[3] = False
    problem = AttentionProblem(Q, K, V + 100, mask=ExplicitMask(allowed))
    output = problem.output.copy()
    output[:, 3] = 100.0  # the exact output of that row is zero, far from all values
    measured = RowErrors.measured(output, problem, rows=40, rng=np.random.default_rng(0))
    assert np.all(measured.errors <= measured.envelope[:, None])


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"output has shape \(4, 40, 2\); the exact output has \(4, 40, 3\)"):
        RowErrors.measured(np.zeros((4, 40, 2)), AttentionProblem(Q, K, V), rows=3, rng=np.random.default_rng(0))
