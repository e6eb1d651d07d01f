"""Lengths and inner products of queries and keys, of which the moments of random features are functions."""

from __future__ import annotations

import numpy as np

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
