"""Estimates of norms, traces and errors from products with a matrix.

The cost is counted in products; entries are never read. ``XTrace`` is the trace estimate to take first,
``SpectralNorm`` the norm, and ``SelfAssessedQB`` the factorisation that estimates its error without more products.

``TraceMethod``, ``TraceEstimate``
    Base class of trace estimates, and their result with standard error and confidence bounds.
``GirardHutchinson``
    Mean of ``w^T A w``; error 1 / sqrt(products) (Girard 1989; Hutchinson 1990).
``HutchPlusPlus``
    Exact on a randomized range; error 1 / products for semidefinite matrices (Meyer, Musco, Musco & Woodruff 2021,
    Algorithm 1).
``XTrace``
    Every probe used for range and residual (Epperly, Tropp & Webber 2024, Section 2.1).
``SpectralNorm``, ``FrobeniusNorm``, ``NormEstimate``
    Norms with confidence bounds: block Lanczos steps with Gaussian probes (Halko, Martinsson & Tropp 2011, Lemma
    4.1), and mean squared images.
``SelfAssessedQB``, ``SelfAssessedQBResult``
    ``Q Q^T A`` with the leave-one-out error estimate and the jackknife variance (Epperly & Tropp 2024).
``chi_square_factors``, ``frobenius_factors``
    Factors of the confidence bounds.
"""

from tnattn.randnla.estimates.error_estimate import SelfAssessedQB, SelfAssessedQBResult, chi_square_factors
from tnattn.randnla.estimates.norm_estimates import FrobeniusNorm, NormEstimate, SpectralNorm, frobenius_factors
from tnattn.randnla.estimates.trace import GirardHutchinson, HutchPlusPlus, XTrace
from tnattn.randnla.estimates.trace_estimate import TraceEstimate, TraceMethod

__all__ = [
    "FrobeniusNorm",
    "GirardHutchinson",
    "HutchPlusPlus",
    "NormEstimate",
    "SelfAssessedQB",
    "SelfAssessedQBResult",
    "SpectralNorm",
    "TraceEstimate",
    "TraceMethod",
    "XTrace",
    "chi_square_factors",
    "frobenius_factors",
]
