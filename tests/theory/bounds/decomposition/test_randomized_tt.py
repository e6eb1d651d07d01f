import dataclasses

import numpy as np
import pytest

from theory.bounds.decomposition import randomized_tt as about
from theory.bounds.decomposition import tt_svd
from theory.bounds.decomposition.instances import decaying, diagonal_example
from theory.comparison.compare import compare
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.decomposition.tensor_train.randomized_tt import RandomizedTTSVD
from tnattn.decomposition.tensor_train.tt_rounding import TTRounding
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.randnla.sketches.sparse_sign import SparseSign


def test_worked_example_of_the_catalogue():
    """Squared tails 0.04 and 0.01, ranks 2 and 3, p = 3: 2 * 0.04 + 2.5 * 0.01 = 0.105."""
    x = np.zeros((6, 6, 6))
    x[0, 0, 0] = x[1, 1, 1] = 10.0
    x[2, 2, 2], x[0, 2, 3] = 0.2, 0.1  # the second adds no row to the first unfolding, but a column to the second
    method = RandomizedTTSVD(ranks=(2, 3), oversampling=3, power_iterations=0, truncate=False, exact_below=0.0)
    assert about.rand_tt_expected(method, x).value == pytest.approx(0.105)


@pytest.mark.parametrize(
    "change",
    [{"truncate": True}, {"power_iterations": 1}, {"oversampling": 1}, {"sketch": SparseSign()}, {"ranks": 6}],
    ids=str,
)
def test_a_case_outside_the_hypotheses_is_refused(change):
    method = RandomizedTTSVD(ranks=2, oversampling=3, power_iterations=0, truncate=False, exact_below=0.0)
    x = decaying(np.random.default_rng(0), (8, 8, 8))
    assert about.rand_tt_expected(method, x).value > 0
    with pytest.raises(HypothesisViolated):
        about.rand_tt_expected(dataclasses.replace(method, **change), x)


def test_the_extremal_instance_reaches_the_bound(seed):
    method, target = about.rand_tt_expected.extremal(np.random.default_rng(seed))
    (comparison,) = compare(method, target, [about.rand_tt_expected], trials=100, rng=np.random.default_rng(seed))
    assert comparison.slack < 1.5


def test_the_identity_holds_for_any_field(seed):
    x = decaying(np.random.default_rng(seed), (6, 7, 8))
    for method in (
        RandomizedTTSVD(rtol=0.3),
        RandomizedTTSVD(2, oversampling=0),
        RandomizedTTSVD(2, truncate=False, oversampling=1),
    ):
        (comparison,) = compare(method, x, [about.rand_tt_identity], rng=np.random.default_rng(seed))
        assert comparison.verdict is Verdict.SUPPORTED


@pytest.mark.parametrize("bound", [tt_svd.ttsvd, tt_svd.ttsvd_lower, tt_svd.ttsvd_identity], ids=lambda b: b.name)
def test_the_theorems_on_truncation_hold_for_rounding(bound, seed):
    train = TTSVD(ranks=4)(decaying(np.random.default_rng(seed), (6, 7, 8)))
    (comparison,) = compare(TTRounding(ranks=2), train, [bound], rng=np.random.default_rng(0))
    assert comparison.verdict is Verdict.SUPPORTED


def test_rounding_the_worked_example():
    train = TTSVD(ranks=2)(diagonal_example())
    assert tt_svd.ttsvd(TTRounding(ranks=1), train).value == pytest.approx(2**0.5)
    assert np.linalg.norm(diagonal_example() - TTRounding(ranks=1)(train).to_dense()) == pytest.approx(1.0)
