"""Landmarks: their means, the formula, its limits, and the bracket of the mass."""

import itertools

import numpy as np
import pytest
from fixtures import relative_output

from tnattn.arrays import to_host
from tnattn.attention import masks
from tnattn.attention.low_rank.nystromformer import Nystromformer, segment_means
from tnattn.attention.masks import UnsupportedMask
from tnattn.attention.problem import AttentionProblem


def problem(*, n_q=20, n_k=20, size=1.0, dtype="float64", as_=np.asarray, smooth=False, **options):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, h, n, d)) for h, n, d in ((4, n_q, 4), (2, n_k, 4), (2, n_k, 3)))
    if smooth:
        q, k, v = (np.cumsum(x, axis=-2) / np.sqrt(x.shape[-2]) for x in (q, k, v))
    q, k, v = (x.astype(dtype) for x in (size * q, k, v))
    return AttentionProblem(as_(q), as_(k), as_(v), **options)


def softmax(scores):
    kernel = np.exp(scores - scores.max(-1, keepdims=True))
    return kernel / kernel.sum(-1, keepdims=True)


@pytest.mark.parametrize(("n", "segments"), [(12, 4), (13, 4), (7, 7), (5, 1), (9, 8)])
def test_segment_means_are_means_of_consecutive_rows(n, segments):
    x = np.random.default_rng(0).standard_normal((2, n, 3))
    bounds = [s * n // segments for s in range(segments + 1)]
    expected = np.stack([x[:, a:b].mean(-2) for a, b in itertools.pairwise(bounds)], axis=-2)
    np.testing.assert_allclose(segment_means(x, segments), expected, atol=1e-14)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_output_is_the_formula(normalise):
    target = problem()
    q, k, v = target.q, np.repeat(target.k, 2, axis=1), np.repeat(target.v, 2, axis=1)
    landmarks_q, landmarks_k = segment_means(q, 5), segment_means(k, 5)
    t = lambda x: np.swapaxes(x, -1, -2)  # noqa: E731
    f1, core, f2 = (softmax(a @ t(b) / 2) for a, b in ((q, landmarks_k), (landmarks_q, landmarks_k), (landmarks_q, k)))
    expected = f1 @ np.linalg.pinv(core) @ f2
    if normalise:
        expected = expected / expected.sum(-1, keepdims=True)
    found = Nystromformer(5, iterations=None, normalise=normalise)(target)
    np.testing.assert_allclose(found.output, expected @ v, atol=1e-9)
    np.testing.assert_allclose(found.weights.to_dense().reshape(2, 4, 20, 20), expected, atol=1e-9)


@pytest.mark.parametrize("softcap", [None, 2.0])
def test_as_many_landmarks_as_tokens_are_exact(softcap):
    target = problem(softcap=softcap)
    np.testing.assert_allclose(Nystromformer(99, iterations=None)(target).output, target.output, atol=1e-9)
    np.testing.assert_allclose(Nystromformer(20, iterations=40)(target).output, target.output, atol=1e-6)


def test_six_steps_are_not_exact():
    target = problem()
    assert relative_output(Nystromformer(20)(target), target) > 1e-3


def test_more_landmarks_err_less_on_smooth_sequences():
    target = problem(n_q=64, n_k=64, smooth=True)
    errors = [relative_output(Nystromformer(m)(target), target) for m in (2, 8, 32)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.2


def test_rows_sum_to_one_where_asked_for():
    target = problem()
    ones = AttentionProblem(target.q, target.k, np.ones_like(target.v))
    np.testing.assert_allclose(Nystromformer(5, iterations=2, normalise=True)(ones).output, 1, rtol=1e-12)
    assert np.abs(Nystromformer(5, iterations=2)(ones).output - 1).max() > 1e-3


@pytest.mark.parametrize(("n_q", "n_k"), [(1, 1), (1, 7), (13, 7), (7, 13)])
def test_any_length_runs(n_q, n_k):
    target = problem(n_q=n_q, n_k=n_k)
    found = Nystromformer(5)(target)
    assert found.output.shape == (2, 4, n_q, 3)
    assert np.isfinite(found.output).all()


def test_the_mass_estimate_lies_in_its_bracket():
    target = problem()
    ratio = target.weights.log_mass - Nystromformer(5)(target).log_mass
    scores = target.dense_scores().reshape(2, 2, 2, 20, 5, 4)
    reach = (scores.max(-1) - scores.min(-1)).max(-1)
    assert (ratio >= -1e-12).all()
    assert (ratio <= reach**2 / 8 + 1e-12).all()
    assert (ratio > 0.01).any()


def test_halves_of_the_keys_merge_to_softmax():
    target = problem(n_q=20)
    rows, parts = slice(0, 20), (slice(0, 8), slice(8, 20))
    pieces = [AttentionProblem(target.q, target.k[..., p, :], target.v[..., p, :]) for p in parts]
    assert rows.stop == target.n_q

    def merged(m):
        first, second = (Nystromformer(m, iterations=None)(piece).placed(p, 20) for piece, p in zip(pieces, parts))
        return np.abs((first + second).log_mass - target.weights.log_mass).max()

    assert merged(12) < 1e-9 < merged(4)


def test_batch_mates_do_not_meet():
    target = problem()
    k = target.k.copy()
    k[1] *= 50
    mate = AttentionProblem(target.q, k, target.v)
    found, alone = (Nystromformer(5)(x).output[0] for x in (mate, target))
    np.testing.assert_allclose(found, alone, atol=1e-13)  # whether exp is shifted is decided for the whole batch


def test_one_vector_added_to_all_keys_changes_nothing():
    target = problem()
    moved = AttentionProblem(target.q, target.k + np.array([3.0, -2.0, 0.0, 1.0]), target.v)
    np.testing.assert_allclose(Nystromformer(5)(moved).output, Nystromformer(5)(target).output, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_scores_stay_finite(dtype):
    found = Nystromformer(5)(problem(size=1e4, dtype=dtype)).output
    assert found.dtype == dtype
    assert np.isfinite(found).all()


def test_a_ridge_damps():
    target = problem()
    sizes = [
        np.linalg.norm(to_host(Nystromformer(12, iterations=None, ridge=r)(target).values)) for r in (0.0, 0.01, 0.3)
    ]
    assert sizes == sorted(sizes, reverse=True)


def test_every_ring_gives_the_same(xp, assert_close):
    expected = xp.asarray(Nystromformer(4)(problem()).output)
    assert_close(Nystromformer(4)(problem(as_=xp.asarray)).output, expected, rtol=0, atol=2e4 * xp.eps())


def test_masks_are_refused():
    with pytest.raises(UnsupportedMask, match="Nystromformer does not honour CausalMask"):
        Nystromformer()(problem(mask=masks.CausalMask()))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"landmarks": 0}, "landmarks must"),
        ({"iterations": -1}, "iterations must"),
        ({"iterations": None, "ridge": 1.0}, "ridge must lie"),
        ({"ridge": 0.1}, "needs iterations=None"),
    ],
)
def test_impossible_parameters_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Nystromformer(**options)


def test_the_cost_is_linear_in_the_tokens():
    cost = [Nystromformer(4).cost(problem(n_q=n, n_k=n)).flops for n in (100, 200, 300)]
    assert cost[2] - cost[1] == cost[1] - cost[0] == 2 * 4 * 4 * 200 * (4 + 3 + 1)


def test_segments_of_unequal_length_forget_what_stands_before_them():
    x = np.array([1e17, 0.0, 1.0, 2.0, 3.0])[:, None]
    assert segment_means(x, 3)[:, 0].tolist() == [1e17, 0.5, 2.5]


@pytest.mark.parametrize(("segments", "error"), [(0, ValueError), (6, ValueError), (True, TypeError), (2.0, TypeError)])
def test_impossible_segments_are_refused(segments, error):
    with pytest.raises(error, match="segments is"):
        segment_means(np.ones((5, 2)), segments)
