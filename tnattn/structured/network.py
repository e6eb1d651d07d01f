"""Norms of tensor networks, without their dense form and without the squares of their entries.

A network is a list of arrays with one letter for each of their trailing axes: lower case for the modes of the tensor,
upper case for bonds, over which products are summed.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence

from tnattn.arrays import Array, array_namespace, broadcast_shape, contract
from tnattn.linalg import orthonormalise_with_factor
from tnattn.linalg.scaling import binary_scale, euclidean_norm, exponent_of, times_power_of_two

MODES = string.ascii_lowercase  # one letter for each mode in a network; bonds are upper case

Term = tuple[str, Array]

_FORMED = 1 << 22  # entries of a compressed tensor up to which it is formed: 32 MB of float64


def contracted(terms: Sequence[Term], output: str) -> Array:
    """Return the contraction of a network with the letters of the output kept; batch axes lead and broadcast."""
    expression = ",".join(f"...{letters}" for letters, _ in terms)
    return contract(f"{expression}->...{output}", *(array for _, array in terms))


def network_norm(terms: Sequence[Term], batch: tuple[int, ...]) -> Array:
    """Return the Frobenius norms (...) of a stack of tensors given as networks.

    Every array is divided by a power of two, and its modes are compressed by an orthonormal factorization where they
    are more than its bonds; neither changes a digit of the norm beyond rounding. The compressed tensor is formed where
    it has at most four million entries: the error is a multiple of eps of the terms that cancel. A larger one is
    contracted with itself, and the error is ``sqrt(eps)``.
    """
    scaled = [_scaled(letters, array) for letters, array in terms]
    exponent = sum(e for _, e in scaled)
    small = [_compressed(term) for term, _ in scaled]
    sizes = {c: n for letters, a in small for c, n in zip(letters, a.shape[a.ndim - len(letters) :], strict=True)}
    modes = "".join(c for c in sizes if c in MODES)
    xp = array_namespace(small[0][1])
    if math.prod(sizes[c] for c in modes) * max(1, math.prod(batch)) <= _FORMED:
        formed = contracted(small, modes)
        norm = euclidean_norm(formed, axis=tuple(range(-len(modes), 0)))
    else:
        # <X, X>: the network and its mirror image share the modes and have bonds of their own
        mirror = [("".join(c if c in MODES else _twin(c) for c in letters), a) for letters, a in small]
        square = contracted([*small, *mirror], "")
        # cancellation may leave a small negative square
        norm = xp.sqrt(xp.maximum(square, xp.zeros_like(square)))
    norm = times_power_of_two(norm, xp.broadcast_to(exponent, broadcast_shape(norm.shape, exponent.shape)))
    return xp.broadcast_to(norm, batch) + xp.zeros_like(norm)  # an array of the caller, not a view


def _scaled(letters: str, array: Array) -> tuple[Term, Array]:
    """Return an array divided by a power of two, with entries of order one, and the exponents (...)."""
    own = len(letters)
    scale = binary_scale(array, axis=tuple(range(-own, 0)))
    xp = array_namespace(array)
    return (letters, array / scale), xp.reshape(exponent_of(scale), array.shape[: array.ndim - own])


def _compressed(term: Term) -> Term:
    """Return the triangular factor in place of an array whose modes are longer than its bonds: norms stay the same."""
    letters, array = term
    modes, bonds = ([i for i, c in enumerate(letters) if (c in MODES) is own] for own in (True, False))
    lead = array.ndim - len(letters)
    shape = array.shape[lead:]
    rows, columns = (math.prod(shape[i] for i in axes) for axes in (modes, bonds))
    if not modes or rows <= columns or 0 in array.shape:
        return term
    xp = array_namespace(array)
    moved = xp.permute_dims(array, (*range(lead), *(lead + i for i in (*modes, *bonds))))
    _, r = orthonormalise_with_factor(xp.reshape(moved, (*array.shape[:lead], rows, columns)))
    kept = letters[modes[0]] + "".join(letters[i] for i in bonds)
    return kept, xp.reshape(r, (*array.shape[:lead], columns, *(shape[i] for i in bonds)))


def _twin(letter: str) -> str:
    """Return a second letter for a bond; bonds use the first half of the upper case letters."""
    return string.ascii_uppercase[string.ascii_uppercase.index(letter) + 12]
