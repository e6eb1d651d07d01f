"""Generated matrices, tensors and attention problems with declared, tested properties.

Attention problems
    ``problems``: families of attention problems by name. A ``ProblemFamily`` draws queries, keys and values of given
    sizes and declares each ``Property`` that a test measures on them: peaks, clusters, sinks, ties, outliers, ...
Spectra
    ``polynomial_spectrum``, the slow decay of real heads; ``exponential_spectrum``; ``gap_spectrum``, near-extremal
    for bounds on Gaussian sketches.
Matrices
    ``matrix_with_spectrum`` and ``psd_with_spectrum`` with singular vectors that are uniformly distributed;
    ``orthonormal`` and ``coherent_orthonormal`` columns; ``kahan``, for which greedy pivoting is worst;
    ``gaussian_kernel``.
Tensors
    ``tensor_with_spectrum``, whose unfoldings all have the same singular values; ``tucker_tensor``,
    ``tensor_train_tensor`` and ``cp_tensor`` of exact ranks; ``needle_tensor``, which uniform sampling of entries
    misses.

Methods are tested on prescribed spectra, never on random matrices alone, whose singular values all decay alike.

Take first: ``matrix_with_spectrum(polynomial_spectrum(n), (n, n), rng)`` for matrices, ``problems()["smooth"]`` for
attention.
"""

from tnattn.gallery.attention_problems import problems
from tnattn.gallery.family import ProblemFamily, Property
from tnattn.gallery.matrices import (
    coherent_orthonormal,
    exponential_spectrum,
    gap_spectrum,
    gaussian_kernel,
    kahan,
    matrix_with_spectrum,
    orthonormal,
    polynomial_spectrum,
    psd_with_spectrum,
    symmetric_with_spectrum,
)
from tnattn.gallery.tensors import (
    cp_tensor,
    needle_tensor,
    tensor_train_tensor,
    tensor_with_spectrum,
    tucker_tensor,
)

__all__ = [
    "ProblemFamily",
    "Property",
    "coherent_orthonormal",
    "cp_tensor",
    "exponential_spectrum",
    "gap_spectrum",
    "gaussian_kernel",
    "kahan",
    "matrix_with_spectrum",
    "needle_tensor",
    "orthonormal",
    "polynomial_spectrum",
    "problems",
    "psd_with_spectrum",
    "symmetric_with_spectrum",
    "tensor_train_tensor",
    "tensor_with_spectrum",
    "tucker_tensor",
]
