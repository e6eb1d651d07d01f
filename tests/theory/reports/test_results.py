"""A folder read back: its rows, its problem, and the first trials made again with the same draws."""

import numpy as np
import pytest

from theory.records.manifest import manifest, write_manifest
from theory.records.store import Ledger, generator, trial_key
from theory.reports.results import attempt, read
from theory.statement.errors import relative_output
from theory.studies.problems import ProblemSource, load_problem
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.random_features.performer import Performer

SOURCE = ProblemSource("gallery", "needle", n=32, d=8, heads=2, seed=3)


def row(method, family, budget, key, **more):
    names = {"problem": "needle", "method": type(method).__name__, "family": family, "budget": budget, "trial": 0}
    flags = {"kind": "trial", "status": "done", "oracle": False, "leaks": False, "control": False, "bad_rows": 0}
    result = method(load_problem(SOURCE), rng=generator(7, trial_key({"method": method, "trial": 0})))
    errors = [float(x) for x in relative_output(load_problem(SOURCE), result)]
    measured = {"relative_output": errors, "relative_weights": errors}
    return {"key": key, "spec": repr(method), **names, **flags, **measured, **more}


@pytest.fixture
def folder(tmp_path):
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append(row(Linformer().with_budget(8), "low_rank", 8, "aa" * 32))
        ledger.append(row(Performer().with_budget(16), "random_features", 16, "bb" * 32))
        ledger.append(row(Performer().with_budget(16), "random_features", 16, "cc" * 32, spec="Performer(other)"))
    write_manifest(tmp_path, manifest(["x"], {"problem": "needle", "source": SOURCE}, 7))
    return tmp_path


def test_the_problem_is_made_again(folder):
    np.testing.assert_array_equal(read(folder).problem("needle").q, load_problem(SOURCE).q)


def test_a_problem_of_another_name_is_unknown(folder):
    assert read(folder).problem("other") is None


@pytest.mark.parametrize(("budget", "name"), [(8, "Linformer"), (16, "Performer")])
def test_the_first_trial_is_made_again_with_the_same_draws(folder, budget, name):
    results = read(folder)
    made = results.approximations("needle", budget)
    assert list(made) == [name]
    recorded = next(row for row in results.of("trial") if row["method"] == name)["relative_output"]
    np.testing.assert_allclose(relative_output(results.problem("needle"), made[name]), recorded, rtol=1e-6)


def test_a_method_of_another_specification_is_not_made_again(folder):
    with Ledger(folder / "ledger.jsonl") as ledger:
        ledger.append(row(Linformer().with_budget(4), "low_rank", 4, "dd" * 32, spec="Linformer(size=4, new=1)"))
    assert read(folder).approximations("needle", 4) == {}


def test_budgets_and_their_middle(folder):
    assert read(folder).budgets("needle") == [8, 16]
    assert read(folder).middle_budget("needle") == 16
    assert read(folder).middle_budget("other") == 0


def test_a_row_written_twice_counts_once(folder):
    with Ledger(folder / "ledger.jsonl") as ledger:
        ledger.append(row(Linformer().with_budget(8), "low_rank", 8, "aa" * 32))
    assert len(read(folder).of("trial")) == 3


def test_a_damaged_manifest_is_as_good_as_none(folder):
    (folder / "manifest.json").write_text("{")
    assert read(folder).run == {}


def test_an_attempt_gives_the_reason():
    def fails():
        raise ValueError("too large")

    assert attempt(fails) == (None, "too large")
    assert attempt(lambda: 3) == (3, "")
