"""Numbers of trials: their definitions, the power by default, and the range that is searched."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pytest
from scipy import stats

from theory.statistics.required_trials import (
    required_trials_for_equivalence,
    required_trials_for_excess,
    required_trials_for_refutation,
    required_trials_for_support,
)


@pytest.mark.parametrize("delta", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("level", [1e-3, 0.05, 0.3])
def test_support_needs_the_first_number_of_runs_whose_success_is_less_likely_than_the_level(
    delta: float, level: float
) -> None:
    needed = required_trials_for_support(delta, level)
    assert (1 - delta) ** needed <= level < (1 - delta) ** (needed - 1)


def test_the_power_is_nine_tenths_by_default() -> None:
    assert required_trials_for_refutation(0.1, 0.3, 0.01) == required_trials_for_refutation(0.1, 0.3, 0.01, 0.9)
    assert required_trials_for_refutation(0.1, 0.3, 0.01) != required_trials_for_refutation(0.1, 0.3, 0.01, 0.89)
    for required in (required_trials_for_excess, required_trials_for_equivalence):
        assert required(1.0, 0.01, 0.01) == required(1.0, 0.01, 0.01, 0.9)
        assert required(1.0, 0.01, 0.01) > required(1.0, 0.01, 0.01, 0.899)


@pytest.mark.parametrize(
    ("delta", "rate", "level", "power"),
    [(0.1, 0.3, 0.01, 0.9), (0.05, 0.15, 0.2, 0.5), (0.2, 0.5, 0.4, 0.3), (0.3, 0.9, 0.3, 0.3)],
)
def test_four_times_the_normal_approximation_is_searched(
    monkeypatch: pytest.MonkeyPatch, delta: float, rate: float, level: float, power: float
) -> None:
    """And a standard deviation at least, where level and power ask for less; 63 trials more for small numbers."""
    searched: list[np.ndarray] = []
    exact = stats.binom.isf
    monkeypatch.setattr(stats.binom, "isf", lambda q, n, p: searched.append(n) or exact(q, n, p))
    found = required_trials_for_refutation(delta, rate, level, power)
    (sizes,) = searched
    deviations = max(stats.norm.isf(level) + stats.norm.ppf(power), 1.0)
    np.testing.assert_array_equal(sizes, 1 + np.arange(63 + ceil(4 * rate * (deviations / (rate - delta)) ** 2)))
    assert 1 <= found <= sizes[-1]


@pytest.mark.parametrize(("delta", "rate", "level", "power"), [(0.1, 0.3, 0.01, 0.9), (0.05, 0.15, 0.2, 0.5)])
def test_from_the_number_found_on_the_power_is_reached(delta: float, rate: float, level: float, power: float) -> None:
    def reached(trials: int) -> Any:
        critical = stats.binom.isf(level, trials, delta) + 1
        return stats.binom.sf(critical - 1, trials, rate) >= power

    found = required_trials_for_refutation(delta, rate, level, power)
    assert not reached(found - 1)
    assert all(reached(trials) for trials in range(found, 10 * found))
