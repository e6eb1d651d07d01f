"""The key of a trial holds everything that it depends on; its draws depend on seed, method and number alone."""

import dataclasses

import numpy as np
import pytest

from theory.records.keys import encode
from theory.studies import attention, measurement
from theory.studies.attention import AttentionStudy, Settings, load, remaining, run_study
from theory.studies.candidates import Candidate, select
from theory.studies.problems import ProblemSource
from tnattn.attention.random_features.performer import Performer

SOURCE = ProblemSource("gallery", "gauss", n=16, d=4, heads=2)
MINE = """
from dataclasses import dataclass
from helper import FACTOR
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.method import JointMethod

@dataclass(frozen=True)
class Mine(JointMethod):
    def approximate(self, problem, *, rng):
        exact = Exact()(problem)
        return type(exact)(kernel=exact.kernel, shift=exact.shift, values=FACTOR * exact.values)

    def cost(self, problem):
        return Exact().cost(problem)
"""


@pytest.fixture
def mine(tmp_path):
    """Write a user's method whose constant comes through two files; return the study of it."""

    def study(factor, extra=""):
        (tmp_path / "mine.py").write_text(MINE + extra)
        (tmp_path / "helper.py").write_text("from nested import FACTOR\n")
        (tmp_path / "nested.py").write_text(f"FACTOR = {factor}\n")
        chosen = [c for c in select([f"{tmp_path / 'mine.py'}:Mine"]) if not c.control]
        return AttentionStudy(Settings(SOURCE, tuple(chosen), (4,), trials=1))

    return study


def error(folder):
    (row,) = [row for row in load(folder) if row["kind"] == "trial"]
    return max(row["relative_output"])


def test_a_constant_that_a_helper_imports_is_not_reported_from_the_old_run(mine, tmp_path):
    for factor, expected in ((1.0, 0.0), (1.5, 0.5), (3.0, 2.0)):
        study = mine(factor)
        assert remaining(study, tmp_path)[0] == (factor > 1.0)  # the best rank of the problem, which is no method's
        run_study(study, tmp_path)
        assert error(tmp_path) == pytest.approx(expected, abs=1e-5)
    assert remaining(mine(1.5), tmp_path)[1] == 0  # the rows of the former state are still there
    assert sum(row["kind"] == "trial" for row in load(tmp_path)) == 1


def test_an_edit_during_the_run_is_a_failure_and_no_row_of_the_old_key(mine, tmp_path):
    study = mine(1.0)
    assert study.tasks
    assert study.timed
    (tmp_path / "nested.py").write_text("FACTOR = 1.5\n")
    run_study(study, tmp_path)
    rows = [row for row in load(tmp_path) if row["kind"] == "trial"]
    assert [row["status"] for row in rows] == ["failed"]
    assert "changed during the run" in rows[0]["message"]


def plain(seed=0, source=SOURCE):
    return AttentionStudy(Settings(source, (Candidate(Performer()),), (4,), trials=2, seed=seed, verdict_trials=3))


def streams(study):
    return [(task.payload.kind, task.payload.stream) for task in study.tasks]


CHANGES = {
    "an edit of a source": ("package_hash", lambda: "0" * 64),
    "another BLAS kernel": ("environment", lambda device: {"blas": ["openblas 0.3 Nehalem"]}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_code_and_libraries_change_every_key_and_no_draw(change, monkeypatch):
    before = plain()
    assert before.tasks
    monkeypatch.setattr(attention, *CHANGES[change])
    after = plain()
    assert not {task.key for task in before.tasks} & {task.key for task in after.tasks}
    assert streams(before) == streams(after)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"source": dataclasses.replace(SOURCE, n=12)}, {"source": dataclasses.replace(SOURCE, causal=True)}],
    ids=["seed", "problem", "mask"],
)
def test_seed_and_problem_change_every_key(change):
    assert not {task.key for task in plain().tasks} & {task.key for task in plain(**change).tasks}


def test_the_same_specification_has_the_same_keys():
    """Negative control."""
    assert [task.key for task in plain().tasks] == [task.key for task in plain().tasks]


def test_trials_draw_apart():
    names = [stream for kind, stream in streams(plain()) if kind == "trial"]
    assert len(set(names)) == len(names) == 2


@pytest.fixture
def stored(tmp_path):
    """The same numbers in a file of any dtype."""

    def source(dtype):
        rng = np.random.default_rng(3)
        arrays = {name: rng.standard_normal((2, 16, 4)).astype(np.float16).astype(dtype) for name in "qkv"}
        np.savez(tmp_path / f"heads_{np.dtype(dtype).name}.npz", **arrays)
        return ProblemSource("file", str(tmp_path / f"heads_{np.dtype(dtype).name}.npz"))

    return source


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4", ">f2"])
def test_the_dtype_of_the_file_changes_no_draw(stored, tmp_path, dtype):
    found = []
    for kind in ("float16", dtype):
        run_study(plain(source=stored(kind)), tmp_path / kind)
        found.append([row["relative_output"] for row in load(tmp_path / kind) if row["kind"] == "trial"])
    assert found[0] == found[1]


def test_a_file_that_is_written_again_is_another_problem(stored, tmp_path):
    source = stored("float32")
    before = plain(source=source)
    assert before.tasks
    rng = np.random.default_rng(4)
    np.savez(source.name, **{name: rng.standard_normal((2, 16, 4)).astype(np.float32) for name in "qkv"})
    assert not {task.key for task in before.tasks} & {task.key for task in plain(source=source).tasks}
    with pytest.raises(ValueError, match="changed during the run"):
        measurement.measure(before.tasks[-1])


def test_an_interrupted_study_and_its_orders_give_the_same_rows(tmp_path):
    run_study(plain(), tmp_path / "whole")
    study = plain()
    study.tasks.reverse()
    stopped = []

    def stop(row):
        stopped.append(row)
        if len(stopped) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "torn", on_done=stop)
    run_study(plain(), tmp_path / "torn")

    def untimed(name):
        return [encode(row) for row in load(tmp_path / name) if row["kind"] != "time"]

    assert untimed("torn") == untimed("whole")
