"""Canonical polyadic decompositions: sums of outer products of vectors, one for each mode.

Take ``CPALS`` first, on a large tensor with ``start=CoreStart()``: the fit to the core of a Tucker decomposition leaves
a sweep or two on the tensor itself. Where products with the tensor are expensive, ``CPLeverage`` solves most
least-squares problems on sampled rows. Every iteration ends in a local minimum at best, and a best fit of given rank
need not exist: ``degenerate`` of the result reports terms that grow and cancel.

Fits of rank r to N entries, of order d and mode sizes n:

``CPALS``
    Alternating least squares; O(r N) a sweep, two passes whatever the order. Kolda and Bader 2009, Figure 3.3.
``CPLeverage``
    The same on rows sampled by leverage scores; O(samples (r^2 + r n)) for each mode. Larsen and Kolda 2022.
``AlternatingLeastSquares``
    Base of both, for a fit of one's own.

Initial guesses, values of the field ``start``:

``CPStart``
    The rule, a base for one's own.
``SingularVectorStart``
    Leading singular vectors of the unfoldings, as HOSVD gives them; the default of ``CPALS``.
``GaussianStart``
    Random factors; the default of ``CPLeverage``.
``CoreStart``
    A fit to the core of a Tucker decomposition. Bro and Andersson 1998.
``DiagonalisationStart``
    Eigenvectors of a pencil of two slices: exact for tensors of the rank. Leurgans, Ross and Abel 1993.
``GivenStart``
    Given factors.

Parts and results:

``KhatriRaoSampling``
    Rows of a Khatri-Rao product, sampled by products of leverage scores without forming it.
``FittedCP``
    Weights, factors, errors by sweep, and the accuracy.
"""

from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.alternating import AlternatingLeastSquares
from tnattn.decomposition.cp.core_start import CoreStart
from tnattn.decomposition.cp.cp_leverage import CPLeverage
from tnattn.decomposition.cp.diagonalisation import DiagonalisationStart
from tnattn.decomposition.cp.fitted_cp import FittedCP
from tnattn.decomposition.cp.khatri_rao_sampling import KhatriRaoSampling
from tnattn.decomposition.cp.start import CPStart, GaussianStart, GivenStart, SingularVectorStart

__all__ = [
    "CPALS",
    "AlternatingLeastSquares",
    "CPLeverage",
    "CPStart",
    "CoreStart",
    "DiagonalisationStart",
    "FittedCP",
    "GaussianStart",
    "GivenStart",
    "KhatriRaoSampling",
    "SingularVectorStart",
]
