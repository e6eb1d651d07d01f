"""Theorems about randomized factorisations.

A file per method or per quantity. For a low-rank factorisation begin with ``range_finder`` (expectations and tails,
no computation beyond singular values) and ``structural`` (deterministic, given the test matrix); for a semidefinite
matrix with ``nystrom`` and ``pivoted_cholesky``; for columns with ``columns``. Evaluating a theorem costs an SVD of
the target.

Low rank
--------
- ``eckart_young``: no approximation of a given rank is better; Eckart & Young 1936, Mirsky 1960
- ``truncated_svd``: the truncated SVD attains it
- ``weyl``: singular values move no more than the matrix
- ``range_finder``: expected and probable errors of the projection; Halko, Martinsson & Tropp 2011, Theorems 10.5 to
  10.8
- ``structural``: the same given the test matrix; ibid., Theorem 9.1, and Gu 2015
- ``gaussian_moments``: pseudo-inverses of Gaussian matrices, on which they rest
- ``krylov``: block Krylov subspaces
- ``randomized_svd``: power iterations and truncation
- ``subspace``: singular values and angles, in expectation
- ``truncation``: the loss by truncation to the target rank
- ``tolerance``: errors of factorisations to a tolerance
- ``streaming_svd``: a matrix that is seen once
- ``generalized_nystrom``: two-sided sketches; Tropp, Yurtsever, Udell & Cevher 2017

Columns and crosses
-------------------
- ``columns``: by volume, greedy, and strong rank-revealing QR; Gu & Eisenstat 1996
- ``rank_revealing``: residuals of rank-revealing pivots
- ``cur``: rows and columns; Sorensen & Embree 2016
- ``cross``: adaptive cross approximation, and by volume
- ``largest_volume``: the intersection of largest volume
- ``leverage``: columns and embeddings by leverage scores

Semidefinite matrices
---------------------
- ``nystrom``: Gaussian test matrices
- ``nystrom_columns``: given, uniform and sampled columns
- ``nystrom_structural``: given columns; Gittens & Mahoney 2016
- ``pivoted_cholesky``: randomly and greedily pivoted
- ``ridge_leverage``: by ridge leverage scores, at the level of a ridge

Embeddings and products
-----------------------
- ``johnson_lindenstrauss``: single vectors, pairs and sets of points
- ``embeddings``: distortion of a subspace
- ``coherence``: uniformly sampled rows
- ``hadamard``: subsampled Hadamard transforms
- ``tensor_sketches``: sketches that act mode by mode
- ``matrix_product``: sampled and sketched products
- ``least_squares``: sketched least squares

Estimates
---------
- ``norms``: norms by Gaussian probes
- ``trace``: stochastic trace estimates
- ``error_estimate``: leave-one-out estimates of an error

Shared
------
- ``instances``: small matrices on which the theorems are tried

Notation
--------
Of all docstrings of this folder, unless stated otherwise:

A is the matrix, m-by-n, and K a symmetric positive semidefinite one of order n; A' and K' are their approximations.
s_1 >= s_2 >= ... are the singular values of A, l_1 >= l_2 >= ... the eigenvalues of K; tau_k^2 is the sum of s_j^2 over
j > k. ||.|| is the spectral norm, and the Euclidean norm of vectors; ||.||_F is the Frobenius and ||.||_* the nuclear
norm. E is the mean over the randomness of the method, P{.} a probability; P alone is the orthogonal projection onto the
columns chosen. M^T is the transpose and M^+ the pseudo-inverse of a matrix M, I the unit matrix; i and j are indices.
Omega is the test matrix. Q is an orthonormal basis of the range that a method has found.
"""

from theory.bounds.randnla import (
    coherence,
    columns,
    cross,
    cur,
    eckart_young,
    embeddings,
    error_estimate,
    gaussian_moments,
    generalized_nystrom,
    hadamard,
    instances,
    johnson_lindenstrauss,
    krylov,
    largest_volume,
    least_squares,
    leverage,
    matrix_product,
    norms,
    nystrom,
    nystrom_columns,
    nystrom_structural,
    pivoted_cholesky,
    randomized_svd,
    range_finder,
    rank_revealing,
    ridge_leverage,
    streaming_svd,
    structural,
    subspace,
    tensor_sketches,
    tolerance,
    trace,
    truncated_svd,
    truncation,
    weyl,
)

__all__ = [
    "coherence",
    "columns",
    "cross",
    "cur",
    "eckart_young",
    "embeddings",
    "error_estimate",
    "gaussian_moments",
    "generalized_nystrom",
    "hadamard",
    "instances",
    "johnson_lindenstrauss",
    "krylov",
    "largest_volume",
    "least_squares",
    "leverage",
    "matrix_product",
    "norms",
    "nystrom",
    "nystrom_columns",
    "nystrom_structural",
    "pivoted_cholesky",
    "randomized_svd",
    "range_finder",
    "rank_revealing",
    "ridge_leverage",
    "streaming_svd",
    "structural",
    "subspace",
    "tensor_sketches",
    "tolerance",
    "trace",
    "truncated_svd",
    "truncation",
    "weyl",
]
