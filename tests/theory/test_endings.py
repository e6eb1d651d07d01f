"""However a program ends, its workers end too, and computed results are kept."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from theory import cli
from theory.commands import application
from theory.records.runner import GRACE
from theory.records.store import Ledger

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads processes from /proc")

COMPARE = ["needle", "--n", "32", "--d", "8", "--heads", "2", "--budgets", "4,8", "--trials", "4000"]
COMPARE += ["--methods", "Performer", "--workers", "2"]
POOL = """
import os, sys, time
from theory.records.runner import process_pool

if __name__ == "__main__":
    with process_pool(2) as pool:
        while len({future.result() for future in [pool.submit(os.getpid) for _ in range(8)]}) < 2:
            time.sleep(0.01)
        waiting = [pool.submit(time.sleep, float(sys.argv[1])) for _ in range(2)]
        print("ready", flush=True)
        time.sleep(600)
"""


def parents():
    """Return the parent of every live process of the machine."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(path.parent.name)] = int(parent)
    return found


def descendants(pid):
    tree, found, waiting = parents(), [], [pid]
    while waiting:
        one = waiting.pop()
        children = [child for child, parent in tree.items() if parent == one]
        found += children
        waiting += children
    return found


def alive_after(pids, seconds=20.0):
    """Return which processes are still there after a while, or none as soon as all are gone."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        left = set(pids) & set(parents())
        if not left:
            return set()
        time.sleep(0.05)
    return left


@pytest.fixture
def start(tmp_path):
    """Start a program in a session of its own; whatever it leaves is killed."""
    started = []

    def run(*words):
        child = subprocess.Popen(
            [sys.executable, *map(str, words)],
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())},
        )
        started.append(child)
        return child

    yield run
    for child in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("busy", [0.0, 600.0], ids=["waiting workers", "busy workers"])
def test_a_killed_parent_leaves_no_process(start, tmp_path, busy):
    (tmp_path / "pool.py").write_text(POOL)
    child = start(tmp_path / "pool.py", busy)
    assert child.stdout.readline() == "ready\n"
    below = descendants(child.pid)
    assert len(below) >= 3  # two workers and the resource tracker
    child.kill()
    assert alive_after(below) == set()


@pytest.mark.slow
def test_without_the_watch_workers_stay(start, tmp_path):
    """Negative control: the test sees processes that a killed parent leaves."""
    plain = POOL.replace("process_pool(2)", "ProcessPoolExecutor(2, mp_context=get_context('spawn'))")
    plain = "from concurrent.futures import ProcessPoolExecutor\nfrom multiprocessing import get_context\n" + plain
    (tmp_path / "plain.py").write_text(plain)
    child = start(tmp_path / "plain.py", 0.0)
    assert child.stdout.readline() == "ready\n"
    below = descendants(child.pid)
    child.kill()
    assert alive_after(below, 1.0)


def comparing(start, folder):
    """Start a comparison and return it when its ledger holds some trials, with the processes below it."""
    child = start("-m", "theory", "compare", *COMPARE, "--out", folder)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(Ledger(folder / "ledger.jsonl").rows()) < 10:
        time.sleep(0.05)
    return child, descendants(child.pid)


@pytest.mark.slow
@pytest.mark.parametrize("group", [False, True], ids=["the program alone", "its whole group"])
def test_sigterm_says_interrupted_and_keeps_what_was_computed(start, tmp_path, group):
    child, below = comparing(start, tmp_path)
    if group:
        os.killpg(child.pid, signal.SIGTERM)
    else:
        child.terminate()
    _, said = child.communicate(timeout=60)
    assert child.returncode == cli.INTERRUPTED
    assert "interrupted: " in said
    assert "the same command continues" in said
    assert "Traceback" not in said
    assert len(Ledger(tmp_path / "ledger.jsonl").rows()) >= 10
    assert alive_after(below) == set()


@pytest.mark.slow
def test_a_killed_comparison_leaves_no_process(start, tmp_path):
    child, below = comparing(start, tmp_path)
    assert len(below) >= 3
    child.kill()
    assert alive_after(below) == set()
    assert len(Ledger(tmp_path / "ledger.jsonl").rows()) >= 10


@pytest.fixture
def signals(monkeypatch):
    """A command that sends this process a signal."""

    def install(number, times=1):
        def command(words, **options):
            try:
                os.kill(os.getpid(), number)
            finally:
                for _ in range(times - 1):
                    os.kill(os.getpid(), number)

        monkeypatch.setattr(application, "app", command)

    return install


@pytest.fixture
def heard():
    """Take back that the tests ignore a signal, as they do under nohup or in the background of a script."""
    ignored = {}

    def hear(number):
        if signal.getsignal(number) is signal.SIG_IGN:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            ignored[number] = signal.signal(number, usual)
        return signal.getsignal(number)

    yield hear
    for number, before in ignored.items():
        signal.signal(number, before)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_requests_to_end_are_interrupts_for_every_command(signals, heard, number, times, capsys):
    if number == signal.SIGINT and times == 2:
        pytest.skip("a second Ctrl-C is meant")
    signals(number, times)
    before = heard(number)
    with pytest.raises(SystemExit) as left:
        cli.main(["info"])
    assert left.value.code == cli.INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_ignored(signals):
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signals(signal.SIGHUP)
        with pytest.raises(SystemExit) as left:
            cli.main(["info"])
        assert left.value.code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_does_so_after_a_while(start, tmp_path):
    (tmp_path / "pool.py").write_text(POOL)
    child = start(tmp_path / "pool.py", 600.0)
    assert child.stdout.readline() == "ready\n"
    workers = [pid for pid in descendants(child.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 2
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    assert alive_after(workers, GRACE / 2) == set(workers)
    assert alive_after(workers, 2 * GRACE) == set()
