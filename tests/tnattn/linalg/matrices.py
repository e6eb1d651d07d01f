"""Matrices, parametrisations and measures that the tests of factorizations share."""

import numpy as np
import pytest

from tnattn.arrays import to_host

only_standin = pytest.mark.parametrize("xp", ["cupy-standin"], indirect=True)
with_float64 = pytest.mark.parametrize("xp", ["numpy", "strict", "torch", "cupy-standin"], indirect=True)
both = pytest.mark.parametrize("dtype", ["float32", "float64"])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def prescribed(m, n, spectrum, seed=0):
    """Return an m-by-n matrix with the singular values given."""
    u, v = (np.linalg.qr(normal(rows, len(spectrum), seed=seed + i))[0] for i, rows in enumerate((m, n)))
    return (u * spectrum) @ v.T


def smooth_kernel(m, n):
    """Return n columns of a Gaussian kernel matrix of m points on the line: numerical rank about 12 in float32."""
    x, y = np.linspace(0, 1, m), np.linspace(0, 1, n)
    return np.exp(-2 * (x[:, None] - y[None, :]) ** 2)


def ring_eps(x):
    return float(np.finfo(to_host(x).dtype).eps)


def departure(q):
    """Return max |q^T q - I| over a stack, computed in float64."""
    host = to_host(q).astype(np.float64)
    return np.abs(host.mT @ host - np.eye(host.shape[-1])).max(initial=0)


def dense(*factors):
    """Return a product of factors in float64; a vector stands for a diagonal."""
    result = to_host(factors[0]).astype(np.float64)
    for factor in factors[1:]:
        host = to_host(factor).astype(np.float64)
        result = result * host[..., None, :] if host.shape[:-1] == result.shape[:-2] else result @ host
    return result
