"""Tensors with prescribed ranks or spectra."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tnattn.arrays import Array, Shape, require_host
from tnattn.gallery.matrices import _moved, _orthonormal


def tensor_with_spectrum(
    spectrum: np.ndarray,
    shape: Shape,
    rng: np.random.Generator,
    *,
    like: Array | None = None,
    dtype: Any = None,
) -> Array:
    """Return an orthogonally decomposable tensor: every unfolding, of any set of modes, has the same singular values.

    Parameters
    ----------
    spectrum : numpy.ndarray, (r,), non-negative, r <= min(shape)
    shape : tuple of int
    rng : numpy.random.Generator
    like, dtype
        See :mod:`tnattn.gallery.matrices`.
    """
    s = np.asarray(spectrum, dtype=np.float64)
    if s.shape[-1] > min(shape):
        raise ValueError(
            f"{s.shape[-1]} singular values do not fit into the shape {tuple(shape)}; give at most min(shape)"
        )
    return _moved(_sum_of_products(s, [_orthonormal((n, s.shape[-1]), rng) for n in shape]), like, dtype)


def tucker_tensor(
    shape: Shape,
    ranks: Sequence[int],
    rng: np.random.Generator,
    *,
    like: Array | None = None,
    dtype: Any = None,
) -> Array:
    """Return a tensor of exact multilinear rank: a Gaussian core times orthonormal factors.

    Parameters
    ----------
    shape, ranks : sequence of int
        As many ranks as axes, none above its axis, nor above the product of the others.
    rng : numpy.random.Generator
    like, dtype
        See :mod:`tnattn.gallery.matrices`.
    """
    if len(ranks) != len(shape):
        raise ValueError(f"{len(ranks)} ranks for {len(shape)} axes; give one per axis")
    for mode, rank in enumerate(ranks):
        # the unfolding of the core in a mode has as many columns as the product of the other ranks
        if not 1 <= rank <= min(shape[mode], math.prod(ranks) // rank):
            raise ValueError(
                f"rank {rank} of mode {mode} is impossible for shape {tuple(shape)} and ranks {tuple(ranks)}"
            )
    tensor = require_host(rng).standard_normal(tuple(ranks))  # full multilinear rank with probability one
    for mode, (n, rank) in enumerate(zip(shape, ranks, strict=True)):
        factor = _orthonormal((n, rank), rng)
        tensor = np.moveaxis(np.tensordot(factor, tensor, axes=(1, mode)), 0, mode)
    return _moved(tensor, like, dtype)


def tensor_train_tensor(
    shape: Shape,
    ranks: Sequence[int],
    rng: np.random.Generator,
    *,
    like: Array | None = None,
    dtype: Any = None,
) -> Array:
    """Return a tensor of exact tensor-train ranks, a product of Gaussian cores.

    Parameters
    ----------
    shape : sequence of int
    ranks : sequence of int
        The inner ranks, one fewer than axes.
    rng : numpy.random.Generator
    like, dtype
        See :mod:`tnattn.gallery.matrices`.
    """
    if len(ranks) != len(shape) - 1:
        raise ValueError(f"{len(ranks)} inner ranks for {len(shape)} axes; give {len(shape) - 1}")
    border = (1, *ranks, 1)
    tensor = np.ones((1, 1))
    for mode, n in enumerate(shape):
        before, after = border[mode], border[mode + 1]
        if after > before * n or (mode + 1 < len(shape) and before > n * after):
            raise ValueError(f"ranks {tuple(ranks)} are impossible for shape {tuple(shape)}; reduce them")
        # entries of the product keep unit variance
        core = require_host(rng).standard_normal((before, n, after)) / math.sqrt(before)
        tensor = np.tensordot(tensor, core, axes=(-1, 0))
    return _moved(tensor.reshape(tuple(shape)), like, dtype)


def cp_tensor(
    shape: Shape,
    rank: int,
    rng: np.random.Generator,
    *,
    collinearity: float = 0.0,
    like: Array | None = None,
    dtype: Any = None,
) -> Array:
    """Return a sum of ``rank`` rank-one tensors of unit weight whose factor columns have a stated cosine.

    Parameters
    ----------
    shape : sequence of int
        No axis shorter than ``rank``.
    rank : int
    rng : numpy.random.Generator
    collinearity : float
        Cosine between any two columns of a factor, in [0, 1); alternating least squares crawls near 1.
    like, dtype
        See :mod:`tnattn.gallery.matrices`.
    """
    if not 0 <= collinearity < 1:
        raise ValueError(f"collinearity is {collinearity}; it must lie in [0, 1)")
    if not 1 <= rank <= min(shape):
        raise ValueError(f"rank {rank} must lie between 1 and min(shape) = {min(shape)}")
    gram = np.full((rank, rank), collinearity) + (1 - collinearity) * np.eye(rank)
    mixing = np.linalg.cholesky(gram).T  # R with R^T R the Gram matrix: columns of Q R have unit length and the cosine
    factors = [_orthonormal((n, rank), rng) @ mixing for n in shape]
    return _moved(_sum_of_products(np.ones(rank), factors), like, dtype)


def needle_tensor(
    shape: Shape,
    rng: np.random.Generator,
    *,
    height: float = 100.0,
    noise: float = 1e-2,
    like: Array | None = None,
    dtype: Any = None,
) -> Array:
    """Return Gaussian noise of a stated level with one entry replaced by ``height``: uniform sampling misses it.

    Parameters
    ----------
    shape : sequence of int
    rng : numpy.random.Generator
    height, noise : float
        The entry, at a random position, and the standard deviation of the others.
    like, dtype
        See :mod:`tnattn.gallery.matrices`.
    """
    tensor = noise * require_host(rng).standard_normal(tuple(shape))
    tensor[tuple(int(rng.integers(n)) for n in shape)] = height
    return _moved(tensor, like, dtype)


def _sum_of_products(weights: np.ndarray, factors: list[np.ndarray]) -> np.ndarray:
    """Return the sum over r of weight r times the outer product of the columns r of the factors."""
    tensor = weights
    for factor in factors[:-1]:
        tensor = tensor[..., None, :] * factor  # (..., n, r)
    return np.asarray(tensor @ factors[-1].T)
