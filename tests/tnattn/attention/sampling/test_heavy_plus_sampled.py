"""Heavy keys exactly and the others sampled: half the error of sampling alone, without an oracle."""

import numpy as np
import pytest
from fixtures import relative_output, run

from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.column_sampling import ColumnSampling
from tnattn.attention.sampling.heavy_plus_sampled import HeavyPlusSampled, OptimalHeavyPlusSampled
from tnattn.models.sample import load_sample

BOTH = [HeavyPlusSampled, OptimalHeavyPlusSampled]


def problem(*, as_=np.asarray, n=48, softcap=None):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, n, d)) for h, d in ((4, 3), (2, 3), (2, 2)))
    k[:, :4] *= 4  # keys that attract most of the weight of many queries
    return AttentionProblem(as_(q), as_(k), as_(v), softcap=softcap)


@pytest.mark.parametrize("method", BOTH)
def test_every_ring_runs(xp, assert_close, method):
    found = run(method(16), problem(as_=xp.asarray)).output
    assert found.shape == (4, 48, 2)
    if xp.dtype == "float64":
        assert_close(found, xp.asarray(run(method(16), problem()).output), rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", BOTH)
def test_exact_keys_lower_the_error(method):
    target = problem()
    errors = [np.mean([relative_output(run(method(16, exact=h), target, s), target) for s in range(8)]) for h in (0, 8)]
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("keys", [48, 100])
def test_as_many_keys_as_there_are_give_the_exact_output(method, keys):
    target = problem()
    np.testing.assert_allclose(run(method(keys), target).output, target.output, rtol=0, atol=1e-13)


@pytest.mark.parametrize("method", BOTH)
def test_a_softcap_is_honoured(method):
    target = problem(softcap=0.5)
    assert relative_output(run(method(40), target), target) < 0.5 * relative_output(run(method(40), problem()), target)


def test_more_rows_approach_the_oracle():
    target, errors = problem(), []
    best = OptimalHeavyPlusSampled(16).plan(target).probabilities
    for rows in (2, 24):
        plans = [HeavyPlusSampled(16, rows=rows).plan(target, rng=np.random.default_rng(s)) for s in range(4)]
        errors.append(np.mean([np.abs(plan.probabilities - best).sum() for plan in plans]))
    assert errors[1] < 0.5 * errors[0]


def test_at_most_half_of_the_queries_are_read():
    found = [HeavyPlusSampled(16, rows=r).plan(problem(), rng=np.random.default_rng(0)) for r in (24, 1000)]
    np.testing.assert_array_equal(found[0].probabilities, found[1].probabilities)
    assert HeavyPlusSampled(16, rows=24).cost(problem()) == HeavyPlusSampled(16, rows=1000).cost(problem())


def test_a_uniform_share_bounds_the_weights():
    piece = run(HeavyPlusSampled(8, rows=1, uniform=0.5, exact=0), problem())
    assert np.max(piece.mass) <= 48 / (8 * 0.5) * (1 + 1e-12)


@pytest.mark.parametrize("method", BOTH)
def test_heads_and_stacks_choose_their_own_keys(method):
    target = problem()
    plan = method(16).plan(target, **({"rng": np.random.default_rng(0)} if method is HeavyPlusSampled else {}))
    assert len({tuple(order[:4].tolist()) for order in plan.order.reshape(4, 48)}) > 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keys": 0}, "keys must be an integer >= 1; got 0"),
        ({"exact": -1}, "exact must be a non-negative integer or None; got -1"),
        ({"rows": 0}, "rows must be an integer >= 1 or None; got 0"),
        ({"uniform": 0.0}, r"uniform must lie in \(0, 1\]; got 0.0"),
    ],
)
def test_parameters_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        HeavyPlusSampled(**fields)


def test_the_oracle_refuses_them_too():
    with pytest.raises(ValueError, match="keys must be"):
        OptimalHeavyPlusSampled(0)
    with pytest.raises(ValueError, match="exact must be"):
        OptimalHeavyPlusSampled(exact=-2)


@pytest.mark.parametrize("method", BOTH)
def test_a_generator_is_needed(method):
    with pytest.raises(TypeError, match=method.__name__):
        method(8)(problem())


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "optimal", "estimated"), [(3, 0.39, 0.45), (5, 0.15, 0.155)])
def test_errors_on_real_heads(layer, optimal, estimated):
    """At a quarter of the keys; the optimal probabilities without exact keys have 0.47 and 0.27 or more."""
    target = load_sample(layer).problem()
    sizes = np.linalg.norm(target.output, axis=(-2, -1))

    def error(method):
        apart = [
            np.linalg.norm(run(method, target, s).output - target.output, axis=(-2, -1)) / sizes for s in (0, 1, 2)
        ]
        return np.median(np.mean(apart, axis=0))

    assert error(OptimalHeavyPlusSampled(128)) < optimal
    assert error(HeavyPlusSampled(128)) < estimated
    assert error(ColumnSampling(128, normalise=True)) > 1.2 * optimal
