"""Mode spectra of the tensor (head, query, key) of the weights, and its ranks by tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from theory.reports.figures.style import SOFT, heading, new_figure, plain_log, styled

if TYPE_CHECKING:
    from theory.studies.spectra_result import SpectraResult
    from theory.studies.tensor_spectra import TensorSpectra

__all__ = ["draw", "seen", "tolerances"]

COLOURS = {"head": "#0072B2", "query": "#009E73", "key": "#D55E00"}
NOTE: Any = {"fontsize": 8, "color": SOFT, "va": "bottom"}
# Gram matrices show singular values down to 1.5e-8 of the largest
LOWEST = 1e-7
FINEST = 1e-3
"""The smallest tolerance drawn; real weights have almost full rank there. The table goes further."""


@styled
def draw(result: SpectraResult) -> Figure:
    """Draw the mode spectra at the left; at the right the ranks of Tucker's modes and of the bonds of a train."""
    tensor = result.tensor
    figure = new_figure(3.9)
    sizes = " × ".join(str(n) for n in tensor.shape)
    heading(figure, f"{result.name}: weights of all heads as one tensor (head, query, key), {sizes}")
    left, right = figure.subplots(1, 2)
    _spectra(left, tensor)
    _ranks(right, tensor)
    return figure


def tolerances(tensor: TensorSpectra) -> np.ndarray:
    """Return the relative tolerances at which ranks are drawn, largest first, 32 per decade."""
    # ranks of trains share the tolerance over two bonds: sqrt(2) times the resolution at least
    least = max(FINEST, 2 * tensor.resolution)
    return np.geomspace(0.9, least, 1 + int(np.ceil(32 * np.log10(0.9 / least))))


def seen(tensor: TensorSpectra, rtol: float = 0.1) -> str:
    """Return a summary of the ranks that a tolerance requires."""
    tucker = ", ".join(str(rank) for rank in tensor.tucker_ranks(rtol))
    train = ", ".join(str(rank) for rank in tensor.train_ranks(rtol))
    return f"{100 * rtol:g} % error: Tucker ({tucker}), train ({train})"


def _spectra(ax: Axes, tensor: TensorSpectra) -> None:
    lowest = 1.0
    for mode, colour in COLOURS.items():
        values = tensor.relative(mode)
        k = np.arange(1, values.size + 1)
        shown = np.maximum(values, LOWEST / 10)  # zero has no place on a log axis
        ax.plot(k, shown, color=colour, marker="o" if values.size <= 64 else "", ms=3, label=f"{mode} mode")
        lowest = min(lowest, float(shown.min()))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(max(lowest / 2, LOWEST), 1.5)
    ax.yaxis.set_minor_locator(NullLocator())
    plain_log(ax.xaxis, float(np.log10(max(tensor.shape))))
    ax.set_xlabel("k")
    ax.set_ylabel("σₖ / σ₁ of the unfolding")
    ax.set_title("mode spectra\n")
    second = ", ".join(f"{mode} {tensor.relative(mode)[1]:.2g}" for mode in COLOURS if tensor.relative(mode).size > 1)
    ax.text(0, 1.015, f"σ₂ / σ₁: {second}" if second else "", transform=ax.transAxes, **NOTE)
    ax.legend(loc="lower left")


def _ranks(ax: Axes, tensor: TensorSpectra) -> None:
    grid = tolerances(tensor)
    tucker = np.asarray([tensor.tucker_ranks(rtol) for rtol in grid])
    train = np.asarray([tensor.train_ranks(rtol) for rtol in grid])
    least = np.asarray([tensor.necessary(rtol) for rtol in grid])
    for axis, (mode, colour) in enumerate(COLOURS.items()):
        ax.fill_between(grid, least[:, axis], tucker[:, axis], color=colour, alpha=0.15, lw=0)
        ax.plot(grid, tucker[:, axis], color=colour, label=f"Tucker, {mode} mode")
    for bond, mode in enumerate(("head", "key")):
        name = f"train, bond {bond + 1} (= {mode} unfolding)"
        ax.plot(grid, train[:, bond], color=COLOURS[mode], ls=(0, (4, 2)), lw=1.2, label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    plain_log(ax.yaxis, float(np.log10(max(tensor.shape))))
    ax.set_ylim(0.9, 1.15 * max(tensor.shape))
    ax.invert_xaxis()
    ax.set_xlabel("relative tolerance, ‖T′ − T‖ / ‖T‖ in the Frobenius norm")
    ax.set_ylabel("rank")
    ax.set_title("ranks that suffice; shaded down to those necessary\n")
    ax.text(0, 1.015, seen(tensor), transform=ax.transAxes, **NOTE)
    ax.legend(loc="lower right")
