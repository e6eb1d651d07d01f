"""Test matrices with independent columns that are not Gaussian: signs, and points of a sphere."""

import numpy as np
import pytest

from tnattn.randnla.sketches.count_sketch import CountSketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.probes import Rademacher, Sphere, require_probes


def drawn(sketch, like=np.empty(0)):
    return sketch.draw(30, 8, rng=np.random.default_rng(0), like=like).to_dense()


def test_every_entry_of_a_rademacher_matrix_is_a_sign_over_the_root_of_the_columns():
    omega = drawn(Rademacher())
    np.testing.assert_allclose(np.abs(omega), 8**-0.5, rtol=1e-15)
    assert {-1.0, 1.0} == set(np.sign(omega).ravel())


def test_every_column_of_a_spherical_matrix_has_the_length_of_the_sphere():
    np.testing.assert_allclose(np.linalg.norm(drawn(Sphere()), axis=0), (30 / 8) ** 0.5, rtol=1e-14)


@pytest.mark.parametrize("distribution", [Gaussian(), Rademacher(), Sphere()], ids=repr)
def test_independent_columns_are_accepted(distribution):
    assert require_probes(distribution, "distribution") is None


@pytest.mark.parametrize("distribution", [CountSketch(), "sphere", None], ids=repr)
def test_other_distributions_are_refused_by_name(distribution):
    with pytest.raises(TypeError, match="distribution is .*Rademacher"):
        require_probes(distribution, "distribution")
