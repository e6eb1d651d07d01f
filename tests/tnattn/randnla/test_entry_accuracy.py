"""Refusals of indefinite matrices do not depend on rounding errors of implicit entries."""

import numpy as np
import pytest

from tnattn.discovery import subclasses
from tnattn.randnla.base import MatrixMethod
from tnattn.structured.gaussian_kernel import GaussianKernel

FOUND = subclasses("tnattn.randnla", MatrixMethod)
SYMMETRIC = {name: cls for name, cls in FOUND.items() if cls.domain != "any" and name != "RidgeNystrom"}


def far_points(seed, radius, dtype):
    """Return points near each other, far from the origin: exponents are small differences of large inner products."""
    rng = np.random.default_rng(seed)
    x = 0.3 * rng.standard_normal((2, 60, 4))
    return (x + radius * np.array([1.0, -1.0, 0.5, 0.25])).astype(dtype)


def kernel(points):
    x = points.astype(np.longdouble)
    return np.exp(-np.sum((x[..., :, None, :] - x[..., None, :, :]) ** 2, axis=-1) / 2)


@pytest.mark.parametrize("dtype, radius", [("float32", 30.0), ("float64", 3e3), ("float64", 1e5)])
@pytest.mark.parametrize("name", SYMMETRIC)
def test_kernels_among_far_points_are_not_refused(name, dtype, radius):
    method = SYMMETRIC[name]().with_rank(30)
    for seed in range(6):
        far, near = far_points(seed, radius, dtype), far_points(seed, 0.0, "float64")
        errors = []
        for points in (far, near):
            approximation = method(GaussianKernel(points), rng=np.random.default_rng(seed)).to_dense()
            errors.append(np.abs(approximation - kernel(points)).max())
        assert errors[0] <= 3 * errors[1] + 0.02 + 600 * float(GaussianKernel(far).accuracy().max())


@pytest.mark.parametrize("name", [name for name, cls in SYMMETRIC.items() if cls.domain == "semidefinite"])
def test_indefinite_entries_are_refused_still(name):
    class Indefinite(GaussianKernel):
        def columns(self, indices):
            found = super().columns(indices)
            return found - 0.5 * (np.arange(60)[:, None] == indices[..., None, :])

        def principal(self, indices):
            return super().principal(indices) - 0.5 * (indices[..., :, None] == indices[..., None, :])

        def diagonal(self):
            return 0.5 * super().diagonal()

    with pytest.raises(ValueError, match="not positive semidefinite"):
        SYMMETRIC[name]().with_rank(30)(Indefinite(far_points(0, 3.0, "float64")), rng=np.random.default_rng(0))
