"""Least squares problems and matrix products by sketching and sampling.

Take ``SketchPreconditioned`` first: it is as accurate as a direct method, at the cost of a sketch, O(size n^2) and two
products with the matrix per step, each of which about halves the error.

``LeastSquaresMethod``, ``LeastSquaresProblem``, ``LeastSquaresSolution``
    Base class, problem and result.
``SketchPreconditioned``
    Conjugate gradients preconditioned by a sketch (Meng, Saunders & Mahoney 2014).
``SketchAndSolve``
    The sketched problem alone: residuals within a small factor (Sarlos 2006).
``SampleAndSolve``
    Rows sampled by leverage scores (Drineas, Mahoney, Muthukrishnan & Sarlos 2011).
``SampledProduct``, ``SampledProductResult``
    Unbiased sum of a few outer products of columns and rows (Drineas, Kannan & Mahoney 2006, Algorithm 1).
``SketchedProduct``, ``SketchedProductResult``
    ``(A Omega) (Omega^T B)``.
"""

from tnattn.randnla.solvers.least_squares import LeastSquaresMethod, LeastSquaresProblem, LeastSquaresSolution
from tnattn.randnla.solvers.matrix_product import (
    SampledProduct,
    SampledProductResult,
    SketchedProduct,
    SketchedProductResult,
)
from tnattn.randnla.solvers.sketch_and_solve import SampleAndSolve, SketchAndSolve
from tnattn.randnla.solvers.sketch_preconditioned import SketchPreconditioned

__all__ = [
    "LeastSquaresMethod",
    "LeastSquaresProblem",
    "LeastSquaresSolution",
    "SampleAndSolve",
    "SampledProduct",
    "SampledProductResult",
    "SketchAndSolve",
    "SketchPreconditioned",
    "SketchedProduct",
    "SketchedProductResult",
]
