"""Properties that the families declare, measured on a problem with dense scores: for small problems."""

from __future__ import annotations

import math

import numpy as np

from tnattn.arrays import eps, to_host
from tnattn.attention.problem import AttentionProblem
from tnattn.gallery.generators import CORRELATION, PEAK, centre_count, outlier_count, pair_count, sink_count


def dense_scores(problem: AttentionProblem) -> np.ndarray:
    """Return all scores in float64 on the host, (..., H, n_q, n_k)."""
    return to_host(problem.dense_scores()).astype(np.float64)


def _weights(problem: AttentionProblem) -> np.ndarray:
    return to_host(problem.dense_weights()).astype(np.float64)


def has_variance(problem: AttentionProblem, variance: float) -> bool:
    """Return whether queries and keys have a variance, within six standard deviations of its estimate."""
    # the mean of N squares of standard normal numbers has the standard deviation sqrt(2 / N)
    return all(
        abs(float(np.mean(x**2)) / variance - 1) < 6 * math.sqrt(2 / x.size)
        for x in (to_host(problem.q), to_host(problem.k))
    )


def is_clustered(problem: AttentionProblem) -> bool:
    """Return whether a typical key has a neighbour within 0.3 of a typical distance."""
    k = to_host(problem.k).astype(np.float64)
    distances = np.linalg.norm(k[..., :, None, :] - k[..., None, :, :], axis=-1)
    apart = distances + np.where(np.eye(problem.n_k) > 0, np.inf, 0.0)
    if centre_count(problem.n_k) == 1:  # no distance between clusters to compare with
        return bool(distances.max() < math.sqrt(problem.width))
    return bool(np.median(apart.min(axis=-1)) < 0.3 * np.median(distances[distances > 0].ravel()))


def is_correlated(problem: AttentionProblem) -> bool:
    """Return whether keys have the declared lag-one correlation, within six standard deviations and 1 % of noise."""
    k = to_host(problem.k).astype(np.float64)
    # n - 1 products against n squares; the noise of variance 0.01 adds to the squares only
    correlation = np.sum(k[:, 1:] * k[:, :-1]) / np.sum(k**2) * problem.n_k / (problem.n_k - 1)
    return abs(float(correlation) - CORRELATION / 1.01) < 0.01 + 6 * math.sqrt((1 - CORRELATION**2) * 4 / k.size)


def feeds_sinks(problem: AttentionProblem) -> bool:
    """Return whether the sinks draw about half of the weight of a median row."""
    # the heads of a group share their sinks, so that the share of a single head is near a half only
    share = _weights(problem)[..., : sink_count(problem.n_k)].sum(axis=-1)
    return bool(np.all(np.abs(np.median(share, axis=-1) - 0.5) < 0.35))


def has_outliers(problem: AttentionProblem, factor: float) -> bool:
    """Return whether the declared number of values is longer than the others by about a factor."""
    energy = np.sort(np.linalg.norm(to_host(problem.v).astype(np.float64), axis=-1), axis=-1)
    count = outlier_count(problem.n_k)
    if energy.shape[-1] == count:
        return True  # all values are outliers, nothing is left to compare with
    # lengths of values vary by less than the factor of four that is allowed for
    return bool(np.all(energy[..., -count] > factor * np.median(energy[..., :-count], axis=-1) / 4))


def has_peaks(problem: AttentionProblem) -> bool:
    """Return whether the largest weight of every row is PEAK."""
    # rounding of a score is relative to the score, and the weight moves by as much
    slack = 8 * float(np.finfo(to_host(problem.q).dtype).eps) * (1 + float(np.abs(dense_scores(problem)).max()))
    largest = _weights(problem).max(axis=-1)
    return bool(np.all(np.abs(largest - PEAK) < slack * problem.width))


def splits(problem: AttentionProblem) -> bool:
    """Return whether the kernel has rank 10 to 1 % once the planted pairs are taken out."""
    scores = dense_scores(problem)
    planted = scores > 0.51  # the other scores are at most 1/2
    pairs = pair_count(problem.n_k, problem.width)
    if not np.all(planted.sum(axis=(-2, -1)) == pairs):
        return False
    rest = np.exp(np.where(planted, 0.0, scores))
    rest[planted] = np.exp(_flat_scores(problem)[planted])  # without the planted part of the score
    s = np.linalg.svd(rest, compute_uv=False)
    return bool(np.all(np.linalg.norm(s[..., 10:], axis=-1) < 1e-2 * np.linalg.norm(s, axis=-1)))


def _flat_scores(problem: AttentionProblem) -> np.ndarray:
    """Return the part of the scores that comes from the first two coordinates."""
    q, k = (to_host(x)[..., :2].astype(np.float64) for x in (problem.q, problem.k))
    return np.asarray(q @ np.repeat(k, problem.heads // problem.groups, axis=0).mT * problem.score_scale)


def is_toeplitz(problem: AttentionProblem) -> bool:
    """Return whether scores are constant along diagonals to 20 % of their energy."""
    scores = dense_scores(problem)
    n = problem.n_k
    residual_squared = 0.0  # of the best Toeplitz approximation: the mean of every diagonal
    for shift in range(1 - n, n):
        band = np.diagonal(scores, shift, axis1=-2, axis2=-1)
        residual_squared += float(np.sum((band - band.mean(axis=-1, keepdims=True)) ** 2))
    return residual_squared < 0.2 * float(np.sum(scores**2))


def has_ties(problem: AttentionProblem) -> bool:
    """Return whether the largest score of every row is attained twice, up to the rounding of a score."""
    scores = dense_scores(problem)
    # equal keys give equal sums, but BLAS adds them up in an order that depends on the key's place in the product
    q, k = (np.linalg.norm(to_host(x).astype(np.float64), axis=-1) for x in (problem.q, problem.k))
    longest = np.repeat(k.max(axis=-1), problem.heads // problem.groups, axis=-1)
    rounding = 2 * problem.width * eps(problem.q) * abs(problem.score_scale) * q * longest[..., None]
    tied = scores >= scores.max(axis=-1, keepdims=True) - rounding[..., None]
    return bool(np.all(np.sum(tied, axis=-1) >= 2))
