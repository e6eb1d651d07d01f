"""One look for all figures: palette, marks, text, and the way they become SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from theory.reports.figures.control_methods import control_methods
from theory.reports.html import Drawing

__all__ = [
    "INK",
    "SOFT",
    "VERDICTS",
    "Look",
    "drawable",
    "heading",
    "largest",
    "looks",
    "new_figure",
    "plain_log",
    "save",
    "styled",
    "svg",
]

P = ParamSpec("P")
T = TypeVar("T")

INK, SOFT, FAINT = "#1c1e21", "#6b7178", "#d9dce0"
WIDTH = 9.6  # inches at 72 points, about the width of the page's column

# Okabe and Ito without black and yellow, then four of Tol's muted ones: distinct for the common kinds of colour
# blindness
PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#332288",
    "#56B4E9",
    "#882255",
    "#44AA99",
    "#999933",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")

VERDICTS = {
    "refuted": ("#D55E00", "X"),
    "supported": ("#009E73", "o"),
    "not contradicted": ("#0072B2", "s"),
    "vacuous": ("#9aa0a6", "v"),
    "consistent with the rate": ("#44AA99", "D"),
    "inconsistent with the rate": ("#882255", "P"),
}

SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: searchable, and small
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e7e9ec",
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "lines.linewidth": 1.7,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "path.simplify": True,
}


DRAWABLE = (1e-12, 1e12)
"""Range of positive numbers on a logarithmic axis; numbers beyond are drawn at its ends."""


@dataclass(frozen=True)
class Look:
    """Colour, marker and dashes of a method, the same in every figure.

    Examples
    --------
    >>> from theory.reports.figures.style import looks
    >>> found = looks([("TopK", "sparse", False), ("Performer", "random_features", False)])
    >>> found["TopK"].colour != found["Performer"].colour, found["TopK"].dashes
    (True, '-')
    """

    colour: str
    marker: str
    dashes: Any = "-"


CONTROL_LOOKS = (
    Look("#1c1e21", "", "-"),
    Look("#6b7178", "", ":"),
    Look("#3c4147", "", "-."),
    Look("#9aa0a6", "", (0, (5, 1.5))),
)
"""Of the controls in their order; those beyond look alike."""

OTHER_CONTROL = Look("#8a6d3b", "", "--")


def looks(methods: Iterable[tuple[str, str, bool]]) -> dict[str, Look]:
    """Return the look of every method.

    Parameters
    ----------
    methods : iterable of (label, family, control)
        Order does not matter. Colours repeat after ten methods, then with another marker; those of one family are
        neighbours in the palette, hence distinct.
    """
    listed = sorted(set(methods), key=lambda entry: (entry[1], entry[0]))
    free = [label for label, _, control in listed if not control]
    found = {
        label: Look(PALETTE[i % len(PALETTE)], MARKERS[(i + i // len(PALETTE)) % len(MARKERS)])
        for i, label in enumerate(free)
    }
    own = dict(zip(control_methods(), CONTROL_LOOKS, strict=False))
    for label, _, control in listed:
        if control:
            found[label] = own.get(label.partition("(")[0], OTHER_CONTROL)
    return found


def drawable(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return values moved into the range of logarithmic axes, infinite ones too; unknown ones (NaN) stay."""
    return np.asarray(np.clip(np.asarray(values, dtype=np.float64), *DRAWABLE))


def largest(values: Iterable[npt.NDArray[np.float64]]) -> float:
    """Return the largest finite positive number of some arrays within the range of logarithmic axes, or 1."""
    found = [each[np.isfinite(each) & (each > 0)] for each in values]
    known = np.concatenate([np.zeros(0), *found])
    return float(drawable(known.max())) if known.size else 1.0


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Run a drawing function with our settings and leave those of the process alone."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with mpl.rc_context(SETTINGS):
            return draw(*args, **kwargs)

    return wrapped


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure, inches; no global state, so that nothing has to be closed."""
    return Figure(figsize=(width, height), layout="constrained")


def heading(figure: Figure, text: str) -> None:
    """Put a title at the left above all axes."""
    title = figure.suptitle(text, x=0.008, ha="left", fontsize=11, fontweight="bold")
    if figure.get_layout_engine() is None:
        title.set_y(1 - 0.06 / float(figure.get_size_inches()[1]))


def plain_log(axis: Axis, decades: float) -> None:
    """Write the ticks of a logarithmic axis as plain numbers, also between powers of ten where there are few."""
    subs = (1.0,) if decades > 3 else (1.0, 3.0) if decades > 1.5 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())  # hundreds of small ticks cost more time than they help
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}" if 1e-3 <= x < 1e4 else f"$10^{{{np.log10(x):.0f}}}$"))


def svg(figure: Figure, *, name: str, label: str) -> Drawing:
    """Return a figure as an SVG element: the same bytes every time, no metadata, no address.

    Parameters
    ----------
    figure : Figure
    name : str
        Unique on the page; begins the identifiers inside.
    label : str
        Text alternative of the picture.
    """
    buffer = io.StringIO()
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)  # known to the parser of HTML
    text = re.sub(r'(<(?:g|svg)\b[^>]*?) id="[^"]*"', r"\1", text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\1{name}-", text)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*\n\s*", "\n", text)
    label = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return Drawing(text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))


def save(figure: Figure, path: Path) -> Path:
    """Write a figure to a file in the format of its suffix, the same bytes every time."""
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": path.stem}):
        figure.savefig(path, dpi=150, metadata=metadata)
    return path
