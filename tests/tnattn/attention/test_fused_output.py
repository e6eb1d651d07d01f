"""The fused kernel gives what the sweep gives, to rounding; what it would compute otherwise is left to the sweep."""

from dataclasses import replace

import numpy as np
import pytest

from tnattn import attend
from tnattn.arrays import dtype_name, to_host
from tnattn.attention import fused_output as module
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.fused_output import fused_output
from tnattn.attention.masks import CausalMask, FullMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem

pytestmark = pytest.mark.parametrize("xp", ["torch"], indirect=True)


def posed(xp, *, heads=4, groups=2, n_q=20, n_k=20, d=8, value_width=8, batch=(), dtype="float32", size=1.0, **options):
    rng = np.random.default_rng(0)
    shapes = ((heads, n_q, d), (groups, n_k, d), (groups, n_k, value_width))
    q, k, v = (rng.standard_normal((*batch, *shape)) for shape in shapes)
    return AttentionProblem(*(xp.asarray(x, dtype) for x in (q * size, k, v)), fused=True, **options)


@pytest.fixture
def kernel(monkeypatch):
    """Calls of the fused kernel that gave a result, from here on."""
    found, call = [], module.fused_attention

    def record(*given, **options):
        output = call(*given, **options)
        if output is not None:
            found.append(options)
        return output

    monkeypatch.setattr(module, "fused_attention", record)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1.0, 30.0])
@pytest.mark.parametrize("heads, groups, batch", [(4, 4, ()), (4, 2, ()), (6, 1, (2,)), (2, 2, (3, 2))])
@pytest.mark.parametrize("mask, n_q, n_k", [(FullMask(), 20, 33), (FullMask(), 1, 33), (CausalMask(), 40, 40)])
def test_the_kernel_agrees_with_the_sweep(kernel, xp, mask, n_q, n_k, heads, groups, batch, size, dtype):
    problem = posed(xp, heads=heads, groups=groups, batch=batch, n_q=n_q, n_k=n_k, size=size, dtype=dtype, mask=mask)
    found = to_host(problem.output)
    assert len(kernel) == 1
    expected = to_host(replace(problem, fused=False).output)
    assert len(kernel) == 1
    # errors of scores up to 8 size sqrt(d), in units of eps, and of sums
    np.testing.assert_allclose(found, expected, rtol=0, atol=500 * size * float(np.finfo(dtype).eps))


@pytest.mark.parametrize(
    "options",
    [
        {"mask": CausalMask(), "n_q": 19},
        {"mask": SlidingWindowMask(3)},
        {"mask": PaddingMask(19)},
        {"softcap": 5.0},
        {"value_width": 7},
        {"dtype": "float16"},
        {"batch": (0,)},
    ],
    ids=["causal rectangle", "window", "padding", "softcap", "widths differ", "half precision", "empty"],
)
def test_other_problems_are_swept(kernel, xp, options):
    problem = posed(xp, **options)
    found = problem.output
    assert not kernel
    assert dtype_name(found.dtype) == options.get("dtype", "float32")
    np.testing.assert_array_equal(to_host(found), to_host(replace(problem, fused=False).output))


@pytest.mark.parametrize("mask", [PaddingMask(20), SlidingWindowMask(20, 20), FullMask()], ids=str)
def test_masks_that_admit_everything_are_full(kernel, xp, mask):
    _ = posed(xp, mask=mask).output
    assert [options["causal"] for options in kernel] == [False]


def beyond(xp, name):
    problem = posed(xp, n_q=20)
    scale = {"scores": (3e19, 3e19, 1.0), "values": (1.0, 1.0, 1e38), "tiny values": (1.0, 1.0, 1e-40)}[name]
    options = {n: getattr(problem, n) * s for n, s in zip("qkv", scale, strict=True)}
    if name == "values":
        options["v"] = xp.asarray(np.full((2, 20, 8), 3e38), "float32")
    return replace(problem, **options)


@pytest.mark.parametrize("name", ["scores", "values", "tiny values"])
def test_what_leaves_the_range_is_swept(xp, name):
    problem = beyond(xp, name)
    assert fused_output(problem) is None
    np.testing.assert_array_equal(to_host(problem.output), to_host(replace(problem, fused=False).output))


def test_rows_whose_scores_all_overflow_are_bad_not_zero(xp):
    huge = np.full((1, 20, 8), 3e19)
    q = xp.asarray(np.where(np.arange(20)[:, None] < 5, -huge, 1e-20), "float32")
    k, v = xp.asarray(huge, "float32"), xp.asarray(huge / 3e19, "float32")
    problem = AttentionProblem(q, k, v, scale=1.0, fused=True)
    assert np.isnan(to_host(problem.output)[:, :5]).all()
    assert to_host(problem.bad_rows).tolist() == [5]


def test_zeros_among_safe_scores_are_values(kernel, xp):
    problem = posed(xp, mask=CausalMask())
    problem.v[..., 0, :] = 0  # all that the first query sees
    assert fused_output(problem) is not None


def test_a_column_of_zeros_is_no_underflow(kernel, xp):
    problem = posed(xp)
    problem.v[..., 3] = 0
    assert fused_output(problem) is not None


def test_attend_takes_the_kernel_unless_told_otherwise(kernel, xp):
    problem = posed(xp)
    given = problem.q, problem.k, problem.v
    expected = to_host(attend(*given, fused=False))
    assert not kernel
    np.testing.assert_allclose(to_host(attend(*given)), expected, atol=1e-6)
    assert len(kernel) == 1
    np.testing.assert_array_equal(to_host(Exact()(problem).output), expected)  # the reference needs log masses, too
    assert len(kernel) == 1
