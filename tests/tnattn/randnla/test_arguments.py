"""Validation of ranks and counts."""

import numpy as np
import pytest

from tnattn.randnla.arguments import require_count, require_rank, worth_forming
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import LowRank


def test_a_rank_beyond_the_smaller_side_is_refused():
    require_rank(4, (2, 4, 9))
    with pytest.raises(ValueError, match=r"rank 5 exceeds min\(m, n\) = 4 of the \(2, 4, 9\) stack"):
        require_rank(5, (2, 4, 9))


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (1.0, TypeError), (True, TypeError)])
def test_counts_are_integers_that_are_large_enough(value, error):
    require_count(1, "size", least=1)
    with pytest.raises(error, match="size"):
        require_count(value, "size", least=1)


@pytest.mark.parametrize(("n", "formed"), [(1024, True), (1025, False)])
def test_implicit_matrices_are_formed_up_to_a_million_entries(n, formed):
    assert worth_forming(LowRank(np.ones((n, 1)), np.ones((1, n)))) is formed
    assert worth_forming(Dense(np.broadcast_to(1.0, (n, n))))
