"""Validation of kinds and shapes of queries, keys and values."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, dtype_name, plain_array, require_floating


def plain_floating(array: Array, name: str) -> Array:
    """Return an array of floating numbers (..., heads, tokens, width) in native byte order.

    Raises
    ------
    TypeError
        If it is no array, a masked one, or of a dtype that the package does not compute with.
    ValueError
        If it has fewer than three axes.
    """
    array = plain_array(array, name)
    require_floating(array, name)
    require_heads(array, name)
    return array


def require_heads(array: Array, name: str) -> None:
    """Raise ValueError unless an array has the axes (..., heads, tokens, width)."""
    if array.ndim < 3:
        raise ValueError(
            f"{name} has shape {tuple(array.shape)}; expected (..., heads, tokens, width): add a head axis"
        )


def require_same_kind(**arrays: Array) -> None:
    """Raise TypeError unless arrays, given by name, share library and dtype."""
    array_namespace(*arrays.values())  # raises for arrays of different libraries
    dtypes = [x.dtype for x in arrays.values()]
    if any(dtype != dtypes[0] for dtype in dtypes):
        *names, last = arrays
        raise TypeError(
            f"{', '.join(names)} and {last} have dtypes {', '.join(map(dtype_name, dtypes))}; convert them to one"
        )


def require_key_value_shapes(k: Array, v: Array, names: tuple[str, str] = ("k", "v")) -> None:
    """Raise ValueError unless keys (..., G, n, d) and values (..., G, n, d_v) belong together and are not empty."""
    keys, values = (f"{name} {tuple(x.shape)}" for name, x in zip(names, (k, v), strict=True))
    if k.shape[:-1] != v.shape[:-1]:
        raise ValueError(f"{keys} and {values} must agree in every axis but the last")
    # softmax over no key is undefined; empty batch axes are admissible
    if 0 in (*k.shape[-2:], v.shape[-1]):
        raise ValueError(f"{keys}, {values}: no axis of tokens or width may be empty")


def require_grouped(array: Array, name: str) -> None:
    """Raise ValueError unless keys or values have the grouped layout (..., G, 1, n, width), without an empty axis."""
    shape = tuple(array.shape)
    # the axis of length one broadcasts over the R query heads of a group
    if len(shape) < 4 or shape[-3] != 1:
        raise ValueError(
            f"{name} has shape {shape}; the grouped layout (..., G, 1, n, width) is needed; "
            "KeySet.from_arrays takes (..., G, n, width)"
        )
    if 0 in shape:
        raise ValueError(f"{name} has shape {shape}; no axis may be empty")


def require_query_shape(q: Array, k: Array) -> None:
    """Raise ValueError unless queries (..., H, n_q, d) fit keys (..., G, n_k, d), with H a multiple of G."""
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(f"queries have width {q.shape[-1]} and keys {k.shape[-1]}; they must agree")
    if q.shape[:-3] != k.shape[:-3]:
        raise ValueError(f"q {tuple(q.shape)} and k {tuple(k.shape)} must agree in the axes before the heads")
    if k.shape[-3] == 0 or q.shape[-3] % k.shape[-3]:
        raise ValueError(
            f"{q.shape[-3]} query heads cannot be shared among {k.shape[-3]} key heads; the first must be a multiple"
        )
    if 0 in q.shape[-2:]:
        raise ValueError(f"q {tuple(q.shape)}: no axis of tokens or width may be empty")


def require_inner_products(softcap: float | None) -> None:
    """Raise ValueError if a softcap makes the scores no inner products."""
    if softcap is not None:
        raise ValueError(
            f"softcap={softcap} makes the scores no inner products of queries and keys, "
            "which this method needs; use a method that evaluates scores, or softcap=None"
        )
