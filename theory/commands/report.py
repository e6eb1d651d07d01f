"""``tnattn report``: the report of a folder, again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from theory.commands.console import say
from theory.commands.writing import write
from theory.studies.folder import load

HELP = """
Example: [bold]tnattn report tnattn-results[/bold]
"""


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that tnattn compare has written.")],
) -> None:
    """Write the report."""
    load(folder)  # raises a message of one sentence where the folder holds no results
    path = write(folder)
    say(str(path))
