"""Factorisations by columns and rows of the matrix itself, and rules that select them.

Take ``CUR`` with its default rule first; ``InterpolativeDecomposition`` where columns suffice, ``PartialPivotCross``
where entries are expensive: it reads ``rank`` rows and columns.

``CUR``, ``CURResult``
    ``C U R`` with the best middle matrix (Mahoney & Drineas 2009; Sorensen & Embree 2016); the rule and O((m + n) r^2).
``InterpolativeDecomposition``, ``InterpolativeResult``
    ``C X`` with the identity in X (Cheng, Gimbutas, Martinsson & Rokhlin 2005).
``PivotedQR``, ``PivotedQRResult``
    Projection onto greedily chosen columns, 4 m n r flops (Businger & Golub 1965).
``FullPivotCross``, ``PartialPivotCross``, ``CrossResult``
    Elimination with complete or partial pivoting (Bebendorf 2000): 2 m n r flops, or O((m + n) r^2).
``MaxvolCross``, ``maxvol``
    Cross through an intersection of large volume (Goreinov et al. 2010).
``VolumeCross``
    Cross through rows and columns sampled by squared volume (Zamarashkin & Osinsky 2018).
``LeverageColumns``, ``LeverageColumnsResult``
    Projection onto columns sampled by leverage scores (Drineas, Mahoney & Muthukrishnan 2008).

Rules, which select rows when applied to the transpose:

``ColumnSelection``, ``SubspaceSelection``
    Base classes: any rule, and rules that depend on the leading singular vectors only.
``QDEIMColumns``, ``DEIMColumns``
    Interpolation points of singular vectors (Drmač & Gugercin 2016; Sorensen & Embree 2016, Algorithm 1).
``QRColumns``, ``StrongColumns``
    Pivots of the matrix or of a sketch; with interchanges (Gu & Eisenstat 1996, Algorithm 4).
``LeverageDraws``, ``RidgeLeverageDraws``, ``VolumeColumns``
    Random columns by (ridge) leverage scores or squared volume.
``UniformColumns``, ``GivenColumns``
    Rules that do not read the matrix.

``admissible_columns`` and ``require_selection`` check arguments, ``for_every_matrix`` repeats indices over a stack.
"""

from tnattn.randnla.columns.cross import CrossResult, FullPivotCross, PartialPivotCross
from tnattn.randnla.columns.cur import CUR, CURResult
from tnattn.randnla.columns.deim import DEIMColumns, QDEIMColumns
from tnattn.randnla.columns.interpolative import InterpolativeDecomposition, InterpolativeResult
from tnattn.randnla.columns.leverage_columns import LeverageColumns, LeverageColumnsResult
from tnattn.randnla.columns.leverage_draws import LeverageDraws
from tnattn.randnla.columns.maxvol import MaxvolCross, maxvol
from tnattn.randnla.columns.pivoted_qr import PivotedQR, PivotedQRResult, QRColumns
from tnattn.randnla.columns.ridge_leverage_draws import RidgeLeverageDraws
from tnattn.randnla.columns.selection import (
    ColumnSelection,
    GivenColumns,
    SubspaceSelection,
    UniformColumns,
    admissible_columns,
    for_every_matrix,
    require_selection,
)
from tnattn.randnla.columns.strong_rrqr import StrongColumns
from tnattn.randnla.columns.volume_sampling import VolumeColumns, VolumeCross

__all__ = [
    "CUR",
    "CURResult",
    "ColumnSelection",
    "CrossResult",
    "DEIMColumns",
    "FullPivotCross",
    "GivenColumns",
    "InterpolativeDecomposition",
    "InterpolativeResult",
    "LeverageColumns",
    "LeverageColumnsResult",
    "LeverageDraws",
    "MaxvolCross",
    "PartialPivotCross",
    "PivotedQR",
    "PivotedQRResult",
    "QDEIMColumns",
    "QRColumns",
    "RidgeLeverageDraws",
    "StrongColumns",
    "SubspaceSelection",
    "UniformColumns",
    "VolumeColumns",
    "VolumeCross",
    "admissible_columns",
    "for_every_matrix",
    "maxvol",
    "require_selection",
]
