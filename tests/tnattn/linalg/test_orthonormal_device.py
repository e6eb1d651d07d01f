"""The steps by which a device orthonormalises a stack, taken one by one on arrays of the host."""

import array_api_compat.numpy as xp
import numpy as np
import pytest
from fixtures import normal

from tnattn.linalg import lapack, orthonormal
from tnattn.linalg.orthonormal import extend_basis, near_orthonormal, orthonormalise

EPS = np.finfo(float).eps


def bases(*shape, seed=0):
    return np.linalg.qr(normal(*shape, seed=seed))[0]


def departure(q):
    return np.abs(q.mT @ q - np.eye(q.shape[-1])).max()


def dependent(*batch, m=20, n=4):
    """Return blocks of rank two."""
    return normal(*batch, m, 2) @ normal(*batch, 2, n, seed=1)


def counted(monkeypatch, module, name):
    made, plain = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a, **options: made.append((a, options)) or plain(*a, **options))
    return made


@pytest.mark.parametrize("growth, safe", [(0.33, True), (-0.33, True), (0.38, False), (-0.38, False), (9.0, False)])
def test_a_first_pass_is_safe_below_a_half_of_departure(growth, safe):
    """The Gram matrix of two columns is 1 + growth times the identity, though the first pass took it for one."""
    a = np.stack([bases(9, 2) * np.sqrt(1 + growth), bases(9, 2, seed=1)])
    q, r, found = orthonormal._cholesky_qr_twice(xp, a, np.broadcast_to(np.eye(2), (2, 2, 2)))
    assert found.tolist() == [safe, True]
    np.testing.assert_allclose(r[1], np.eye(2), atol=1e-14)
    if safe:
        assert departure(q) <= 1e-14
        np.testing.assert_allclose(q @ r, a, atol=1e-14)


def test_a_departure_of_exactly_a_half_is_not_safe():
    column = np.array([[1.0], [0.5], [0.5]])  # its square, 1.5, has no rounding
    assert not orthonormal._cholesky_qr_twice(xp, column, np.eye(1))[2]


def test_matrices_without_a_factor_are_not_safe():
    a = np.stack([np.zeros((9, 2)), bases(9, 2)])
    assert orthonormal._cholesky_qr_twice(xp, a, orthonormal._gram(xp, a))[2].tolist() == [False, True]


@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_a_shift_is_that_share_of_the_trace(shift):
    a = normal(2, 9, 3)
    gram = orthonormal._gram(xp, a)
    first, factor = orthonormal._cholesky_pass(xp, a, gram, shift=shift)
    traces = np.trace(gram, axis1=-2, axis2=-1)[:, None, None]
    np.testing.assert_allclose(factor.mT @ factor, gram + shift * traces * np.eye(3), rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(factor, np.triu(factor))
    np.testing.assert_allclose(first @ factor, a, atol=1e-13)


def test_easy_stacks_take_two_passes_and_hard_ones_two_more_and_a_shift(monkeypatch):
    passes = counted(monkeypatch, orthonormal, "_cholesky_pass")
    reflected = counted(monkeypatch, orthonormal, "_householder_where")
    q, r = orthonormal._device_stack(xp, normal(2, 30, 4))
    assert (len(passes), len(reflected)) == (2, 0)
    u, v = bases(30, 4), bases(4, 4, seed=1)
    stack = np.stack([normal(30, 4), (u * [1.0, 1.0, 1e-9, 1e-9]) @ v.T])
    q, r = orthonormal._device_stack(xp, stack)
    shifts = [options.get("shift", 0.0) for _, options in passes[2:]]
    assert shifts == [0.0, 0.0, 8 * 4 * EPS, 0.0, 0.0]
    ((*_, orthonormal_ones), _) = reflected[0]
    assert orthonormal_ones.tolist() == [True, True]  # nothing is left to reflect
    assert departure(q) <= 1e-14
    np.testing.assert_allclose(q @ r, stack, atol=1e-13)


def test_stacks_of_stacks_are_orthonormalised_one_by_one():
    stack = normal(2, 3, 20, 4)
    stack[0, 1], stack[1, 2] = dependent(), 2.0**600 * stack[1, 2]
    with np.errstate(all="ignore"):
        q, r = orthonormal._device_stack(xp, stack)
    assert departure(q) <= (8 * 4 + 20 / 256) * EPS
    lengths = np.sqrt((stack.astype(np.longdouble) ** 2).sum(axis=-2, keepdims=True))
    assert (np.abs(q @ r - stack) <= 8 * 4 * EPS * lengths).all()


@pytest.mark.parametrize("batch", [(3,), (2, 2)], ids=str)
def test_reflections_replace_the_unsafe_matrices_only(monkeypatch, batch):
    hosts = counted(monkeypatch, lapack, "orthonormalise")
    a = normal(*batch, 20, 4)
    safe = np.ones(batch, bool)
    safe[(-1,) * len(batch)] = False
    scales = np.exp2(np.arange(4.0)) * np.ones((*batch, 1, 4))
    q, r = np.zeros_like(a), np.zeros((*batch, 4, 4))
    made, factor = orthonormal._householder_where(xp, a, scales, q, r, safe)
    assert (made.shape, factor.shape) == (a.shape, r.shape)
    assert not made[safe].any()
    assert not factor[safe].any()
    assert departure(made[~safe]) <= 1e-14
    np.testing.assert_allclose(made[~safe] @ factor[~safe], (a * scales)[~safe], atol=1e-12)
    assert (np.diagonal(factor[~safe], axis1=-2, axis2=-1) > 0).all()
    assert not q.any()
    assert not r.any()
    assert hosts == []
    same, _ = orthonormal._householder_where(xp, a, scales, q, r, np.ones(batch, bool))
    assert same is q


def test_reflections_of_a_device_that_are_not_orthonormal_are_done_on_the_host(monkeypatch):
    plain = orthonormal._with_positive_diagonal
    monkeypatch.setattr(
        orthonormal, "_with_positive_diagonal", lambda *x: (plain(*x)[0] * (1 + 40 * EPS), plain(*x)[1])
    )
    hosts = counted(monkeypatch, lapack, "orthonormalise")
    a = normal(2, 20, 4)
    q, r = orthonormal._householder_where(xp, a, np.ones((2, 1, 4)), a, normal(2, 4, 4), np.array([False, True]))
    assert len(hosts) == 1
    assert departure(q[0]) <= 32 * EPS
    np.testing.assert_allclose(q[0] @ r[0], a[0], atol=1e-13)


@pytest.mark.parametrize("units, done_again", [(0, False), (1, True)])
@pytest.mark.parametrize("m", [512, 2**16])
def test_reflections_of_a_device_are_held_to_the_stated_bound(monkeypatch, m, units, done_again):
    """Two columns of length 1 - delta: their Gram matrix departs from the identity by 2 delta, without rounding."""
    delta = (8 * 2 + m / 256 + units) * EPS / 2
    monkeypatch.setattr(
        orthonormal, "_with_positive_diagonal", lambda *_: ((1 - delta) * np.eye(m, 2)[None], np.eye(2))
    )
    hosts = counted(monkeypatch, lapack, "orthonormalise")
    a = np.eye(m, 2)[None]
    orthonormal._householder_where(xp, a, np.ones((1, 1, 2)), a, np.eye(2)[None], np.array([False]))
    assert bool(hosts) == done_again


def test_signs_make_the_diagonal_positive_and_leave_zeros():
    q, r = normal(2, 5, 3), np.stack([np.triu(np.ones((3, 3))) * [[2.0], [-0.5], [0.0]], np.eye(3)])
    turned, factor = orthonormal._with_positive_diagonal(xp, q, r)
    np.testing.assert_array_equal(turned, q * np.array([[[1.0, -1.0, 1.0]], [[1.0, 1.0, 1.0]]]))
    np.testing.assert_array_equal(np.diagonal(factor, axis1=-2, axis2=-1), [[2.0, 0.5, 0.0], [1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(turned @ factor, q @ r)


@pytest.mark.parametrize("exponents", [(0, 0, 0, 0), (600, 600, 600, 600), (-700, 0, 900, -1000)], ids=str)
@pytest.mark.parametrize("kind", ["easy", "dependent", "zero"])
def test_device_stacks_are_orthonormal_at_every_scale(exponents, kind):
    blocks = {"easy": normal(20, 4), "dependent": dependent(), "zero": np.zeros((20, 4))}
    stack = np.stack([np.ldexp(blocks[kind], exponents), normal(20, 4, seed=5)])
    with np.errstate(all="ignore"):
        q, r = orthonormal._device_stack(xp, stack)
    assert departure(q) <= (8 * 4 + 20 / 256) * EPS
    gap = np.abs(q @ np.ldexp(r, [[[-e for e in exponents]], [[0] * 4]]) - np.stack([blocks[kind], stack[1]]))
    assert gap.max() <= 8 * 4 * EPS * np.linalg.norm(stack[1])


# --- which road, and extensions of stacks ---


@pytest.mark.parametrize("shape, once", [((30, 5), True), ((5, 5), True), ((2, 9, 3), True), ((9, 0), False)])
def test_one_pass_is_taken_on_the_host(monkeypatch, shape, once):
    made = counted(monkeypatch, lapack, "near_orthonormal")
    near_orthonormal(normal(*shape))
    assert bool(made) == once


@pytest.mark.parametrize("columns", [0, 1, 2])
@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("kind", ["new", "zero", "inside"])
def test_extensions_of_any_width_are_orthogonal_to_the_basis(columns, size, kind):
    basis = bases(3, 8, size) if size else np.zeros((3, 8, 0))
    block = {
        "new": normal(3, 8, columns, seed=1),
        "zero": np.zeros((3, 8, columns)),
        "inside": basis @ normal(3, size, columns, seed=2),
    }[kind]
    new = extend_basis(basis, block)
    assert new.shape == (3, 8, columns)
    joined = np.concatenate([basis, new], axis=-1)
    assert np.abs(joined.mT @ joined - np.eye(size + columns)).max(initial=0) <= 8 * 8 * EPS


@pytest.mark.parametrize("kind", ["new", "zero"])
def test_batches_of_bases_and_blocks_broadcast(kind):
    basis, block = bases(2, 1, 6, 2), normal(3, 6, 2, seed=1) * (kind == "new")
    new = extend_basis(basis, block)
    assert new.shape == (2, 3, 6, 2)
    joined = np.concatenate([np.broadcast_to(basis, (2, 3, 6, 2)), new], axis=-1)
    assert departure(joined) <= 64 * EPS


@pytest.mark.parametrize("overlap, joined", [(0.09, False), (0.1, True), (0.11, True)])
def test_a_block_that_keeps_a_tenth_of_the_basis_is_factorised_with_it(monkeypatch, overlap, joined):
    """The first projection is made to leave so much behind."""
    basis, beside = np.split(np.eye(9, 3), [2], axis=-1)
    left = basis[:, :1] * overlap + np.sqrt(1 - overlap**2) * beside
    monkeypatch.setattr(orthonormal, "near_orthonormal", lambda a: left)
    made = counted(monkeypatch, orthonormal, "orthonormalise")
    new = extend_basis(basis, normal(9, 1, seed=3))
    assert made[0][0][0].shape == ((9, 3) if joined else (9, 1))
    assert np.abs(basis.T @ new).max() <= 1e-14


def test_a_new_block_is_projected_twice_and_factorised_alone(monkeypatch):
    """In whatever direction it starts: most of it may lie in the basis."""
    basis = bases(40, 3)
    made = counted(monkeypatch, orthonormal, "orthonormalise")
    for block in (normal(40, 2, seed=1), basis @ normal(3, 2) + 0.01 * normal(40, 2, seed=1)):
        made.clear()
        new = extend_basis(basis, block)
        assert [arguments[0].shape for arguments, _ in made] == [(40, 2)]
        joined = np.concatenate([basis, new], axis=-1)
        assert np.linalg.norm(block - joined @ (joined.T @ block)) <= 1e-14 * np.linalg.norm(block) * 10


def test_a_full_basis_has_room_for_nothing():
    assert extend_basis(np.eye(3), np.zeros((3, 0))).shape == (3, 0)
    with pytest.raises(ValueError, match="no room for 1 more columns in dimension 3; give a block of at most 0"):
        extend_basis(np.eye(3), np.ones((3, 1)))
    with pytest.raises(ValueError, match="no room for 3 more columns in dimension 5; give a block of at most 2"):
        extend_basis(np.eye(5, 3), np.ones((5, 3)))
    with pytest.raises(ValueError, match=r"a \(2, 3, 4\) has more columns than rows; 4 columns .* dimension 3"):
        orthonormalise(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"a \(2, 3, 4\) has more columns than rows"):
        near_orthonormal(np.ones((2, 3, 4)))
