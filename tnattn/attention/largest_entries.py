"""Places of the largest entries of every row."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace


def marked_largest(x: Array, counts: tuple[int, ...]) -> tuple[Array, ...]:
    """Return, for each count k, True at the k largest entries of every row; the first of equal ones.

    Parameters
    ----------
    x : Array, (..., n)
        Without NaN.
    counts : tuple of int
        Each at most n; smaller ones mark part of what larger ones do.

    Returns
    -------
    tuple of Array, (..., n), bool

    Notes
    -----
    One sort of values alone, O(n log n); one synchronisation for each count.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.largest_entries import marked_largest
    >>> marked_largest(np.asarray([3.0, 1.0, 2.0, 2.0]), (2,))[0].tolist()
    [True, False, True, False]
    """
    xp = array_namespace(x)
    # values alone are sorted; ties at the threshold, which a sort would order at will, are resolved below
    ordered = xp.sort(x, axis=-1, stable=False)
    found = []
    for k in counts:
        if k == 0:
            found.append(xp.zeros_like(x, dtype=xp.bool))
            continue
        threshold = ordered[..., x.shape[-1] - k, None]
        kept = x >= threshold
        if bool(xp.any(xp.count_nonzero(kept, axis=-1) > k)):  # ties at the threshold: the first are kept
            above, tied = x > threshold, x == threshold
            vacant = k - xp.count_nonzero(above, axis=-1, keepdims=True)
            kept = above | (tied & (xp.cumulative_sum(xp.astype(tied, xp.int64), axis=-1) <= vacant))
        found.append(kept)
    return tuple(found)


def marked_indices(marked: Array, count: int) -> Array:
    """Return the indices (..., count), int64, ascending, of the True entries of rows that have ``count`` of them."""
    xp = array_namespace(marked)
    # nonzero of the flat array lists them row by row
    flat = xp.nonzero(xp.reshape(marked, (-1,)))[0] % marked.shape[-1]
    return xp.reshape(xp.astype(flat, xp.int64), (*marked.shape[:-1], count))
