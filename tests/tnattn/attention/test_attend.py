"""The functional interface."""

import numpy as np
import pytest

from tnattn import BiasMask, CausalMask, ExplicitMask, PaddingMask
from tnattn.arrays import to_host
from tnattn.attention.attend import attend
from tnattn.attention.problem import AttentionProblem


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.standard_normal((4, 9, 6)), rng.standard_normal((2, 9, 6)), rng.standard_normal((2, 9, 3))


def test_default_is_exact(arrays):
    np.testing.assert_allclose(attend(*arrays), AttentionProblem(*arrays).output)


def test_a_single_head_needs_no_head_axis():
    q, k, v = np.random.default_rng(1).standard_normal((3, 7, 5))
    np.testing.assert_allclose(attend(q, k, v), attend(q[None], k[None], v[None])[0])


def test_a_boolean_array_is_a_rule_of_admissible_keys(arrays):
    allowed = np.tril(np.ones((9, 9), dtype=bool))
    np.testing.assert_allclose(attend(*arrays, mask=allowed), attend(*arrays, mask=CausalMask()))
    np.testing.assert_allclose(attend(*arrays, mask=ExplicitMask(allowed)), attend(*arrays, mask=CausalMask()))


def test_is_causal_is_the_causal_mask(arrays):
    np.testing.assert_array_equal(attend(*arrays, is_causal=True), attend(*arrays, mask=CausalMask()))
    assert np.abs(attend(*arrays, is_causal=True) - attend(*arrays)).max() > 1e-3
    np.testing.assert_array_equal(attend(*arrays, is_causal=False, mask=CausalMask()), attend(*arrays, is_causal=True))


@pytest.mark.parametrize("mask", [CausalMask(), PaddingMask(3), np.ones((9, 9), bool), np.zeros((9, 9))], ids=str)
def test_is_causal_beside_a_mask_is_refused(arrays, mask):
    with pytest.raises(ValueError, match="is_causal=True and mask are both given"):
        attend(*arrays, mask=mask, is_causal=True)


def test_is_causal_needs_as_many_queries_as_keys(arrays):
    q, k, v = arrays
    with pytest.raises(ValueError, match=r"with 2 queries and 9 keys .* from tnattn import CausalMask"):
        attend(q[:, :2], k, v, is_causal=True)


def test_is_causal_agrees_with_pytorch(arrays):
    torch = pytest.importorskip("torch")
    q, k, v = (torch.as_tensor(x) for x in (arrays[0][:2], *arrays[1:]))
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    np.testing.assert_allclose(attend(q, k, v, is_causal=True), theirs, atol=1e-14)


def test_a_floating_array_is_added_to_the_scores(arrays):
    bias = np.random.default_rng(2).standard_normal((4, 9, 9))
    np.testing.assert_allclose(attend(*arrays, mask=bias), attend(*arrays, mask=BiasMask(bias)))
    assert np.abs(attend(*arrays, mask=bias) - attend(*arrays)).max() > 1e-3


@pytest.mark.parametrize("method", ["performer", 3, AttentionProblem])
def test_a_method_must_be_a_value(arrays, method):
    with pytest.raises(TypeError, match="method must be an AttentionMethod value"):
        attend(*arrays, method=method)


def test_a_mask_must_be_a_rule_or_an_array(arrays):
    with pytest.raises(TypeError, match="mask must be a rule"):
        attend(*arrays, mask="causal")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_scalars_of_numpy_do_not_change_the_dtype(arrays, dtype):
    q, k, v = (x.astype(dtype) for x in arrays)
    found = attend(q, k, v, scale=1 / np.sqrt(np.float64(6)), softcap=np.float64(4), mask=np.zeros((9, 9)))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, attend(q, k, v, scale=6**-0.5, softcap=4.0), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["scale", "softcap"])
@pytest.mark.parametrize("value", ["1", True, 1j, np.ones(2)])
def test_scalars_of_another_kind_are_refused_by_name(arrays, name, value):
    with pytest.raises(TypeError, match=f"{name} is .* a real number is needed"):
        attend(*arrays, **{name: value})


@pytest.mark.parametrize("single", [False, True])
def test_the_output_is_the_callers(xp, arrays, single):
    q, k, v = (xp.asarray(x[0] if single else x) for x in arrays)
    output = attend(q, k, v)
    output += 1
    np.testing.assert_allclose(to_host(attend(q, k, v)), to_host(output) - 1, atol=20 * xp.eps())


def test_padded_keys_serve_more_queries_than_keys(arrays):
    q, k, v = arrays
    found = attend(q, k[:, :5], v[:, :5], mask=PaddingMask(3))
    np.testing.assert_allclose(found, attend(q, k[:, :3], v[:, :3]), atol=1e-15)


def test_a_mask_of_another_library_is_refused_by_name(arrays):
    torch = pytest.importorskip("torch")
    q, k, v = (torch.as_tensor(x) for x in arrays)
    with pytest.raises(
        TypeError, match=r"allowed of the mask and q belong to different libraries.*numpy.ndarray, torch"
    ):
        attend(q, k, v, mask=np.ones((9, 9), dtype=bool))


def test_an_empty_batch_has_an_empty_output(arrays):
    q, k, v = (np.empty((0, *x.shape)) for x in arrays)
    assert attend(q, k, v).shape == (0, 4, 9, 3)


def test_finiteness_is_checked_unless_the_caller_knows():
    q, k, v = np.random.default_rng(0).standard_normal((3, 2, 5, 4))
    v[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="v holds 1 NaN"):
        attend(q, k, v)
    output = attend(q, k, v, check_finite=False)
    assert np.isnan(output).sum() == 5
