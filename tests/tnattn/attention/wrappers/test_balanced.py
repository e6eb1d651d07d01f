"""Balanced coordinates leave exact attention as it is, and make approximations of it better."""

import numpy as np
import pytest
from fixtures import relative_output

from tnattn.arrays import to_host
from tnattn.attention import masks
from tnattn.attention.balanced_coordinates import balanced_coordinates
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.kernel.linear_attention import LinearAttention
from tnattn.attention.low_rank.nystromformer import Nystromformer
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.sparse.top_k import TopK
from tnattn.attention.wrappers.balanced import Balanced, balanced
from tnattn.attention.wrappers.causal import Causal
from tnattn.attention.wrappers.chunked import Chunked

EPS = float(np.finfo(float).eps)
WEIGHED = Chunked(Exact(), 3)  # exact, and takes no bias: its values carry the weights
rng = np.random.default_rng(0)
MASKS = {
    "full": masks.FullMask(),
    "causal": masks.CausalMask(),
    "window": masks.SlidingWindowMask(3, 1),
    "padding": masks.PaddingMask(11),
    "explicit": masks.ExplicitMask(rng.random((4, 13, 16)) < 0.5),
    "bias": masks.BiasMask(rng.standard_normal((13, 16))),
    "causal and padding": masks.CausalMask() & masks.PaddingMask(9),
}


def problem(*, n_q=13, n_k=16, d=5, size=1.0, mean=1.0, as_=np.asarray, **options):
    rng = np.random.default_rng(0)
    q, k = (rng.standard_normal((h, n, d)) + mean * rng.standard_normal(d) for h, n in ((4, n_q), (2, n_k)))
    spread = np.geomspace(5.0, 0.2, d)
    return AttentionProblem(as_(size * q * spread), as_(k / spread), as_(rng.standard_normal((2, n_k, 3))), **options)


@pytest.mark.parametrize("name", MASKS)
def test_exact_attention_is_unchanged_under_every_mask(name):
    target = problem(mask=MASKS[name])
    np.testing.assert_allclose(balanced(target).output, target.output, rtol=0, atol=100 * EPS)


@pytest.mark.parametrize("mask", [masks.FullMask(), masks.CausalMask()], ids=repr)
def test_exact_attention_is_unchanged_on_every_library(xp, assert_close, mask):
    expected = problem(mask=mask).output
    assert_close(balanced(problem(as_=xp.asarray, mask=mask)).output, expected, rtol=0, atol=500 * xp.eps())


def test_a_forgotten_key_bias_changes_attention():
    """The control."""
    target = problem()
    found = balanced(target)
    forgotten = AttentionProblem(found.q, found.k, found.v, scale=found.scale)
    assert np.abs(found.output - target.output).max() < 100 * EPS
    assert np.abs(forgotten.output - target.output).max() > 0.1


def test_halves_are_balanced_in_single_precision():
    target = problem(as_=lambda x: x.astype(np.float16))
    found = balanced(target)
    assert found.q.dtype == found.output.dtype == np.float32
    np.testing.assert_allclose(found.output, np.asarray(target.output, dtype=np.float32), atol=1e-3)


@pytest.mark.parametrize("method", [Exact(), TopK(16), WEIGHED], ids=repr)
@pytest.mark.parametrize("centre", [True, False])
def test_an_exact_method_stays_exact_with_its_mass(method, centre):
    target = problem()
    found = Balanced(method, centre=centre)(target)
    np.testing.assert_allclose(found.output, target.output, atol=100 * EPS)
    np.testing.assert_allclose(found.log_mass, target.weights.log_mass, rtol=1e-12)
    np.testing.assert_allclose(found.weights.to_dense(), target.weights.to_dense(), atol=100 * EPS)


def test_an_exact_method_stays_exact_on_every_library(xp, assert_close):
    found = Balanced(WEIGHED)(problem(as_=xp.asarray))
    assert_close(found.output, xp.asarray(problem().output), rtol=0, atol=500 * xp.eps())


def test_products_that_are_kept_are_those_of_the_kernel():
    found = Balanced(Performer(16))(problem(), rng=np.random.default_rng(0))
    columns = np.concatenate([found.values, found.mass[..., None]], axis=-1)
    products = found.kernel @ columns
    np.testing.assert_allclose(found.numerators, products[..., :-1], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.denominators, products[..., -1], rtol=1e-10)
    lifted = np.reshape(found.weights @ problem().values, (4, 13, 3))
    np.testing.assert_allclose(lifted, found.output, rtol=1e-9, atol=1e-12)


def test_pieces_of_halves_of_the_keys_merge_by_their_masses():
    target, rows = problem(), slice(0, 13)
    halves = [Balanced(WEIGHED)(target.rectangle(rows, part)).placed(part, 16) for part in (slice(0, 7), slice(7, 16))]
    np.testing.assert_allclose((halves[0] + halves[1]).output, target.output, atol=100 * EPS)


def test_weights_beyond_the_range_of_the_dtype_lose_no_key():
    """Half of the queries want the keys whose weights vanish in float32."""
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((1, 12, 2)), rng.standard_normal((1, 8, 2))
    q[0, :, 0] += np.tile([180.0, -60.0], 6)
    k[0, :, 0] = np.linspace(-5, 5, 8)
    target = AttentionProblem(*(x.astype(np.float32) for x in (q, k, rng.standard_normal((1, 8, 3)))))
    weights = np.exp(balanced_coordinates(target).key_bias)
    assert (weights == 0).any()  # the control: with all of the mean query
    np.testing.assert_allclose(Balanced(WEIGHED)(target).output, target.output, atol=1e-4)


def test_the_interpolation_of_segment_means_is_invariant_without_weights():
    target, method = problem(n_q=16), Nystromformer(4, iterations=None)
    assert relative_output(method(target), target) > 0.1
    np.testing.assert_allclose(Balanced(method, centre=False)(target).output, method(target).output, rtol=1e-9)


def test_features_of_balanced_tokens_are_better():
    target = problem(n_q=64, n_k=64)
    pairs = [
        [relative_output(m(target, rng=np.random.default_rng(s)), target) for m in (Performer(), Balanced())]
        for s in range(5)
    ]
    plain, ours = np.median(pairs, axis=0)
    assert ours < 0.7 * plain


def test_features_of_one_query_are_exact():
    q, k, v = (getattr(problem(n_q=1), name) for name in "qkv")
    target = AttentionProblem(q[::2], k, v)  # each key head has one query, which is its mean
    found = Balanced(Performer(8))(target, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.output, target.output, atol=1e-4)
    assert np.abs(Performer(8)(target, rng=np.random.default_rng(0)).output - target.output).max() > 0.01


@pytest.mark.parametrize("method", [Exact(), WEIGHED], ids=repr)
def test_the_stage_has_the_output_of_the_method(method):
    target = problem()
    inner, stage = Balanced(method).stages(target)[0]
    found = inner(stage).output
    if method is WEIGHED:
        found = found[..., :-1] / found[..., -1:] * 2.0 ** np.floor(np.log2(np.abs(target.v).max((-2, -1))))[0]
    np.testing.assert_allclose(found, target.output, atol=100 * EPS)


def test_a_causal_wrapper_refuses_statistics_of_later_queries_unless_asked():
    with pytest.raises(TypeError, match="leaks_queries=True"):
        Causal(Balanced(Performer()))
    target = problem(n_q=16, mask=masks.CausalMask())
    found = Causal(Balanced(WEIGHED), leaf=4, leaks_queries=True)(target)
    np.testing.assert_allclose(found.output, target.output, atol=100 * EPS)
    with pytest.raises(masks.UnsupportedMask, match="Balanced does not honour CausalMask"):
        Balanced(Exact())(target)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (LinearAttention(), {}, "LinearAttention replaces exp"),
        (Exact(), {"softcap": 3.0}, r"softcap=3\.0 makes the scores no inner products"),
    ],
    ids=["kernel", "softcap"],
)
def test_scores_of_another_form_are_refused_by_name(method, options, message):
    with pytest.raises(ValueError, match=message):
        Balanced(method)(problem(**options))
    if options:
        with pytest.raises(ValueError, match=message):
            balanced(problem(**options))


def test_a_method_that_is_none_is_refused():
    with pytest.raises(TypeError, match="method must be an attention method; got 3"):
        Balanced(3)


def test_values_of_any_size_are_weighed(xp, assert_close):
    v = np.asarray(np.random.default_rng(1).standard_normal((2, 16, 3)), dtype=np.float32)
    expected = None
    for exponent in (0, -80, 80):
        target = problem(as_=lambda x: xp.asarray(x, dtype="float32"))
        target = AttentionProblem(target.q, target.k, xp.asarray(v * np.float32(2.0**exponent)))
        found = to_host(Balanced(WEIGHED)(target).output) * 2.0**-exponent
        expected = found if expected is None else expected
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
