"""Bounds on the mean of all errors from rows drawn by importance and from strata."""

from __future__ import annotations

import numpy as np

from theory.bounds.certificate.row_samples import (
    DrawnErrors,
    ImportanceRowSample,
    StratifiedRowSample,
    exponential,
    largest_square,
    mean_square,
    needles,
    require_one_matrix,
    squares,
)
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.certificate.independent_draws import importance_mean_upper, stratified_mean_upper


def _column(errors: Values, index: int) -> Values:
    return np.asarray(errors[..., index : index + 1], dtype=np.float64)


def _mean_of_first(errors: Values) -> Values:
    first = _column(errors, 0)
    return np.asarray(squares(first, first).mean(axis=-1) * largest_square(first))


first_mean_square = Error(
    "mean square of the first column", lambda t, r: _mean_of_first(t), largest_square, largest_square, squared=True
)


def _overlooked_by_importance(rng: np.random.Generator) -> Instance:
    """Bounds of two and one in turns; three errors attain theirs, which 32 draws overlook with probability 0.3."""
    bounds = np.where(np.arange(64) % 2, 1.0, 2.0)[:, None]
    errors = np.where(np.isin(np.arange(64), (0, 1, 3))[:, None], bounds, 0.0)
    return ImportanceRowSample(), np.concatenate([errors, bounds], axis=-1)


def _below_their_bounds(rng: np.random.Generator) -> Instance:
    bounds = rng.uniform(0.5, 2.0, (60, 1))
    return ImportanceRowSample(rows=24), np.concatenate([bounds * rng.uniform(0, 1, (60, 1)), bounds], axis=-1)


def _overlooked_in_strata(rng: np.random.Generator) -> Instance:
    """Nine large errors in as many strata of eight rows: overlooked with probability (7 / 8)^9 = 0.3."""
    return StratifiedRowSample(), needles(9)


def _smooth(rng: np.random.Generator) -> Instance:
    return StratifiedRowSample(rows=24), exponential(rng)[1]


own = Paper(
    "Waudby-Smith & Ramdas 2024",
    guarantee=WithProbability(),
    statement="betting on independent draws, for a mixture of stakes re-derived",
)


_IMPORTANCE = (_overlooked_by_importance, _below_their_bounds)


@own(error=first_mean_square, method=ImportanceRowSample, instances=_IMPORTANCE)
def importance_mean(method: ImportanceRowSample, errors: Values, result: DrawnErrors) -> tuple[Values, float]:
    """(1/n) sum_i e_i <= (1/n) sum_i b_i^2 sup{mu : max_t W_t(mu) < 1 / delta} with probability 1 - delta.

    Row i is (root of e_i, b_i), and drawn with probability b_i^2 / sum b^2; W_t(mu) is the wealth sum_l w_l prod_{u <=
    t} (1 + l (mu - x_u) / (1 - mu)) with x_u the u-th drawn e / b^2. Rows sharpen known bounds by at most sqrt(m /
    log(1 / delta)).

    Letters: b a bound on the root of e, known for all rows; W the wealth; mu a possible mean of e / b^2; delta the
    probability of failure; t the number of draws; n the number of rows.
    Hypotheses: the errors are one matrix; a row is an error and its bound; no error exceeds its bound.
    """
    require_one_matrix(errors)
    require(errors.shape[-1] == 2, "a row is an error and its bound")
    require(bool(np.all(np.abs(errors[:, 0]) <= np.abs(errors[:, 1]))), "no error exceeds its bound")
    bounds = _column(errors, 1)
    x, y = (squares(_column(result.rows, k), bounds) for k in (0, 1))
    mean = float(squares(bounds, bounds).mean())
    return (
        importance_mean_upper(x, y, mean_bound=mean, failure=method.failure) * largest_square(bounds),
        method.failure,
    )


@own(error=mean_square, method=StratifiedRowSample, instances=(_overlooked_in_strata, _smooth))
def stratified_mean(method: StratifiedRowSample, errors: Values, result: DrawnErrors) -> tuple[Values, float]:
    """(1/n) sum_i e_i <= B sup{mu : W_m(mu) < 1 / delta} with probability 1 - delta, for one row of each stratum.

    W_m(mu) is the wealth sum_l w_l prod_{t <= m} (1 + l (mu - x_t) / (1 - mu)) with x_t the e of stratum t over B,
    after all m strata: its mean is at most (1 + l (mu - mu) / (1 - mu))^m = 1 by the inequality of arithmetic and
    geometric means. It says nothing at a stop before the last stratum.

    Letters: B a bound on all e, fixed before the draw; W the wealth; mu a possible mean of e over B; delta the
    probability of failure; n the number of rows; m the number of strata.
    Hypotheses: the errors are one matrix.
    """
    require_one_matrix(errors)
    bound = stratified_mean_upper(squares(result.rows, errors), failure=method.failure)
    return bound * largest_square(errors), method.failure
