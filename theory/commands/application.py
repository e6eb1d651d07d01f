"""The application and its help; a command is imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

__all__ = ["COMMANDS", "app"]

HELP = """
Attention approximated by numerical linear algebra: how it errs, what theory predicts, whether the data refute it.

[bold]Start here[/bold]

  tnattn compare                      methods on queries, keys and values of a trained model: tables and report.html

  tnattn compare heads.npz            the same on your own arrays q, k, v of shape (heads, tokens, width)

  tnattn compare --methods mine.py:MyMethod      your own method among them

  tnattn verify                       every theorem against data

  tnattn certify mine.npz             the error of your own code's output, without a theorem

  tnattn suggest --error 0.05         the cheapest method of every head that is certified to err by no more

  tnattn methods                      what there is to compare
"""


class Command(NamedTuple):
    """A command before it is imported.

    Parameters
    ----------
    summary : str
        First paragraph of its help.
    module : str
        In ``theory.commands``.
    function : str
    details : str
        Name of the rest of the help in the module.

    Examples
    --------
    >>> from theory.commands.application import Command, imported
    >>> command = Command("Print versions.", module="inventory", function="info", details="INFO")
    >>> command.module, imported("info").name
    ('inventory', 'info')
    """

    summary: str
    module: str
    function: str = "command"
    details: str = "HELP"


COMMANDS = {
    "compare": Command(
        "Compare attention approximations on one problem: error, prediction, verdict, cost; tables, rankings and "
        "report.html.",
        "compare",
    ),
    "verify": Command(
        "Hold every theorem against data, on an instance where it is nearly sharp and on a generic one.", "verify"
    ),
    "certify": Command(
        "Certify the error of an output that any code has computed, from few rows computed exactly.", "certify"
    ),
    "suggest": Command(
        "Find the cheapest method of every head that is certified to have an error, or say why exact attention is "
        "best.",
        "suggest",
    ),
    "rank": Command("Find the least budget of every method for an error, measured on one problem.", "rank"),
    "spectra": Command(
        "Singular values of Q, K, V, scores, kernel and weights, head by head: numerical and stable ranks, entropy, "
        "peak.\nThen the weights of all heads as one tensor (head, query, key): its mode spectra, and the Tucker and "
        "tensor-train ranks\nthat a relative tolerance asks for.",
        "spectra",
    ),
    "report": Command("Build report.html again from the results in a folder.", "report"),
    "methods": Command(
        "List the attention methods: family, budget, cost, guarantee, and the laws that do not hold by definition.",
        "inventory",
        "methods",
        "METHODS",
    ),
    "bounds": Command(
        "List the theorems: statement, the method they are about, guarantee, norm, source.",
        "inventory",
        "bounds",
        "BOUNDS",
    ),
    "info": Command("Print versions, BLAS, threads and devices, for a bug report.", "inventory", "info", "INFO"),
}


class Commands(TyperGroup):
    """Group that shows summaries without importing its commands: SciPy alone takes half a second.

    Examples
    --------
    >>> import typer
    >>> from theory.commands.application import Commands, app
    >>> group = typer.main.get_command(app)
    >>> isinstance(group, Commands), sorted(group.commands)
    (True, ['bounds', 'certify', 'compare', 'info', 'methods', 'rank', 'report', 'spectra', 'suggest', 'verify'])
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that is asked for, imported."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else imported(name), rest


def imported(name: str) -> Any:
    """Return a command with its options and all of its help."""
    summary, module, function, details = COMMANDS[name]
    found = importlib.import_module(f"theory.commands.{module}")
    # a group of its own with one command, since the options of a stand-in cannot be changed
    alone = _application()
    alone.command(name, help=f"{summary}\n{getattr(found, details)}")(getattr(found, function))
    return typer.main.get_command(alone)


def _application(**options: Any) -> typer.Typer:
    return typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False, **options)


app = _application(name="tnattn", help=HELP, cls=Commands)


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


def summarised() -> None:
    """Stand for a command that is not imported yet."""


# stand-ins with a summary, replaced by ``Commands.resolve_command``
for _name, _command in COMMANDS.items():
    app.command(_name, help=_command.summary)(summarised)
