"""Laws of matrix methods on unusual input: scales, layouts, sparse formats, degenerate matrices, threads and forks."""

from __future__ import annotations

import multiprocessing
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import aslinearoperator

from tnattn.arrays import is_array, to_host
from tnattn.structured.low_rank import LowRank
from tnattn.testing.matrix_trial import MatrixTrial, arrays_of, relative_error
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.tensor_robustness import FORK_SECONDS, layouts

# exponents whose squares are harmless, beyond that, and such that norms or fields of another degree leave the range
EXPONENTS = {"float32": (-40, -9, 9, 40), "float64": (-400, -35, 35, 400)}
EXTREMES = {"float32": (-120, -90, 90, 127), "float64": (-1000, -700, 700, 1023)}
ROUNDING = {"float32": 1e-4, "float64": 1e-11}


def scales(trial: MatrixTrial) -> None:
    """A matrix times a power of two gives the result times that power; ratios stay; or a refusal by name."""
    for dtype in EXPONENTS:
        a = trial.matrix(dtype=dtype)
        identity = np.eye(a.shape[-1], dtype=dtype)
        kinds: dict[str, Callable[[np.ndarray], Any]] = {
            "array": lambda x: x,
            "stack": lambda x: np.stack([x, x / 8]),
            "sparse": scipy.sparse.csr_array,
            "factored": partial(LowRank, right=identity),
            "operator": aslinearoperator,
        }
        for kind, make in kinds.items():
            # traces and diagonals, to which tolerances are relative, are not known of all of them
            rtol = 0.3 if kind in ("array", "stack", "sparse") else None
            plain = trial.run(make(a), rtol=rtol)
            for exponent in (*EXPONENTS[dtype], *EXTREMES[dtype]):
                with np.errstate(over="ignore"):
                    given = np.ldexp(a, exponent)  # exact, so that the results must agree to rounding
                if not np.isfinite(given).all():
                    continue
                try:
                    with warnings.catch_warnings():
                        # products with an operator may overflow; that is detected in the result
                        warnings.simplefilter("ignore" if kind == "operator" else "error", RuntimeWarning)
                        result = trial.run(make(given), rtol=rtol)
                except ValueError as error:
                    if "range" not in str(error):
                        raise Violation(f"the refusal of 2^{exponent} ({kind}) names no range: {error}") from error
                    if exponent in EXPONENTS[dtype] and kind != "operator":
                        raise Violation(f"2^{exponent} times a {dtype} matrix ({kind}) is refused: {error}") from error
                    continue
                _require_scaled(plain, result, exponent, dtype, kind)


def _require_scaled(plain: Any, scaled: Any, exponent: int, dtype: str, kind: str) -> None:
    where = f"of a {dtype} matrix ({kind}) times 2^{exponent}"
    expected = to_host(plain.to_dense()).astype(np.float64)
    with np.errstate(over="ignore"):
        actual = to_host(scaled.to_dense()).astype(np.float64)
    back = np.ldexp(actual, -exponent)  # in float64: float32 results do not leave the range
    if back.shape != expected.shape or not np.abs(back - expected).max() <= ROUNDING[dtype] * np.abs(expected).max():
        raise Violation(f"the result {where} is not that of the matrix times the power")
    for name in ("residual", "ranks", "converged"):
        one, two = getattr(plain, name, None), getattr(scaled, name, None)
        if is_array(one) and not np.allclose(to_host(one), to_host(two), rtol=1e-2, atol=1e-6, equal_nan=True):
            raise Violation(f"{name} {where} is {to_host(two)}, not {to_host(one)}")


def ignores_layout(trial: MatrixTrial) -> None:
    """Order, strides, byte order and writability of the matrix change nothing."""
    for dtype in ("float32", "float64"):
        a = trial.matrix(2, dtype=dtype)
        plain = trial.dense(a)
        for layout, same in layouts(a).items():
            result = trial.run(same)
            gap = relative_error(to_host(result.to_dense()).astype(np.float64), plain)
            if not gap <= 10 * ROUNDING[dtype]:
                raise Violation(f"the result for a {layout} {dtype} matrix differs by {gap:.2g}")
            # native NumPy arrays: a result that keeps the layout of the input would keep its byte order
            foreign = [name for name, x in arrays_of(result) if type(x) is not np.ndarray or not x.dtype.isnative]
            if foreign:
                raise Violation(f"{', '.join(foreign)} of the result for a {layout} matrix are no plain arrays")


def sparse_forms(a: np.ndarray) -> Iterator[tuple[str, Any]]:
    """Yield a matrix in every format of SciPy, entries stored as two halves in reverse order where it allows that."""
    m, n = a.shape
    halves: dict[str, Any] = {}  # every entry twice, as a/2 + a/2, with column indices in reverse order
    for name, b in (("csr", a), ("csc", a.T)):
        columns = np.tile(np.repeat(np.arange(b.shape[1])[::-1], 2), b.shape[0])
        starts = np.arange(0, 2 * b.size + 1, 2 * b.shape[1])
        halves[name] = (np.repeat(b[:, ::-1] / 2, 2, axis=1).ravel(), columns, starts)
    i, j = (np.tile(x.ravel()[::-1], 2) for x in np.indices(a.shape))
    halves["coo"] = (np.tile(a.ravel()[::-1] / 2, 2), (i, j))
    blocks = np.repeat(a.reshape(m // 2, 2, n // 2, 2).transpose(0, 2, 1, 3)[:, ::-1] / 2, 2, axis=1)
    columns = np.tile(np.repeat(np.arange(n // 2)[::-1], 2), m // 2)
    halves["bsr"] = (blocks.reshape(-1, 2, 2), columns, np.arange(0, blocks.shape[0] * n + 1, n))
    for kind in ("array", "matrix"):
        for name, parts in halves.items():
            yield f"{name}_{kind}", getattr(scipy.sparse, f"{name}_{kind}")(parts, shape=a.shape)
        for name in ("dia", "lil", "dok"):
            yield f"{name}_{kind}", getattr(scipy.sparse, f"{name}_{kind}")(a)


def sums_duplicates(trial: MatrixTrial) -> None:
    """A sparse matrix of any format, duplicates and order of its entries included, is the matrix that it stands for."""
    a = trial.matrix()
    plain = trial.run(scipy.sparse.csr_array(a), rtol=0.3)
    expected = to_host(plain.to_dense())
    for name, given in sparse_forms(a):
        frozen = [getattr(given, part) for part in ("data", "indices", "indptr") if hasattr(given, part)]
        frozen = [x for x in frozen if isinstance(x, np.ndarray) and x.dtype != object]
        before = [x.copy() for x in frozen]
        for x in frozen:  # an in-place sum of duplicates fails here
            x.flags.writeable = False
        result = trial.run(given, rtol=0.3)
        gap = relative_error(to_host(result.to_dense()), expected)
        if not gap <= 1e-9:
            raise Violation(f"the result for a {name} differs by {gap:.2g}; sum duplicates first")
        for field in ("residual", "ranks"):
            one, two = getattr(plain, field, None), getattr(result, field, None)
            if is_array(one) and not np.allclose(to_host(one), to_host(two), rtol=1e-6, atol=1e-7, equal_nan=True):
                raise Violation(f"{field} for a {name} is {to_host(two)}, not {to_host(one)}")
        if any(not np.array_equal(x, y, equal_nan=True) for x, y in zip(frozen, before, strict=True)):
            raise Violation(f"the arrays of a {name} have changed")


def owns_its_result(trial: MatrixTrial) -> None:
    """Arrays of a result are writable; writing to them changes no matrix, no other array and no later result."""
    a = trial.matrix(2)
    before, result = a.copy(), trial.run(a)
    dense = result.to_dense()
    parts = [*arrays_of(result), ("to_dense()", dense)]
    copies = {name: np.array(x) for name, x in parts}
    for name, array in parts:
        if not array.flags.writeable or np.may_share_memory(array, a):
            raise Violation(f"{name} is read-only, or a view of the matrix; return a copy")
        if not np.array_equal(array, copies[name], equal_nan=True):
            raise Violation(f"{name} changed when another array of the result was written to")
        array[...] = 1 - array if array.dtype != np.bool_ else ~array  # changes every entry except 1/2
    if not np.array_equal(a, before):
        raise Violation("writing to the result has changed the matrix")
    again = trial.run(a)
    for name, array in [*arrays_of(again), ("to_dense()", again.to_dense())]:
        if not np.array_equal(array, copies[name], equal_nan=True):
            raise Violation(f"writing to a result has changed {name} of the next one; keep no array")


def degenerate_matrices(trial: MatrixTrial) -> dict[str, np.ndarray]:
    """Return matrices of the domain that are zero, of low rank, with repeated, zero, tied or graded columns."""
    (m, n), rng = trial.shape, np.random.default_rng(7)
    square = trial.method.domain != "any"
    one, few = np.zeros((m, n)), rng.standard_normal((m, 2))
    one[3, 3] = 5.0
    repeated = few @ few.T if square else few[:, [0, 1] * (n // 2)]
    zeros = trial.matrix(key=2)
    zeros[:, 1::3] = 0
    zeros[1::3, :] = 0
    graded = np.ldexp(1.0, -6 * np.arange(n))  # columns from 1 down to 2^-138, where squares vanish in float32
    return {
        "zero": np.zeros((m, n)),
        "one entry": one,
        "repeated columns": repeated,
        "zero columns": zeros,
        "tied": np.eye(m, n),
        "constant": np.ones((m, n)),
        "graded": (trial.matrix(decay=0.9, key=3) * graded) * (graded[:, None] if square else 1.0),
        "a stack with zeros": np.stack([np.zeros((m, n)), repeated, one, np.ones((m, n))]),
    }


def survives_degenerate_matrices(trial: MatrixTrial) -> None:
    """Degenerate matrices give finite results without a warning, and those of rank two are recovered; or a refusal."""
    exact = {"zero", "one entry", "repeated columns", "constant"}  # of rank two at most
    for name, matrix in degenerate_matrices(trial).items():
        for dtype, rounding in (("float32", 1e-4), ("float64", 1e-6)):
            a = matrix.astype(dtype)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", RuntimeWarning)
                    result = trial.run(a)
                    dense = to_host(result.to_dense()).astype(np.float64)
            except ValueError as error:
                if trial.method.needs_full_rank and "rank" in str(error):  # declared, and the reason is named
                    continue
                raise Violation(f"a {dtype} matrix ({name}) is refused: {error}") from error
            numbers = [(label, to_host(x)) for label, x in arrays_of(result)]
            bad = [label for label, x in numbers if x.dtype.kind == "f" and not np.isfinite(x).all()]
            if bad or not np.isfinite(dense).all():
                raise Violation(f"a {dtype} matrix ({name}) gives numbers that are not finite in {bad or 'to_dense()'}")
            error_norm, size = float(np.linalg.norm(dense - a)), float(np.linalg.norm(matrix))
            if name in exact and trial.method.recovers_rank and not error_norm <= rounding * size:
                raise Violation(f"a {dtype} matrix ({name}) of rank at most 2 has error {error_norm:.3g} at rank 5")


def runs_in_threads(trial: MatrixTrial) -> None:
    """One value called by two threads at once gives what it gives to one after the other."""
    matrices = [trial.matrix(2, key=key) for key in range(4)]
    alone = [trial.dense(a) for a in matrices]
    method, barrier = trial.at_rank(5), threading.Barrier(2)  # both threads start their first call together

    def run(place: int) -> list[np.ndarray]:
        barrier.wait(timeout=60)
        mine = matrices[place::2] * 3
        return [to_host(method(a, rng=np.random.default_rng(trial.seed)).to_dense()) for a in mine]

    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:
        warnings.simplefilter("ignore")
        found = list(pool.map(run, (0, 1)))
    for place in (0, 1):
        for result, expected in zip(found[place], alone[place::2] * 3, strict=True):
            if not relative_error(result, expected) <= 1e-9:
                raise Violation("the result differs while another thread runs the same method; share no state")


def runs_after_fork(trial: MatrixTrial) -> None:
    """A forked process gives what its parent gives, which has used the method before."""
    if "fork" not in multiprocessing.get_all_start_methods():
        raise NotApplicable("this system does not fork")
    a = trial.matrix(2)
    expected = trial.dense(a)  # the parent has used threads and caches before it forks
    context: Any = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=lambda: there.send(trial.dense(a)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, which is the point
        child.start()
    there.close()  # else the end of the child would not be seen as the end of the file
    try:
        result = here.recv() if here.poll(FORK_SECONDS) else None
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
    if not relative_error(result, expected) <= 1e-9:
        raise Violation("the result in a forked process differs; start from nothing in the child")


ROBUSTNESS: dict[str, Callable[[MatrixTrial], None]] = {
    "scale": scales,
    "layout": ignores_layout,
    "sparse": sums_duplicates,
    "ownership": owns_its_result,
    "degenerate": survives_degenerate_matrices,
    "threads": runs_in_threads,
    "fork": runs_after_fork,
}
