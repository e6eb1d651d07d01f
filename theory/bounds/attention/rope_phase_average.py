"""Scores of keys that are truncated before the rotary position encoding turns them, averaged over the phases."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import host
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import ExactExpectation, InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import Rng
from tnattn.attention.problem import AttentionProblem
from tnattn.display import Displayed

# z = c + sum a_l cos(phase_l) has E z^4 <= 3 (E z^2)^2, so that z^2 has at most this relative variance; so has a sum of
# such squares, by Minkowski's inequality
_SPREAD = 2.0


@dataclass(frozen=True, eq=False, repr=False)
class TurnedScores(Displayed):
    """Errors of the scores of truncated keys, queries turned by random phases.

    Parameters
    ----------
    difference : float64, (..., G, R n_q, n_k)
        Before any mask; the R heads of a key head stand below each other.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.attention.perturbed import random_problem
    >>> from theory.bounds.attention.rope_phase_average import TruncatedKeys
    >>> problem = random_problem(np.random.default_rng(0), heads=4, groups=2, n_q=10, n_k=14)
    >>> TruncatedKeys(rank=2)(problem, rng=np.random.default_rng(0)).difference.shape
    (2, 20, 14)
    """

    difference: Values


@dataclass(frozen=True)
class TruncatedKeys:
    """Replace the keys before the rotary position encoding by keys of low rank, and turn queries by random phases.

    Parameters
    ----------
    rank : int
    width : int
        Even number of leading coordinates that are turned, in the pairs (l, l + width / 2); the others stay.
    weighted : bool
        Truncate in the metric of the mean score error over the phases, not in that of the keys themselves.

    Notes
    -----
    Every query has phases of its own, uniform and independent between the pairs: a model of <R_i q, R_j k>, whose
    phases are proportional to i - j. Pairs that turn by much less than once over the context are not like that.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.attention.perturbed import random_problem
    >>> from theory.bounds.attention.rope_phase_average import TruncatedKeys
    >>> problem = random_problem(np.random.default_rng(0), width=4)
    >>> [round(float(np.linalg.norm(TruncatedKeys(rank=r).keys(problem) - problem.k)), 1) for r in (1, 2, 4)]
    [5.2, 3.7, 0.0]
    """

    rank: int = 2
    width: int = 4
    weighted: bool = True

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank must be a positive integer; got {self.rank!r}")
        if self.width < 2 or self.width % 2:
            raise ValueError(f"width must be an even positive integer; got {self.width!r}")

    def __call__(self, problem: AttentionProblem, *, rng: Rng | None = None) -> TurnedScores:
        """Draw the phases."""
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator; got {type(rng).__name__}")
        q, half = queries_of_groups(problem), self.width // 2
        missing = host(problem.k) - self.keys(problem)
        phase = rng.uniform(0.0, 2 * np.pi, (*q.shape[:-1], half))
        a, b = q[..., :half], q[..., half : self.width]
        cosine, sine = np.cos(phase), np.sin(phase)
        turned = np.concatenate([a * cosine - b * sine, b * cosine + a * sine, q[..., self.width :]], axis=-1)
        return TurnedScores(problem.score_scale * (turned @ np.swapaxes(missing, -1, -2)))

    def keys(self, problem: AttentionProblem) -> Values:
        """Return the truncated keys, float64, (..., G, n_k, d)."""
        k = host(problem.k)
        if self.rank > min(k.shape[-2:]):
            raise ValueError(f"rank {self.rank} exceeds min(n_k, d) = {min(k.shape[-2:])}; reduce rank")
        root = phase_metric_root(problem, self.width) if self.weighted else np.eye(k.shape[-1])
        u, s, vt = np.linalg.svd(k @ root, full_matrices=False)
        best = (u[..., : self.rank] * s[..., None, : self.rank]) @ vt[..., : self.rank, :]
        # the rows of k @ root lie in the range of the root; eps d: directions in which no query has a share
        return np.asarray(best @ np.linalg.pinv(root, rcond=k.shape[-1] * np.finfo(np.float64).eps, hermitian=True))


def queries_of_groups(problem: AttentionProblem) -> Values:
    """Return the queries of the heads of every key head below each other, (..., G, R n_q, d)."""
    q = host(problem.q)
    return q.reshape(*q.shape[:-3], problem.groups, -1, q.shape[-1])


def phase_metric_root(problem: AttentionProblem, width: int) -> Values:
    """Return the symmetric root of W, (..., G, d, d).

    W is block-diagonal: half the mean square of the queries in a pair of coordinates, for both of them, and the mean of
    q q^T for the coordinates that are not turned. Means over different pairs, and over the angle within a pair, vanish.
    """
    q, half = queries_of_groups(problem), width // 2
    if width > q.shape[-1]:
        raise ValueError(f"width {width} exceeds the width {q.shape[-1]} of the queries; reduce it")
    size = np.max(np.abs(q), axis=(-2, -1), initial=0.0)[..., None, None]
    q = q / np.where(size > 0, size, 1.0)  # units in which squares do not vanish
    n, d = q.shape[-2:]
    squares = np.mean(q[..., :half] ** 2 + q[..., half:width] ** 2, axis=-2) / 2
    metric = np.zeros((*q.shape[:-2], d, d))
    pairs = np.arange(half)
    for shift in (0, half):
        metric[..., pairs + shift, pairs + shift] = squares
    rest = q[..., width:]
    metric[..., width:, width:] = np.swapaxes(rest, -1, -2) @ rest / n
    values, vectors = np.linalg.eigh(metric)
    return np.asarray(
        size * ((vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ np.swapaxes(vectors, -1, -2))
    )


def _size(problem: AttentionProblem) -> Values:
    q, k = queries_of_groups(problem), host(problem.k)
    scale = problem.score_scale
    return np.asarray((scale * np.linalg.norm(q, axis=(-2, -1)) * np.linalg.norm(k, axis=(-2, -1))) ** 2)


turned_scores_squared = Error(
    "squared Frobenius norm of the turned scores",
    lambda t, r: np.sum(r.difference**2, axis=(-2, -1)),
    _size,
    _size,
    squared=True,
)


def _weighted(rng: np.random.Generator) -> Instance:
    return TruncatedKeys(rank=2, width=4), random_problem(rng, heads=4, groups=2, width=6)


def _plain(rng: np.random.Generator) -> Instance:
    return TruncatedKeys(rank=2, width=4, weighted=False), random_problem(rng, heads=4, groups=2, width=4)


def _one_pair(rng: np.random.Generator) -> Instance:
    return TruncatedKeys(rank=1, width=2), random_problem(rng, width=2)


own = Paper(
    "re-derived",
    method=TruncatedKeys,
    instances=(_one_pair, _plain),
    guarantee=ExactExpectation(spread=lambda method, problem: np.asarray(_SPREAD)),
    statement="by averaging over uniform phases",
)


@own(error=turned_scores_squared)
def rope_phase_average(method: TruncatedKeys, problem: AttentionProblem) -> Values:
    """E ||S' - S||_F^2 = b^2 n ||(K' - K) W^(1/2)||_F^2 for any K' that replaces the keys before they are turned.

    The position-free second moment of the queries in place of W would count products of different pairs, which the
    phases average out. One pair of coordinates, one query (1, 1), one key (2, 0) replaced by zero: W = I, and the mean
    of 8 cos^2 is 4.

    Letters: S and S' the scores before any mask, turned by independent uniform phases of every pair of coordinates; b
    the scale of the scores; n the number of queries of a key head; K the keys; W the mean of q q^T over the queries,
    block-diagonal: half the trace of its block for both coordinates of a pair, the whole block for those not turned.
    Hypotheses: scores are inner products.
    """
    require(problem.softcap is None, "scores are inner products")
    missing = (method.keys(problem) - host(problem.k)) @ phase_metric_root(problem, method.width)
    return np.asarray(_count(problem) * np.sum(missing**2, axis=(-2, -1)))


best = replace(own, instances=(_weighted, _plain), guarantee=InExpectation(spread=own.guarantee.spread))


@best("by the theorem of Eckart and Young in the averaged metric", error=turned_scores_squared, side="lower")
def rope_truncation_optimal(method: TruncatedKeys, problem: AttentionProblem) -> Values:
    """E ||S' - S||_F^2 >= b^2 n sum_(l > r) s_l(K W^(1/2))^2 for keys of rank r, with equality if weighted.

    Letters: S and S' the scores before any mask, turned by independent uniform phases of every pair of coordinates; b
    the scale of the scores; n the number of queries of a key head; K the keys; W the metric of ``rope_phase_average``;
    r the rank; l an index of singular values.
    Hypotheses: scores are inner products.
    """
    require(problem.softcap is None, "scores are inner products")
    s = errors.spectrum_of(host(problem.k) @ phase_metric_root(problem, method.width))
    return _count(problem) * errors.tail(s, method.rank) ** 2


def _count(problem: AttentionProblem) -> float:
    """Return b^2 n."""
    return float(problem.score_scale) ** 2 * (problem.heads // problem.groups) * problem.n_q
