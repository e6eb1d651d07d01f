"""Exact attention against softmax written out, and what the door refuses."""

import tracemalloc

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.masks import Bias, Causal, Explicit, Full, Padding, SlidingWindow
from tnattn.attention.problem import AttentionProblem

RNG = np.random.default_rng(7)
ALLOWED = RNG.random((4, 9, 13)) > 0.4
ALLOWED[:, 3] = False
BIAS = RNG.standard_normal((9, 13))
BIAS[2, 5] = -np.inf


def arrays(seed=0, *, n_q=9, n_k=13, heads=4, groups=2, batch=(2,), d=5, dtype="float64"):
    rng = np.random.default_rng(seed)
    shapes = [(*batch, heads, n_q, d), (*batch, groups, n_k, d), (*batch, groups, n_k, 3)]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def naive(q, k, v, *, allowed=True, bias=0.0, scale=None, softcap=None):
    """Softmax attention in float64, key heads repeated, one formula after the other."""
    q, k, v = (x.astype("float64") for x in (q, k, v))
    ratio = q.shape[-3] // k.shape[-3]
    k, v = (np.repeat(x, ratio, axis=-3) for x in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (scale or q.shape[-1] ** -0.5)
    scores = softcap * np.tanh(scores / softcap) if softcap else scores
    scores = np.where(allowed, scores + bias, -np.inf)
    top = scores.max(-1, keepdims=True)
    kernel = np.exp(scores - np.where(np.isfinite(top), top, 0))
    mass = kernel.sum(-1, keepdims=True)
    return kernel @ v / np.where(mass > 0, mass, 1)


def position(n_q=9, n_k=13):
    return np.arange(n_q)[:, None] + n_k - n_q - np.arange(n_k)[None, :]


CASES = {
    "full": (Full(), True, 0.0),
    "causal": (Causal(), position() >= 0, 0.0),
    "window": (SlidingWindow(3, 1), (position() <= 3) & (position() >= -1), 0.0),
    "padding": (Padding(6), np.arange(13) < 6, 0.0),
    "explicit": (Explicit(ALLOWED), ALLOWED, 0.0),
    "bias": (Bias(BIAS), True, BIAS),
    "conjunction": (Causal() & Padding(9) & Bias(BIAS), (position() >= 0) & (np.arange(13) < 9), BIAS),
}


@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("case", CASES)
def test_output_is_softmax_written_out(case, softcap):
    mask, allowed, bias = CASES[case]
    q, k, v = arrays()
    found = AttentionProblem(q, k, v, mask=mask, softcap=softcap).output
    np.testing.assert_allclose(found, naive(q, k, v, allowed=allowed, bias=bias, softcap=softcap), rtol=0, atol=1e-14)


def test_padding_may_differ_within_the_batch():
    q, k, v = arrays()
    found = AttentionProblem(q, k, v, mask=Padding(np.array([4, 13]))).output
    allowed = np.arange(13) < np.array([4, 13])[:, None, None, None]
    np.testing.assert_allclose(found, naive(q, k, v, allowed=allowed), rtol=0, atol=1e-14)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_head_h_reads_key_head_h_over_the_ratio(groups):
    q, k, v = arrays(groups=groups)
    np.testing.assert_allclose(AttentionProblem(q, k, v).output, naive(q, k, v), rtol=0, atol=1e-14)


def test_another_assignment_of_heads_gives_another_output():
    q, k, v = arrays()
    assert np.abs(AttentionProblem(q, k, v).output - naive(q, k[:, ::-1], v[:, ::-1])).max() > 0.1


def test_output_is_that_of_every_ring(xp, assert_close):
    q, k, v = arrays()
    found = AttentionProblem(*(xp.asarray(x) for x in (q, k, v)), mask=Causal()).output
    assert_close(found, xp.asarray(naive(q, k, v, allowed=position() >= 0)), rtol=0, atol=30 * xp.eps())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1.0, 1e2, 1e4])
def test_large_scores_neither_overflow_nor_lose_the_row(size, dtype):
    q, k, v = arrays(dtype=dtype)
    q = (q * np.asarray(size / np.abs(q).max(), dtype=dtype)).astype(dtype)
    found = AttentionProblem(q, k, v, scale=1.0).output
    # a score of this size carries an error of size * eps, and softmax passes it on with a factor of two at most
    atol = 20 * np.finfo(dtype).eps * max(1.0, size) * np.abs(k).max()
    assert found.dtype == dtype
    np.testing.assert_allclose(found, naive(q, k, v, scale=1.0), rtol=0, atol=min(atol, 0.05))


def test_rows_without_keys_are_zero_and_counted():
    q, k, v = arrays(batch=())
    problem = AttentionProblem(q, k, v, mask=Explicit(ALLOWED))
    assert problem.empty_rows == 4
    np.testing.assert_array_equal(problem.output[:, 3], 0)
    assert np.abs(problem.output[:, 2]).min() > 0


def test_adjoint_products_are_those_of_the_transpose():
    q, k, v = arrays()
    problem = AttentionProblem(q, k, v, mask=Causal())
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 2, 2, 13, 4)), rng.standard_normal((2, 2, 2, 9, 4))
    left = np.sum((problem.weights @ x) * y)
    np.testing.assert_allclose(left, np.sum(x * (problem.weights.mT @ y)), rtol=1e-13)


def test_rows_on_demand_are_rows_of_the_weights():
    problem = AttentionProblem(*arrays(), mask=Causal())
    picked = np.array([7, 0, 3])
    np.testing.assert_allclose(problem.rows(picked), problem.dense_weights()[..., picked, :], atol=1e-15)


def test_gathered_scores_are_entries_of_the_scores():
    problem = AttentionProblem(*arrays(), mask=Causal(), softcap=2.0)
    indices = np.random.default_rng(0).integers(0, 13, (2, 2, 2, 9, 6))
    expected = np.take_along_axis(problem.dense_scores().reshape(2, 2, 2, 9, 13), indices, axis=-1)
    np.testing.assert_allclose(problem.gathered_scores(indices), expected, atol=1e-14)


def test_memory_of_the_output_does_not_grow_like_the_square():
    q, k, v = arrays(n_q=4096, n_k=4096, heads=2, groups=2, batch=(), d=16, dtype="float32")
    problem = AttentionProblem(q, k, v)
    tracemalloc.start()
    assert problem.output.shape == (2, 4096, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.25 * 2 * 4096**2 * 4


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda q, k, v: (q.astype(int), k, v), TypeError, "q has dtype int64"),
        (lambda q, k, v: (q, k[..., :4], v), ValueError, "width"),
        (lambda q, k, v: (q, k, v[..., :5, :]), ValueError, "must agree"),
        (lambda q, k, v: (q[:, :3], k, v), ValueError, "3 query heads"),
        (lambda q, k, v: (q.astype("float32"), k, v), TypeError, "dtypes"),
        (lambda q, k, v: (q[0, 0], k[0, 0], v[0, 0]), ValueError, "add a head axis"),
        (lambda q, k, v: (q, np.where(k > 2, np.nan, k), v), ValueError, "k holds"),
        (lambda q, k, v: (q[..., :0, :], k, v), ValueError, "empty"),
    ],
)
def test_the_door_says_what_is_wrong(change, error, words):
    with pytest.raises(error, match=words):
        AttentionProblem(*change(*arrays()))


def test_a_word_in_place_of_a_mask_is_refused():
    with pytest.raises(TypeError, match="such as Causal"):
        AttentionProblem(*arrays(), mask="causal")


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_must_be_positive(scale):
    with pytest.raises(ValueError, match="scale must be a positive number"):
        AttentionProblem(*arrays(), scale=scale)


def test_finiteness_may_be_left_unchecked():
    q, k, v = arrays()
    v[0, 0, 0, 0] = np.inf
    problem = AttentionProblem(q, k, v, check_finite=False)
    assert not np.isfinite(to_host(problem.output)).all()
