"""Linear attention against its own kernel, written out."""

import dataclasses

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.kernel.linear_attention import LinearAttention, elu_plus_one
from tnattn.attention.masks import CausalMask, PaddingMask, UnsupportedMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.summary import KeySet
from tnattn.attention.wrappers.causal import Causal
from tnattn.attention.wrappers.chunked import Chunked
from tnattn.attention.wrappers.sparse_plus import SparsePlus


def problem(seed=0, *, n_q=5, n_k=7, heads=4, groups=2, dtype="float64", as_=np.asarray, scale=None):
    rng = np.random.default_rng(seed)
    shapes = [(heads, n_q, 4), (groups, n_k, 4), (groups, n_k, 3)]
    return AttentionProblem(*(as_(rng.standard_normal(shape).astype(dtype)) for shape in shapes), scale=scale)


def written_out(target):
    ratio = target.heads // target.groups
    k, v = (np.repeat(to_host(x), ratio, axis=-3) for x in (target.k, target.v))
    q, root = to_host(target.q), np.sqrt(target.score_scale)
    phi_q, phi_k = (np.where(x > 0, x + 1, np.exp(x)) for x in (root * q, root * k))
    kernel = phi_q @ np.swapaxes(phi_k, -1, -2)
    return kernel / kernel.sum(axis=-1, keepdims=True) @ v


def test_it_is_exact_for_its_own_kernel():
    target = problem(scale=0.7)
    np.testing.assert_allclose(LinearAttention()(target).output, written_out(target), rtol=1e-12)


def test_it_is_not_softmax():
    target = problem()
    assert np.linalg.norm(LinearAttention()(target).output - target.output) > 0.1 * np.linalg.norm(target.output)


def test_the_feature_map_is_continuous_and_does_not_overflow():
    x = np.asarray([-1e6, -1.0, -1e-12, 0.0, 1e-12, 1e6])
    np.testing.assert_allclose(elu_plus_one(x), [0, np.exp(-1), 1, 1, 1, 1e6 + 1], rtol=1e-11)


def test_weights_times_values_are_the_output():
    target = problem()
    approximation = LinearAttention()(target)
    np.testing.assert_allclose(target.ungroup(approximation.weights @ target.values), approximation.output, rtol=1e-12)


def test_halves_merge_to_the_whole_exactly():
    target = problem()
    one, two = (
        LinearAttention()(target.rectangle(slice(0, 5), part)).placed(part, 7) for part in (slice(0, 3), slice(3, 7))
    )
    np.testing.assert_allclose((one + two).output, written_out(target), rtol=1e-12)


def test_a_state_grows_without_growing():
    target = problem()
    first = LinearAttention().summarise(KeySet.from_arrays(target.k[:, :3], target.v[:, :3]))
    grown = first.extend(target.k[:, 3:], target.v[:, 3:])
    np.testing.assert_allclose(grown.attend(target.q).output, written_out(target), rtol=1e-12)
    assert grown.nbytes == first.nbytes == 8 * 2 * (4 * 3 + 4)


def test_the_bias_of_a_mean_key_is_seen():
    """The waiver of P9 is needed."""
    target = problem()
    moved = dataclasses.replace(target, k=target.k + 2.0)
    assert np.abs(LinearAttention()(moved).output - LinearAttention()(target).output).max() > 1e-3


def test_huge_scores_stay_finite_or_are_counted():
    target = problem()
    approximation = LinearAttention()(dataclasses.replace(target, q=target.q * 1e4))
    finite = np.isfinite(approximation.output).all(axis=-1)
    np.testing.assert_array_equal((~finite).sum(axis=-1), approximation.bad_rows)
    hidden = LinearAttention()(dataclasses.replace(target, q=0 * target.q - 1e6))
    np.testing.assert_array_equal(hidden.bad_rows, 5)


def test_single_precision_agrees_with_double():
    single = LinearAttention()(problem(dtype="float32")).output
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, LinearAttention()(problem()).output, rtol=1e-4, atol=1e-5)


def test_it_runs_on_every_ring(xp, assert_close):
    target = problem(as_=xp.asarray)
    output = LinearAttention()(target).output
    assert type(output) is type(target.q)
    assert_close(to_host(output), written_out(problem()), rtol=200 * xp.eps(), atol=200 * xp.eps())


def test_a_mask_is_refused():
    with pytest.raises(UnsupportedMask, match="CausalMask"):
        LinearAttention()(dataclasses.replace(problem(), mask=CausalMask()))


def test_the_cost_is_linear_in_the_keys():
    """O(n d d_v), not O(n d^2): doubling the value width nearly doubles it, d enters once."""
    target = problem(heads=2)
    d, e = 4, 3
    assert LinearAttention().cost(target).flops == 2 * 2 * 7 * d * (e + 1) + 2 * 2 * 5 * d * (e + 1)
    assert LinearAttention().cost(target).peak_scalars == 2 * d * (e + 1) + d  # whatever the number of keys


def test_a_summary_says_that_queries_need_heads():
    rng = np.random.default_rng(0)
    k, v = rng.standard_normal((2, 2, 9, 4))
    summary = LinearAttention().summarise(KeySet.from_arrays(k, v))
    with pytest.raises(ValueError, match="add a head axis"):
        summary.attend(k[0])
    with pytest.raises(ValueError, match="3 query heads cannot be shared among 2"):
        summary.attend(rng.standard_normal((3, 5, 4)))


@pytest.mark.parametrize("leaf", [1, 2, 3, 64])
@pytest.mark.parametrize("inner", [LinearAttention(), Chunked(LinearAttention())], ids=["plain", "chunked"])
def test_the_causal_form_has_leaves_of_its_own_kernel(inner, leaf):
    target = dataclasses.replace(problem(n_q=7), mask=CausalMask())
    method = Causal(inner, leaf=leaf, leaks_queries=isinstance(inner, Chunked))
    rows = [problem(n_q=7) for _ in range(7)]
    expected = np.stack(
        [
            written_out(dataclasses.replace(rows[i], k=target.k[:, : i + 1], v=target.v[:, : i + 1]))[:, i]
            for i in range(7)
        ],
        axis=1,
    )
    found = method(target)
    np.testing.assert_allclose(found.output, expected, rtol=1e-12)
    np.testing.assert_allclose(found.weights.to_dense().sum(axis=-1), 1, rtol=1e-13)
    assert found.bad_rows.tolist() == [0] * 4


def test_two_identical_tokens_share_their_weight():
    q = np.ones((1, 2, 3))
    target = AttentionProblem(q, q, np.array([[[0.0], [1.0]]]), mask=CausalMask())
    assert Causal(LinearAttention(), leaf=1)(target).output.tolist() == [[[0.0], [0.5]]]


@pytest.mark.parametrize(
    "wrapper", [SparsePlus(far=LinearAttention()), SparsePlus(SlidingWindow(2), LinearAttention())]
)
def test_its_sums_are_not_mixed_with_those_of_softmax(wrapper):
    with pytest.raises(ValueError, match="cannot be merged; their sums are of different kernels"):
        wrapper(problem())


@pytest.mark.parametrize("mask", [None, CausalMask(), PaddingMask(3)])
def test_an_exact_piece_honours_its_mask(mask):
    target = problem(n_q=7) if mask is None else dataclasses.replace(problem(n_q=7), mask=mask)
    piece = LinearAttention().exact_piece(target)
    allowed = np.ones((7, 7)) if mask is None else np.exp(mask.additive(*np.ogrid[:7, :7], n_q=7, n_k=7, like=target.q))
    np.testing.assert_array_equal(piece.kernel.to_dense() > 0, np.broadcast_to(allowed > 0, (2, 2, 7, 7)))
    np.testing.assert_array_equal(piece.shift, 0)
