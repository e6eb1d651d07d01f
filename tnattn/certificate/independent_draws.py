"""Confidence bounds from rows drawn with replacement by importance, and from one row of each of equal strata."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tnattn.certificate.confidence import in_unit_interval, probability
from tnattn.certificate.wealth import Floats, least_excluded, log_wealth
from tnattn.scalars import as_integer

__all__ = [
    "importance_mean_upper",
    "importance_rows",
    "independent_mean_upper",
    "stratified_mean_upper",
    "stratified_rows",
]

Indices = npt.NDArray[np.int64]


def importance_rows(bounds: npt.ArrayLike, rows: int, *, rng: np.random.Generator) -> Indices:
    """Return indices (rows,) drawn with replacement, with probabilities proportional to bounds (n,) of the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate.independent_draws import importance_rows
    >>> importance_rows([0.0, 1.0, 0.0], 3, rng=np.random.default_rng(0)).tolist()
    [1, 1, 1]
    """
    bounds, rows = np.asarray(bounds, dtype=np.float64), as_integer(rows, "rows", least=1)
    total = float(np.sum(bounds))
    if bounds.ndim != 1 or not (math.isfinite(total) and total > 0) or (bounds < 0).any():
        raise ValueError(
            f"bounds has shape {bounds.shape} and sum {total}; bounds of the errors are non-negative and finite, and "
            "not all zero"
        )
    return np.asarray(rng.choice(len(bounds), size=rows, p=bounds / total), dtype=np.int64)


def importance_mean_upper(errors: npt.ArrayLike, bounds: npt.ArrayLike, *, mean_bound: float, failure: float) -> Floats:
    """Return an upper confidence bound on the mean of errors of which each has a bound of its own.

    Parameters
    ----------
    errors, bounds : array, (..., m)
        Errors and their bounds at rows of ``importance_rows``, in the order of the draws.
    mean_bound : float
        Mean of the bounds of all rows.
    failure : float

    Returns
    -------
    array, (...)
        At most ``mean_bound``; at least about mean_bound log(1 / failure) / m.

    Notes
    -----
    errors / bounds are independent draws from [0, 1] with mean (mean of the errors) / mean_bound: m rows sharpen known
    bounds of a square by at most the factor m / log(1 / failure).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate.independent_draws import importance_mean_upper
    >>> ones = np.ones(256)
    >>> importance_mean_upper(0.01 * ones, ones, mean_bound=1.0, failure=1e-3).round(3).tolist()
    0.038
    """
    errors, bounds = np.asarray(errors, dtype=np.float64), np.asarray(bounds, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.where(errors == 0, 0.0, errors / bounds)
    return mean_bound * independent_mean_upper(x, failure=failure)


def independent_mean_upper(x: npt.ArrayLike, *, failure: float) -> Floats:
    """Return an upper confidence bound on the mean of a law on [0, 1] from independent draws (..., m).

    It holds after every draw, with one probability for all of them: one may stop at the first success.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate.independent_draws import independent_mean_upper
    >>> independent_mean_upper(np.zeros(256), failure=1e-3).round(4).tolist()  # 1 - failure^(1 / 256) is 0.0266
    0.0285
    """
    x, most = in_unit_interval(x), -math.log(probability(failure))
    return _upper(x, lambda wealth: np.any(wealth >= most, axis=-1))


def stratified_rows(population: int, strata: int, *, rng: np.random.Generator) -> Indices:
    """Return one index from each of equal strata of consecutive rows, (strata,).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate.independent_draws import stratified_rows
    >>> (stratified_rows(12, 4, rng=np.random.default_rng(0)) // 3).tolist()
    [0, 1, 2, 3]
    """
    population, strata = as_integer(population, "population", least=1), as_integer(strata, "strata", least=1)
    if population % strata:
        raise ValueError(f"{population} rows are no {strata} equal strata; take a divisor of the number of rows")
    size = population // strata
    return np.asarray(size * np.arange(strata) + rng.integers(size, size=strata), dtype=np.int64)


def stratified_mean_upper(x: npt.ArrayLike, *, failure: float) -> Floats:
    """Return an upper confidence bound on the mean of numbers in [0, 1] from one row of each of equal strata (..., m).

    Notes
    -----
    It holds for the complete sample, not at a stop before: the mean of prod_t (1 + lambda (mu - x_t) / (1 - mu)) over
    the draws is prod_t (1 + lambda (mu - mu_t) / (1 - mu)) with the means mu_t of the strata, at most one by the
    inequality of arithmetic and geometric means; Markov. The same floor as random rows, with less spread from draw to
    draw where errors vary smoothly with the position.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate.independent_draws import stratified_mean_upper
    >>> stratified_mean_upper(np.full(256, 0.01), failure=1e-3).round(3).tolist()
    0.038
    """
    x, most = in_unit_interval(x), -math.log(probability(failure))
    return _upper(x, lambda wealth: wealth[..., -1] >= most)


def _upper(x: Floats, won: Callable[[Floats], npt.NDArray[np.bool_]]) -> Floats:
    def excluded(mean: Floats) -> npt.NDArray[np.bool_]:
        with np.errstate(divide="ignore", invalid="ignore"):
            edge = np.where(mean[..., None] < 1, (mean[..., None] - x) / (1 - mean[..., None]), 0.0)
        return won(log_wealth(edge)) | (mean >= 1)

    # no mean below that of the draws is excluded: the wealth falls below one there
    return least_excluded(excluded, np.zeros(x.shape[:-1]), np.ones(x.shape[:-1]))
