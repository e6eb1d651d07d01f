"""Selection of rows of large volume, from which all rows of a basis are interpolated or fitted."""

from __future__ import annotations

from collections.abc import Sequence

from tnattn.arrays import Array, array_namespace, device, runs_on_host
from tnattn.linalg import orthonormalise_with_factor, solve_triangular
from tnattn.structured.gather import gather_rows

__all__: list[str] = []

_BLOCK = 8  # exchanges of a device between two waits
DOMINANCE = 1.1  # bound on the coefficients; the last exchanges towards 1 multiply the volume by little each


def interpolation(basis: Array) -> tuple[Array, Array]:
    """Return rows and the matrix that interpolates all rows of a basis from them.

    Parameters
    ----------
    basis : Array, (..., m, r), m >= r
        Columns orthonormal.

    Returns
    -------
    rows : Array, (..., r), integer
    coefficients : Array, (..., m, r)
        ``basis = coefficients @ basis[rows]``, the identity in the chosen rows. No entry exceeds 1.1 in absolute value
        unless 4 r exchanges did not suffice.

    Notes
    -----
    O(m r^2): Gaussian elimination with row pivoting chooses the rows, exchanges that multiply the volume of the chosen
    submatrix by the largest coefficient improve them. Goreinov et al. 2010 (maxvol).
    """
    xp = array_namespace(basis)
    *batch, m, r = basis.shape
    if m == r:  # nothing to choose
        return every_row(basis, batch, m)[:2]
    rows, lower = _eliminated(basis)
    core = gather_rows(lower, rows[..., None])[..., 0, :]
    coefficients = xp.matrix_transpose(
        solve_triangular(core, xp.matrix_transpose(lower), lower=True, transpose=True)
    )  # lower core^-1, from core^T y = lower^T
    return _exchanged(rows, coefficients)


def fitted(basis: Array, count: int) -> tuple[Array, Array, Array]:
    """Return rows from which all rows of a basis are fitted by least squares, more of them than columns.

    Parameters
    ----------
    basis : Array, (..., m, r), m >= r
        Columns orthonormal.
    count : int
        Rows, ``r <= count <= m``; r of them interpolate.

    Returns
    -------
    rows : Array, (..., count), integer
        Those of ``interpolation`` first.
    coefficients : Array, (..., m, r)
        See ``interpolation``: the same basis in other coordinates.
    inverse : Array, (..., r, count)
        Pseudo-inverse of ``coefficients[rows]``; the identity for ``count = r``.

    Notes
    -----
    O(m r count). The part of the tensor outside the basis disturbs a fit less the more rows it has: the inverse has a
    norm of at most one. A further row is the one whose fit from those before is longest; adding it multiplies the
    volume most. Mikhalev & Oseledets 2018 (rectangular maxvol).
    """
    xp = array_namespace(basis)
    rows, coefficients = interpolation(basis)
    *batch, m, r = basis.shape
    identity = xp.broadcast_to(xp.eye(r, dtype=basis.dtype, device=device(basis)), (*batch, r, r))
    if count == r:
        return rows, coefficients, identity
    places = xp.arange(m, dtype=xp.int64, device=device(basis))
    taken = xp.any(places[:, None] == rows[..., None, :], axis=-1)  # (..., m)
    none = xp.full((*batch, m), -1.0, dtype=basis.dtype, device=device(basis))
    lengths = xp.where(taken, none, xp.vecdot(coefficients, coefficients))
    gram = identity  # (..., r, r), inverse of coefficients[rows]^T coefficients[rows]
    further = []
    for _ in range(count - r):  # rank-one updates of inverse and lengths: O(m r) for each further row
        place = xp.argmax(lengths, axis=-1)[..., None]  # (..., 1)
        row = gather_rows(coefficients, place[..., None])[..., 0, :]  # (..., 1, r)
        direction = row @ gram
        growth = 1 + xp.vecdot(row, direction)  # (..., 1)
        gram = gram - xp.matrix_transpose(direction) @ direction / growth[..., None]
        products = (coefficients @ xp.matrix_transpose(direction))[..., 0]  # (..., m)
        shorter = lengths - products**2 / growth
        lengths = xp.where((places == place) | (lengths < 0), none, xp.maximum(shorter, xp.zeros_like(shorter)))
        further.append(place)
    rows = xp.concat([rows, *further], axis=-1)
    q, factor = orthonormalise_with_factor(gather_rows(coefficients, rows[..., None])[..., 0, :])
    return rows, coefficients, solve_triangular(factor, xp.matrix_transpose(q), lower=False)


def every_row(like: Array, batch: Sequence[int], m: int) -> tuple[Array, Array, Array]:
    """Return the result of ``fitted`` for a square basis (..., m, m): all rows, and the identity twice."""
    xp = array_namespace(like)
    rows = xp.broadcast_to(xp.arange(m, dtype=xp.int64, device=device(like)), (*batch, m))
    identity = xp.broadcast_to(xp.eye(m, dtype=like.dtype, device=device(like)), (*batch, m, m))
    return rows, identity, identity


def _eliminated(basis: Array) -> tuple[Array, Array]:
    """Return pivot rows (..., r) and the unit lower trapezoidal factor (..., m, r), column by column."""
    xp = array_namespace(basis)
    *batch, m, r = basis.shape
    rows = xp.zeros((*batch, r), dtype=xp.int64, device=device(basis))
    lower = xp.zeros((*batch, m, r), dtype=basis.dtype, device=device(basis))
    for step in range(r):
        # left-looking: the column less its interpolation from the pivot rows so far
        column = basis[..., step : step + 1]  # (..., m, 1)
        if step:
            done, known = lower[..., :step], rows[..., :step, None]
            core = gather_rows(done, known)[..., 0, :]
            column = column - done @ solve_triangular(core, gather_rows(column, known)[..., 0, :], lower=True)
        place = xp.argmax(xp.abs(column[..., 0]), axis=-1)
        pivot = gather_rows(column, place[..., None, None])  # (..., 1, 1, 1)
        rows[..., step] = place
        lower[..., step : step + 1] = column / pivot[..., 0, :, :]
    return rows, lower


def _exchanged(rows: Array, coefficients: Array) -> tuple[Array, Array]:
    """Exchange chosen rows for others with large coefficients, each matrix of the stack until it has none."""
    xp = array_namespace(coefficients)
    *batch, m, r = coefficients.shape
    slots = xp.arange(r, device=device(rows))
    for step in range(4 * r):  # each exchange multiplies the volume by at least 1.1; few are needed after elimination
        flat = xp.reshape(xp.abs(coefficients), (*batch, m * r))
        place = xp.argmax(flat, axis=-1)[..., None]
        largest = xp.take_along_axis(flat, place, axis=-1)[..., 0]
        wanted = largest > DOMINANCE
        # a device looks once for a block of exchanges, the idle ones of which change nothing
        if (runs_on_host(rows) or step % _BLOCK == 0) and not bool(xp.any(wanted)):
            break
        row, slot = place // r, place % r  # (..., 1)
        chosen = slots == slot  # (..., r), one true
        unit = xp.astype(chosen, coefficients.dtype)
        found = gather_rows(coefficients, row[..., None])[..., 0, :]  # (..., 1, r)
        column = coefficients @ unit[..., :, None]  # (..., m, 1)
        pivot = found @ unit[..., :, None]  # (..., 1, 1)
        one = xp.ones_like(pivot)
        factor = xp.where(wanted[..., None, None], one / xp.where(wanted[..., None, None], pivot, one), 0 * one)
        # Sherman-Morrison for the exchange; a factor of 0 leaves the other matrices of the stack as they are
        coefficients = coefficients - column @ ((found - unit[..., None, :]) * factor)
        rows = xp.where(chosen & wanted[..., None], row, rows)
    return rows, coefficients
