"""The ledger of a study: one line of JSON per trial, appended by one writer, readable at any time by anyone."""

from __future__ import annotations

import csv
import os
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from theory.records.keys import content_hash, decode, encode, generator, trial_key

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["Ledger", "LedgerLocked", "content_hash", "export", "generator", "trial_key"]


class LedgerLocked(RuntimeError):
    """Another writer holds the ledger."""


# a POSIX record lock does not exclude a second writer in the same process, so that one is excluded here
_held: set[Path] = set()


def _try_lock(descriptor: int) -> None:
    """Take the lock or raise OSError. The operating system releases it when the process ends, however it ends."""
    if sys.platform == "win32":
        os.lseek(
            descriptor, 1 << 20, os.SEEK_SET
        )  # a locked byte cannot be read, so lock one beyond the writer's number
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        # not flock: a forked worker would inherit that one and keep it after the writer was killed
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _release(descriptors: tuple[int, ...], path: Path, owner: int) -> None:
    if os.getpid() != owner:
        return  # a forked copy of the writer has nothing to release
    for descriptor in descriptors:
        os.close(descriptor)
    _held.discard(path)


class Ledger:
    """Append-only JSONL file of rows, each a mapping with a text under ``"key"``.

    Reading needs no lock. The first ``append`` takes the lock, which stays until ``close``, the end of a ``with``
    block or the end of the process; a killed writer leaves no stale lock.

    Parameters
    ----------
    path : path-like
        Created by the first ``append``, with its folder.

    Attributes
    ----------
    torn : tuple of int
        Numbers (from 1) of the lines that the last reading could not understand, the remains of interrupted writes.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from theory.records import Ledger
    >>> with TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.jsonl") as ledger:
    ...     ledger.append({"key": "first", "error": float("inf")})
    ...     ledger.rows(), ledger.torn
    ([{'error': inf, 'key': 'first'}], ())
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.torn: tuple[int, ...] = ()
        self._descriptor: int | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._clean = False

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})"

    def __enter__(self) -> Ledger:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row and return when it is on the disk.

        Parameters
        ----------
        row : mapping
            Numbers, texts, None, lists, mappings, NumPy values; NaN and infinities are kept. ``row["key"]`` is a text.

        Raises
        ------
        LedgerLocked
            If another writer holds the ledger.
        ValueError, TypeError
            If the row has no key or a value without a portable form; nothing is written then.
        """
        if not isinstance(row.get("key"), str):
            raise ValueError(f"row has key {row.get('key')!r}; expected a text such as trial_key returns")
        line = encode(row).encode("ascii") + b"\n"
        descriptor = self._open()
        if not self._clean:
            line = b"\n" + line  # the line before was torn: end it, and leave it to be skipped
        self._clean = False
        while line:
            line = line[os.write(descriptor, line) :]
        # on the disk before the next trial starts: a crash of the machine loses one row at most
        os.fsync(descriptor)
        self._clean = True

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows in the order of writing; lines that are no rows are listed in ``torn``."""
        return list(self._read())

    def keys(self) -> set[str]:
        """Return the keys of all rows."""
        return {row["key"] for row in self._read()}

    def close(self) -> None:
        """Give the lock back; a later ``append`` takes it again."""
        if self._finalizer is not None:
            self._finalizer()
        self._descriptor = self._finalizer = None

    def _read(self) -> Iterator[dict[str, Any]]:
        self.torn = ()
        if not self.path.exists():
            return
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    row = decode(line.decode("utf-8"))
                except ValueError:
                    row = None
                if isinstance(row, dict) and isinstance(row.get("key"), str):
                    yield row
                else:
                    self.torn += (number,)

    def _open(self) -> int:
        if self._descriptor is not None:
            return self._descriptor
        path = self.path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        # a file of its own, because closing any descriptor of a file drops the process's lock on it: reading would
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if path in _held:
                raise BlockingIOError("held by this process")
            _try_lock(lock)
        except (BlockingIOError, PermissionError) as error:
            os.lseek(lock, 0, os.SEEK_SET)
            writer = "this process" if path in _held else f"process {os.read(lock, 32).decode('ascii') or 'unknown'}"
            os.close(lock)
            raise LedgerLocked(
                f"{self.path.name} is being written by {writer}; wait for it or choose another folder"
            ) from error
        os.ftruncate(lock, 0)
        os.lseek(lock, 0, os.SEEK_SET)
        os.write(lock, str(os.getpid()).encode("ascii"))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        _held.add(path)
        self._finalizer = weakref.finalize(self, _release, (descriptor, lock), path, os.getpid())
        size = os.fstat(descriptor).st_size
        if size:
            os.lseek(descriptor, size - 1, os.SEEK_SET)
        self._clean = size == 0 or os.read(descriptor, 1) == b"\n"
        self._descriptor = descriptor
        return descriptor


def export(rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> Path:
    """Write rows as a table, one column per name that occurs, to a ``.csv`` or ``.parquet`` file.

    Parameters
    ----------
    rows : iterable of mappings
        Missing names become empty cells. Lists and mappings become JSON text, and so does a column whose values are
        of several kinds (integers next to floats become floats).
    path : path-like
        An existing file is replaced only when the new one is complete.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If the suffix is neither of the two.
    ModuleNotFoundError
        For Parquet without pyarrow; the message names the extra that installs it.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path.name} ends in {path.suffix!r}; a table is exported to .csv or .parquet")
    rows = [decode(encode(row)) for row in rows]  # NumPy values become plain ones
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = {name: _column([row.get(name) for row in rows]) for name in names}
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(path) as scratch:
        _write_csv(table, len(rows), scratch) if path.suffix == ".csv" else _write_parquet(table, scratch)
    return path


def _column(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and float in kinds:
        return [None if value is None else float(value) for value in values]
    if len(kinds) <= 1 and kinds <= {bool, int, float, str}:
        return values
    return [value if value is None or isinstance(value, str) else encode(value) for value in values]


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield scratch
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _write_csv(table: dict[str, list[Any]], count: int, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(table)
        writer.writerows([column[i] for column in table.values()] for i in range(count))


def _write_parquet(table: dict[str, list[Any]], path: Path) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('Parquet needs pyarrow; install it with: pip install "tnattn[study]"') from error
    pyarrow.parquet.write_table(pyarrow.table(table), path, compression="zstd")
