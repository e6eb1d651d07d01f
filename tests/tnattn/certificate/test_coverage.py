"""Coverage of every confidence bound on 2000 populations of six laws, stopping at the first success, and looks."""

import numpy as np
import pytest
import scipy.stats

from tnattn.certificate import below_relative, exceeding_rows
from tnattn.certificate.confidence import mean_below

N, TIMES, FAILURE = 2048, 2000, 0.05
ROWS = (64, 256, 1024)
BATCH = 200  # populations at a time: 30 MB of wealth
LEVEL = 1e-6  # probability that a test of coverage fails although the bound is right


def needles(rng, count, share):
    x = np.full((count, N), 1e-4) * rng.random((count, 1))
    x[:, : max(1, round(share * N))] = 1.0
    return x


def lognormal(rng, count):
    x = np.exp(2 * rng.standard_normal((count, N)))
    return x / x.max(axis=-1, keepdims=True)


POPULATIONS = {
    "flat": lambda rng, count: np.repeat(rng.random((count, 1)), N, axis=-1),
    "exponential": lambda rng, count: np.minimum(rng.exponential(rng.uniform(0.01, 0.2, (count, 1)), (count, N)), 1),
    "lognormal": lognormal,
    "needles in 0.4 %": lambda rng, count: needles(rng, count, 0.004),
    "needles in 0.2 %": lambda rng, count: needles(rng, count, 0.002),
    "one needle": lambda rng, count: needles(rng, count, 0),
}


def too_many(missed, times):
    """Whether so many misses have a probability below the level if each has the nominal one (Clopper and Pearson)."""
    return scipy.stats.binom.sf(missed - 1, times, FAILURE) < LEVEL


def batches(name):
    """Yield populations and draws without replacement, in the order of the draws."""
    rng = np.random.default_rng(7)
    for _ in range(TIMES // BATCH):
        x = POPULATIONS[name](rng, BATCH)
        yield x, rng.permuted(x, axis=-1)[:, : max(ROWS)]


def rows_missed(x, sample, m, exceeding):
    """Whether more rows of all exceed the order statistic than the count allows."""
    threshold = np.sort(sample[:, :m], axis=-1)[:, m - 1 - exceeding, None]
    return np.sum(x > threshold, axis=-1) > exceeding_rows(N, m, FAILURE, exceeding=exceeding)


@pytest.mark.slow
@pytest.mark.parametrize("name", POPULATIONS)
def test_no_bound_is_missed_more_often_than_stated(name):
    """The mean is bet against after every draw: whoever stops at the first success is covered too."""
    missed = dict.fromkeys(("mean", *((e, m) for e in (0, 4) for m in ROWS)), 0)
    for x, sample in batches(name):
        # a miss after 64 rows is one after 1024 as well: the bet goes on
        wrong = mean_below(sample, x.mean(axis=-1), population=N, failure=FAILURE)
        missed["mean"] += np.count_nonzero(wrong)
        for m in ROWS:
            for exceeding in (0, 4):
                missed[exceeding, m] += np.count_nonzero(rows_missed(x, sample, m, exceeding))
    assert {key: count for key, count in missed.items() if too_many(count, TIMES)} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", POPULATIONS)
def test_no_relative_error_is_confirmed_falsely_more_often_than_stated(name):
    """Sizes of the outputs vary from row to row; the level is that of the population itself."""
    x, sample = next(batches(name))
    rng = np.random.default_rng(3)
    y, m = rng.exponential(size=(BATCH, N)), 256
    order = rng.permuted(np.tile(np.arange(N), (BATCH, 1)), axis=-1)[:, :m]
    errors, sizes = (np.take_along_axis(z, order, axis=-1) for z in (x, y))
    levels = x.sum(axis=-1) / y.sum(axis=-1)
    wrong = [
        below_relative(e, s, level=float(level), largest=1.0, population=N, failure=FAILURE)
        for e, s, level in zip(errors, sizes, levels, strict=True)
    ]
    assert not too_many(np.count_nonzero(wrong), BATCH)


def rows_for(most, failure):
    """Return how many rows certify, all below a threshold, that at most ``most`` of all exceed it."""
    return next(m for m in range(1, N) if exceeding_rows(N, m, failure) <= most)


def false_success(failures):
    """Return the probability that a threshold which one row too many exceeds is certified at one of the looks."""
    most = 200
    each = [scipy.stats.hypergeom.pmf(0, N, most + 1, rows_for(most, f)) for f in failures]
    return 1 - np.prod(1 - np.asarray(each))


def test_looks_that_share_the_failure_keep_it():
    assert false_success([FAILURE / (t * (t + 1)) for t in range(1, 9)]) <= FAILURE


def test_looks_that_do_not_share_the_failure_exceed_it():
    """The control: fresh rows at every look, the whole failure each time, stopping at the first success."""
    assert false_success([FAILURE] * 8) > 5 * FAILURE


def test_looks_counted_from_the_first_retry_exceed_the_failure():
    """The control: the first draw spends all of the failure, and the retries as much again."""
    assert false_success([FAILURE] + [FAILURE / (t * (t + 1)) for t in range(1, 9)]) > 1.5 * FAILURE
