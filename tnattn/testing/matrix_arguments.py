"""Laws of matrix methods on their arguments: scalars, ranks, empty stacks, and matrices that are refused by name."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tnattn.arrays import to_host
from tnattn.testing.matrix_trial import RANK, MatrixTrial, field_names, with_field
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.tensor_arguments import require_refused

_KINDS: dict[type, Callable[[Any], Any]] = {int: np.int64, float: np.float64, bool: np.bool_}


def takes_scalars(trial: MatrixTrial) -> None:
    """Fields may be numbers of NumPy, and become Python numbers; other kinds are refused."""
    method = trial.at_rank(RANK)
    if trial.ranked:
        if trial.method.with_rank(np.int64(RANK)) != method:  # type: ignore[arg-type]
            raise Violation("with_rank(numpy.int64(5)) is not with_rank(5)")
        cases: tuple[tuple[Any, type[Exception]], ...] = (
            (True, TypeError),
            (2.5, TypeError),
            (4.0, TypeError),  # a whole number, but no integer
            ("4", TypeError),
            (0, ValueError),
            (-1, ValueError),
        )
        for bad, kind in cases:
            require_refused(partial(trial.method.with_rank, bad), kind, f"with_rank({bad!r})")
    a = trial.matrix(dtype="float32")
    plain = to_host(trial.run(a).to_dense())
    for name in field_names(method):
        value = getattr(method, name)
        if isinstance(value, np.generic):
            raise Violation(f"{name} is a {type(value).__name__} of NumPy; derive the class from Parameters")
        if type(value) not in _KINDS:
            continue
        other = with_field(method, name, _KINDS[type(value)](value))
        # the kind too, not only equality: np.int64(4) == 4, but it would decide dtypes
        if type(getattr(other, name)) is not type(value) or other != method:
            raise Violation(f"{name} = {type(value).__name__} of NumPy is kept; derive the class from Parameters")
        again = to_host(dataclasses.replace(trial, method=other).run(a).to_dense())
        if again.dtype != plain.dtype or not np.array_equal(again, plain):
            raise Violation(f"{name} as a number of NumPy changes the result")


def demands_ranks(trial: MatrixTrial) -> None:
    """A rank beyond min(m, n) is refused by the call, unless the rank is an upper bound."""
    if not trial.ranked:
        raise NotApplicable("the method has no rank")
    a = trial.matrix()
    beyond = min(a.shape) + 1
    if trial.method.rank_is_limit:
        if not np.isfinite(trial.dense(a, beyond)).all():
            raise Violation(f"rank {beyond}, an upper bound, gives numbers that are not finite")
        return
    require_refused(partial(trial.run, a, beyond), ValueError, f"rank {beyond} of {a.shape} matrices", str(beyond))


def answers_empty_stacks(trial: MatrixTrial) -> None:
    """A stack of no matrices, or of matrices without rows or columns, gives nothing or is refused with its shape."""
    m, n = trial.shape
    # no matrix, no row, no column, and a stack of matrices without rows
    for shape in ((0, m, n), (0, n), (m, 0), (3, 0, n)):
        empty = np.zeros(shape)
        try:
            result = trial.run(empty)
        except ValueError as error:
            if str(shape) not in str(error):
                raise Violation(f"an empty stack is refused without its shape: {error}") from error
            continue
        if tuple(result.to_dense().shape) != shape:
            raise Violation(f"an empty stack gives the shape {tuple(result.to_dense().shape)}")


def refuses_by_name(trial: MatrixTrial) -> None:
    """Matrices of other kinds and dtypes, half precision included, and such that are not finite are refused by name."""
    a = trial.matrix()
    for dtype in ("float16", "longdouble", "complex64", "complex128", "int8", "int64", "uint8", "bool", "object"):
        cast = a.astype(dtype)
        require_refused(partial(trial.run, cast), TypeError, f"a {dtype} matrix", cast.dtype.name)
    if "torch" in sys.modules:  # NumPy has no bfloat16
        torch = sys.modules["torch"]
        for dtype in ("bfloat16", "float16", "complex64", "int64"):
            moved = torch.asarray(a).to(getattr(torch, dtype))
            require_refused(partial(trial.run, moved), TypeError, f"a {dtype} matrix", dtype)
    for bad, word in ((np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")):
        holed = a.copy()
        holed[2, 2] = bad
        require_refused(partial(trial.run, holed), ValueError, f"a matrix with {bad}", word)
    require_refused(partial(trial.run, np.ma.masked_array(a, a > 9)), TypeError, "a masked array", "mask")
    require_refused(partial(trial.run, a[0]), ValueError, "a vector", "two axes")
    require_refused(partial(trial.run, a.tolist()), TypeError, "a list", "list")


ARGUMENTS: dict[str, Callable[[MatrixTrial], None]] = {
    "scalars": takes_scalars,
    "demand": demands_ranks,
    "empty batch": answers_empty_stacks,
    "refusal": refuses_by_name,
}
