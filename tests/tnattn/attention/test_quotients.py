"""Outputs from numerators and denominators: held products, bad and empty rows."""

import dataclasses

import numpy as np
import pytest

from tnattn import Approximation
from tnattn.attention.quotients import ungrouped
from tnattn.structured import Dense

KERNEL = np.asarray([[[[1.0, 3.0], [1.0, -1.0], [0.0, 0.0]]]])
VALUES = np.asarray([[[[2.0], [4.0]]]])


def piece(shift=(0.0, 0.0, -np.inf)):
    return Approximation(Dense(KERNEL), np.asarray(shift)[None, None], VALUES)


def test_bad_rows_are_nan_and_empty_rows_zero():
    np.testing.assert_array_equal(piece().output, [[[3.5], [np.nan], [0.0]]])
    np.testing.assert_array_equal(piece().bad_rows, [1])
    np.testing.assert_array_equal(piece((0.0, 0.0, 0.0)).bad_rows, [2])


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_no_value_that_is_not_finite_passes(value):
    held = piece().holding(np.asarray([[[[1.0], [value], [0.0]]]]), np.asarray([[[1.0, 1.0, 0.0]]]))
    np.testing.assert_array_equal(held.output, [[[1.0], [np.nan], [0.0]]])


def test_values_whose_sum_overflows_are_no_bad_rows():
    most = np.finfo(np.float64).max
    held = piece((0.0, 0.0, 0.0)).holding(np.full((1, 1, 3, 1), most), np.ones((1, 1, 3)))
    np.testing.assert_array_equal(held.output, most)


def test_held_products_follow_labels_but_no_change_of_the_data():
    held = piece().holding(np.full((1, 1, 3, 1), 6.0), np.ones((1, 1, 3)))
    assert held.labelled(units="others").numerators[0, 0, 0, 0] == 6
    assert dataclasses.replace(held, values=2 * VALUES).numerators[0, 0, 0, 0] == 28
    with pytest.raises(TypeError, match="values would change the products"):
        held.labelled(values=VALUES)


def test_results_belong_to_the_caller():
    held = piece()
    held.numerators[...] = 0
    held.output[...] = 0
    assert held.output[0, 0, 0] == 3.5


def test_heads_of_a_group_are_neighbours():
    np.testing.assert_array_equal(ungrouped(np.arange(6.0).reshape(3, 2, 1, 1))[:, 0, 0], np.arange(6))


def test_bad_rows_with_a_fallback_have_an_output_and_stay_counted():
    found = dataclasses.replace(piece(), fallback=np.asarray([[[[9.0]]]]))
    np.testing.assert_array_equal(found.output, [[[3.5], [9.0], [0.0]]])
    np.testing.assert_array_equal(found.bad_rows, [1])
    assert np.isnan((found + found).output[0, 1, 0])  # its mass is not known
