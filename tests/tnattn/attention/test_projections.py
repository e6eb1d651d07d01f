"""Layer weights."""

import numpy as np
import pytest
from fixtures.attention import layer

from tnattn.attention.projections import LayerProblem, Projections


@pytest.mark.parametrize(("heads", "groups"), [(8, 2), (6, 3), (4, 1), (4, 4), (12, 4)])
def test_query_head_h_uses_key_head_ceiling_of_h_groups_over_heads(heads, groups):
    target = layer(heads=heads, groups=groups)
    q, k = target.attention.q, target.attention.k
    for h in range(1, heads + 1):
        used = -(-h * groups // heads) - 1
        expected = q[h - 1] @ k[used].T / 2
        np.testing.assert_allclose(target.attention.dense_scores()[h - 1], expected, rtol=1e-11)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        Projections(np.ones((4, 6, 4)), np.ones((3, 6, 4)), np.ones((3, 6, 4)))
    with pytest.raises(ValueError, match="w_o"):
        LayerProblem(np.ones((7, 6)), Projections(*(np.ones((2, 6, 4)) for _ in range(3)))).project(np.ones((2, 7, 4)))


def test_the_output_is_the_sum_of_the_projected_heads():
    target = layer(groups=2)
    expected = sum(target.attention.output[h] @ target.projections.w_o[h] for h in range(4))
    np.testing.assert_allclose(target.output, expected, rtol=1e-12)


def test_the_output_is_the_callers():
    target = layer()
    first = target.output
    before = first.copy()
    first += 1
    np.testing.assert_array_equal(target.output, before)


def test_half_precision_layers_are_computed_in_single():
    single = layer()
    half = LayerProblem(
        single.hidden.astype("float16"),
        Projections(*(getattr(single.projections, f"w_{name}").astype("float16") for name in "qkvo")),
    )
    assert half.attention.q.dtype == half.output.dtype == np.float16
    tokens, w_q = half.hidden.astype("float32"), half.projections.w_q.astype("float32")
    # rounded once: sums in float16 would be off by several units
    np.testing.assert_array_equal(half.attention.q, (tokens @ w_q).astype("float16"))
    np.testing.assert_allclose(half.output, single.output, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(
    ("hidden", "words"),
    [
        (np.ones((7, 6), int), "hidden has dtype int64"),
        (np.ma.masked_array(np.ones((7, 6))), "hidden is a masked array"),
    ],
)
def test_hidden_states_are_floating_arrays(hidden, words):
    with pytest.raises(TypeError, match=words):
        LayerProblem(hidden, layer().projections)


def test_foreign_byte_order_is_converted():
    target = layer()
    weights = [getattr(target.projections, f"w_{name}").astype(">f8") for name in "qkvo"]
    np.testing.assert_array_equal(
        LayerProblem(target.hidden.astype(">f8"), Projections(*weights)).output, target.output
    )
