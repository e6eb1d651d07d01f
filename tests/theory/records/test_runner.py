"""The rows of a study depend on the tasks alone: not on order, executor, interruption or kill."""

import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from theory.records.runner import Task, process_pool, run
from theory.records.store import Ledger, generator, trial_key
from tnattn.randnla.accuracy import warn_of_missed

# a module of its own, so that spawned workers can import it
WORKER = """
import os, sys, time
import numpy as np
from theory.records.store import generator

def trial(task):
    index, pause = task.payload
    time.sleep(pause)
    if index == 3:
        raise ArithmeticError("rank 3 is unlucky")
    return {"index": index, "value": float(generator(11, task.key).standard_normal()), "nan": float("nan")}

def threads(task):
    import scipy.linalg, threadpoolctl
    scipy.linalg.lu(np.eye(3))
    return {"threads": [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]}

def die(task):
    os._exit(1)
"""

MAIN = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent))
from runner_sample import trial
from theory.records.runner import Task, process_pool, run
from theory.records.store import Ledger, trial_key

if __name__ == "__main__":
    tasks = [Task(trial_key({"index": i}), (i, float(sys.argv[2]))) for i in range(24)]
    ledger = Ledger(sys.argv[1])
    if sys.argv[3] == "pool":
        with process_pool(2) as pool:
            run(tasks, trial, ledger=ledger, executor=pool)
    else:
        run(tasks, trial, ledger=ledger)
"""


@pytest.fixture
def sample(tmp_path, monkeypatch):
    (tmp_path / "runner_sample.py").write_text(WORKER)
    (tmp_path / "main.py").write_text(MAIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    sys.modules.pop("runner_sample", None)
    return __import__("runner_sample")


def grid(count=24, pause=0.0):
    return [Task(trial_key({"index": i}), (i, pause)) for i in range(count)]


def by_key(ledger):
    """Rows in the order of keys, compared as text because NaN differs from itself."""
    return sorted(map(repr, ledger.rows()))


@pytest.fixture
def serial(sample, tmp_path):
    ledger = Ledger(tmp_path / "serial.jsonl")
    run(grid(), sample.trial, ledger=ledger)
    return by_key(ledger)


def test_a_failing_trial_is_a_row_and_the_study_goes_on(sample, tmp_path):
    ledger = Ledger(tmp_path / "t.jsonl")
    run(grid(6), sample.trial, ledger=ledger)
    rows = ledger.rows()
    assert [row["status"] for row in rows] == ["done"] * 3 + ["failed"] + ["done"] * 2
    assert rows[3]["message"] == "ArithmeticError: rank 3 is unlucky"


def test_values_come_from_the_generator_of_the_key(sample, tmp_path):
    ledger = Ledger(tmp_path / "t.jsonl")
    run(grid(1), sample.trial, ledger=ledger)
    assert ledger.rows()[0]["value"] == generator(11, trial_key({"index": 0})).standard_normal()


def test_order_of_the_tasks_changes_no_row(sample, serial, tmp_path):
    ledger = Ledger(tmp_path / "t.jsonl")
    run(grid()[::-1], sample.trial, ledger=ledger)
    assert by_key(ledger) == serial


def test_a_pool_of_processes_changes_no_row(sample, serial, tmp_path):
    ledger = Ledger(tmp_path / "t.jsonl")
    with process_pool(2) as pool:
        run(grid(), sample.trial, ledger=ledger, executor=pool)
    assert by_key(ledger) == serial


def test_a_worker_that_ignored_its_key_would_be_noticed(sample, serial, tmp_path):
    """Negative control: a shared generator makes the rows depend on the order."""
    ledger, shared = Ledger(tmp_path / "t.jsonl"), generator(11, trial_key({"index": 0}))
    run(grid()[::-1], lambda task: {**sample.trial(task), "value": shared.random()}, ledger=ledger)
    assert by_key(ledger) != serial


def test_what_the_ledger_holds_is_not_computed_again(sample, tmp_path):
    ledger, computed = Ledger(tmp_path / "t.jsonl"), []
    run(grid(5), sample.trial, ledger=ledger)
    run(grid(8), lambda task: computed.append(task.payload[0]) or {}, ledger=ledger)
    assert computed == [5, 6, 7]


def test_failed_trials_are_tried_again_on_request(sample, tmp_path):
    ledger, computed = Ledger(tmp_path / "t.jsonl"), []
    run(grid(5), sample.trial, ledger=ledger)
    for _ in range(2):
        run(grid(5), lambda task: computed.append(task.payload[0]) or {}, ledger=ledger, retry_failed=True)
    assert computed == [3]


def test_a_repeated_key_is_computed_once(sample, tmp_path):
    ledger = Ledger(tmp_path / "t.jsonl")
    run([*grid(2), *grid(2)], sample.trial, ledger=ledger)
    assert len(ledger.rows()) == 2


def test_progress_is_reported_after_the_row_is_saved(sample, tmp_path):
    ledger, seen = Ledger(tmp_path / "t.jsonl"), []
    run(grid(3), sample.trial, ledger=ledger, on_done=lambda task, row: seen.append((row["key"], len(ledger.rows()))))
    assert seen == [(task.key, i + 1) for i, task in enumerate(grid(3))]


def test_a_row_that_cannot_be_written_is_a_failed_trial(tmp_path):
    ledger = Ledger(tmp_path / "t.jsonl")
    run(grid(2), lambda task: {"value": 1j}, ledger=ledger)
    assert [row["status"] for row in ledger.rows()] == ["failed", "failed"]


def test_tasks_are_consumed_lazily(tmp_path):
    """An endless grid, stopped by the caller after ten rows."""
    ledger, count = Ledger(tmp_path / "t.jsonl"), iter(range(10**9))

    def stop(task, row):
        if len(ledger.rows()) == 10:
            raise KeyboardInterrupt

    endless = (Task(trial_key({"index": i}), i) for i in count)
    with ThreadPoolExecutor(2) as pool, pytest.raises(KeyboardInterrupt):
        run(endless, lambda task: {}, ledger=ledger, executor=pool, on_done=stop)
    assert next(count) < 2000


def test_an_interrupt_cancels_the_waiting_and_saves_the_finished(tmp_path):
    ledger, started = Ledger(tmp_path / "t.jsonl"), []

    def work(task):
        started.append(task.key)
        time.sleep(0.01)
        return {}

    def interrupt(task, row):
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool, pytest.raises(KeyboardInterrupt):
        run(grid(40), work, ledger=ledger, executor=pool, on_done=interrupt)
    assert 1 <= len(ledger.rows()) <= len(started) < 10
    run(grid(40), work, ledger=ledger)
    assert ledger.keys() == {task.key for task in grid(40)}
    assert len(ledger.rows()) == 40


def test_a_dead_worker_process_stops_the_study_with_a_clear_message(sample, tmp_path):
    ledger = Ledger(tmp_path / "t.jsonl")
    with process_pool(1) as pool, pytest.raises(RuntimeError, match="a worker process died"):
        run(grid(3), sample.die, ledger=ledger, executor=pool)
    assert ledger.rows() == []


def test_workers_of_the_pool_use_one_blas_thread(sample, tmp_path):
    ledger = Ledger(tmp_path / "t.jsonl")
    with process_pool(1) as pool:
        run(grid(1), sample.threads, ledger=ledger, executor=pool)
    assert set(ledger.rows()[0]["threads"]) == {1}


@pytest.mark.parametrize("arguments", [{"workers": 0}, {"blas_threads": 0}])
def test_a_pool_of_nothing_is_refused(arguments):
    with pytest.raises(ValueError, match="at least 1"):
        process_pool(**arguments)


def after_five_rows(command, path):
    """Start a process group of its own and return when its ledger holds five rows."""
    child = subprocess.Popen(
        command,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        # a job started in the background ignores interrupts, and would hand that down
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(Ledger(path).rows()) < 5:
        time.sleep(0.01)
    return child


@pytest.mark.parametrize("mode", ["serial", "pool"])
def test_control_c_saves_what_was_computed_and_ends_with_the_interrupt(sample, serial, tmp_path, mode):
    path = tmp_path / "stopped.jsonl"
    child = after_five_rows([sys.executable, tmp_path / "main.py", path, "0.1", mode], path)
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    _, message = child.communicate(timeout=30)
    ledger = Ledger(path)
    assert message.rstrip().endswith("KeyboardInterrupt")
    assert message.count("Traceback") == 1
    assert 5 <= len(ledger.rows()) < 24
    assert ledger.torn == ()
    run(grid(), sample.trial, ledger=ledger)
    assert by_key(ledger) == serial


@pytest.mark.parametrize("mode", ["serial", "pool"])
def test_a_killed_study_resumes_to_the_same_rows(sample, serial, tmp_path, mode):
    """SIGKILL to the whole group in the middle, half a line appended, then the rest by the other kind of run."""
    path = tmp_path / "killed.jsonl"
    command = [sys.executable, tmp_path / "main.py", path, "0.1", mode]
    child = after_five_rows(command, path)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    saved = len(Ledger(path).rows())
    assert 5 <= saved < 24
    with path.open("ab") as stream:
        stream.write(b'{"index":23,"key":"' + trial_key({"index": 23}).encode()[:20])
    ledger = Ledger(path)
    run(grid(), sample.trial, ledger=ledger)
    assert by_key(ledger) == serial
    assert ledger.torn == (saved + 1,)


def _missing(task):
    warn_of_missed(np.array([False]), np.array([0.5]), 0.1, "rank 2")
    warnings.warn("something else", RuntimeWarning, stacklevel=1)
    return {"error": 0.5}


def test_tolerances_that_a_budget_keeps_from_being_met_are_no_news(tmp_path):
    with pytest.warns(RuntimeWarning, match="something else") as caught:
        run([Task("a")], _missing, ledger=Ledger(tmp_path / "trials.jsonl"))
    assert [warning.category for warning in caught] == [RuntimeWarning]
