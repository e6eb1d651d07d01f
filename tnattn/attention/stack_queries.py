"""Vertical concatenation of approximations of consecutive blocks of queries."""

from __future__ import annotations

from tnattn.arrays import array_namespace
from tnattn.attention.approximation import Approximation
from tnattn.attention.broadcasting import concat_broadcast
from tnattn.structured import BlockDiagonal, Rows


def stack_queries(pieces: list[Approximation]) -> Approximation:
    """Return the approximations of consecutive blocks of queries as one.

    Parameters
    ----------
    pieces : list of Approximation
        Each covers its own rows; together they are all queries, in order.
    """
    xp = array_namespace(pieces[0].values)
    masses = [p.mass if p.mass is not None else xp.ones_like(p.values[..., 0]) for p in pieces]
    own = any(piece.normaliser is not None for piece in pieces)
    lifted = [piece.expand for piece in pieces if piece.expand is not None]
    return Approximation(
        # every block has columns of its own: values are concatenated, kernels block diagonal
        kernel=BlockDiagonal(tuple(piece.kernel for piece in pieces)),
        shift=concat_broadcast([piece.shift for piece in pieces], axis=-1),
        values=concat_broadcast([piece.values for piece in pieces], axis=-2),
        mass=concat_broadcast(masses, axis=-1),
        normaliser=concat_broadcast([piece.denominators for piece in pieces], axis=-1) if own else None,
        keys=slice(None),
        expand=Rows(tuple(lifted)) if len(lifted) == len(pieces) else None,
        unmergeable=next((piece.unmergeable for piece in pieces if piece.unmergeable), ""),
        units=pieces[0].units,
        dtype=pieces[0].dtype,
    )
