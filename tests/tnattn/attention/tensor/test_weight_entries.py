import numpy as np
import pytest

from tnattn.attention import masks
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.tensor.weight_entries import WeightEntries
from tnattn.decomposition.tensor_train.tt_cross import TTCross


def drawn(n_q=9, n_k=11, batch=(2,), convert=lambda x: x, **fields):
    rng = np.random.default_rng(0)
    arrays = (rng.standard_normal((*batch, h, n, 5)) for h, n in ((4, n_q), (2, n_k), (2, n_k)))
    return AttentionProblem(*(convert(a) for a in arrays), **fields)


def some(batch=(2,), sizes=(4, 9, 11)):
    rng = np.random.default_rng(1)
    return np.stack([rng.integers(0, n, (*batch, 60)) for n in sizes], axis=-1)


MASKS = {
    "full": masks.FullMask(),
    "causal": masks.CausalMask(),
    "window": masks.SlidingWindowMask(3),
    "padding": masks.PaddingMask(np.array([7, 0])),
    "explicit": masks.ExplicitMask(np.random.default_rng(2).random((2, 4, 9, 11)) < 0.7),
    "bias": masks.BiasMask(np.random.default_rng(3).standard_normal((4, 9, 11))),
    "both": masks.CausalMask() & masks.PaddingMask(5),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_entries_are_those_of_the_dense_weights(mask, softcap):
    problem, indices = drawn(mask=MASKS[mask], softcap=softcap), some()
    dense = problem.dense_weights()
    expected = np.stack([dense[b][tuple(indices[b].T)] for b in range(2)])
    np.testing.assert_allclose(WeightEntries(problem).entries(indices), expected, atol=1e-14)


def test_the_shape_is_that_of_the_weights():
    assert WeightEntries(drawn()).shape == (2, 4, 9, 11)


def test_another_index_has_another_weight():
    """Negative control."""
    problem, indices = drawn(), some()
    assert np.abs(np.diff(WeightEntries(problem).entries(indices))).max() > 1e-3


def test_every_library_gives_the_same(xp, assert_close):
    host, ring = WeightEntries(drawn()), WeightEntries(drawn(convert=xp.asarray))
    assert_close(ring.entries(xp.asarray(some())), host.entries(some()), rtol=0, atol=100 * xp.eps())


def test_a_cross_reads_a_small_part_of_smooth_weights():
    rng = np.random.default_rng(0)
    q, k = (rng.standard_normal((4, 512, 3)) for _ in range(2))
    problem = AttentionProblem(q, k, k, scale=0.1)
    result = TTCross(ranks=(4, 32), sweeps=2)(WeightEntries(problem), rng=rng)
    exact = problem.dense_weights()
    error = np.linalg.norm(exact - result.to_dense()) / np.linalg.norm(exact)
    assert error <= 0.06
    assert result.residual == pytest.approx(error, rel=0.5)
    assert result.evaluations < exact.size / 2


def test_half_precision_is_refused():
    with pytest.raises(TypeError, match="convert it to float32"):
        WeightEntries(drawn(convert=lambda a: a.astype(np.float16)))


@pytest.mark.slow
def test_twelve_heads_of_sixteen_thousand_tokens_are_reached():
    rng = np.random.default_rng(0)
    q, k, v = (0.25 * rng.standard_normal((12, 16_384, 16)).astype(np.float32) for _ in range(3))
    source = WeightEntries(AttentionProblem(q, k, v))
    result = TTCross(ranks=(12, 16))(source, rng=rng)
    assert result.shape == (12, 16_384, 16_384)
    assert result.evaluations < 12 * 16_384**2 / 150
    assert result.interval[1] < 0.1
