"""PyTorch's ``scaled_dot_product_attention`` as oracle of exact attention, over a grid of shapes, masks and dtypes.

Conventions that differ, and what the adapter does:

- ``is_causal`` aligns queries and keys at the top left, the package at the bottom right; for as many queries as keys
  both are the same, otherwise PyTorch is given the bottom-right mask as an array.
- A row whose keys are all forbidden is zero here; in PyTorch it is NaN or zero, depending on version and kernel, and is
  compared only with zero.
- An additive mask must have the dtype of the queries there; it may have any floating dtype here.
- There is no dropout.
- PyTorch rounds half precision between the steps of some kernels, so half precision is compared with float64.
"""

import itertools
import re

import numpy as np
import pytest

from tnattn import BiasMask, CausalMask, ExplicitMask, FullMask, attend

torch = pytest.importorskip("torch")
sdpa = torch.nn.functional.scaled_dot_product_attention

EPS = {"float32": 2.0**-23, "float64": 2.0**-52, "float16": 2.0**-10, "bfloat16": 2.0**-7}
SHAPES = [  # batch, query heads, key heads, queries, keys, width, width of values
    ((), 1, 1, 1, 1, 4, 4),
    ((2,), 4, 4, 16, 16, 8, 8),
    ((1,), 8, 2, 9, 20, 16, 16),
    ((3,), 4, 1, 20, 9, 8, 5),
    ((1,), 2, 2, 130, 257, 32, 32),
    ((2,), 6, 3, 1, 70, 64, 64),
]
MASKS = ["none", "causal", "bool", "bool per head", "additive", "additive with minus infinity"]
GRID = [
    pytest.param(shape, mask, dtype, scale, id=f"{'x'.join(map(str, (*shape[0], *shape[1:])))}-{mask}-{dtype}-{scale}")
    for shape, mask, dtype, scale in itertools.product(SHAPES, MASKS, EPS, [None, 0.3])
    if (mask != "causal" or shape[3] <= shape[4]) and (scale is None or dtype in ("float32", "float64"))
]


def arrays(shape, dtype):
    batch, heads, groups, n_q, n_k, d, width = shape
    generator = torch.Generator().manual_seed(0)
    sizes = ((*batch, heads, n_q, d), (*batch, groups, n_k, d), (*batch, groups, n_k, width))
    return [torch.randn(size, generator=generator, dtype=torch.float64).to(getattr(torch, dtype)) for size in sizes]


def masks(name, shape, dtype):
    """Return the rule of the package and the array of PyTorch."""
    batch, heads, _, n_q, n_k = shape[:5]
    generator = torch.Generator().manual_seed(1)
    if name == "none":
        return FullMask(), None
    if name == "causal":
        return CausalMask(), torch.ones(n_q, n_k, dtype=torch.bool).tril(n_k - n_q)
    if name.startswith("bool"):
        full = (*batch, heads, n_q, n_k) if name == "bool per head" else (n_q, n_k)
        allowed = torch.rand(full, generator=generator) < 0.7
        return ExplicitMask(allowed), allowed
    bias = torch.randn((n_q, n_k), generator=generator, dtype=torch.float64).to(getattr(torch, dtype))
    if name == "additive with minus infinity":
        bias[torch.rand((n_q, n_k), generator=generator) < 0.3] = -torch.inf
    return BiasMask(bias), bias


def oracle(q, k, v, mask, scale):
    """Return PyTorch's answer in float64, rows without keys zero."""
    q, k, v = (x.double() for x in (q, k, v))
    given = mask.double() if mask is not None and mask.dtype != torch.bool else mask
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        found = sdpa(q, k, v, attn_mask=given, scale=scale, enable_gqa=q.shape[-3] != k.shape[-3])
    if given is None:
        return found
    seen = (given if given.dtype == torch.bool else given > -torch.inf).any(-1, keepdim=True)
    return torch.where(seen, found, torch.zeros_like(found))


@pytest.mark.parametrize("shape, name, dtype, scale", GRID)
def test_attend_gives_what_pytorch_gives(shape, name, dtype, scale):
    q, k, v = arrays(shape, dtype)
    rule, mask = masks(name, shape, dtype)
    found = attend(q, k, v, mask=rule, scale=scale)
    expected = oracle(q, k, v, mask, scale)
    assert found.dtype == q.dtype
    # float32 inside half precision; scores are below 64, and the result is rounded once to the dtype of the queries
    inner = max(EPS[dtype], 2.0**-52) if dtype in ("float32", "float64") else EPS["float32"]
    atol = inner * 64 * (shape[5] + 8) * float(v.abs().max()) + 2.0**-24 * (dtype == "float16")
    np.testing.assert_allclose(found.double(), expected, rtol=EPS[dtype], atol=min(atol, 1e-3))


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("n", [1, 17, 64])
def test_causal_attention_of_equally_many_queries_and_keys_is_is_causal(n, dtype):
    q, k, v = arrays(((2,), 4, 2, n, n, 8, 8), dtype)
    found = attend(q, k, v, mask=CausalMask())
    expected = sdpa(q.double(), k.double(), v.double(), is_causal=True, enable_gqa=True)
    np.testing.assert_allclose(found.double(), expected, rtol=EPS[dtype], atol=max(1e-5 * (dtype != "float64"), 1e-13))


@pytest.mark.parametrize("padded", [0, 3, 8])
def test_padding_of_keys_is_broadcast_over_queries(padded):
    q, k, v = arrays(((3,), 4, 2, 5, 9, 8, 8), "float64")
    seen = torch.ones(3, 1, 1, 9, dtype=torch.bool)
    seen[1, ..., 9 - padded :] = False
    found = attend(q, k, v, mask=seen)
    np.testing.assert_allclose(found, sdpa(q, k, v, attn_mask=seen, enable_gqa=True), atol=1e-14)


def test_arrays_of_one_head():
    q, k, v = (x[0] for x in arrays(((), 1, 1, 5, 9, 8, 6), "float64"))
    np.testing.assert_allclose(attend(q, k, v), sdpa(q, k, v), atol=1e-14)


# arguments of the function, and what becomes of them
ARGUMENTS = {
    "query": "the grid",
    "key": "the grid",
    "value": "the grid",
    "attn_mask": "the grid",
    "dropout_p": "no dropout",
    "is_causal": "the grid by a mask, and as many queries as keys by itself",
    "scale": "the grid",
    "enable_gqa": "the grid",
}


def test_every_argument_of_pytorch_is_tested_or_has_a_reason():
    signature = re.match(r"\s*\w+\((.*?)\)", sdpa.__doc__, re.DOTALL)
    assert [part.split("=")[0].strip() for part in signature[1].split(",")] == list(ARGUMENTS)


def test_the_other_alignment_gives_another_answer():
    q, k, v = arrays(((1,), 2, 2, 5, 9, 8, 8), "float64")
    found = attend(q, k, v, mask=CausalMask())
    assert (found - sdpa(q, k, v, is_causal=True)).abs().max() > 0.1


def test_rows_without_keys_are_zero():
    q, k, v = arrays(((1,), 2, 2, 5, 9, 8, 8), "float32")
    allowed = torch.ones(5, 9, dtype=torch.bool)
    allowed[2] = False
    found = attend(q, k, v, mask=allowed)
    assert not found[:, :, 2].any()
    assert found[:, :, 1].all()


def test_the_largest_values_stay_finite():
    """Sums of such values overflow in PyTorch, on some processors: there is nothing to compare with but the mean."""
    q, k, _ = arrays(((1,), 1, 1, 3, 50, 8, 8), "float32")
    v = torch.full((1, 1, 50, 2), torch.finfo(torch.float32).max)
    found = attend(q, k, v)
    assert torch.isfinite(found).all()
    np.testing.assert_allclose(found / v[0, 0, 0, 0], 1, rtol=1e-5)
