"""Functional interface to exact and approximate attention."""

from __future__ import annotations

from tnattn.arrays import Array, Rng, is_array, is_floating
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, FullMask, Mask
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem


def attend(
    q: Array,
    k: Array,
    v: Array,
    *,
    method: AttentionMethod | None = None,
    mask: Mask | Array | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    softcap: float | None = None,
    rng: Rng | None = None,
    check_finite: bool = True,
    fused: bool = True,
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
        A rule such as ``CausalMask()``, a boolean array of admissible keys, or an additive array.
    is_causal : bool
        Short for ``mask=CausalMask()`` with as many queries as keys, as in PyTorch.
    scale : float, optional
        1 / sqrt(d) by default.
    softcap : float, optional
    rng : numpy.random.Generator or DeviceDraws, optional
        Needed by randomized methods.
    check_finite : bool
        Refuse NaN and infinity; switch off where the arrays are known to be finite, as those of a cache.
    fused : bool
        Let PyTorch's fused kernel compute exact attention of its tensors where it can; see ``AttentionProblem``.

    Returns
    -------
    Array, (..., H, n_q, d_v) or (n_q, d_v), dtype, library and device of ``q``
        A new array. Float16 and bfloat16 are computed in float32 and cast back.

    Raises
    ------
    ValueError
        If ``is_causal`` is true and ``mask`` is given as well, or the numbers of queries and keys differ.
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
    # a head axis is added to matrices and taken off the result
    single = all(is_array(x) and x.ndim == 2 for x in (q, k, v))
    if single:
        q, k, v = q[None, ...], k[None, ...], v[None, ...]
    rule = _causal(mask, q, k) if is_causal else _rule(mask)
    problem = AttentionProblem(q, k, v, mask=rule, scale=scale, softcap=softcap, check_finite=check_finite, fused=fused)
    if method is None:
        output = problem.output  # streamed, without an Approximation in between
    elif isinstance(method, AttentionMethod):
        output = method(problem, rng=rng).output
    else:
        raise TypeError(
            f"method must be an AttentionMethod value such as SlidingWindow(width=64); got {method!r}; "
            "from tnattn import SlidingWindow"
        )
    return output[0, ...] if single else output


def _causal(mask: Mask | Array | None, q: Array, k: Array) -> Mask:
    if mask is not None:
        raise ValueError("is_causal=True and mask are both given; combine rules by &, as in mask=CausalMask() & mask")
    if all(is_array(x) and x.ndim >= 2 for x in (q, k)) and q.shape[-2] != k.shape[-2]:
        # PyTorch aligns the first query with the first key, where a decoder means the last with the last
        raise ValueError(
            f"is_causal=True with {q.shape[-2]} queries and {k.shape[-2]} keys leaves their alignment open; "
            "mask=CausalMask() places the queries at the last positions of the keys: from tnattn import CausalMask"
        )
    return CausalMask()


def _rule(mask: Mask | Array | None) -> Mask:
    if mask is None:
        return FullMask()
    if isinstance(mask, Mask):
        return mask
    if not is_array(mask):
        raise TypeError(
            f"mask must be a rule such as CausalMask() or an array; got {type(mask).__name__}; "
            "from tnattn import CausalMask"
        )
    # as in PyTorch: floating entries are added to the scores, boolean ones admit keys
    return BiasMask(mask) if is_floating(mask) else ExplicitMask(mask)
