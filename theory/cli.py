"""Entry point ``tnattn``. Mistakes of the user become one sentence on stderr and exit status 2."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

INSTALL = 'pip install "tnattn[study]"'
MISTAKES = (ValueError, TypeError, ModuleNotFoundError, OSError, RuntimeError)
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit status: 0, 1 (a theorem is refuted), 2 (a mistake), 130 (interrupted).

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the command line by default.

    Notes
    -----
    SIGTERM and the end of the terminal interrupt as Ctrl-C does: finished trials are kept.
    """
    try:
        import rich  # noqa: F401
        import typer
    except ModuleNotFoundError:
        print(INSTALL, file=sys.stderr)
        sys.exit(2)
    words = list(sys.argv[1:] if arguments is None else arguments)
    _accept_every_character()
    # the errors of the option parser have no public name of their own: they share a base with BadParameter
    usage: Any = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")
    try:
        with _requests_to_end_interrupt():
            from theory.commands.application import app

            status = app(words, prog_name="tnattn", standalone_mode=False)
    except usage as error:
        sys.exit(_complain(error.format_message()))
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except MISTAKES as error:
        if "--debug" in words:
            raise
        sys.exit(_complain(str(error) or type(error).__name__))
    sys.exit(status if isinstance(status, int) else 0)


def _accept_every_character() -> None:
    """Print a question mark for characters that the encoding of the terminal lacks, such as an accent in ASCII."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a stream that captures may have none
        if reconfigure is not None:
            reconfigure(errors="replace")


@contextmanager
def _requests_to_end_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first SIGTERM or SIGHUP, unless the caller has these signals in hand already."""
    taken: list[signal.Signals] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in taken:  # the second of a pair, as from a group of processes, must not cut the saving short
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        present = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
        taken += [number for number in present if signal.getsignal(number) is signal.SIG_DFL]  # not under nohup
        for number in taken:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _complain(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2
