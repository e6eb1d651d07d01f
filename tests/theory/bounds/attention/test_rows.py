from __future__ import annotations

import numpy as np
import pytest

from theory.bounds.attention import rows
from theory.bounds.attention.perturbed import PerturbedKernel, random_problem
from theory.statement.bound import HypothesisViolated, require


def test_a_value_is_found_once_for_every_problem_and_result() -> None:
    calls = []

    @rows.once_for_result
    def counted(problem, result):
        calls.append((problem, result))
        return np.zeros(1)

    problems = [random_problem(np.random.default_rng(seed)) for seed in (0, 1)]
    results = [PerturbedKernel(np.ones(()))(problem) for problem in problems]
    for _ in range(2):
        assert not counted(problems[0], results[0]).flags.writeable
        counted(problems[0], results[1])
        counted(problems[1], results[1])
    assert len(calls) == 3


def test_a_failed_hypothesis_is_remembered() -> None:
    calls = []

    @rows.once_for_result
    def failing(problem, result):
        calls.append(problem)
        require(False, "no problem is like this")
        return np.zeros(1)

    problem = random_problem(np.random.default_rng(0))
    result = PerturbedKernel(np.ones(()))(problem)
    for _ in range(2):
        with pytest.raises(HypothesisViolated, match="no problem is like this"):
            failing(problem, result)
    assert len(calls) == 1


def test_the_kernel_in_units_of_the_exact_mass_is_shared() -> None:
    problem = random_problem(np.random.default_rng(0))
    result = PerturbedKernel(np.full((), 2.0))(problem)
    kernel = rows.kernel_over_mass(problem, result)
    assert kernel is rows.kernel_over_mass(problem, result)
    np.testing.assert_allclose(kernel, 2 * rows.exact_weights(problem), rtol=1e-13)
