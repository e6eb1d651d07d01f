"""Queries, keys and values from files and models, validated once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tnattn.arrays import Array, from_host
from tnattn.attention.masked_scores import largest_norm
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, FullMask, Mask
from tnattn.attention.problem import AttentionProblem
from tnattn.display import Displayed
from tnattn.scalars import Parameters

__all__ = ["QKV", "Floats"]

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False, repr=False)
class QKV(Parameters, Displayed):
    """Queries, keys and values of a stack of heads on the host, with their origin.

    Attributes
    ----------
    q : ndarray, (H, n_q, d) or (B, H, n_q, d), floating
    k : ndarray, (G, n_k, d) or (B, G, n_k, d), floating
        ``G`` divides ``H``; query head ``h`` reads key/value head ``h // (H / G)``.
    v : ndarray, (G, n_k, d_v) or (B, G, n_k, d_v), floating
    name : str
        Name in tables.
    layer : int or None
        Index of the layer in its model, where there is one.
    source : str
        The model and the text, or the file.
    causal : bool
        True if the model masks later keys; the queries are the last ``n_q`` positions.
    scale : float or None
        Positive factor of the scores; None stands for ``1 / sqrt(d)``.
    softcap : float or None
        Positive; the scores pass through ``softcap * tanh(scores / softcap)``.
    mask : ndarray or None
        Broadcastable to ``(..., H, n_q, n_k)``: boolean with True where a query may read a key, or floating and
        added to the scores (minus infinity allowed).

    Raises
    ------
    ValueError
        If shapes do not fit, a number is not finite, or a scalar is out of range.
    TypeError
        If an array does not hold real floating-point numbers.

    Notes
    -----
    float16 is widened exactly to float32 on the way in; of float32 and float64 together, all become float64.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.models import QKV
    >>> rng = np.random.default_rng(0)
    >>> q, k, v = rng.standard_normal((4, 10, 8)), rng.standard_normal((2, 12, 8)), rng.standard_normal((2, 12, 8))
    >>> heads = QKV(q, k, v, name="decoder layer", causal=True)  # the queries are the last ten positions
    >>> heads.heads, heads.groups, heads.problem().output.shape
    (4, 2, (4, 10, 8))
    """

    q: Floats
    k: Floats
    v: Floats
    name: str
    layer: int | None = None
    source: str = ""
    causal: bool = False
    scale: float | None = None
    softcap: float | None = None
    mask: npt.NDArray[Any] | None = None

    def __post_init__(self) -> None:
        for name in ("q", "k", "v"):
            object.__setattr__(self, name, _checked_numbers(name, getattr(self, name)))
        # one dtype for all three: a product of float32 and float64 would cast at every call
        common = np.result_type(self.q, self.k, self.v)
        for name in ("q", "k", "v"):
            object.__setattr__(self, name, getattr(self, name).astype(common, copy=False))
        _check_shapes(self.q, self.k, self.v)
        for name in ("scale", "softcap"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; it must be a finite positive number, or left out")
        if self.mask is not None:
            object.__setattr__(self, "mask", _checked_mask(self.mask, (*self.q.shape[:-1], self.k.shape[-2])))
        if self.q.shape[-2] > self.k.shape[-2] and self.causal:
            raise ValueError(
                f"q has {self.q.shape[-2]} tokens and k only {self.k.shape[-2]}; with a causal mask, the queries are "
                "the last tokens of the sequence of keys, so there may not be more of them; give the mask as an array"
            )
        _check_range(self.q, self.k, self.scale, self.q.dtype)

    @property
    def heads(self) -> int:
        """Number of query heads."""
        return int(self.q.shape[-3])

    @property
    def groups(self) -> int:
        """Number of key/value heads."""
        return int(self.k.shape[-3])

    def problem(self, *, like: Array | None = None, dtype: Any = None) -> AttentionProblem:
        """Return the attention problem of these arrays.

        Parameters
        ----------
        like : Array, optional
            An array whose library and device the problem takes; None: NumPy, without a copy.
        dtype : dtype of that library, optional
            None: that of ``like`` if it is floating, else that of the arrays.

        Raises
        ------
        ValueError
            If an entry, or a score by its upper limit scale |q| |k|, is beyond the largest number of the dtype.
        """

        def moved(array: npt.NDArray[Any]) -> Array:
            return from_host(array, like=self.q if like is None else like, dtype=dtype)

        if _is_numpy(dtype):  # checked before the cast, which would overflow with a warning
            _check_entries(self, np.dtype(dtype))
            _check_range(self.q, self.k, self.scale, np.dtype(dtype))
        mask: Mask = CausalMask() if self.causal else FullMask()
        if self.mask is not None and self.mask.dtype == np.bool_:
            mask &= ExplicitMask(from_host(self.mask, like=self.mask if like is None else like))
        elif self.mask is not None:
            mask &= BiasMask(moved(self.mask))
        problem = AttentionProblem(
            moved(self.q),
            moved(self.k),
            moved(self.v),
            mask=mask,
            scale=self.scale,
            softcap=self.softcap,
            check_finite=dtype is not None or like is not None,  # finite here, but a narrower dtype may overflow
        )
        if dtype is not None or like is not None:
            problem.require_range()
        return problem


def _is_numpy(dtype: Any) -> bool:
    try:
        return dtype is not None and np.dtype(dtype).kind == "f"
    except TypeError:  # a dtype of another library
        return False


def _check_entries(qkv: QKV, dtype: np.dtype[Any]) -> None:
    """Raise ValueError if an entry, finite here, exceeds the range of the dtype of the problem."""
    most = float(np.finfo(dtype).max)
    for name in ("q", "k", "v"):
        size = float(np.abs(getattr(qkv, name)).max())
        if size > most:
            raise ValueError(
                f"{name} reaches {size:.3g}, beyond the range of {dtype} ({most:.3g}); scale it down, or use float64"
            )


def _unmasked(name: str, array: Any) -> npt.NDArray[Any]:
    """Return a host array in native byte order; raise TypeError if it is masked, since hidden entries have no value."""
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise TypeError(
            f"{name} is a masked array that hides {int(np.ma.getmaskarray(array).sum())} entries; "
            "fill them, and say in mask which keys may be read"
        )
    plain = np.asarray(array)
    return plain.astype(plain.dtype.newbyteorder("="), copy=False)


def _checked_numbers(name: str, array: npt.NDArray[Any]) -> Floats:
    """Return a finite real floating array, half precision widened to single."""
    array = _unmasked(name, array)
    if not np.issubdtype(array.dtype, np.floating) or array.dtype.itemsize > 8:  # no long double
        raise TypeError(f"{name} has dtype {array.dtype}; queries, keys and values must be float16, float32 or float64")
    bad = ~np.isfinite(array)
    if bad.any():
        count = int(bad.sum())
        first = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
        raise ValueError(
            f"{name} of shape {array.shape} holds {count} non-finite number{'s' if count > 1 else ''} "
            f"({int(np.isnan(array).sum())} NaN), the first at index {first}; every entry must be finite"
        )
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array


def _check_shapes(q: Floats, k: Floats, v: Floats) -> None:
    """Raise ValueError unless the shapes of queries, keys and values fit together."""
    shapes = f"q {q.shape}, k {k.shape}, v {v.shape}"
    if not (q.ndim == k.ndim == v.ndim and q.ndim in (3, 4)):
        raise ValueError(
            f"{shapes} must all have the axes (heads, tokens, dimension), or all one batch axis before them"
        )
    if 0 in (*q.shape, *k.shape, *v.shape):
        raise ValueError(f"{shapes}: an axis is empty; every axis must have at least one entry")
    if not q.shape[:-3] == k.shape[:-3] == v.shape[:-3]:
        raise ValueError(f"{shapes} differ in their batch axis")
    if k.shape[-3] != v.shape[-3]:
        raise ValueError(f"k has {k.shape[-3]} heads and v has {v.shape[-3]}; keys and values need equally many heads")
    if q.shape[-3] % k.shape[-3]:
        raise ValueError(
            f"q has {q.shape[-3]} heads and k has {k.shape[-3]}; the heads of q must be a multiple of those of k and v"
        )
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(f"k has {k.shape[-2]} tokens and v has {v.shape[-2]}; every key needs one value")
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(
            f"q has head dimension {q.shape[-1]} and k has {k.shape[-1]}; they must be equal, and the axes are "
            "(heads, tokens, dimension)"
        )


def _check_range(q: Floats, k: Floats, scale: float | None, dtype: np.dtype[Any]) -> None:
    """Raise ValueError if scores may exceed the range of a dtype; half precision has its scores in float32."""
    # Cauchy-Schwarz: no score exceeds the product of the largest norms
    reach = largest_norm(q) * largest_norm(k) * (scale if scale is not None else 1 / math.sqrt(q.shape[-1]))
    wide = dtype if dtype.itemsize > 4 else np.dtype(np.float32)
    most = float(np.finfo(wide).max)
    if not reach <= most:  # true for NaN as well
        raise ValueError(
            f"the largest |q| |k| scale is {reach:.3g}, beyond the range of {wide} ({most:.3g}), in which scores "
            "are computed; divide q or k, reduce scale, or convert to float64"
        )


def _checked_mask(mask: npt.NDArray[Any], scores: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return a boolean or additive mask that broadcasts to the shape of the scores."""
    mask = _unmasked("mask", mask)
    if mask.dtype != np.bool_ and not np.issubdtype(mask.dtype, np.floating):
        raise TypeError(
            f"mask has dtype {mask.dtype}; it must be boolean (True: may read) or floating (added to scores)"
        )
    mask = mask.reshape((1,) * (2 - mask.ndim) + mask.shape)  # one number per key stands for every query
    # each axis must be one or that of the scores: NumPy would also let the mask enlarge the stack
    padded = (1,) * (len(scores) - mask.ndim) + mask.shape
    if len(padded) != len(scores) or any(m not in (1, s) for m, s in zip(padded, scores, strict=True)):
        raise ValueError(f"mask has shape {mask.shape}, which does not broadcast to the scores' shape {scores}")
    if not np.any(mask if mask.dtype == np.bool_ else np.isnan(mask) | (mask > -np.inf)):
        raise ValueError(
            f"mask of shape {mask.shape} hides every key from every query; True, or a number above minus infinity, "
            "lets a query read a key"
        )
    if mask.dtype == np.bool_:
        return mask
    bad = int(np.isnan(mask).sum() + np.isposinf(mask).sum())
    if bad:
        raise ValueError(
            f"mask holds {bad} entries that are NaN or plus infinity; only minus infinity may be non-finite"
        )
    return mask.astype(np.float32) if mask.dtype.itemsize < 4 else mask
