"""Looks: fresh rows are computed once, failures add up, and as many rows are planned as a certificate takes."""

import numpy as np
import pytest

from tnattn import AttentionProblem
from tnattn.certificate import MeanError, Quantile, RelativeMeanError, RowErrors, exceeding_rows
from tnattn.certificate.certificate import CertificateKind
from tnattn.certificate.looks import COVERED, FreshRows, failure_of_look, planned_rows, screened_error

PROBLEM = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 2, 40, 4)))


def alike(error, rows=64, envelope=2.0, population=4096, size=1.0):
    return RowErrors(np.full((1, rows), error), np.full((1, rows), size), np.full(1, envelope), population)


def test_fresh_rows_are_extended_and_never_computed_twice():
    rows = FreshRows(PROBLEM, rng=np.random.default_rng(0))
    few, exact = rows.take(5)
    more, longer = rows.take(12)
    assert rows.computed == 12
    assert np.array_equal(more[:5], few)
    assert np.array_equal(longer[:, :5], exact)
    assert np.allclose(longer, PROBLEM.output[:, more])
    assert sorted(rows.take(40)[0].tolist()) == list(range(40))


def test_failures_of_all_looks_add_up_to_the_failure():
    total = sum(failure_of_look(1e-3, look) for look in range(1, 2000))
    assert 0.999e-3 < total < 1e-3


@pytest.mark.parametrize("spared", [0, 2])
def test_a_quantile_takes_as_many_rows_as_cover_its_share(spared):
    rows = planned_rows(Quantile(spared=spared), 0.1, alike(0.0), 1e-3)
    few, many = (exceeding_rows(4096, m, 1e-3, exceeding=spared) / 4096 for m in (rows - 1, rows))
    assert many <= 1 - COVERED < few


@pytest.mark.parametrize("kind", [MeanError(), RelativeMeanError()], ids=repr)
def test_a_mean_takes_as_many_rows_as_certify_it(kind):
    rows = planned_rows(kind, 0.8, alike(0.1, population=400), 1e-3)
    values = [kind.certify(alike(0.1, rows=m, population=400), 1e-3).value for m in (rows - 1, rows)]
    assert values[1] <= 0.8 < values[0]
    assert planned_rows(kind, 0.8, alike(0.1, envelope=np.inf, population=100), 1e-3) == 100


def test_pilot_rows_suggest_an_error():
    assert screened_error(Quantile(), alike(0.1)) == pytest.approx(0.1)
    assert screened_error(MeanError(), alike(0.1)) == pytest.approx(0.15)
    assert screened_error(RelativeMeanError(), alike(0.1, size=2.0)) == pytest.approx(0.075)


def test_a_kind_of_a_user_gets_rows_too():
    class Largest(CertificateKind):
        def _certify(self, measured, failure):
            raise NotImplementedError

    assert planned_rows(Largest(), 0.1, alike(0.1, population=100), 1e-3) == 100
