"""Points of queries and keys, and the factor evaluated at known landmarks."""

import numpy as np
import pytest
from fixtures import run

from tnattn.arrays import Part
from tnattn.attention.low_rank.lifted_nystrom import LiftedNystrom
from tnattn.attention.low_rank.lifting import Lifting
from tnattn.attention.problem import AttentionProblem


def tokens(seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, 2, 9, 3)), rng.standard_normal((2, 1, 7, 3))  # two query heads share a key head


@pytest.mark.parametrize("balance", [True, False])
@pytest.mark.parametrize("centre", [True, False])
def test_a_head_alone_has_the_points_that_it_has_in_the_stack(centre, balance):
    q, k = tokens()
    lifting = Lifting(q, k, 0.7, centre, balance)
    together = lifting.points(Part((2, 2), None))
    for index in np.ndindex(2, 2):
        for alone, stacked in zip(lifting.points(Part((2, 2), index)), together, strict=True):
            np.testing.assert_allclose(alone, stacked[index], rtol=1e-12, atol=1e-12)


def test_heavy_keys_are_moved_to_the_mean_of_the_others():
    q, k = tokens()
    k[1, 0, 4] = 1e6
    heavy = np.zeros((2, 1, 7), dtype=bool)
    heavy[1, 0, 4] = True
    _, y, _, _ = Lifting(q, k, 1.0, heavy=heavy).points(Part((2, 2), (1, 0)))
    np.testing.assert_allclose(y[4], 0, atol=1e-12)
    assert 0 < np.abs(y).max() < 100


def test_squares_that_overflow_make_a_head_unusable():
    q, k = tokens()
    q[0, 1] *= 1e170
    k[0] *= 1e150
    with np.errstate(all="ignore"):
        assert Lifting(q, k, 1.0).tokens(Part((2, 2), None)).usable.tolist() == [[True, False], [True, True]]


def test_the_factor_is_evaluated_on_use_and_holds_no_rows():
    rng = np.random.default_rng(0)
    target = AttentionProblem(*rng.standard_normal((3, 2, 400, 8)))
    found = run(LiftedNystrom(20), target)
    assert found.kernel.shape == (2, 1, 400, 20)
    assert found.expand.shape == (2, 1, 20, 400)
    assert found.kernel.storage < found.kernel.to_dense().size
    dense = found.kernel.to_dense()
    np.testing.assert_allclose(found.kernel.mT @ dense[..., :2], dense.mT @ dense[..., :2], rtol=1e-10)


def test_every_evaluation_gives_the_same_bits():
    rng = np.random.default_rng(0)
    target = AttentionProblem(*rng.standard_normal((3, 2, 40, 4)).astype("float32"))
    found = run(LiftedNystrom(12), target)
    np.testing.assert_array_equal(found.kernel.to_dense(), found.kernel.to_dense())
