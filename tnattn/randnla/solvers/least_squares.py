"""Least squares problems with many more rows than columns, solved through a sketch of the rows."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field, replace
from typing import Any, final

from tnattn.arrays import Array, Rng, array_namespace, broadcast_shape, device, dtype_name, eps, is_array
from tnattn.linalg import small_svd
from tnattn.randnla.scores.leverage import LeverageSampling
from tnattn.randnla.sketches import Sketch, SparseSign, require_sketch
from tnattn.randnla.units import Unit, columns_in_units, in_units
from tnattn.scalars import Parameters, require_count
from tnattn.structured.conversion import as_structured, checked_array
from tnattn.structured.sparse import Sparse

__all__ = ["LeastSquaresMethod", "LeastSquaresProblem", "LeastSquaresSolution", "SampleAndSolve", "SketchAndSolve"]


@dataclass(frozen=True, eq=False)
class LeastSquaresProblem:
    """Find x with the least ``||A x - b||``, and of those the shortest.

    Parameters
    ----------
    a : as for a MatrixMethod, (..., m, n); held as a StructuredMatrix
    b : Array, (..., m, k) for k right-hand sides of each matrix, or (m,) for one of a single matrix
        Finite, of the dtype and library of ``a``.
    """

    a: Any
    b: Array

    def __post_init__(self) -> None:
        a, b = as_structured(self.a), self.b
        object.__setattr__(self, "a", a)
        if not is_array(b):
            raise TypeError(f"b is a {type(b).__name__}; an array of right-hand sides is needed")
        array_namespace(a.like, b)  # of one library
        if b.ndim == 0 or self.sides.shape[-2] != a.shape[-2]:
            raise ValueError(
                f"b has shape {tuple(b.shape)} for the {a.shape} matrix; (..., {a.shape[-2]}, k), or "
                f"({a.shape[-2]},) for one side, is needed"
            )
        if b.dtype != a.dtype:
            raise TypeError(f"b has dtype {dtype_name(b.dtype)} and a {dtype_name(a.dtype)}; convert one of them")
        object.__setattr__(self, "b", checked_array(b, "b"))

    @property
    def vector(self) -> bool:
        """Whether there is one right-hand side, given as a vector."""
        return bool(self.b.ndim == 1)

    @property
    def sides(self) -> Array:
        """The right-hand sides as columns, (..., m, k)."""
        return self.b[:, None] if self.vector else self.b

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the matrices, with the axes of the stack."""
        return (*broadcast_shape(self.a.batch, self.sides.shape[:-2]), *self.a.shape[-2:])

    @property
    def like(self) -> Array:
        """An array of the library, device and dtype."""
        return self.a.like


@dataclass(frozen=True, eq=False)
class LeastSquaresSolution:
    """Solutions of a stack of least squares problems, and how far the iterations came.

    Parameters
    ----------
    x : Array, (..., n, k), or (n,) for a vector of right-hand sides
    residual_norm : Array, (..., k), or () for a vector
        ``||A x - b||`` of each side, computed from ``x``.
    iterations : Array, of the same shape, integer
        Steps made for each side; 0 for a method without steps.
    converged : Array, of the same shape, bool
        Whether the goal of the method was reached; a method without steps has none and always says True.
    sample : Sparse or None
        The rows drawn and their weights, where rows were drawn.
    """

    x: Array
    residual_norm: Array
    iterations: Array
    converged: Array
    sample: Sparse | None = None


class LeastSquaresMethod(Parameters, abc.ABC):
    """A way to solve least squares problems. A subclass is a frozen dataclass; ``cls()`` must work."""

    @final
    def __call__(self, a: Any, b: Array | None = None, *, rng: Rng | None = None) -> LeastSquaresSolution:
        """Solve a problem or each problem of a stack.

        Parameters
        ----------
        a, b : as for :class:`LeastSquaresProblem`; or such a problem, and ``b`` is left out
        rng : numpy.random.Generator or DeviceDraws
            All problems of a stack share the sketch.

        Raises
        ------
        TypeError
            If an argument is of another kind or dtype.
        ValueError
            If shapes do not fit, there is an entry that is not finite, the sketch has fewer rows than A columns, or the
            solution leaves the range of the dtype.
        """
        if b is None and not isinstance(a, LeastSquaresProblem):
            raise TypeError("b is missing; pass a matrix and right-hand sides, or one LeastSquaresProblem")
        problem = a if isinstance(a, LeastSquaresProblem) else LeastSquaresProblem(a, b)
        solution = _solved_in_units(self, problem, rng)
        if not problem.vector:
            return solution
        return LeastSquaresSolution(
            solution.x[..., 0],
            solution.residual_norm[..., 0],
            solution.iterations[..., 0],
            solution.converged[..., 0],
            solution.sample,
        )

    @abc.abstractmethod
    def solve(self, problem: LeastSquaresProblem, *, rng: Rng | None) -> LeastSquaresSolution:
        """Solve a problem whose kind, shape and dtype have been checked; see ``__call__``."""


def _solved_in_units(method: LeastSquaresMethod, problem: LeastSquaresProblem, rng: Rng | None) -> LeastSquaresSolution:
    """Solve a problem whose matrix and right-hand sides have entries of about one, and scale the solution back."""
    matrix, unit = in_units(problem.a)
    sides, unit_of_sides = columns_in_units(problem.sides)
    solution = method.solve(LeastSquaresProblem(matrix, sides), rng=rng)
    if unit is None and unit_of_sides is None:
        return solution
    x, norm = solution.x, solution.residual_norm
    exponent = array_namespace(x).zeros_like(norm)
    if unit_of_sides is not None:
        norm = unit_of_sides.restored(norm, name="residual_norm")
        exponent = exponent + unit_of_sides.exponent
    if unit is not None:
        exponent = exponent - unit.exponent[..., None]
    return replace(solution, x=Unit(exponent[..., None, :]).restored(x, name="x"), residual_norm=norm)


@dataclass(frozen=True)
class SketchAndSolve(LeastSquaresMethod):
    """Solves the problem of the sketched rows, ``min ||S A x - S b||``.

    Parameters
    ----------
    size : int, optional
        Rows of the sketch, at least n; 4 n if None.
    sketch : Sketch
        Distribution of the transpose of S.

    Notes
    -----
    The price of the sketch and O(size n^2). A Gaussian sketch has a mean squared residual ``1 + n / (size - n - 1)``
    times the least one, the others about that: for a better solution see ``sketch_preconditioned``. Sarlos 2006.
    """

    size: int | None = None
    sketch: Sketch = field(default_factory=SparseSign)

    def __post_init__(self) -> None:
        require_sketched_rows(self.size, self.sketch)

    def solve(self, problem: LeastSquaresProblem, *, rng: Rng | None) -> LeastSquaresSolution:
        whitening, _, y = sketched_problem(problem, self.size, self.sketch, rng)
        return _direct(problem, whitening @ y, None)


@dataclass(frozen=True)
class SampleAndSolve(LeastSquaresMethod):
    """Solves the problem of rows drawn with replacement by their leverage scores.

    Parameters
    ----------
    samples : int, optional
        Number of draws, at least n; 16 n if None.

    Notes
    -----
    O(m n^2) for exact scores: for problems with too many right-hand sides, or rows too dear to measure, rather than for
    speed. Drineas, Mahoney, Muthukrishnan & Sarlos 2011.
    """

    samples: int | None = None

    def __post_init__(self) -> None:
        if self.samples is not None:
            require_count(self.samples, "samples", least=1)

    def solve(self, problem: LeastSquaresProblem, *, rng: Rng | None) -> LeastSquaresSolution:
        n = problem.a.shape[-1]
        samples = 16 * n if self.samples is None else self.samples
        _require_rows(samples, n, "samples")
        dense = problem.a.to_dense()
        sample = LeverageSampling(samples)(dense, rng=rng)
        whitening, _, u = _whitening(sample @ dense)
        return _direct(problem, whitening @ (u.mT @ (sample @ problem.sides)), sample)


def sketched_problem(
    problem: LeastSquaresProblem, size: int | None, sketch: Sketch, rng: Rng | None
) -> tuple[Array, Array, Array]:
    """Return N (..., n, n), the singular values of S A (..., n), and the solution y of ``min ||S A N y - S b||``."""
    a = problem.a
    m, n = a.shape[-2:]
    size = 4 * n if size is None else size
    _require_rows(size, n, "size")
    omega = sketch.draw(m, size, rng=rng, like=a.like)
    whitening, s, u = _whitening(a.sketch_rows(omega))
    return whitening, s, u.mT @ (omega.mT @ problem.sides)


def _whitening(rows: Array) -> tuple[Array, Array, Array]:
    """Return N = V / s, s and U of sketched rows ``U s V^T`` (..., l, n), l >= n: ``rows @ N`` is U.

    What lies below ``l eps`` times the largest singular value becomes zero, with its columns.
    """
    xp = array_namespace(rows)
    u, s, vt = small_svd(rows)
    kept = (s > rows.shape[-2] * eps(s) * s[..., :1]) & (s > 0)
    zero = xp.zeros_like(s)
    inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), zero)
    return vt.mT * inverse[..., None, :], xp.where(kept, s, zero), xp.where(kept[..., None, :], u, xp.zeros_like(u))


def _direct(problem: LeastSquaresProblem, x: Array, sample: Sparse | None) -> LeastSquaresSolution:
    xp = array_namespace(x)
    norm = xp.linalg.vector_norm(problem.sides - problem.a @ x, axis=-2)
    steps = xp.zeros(norm.shape, dtype=xp.int64, device=device(norm))
    return LeastSquaresSolution(x, norm, steps, steps == 0, sample)


def require_sketched_rows(size: int | None, sketch: Any) -> None:
    """Raise unless a number of sketched rows is positive, where it is given, and a sketch is one."""
    if size is not None:
        require_count(size, "size", least=1)
    require_sketch(sketch)


def _require_rows(rows: int, columns: int, name: str) -> None:
    if rows < columns:
        raise ValueError(
            f"{name} {rows} is less than the {columns} columns of a, and the sketched problem underdetermined; "
            f"raise {name}"
        )
