"""Moments and tails of the pseudo-inverse of a Gaussian matrix, on which the theorems of the range finder rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import ExactExpectation, InExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import Rng, normal, require_rng
from tnattn.structured.dense import Dense


@dataclass(frozen=True)
class GaussianPseudoInverse:
    """Draws ``G^+`` of a k-by-(k + p) standard Gaussian matrix for a target of its shape, (k + p, k).

    The target is zero, so that an error is a norm of ``G^+``.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.randnla.gaussian_moments import GaussianPseudoInverse, gaussian_pinv_fro
    >>> method, target = GaussianPseudoInverse(), np.zeros((6, 2))
    >>> method(target, rng=np.random.default_rng(0)).shape
    (6, 2)
    >>> gaussian_pinv_fro(method, target).value.round(4).item()  # k / (p - 1) for k = 2 and p = 4
    0.6667
    """

    def __call__(self, target: Any, *, rng: Rng | None = None) -> Dense:
        """Return one sample of the pseudo-inverse, (k + p, k)."""
        columns, k = target.shape[-2:]
        drawn = normal(require_rng(rng, "GaussianPseudoInverse"), (k, columns), like=target)
        return Dense(np.linalg.pinv(drawn))


def _zero(k: int, p: int) -> Callable[[np.random.Generator], Instance]:
    return lambda rng: (GaussianPseudoInverse(), np.zeros((k + p, k)))


def _infinite(target: Any) -> Values:
    return np.asarray(np.inf)


def _one(target: Any) -> Values:
    return np.ones(())


def _error(name: str, error: Error) -> Error:
    return Error(name, error.measure, _infinite, _one)


frobenius_squared = _error("squared Frobenius norm of the pseudo-inverse", errors.matrix_frobenius_squared)
frobenius = _error("Frobenius norm of the pseudo-inverse", errors.matrix_frobenius)
spectral = _error("spectral norm of the pseudo-inverse", errors.matrix_spectral)
spectral_squared = Error(
    "squared spectral norm of the pseudo-inverse",
    lambda t, r: errors.matrix_spectral(t, r) ** 2,
    _infinite,
    _one,
)


def _sizes(target: Any, *, least: int) -> tuple[int, int]:
    columns, k = (int(n) for n in target.shape[-2:])
    p = columns - k
    require(k >= 1 and p >= least, f"k >= 1 and p >= {least}")
    require(bool(np.all(errors.dense(target) == 0)), "the target is zero")
    return k, p


def _inverse_square_spread(target: Any) -> float:
    p = int(target.shape[-2] - target.shape[-1])
    # the fourth moment of a reciprocal chi-squared variable with p + 1 degrees of freedom exists for p > 3 only
    return 2 / (p - 3) if p > 3 else np.inf


halko = Paper("Halko, Martinsson & Tropp 2011", method=GaussianPseudoInverse, instances=(_zero(24, 24), _zero(3, 4)))

# spread: k dependent variables 1 / chi-squared with p + 1 degrees of freedom
halko_inverse = replace(
    halko,
    instances=(_zero(4, 8), _zero(3, 6)),
    guarantee=ExactExpectation(spread=lambda method, target: _inverse_square_spread(target)),
)


@halko_inverse("Proposition 10.1", error=frobenius_squared)
def gaussian_pinv_fro(method: GaussianPseudoInverse, target: Any) -> Values:
    """E||G^+||_F^2 = k / (p-1) for a k-by-(k+p) Gaussian matrix.

    Letters: G a k-by-(k+p) matrix of independent standard normal entries; k its number of rows; p its number of columns
    beyond k.
    Hypotheses: k >= 1 and p >= 2; the target is zero.
    """
    k, p = _sizes(target, least=2)
    # trace of the mean of an inverse Wishart matrix
    return np.asarray(k / (p - 1))


@halko("Proposition 10.2", error=spectral, guarantee=InExpectation(), instances=(_zero(40, 24), _zero(3, 4)))
def gaussian_pinv_spec(method: GaussianPseudoInverse, target: Any) -> Values:
    """E||G^+|| <= e sqrt(k+p) / p for a k-by-(k+p) Gaussian matrix.

    Letters: G a k-by-(k+p) matrix of independent standard normal entries; e the base of natural logarithms; k its
    number of rows; p its number of columns beyond k.
    Hypotheses: k >= 1 and p >= 1; the target is zero.
    """
    k, p = _sizes(target, least=1)
    return np.asarray(np.e * np.sqrt(k + p) / p)


frangella = Paper(
    "Frangella, Tropp & Udell 2023", method=GaussianPseudoInverse, instances=(_zero(4, 8), _zero(3, 5)), must_fail=0.1
)


@frangella("from Chen & Dongarra 2005, re-derived", error=spectral_squared, guarantee=InExpectation())
def gaussian_pinv_spec_sq(method: GaussianPseudoInverse, target: Any) -> Values:
    """E||G^+||^2 <= e^2 (k+p) / (p^2 - 1) for a k-by-(k+p) Gaussian matrix.

    Letters: G a k-by-(k+p) matrix of independent standard normal entries; e the base of natural logarithms; k its
    number of rows; p its number of columns beyond k.
    Hypotheses: k >= 1 and p >= 2; the target is zero.
    """
    k, p = _sizes(target, least=2)
    return np.asarray(np.e**2 * (k + p) / (p**2 - 1))


halko_tail = replace(halko, instances=(_zero(4, 8), _zero(3, 4)))


@halko_tail("Proposition 10.4", error=frobenius, guarantee=WithProbability(), sharpest={"t": 1.2})
def gaussian_pinv_fro_tail(method: GaussianPseudoInverse, target: Any, *, t: float = 2.0) -> tuple[Values, float]:
    """||G^+||_F < t sqrt(3k / (p+1)), except with probability t^-p.

    Letters: G a k-by-(k+p) matrix of independent standard normal entries; t a parameter; k its number of rows; p its
    number of columns beyond k.
    Hypotheses: k >= 1 and p >= 4; the target is zero; t >= 1.
    """
    k, p = _sizes(target, least=4)
    require(t >= 1, "t >= 1")
    return np.asarray(t * np.sqrt(3 * k / (p + 1))), float(t**-p)


@halko("Proposition 10.4", error=spectral, guarantee=WithProbability(), must_fail=0.15, sharpest={"t": 1.1})
def gaussian_pinv_spec_tail(method: GaussianPseudoInverse, target: Any, *, t: float = 2.0) -> tuple[Values, float]:
    """||G^+|| < t e sqrt(k+p) / (p+1), except with probability t^-(p+1).

    Letters: G a k-by-(k+p) matrix of independent standard normal entries; t a parameter; e the base of natural
    logarithms; k its number of rows; p its number of columns beyond k.
    Hypotheses: k >= 1 and p >= 4; the target is zero; t >= 1.
    """
    k, p = _sizes(target, least=4)
    require(t >= 1, "t >= 1")
    return np.asarray(t * np.e * np.sqrt(k + p) / (p + 1)), float(t ** -(p + 1))
