import numpy as np
import pytest

from theory.bound import HypothesisViolated
from theory.bounds.decomposition import hosvd as about_hosvd
from theory.bounds.decomposition import st_hosvd as about_st_hosvd
from theory.bounds.decomposition import tt_svd as about_tt_svd
from theory.bounds.decomposition.instances import decaying, diagonal_example
from theory.compare import compare, control
from theory.verdict import Verdict
from tnattn.decomposition.hosvd import HOSVD
from tnattn.decomposition.st_hosvd import STHOSVD
from tnattn.decomposition.tt_svd import TTSVD

BOUNDS = [
    about_hosvd.hosvd,
    about_hosvd.hosvd_lower,
    about_hosvd.tucker_tolerance,
    about_st_hosvd.sthosvd,
    about_st_hosvd.sthosvd_identity,
    about_tt_svd.ttsvd,
    about_tt_svd.ttsvd_lower,
    about_tt_svd.ttsvd_identity,
    about_tt_svd.tt_rounding,
]
every_bound = pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: b.name)


def one(bound, method, target):
    return compare(method, target, [bound], rng=np.random.default_rng(0))[0]


@every_bound
@pytest.mark.parametrize("kind", ["extremal", "generic"])
def test_the_theorem_is_supported(bound, kind, seed):
    method, target = getattr(bound, kind)(np.random.default_rng(seed))
    assert one(bound, method, target).verdict is Verdict.SUPPORTED


@every_bound
def test_the_false_theorem_is_refuted_on_the_extremal_instance(bound, seed):
    method, target = bound.extremal(np.random.default_rng(seed))
    assert one(control(bound), method, target).verdict is Verdict.REFUTED


@every_bound
def test_the_extremal_instance_leaves_little_slack(bound, seed):
    method, target = bound.extremal(np.random.default_rng(seed))
    assert one(bound, method, target).slack < 1.02


@every_bound
def test_generic_instances_discard_something(bound, seed):
    method, target = bound.generic(np.random.default_rng(seed))
    assert np.linalg.norm(target - method(target).to_dense()) > 1e-3 * np.linalg.norm(target)


@pytest.mark.parametrize(
    "bound, method, value",
    [
        (about_hosvd.hosvd, HOSVD(ranks=1), 3**0.5),
        (about_st_hosvd.sthosvd, STHOSVD(ranks=1), 3**0.5),
        (about_hosvd.hosvd_lower, HOSVD(ranks=1), 1.0),
        (about_tt_svd.ttsvd, TTSVD(ranks=1), 1.414214),
        (about_tt_svd.ttsvd_lower, TTSVD(ranks=1), 1.0),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_worked_examples_of_the_catalogue(bound, method, value):
    assert bound(method, diagonal_example()).value == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("method, steps", [(STHOSVD(ranks=1), [1, 0, 0]), (TTSVD(ranks=1), [1, 0])], ids=str)
def test_the_worked_example_discards_one_and_then_nothing(method, steps):
    result = method(diagonal_example())
    np.testing.assert_allclose(result.discarded, steps, atol=1e-7)
    assert np.linalg.norm(diagonal_example() - result.to_dense()) == pytest.approx(1.0, rel=1e-14)


def test_worked_example_of_rounding():
    x = decaying(np.random.default_rng(0), (4, 4, 4, 4))
    x /= np.linalg.norm(x)
    assert about_tt_svd.tt_rounding(TTSVD(rtol=0.03, order=4), x).value == pytest.approx(0.03)


@pytest.mark.parametrize("rtol", [0.1, 0.3, 0.6])
def test_rounding_needs_no_more_than_the_delta_ranks_of_the_unfoldings(rtol, seed):
    x = decaying(np.random.default_rng(seed), (4, 5, 6, 3))
    delta = rtol / 3**0.5 * np.linalg.norm(x)
    for k, rank in enumerate(TTSVD(rtol=rtol, order=4)(x).ranks, start=1):
        s = np.linalg.svd(x.reshape(np.prod(x.shape[:k]), -1), compute_uv=False)
        assert rank <= max(1, sum(np.linalg.norm(s[r:]) > delta for r in range(len(s))))


@pytest.mark.parametrize("method", [STHOSVD(ranks=2), TTSVD(ranks=2)], ids=str)
def test_no_step_discards_more_than_the_tail_of_the_whole_tensor(method, seed):
    x = decaying(np.random.default_rng(seed), (5, 6, 4))
    matrices = (
        [np.moveaxis(x, j, 0).reshape(x.shape[j], -1) for j in range(3)]
        if isinstance(method, STHOSVD)
        else [x.reshape(5, -1), x.reshape(30, -1)]
    )
    tails = [np.linalg.norm(np.linalg.svd(a, compute_uv=False)[2:]) for a in matrices]
    assert np.all(method(x).discarded <= np.array(tails) * (1 + 1e-9))


@pytest.mark.parametrize(
    "bound, method",
    [
        (about_hosvd.hosvd, HOSVD(rtol=0.1)),
        (about_tt_svd.tt_rounding, TTSVD(ranks=2)),
        (about_hosvd.tucker_tolerance, STHOSVD(ranks=2)),
        (about_st_hosvd.sthosvd, STHOSVD(ranks=2, order=2)),
        (about_st_hosvd.sthosvd, HOSVD(ranks=2)),
    ],
    ids=str,
)
def test_a_case_outside_the_hypotheses_is_refused(bound, method):
    with pytest.raises(HypothesisViolated):
        bound(method, np.ones((3, 3, 3)))


def test_the_upper_bound_of_hosvd_does_not_hold_for_worse_bases():
    """Negative control: random bases of the same ranks exceed the bound."""
    rng = np.random.default_rng(0)
    x = decaying(rng, (6, 7, 8))
    bases = [np.linalg.qr(rng.standard_normal((n, 2)))[0] for n in x.shape]
    rough = np.einsum("abc,ai,bj,ck,di,ej,fk->def", x, *bases, *bases, optimize=True)
    assert np.linalg.norm(x - rough) > about_hosvd.hosvd(HOSVD(ranks=2), x).value
