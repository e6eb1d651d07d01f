"""Singular values of every head, with the band of heads; the survey's Figures 7 and 8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from theory.reports.figures.style import INK, SOFT, heading, new_figure, save, styled

if TYPE_CHECKING:
    from theory.studies.spectra_result import SpectraResult

__all__ = ["ATTENTION", "INPUTS", "draw", "save", "seen"]

INPUTS = ("queries", "keys", "values")
ATTENTION = ("scores", "kernel", "weights", "gaussian")
NAMES = {
    "queries": "queries Q",
    "keys": "keys K",
    "values": "values V",
    "scores": "scores scale·QKᵀ",
    "kernel": "kernel exp(S − max S)",
    "weights": "weights (rows sum to 1)",
    "gaussian": "Gaussian part exp(−‖q−k‖²/2)",
}
COLOURS = ("#0072B2", "#009E73", "#D55E00", "#882255")
# of sigma_1: below are the singular values of float32 data, which are rounding
LOWEST = 1e-8


@styled
def draw(result: SpectraResult, matrices: Sequence[str]) -> Figure:
    """Draw sigma_k / sigma_1 of the named matrices that the result has, one panel each, heads thin, median thick."""
    shown = [matrix for matrix in matrices if matrix in result.singular_values]
    # the widest of four panels is wide enough for one line of title
    columns = min(len(shown), 3) if len(shown) != 4 else 2
    rows = -(-len(shown) // columns)
    figure = new_figure(2.75 * rows + 0.55)
    heading(figure, f"{result.name}: {_what(shown)}, {result.heads} heads, {result.n_q} × {result.n_k} tokens")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    lowest = min(float(result.relative(m)[result.relative(m) > 0].min(initial=1.0)) for m in shown)
    for index, (ax, matrix) in enumerate(zip(axes.flat, shown, strict=True)):
        _panel(ax, result, matrix, COLOURS[index % len(COLOURS)])
        ax.set_ylim(max(lowest / 2, LOWEST), 1.5)
        if index % columns == 0:
            ax.set_ylabel("σₖ / σ₁")
    return figure


def seen(result: SpectraResult, matrix: str) -> str:
    """Return a summary of the spectra of a matrix: median ranks over the heads."""
    energy = int(np.median(result.energy_rank(matrix, 0.99)))
    rank = int(np.median(result.numerical_rank(matrix, 1e-2)))
    total = result.relative(matrix).shape[-1]
    return f"99 % energy at {energy}, σₖ > σ₁/100 up to {rank} of {total}"


def _what(matrices: Sequence[str]) -> str:
    return "inputs" if set(matrices) <= set(INPUTS) else "spectra of attention"


def _panel(ax: Axes, result: SpectraResult, matrix: str, colour: str) -> None:
    values = result.relative(matrix)
    k = np.arange(1, values.shape[-1] + 1)
    raised = np.maximum(values, LOWEST / 10)  # zero has no place on a log axis
    low, middle, high = np.quantile(raised, (0.1, 0.5, 0.9), axis=0)
    for head in raised:
        ax.plot(k, head, color=colour, alpha=0.35, lw=0.6, zorder=1)
    ax.fill_between(k, low, high, color=colour, alpha=0.18, lw=0, label="10 to 90 % of heads")
    ax.plot(k, middle, color=colour, lw=2.2, label="median head", zorder=3)
    ax.axhline(1e-2, color=SOFT, lw=0.8, ls=":")
    ax.set_yscale("log")
    ax.yaxis.set_minor_locator(NullLocator())
    if k.size > 64:
        ax.set_xscale("log", base=2)
        ticks = [2**i for i in range(0, int(np.log2(k.size)) + 1, 2)]
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_title(f"{NAMES[matrix]}\n", color=INK)
    ax.text(0, 1.015, seen(result, matrix), transform=ax.transAxes, fontsize=8, color=SOFT, va="bottom")
    ax.set_xlabel("k")
