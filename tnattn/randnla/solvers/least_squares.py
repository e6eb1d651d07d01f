"""Overdetermined least squares problems, their solutions, and the base class of randomized solvers."""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import Any, final

from tnattn.arrays import Array, Rng, array_namespace, broadcast_shape, dtype_name, is_array
from tnattn.randnla.units import Unit, columns_in_units, in_units
from tnattn.scalars import Parameters
from tnattn.structured.conversion import as_structured, checked_array
from tnattn.structured.sparse import Sparse


@dataclass(frozen=True, eq=False)
class LeastSquaresProblem:
    """Minimise ``||A x - b||`` over x; the solution of least norm if A is rank-deficient.

    Parameters
    ----------
    a : as for a MatrixMethod, (..., m, n); held as a StructuredMatrix
    b : Array, (..., m, k) for k right-hand sides of each matrix, or (m,) for one of a single matrix
        Finite, of the dtype and library of ``a``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import LeastSquaresProblem
    >>> problem = LeastSquaresProblem(np.ones((4, 1)), np.array([1.0, 2.0, 3.0, 6.0]))
    >>> print(problem.shape, problem.sides.shape)
    (4, 1) (4, 1)
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
        """True for a single right-hand side given as a vector."""
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
    """Solutions of a stack of least squares problems, with residual norms and convergence.

    Parameters
    ----------
    x : Array, (..., n, k), or (n,) for a vector of right-hand sides
    residual_norm : Array, (..., k), or () for a vector
        ``||A x - b||`` of each side, computed from ``x``.
    iterations : Array, of the same shape, integer
        Iterations for each right-hand side; 0 for a direct method.
    converged : Array, of the same shape, bool
        True where the stopping criterion of the method is met; always True for a direct method.
    sample : Sparse or None
        The sampled rows and their weights, for methods that sample rows.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SketchPreconditioned
    >>> b = np.array([1.0, 2.0, 3.0, 6.0])
    >>> solution = SketchPreconditioned()(np.ones((4, 1)), b, rng=np.random.default_rng(0))
    >>> print(np.round(solution.x, 2), round(float(solution.residual_norm), 2), solution.converged)
    [3.] 3.74 True
    """

    x: Array
    residual_norm: Array
    iterations: Array
    converged: Array
    sample: Sparse | None = None


class LeastSquaresMethod(Parameters, abc.ABC):
    """Base of the solvers of least squares problems. A subclass is a frozen dataclass; ``cls()`` must work."""

    @final
    def __call__(self, a: Any, b: Array | None = None, *, rng: Rng | None = None) -> LeastSquaresSolution:
        """Solve a problem or each problem of a stack.

        Parameters
        ----------
        a, b : as for :class:`LeastSquaresProblem`; or such a problem, and no ``b``
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
    # A / u x = b / v has the solution x u / v: exponents of the right-hand sides minus those of the matrix
    x, norm = solution.x, solution.residual_norm
    exponent = array_namespace(x).zeros_like(norm)
    if unit_of_sides is not None:
        norm = unit_of_sides.restored(norm, name="residual_norm")
        exponent = exponent + unit_of_sides.exponent
    if unit is not None:
        exponent = exponent - unit.exponent[..., None]
    return replace(solution, x=Unit(exponent[..., None, :]).restored(x, name="x"), residual_norm=norm)
