"""Theorems are found by scanning, and by the class that they are about."""

from theory.comparison.catalogue import bounds, bounds_about
from theory.statement.bound import Bound
from tnattn import discovery
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD


def test_theorems_are_found():
    assert "rrf_fro_expected" in discovery.instances("theory.bounds", Bound)
    assert bounds() == discovery.instances("theory.bounds", Bound)


def test_theorems_about_a_method_are_those_of_its_class_and_bases():
    about = bounds_about(RandomizedSVD(4))
    assert about
    assert all(isinstance(RandomizedSVD(4), b.method) for b in about)
