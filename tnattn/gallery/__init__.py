"""Generated matrices, tensors and attention problems with declared, tested properties."""

from tnattn.gallery.attention import problems
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
