"""Ranks of bonds that a core can have."""

import pytest

from tnattn.decomposition.tensor_train.train_truncation import TrainTruncation
from tnattn.decomposition.tensor_train.tt_svd import TTSVD


def test_truncations_to_trains_have_one_rank_for_each_bond():
    assert issubclass(TTSVD, TrainTruncation)
    assert TrainTruncation.rank_limits(TTSVD(order=2), (7, 3)) == (3,)


@pytest.mark.parametrize("ranks", [(2, 4), (4, 4), (1, 2), (2, 1), (4, 2)], ids=str)
def test_bonds_within_a_factor_of_the_size_between_them(ranks):
    assert TTSVD(ranks=ranks).ranks_for((4, 2, 4)) == ranks


@pytest.mark.parametrize(
    "ranks, message",
    [
        (
            (1, 3),
            r"ranks 1 and 3 at the two ends of mode 1, of size 2, differ by more than a factor 2: no core in \(1, 3\)",
        ),
        ((3, 1), "ranks 3 and 1 at the two ends of mode 1, of size 2"),
    ],
    ids=str,
)
def test_bonds_further_apart(ranks, message):
    with pytest.raises(ValueError, match=message):
        TTSVD(ranks=ranks).ranks_for((4, 2, 4))
