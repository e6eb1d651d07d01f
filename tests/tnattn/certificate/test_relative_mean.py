"""The relative mean: levels that the test of one level confirms, floors, coverage, and the control of a known size."""

import numpy as np
import pytest

from tnattn.certificate import RelativeMeanError, RowErrors, below_relative


def measured(errors, sizes=1.0, envelope=2.0, population=2000):
    errors = np.atleast_2d(errors)
    sizes = np.broadcast_to(np.asarray(sizes, dtype=float), errors.shape)
    return RowErrors(errors, sizes, np.full(len(errors), envelope), population)


def test_the_value_is_the_least_level_that_is_confirmed():
    errors = np.random.default_rng(0).random(200) / 5
    (value,) = RelativeMeanError().certify(measured(errors), 1e-3).values
    options = {"largest": 4.0, "population": 2000, "failure": 1e-3}
    for factor, confirmed in ((1.001, True), (0.999, False)):
        assert below_relative(errors**2, np.ones(200), level=(factor * value) ** 2, **options) == confirmed
        assert RelativeMeanError().certified(measured(errors), factor * value, 1e-3) == confirmed


def test_units_do_not_matter():
    errors = np.full(200, 0.1)
    one, other = (
        RelativeMeanError().certify(measured(c * errors, sizes=3.0 * c, envelope=2.0 * c), 1e-3).value
        for c in (1.0, 2.0**10)
    )
    assert one == pytest.approx(other, rel=1e-4)


def test_a_floor_is_what_no_error_would_give():
    certificate = RelativeMeanError().certify(measured(np.full(200, 0.05)), 1e-3)
    assert certificate.floors == RelativeMeanError().certify(measured(np.zeros(200)), 1e-3).values
    assert 0 < certificate.floors[0] < certificate.value


def test_nothing_is_certified_without_an_envelope_or_with_a_bad_row():
    assert RelativeMeanError().certify(measured(np.zeros(50), envelope=np.inf), 1e-3).value == np.inf
    errors = np.zeros(50)
    errors[3] = np.inf
    assert RelativeMeanError().certify(measured(errors), 1e-3).value == np.inf


def test_all_rows_give_the_mean_itself():
    errors = np.random.default_rng(0).random(100)
    sizes = 1 + np.random.default_rng(1).random(100)
    found = RelativeMeanError().certify(measured(errors, sizes=sizes, population=100), 1e-3).value
    assert found <= 1.3 * np.sqrt(np.sum(errors**2) / np.sum(sizes**2))


@pytest.mark.slow
def test_false_certificates_are_rare_and_a_size_from_the_sample_makes_them_common():
    """Two rows of a hundred are ten times longer: a bound divided by the size of a sample is wrong too often."""
    rng, n, m, level = np.random.default_rng(0), 1000, 64, 0.1
    sizes = np.where(np.arange(n) < n // 50, 10.0, 1.0)
    errors = np.where(np.arange(n) < n // 50, 0.0, 0.9)
    true = np.sqrt(np.sum(errors**2) / np.sum(sizes**2))
    false = plain = 0
    for _ in range(100):
        rows = rng.permutation(n)[:m]
        found = RelativeMeanError().certify(
            measured(errors[rows], sizes=sizes[rows], envelope=1.0, population=n), level
        )
        false += found.value < true
        # the control: the size of the sample in place of that of all rows, with the mean error known exactly
        plain += np.sqrt(np.mean(errors**2) / np.mean(sizes[rows] ** 2)) < true
    assert false <= 100 * level
    assert plain > 100 * level
