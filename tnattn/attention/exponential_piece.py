"""The piece of queries with few weighted keys, in one sweep over tiles of a kernel that is never formed."""

from __future__ import annotations

import math
from typing import Any

from tnattn.arrays import Array, array_namespace
from tnattn.attention.approximation import Approximation
from tnattn.structured import ExponentialKernel


def exponential_piece(
    queries: Array,
    keys: Array,
    values: Array,
    *,
    scale: float = 1.0,
    mass: Array | None = None,
    row_sums: bool = False,
    bias: Array | None = None,
    softcap: float | None = None,
    **labels: Any,
) -> Approximation:
    """Return the piece with kernel exp(scale queries keys^T + bias - shift), shifted by the largest score of every row.

    Parameters
    ----------
    queries : Array, (..., G, R, n_q, d)
    keys : Array, (..., G, R or 1, m, d)
    values : Array, (..., m, d_v)
    scale : float
        Of the scores.
    mass : Array, (..., m), optional
        Of every column; ones by default.
    row_sums : bool
        Divide by the plain row sums of the kernel, whatever the masses.
    bias : Array, (m,), optional
    softcap : float, optional
    **labels
        Other fields of ``Approximation``.

    Notes
    -----
    2 n_q m (d + d_v + 1) operations per head, memory for the result only.
    """
    xp = array_namespace(queries, keys)
    if scale != 1.0:  # on the smaller side: scaled queries are another array of the size of the output
        few = math.prod(queries.shape) < math.prod(keys.shape)
        queries, keys = (queries * scale, keys) if few else (queries, keys * scale)
    ones = xp.ones_like(keys[..., :1])
    counts = ones if mass is None or row_sums else mass[..., None]
    kernel, (numerators, denominators) = ExponentialKernel.shifted(
        queries, keys, times=(values, counts), bias=bias, softcap=softcap
    )
    denominators = denominators[..., 0]
    normaliser = denominators if row_sums else None
    piece = Approximation(kernel, kernel.shift, values, mass, normaliser, **labels)
    return piece.holding(numerators, denominators)
