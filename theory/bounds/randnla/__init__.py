"""Theorems about the randomized factorisations.

Notation
--------
Of all docstrings of this folder, unless one says otherwise:

A is the matrix, m-by-n, and K a symmetric positive semidefinite one of order n; A' and K' are their approximations.
s_1 >= s_2 >= ... are the singular values of A, l_1 >= l_2 >= ... the eigenvalues of K; tau_k^2 is the sum of s_j^2 over
j > k. ||.|| is the spectral norm, and the Euclidean norm of vectors; ||.||_F is the Frobenius and ||.||_* the nuclear
norm. E is the mean over the randomness of the method, P{.} a probability; P alone is the orthogonal projection onto the
columns chosen. M^T is the transpose and M^+ the pseudo-inverse of a matrix M, I the unit matrix; i and j are indices.
Omega is the test matrix. Q is an orthonormal basis of the range that a method has found.
"""
