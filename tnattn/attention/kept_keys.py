"""Sure bounds on the error of attention to kept keys, from upper bounds on the scores of all others."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, quiet_overflow, widened


def dropped_share(kept: Array, dropped: Array) -> Array:
    """Return M / (Z + M) from log Z and log M: no more weight than that lies on the dropped keys.

    Parameters
    ----------
    kept : Array, (...)
        log Z, the log-sum-exp of the exact scores of the kept keys; minus infinity where none is kept.
    dropped : Array, (...)
        log M, the log-sum-exp of upper bounds on the scores of the dropped keys; minus infinity where none is dropped.

    Returns
    -------
    Array, (...)
        In [0, 1]; 0 where nothing is dropped, 1 where nothing is kept or a bound is infinite or not a number.

    Notes
    -----
    x / (Z + x) increases with x, so that an upper bound on the mass gives one on the share. Rounding of the masses
    belongs to the bounds on the scores.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.kept_keys import dropped_share
    >>> dropped_share(np.log([3.0, 1.0]), np.log([1.0, 1.0])).round(4).tolist()
    [0.25, 0.5]
    """
    xp, kept, dropped = array_namespace(kept, dropped), widened(kept), widened(dropped)
    with quiet_overflow():
        share = 1 / (1 + xp.exp(kept - dropped))
    share = xp.where(xp.isnan(share), xp.ones_like(share), share)  # infinite bounds; or nothing kept, nothing dropped
    nothing = dropped == -float("inf")
    return xp.where(nothing, xp.zeros_like(share), share)


def kept_keys_error(output: Array, share: Array, *, centre: Array, radius: Array) -> Array:
    """Return bounds x (||o_S - c|| + rho) on the distance of attention to kept keys from exact attention.

    Parameters
    ----------
    output : Array, (..., m, d_v)
        o_S, attention to the kept keys alone.
    share : Array, (..., m)
        x, see ``dropped_share``.
    centre : Array, (..., m or 1, d_v)
        c of a ball that holds the values of all keys that the row sees.
    radius : Array, (..., m or 1)
        rho of the ball.

    Returns
    -------
    Array, (..., m)

    Notes
    -----
    o - o_S = x' (o_T - o_S), x' <= x the true share and o_T, the exact attention to the dropped keys, in the ball.
    O(d_v) per row. The rounding of o_S is not included.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.kept_keys import kept_keys_error
    >>> ball = {"centre": np.zeros((1, 2)), "radius": np.ones(1)}
    >>> kept_keys_error(np.asarray([[0.6, 0.8]]), np.asarray([0.1]), **ball).round(4).tolist()
    [0.2]
    """
    xp, output = array_namespace(output, share), widened(output)
    reach = xp.linalg.vector_norm(output - widened(centre), axis=-1) + widened(radius)
    return _times_share(reach, share)


def centred_output(output: Array, share: Array, *, centre: Array) -> Array:
    """Return (1 - x) o_S + x c, whose distance from exact attention is at most x rho.

    Parameters
    ----------
    output : Array, (..., m, d_v)
    share : Array, (..., m)
    centre : Array, (..., m or 1, d_v)

    Returns
    -------
    Array, (..., m, d_v)
        The centre where the output is not finite and the share is one.

    Notes
    -----
    With x' <= x the true share, o minus it is x' (o_T - c) + (x - x') (c - o_S), both vectors no longer than rho. Half
    of the bound for o_S where o_S lies on the surface of the ball; its true error is larger in the typical case.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.kept_keys import centred_output
    >>> centred_output(np.ones((1, 2)), np.asarray([0.25]), centre=np.zeros((1, 2))).tolist()
    [[0.75, 0.75]]
    """
    xp, output = array_namespace(output, share), widened(output)
    x, c = widened(share)[..., None], xp.broadcast_to(widened(centre), output.shape)
    with quiet_overflow():
        moved = (1 - x) * output + x * c
    return xp.where(x < 1, moved, c)


def centred_error(share: Array, *, radius: Array) -> Array:
    """Return bounds x rho on the distance of ``centred_output`` from exact attention, (..., m).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.kept_keys import centred_error
    >>> centred_error(np.asarray([0.1]), radius=np.asarray([2.0])).tolist()
    [0.2]
    """
    return _times_share(widened(radius), share)


def _times_share(reach: Array, share: Array) -> Array:
    """Return the product, zero where the share is, infinite where it is not a number."""
    xp, share = array_namespace(reach, share), widened(share)
    with quiet_overflow():
        error = share * reach
    error = xp.where(xp.isnan(error), xp.full_like(error, float("inf")), error)
    return xp.where(share == 0, xp.zeros_like(error), error)
