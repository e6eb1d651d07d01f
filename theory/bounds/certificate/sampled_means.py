"""Bounds on the mean of all errors from those of few rows, and the least that such a bound can be."""

from __future__ import annotations

import numpy as np

from theory.bounds.certificate.row_samples import (
    DrawnErrors,
    RowSample,
    exponential,
    largest_square,
    mean_square,
    needles,
    overlooked,
    require_one_matrix,
    squares,
)
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import Deterministic, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.certificate import below_relative, mean_floor, mean_upper, winsorised_mean_upper

ville = Paper(
    "Waudby-Smith & Ramdas 2024",
    method=RowSample,
    instances=(overlooked, exponential),
    guarantee=WithProbability(),
    statement="betting without replacement, for a mixture of stakes re-derived",
)


@ville(error=mean_square)
def sampled_mean(method: RowSample, errors: Values, result: DrawnErrors) -> tuple[Values, float]:
    """(1/n) sum_i e_i <= B sup{mu : max_t W_t(mu) < 1 / delta} with probability 1 - delta.

    W_t(mu) is the wealth sum_l w_l prod_{u <= t} (1 + l (mu_u - x_u) / (1 - mu_u)) with x_u the u-th drawn e over B,
    and mu_u the mean that mu leaves to the rows not yet drawn; half of the weight is on l = 1. Under the true mean it
    is a martingale (Ville's inequality).

    Letters: B a bound on all e, fixed before the draw; W the wealth; mu a possible mean of e over B; delta the
    probability of failure; t the number of draws; n the number of rows.
    Hypotheses: the errors are one matrix.
    """
    require_one_matrix(errors)
    x = squares(result.rows, errors) / method.envelope
    bound = mean_upper(x, population=errors.shape[-2], failure=method.failure)
    return bound * method.envelope * largest_square(errors), method.failure


@ville(error=mean_square)
def winsorised_mean(
    method: RowSample, errors: Values, result: DrawnErrors, *, cap: float = 0.25
) -> tuple[Values, float]:
    """(1/n) sum_i e_i <= U + (K / n) (B - c) with probability 1 - delta, c = cap B.

    U bounds the mean of min(e, c) with failure delta / 2, and K is the number of rows of all that may exceed c where as
    many of the drawn ones do, with failure delta / 2: e <= min(e, c) + (B - c) [e > c].

    Letters: U the bound on the mean of min(e, c); K the number of rows that may exceed c; B a bound on all e, fixed
    before the draw; c the cap, fixed before the draw; cap its share of B; delta the probability of failure; n the
    number of rows.
    Hypotheses: the errors are one matrix; 0 < cap <= 1.
    """
    require_one_matrix(errors)
    require(0 < cap <= 1, "0 < cap <= 1")
    bound = winsorised_mean_upper(
        squares(result.rows, errors) / method.envelope,
        cap=cap,
        largest=1.0,
        population=errors.shape[-2],
        failure=method.failure,
    )
    return bound * method.envelope * largest_square(errors), method.failure


def _column(index: int, errors: Values) -> Values:
    return np.asarray(errors[..., index : index + 1], dtype=np.float64)


def _sum_of_first(errors: Values) -> Values:
    first = _column(0, errors)
    return np.asarray(squares(first, first).sum(axis=-1) * largest_square(first))


def _half_of_the_level(rng: np.random.Generator) -> Instance:
    """Every error is 0.4 times its size, and the level is a half: 0.16 is below 0.25, but not below 0.3 times it."""
    size = rng.uniform(0.5, 1.0, 64)
    return RowSample(rows=32), np.stack([0.4 * size, size], axis=-1)


def _near_the_level(rng: np.random.Generator) -> Instance:
    """Errors of random size, with squares at 0.28 of those of the outputs in the mean."""
    errors = np.sqrt(rng.exponential(size=(60, 2)))
    return RowSample(rows=24), errors * np.sqrt([0.28, 1.0])


def _sum_of_last(errors: Values) -> Values:
    last = _column(errors.shape[-1] - 1, errors)
    return np.asarray(squares(last, last).sum(axis=-1) * largest_square(last))


total_square = Error(
    "sum of squares of the first column", lambda t, r: _sum_of_first(t), _sum_of_last, largest_square, squared=True
)


@ville(error=total_square, instances=(_half_of_the_level, _near_the_level))
def sampled_relative_error(
    method: RowSample, errors: Values, result: DrawnErrors, *, epsilon: float = 0.5
) -> tuple[Values, float]:
    """sum_i e_i < eps^2 sum_i ||o_i||^2 once W reaches 1 / delta, with probability 1 - delta.

    A row of the target is (root of e_i, ||o_i||). W is the wealth of a bet that y_i = eps^2 ||o_i||^2 - e_i >= -B has a
    positive mean, prod_t (1 + l (y_t - m_t) / (B + m_t)) with m_t the mean that zero leaves to the rows not yet drawn,
    averaged over l. Where it does not reach 1 / delta the right-hand side is n B, which is always true.

    Letters: eps the relative error, a parameter; W the wealth; delta the probability of failure; o the exact output.
    Hypotheses: the errors are one matrix; a row is an error and a size.
    """
    require_one_matrix(errors)
    require(errors.shape[-1] == 2, "a row is an error and a size")
    first, second = _column(0, errors), _column(1, errors)
    unit = np.sqrt(largest_square(first)) or 1.0  # of both columns, so that no square overflows
    x, y = (squares(_column(k, result.rows), first) for k in (0, 1))
    confirmed = below_relative(
        np.minimum(x, method.envelope),
        y,
        level=epsilon**2,
        largest=method.envelope,
        population=errors.shape[-2],
        failure=method.failure,
    )
    right = epsilon**2 * np.sum((second / unit) ** 2)
    certain = errors.shape[-2] * method.envelope
    return np.asarray(np.where(confirmed, right, certain) * unit**2), method.failure


zeros_bound = Error(
    "bound on the mean where all drawn errors are zero",
    lambda t, r: mean_upper(np.zeros(len(r.rows)), population=t.shape[-2], failure=0.05) * largest_square(t),
    largest_square,
    largest_square,
    squared=True,
)


def _half_of_all(rng: np.random.Generator) -> Instance:
    return RowSample(rows=60), needles(1, n=120)


_ZEROS = (overlooked, _half_of_all)


@ville("re-derived", error=zeros_bound, side="lower", guarantee=Deterministic(), instances=_ZEROS)
def sampled_mean_floor(method: RowSample, errors: Values, result: DrawnErrors) -> Values:
    """Any bound from zeros alone is >= B K / n, K the largest number with C(n - K, m) / C(n, m) > delta.

    Whatever the bound is, if it fails with probability at most delta = 0.05 and knows of the errors only that none
    exceeds B: all of K errors of size B are overlooked with a larger probability. About B log(1 / delta) / m.

    Letters: B a bound on all e; K a number of rows; n the number of rows; m the number of draws; C(n, m) the number of
    samples; delta the probability of failure.
    Hypotheses: the errors are one matrix.
    """
    require_one_matrix(errors)
    return largest_square(errors) * mean_floor(errors.shape[-2], len(result.rows), 0.05)
