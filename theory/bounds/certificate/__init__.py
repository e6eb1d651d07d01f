"""Theorems behind certificates: bounds on the error of any output, from few exact rows or from a scan of all scores.

They bound the error of one output on one problem, whatever computed it. Evaluating one costs what the certificate
costs; none takes part in predictions of output errors by default.

Few exact rows
--------------
- ``sampled_means``: the mean of all errors, by betting; relative errors; the least that such a bound can be;
  Waudby-Smith & Ramdas 2024
- ``sampled_quantiles``: rows of all that exceed what few of the drawn ones exceed
- ``weighted_means``: rows drawn by importance, and one of each stratum
- ``row_samples``: how these rows are drawn

Every row, from the values
--------------------------
- ``value_ball``: the ball that holds all values, as envelope and for projection
- ``mirrored_identity``: the error by distances from the output, which are known

Every row, from all scores
--------------------------
- ``kept_rows``: kept keys, with upper bounds on the scores of the others
- ``score_boxes``: all keys, with scores known up to intervals
- ``scan_and_sample``: kept keys and a sample of the others; Bousquet 2002
- ``unseen_keys``: nothing is certified without a scan
- ``lifted_diagonal``: positive semidefinite methods, from the diagonal of their error

Notation
--------
Of all docstrings of this folder, unless stated otherwise:

e_i is the squared error of row i, x_t the t-th drawn one over its bound B; n is the number of all rows and m that of
the drawn ones; delta is the probability of failure. o_i and o'_i are the exact output and its approximation, p_i the
exact weights, v_j the values, V their matrix; c is the centre and rho the radius of a ball that holds all values.
||.|| is the Euclidean norm of vectors and the spectral norm of matrices, P{.} a probability, M^T the transpose; i and
j are indices of queries and keys.
"""

from theory.bounds.certificate import (
    kept_rows,
    lifted_diagonal,
    mirrored_identity,
    row_samples,
    sampled_means,
    sampled_quantiles,
    scan_and_sample,
    score_boxes,
    unseen_keys,
    value_ball,
    weighted_means,
)

__all__ = [
    "kept_rows",
    "lifted_diagonal",
    "mirrored_identity",
    "row_samples",
    "sampled_means",
    "sampled_quantiles",
    "scan_and_sample",
    "score_boxes",
    "unseen_keys",
    "value_ball",
    "weighted_means",
]
