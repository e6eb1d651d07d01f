"""Rows of all that exceed what few of the drawn rows exceed: no envelope, any population."""

from __future__ import annotations

import numpy as np

from theory.bounds.attention.rows import host
from theory.bounds.certificate.row_samples import DrawnErrors, RowSample, exponential, require_one_matrix
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.certificate import exceeding_rows


def _norms(rows: Values) -> Values:
    return np.asarray(np.linalg.norm(host(rows), axis=-1))


def _share_above(errors: Values, result: DrawnErrors, *, spared: int = 0) -> Values:
    threshold = np.sort(_norms(result.rows))[-1 - spared]
    return np.asarray(np.mean(_norms(errors) > threshold))


above_largest = Error(
    "share of the rows above the largest drawn one", _share_above, lambda t: np.ones(()), lambda t: np.ones(())
)
above_third = Error(
    "share of the rows above the third largest drawn one",
    lambda t, r: _share_above(t, r, spared=2),
    lambda t: np.ones(()),
    lambda t: np.ones(()),
)


def _distinct(rng: np.random.Generator) -> Instance:
    """Errors without ties: the statement fails as often as it may."""
    return RowSample(), np.arange(1.0, 257.0)[:, None]


hypergeometric = Paper(
    "Clopper & Pearson 1934",
    method=RowSample,
    instances=(_distinct, exponential),
    guarantee=WithProbability(),
    statement="their inversion of a law, for the hypergeometric one re-derived",
)


@hypergeometric(error=above_largest)
def sampled_maximum(method: RowSample, errors: Values, result: DrawnErrors) -> tuple[float, float]:
    """Share of the rows above the largest drawn one <= K / n with probability 1 - delta.

    K is the largest number with C(n - K, m) / C(n, m) > delta; K / n <= 1 - delta^(1/m).

    Letters: K a number of rows; n the number of rows; delta the probability of failure.
    Hypotheses: the errors are one matrix.
    """
    require_one_matrix(errors)
    n = errors.shape[-2]
    return exceeding_rows(n, len(result.rows), method.failure) / n, method.failure


@hypergeometric(error=above_third)
def sampled_order_statistic(method: RowSample, errors: Values, result: DrawnErrors) -> tuple[float, float]:
    """Share of the rows above the r-th largest drawn one <= K / n with probability 1 - delta, r = 3 before the draw.

    K is the largest number with P{H <= r - 1} > delta for H hypergeometric, the drawn ones among K marked rows of n. If
    more than K rows exceed it, then fewer than r of the K + 1 largest rows were drawn.

    Letters: r the number of a drawn row, by size; K a number of rows; n the number of rows; delta the probability of
    failure.
    Hypotheses: the errors are one matrix; r <= m.
    """
    require_one_matrix(errors)
    require(len(result.rows) >= 3, "r <= m")
    n = errors.shape[-2]
    return exceeding_rows(n, len(result.rows), method.failure, exceeding=2) / n, method.failure
