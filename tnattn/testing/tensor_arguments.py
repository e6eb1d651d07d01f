"""Laws of decompositions on their arguments: scalars, ranks, empty stacks, and the tensors that are refused by name."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.entries import ArrayEntries
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.tensor_trial import RANK, SHAPE, TensorTrial


def takes_scalars(trial: TensorTrial) -> None:
    """Fields and ranks may be numbers of NumPy, and become Python numbers; booleans and fractions are refused."""
    method = trial.decomposition.with_rank(2, SHAPE)
    if trial.decomposition.with_rank(np.int64(2), np.asarray(SHAPE)) != method:  # type: ignore[arg-type]
        raise Violation("with_rank(numpy.int64(2), sizes as an array) is not with_rank(2, sizes)")
    cases: tuple[tuple[Any, type[Exception]], ...] = (
        (True, TypeError),
        (2.5, TypeError),
        (1e6, TypeError),  # a whole number, but no integer
        (0, ValueError),
        (-1, ValueError),
    )
    for bad, kind in cases:
        require_refused(partial(trial.decomposition.with_rank, bad, SHAPE), kind, f"with_rank({bad!r}, ...)")
    for f in dataclasses.fields(method):
        value = getattr(method, f.name)
        if isinstance(value, bool) or not isinstance(value, (int, float, tuple)) or not f.init:
            continue
        if isinstance(value, tuple) and not all(isinstance(entry, int) for entry in value):
            continue
        given = np.float64(value) if isinstance(value, float) else np.asarray(value)
        other = _with(method, f.name, given)
        if other != method or type(getattr(other, f.name)) is not type(value):
            raise Violation(f"{f.name} = {given!r} is kept as it is; derive the class from Parameters")
        wrong = (True,) * len(value) if isinstance(value, tuple) else True  # True == 1 must not pass for an integer
        require_refused(partial(_with, method, f.name, wrong), TypeError, f"{f.name}={wrong}")


def demands_ranks(trial: TensorTrial) -> None:
    """A rank that no tensor of the sizes has is refused by the call; ``with_rank`` lowers it."""
    small, large = (trial.decomposition.with_rank(rank, SHAPE) for rank in (1, 2))
    # the fields that carry the rank are those that ``with_rank`` changes
    changed = [f.name for f in dataclasses.fields(small) if getattr(small, f.name) != getattr(large, f.name)]
    ranks = [name for name in changed if isinstance(getattr(large, name), (int, tuple))]
    if trial.decomposition.lowers_rank or not ranks:
        raise NotApplicable("the rank is an upper bound, or a field of an inner decomposition")
    tensor = trial.decaying()
    for name in ranks:
        value = getattr(large, name)
        bad = _with(large, name, (10**6,) * len(value) if isinstance(value, tuple) else 10**6)
        require_refused(
            partial(bad, tensor, rng=np.random.default_rng(trial.seed)), ValueError, f"{name} above those of the tensor"
        )
    trial.run(tensor, 10**6)


def answers_empty_batches(trial: TensorTrial) -> None:
    """A stack of no tensors gives a result of no tensors, or a refusal that shows its shape."""
    empty = np.zeros((0, *SHAPE))
    try:
        result = trial.run(empty, RANK)
    except ValueError as error:
        if str(empty.shape) not in str(error):
            raise Violation(f"an empty stack is refused without its shape: {error}") from error
        return
    if tuple(result.to_dense().shape) != empty.shape:
        raise Violation(f"an empty stack gives the shape {tuple(result.to_dense().shape)}")


def refuses_by_name(trial: TensorTrial) -> None:
    """Half precision, complex, integer and boolean tensors and such that are not finite are refused by name."""
    tensor = trial.decaying()
    for dtype in ("float16", "complex64", "complex128", "int8", "int64", "uint8", "bool"):
        cast = tensor.astype(dtype)
        require_refused(partial(trial.run, cast, RANK), TypeError, f"a {dtype} tensor", dtype)
        if trial.decomposition.reads_entries:
            implicit = ArrayEntries(cast, len(SHAPE))
            require_refused(partial(trial.run, implicit, RANK), TypeError, f"{dtype} entries", dtype)
    if "torch" in sys.modules:  # NumPy has no bfloat16
        torch = sys.modules["torch"]
        for dtype in ("bfloat16", "float16", "complex64", "int64"):
            moved = torch.asarray(tensor).to(getattr(torch, dtype))
            require_refused(partial(trial.run, moved, RANK), TypeError, f"a {dtype} tensor", dtype)
    for bad, word in ((np.nan, "NaN"), (np.inf, "infinite")):
        holed = tensor.copy()
        holed[1, 2, 3] = bad
        require_refused(partial(trial.run, holed, RANK), ValueError, f"a tensor with {bad}", word)


def require_refused(call: Callable[[], Any], kind: type[Exception], what: str, word: str = "") -> None:
    """Raise Violation unless a call raises an exception of a kind whose message contains a word."""
    try:
        call()
    except kind as error:
        if word not in str(error):
            raise Violation(f"the refusal of {what} does not say {word!r}: {error}") from error
        return
    except Exception as error:
        raise Violation(f"{what} raises {type(error).__name__}, not {kind.__name__}: {error}") from error
    raise Violation(f"{what} is not refused; raise {kind.__name__}")


def _with(method: Decomposition, name: str, value: Any) -> Decomposition:
    changes: dict[str, Any] = {name: value}
    return dataclasses.replace(method, **changes)


ARGUMENTS: dict[str, Callable[[TensorTrial], None]] = {
    "scalars": takes_scalars,
    "demand": demands_ranks,
    "empty batch": answers_empty_batches,
    "refusal": refuses_by_name,
}
