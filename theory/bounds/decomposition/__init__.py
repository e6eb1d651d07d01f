"""Theorems about truncated decompositions of tensors.

All of them compare the error with the tails of the singular values of unfoldings (``unfoldings``); evaluating one
costs an SVD per unfolding. Begin with ``hosvd`` for the Tucker form and ``tt_svd`` for tensor trains.

Tucker
------
- ``hosvd``: one SVD per mode; De Lathauwer, De Moor & Vandewalle 2000
- ``st_hosvd``: modes truncated in turn; Vannieuwenhoven, Vandebril & Meerbergen 2012
- ``hooi``: sweeps of orthogonal iteration
- ``randomized_tucker``: Gaussian range finders per mode
- ``hierarchical``: binary trees of modes; Grasedyck 2010
- ``shared``: one basis for a stack of matrices

Tensor trains
-------------
- ``tt_svd``: successive SVDs, and rounding; Oseledets 2011
- ``randomized_tt``: successive range finders
- ``tt_cross``: cross interpolation
- ``quantised``: ranks of quantised trains

Canonical polyadic
------------------
- ``cp``: uniqueness; Kruskal 1977
- ``cp_leverage``: sampling by leverage scores; Larsen & Kolda 2022

Shared
------
- ``unfoldings``: tails of unfoldings
- ``instances``: small tensors on which the theorems are tried

Notation
--------
Of all docstrings of this folder, unless stated otherwise:

X is the tensor, of order d, and X' its approximation; r_k are the ranks of modes or bonds. tau_j is the tail of an
unfolding at its rank: tau^2 is the sum of the squared singular values s beyond the rank. d_k is the norm of the part
that step k of a method discards. ||.||_F is the Frobenius norm. E is the mean over the randomness of the method. M^T is
the transpose of a matrix M, I the unit matrix; i, j and k are indices, n sizes of modes.
"""

from theory.bounds.decomposition import (
    cp,
    cp_leverage,
    hierarchical,
    hooi,
    hosvd,
    instances,
    quantised,
    randomized_tt,
    randomized_tucker,
    shared,
    st_hosvd,
    tt_cross,
    tt_svd,
    unfoldings,
)

__all__ = [
    "cp",
    "cp_leverage",
    "hierarchical",
    "hooi",
    "hosvd",
    "instances",
    "quantised",
    "randomized_tt",
    "randomized_tucker",
    "shared",
    "st_hosvd",
    "tt_cross",
    "tt_svd",
    "unfoldings",
]
