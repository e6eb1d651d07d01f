"""Errors of every method on every head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from theory.reports.figures.style import heading, new_figure, plain_log, styled

__all__ = ["draw"]

NUMBERS = 16  # columns up to which there is room for the numbers


@styled
def draw(errors: npt.NDArray[np.float64], methods: Sequence[str], heads: Sequence[str], title: str) -> Figure:
    """Draw one cell per method and head, colour by the logarithm of the error.

    Parameters
    ----------
    errors : (methods, heads)
        Relative; infinite or NaN cells are grey with a cross, those below 1e-4 have the colour of 1e-4.
    methods, heads : sequence of str
    title : str
    """
    figure = new_figure(0.27 * len(methods) + 1.3)
    heading(figure, title)
    ax = figure.subplots()
    # masked cells show the grey of the background
    shown = np.ma.masked_invalid(errors)
    positive = shown[shown > 0].compressed()
    low = float(np.clip(positive.min(initial=1.0), 1e-4, 0.5))
    image = ax.pcolormesh(
        np.clip(shown, low, None), cmap="cividis_r", norm=LogNorm(low, 1.0), edgecolors="white", linewidth=0.6
    )
    ax.set_facecolor("#b9bec4")
    ax.set_yticks(np.arange(len(methods)) + 0.5, methods)
    step = max(1, len(heads) // 24)
    ax.set_xticks(np.arange(0, len(heads), step) + 0.5, list(heads)[::step])
    ax.tick_params(length=0)
    ax.invert_yaxis()
    ax.grid(False)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_xlabel("head")
    if len(heads) <= NUMBERS:
        for i, j in np.ndindex(errors.shape):
            value = errors[i, j]
            text = f"{value:.2g}" if np.isfinite(value) and 1e-3 <= value < 100 else f"{value:.0e}".replace("e-0", "e-")
            dark = np.isfinite(value) and max(float(value), low) > low**0.5
            text = text if np.isfinite(value) else "×"
            ax.text(j + 0.5, i + 0.52, text, ha="center", va="center", fontsize=7, color="white" if dark else "#1c1e21")
    bar = figure.colorbar(image, ax=ax, extend="max", pad=0.01, aspect=30)
    plain_log(bar.ax.yaxis, float(np.log10(1 / low)))
    bar.set_label("relative output error", fontsize=8)
    bar.outline.set_visible(False)
    return figure
