from __future__ import annotations

import numpy as np
import pytest

from theory.bounds.attention.pseudo_inverse import PseudoInverse, pinv_iteration, pseudo_inverse_residual
from theory.statement.bound import HypothesisViolated


def _half(iterations: int) -> float:
    """A = diag(1, 1 / sqrt(2)) has norms 1, so that the iteration starts with an error of 1/2."""
    return float(pinv_iteration(PseudoInverse(iterations), np.diag([1.0, 0.5**0.5])).value)


@pytest.mark.parametrize("iterations, expected", [(0, 0.5), (1, 0.109375), (2, 0.00101711)])
def test_the_worked_example(iterations: int, expected: float) -> None:
    assert _half(iterations) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("iterations", [0, 1, 2])
def test_the_iteration_attains_its_recursion(iterations: int) -> None:
    a = np.diag([1.0, 0.5**0.5])
    found = pseudo_inverse_residual(a, PseudoInverse(iterations)(a))
    assert float(found) == pytest.approx(_half(iterations), rel=1e-10)


def test_a_singular_matrix_is_outside_the_hypotheses() -> None:
    with pytest.raises(HypothesisViolated, match="full rank"):
        pinv_iteration(PseudoInverse(2), np.ones((3, 3)))
