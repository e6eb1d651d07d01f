"""The fused kernel of PyTorch: which arrays it serves, grouped heads without copies, and its values."""

import numpy as np
import pytest

from tnattn.arrays import fused_attention, to_host


def arrays(xp, *, batch=(), ratio=2, n_q=7, n_k=9, width=8, value_width=8, dtype=None):
    rng = np.random.default_rng(0)
    shapes = ((*batch, 2, ratio, n_q, width), (*batch, 2, 1, n_k, width), (*batch, 2, 1, n_k, value_width))
    return [xp.asarray(rng.standard_normal(shape), dtype or xp.dtype) for shape in shapes]


def plain(q, k, v, *, causal):
    q, k, v = (to_host(x).astype("f8") for x in (q, k, v))
    scores = q @ k.mT * 0.5
    if causal:
        scores = np.where(np.arange(k.shape[-2]) <= np.arange(q.shape[-2])[:, None], scores, -np.inf)
    kernel = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return kernel / kernel.sum(axis=-1, keepdims=True) @ v


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
@pytest.mark.parametrize("ratio", [1, 2])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("xp", ["torch"], indirect=True)
def test_the_kernel_computes_attention(xp, causal, ratio, batch, dtype):
    given = arrays(xp, batch=batch, ratio=ratio, n_q=9 if causal else 7, dtype=dtype)
    found = fused_attention(*given, scale=0.5, causal=causal)
    assert found.shape == given[0].shape
    np.testing.assert_allclose(to_host(found), plain(*given, causal=causal), atol=20 * np.finfo(dtype).eps)


def test_other_libraries_have_none(xp):
    found = fused_attention(*arrays(xp), scale=0.5, causal=False)
    assert (found is not None) == (xp.name == "torch")


@pytest.mark.parametrize("xp", ["torch"], indirect=True)
@pytest.mark.parametrize(
    "options", [{"dtype": "float16"}, {"value_width": 5}, {"batch": (0,)}], ids=["half", "widths differ", "empty"]
)
def test_what_the_kernel_would_compute_otherwise_is_left_alone(xp, options):
    assert fused_attention(*arrays(xp, **options), scale=0.5, causal=False) is None


@pytest.mark.parametrize("xp", ["torch"], indirect=True)
def test_the_matrix_of_scores_is_never_formed(xp):
    torch = xp.namespace
    q, k, v = (torch.zeros((1, 8, 4096, 8)), *(torch.zeros((1, 1, 4096, 8)) for _ in range(2)))
    with torch.profiler.profile(profile_memory=True) as profile:
        assert fused_attention(q, k, v, scale=0.5, causal=True) is not None
    largest = max(event.self_cpu_memory_usage for event in profile.key_averages())
    assert largest < 4 * q.numel() * 4 < 4096**2 * 4
    strided = q.mT.contiguous().mT
    assert fused_attention(strided, k, v, scale=0.5, causal=True) is None
