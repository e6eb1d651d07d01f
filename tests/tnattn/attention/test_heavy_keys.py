"""Keys far from all others are found, whatever their number, size and origin."""

import numpy as np
import pytest

from tnattn.attention.heavy_keys import heavy_keys, replaced_by_mean, taken


def keys(n=40, d=4, seed=0):
    return np.random.default_rng(seed).standard_normal((2, 1, n, d))


def with_heavy(**places):
    """Return keys of two heads, with keys of norm 100 at some places of the first and of the second."""
    given = keys()
    for head, name in enumerate(("first", "second")):
        for size, j in enumerate(places.get(name, ())):
            given[head, 0, j] = (100 + size) * np.eye(4)[size % 4]
    return given


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [2, 3, 40, 400])
def test_gaussian_keys_are_not_heavy(n, seed):
    found = heavy_keys(keys(n, seed=seed), 20)
    assert found.indices.shape == found.present.shape == (2, 1, 0)
    assert not found.among.any()


@pytest.mark.parametrize("change", [lambda x: x, lambda x: x + 1e3, lambda x: x * 2.0**500, lambda x: x * 2.0**-500])
def test_far_keys_are_found(change):
    found = heavy_keys(change(with_heavy(first=[7, 3], second=[9])), 10)
    assert found.indices.shape == (2, 1, 2)
    assert found.indices[0, 0].tolist() == [3, 7]  # the farthest one first
    assert found.present[:, 0].tolist() == [[True, True], [True, False]]
    assert found.indices[1, 0, 0] == 9
    assert np.argwhere(found.among).tolist() == [[0, 0, 3], [0, 0, 7], [1, 0, 9]]


def test_no_more_than_asked_for():
    given = with_heavy(first=[7, 3, 5])
    assert np.argwhere(heavy_keys(given, 1).among).tolist() == [[0, 0, 5]]
    assert heavy_keys(given, 0).indices.shape == (2, 1, 0)
    assert not heavy_keys(given, 0).among.any()
    assert heavy_keys(given, 1000).indices.shape == (2, 1, 3)


def test_equal_keys_are_not_heavy_and_one_among_them_is():
    given = np.ones((1, 1, 40, 4))
    assert not heavy_keys(given, 5).among.any()
    given[..., 11, :] = 2
    assert np.argwhere(heavy_keys(given, 5).among).tolist() == [[0, 0, 11]]


def test_batch_mates_do_not_matter():
    given = with_heavy(first=[7, 3], second=[9])
    alone = heavy_keys(given[1:], 10)
    np.testing.assert_array_equal(alone.among[0], heavy_keys(given, 10).among[1])


def test_heavy_keys_step_to_the_mean_of_the_others():
    given = with_heavy(first=[7, 3])
    found = replaced_by_mean(given, heavy_keys(given, 10).among)
    others = np.delete(np.arange(40), [3, 7])
    np.testing.assert_array_equal(found[0, 0, others], given[0, 0, others])
    np.testing.assert_allclose(found[0, 0, [3, 7]], np.tile(given[0, 0, others].mean(axis=0), (2, 1)), rtol=1e-13)
    np.testing.assert_array_equal(found[1], given[1])


def test_rows_of_heavy_keys_are_taken():
    given = with_heavy(first=[7, 3], second=[9])
    rows = taken(given, heavy_keys(given, 10))
    np.testing.assert_array_equal(rows[0, 0], given[0, 0, [3, 7]])
    np.testing.assert_array_equal(rows[1, 0, 0], given[1, 0, 9])


def test_every_ring(xp):
    found = heavy_keys(xp.asarray(with_heavy(first=[7, 3], second=[9])), 10)
    assert tuple(found.indices.shape) == (2, 1, 2)
    assert int(found.indices[0, 0, 0]) == 3
