"""Multilinear ranks that a core can have."""

import pytest

from tnattn.decomposition.tucker.hosvd import HOSVD
from tnattn.decomposition.tucker.tucker_truncation import TuckerTruncation


def test_truncations_to_tucker_form_have_one_rank_for_each_mode():
    assert issubclass(HOSVD, TuckerTruncation)
    assert TuckerTruncation.rank_limits(HOSVD(order=2), (7, 3)) == (3, 3)


@pytest.mark.parametrize("ranks", [(2, 2, 4), (4, 2, 2), (1, 3, 3), (2, 1, 2), (1, 1, 1)], ids=str)
def test_multilinear_ranks_up_to_the_product_of_the_others(ranks):
    assert HOSVD(ranks=ranks).ranks_for((4, 4, 4)) == ranks


@pytest.mark.parametrize(
    "ranks, message",
    [
        (
            (3, 1, 2),
            r"rank 3 of mode 0 exceeds 2, the product of the other ranks of \(3, 1, 2\): no core has such ranks",
        ),
        ((1, 2, 1), "rank 2 of mode 1 exceeds 1,"),
        ((1, 2, 3), "rank 3 of mode 2 exceeds 2,"),
    ],
    ids=str,
)
def test_multilinear_ranks_above_it(ranks, message):
    with pytest.raises(ValueError, match=message):
        HOSVD(ranks=ranks).ranks_for((4, 4, 4))
