"""Mutate modules one change at a time, run their tests, and list the changes that no test notices.

    python tests/mutation/run.py                       all modules of modules.py; results/mutants.md
    python tests/mutation/run.py tnattn/linalg.py      one module, the others' lines of the table stay
    python tests/mutation/run.py --jobs 2 --sample 40  two at a time, 40 mutants of each module at random

Nothing in this folder is changed: every worker mutates a copy. Sessions are kept in .mutants/, so that an interrupted
run continues; a session begins anew when the module or one of its tests has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
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

import operators
import table
from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import WorkerOutcome, WorkItem, WorkResult
from modules import MODULES, tests_of

ROOT = Path(__file__).parents[2]
SESSIONS = ROOT / ".mutants"
COPIED = ("tnattn", "theory", "tests", "examples", "pyproject.toml", "README.md")


def command(tests: list[str]) -> str:
    """Return the test command: one process, the first failure ends it, the ring of NumPy only."""
    words = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "--rings", "numpy"]
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
    digest = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in (module, *tests))).hexdigest()[:10]
    return SESSIONS / f"{module.replace('/', '.').removesuffix('.py')}-{digest}.sqlite"


def prepare(db: WorkDB, module: str, sample: int | None) -> None:
    """List the mutations of a module; those not chosen are marked as skipped."""
    init([Path(module)], db, {})
    wanted = [item for item in db.work_items if operators.chosen(item.mutations[0].operator_name)]
    if sample is not None:
        wanted = random.Random(0).sample(wanted, min(sample, len(wanted)))
    keep = {item.job_id for item in wanted}
    skipped = WorkResult(output="not chosen", worker_outcome=WorkerOutcome.SKIPPED)
    db.set_multiple_results([item.job_id for item in db.work_items if item.job_id not in keep], skipped)


_copy = Path()


def _start_worker(copies: Any) -> None:
    global _copy
    operators.install()
    _copy = copies.get()
    os.chdir(_copy)
    os.environ.update(environment(_copy))


def _try(task: tuple[WorkItem, str, float]) -> tuple[str, WorkResult]:
    item, tests, timeout = task
    return item.job_id, mutate_and_test(item.mutations, tests, timeout)


def baseline(folder: Path, tests: list[str]) -> float:
    """Run the tests of an unchanged module and return the seconds; they must pass, and leave compiled files behind."""
    for _ in range(2):
        start = time.monotonic()
        words = shlex.split(command(tests))
        done = subprocess.run(words, cwd=folder, env=environment(folder), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the tests fail without any mutation:\n{done.stdout[-2000:]}")
    return time.monotonic() - start


def mutate(module: str, copies: list[Path], sample: int | None) -> table.Outcome:
    """Try the mutations of a module that its session has not tried yet."""
    tests = tests_of(module, ROOT)
    seconds = baseline(copies[0], tests)
    path = session_of(module, tests)
    path.parent.mkdir(exist_ok=True)
    fresh = not path.exists()
    with use_db(str(path)) as db:
        if fresh:
            prepare(db, module, sample)
        pending = list(db.pending_work_items)
        print(f"{module}: {len(pending)} mutants, about {seconds:.1f} s each at most", flush=True)
        start = time.monotonic()
        for job, result in _results(pending, command(tests), 5 * seconds + 10, copies):
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


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=[], help="paths such as tnattn/linalg.py")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sample", type=int, help="mutants per module, at random; a session that exists stays whole")
    given = parser.parse_args(words)
    if unknown := [module for module in given.modules if module not in MODULES]:
        parser.error(f"no module {', '.join(unknown)}; there are {', '.join(MODULES)}")
    os.chdir(ROOT)
    operators.install()
    copies = [copy_tree() for _ in range(max(1, given.jobs))]
    try:
        for module in given.modules or MODULES:
            table.write(mutate(module, copies, given.sample))  # after every module, since a run takes hours
    finally:
        for folder in copies:
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
