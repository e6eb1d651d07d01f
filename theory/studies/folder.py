"""A folder of results: the ledger, the plan with the rows of the current specification, and the tables."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from theory.records.keys import encode
from theory.records.runner import Task
from theory.records.store import Ledger, export
from theory.studies.candidates import Refusal
from theory.studies.conformance import BrokenLaw

__all__ = ["LEDGER", "load", "write_plan", "write_tables"]

LEDGER, PLAN = "ledger.jsonl", "study.json"

Row = dict[str, Any]


def write_plan(
    folder: Path,
    specification: Row,
    refusals: Sequence[Refusal],
    tasks: Sequence[Task],
    broken: Sequence[BrokenLaw] = (),
) -> None:
    """Write which rows the folder's current specification consists of, who was left out, and who violates a law.

    Parameters
    ----------
    folder : Path
    specification : dict
    refusals : sequence of Refusal
    tasks : sequence of Task
        With a ``Job`` each.
    broken : sequence of BrokenLaw
    """
    plan = {
        "specification": specification,
        "refusals": [{"method": refusal.label, "reason": refusal.reason} for refusal in refusals],
        "broken_laws": [dataclasses.asdict(law) for law in broken],
        # a list, because the order of the tasks is the order of every table
        "tasks": [{"key": task.key, "kind": task.payload.kind, **dict(task.payload.names)} for task in tasks],
    }
    scratch = folder / f".{PLAN}.{os.getpid()}"
    scratch.write_text(encode(plan) + "\n", encoding="ascii")
    os.replace(scratch, folder / PLAN)


def write_tables(folder: Path) -> list[Path]:
    """Export the rows of the current specification to CSV, and to Parquet where pyarrow is installed."""
    rows = load(folder)
    written = [export(rows, folder / "results.csv")]
    with contextlib.suppress(ModuleNotFoundError):
        written.append(export(rows, folder / "results.parquet"))
    return written


def load(folder: str | os.PathLike[str]) -> list[Row]:
    """Return the rows of the folder's current specification, one per trial, prediction, verdict, time or optimum.

    Rows of other specifications stay in the ledger and are not returned.

    Raises
    ------
    ValueError
        If the folder holds no results.
    """
    folder = Path(folder)
    plan = _read_plan(folder)
    # of a trial that was repeated after a failure the last row counts
    latest = {row["key"]: row for row in Ledger(folder / LEDGER).rows() if row["key"] in plan}
    found: list[Row] = []
    for key, names in plan.items():
        if key in latest:
            found += _expanded({**names, **latest[key]})
    return found


def _expanded(row: Row) -> Sequence[Row]:
    if row.get("status") != "done":
        return [row]
    # one task computes several rows, which tables show apart
    for nested, kind in (("verdicts", "verdict"), ("floors", "floor")):
        if nested in row:
            outer = {name: value for name, value in row.items() if name != nested}
            return [{**outer, **part, "kind": kind} for part in row[nested]]
    return [] if row["kind"] == "prediction" and row["predicted_relative"] is None else [row]


def _read_plan(folder: Path) -> Mapping[str, Row]:
    path = folder / PLAN
    if not path.is_file():
        raise ValueError(f"{folder} holds no results; run `tnattn compare --out {folder}` first")
    try:
        return {task["key"]: task for task in json.loads(path.read_text(encoding="ascii"))["tasks"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged; run `tnattn compare --out {folder}` again") from error
