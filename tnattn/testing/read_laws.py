"""Reads of structured matrices (columns, diagonal, sketches, ...) beside the values of their dense forms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tnattn.arrays import Array, array_namespace, from_host, to_host
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense
from tnattn.structured.sparse import Sparse

Read = tuple[str, Array, np.ndarray, np.ndarray]  # name, value read, expected value, size of the summed terms


def reads(matrix: StructuredMatrix, rng: np.random.Generator) -> Iterator[Read]:
    """Yield every read of a small matrix and of its transpose, with the value of the dense form."""
    for said, side in (("", matrix), (" of the transpose", matrix.mT)):
        dense = to_host(side.to_dense()).astype(np.float64)
        for name, found, expected, size in (*_parts(side, dense, rng), *_sums(side, dense), *_sketches(side, dense)):
            yield name + said, found, expected, size


def _parts(matrix: StructuredMatrix, dense: np.ndarray, rng: np.random.Generator) -> Iterator[Read]:
    m, n = dense.shape[-2:]
    # one list of indices for the whole stack, and one for each matrix
    for said, batch in (("shared", ()), ("of each matrix", matrix.batch)):
        columns, rows = rng.integers(n, size=(*batch, 2)), rng.integers(m, size=(*batch, 3))
        expected = np.take_along_axis(dense, np.broadcast_to(columns[..., None, :], (*matrix.batch, 1, 2)), axis=-1)
        yield f"columns, {said}", matrix.columns(from_host(columns, like=matrix.like)), expected, np.abs(dense)
        expected = np.take_along_axis(dense, np.broadcast_to(rows[..., None], (*matrix.batch, 3, 1)), axis=-2)
        yield f"rows, {said}", matrix.rows(from_host(rows, like=matrix.like)), expected, np.abs(dense)


def _sums(matrix: StructuredMatrix, dense: np.ndarray) -> Iterator[Read]:
    xp = array_namespace(matrix.like)
    diagonal = np.diagonal(dense, axis1=-2, axis2=-1)
    yield "the diagonal", matrix.diagonal(), diagonal, np.abs(dense)
    squares = np.sum(dense**2, axis=(-2, -1))
    norm = xp.astype(matrix.squared_norm(), matrix.dtype)  # it may be returned in a wider dtype
    yield "the squared norm", norm, squares, squares
    if dense.shape[-1] == dense.shape[-2]:
        trace = xp.astype(matrix.trace(), matrix.dtype)
        yield "the trace", trace, diagonal.sum(axis=-1), np.abs(dense)


def _sketches(matrix: StructuredMatrix, dense: np.ndarray) -> Iterator[Read]:
    m, n = dense.shape[-2:]
    for said, build in (("", _sparse_test_matrix), (", dense", lambda size, like: Dense(_array(size, like)))):
        right, left = build(n, matrix.like), build(m, matrix.like)
        omega, psi = (to_host(x.to_dense()).astype(np.float64) for x in (right, left))
        yield f"a sketch{said}", matrix.sketch(right), dense @ omega, np.abs(dense) @ np.abs(omega)
        yield f"a sketch of rows{said}", matrix.sketch_rows(left), psi.T @ dense, np.abs(psi.T) @ np.abs(dense)
    omega = to_host(_array(n, matrix.like)).astype(np.float64)
    yield "a sketch, array", matrix.sketch(_array(n, matrix.like)), dense @ omega, np.abs(dense) @ np.abs(omega)


def _sparse_test_matrix(size: int, like: Array) -> Sparse:
    signs = from_host((-1.0) ** np.arange(size)[:, None], like=like, dtype=like.dtype)
    return Sparse(signs, from_host(np.arange(size)[:, None] % 3, like=like), 3)


def _array(size: int, like: Array) -> Array:
    return from_host(np.cos(np.arange(3.0 * size)).reshape(size, 3), like=like, dtype=like.dtype)
