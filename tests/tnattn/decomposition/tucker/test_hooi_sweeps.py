"""Sweeps of higher-order orthogonal iteration against a plain one, mode by mode on the whole tensor."""

import warnings

import numpy as np
import pytest
from fixtures import drawn

from tnattn.decomposition.tucker import hooi
from tnattn.decomposition.tucker.hooi import HOOI, improved_bases, projected_on
from tnattn.decomposition.tucker.st_hosvd import STHOSVD


def projected(x, bases, skip=None):
    for mode, basis in enumerate(bases):
        if mode != skip:
            x = np.moveaxis(np.tensordot(basis.T, x, (1, mode)), 0, mode)
    return x


def plain_sweep(x, bases):
    bases = list(bases)
    for mode in range(x.ndim):
        seen = projected(x, bases, skip=mode)
        u = np.linalg.svd(np.moveaxis(seen, mode, 0).reshape(seen.shape[mode], -1), full_matrices=False)[0]
        bases[mode] = u[:, : bases[mode].shape[1]]
    return bases


# two modes are stationary from the start, and no sweep follows one that changes nothing
CASES = [((5, 6, 7), (2, 3, 4)), ((4, 5, 3, 6), (2, 3, 2, 3)), ((3, 4, 3, 2, 4), (2, 2, 2, 2, 3))]


@pytest.mark.parametrize("shape, ranks", CASES, ids=str)
@pytest.mark.parametrize("sweeps, size", [(1, 1.0), (2, 2.0**-12), (5, 1.0)])
def test_sweeps_are_those_of_the_plain_iteration(shape, ranks, sweeps, size):
    x, order = size * drawn(shape), len(shape)
    bases = [np.array(u) for u in STHOSVD(ranks=ranks, order=order)(x).factors]
    errors = [np.linalg.norm(x - STHOSVD(ranks=ranks, order=order)(x).to_dense())]
    for _ in range(sweeps):
        bases = plain_sweep(x, bases)
        errors.append(np.sqrt(np.sum(x**2) - np.sum(projected(x, bases) ** 2)))
    result = HOOI(ranks=ranks, order=order, sweeps=sweeps, stagnation=0)(x)
    for ours, theirs in zip(result.factors, bases, strict=True):
        np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-9)
    np.testing.assert_allclose(result.core, projected(x, result.factors), atol=1e-12 * size)
    np.testing.assert_allclose(result.errors * np.linalg.norm(x), errors, rtol=1e-9)
    assert result.sweeps == sweeps
    assert result.errors.shape == (sweeps + 1,)
    assert result.residual == result.errors[-1]
    assert result.error_certificate == pytest.approx(errors[-1], rel=1e-9)


def test_a_matrix_is_stationary_from_the_start():
    x = drawn((6, 7))
    result = HOOI(ranks=2, order=2, sweeps=9, stagnation=1e-12)(x)
    tail = np.linalg.svd(x, compute_uv=False)[2:]
    assert result.sweeps == 1
    assert result.error_certificate == pytest.approx(np.linalg.norm(tail), rel=1e-9)


def test_a_tensor_is_left_once_a_sweep_changes_little_and_the_others_go_on():
    x = np.stack([drawn((5, 6, 7), seed) for seed in range(4)])
    x[2] = 0
    method = HOOI(ranks=2, sweeps=40, stagnation=1e-4)
    result = method(x)
    for place in range(4):
        alone = HOOI(ranks=2, sweeps=40, stagnation=0)(x[place]).errors if place != 2 else np.zeros(41)
        changes = np.abs(np.diff(alone))
        steps = 0 if place == 2 else int(np.argmax(changes <= 1e-4)) + 1
        assert result.sweeps[place] == steps
        np.testing.assert_allclose(result.errors[place, : steps + 1], alone[: steps + 1], rtol=1e-9)
        np.testing.assert_array_equal(result.errors[place, steps:], result.errors[place, steps])
    assert result.stationary.all()
    assert len(set(result.sweeps.tolist())) > 2
    assert result.errors.shape == (4, int(result.sweeps.max()) + 1)
    assert result.error_certificate[2] == 0


@pytest.mark.parametrize("size", [1e-3, 1e-5, 1e-7])
def test_small_errors_are_those_of_the_difference(size):
    """1 - |core|^2 / |x|^2 has no digits at 1e-8."""
    rng = np.random.default_rng(0)
    exact = np.einsum("abc,ia,jb,kc->ijk", *(rng.standard_normal(s) for s in ((2, 2, 2), (6, 2), (7, 2), (8, 2))))
    x = exact + size * np.linalg.norm(exact) / 18 * rng.standard_normal(exact.shape)
    result = HOOI(ranks=2)(x)
    true = np.linalg.norm(x - result.to_dense())
    assert 0.5 * size * np.linalg.norm(x) < true < 2 * size * np.linalg.norm(x)
    assert result.error_certificate == pytest.approx(true, rel=1e-6)


@pytest.mark.parametrize("rtol", [0.3, 0.6])
def test_ranks_are_those_of_the_start_and_columns_beyond_them_zero(rtol):
    x = np.stack([drawn((5, 6, 7), seed) * np.exp(-0.5 * seed * np.arange(7)) for seed in range(3)])
    result, start = HOOI(rtol=rtol)(x), STHOSVD(rtol=rtol)(x)
    np.testing.assert_array_equal(result.ranks, start.ranks)
    for mode, factor in enumerate(result.factors):
        for place in range(3):
            rank = int(result.ranks[place, mode])
            assert not factor[place][:, rank:].any()
            np.testing.assert_allclose(factor[place][:, :rank].T @ factor[place][:, :rank], np.eye(rank), atol=1e-12)
    assert np.all(result.residual <= rtol)


def test_a_basis_that_cannot_improve_is_kept():
    """One of a mode kept whole, and one above the rank of what the others leave."""
    x = drawn((5, 6, 7))
    bases = [np.eye(5), np.linalg.qr(drawn((6, 3)))[0], np.linalg.qr(drawn((7, 2), 1))[0]]
    found, core = improved_bases(x, bases, np.array([5, 3, 2]))
    assert found[0] is bases[0]
    assert found[1] is not bases[1]
    np.testing.assert_allclose(core, projected(x, found), atol=1e-12)
    narrow = [np.linalg.qr(drawn((5, 1)))[0], np.linalg.qr(drawn((6, 3), 1))[0], np.linalg.qr(drawn((7, 2), 2))[0]]
    found, _ = improved_bases(x, narrow, np.array([1, 3, 2]))
    assert found[1] is narrow[1]
    enough = [narrow[0], narrow[1][:, :2], narrow[2]]  # as many directions as the others leave
    found, _ = improved_bases(x, enough, np.array([1, 2, 2]))
    assert found[1] is not enough[1]


@pytest.mark.parametrize("noise, products", [(1.0, 0), (1e-2, 0), (1e-5, 3)])
def test_the_difference_is_formed_only_where_norms_lose_half_of_the_digits(monkeypatch, noise, products):
    calls, plain = [], hooi.mode_product
    exact = np.einsum("i,j,k->ijk", *(np.ones(n) for n in (5, 6, 7))) / np.sqrt(210)
    x = np.stack([exact + noise * drawn((5, 6, 7)) / np.sqrt(210), np.zeros((5, 6, 7))]) / 32
    bases = [np.stack([u, u]) for u in STHOSVD(ranks=1)(x[0]).factors]
    core = projected_on(x, bases, range(3))
    monkeypatch.setattr(
        hooi, "mode_product", lambda t, a, mode, order: calls.append(mode) or plain(t, a, mode, order=order)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        errors = hooi._relative_error(x, bases, core, np.sum(x**2, axis=(1, 2, 3)))
    assert len(calls) == products
    true = np.linalg.norm(x[0] - STHOSVD(ranks=1)(x[0]).to_dense()) / np.linalg.norm(x[0])
    np.testing.assert_allclose(errors, [true, 0], rtol=1e-6)


def test_results_are_compared_by_identity_and_print_their_shape():
    x = drawn((5, 6, 7))
    first, second = HOOI(ranks=2)(x), HOOI(ranks=2)(x)
    assert first == first
    assert first != second
    assert len({first, second}) == 2
    assert repr(first) == "FittedTucker(5, 6, 7)"


@pytest.mark.parametrize("others, modes", [((0, 1, 2), [1, 2, 0]), ((0, 2), [2, 0]), ((0,), [0]), ((), [])], ids=str)
def test_the_mode_that_shrinks_most_is_projected_first(monkeypatch, others, modes):
    seen, plain = [], hooi.mode_product
    monkeypatch.setattr(
        hooi, "mode_product", lambda t, a, mode, order: seen.append(mode) or plain(t, a, mode, order=order)
    )
    x, bases = drawn((2, 4, 8, 6)), [np.stack([np.eye(n)[:, :r]] * 2) for n, r in ((4, 3), (8, 1), (6, 2))]
    result = projected_on(x, bases, others)
    assert seen == modes
    np.testing.assert_array_equal(result, x[:, *(slice(r if j in others else None) for j, r in enumerate((3, 1, 2)))])


def test_a_long_mode_that_keeps_most_of_its_length_is_projected_last(monkeypatch):
    seen, plain = [], hooi.mode_product
    monkeypatch.setattr(
        hooi, "mode_product", lambda t, a, mode, order: seen.append(mode) or plain(t, a, mode, order=order)
    )
    bases = [np.stack([np.eye(n)[:, :r]] * 2) for n, r in ((4, 1), (8, 7), (6, 3))]
    projected_on(drawn((2, 4, 8, 6)), bases, (0, 1, 2))
    assert seen == [0, 2, 1]


def test_two_projections_of_the_whole_tensor_make_a_sweep(monkeypatch):
    sizes, plain = [], hooi.mode_product
    monkeypatch.setattr(
        hooi, "mode_product", lambda t, a, mode, order: sizes.append(t.size) or plain(t, a, mode, order=order)
    )
    x = drawn((8, 9, 10, 7))
    improved_bases(x, [np.eye(n)[:, :2] for n in x.shape], np.array([2, 2, 2, 2]))
    assert sum(size == x.size for size in sizes) == 2
    assert len(sizes) == 9  # two and two for the halves, one for each basis, one for the core


@pytest.mark.parametrize("stagnation", [-1e-9, 1.0, 2.0, float("nan")])
def test_stagnation_out_of_range(stagnation):
    with pytest.raises(ValueError, match="0 <= stagnation < 1 is needed; 0 runs all sweeps"):
        HOOI(stagnation=stagnation)


def test_fields_are_checked_as_those_of_all_truncations():
    assert HOOI().rtol == 0.01
    with pytest.raises(ValueError, match="both given"):
        HOOI(ranks=2, rtol=0.1)


def test_the_least_fields():
    assert HOOI(stagnation=0, sweeps=1).sweeps == 1
    assert (HOOI().sweeps, HOOI().stagnation) == (10, 1e-6)
    with pytest.raises(ValueError, match="sweeps is 0; sweeps >= 1 is needed; use STHOSVD for the initial guess"):
        HOOI(sweeps=0)


def test_no_sweep_loses_quasi_optimality():
    assert STHOSVD.quasi_optimal
    assert HOOI.quasi_optimal


@pytest.mark.parametrize("exponent", [-200, 100, 900])
def test_the_error_of_a_multiple_is_that_multiple_of_the_error(exponent):
    x = drawn((4, 5, 6))
    fit, moved = (HOOI(ranks=2, sweeps=2)(y) for y in (x, np.ldexp(x, exponent)))
    np.testing.assert_allclose(fit.error_certificate, np.linalg.norm(x - fit.to_dense()), rtol=1e-12)
    np.testing.assert_array_equal(moved.error_certificate, np.ldexp(fit.error_certificate, exponent))
    np.testing.assert_array_equal(moved.residual, fit.residual)


@pytest.mark.parametrize("options, tolerance", [({"ranks": 2}, 0.0), ({"rtol": 0.6}, 0.6)], ids=str)
def test_the_error_after_the_last_sweep_is_held_to_the_tolerance(monkeypatch, options, tolerance):
    held, plain = [], hooi.within
    monkeypatch.setattr(hooi, "within", lambda *arguments: held.append(arguments) or plain(*arguments))
    result = HOOI(**options, sweeps=4, stagnation=0.0)(drawn((5, 6, 7)))
    ((error, rtol),) = held
    assert len(set(result.errors.tolist())) == 5
    assert (error, rtol) == (result.errors[-1], tolerance)
    assert bool(result.converged) == (tolerance > 0)
