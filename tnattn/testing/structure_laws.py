"""Laws of structured matrices about memory, scale, layout and dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import array_api_compat
import numpy as np

from tnattn.arrays import Array, array_namespace, dtype_name, eps, from_host, is_half, to_host
from tnattn.structured.base import StructuredMatrix
from tnattn.testing.report import NotApplicable, Violation

StructureLaw = Callable[[StructuredMatrix, np.random.Generator], None]

_EXPONENTS = {"float16": 6, "bfloat16": 90, "float32": 90, "float64": 700}  # squares leave the range, products do not


def results_are_the_callers(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    """Dense forms, products and entries can be written to, which changes neither the matrix nor the factor."""
    before = to_host(matrix.to_dense()).copy()
    picked = from_host(np.zeros(1, np.int64), like=matrix.like)
    x = _drawn(matrix, rng, matrix.shape[-1], 2)
    kept = to_host(x).copy()
    results: dict[str, Callable[[], Array]] = {
        "the dense form": matrix.to_dense,
        "the dense form of the transpose": matrix.mT.to_dense,
        "a product": lambda: matrix @ x,
        "a product with a vector": lambda: matrix @ x[:, 0],
        "a product with a stack": lambda: matrix @ _drawn(matrix, rng, *matrix.batch, matrix.shape[-1], 2),
        "a product with the transpose": lambda: matrix.mT @ _drawn(matrix, rng, matrix.shape[-2], 2),
        "a submatrix by entries": lambda: matrix.entries(picked, picked),
    }
    for said, make in results.items():
        result = make()
        try:
            result[...] = 7.0  # read-only arrays and broadcast views fail here or in the comparison
        except (ValueError, RuntimeError, TypeError) as error:
            raise Violation(f"{said} cannot be written to ({error}); return an array of the caller") from None
        if not np.array_equal(to_host(result), np.full(result.shape, 7.0)):
            raise Violation(f"{said} does not keep what is written to it; entries share their memory")
        if not np.array_equal(to_host(matrix.to_dense()), before, equal_nan=True):
            raise Violation(f"writing to {said} changes the matrix; return a copy")
        if not np.array_equal(to_host(x), kept):
            raise Violation(f"writing to {said} changes the right factor; return a copy")


def scale_comes_out(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    """A power of two times the factor gives that power times the product, even if squares leave the range."""
    reach = _EXPONENTS[dtype_name(matrix.dtype)]
    for said, side in (("a product", matrix), ("a product with the transpose", matrix.mT)):
        x = _drawn(matrix, rng, side.shape[-1], 2)
        plain = to_host(side @ x).astype(np.float64)
        # |A| |x| bounds the rounding of a product entry by entry
        size = np.abs(to_host(side.to_dense()).astype(np.float64)) @ np.abs(to_host(x).astype(np.float64))
        # half precision rounds the factor itself where its digits run out
        allowed = 64 * max(side.shape[-2:]) * eps(matrix.like) * float(np.max(size, initial=0.0))
        for exponent in (-reach, reach):
            scaled = to_host(side @ (x * 2.0**exponent)).astype(np.float64)
            gap = float(np.max(np.abs(np.ldexp(scaled, -exponent) - plain), initial=0.0))
            if not gap <= allowed:
                raise Violation(f"{said} with 2^{exponent} times the factor is off by {gap:.2g} of {allowed:.2g}")


def layouts_do_not_matter(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    """A factor that is column-major, strided, reversed or read-only gives the same product and is not changed."""
    for side in (matrix, matrix.mT):
        x = _drawn(matrix, rng, side.shape[-1], 4)
        plain, host = to_host(side @ x).astype(np.float64), to_host(x).copy()
        size = np.abs(to_host(side.to_dense()).astype(np.float64)) @ np.abs(host.astype(np.float64))
        allowed = 64 * max(side.shape[-2:]) * eps(matrix.like) * float(np.max(size, initial=0.0))
        for said, other in layouts(x):
            found = to_host(side @ other).astype(np.float64)
            if found.shape != plain.shape or not float(np.max(np.abs(found - plain), initial=0.0)) <= allowed:
                raise Violation(f"a factor stored {said} has another product")
            if not np.array_equal(to_host(other), host):
                raise Violation(f"a product changes a factor stored {said}")


def layouts(x: Array) -> Iterator[tuple[str, Array]]:
    """Yield the same array in other memory layouts, each with its name."""
    xp = array_namespace(x)
    yield "by columns", xp.matrix_transpose(xp.asarray(xp.matrix_transpose(x), copy=True))
    yield "within a wider array", xp.concat([x, x], axis=-1)[..., : x.shape[-1]]
    yield "in every other row", xp.reshape(xp.stack([x, x], axis=-2), (*x.shape[:-2], -1, x.shape[-1]))[..., ::2, :]
    if array_api_compat.is_numpy_array(x):
        yield "backwards", x[..., ::-1, :].copy()[..., ::-1, :]
        frozen = x.copy()
        frozen.flags.writeable = False
        yield "read-only", frozen


def other_kinds_are_refused(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    """Complex, integer and boolean factors raise TypeError."""
    xp = array_namespace(matrix.like)
    host = rng.integers(0, 2, size=(matrix.shape[-1], 2))
    for kind in ("complex64", "int64", "bool"):
        factor = from_host(host.astype(kind), like=matrix.like, dtype=getattr(xp, kind))
        try:
            _ = matrix @ factor
        except TypeError:
            continue
        raise Violation(f"it multiplies an array of dtype {kind}; refuse it with TypeError")


def nothing_gives_nothing(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    """A factor with an empty batch has an empty product."""
    for said, side in (("a product", matrix), ("a product with the transpose", matrix.mT)):
        m, n = side.shape[-2:]
        found = side @ _drawn(matrix, rng, 0, *matrix.batch, n, 2)
        wanted = (0, *matrix.batch, m, 2)
        if tuple(found.shape) != wanted:
            raise Violation(f"{said} with an empty batch has shape {tuple(found.shape)} instead of {wanted}")


def half_precision_is_summed_wide(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    """Products in float16 and bfloat16 are those of float32, rounded once."""
    if not is_half(matrix.like):
        raise NotApplicable("the matrix is not in half precision")
    for side in (matrix, matrix.mT):
        x = _drawn(matrix, rng, side.shape[-1], 2)
        x = x * x  # of one sign: sums in half precision stand still
        dense = to_host(side.to_dense()).astype(np.float64)
        expected = dense @ to_host(x).astype(np.float64)
        size = np.abs(dense) @ np.abs(to_host(x).astype(np.float64))
        gap = np.abs(to_host(side @ x).astype(np.float64) - expected)
        # rounded once: a few eps, whatever the number of terms; 1e-6 covers subnormal results in float16
        if not np.all(gap <= 4 * eps(matrix.like) * size + 1e-6):
            worst = float(np.max(gap / (size + 1e-30)))
            raise Violation(f"a product in half precision is off by {worst:.2g}; compute it in float32")


LAWS: dict[str, StructureLaw] = {
    "writable": results_are_the_callers,
    "scale": scale_comes_out,
    "layouts": layouts_do_not_matter,
    "kinds": other_kinds_are_refused,
    "empty": nothing_gives_nothing,
    "half": half_precision_is_summed_wide,
}


def _drawn(matrix: StructuredMatrix, rng: np.random.Generator, *shape: int) -> Array:
    return from_host(rng.standard_normal(shape), like=matrix.like, dtype=matrix.dtype)
