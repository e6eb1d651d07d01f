"""Approximations with bounds keep them when they are relabelled, and lose them when they are merged."""

import numpy as np
import pytest

from tnattn.attention.certified import CertifiedApproximation
from tnattn.structured import Dense


def piece(**fields):
    kernel = Dense(np.asarray([[[[1.0, 3.0], [1.0, 1.0]]]]))
    return CertifiedApproximation(kernel, np.zeros((1, 1, 2)), np.asarray([[[2.0], [4.0]]]), **fields)


def test_the_largest_bound_is_that_of_the_head():
    found = piece(bounds=np.asarray([[0.25, 0.5]]), failure=0.1)
    np.testing.assert_array_equal(found.largest_bound, [0.5])
    np.testing.assert_array_equal(found.output, [[[3.5], [3.0]]])


def test_labels_keep_the_bounds():
    found = piece(bounds=np.asarray([[0.25, 0.5]]), failure=0.1).labelled(keys=slice(0, 2))
    np.testing.assert_array_equal(found.bounds, [[0.25, 0.5]])
    assert found.failure == 0.1


def test_a_merged_piece_has_none():
    first, second = (piece(bounds=np.asarray([[0.25, 0.5]])).labelled(keys=slice(i, i + 2)) for i in (0, 2))
    assert not isinstance(first + second, CertifiedApproximation)


def test_a_piece_without_bounds_says_so():
    with pytest.raises(ValueError, match="carries no bounds"):
        piece().largest_bound  # noqa: B018
