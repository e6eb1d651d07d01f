"""Functional interface to exact and approximate attention."""

from __future__ import annotations

from tnattn.arrays import Array, Rng, is_array, is_floating
from tnattn.attention.masks import BiasMask, ExplicitMask, FullMask, Mask
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem


def attend(
    q: Array,
    k: Array,
    v: Array,
    *,
    method: AttentionMethod | None = None,
    mask: Mask | Array | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    rng: Rng | None = None,
) -> Array:
    """Return softmax(scale Q K^T + mask) V, exactly or as a method approximates it.

    Parameters
    ----------
    q : Array, (..., H, n_q, d) or (n_q, d), floating
    k : Array, (..., G, n_k, d) or (n_k, d)
        H must be a multiple of G.
    v : Array, (..., G, n_k, d_v) or (n_k, d_v)
    method : AttentionMethod, optional
        Exact and streamed by default: O(n) memory.
    mask : Mask or Array, optional
        A rule of ``tnattn.attention.masks``, a boolean array of admissible keys, or an additive array.
    scale : float, optional
        1 / sqrt(d) by default.
    softcap : float, optional
    rng : numpy.random.Generator or DeviceDraws, optional
        Needed by randomized methods.

    Returns
    -------
    Array, (..., H, n_q, d_v) or (n_q, d_v), dtype, library and device of ``q``
        A new array. Float16 and bfloat16 are computed in float32 and cast back.

    Raises
    ------
    ValueError, TypeError, UnsupportedMask
        See ``AttentionProblem`` and ``AttentionMethod``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import attend
    >>> rng = np.random.default_rng(0)
    >>> q, k, v = rng.standard_normal((3, 8, 256, 32))
    >>> attend(q, k, v).shape
    (8, 256, 32)
    """
    single = all(is_array(x) and x.ndim == 2 for x in (q, k, v))
    if single:
        q, k, v = q[None, ...], k[None, ...], v[None, ...]
    problem = AttentionProblem(q, k, v, mask=_rule(mask), scale=scale, softcap=softcap)
    if method is None:
        output = problem.output
    elif isinstance(method, AttentionMethod):
        output = method(problem, rng=rng).output
    else:
        raise TypeError(f"method must be an AttentionMethod value such as SlidingWindow(width=64); got {method!r}")
    return output[0, ...] if single else output


def _rule(mask: Mask | Array | None) -> Mask:
    if mask is None:
        return FullMask()
    if isinstance(mask, Mask):
        return mask
    if not is_array(mask):
        raise TypeError(f"mask must be a rule of tnattn.attention.masks or an array; got {type(mask).__name__}")
    return BiasMask(mask) if is_floating(mask) else ExplicitMask(mask)
