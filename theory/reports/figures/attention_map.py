"""Maps of the weights of one head and of the entry-wise errors of approximations."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from theory.reports.figures.style import heading, largest, new_figure, styled
from theory.reports.html import number
from theory.studies.error_map import ErrorMap, block_root_mean_squares

__all__ = ["PIXELS", "draw", "step"]

# rows and columns of a panel: more than the page resolves
PIXELS = 192
# below the largest entry; smaller ones are drawn in the darkest colour
DECADES = 4


def step(size: int) -> int:
    """Return how many rows or columns one pixel stands for."""
    return -(-size // PIXELS)


@styled
def draw(found: ErrorMap, title: str) -> Figure:
    """Draw P and every |P' - P| in one logarithmic scale; a pixel is a root mean square over a block if n is large."""
    panels = {"exact weights P": found.weights} | dict(found.errors)
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = new_figure(2.95 * rows + 0.5)
    heading(figure, title)
    axes = figure.subplots(rows, columns, squeeze=False)
    small = {label: block_root_mean_squares(values, PIXELS) for label, values in panels.items()}
    high = largest(small.values())  # 1 where nothing is positive: a blind head has no scale of its own
    norm = LogNorm(high * 10.0**-DECADES, high)
    image = None
    n_q, n_k = found.weights.shape
    for ax, label in zip(axes.flat, [*panels, *[""] * (axes.size - len(panels))], strict=True):
        if not label:
            ax.set_axis_off()
            continue
        image = ax.imshow(
            np.clip(small[label], norm.vmin, norm.vmax),  # infinite errors too
            cmap="magma",
            norm=norm,
            interpolation="none",
            extent=(0, n_k, n_q, 0),
        )
        exact = label in found.errors
        ax.set_title(f"{label}: {number(found.relative(label), 2)}" if exact else label, pad=4)
        ax.grid(False)
        ax.set_xticks([0, n_k])
        ax.set_yticks([0, n_q])
        ax.set_xlabel("key", labelpad=-8)
        ax.set_ylabel("query", labelpad=-14)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=30, pad=0.01, extend="min")  # type: ignore[arg-type]
    bar.set_label("weight, and |P′ − P|", fontsize=8)
    bar.outline.set_visible(False)
    return figure
