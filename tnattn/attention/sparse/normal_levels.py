"""Lloyd-Max levels of the standard normal distribution: the scalar quantisers of least mean square error."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from statistics import NormalDist

from tnattn.scalars import Parameters, as_integer

__all__: list[str] = []  # parts of the methods of this chapter

MOST_BITS = 6  # 64 levels err by 1e-3 of the variance, below what a truncated transform leaves out
_STEPS = 50  # Newton steps converge in less than ten from the start below
_HALF = math.sqrt(0.5)


@dataclass(frozen=True)
class NormalLevels(Parameters):
    """Levels of a quantiser of 2^bits levels, the thresholds between them, and its mean square error.

    Examples
    --------
    >>> from tnattn.attention.sparse.normal_levels import normal_levels
    >>> one = normal_levels(1)
    >>> round(one.levels[1], 4), one.thresholds, round(one.distortion, 4)  # sqrt(2 / pi), 1 - 2 / pi
    (0.7979, (0.0,), 0.3634)
    """

    levels: tuple[float, ...]
    thresholds: tuple[float, ...]
    distortion: float


@functools.cache
def normal_levels(bits: int) -> NormalLevels:
    """Return the Lloyd-Max quantiser of a standard normal variable.

    Parameters
    ----------
    bits : int
        0 to 6; with no bits the only level is zero.

    Raises
    ------
    ValueError
        If ``bits`` is out of range.

    Notes
    -----
    Lloyd 1982 and Max 1960: thresholds lie midway between levels, and levels are means of their cells. Newton's method
    for these equations, whose Jacobian is tridiagonal, on the positive levels; the start is the companding rule of
    Panter & Dite 1951, quantiles of the density^(1/3), which is normal of variance 3. O(2^bits) per step.
    """
    count = 2 ** as_integer(bits, "bits", least=0, most=MOST_BITS)
    if count == 1:
        return NormalLevels((0.0,), (), 1.0)
    half = count // 2
    wide = NormalDist(0.0, math.sqrt(3.0))
    positive = [wide.inv_cdf(0.5 + (i + 0.5) / count) for i in range(half)]
    for _ in range(_STEPS):
        step = _newton_step(positive)
        positive = [x - s for x, s in zip(positive, step, strict=True)]
        if max(map(abs, step)) <= 1e-14:  # rounding of levels of size one to four
            break
    inner = [(a + b) / 2 for a, b in itertools.pairwise(positive)]
    # E (z - x(z))^2 = 1 - E x(z)^2, as levels are means of their cells
    mass = [_tail(a) - _tail(b) for a, b in zip([0.0, *inner], [*inner, math.inf], strict=True)]
    distortion = 1.0 - 2.0 * sum(p * x * x for p, x in zip(mass, positive, strict=True))
    return NormalLevels(
        (*(-x for x in reversed(positive)), *positive), (*(-t for t in reversed(inner)), 0.0, *inner), distortion
    )


def _newton_step(x: list[float]) -> list[float]:
    """Return the Newton step of the equations x_i = mean of the cell around x_i, for the positive levels."""
    inner = [(a + b) / 2 for a, b in itertools.pairwise(x)]
    lower, diagonal, upper, residual = [], [], [], []
    for value, a, b in zip(x, [0.0, *inner], [*inner, math.inf], strict=True):
        mass = _tail(a) - _tail(b)
        mean = (_density(a) - _density(b)) / mass
        # derivatives of the mean of a cell by its ends; each end moves by half of either level beside it
        left = _density(a) * (mean - a) / mass / 2 if a > 0 else 0.0
        right = _density(b) * (b - mean) / mass / 2 if b < math.inf else 0.0
        lower.append(-left)
        diagonal.append(1.0 - left - right)
        upper.append(-right)
        residual.append(value - mean)
    return _tridiagonal_solution(lower, diagonal, upper, residual)


def _tridiagonal_solution(
    lower: list[float], diagonal: list[float], upper: list[float], right: list[float]
) -> list[float]:
    """Return the solution of a diagonally dominant tridiagonal system, by elimination without pivots."""
    pivots, values = [diagonal[0]], [right[0]]
    for i in range(1, len(diagonal)):
        factor = lower[i] / pivots[-1]
        pivots.append(diagonal[i] - factor * upper[i - 1])
        values.append(right[i] - factor * values[-1])
    solution = [values[-1] / pivots[-1]]
    for i in range(len(diagonal) - 2, -1, -1):
        solution.append((values[i] - upper[i] * solution[-1]) / pivots[i])
    return solution[::-1]


def _density(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _tail(x: float) -> float:
    """Return the probability of values above x."""
    return math.erfc(x * _HALF) / 2
