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
    ],
)
def test_relations_of_sets_of_keys(a, b, expected):
    assert relation(a, b) == expected


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
def test_unions_of_sets_of_keys(a, b, expected):
    found = union(a, b, like=np.zeros(1))
    assert (found if isinstance(found, slice) else found.tolist()) == expected
    if not isinstance(found, slice):
        assert found.dtype == np.int64


def test_sets_are_shown():
    assert [shown(keys) for keys in (EVERY, slice(1, 4), listed(3, 5))] == ["all", "1:4", "a list of 2"]
