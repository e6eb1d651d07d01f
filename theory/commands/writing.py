"""Tables and report of a results folder."""

from __future__ import annotations

from pathlib import Path

from theory.reports.report import write_report
from theory.studies.folder import write_tables


def write(folder: Path) -> Path:
    """Write results.csv, results.parquet and report.html; return the path of the report."""
    write_tables(folder)
    return Path(write_report(folder))
