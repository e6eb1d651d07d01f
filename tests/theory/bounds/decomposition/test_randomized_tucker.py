import numpy as np
import pytest

from theory.bounds.decomposition import randomized_tucker as about
from theory.bounds.decomposition.instances import with_slabs
from theory.comparison.compare import compare
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.decomposition.tucker.randomized_tucker import RandomizedHOSVD, RandomizedSTHOSVD
from tnattn.randnla.sketches.sparse_sign import SparseSign

BOUNDS = [about.rand_hosvd_expected, about.rand_sthosvd_expected, about.rand_tucker_recompressed_expected]


def sketched(cls, ranks=2, **fields):
    return cls(ranks, **({"oversampling": 3, "power_iterations": 0, "recompress": False, "exact_below": 0.0} | fields))


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: b.name)
def test_flat_tails_leave_a_slack_below_three(bound):
    method, target = bound.extremal(np.random.default_rng(0))
    comparison = compare(method, target, [bound], trials=60, rng=np.random.default_rng(0))[0]
    assert comparison.verdict in (Verdict.SUPPORTED, Verdict.NOT_CONTRADICTED)
    assert 1 <= comparison.slack < 3


@pytest.mark.parametrize("extra, value", [(0.0, 0.125), (1.0, 0.185)])
def test_worked_example_of_the_catalogue(extra, value):
    tails = np.sqrt([0.04, 0.01, 0.01])
    assert about.expected_energy(tails, (2, 2, 3), 3, extra=extra) == pytest.approx(value, rel=1e-12)
    assert np.sqrt(0.125) == pytest.approx(0.353553, rel=1e-5)


@pytest.mark.parametrize(
    "bound, method",
    [
        (about.rand_hosvd_expected, sketched(RandomizedHOSVD, sketch=SparseSign())),
        (about.rand_hosvd_expected, sketched(RandomizedHOSVD, power_iterations=1)),
        (about.rand_hosvd_expected, sketched(RandomizedHOSVD, exact_below=6.0)),
        (about.rand_hosvd_expected, sketched(RandomizedHOSVD, oversampling=1)),
        (about.rand_hosvd_expected, sketched(RandomizedHOSVD, recompress=True)),
        (about.rand_hosvd_expected, sketched(RandomizedHOSVD, oversampling=9)),
        (about.rand_sthosvd_expected, sketched(RandomizedSTHOSVD, 4, oversampling=5)),
        (about.rand_tucker_recompressed_expected, sketched(RandomizedSTHOSVD)),
        (about.rand_sthosvd_expected, sketched(RandomizedHOSVD)),
    ],
    ids=lambda x: getattr(x, "name", str(x)),
)
def test_a_case_outside_the_hypotheses_is_refused(bound, method):
    with pytest.raises(HypothesisViolated):
        bound(method, np.random.default_rng(0).standard_normal((8, 8, 8)))


def test_slabs_discard_what_they_say():
    x = with_slabs(np.random.default_rng(0), 3, 5)
    for mode in range(3):
        s = np.linalg.svd(np.moveaxis(x, mode, 0).reshape(8, -1), compute_uv=False)
        np.testing.assert_allclose(s[3:], np.full(5, 5**-0.5), rtol=1e-9)
    result = RandomizedSTHOSVD(3)(x, rng=np.random.default_rng(0))
    assert result.error_certificate == pytest.approx(3**0.5, rel=1e-9)
