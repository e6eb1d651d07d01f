"""Parts of a problem: sizes, layouts, ranges and counts, each beside its definition."""

import math
from dataclasses import fields

import numpy as np
import pytest

from tnattn.attention.masks import CausalMask, FullMask, PaddingMask
from tnattn.attention.problem import AttentionProblem

H, G, N_Q, N_K, D, E = 6, 2, 3, 5, 4, 7


def arrays(batch=(2,), dtype="f8"):
    rng = np.random.default_rng(0)
    sizes = ((H, N_Q, D), (G, N_K, D), (G, N_K, E))
    return tuple(rng.standard_normal((*batch, *size)).astype(dtype) for size in sizes)


@pytest.mark.parametrize("batch", [(), (2,), (2, 8)])
def test_sizes(batch):
    problem = AttentionProblem(*arrays(batch))
    found = problem.heads, problem.groups, problem.n_q, problem.n_k, problem.width, problem.value_width
    assert found == (H, G, N_Q, N_K, D, E)
    assert problem.batch == (*batch, G, H // G)
    assert problem.queries.shape == (*batch, G, H // G, N_Q, D)
    assert problem.keys.shape == (*batch, G, 1, N_K, D)
    assert problem.values.shape == (*batch, G, 1, N_K, E)
    assert problem.output.shape == (*batch, H, N_Q, E)
    assert problem.bad_rows.shape == (*batch, H)


def test_fields_that_change_speed_only_are_marked():
    assert [f.name for f in fields(AttentionProblem) if f.metadata.get("performance")] == ["tile", "fused"]


def test_the_scale_by_default_and_by_hand():
    assert AttentionProblem(*arrays()).score_scale == 1 / math.sqrt(D)
    assert AttentionProblem(*arrays(), scale=0.3).score_scale == 0.3


def test_scaled_queries_are_those_of_inner_products():
    q, k, v = arrays()
    problem = AttentionProblem(q, k, v, scale=0.25)
    np.testing.assert_array_equal(problem.scaled_queries, q.reshape(2, G, H // G, N_Q, D) / 4)
    with pytest.raises(ValueError, match="softcap=3.0 makes the scores no inner products of queries and keys"):
        _ = AttentionProblem(q, k, v, softcap=3.0).scaled_queries


@pytest.mark.parametrize(("dtype", "scores"), [("f2", "f4"), ("f4", "f4"), ("f8", "f8")])
@pytest.mark.parametrize("name", ["scale", "softcap"])
def test_scalars_span_the_range_of_the_scores(name, dtype, scores):
    limits = np.finfo(scores)
    least, most = float(limits.smallest_normal), float(limits.max)
    for value in (least, most):
        AttentionProblem(*arrays(dtype=dtype), **{name: value})
    for value in (0.0, -1.0, np.nextafter(least, 0), most * (1 + 1e-6)):
        with pytest.raises(ValueError, match=f"{name} must be a positive number, between .* for scores in float"):
            AttentionProblem(*arrays(dtype=dtype), **{name: value})


def test_a_tile_is_at_least_one():
    q, k, v = arrays()
    np.testing.assert_allclose(AttentionProblem(q, k, v, tile=1).output, AttentionProblem(q, k, v).output, rtol=1e-12)
    with pytest.raises(ValueError, match="tile must be a positive number of queries and keys; got 0"):
        AttentionProblem(q, k, v, tile=0)


def test_the_range_is_required_up_to_its_end():
    one = np.ones((1, 1, 1), "f4")
    most = float(np.finfo("f4").max)
    AttentionProblem(one, one, one, scale=most).require_range()
    beyond = AttentionProblem(2 * one, one, one, scale=most)
    with pytest.raises(ValueError, match=r"the largest \|q\| \|k\| scale is 6.81e\+38, beyond the range of float32"):
        beyond.require_range()
    missing = AttentionProblem(one * np.nan, one, one, check_finite=False)
    with pytest.raises(ValueError, match="scale is nan"):
        missing.require_range()


def test_bad_and_empty_rows_are_counted_by_head():
    q, k, v = arrays(())
    q[1, 2] = q[4, 0] = q[4, 1] = np.nan
    problem = AttentionProblem(q, k, v, check_finite=False)
    assert problem.bad_rows.tolist() == [0, 1, 0, 0, 2, 0]
    assert problem.empty_rows == 0
    assert AttentionProblem(*arrays(), mask=PaddingMask(np.array([0, 1]))).empty_rows == H * N_Q
    assert AttentionProblem(*arrays(), mask=PaddingMask(0)).bad_rows.sum() == 0


@pytest.mark.parametrize("name", ["q", "k", "v"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_every_array_is_checked(name, value):
    given = dict(zip("qkv", arrays(), strict=True))
    given[name][0, 0, 0, 0] = value
    with pytest.raises(ValueError, match=f"{name} holds"):
        AttentionProblem(**given)
    AttentionProblem(**given, check_finite=False)


def test_ungrouping_merges_groups_and_copies_what_is_broadcast():
    problem = AttentionProblem(*arrays())
    array = np.arange(2.0 * H * 3 * 4).reshape(2, G, H // G, 3, 4)
    np.testing.assert_array_equal(problem.ungroup(array), array.reshape(2, H, 3, 4))
    found = problem.ungroup(array[:1, :, :1])
    expected = np.broadcast_to(array[:1, :, :1], array.shape).reshape(2, H, 3, 4)
    np.testing.assert_array_equal(found, expected)
    found[...] = 0
    assert array[0, 0, 0, 0, 1] == 1


@pytest.mark.parametrize("mask", [None, CausalMask()])
def test_a_rectangle_is_the_problem_of_its_queries_and_keys(mask):
    q, k, v = arrays()
    q[0, 0, 0, 0] = np.inf
    problem = AttentionProblem(q, k, v, mask=CausalMask(), scale=0.3, softcap=2.0, check_finite=False)
    found = problem.rectangle(slice(1, 3), slice(2, 5), mask)
    expected = AttentionProblem(q[..., 1:3, :], k[..., 2:5, :], v[..., 2:5, :], mask or FullMask(), 0.3, 2.0)
    np.testing.assert_array_equal(found.output, expected.output)
    assert type(found.mask) is (FullMask if mask is None else CausalMask)
    problem.rectangle(slice(0, 1), slice(0, 1))  # not checked again


def test_the_default_scale_of_a_rectangle_is_that_of_the_problem():
    assert AttentionProblem(*arrays()).rectangle(slice(0, 1), slice(0, 1)).score_scale == 1 / math.sqrt(D)


def test_a_problem_is_shown_by_shapes_dtype_and_mask():
    q, k, v = ("float64 (2, 6, 3, 4)", "float64 (2, 2, 5, 4)", "float64 (2, 2, 5, 7)")
    shown = f"AttentionProblem(q={q}, k={k}, v={v}, mask=CausalMask())"
    assert repr(AttentionProblem(*arrays(), mask=CausalMask())) == shown
    assert repr(AttentionProblem(*arrays(), mask=CausalMask(), check_finite=False)) == shown
