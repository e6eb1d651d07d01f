"""Random test matrices: distributions of n-by-size matrices Omega with ``E[Omega Omega^T] = I``.

A ``Sketch`` is a distribution and not a matrix; ``draw`` samples one test matrix for all matrices of a stack. For m
rows, n coordinates and l columns a product with the test matrix costs

===================== ============ ==================================================================
``Gaussian``          m n l        take this first: the theorems hold for it, and BLAS is fast
``SparseSign``        8 m n        the default of least squares: a few signs per row
``SubsampledCosine``  m n log n    many columns at once
===================== ============ ==================================================================

``Sketch``
    Contract of all distributions.
``Gaussian``, ``Rademacher``, ``Sphere``
    Independent columns: normal entries, signs, points of a sphere. ``Probes`` is the union of the three.
``SparseSign``, ``CountSketch``
    Few signs per row (Nelson & Nguyen 2013), or one (Clarkson & Woodruff 2013).
``SubsampledCosine``, ``SubsampledHadamard``
    Fast trigonometric transforms with random signs (Halko, Martinsson & Tropp 2011, Section 4.6; Tropp 2011).
``RowSampling``
    Coordinates sampled with given probabilities.
``RowStart``, ``RowStarted``
    A random matrix plus signed sums of rows of the matrix: half a power iteration at the cost of a gather.
``KroneckerSketch``, ``KhatriRaoSketch``, ``TensorSketch``, ``TensorSketchMatrix``
    Sketches of tensor products, mode by mode (Pham & Pagh 2013 for the last); ``folded_sizes`` folds coordinates into
    modes, ``sketched_tensor_products`` applies a sketch to factors.
``Embedding``
    The transposed test matrix as a map of the columns of a tall matrix.

For algorithms: ``AdaptiveTestMatrix`` and ``adapted_to`` (test matrices that depend on the matrix), and checks:
``admissible_sizes``, ``require_sketch`` and ``require_probes``. Products are methods: ``a.sketch(omega)``.
"""

from tnattn.randnla.sketches.adaptive import RowStart, RowStarted
from tnattn.randnla.sketches.base import (
    AdaptiveTestMatrix,
    Sketch,
    adapted_to,
    admissible_sizes,
    require_sketch,
)
from tnattn.randnla.sketches.count_sketch import CountSketch
from tnattn.randnla.sketches.embedding import Embedding
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.kronecker_sketch import KhatriRaoSketch, KroneckerSketch, sketched_tensor_products
from tnattn.randnla.sketches.modes import folded_sizes
from tnattn.randnla.sketches.probes import Probes, Rademacher, Sphere, require_probes
from tnattn.randnla.sketches.row_sampling import RowSampling
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.randnla.sketches.tensor_sketch import TensorSketch, TensorSketchMatrix
from tnattn.randnla.sketches.trigonometric import SubsampledCosine, SubsampledHadamard

__all__ = [
    "AdaptiveTestMatrix",
    "CountSketch",
    "Embedding",
    "Gaussian",
    "KhatriRaoSketch",
    "KroneckerSketch",
    "Probes",
    "Rademacher",
    "RowSampling",
    "RowStart",
    "RowStarted",
    "Sketch",
    "SparseSign",
    "Sphere",
    "SubsampledCosine",
    "SubsampledHadamard",
    "TensorSketch",
    "TensorSketchMatrix",
    "adapted_to",
    "admissible_sizes",
    "folded_sizes",
    "require_probes",
    "require_sketch",
    "sketched_tensor_products",
]
