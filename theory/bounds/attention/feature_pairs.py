"""Mean squared errors of random features, as functions of lengths and inner products of queries and keys."""

from __future__ import annotations

import numpy as np
from scipy.special import hyp1f1

from theory.bounds.attention.rows import host, per_head
from theory.statement.bound import require
from theory.statement.prediction import Values
from tnattn.attention.masks import FullMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.performer import Performer

LARGEST_EXPONENT = 600.0
"""Of a moment: e^600 = 4e260 leaves room for sums over pairs."""


class Pairs:
    """Lengths and inner products of the scaled queries x and keys y of every pair, (..., H, n_q, n_k).

    Where the method subtracts the mean key from the keys, y is the centred key and every entry of the kernel carries
    the factor exp(x . mean), whose square is ``gain``.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.attention.feature_pairs import Pairs
    >>> from tnattn import AttentionProblem
    >>> from tnattn import Performer
    >>> x = np.eye(2)[None]
    >>> pairs = Pairs(Performer(4, centre=False), AttentionProblem(x, x, x, scale=1.0))
    >>> pairs.dot.tolist(), pairs.sum.tolist()
    ([[[1.0, 0.0], [0.0, 1.0]]], [[[4.0, 2.0], [2.0, 4.0]]])
    """

    def __init__(self, method: Performer, problem: AttentionProblem) -> None:
        require(all(isinstance(part, FullMask) for part in problem.mask.conjuncts), "every query sees every key")
        require(problem.softcap is None, "scores are inner products")
        scale = problem.score_scale
        x = np.sqrt(scale) * host(problem.q)
        y = np.sqrt(scale) * per_head(problem, problem.keys, 2)
        origin = y.mean(axis=-2, keepdims=True) if method.centre else np.zeros_like(y[..., :1, :])
        y = y - origin
        self.width = problem.width
        with np.errstate(over="ignore"):  # refused below
            self.gain = np.exp(2 * x @ np.swapaxes(origin, -1, -2))
        self.dot = x @ np.swapaxes(y, -1, -2)
        self.squares = np.sum(x * x, axis=-1)[..., :, None] + np.sum(y * y, axis=-1)[..., None, :]
        self.sum = np.maximum(self.squares + 2 * self.dot, 0.0)  # ||x + y||^2
        self.difference = np.maximum(self.squares - 2 * self.dot, 0.0)  # ||x - y||^2
        # the moments are products of exponentials of these, and of the gain
        largest = 4 * self.squares + np.abs(2 * x @ np.swapaxes(origin, -1, -2))
        require(bool(np.all(largest <= LARGEST_EXPONENT)), "float64 holds the moments: 4 (|x|^2 + |y|^2) <= 600")

    def total(self, entries: Values) -> Values:
        """Sum of the mean squared errors of all entries of the kernel, (..., H)."""
        return np.asarray(np.sum(self.gain * entries, axis=(-2, -1)))


def trigonometric_errors(pairs: Pairs, m: int) -> Values:
    """Return the mean squared errors of trigonometric features of m independent directions, entry by entry."""
    # expm1: for near queries and keys the error is a difference of numbers close to one
    return np.asarray(np.exp(pairs.sum - 2 * pairs.dot) * np.expm1(-pairs.difference) ** 2 / (2 * m))


def positive_errors(pairs: Pairs, m: int) -> Values:
    """Return the mean squared errors of positive features of m independent directions, entry by entry."""
    return np.asarray(np.exp(2 * pairs.dot) * np.expm1(pairs.sum) / m)


def hyperbolic_errors(pairs: Pairs, m: int) -> Values:
    """Return the mean squared errors of hyperbolic features of m independent directions, entry by entry."""
    return np.asarray(-np.expm1(-pairs.sum) / 2 * positive_errors(pairs, m))


def orthogonal_share(count: int, width: int) -> float:
    """Return the share of pairs of different directions in a common orthogonal block: (m - 1) / m for one block."""
    # directions are drawn in blocks of ``width``, orthogonal inside and independent of each other
    blocks, rest = divmod(count, width)
    return (blocks * width * (width - 1) + rest * (rest - 1)) / count**2


def orthogonal_gain(pairs: Pairs) -> Values:
    """Return E f(w1) E f(w2) - E f(w1) f(w2) for two orthogonal directions of positive features of every pair."""
    d, z = pairs.width, pairs.sum
    # E exp((w1 + w2) . (x + y)) is exp(z) for independent and 1F1(d; d/2; z/2) for orthogonal directions
    return np.asarray(np.exp(-pairs.squares) * (np.exp(z) - hyp1f1(d, d / 2, z / 2)))
