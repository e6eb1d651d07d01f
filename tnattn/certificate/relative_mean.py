"""The root mean square error relative to that of the exact output, without an estimate of the size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tnattn.certificate.certificate import Certificate, CertificateKind, certificate_of
from tnattn.certificate.confidence import below_relative
from tnattn.certificate.sampled_rows import RowErrors

_LEAST, _MOST = 2.0**-20, 2.0**10  # relative errors among which the least certified one is sought
_BISECTIONS = 24  # of their logarithm, to 1e-6; the upper end is returned, which is certified


@dataclass(frozen=True)
class RelativeMeanError(CertificateKind):
    """The root mean square error over all rows, relative to the root mean square of the exact rows.

    Notes
    -----
    The least level e for which a gambler who bets that the squared errors sum to less than e^2 times the squared sizes
    wins 1 / failure. His wealth grows with e on any draw, so that the least level that is won is below the true one
    with no more probability than the true one is won. The size is not estimated: a bound on the absolute error divided
    by the size of a sample certifies no relative one. A floor as that of ``MeanError``, relative to the size.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate import RelativeMeanError, RowErrors
    >>> errors = np.full((1, 256), 0.1)
    >>> measured = RowErrors(errors, np.full_like(errors, 5.0), np.asarray([2.0]), 4096)
    >>> print(RelativeMeanError().certify(measured, 1e-3).statement())
    With confidence 0.999, the relative root mean square error of the rows is at most 0.0703 (256 of 4096 rows exact).
    """

    def certified(self, measured: RowErrors, level: float, failure: float) -> bool:
        """Return whether every head is certified to have at most this relative error, without its least bound."""
        heads = measured.errors.shape[0]
        rows = zip(measured.errors, measured.sizes, measured.envelope, strict=True)
        return all(
            math.isfinite(envelope)
            and bool(np.all(np.isfinite(errors)))
            and _is_below(np.minimum(errors, envelope), sizes, envelope, measured.population, failure / heads, level)
            for errors, sizes, envelope in rows
        )

    def _certify(self, measured: RowErrors, failure: float) -> Certificate:
        heads = measured.errors.shape[0]
        values, floors = [], []
        for errors, sizes, envelope in zip(measured.errors, measured.sizes, measured.envelope, strict=True):
            if not (math.isfinite(envelope) and np.all(np.isfinite(errors))):
                values.append(math.inf)
                floors.append(math.inf)
                continue
            rest = (sizes, envelope, measured.population, failure / heads)
            values.append(_least_level(np.minimum(errors, envelope), *rest))
            floors.append(_least_level(np.zeros_like(errors), *rest))
        kind = "the relative root mean square error of the rows is at most {}"
        return certificate_of(kind, np.asarray(values), failure, measured, np.asarray(floors))


def _is_below(errors: Any, sizes: Any, envelope: float, population: int, failure: float, level: float) -> bool:
    options = {"level": level**2, "largest": envelope**2, "failure": failure}
    return envelope == 0 or bool(below_relative(errors**2, sizes**2, population=population, **options))


def _least_level(errors: Any, sizes: Any, envelope: float, population: int, failure: float) -> float:
    """Return the least relative error that is certified, infinite if none is."""
    given = (errors, sizes, envelope, population, failure)
    if envelope == 0:
        return 0.0
    if _is_below(*given, _LEAST):
        return _LEAST
    if not _is_below(*given, _MOST):
        return math.inf
    low, high = math.log(_LEAST), math.log(_MOST)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if _is_below(*given, math.exp(middle)) else (middle, high)
    return math.exp(high)
