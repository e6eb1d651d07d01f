"""The first queries and keys of every head's weights, rows scaled to maximum 1; the survey's Figure 5."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from theory.reports.figures.style import heading, new_figure, styled

if TYPE_CHECKING:
    from theory.studies.spectra_result import SpectraResult

__all__ = ["draw"]

# four rows of six
MOST = 24


@styled
def draw(result: SpectraResult) -> Figure:
    """Draw the corner of every head, at most 24 of them; columns bright in all rows are sinks."""
    shown = min(result.heads, MOST)
    columns = min(6, shown)
    rows = -(-shown // columns)
    figure = new_figure(1.5 * rows + 0.6)
    size = result.corner.shape[-2:]
    sinks = int(np.sum(result.column_mass.max(axis=-1) > 20 / result.n_k))
    heading(
        figure,
        f"{result.name}: first {size[0]} × {size[1]} weights; {sinks} of {result.heads} heads have a sink "
        "(a key with over 20 times the mean weight)",
    )
    axes = figure.subplots(rows, columns, squeeze=False)
    image = None
    for head, ax in enumerate(axes.flat):
        if head >= shown:
            ax.set_axis_off()
            continue
        corner = result.corner[head]
        # rows in units of their largest entry, or flat rows would be black
        top = corner.max(axis=-1, keepdims=True)
        image = ax.imshow(corner / np.where(top > 0, top, 1.0), cmap="magma", vmin=0, vmax=1, interpolation="none")
        ax.set_title(f"head {head}", fontsize=8, fontweight="normal", pad=2)
        ax.grid(False)
        ax.set_xticks([0, size[1] - 1])
        ax.set_yticks([0, size[0] - 1])
        ax.tick_params(labelsize=7, length=2)
        if head % columns:
            ax.set_yticklabels([])
        if head + columns < shown:
            ax.set_xticklabels([])
    bar = figure.colorbar(image, ax=axes, shrink=0.7, aspect=28, pad=0.01)  # type: ignore[arg-type]
    bar.set_label("weight / largest of its row shown", fontsize=8)
    bar.outline.set_visible(False)
    return figure
