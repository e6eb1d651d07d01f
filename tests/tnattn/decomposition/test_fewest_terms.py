"""A tolerance in place of a number of terms, for sums that are fitted by iteration."""

from dataclasses import dataclass

import numpy as np
import pytest
from fixtures import relative
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import to_host
from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.cp_leverage import CPLeverage
from tnattn.decomposition.cp.diagonalisation import DiagonalisationStart
from tnattn.decomposition.fewest_terms import fewest_terms
from tnattn.decomposition.tucker.block_term import BlockTerm
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.structured.cp import CPTensor

quick = settings(max_examples=40, deadline=None)
silent = pytest.mark.filterwarnings("error::tnattn.randnla.accuracy.ToleranceWarning")
FITTED = (
    CPALS(rank=12, rtol=0.05, sweeps=200, start=DiagonalisationStart()),
    CPLeverage(rank=12, rtol=0.05, samples=400),
    BlockTerm(terms=8, ranks=2, rtol=0.05),
)
METHODS = {type(method).__name__: method for method in FITTED}
every_method = pytest.mark.parametrize("name", METHODS)


@dataclass(frozen=True)
class Counted:
    """A fit whose error falls by a factor with every term."""

    terms: int
    residual: np.ndarray
    converged: np.ndarray


def counted(rates, seen):
    def fit(terms):
        seen.append(terms)
        return Counted(terms, np.asarray(rates) ** terms, np.zeros(len(rates), bool))

    return fit


def planted(terms, sizes=(12, 13, 14), seed=0):
    rng = np.random.default_rng(seed)
    factors = [np.linalg.qr(rng.standard_normal((n, terms)))[0] for n in sizes]
    return CPTensor(np.ones(terms), tuple(factors)).to_dense()


@silent
@quick
@given(rate=st.floats(0.1, 0.95), rtol=st.floats(0.01, 0.9))
def test_the_number_of_terms_is_the_least_where_errors_fall(rate, rtol):
    seen = []
    found = fewest_terms(counted([rate], seen), 500, rtol)
    assert found.residual <= rtol
    assert found.terms == 1 or rate ** (found.terms - 1) > rtol
    assert len(seen) <= 2 * np.log2(found.terms) + 2
    assert max(seen) < 2 * found.terms
    assert found.converged.all()


def test_a_miss_is_said_for_the_tensors_that_miss():
    with pytest.warns(ToleranceWarning, match="rtol 0.001 is not met at 6 terms by 1 of the 2"):
        found = fewest_terms(counted([0.1, 0.9], []), 6, 1e-3)
    assert found.terms == 6
    assert found.converged.tolist() == [True, False]


@silent
def test_without_a_tolerance_there_is_one_fit_of_all_terms():
    seen = []
    found = fewest_terms(counted([0.9], seen), 6, None)
    assert seen == [6]
    assert not found.converged


@silent
@every_method
def test_a_tolerance_takes_the_terms_that_a_tensor_has(name):
    x = planted(6) + 1e-4 * np.random.default_rng(1).standard_normal((12, 13, 14))
    result = METHODS[name](x, rng=np.random.default_rng(0))
    assert result.residual == pytest.approx(relative(x, result), rel=1e-6)
    assert result.residual <= 0.05
    assert result.converged
    # orthogonal terms: every one that is left out costs a sixth of the energy
    assert (result.terms if name == "BlockTerm" else result.rank) == (3 if name == "BlockTerm" else 6)


@every_method
def test_a_tolerance_that_the_terms_do_not_keep_is_said(name):
    x = np.random.default_rng(0).standard_normal((12, 13, 14))
    with pytest.warns(ToleranceWarning, match=r"rtol 0.05 is not met at \d+ terms by 1 of the 1"):
        result = METHODS[name](x, rng=np.random.default_rng(0))
    assert not result.converged
    assert result.residual == pytest.approx(relative(x, result), rel=1e-6)


@silent
@every_method
def test_a_zero_tensor_keeps_every_tolerance(name):
    result = METHODS[name](np.zeros((12, 13, 14)), rng=np.random.default_rng(0))
    assert result.converged
    assert result.residual == 0


@every_method
def test_a_budget_takes_the_place_of_a_tolerance(name):
    method = METHODS[name].with_rank(2, (12, 13, 14))
    assert method.rtol is None


@pytest.mark.parametrize("cls", [type(method) for method in METHODS.values()])
@pytest.mark.parametrize(
    "rtol, message", [(0.0, "0 < rtol < 1"), (1.0, "0 < rtol < 1"), (1e-16, "rtol 1e-16 is below")], ids=str
)
def test_a_tolerance_out_of_range_is_refused(cls, rtol, message):
    with pytest.raises(ValueError, match=message):
        cls(rtol=rtol)(np.ones((9, 9, 9)), rng=np.random.default_rng(0))


def test_every_library_keeps_the_tolerance(xp):
    x = planted(3)
    result = CPALS(rank=8, rtol=0.05)(xp.asarray(np.stack([x, 2 * x])))
    assert result.rank == 3
    np.testing.assert_array_equal(to_host(result.converged), [True, True])
