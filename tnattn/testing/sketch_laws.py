"""Conformance check of sketches, the distributions of test matrices with E[Omega Omega^T] = I."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from tnattn.arrays import dtype_name, to_host
from tnattn.randnla.sketches.base import Sketch
from tnattn.testing.report import ConformanceError, Report, Violation, conformance
from tnattn.testing.structures import check_structured
from tnattn.testing.tensor_arguments import require_refused

# 2 |z| > 8 standard errors in one of a few hundred entries: below 1e-6 for entries with sub-exponential tails
_ERRORS = 8.0


def check_sketch(
    sketch: Sketch,
    *,
    laws: Iterable[str] | None = None,
    n: int = 20,
    size: int = 10,
    draws: int = 400,
    seed: int = 0,
) -> Report:
    """Check shape, precision, seed, structure and second moment of the draws of a sketch.

    Parameters
    ----------
    sketch : Sketch
    laws : iterable of str, optional
        All by default.
    n, size : int
        Rows and columns of the test matrices.
    draws : int
        From which the second moment is estimated.
    seed : int

    Raises
    ------
    ConformanceError
        If a law is violated; E[Omega Omega^T] = I is tested at eight standard errors per entry.

    Examples
    --------
    >>> from tnattn.randnla.sketches.gaussian import Gaussian
    >>> from tnattn.testing import check_sketch
    >>> [finding.law for finding in check_sketch(Gaussian(), laws=["draw", "isotropy"]).of("holds")]
    ['draw', 'isotropy']
    """
    if not isinstance(sketch, Sketch):
        raise TypeError(f"sketch must be an instance of Sketch; got {sketch!r}")
    checks: dict[str, Callable[[], None]] = {
        "value": partial(_is_a_value, sketch),
        "draw": partial(_draws_fit, sketch, n, size, seed),
        "rng": partial(_randomness_is_passed, sketch, n, size, seed),
        "structure": partial(_draws_multiply, sketch, n, size, seed),
        "scalars": partial(_takes_sizes_of_numpy, sketch, n, size, seed),
        "half precision": partial(_refuses_halves, sketch, n, size, seed),
        "isotropy": partial(_second_moment_is_identity, sketch, n, size, draws, seed),
    }
    return conformance(repr(sketch), f"n = {n}, size = {size}", checks, laws)


def _is_a_value(sketch: Sketch) -> None:
    if not dataclasses.is_dataclass(sketch) or hash(sketch) != hash(dataclasses.replace(sketch)):
        raise Violation("it is no frozen dataclass: equal parameters must give equal values")


def _draws_fit(sketch: Sketch, n: int, size: int, seed: int) -> None:
    for dtype in ("float32", "float64"):
        omega = sketch.draw(n, size, rng=np.random.default_rng(seed), like=np.zeros(0, dtype=dtype))
        if tuple(omega.shape) != (n, size):
            raise Violation(f"a draw has shape {omega.shape} instead of {(n, size)}")
        if dtype_name(omega.dtype) != dtype or dtype_name(omega.to_dense().dtype) != dtype:
            raise Violation(f"a draw for {dtype} arrays has dtype {dtype_name(omega.dtype)}")


def _randomness_is_passed(sketch: Sketch, n: int, size: int, seed: int) -> None:
    like = np.zeros(0)
    # a draw is a function of the generator: equal for equal seeds, different for different ones
    first, again, other = (
        to_host(sketch.draw(n, size, rng=np.random.default_rng(s), like=like).to_dense())
        for s in (seed, seed, seed + 1)
    )
    if not np.array_equal(first, again):
        raise Violation("the same seed gives another draw; draw from rng only")
    if np.array_equal(first, other):
        raise Violation("another seed gives the same draw; draw from rng")
    try:
        sketch.draw(n, size, rng=None, like=like)
    except TypeError:
        return
    raise Violation("it draws without a generator; pass rng through require_rng")


def _takes_sizes_of_numpy(sketch: Sketch, n: int, size: int, seed: int) -> None:
    """Sizes as NumPy scalars change neither dtype nor values; other kinds and empty sizes are refused."""
    like = np.zeros(0, dtype=np.float32)  # a float64 factor 1 / sqrt(size) would promote it

    def drawn(rows: Any, columns: Any) -> np.ndarray:
        return to_host(sketch.draw(rows, columns, rng=np.random.default_rng(seed), like=like).to_dense())

    plain = drawn(n, size)
    for kind in (np.int64, np.int32, np.uint8):
        found = drawn(kind(n), kind(size))
        if found.dtype != plain.dtype or not np.array_equal(found, plain):
            raise Violation(f"sizes as {kind.__name__} change the draw, or make it {found.dtype}; convert them")
    for bad, error in ((True, TypeError), (2.0, TypeError), (0, ValueError), (-1, ValueError)):
        for sizes in ((bad, size), (n, bad)):
            require_refused(partial(drawn, *sizes), error, f"a draw of sizes {sizes}")


def _refuses_halves(sketch: Sketch, n: int, size: int, seed: int) -> None:
    """Half precision is refused by name: products with the draw would be rounded to three digits."""
    likes: list[tuple[str, Any]] = [("float16", np.zeros(0, dtype=np.float16))]
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        likes += [(name, torch.zeros(0, dtype=getattr(torch, name))) for name in ("float16", "bfloat16")]
    for name, like in likes:
        draw = partial(sketch.draw, n, size, rng=np.random.default_rng(seed), like=like)
        require_refused(draw, TypeError, f"a draw for {name} arrays", name)


def _draws_multiply(sketch: Sketch, n: int, size: int, seed: int) -> None:
    for dtype in ("float32", "float64"):
        try:
            check_structured(sketch.draw(n, size, rng=np.random.default_rng(seed), like=np.zeros(0, dtype=dtype)))
        except ConformanceError as error:
            raise Violation(f"a draw is no sound structured matrix: {error}") from error


def _second_moment_is_identity(sketch: Sketch, n: int, size: int, draws: int, seed: int) -> None:
    rng, like = np.random.default_rng(seed), np.zeros(0)
    squares = np.empty((draws, n, n))
    for index in range(draws):
        omega = to_host(sketch.draw(n, size, rng=rng, like=like).to_dense())
        squares[index] = omega @ omega.T
    gap = np.abs(squares.mean(axis=0) - np.eye(n))
    # an entry that never varies must be exact to rounding
    error = np.maximum(squares.std(axis=0, ddof=1) / np.sqrt(draws), 1e3 * n * float(np.finfo(np.float64).eps))
    # entry by entry, in standard errors of its own: entries of sparse sketches differ in variance
    worst = np.unravel_index(int(np.argmax(gap / error)), gap.shape)
    if gap[worst] > _ERRORS * error[worst]:
        raise Violation(
            f"the mean of Omega Omega^T over {draws} draws is {squares.mean(axis=0)[worst]:.3g} at "
            f"{tuple(map(int, worst))}, {gap[worst] / error[worst]:.1f} standard errors from the identity; scale the "
            "draw, by 1 / sqrt(size) or the like"
        )
