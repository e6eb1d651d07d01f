"""A cell per method and head."""

import numpy as np

from theory.reports.figures import heat_map

ERRORS = np.asarray([[0.1, 0.5, 2.0], [0.01, np.inf, 1e-9]])


def test_cells_hold_the_errors_and_infinite_ones_are_masked():
    figure = heat_map.draw(ERRORS, ["A", "B"], ["0", "1", "2"], "title")
    shown = figure.axes[0].collections[0].get_array().reshape(2, 3)
    assert shown[0].tolist() == [0.1, 0.5, 2.0]
    assert shown[1, 0] == 0.01
    assert bool(shown.mask[1, 1])


def test_numbers_are_written_in_few_columns_only():
    few = heat_map.draw(ERRORS, ["A", "B"], ["0", "1", "2"], "title")
    many = heat_map.draw(np.ones((2, 40)), ["A", "B"], [str(h) for h in range(40)], "title")
    assert [text.get_text() for text in few.axes[0].texts] == ["0.1", "0.5", "2", "0.01", "×", "1e-9"]
    assert len(many.axes[0].texts) == 0


def test_methods_and_heads_name_the_axes():
    ax = heat_map.draw(ERRORS, ["A", "B"], ["0", "1", "2"], "title").axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["A", "B"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1", "2"]
