import numpy as np
import pytest

from theory.bounds.attention import factored_key_value as about
from theory.comparison.compare import compare
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.attention.tensor.factored_key_value import FactoredKeyValue
from tnattn.decomposition.tensor_train.randomized_tt import RandomizedTTSVD
from tnattn.decomposition.tensor_train.tt_svd import TTSVD

BOUNDS = [about.kv_lowrank_rows, about.kv_lowrank_output]


def test_worked_examples():
    assert about.rows_bound(0.4, 2.0, 0.1) == pytest.approx(0.2993360, abs=1e-7)
    assert about.frobenius_bound(0.2, 3.0, 1.0, 0.1) == pytest.approx(0.4)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: b.name)
def test_the_extremal_instance_leaves_little_slack(bound):
    method, problem = bound.extremal(np.random.default_rng(0))
    (comparison,) = compare(method, problem, [bound], rng=np.random.default_rng(0))
    assert comparison.verdict is Verdict.SUPPORTED
    assert comparison.slack < 1.2


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: b.name)
@pytest.mark.parametrize("rank", [1, 3, 8])
def test_another_decomposition_obeys_them_too(bound, rank, seed):
    _, problem = bound.generic(np.random.default_rng(seed))
    (comparison,) = compare(FactoredKeyValue(TTSVD(), rank), problem, [bound], rng=np.random.default_rng(seed))
    assert comparison.verdict in (Verdict.SUPPORTED, Verdict.VACUOUS)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: b.name)
def test_nothing_is_said_about_a_randomized_decomposition(bound):
    _, problem = bound.generic(np.random.default_rng(0))
    with pytest.raises(HypothesisViolated, match="draws nothing"):
        bound(FactoredKeyValue(RandomizedTTSVD()), problem)
