"""Certificates of outputs: sentences, levels, wrong methods found, needles never certified in the mean."""

import json

import numpy as np
import pytest
import scipy.stats

from tnattn import AttentionProblem, Performer
from tnattn.certificate import Certificate, MeanError, Quantile, RowErrors, certify

RNG = np.random.default_rng(0)
Q, K, V = (RNG.standard_normal((2, 400, c)) for c in (8, 8, 4))
PROBLEM = AttentionProblem(Q, K, V)


def measured(errors, envelope=2.0, population=4000):
    errors = np.atleast_2d(errors)
    return RowErrors(errors, np.ones_like(errors), np.full(len(errors), envelope), population)


def test_a_certificate_is_one_sentence():
    certificate = Quantile().certify(measured(np.linspace(0, 0.1, 256)), 1e-3)
    assert certificate.statement() == (
        "With confidence 0.999, at least 97.4 % of the rows have an error of at most 0.1 (256 of 4000 rows exact)."
    )
    several = Quantile().certify(measured(np.ones((2, 256)) * [[0.1], [0.2]]), 1e-3)
    assert "rows of every head have an error of at most 0.2" in several.statement()
    assert "rows of head 0 have an error of at most 0.1" in several.statement(0)


def test_a_certificate_survives_json():
    certificate = MeanError().certify(measured(np.linspace(0, 0.1, 64)), 1e-3)
    assert Certificate.from_dict(json.loads(json.dumps(certificate.as_dict()))) == certificate


def test_the_failure_is_shared_by_the_heads():
    errors = np.random.default_rng(0).random(64)
    one, many = (MeanError().certify(measured(np.tile(errors, (h, 1))), 1e-3).value for h in (1, 50))
    assert many > one
    assert many == pytest.approx(MeanError().certify(measured(errors), 1e-3 / 50).value)


def test_a_row_that_is_not_finite_leaves_no_mean_and_counts_in_the_quantile():
    errors = np.full(100, 0.1)
    errors[7] = np.inf
    found = MeanError().certify(measured(errors, envelope=np.inf), 1e-3)
    assert found.value == np.inf
    assert found.statement().startswith("Nothing is certified")
    assert Quantile().certify(measured(errors), 1e-3).value == np.inf
    assert Quantile(spared=1).certify(measured(errors), 1e-3).value == pytest.approx(0.1)


def test_one_needle_is_never_certified_below_the_floor():
    """An adversary: one row of n is wrong by the whole envelope, and seldom drawn."""
    errors = np.zeros(1000)
    errors[0] = 2.0
    true = np.sqrt(np.mean(errors**2))
    for seed in range(50):
        drawn = errors[np.random.default_rng(seed).permutation(1000)[:100]]
        certificate = MeanError().certify(measured(drawn, population=1000), 1e-3)
        assert certificate.value >= max(certificate.floors[0], true)


@pytest.mark.parametrize(
    "kind", [Quantile(), Quantile(spared=3), Quantile(relative=True), MeanError(), MeanError(cap=0.3)]
)
def test_certificates_of_an_approximation_hold(kind):
    """Failures within the nominal 5 %, at level 1e-6."""
    output = Performer(features=64)(PROBLEM, rng=np.random.default_rng(1)).output
    every = RowErrors.measured(output, PROBLEM, rows=400, rng=np.random.default_rng(0))
    wrong = 0
    for seed in range(60):
        order = np.random.default_rng(seed).permutation(400)[:64]
        part = RowErrors(every.errors[:, order], every.sizes[:, order], every.envelope, 400)
        certificate = kind.certify(part, 0.05)
        if isinstance(kind, MeanError):
            wrong += np.any(np.sqrt(np.mean(every.errors**2, axis=-1)) > certificate.values)
        else:
            errors = every.errors / every.sizes if kind.relative else every.errors
            share = float(certificate.kind.split("least ")[1].split(" %")[0]) / 100
            wrong += np.any(np.mean(errors <= np.asarray(certificate.values)[:, None], axis=-1) < share)
    assert scipy.stats.binom.sf(wrong - 1, 60, 0.05) > 1e-6


def test_a_planted_error_is_found_and_a_right_output_certified():
    output = PROBLEM.output.copy()
    good = certify(output, PROBLEM, rng=np.random.default_rng(0))
    assert good.certifies(1e-12)
    shifted = np.roll(output, 1, axis=-2)  # an off-by-one of the rows
    bad = certify(shifted, PROBLEM, rng=np.random.default_rng(0))
    assert not bad.certifies(0.1)
    assert bad.cost == pytest.approx(256 / 400)


def test_rows_that_chose_the_candidate_certify_nothing():
    """The control: the best of 20 candidates on the same rows misses far more often than the nominal 5 %."""
    rng, n, m, missed = np.random.default_rng(5), 400, 40, 0
    for _ in range(100):
        candidates = rng.lognormal(sigma=2, size=(20, n))
        rows = rng.permutation(n)[:m]
        best = int(np.argmin(candidates[:, rows].max(axis=-1)))
        certificate = Quantile().certify(measured(candidates[best, rows], population=n), 0.05)
        share = float(certificate.kind.split("least ")[1].split(" %")[0]) / 100
        missed += np.mean(candidates[best] <= certificate.value) < share
    assert scipy.stats.binom.sf(missed - 1, 100, 0.05) < 1e-6


def test_what_has_no_meaning_is_refused():
    with pytest.raises(TypeError, match="Quantile"):
        certify(PROBLEM.output, PROBLEM, kind="quantile", rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="spared=64 of 64"):
        Quantile(spared=64).certify(measured(np.zeros(64)), 0.05)
    with pytest.raises(ValueError, match="cap must be"):
        MeanError(cap=0.0)
    with pytest.raises(ValueError, match="spared must be"):
        Quantile(spared=-1)
    with pytest.raises(TypeError):
        certify(PROBLEM.output, PROBLEM, rng=0)
