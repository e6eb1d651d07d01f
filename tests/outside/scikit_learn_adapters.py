"""Our matrix methods behind the names and arguments of ``sklearn.utils.extmath``; the adapters state what differs.

Integers are refused here and become float64 in the adapters. Signs of singular vectors are arbitrary here, and chosen
by the package's own ``svd_flip``.
"""

import numpy as np
from scipy import sparse
from sklearn.utils import extmath

from tnattn import attend
from tnattn.arrays import array_namespace, is_floating
from tnattn.randnla.low_rank.randomized_eigh import RandomizedEigh
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.scores.product_probabilities import column_lengths
from tnattn.structured.composite import Product
from tnattn.structured.conversion import as_structured


def floating(a):
    if sparse.issparse(a):
        return a if a.dtype.kind == "f" else a.astype(np.float64)
    xp = array_namespace(a)
    return a if is_floating(a) else xp.astype(a, xp.float64)


def generator(state):
    """Our generators are NumPy's new ones: a RandomState gives the seed of one."""
    return np.random.default_rng(state.randint(2**31) if isinstance(state, np.random.RandomState) else state)


def steps(n_iter, n_components, a):
    """Return the power iterations that the package chooses by itself."""
    return (7 if n_components < 0.1 * min(a.shape) else 4) if n_iter == "auto" else n_iter


def randomized_svd(
    a,
    n_components,
    *,
    n_oversamples=10,
    n_iter="auto",
    flip_sign=True,
    transpose="auto",
    random_state=None,
    power_iteration_normalizer="auto",
    more_steps=0,
    theirs=None,
):
    """Powers are always normalised here, by LU: those without are the package's own, and LU, QR and auto are one.

    Sparse matrices of every format become CSR once, so that none is slow and no format causes a warning.
    """
    if power_iteration_normalizer == "none" and theirs is not None:
        return theirs(a, n_components, n_iter=n_iter, power_iteration_normalizer="none", random_state=random_state)
    flipped = a.shape[0] < a.shape[1] if transpose == "auto" else transpose
    method = RandomizedSVD(n_components, n_oversamples, steps(n_iter, n_components, a) + more_steps)
    result = method(floating(a.T if flipped else a), rng=generator(random_state))
    u, s, vt = (result.vt.mT, result.s, result.u.mT) if flipped else (result.u, result.s, result.vt)
    u, vt = extmath.svd_flip(u, vt) if flip_sign else (u, vt)
    return u, s, vt


def randomized_eigsh(a, n_components, *, n_oversamples=10, n_iter="auto", selection="module", random_state=None, **_):
    """Eigenvalues of the largest magnitude are the only selection here, as there."""
    if selection != "module":
        raise NotImplementedError(f"selection {selection!r}")
    method = RandomizedEigh(n_components, n_oversamples, steps(n_iter, n_components, a))
    result = method(floating(a), rng=generator(random_state))
    return result.eigenvalues, result.u


def randomized_range_finder(a, *, size, n_iter, random_state=None, **_):
    """Libraries choose the signs of a basis; they are made those of the package's convention."""
    q = RangeFinder(size, oversampling=0, power_iterations=n_iter)(floating(a), rng=generator(random_state))
    return extmath.svd_flip(q, None)[0]


def row_norms(a, squared=False):
    lengths = column_lengths(as_structured(a).mT)
    return lengths**2 if squared else lengths


def softmax(x):
    """Attention of queries x to the unit vectors, whose scores are the entries of x."""
    unit = np.eye(x.shape[-1])
    return attend(x, unit, unit, scale=1.0)


def safe_sparse_dot(a, b, *, dense_output=False):
    """Products are dense here. A vector is a matrix of one row or column; a stack on the right is ours, as batch."""
    if sparse.issparse(a) and sparse.issparse(b):
        return Product(as_structured(a), as_structured(b)).to_dense()
    if sparse.issparse(b):
        return (as_structured(b).mT @ np.atleast_2d(a).mT).mT.reshape(*a.shape[:-1], -1)
    if b.ndim == 1:
        return (as_structured(a) @ b[:, None])[:, 0]
    if a.ndim == 1:
        return (as_structured(b).mT @ a[:, None])[:, 0]
    product = as_structured(a) @ b  # (..., m, c)
    return np.moveaxis(product, -2, 0)  # NumPy's dot has the axis of the left factor first
