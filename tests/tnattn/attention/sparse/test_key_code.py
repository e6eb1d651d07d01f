"""Codes of keys: the nearest level of every coordinate, bytes by bits, and streams."""

import math

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.key_code import CodedKeys, KeyCode
from tnattn.attention.sparse.key_statistics import KeyStatistics
from tnattn.attention.sparse.normal_levels import normal_levels

RNG = np.random.default_rng(0)
Q, K = RNG.standard_normal((2, 2, 30, 8)) * 0.7 ** np.arange(8)


def coded(bits, as_=np.asarray, dtype="float64"):
    given = AttentionProblem(*(as_(x.astype(dtype)) for x in (Q, K, K)))
    code = KeyStatistics.of(given).code(bits)
    return given, code, code.encode(given.keys)


@pytest.mark.parametrize("bits", [3, 16, 40])
def test_every_coordinate_gets_its_nearest_level(bits):
    given, code, found = coded(bits)
    y = (given.keys / code.key_unit - code.mean) @ code.encoder
    for place in np.ndindex(2, code.rank):
        levels = np.array(normal_levels(int(code.bits[place[0], 0, 0, place[1]])).levels)
        values = y[place[0], 0, :, place[1]]
        nearest = np.argmin(np.abs(values[:, None] - levels), axis=-1)
        np.testing.assert_array_equal(found.indices[place[0], 0, :, place[1]], nearest)
        np.testing.assert_array_equal(found.levels()[place[0], 0, :, place[1]], levels[nearest])


def test_more_bits_err_less():
    given = coded(8)[0]
    apart = given.k - given.k[:, 4:].mean(axis=-2, keepdims=True)
    scores = (given.q @ apart.mT)[:, None]
    errors = [np.linalg.norm(coded(bits)[2].scores(given.queries) - scores) for bits in (2, 8, 16, 48)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1 * errors[0]


def test_scores_with_the_mean_are_those_that_codes_leave_out():
    given, code, _ = coded(16)
    expected = given.q @ given.k[:, 4:].mean(axis=-2)[..., None]
    np.testing.assert_allclose(code.mean_scores(given.queries)[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("bits", [5, 16])
def test_bytes_are_those_of_the_bits(bits):
    found = coded(bits)[2]
    assert str(found.indices.dtype) == "uint8"
    assert found.nbytes == math.ceil(2 * 30 * bits / 8)


def test_a_stream_of_keys_has_the_codes_of_all_at_once():
    given, code, whole = coded(16)
    assert isinstance(code, KeyCode)
    assert isinstance(whole, CodedKeys)
    stream = code.encode(given.keys[..., :20, :])
    for i in range(20, 30):
        stream = stream.extend(given.keys[..., i : i + 1, :])
    assert stream.n == 30
    differing = np.count_nonzero(stream.indices != whole.indices)
    assert differing <= 1  # products of other shapes round differently, which a key on a threshold would show


def test_a_key_far_away_gets_the_outermost_levels():
    given, code, _ = coded(16)
    far = code.encode(given.keys * 1e300).indices.astype(int)
    assert np.isin(far, [0, *(2**b - 1 for b in range(7))]).all()


def test_codes_are_those_of_every_ring(xp):
    found = coded(16, as_=xp.asarray, dtype="float32")[2]
    expected = coded(16, dtype="float32")[2]
    estimates = to_host(found.scores(xp.asarray(Q.astype("float32")[:, None])))
    wanted = expected.scores(Q.astype("float32")[:, None])
    # signs of eigenvectors are a library's own, and a key on a threshold may fall to either side
    assert np.median(np.abs(estimates - wanted)) <= 1e-4 * np.abs(wanted).max()
    assert np.mean(np.abs(estimates - wanted) > 1e-3 * np.abs(wanted).max()) < 0.1
