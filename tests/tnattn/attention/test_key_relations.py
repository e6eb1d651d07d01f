"""Relations between the sets of keys of two pieces."""

import numpy as np
import pytest

from tnattn.attention.key_relations import relation, shown, union

EVERY = slice(None)


def listed(*keys):
    return np.array(keys)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (EVERY, EVERY, "same"),
        (EVERY, slice(2, 4), "contains"),
        (slice(2, 4), EVERY, "overlapping"),
        (slice(2, 4), slice(2, 4), "same"),
        (slice(0, 2), slice(2, 4), "disjoint"),
        (slice(2, 4), slice(0, 2), "disjoint"),
        (slice(0, 3), slice(2, 4), "overlapping"),
        (slice(2, 4), slice(0, 3), "overlapping"),
        (slice(0, 4), slice(0, 3), "contains"),
        (slice(0, 4), slice(1, 4), "contains"),
        (slice(0, 3), slice(0, 4), "overlapping"),
        (EVERY, listed(1), "contains"),
        (listed(1), EVERY, "overlapping"),
        (listed(1, 3), listed(3, 1), "same"),
        (listed(1, 3), slice(1, 2), "contains"),
        (slice(1, 2), listed(1, 3), "overlapping"),
        (listed(1, 3), listed(2, 4), "disjoint"),
        (listed(1, 3), slice(2, 3), "disjoint"),
        (listed(0, 1), slice(0, 2), "same"),
        (listed(1, 3), listed(3, 4), "overlapping"),
        (listed(1, 3, 3, 1), listed(1, 3), "same"),
        (listed(5, 5), listed(7, 7, 7), "disjoint"),
        (listed(0, 5, 5), listed(5, 5, 5), "contains"),
        (np.array([[1, 2], [3, 4]]), slice(1, 5), "same"),
    ],
)
def test_relations_of_sets_of_keys(xp, a, b, expected):
    assert relation(*(keys if isinstance(keys, slice) else xp.asarray(keys) for keys in (a, b))) == expected


def test_lists_on_the_host_and_on_a_device_are_compared(xp):
    assert relation(xp.asarray(listed(1, 3)), listed(3, 1)) == "same"
    assert relation(listed(1, 3), xp.asarray(listed(1))) == "contains"


@pytest.mark.parametrize("xp", ["cupy-standin"], indirect=True)
@pytest.mark.parametrize("n", [4, 400])
def test_lists_are_compared_by_one_read_and_united_without_one(xp, n):
    a, b = (xp.asarray(2 * np.arange(n) + start) for start in (0, 1))
    before = xp.transfers.snapshot()
    assert relation(a, b) == "disjoint"
    counted = xp.transfers - before
    assert (counted.waits, counted.copies) == (1, 1)
    assert counted.launches < 40
    before = xp.transfers.snapshot()
    found = union(a, b, like=a, known="disjoint")
    assert (xp.transfers - before).waits == 0
    assert found.tolist() == list(range(2 * n))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (EVERY, slice(1, 2), EVERY),
        (slice(0, 4), slice(1, 2), slice(0, 4)),
        (slice(0, 2), slice(2, 5), slice(0, 5)),
        (slice(2, 5), slice(0, 2), slice(0, 5)),
        (slice(0, 2), slice(3, 5), [0, 1, 3, 4]),
        (listed(4, 0), slice(1, 3), [0, 1, 2, 4]),
        (slice(1, 3), listed(4, 0), [0, 1, 2, 4]),
    ],
)
def test_unions_of_sets_of_keys(xp, assert_close, a, b, expected):
    found = union(a, b, like=xp.asarray(np.zeros(1)))
    if isinstance(expected, slice):
        assert found == expected
    else:
        assert_close(found, xp.asarray(np.array(expected)), rtol=0)


def test_sets_are_shown():
    assert [shown(keys) for keys in (EVERY, slice(1, 4), listed(3, 5))] == ["all", "1:4", "a list of 2"]
