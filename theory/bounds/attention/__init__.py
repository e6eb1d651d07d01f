"""Theorems about approximations of attention.

Notation
--------
Of all docstrings of this folder, unless one says otherwise:

q_i, k_j and v_j are queries, keys and values, V is the matrix of values; S are the scores, p_i the exact weights of
query i, rows of P, and o_i its exact output, rows of O = P V. A prime marks what the method gives: P', O', p'_i, o'_i.
diam(V) is the largest distance of two values. s_1 >= s_2 >= ... are singular values, tau_r^2 is the sum of s_j^2 over
j > r. ||.|| is the spectral norm, and the Euclidean norm of vectors; ||.||_F is the Frobenius and ||.||_* the nuclear
norm. E is the mean over the randomness of the method, P{.} a probability. M^T is the transpose and M^+ the
pseudo-inverse of a matrix M, I the unit matrix; i and j are indices of queries and keys.
"""
