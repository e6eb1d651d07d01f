"""The iteration for the pseudo-inverse inside Nystromformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense, spectrum_of
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.low_rank.regularised_inverse import iterated_pseudo_inverse


@dataclass(frozen=True)
class PseudoInverse:
    """The third-order iteration of Nystromformer as a method: it takes square matrices and returns Z.

    Parameters
    ----------
    iterations : int

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.attention.pseudo_inverse import PseudoInverse
    >>> np.diagonal(PseudoInverse(iterations=6)(np.diag([1.0, 0.5]))).round(4).tolist()
    [1.0, 2.0]
    """

    iterations: int = 6

    def __call__(self, a: Any) -> Any:
        return iterated_pseudo_inverse(a, iterations=self.iterations)


def _residual(a: Any, z: Any) -> Values:
    # a projection, the identity where the rank is full
    exact = dense(a) @ np.linalg.pinv(dense(a))
    return np.asarray(np.linalg.norm(exact - dense(a) @ dense(z), ord=2, axis=(-2, -1)))


def _one(a: Any) -> Values:
    return np.ones(a.shape[:-2])


pseudo_inverse_residual = Error("spectral norm of A A^+ - A Z", _residual, _one, _one)


def _well_conditioned(rng: np.random.Generator) -> Instance:
    return PseudoInverse(2), np.eye(8) + 0.3 * rng.uniform(size=(3, 8, 8))


def _softmax_like(rng: np.random.Generator) -> Instance:
    kernel = np.exp(1.5 * rng.standard_normal((2, 10, 10)))
    return PseudoInverse(6), kernel / kernel.sum(axis=-1, keepdims=True)


xiong = Paper(
    "Xiong et al. 2021",
    method=PseudoInverse,
    instances=(_well_conditioned, _softmax_like),
    guarantee=Deterministic(condition=lambda method, a: 10 * np.linalg.cond(dense(a))),
)


# rounding of A^+ in the error is amplified by the condition number of A
@xiong("equation (15); recursion re-derived", error=pseudo_inverse_residual)
def pinv_iteration(method: PseudoInverse, a: Any) -> Values:
    """||A A^+ - A Z_j|| <= e_j, e_{j+1} = (3 e_j^3 + e_j^4) / 4, e_0 = 1 - s_min^2 / (||A||_1 ||A||_inf).

    s_min is the smallest singular value of a matrix of full rank.

    Letters: A the matrix; Z the iterate; e the bound on its residual.
    Hypotheses: A has full rank, with condition number below 1e6.
    """
    s = spectrum_of(a)
    require(bool(np.all(s[..., -1] > 1e-6 * s[..., 0])), "A has full rank, with condition number below 1e6")
    # ||A||_1 ||A||_inf >= ||A||^2 scales the initial guess A^T / (||A||_1 ||A||_inf)
    norms = np.abs(dense(a)).sum(axis=-1).max(axis=-1) * np.abs(dense(a)).sum(axis=-2).max(axis=-1)
    e = 1 - s[..., -1] ** 2 / norms
    for _ in range(method.iterations):
        e = (3 * e**3 + e**4) / 4
    return np.asarray(e)
