"""The ledger loses no acknowledged row, survives torn lines, and has one writer."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from theory.records.store import Ledger, LedgerLocked, export

ROWS = [{"key": "a", "error": 0.1, "rank": 1}, {"key": "b", "error": float("inf"), "note": "x, y"}]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study" / "trials.jsonl"


def filled(path, rows=ROWS):
    with Ledger(path) as ledger:
        for row in rows:
            ledger.append(row)
    return ledger


def test_rows_come_back_in_the_order_of_writing(path):
    assert filled(path).rows() == ROWS


def test_keys_are_those_of_all_rows(path):
    assert filled(path).keys() == {"a", "b"}


def test_a_ledger_that_does_not_exist_is_empty_and_stays_so(path):
    assert Ledger(path).rows() == []
    assert not path.parent.exists()


def test_a_row_is_on_the_disk_when_append_returns(path):
    ledger = Ledger(path)
    ledger.append(ROWS[0])
    assert Ledger(path).rows() == ROWS[:1]
    ledger.close()


def test_a_second_session_appends(path):
    filled(path)
    filled(path, [{"key": "c"}])
    assert [row["key"] for row in Ledger(path).rows()] == ["a", "b", "c"]


@pytest.mark.parametrize("fragment", ['{"key":"c","err', '{"key":"c","error":0.1', '"key"', "{", "\x00\x00"])
def test_a_torn_last_line_is_skipped_and_reported(path, fragment):
    filled(path)
    with path.open("a") as stream:
        stream.write(fragment)
    ledger = Ledger(path)
    assert ledger.rows() == ROWS
    assert ledger.torn == (3,)


def test_a_torn_multibyte_character_is_skipped(path):
    filled(path)
    with path.open("ab") as stream:
        stream.write(b'{"key":"\xc3')
    assert Ledger(path).rows() == ROWS


def test_appending_after_a_torn_line_spoils_no_row(path):
    filled(path)
    with path.open("a") as stream:
        stream.write('{"key":"torn","err')
    ledger = filled(path, [{"key": "c"}, {"key": "d"}])
    assert [row["key"] for row in ledger.rows()] == ["a", "b", "c", "d"]
    assert ledger.torn == (3,)


def test_a_complete_row_that_lacks_only_its_newline_is_kept(path):
    filled(path)
    with path.open("a") as stream:
        stream.write('{"key":"c"}')
    ledger = filled(path, [{"key": "d"}])
    assert [row["key"] for row in ledger.rows()] == ["a", "b", "c", "d"]
    assert ledger.torn == ()


def test_a_whole_ledger_reports_nothing_torn(path):
    ledger = filled(path)
    ledger.rows()
    assert ledger.torn == ()


@pytest.mark.parametrize("row", [{}, {"key": 3}, {"error": 1.0}])
def test_a_row_without_a_key_is_refused(path, row):
    with pytest.raises(ValueError, match="key"), Ledger(path) as ledger:
        ledger.append(row)


def test_a_refused_row_leaves_the_file_as_it_was(path):
    with Ledger(path) as ledger:
        ledger.append(ROWS[0])
        with pytest.raises(TypeError):
            ledger.append({"key": "b", "error": 1j})
        ledger.append(ROWS[1])
    assert ledger.rows() == ROWS
    assert ledger.torn == ()


def test_a_second_writer_in_this_process_is_refused(path):
    with Ledger(path), pytest.raises(LedgerLocked, match="this process"):
        Ledger(path).append(ROWS[0])


WRITER = """
import sys
from theory.records.store import Ledger
ledger = Ledger(sys.argv[1])
ledger.append({"key": "child"})
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def writer(path):
    child = subprocess.Popen([sys.executable, "-c", WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout.readline().strip() == b"ready"
    yield child
    child.kill()
    child.communicate()


def test_a_writer_in_another_process_is_named(path, writer):
    with pytest.raises(LedgerLocked, match=f"process {writer.pid}"):
        Ledger(path).append(ROWS[0])


def test_reading_needs_no_lock_and_a_killed_writer_leaves_none(path, writer):
    assert Ledger(path).keys() == {"child"}
    writer.kill()
    writer.wait()
    filled(path, ROWS[:1])
    assert Ledger(path).keys() == {"child", "a"}


def test_reading_does_not_give_the_lock_away(path):
    """Closing any descriptor of a file drops a POSIX lock on it; ours is on a file of its own."""
    with Ledger(path) as ledger:
        ledger.append(ROWS[0])
        ledger.rows()
        code = f"from theory.records.store import Ledger; Ledger({str(path)!r}).append({{'key': 'x'}})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "LedgerLocked" in done.stderr


def test_a_forgotten_ledger_gives_its_lock_back(path):
    ledger = Ledger(path)
    ledger.append(ROWS[0])
    del ledger
    filled(path, ROWS[1:])
    assert Ledger(path).rows() == ROWS


@pytest.mark.parametrize("suffix, read", [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_export_keeps_every_row_and_column(tmp_path, suffix, read):
    rows = [
        {"key": "a", "error": 1, "ranks": [1, 2], "flag": True},
        {"key": "b", "error": float("nan"), "seconds": np.float64(0.25), "flag": False},
    ]
    table = read(export(rows, tmp_path / f"table.{suffix}"))
    assert set(table.columns) == {"key", "error", "ranks", "flag", "seconds"}
    assert table["key"].tolist() == ["a", "b"]
    assert table["error"][0] == 1.0
    assert np.isnan(table["error"][1])
    assert table["ranks"][0] == "[1,2]"
    assert table["seconds"][1] == 0.25
    assert table["flag"].tolist() == [True, False]


def test_export_of_a_column_of_several_kinds_is_text(tmp_path):
    table = pd.read_parquet(export([{"x": 1}, {"x": "one"}, {"x": True}], tmp_path / "t.parquet"))
    assert table["x"].tolist() == ["1", "one", "true"]


def test_export_refuses_other_suffixes(tmp_path):
    with pytest.raises(ValueError, match="csv or .parquet"):
        export(ROWS, tmp_path / "table.xlsx")


def test_a_failed_export_keeps_the_earlier_table(tmp_path, monkeypatch):
    target = tmp_path / "t.parquet"
    target.write_text("earlier")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"tnattn\[study\]"):
        export(ROWS, target)
    assert target.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [target]
