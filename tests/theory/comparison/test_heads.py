"""One bad row in one head silences that head alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from theory.bounds.attention import output
from theory.bounds.attention.heads import all_weights_squared
from theory.bounds.attention.perturbed import PerturbedKernel, random_problem
from theory.comparison.chain import best_prediction
from theory.comparison.compare import compare
from theory.comparison.heads import finite_heads, part_of
from theory.statement.bound import bound, require
from theory.statement.guarantee import Deterministic
from theory.statement.source import Source
from theory.statistics.verdict import Verdict
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, FullMask, Mask
from tnattn.attention.method import JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Dense

HEADS = 12
BAD = 5


@dataclass(frozen=True, eq=False)
class OneBadRow(JointMethod):
    """Attention with a perturbed kernel, of which one row of one head sums to a negative number."""

    masks = (CausalMask, ExplicitMask, BiasMask)
    size: float = 0.2

    def approximate(self, problem: AttentionProblem, *, rng: object) -> Approximation:
        factors = 1 + self.size * np.sin(np.arange(problem.n_q * problem.n_k)).reshape(problem.n_q, problem.n_k)
        good = PerturbedKernel(factors).approximate(problem, rng=None)
        kernel = np.array(good.kernel.to_dense())
        kernel.reshape(problem.heads, problem.n_q, problem.n_k)[BAD, 3] *= -1
        return replace(good, kernel=Dense(kernel))

    def cost(self, problem: AttentionProblem) -> Cost:
        return exact_cost(problem)


def _problem(mask: Mask = FullMask()) -> AttentionProblem:
    return random_problem(np.random.default_rng(0), heads=HEADS, groups=4, n_q=10, n_k=14, mask=mask)


MASKS = {
    "full": FullMask(),
    "causal": CausalMask(),
    "explicit": ExplicitMask(np.random.default_rng(2).random((HEADS, 10, 14)) < 0.9),
    "bias and causal": BiasMask(np.random.default_rng(3).standard_normal((HEADS, 10, 14))) & CausalMask(),
}


def test_the_heads_with_a_finite_output_are_found() -> None:
    problem = _problem()
    assert finite_heads(problem, OneBadRow()(problem)) == [h for h in range(HEADS) if h != BAD]
    assert finite_heads(np.eye(3), np.eye(3)) is None


@pytest.mark.parametrize("mask", MASKS)
def test_a_part_is_the_problem_of_its_heads(mask: str) -> None:
    problem, heads = _problem(MASKS[mask]), [0, 3, 7, 11]
    result = OneBadRow()(problem)
    part, approximation = part_of(problem, result, heads)
    np.testing.assert_allclose(part.output, problem.output[heads], rtol=1e-12)
    np.testing.assert_allclose(approximation.output, result.output[heads], rtol=1e-12)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("b", [output.kernel_normalisation_row, output.kernel_normalisation_fro], ids=lambda b: b.name)
def test_the_other_heads_are_judged(b, mask: str) -> None:
    (judged,) = compare(OneBadRow(), _problem(MASKS[mask]), [b], rng=np.random.default_rng(0))
    assert judged.verdict in (Verdict.SUPPORTED, Verdict.VACUOUS)
    assert "not finite and left out" in judged.detail
    assert np.isnan(judged.predicted[:, BAD]).all()
    assert np.isfinite(np.delete(judged.predicted, BAD, axis=1)).all()


def test_a_violation_in_another_head_is_seen() -> None:
    (judged,) = compare(
        OneBadRow(), _problem(), [output.kernel_normalisation_row.scaled(0.01)], rng=np.random.default_rng(0)
    )
    assert judged.verdict is Verdict.REFUTED


def test_without_a_good_head_nothing_is_judged() -> None:
    problem = random_problem(np.random.default_rng(0), heads=BAD + 1, groups=1, n_q=10, n_k=14)
    part = replace(problem, q=problem.q[BAD:])

    class OnlyBad(OneBadRow):
        def approximate(self, problem: AttentionProblem, *, rng: object) -> Approximation:
            good = PerturbedKernel(np.ones(())).approximate(problem, rng=None)
            return replace(good, kernel=Dense(-np.asarray(good.kernel.to_dense())))

    (judged,) = compare(OnlyBad(), part, [output.kernel_normalisation_row], rng=np.random.default_rng(0))
    assert judged.verdict is Verdict.NOT_APPLICABLE


def test_predictions_of_the_other_heads_remain() -> None:
    problem = _problem()
    best = best_prediction(OneBadRow(), problem, OneBadRow()(problem))
    assert best is not None
    assert np.isfinite(np.delete(best.value, BAD)).all()
    whole = best_prediction(PerturbedKernel(np.ones(())), problem, PerturbedKernel(np.ones(()))(problem))
    assert whole is not None
    assert np.isfinite(whole.value).all()


def test_a_statement_about_all_heads_together_says_so() -> None:
    problem = _problem()

    @bound(method=OneBadRow, error=all_weights_squared, guarantee=Deterministic(), source=Source("this test"))
    def together(method: OneBadRow, problem: AttentionProblem, result: Approximation) -> np.ndarray:
        """All heads at once."""
        require(bool(np.isfinite(result.output).all()), "no bad rows")
        return np.ones(())

    (judged,) = compare(OneBadRow(), problem, [together], rng=np.random.default_rng(0))
    assert judged.verdict is Verdict.NOT_APPLICABLE
    assert "all heads together" in judged.detail
