"""Parameters that fits by alternating least squares share."""

import numpy as np
import pytest

from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.alternating import AlternatingLeastSquares, largest_rank, require_cp_rank, require_start
from tnattn.decomposition.cp.cp_leverage import CPLeverage
from tnattn.decomposition.cp.start import GaussianStart

both_fits = pytest.mark.parametrize("cls", [CPALS, CPLeverage])


@pytest.mark.parametrize("sizes, rank", [((4, 5, 6), 20), ((3, 3), 3), ((1, 9, 1), 1), ((2, 2, 2, 2), 8)], ids=str)
def test_as_many_terms_as_the_product_of_all_sizes_but_the_largest_are_exact(sizes, rank):
    assert largest_rank(sizes) == rank
    require_cp_rank(rank, sizes)
    with pytest.raises(ValueError, match=f"rank {rank + 1} exceeds {rank}, with which every tensor of sizes"):
        require_cp_rank(rank + 1, sizes)


@both_fits
@pytest.mark.parametrize(
    "fields, error, message",
    [
        ({"rank": 0}, ValueError, "rank is 0"),
        ({"sweeps": 0}, ValueError, "sweeps is 0; .* without a sweep there is no fit"),
        ({"stagnation": 1.0}, ValueError, "0 <= stagnation < 1"),
        ({"start": "gaussian"}, TypeError, r"start must be a CPStart, such as GaussianStart\(\); got str"),
        ({"rtol": 0.0}, ValueError, "0 < rtol < 1"),
        ({"order": 1}, ValueError, "order is 1"),
    ],
    ids=str,
)
def test_both_fits_check_their_parameters(cls, fields, error, message):
    assert issubclass(cls, AlternatingLeastSquares)
    with pytest.raises(error, match=message):
        cls(**fields)


def test_a_rule_is_an_initial_guess():
    require_start(GaussianStart())


@both_fits
def test_a_budget_is_lowered_to_what_is_exact(cls):
    method = cls(rtol=0.1).with_rank(np.int64(100), (4, 5, 6))
    assert (method.rank, method.rtol) == (20, None)
