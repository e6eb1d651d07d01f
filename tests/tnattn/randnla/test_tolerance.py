"""Relative tolerances: their range, the honest failure, the floor of rounding."""

import numpy as np
import pytest

from tnattn.randnla.tolerance import require_met, require_tolerance


@pytest.mark.parametrize("rtol", [-0.1, 1.0, float("nan")])
def test_a_tolerance_out_of_range_is_refused(rtol):
    with pytest.raises(ValueError, match="0 <= rtol < 1"):
        require_tolerance(rtol)


@pytest.mark.parametrize("rtol", [0.0, 0.999])
def test_a_tolerance_in_range_passes(rtol):
    require_tolerance(rtol)


def test_one_matrix_that_misses_is_enough(xp):
    size = xp.asarray(np.array([2.0, 4.0, 0.0]))
    require_met(xp.asarray(np.array([0.2, 0.4, 0.0])), size, 0.11, "rank 3")
    with pytest.raises(ValueError, match="rtol 0.11 is not met at rank 3: the relative error is 0.25"):
        require_met(xp.asarray(np.array([0.2, 1.0, 0.0])), size, 0.11, "rank 3")


def test_nobody_is_asked_for_more_than_rounding_allows():
    eps = float(np.finfo(np.float32).eps)
    require_met(np.full(2, 32 * eps, dtype="f4"), np.ones(2, dtype="f4"), 1e-12, "rank 3")
    with pytest.raises(ValueError, match="not met"):
        require_met(np.full(2, 32 * eps), np.ones(2), 1e-12, "rank 3")
