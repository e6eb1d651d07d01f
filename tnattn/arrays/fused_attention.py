"""The fused attention kernel of a library that brings one."""

from __future__ import annotations

import sys

import array_api_compat

from tnattn.arrays.dtypes import dtype_name
from tnattn.arrays.libraries import Array


def fused_attention(q: Array, k: Array, v: Array, *, scale: float, causal: bool) -> Array | None:
    """Return softmax(scale Q K^T) V by the kernel of PyTorch, or None where no kernel computes it in O(n) memory.

    Parameters
    ----------
    q : Array, (..., G, R, n_q, d)
    k, v : Array, (..., G, 1, n_k, d)
    scale : float
    causal : bool
        Query i sees the keys up to i; for as many queries as keys.

    Notes
    -----
    In single and double precision only: in half precision the kernel rounds the weights to the dtype of the values.
    Overflowing scores are not reported: a row of them may come out as zeros.
    """
    if not array_api_compat.is_torch_array(q) or 0 in q.shape:
        return None
    # with other arguments PyTorch forms the matrix of scores
    served = {"cpu": ("float32", "float64"), "cuda": ("float32",)}.get(q.device.type, ())
    if dtype_name(q.dtype) not in served or q.shape[-1] != v.shape[-1] or any(x.stride(-1) != 1 for x in (q, k, v)):
        return None
    ratio = q.shape[-3]

    def stacked(x: Array) -> Array:
        """Return heads of a group along the axis that the kernel shares keys over, without a copy of them."""
        flat = x.reshape(-1, *x.shape[-3:])
        return flat if x.shape[-3] == ratio else flat.expand(-1, ratio, -1, -1)

    sdpa = sys.modules["torch"].nn.functional.scaled_dot_product_attention
    return sdpa(*(stacked(x) for x in (q, k, v)), scale=scale, is_causal=causal).reshape(q.shape)
