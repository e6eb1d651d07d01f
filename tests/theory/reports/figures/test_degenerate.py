"""Every figure can be drawn and saved from data that are empty, zero, equal, infinite, missing, or from blind heads."""

import warnings

import numpy as np
import pytest

from theory.reports.curves import Curve
from theory.reports.figures import (
    attention_map,
    corner,
    error_budget,
    frontier,
    heat_map,
    slack,
    spectra,
    tensor_spectra,
)
from theory.reports.figures.style import looks, svg
from theory.studies.error_map import ErrorMap
from theory.studies.head_spectra import head_spectra
from tnattn.attention.masks import CausalMask, ExplicitMask
from tnattn.attention.problem import AttentionProblem

VALUES = {
    "missing": np.nan,
    "infinite": np.inf,
    "zero": 0.0,
    "one": 1.0,
    "tiny": 1e-300,
    "denormal": 5e-324,
    "huge": 1e300,
    "largest": np.finfo(np.float64).max,
}
MIXED = {name: [value, 0.5, 0.1] for name, value in VALUES.items()}
ALIKE = {f"all {name}": [value] * 3 for name, value in VALUES.items()}
DATA = MIXED | ALIKE


def saved(figure):
    """Return the drawing; a warning, such as that of identical axis limits, is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing = svg(figure, name="x", label="x")
    assert drawing.startswith("<svg")
    return drawing


@pytest.fixture(autouse=True)
def strict():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def curve(method, values, *, control=False, budgets=(8, 16, 32)):
    values = np.asarray(values, dtype=float)[: len(budgets)]
    return Curve(
        method=method, family="f", control=control, oracle=False, leaks=False,
        budgets=np.asarray(budgets), median=values, low=values, high=values, predicted=values,
        vacuous=values >= 1, projected=values, flops=values, time=values,
    )  # fmt: skip


def curves(values):
    return [curve("A", values), curve("MeanValue", values, control=True, budgets=(0,))]


FLOORS = (None, "same", "empty")


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("name", DATA)
def test_error_against_budget(name, floor):
    made = curves(DATA[name])
    best = (np.asarray([8, 16, 32]), np.tile(np.asarray(DATA[name])[:, None], 3))
    given = {None: None, "same": best, "empty": (best[0][:0], best[1][:0])}[floor]
    saved(error_budget.draw(made, looks((c.method, c.family, c.control) for c in made), given))


@pytest.mark.parametrize("name", DATA)
def test_error_against_cost(name):
    made = curves(DATA[name])
    saved(frontier.draw(made, looks((c.method, c.family, c.control) for c in made)))


@pytest.mark.parametrize("draw", [error_budget.draw, frontier.draw])
def test_curves_that_are_none(draw):
    saved(draw([], {}))


@pytest.mark.parametrize("name", DATA)
def test_errors_of_every_head(name):
    saved(heat_map.draw(np.asarray([DATA[name], DATA[name]]), ["A", "B"], ["0", "1", "2"], "title"))


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (1, 1), (2, 100)])
def test_heat_maps_of_any_shape(shape):
    saved(heat_map.draw(np.full(shape, 0.5), ["A"] * shape[0], [str(h) for h in range(shape[1])], "title"))


@pytest.mark.parametrize("name", DATA)
def test_maps_of_weights(name):
    weights, error = np.full((3, 3), 1 / 3), np.tile(np.asarray(DATA[name]), (3, 1))
    saved(attention_map.draw(ErrorMap(0, weights, {"A": error, "B": weights}), "title"))


@pytest.mark.parametrize("size", [3, 200])
@pytest.mark.parametrize("error", [0.0, 0.5])
def test_maps_of_a_blind_head(size, error):
    blind = np.zeros((size, size))
    saved(attention_map.draw(ErrorMap(0, blind, {"A": blind + error}), "title"))


def test_a_map_of_one_weight():
    saved(attention_map.draw(ErrorMap(0, np.ones((1, 1)), {"A": np.zeros((1, 1))}), "title"))


@pytest.mark.parametrize("name", DATA)
def test_slack_of_theorems(name):
    row = {"method": "A", "bound": "b", "budget": 8, "verdict": "supported"}
    saved(slack.draw([{**row, "slack": value} for value in (*DATA[name], None)]))


def test_no_slack_at_all():
    saved(slack.draw([]))


def problem(visible, n=24, mask=None, heads=3):
    """A problem whose heads see all keys, one key each, or none."""
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, heads, n, 4))
    allowed = np.ones((heads, n, n), dtype=bool)
    match visible:
        case "one blind head":
            allowed[0] = False
        case "all heads blind":
            allowed[:] = False
        case "blind queries":
            allowed[:, : n // 2] = False
        case "one key":
            allowed[..., 1:] = False
        case "zeros":
            q, k, v = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    made = ExplicitMask(allowed) & mask if mask is not None else ExplicitMask(allowed)
    return AttentionProblem(q, k, v, mask=made)


@pytest.mark.parametrize(
    ("seen", "mask"),
    [("one blind head", CausalMask()), ("blind queries", None), ("one key", CausalMask()), ("zeros", None)],
)
def test_spectra_of_heads_that_see_little(seen, mask):
    found = head_spectra(problem(seen, mask=mask), "toy")
    for figure in (spectra.draw(found, spectra.INPUTS), spectra.draw(found, spectra.ATTENTION), corner.draw(found)):
        saved(figure)
    saved(tensor_spectra.draw(found))


@pytest.mark.parametrize(("n", "heads"), [(1, 1), (2, 3)])
def test_spectra_of_small_problems(n, heads):
    found = head_spectra(problem("all", n=n, heads=heads), "toy")
    saved(spectra.draw(found, spectra.INPUTS))
    saved(spectra.draw(found, spectra.ATTENTION))
    saved(corner.draw(found))
    saved(tensor_spectra.draw(found))
