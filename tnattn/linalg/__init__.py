"""Factorizations, products and norms of stacks of matrices, on every array library.

The last two axes are the matrix, all others are batch. NumPy stacks go to LAPACK one matrix at a time, device stacks
through batched kernels. Factorizations compute float16 and bfloat16 in float32; a power of two times a matrix has the
same factors and that power times the values: matrices are scaled where squares would overflow or vanish.

Take ``orthonormalise`` for a basis of a range: Cholesky-QR twice, as fast as matrix products, with Householder QR for
matrices that are too ill-conditioned for it. ``small_svd`` is the SVD for tall or wide matrices, ``leading_svd`` half
its price for the leading triples. Costs for m-by-n matrices, m >= n:

Orthonormal bases, O(m n^2)
    ``orthonormalise`` and ``orthonormalise_with_factor`` (QR), ``extend_basis`` (orthogonal to a given basis, "twice is
    enough"), ``near_orthonormal`` (one pass, half the price), ``lu_normalise`` (well-conditioned only, a third of it);
    ``pivoted_qr`` (Businger & Golub 1965, 4 m n k for k pivots) with ``with_unused``; ``host_row_pivots``.
Singular values and eigenvalues, O(m n^2)
    ``svd``, ``singular_values``, ``small_svd``, ``leading_svd``; ``eigh``, ``leading_eigh``.
Solves, O(n^2) per right-hand side
    ``solve_triangular``, ``cholesky``; ``pseudo_inverse_apply`` and ``numerical_svd`` truncate at the numerical rank.
Norms
    ``frobenius_norm`` and ``largest_entries``, O(m n); ``spectral_norm`` and ``nuclear_norm``, O(m n^2);
    ``truncation_tails`` and ``rank_for_tolerance`` of given singular values; ``largest_entry``, a unit for squares.
Transforms and products
    ``cosine_transform`` and ``hadamard_transform``, O(n log n) per vector; ``product_with_rows`` and
    ``transposed_product``, matrix products in the faster memory order.
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
