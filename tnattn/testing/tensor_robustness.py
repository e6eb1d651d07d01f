"""Laws of decompositions on unusual input: scales, layouts, degenerate tensors, threads and forks."""

from __future__ import annotations

import multiprocessing
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tnattn.arrays import to_host
from tnattn.decomposition.entries import ArrayEntries
from tnattn.structured.tensor import StructuredTensor
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.tensor_arguments import require_refused
from tnattn.testing.tensor_trial import RANK, SHAPE, TensorTrial, arrays_of, error_of

FORK_SECONDS = 60.0  # after which a child that does not answer counts as stuck
# exponents within and beyond those with harmless squares, and those for which a result leaves the range of the dtype
EXPONENTS = {"float32": (-100, -20, 20, 100), "float64": (-900, -20, 20, 900)}
EXTREMES = {"float32": (-140, 127), "float64": (-1060, 1023)}
ROUNDING = {"float32": 1e-3, "float64": 1e-7}  # a few sqrt(eps): differences of squares keep half of the digits


def scales(trial: TensorTrial) -> None:
    """A tensor times a power of two gives a result times that power, in every field, or a refusal by name."""
    for dtype, exponents in EXPONENTS.items():
        tensor = trial.decaying(dtype)
        plain = trial.run(tensor, RANK)
        for exponent in exponents:
            _require_scaled(plain, trial.run(np.ldexp(tensor, exponent), RANK), exponent, dtype)
            if trial.decomposition.reads_entries:
                implicit = ArrayEntries(np.ldexp(tensor, exponent), len(SHAPE))
                _require_scaled(plain, trial.run(implicit, RANK), exponent, dtype)
        for exponent in EXTREMES[dtype]:
            with np.errstate(over="ignore"):
                # largest entry just below the power of two: 2^127 is representable, twice that is not
                extreme = np.ldexp(tensor / np.abs(tensor).max() * 0.99, exponent).astype(dtype)
            try:
                result = trial.run(extreme, RANK)
            except ValueError as error:
                if dtype not in str(error):
                    raise Violation(f"the refusal at 2^{exponent} does not name {dtype}: {error}") from error
                continue
            if not all(np.all(np.isfinite(to_host(a))) for _, a, _ in arrays_of(result)):
                raise Violation(
                    f"a {dtype} tensor of size 2^{exponent} gives numbers that are not finite, without a refusal"
                )


def _require_scaled(plain: StructuredTensor, scaled: StructuredTensor, exponent: int, dtype: str) -> None:
    where = f"of a {dtype} tensor times 2^{exponent}"
    size = float(np.linalg.norm(to_host(plain.to_dense()).astype(np.float64)))
    found = {name: (to_host(a).astype(np.float64), declared) for name, a, declared in arrays_of(scaled)}
    found["to_dense()"] = to_host(scaled.to_dense()).astype(np.float64), True
    expected = {name: to_host(a).astype(np.float64) for name, a, _ in arrays_of(plain)}
    expected["to_dense()"] = to_host(plain.to_dense()).astype(np.float64)
    if hasattr(plain, "error_certificate"):
        found["error_certificate"] = to_host(scaled.error_certificate).astype(np.float64), True  # type: ignore[attr-defined]
        expected["error_certificate"] = to_host(plain.error_certificate).astype(np.float64)
    for name, desired in expected.items():
        actual, declared = found[name]
        back = np.ldexp(actual, -exponent) if declared else actual
        # fields that scale are compared with the norm of the result, the others with their own size
        unit = size if declared else max(1.0, float(np.abs(desired).max(initial=0.0)))
        if back.shape == desired.shape and np.all(np.abs(back - desired) <= ROUNDING[dtype] * unit):
            continue
        if np.array_equal(back, desired, equal_nan=True):
            continue
        cure = "name it in `degrees`" + (", which scales it back" if declared else " if it scales, or make it relative")
        raise Violation(f"{name} {where} is not that of the tensor{' times the power' if declared else ''}; {cure}")


class _Plain(np.ndarray):
    """A subclass of arrays that adds nothing."""


def layouts(tensor: np.ndarray) -> dict[str, np.ndarray]:
    """Return equal tensors in other memory layouts, by name."""
    wide = np.zeros([2 * n for n in tensor.shape], tensor.dtype)
    wide[tuple(slice(None, None, 2) for _ in tensor.shape)] = tensor
    frozen = tensor.copy()
    frozen.flags.writeable = False
    return {
        "Fortran-ordered": np.asfortranarray(tensor),
        "strided": wide[tuple(slice(None, None, 2) for _ in tensor.shape)],
        "reversed": np.ascontiguousarray(np.flip(tensor))[(slice(None, None, -1),) * tensor.ndim],
        "read-only": frozen,
        "big-endian": tensor.astype(tensor.dtype.newbyteorder(">")),
        "little-endian": tensor.astype(tensor.dtype.newbyteorder("<")),
        "of a subclass": tensor.view(_Plain),
    }


def ignores_layout(trial: TensorTrial) -> None:
    """Order, strides, byte order and writability of the tensor change nothing; a mask is refused."""
    for dtype in ("float32", "float64"):
        tensor = trial.decaying(dtype)
        plain = to_host(trial.run(tensor, RANK).to_dense()).astype(np.float64)
        for layout, same in layouts(tensor).items():
            result = trial.run(same, RANK)
            _require_near(trial, to_host(result.to_dense()), plain, f"a {layout} {dtype} tensor", dtype)
            foreign = [name for name, a, _ in arrays_of(result) if type(a) is not np.ndarray or not a.dtype.isnative]
            if foreign:
                raise Violation(f"{', '.join(foreign)} of the result for a {layout} tensor are no plain arrays")
    masked = np.ma.masked_array(trial.decaying(), mask=np.zeros(SHAPE, bool))
    require_refused(lambda: trial.run(masked, RANK), TypeError, "a masked array", "mask")


def owns_its_result(trial: TensorTrial) -> None:
    """Arrays of a result are writable, and writing to them changes no tensor, no other array and no later result."""
    for rank in (RANK, 10**6):  # at full rank a decomposition may return the tensor itself as core
        tensor = trial.decaying()
        before, result = tensor.copy(), trial.run(tensor, rank)
        copies = {name: np.array(a) for name, a, _ in arrays_of(result)}
        for name, array, _ in arrays_of(result):
            if not array.flags.writeable or np.may_share_memory(array, tensor):
                raise Violation(f"{name} is read-only, or a view of the tensor; return a copy")
            if not np.array_equal(array, copies[name], equal_nan=True):
                raise Violation(f"{name} changed when another array of the result was written to")
            array[...] = 1 - array if array.dtype != np.bool_ else ~array  # changes every entry except 1/2
        if not np.array_equal(tensor, before):
            raise Violation("writing to the result has changed the tensor")
        for name, array, _ in arrays_of(trial.run(tensor, rank)):
            if not np.array_equal(array, copies[name], equal_nan=True):
                raise Violation(f"writing to a result has changed {name} of the next one; keep no array")


def degenerate_tensors() -> dict[str, np.ndarray]:
    """Return tensors with zero, repeated, tied, graded or missing singular values, by name.

    Their ranks are at most 2, but for the graded one, which has full rank.
    """
    one, rng = np.zeros(SHAPE), np.random.default_rng(7)
    one[2, 3, 4] = -5.0
    rows = rng.standard_normal((3, 7))
    repeated = np.einsum("j,k->jk", rows[0], rng.standard_normal(8))[None] * np.ones((6, 1, 1))
    tied = np.zeros(SHAPE)
    tied[0, 0, 0], tied[1, 1, 1] = 1.0, 1.0
    graded = rng.standard_normal(SHAPE) * np.ldexp(1.0, -6 * np.arange(8))  # slices from 1 down to 2^-42
    sizes = ((1, 7, 8), (6, 1, 8), (6, 7, 1), (1, 1, 8), (1, 1, 1))
    return {
        "zero": np.zeros(SHAPE),
        "constant": np.full(SHAPE, 3.0),
        "one entry": one,
        "repeated slices": repeated,
        "tied values": tied,
        "graded": graded,
        **{f"of sizes {s}": rng.standard_normal(s[0])[:, None, None] * np.ones(s) for s in sizes},
        "a stack with zeros": np.stack([np.zeros(SHAPE), repeated, tied, one]),
    }


def survives_degenerate_tensors(trial: TensorTrial) -> None:
    """Degenerate tensors give finite results without a warning, errors of at most their norm, and true certificates."""
    for name, tensor in degenerate_tensors().items():
        for dtype, rounding in (("float32", 1e-5), ("float64", 1e-12)):
            cast = tensor.astype(dtype)
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)  # 0 / 0 of a zero norm warns before it spreads
                result = trial.run(cast, 2)
                dense = to_host(result.to_dense())
            size = float(np.linalg.norm(tensor))
            if (
                not all(np.all(np.isfinite(to_host(a))) for _, a, _ in arrays_of(result))
                or not np.isfinite(dense).all()
            ):
                raise Violation(f"a {dtype} tensor ({name}) gives numbers that are not finite")
            error = error_of(result, cast.astype(np.float64))
            if not error <= (1 + rounding) * size:
                raise Violation(f"the error {error:.3g} of a {dtype} tensor ({name}) is above its norm {size:.3g}")
            exact = name != "graded" and trial.decomposition.recovers_rank
            if exact and not error <= max(rounding, trial.decomposition.recovery) * size:
                raise Violation(f"a {dtype} tensor ({name}) of rank 2 has the error {error:.3g} at rank 2")
            said = getattr(result, "error_certificate", None)
            if said is not None and not error <= float(np.linalg.norm(to_host(said))) + rounding * size:
                raise Violation(f"the certificate of a {dtype} tensor ({name}) is below its error {error:.3g}")


def runs_in_threads(trial: TensorTrial) -> None:
    """One value called by two threads at once gives what it gives to one after the other."""
    tensors = [np.roll(trial.decaying(), shift, axis=1) for shift in range(4)]
    alone = [to_host(trial.run(tensor, RANK).to_dense()) for tensor in tensors]
    # the barrier lets both threads start their first call together
    method, barrier = trial.decomposition.with_rank(RANK, SHAPE), threading.Barrier(2)

    def run(place: int) -> list[np.ndarray]:
        barrier.wait(timeout=60)
        mine = tensors[place::2] * 3
        return [to_host(method(t, rng=np.random.default_rng(trial.seed)).to_dense()) for t in mine]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(run, (0, 1)))
    for place in (0, 1):
        for result, expected in zip(found[place], alone[place::2] * 3, strict=True):
            _require_near(trial, result, expected, "a tensor decomposed while another thread decomposes another")


def runs_after_fork(trial: TensorTrial) -> None:
    """A forked process gives what its parent gives, which has used the value before."""
    if "fork" not in multiprocessing.get_all_start_methods():
        raise NotApplicable("this system does not fork")
    tensor = trial.decaying()
    expected = to_host(trial.run(tensor, RANK).to_dense())
    context: Any = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=lambda: there.send(to_host(trial.run(tensor, RANK).to_dense())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, which is the point
        child.start()
    there.close()  # else the end of the child would not be seen as the end of the file
    try:
        answered = here.poll(FORK_SECONDS)
        result = here.recv() if answered else None
    except EOFError:
        raise Violation(f"a forked process ended without a result, exit code {child.exitcode}") from None
    finally:
        if child.is_alive():
            child.join(1.0)
        if child.is_alive():
            child.kill()
        child.join()
    if result is None:
        raise Violation(f"a forked process has not answered within {FORK_SECONDS:g} s; share no threads or locks")
    _require_near(trial, result, expected, "a tensor decomposed in a forked process")


def _require_near(
    trial: TensorTrial, actual: np.ndarray, expected: np.ndarray, what: str, dtype: str = "float64"
) -> None:
    gap = float(np.linalg.norm(actual.astype(np.float64) - expected)) / float(np.linalg.norm(expected))
    if not gap <= max(trial.allowance, 1e-4 if dtype == "float32" else 0.0):
        raise Violation(f"the result for {what} differs by {gap:.2g}")


ROBUSTNESS: dict[str, Callable[[TensorTrial], None]] = {
    "scale": scales,
    "layout": ignores_layout,
    "ownership": owns_its_result,
    "degenerate": survives_degenerate_tensors,
    "threads": runs_in_threads,
    "fork": runs_after_fork,
}
