"""The scan of a block: masses of the tails, the keys of largest upper bounds, and draws from the others."""

import dataclasses

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.masks import CausalMask, FullMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.rounded_keys import RoundedKeys
from tnattn.attention.sampling.scanned_tile import scanned_tile

ROWS, COLUMNS = slice(8, 14), slice(0, 20)


def problem(mask=FullMask(), *, as_=np.asarray):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, 20, 6)) for h in (4, 2, 2))
    return AttentionProblem(as_(q), as_(k), as_(v), mask=mask)


@pytest.mark.parametrize("mask", [FullMask(), CausalMask()], ids=repr)
@pytest.mark.parametrize("refined", [2, 5])
def test_tails_bound_the_mass_that_is_left(mask, refined):
    keys = RoundedKeys.of(problem(mask), 4)
    scan = scanned_tile(keys, ROWS, COLUMNS, refined=refined, exact=5)
    exact = np.exp(keys.exact.block_scores(ROWS, COLUMNS) - scan.top[..., None])
    for place, count in enumerate((refined, 5)):
        left = exact.copy()
        np.put_along_axis(left, scan.indices[..., :count], 0, axis=-1)
        assert (left.sum(-1) <= scan.beyond[..., place]).all()
        assert (scan.beyond[..., place] < 5 * left.sum(-1) + 1e-9).all()
    tail = scan.weights.sum(-1)
    np.testing.assert_allclose(scan.tail, tail)
    assert (np.take_along_axis(scan.weights, scan.indices[..., :refined], axis=-1) == 0).all()
    left = exact * (scan.weights > 0)
    ratio = np.exp(scan.half_width)[..., None]
    assert (left <= scan.weights * ratio).all()
    assert (left * ratio >= scan.weights * (1 - 1e-12)).all()


def test_the_first_keys_have_the_largest_upper_bounds(xp):
    keys = RoundedKeys.of(problem(as_=xp.asarray), 8)
    scan = scanned_tile(keys, ROWS, COLUMNS, refined=3, exact=6)
    upper = to_host(keys.rounded.block_scores(ROWS, COLUMNS) + (keys.query_norms * keys.errors)[..., ROWS, :])
    falling = np.take_along_axis(upper, to_host(scan.indices), axis=-1)
    assert (np.diff(falling, axis=-1) <= 0).all()
    np.testing.assert_array_equal(falling[..., -1], -np.sort(-upper, axis=-1)[..., 5])


def test_keys_are_drawn_in_proportion_to_their_weights():
    scan = scanned_tile(RoundedKeys.of(problem(), 8), ROWS, COLUMNS, refined=3, exact=6)
    even = np.broadcast_to((np.arange(4000) + 0.5) / 4000, (2, 2, 6, 4000))
    drawn = scan.drawn(even)
    counts = (drawn[..., None] == np.arange(20)).mean(-2)
    np.testing.assert_allclose(counts, scan.weights / scan.tail[..., None], atol=1e-3)


def test_endless_errors_leave_endless_tails():
    keys = RoundedKeys.of(problem(), 8)
    keys = dataclasses.replace(keys, errors=np.full_like(keys.errors, np.inf))
    with np.errstate(all="ignore"):
        scan = scanned_tile(keys, ROWS, COLUMNS, refined=3, exact=6)
        assert not scan.worth_drawing(0.01).any()
    assert np.isinf(scan.beyond).all()


def test_a_sample_is_worth_drawing_where_it_promises_less():
    scan = scanned_tile(RoundedKeys.of(problem(), 8), ROWS, COLUMNS, refined=3, exact=6)
    assert scan.worth_drawing(0.01).all()
    assert not scan.worth_drawing(10.0).any()
