from __future__ import annotations

import numpy as np
import pytest

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rope_phase_average import (
    TruncatedKeys,
    phase_metric_root,
    rope_phase_average,
    rope_truncation_optimal,
    turned_scores_squared,
)
from theory.statement.bound import HypothesisViolated
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.rotary import Rotary


def _turned(q: np.ndarray, angle: float) -> np.ndarray:
    """Return queries of one pair of coordinates turned by an angle."""
    a, b = q[..., 0], q[..., 1]
    return np.stack([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], axis=-1)


def test_the_worked_example() -> None:
    """One query (1, 1) and one missing key (2, 0): the mean of 8 cos^2 is 4."""
    q = np.ones((1, 1, 2))
    root = phase_metric_root(AttentionProblem(q, q, q, scale=1.0), 2)
    np.testing.assert_allclose(root[0], np.eye(2), rtol=1e-14, atol=1e-15)
    assert np.sum((np.array([2.0, 0.0]) @ root[0]) ** 2) == pytest.approx(4.0, rel=1e-14)


@pytest.mark.parametrize("steps", [3, 4, 7])
def test_one_pair_and_evenly_spaced_phases_are_exact(steps: int) -> None:
    """Squares have no frequency above two: three phases or more average them exactly, without a sample."""
    problem = random_problem(np.random.default_rng(0), heads=2, groups=2, width=2)
    method = TruncatedKeys(rank=1, width=2)
    missing = np.swapaxes(problem.k - method.keys(problem), -1, -2)
    scores = [_turned(problem.q, 2 * np.pi * t / steps) @ missing for t in range(steps)]
    mean = problem.score_scale**2 * np.mean([np.sum(s**2, axis=(-2, -1)) for s in scores], axis=0)
    np.testing.assert_allclose(rope_phase_average(method, problem).value, mean, rtol=1e-12)


def test_two_phases_are_too_few() -> None:
    """Negative control."""
    problem = random_problem(np.random.default_rng(0), heads=2, groups=2, width=2)
    method = TruncatedKeys(rank=1, width=2)
    missing = np.swapaxes(problem.k - method.keys(problem), -1, -2)
    mean = problem.score_scale**2 * np.sum((problem.q @ missing) ** 2, axis=(-2, -1))  # turning by pi changes the sign
    assert np.max(np.abs(rope_phase_average(method, problem).value / mean - 1)) > 0.05


def _with_one_direction(rng: np.random.Generator, n: int) -> AttentionProblem:
    """Queries near one vector: their second moment has large entries between different pairs, which phases undo."""
    q = np.array([2.0, 1.0, 0.5, 1.0, -1.0, 2.0]) + 0.3 * rng.standard_normal((1, n, 6))
    k = rng.standard_normal((1, n, 6)) * [1.0, 2.0, 1.0, 3.0, 1.0, 1.0]
    return AttentionProblem(q, k, np.zeros((1, n, 1)))


def test_rotary_positions_behave_like_phases_that_a_position_free_metric_misses() -> None:
    problem, rotary = _with_one_direction(np.random.default_rng(0), 64), Rotary(width=6, base=3.0)
    method = TruncatedKeys(rank=3, width=6)
    missing = problem.k - method.keys(problem)
    true = problem.score_scale**2 * np.sum((rotary(problem.q) @ np.swapaxes(rotary(missing), -1, -2)) ** 2)
    free = problem.score_scale**2 * np.sum((problem.q @ np.swapaxes(missing, -1, -2)) ** 2)
    assert rope_phase_average(method, problem).value.item() == pytest.approx(true, rel=0.15)
    assert not 1 / 1.15 < free / true < 1.15


def test_truncation_in_the_averaged_metric_attains_the_least_error() -> None:
    problem = _with_one_direction(np.random.default_rng(1), 20)
    stated, least = (
        b(TruncatedKeys(rank=2, width=6), problem).value for b in (rope_phase_average, rope_truncation_optimal)
    )
    np.testing.assert_allclose(stated, least, rtol=1e-10)
    plain = TruncatedKeys(rank=2, width=6, weighted=False)
    assert np.all(rope_phase_average(plain, problem).value > 1.01 * least)


def test_full_rank_is_exact() -> None:
    problem = random_problem(np.random.default_rng(0), heads=4, groups=2, width=4)
    result = TruncatedKeys(rank=4)(problem, rng=np.random.default_rng(0))
    assert np.max(turned_scores_squared(problem, result)) < 1e-25


def test_a_directionless_group_of_queries_leaves_keys_alone() -> None:
    """Coordinates in which no query has a share cost nothing, whatever the keys are there."""
    problem = random_problem(np.random.default_rng(0), heads=2, groups=1, width=4)
    q = problem.q * np.array([1.0, 0.0, 1.0, 0.0])
    problem = AttentionProblem(q, problem.k, problem.v)
    result = TruncatedKeys(rank=2, width=4)(problem, rng=np.random.default_rng(0))
    assert np.max(turned_scores_squared(problem, result)) < 1e-25


@pytest.mark.parametrize("rank, width", [(0, 2), (2, 3), (2, 0)])
def test_sizes_out_of_range_are_refused(rank: int, width: int) -> None:
    with pytest.raises(ValueError, match="positive integer"):
        TruncatedKeys(rank=rank, width=width)


def test_larger_sizes_than_the_keys_are_refused() -> None:
    problem = random_problem(np.random.default_rng(0), width=4)
    with pytest.raises(ValueError, match="rank 5 exceeds"):
        TruncatedKeys(rank=5).keys(problem)
    with pytest.raises(ValueError, match="width 6 exceeds"):
        phase_metric_root(problem, 6)
    with pytest.raises(TypeError, match="rng must be"):
        TruncatedKeys()(problem)


def test_softcapped_scores_are_outside_the_hypotheses() -> None:
    problem = random_problem(np.random.default_rng(0), width=4)
    capped = AttentionProblem(problem.q, problem.k, problem.v, softcap=2.0)
    with pytest.raises(HypothesisViolated, match="inner products"):
        rope_phase_average(TruncatedKeys(), capped)
