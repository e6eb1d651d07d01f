"""Certificates: upper bounds on the error of any approximation, from few rows computed exactly.

A theorem bounds the error of a method on every input and says little on real heads; a certificate bounds the error of
one output on one input, with a stated probability of being wrong, whatever computed it. Rows are drawn without
replacement and computed exactly, at the share rows / n_q of exact attention. Nothing is assumed of the errors: normal
theory is wrong where a few rows carry them.

``certify``
    The certificate of an output, an array or an ``Approximation``.
``Certificate``
    Bounds by head, probability of failure, rows, floors; prints one sentence and becomes a dictionary.
``CertificateKind``: ``Quantile``, ``MeanError``
    All rows but a small share have at most this error: 256 rows are enough for any length. The root mean square error
    over all rows: needs the envelope of all, and has a floor.
``RelativeMeanError``
    The same relative to the root mean square of the exact rows, of which nothing is estimated.
``for_error``
    The cheapest method of every head that is certified to have a given error, or exact attention with the reason.
``Suggestion``, ``HeadMethod``, ``Skipped``
    Its result, the part of one head, and a method that took no part.
``Ball``
    A ball around the values, which holds every exact output: the envelope of the errors, and a projection that never
    moves a row away from the exact one.
``RowErrors``, ``drawn_rows``, ``exact_rows``
    Errors at drawn rows, the draw, and the exact outputs there.
``mean_upper``, ``mean_below``, ``winsorised_mean_upper``, ``below_relative``
    Confidence bounds on means of a finite population of bounded numbers, by betting; valid at every sample size.
    ``log_wealth`` is the wealth of the bets.
``importance_rows``, ``importance_mean_upper``, ``independent_mean_upper``
    Rows drawn with replacement by known bounds of their errors, and the bound on the mean that follows.
``stratified_rows``, ``stratified_mean_upper``
    One row from each of equal strata: bounds that vary less from draw to draw.
``exceeding_rows``, ``mean_floor``
    Rows of all that may exceed what few of the drawn ones exceed, and the least bound on a mean that can be given.

Take first: ``certify(output, problem, rng=rng).statement()``; ``for_error(problem, 0.05, rng=rng)`` to choose methods.
"""

from tnattn.attention.ball import Ball
from tnattn.certificate.candidates import Skipped
from tnattn.certificate.certificate import Certificate, CertificateKind, MeanError, Quantile, certify
from tnattn.certificate.confidence import (
    below_relative,
    exceeding_rows,
    mean_below,
    mean_floor,
    mean_upper,
    winsorised_mean_upper,
)
from tnattn.certificate.for_error import for_error
from tnattn.certificate.independent_draws import (
    importance_mean_upper,
    importance_rows,
    independent_mean_upper,
    stratified_mean_upper,
    stratified_rows,
)
from tnattn.certificate.relative_mean import RelativeMeanError
from tnattn.certificate.sampled_rows import RowErrors, drawn_rows, exact_rows
from tnattn.certificate.suggestion import HeadMethod, Suggestion
from tnattn.certificate.wealth import log_wealth

__all__ = [
    "Ball",
    "Certificate",
    "CertificateKind",
    "HeadMethod",
    "MeanError",
    "Quantile",
    "RelativeMeanError",
    "RowErrors",
    "Skipped",
    "Suggestion",
    "below_relative",
    "certify",
    "drawn_rows",
    "exact_rows",
    "exceeding_rows",
    "for_error",
    "importance_mean_upper",
    "importance_rows",
    "independent_mean_upper",
    "log_wealth",
    "mean_below",
    "mean_floor",
    "mean_upper",
    "stratified_mean_upper",
    "stratified_rows",
    "winsorised_mean_upper",
]
