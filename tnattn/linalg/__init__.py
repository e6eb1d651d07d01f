"""Factorizations, products and norms of stacks of matrices, on every array library.

The last two axes are the matrix, all others are batch. The standard's ``linalg`` does the work where it can; what it
lacks (triangular solves, orthonormalisation that is both fast and safe) and what differs between libraries is here.
NumPy stacks go to LAPACK one matrix at a time, device stacks through batched kernels.
"""

from tnattn.linalg.column_pivoting import pivoted_qr, with_unused
from tnattn.linalg.eigenvalues import eigh, leading_eigh
from tnattn.linalg.fast_transforms import cosine_transform, hadamard_transform
from tnattn.linalg.norms import (
    frobenius_norm,
    largest_entries,
    nuclear_norm,
    rank_for_tolerance,
    spectral_norm,
    truncation_tails,
)
from tnattn.linalg.orthonormal import (
    extend_basis,
    host_row_pivots,
    lu_normalise,
    near_orthonormal,
    orthonormalise,
    orthonormalise_with_factor,
)
from tnattn.linalg.products import product_with_rows, transposed_product
from tnattn.linalg.pseudo_inverse import numerical_svd, pseudo_inverse_apply
from tnattn.linalg.scaling import largest_entry
from tnattn.linalg.singular_values import leading_svd, singular_values, small_svd, svd
from tnattn.linalg.triangular import cholesky, solve_triangular

__all__ = [
    "cholesky",
    "cosine_transform",
    "eigh",
    "extend_basis",
    "frobenius_norm",
    "hadamard_transform",
    "host_row_pivots",
    "largest_entries",
    "largest_entry",
    "leading_eigh",
    "leading_svd",
    "lu_normalise",
    "near_orthonormal",
    "nuclear_norm",
    "numerical_svd",
    "orthonormalise",
    "orthonormalise_with_factor",
    "pivoted_qr",
    "product_with_rows",
    "pseudo_inverse_apply",
    "rank_for_tolerance",
    "singular_values",
    "small_svd",
    "solve_triangular",
    "spectral_norm",
    "svd",
    "transposed_product",
    "truncation_tails",
    "with_unused",
]
