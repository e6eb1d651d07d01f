"""Singular values and statistics of the matrices of real heads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from theory.studies.problems import problem_hash
from theory.studies.spectra_result import MATRICES, SpectraResult
from theory.studies.tensor_spectra import mode_spectra
from tnattn.arrays import array_namespace, device, to_host
from tnattn.attention.problem import AttentionProblem

__all__ = ["DENSE", "head_spectra"]

Values = npt.NDArray[np.float64]

DENSE = 2048
"""Largest number of tokens up to which the n-by-n matrices of a head are formed."""

CORNER = 20
"""Rows and columns of the weights that are kept to be drawn, as in the survey's Figure 5."""


def head_spectra(problem: AttentionProblem, name: str) -> SpectraResult:
    """Return the singular values and statistics of every head of a problem.

    Parameters
    ----------
    problem : AttentionProblem
        At most 2048 queries and keys.
    name : str

    Raises
    ------
    ValueError
        If the problem is larger.

    Notes
    -----
    Four SVDs of n-by-n matrices per head, O(n^3), one head at a time; the weights of all heads are kept for their
    tensor, O(H n^2) memory. Everything is computed in float64 from the given numbers. Reproduces Figures 5, 7 and 8 of
    the survey that `methods.md` calls A.
    """
    if max(problem.n_q, problem.n_k) > DENSE:
        raise ValueError(
            f"{problem.n_q} queries and {problem.n_k} keys; spectra need dense matrices of at most {DENSE} tokens: "
            f"take a part, such as problem.rectangle(slice(-{DENSE}, None), slice(-{DENSE}, None), problem.mask)"
        )
    heads = [_head(*arrays) for arrays in _scores(problem)]
    names = [matrix for matrix in MATRICES[3:] if matrix in heads[0]]
    tensor = mode_spectra(np.stack([head.pop("tensor") for head in heads]))
    return SpectraResult(
        name=name,
        content=problem_hash(problem),
        n_q=problem.n_q,
        n_k=problem.n_k,
        singular_values={
            "queries": _singular_values(_flat(problem.q)),
            "keys": _singular_values(_flat(problem.k)),
            "values": _singular_values(_flat(problem.v)),
            **{matrix: np.stack([head[matrix] for head in heads]) for matrix in names},
        },
        **{n: np.stack([h[n] for h in heads]) for n in ("entropy", "perplexity", "peak", "column_mass", "corner")},
        empty_rows=np.stack([head["empty_rows"] for head in heads]),
        tensor=tensor,
    )


def _flat(array: Any) -> Values:
    """Return a stack of matrices, float64 on the host, with one leading axis."""
    host = np.asarray(to_host(array), dtype=np.float64)
    return host.reshape(-1, *host.shape[-2:])


def _singular_values(a: Values) -> Values:
    return np.asarray(np.linalg.svd(a, compute_uv=False))


def _scores(problem: AttentionProblem) -> Iterator[tuple[Values, Values, Values | None]]:
    """Yield unmasked scores, the additive mask, and squared scaled distances (or None), head by head."""
    q, k = _flat(problem.q), _flat(problem.k)
    ratio = problem.heads // problem.groups
    xp, where = array_namespace(problem.q), device(problem.q)
    i = xp.arange(problem.n_q, device=where)[:, None]
    j = xp.arange(problem.n_k, device=where)
    added = problem.grouped_mask.additive(i, j, n_q=problem.n_q, n_k=problem.n_k, like=problem.q)
    barrier = np.zeros((1, 1)) if added is None else np.asarray(to_host(added), dtype=np.float64)
    shape = (*problem.batch, problem.n_q, problem.n_k)
    barriers = np.broadcast_to(barrier, shape)
    gaussian = problem.softcap is None and not problem.mask.has_bias
    for head, index in enumerate(np.ndindex(*problem.batch)):
        query, key = q[head], k[head // ratio]
        scores = problem.score_scale * query @ key.T
        distance = None
        if gaussian:
            # exp(scale q . k) = exp(scale |q|^2 / 2) exp(-scale |q - k|^2 / 2) exp(scale |k|^2 / 2)
            square = problem.score_scale * (np.sum(query**2, axis=-1)[:, None] + np.sum(key**2, axis=-1))
            distance = np.maximum(square - 2 * scores, 0.0)
        if problem.softcap is not None:
            scores = problem.softcap * np.tanh(scores / problem.softcap)
        yield scores, barriers[index], distance


def _head(scores: Values, added: Values, distance: Values | None) -> dict[str, Any]:
    """Return the spectra and statistics of one head."""
    masked = scores + added
    top = masked.max()
    kernel = np.exp(masked - top) if np.isfinite(top) else np.zeros_like(scores)
    # rows are normalised by their own maximum, so that none underflows
    row_top = masked.max(axis=-1, keepdims=True)
    seen = np.isfinite(row_top[:, 0])
    rows = np.exp(masked - np.where(np.isfinite(row_top), row_top, 0.0))
    mass = rows.sum(axis=-1, keepdims=True)
    weights = rows / np.where(mass > 0, mass, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.sum(np.where(weights > 0, weights * np.log(weights), 0.0), axis=-1)[seen]
    # rows that see no key have no entropy and no largest weight
    count = max(1, entropy.size)
    found = {
        "scores": _singular_values(scores),
        "kernel": _singular_values(kernel),
        "weights": _singular_values(weights),
        "entropy": entropy.sum() / count,
        "perplexity": np.exp(entropy).sum() / count,
        "peak": weights.max(axis=-1)[seen].sum() / count,
        "column_mass": weights.sum(axis=0) / count,
        "corner": weights[:CORNER, :CORNER],
        "tensor": weights,
        "empty_rows": np.asarray(int(np.sum(~seen))),
    }
    if distance is not None:
        found["gaussian"] = _singular_values(np.where(np.isfinite(added), np.exp(-distance / 2), 0.0))
    return found
