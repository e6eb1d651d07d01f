"""What all decompositions refuse, or answer exactly, alike."""

import numpy as np
import pytest

from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.block_term import BlockTerm
from tnattn.decomposition.cp_als import CPALS
from tnattn.decomposition.cp_leverage import CPLeverage
from tnattn.decomposition.hooi import HOOI
from tnattn.decomposition.hosvd import HOSVD
from tnattn.decomposition.partial_tucker import PartialTucker
from tnattn.decomposition.quantised import QuantisedTT
from tnattn.decomposition.randomized_tt import RandomizedTTSVD
from tnattn.decomposition.randomized_tucker import RandomizedHOSVD, RandomizedSTHOSVD
from tnattn.decomposition.shared_factors import SharedFactors
from tnattn.decomposition.st_hosvd import STHOSVD
from tnattn.decomposition.tt_cross import TTCross
from tnattn.decomposition.tt_svd import TTSVD
from tnattn.discovery import subclasses

TUCKER = [HOSVD, STHOSVD, HOOI, PartialTucker, SharedFactors, RandomizedHOSVD, RandomizedSTHOSVD]
TRUNCATIONS = [*TUCKER, TTSVD, RandomizedTTSVD, TTCross]
CLASSES = [*TRUNCATIONS, CPALS, CPLeverage, BlockTerm, QuantisedTT]
every_class = pytest.mark.parametrize("cls", CLASSES)
every_truncation = pytest.mark.parametrize("cls", TRUNCATIONS)


def run(method, x):
    return method(x, rng=np.random.default_rng(0))


def test_no_decomposition_is_left_out():
    assert {cls.__name__ for cls in CLASSES} == set(subclasses("tnattn.decomposition", Decomposition))


@every_class
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_entries_that_are_not_finite(cls, bad, dtype):
    x = np.ones((3, 4, 5), dtype)
    x[1, 2, 3] = bad
    with pytest.raises(ValueError, match=r"1, 2, 3"):
        run(cls().with_rank(1, x.shape), x)


@every_class
def test_too_few_axes(cls):
    with pytest.raises(ValueError, match="fewer axes than order 3"):
        run(cls(), np.ones((3, 4)))


@every_class
def test_an_order_below_two(cls):
    with pytest.raises(ValueError, match="order is 1"):
        cls(order=1)


@every_class
def test_an_empty_mode(cls):
    with pytest.raises(ValueError, match="at least one entry"):
        run(cls(), np.ones((3, 0, 4)))


@every_class
@pytest.mark.parametrize("x", [np.ones((3, 4, 5), int), [[[1.0]]], np.ones((3, 4, 5), np.float16)], ids=type)
def test_what_is_no_floating_array(cls, x):
    with pytest.raises(TypeError):
        run(cls(), x)


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not QuantisedTT])
def test_ranks_above_those_of_the_unfoldings(cls):
    field = "rank" if cls in (CPALS, CPLeverage) else "ranks"
    with pytest.raises(ValueError, match=r"rank 1000 .*exceeds"):
        run(cls(**{field: 1000}), np.ones((3, 4, 5)))


def test_digits_lower_a_rank_to_what_they_admit_and_are_exact():
    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    result = QuantisedTT(rank=1000)(x)
    assert result.ranks == (2, 4, 8, 8, 4, 2)
    np.testing.assert_allclose(result.to_dense(), x, atol=1e-13)


@every_class
def test_a_tolerance_below_rounding(cls):
    with pytest.raises(ValueError, match="rtol 1e-16 is below"):
        run(cls(rtol=1e-16), np.ones((9, 9, 9)))


@every_class
@pytest.mark.parametrize("rtol", [0.0, -0.1, 1.0, 2.0, float("nan")])
def test_a_tolerance_out_of_range(cls, rtol):
    with pytest.raises(ValueError, match="0 < rtol < 1"):
        cls(rtol=rtol)


@every_truncation
def test_ranks_and_a_tolerance_together(cls):
    with pytest.raises(ValueError, match="both given"):
        cls(ranks=2, rtol=0.1)


@every_truncation
def test_a_tuple_of_ranks_of_the_wrong_length(cls):
    with pytest.raises(ValueError, match="are needed at order 3"):
        cls(ranks=(2, 2, 2, 2))


@every_truncation
@pytest.mark.parametrize("rank, error", [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_ranks_that_are_no_counts(cls, rank, error):
    with pytest.raises(error, match=f"ranks? is {rank}"):
        cls(ranks=rank)


@every_class
def test_a_zero_tensor_is_exact(cls):
    x = np.zeros((3, 4, 5))
    assert not run(cls().with_rank(2, x.shape), x).to_dense().any()


# a tensor known by its entries has no largest one to scale by
@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not TTCross])
@pytest.mark.parametrize("scale", [2.0**-100, 2.0**100])  # powers of two: no entry is rounded
def test_scales_whose_squares_leave_the_range(cls, scale):
    x = np.random.default_rng(0).standard_normal((4, 5, 6)).astype(np.float32)
    method = cls().with_rank(2, x.shape)
    plain, scaled = run(method, x).to_dense(), run(method, x * np.float32(scale)).to_dense() / np.float32(scale)
    np.testing.assert_allclose(scaled, plain, atol=2e-3)


@pytest.mark.parametrize("cls", [HOSVD, RandomizedHOSVD])
def test_an_order_of_modes_does_not_matter_where_all_are_truncated_at_once(cls):
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    turned = run(cls(ranks=2), np.transpose(x, (2, 0, 1))).to_dense()
    np.testing.assert_allclose(np.transpose(turned, (1, 2, 0)), run(cls(ranks=2), x).to_dense(), atol=1e-12)
