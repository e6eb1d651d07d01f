"""Theorems about approximations of attention.

Errors travel from the scores through the kernel and the weights to the output. ``softmax`` bounds the way from
scores, ``output`` that from a kernel with estimated row sums; the others are about single methods. Evaluating one
costs the exact weights, O(n_q n_k d) per head.

From scores to the output
-------------------------
- ``softmax``: error of scores to error of weights and output, row by row
- ``output``: error of a kernel to error of the normalised output
- ``covariance``: the same by the covariance of the values under the weights
- ``centred_norms``: the same by norms of values minus a common vector
- ``heads``: heads that share a basis or a key head
- ``joint_svd``: jointly truncated key and value weights
- ``factored_key_value``: keys and values of low rank
- ``rope_phase_average``: keys of low rank before the rotary position encoding

Kernels
-------
- ``kernel_cur``: chosen keys and queries
- ``lift``: queries and keys in one positive semidefinite kernel
- ``lifted_nystrom``: Gaussian kernels at landmarks
- ``pseudo_inverse``: the iteration inside Nystromformer
- ``random_features``: exact mean squared errors of random features; Choromanski et al. 2021
- ``feature_output``: exact mean error of the output of positive features, in units of the estimated mass
- ``low_rank``: weights of low rank, from above and below
- ``linformer``: random projection of the weights

Keys
----
- ``sparse``: few keys, by the mass of the dropped ones
- ``sampling``: sampled keys
- ``self_normalised_columns``: sampled keys with estimated row sums
- ``heavy_plus_sampled``: important keys exactly, the others sampled
- ``leverage_keys``: keys by leverage scores

Shared
------
- ``rows``: weights, kernels and outputs in units of their mass
- ``feature_pairs``: errors of random features, entry by entry
- ``perturbed``: attention with a known perturbation

Not evaluated
-------------
Keys rounded stochastically, independently in every coordinate, with steps D_j, and scores corrected for the mean of the
exponential: a'_j = exp(s'_j - t_j / 2) with t_j = b^2 D_j^2 ||q||^2 / 4, b the scale of the scores. If the query does
not depend on the rounding, then with probability at least 1 - delta

    ||o' - o|| <= A(||v - o'||) / (1 - A(1)),
    A(y) = (sum_j g_j^2 (e^t_j - 1) y_j^2)^(1/2)
           + (2 log(2 / delta) sum_j g_j^2 e^(2 b D_j ||q||_1 - t_j) t_j y_j^2)^(1/2)
           + sum_j g_j (1 - e^(-t_j / 2)) y_j

where A(1) < 1, A(||v - o'||) stands for y_j = ||v_j - o'||, and g_j = p'_j e^(u_j + t_j / 2) with
u_j = min((2 t_j log(4 n_k / delta))^(1/2), b ||q|| ||k_j - k'_j||). The deviation is that of a function of independent
bounded coordinates, the bias that of the correction. In decoding, later queries depend on the rounding, so that the
hypothesis fails; and a bound from the largest error of every score, which always holds, is as sharp on real heads.

Notation
--------
Of all docstrings of this folder, unless stated otherwise:

q_i, k_j and v_j are queries, keys and values, V is the matrix of values; S are the scores, p_i the exact weights of
query i, rows of P, and o_i its exact output, rows of O = P V. A prime marks the approximation: P', O', p'_i, o'_i.
diam(V) is the largest distance of two values. s_1 >= s_2 >= ... are singular values, tau_r^2 is the sum of s_j^2 over
j > r. ||.|| is the spectral norm, and the Euclidean norm of vectors; ||.||_F is the Frobenius and ||.||_* the nuclear
norm. E is the mean over the randomness of the method, P{.} a probability. M^T is the transpose and M^+ the
pseudo-inverse of a matrix M, I the unit matrix; i and j are indices of queries and keys.
"""

from theory.bounds.attention import (
    centred_norms,
    covariance,
    factored_key_value,
    feature_output,
    feature_pairs,
    heads,
    heavy_plus_sampled,
    joint_svd,
    kernel_cur,
    leverage_keys,
    lift,
    lifted_nystrom,
    linformer,
    low_rank,
    output,
    perturbed,
    pseudo_inverse,
    random_features,
    rope_phase_average,
    rows,
    sampling,
    self_normalised_columns,
    softmax,
    sparse,
)

__all__ = [
    "centred_norms",
    "covariance",
    "factored_key_value",
    "feature_output",
    "feature_pairs",
    "heads",
    "heavy_plus_sampled",
    "joint_svd",
    "kernel_cur",
    "leverage_keys",
    "lift",
    "lifted_nystrom",
    "linformer",
    "low_rank",
    "output",
    "perturbed",
    "pseudo_inverse",
    "random_features",
    "rope_phase_average",
    "rows",
    "sampling",
    "self_normalised_columns",
    "softmax",
    "sparse",
]
