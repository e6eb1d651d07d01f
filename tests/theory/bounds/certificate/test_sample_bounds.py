"""Worked examples of the statements about few exact rows: samples small enough to be counted by hand."""

import numpy as np
import pytest

from theory.bounds.certificate.row_samples import (
    ImportanceRowSample,
    RowSample,
    StratifiedRowSample,
    mean_square,
    needles,
)
from theory.bounds.certificate.sampled_means import (
    sampled_mean,
    sampled_mean_floor,
    sampled_relative_error,
    winsorised_mean,
    zeros_bound,
)
from theory.bounds.certificate.sampled_quantiles import above_largest, sampled_maximum, sampled_order_statistic
from theory.bounds.certificate.weighted_means import importance_mean, stratified_mean
from theory.statement.bound import HypothesisViolated

RNG = np.random.default_rng(0)
RANDOM = np.sqrt(np.random.default_rng(1).exponential(size=(12, 1)))


def drawn(method, errors):
    return method(errors, rng=np.random.default_rng(0))


def test_all_rows_give_the_mean_square_itself():
    method = RowSample(rows=12)
    result = drawn(method, RANDOM)
    prediction = sampled_mean(method, RANDOM, result)
    assert prediction.value.item() == pytest.approx(mean_square(RANDOM, result).item(), rel=1e-6)
    assert prediction.failure.item() == 0.05


def test_one_zero_of_two_rows_leaves_half_of_the_envelope():
    """The other row may have the error B: no bet on one draw reaches twice the stake below a mean of one half."""
    errors = needles(1, n=2)
    method = RowSample(rows=1, failure=0.5)
    zero = next(r for r in (method(errors, rng=np.random.default_rng(s)) for s in range(20)) if r.rows.max() == 0)
    assert sampled_mean(method, errors, zero).value.item() == pytest.approx(0.5, abs=1e-6)


def test_a_looser_envelope_loosens_the_bound():
    result = drawn(RowSample(rows=6), RANDOM)
    tight, loose = (sampled_mean(RowSample(rows=6, envelope=b), RANDOM, result).value for b in (1.0, 4.0))
    assert tight < loose


def test_the_floor_of_two_of_four_rows():
    """C(3, 2) / C(4, 2) = 1/2 and C(2, 2) / C(4, 2) = 1/6 exceed 0.05, C(1, 2) = 0 does not: K = 2 of n = 4."""
    errors, method = needles(1, n=4), RowSample(rows=2)
    result = drawn(method, errors)
    assert sampled_mean_floor(method, errors, result).value.item() == 0.5
    assert zeros_bound(errors, result) >= 0.5


def test_all_rows_and_a_cap_count_the_rows_above_it():
    """One error of four is B: the capped mean is 1/16, and one row above the cap adds 3/16."""
    errors, method = needles(1, n=4), RowSample(rows=4)
    assert winsorised_mean(method, errors, drawn(method, errors)).value.item() == pytest.approx(0.25, rel=1e-6)


def test_a_cap_lies_between_zero_and_the_envelope():
    method = RowSample(rows=4)
    with pytest.raises(HypothesisViolated, match="cap"):
        winsorised_mean.with_parameters(cap=2.0)(method, RANDOM, drawn(method, RANDOM))


@pytest.mark.parametrize(("factor", "confirmed"), [(0.1, True), (0.6, False)])
def test_relative_errors_below_the_level_are_confirmed(factor, confirmed):
    """Errors of a tenth of their size are below the half; of six tenths never, and the right-hand side is n B."""
    errors, method = np.stack([factor * np.ones(64), np.ones(64)], axis=-1), RowSample(rows=32)
    value = sampled_relative_error(method, errors, drawn(method, errors)).value.item()
    assert value == pytest.approx(0.25 * 64 if confirmed else 0.36 * 64)


def test_a_relative_error_needs_sizes():
    method = RowSample(rows=4)
    with pytest.raises(HypothesisViolated, match="a row is an error and a size"):
        sampled_relative_error(method, RANDOM, drawn(method, RANDOM))


def test_the_rows_above_the_largest_of_five_of_ten():
    """C(7, 5) / C(10, 5) = 21 / 252 exceeds 0.05, C(6, 5) / C(10, 5) = 6 / 252 does not: K = 3."""
    errors, method = np.arange(10.0)[:, None], RowSample(rows=5)
    result = drawn(method, errors)
    assert sampled_maximum(method, errors, result).value.item() == 0.3
    assert above_largest(errors, result) == (9 - result.rows.max()) / 10


def test_the_rows_above_the_third_largest_of_five_of_ten():
    """Of 7 marked rows 2 are drawn with probability 21 / 252, of 8 at least 3: K = 7."""
    errors, method = np.arange(10.0)[:, None], RowSample(rows=5)
    assert sampled_order_statistic(method, errors, drawn(method, errors)).value.item() == 0.7


def test_an_order_statistic_needs_as_many_rows():
    method = RowSample(rows=2)
    with pytest.raises(HypothesisViolated, match="r <= m"):
        sampled_order_statistic(method, RANDOM, drawn(method, RANDOM))


# after one zero the wealth is (1 + y) / 2 + (1 + y / 2) / 2 with y = mu / (1 - mu): the portfolio has the mean stake
# 1/2; it reaches 20 at y = 19 / 0.75
ONE_ZERO = (19 / 0.75) / (1 + 19 / 0.75)


def test_one_zero_by_importance():
    errors, method = np.asarray([[0.0, 2.0], [0.0, 2.0]]), ImportanceRowSample(rows=1)
    assert importance_mean(method, errors, drawn(method, errors)).value.item() == pytest.approx(4 * ONE_ZERO, abs=1e-6)


def test_one_zero_of_one_stratum():
    errors, method = needles(1, n=2), StratifiedRowSample(rows=1)
    zero = next(r for r in (method(errors, rng=np.random.default_rng(s)) for s in range(20)) if r.rows.max() == 0)
    assert stratified_mean(method, errors, zero).value.item() == pytest.approx(ONE_ZERO, abs=1e-6)


def test_an_error_above_its_bound_is_outside_the_hypotheses():
    method, errors = ImportanceRowSample(rows=2), np.asarray([[3.0, 2.0], [0.0, 2.0]])
    with pytest.raises(HypothesisViolated, match="no error exceeds its bound"):
        importance_mean(method, errors, drawn(method, errors))


@pytest.mark.parametrize("method", [RowSample, ImportanceRowSample, StratifiedRowSample])
@pytest.mark.parametrize("options", [{"rows": 0}, {"failure": 1.0}])
def test_samples_refuse_what_has_no_meaning(method, options):
    with pytest.raises(ValueError, match="needs rows >= 1"):
        method(**options)


def test_more_rows_than_there_are_cannot_be_drawn():
    with pytest.raises(ValueError, match="rows 13 exceeds the 12 rows"):
        drawn(RowSample(rows=13), RANDOM)
