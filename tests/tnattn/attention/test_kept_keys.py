"""Bounds from upper bounds on the scores of dropped keys: sure, attained, and infinite where nothing is known."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.kept_keys import centred_error, centred_output, dropped_share, kept_keys_error

RNG = np.random.default_rng(0)


def logsumexp(x):
    with np.errstate(divide="ignore"):
        return np.log(np.sum(np.exp(x), axis=-1))


def attention(scores, v):
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True) @ v


def bounded(xp, scores, upper, v, kept):
    """Return output, centred output and their bounds for rows that keep the first keys."""
    share = dropped_share(xp.asarray(logsumexp(scores[:, :kept])), xp.asarray(logsumexp(upper[:, kept:])))
    output = xp.asarray(attention(scores[:, :kept], v[:kept]))
    centre, radius = np.zeros((1, v.shape[-1])), np.linalg.norm(v, axis=-1).max(keepdims=True)
    ball = {"centre": xp.asarray(centre), "radius": xp.asarray(radius)}
    moved = centred_output(output, share, centre=ball["centre"])
    found = (output, kept_keys_error(output, share, **ball), moved, centred_error(share, radius=ball["radius"]))
    return [to_host(x).astype(np.float64) for x in found]


@pytest.mark.parametrize("size", [1.0, 50.0])
@pytest.mark.parametrize("kept", [1, 5, 20])
def test_the_bounds_are_sure(xp, size, kept):
    scores, v = size * RNG.uniform(-1, 1, (8, 20)), RNG.standard_normal((20, 3))
    upper = scores + RNG.exponential(0.1, scores.shape)
    output, error, moved, centred = bounded(xp, scores, upper, v, kept)
    exact = attention(scores, v)
    rounding = 64 * np.finfo(np.float32).eps
    assert np.all(np.linalg.norm(output - exact, axis=-1) <= error + rounding)
    assert np.all(np.linalg.norm(moved - exact, axis=-1) <= centred + rounding)
    assert np.all(centred <= error + rounding)


def test_the_bounds_are_attained():
    """Kept and dropped keys have opposite values and masses 3 and 1: the error is 2 / 4, the centred one 1 / 4."""
    scores, v = np.log([[3.0, 1.0]]), np.asarray([[1.0], [-1.0]])
    output, error, moved, centred = bounded(np, scores, scores, v, 1)
    np.testing.assert_allclose([output - attention(scores, v), error[:, None]], 0.5)
    np.testing.assert_allclose([moved - attention(scores, v), centred[:, None]], 0.25)


def test_a_bound_without_the_dropped_mass_is_wrong():
    """The control: an unseen key with the largest score."""
    scores, v = np.asarray([[0.0, 9.0]]), np.asarray([[1.0], [-1.0]])
    output, error, _, centred = bounded(np, scores, np.zeros((1, 2)) - 3.0, v, 1)
    assert abs(output - attention(scores, v)).item() > 2 * error.item() > 2 * centred.item()


@pytest.mark.parametrize(
    ("kept", "dropped", "share"),
    [
        (-np.inf, -np.inf, 0.0),
        (-np.inf, 0.0, 1.0),
        (0.0, -np.inf, 0.0),
        (0.0, np.inf, 1.0),
        (0.0, np.nan, 1.0),
        (2000.0, 0.0, 0.0),
        (0.0, 2000.0, 1.0),
    ],
)
def test_shares_at_the_ends(kept, dropped, share):
    assert float(dropped_share(np.asarray(kept), np.asarray(dropped))) == share


def test_an_output_that_is_not_finite_has_no_bound_and_becomes_the_centre_where_all_is_dropped():
    output, share, centre = np.full((2, 3), np.nan), np.asarray([0.5, 1.0]), np.zeros((1, 3))
    error = kept_keys_error(output, share, centre=centre, radius=np.ones(1))
    assert np.all(np.isinf(error))
    assert np.all(centred_output(output, share, centre=centre)[1] == 0)
    assert kept_keys_error(output, 0 * share, centre=centre, radius=np.ones(1)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_follow_the_arguments(dtype):
    x = np.ones((2, 3), dtype=dtype)
    wide = np.float32 if dtype is np.float16 else dtype
    assert dropped_share(x, x).dtype == wide
    assert centred_output(x, x[:, 0], centre=x[:1]).dtype == wide
