"""Every head's singular values are drawn, with the median and the band; corners and maps hold their numbers."""

import numpy as np
import pytest

from theory.reports.figures import attention_map, corner, spectra
from theory.studies.error_map import ErrorMap
from theory.studies.head_spectra import head_spectra
from tnattn.attention.problem import AttentionProblem

RNG = np.random.default_rng(3)
FOUND = head_spectra(AttentionProblem(*(RNG.standard_normal((5, 80, 6)) for _ in range(3))), "toy")


@pytest.mark.parametrize("matrices", [spectra.INPUTS, spectra.ATTENTION])
def test_a_panel_per_matrix_with_every_head_and_the_median(matrices):
    figure = spectra.draw(FOUND, matrices)
    assert len(figure.axes) == len(matrices)
    for ax, matrix in zip(figure.axes, matrices, strict=True):
        relative = np.maximum(FOUND.relative(matrix), spectra.LOWEST / 10)
        drawn = np.stack([line.get_ydata() for line in ax.lines[:5]])
        np.testing.assert_array_equal(drawn, relative)
        (median,) = [line for line in ax.lines if line.get_label() == "median head"]
        np.testing.assert_array_equal(median.get_ydata(), np.median(relative, axis=0))
        assert len(ax.collections) == 1


def test_the_title_says_what_is_seen():
    ranks = np.median(FOUND.numerical_rank("weights", 1e-2)), np.median(FOUND.energy_rank("weights", 0.99))
    text = spectra.seen(FOUND, "weights")
    assert f"up to {int(ranks[0])} of 80" in text
    assert f"at {int(ranks[1])}," in text


def test_corners_are_scaled_to_maximum_one_in_every_row():
    figure = corner.draw(FOUND)
    images = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    assert len(images) == 5
    for image, exact in zip(images, FOUND.corner, strict=True):
        np.testing.assert_allclose(image.max(axis=-1), 1.0)
        np.testing.assert_allclose(image, exact / exact.max(axis=-1, keepdims=True))


def test_maps_share_one_scale_and_show_the_exact_weights_first():
    weights = RNG.random((30, 30))
    found = ErrorMap(0, weights, {"A": weights / 2, "B": weights / 10})
    figure = attention_map.draw(found, "title")
    images = [ax.images[0] for ax in figure.axes if ax.images]
    np.testing.assert_allclose(images[0].get_array(), weights)
    np.testing.assert_allclose(images[1].get_array(), weights / 2)
    assert len({(image.norm.vmin, image.norm.vmax) for image in images}) == 1
    titles = [ax.get_title("left") for ax in figure.axes if ax.images]
    assert titles == ["exact weights P", "A: 0.50", "B: 0.10"]


def test_large_maps_are_pooled():
    size = 3 * attention_map.PIXELS + 1
    found = ErrorMap(0, np.ones((size, size)), {"A": np.ones((size, size))})
    image = attention_map.draw(found, "title").axes[0].images[0].get_array()
    assert max(image.shape) <= attention_map.PIXELS
    np.testing.assert_allclose(image, 1.0)


def test_errors_that_are_no_numbers_do_not_set_the_scale():
    found = ErrorMap(0, np.eye(4), {"A": np.full((4, 4), np.nan)})
    ax = attention_map.draw(found, "title").axes[1]
    assert ax.images[0].norm.vmax == 1.0
    assert ax.get_title("left") == "A: –"
