"""A fit to the core of a Tucker decomposition is a good start, and an exact one where the subspaces are."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import dtype_name
from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.core_start import CoreStart
from tnattn.decomposition.cp.start import GaussianStart, GivenStart, SingularVectorStart
from tnattn.decomposition.tucker.hosvd import HOSVD
from tnattn.decomposition.tucker.randomized_tucker import RandomizedSTHOSVD
from tnattn.structured.cp import CPTensor


def of_rank(sizes=(14, 16, 18), rank=3, seed=0, noise=0.0, batch=()):
    r = rng(seed)
    x = CPTensor(np.ones((*batch, rank)), tuple(r.standard_normal((*batch, n, rank)) for n in sizes)).to_dense()
    return x + noise * r.standard_normal(x.shape)


@pytest.mark.parametrize("sizes", [(9, 8), (14, 16, 18), (2, 12, 13), (7, 8, 9, 6)], ids=str)
def test_a_tensor_of_the_rank_is_found_in_its_core(sizes):
    x = of_rank(sizes)
    start = CoreStart(oversampling=0, sweeps=300, stagnation=1e-13)
    result = CPALS(rank=3, sweeps=1, start=start, order=len(sizes))(x, rng=rng())
    assert result.error_certificate <= 1e-6 * np.linalg.norm(x)


@pytest.mark.parametrize("truncation", [HOSVD(), RandomizedSTHOSVD(exact_below=0)], ids=lambda t: type(t).__name__)
def test_any_truncation_will_do(truncation):
    x = of_rank()
    start = CoreStart(sweeps=300, stagnation=1e-13, truncation=truncation)
    assert CPALS(rank=3, sweeps=1, start=start)(x, rng=rng()).error_certificate <= 1e-6 * np.linalg.norm(x)


def test_one_sweep_after_it_is_as_good_as_all_sweeps_on_the_tensor(seed):
    x = of_rank((30, 32, 34), 4, seed, noise=0.5)
    compressed = CPALS(rank=4, sweeps=1, start=CoreStart())(x)
    whole = CPALS(rank=4, sweeps=50)(x)
    assert compressed.error_certificate <= 1.01 * whole.error_certificate


def test_what_the_core_lacks_is_taken_from_the_tensor(seed):
    """Sweeps on the whole tensor lower the error of the core's fit, which lies in the bases."""
    x = of_rank((20, 22, 24), 6, seed, noise=2.0)
    one, many = (CPALS(rank=3, sweeps=s, stagnation=0, start=CoreStart(oversampling=0))(x) for s in (1, 20))
    assert many.errors[-1] < many.errors[0]
    assert one.errors[0] == many.errors[0]


def test_given_factors_are_taken_into_the_bases():
    """With bases that are whole the iteration on the core is that on the tensor."""
    x, first = of_rank((5, 6, 7), noise=1.0), tuple(rng(n).standard_normal((n, 3)) for n in (5, 6, 7))
    start = CoreStart(oversampling=4, sweeps=6, stagnation=0, start=GivenStart(first), truncation=HOSVD())
    compressed = CPALS(rank=3, sweeps=2, stagnation=0, start=start, extrapolate=False)(x)
    begun = CPALS(rank=3, sweeps=6, stagnation=0, start=GivenStart(first))(x)
    whole = CPALS(rank=3, sweeps=2, stagnation=0, start=GivenStart(begun.factors), extrapolate=False)(x)
    np.testing.assert_allclose(compressed.to_dense(), whole.to_dense(), atol=1e-8)


def test_a_stack_is_started_as_its_members_are():
    x = of_rank(batch=(2,), noise=0.3)
    method = CPALS(rank=3, sweeps=2, stagnation=0, start=CoreStart(sweeps=20, stagnation=0))
    whole = method(x)
    for i in range(2):
        np.testing.assert_allclose(whole.to_dense()[i], method(x[i]).to_dense(), atol=1e-8)


def test_every_library_starts_alike(xp, assert_close):
    x = of_rank((6, 7, 8), noise=0.1)
    method = CPALS(rank=3, sweeps=1, stagnation=0, start=CoreStart(oversampling=2, sweeps=5, stagnation=0))
    result = method(xp.asarray(x))
    assert dtype_name(result.weights.dtype) == xp.dtype
    assert_close(result.to_dense(), xp.asarray(method(x).to_dense()), rtol=0, atol=1e5 * xp.eps())


def test_a_zero_tensor_is_no_obstacle():
    assert CPALS(rank=2, start=CoreStart())(np.zeros((3, 4, 5))).error_certificate == 0


def test_other_starts_do_not_depend_on_the_bases():
    for start in (SingularVectorStart(), GaussianStart()):
        assert start.within((np.eye(3),)) == start


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"oversampling": -1}, ValueError),
        ({"sweeps": 0}, ValueError),
        ({"stagnation": 1.0}, ValueError),
        ({"start": "random"}, TypeError),
        ({"truncation": "hosvd"}, TypeError),
    ],
    ids=str,
)
def test_bad_fields_are_refused(arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        CoreStart(**arguments)


def test_one_sweep_from_anywhere_is_not_enough():
    """Negative control for the recovery."""
    x = of_rank()
    assert CPALS(rank=3, sweeps=1, start=GaussianStart())(x, rng=rng(5)).error_certificate > 1e-2 * np.linalg.norm(x)
