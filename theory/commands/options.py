"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Problem = Annotated[
    str | None,
    typer.Argument(
        metavar="[PROBLEM]",
        help="Nothing: the shipped sample. sample:LAYER, a name of the gallery (needle, gallery:needle?n=512), "
        "or a .npz or .safetensors file with arrays q, k, v.",
        show_default=False,
    ),
]
Methods = Annotated[
    str | None,
    typer.Option(
        "--methods",
        metavar="NAMES",
        help="Comma-separated names, all, or path/to/file.py:MyMethod. Default: one of each family.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the results.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same samples.")]
Dtype = Annotated[str, typer.Option("--dtype", metavar="float32|float64", help="Precision of the arrays.")]
Device = Annotated[str, typer.Option("--device", metavar="cpu|cuda", help="Where methods run; cuda needs CuPy.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Own = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE]...",
        help="Your own files, folders of packages, or names of packages, instead of what tnattn defines.",
        show_default=False,
    ),
]
Tokens = Annotated[int | None, typer.Option("--n", help="Tokens of a generated problem.", show_default=False)]
Width = Annotated[int | None, typer.Option("--d", help="Width of a head of a generated problem.", show_default=False)]
Heads = Annotated[int | None, typer.Option("--heads", help="Heads of a generated problem.", show_default=False)]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Processes; 0: none but this one. Default: one per core.")
]
Causal = Annotated[bool, typer.Option("--causal", help="Forbid later keys.")]

RESULTS = Path("tnattn-results")


def listed(text: str | None) -> list[str]:
    """Return the names of an option that takes them separated by commas; none where it is not given."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]
