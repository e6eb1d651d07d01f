"""The panels hold the medians, the predictions and the controls that the curves hold."""

import numpy as np
import pytest

from theory.reports.curves import Curve
from theory.reports.figures import error_budget
from theory.reports.figures.style import looks

BUDGETS = np.asarray([8, 16, 32])


def curve(method, family, median, *, budgets=BUDGETS, predicted=None, vacuous=False, **flags):
    median = np.asarray(median, dtype=float)
    unknown = np.full(median.shape, np.nan)
    kinds = {"control": False, "oracle": False, "leaks": False} | flags
    return Curve(
        method=method, family=family, budgets=budgets, median=median, low=median / 2, high=median * 2, flops=unknown,
        time=unknown, projected=unknown, predicted=unknown if predicted is None else np.asarray(predicted, dtype=float),
        vacuous=np.full(median.shape, vacuous), **kinds,
    )  # fmt: skip


def drawn(curves, floor=None):
    look = looks((c.method, c.family, c.control) for c in curves)
    return error_budget.draw(curves, look, floor), look


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


CURVES = [
    curve("A", "low_rank", [0.5, 0.2, 0.1], predicted=[0.9, 0.6, 0.3]),
    curve("B", "low_rank", [0.6, 0.5, 0.4]),
    curve("C", "sampling", [0.7, 0.6, 0.5], predicted=[1e9, 1e9, 5.0], vacuous=True),
    curve("MeanValue", "baseline", [0.8], budgets=np.asarray([0]), control=True),
    curve("SlidingWindow", "sparse", [0.9, 0.5, 0.3], control=True),
    curve("Exact", "baseline", [2e-7], budgets=np.asarray([0]), control=True),
]


def test_there_is_a_panel_per_family_with_its_medians():
    figure, _ = drawn(CURVES)
    first, second = figure.axes
    assert lines(first)["A"].get_ydata().tolist() == [0.5, 0.2, 0.1]
    assert lines(first)["B"].get_xdata().tolist() == [8, 16, 32]
    assert "C" in lines(second)
    assert "C" not in lines(first)


def test_predictions_are_dashed_in_the_colour_of_their_method():
    figure, look = drawn(CURVES)
    line = lines(figure.axes[0])["A, predicted"]
    assert line.get_ydata().tolist() == [0.9, 0.6, 0.3]
    assert line.get_color() == look["A"].colour
    assert line.get_linestyle() == "--"
    assert "B, predicted" not in lines(figure.axes[0])


def test_vacuous_predictions_are_crosses_on_the_edge():
    figure, _ = drawn(CURVES)
    top = figure.axes[1].get_ylim()[1]
    crosses = [line for line in figure.axes[1].lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert crosses[0].get_ydata().tolist() == [top, top, min(5.0, top)]
    assert not [line for line in figure.axes[0].lines if line.get_marker() == "x" and len(line.get_xdata())]


def test_controls_stand_in_every_panel_but_exact_attention():
    figure, _ = drawn(CURVES)
    for ax in figure.axes:
        assert set(lines(ax)["MeanValue"].get_ydata()) == {0.8}
        assert lines(ax)["SlidingWindow"].get_ydata().tolist() == [0.9, 0.5, 0.3]
        assert "Exact" not in lines(ax)


def test_the_floor_is_drawn_where_it_is_known():
    floor = (np.asarray([8, 16]), np.asarray([[0.3, 0.2, 0.4], [0.1, 0.05, 0.2]]))
    assert lines(drawn(CURVES, floor)[0].axes[0])["best rank"].get_ydata().tolist() == [0.3, 0.1]
    assert "best rank" not in lines(drawn(CURVES)[0].axes[0])


def test_an_infinite_error_is_on_the_edge():
    figure, _ = drawn([curve("A", "f", [0.5, np.inf, 0.1])])
    assert lines(figure.axes[0])["A"].get_ydata()[1] == figure.axes[0].get_ylim()[1]


@pytest.mark.parametrize(("count", "panels"), [(8, 1), (9, 2), (17, 3)])
def test_no_panel_has_more_than_eight_methods(count, panels):
    figure, _ = drawn([curve(f"M{i}", "f", [0.5, 0.4, 0.3]) for i in range(count)])
    assert len(figure.axes) == panels


def test_controls_alone_make_a_panel():
    figure, _ = drawn([c for c in CURVES if c.control])
    assert len(figure.axes) == 1
