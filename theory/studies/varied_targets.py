"""Variants of the target of a theorem: powers of two, ties, zero, rank one, equal values, offsets, single precision."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tnattn.attention.masks import CausalMask, FullMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.projections import Projections
from tnattn.randnla.solvers.least_squares import LeastSquaresProblem
from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense
from tnattn.structured.khatri_rao import KhatriRao
from tnattn.structured.tensor_train import TensorTrain

__all__ = ["varied_targets"]

Array = npt.NDArray[np.floating[Any]]
Change = Callable[[Array], Array]

POWERS = (-500, -300, -267, -134, -30, 30, 130, 250, 300, 500)
"""Of two, for float64: squares and fourth powers lose digits, vanish and overflow, each alone and together."""

SINGLE_POWERS = (-40, 0, 40)  # of two, for float32: squares must stay within its range
# of float64 digits they leave twelve and eight; of float32 digits three and none
OFFSETS = (1e4, 1e8)


def varied_targets(target: Any) -> Iterator[tuple[str, Any]]:
    """Yield a name and a target for every variant of the target of an instance.

    Parameters
    ----------
    target : array, AttentionProblem, Product, KhatriRao, TensorTrain, LeastSquaresProblem or Projections
    """
    match target:
        case AttentionProblem():
            yield from _problems(target)
        case Product():  # kind of argument: a target is varied by its parts
            yield from _products(target)
        case KhatriRao() | TensorTrain():  # kind of argument: a target is varied by its parts
            yield from _factors(target)
        case LeastSquaresProblem():
            yield from _least_squares(target)
        case Projections():
            yield from _projections(target)
        case _:
            yield from ((name, change(np.asarray(target))) for name, change in _changes())
            yield from _of_matrices(np.asarray(target))


def _scaled(power: int) -> Change:
    return lambda x: np.ldexp(x, power)


def _single(power: int) -> Change:
    return lambda x: np.ldexp(x.astype(np.float32), power)


def _changes() -> Iterator[tuple[str, Change]]:
    """Yield changes of arrays of any kind."""
    yield from ((f"2^{power}", _scaled(power)) for power in POWERS)
    yield from ((f"float32, 2^{power}", _single(power)) for power in SINGLE_POWERS)
    yield "zero", np.zeros_like
    yield "ones", np.ones_like
    yield "float32 zero", lambda x: np.zeros_like(x, dtype=np.float32)
    yield from ((f"offset {size:g}", _offset(size)) for size in OFFSETS)


def _offset(size: float) -> Change:
    return lambda x: x + size * np.abs(x).max(initial=0.0)


def _of_matrices(a: Array) -> Iterator[tuple[str, Array]]:
    """Yield changes of matrices that preserve symmetry and semidefiniteness."""
    m, n = a.shape[-2:]
    size = np.abs(a).max(initial=0.0)
    yield "rank one", a[..., :, :1] * a[..., :1, :]
    # indices 0, 0, 1, 1, ...: every row and column twice
    half = np.arange(n) // 2
    rows = np.arange(m) // 2
    yield "repeated rows and columns", a[..., rows, :][..., half]
    yield "float32 repeated", a[..., rows, :][..., half].astype(np.float32)
    yield "unit matrix", np.broadcast_to(np.eye(m, n), a.shape).copy()
    projected = np.zeros_like(a)
    projected[..., : m // 2, : n // 2] = a[..., : m // 2, : n // 2]
    yield "one block", projected
    if m == n:
        values, vectors = np.linalg.eigh(a @ np.swapaxes(a, -1, -2))
        for count in (1, 2):
            top = vectors[..., -count:]
            yield f"rank {count}", size * (top @ np.swapaxes(top, -1, -2))
        # D A D with powers of two: exact, and of condition number 2^(4 n)
        graded = np.ldexp(1.0, -2 * np.arange(n))
        yield "graded", graded[:, None] * a * graded


def _problems(problem: AttentionProblem) -> Iterator[tuple[str, AttentionProblem]]:
    def changed(**arrays: Any) -> AttentionProblem:
        return dataclasses.replace(problem, **arrays)

    q, k, v = problem.q, problem.k, problem.v
    yield from ((f"v 2^{power}", changed(v=_scaled(power)(v))) for power in POWERS)
    # scores are unchanged, lengths of queries and keys are not
    for power in (-200, 200):
        yield f"q 2^{power}, k 2^{-power}", changed(q=np.ldexp(q, power), k=np.ldexp(k, -power))
    yield from ((f"q 2^{power}", changed(q=np.ldexp(q, power))) for power in (-300, -30, 2, 4, 7))
    for power in SINGLE_POWERS:
        yield f"float32, v 2^{power}", changed(q=_single(0)(q), k=_single(0)(k), v=_single(power)(v))
    for name, change in (("zero", np.zeros_like), ("equal", _first_token), ("ones", np.ones_like)):
        yield f"{name} values", changed(v=change(v))
        yield f"{name} keys", changed(k=change(k))
        yield f"{name} queries", changed(q=change(q))
    yield "repeated keys", changed(k=_pairs(k), v=_pairs(v))
    yield "repeated queries", changed(q=_pairs(q))
    for size in OFFSETS:
        yield f"values with offset {size:g}", changed(v=_offset(size)(v))
        single = _offset(size)(v).astype(np.float32)
        yield f"float32 values with offset {size:g}", changed(q=_single(0)(q), k=_single(0)(k), v=single)
        yield f"equal values of {size:g}", changed(v=size * np.ones_like(v))
    yield "keys with offset 100", changed(k=k + 100.0)
    yield "softcap 1", changed(softcap=1.0)
    yield "softcap 30", changed(softcap=30.0)
    yield "values of rank one", changed(v=v[..., :1] * np.ones_like(v))
    if isinstance(problem.mask, FullMask) and problem.n_q <= problem.n_k:
        yield "causal", changed(mask=CausalMask())
    one_key = k[..., :1, :]
    if isinstance(problem.mask, FullMask):
        yield "one key", changed(k=one_key, v=v[..., :1, :])
        yield "one query", changed(q=q[..., :1, :])
        yield "two keys", changed(k=k[..., :2, :], v=v[..., :2, :])


def _first_token(x: Array) -> Array:
    return np.broadcast_to(x[..., :1, :], x.shape).copy()


def _pairs(x: Array) -> Array:
    return x[..., np.arange(x.shape[-2]) // 2, :]


def _products(product: Product) -> Iterator[tuple[str, Product]]:
    left, right = (np.asarray(part.to_dense()) for part in (product.left, product.right))
    for name, change in _changes():
        yield f"both {name}", Product(Dense(change(left)), Dense(change(right)))
        if "float32" not in name:
            yield f"left {name}", Product(Dense(change(left)), Dense(right))
    yield from (
        (f"2^{power} and 2^{-power}", Product(Dense(np.ldexp(left, power)), Dense(np.ldexp(right, -power))))
        for power in (-300, 300)
    )
    first = np.zeros_like(left)
    first[..., 0] = left[..., 0]
    yield "one term", Product(Dense(first), Dense(right))


def _factors(target: Any) -> Iterator[tuple[str, Any]]:
    is_khatri_rao = isinstance(target, KhatriRao)  # kind of argument: a target is varied by its parts
    parts = target.factors if is_khatri_rao else target.cores
    for name, change in _changes():
        if "2^" in name:  # of one factor: the product of several must stay within the range
            plain = _single(0) if "float32" in name else _scaled(0)
            yield name, type(target)((change(parts[0]), *(plain(part) for part in parts[1:])))
        else:
            yield name, type(target)(tuple(change(part) for part in parts))


def _least_squares(problem: LeastSquaresProblem) -> Iterator[tuple[str, LeastSquaresProblem]]:
    a, b = np.asarray(problem.a.to_dense()), np.asarray(problem.sides)
    for name, change in _changes():
        if "float32" in name:
            yield name, LeastSquaresProblem(change(a), change(b))
        else:
            yield f"A {name}", LeastSquaresProblem(change(a), b)
            yield f"b {name}", LeastSquaresProblem(a, change(b))
    yield "b in the range of A", LeastSquaresProblem(a, a @ np.ones((a.shape[-1], b.shape[-1])))
    yield "repeated columns", LeastSquaresProblem(a[:, np.arange(a.shape[-1]) // 2], b)


def _projections(target: Projections) -> Iterator[tuple[str, Projections]]:
    for name, change in _changes():
        w_q, w_k, w_v = (change(np.asarray(part)) for part in (target.w_q, target.w_k, target.w_v))
        yield name, dataclasses.replace(target, w_q=w_q, w_k=w_k, w_v=w_v)
