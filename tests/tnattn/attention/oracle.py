"""Softmax attention written out in extended precision, and random problems for it; nothing of the package is used.

``np.longdouble`` has 64 bits of mantissa on x86; where it is no more than double, the oracle is as good as float64.
Rules are tuples: ("causal",), ("window", left, right), ("padding", lengths), ("explicit", allowed), ("bias", bias).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Rule = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """A problem in NumPy arrays: q (..., H, n_q, d), k (..., G, n_k, d), v (..., G, n_k, d_v)."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    rules: tuple[Rule, ...]
    scale: float | None
    softcap: float | None
    tile: int

    def __repr__(self) -> str:
        rules = " & ".join(str(rule[0]) for rule in self.rules) or "full"
        return f"q{self.q.shape} k{self.k.shape} v{self.v.shape} {rules} softcap={self.softcap} tile={self.tile}"


@dataclass(frozen=True, eq=False)
class Answer:
    """Exact results per head, (..., H, n_q, ...), and the size of what rounding of the scores may change."""

    scores: np.ndarray
    weights: np.ndarray
    output: np.ndarray
    log_mass: np.ndarray
    empty: np.ndarray
    size: float


def answer(case: Case) -> Answer:
    """Evaluate a problem entry by entry of the masks, row by row of the softmax."""
    q, k, v = (x.astype(np.longdouble) for x in (case.q, case.k, case.v))
    heads, groups = q.shape[-3], k.shape[-3]
    owner = [h // (heads // groups) for h in range(heads)]
    k, v = k[..., owner, :, :], v[..., owner, :, :]
    scale = np.longdouble(case.scale) if case.scale is not None else 1 / np.sqrt(np.longdouble(q.shape[-1]))
    scores = scale * np.einsum("...id,...jd->...ij", q, k)
    size = float(scale * np.einsum("...id,...jd->...ij", np.abs(q), np.abs(k)).max(initial=0))
    if case.softcap is not None:
        scores = case.softcap * np.tanh(scores / np.longdouble(case.softcap))
    for rule in case.rules:
        term = added(rule, scores.shape)
        size += float(np.abs(np.where(np.isfinite(term), term, 0)).max(initial=0))
        scores = scores + term
    weights = np.zeros_like(scores)
    log_mass = np.full(scores.shape[:-1], -np.inf, dtype=np.longdouble)
    for row in np.ndindex(*scores.shape[:-1]):
        top = scores[row].max()
        if top == -np.inf:
            continue
        kernel = np.exp(scores[row] - top)
        log_mass[row] = top + np.log(kernel.sum())
        weights[row] = kernel / kernel.sum()
    empty = ~np.isfinite(scores).any(axis=-1)
    return Answer(scores, weights, np.einsum("...ij,...jc->...ic", weights, v), log_mass, empty, size)


def added(rule: Rule, shape: tuple[int, ...]) -> np.ndarray:
    """Return what a rule adds to scores of a shape (..., H, n_q, n_k), by its definition."""
    *batch, _, n_q, n_k = shape
    name, *given = rule
    if name == "bias":
        return np.broadcast_to(given[0].astype(np.longdouble), shape)
    seen = np.zeros((n_q, n_k), dtype=bool)
    if name == "explicit":
        seen = given[0]
    elif name == "padding":
        lengths = np.broadcast_to(given[0], batch)[..., None, None, None]
        seen = np.arange(n_k) < lengths
    else:
        for i in range(n_q):
            position = i + n_k - n_q
            for j in range(n_k):
                seen[i, j] = j <= position if name == "causal" else position - given[0] <= j <= position + given[1]
    return np.broadcast_to(np.where(seen, np.longdouble(0), -np.longdouble(np.inf)), shape)


def random_case(seed: int, dtype: str) -> Case:
    """Draw a problem: heads, batch axes, sizes, up to three rules, size of the scores, side of the tile."""
    rng = np.random.default_rng([seed, 20])
    groups, ratio = int(rng.integers(1, 4)), int(rng.choice([1, 2, 4]))
    batch = tuple(int(b) for b in rng.integers(1, 3, size=rng.integers(0, 3)))
    if math.prod(batch) * groups * ratio > 8:  # few heads, so that there is time for many problems
        batch, groups, ratio = (), min(groups, 2), min(ratio, 2)
    n_k = int(rng.choice([1, 2, 5, 11, 17, 24, 40]))
    n_q = int(rng.choice([1, n_k, int(rng.integers(1, n_k + 1)), n_k + int(rng.integers(1, 8))]))
    d, width = (int(x) for x in rng.integers(1, 9, size=2))
    names = ["padding", "explicit", "bias"] + ["causal", "window"] * (n_q <= n_k)
    count = int(rng.choice([0, 1, 1, 2, 3]))
    rules = tuple(_rule(str(name), batch, groups * ratio, n_q, n_k, rng) for name in rng.choice(names, size=count))
    size = float(rng.choice([0.1, 1.0, 1.0, 5.0, 60.0]))
    q, k, v = (
        (rng.standard_normal(shape) * factor).astype(dtype)
        for shape, factor in (
            ((*batch, groups * ratio, n_q, d), size),
            ((*batch, groups, n_k, d), math.sqrt(size)),
            ((*batch, groups, n_k, width), 1.0),
        )
    )
    scale = None if rng.random() < 0.5 else float(rng.uniform(0.1, 2))
    softcap = None if rng.random() < 0.6 else float(rng.choice([0.5, 3.0, 30.0, 200.0]))
    tile = int(rng.choice([t for t in (1, 2, 3, 5, 8, 16) if t >= n_k / 8]))
    return Case(q, k, v, rules, scale, softcap, tile)


def _rule(name: str, batch: tuple[int, ...], heads: int, n_q: int, n_k: int, rng: np.random.Generator) -> Rule:
    if name == "causal":
        return ("causal",)
    if name == "window":
        return ("window", int(rng.integers(0, n_k + 1)), int(rng.integers(0, 4)))
    if name == "padding":
        each = batch and rng.random() < 0.6
        return ("padding", rng.integers(0, n_k + 1, size=batch) if each else int(rng.integers(0, n_k + 1)))
    full = (*batch, heads, n_q, n_k)
    kept = full[int(rng.integers(0, len(full) - 1)) :]  # some leading axes are left out, others have length one
    shape = tuple(1 if rng.random() < 0.3 else n for n in kept)
    if name == "explicit":
        return ("explicit", rng.random(shape) < rng.choice([0.3, 0.8]))
    bias = rng.standard_normal(shape) * rng.choice([1.0, 30.0, 1000.0])
    return ("bias", np.where(rng.random(shape) < 0.2, -np.inf, bias))
