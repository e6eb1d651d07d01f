"""One sweep by the book: unfoldings, Khatri-Rao products, least squares."""

import numpy as np
import pytest
from fixtures import normal

from tnattn.decomposition.cp.path import Extrapolation
from tnattn.decomposition.cp.sweep import (
    cp_sweep,
    difference_energy,
    half_sweep,
    khatri_rao_rows,
    normal_solution,
    relative_error,
)
from tnattn.decomposition.multilinear import khatri_rao, unfold
from tnattn.structured.cp import CPTensor

NOTHING = np.zeros(())


def by_the_book(x, factors):
    factors = list(factors)
    for mode in range(x.ndim):
        others = khatri_rao([f for j, f in enumerate(factors) if j != mode])
        solution = np.linalg.lstsq(others, unfold(x, mode, order=x.ndim).T)[0].T
        lengths = np.linalg.norm(solution, axis=0)
        factors[mode] = solution / lengths
    return factors, lengths


@pytest.mark.parametrize("sizes", [(5, 6), (6, 7, 8), (9, 3, 4, 5), (3, 4, 3, 4, 3)], ids=str)
def test_a_sweep_solves_each_problem(sizes):
    x, start = normal(*sizes), [normal(n, 2, seed=n) for n in sizes]
    factors, lengths, captured, _ = cp_sweep(x, start, order=x.ndim, captured=NOTHING)
    expected, weights = by_the_book(x, start)
    for own, other in zip(factors, expected, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-10)
    np.testing.assert_allclose(lengths, weights, rtol=1e-10)
    assert captured == pytest.approx(np.sum(x * CPTensor(lengths, tuple(factors)).to_dense()), rel=1e-10)


@pytest.mark.parametrize("sizes, half", [((5, 6), 1), ((6, 7, 8), 2), ((9, 3, 4, 5), 2)], ids=str)
def test_half_a_sweep_is_the_first_half(sizes, half):
    x, start = normal(*sizes), [normal(n, 2, seed=n) for n in sizes]
    factors, lengths, captured = half_sweep(x, start, order=x.ndim)
    expected, _ = by_the_book(x, start)
    for own, other in zip(factors[:half], expected[:half], strict=True):
        np.testing.assert_allclose(own, other, atol=1e-10)
    for own, given in zip(factors[half:], start[half:], strict=True):
        np.testing.assert_array_equal(own, given)
    assert captured == pytest.approx(np.sum(x * CPTensor(lengths, tuple(factors)).to_dense()), rel=1e-10)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-9])
def test_the_error_is_that_of_the_difference_however_small(scale):
    """From norms while they tell it, from the difference itself where they cancel."""
    planted = [normal(n, 2, seed=n) for n in (6, 7, 8)]
    x = CPTensor(np.ones(2), tuple(planted)).to_dense() + scale * normal(6, 7, 8)
    factors, lengths, captured, _ = cp_sweep(x, planted, order=3, captured=NOTHING)
    true = np.linalg.norm(x - CPTensor(lengths, tuple(factors)).to_dense()) / np.linalg.norm(x)
    found = relative_error(x, lengths, factors, captured, np.linalg.norm(x), digits=6)
    assert found == pytest.approx(true, rel=1e-5)


def test_normal_equations_of_any_rank_have_their_smallest_solution():
    a, right = normal(2, 9, 4), normal(2, 5, 4, seed=1)
    a[1, :, 3] = a[1, :, 0] - a[1, :, 1]
    gram = a.mT @ a
    right = right @ gram  # in the range
    expected = right @ np.linalg.pinv(gram, rcond=1e-12, hermitian=True)
    np.testing.assert_allclose(normal_solution(gram, right), expected, atol=1e-9)


def test_the_two_precisions_take_their_own_road_to_the_same_factors():
    x, start = normal(6, 7, 8), [normal(n, 2, seed=n) for n in (6, 7, 8)]
    double = cp_sweep(x, start, order=3, captured=NOTHING)[0]
    single = cp_sweep(x.astype("float32"), [f.astype("float32") for f in start], order=3, captured=np.float32(0))[0]
    for a, b in zip(double, single, strict=True):
        assert b.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_good_guess_is_taken_and_a_bad_one_is_not():
    planted = [normal(n, 2, seed=n) for n in (6, 7, 8)]
    x = np.stack([CPTensor(np.ones(2), tuple(planted)).to_dense()] * 2)
    now = [np.stack([normal(n, 2, seed=n + 50)] * 2) for n in (6, 7, 8)]
    reached = cp_sweep(x, now, order=3, captured=np.zeros(2))
    guess = [np.stack([p, np.zeros_like(p)]) for p in planted]
    factors, lengths, captured, accepted = cp_sweep(x, reached[0], order=3, guess=guess, captured=reached[2])
    np.testing.assert_array_equal(accepted, [True, False])
    np.testing.assert_allclose(difference_energy(x, lengths, factors)[0], 0, atol=1e-20)
    plain = cp_sweep(x, reached[0], order=3, captured=reached[2])
    np.testing.assert_allclose(factors[1][1], plain[0][1][1], atol=1e-12)
    assert np.all(captured >= reached[2])


def test_rows_are_the_columns_of_the_khatri_rao_product():
    factors = [normal(2, n, 3, seed=n) for n in (4, 5, 6)]
    np.testing.assert_allclose(khatri_rao_rows(factors).mT, khatri_rao(factors), rtol=1e-14)


@pytest.mark.parametrize("sizes", [(5, 6, 7), (70, 80, 90)], ids=str)
def test_the_energy_of_the_difference_is_that_of_the_difference(sizes):
    x = normal(2, *sizes)
    weights, factors = normal(2, 3), [normal(2, n, 3, seed=n) for n in sizes]
    difference = x - CPTensor(weights, tuple(factors)).to_dense()
    np.testing.assert_allclose(
        difference_energy(x, weights, factors), np.sum(difference**2, axis=(1, 2, 3)), rtol=1e-12
    )


def test_guesses_continue_the_last_step_and_adapt_its_length():
    path, ones = Extrapolation(), np.ones(1)
    points = [[np.full((2, 1), float(t)), np.full((3, 1), 2.0 * t)] for t in range(4)]
    assert path.guess(points[0], ones) is None
    assert path.guess(points[1], ones) is None
    np.testing.assert_allclose(path.guess(points[2], ones)[0], 3.0)
    path.judge(np.array(False))
    np.testing.assert_allclose(path.guess(points[3], ones)[0], 3.5)
    path.judge(np.array(True))
    np.testing.assert_allclose(path.guess([2 * p for p in points[2]], ones)[0], 4.75)
