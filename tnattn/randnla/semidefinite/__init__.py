"""Approximations of positive semidefinite matrices such as kernels, with errors in the nuclear norm (a trace).

Take ``RandomlyPivotedCholesky`` first where entries are cheap: O(n r^2) and r columns. ``Nystrom`` is more accurate
where a product with the full matrix is affordable.

``RandomlyPivotedCholesky``, ``GreedyPivotedCholesky``, ``PivotedCholeskyResult``
    Partial Cholesky factorisations, pivots sampled by the residual diagonal (Chen, Epperly, Tropp & Webber 2025,
    Algorithm 1), or its largest entry (Harbrecht, Peters & Schneider 2012).
``SharedSamples``
    The random numbers of one such factorisation, with which matrices of a stack are factorised one by one.
``Nystrom``, ``NystromResult``
    From one product with a test matrix, 2 n^2 l flops (Tropp, Yurtsever, Udell & Cevher 2017, Algorithm 3).
``ColumnNystrom``, ``ColumnNystromResult``
    From columns selected by any rule (Williams & Seeger 2001).
``RecursiveNystrom``
    From columns sampled by recursively estimated ridge leverage scores, O(n r^2) (Musco & Musco 2017, Algorithm 3).
``RidgeNystrom``
    From columns sampled by exact scores, O(n^3): a reference (Musco & Musco 2017, Theorem 3).
"""

from tnattn.randnla.semidefinite.column_nystrom import ColumnNystrom, ColumnNystromResult
from tnattn.randnla.semidefinite.nystrom import Nystrom, NystromResult
from tnattn.randnla.semidefinite.pivoted_cholesky import (
    GreedyPivotedCholesky,
    PivotedCholeskyResult,
    RandomlyPivotedCholesky,
    SharedSamples,
)
from tnattn.randnla.semidefinite.recursive_nystrom import RecursiveNystrom, RidgeNystrom

__all__ = [
    "ColumnNystrom",
    "ColumnNystromResult",
    "GreedyPivotedCholesky",
    "Nystrom",
    "NystromResult",
    "PivotedCholeskyResult",
    "RandomlyPivotedCholesky",
    "RecursiveNystrom",
    "RidgeNystrom",
    "SharedSamples",
]
