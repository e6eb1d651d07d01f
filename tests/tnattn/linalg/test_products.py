"""Factorizations, products and norms of stacks, on every ring and in both precisions."""

import inspect

import numpy as np
import pytest
from fixtures import normal
from fixtures.matrices import both, dense, prescribed, ring_eps

from tnattn import linalg
from tnattn.arrays import array_namespace, device, to_host
from tnattn.linalg import product_with_rows, pseudo_inverse_apply, transposed_product

# --- products and least squares ---


@both
def test_products_with_row_stored_sketches_are_products(xp, dtype, assert_close):
    a, x, omega = (xp.asarray(normal(*s), dtype) for s in [(2, 30, 20), (2, 30, 5), (5, 20)])
    assert_close(transposed_product(a, x), dense(to_host(a).mT, x), rtol=0, atol=200 * ring_eps(a))
    assert_close(product_with_rows(a, omega), dense(a, to_host(omega).mT), rtol=0, atol=200 * ring_eps(a))
    assert transposed_product(a, x).dtype == a.dtype


@pytest.mark.parametrize("dtype, order", [("float32", "C"), ("float64", "F")])
def test_products_with_rows_are_stored_in_the_order_of_the_faster_product(dtype, order):
    """Rows of ``a`` by rows of the test matrix in float64, the plain product in float32."""
    product = product_with_rows(normal(30, 20).astype(dtype), normal(5, 20).astype(dtype))
    assert product.flags[f"{order}_CONTIGUOUS"]


@both
@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (8, 8)])
@pytest.mark.parametrize("rank", [8, 3])
def test_least_squares_is_the_pseudo_inverse(xp, dtype, shape, rank):
    a = np.stack([prescribed(*shape, np.linspace(1, 0.5, rank), seed=i) for i in range(2)])
    b = normal(2, shape[0], 3)
    x = pseudo_inverse_apply(xp.asarray(a, dtype), xp.asarray(b, dtype))
    expected = np.linalg.pinv(a, rcond=1e-6) @ b
    assert np.abs(to_host(x) - expected).max() <= 200 * ring_eps(x) * np.abs(expected).max()


def test_least_squares_loses_the_condition_number_once_not_squared():
    """Condition 1e6 in float64: the normal equations, the control, lose twelve digits, ours six."""
    a, x = prescribed(60, 8, 10.0 ** -np.linspace(0, 6, 8)), normal(8, 1)
    b = a @ x
    ours = np.abs(pseudo_inverse_apply(a, b) - x).max()
    normal_equations = np.abs(np.linalg.solve(a.T @ a, a.T @ b) - x).max()
    assert ours <= 1e6 * 50 * np.finfo(float).eps
    assert normal_equations > 100 * ours


def test_least_squares_truncates_where_told(xp):
    a = xp.asarray(prescribed(20, 5, np.array([1, 0.5, 0.1, 1e-3, 1e-4])))
    kept = to_host(pseudo_inverse_apply(a, a, rtol=1e-2))
    assert abs(np.trace(kept) - 3) < 1e-3
    with pytest.raises(ValueError, match="rtol is 1"):
        pseudo_inverse_apply(a, a, rtol=1.0)


def test_least_squares_of_zero_is_zero(xp):
    x = pseudo_inverse_apply(xp.asarray(np.zeros((9, 4))), xp.asarray(np.ones((9, 2))))
    assert not to_host(x).any()


@pytest.mark.parametrize("shape", [(5, 2), (4,)], ids=str)
def test_least_squares_refuses_shapes_that_do_not_fit(shape):
    with pytest.raises(ValueError, match="do not fit"):
        pseudo_inverse_apply(np.ones((4, 3)), np.ones(shape))


@pytest.mark.parametrize("multiple, kept", [(20, 0.0), (60, 1.0)])
def test_the_default_tolerance_is_the_longer_side_in_rounding_units(multiple, kept):
    """Neither the shorter side, 2, nor the length of the stack, 100, takes part."""
    a = np.zeros((100, 40, 2))
    a[:, 0, 0], a[:, 1, 1] = 1.0, multiple * np.finfo(float).eps
    projectors = pseudo_inverse_apply(a, a)
    np.testing.assert_allclose(projectors, np.broadcast_to(np.diag([1.0, kept]), (100, 2, 2)), atol=1e-12)


@pytest.mark.parametrize("rtol", [-0.5, -1e-9, 1.5, float("nan")])
def test_least_squares_refuses_tolerances_that_are_no_share(rtol):
    with pytest.raises(ValueError, match="0 <= rtol < 1 is needed"):
        pseudo_inverse_apply(np.eye(3), np.eye(3), rtol=rtol)


@pytest.mark.parametrize("name", linalg.__all__)
def test_positions_are_for_arrays(name):
    """A number or a switch out of place would be taken for another one."""
    arrays = {"a", "b", "s", "x", "basis", "block", "omega_rows", "pivots"}
    counts = {("pivoted_qr", "steps"), ("with_unused", "n")}  # one number beside one array
    for parameter in inspect.signature(getattr(linalg, name)).parameters.values():
        positional = parameter.kind is not inspect.Parameter.KEYWORD_ONLY
        assert positional == (parameter.name in arrays or (name, parameter.name) in counts), parameter


def test_least_squares_with_tiny_singular_values_has_no_infinite_reciprocal(xp):
    """1 / 2^-1070 overflows; the quotient does not. In float32 2^-140 plays its part."""
    tiny = 2.0**-1070 if xp.dtype == "float64" else 2.0**-140
    a, b = xp.asarray(np.diag([1.0, tiny])), xp.asarray(np.array([[3.0], [5 * tiny]]))
    np.testing.assert_allclose(to_host(pseudo_inverse_apply(a, b, rtol=0.0)), [[3.0], [5.0]], rtol=1e-6)
    with np.errstate(over="ignore"):
        assert np.isinf(1 / np.asarray(tiny, to_host(a).dtype))


# --- powers of two ---

# the value of a function of a matrix, and the power with which it grows
GROWING = {
    "spectral_norm": (linalg.spectral_norm, 1),
    "frobenius_norm": (linalg.frobenius_norm, 1),
    "nuclear_norm": (linalg.nuclear_norm, 1),
    "singular_values": (linalg.singular_values, 1),
    "svd": (lambda a: linalg.svd(a)[1], 1),
    "small_svd": (lambda a: linalg.small_svd(a)[1], 1),
    "leading_svd": (lambda a: linalg.leading_svd(a, keep=3)[1], 1),
    "leading_svd, few": (lambda a: linalg.leading_svd(a[..., :4], keep=2)[1], 1),
    "truncation_tails": (lambda a: linalg.truncation_tails(array_namespace(a).abs(a[0, :])), 1),
    "eigh": (lambda a: linalg.eigh(_square(a))[0], 1),
    "leading_eigh": (lambda a: linalg.leading_eigh(_square(a), keep=1)[0], 1),
    "projector": (lambda a: _projector(linalg.svd(a)[0]), 0),
    "left vectors": (lambda a: _projector(linalg.leading_svd(a, keep=3)[0]), 0),
    "solution": (lambda a: linalg.pseudo_inverse_apply(a, a), 0),
    "coordinates": (lambda a: linalg.solve_triangular(_square(a), _square(a), lower=True), 0),
    "careless": (lambda a: array_namespace(a).sqrt(array_namespace(a).sum(a * a)), 1),
}


def _square(a):
    """A symmetric, well-conditioned matrix as large as ``a``."""
    xp = array_namespace(a)
    top = a[: a.shape[-1], :]
    return top / 8 + xp.matrix_transpose(top) / 8 + xp.eye(a.shape[-1], dtype=a.dtype, device=device(a)) * xp.max(a)


def _projector(u):
    return array_namespace(u).matmul(u, array_namespace(u).matrix_transpose(u))


def _worst(xp, dtype, name):
    """Return the largest relative gap over powers of two from the smallest normal to the largest number."""
    function, growth = GROWING[name]
    limits = np.finfo(dtype)
    host = prescribed(40, 30, 1 / np.arange(1.0, 31)).astype(dtype)
    host = host / np.abs(host).max()
    # the smallest entry that counts keeps its digits at the lower end
    expected = to_host(function(xp.asarray(host)))
    worst = 0.0
    lower, upper = limits.minexp + limits.nmant + 12, limits.maxexp - 8
    for exponent in np.linspace(lower, upper, 9).astype(int):
        with np.errstate(over="ignore", under="ignore"):
            found = to_host(function(xp.asarray(np.ldexp(host, exponent))))
        found = np.ldexp(found.astype(np.longdouble), -growth * int(exponent))
        gap = np.abs(found - expected).max() / np.abs(expected).max()
        worst = max(worst, float(gap) if np.isfinite(gap) else np.inf)
    return worst


@both
@pytest.mark.parametrize("name", GROWING)
def test_a_power_of_two_comes_out_as_it_went_in(xp, dtype, name):
    """Over the whole range of exponents; the last one, the control, squares entries in their own dtype."""
    dtype = dtype if xp.dtype == "float64" else "float32"
    worst = _worst(xp, dtype, name)
    if name == "careless":
        assert worst > 0.5
    else:
        assert worst <= 2e3 * np.finfo(dtype).eps


# --- half precision ---

HALF = {
    **{name: function for name, (function, _) in GROWING.items() if name != "careless"},
    "cholesky": lambda a: linalg.cholesky(_square(a)),
    "transposed_product": lambda a: linalg.transposed_product(a, a),
    "product_with_rows": lambda a: linalg.product_with_rows(a, a),
    "rank_for_tolerance": lambda a: linalg.rank_for_tolerance(array_namespace(a).abs(a[0, :]), rtol=0.1),
}


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", HALF)
@pytest.mark.parametrize("xp", ["numpy", "torch"], indirect=True)
def test_half_precision_is_computed_in_float32_and_cast_back(xp, kind, name):
    if not hasattr(xp.namespace, kind):
        pytest.skip("not in this library")
    narrow, wide = getattr(xp.namespace, kind), xp.namespace.float32
    half = array_namespace(xp.asarray(np.ones(1))).astype(
        xp.asarray(prescribed(30, 12, 1 / np.arange(1.0, 13))), narrow
    )
    single = array_namespace(half).astype(half, wide)
    found, expected = HALF[name](half), HALF[name](single)
    floating = array_namespace(half).isdtype(expected.dtype, "real floating")
    assert found.dtype == (narrow if floating else expected.dtype)
    unit = (2.0**-10 if kind == "float16" else 2.0**-7) if floating else 0.0
    scale = max(1.0, float(np.abs(to_host(expected)).max()))
    np.testing.assert_allclose(to_host(found).astype(float), to_host(expected), rtol=0, atol=4 * unit * scale)
