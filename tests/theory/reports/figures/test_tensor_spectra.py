"""The lines are the mode spectra and the ranks, and the text states them."""

import numpy as np
import pytest

from theory.reports.figures import tensor_spectra
from theory.studies.head_spectra import head_spectra
from theory.studies.tensor_spectra import MODES, mode_spectra
from tnattn.attention.problem import AttentionProblem

RNG = np.random.default_rng(3)
FOUND = head_spectra(AttentionProblem(*(3 * RNG.standard_normal((5, 80, 6)) for _ in range(3))), "toy")
LEFT, RIGHT = tensor_spectra.draw(FOUND).axes


@pytest.mark.parametrize("mode", MODES)
def test_spectra_are_relative_to_the_largest_value_on_two_log_axes(mode):
    (line,) = [line for line in LEFT.lines if line.get_label() == f"{mode} mode"]
    np.testing.assert_allclose(line.get_ydata(), FOUND.tensor.relative(mode))
    np.testing.assert_array_equal(line.get_xdata(), 1 + np.arange(FOUND.tensor.relative(mode).size))
    assert (LEFT.get_xscale(), LEFT.get_yscale()) == ("log", "log")


def test_ranks_of_three_modes_and_two_bonds_are_drawn_against_the_tolerance():
    grid = tensor_spectra.tolerances(FOUND.tensor)
    drawn = np.stack([line.get_ydata() for line in RIGHT.lines], axis=-1)
    exact = [(*FOUND.tensor.tucker_ranks(rtol), *FOUND.tensor.train_ranks(rtol)) for rtol in grid]
    np.testing.assert_array_equal(drawn, exact)
    np.testing.assert_array_equal(RIGHT.lines[0].get_xdata(), grid)
    assert len(RIGHT.collections) == 3
    assert drawn[0].tolist() != drawn[-1].tolist()


def test_finer_tolerances_stand_to_the_right():
    left, right = RIGHT.get_xlim()
    assert left > right


def test_the_title_says_which_ranks_a_tenth_asks_for():
    text = tensor_spectra.seen(FOUND.tensor)
    assert text == (
        f"10 % error: Tucker ({', '.join(map(str, FOUND.tensor.tucker_ranks(0.1)))}), "
        f"train ({', '.join(map(str, FOUND.tensor.train_ranks(0.1)))})"
    )
    assert text in [written.get_text() for written in RIGHT.texts]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 40), (2, 3, 70)])
def test_one_head_and_one_token_are_drawn(shape, tmp_path):
    flat = np.ones((shape[0], shape[1], 2))
    keys = np.ones((shape[0], shape[2], 2))
    figure = tensor_spectra.draw(head_spectra(AttentionProblem(flat, keys, keys), "flat"))
    figure.savefig(tmp_path / "flat.png")
    assert (tmp_path / "flat.png").stat().st_size > 0


def test_tolerances_stop_above_rounding():
    found = mode_spectra(np.ones((2, 3, 4)))
    grid = tensor_spectra.tolerances(found)
    assert grid[0] == pytest.approx(0.9)
    assert grid[-1] == pytest.approx(tensor_spectra.FINEST)
    assert np.all(np.diff(grid) < 0)
