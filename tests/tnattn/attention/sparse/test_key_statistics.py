"""Statistics of keys: the transform truncates Q K^T optimally, and bits are distributed optimally."""

import itertools

import numpy as np
import pytest

from tnattn.attention.masks import CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.key_statistics import CodeSource, KeyStatistics, _filled, code_rank, second_moments
from tnattn.attention.sparse.normal_levels import normal_levels

RNG = np.random.default_rng(3)


def problem(n=40, d=6, heads=2, groups=2, **options):
    decay = 0.6 ** np.arange(d)
    q = RNG.standard_normal((heads, n, d)) @ RNG.standard_normal((d, d)) * decay
    k, v = RNG.standard_normal((2, groups, n, d)) * decay + 1.0
    return AttentionProblem(q, k, v, **options)


def test_moments_are_means_over_queries_and_keys_behind_the_sinks():
    given = problem(heads=4)
    found = KeyStatistics.of(given, sinks=4)
    apart = given.k[:, 4:] - given.k[:, 4:].mean(axis=1, keepdims=True)
    covariance = apart.mT @ apart / 36
    np.testing.assert_allclose((found.covariance * found.key_unit**2)[:, 0], covariance, rtol=1e-12)
    moment = np.mean(given.q.reshape(2, 80, 6)[..., None] * given.q.reshape(2, 80, 6)[..., None, :], axis=1)
    np.testing.assert_allclose((found.moment * found.query_unit**2)[:, 0], moment, rtol=1e-12)


def test_flags_leave_queries_and_keys_out():
    given = problem(n=30)
    seen = np.arange(30) < 20
    flagged = second_moments(given.queries, given.keys, sinks=2, queries_seen=seen, keys_seen=seen)
    cut = second_moments(given.queries[..., :20, :], given.keys[..., :20, :], sinks=2)
    for name in ("covariance", "moment"):
        unit = "key_unit" if name == "covariance" else "query_unit"
        a, b = (getattr(x, name) * getattr(x, unit) ** 2 for x in (flagged, cut))
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_without_queries_or_keys_a_code_still_exists():
    given = problem(n=3)
    none = np.zeros(3, dtype=bool)
    code = second_moments(given.queries, given.keys, sinks=4, queries_seen=none).code(bits=8)
    assert np.isfinite(code.encoder).all()
    assert (code.encode(given.keys).levels() @ code.dual.mT == 0).all()


@pytest.mark.parametrize("rank", [2, 4])
def test_the_transform_truncates_scores_as_their_singular_values_do(rank):
    given = problem(d=8)
    statistics = KeyStatistics.of(given, sinks=0)
    code = statistics.code(bits=2 * rank)
    assert code.rank == code_rank(2 * rank, 8) == rank + rank // 4
    apart = given.k - given.k.mean(axis=-2, keepdims=True)
    y = ((given.keys / code.key_unit - code.mean) @ code.encoder)[:, 0]
    scores, found = given.q @ apart.mT, code.coordinates(given.queries)[:, 0] @ y.mT
    spectrum = np.linalg.svd(scores, compute_uv=False)
    optimal = np.linalg.norm(spectrum[:, code.rank :], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(found - scores, axis=(-2, -1)), optimal, rtol=1e-6)
    assert (optimal > 0).all()


def test_coordinates_are_uncorrelated_with_unit_variance():
    given = problem()
    code = KeyStatistics.of(given, sinks=0).code(bits=9)
    y = ((given.keys / code.key_unit - code.mean) @ code.encoder)[:, 0]
    np.testing.assert_allclose(y.mT @ y / 40, np.broadcast_to(np.eye(5), (2, 5, 5)), atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bits", [1, 3, 6])
def test_no_other_distribution_of_bits_errs_less(seed, bits):
    variances = np.sort(np.random.default_rng(seed).exponential(size=3) ** 2)[::-1]
    distortions = np.array([normal_levels(b).distortion for b in range(7)])
    options = [b for b in itertools.product(range(7), repeat=3) if sum(b) == bits]
    errors = [np.sum(variances * distortions[list(b)]) for b in options]
    found = _filled(variances, bits)
    assert found.sum() == bits
    assert np.sum(variances * distortions[found]) == pytest.approx(min(errors), rel=1e-12)
    assert max(errors) > min(errors)


@pytest.mark.parametrize("bits", [1, 8, 32, 64, 1000])
def test_bits_add_up_and_none_exceeds_six(bits):
    code = KeyStatistics.of(problem(d=12)).code(bits)
    assert (code.bits.sum(axis=-1) == code.bits_per_key).all()
    assert code.bits_per_key == min(bits, 6 * code.rank)
    assert code.bits.max() <= 6
    assert (np.diff(code.bits, axis=-1) <= 0).all()  # coordinates of smaller variance have no more


def test_powers_of_two_change_nothing():
    given = problem()
    moved = AttentionProblem(given.q * 2.0**600, given.k * 2.0**-600, given.v)
    first, second = (KeyStatistics.of(x).code(16) for x in (given, moved))
    np.testing.assert_array_equal(first.bits, second.bits)
    np.testing.assert_allclose(first.encoder, second.encoder, rtol=1e-12)


def test_an_isotropic_query_fills_directions_that_one_query_lacks():
    given = problem(n=1)
    plain, filled = (second_moments(given.queries, given.keys, sinks=0, isotropic=x).moment for x in (0.0, 1.0))
    assert np.linalg.matrix_rank(plain).max() == 1
    assert np.linalg.matrix_rank(filled).min() == 6
    np.testing.assert_allclose(np.trace(filled, axis1=-2, axis2=-1), np.trace(plain, axis1=-2, axis2=-1))


@pytest.mark.parametrize("other", [{"d": 4}, {"groups": 1}])
def test_statistics_of_another_layer_are_refused(other):
    with pytest.raises(ValueError, match="take statistics of a problem of the same layer"):
        KeyStatistics.of(problem(**other)).require_fit(problem())
    KeyStatistics.of(problem(mask=CausalMask())).require_fit(problem())
    assert issubclass(KeyStatistics, CodeSource)


@pytest.mark.parametrize("bits", [0, -1])
def test_no_bits_are_refused(bits):
    with pytest.raises(ValueError, match="bits"):
        KeyStatistics.of(problem()).code(bits)
