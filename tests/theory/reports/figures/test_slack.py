"""A dot per verdict at its slack, in the colour of its verdict."""

import numpy as np
from matplotlib.colors import to_hex

from theory.reports.figures import slack
from theory.reports.figures.style import VERDICTS


def row(bound, value, verdict="supported", budget=8, method="M"):
    return {"method": method, "bound": bound, "budget": budget, "slack": value, "verdict": verdict}


def dots(figure):
    return [line for line in figure.axes[0].lines if line.get_label() in VERDICTS]


def test_dots_stand_at_their_slack_in_the_colour_of_their_verdict():
    figure = slack.draw([row("a", 2.0), row("b", 0.5, "refuted")])
    found = {line.get_label(): (line.get_xdata()[0], to_hex(line.get_color()).upper()) for line in dots(figure)}
    assert found == {"supported": (2.0, VERDICTS["supported"][0]), "refuted": (0.5, VERDICTS["refuted"][0])}


def test_what_has_no_slack_or_does_not_apply_is_left_out():
    rows = [row("a", None), row("b", float("nan")), row("c", 3.0, "not applicable"), row("d", 2.0)]
    assert list(slack.grouped(rows)) == [("M", "d")]


def test_an_infinite_slack_is_on_the_edge():
    figure = slack.draw([row("a", np.inf, "vacuous")])
    assert dots(figure)[0].get_xdata()[0] == slack.HIGHEST


def test_of_many_theorems_the_refuted_are_kept():
    rows = [row(f"b{i:03d}", 1.5 + i) for i in range(80)] + [row("wrong", 1e6, "refuted")]
    figure = slack.draw(rows)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == slack.MOST
    assert "M: wrong" in labels
    assert "M: b079" not in labels


def test_no_row_gives_words():
    assert "no theorem" in slack.draw([]).axes[0].texts[0].get_text()
