"""Attention to the keys of largest approximate score, and a sample of the others by these scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import exact_output, exact_scores, head_values, host
from theory.bounds.certificate.value_ball import reach
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampled_tail import EVENTS, DrawnTail, KeptPart, SampledTail, sampled_tail


@dataclass(frozen=True)
class ScannedRows:
    """Rows of attention from a scan of approximate scores, exact scores of the largest, and draws among the others.

    Forms all scores, since it is here to be compared with a theorem.

    Parameters
    ----------
    kept : int
        Keys of every row whose scores are exact.
    draws : int
        Draws m of every row.
    level : float
        L, each of five events fails with probability exp(-L).
    half_width : float
        eta; approximate scores differ from the exact ones by multiples of it between -1 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.attention.perturbed import random_problem
    >>> from theory.bounds.certificate.scan_and_sample import ScannedRows
    >>> problem = random_problem(np.random.default_rng(0))
    >>> ScannedRows()(problem, rng=np.random.default_rng(0)).error.shape
    (2, 10)
    """

    kept: int = 4
    draws: int = 64
    level: float = 4.0
    half_width: float = 0.05

    def __post_init__(self) -> None:
        if self.kept < 0 or self.draws < 1 or not self.level > 0 or not self.half_width >= 0:
            raise ValueError(f"{self} needs kept >= 0, draws >= 1, level > 0 and half_width >= 0")

    def __call__(self, problem: AttentionProblem, *, rng: np.random.Generator) -> SampledTail:
        scores, v = exact_scores(problem), head_values(problem)
        seen = np.isfinite(scores)
        # a change that follows from the place of the key, as that of rounding does
        change = 0.99 * self.half_width * np.cos(7.0 * np.arange(problem.n_k))
        scanned = scores + change
        order = np.argsort(-scanned, axis=-1)
        kept = np.zeros(scores.shape, dtype=np.bool_)
        np.put_along_axis(kept, order[..., : self.kept], True, axis=-1)
        kept &= seen
        log_kept, exact = _log_weights(np.where(kept, scores, -np.inf))
        log_tail, tail = _log_weights(np.where(kept, -np.inf, scanned))
        r = exact @ v
        index = _indices(tail, self.draws, rng)
        flat = np.broadcast_to(v[..., None, :, :], (*index.shape[:-1], *v.shape[-2:]))
        drawn = DrawnTail(
            log_tail,
            np.full(log_tail.shape, self.half_width),
            -change[index],
            np.take_along_axis(flat, index[..., None], axis=-2),
        )
        return sampled_tail(KeptPart(log_kept, r, reach(problem, r)), drawn, level=self.level)


def _log_weights(scores: Values) -> tuple[Values, Values]:
    """Return log-sum-exp of rows of scores, and the weights; minus infinity and zeros for rows without keys."""
    top = scores.max(axis=-1, keepdims=True)
    terms = np.exp(scores - np.where(np.isfinite(top), top, 0.0))
    total = terms.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        mass = np.log(total[..., 0]) + np.where(np.isfinite(top), top, 0.0)[..., 0]
    return mass, terms / np.where(total > 0, total, 1.0)


def _indices(weights: Values, draws: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return independent indices (..., draws) with the probabilities of rows (..., n)."""
    steps = np.cumsum(weights, axis=-1)
    # the last step may be a rounding below one: uniforms are scaled to it
    uniforms = rng.random((*weights.shape[:-1], draws)) * steps[..., -1:]
    below = (uniforms[..., None] >= steps[..., None, :]).sum(axis=-1)
    return np.asarray(np.minimum(below, weights.shape[-1] - 1), dtype=np.int64)


def _distance(problem: AttentionProblem, result: SampledTail) -> Values:
    return np.asarray(np.linalg.norm(host(result.output) - exact_output(problem), axis=-1))


sampled_rows_distance = Error(
    "distance of every sampled row from the exact output",
    _distance,
    errors.output_rows.trivial,
    errors.output_rows.norm,
)


def _opposite_values(rng: np.random.Generator) -> Instance:
    """No key is kept, and the values are opposite: few draws leave a large error."""
    side = np.where(np.arange(16) % 2, 1.0, -1.0)
    problem = AttentionProblem(np.zeros((1, 4, 1)), np.zeros((1, 16, 1)), side[None, :, None])
    return ScannedRows(kept=0, draws=4, half_width=0.0), problem


def _random(rng: np.random.Generator) -> Instance:
    return ScannedRows(), random_problem(rng)


own = Paper(
    "Bousquet 2002",
    method=ScannedRows,
    instances=(_opposite_values, _random),
    guarantee=WithProbability(condition=16.0),
    statement="Theorem 2.3, with empirical moments re-derived",
    must_fail=0.1,  # the constants are those of any bounded law: the bound is five to fifteen times the error
)


@own(error=sampled_rows_distance)
def sampled_tail_error(method: ScannedRows, problem: AttentionProblem, result: SampledTail) -> tuple[Values, float]:
    """||o'_i - o_i|| <= (M / Z_low) (D + ||o'_i - r_i|| D_w) with probability 1 - 5 e^-L for every row.

    r is attention to the kept keys, Z their mass, M the mass of the others by approximate scores s' with
    |s - s'| <= eta, fixed before the draw; o' = r + M mean Y / (Z + M mean w), w = e^(s - s') and Y = w (v - r). D and
    D_w bound the deviations of the two means: Bousquet's inequality with moments from the draws, and Hoeffding's.
    Z_low = Z + M max(mean w - D_w, e^-eta) is positive whatever the draws.

    Letters: M the mass of the keys that are not kept; Z the mass of the kept keys; D the deviation of a mean and D_w
    that of the other; r the attention to kept keys; w the ratio of the exact and the approximate kernel; e the base of
    natural logarithms; L the level.
    Hypotheses: every query sees a key.
    """
    require(problem.empty_rows == 0, "every query sees a key")
    return host(result.error), min(1.0, EVENTS * float(np.exp(-method.level)))
