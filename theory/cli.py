"""Entry point ``tnattn``. Mistakes of the user become one sentence on stderr and exit status 2."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

INSTALL = 'pip install "tnattn[study]"'
MISTAKES = (ValueError, TypeError, ModuleNotFoundError, OSError, RuntimeError)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit status: 0, 1 (a theorem is refuted), 2 (a mistake), 130 (interrupted).

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the command line by default.
    """
    try:
        import rich  # noqa: F401
        import typer
    except ModuleNotFoundError:
        print(INSTALL, file=sys.stderr)
        sys.exit(2)
    from theory.commands.app import app

    words = list(sys.argv[1:] if arguments is None else arguments)
    # the errors of the option parser have no public name of their own: they share a base with BadParameter
    usage: Any = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")
    try:
        status = app(words, prog_name="tnattn", standalone_mode=False)
    except usage as error:
        sys.exit(_complain(error.format_message()))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except MISTAKES as error:
        if "--debug" in words:
            raise
        sys.exit(_complain(str(error) or type(error).__name__))
    sys.exit(status if isinstance(status, int) else 0)


def _complain(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2
