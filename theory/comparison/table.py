"""Tables of results in HTML, for notebooks and reports."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["escaped", "number", "shortened", "table"]

MISSING = "–"

LENGTH = 160
"""Characters of a detail in a representation, so that it fits on three lines beside the figures."""


def number(value: Any, digits: int = 3) -> str:
    """Return a number with three significant digits; a missing value or NaN is a dash."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f") if abs(value) >= 10_000 else str(value)
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    size = abs(value)
    if 1e-3 <= size < 1e4:
        # three significant digits, not three decimals
        decimals = max(0, digits - 1 - math.floor(math.log10(size)))
        return f"{value:.{decimals}f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def escaped(text: str) -> str:
    """Return text for a page; NaN, the machine's word for no number, is put in words."""
    return html.escape(re.sub(r"\bnan\b", "undefined", text, flags=re.IGNORECASE))


def _cell(value: Any, tag: str = "td", extra: str = "") -> str:
    if isinstance(value, (bool, str)) or value is None:
        text = number(value) if not isinstance(value, str) else value
        kind = {"refuted": "bad", "supported": "good"}.get(text, "")
        attribute = f' class="{kind}"' if kind else ""
        return f"<{tag}{attribute}{extra}>{escaped(text)}</{tag}>"
    return f'<{tag} class="n"{extra}>{number(value)}</{tag}>'


def table(
    headers: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str = "", muted: Iterable[int] = ()
) -> str:
    """Return a table whose first column names its rows.

    Parameters
    ----------
    headers : sequence of str
    rows : iterable of sequences
        Text, numbers, None where a value is missing.
    caption : str
    muted : iterable of int
        Rows set back, such as the controls.
    """
    listed, faint = [list(row) for row in rows], set(muted)
    if not listed:
        return "<p class=missing>Nothing to show.</p>"
    numeric = [
        not any(isinstance(row[c], (str, bool)) for row in listed) and any(row[c] is not None for row in listed)
        for c in range(len(headers))
    ]
    head = "".join(
        f'<th scope="col"{" class=n" if number_column else ""}>{html.escape(name)}</th>'
        for name, number_column in zip(headers, numeric, strict=True)
    )
    body = []
    for index, row in enumerate(listed):
        cells = _cell(row[0], "th", ' scope="row"') + "".join(
            '<td class="n">–</td>' if value is None and column else _cell(value)
            for value, column in zip(row[1:], numeric[1:], strict=True)
        )
        body.append(f"<tr{' class=control' if index in faint else ''}>{cells}</tr>")
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0"><table>{title}<thead><tr>{head}</tr></thead>\n'
        f"<tbody>{chr(10).join(body)}</tbody></table></div>"
    )


def shortened(text: str) -> str:
    """Return the beginning of a text, on one line, for a representation."""
    words = " ".join(text.split())
    return words if len(words) <= LENGTH else f"{words[: LENGTH - 3]}..."
