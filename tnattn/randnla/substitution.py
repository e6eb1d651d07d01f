"""Forward substitution with few wide right-hand sides, block by block: matrix products, and little memory."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, device, matmul_into, prefers_host_tiles, subtract_product
from tnattn.linalg import solve_triangular

_MILD = 32.0  # growth of an inverse up to which a product with it is as good as a substitution
_BLOCK = 100  # rows at a time: BLAS is at full speed, and the inverses of the diagonal blocks cost a third at most


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
        The rows found so far; k = 0 at the start.
    out : Array, (..., w, n), optional
        Memory to use where the library can; the caller compares the result with it.

    Notes
    -----
    O(w n (w + k)). By products with the inverse of the block, unless ``|inverse| |lower|`` is large in a matrix of the
    stack. One synchronisation.
    """
    xp = array_namespace(lower)
    identity = xp.eye(lower.shape[-1], dtype=lower.dtype, device=device(lower))
    inverse = solve_triangular(lower, xp.broadcast_to(identity, lower.shape), lower=True)
    growth = xp.max(xp.abs(inverse) @ xp.abs(lower))
    if bool(growth < _MILD):
        rows = matmul_into(inverse, raw, out)
        return subtract_product(rows, inverse @ coupling, done) if done.shape[-2] else rows
    return solve_triangular(lower, raw - coupling @ done if done.shape[-2] else raw, lower=True)


def forward_substitution(lower: Array, raw: Array) -> Array:
    """Return ``lower^-1 raw``, (..., r, n), for lower triangular matrices (..., r, r) and wide right-hand sides.

    See ``next_rows``; elsewhere than on the host the library's own substitution.
    """
    xp = array_namespace(lower)
    r = lower.shape[-1]
    if not prefers_host_tiles(raw) or raw.shape[-1] < 2 * r:
        return solve_triangular(lower, raw, lower=True)
    rows = xp.empty(raw.shape, dtype=raw.dtype, device=device(raw))
    for start in range(0, r, _BLOCK):
        block = slice(start, min(start + _BLOCK, r))
        target = rows[..., block, :]
        made = next_rows(
            lower[..., block, block], raw[..., block, :], lower[..., block, :start], rows[..., :start, :], out=target
        )
        if made is not target:
            target[...] = made
    return rows
