"""Leverage scores of rows and columns, and sampling in proportion to them.

Take ``leverage_scores`` first; they cost O(m n min(m, n)). ``sketched_leverage_scores`` approximate them for tall
matrices at the cost of a sketch (Drineas, Magdon-Ismail, Mahoney & Woodruff 2012, Algorithm 1), and ridge leverage
scores take a level of noise into account (Alaoui & Mahoney 2015).

``leverage_scores``, ``sketched_leverage_scores``
    Squared row norms of an orthonormal basis of the range; exact, and from a sketch.
``coherence``
    The largest leverage score relative to the mean.
``ridge_leverage_scores``, ``kernel_ridge_leverage_scores``
    Diagonals of ``A (A^T A + ridge)^-1 A^T`` and of ``K (K + ridge)^-1``.
``effective_dimension``
    Trace of ``K (K + ridge)^-1``, the sum of the latter.
``relative_scores``, ``require_ridge``
    Scores at a ridge relative to the mean of the diagonal, and the check of a ridge.
``sample_indices``
    Indices sampled with replacement in proportion to weights.
``LeverageSampling``
    Rows sampled by leverage scores, rescaled (Drineas, Mahoney & Muthukrishnan 2006).
``ProductProbabilities``
    Base class of probabilities for sampled products: ``NormOptimal`` (least variance, take it first), ``ColumnNorms``,
    ``BothNorms``, ``Leverage``, ``Uniform``. ``column_lengths`` are the norms that they use.
"""

from tnattn.randnla.scores.leverage import (
    LeverageSampling,
    coherence,
    leverage_scores,
    sample_indices,
    sketched_leverage_scores,
)
from tnattn.randnla.scores.product_probabilities import (
    BothNorms,
    ColumnNorms,
    Leverage,
    NormOptimal,
    ProductProbabilities,
    Uniform,
    column_lengths,
)
from tnattn.randnla.scores.ridge_leverage import (
    effective_dimension,
    kernel_ridge_leverage_scores,
    relative_scores,
    require_ridge,
    ridge_leverage_scores,
)

__all__ = [
    "BothNorms",
    "ColumnNorms",
    "Leverage",
    "LeverageSampling",
    "NormOptimal",
    "ProductProbabilities",
    "Uniform",
    "coherence",
    "column_lengths",
    "effective_dimension",
    "kernel_ridge_leverage_scores",
    "leverage_scores",
    "relative_scores",
    "require_ridge",
    "ridge_leverage_scores",
    "sample_indices",
    "sketched_leverage_scores",
]
