"""Error against cost, measured time and counted operations, with the Pareto frontier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from theory.reports.curves import ROUNDING, Curve, frontier
from theory.reports.figures.style import FAINT, INK, SOFT, Look, drawable, heading, new_figure, plain_log, styled

__all__ = ["draw"]

Values = npt.NDArray[np.float64]

# colours of the palette
MOST = 10
LABELS = {"flops": "flops / flops of exact attention", "time": "time / time of exact attention, same run"}


@styled
def draw(curves: Sequence[Curve], look: dict[str, Look]) -> Figure:
    """Draw error against time (where measured) and against flops.

    Parameters
    ----------
    curves : sequence of Curve
    look : dict from method to Look

    Returns
    -------
    Figure
        Every method is a path over its budgets. Of more than ten methods those nearest to a frontier are in colour, the
        others grey. Oracles and methods that leak later queries are no part of the frontier.
    """
    shown = [curve for curve in curves if curve.errs]
    kinds = [kind for kind in ("time", "flops") if any(np.any(np.isfinite(getattr(c, kind))) for c in shown)]
    figure = new_figure(4.4)
    heading(figure, "Error against cost: lower left is better; the step line is what nobody beats in both")
    if not kinds:
        figure.text(0.02, 0.5, "no cost was recorded", color=SOFT)
        return figure
    axes = figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    coloured = _coloured(shown, kinds, look)
    for ax, kind in zip(axes, kinds, strict=True):
        _panel(ax, shown, kind, look, coloured)
    axes[0].set_ylabel("median relative output error")
    handles = {line.get_label(): line for ax in axes for line in ax.lines if not str(line.get_label()).startswith("_")}
    ordered = sorted(handles, key=lambda name: (str(name) in ("frontier", "other methods"), str(name)))
    figure.legend(
        [handles[name] for name in ordered],
        [str(n) for n in ordered],
        loc="outside lower left",
        ncols=5,
        handlelength=2.2,
    )
    return figure


def _coloured(curves: Sequence[Curve], kinds: Sequence[str], look: dict[str, Look]) -> set[str]:
    """Return the methods that get a colour: all, or those nearest to a frontier, none in the colour of another."""
    free = [curve for curve in curves if not curve.control]
    if len(free) <= MOST:
        return {curve.method for curve in free}
    distance = {curve.method: np.inf for curve in free}
    for kind in kinds:
        cost, error, owners = _points(curves, kind)
        best = frontier(cost, error)
        for c, e, curve in zip(cost, error, owners, strict=True):
            # factor by which a frontier point of no larger cost is better
            before = best[cost[best] <= c]
            if curve.method in distance and before.size and e > 0:
                distance[curve.method] = min(distance[curve.method], float(np.log(e / error[before[-1]])))
    taken: dict[str, str] = {}
    for name in sorted(distance, key=lambda name: (distance[name], name)):
        taken.setdefault(look[name].colour, name)
    return set(taken.values())


def _points(curves: Sequence[Curve], kind: str) -> tuple[Values, Values, list[Curve]]:
    """Return costs, errors and owners of the points that may be on the frontier."""
    fair = [curve for curve in curves if not (curve.oracle or curve.leaks)]
    points = [
        (cost, error, curve)
        for curve in fair
        for cost, error in zip(getattr(curve, kind), curve.median, strict=True)
        if np.isfinite(cost) and np.isfinite(error) and error > ROUNDING
    ]
    return np.asarray([p[0] for p in points]), drawable([p[1] for p in points]), [p[2] for p in points]


def _panel(ax: Axes, curves: Sequence[Curve], kind: str, look: dict[str, Look], coloured: set[str]) -> None:
    positive = np.concatenate([getattr(curve, kind) for curve in curves])
    positive = drawable(positive[np.isfinite(positive) & (positive > 0)])
    least = float(positive.min()) / 2 if positive.size else 1e-3  # where a cost of zero is drawn
    for curve in sorted(curves, key=lambda c: c.method in coloured):
        cost = np.maximum(drawable(getattr(curve, kind)), least)
        usable = np.isfinite(getattr(curve, kind)) & np.isfinite(curve.median) & (curve.median > ROUNDING)
        if not usable.any():
            continue
        style = look[curve.method]
        grey = not curve.control and curve.method not in coloured
        ax.plot(
            cost[usable],
            drawable(curve.median)[usable],
            color="#c3c8ce" if grey else style.colour,
            marker="." if grey else style.marker or "o",
            mfc="white" if curve.oracle or curve.control else None,
            ls=style.dashes,
            lw=0.8 if grey or curve.control else 1.5,
            label="other methods" if grey else curve.method + (" (oracle)" if curve.oracle else ""),
        )
    cost, error, _ = _points(curves, kind)
    if cost.size:
        _steps(ax, np.maximum(cost, least), error, float(positive.max(initial=least)))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.axvline(1, color=SOFT, lw=0.9, ls=":")
    ax.text(1, 1.01, " exact", transform=ax.get_xaxis_transform(), fontsize=8, color=SOFT, ha="center", va="bottom")
    ax.grid(color=FAINT)
    plain_log(ax.xaxis, float(np.log10(ax.get_xlim()[1] / ax.get_xlim()[0])))
    plain_log(ax.yaxis, float(np.log10(ax.get_ylim()[1] / ax.get_ylim()[0])))
    ax.set_xlabel(LABELS[kind])


def _steps(ax: Axes, cost: Values, error: Values, end: float) -> None:
    """Draw the frontier as steps that reach to the right edge."""
    best = frontier(cost, error)
    if not best.size:
        return
    steps = drawable(cost[best])
    ax.step(
        [*steps, end],
        [*error[best], error[best][-1]],
        where="post",
        color=INK,
        lw=5,
        alpha=0.13,
        label="frontier",
        zorder=1,
    )
