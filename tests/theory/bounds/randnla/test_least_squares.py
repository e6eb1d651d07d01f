"""Theorems about sketched least squares: worked examples and hypotheses (data: test_verdicts.py)."""

import dataclasses

import numpy as np
import pytest
from fixtures import rng

from theory.bounds.randnla import least_squares
from theory.comparison.compare import compare
from theory.statement.bound import Bound, HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.solvers.least_squares import LeastSquaresProblem, LeastSquaresSolution
from tnattn.randnla.solvers.sketch_and_solve import SampleAndSolve, SketchAndSolve
from tnattn.randnla.solvers.sketch_preconditioned import SketchPreconditioned
from tnattn.structured.sparse import Sparse

BOUNDS = [b for b in vars(least_squares).values() if isinstance(b, Bound)]
every_bound = pytest.mark.parametrize("theorem", BOUNDS, ids=lambda b: b.name)


def three_columns(m=60):
    """Return a problem of three columns whose best residual has length two."""
    q = np.linalg.qr(rng().standard_normal((m, 4)))[0]
    return LeastSquaresProblem(q[:, :3], q @ np.array([1.0, 2.0, 3.0, 2.0]))


@every_bound
def test_a_theorem_gives_one_value_per_problem_of_a_stack(theorem):
    method, target = theorem.generic(rng(1))
    stack = LeastSquaresProblem(
        np.stack([target.a.array] * 2)[:, None], np.stack([target.sides, 2 * target.sides])[:, None]
    )
    result, alone = (None, None) if theorem.kind == "prior" else (method(x, rng=rng(3)) for x in (stack, target))
    prediction = theorem(method, stack, result)
    assert prediction.value.shape == (2, 1)
    np.testing.assert_allclose(prediction.value[0, 0], theorem(method, target, alone).value, rtol=1e-9)


def test_the_gaussian_excess_by_hand():
    """d = 3, m = 13: 3/9 of ||r||^2 = 4."""
    value = least_squares.sketched_ls_gaussian(SketchAndSolve(13, Gaussian()), three_columns()).value
    np.testing.assert_allclose(value, 4 / 3)


def test_worked_markov():
    """d = 3, s = 60, e = 0.7, g = 0.2: 2.777778 ||r||^2 except with probability 0.2 + 0.0034219."""
    theorem = least_squares.sampled_ls_markov.with_parameters(epsilon=0.7)
    prediction = theorem(SampleAndSolve(60), three_columns())
    np.testing.assert_allclose([prediction.value, prediction.failure], [2.777778 * 4, 0.2034219], rtol=1e-6)


def test_worked_embedding():
    """Squares of lengths stretched by 1/2 and 3/2 along two axes: e = 1/2, so the ratio is at most 3."""
    problem = LeastSquaresProblem(np.array([[1.0], [0.0]]), np.array([1.0, 1.0]))
    sample = Sparse(np.sqrt([[0.5], [1.5]]), np.array([[0], [1]]), 2)
    result = LeastSquaresSolution(np.array([1.0]), np.array(1.0), np.array(0), np.array(True), sample)
    np.testing.assert_allclose(least_squares.sampled_ls_embedding(SampleAndSolve(2), problem, result).value, 3.0)


def test_the_rate_by_hand():
    """d = 4, m = 64, u = 2: p = 4/8; after one step 2 (1/2) (1/2) / (1/2) = 1 times ||r||; failure 3 exp(-2)."""
    q = np.linalg.qr(rng().standard_normal((80, 5)))[0]
    problem = LeastSquaresProblem(q[:, :4], q @ np.array([1.0, 2.0, 3.0, 4.0, 2.0]))
    method = SketchPreconditioned(64, Gaussian(), tolerance=0.0, iterations=1)
    prediction = least_squares.preconditioned_ls_rate(method, problem)
    np.testing.assert_allclose([prediction.value, prediction.failure], [4.0, 3 * np.exp(-2)])


@pytest.mark.parametrize("steps", [0, 1, 2, 4, 8])
def test_the_rate_holds_at_every_number_of_steps(steps):
    _, problem = least_squares.preconditioned_ls_rate.extremal(rng(4))
    method = SketchPreconditioned(100, Gaussian(), tolerance=0.0, iterations=steps)
    (comparison,) = compare(method, problem, [least_squares.preconditioned_ls_rate], trials=100, rng=rng(5))
    assert comparison.verdict in (Verdict.SUPPORTED, Verdict.NOT_CONTRADICTED, Verdict.VACUOUS)


def test_residual_and_excess_differ_by_the_least_residual():
    problem = three_columns()
    result = SketchAndSolve(20)(problem, rng=rng())
    difference = least_squares.residual_squared(problem, result) - least_squares.excess_squared(problem, result)
    np.testing.assert_allclose(difference, 4.0)


def test_a_sample_that_misses_a_direction_is_no_embedding():
    problem = three_columns()
    result = SampleAndSolve(3)(problem, rng=rng())
    with pytest.raises(HypothesisViolated, match="e < 1"):
        least_squares.sampled_ls_embedding(SampleAndSolve(3), problem, result)


DEFICIENT = LeastSquaresProblem(np.ones((9, 2)), np.ones(9))


@pytest.mark.parametrize(
    "theorem, method, problem, words",
    [
        (least_squares.sketched_ls_gaussian, SketchAndSolve(20), three_columns(), "Gaussian"),
        (least_squares.sketched_ls_gaussian, SketchAndSolve(6, Gaussian()), three_columns(), "finite"),
        (least_squares.sketched_ls_gaussian, SketchAndSolve(20, Gaussian()), DEFICIENT, "full column rank"),
        (least_squares.sketched_ls_gaussian, SketchAndSolve(20, Gaussian()), np.eye(3), "a least squares problem"),
        (least_squares.preconditioned_ls_rate, SketchPreconditioned(), three_columns(), "Gaussian"),
        (least_squares.preconditioned_ls_rate, SketchPreconditioned(sketch=Gaussian()), three_columns(), "tolerance 0"),
        (least_squares.preconditioned_ls_rate, SketchPreconditioned(9, Gaussian(), 0.0), three_columns(), "sqrt d"),
        (least_squares.sampled_ls_markov, SampleAndSolve(), DEFICIENT, "full column rank"),
        (least_squares.sampled_ls_markov.with_parameters(delta=1.0), SampleAndSolve(), three_columns(), "0 < e, g"),
    ],
)
def test_a_violated_hypothesis_is_named(theorem, method, problem, words):
    with pytest.raises(HypothesisViolated, match=words):
        theorem(method, problem)


@dataclasses.dataclass(frozen=True)
class Undersketched(SketchAndSolve):
    """Claims its rows, but uses a quarter of them."""

    def solve(self, problem, *, rng):
        return SketchAndSolve(self.size // 4, self.sketch).solve(problem, rng=rng)


def test_a_sketch_with_too_few_rows_is_found_out():
    method = Undersketched(40, Gaussian())
    (comparison,) = compare(method, three_columns(), [least_squares.sketched_ls_gaussian], rng=rng())
    assert comparison.verdict is Verdict.REFUTED
