"""The terminal: tables on stdout, progress and errors on stderr, JSON for scripts."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

__all__ = ["Ticker", "number", "print_json", "progress", "say", "show", "table", "warn"]

WIDTH = 180
"""Width of tables where the output is no terminal."""


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # a fixed width, so that redirected tables do not depend on the terminal
    return Console(file=stream, width=None if stream.isatty() else WIDTH, highlight=False)


def say(text: str = "") -> None:
    """Print a line on stdout."""
    _console().print(text, markup=False, soft_wrap=True)


def warn(text: str) -> None:
    """Print a line on stderr."""
    _console(stderr=True).print(text, markup=False, soft_wrap=True)


def show(*tables: Table) -> None:
    """Print tables on stdout."""
    for item in tables:
        _console().print(item)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, caption: str = "") -> Table:
    """Return a table; columns of numbers are right-aligned, None is a dash."""
    made = Table(title=title, title_justify="left", title_style="bold", caption=caption or None, caption_justify="left")
    for index, name in enumerate(columns):
        cells = [row[index] for row in rows]
        numeric = bool(cells) and all(cell is None or isinstance(cell, (int, float)) for cell in cells)
        made.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=index == 0)
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(number(cell)) for cell in row))
    return made


def number(value: Any) -> str:
    """Return a number with three digits, text as it is, None as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout, numbers that JSON lacks as null."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, default=str) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


class Ticker(Protocol):
    """Callback for progress."""

    def __call__(self, text: str = "", *, steps: int = 1) -> None:
        """Advance by some steps, with a text for the current one."""


@contextmanager
def progress(title: str, total: int) -> Iterator[Ticker]:
    """Show progress with the remaining time on stderr: a bar on a terminal, a line for every tenth elsewhere."""
    if sys.stderr.isatty():
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[what]}"),
            console=_console(stderr=True),
        ) as bar:
            task = bar.add_task(title, total=total, what="")

            def advance(text: str = "", *, steps: int = 1) -> None:
                bar.update(task, advance=steps, what=text)

            yield advance
    else:
        yield _Lines(title, total)


class _Lines:
    """Progress in plain lines, for logs."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total = title, max(1, total)
        self._done, self._shown, self._start = 0, 0, time.monotonic()

    def __call__(self, text: str = "", *, steps: int = 1) -> None:
        self._done += steps
        # a line for every tenth: logs stay short however many steps there are
        tenth = 10 * self._done // self._total
        if tenth > self._shown:
            self._shown = tenth
            elapsed = time.monotonic() - self._start
            left = elapsed * (self._total - self._done) / self._done
            warn(f"{self._title}: {self._done} of {self._total}, {elapsed:.0f} s elapsed, about {left:.0f} s left")
