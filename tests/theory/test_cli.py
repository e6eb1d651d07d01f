"""The command line: it teaches, survives, and turns every mistake into one sentence."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from theory import cli
from theory.commands import verify as verify_command
from theory.commands import writing
from theory.commands.application import app
from theory.comparison import catalogue
from theory.records.keys import encode
from theory.reports.report import write_report
from theory.studies.attention import load
from theory.studies.candidates import controls

SMALL = ["needle", "--n", "32", "--d", "8", "--heads", "2", "--budgets", "4,8", "--trials", "2", "--workers", "0"]


def tnattn(*words, capsys=None):
    """Run a command in this process; return its exit status."""
    with pytest.raises(SystemExit) as left:
        cli.main([str(word) for word in words])
    return left.value.code


@pytest.fixture(autouse=True, scope="module")
def no_figures():
    """Draw no figures, which take longer than all the rest; one slow test does."""

    def blank(folder):
        (folder / "report.html").write_text("<html></html>")
        return folder / "report.html"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "write_report", blank)
        yield


@pytest.fixture(scope="module")
def results(tmp_path_factory, no_figures):
    """A small comparison, with what it printed."""
    folder = tmp_path_factory.mktemp("results")
    done = CliRunner().invoke(app, ["compare", *SMALL, "--methods", "Performer", "--out", str(folder)])
    assert done.exit_code == 0, done.output
    return folder, done.stdout


@pytest.fixture
def qkv(tmp_path):
    """Write arrays to a file."""

    def write(name="heads.npz", **arrays):
        rng = np.random.default_rng(0)
        full = {key: rng.standard_normal((2, 16, 4)).astype(np.float32) for key in "qkv"} | arrays
        np.savez(tmp_path / name, **full)
        return tmp_path / name

    return write


@pytest.mark.parametrize("command", [[], *([name] for name in ("compare", "verify", "spectra", "report", "methods"))])
def test_every_help_shows_an_example(command, capsys):
    assert tnattn(*command, "--help") == 0
    assert "tnattn " + (command[0] if command else "compare") in capsys.readouterr().out


def test_the_theorems_of_the_example_exist():
    names = re.search(r"--bounds (\S+)", verify_command.HELP).group(1).split(",")
    assert set(names) <= set(catalogue.bounds())


def test_the_prediction_says_in_which_sense_it_holds(capsys, tmp_path):
    words = ["compare", *SMALL, "--methods", "ValueSampling", "--json", "--out", tmp_path]
    assert tnattn(*words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {line["method"]: line["sense"] for line in printed["lines"]}["TopK"].startswith("always")


def test_no_command_shows_the_help(capsys):
    assert tnattn() == 0
    assert "compare" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["methods", "bounds", "info"])
def test_the_inventory_is_json_for_scripts(command, capsys):
    assert tnattn(command, "--json") == 0
    assert json.loads(capsys.readouterr().out)


def test_methods_names_oracles_and_waived_laws_with_reasons(capsys):
    tnattn("methods", "--json")
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert found["TopK"]["oracle"]
    assert not found["Performer"]["oracle"]
    assert found["LinearAttention"]["waives"]["P8"]
    assert found["Performer"]["budget_field"] == "features"


def test_bounds_says_where_no_extremal_instance_is_known(capsys):
    tnattn("bounds", "--json")
    assert {entry["extremal"] for entry in json.loads(capsys.readouterr().out)} <= {"yes", "none known"}


def test_a_comparison_writes_ledger_manifest_tables_and_report(results):
    folder, printed = results
    present = {path.name for path in folder.iterdir()}
    assert {"ledger.jsonl", "manifest.json", "results.csv", "results.parquet", "report.html"} <= present
    assert str(folder / "report.html") in printed.replace("\n", "")


def test_a_comparison_prints_controls_and_rankings(results):
    _, printed = results
    for word in (*(control.label for control in controls()), "TopK (oracle)", "Performer"):
        assert word in printed
    assert "At 0.25 of the flops of exact attention" in printed


def test_no_trial_of_the_small_comparison_failed(results):
    assert [row for row in load(results[0]) if row["status"] != "done"] == []


def test_a_second_run_finds_everything_done(results, capsys):
    folder, _ = results
    before = (folder / "ledger.jsonl").read_bytes()
    assert tnattn("compare", *SMALL, "--methods", "Performer", "--out", folder) == 0
    said = capsys.readouterr().err
    count = len(before.splitlines())
    assert f"{count} of {count} trials found" in said
    assert (folder / "ledger.jsonl").read_bytes() == before


def test_another_seed_reports_none_of_the_old_rows(results, tmp_path):
    folder, _ = results
    (tmp_path / "ledger.jsonl").write_bytes((folder / "ledger.jsonl").read_bytes())
    assert tnattn("compare", *SMALL, "--methods", "Performer", "--seed", "1", "--out", tmp_path) == 0
    assert not {row["key"] for row in load(tmp_path)} & {row["key"] for row in load(folder)}


def test_fresh_forgets(results, tmp_path, capsys):
    folder, _ = results
    (tmp_path / "ledger.jsonl").write_bytes((folder / "ledger.jsonl").read_bytes())
    assert tnattn("compare", *SMALL, "--methods", "Performer", "--fresh", "--out", tmp_path) == 0
    assert "trials found" not in capsys.readouterr().err


def test_compare_prints_json(tmp_path, capsys):
    assert tnattn("compare", *SMALL, "--methods", "LinearAttention", "--json", "--out", tmp_path) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {line["method"] for line in printed["lines"]} >= {"MeanValue", "LinearAttention"}
    assert {ranking["measure"] for ranking in printed["rankings"]} == {"flops", "state"}


def test_a_file_of_arrays_and_a_prototype_take_part(qkv, tmp_path, capsys):
    prototype = tmp_path / "mine.py"
    prototype.write_text(
        "from dataclasses import dataclass\n"
        "from tnattn.attention.baseline.exact import Exact\n"
        "from tnattn.attention.method import JointMethod\n"
        "@dataclass(frozen=True)\n"
        "class Mine(JointMethod):\n"
        "    def approximate(self, problem, *, rng):\n"
        "        return Exact()(problem)\n"
        "    def cost(self, problem):\n"
        "        return Exact().cost(problem)\n"
    )
    words = [qkv(), "--methods", f"{prototype}:Mine", "--budgets", "4", "--workers", "0", "--json", "--out", tmp_path]
    assert tnattn("compare", *words) == 0
    lines = {line["method"]: line for line in json.loads(capsys.readouterr().out)["lines"]}
    assert lines["Mine"]["family"] == "user"
    assert lines["Mine"]["error"] < 1e-5


def test_a_key_method_is_made_causal_and_this_is_said(tmp_path, capsys):
    words = ["compare", *SMALL, "--methods", "LinearAttention,Nystromformer", "--causal", "--out", tmp_path]
    assert tnattn(*words) == 0
    printed = capsys.readouterr().out
    assert "made causal by the wrapper: Causal(LinearAttention)" in printed
    assert "left out: Nystromformer" in printed


@pytest.mark.slow
def test_the_report_is_built_again(results, capsys, monkeypatch):
    folder, _ = results
    monkeypatch.setattr(writing, "write_report", write_report)
    (folder / "report.html").unlink()
    assert tnattn("report", folder) == 0
    assert "<svg" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_spectra_prints_and_writes(tmp_path, capsys):
    assert tnattn("spectra", "needle", "--n", "32", "--d", "8", "--heads", "2", "--json", "--out", tmp_path) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {row["matrix"] for row in printed["rows"]} >= {"weights", "queries"}
    assert [len(printed["tensor"]["modes"][mode]) for mode in ("head", "query", "key")] == [2, 32, 32]
    assert {"rtol", "tucker_head", "tt_bond_2", "least_query"} <= set(printed["tensor"]["ranks"][0])
    assert all(Path(path).is_file() for path in printed["files"])


def _ints(path):
    return path(**{key: np.ones((2, 16, 4), dtype=np.int64) for key in "qkv"})


def _huge(path, size=1e20):
    rng = np.random.default_rng(0)
    return path(**{key: size * rng.standard_normal((2, 16, 4)) for key in "qk"})


MISTAKES = {
    "widths differ": (lambda f: [f(k=np.ones((2, 16, 5), np.float32))], "dimension"),
    "tokens differ": (lambda f: [f(v=np.ones((2, 15, 4), np.float32))], "tokens"),
    "heads differ": (lambda f: [f(k=np.ones((3, 16, 4), np.float32), v=np.ones((3, 16, 4), np.float32))], "multiple"),
    "NaN": (lambda f: [f(q=np.full((2, 16, 4), np.nan, np.float32))], "non-finite"),
    "all keys hidden": (lambda f: [f(mask=np.zeros((16, 16), bool))], "hides every key"),
    "all keys hidden by minus infinity": (lambda f: [f(mask=np.full((1, 16), -np.inf))], "hides every key"),
    "only later keys seen": (lambda f: [f(mask=np.triu(np.ones((16, 16), bool), 1)), "--causal"], "hides every key"),
    "scores beyond the dtype": (lambda f: [_huge(f)], "beyond the range of float32"),
    "scores beyond float64": (lambda f: [_huge(f, 1e180), "--dtype", "float64"], "beyond the range of float64"),
    "integers": (lambda f: [_ints(f)], "int64"),
    "budget beyond the keys": (lambda f: [f(), "--budgets", "17"], "exceeds the 16 keys"),
    "budget of zero": (lambda f: [f(), "--budgets", "0,4"], "positive"),
    "budget no number": (lambda f: [f(), "--budgets", "4,many"], "positive integers"),
    "unknown method": (lambda f: [f(), "--methods", "Preformer"], "did you mean Performer?"),
    "no such prototype": (lambda f: [f(), "--methods", "nowhere.py:Mine"], "not a Python file"),
    "no such file": (lambda f: ["nowhere.npz"], "does not exist"),
    "no archive": (lambda f: [_garbage(f)], "not an .npz archive"),
    "unknown problem": (lambda f: ["needel"], "did you mean needle?"),
    "sizes of a file": (lambda f: [f(), "--n", "8"], "own sizes"),
    "no trials": (lambda f: [f(), "--trials", "0"], "trials is 0"),
    "trials no number": (lambda f: [f(), "--trials", "few"], "--trials"),
    "negative seed": (lambda f: [f(), "--seed", "-1"], "seed is -1"),
    "dtype": (lambda f: [f(), "--dtype", "float16"], "float32 or float64"),
    "device": (lambda f: [f(), "--device", "tpu"], "cpu or cuda"),
    "unknown option": (lambda f: [f(), "--budget", "4"], "--budget"),
}


def _garbage(write):
    path = write().with_name("garbage.npz")
    path.write_bytes(b"not an archive")
    return path


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence_and_status_two(name, qkv, tmp_path, capsys):
    words, expected = MISTAKES[name]
    assert tnattn("compare", *words(qkv), "--workers", "0", "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert expected in said
    assert "Traceback" not in said


def test_cuda_without_cupy_is_a_mistake(qkv, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert tnattn("compare", qkv(), "--device", "cuda", "--out", tmp_path) == 2
    assert "tnattn[cuda12]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, expected",
    [
        (["verify", "--bounds", "sthosvdd"], "did you mean sthosvd?"),
        (["verify", "--level", "2"], "strictly between 0 and 1"),
        (["report", "nowhere"], "holds no results"),
        (["comparee"], "comparee"),
    ],
)
def test_mistakes_of_other_commands_are_one_sentence_too(words, expected, capsys):
    assert tnattn(*words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert expected in said


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="needle"):
        cli.main(["--debug", "compare", "needel"])


def test_without_the_extra_one_line_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "typer", None)
    assert tnattn("compare") == 2
    assert capsys.readouterr().err == 'pip install "tnattn[study]"\n'


def test_verify_reports_and_leaves_with_zero(capsys):
    assert tnattn("verify", "--bounds", "sthosvd_identity", "--workers", "0", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["refuted"] == []
    assert {finding["verdict"] for finding in printed["findings"]} == {"supported"}


@pytest.mark.parametrize(
    "change, said",
    [
        ({"must_fail": 1.0}, "UNDETECTED: hosvd"),
        ({"function": lambda method, tensor: float("nan")}, "failed: <lambda>"),
    ],
    ids=["undetected", "failed"],
)
def test_verify_names_what_it_cannot_vouch_for_with_status_one(monkeypatch, capsys, change, said):
    known = {"hosvd": dataclasses.replace(verify_command.catalogue.bounds()["hosvd"], **change)}
    monkeypatch.setattr(verify_command.catalogue, "bounds", lambda: known)
    assert tnattn("verify", "--workers", "0") == 1
    assert said in capsys.readouterr().out


def test_verify_counts_declared_theorems_apart_with_status_zero(monkeypatch, capsys):
    blunt = dataclasses.replace(verify_command.catalogue.bounds()["hosvd"], must_fail=None, no_control="for the test")
    monkeypatch.setattr(verify_command.catalogue, "bounds", lambda: {"hosvd": blunt})
    assert tnattn("verify", "--workers", "0") == 0
    said = capsys.readouterr().out
    assert "0 undetected, 1 declared blunt" in said
    assert "for the test" in said


def test_verify_refutes_a_wrong_constant_with_status_one(monkeypatch, capsys):
    false = {name: b.scaled(0.3) for name, b in verify_command.catalogue.bounds().items() if name == "hosvd"}
    monkeypatch.setattr(verify_command.catalogue, "bounds", lambda: false)
    assert tnattn("verify", "--workers", "0") == 1
    assert "REFUTED: hosvd" in capsys.readouterr().out


def test_an_interrupted_comparison_is_continued_to_the_same_rows(tmp_path, capsys):
    words = [*SMALL[:-4], "--trials", "150", "--workers", "0", "--methods", "Performer"]
    command = [sys.executable, "-m", "theory", "compare", *words, "--out", str(tmp_path / "torn")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=environment,
        text=True,
        # a job started in the background ignores interrupts, and would hand that down
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    ledger = tmp_path / "torn" / "ledger.jsonl"
    deadline = time.monotonic() + 60
    while (not ledger.exists() or ledger.read_bytes().count(b"\n") < 30) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "the same command continues" in said
    assert "Traceback" not in said
    assert tnattn("compare", *words, "--out", tmp_path / "torn") == 0
    assert "trials found" in capsys.readouterr().err
    assert tnattn("compare", *words, "--out", tmp_path / "whole") == 0

    def untimed(folder):
        return [encode(row) for row in load(folder) if row["kind"] != "time"]  # as text, since NaN differs from itself

    assert untimed(tmp_path / "torn") == untimed(tmp_path / "whole")


@pytest.fixture
def output_file(tmp_path):
    q, k, v = np.random.default_rng(0).standard_normal((3, 2, 200, 8)).astype("f4")
    scores = q @ k.mT / 8**0.5  # an implementation of its own
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    arrays = {"q": q, "k": k, "v": v, "o": weights @ v / weights.sum(axis=-1, keepdims=True)}

    def write(**changes):
        np.savez(tmp_path / "mine.npz", **{n: x for n, x in (arrays | changes).items() if x is not None})
        return tmp_path / "mine.npz"

    return write


def test_an_output_is_certified(output_file, capsys):
    assert tnattn("certify", output_file(), "--error", "1e-5") == 0
    said = capsys.readouterr().out
    assert "With confidence 0.999, at least" in said
    assert "certified: quantile" in said
    assert "200 of 200 rows" in said


def test_a_planted_bug_is_not_certified(output_file, capsys):
    good = np.load(output_file())["o"]
    assert tnattn("certify", output_file(o=np.roll(good, 1, axis=-2)), "--error", "0.05", "--rows", "64") == 1
    assert "NOT certified" in capsys.readouterr().out
    # the same output is wrong for the causal problem
    assert tnattn("certify", output_file(), "--causal", "--error", "0.05", "--kind", "mean") == 1


def test_certificates_in_json_are_those_of_the_table(output_file, capsys):
    assert tnattn("certify", output_file(), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["certificates"]) == {"quantile", "relative", "mean"}
    assert found["certified"] is None
    assert max(found["certificates"]["mean"]["values"]) < 1e-3


@pytest.mark.parametrize(
    ("changes", "words", "message"),
    [
        ({"o": None}, [], "has no array o"),
        ({"o": np.zeros((2, 3, 8))}, [], r"o has shape \(2, 3, 8\)"),
        ({"o": np.zeros((2, 200, 8), int)}, [], "o has dtype int64"),
        ({}, ["--kind", "median"], "choose one of quantile, relative, mean"),
        ({}, ["--error", "-1"], "--error is -1"),
        ({}, ["--failure", "2"], "failure is 2"),
        ({}, ["--rows", "0"], "rows is 0"),
    ],
)
def test_what_cannot_be_certified_is_one_sentence(output_file, capsys, changes, words, message):
    assert tnattn("certify", output_file(**changes), *words) == 2
    assert re.search(message, capsys.readouterr().err)


def test_an_output_that_is_not_finite_is_no_fault_of_the_file(output_file, capsys):
    wrong = np.load(output_file())["o"].copy()
    wrong[1, 3] = np.nan
    assert tnattn("certify", output_file(o=wrong), "--error", "0.1") == 1
    assert "Nothing is certified" in capsys.readouterr().out
