"""Kept keys and a sampled tail: the bound holds as often as stated, and is infinite where its hypotheses fail."""

import numpy as np
import pytest
import scipy.stats

from tnattn.arrays import to_host
from tnattn.attention.sampled_tail import DrawnTail, KeptPart, level_of, sampled_tail

RNG = np.random.default_rng(0)
N, D_V = 300, 4


def attention(scores, v):
    p = np.exp(scores - scores.max())
    return p / p.sum() @ v


def instance(spread=1.0, width=0.1, kept=10, seed=0):
    """Scores, their approximations and values of one row, the kept keys first."""
    rng = np.random.default_rng(seed)
    scanned = np.sort(spread * rng.standard_normal(N))[::-1]
    return scanned + width * rng.uniform(-1, 1, N), scanned, rng.standard_normal((N, D_V)), kept


def certified(scores, scanned, v, kept, *, m, rows, width=0.1, level=5.0, xp=np, **options):
    rng = np.random.default_rng(1)
    tail = np.exp(scanned[kept:])
    index = kept + rng.choice(N - kept, size=(rows, m), p=tail / tail.sum())
    r = attention(scores[:kept], v[:kept]) if kept else np.zeros(D_V)
    radius = np.linalg.norm(v, axis=-1).max()
    one = np.ones(rows)
    with np.errstate(divide="ignore"):
        part = KeptPart(np.log(np.exp(scores[:kept]).sum()) * one, r * one[:, None], (np.linalg.norm(r) + radius) * one)
        drawn = DrawnTail(np.log(tail.sum()) * one, width * one, (scores - scanned)[index], v[index])
    moved = [type(p)(*(xp.asarray(x) for x in p)) for p in (part, drawn)]
    return [to_host(x).astype(np.float64) for x in sampled_tail(*moved, level=level, **options)]


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("kept", [0, 10])
def test_the_bound_holds(xp, kept, spectral):
    scores, scanned, v, _ = instance()
    output, error = certified(scores, scanned, v, kept, m=400, rows=4, xp=xp, spectral=spectral)
    observed = np.linalg.norm(output - attention(scores, v), axis=-1)
    assert np.all(observed <= error)
    assert np.all(error < 2 * np.linalg.norm(v, axis=-1).max())


def test_more_draws_tighten_the_bound_and_the_eigenvalue_helps():
    case = instance()
    errors = [certified(*case, m=m, rows=8)[1].mean() for m in (100, 400, 1600)]
    assert errors[0] > 1.8 * errors[1] > 3 * errors[2]
    assert (
        certified(*case, m=400, rows=8, spectral=True)[1].mean()
        < certified(*case, m=400, rows=8, spectral=False)[1].mean()
    )


@pytest.mark.slow
@pytest.mark.parametrize("m", [16, 64, 256])
@pytest.mark.parametrize("spread", [0.3, 2.0])
def test_coverage(spread, m):
    scores, scanned, v, kept = instance(spread)
    output, error = certified(scores, scanned, v, kept, m=m, rows=500, level=level_of(0.05))
    missed = np.count_nonzero(np.linalg.norm(output - attention(scores, v), axis=-1) > error)
    assert scipy.stats.binom.sf(missed - 1, 500, 0.05) > 1e-6


def test_a_tenth_of_the_bound_is_missed():
    """The control."""
    scores, scanned, v, kept = instance()
    output, error = certified(scores, scanned, v, kept, m=64, rows=300, level=level_of(0.05))
    missed = np.count_nonzero(np.linalg.norm(output - attention(scores, v), axis=-1) > error / 10)
    assert scipy.stats.binom.sf(missed - 1, 300, 0.05) < 1e-6


def test_wide_intervals_never_certify_falsely():
    """Keys in four bits: half widths of three. Dividing by a corrected denominator without its sign would certify."""
    scores, scanned, v, kept = instance(1.0, 3.0)
    output, error = certified(scores, scanned, v, kept, m=64, rows=100, width=3.0)
    observed = np.linalg.norm(output - attention(scores, v), axis=-1)
    assert np.all(observed <= error)
    ratio = np.exp(3.0) - np.exp(-3.0)
    unsigned = 1 - ratio * np.sqrt(5.0 / 128)  # the correction of the denominator without the kept mass
    assert unsigned < 0
    assert np.all(error > np.linalg.norm(v, axis=-1).max())


def test_a_score_outside_its_interval_leaves_no_bound():
    """A false scan: the drawn ratios reveal it."""
    assert np.all(np.isinf(certified(*instance(width=0.5), m=200, rows=3, width=0.1)[1]))


@pytest.mark.parametrize("eta", [np.inf, np.nan])
def test_an_unknown_half_width_leaves_no_bound(eta):
    assert np.all(np.isinf(certified(*instance(), m=20, rows=2, width=eta)[1]))


def test_nothing_is_left_to_draw_where_all_keys_are_kept():
    r = np.ones((2, 3))
    drawn = DrawnTail(np.full(2, -np.inf), np.full(2, np.nan), np.zeros((2, 5)), np.full((2, 5, 3), np.nan))
    output, error = sampled_tail(KeptPart(np.zeros(2), r, np.ones(2)), drawn, level=3.0)
    assert error.tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(output, r)


def test_huge_masses_do_not_overflow():
    kept, drawn = KeptPart(np.full(1, 900.0), np.zeros((1, 1)), np.ones(1)), np.ones((1, 9, 1))
    found = sampled_tail(kept, DrawnTail(np.full(1, -900.0), np.zeros(1), np.zeros((1, 9)), drawn), level=3.0)
    assert found.error.tolist() == [0.0]


def test_looks_spend_no_more_than_the_failure_together():
    spent = [5 * np.exp(-level_of(0.01, look=t)) for t in range(1, 2000)]
    assert sum(spent) <= 0.01
    assert 5 * np.exp(-level_of(0.01)) == pytest.approx(0.01)


@pytest.mark.parametrize(("options", "match"), [({"rows": 0}, "rows"), ({"look": 0}, "look")])
def test_counts_begin_with_one(options, match):
    with pytest.raises(ValueError, match=match):
        level_of(0.01, **options)


def test_a_failure_is_a_probability():
    with pytest.raises(ValueError, match="failure is 1"):
        level_of(1.0)
