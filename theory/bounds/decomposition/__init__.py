"""Theorems about the decompositions of tensors.

Notation
--------
Of all docstrings of this folder, unless one says otherwise:

X is the tensor, of order d, and X' its approximation; r_k are the ranks of modes or bonds. tau_j is the tail of an
unfolding at its rank: tau^2 is the sum of the squared singular values s beyond the rank. d_k is what step k of a method
discards. ||.||_F is the Frobenius norm. E is the mean over the randomness of the method. M^T is the transpose of a
matrix M, I the unit matrix; i, j and k are indices, n sizes of modes.
"""
