"""The application: what ``tnattn --help`` shows."""

from __future__ import annotations

from typing import Annotated

import typer

from theory.commands import compare, inventory, report, spectra, verify

HELP = """
Attention approximated by numerical linear algebra: how it errs, what theory predicts, whether the data refute it.

[bold]Start here[/bold]

  tnattn compare                      methods on queries, keys and values of a trained model: tables and report.html

  tnattn compare heads.npz            the same on your own arrays q, k, v of shape (heads, tokens, width)

  tnattn compare --methods mine.py:MyMethod      your own method among them

  tnattn verify                       every theorem against data

  tnattn methods                      what there is to compare
"""

app = typer.Typer(
    name="tnattn", help=HELP, rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error: tnattn --debug compare ...")
    ] = False,
) -> None:
    """Show the help where no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("compare", help=compare.HELP)(compare.command)
app.command("verify", help=verify.HELP)(verify.command)
app.command("spectra", help=spectra.HELP)(spectra.command)
app.command("report", help=report.HELP)(report.command)
app.command("methods", help=inventory.METHODS)(inventory.methods)
app.command("bounds", help=inventory.BOUNDS)(inventory.bounds)
app.command("info", help=inventory.INFO)(inventory.info)
