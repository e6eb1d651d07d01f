"""Error against cost: the paths hold the costs, the step line what nobody beats."""

import numpy as np

from theory.reports.curves import Curve
from theory.reports.figures import frontier
from theory.reports.figures.style import looks


def curve(method, cost, error, *, timed=True, **flags):
    cost, error = np.asarray(cost, dtype=float), np.asarray(error, dtype=float)
    kinds = {"control": False, "oracle": False, "leaks": False} | flags
    return Curve(
        method=method, family="f", budgets=2 ** np.arange(3, 3 + cost.size), median=error, low=error, high=error,
        predicted=error * np.nan, vacuous=error < 0, projected=error, flops=cost,
        time=2 * cost if timed else cost * np.nan, **kinds,
    )  # fmt: skip


def drawn(curves):
    return frontier.draw(curves, looks((c.method, c.family, c.control) for c in curves))


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def test_time_is_left_and_flops_right():
    figure = drawn([curve("A", [0.1, 0.2], [0.5, 0.3])])
    time, flops = figure.axes
    assert lines(time)["A"].get_xdata().tolist() == [0.2, 0.4]
    assert lines(flops)["A"].get_xdata().tolist() == [0.1, 0.2]
    assert lines(flops)["A"].get_ydata().tolist() == [0.5, 0.3]


def test_without_times_there_is_one_panel():
    assert len(drawn([curve("A", [0.1], [0.5], timed=False)]).axes) == 1


def test_the_step_line_leaves_out_oracles_and_beaten_methods():
    curves = [curve("A", [0.1], [0.5]), curve("B", [0.2], [0.6]), curve("C", [0.3], [0.2]),
              curve("Oracle", [0.05], [0.01], oracle=True)]  # fmt: skip
    steps = lines(drawn(curves).axes[1])["frontier"]
    assert steps.get_xdata()[:2].tolist() == [0.1, 0.3]
    assert steps.get_ydata()[:2].tolist() == [0.5, 0.2]


def test_of_many_methods_no_two_in_colour_share_it():
    curves = [curve(f"M{i:02d}", [0.01 * (i + 1)], [1 / (i + 2)]) for i in range(25)]
    ax = drawn(curves).axes[1]
    coloured = [line.get_color() for name, line in lines(ax).items() if str(name).startswith("M")]
    assert len(coloured) == len(set(coloured)) == 10
    assert "other methods" in lines(ax)


def test_nothing_to_draw_gives_words():
    figure = drawn([curve("Exact", [1.0], [0.0], control=True)])
    assert any("no cost" in text.get_text() for text in figure.texts)
