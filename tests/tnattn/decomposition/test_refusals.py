"""Refusals of all decompositions, and edge cases that all of them answer exactly."""

import numpy as np
import pytest

from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.cp_leverage import CPLeverage
from tnattn.decomposition.entries import ArrayEntries
from tnattn.decomposition.tensor_train.quantised import QuantisedTT
from tnattn.decomposition.tensor_train.tt_cross import TTCross
from tnattn.decomposition.truncation import Truncation
from tnattn.decomposition.tucker.hosvd import HOSVD
from tnattn.decomposition.tucker.randomized_tucker import RandomizedHOSVD
from tnattn.discovery import subclasses

CLASSES = list(subclasses("tnattn.decomposition", Decomposition).values())
TRUNCATIONS = [cls for cls in CLASSES if issubclass(cls, Truncation)]
every_class = pytest.mark.parametrize("cls", CLASSES)
every_truncation = pytest.mark.parametrize("cls", TRUNCATIONS)


def run(method, x):
    return method(x, rng=np.random.default_rng(0))


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
    assert result.largest_ranks == (2, 4, 8, 8, 4, 2)
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


@every_class
@pytest.mark.parametrize("dtype, exponents", [(np.float32, (-100, -31, 31, 100)), (np.float64, (-990, -31, 31, 990))])
def test_errors_and_certificates_have_the_size_of_the_tensor(cls, dtype, exponents):
    """Powers of two: no entry is rounded."""
    x = np.random.default_rng(0).standard_normal((4, 5, 6)).astype(dtype)
    method, tolerance = cls().with_rank(2, x.shape), 2e-3 if dtype == np.float32 else 1e-7
    plain = run(method, x)
    for exponent in exponents:
        scaled = run(method, np.ldexp(x, exponent))
        np.testing.assert_allclose(np.ldexp(scaled.to_dense(), -exponent), plain.to_dense(), atol=tolerance)
        if hasattr(plain, "error_certificate"):
            said = np.ldexp(scaled.error_certificate, -exponent)
            np.testing.assert_allclose(said, plain.error_certificate, rtol=tolerance)
            assert scaled.error_certificate.dtype == dtype
        if hasattr(plain, "residual"):
            np.testing.assert_allclose(scaled.residual, plain.residual, rtol=tolerance)


@every_class
@pytest.mark.parametrize(
    "x, message",
    [
        (np.full((4, 5, 6), 2.0**1023), "overflows float64: the tensor has entries of about 2.1023; divide"),
        (np.full((4, 5, 6), np.float32(2.0**127)), "overflows float32"),
        (np.full((4, 5, 6), 2.0**-1060), "smallest normal number of float64"),
        (np.full((4, 5, 6), np.float32(2.0**-140)), "smallest normal number of float32"),
    ],
    ids=["large", "large single", "small", "small single"],
)
def test_sizes_at_which_a_result_would_leave_the_range(cls, x, message):
    method = cls().with_rank(1, x.shape)
    with pytest.raises(ValueError, match=message):
        run(method, x)


@every_class
def test_a_masked_array(cls):
    with pytest.raises(TypeError, match="tensor is a masked array, whose mask would be lost"):
        run(cls(), np.ma.masked_array(np.ones((3, 4, 5)), mask=np.eye(4, 5) * np.ones((3, 1, 1)) > 0))


@every_class
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "complex64", "int64"])
def test_tensors_of_torch_of_other_dtypes(cls, dtype):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=dtype):
        run(cls(), torch.ones((3, 4, 5), dtype=getattr(torch, dtype)))


@pytest.mark.parametrize("dtype", [np.float16, np.complex128, np.int64, np.bool_])
def test_implicit_tensors_of_other_dtypes(dtype):
    with pytest.raises(TypeError, match=np.dtype(dtype).name):
        run(TTCross(), ArrayEntries(np.ones((3, 4, 5), dtype), 3))


@every_class
@pytest.mark.parametrize("rank, error", [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_a_budget_that_is_no_count(cls, rank, error):
    with pytest.raises(error, match=f"rank is {rank}"):
        cls().with_rank(rank, (3, 4, 5))


@every_class
def test_ranks_of_one_result_serve_another(cls):
    """Arrays of integers, of NumPy or of Python, are ranks."""
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    method = cls().with_rank(2, x.shape)
    result = run(method, x)
    field = "rank" if hasattr(method, "rank") else "ranks"
    wanted = getattr(method, field)
    ours = np.shape(result.ranks) == np.shape(wanted)  # not the number of block terms, nor ranks between digits
    realised = result.ranks if ours else np.asarray(wanted)
    again = cls(**{field: realised})
    np.testing.assert_allclose(run(again, x).to_dense(), result.to_dense(), atol=1e-12)
    assert getattr(again, field) == wanted


@pytest.mark.parametrize("cls", [HOSVD, RandomizedHOSVD])
def test_an_order_of_modes_does_not_matter_where_all_are_truncated_at_once(cls):
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    turned = run(cls(ranks=2), np.transpose(x, (2, 0, 1))).to_dense()
    np.testing.assert_allclose(np.transpose(turned, (1, 2, 0)), run(cls(ranks=2), x).to_dense(), atol=1e-12)
