"""Conformance check of structured matrices against their dense forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tnattn.arrays import Array, array_namespace, device, dtype_name, eps, from_host, to_host
from tnattn.structured.base import StructuredMatrix
from tnattn.testing.read_laws import reads
from tnattn.testing.report import Finding, NotApplicable, Report, Violation
from tnattn.testing.structure_laws import LAWS

_ROUNDING = 64.0  # sums in another order; in units of the longest side times eps


def check_structured(matrix: StructuredMatrix, *, seed: int = 0, storage: int | None = None) -> Report:
    """Check a structured matrix against its dense form.

    Parameters
    ----------
    matrix : StructuredMatrix
        Small: the check forms it.
    seed : int
        Of the vectors that it is multiplied with.
    storage : int, optional
        Expected number of stored scalars, counted by hand.

    Raises
    ------
    ConformanceError
        If a product, an adjoint, an entry, a shape, a dtype or a count is wrong; if a result shares memory with the
        matrix, or depends on scale, layout or kind of a factor; see :mod:`tnattn.testing.structure_laws`.
    """
    laws: dict[str, Callable[[StructuredMatrix, np.random.Generator], None]] = {
        "dense": _dense_fits,
        "product": _products_agree,
        "adjoint": _adjoint_agrees,
        "transpose": _transpose_agrees,
        "refusal": _wrong_lengths_are_refused,
        "entries": _entries_agree,
        "reads": _reads_agree,
        "operator": _operator_agrees,
        "flops": _flops_are_counted,
        "storage": lambda m, _: _storage_is_counted(m, storage),
        **LAWS,
    }
    findings = [_find(name, law, matrix, seed) for name, law in laws.items()]
    return Report(repr(matrix), tuple(findings)).require_conformance()


def _find(
    name: str, law: Callable[[StructuredMatrix, np.random.Generator], None], matrix: StructuredMatrix, seed: int
) -> Finding:
    try:
        law(matrix, np.random.default_rng(seed))
    except NotApplicable as reason:
        return Finding(name, repr(matrix), "not applicable", str(reason))
    except Violation as violation:
        return Finding(name, repr(matrix), "violated", str(violation))
    except Exception as error:  # a matrix that raises anything else has failed the law
        return Finding(name, repr(matrix), "violated", f"it raised {type(error).__name__}: {error}")
    return Finding(name, repr(matrix), "holds")


def _draw(matrix: StructuredMatrix, rng: np.random.Generator, *shape: int) -> Array:
    return from_host(rng.standard_normal(shape), like=matrix.like, dtype=matrix.dtype)


def _dense(matrix: StructuredMatrix) -> np.ndarray:
    return to_host(matrix.to_dense()).astype(np.float64)


def _require_close(matrix: StructuredMatrix, found: Array, expected: np.ndarray, scale: np.ndarray, said: str) -> None:
    """Raise Violation unless ``found`` has the kind of the matrix and agrees to rounding relative to ``scale``."""
    if dtype_name(found.dtype) != dtype_name(matrix.dtype):
        raise Violation(f"{said} has dtype {found.dtype} instead of {matrix.dtype}")
    # library and device too: a product on the host would be right in value
    if array_namespace(found) is not array_namespace(matrix.like) or device(found) != device(matrix.like):
        raise Violation(f"{said} is not in the library and on the device of the matrix")
    if tuple(found.shape) != expected.shape:
        raise Violation(f"{said} has shape {tuple(found.shape)} instead of {expected.shape}")
    gap = float(np.max(np.abs(to_host(found).astype(np.float64) - expected), initial=0.0))
    allowed = _ROUNDING * max(matrix.shape[-2:]) * eps(matrix.like) * float(np.max(scale, initial=0.0))
    if not gap <= allowed:
        raise Violation(f"{said} differs from that of the dense form by {gap:.2g}; rounding allows {allowed:.2g}")


def _dense_fits(matrix: StructuredMatrix, _: np.random.Generator) -> None:
    dense = matrix.to_dense()
    _require_close(matrix, dense, _dense(matrix), np.ones(1), "the dense form")
    if tuple(dense.shape) != tuple(matrix.shape):
        raise Violation(f"the dense form has shape {tuple(dense.shape)}, but the matrix says {matrix.shape}")


def _products_agree(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    dense, n = _dense(matrix), matrix.shape[-1]
    for said, shape in {
        "a product with three columns": (n, 3),
        "a product with one column": (n, 1),
        "a product with no column": (n, 0),
        "a product with a stack": (*matrix.batch, n, 2),
        "a product with a stack of stacks": (2, *matrix.batch, n, 2),
        "a product with a vector": (n,),
    }.items():
        x = _draw(matrix, rng, *shape)
        host = to_host(x).astype(np.float64)
        magnitude = np.abs(dense) @ np.abs(host)  # bounds the rounding errors entry by entry
        _require_close(matrix, matrix @ x, dense @ host, magnitude, said)


def _adjoint_agrees(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    """<A x, y> = <x, A' y> for every matrix of the stack; no dense form takes part."""
    m, n = matrix.shape[-2:]
    x, y = _draw(matrix, rng, n, 2), _draw(matrix, rng, m, 2)
    ax, ay = (to_host(product).astype(np.float64) for product in (matrix @ x, matrix.mT @ y))
    left, right = ax * to_host(y), ay * to_host(x)  # terms of the two inner products
    gap = np.abs(left.sum(axis=(-2, -1)) - right.sum(axis=(-2, -1)))
    scale = np.abs(left).sum(axis=(-2, -1)) + np.abs(right).sum(axis=(-2, -1))
    if not np.all(gap <= _ROUNDING * max(m, n) * eps(matrix.like) * scale):
        raise Violation(f"<A x, y> and <x, A' y> differ by {float(gap.max()):.2g}; the transpose is another matrix")


def _transpose_agrees(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    dense = _dense(matrix).mT
    if tuple(matrix.mT.shape) != dense.shape:
        raise Violation(f"the transpose has shape {matrix.mT.shape} instead of {dense.shape}")
    for shape in ((matrix.shape[-2], 3), (*matrix.batch, matrix.shape[-2], 2)):
        y = _draw(matrix, rng, *shape)
        host = to_host(y).astype(np.float64)
        said = "a product with the transpose"
        _require_close(matrix, matrix.mT @ y, dense @ host, np.abs(dense) @ np.abs(host), said)
    _require_close(matrix, matrix.mT.to_dense(), dense, np.abs(dense), "the dense form of the transpose")
    if tuple(matrix.mT.mT.shape) != tuple(matrix.shape):
        raise Violation("the transpose of the transpose has another shape")


def _wrong_lengths_are_refused(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    for side, length in ((matrix, matrix.shape[-1]), (matrix.mT, matrix.shape[-2])):
        for shape in ((length + 1, 2), (length + 1,)):
            try:
                _ = side @ _draw(matrix, rng, *shape)
            except ValueError:
                continue
            raise Violation(f"it multiplies an array of shape {shape}, though the length must be {length}")
    try:  # a number would be broadcast without a refusal
        _ = matrix @ 2.0
    except TypeError:
        return
    raise Violation("it multiplies a number; only arrays are right factors")


def _entries_agree(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    dense, (m, n) = _dense(matrix), matrix.shape[-2:]
    rows, columns = rng.integers(m, size=3), rng.integers(n, size=2)
    found = matrix.entries(from_host(rows, like=matrix.like), from_host(columns, like=matrix.like))
    expected = dense[..., rows[:, None], columns[None, :]]
    _require_close(matrix, found, expected, np.abs(dense), "a submatrix by entries")


def _reads_agree(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    for said, found, expected, size in reads(matrix, rng):
        _require_close(matrix, found, expected, size, said)


def _operator_agrees(matrix: StructuredMatrix, rng: np.random.Generator) -> None:
    if matrix.count != 1:  # SciPy's operators are single matrices
        try:
            matrix.as_linear_operator()
        except ValueError:
            return
        raise Violation("a stack of matrices calls itself one linear operator")
    operator, dense = matrix.as_linear_operator(), _dense(matrix).reshape(matrix.shape[-2:])
    x, y = rng.standard_normal(dense.shape[1]), rng.standard_normal(dense.shape[0])
    # 10: normal vectors have no entry above that
    allowed = _ROUNDING * max(dense.shape) * eps(matrix.like) * float(np.abs(dense).sum()) * 10
    gap = max(np.abs(operator @ x - dense @ x).max(), np.abs(operator.rmatvec(y) - dense.T @ y).max())
    if not gap <= allowed:
        raise Violation(f"the linear operator differs from the dense form by {gap:.2g}")


def _flops_are_counted(matrix: StructuredMatrix, _: np.random.Generator) -> None:
    counts = [matrix.matmul_flops(columns) for columns in (1, 2, 3)]
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        raise Violation(f"the operations {counts} are not counted by non-negative integers")
    if sorted(counts) != counts:  # not linear: the best order of a product of many factors depends on the columns
        raise Violation(f"1, 2 and 3 columns are said to need {counts} operations, which decreases")


def _storage_is_counted(matrix: StructuredMatrix, expected: int | None) -> None:
    if not isinstance(matrix.storage, int) or matrix.storage < 0:
        raise Violation(f"the storage {matrix.storage!r} is no non-negative integer")
    if matrix.mT.storage != matrix.storage:
        raise Violation(f"the transpose stores {matrix.mT.storage} scalars, the matrix {matrix.storage}")
    if expected is not None and matrix.storage != expected:
        raise Violation(f"it says that it stores {matrix.storage} scalars; by hand they are {expected}")
