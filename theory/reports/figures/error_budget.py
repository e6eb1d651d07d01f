"""Error against budget, a panel per family, with predictions and controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from theory.reports.curves import Curve
from theory.reports.figures.control_methods import control_methods
from theory.reports.figures.style import INK, Look, drawable, heading, new_figure, plain_log, styled

__all__ = ["draw"]

Values = npt.NDArray[np.float64]

COLUMNS, PANEL, MOST = 3, 1.75, 8  # inches of height, and lines that the eye tells apart in a panel
LOWEST, HIGHEST = 1e-4, 30.0  # limits of the error axis: smaller is exact in print, larger no approximation


@styled
def draw(
    curves: Sequence[Curve], look: dict[str, Look], best: tuple[npt.NDArray[np.int64], Values] | None = None
) -> Figure:
    """Draw a panel per family.

    Parameters
    ----------
    curves : sequence of Curve
        The controls among them are drawn in every panel.
    look : dict from method to Look
    best : (budgets (b,), quantiles (b, 3)), optional
        Best rank-m error of the weights.

    Returns
    -------
    Figure
        Errors outside the axes are drawn on their edge; vacuous predictions as crosses, at the top if above it.
    """
    panels = list(_panels(curves))
    controls = [curve for curve in curves if curve.control and curve.errs]
    budgets = sorted({int(m) for curve in curves for m in curve.budgets if m > 0} or {1})
    limits = _limits([curve for curve in curves if curve.errs], best)
    columns = min(COLUMNS, len(panels))
    figure, axes = _grid([len(members) for _, members in panels], columns)
    heading(figure, "Relative output error against budget")
    for index, (ax, (family, members)) in enumerate(zip(axes, panels, strict=True)):
        _scales(ax, budgets, limits)
        _controls(ax, [curve for curve in controls if curve not in members], look, best)
        handles = [_method(ax, curve, look[curve.method]) for curve in members]
        ax.legend(
            handles,
            [curve.method for curve in members],
            title=family.replace("_", " "),
            title_fontproperties={"weight": "bold", "size": 9},
            alignment="left",
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.015),
            borderpad=0,
            handlelength=2.2,
            labelspacing=0.3,
        )
        if index % columns == 0:
            ax.set_ylabel("‖O′ − O‖ / ‖O‖")
        if index + columns >= len(panels):
            ax.set_xlabel("budget (columns)")
    _legend(figure, controls, look, curves, best)
    return figure


def _grid(members: Sequence[int], columns: int) -> tuple[Figure, list[Axes]]:
    """Return axes placed by hand, in inches: equally large however long the lists of methods above them are."""
    left, right, between, top, bottom = 0.62, 0.12, 0.5, 0.3, 0.72
    rows = [members[i : i + columns] for i in range(0, len(members), columns)]
    heads = [0.32 + 0.165 * max(row) for row in rows]
    height = top + sum(heads) + len(rows) * (PANEL + 0.3) + 0.2 + bottom
    figure = new_figure(height)
    # the automatic layout would make panels with long legends smaller than others
    figure.set_layout_engine("none")
    total = float(figure.get_size_inches()[0])
    width = (total - left - right - (COLUMNS - 1) * between) / COLUMNS
    if len(members) < COLUMNS:
        width = min(4.5, (total - left - right - (columns - 1) * between) / columns)
    axes, y = [], height - top
    for row, head in zip(rows, heads, strict=True):
        y -= head + PANEL
        for column in range(len(row)):
            x = left + column * (width + between)
            axes.append(figure.add_axes((x / total, y / height, width / total, PANEL / height)))
        y -= 0.3
    return figure, axes


def _panels(curves: Sequence[Curve]) -> Iterator[tuple[str, list[Curve]]]:
    """Yield families in parts of at most eight methods; controls alone if there is nothing else."""
    families: dict[str, list[Curve]] = {}
    for curve in curves:
        if not curve.control:
            families.setdefault(curve.family, []).append(curve)
    if not families:
        yield "controls only", [curve for curve in curves if curve.control]
    for family, members in families.items():
        for start in range(0, len(members), MOST):
            yield family + (" (continued)" if start else ""), members[start : start + MOST]


def _limits(curves: Sequence[Curve], best: tuple[npt.NDArray[np.int64], Values] | None) -> tuple[float, float]:
    every = [np.concatenate([curve.low, curve.median, curve.high]) for curve in curves]
    seen = np.concatenate([*every, np.zeros(0) if best is None else best[1][:, 0]])
    seen = seen[np.isfinite(seen) & (seen > 0)]
    if seen.size == 0:
        return 1e-2, 2.0
    # some room around the data on a logarithmic axis
    low, high = drawable(seen.min()) / 1.4, drawable(seen.max()) * 1.3
    return float(np.clip(low, LOWEST, 0.5)), float(np.clip(high, 2.0, HIGHEST))


def _scales(ax: Axes, budgets: Sequence[int], limits: tuple[float, float]) -> None:
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlim(budgets[0] / 1.15, budgets[-1] * 1.15)
    ax.set_ylim(*limits)
    ax.xaxis.set_major_locator(FixedLocator(budgets))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(budgets, [str(m) for m in budgets])
    plain_log(ax.yaxis, float(np.log10(limits[1] / limits[0])))


def _inside(ax: Axes, values: Values) -> Values:
    """Return values moved to the edge of the axes if they are outside; infinite ones too, unknown ones not."""
    low, high = ax.get_ylim()
    return np.asarray(np.clip(values, low, high))


def _method(ax: Axes, curve: Curve, look: Look) -> Line2D:
    if not curve.budgeted:
        ax.axhspan(*_inside(ax, np.asarray([curve.low[0], curve.high[0]])), color=look.colour, alpha=0.10, lw=0)
        line = ax.axhline(_inside(ax, curve.median)[0], color=look.colour, lw=1.7, gid=curve.method)
        line.set_label(curve.method)
        if np.isfinite(curve.predicted[0]):
            level = _inside(ax, curve.predicted)[0]
            ax.axhline(level, color=look.colour, lw=1.2, ls=(0, (4, 2)))
            if curve.vacuous[0]:
                middle = float(np.sqrt(np.prod(ax.get_xlim())))
                ax.plot(middle, level, color=look.colour, marker="x", ls="", ms=6, mew=1.6, clip_on=False, zorder=5)
        return line
    band = _inside(ax, np.stack([curve.low, curve.high]))
    ax.fill_between(curve.budgets, *band, color=look.colour, alpha=0.15, lw=0)
    (line,) = ax.plot(
        curve.budgets, _inside(ax, curve.median), color=look.colour, marker=look.marker, label=curve.method
    )
    known = np.isfinite(curve.predicted) | np.isposinf(curve.predicted)
    if known.any():
        predicted, at = _inside(ax, curve.predicted[known]), curve.budgets[known]
        ax.plot(at, predicted, color=look.colour, lw=1.2, ls=(0, (4, 2)), label=f"{curve.method}, predicted")
        empty = curve.vacuous[known]
        ax.plot(
            at[empty], predicted[empty], color=look.colour, marker="x", ls="", ms=6, mew=1.6, clip_on=False, zorder=5
        )
    return line


def _controls(
    ax: Axes, controls: Sequence[Curve], look: dict[str, Look], best: tuple[npt.NDArray[np.int64], Values] | None
) -> None:
    for curve in controls:
        style = {"color": look[curve.method].colour, "ls": look[curve.method].dashes, "lw": 1.1, "zorder": 1.5}
        if curve.budgeted:
            ax.plot(curve.budgets, _inside(ax, curve.median), label=curve.method, **style)
        else:
            ax.axhline(_inside(ax, curve.median)[0], label=curve.method, **style)
    if best is not None and best[0].size:
        ax.plot(best[0], _inside(ax, best[1][:, 0]), color=INK, lw=0.9, ls=(0, (1, 1)), label="best rank", zorder=1.5)


def _legend(
    figure: Figure,
    controls: Sequence[Curve],
    look: dict[str, Look],
    curves: Sequence[Curve],
    best: tuple[npt.NDArray[np.int64], Values] | None,
) -> None:
    captions = {name: cls.caption for name, cls in control_methods().items() if cls.caption}
    entries: list[tuple[Any, str]] = []
    for curve in controls:
        style = look[curve.method]
        text = captions.get(curve.method, f"{curve.method}{' (oracle)' if curve.oracle else ''}")
        entries.append((Line2D([], [], color=style.colour, ls=style.dashes, lw=1.3), text))
    if best is not None and best[0].size:
        entries.append((Line2D([], [], color=INK, lw=0.9, ls=(0, (1, 1))), "best rank-m error of the weights"))
    entries.append(
        (
            (Patch(color="#8fa3b5", alpha=0.35, lw=0), Line2D([], [], color="#51687d", marker="o")),
            "median, 10 to 90 % of heads and trials",
        )
    )
    if any(np.any(~np.isnan(curve.predicted)) for curve in curves):
        entries.append((Line2D([], [], color="#51687d", lw=1.2, ls=(0, (4, 2))), "predicted"))
    if any(curve.vacuous.any() for curve in curves):
        entries.append((Line2D([], [], color="#51687d", ls="", marker="x", ms=6, mew=1.6), "predicted, but vacuous"))
    handles, texts = zip(*entries, strict=True)
    figure.legend(
        handles,
        texts,
        loc="lower left",
        bbox_to_anchor=(0.005, 0.0),
        ncols=4 if len(entries) > 4 else len(entries),
        handler_map={tuple: HandlerTuple(ndivide=1, pad=0)},
        handlelength=2.6,
        columnspacing=1.4,
    )
