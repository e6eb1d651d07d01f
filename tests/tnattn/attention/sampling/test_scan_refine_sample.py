"""Every row has a bound that holds, whatever the scores, the mask, the precision of the keys and the values."""

import dataclasses

import numpy as np
import pytest
from fixtures import run

from tnattn.arrays import to_host
from tnattn.attention.certified import CertifiedApproximation
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, FullMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling import scan_refine_sample
from tnattn.attention.sampling.covering_ball import covering_balls
from tnattn.attention.sampling.refined_tile import Refinement
from tnattn.attention.sampling.rounded_keys import RoundedKeys
from tnattn.attention.sampling.scan_refine_sample import ScanRefineSample
from tnattn.gallery import problems
from tnattn.models.sample import load_sample

SEEN = np.random.default_rng(1).random((4, 40, 40)) < 0.3
BIAS = np.random.default_rng(2).standard_normal((4, 40, 40))
MASKS = [
    FullMask(),
    CausalMask(),
    PaddingMask(19),
    SlidingWindowMask(6, 0),
    ExplicitMask(SEEN),
    BiasMask(BIAS),
    CausalMask() & PaddingMask(30),
]


def problem(mask=FullMask(), *, as_=np.asarray, n=40, d=6, heads=4, scale=1.0, seed=0, dtype="f8"):
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal((h, n, w)).astype(dtype) for h, w in ((heads, d), (2, d), (2, 5)))
    return AttentionProblem(as_(q), as_(k), as_(v), mask=mask, scale=scale)


def errors(result, target):
    """Return errors and bounds of all rows, where the exact output is finite."""
    exact = to_host(target.output)
    found = np.linalg.norm(to_host(result.output) - exact, axis=-1)
    bounds = to_host(result.bounds)
    assert bounds.shape == found.shape
    assert not np.isnan(bounds).any()
    return np.where(np.isnan(found), np.inf, found), bounds


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: type(mask).__name__)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_no_row_exceeds_its_bound(mask, bits):
    for scale in (0.3, 3.0):
        target = problem(mask, scale=scale)
        result = run(ScanRefineSample(10, bits=bits), target)
        assert isinstance(result, CertifiedApproximation)
        found, bounds = errors(result, target)
        assert (found <= bounds).all()


def test_bounds_are_not_vacuous():
    target = problem(scale=2.0)
    found, bounds = errors(run(ScanRefineSample(24), target), target)
    size = np.sqrt((target.output**2).sum(-1).mean())
    assert np.median(bounds) < 0.05 * size
    assert (found > 0.02 * bounds).any()  # a bound fifty times smaller is refuted


def test_few_bits_must_not_certify_falsely():
    """Errors of scores about 10: the bounds of most rows are those of the ball around all values."""
    target = problem(scale=10.0, d=16)
    found, bounds = errors(run(ScanRefineSample(4, bits=2), target), target)
    assert (found <= bounds).all()
    assert np.median(bounds) > 0.5 * np.linalg.norm(target.v, axis=-1).max()


@pytest.mark.parametrize("bits", [2, 8])
def test_scores_up_to_fifty(bits):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        q, k = rng.uniform(-1, 1, (2, 2, 30, 8))
        scale = 50 / np.abs(q @ k.mT).max()
        target = AttentionProblem(q, k, rng.standard_normal((2, 30, 3)), scale=scale)
        found, bounds = errors(run(ScanRefineSample(5, bits=bits), target), target)
        assert (found <= bounds).all()


@pytest.mark.parametrize("fields", [{"keys": 3}, {"keys": 20, "samples": 10}], ids=str)
def test_ties_are_no_trouble(fields):
    q, k = np.ones((2, 2, 30, 4))
    target = AttentionProblem(q, k, np.random.default_rng(0).standard_normal((2, 30, 3)))
    found, bounds = errors(run(ScanRefineSample(**fields), target), target)
    assert (found <= bounds).all()


def test_one_key_is_the_output():
    target = problem(n=1)
    found, bounds = errors(run(ScanRefineSample(), target), target)
    assert (found <= bounds).all()
    assert bounds.max() < 1e-12


@pytest.mark.parametrize("keys", [40, 100])
def test_without_a_tail_the_output_is_exact(keys):
    target = problem()
    found, bounds = errors(run(ScanRefineSample(keys), target), target)
    assert found.max() < 1e-13
    assert bounds.max() < 1e-11


def test_a_planted_key_whose_score_the_scan_misses_is_covered():
    """Rounding takes the large score of one key away, which its residual shows."""
    q, k, v = np.zeros((3, 1, 50, 3))
    k[0, 31] = [1000.0, 400.0, 0.0]  # 2 bits: the second entry is rounded to zero
    k[..., 2] = 1.0
    q[..., 1] = 0.1
    v[0, 31] = 10.0
    target = AttentionProblem(q, k, v, scale=1.0)
    rounded = RoundedKeys.of(target, 2)
    assert rounded.exact.dense_scores()[0, 0].argmax() == 31
    assert rounded.rounded.dense_scores()[0, 0].argmax() != 31
    for keys in (1, 2, 10):
        found, bounds = errors(run(ScanRefineSample(keys, bits=2), target), target)
        assert (found <= bounds).all()


def test_endless_errors_fall_back_to_the_ball():
    target = problem()
    keys = RoundedKeys.of(target, 8)
    keys = dataclasses.replace(keys, errors=np.full_like(keys.errors, np.inf))
    balls = covering_balls(target, target.values)
    refinement = Refinement.of(keys, balls, target.values, 5, np.full((2, 2, 40, 5), 0.5), 20.0)
    with np.errstate(all="ignore"):
        tile = refinement.tile((slice(0, 40), slice(0, 40)))
    output = tile.numerators / tile.denominators[..., None]
    np.testing.assert_allclose(output, np.broadcast_to(balls.centres, output.shape))
    np.testing.assert_allclose(tile.bounds, np.broadcast_to(balls.radius, tile.bounds.shape), rtol=1e-9)


def sampled(target, *, samples, level=8.0, refined=4):
    """Return the tile of all rows with a sample wherever that is allowed."""
    keys, balls = RoundedKeys.of(target, 8), covering_balls(target, target.values)
    draws = np.random.default_rng(3).random((*target.batch, target.n_q, samples))
    refinement = Refinement.of(keys, balls, target.values, refined, draws, level)._replace(promise=1e-6)
    return refinement.tile((slice(0, target.n_q), slice(0, target.n_k)))


def test_a_sample_of_a_diffuse_tail_has_the_smaller_bound():
    target = problem(n=1200, heads=2, scale=0.05)
    target = AttentionProblem(target.q[:, :6], target.k, target.v, scale=0.05)
    tile = sampled(target, samples=900)
    output = target.ungroup(tile.numerators / tile.denominators[..., None])
    found, bounds = np.linalg.norm(output - target.output, axis=-1), tile.bounds.reshape(2, 6)
    assert (found <= bounds).all()
    assert (tile.weights[..., -1] == 0).all()  # no mass for the centre: the sample was chosen
    method = ScanRefineSample(904, samples=900)
    result = run(method, target)
    assert result.failure == 1e-3
    assert (errors(result, target)[1] < 0.9 * errors(run(ScanRefineSample(904, samples=0), target), target)[1]).all()


def test_draws_and_levels_matter_where_a_sample_is_drawn():
    target = problem(n=1200, heads=2, scale=0.05)
    target = AttentionProblem(target.q[:, :3], target.k, target.v, scale=0.05)
    plain = run(ScanRefineSample(904, samples=900), target)
    for other in (
        run(ScanRefineSample(904, samples=900), target, seed=1),
        run(ScanRefineSample(904, samples=900, failure=0.1), target),
        run(ScanRefineSample(904, samples=900, attempt=9), target),
        run(ScanRefineSample(904, samples=880), target),
    ):
        assert (to_host(other.bounds) != to_host(plain.bounds)).all()
    wider = run(ScanRefineSample(904, samples=900, attempt=9), target)
    assert (wider.bounds > plain.bounds).all()


def test_weights_over_the_keys_give_the_output():
    for mask in (FullMask(), CausalMask()):
        target = problem(mask)
        result = run(ScanRefineSample(8), target)
        product = to_host(target.ungroup(result.weights @ target.values))
        np.testing.assert_allclose(product, result.output, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mask", [FullMask(), CausalMask()], ids=repr)
def test_the_mass_lies_between_that_of_the_exact_keys_and_its_upper_bound(mask):
    target = problem(mask)
    result = run(ScanRefineSample(12), target)
    share = np.exp(to_host(result.log_mass - target.weights.log_mass))
    assert (share >= 1 - 1e-12).all()
    assert (share < 1.5).all()


def test_blocks_of_queries_are_stacked(monkeypatch):
    target = problem(CausalMask())
    whole = run(ScanRefineSample(8), target)
    monkeypatch.setattr(scan_refine_sample, "_SCORES", 40 * 4 * 7)
    parts = run(ScanRefineSample(8), target)
    np.testing.assert_allclose(parts.output, whole.output, rtol=1e-12)
    np.testing.assert_allclose(parts.bounds, whole.bounds, rtol=1e-9)


@pytest.mark.parametrize("exponent", [-100, 100])
def test_values_of_any_size(exponent):
    target = problem(dtype="f4")
    scaled = AttentionProblem(target.q, target.k, target.v * np.float32(2.0**exponent), scale=1.0)
    plain, other = (run(ScanRefineSample(8), x) for x in (target, scaled))
    np.testing.assert_allclose(other.bounds * np.float32(2.0**-exponent), plain.bounds, rtol=1e-5)
    assert other.bounds.dtype == np.float32


def test_rows_without_keys_are_zero_and_exact():
    seen = np.ones((40, 40), bool)
    seen[7] = False
    target = problem(ExplicitMask(seen))
    result = run(ScanRefineSample(8), target)
    np.testing.assert_array_equal(result.output[:, 7], 0)
    np.testing.assert_array_equal(result.bounds[:, 7], 0)
    np.testing.assert_array_equal(result.bad_rows, 0)


def test_scores_that_overflow_have_no_bound():
    target = problem(dtype="f4")
    q = target.q.copy()
    q[:, 3] = 3e38
    with np.errstate(all="ignore"):
        result = run(ScanRefineSample(8), AttentionProblem(q, target.k * 10, target.v))
        np.testing.assert_array_equal(result.bad_rows > 0, np.isinf(result.bounds).any(-1))


def test_every_ring_runs(xp, assert_close):
    target = problem(CausalMask(), as_=xp.asarray)
    result = run(ScanRefineSample(8), target)
    found, bounds = errors(result, target)
    assert (found <= bounds).all()
    if xp.dtype == "float64":
        assert_close(
            result.output, xp.asarray(run(ScanRefineSample(8), problem(CausalMask())).output), rtol=0, atol=1e-10
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keys": 0}, "keys must be an integer >= 1"),
        ({"samples": -1}, "samples must be a non-negative integer or None"),
        ({"bits": 9}, "bits must be an integer from 2 to 8; got 9"),
        ({"bits": 1}, "bits must be an integer from 2 to 8; got 1"),
        ({"failure": 1.0}, r"failure must be a probability in \(0, 1\); got 1.0"),
        ({"attempt": 0}, "attempt must be an integer >= 1"),
    ],
)
def test_parameters_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ScanRefineSample(**fields)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(problems()))
def test_no_row_of_the_gallery_exceeds_its_bound(name):
    target = problems()[name](60, 8, 4, 2, rng=np.random.default_rng(0))
    for method in (ScanRefineSample(12), ScanRefineSample(40, samples=30), ScanRefineSample(30, bits=4)):
        with np.errstate(all="ignore"):
            found, bounds = errors(run(method, target), target)
        assert (found <= bounds).all()


@pytest.mark.slow
@pytest.mark.parametrize("layer", [1, 5])
def test_no_row_of_real_heads_exceeds_its_bound(layer):
    """And the bounds fall: the median head of layer 5 is certified to 0.2 with five keys of six."""
    target = load_sample(layer).problem()
    size = np.sqrt((target.output**2).sum(-1).mean(-1))
    typical = []
    for keys in (128, 256, 448):
        found, bounds = errors(run(ScanRefineSample(keys), target), target)
        assert (found <= bounds).all()
        typical.append(np.median(np.sqrt((bounds**2).mean(-1)) / size))
    if layer == 5:
        assert typical[2] < 0.2


@pytest.mark.slow
def test_samples_cover_at_their_level():
    """Level e^-8 for each of 1200 rows, from tails of which a third is drawn: none may fail."""
    target = problem(n=600, heads=2, scale=0.1)
    tile = sampled(target, samples=200)
    drawn = tile.weights[..., -1] == 0
    output = target.ungroup(tile.numerators / tile.denominators[..., None])
    found = np.linalg.norm(output - target.output, axis=-1)
    assert (found <= tile.bounds.reshape(2, 600)).all()
    assert drawn.any()
