"""Pieces of a self-contained page: escaped text, numbers, tables, figures. No script, nothing from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Iterable

from theory.comparison.table import escaped, number, table

__all__ = [
    "Drawing",
    "code",
    "definitions",
    "details",
    "figure",
    "identifier",
    "number",
    "page",
    "paragraph",
    "section",
    "table",
]

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5a6068; --line: #d7dade; --ground: #f5f6f7; --card: #fff;
  --accent: #0b5cad; --bad: #b3261e; --good: #1b6b3a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e7e9; --soft: #a3a9b1; --line: #3a3f46; --ground: #16181b;
  --card: #1f2226; --accent: #7db7f2; --bad: #ff8a80; --good: #81c995; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 70rem; color: var(--ink); background: var(--ground);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
p, dl, ul { max-width: 48rem; } .lead { color: var(--soft); margin-top: 0; }
a { color: var(--accent); } nav ul { padding: 0; margin: 1rem 0; list-style: none; display: flex; flex-wrap: wrap;
  gap: .2rem 1.1rem; max-width: none; }
figure { margin: 1rem 0 1.4rem; }
figcaption { color: var(--soft); font-size: .92rem; max-width: 52rem; margin-top: .4rem; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: .5rem; overflow-x: auto; }
.card svg { display: block; width: 100%; min-width: 40rem; height: auto; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; background: var(--card);
  margin: .6rem 0 1rem; }
table { border-collapse: collapse; font-size: .87rem; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .5rem .7rem; color: var(--soft); }
th, td { padding: .28rem .7rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; } thead th { border-bottom: 2px solid var(--line); white-space: nowrap; }
tbody tr:last-child > * { border-bottom: 0; } td.n, th.n { text-align: right; white-space: nowrap; }
td.bad { color: var(--bad); font-weight: 600; } td.good { color: var(--good); }
tr.control > * { color: var(--soft); font-style: italic; }
details { margin: .6rem 0 1rem; } summary { cursor: pointer; color: var(--accent); }
dt { font-weight: 600; margin-top: .5rem; } dd { margin: 0 0 0 1.2rem; }
.missing { border-left: 4px solid #c98500; background: var(--card); padding: .5rem .9rem; border-radius: 0 6px 6px 0; }
pre { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .7rem;
  font-size: .8rem; }
@media print { details > * { display: block; } .card { break-inside: avoid; } }
"""


class Drawing(str):
    """The text of an SVG element, which goes into a page as it is.

    Examples
    --------
    >>> from theory.reports.html import Drawing, figure
    >>> figure(Drawing("<svg></svg>"), "error < 1")
    '<figure><div class="card"><svg></svg></div><figcaption>error &lt; 1</figcaption></figure>'
    """


def paragraph(text: str, *, missing: bool = False) -> str:
    """Return a paragraph; ``missing`` marks data that the page lacks, and how to get them."""
    return f"<p{' class=missing' if missing else ''}>{escaped(text)}</p>"


def figure(drawing: Drawing, caption: str) -> str:
    """Return a drawing on a white card, with its caption below."""
    return f'<figure><div class="card">{drawing}</div><figcaption>{escaped(caption)}</figcaption></figure>'


def identifier(kind: str, name: str) -> str:
    """Return an identifier for an element of the page."""
    return kind + "-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())


def details(summary: str, body: str) -> str:
    """Return a part of the page that is shown on request."""
    return f"<details><summary>{html.escape(summary)}</summary>{body}</details>"


def code(text: str) -> str:
    """Return text as it is, in a type of equal widths."""
    return f"<pre>{escaped(text)}</pre>"


def definitions(entries: Iterable[tuple[str, str]]) -> str:
    """Return terms with their meanings."""
    return "<dl>" + "".join(f"<dt>{html.escape(a)}</dt><dd>{html.escape(b)}</dd>" for a, b in entries) + "</dl>"


def section(title: str, *parts: str) -> tuple[str, str]:
    """Return a title and the text below it, for ``page``."""
    return title, "\n".join(part for part in parts if part)


def page(title: str, lead: str, sections: Iterable[tuple[str, str]]) -> str:
    """Return a whole page with a list of its sections."""
    listed = list(sections)
    links = "".join(f'<li><a href="#s{i}">{html.escape(name)}</a></li>' for i, (name, _) in enumerate(listed, 1))
    body = "\n".join(
        f'<section id="s{i}" aria-labelledby="h{i}"><h2 id="h{i}">{html.escape(name)}</h2>\n{text}\n</section>'
        for i, (name, text) in enumerate(listed, 1)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n<header><h1>{html.escape(title)}"
        f'</h1>\n<p class="lead">{html.escape(lead)}</p>\n<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n'
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
