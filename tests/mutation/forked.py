"""Test runs in forked processes, which start with the libraries imported: two to four times as many mutants an hour."""

from __future__ import annotations

import importlib
import importlib.util
import os
import select
import shlex
import signal
import sys
import time
from pathlib import Path

# what the tests import of other projects; nothing of this one, which a fork must import from its mutated files
LIBRARIES = (
    *("pytest", "_pytest.assertion.rewrite", "numpy", "numpy.testing", "scipy.linalg", "scipy.sparse.linalg"),
    *("scipy.special", "scipy.stats", "scipy.optimize", "hypothesis", "hypothesis.strategies"),
    *("hypothesis.extra.numpy", "_hypothesis_pytestplugin", "array_api_compat.numpy", "array_api_extra", "rich"),
    "threadpoolctl",
)


def preload(folder: Path) -> None:
    """Import the libraries in this process, and put a copy of the packages first on its path."""
    sys.path.insert(0, str(folder))
    for name in LIBRARIES:
        if importlib.util.find_spec(name.partition(".")[0]):
            importlib.import_module(name)
    assert not {"tnattn", "theory"} & set(sys.modules), "a fork would test the unchanged modules"


def run(command: str, timeout: float) -> tuple[int | None, str]:
    """Run ``python -m pytest ...`` in a fork and return its exit status, None past the timeout, with its output.

    No compiled files are written: two mutants of one size within a second would pass for one another.
    """
    arguments = shlex.split(command)[3:]  # without python -m pytest
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        os.close(receiving)
        _run_in_the_fork(arguments, sending)
    os.close(sending)
    deadline, received = time.monotonic() + timeout, bytearray()
    while (left := deadline - time.monotonic()) > 0 and select.select([receiving], [], [], left)[0]:
        if not (piece := os.read(receiving, 65536)):
            break
        received += piece
    else:
        os.killpg(child, signal.SIGKILL)
    os.close(receiving)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return (None if left <= 0 else status), received.decode(errors="replace")


def _run_in_the_fork(arguments: list[str], output: int) -> None:
    """Never return: whatever happens, the fork ends here."""
    status = 3
    try:
        os.setsid()  # a group of its own, so that a timeout ends what the tests started as well
        for stream in (1, 2):
            os.dup2(output, stream)
        sys.dont_write_bytecode = True
        import pytest

        status = int(pytest.main(arguments))
    finally:
        sys.stdout.flush()
        os._exit(status)
