"""Blocked forward substitution with wide right-hand sides, by matrix products."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, device, matmul_into, prefers_host_tiles, subtract_product
from tnattn.linalg import solve_triangular

__all__: list[str] = []  # for column_nystrom and elimination

_MILD = 4000.0  # amplification up to which products with an inverse lose no more than the shift of a Nyström core
_BLOCK = 100  # rows at a time: BLAS is at full speed, and inverting the diagonal blocks costs a third at most


def next_rows(lower: Array, raw: Array, coupling: Array, done: Array, *, out: Array | None = None) -> Array:
    """Return ``lower^-1 (raw - coupling @ done)``: the next rows of a forward substitution.

    Parameters
    ----------
    lower : Array, (..., w, w)
        Lower triangular, without a zero on the diagonal: the next diagonal block.
    raw : Array, (..., w, n)
        Right-hand sides.
    coupling : Array, (..., w, k)
        The rows of the triangular matrix to the left of the block.
    done : Array, (..., k, n)
        Rows computed so far; none for the first block.
    out : Array, (..., w, n), optional
        Memory for the result where the library supports it; the caller compares the result with it.

    Notes
    -----
    O(w n (w + k)). By products with the inverse of the block, unless the factor ``|inverse| [|coupling| |lower|]`` by
    which they amplify rounding errors is large in a matrix of the stack. One synchronisation.
    """
    xp = array_namespace(lower)
    identity = xp.eye(lower.shape[-1], dtype=lower.dtype, device=device(lower))
    inverse = solve_triangular(lower, xp.broadcast_to(identity, lower.shape), lower=True)
    amplified = xp.abs(inverse) @ xp.concat([xp.abs(coupling), xp.abs(lower)], axis=-1)
    if bool(xp.max(amplified) < _MILD):
        rows = matmul_into(inverse, raw, out)
        return subtract_product(rows, inverse @ coupling, done) if done.shape[-2] else rows
    # backward stable, but slower than products
    reduced = subtract_product(xp.asarray(raw, copy=True), coupling, done) if done.shape[-2] else raw
    return solve_triangular(lower, reduced, lower=True)


def forward_substitution(lower: Array, raw: Array) -> Array:
    """Return ``lower^-1 raw``, (..., r, n), for lower triangular matrices (..., r, r) and wide right-hand sides."""
    xp = array_namespace(lower)
    if not prefers_host_tiles(raw):
        return solve_triangular(lower, raw, lower=True)
    rows = xp.empty(raw.shape, dtype=raw.dtype, device=device(raw))
    extend_rows(rows, 0, lower, raw)
    return rows


def extend_rows(rows: Array, start: int, lower: Array, raw: Array) -> None:
    """Continue a forward substitution in place.

    Parameters
    ----------
    rows : Array, (..., r, n)
        Those before ``start`` are given; the next w are written.
    start : int
    lower : Array, (..., w, start + w)
        The next rows of the triangular matrix.
    raw : Array, (..., w, n)
        Their right-hand sides.

    Notes
    -----
    O(w n (start + w)). On the host by blocks, see ``next_rows``; elsewhere the library's own substitution.
    """
    w = raw.shape[-2]
    if not prefers_host_tiles(raw):
        coupling, corner = lower[..., :start], lower[..., start:]
        reduced = raw - coupling @ rows[..., :start, :] if start else raw
        rows[..., start : start + w, :] = solve_triangular(corner, reduced, lower=True)
        return
    for first in range(0, w, _BLOCK):
        block = slice(first, min(first + _BLOCK, w))
        done, stop = start + first, start + block.stop
        target = rows[..., done:stop, :]
        made = next_rows(
            lower[..., block, done:stop], raw[..., block, :], lower[..., block, :done], rows[..., :done, :], out=target
        )
        if made is not target:
            target[...] = made
