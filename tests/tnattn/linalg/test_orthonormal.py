"""Orthonormal bases: orthonormal whatever the rank, the scale, the dtype, the library and the kernel."""

import functools
import warnings

import array_api_compat
import numpy as np
import pytest
import scipy.linalg
from fixtures import normal
from fixtures.matrices import both, only_standin, prescribed, ring_eps, smooth_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import to_host
from tnattn.linalg import lapack
from tnattn.linalg.orthonormal import (
    extend_basis,
    host_row_pivots,
    lu_normalise,
    near_orthonormal,
    orthonormalise,
    orthonormalise_with_factor,
)


def allowed(q):
    """Return the stated bound on the departure from orthonormality."""
    m, n = q.shape[-2:]
    return (8 * n + m / 256) * ring_eps(q)


def departure(q):
    """Return max |q^T q - I| over a stack, computed in float64; infinite for NaN."""
    host = to_host(q).astype(np.float64)
    found = np.abs(host.mT @ host - np.eye(host.shape[-1])).max(initial=0)
    return found if found == found else np.inf


def unguarded(a):
    """The textbook algorithm, two passes of Cholesky-QR without scaling or guard."""
    for _ in range(2):
        try:
            with np.errstate(all="ignore"):
                a = np.linalg.solve(np.linalg.cholesky(a.T @ a), a.T).T
        except np.linalg.LinAlgError:
            return np.full_like(a, np.nan)
    return a


# --- blocks of every rank and scale ---


@functools.cache
def hard(dtype, m=200, n=20):
    """Return blocks by name, their scales fitted to the range of a dtype."""
    limits = np.finfo(dtype)
    decades, largest = int(np.log10(limits.tiny)), float(limits.max)
    bounded = np.clip(normal(m, n), -3, 3) / 3
    odd = np.arange(n) % 2 == 1
    blocks = {
        "random": normal(m, n),
        "square": normal(n, n),
        "one column": normal(m, 1),
        "one number": normal(1, 1),
        "orthonormal": np.linalg.qr(normal(m, n))[0],
        "zero": np.zeros((m, n)),
        "a zero column": normal(m, n) * (np.arange(n) != 7),
        "rank one": normal(m, 1) @ normal(1, n, seed=1),
        "rank one without rounding": np.outer(np.arange(1.0, m + 1), 2.0 ** -np.arange(n)),
        "rank three": normal(m, 3) @ normal(3, n, seed=1),
        "rank three and rounding": normal(m, 3) @ normal(3, n, seed=1) + 10 * limits.eps * normal(m, n, seed=2),
        "equal columns": normal(m, 1) * np.ones(n),
        "equal pairs": np.repeat(normal(m, n // 2), 2, axis=1),
        "ones": np.ones((m, n)),
        "one row": np.where(np.arange(m)[:, None] == m - 1, normal(1, n), 0.0),
        "one entry": np.where((np.arange(m)[:, None] == m // 2) & (np.arange(n) == n - 1), 1.0, 0.0),
        "smooth kernel": smooth_kernel(m, n),
        "Hilbert": 1 / (np.arange(m)[:, None] + np.arange(n) + 1.0),
        "graded columns": normal(m, n) * np.logspace(0, decades + 2, n),
        "columns graded upwards": normal(m, n) * np.logspace(decades + 2, 0, n),
        "graded rows": normal(m, n) * np.logspace(0, decades + 2, m)[:, None],
        "tiny": float(limits.tiny) * normal(m, n),
        "denormal": 50 * float(limits.smallest_subnormal) * normal(m, n),
        "the smallest number": float(limits.smallest_subnormal) * np.ones((m, n)),
        "huge": largest * (1 - 2 * float(limits.eps)) * bounded,
        "a huge column": normal(m, n) * np.where(np.arange(n) == n // 2, largest / 8, 1.0),
        "huge and tiny columns": bounded * np.where(odd, largest / 8, float(limits.tiny)),
    }
    return {name: block.astype(dtype) for name, block in blocks.items()}


BLOCKS = list(hard("float64"))


def quietly(function, *arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*arguments)


@both
@pytest.mark.parametrize("case", BLOCKS)
def test_bases_are_orthonormal_whatever_the_rank_and_scale(xp, dtype, case):
    a = xp.asarray(hard(dtype if xp.dtype == "float64" else "float32")[case])
    q = quietly(orthonormalise, a)
    assert q.dtype == a.dtype
    assert q.shape == a.shape
    assert departure(q) <= allowed(q)


@both
@pytest.mark.parametrize("case", BLOCKS)
def test_bases_and_factors_multiply_back_column_by_column(xp, dtype, case):
    """In units of the length of each column; r is infinite where that is beyond the largest number."""
    a = xp.asarray(hard(dtype if xp.dtype == "float64" else "float32")[case])
    q, r = orthonormalise_with_factor(a)
    host, upper = to_host(a).astype(np.longdouble), to_host(r)
    assert np.array_equal(upper, np.triu(upper))
    assert (np.diagonal(upper) >= 0).all()
    held = np.isfinite(upper).all(axis=0)
    lengths = np.sqrt((host**2).sum(axis=0))
    assert (held | (lengths > np.finfo(upper.dtype).max / 2)).all()
    left, factor = to_host(q).astype(np.longdouble), upper.astype(np.longdouble)[:, held]
    gap, n = np.abs(left @ factor - host[:, held]), a.shape[-1]
    vanishing = n * float(np.finfo(upper.dtype).smallest_subnormal)
    assert (gap <= 8 * n * ring_eps(a) * lengths[held] + vanishing).all()


@both
@pytest.mark.parametrize("case", BLOCKS)
def test_one_pass_departs_by_at_most_a_half(dtype, case):
    q = quietly(near_orthonormal, hard(dtype)[case])
    host = q.astype(np.float64)
    assert np.linalg.norm(host.T @ host - np.eye(host.shape[1])) <= 0.5


@both
@pytest.mark.parametrize("case", ["zero", "equal columns", "huge", "denormal", "rank three and rounding"])
def test_the_textbook_algorithm_breaks_the_bound(dtype, case):
    """Negative control: two passes of Cholesky-QR without scaling, measure and Householder."""
    a = hard(dtype)[case]
    assert departure(unguarded(a)) > 100 * allowed(a)


@both
@pytest.mark.parametrize("rows", [10_000, 200_000])
@pytest.mark.parametrize("kind", ["ones", "uniform", "powers"])
def test_sums_over_many_rows_stay_within_the_bound(dtype, rows, kind):
    columns = {
        "ones": np.ones((rows, 4)),
        "uniform": np.random.default_rng(0).random((rows, 4)),
        "powers": np.vander(np.linspace(0, 1, rows), 4),
    }
    q = orthonormalise(columns[kind].astype(dtype))
    assert departure(q) <= allowed(q)


@st.composite
def structured_blocks(draw):
    """Blocks whose columns are fresh, zero, unit vectors, copies or combinations, at any power of two."""
    dtype = draw(st.sampled_from(["float32", "float64"]))
    n = draw(st.integers(1, 8))
    m = n + draw(st.integers(0, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    limits = np.finfo(dtype)
    columns = []
    for _ in range(n):
        kind = draw(st.sampled_from(["fresh", "zero", "unit", "ones", "copy", "combination"]))
        if kind in ("copy", "combination") and columns:
            weights = rng.standard_normal(len(columns)) if kind == "combination" else np.eye(len(columns))[-1]
            column = np.stack(columns, axis=-1) @ weights
        else:
            column = {
                "zero": np.zeros(m),
                "unit": np.eye(m)[rng.integers(m)],
                "ones": np.ones(m),
            }.get(kind, rng.standard_normal(m))
        columns.append(column)
    exponents = [draw(st.integers(int(limits.minexp) - int(limits.nmant), int(limits.maxexp) - 8)) for _ in range(n)]
    same = draw(st.booleans())
    scales = np.exp2(np.full(n, exponents[0]) if same else np.asarray(exponents, dtype=np.float64))
    return (np.stack(columns, axis=-1) * scales).astype(dtype)


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(structured_blocks())
def test_any_block_gets_an_orthonormal_basis_that_contains_it(block):
    q, r = orthonormalise_with_factor(block)
    assert departure(q) <= allowed(q)
    wide = block.astype(np.longdouble)
    lengths = np.sqrt((wide**2).sum(axis=0))
    gap = np.abs(q.astype(np.longdouble) @ r.astype(np.longdouble) - wide)
    n, limits = block.shape[1], np.finfo(block.dtype)
    assert (gap <= 8 * n * limits.eps * lengths + n * limits.smallest_subnormal).all()
    near = near_orthonormal(block).astype(np.float64)
    assert np.linalg.norm(near.T @ near - np.eye(n)) <= 0.5
    lower = lu_normalise(block)
    assert np.abs(lower).max() <= 1
    assert np.linalg.cond(lower.astype(np.float64)) <= 4.0**n


@both
@pytest.mark.parametrize("exponent", [-140, -100, -30, 30, 100, 120])
@pytest.mark.parametrize("case", ["random", "smooth kernel", "rank three", "graded rows"])
def test_a_power_of_two_changes_no_digit(dtype, exponent, case):
    """Of a block that keeps its digits; float64 runs through its range at nine times the exponent."""
    exponent = exponent if dtype == "float32" else 8 * exponent
    a = hard("float32", 60, 6)[case].astype(dtype)
    a = np.where(np.abs(a) < 2.0**-20, 0, a)
    moved = np.ldexp(a, exponent)
    a = np.ldexp(moved, -exponent)  # what underflow has taken is no digit of the block
    (q, r), (other, scaled) = orthonormalise_with_factor(a), orthonormalise_with_factor(moved)
    assert np.array_equal(q, other)
    np.testing.assert_allclose(
        scaled, np.ldexp(r, exponent), rtol=8 * ring_eps(a), atol=ring_eps(a) * np.abs(moved).max()
    )
    assert np.array_equal(near_orthonormal(a), near_orthonormal(moved))


@both
def test_half_precision_is_computed_in_single(xp, dtype):
    """float16 where the library has it, bfloat16 in PyTorch: the result rounds that of float32."""
    like = xp.asarray(hard("float32", 60, 6)["random"])
    wide = xp.namespace
    kinds = [name for name in ("float16", "bfloat16") if hasattr(wide, name) and "strict" not in xp.name]
    for kind in kinds:
        half = array_api_compat.array_namespace(like).astype(like, getattr(wide, kind))
        single = array_api_compat.array_namespace(like).astype(half, wide.float32)
        for function in (orthonormalise, near_orthonormal, lu_normalise):
            found, expected = function(half), function(single)
            assert found.dtype == half.dtype
            unit = 2.0**-10 if kind == "float16" else 2.0**-7
            np.testing.assert_allclose(to_host(found).astype(float), to_host(expected), rtol=0, atol=unit)


@pytest.mark.parametrize("shape", [(0, 0), (5, 0), (0, 5, 2), (2, 0, 0), (2, 5, 0)])
def test_empty_blocks_have_empty_bases(xp, shape):
    a = xp.asarray(np.zeros(shape))
    q, r = orthonormalise_with_factor(a)
    assert tuple(q.shape) == shape
    assert tuple(r.shape) == (*shape[:-2], shape[-1], shape[-1])
    assert tuple(near_orthonormal(a).shape) == tuple(lu_normalise(a).shape) == shape


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "read-only": lambda a: _frozen(a),
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "reversed rows": lambda a: a[::-1].copy()[::-1],
    "reversed columns": lambda a: a[:, ::-1].copy()[:, ::-1],
    "columns of a wider array": lambda a: np.concatenate([a, a], axis=1)[:, : a.shape[1]],
}


def _frozen(a):
    a = a.copy()
    a.flags.writeable = False
    return a


@both
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("function", [orthonormalise, near_orthonormal, lu_normalise])
@pytest.mark.parametrize("case", ["random", "zero", "huge"])
def test_bases_do_not_depend_on_the_layout_and_leave_the_block_alone(dtype, layout, function, case):
    a = hard(dtype, 40, 5)[case]
    other = LAYOUTS[layout](a)
    before = other.copy()
    np.testing.assert_allclose(function(other), function(a), rtol=0, atol=60 * ring_eps(a))
    assert np.array_equal(other, before)


# --- extensions of a basis ---


@functools.cache
def extensions(dtype):
    basis = np.linalg.qr(normal(60, 12))[0].astype(dtype)
    unit = np.eye(60, 12, dtype=dtype)  # the columns with which Householder QR completes a zero block
    inside = basis @ normal(12, 5, seed=1).astype(dtype)
    tiny = float(np.finfo(dtype).tiny)
    return {
        "random": (basis, normal(60, 5, seed=2).astype(dtype)),
        "within the basis": (basis, inside),
        "zero": (basis, np.zeros((60, 5), dtype)),
        "zero beside unit vectors": (unit, np.zeros((60, 5), dtype)),
        "one direction, that of the basis": (unit, np.eye(60, 1, dtype=dtype) @ np.ones((1, 5), dtype)),
        "rounding beside the basis": (basis, inside + np.finfo(dtype).eps * normal(60, 5, seed=3).astype(dtype)),
        "one new direction": (basis, inside + normal(60, 1, seed=4).astype(dtype) @ np.ones((1, 5), dtype)),
        "denormal": (basis, (tiny / 8 * normal(60, 5, seed=2)).astype(dtype)),
        "huge": (basis, (np.clip(normal(60, 5), -3, 3) * (float(np.finfo(dtype).max) / 4)).astype(dtype)),
        "all that is left": (basis, normal(60, 48, seed=5).astype(dtype)),
        "nothing, to all that is left": (unit, np.zeros((60, 48), dtype)),
    }


@both
@pytest.mark.parametrize("case", list(extensions("float64")))
def test_extensions_are_orthonormal_and_orthogonal_to_the_basis(xp, dtype, case):
    basis, block = (xp.asarray(x) for x in extensions(dtype if xp.dtype == "float64" else "float32")[case])
    new = extend_basis(basis, block)
    joined = np.concatenate([to_host(basis), to_host(new)], axis=-1)
    assert new.shape == block.shape
    assert departure(joined) <= allowed(joined)


def test_an_extension_spans_what_is_new():
    basis, block = extensions("float64")["one new direction"]
    joined = np.concatenate([basis, extend_basis(basis, block)], axis=-1)
    assert np.abs(block - joined @ (joined.T @ block)).max() <= 100 * np.finfo(float).eps * np.abs(block).max()


@pytest.mark.parametrize("case", ["zero beside unit vectors", "one direction, that of the basis"])
def test_repeated_projections_do_not_free_a_dependent_block(case):
    """Negative control: three projections, each completed by the same unit vectors, stay within the basis."""
    basis, block = extensions("float64")[case]
    for _ in range(3):
        block = orthonormalise(block - basis @ (basis.T @ block))
    assert np.abs(basis.T @ block).max() > 0.1


def test_extensions_of_a_stack_share_a_basis_and_refuse_what_has_no_room(xp):
    basis, block = xp.asarray(np.eye(6, 2)), xp.asarray(normal(3, 6, 2))
    assert tuple(extend_basis(basis, block).shape) == (3, 6, 2)
    with pytest.raises(ValueError, match="at most 4"):
        extend_basis(basis, xp.asarray(normal(6, 5)))


# --- the roads that are taken ---


def test_each_matrix_of_a_stack_is_judged_by_itself(xp, assert_close):
    easy, hard = normal(200, 20, seed=5), smooth_kernel(200, 20)
    stack = xp.asarray(np.stack([easy, hard, np.zeros((200, 20)), easy]), "float32")
    q = orthonormalise(stack)
    assert departure(q) <= allowed(q)
    alone = orthonormalise(xp.asarray(easy, "float32"))
    assert_close(q[0, ...], alone, rtol=0, atol=1e-5)
    assert_close(q[3, ...], alone, rtol=0, atol=1e-5)


def test_the_guard_sends_only_hard_matrices_to_householder(monkeypatch):
    calls = []
    real = scipy.linalg.qr
    monkeypatch.setattr(lapack.scipy.linalg, "qr", lambda a, **options: calls.append(a.shape) or real(a, **options))
    orthonormalise(np.stack([normal(200, 20), smooth_kernel(200, 20), normal(200, 20)]))
    assert len(calls) == 1


@both
def test_blocks_are_near_orthonormal_where_they_are_well_conditioned(xp, dtype):
    a = xp.asarray(normal(2, 100, 8), dtype)
    assert departure(near_orthonormal(a)) <= 100 * ring_eps(a)


@only_standin
def test_a_smooth_head_stays_on_the_device(xp):
    """A shifted pass rescues it where batched Householder QR is slow; waits do not grow with the stack."""
    spectrum = np.where(np.arange(20) < 10, 1.0, 1e-4)
    stack = xp.asarray(np.stack([prescribed(200, 20, spectrum, seed=i) for i in range(6)]), "float32")
    xp.transfers.reset()
    orthonormalise(stack)
    assert (xp.transfers.to_device, xp.transfers.synchronisations) == (0, 1)
    assert xp.transfers.to_host <= 1


def test_signs_do_not_depend_on_the_road_taken(xp):
    a = xp.asarray(prescribed(200, 6, 10.0 ** -np.arange(0, 3, 0.5)))
    diagonal = np.diagonal(to_host(orthonormalise_with_factor(a)[1]))
    hard = np.diagonal(to_host(orthonormalise_with_factor(xp.asarray(smooth_kernel(200, 20)))[1]))
    assert (diagonal > 0).all()
    assert (hard >= 0).all()


@both
def test_lu_bases_span_the_range_and_are_well_conditioned(xp, dtype):
    a = xp.asarray(normal(2, 200, 12) * 10.0 ** -np.linspace(0, 3, 12), dtype)
    basis = to_host(lu_normalise(a)).astype(np.float64)
    assert basis.dtype == np.float64
    assert np.linalg.cond(basis).max() < 1e3
    host = to_host(a).astype(np.float64)
    residual = host - basis @ np.linalg.pinv(basis) @ host
    assert np.abs(residual).max() <= 200 * ring_eps(a)


@pytest.mark.parametrize("shape", [(9, 4), (4, 4), (2, 3, 11, 5)])
def test_lu_bases_are_unit_lower_triangular_in_their_pivots(shape):
    a = normal(*shape)
    top = np.take_along_axis(lu_normalise(a), host_row_pivots(a)[..., None], axis=-2)
    np.testing.assert_allclose(top, np.tril(top), atol=1e-14)
    np.testing.assert_allclose(np.diagonal(top, axis1=-2, axis2=-1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("function", [orthonormalise, near_orthonormal, lu_normalise])
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_bases_refuse_wide_matrices_and_integers(function, batch):
    with pytest.raises(ValueError, match="more columns than rows"):
        function(np.ones((*batch, 3, 4)))
    with pytest.raises(TypeError, match="int64"):
        function(np.ones((4, 3), dtype=np.int64))


@pytest.mark.parametrize("shape", [(9, 4), (4, 4), (2, 3, 11, 5)])
def test_row_pivots_are_those_of_elimination(shape):
    a = np.random.default_rng(0).standard_normal(shape)
    pivots = host_row_pivots(a)
    for index in np.ndindex(shape[:-2]):
        p, _, _ = scipy.linalg.lu(a[index])
        assert pivots[index].tolist() == np.argmax(p, axis=0)[: shape[-1]].tolist()
