"""Random queries, keys and values of every family of problems."""

from __future__ import annotations

import math

import numpy as np

from tnattn.gallery.family import Arrays, Sizes

CENTRES = 32  # clusters of keys, at most
CORRELATION = 0.95  # of neighbouring tokens on a smooth path
SINKS = 4  # keys in front that draw half the weight, as streaming methods keep
PEAK = 0.9  # weight of the matching key: a method that misses it has an error of order one
FLAT = 0.1  # largest score: weights are uniform to 10 %
HUGE = 1e4  # largest score: exp overflows beyond 709 in float64 and 88 in float32
OUTLIER = 100.0  # times the length of other values


def gauss(sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Draw standard normal queries, keys and values."""
    keys = (sizes.groups, sizes.n, sizes.d)
    return rng.standard_normal((sizes.heads, sizes.n, sizes.d)), rng.standard_normal(keys), rng.standard_normal(keys)


def sharp(sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Double the queries and keys of :func:`gauss`."""
    q, k, v = gauss(sizes, rng)
    return 2 * q, 2 * k, v


def clustered(sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Put queries and keys near shared centres."""
    q, k, v = gauss(sizes, rng)
    count = centre_count(sizes.n)
    centres = rng.standard_normal((sizes.groups, count, sizes.d))
    # every centre gets its share, so that no cluster is a single key
    labels = rng.permuted(np.broadcast_to(np.arange(sizes.n) % count, (sizes.groups, sizes.n)), axis=-1)
    k = np.take_along_axis(centres, labels[..., None], axis=-2) + 0.1 * k
    asked = rng.integers(count, size=(sizes.heads, sizes.n, 1))
    q = np.take_along_axis(_per_head(centres, sizes), asked, axis=-2) + 0.1 * q
    return q, k, v


def smooth(sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Let queries and keys follow one stationary path per group."""
    q, k, v = gauss(sizes, rng)
    path = rng.standard_normal((sizes.groups, sizes.n, sizes.d))
    for t in range(1, sizes.n):  # stationary, unit variance
        path[:, t] = CORRELATION * path[:, t - 1] + math.sqrt(1 - CORRELATION**2) * path[:, t]
    return 2 * (_per_head(path, sizes) + 0.1 * q), path + 0.1 * k, v


def sink(sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Reserve the last coordinate for the sinks, so that their score is one number for every query."""
    q, k, v = smooth(sizes, rng)
    sinks = sink_count(sizes.n)
    # the score scale is 1 / sqrt(d): a query coordinate sqrt(d) makes the last key coordinate the score itself
    q[..., -1], k[..., -1] = math.sqrt(sizes.d), 0.0
    mass = np.median(_log_mass(q, _per_head(k[:, sinks:], sizes)), axis=-1)  # (H,)
    # sinks of this score together weigh as much as all other keys of a median row
    level = mass.reshape(sizes.groups, -1).mean(axis=-1) - math.log(sinks)
    k[:, :sinks] = 0.0
    k[:, :sinks, -1] = level[:, None]
    return q, k, _with_outliers(v, rng, 10.0)


def needle(sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Give every query the direction of one key, and the length at which that key gets the weight PEAK."""
    _, k, v = gauss(sizes, rng)
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    wanted = rng.permuted(np.broadcast_to(np.arange(sizes.n), (sizes.heads, sizes.n)), axis=-1)
    keys = _per_head(k, sizes)
    direction = np.take_along_axis(keys, wanted[..., None], axis=-2)
    # how far the cosine of every key falls short of that of the match; the weight grows with the length
    shortfall = 1 - direction @ keys.mT
    low, high = np.zeros((2, sizes.heads, sizes.n))
    high += 1e8
    for _ in range(100):  # bisection, to the last digit
        middle = (low + high) / 2
        weight = 1 / np.exp(-middle[..., None] * shortfall).sum(axis=-1)
        low, high = np.where(weight < PEAK, middle, low), np.where(weight < PEAK, high, middle)
    return direction * (high * math.sqrt(sizes.d))[..., None], k, v


def flat(sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Put queries and keys on spheres so small that no score exceeds FLAT."""
    q, k, v = gauss(sizes, rng)
    radius = math.sqrt(FLAT * math.sqrt(sizes.d))
    q, k = (radius * x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (q, k))
    return q, k, v


def low_rank_plus_sparse(sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Give queries and keys small scores in two coordinates, and one pair a large score in each of the others."""
    q, k, v = gauss(sizes, rng)
    radius = math.sqrt(0.5 * math.sqrt(sizes.d))
    for x in (q, k):
        x /= np.linalg.norm(x[..., :2], axis=-1, keepdims=True) / radius
        x[..., 2:] = 0.0
    pairs = pair_count(sizes.n, sizes.d)
    # a planted score of log n + 1 has about e times the weight of all other keys of its row together
    height = math.sqrt(math.log(sizes.n) + 1) * sizes.d**0.25
    for x in (q, k):
        for head in x:
            head[rng.permutation(sizes.n)[:pairs], 2 + np.arange(pairs)] = height
    return q, k, v


def rope(sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Rotate one content per group, with noise, by position."""
    q, k, v = gauss(sizes, rng)
    content = rng.standard_normal((sizes.groups, 1, sizes.d))
    return _rotated(_per_head(content, sizes) + 0.1 * q), _rotated(content + 0.1 * k), v


def value_outliers(sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Lengthen 1 % of the values."""
    q, k, v = gauss(sizes, rng)
    return q, k, _with_outliers(v, rng, OUTLIER)


def ties(sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Give neighbours in pairs the same key."""
    q, k, v = gauss(sizes, rng)
    first = np.minimum(2 * (np.arange(sizes.n) // 2), max(0, 2 * (sizes.n // 2) - 2))
    return q, k[:, first], v


def huge_logits(sizes: Sizes, rng: np.random.Generator) -> Arrays:
    """Scale the queries until the largest score of a head is HUGE."""
    q, k, v = gauss(sizes, rng)
    scores = np.abs(q @ _per_head(k, sizes).mT).max(axis=(-2, -1)) / math.sqrt(sizes.d)
    return q * (HUGE / scores)[:, None, None], k, v


def _per_head(x: np.ndarray, sizes: Sizes) -> np.ndarray:
    return np.repeat(x, sizes.heads // sizes.groups, axis=0)


def _log_mass(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Return the logarithms of the row sums of the kernel, (H, n)."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return np.asarray(np.logaddexp.reduce(scores, axis=-1))


def _with_outliers(v: np.ndarray, rng: np.random.Generator, factor: float) -> np.ndarray:
    v = v.copy()
    for head in v:
        head[rng.permutation(v.shape[-2])[: outlier_count(v.shape[-2])]] *= factor
    return v


def _rotated(x: np.ndarray) -> np.ndarray:
    """Rotate coordinate pairs (2m, 2m + 1) of the vector at position t by the angle t 10000^(-2m/d)."""
    n, pairs = x.shape[-2], x.shape[-1] // 2
    turn = np.exp(1j * np.arange(n)[:, None] * 10000.0 ** (-np.arange(pairs) / pairs))
    z = (x[..., 0 : 2 * pairs : 2] + 1j * x[..., 1 : 2 * pairs : 2]) * turn
    out = x.copy()
    out[..., 0 : 2 * pairs : 2], out[..., 1 : 2 * pairs : 2] = z.real, z.imag
    return out


def centre_count(n: int) -> int:
    """Return the number of centres among n keys, each with at least four keys."""
    return max(1, min(CENTRES, n // 4))


def sink_count(n: int) -> int:
    """Return the number of sink keys among n."""
    return max(1, min(SINKS, n // 4))


def outlier_count(n: int) -> int:
    """Return the number of outliers among n values, 1 % rounded up."""
    return math.ceil(n / 100)


def pair_count(n: int, d: int) -> int:
    """Return the number of planted pairs of a query and a key, each with a coordinate of its own."""
    return max(1, min(d - 2, n // 4))
