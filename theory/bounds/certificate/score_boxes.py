"""Attention to all keys with scores that are known up to intervals."""

from __future__ import annotations

import numpy as np

from theory.bounds.attention.perturbed import PerturbedScores, random_scores, two_groups_of_scores
from theory.bounds.attention.rows import exact_scores, head_values, host, per_head
from theory.bounds.certificate.value_ball import distance_of_rows
from theory.statement.bound import require
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.approximation import Approximation
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.score_intervals import interval_sums, score_interval_error

own = Paper(
    "re-derived",
    method=PerturbedScores,
    instances=(two_groups_of_scores, random_scores),
    guarantee=Deterministic(condition=16.0),
    statement="from the chi-square divergence, with the roles exchanged",
)


def _bound(method: PerturbedScores, problem: AttentionProblem, result: Approximation, spectral: bool) -> Values:
    require(problem.empty_rows == 0, "every query sees a key")
    scores = exact_scores(problem)
    moved = per_head(problem, np.broadcast_to(host(method.perturbation), (*problem.batch, *scores.shape[-2:])), 2)
    sums = interval_sums(scores + moved, np.abs(moved))
    return np.asarray(score_interval_error(sums, head_values(problem), host(result.output), spectral=spectral))


@own(error=distance_of_rows)
def score_interval_spectral(method: PerturbedScores, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= sqrt(lambda) min(sinh(eta), sqrt(sum_j p'_ij (e^eta_j - 1)^2) / sum_j p'_ij e^-eta_j).

    |s_j - s'_j| <= eta_j for the scores of row i, eta the largest of them, and p' proportional to e^s'. lambda is the
    largest eigenvalue of C = sum_j p'_ij (v_j - o'_i)(v_j - o'_i)^T. The bound of ``score_interval_rows`` is taken
    where it is smaller.

    Letters: lambda the largest eigenvalue of C; eta the largest half width; e the base of natural logarithms; p' the
    approximate weights.
    Hypotheses: every query sees a key.
    """
    return _bound(method, problem, result, spectral=True)


@own(error=distance_of_rows)
def score_interval_rows(method: PerturbedScores, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= sum_j p'_ij (e^eta_j - 1) ||v_j - o'_i|| / sum_j p'_ij e^-eta_j.

    |s_j - s'_j| <= eta_j for the scores of row i, and p' proportional to e^s'. The bound with the root of the trace of
    the covariance, sqrt(tr C) in place of sqrt(lambda), is taken where it is smaller.

    Letters: eta the half width; e the base of natural logarithms; p' the approximate weights.
    Hypotheses: every query sees a key.
    """
    return _bound(method, problem, result, spectral=False)
