"""Mutate modules one change at a time, run their tests, and list the changes that no test notices.

    python tests/mutation/run.py                         all modules of modules.py; results/mutants.md
    python tests/mutation/run.py tnattn/linalg/norms.py  one module, the other rows of the table stay
    python tests/mutation/run.py --jobs 2 --sample 40    two at a time, 40 mutants of each module at random
    python tests/mutation/run.py --survivors MODULE      after tests were added: only what survived is tried again
    ... --survivors --rings strict,cupy-standin MODULE code that NumPy arrays never reach, by the tests that reach it

Nothing in this folder is changed: every worker mutates a copy. Sessions are kept in .mutants/, so that an interrupted
run continues, and a sample grows; a session begins anew when the module or one of its tests has changed. With
``--survivors`` the killed of an earlier session of the same module stay killed, which is right where tests were added
and none was weakened.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import importlib.util
import multiprocessing
import os
import platform
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import cosmic_ray.mutating
import forked
import operators
import syntax
import table
import threadpoolctl
from cosmic_ray.commands.init import init
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult
from modules import MODULES, tests_of

ROOT = Path(__file__).parents[2]
SESSIONS = ROOT / ".mutants"
COPIED = ("tnattn", "theory", "tests", "examples", "pyproject.toml", "README.md")


def command(tests: list[str], rings: str = "numpy") -> str:
    """Return the test command: one process, the first failure ends it, the ring of NumPy unless others are named."""
    words = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "--rings", rings]
    return shlex.join([*words, "-m", "not gpu and not slow", *tests])


def copy_tree() -> Path:
    """Copy what the tests need to a temporary folder, times of change included."""
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    for name in COPIED:
        source, ignore = ROOT / name, shutil.ignore_patterns("__pycache__", ".hypothesis")
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / name, **({"ignore": ignore} if source.is_dir() else {}))
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a test run: the copy comes first on the path, and one thread is enough."""
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": str(folder)}


def session_of(module: str, tests: list[str]) -> Path:
    """Return the file of the session; its name changes with the module and its tests."""
    own, theirs = (_digest(names) for names in ([module], tests))
    return SESSIONS / f"{module.replace('/', '.').removesuffix('.py')}-{own}-{theirs}.sqlite"


def _digest(names: list[str]) -> str:
    return hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in names)).hexdigest()[:10]


def inherit(path: Path) -> list[str]:
    """Copy the latest session of the same module with other tests; return the jobs that survived in it."""
    earlier = sorted(path.parent.glob(f"{path.stem.rpartition('-')[0]}-*.sqlite"), key=lambda p: p.stat().st_mtime)
    if not earlier:
        return []
    if earlier[-1] != path:
        shutil.copy(earlier[-1], path)
    with use_db(str(path)) as db:
        return [job for job, result in db.results if result.test_outcome is TestOutcome.SURVIVED]


def prepare(db: WorkDB, module: str, sample: int | None) -> None:
    """List the mutations of a module; those not chosen are marked as skipped."""
    init([Path(module)], db, {})
    places = syntax.unread(Path(module).read_text(encoding="utf-8"))
    every = list(db.work_items)
    wanted = [item.job_id for item in every if _is_chosen(item.mutations[0], places)]
    tried = wanted if sample is None else random.Random(0).sample(wanted, min(sample, len(wanted)))
    _skip(db, {item.job_id for item in every} - set(wanted), table.NOT_CHOSEN)
    _skip(db, set(wanted) - set(tried), table.NOT_SAMPLED)


def _is_chosen(mutation: Any, places: list[Any]) -> bool:
    read = not syntax.is_within(mutation.start_pos, mutation.end_pos, places)
    return read and operators.chosen(mutation.operator_name)


def _skip(db: WorkDB, jobs: set[str], reason: str) -> None:
    db.set_multiple_results(sorted(jobs), WorkResult(output=reason, worker_outcome=WorkerOutcome.SKIPPED))


def more(db: WorkDB, sample: int | None) -> set[str]:
    """Return the jobs that a smaller sample left out and this one, or a complete run, does not."""
    waiting = sorted(job for job, result in db.results if result.output == table.NOT_SAMPLED)
    tried = sum(result.output not in (table.NOT_SAMPLED, table.NOT_CHOSEN) for _, result in db.results)
    tried += len(db.pending_work_items)
    missing = len(waiting) if sample is None else max(0, sample - tried)
    return set(random.Random(0).sample(waiting, min(missing, len(waiting))))


_copy = Path()


def _start_worker(copies: Any) -> None:
    global _copy
    operators.install()
    _copy = copies.get()
    os.chdir(_copy)
    os.environ.update(environment(_copy))  # before NumPy is imported: its threads are counted once
    forked.preload(_copy)
    cosmic_ray.mutating.run_tests = _run_tests


def _run_tests(command: str, timeout: float) -> tuple[TestOutcome, str]:
    """Run tests as Cosmic Ray does, with a timeout among the killed, but in a fork of this process."""
    status, output = forked.run(command, timeout)
    return (TestOutcome.SURVIVED if status == 0 else TestOutcome.KILLED), output if status is not None else "timeout"


def _try(task: tuple[WorkItem, str, float]) -> tuple[str, WorkResult]:
    item, tests, timeout = task
    return item.job_id, cosmic_ray.mutating.mutate_and_test(item.mutations, tests, timeout)


def baseline(folder: Path, tests: list[str], rings: str) -> float:
    """Run the tests of an unchanged module and return the seconds; they must pass, and leave compiled files behind."""
    for _ in range(2):
        start = time.monotonic()
        words = shlex.split(command(tests, rings))
        done = subprocess.run(words, cwd=folder, env=environment(folder), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the tests fail without any mutation:\n{done.stdout[-2000:]}")
    return time.monotonic() - start


def mutate(module: str, copies: list[Path], sample: int | None, survivors: bool, rings: str = "numpy") -> table.Outcome:
    """Try the mutations of a module that its session has not tried yet."""
    tests = tests_of(module, ROOT)
    seconds = baseline(copies[0], tests, rings)
    path = session_of(module, tests)
    path.parent.mkdir(exist_ok=True)
    again = set(inherit(path)) if survivors else set()
    fresh = not path.exists()
    with use_db(str(path)) as db:
        if fresh:
            prepare(db, module, sample)
        again |= more(db, sample)
        pending = [*db.pending_work_items, *(item for item in db.work_items if item.job_id in again)]
        print(f"{module}: {len(pending)} mutants, about {seconds:.1f} s each at most", flush=True)
        start = time.monotonic()
        for job, result in _results(pending, command(tests, rings), 5 * seconds + 10, copies):
            db.set_result(job, result)
        spent = (time.monotonic() - start) / max(1, len(pending))
        made = table.outcome(module, tests, db.completed_work_items)
    print(f"{module}: {made.killed} killed, {len(made.survivors)} survived, {spent:.2f} s per mutant", flush=True)
    return made


def _results(
    pending: list[WorkItem], tests: str, timeout: float, copies: list[Path]
) -> Iterator[tuple[str, WorkResult]]:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for folder in copies:
        queue.put(folder)
    with context.Pool(len(copies), _start_worker, (queue,)) as pool:
        yield from pool.imap_unordered(_try, [(item, tests, timeout) for item in pending])


def machine() -> str:
    """Return the processor, the BLAS kernels, the version of Python and the day of a run."""
    spec = importlib.util.spec_from_file_location("benchmarks_run", ROOT / "tests/benchmarks/run.py")
    assert spec is not None
    assert spec.loader is not None
    benchmarks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmarks)
    pools = {" ".join(str(pool[name]) for name in ("internal_api", "version", "architecture")) for pool in blas()}
    kernels = ", ".join(sorted(pools))
    return f"{benchmarks.processor()}, BLAS: {kernels}, Python {platform.python_version()}, {datetime.date.today()}"


def blas() -> list[dict[str, Any]]:
    """Return the loaded BLAS libraries."""
    importlib.import_module("scipy.linalg")
    return [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=[], help="paths such as tnattn/linalg/norms.py")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--survivors", action="store_true", help="try only what survived before tests were added")
    parser.add_argument("--rings", default="numpy", help="array libraries whose tests run, as pytest names them")
    parser.add_argument("--sample", type=int, help="mutants per module, at random; all by default")
    given = parser.parse_args(words)
    if unknown := [module for module in given.modules if module not in MODULES]:
        parser.error(f"no module {', '.join(unknown)}; there are {', '.join(MODULES)}")
    os.chdir(ROOT)
    operators.install()
    copies = [copy_tree() for _ in range(max(1, given.jobs))]
    try:
        for module in given.modules or MODULES:
            made = mutate(module, copies, given.sample, given.survivors, given.rings)
            table.write(made, MODULES, machine())  # after every module, since a run takes hours
    finally:
        for folder in copies:
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
