"""The formulas of methods written plainly: in PyTorch as a user would, and in NumPy tile by tile without guards.

Every function takes arrays (heads, n, d) and a budget. The tiled forms are the floors of the column methods: the same
products and exponentials, in tiles that stay in a core's cache, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

_TILE = 1 << 18  # scores of a tile: 1 MB of float32


# --- floors of the formulas, NumPy --------------------------------------------------------------------------------


def _applied(q: Any, keys: Any, values: Any) -> Any:
    """softmax(q keys^T) values for few keys (heads, m, d), in tiles of queries."""
    heads, n, _ = q.shape
    m = keys.shape[1]
    out = np.empty((heads, n, values.shape[-1]), q.dtype)
    step = max(1, _TILE // m)
    tile = np.empty((step, m), q.dtype)
    for h in range(heads):
        for i in range(0, n, step):
            scores = tile[: min(step, n - i)]
            np.matmul(q[h, i : i + step], keys[h].T, out=scores)
            np.exp(scores, out=scores)
            np.matmul(scores, values[h], out=out[h, i : i + step])
            out[h, i : i + step] /= scores.sum(axis=-1, keepdims=True)
    return out


def sampled_floor(q: Any, k: Any, v: Any, m: int) -> Any:
    """A draw by the norms of the values, and attention to the drawn keys."""
    rng = np.random.default_rng(0)
    norms = np.sqrt(np.einsum("hnd,hnd->hn", v, v))
    cumulative = np.cumsum(norms, axis=-1, dtype=float)
    chosen = [np.searchsorted(c / c[-1], rng.random(m)) for c in cumulative]
    keys, values = (np.stack([x[h, i] for h, i in enumerate(chosen)]) for x in (k, v))
    return _applied(q * (q.shape[-1] ** -0.5), keys, values)


def leverage_floor(q: Any, k: Any, v: Any, m: int) -> Any:
    """A draw by the ridge leverage scores of the centred keys, found in float64, and attention to the drawn keys."""
    rng, chosen = np.random.default_rng(0), []
    for keys in k:
        centred = keys.astype(float)
        centred -= centred.mean(axis=0)
        gram = centred.T @ centred
        ridge = 0.1 * np.trace(gram) / len(gram)
        rows = centred @ np.linalg.inv(np.linalg.cholesky(gram + ridge * np.eye(len(gram)))).T
        scores = np.vecdot(rows, rows)
        cumulative = np.cumsum(scores / scores.sum() + 1 / len(scores))
        chosen.append(np.searchsorted(cumulative / cumulative[-1], rng.random(m)))
    keys, values = (np.stack([x[h, i] for h, i in enumerate(chosen)]) for x in (k, v))
    return _applied(q * (q.shape[-1] ** -0.5), keys, values)


def projected_floor(q: Any, k: Any, v: Any, m: int) -> Any:
    """Projected keys and values, and attention to them."""
    # small, since without a shift large scores would overflow
    projection = np.random.default_rng(0).standard_normal((m, k.shape[1]), dtype=k.dtype) / np.float32(k.shape[1])
    return _applied(q * (q.shape[-1] ** -0.5), projection @ k, projection @ v)


def landmark_floor(q: Any, k: Any, v: Any, m: int) -> Any:
    """Segment means, softmax of the landmarks over all keys, the iterated inverse, attention to the landmarks."""
    q = q * (q.shape[-1] ** -0.5)
    heads, n, d = q.shape
    q_few, k_few = (x.reshape(heads, m, n // m, d).mean(axis=2) for x in (q, k))
    core = np.exp(q_few @ k_few.mT)
    core /= core.sum(axis=-1, keepdims=True)
    inverse = core.mT / core.sum(axis=-2).max()
    for _ in range(6):
        product = core @ inverse
        inverse = (
            inverse
            @ (
                13 * np.eye(m, dtype=q.dtype)
                - product @ (15 * np.eye(m, dtype=q.dtype) - product @ (7 * np.eye(m, dtype=q.dtype) - product))
            )
            / 4
        )
    return _applied(q, k_few, inverse @ _applied(q_few, k, v))


def feature_floor(q: Any, k: Any, v: Any, m: int) -> Any:
    """Sums of positive features of the keys, and products with features of the queries, in tiles."""
    heads, n, d = q.shape
    directions = np.random.default_rng(0).standard_normal((m, d), dtype=q.dtype) * d**-0.25
    out, step = np.empty_like(v), max(1, _TILE // m)
    for h in range(heads):
        values, mass = np.zeros((m, v.shape[-1]), q.dtype), np.zeros(m, q.dtype)
        for i in range(0, n, step):
            features = np.exp(k[h, i : i + step] @ directions.T)
            values += features.T @ v[h, i : i + step]
            mass += features.sum(axis=0)
        for i in range(0, n, step):
            features = np.exp(q[h, i : i + step] @ directions.T)
            out[h, i : i + step] = features @ values / (features @ mass)[:, None]
    return out


FLOORS: dict[str, Callable[..., Any]] = {
    "ValueSampling": sampled_floor,
    "LeverageKeySampling": leverage_floor,
    "PivotedCoreset": sampled_floor,
    "Linformer": projected_floor,
    "Nystromformer": landmark_floor,
    "Performer": feature_floor,
}


# --- plain PyTorch ------------------------------------------------------------------------------------------------


def linear_attention(q: Any, k: Any, v: Any, m: int) -> Any:
    """elu + 1 on both sides, one state."""
    q, k = (torch.nn.functional.elu(x * x.shape[-1] ** -0.25) + 1 for x in (q, k))
    return q @ (k.mT @ v) / (q @ k.sum(dim=-2).unsqueeze(-1))


def sliding_window(q: Any, k: Any, v: Any, m: int) -> Any:
    """Blocks of m / 2 queries with the keys of their block and of half a window on either side."""
    heads, n, d = q.shape
    half = m // 2
    padded = [torch.nn.functional.pad(x, (0, 0, half, half)) for x in (k, v)]
    keys, values = (x.unfold(-2, 3 * half, half).mT for x in padded)  # (heads, blocks, 3 half, d)
    scores = q.reshape(heads, n // half, half, d) * d**-0.5 @ keys.mT
    distance = torch.arange(3 * half)[None] - half - torch.arange(half)[:, None]
    place = torch.arange(0, n, half)[:, None, None] + torch.arange(3 * half)[None, None] - half
    near = (distance >= -half) & (distance < half) & (place >= 0) & (place < n)
    weights = torch.softmax(scores.masked_fill(~near, -torch.inf), dim=-1)
    return (weights @ values).reshape(heads, n, -1)


def sampled_keys(q: Any, k: Any, v: Any, m: int) -> Any:
    """Attention to keys drawn by the norms of the values."""
    norms = v.norm(dim=-1)
    chosen = torch.multinomial(norms, m, replacement=True)[..., None]
    keys, values = (torch.take_along_dim(x, chosen, dim=-2) for x in (k, v))
    return torch.softmax(q * q.shape[-1] ** -0.5 @ keys.mT, dim=-1) @ values


def linformer(q: Any, k: Any, v: Any, m: int) -> Any:
    """Projected keys and values."""
    projection = torch.randn(m, k.shape[-2], dtype=k.dtype)
    return torch.softmax(q * q.shape[-1] ** -0.5 @ (projection @ k).mT, dim=-1) @ (projection @ v)


def nystromformer(q: Any, k: Any, v: Any, m: int) -> Any:
    """Three softmax factors and six steps for the inverse."""
    heads, n, d = q.shape
    q = q * d**-0.5
    q_few, k_few = (x.reshape(heads, m, n // m, d).mean(dim=2) for x in (q, k))
    core = torch.softmax(q_few @ k_few.mT, dim=-1)
    inverse, eye = core.mT / core.sum(dim=-2).max(), torch.eye(m, dtype=q.dtype)
    for _ in range(6):
        product = core @ inverse
        inverse = inverse @ (13 * eye - product @ (15 * eye - product @ (7 * eye - product))) / 4
    return torch.softmax(q @ k_few.mT, dim=-1) @ (inverse @ (torch.softmax(q_few @ k.mT, dim=-1) @ v))


def performer(q: Any, k: Any, v: Any, m: int) -> Any:
    """Positive features with their stabilising maxima."""
    directions = torch.randn(m, q.shape[-1], dtype=q.dtype)
    features = []
    for x in (q * q.shape[-1] ** -0.25, k * k.shape[-1] ** -0.25):
        exponents = x @ directions.T - x.square().sum(dim=-1, keepdim=True) / 2
        features.append(torch.exp(exponents - exponents.amax(dim=-1 if x is q else (-2, -1), keepdim=True)))
    left, right = features
    return left @ (right.mT @ v) / (left @ right.sum(dim=-2).unsqueeze(-1))


PLAIN: dict[str, Callable[..., Any]] = {
    "LinearAttention": linear_attention,
    "SlidingWindow": sliding_window,
    "ValueSampling": sampled_keys,
    "Linformer": linformer,
    "Nystromformer": nystromformer,
    "Performer": performer,
}
