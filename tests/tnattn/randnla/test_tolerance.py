"""Relative tolerances: their range, the honest warning, the floor of rounding."""

import warnings

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.randnla.cross import FullPivotCross, PartialPivotCross
from tnattn.randnla.cur import CUR
from tnattn.randnla.interpolative import InterpolativeDecomposition
from tnattn.randnla.pivoted_qr import PivotedQR
from tnattn.randnla.tolerance import ToleranceWarning, judged, require_tolerance, warn_of_missed, within


@pytest.mark.parametrize("rtol", [-0.1, 1.0, float("nan")])
def test_a_tolerance_out_of_range_is_refused(rtol):
    with pytest.raises(ValueError, match="0 <= rtol < 1"):
        require_tolerance(rtol)


@pytest.mark.parametrize("rtol", [0.0, 0.999])
def test_a_tolerance_in_range_passes(rtol):
    require_tolerance(rtol)


def test_one_matrix_that_misses_is_enough_for_one_warning(xp):
    size = xp.asarray(np.array([2.0, 4.0, 0.0]))
    with pytest.warns(ToleranceWarning) as caught:
        residual, converged = judged(xp.asarray(np.array([0.2, 1.0, 0.0])), size, 0.11, "rank 3")
    assert [str(w.message) for w in caught] == [
        "rtol 0.11 is not met at rank 3 by 1 of the 3 matrices: the largest relative error is 0.25; raise rank or rtol"
    ]
    np.testing.assert_allclose(to_host(residual), [0.1, 0.25, 0.0], rtol=4 * xp.eps())
    assert to_host(converged).tolist() == [True, False, True]
    assert type(residual) is type(converged) is type(size)


@pytest.mark.parametrize("error, rtol", [(0.1, 0.11), (0.1, 0.0)], ids=["met", "none given"])
def test_nothing_is_said_where_nothing_is_missed(xp, error, rtol):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, converged = judged(xp.asarray(np.array([error])), xp.asarray(np.ones(1)), rtol, "rank 3")
    assert to_host(converged).tolist() == [rtol > 0]


def test_nobody_is_asked_for_more_than_rounding_allows():
    eps = float(np.finfo(np.float32).eps)
    assert np.all(within(np.full(2, 32 * eps, dtype="f4"), 1e-12))
    assert not np.any(within(np.full(2, 32 * eps), 1e-12))


@pytest.mark.parametrize("method", [PivotedQR, FullPivotCross, PartialPivotCross, CUR, InterpolativeDecomposition])
def test_a_tolerance_below_rounding_is_refused(method):
    a = np.eye(20, dtype="f4")
    with pytest.raises(ValueError, match="rtol 1e-06 is below 7.6e-06, the rounding of a float32 matrix"):
        method(rtol=1e-6)(a)
    assert method(20, rtol=1e-6)(a.astype("f8")).ranks == 20


def test_the_warning_points_at_the_line_outside_the_package():
    with pytest.warns(ToleranceWarning) as caught:
        warn_of_missed(np.asarray(False), np.asarray(0.5), 0.1, "rank 3")
    assert caught[0].filename == __file__
