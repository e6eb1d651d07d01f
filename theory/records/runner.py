"""Runner of the trials of a study: each at most once, on any executor, and resumable after an interruption."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait as wait_for
from types import FrameType
from typing import Any

import threadpoolctl

from theory.records.store import Ledger
from tnattn.randnla.accuracy import ToleranceWarning

__all__ = ["Task", "process_pool", "run"]

GRACE = 5.0
"""Seconds that a worker which is told to end leaves to its trial: this process may have been told so, too, and save."""

WINDOW = 256
"""Tasks handed to an executor at once: enough to keep any pool busy, few enough to hold in memory."""

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Task:
    """One trial.

    Parameters
    ----------
    key : str
        From ``trial_key``; names the row in the ledger.
    payload : Any
        Input of the worker; picklable for a pool of processes.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from theory.records import Ledger, Task, run
    >>> with TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.jsonl") as ledger:
    ...     run([Task("3", 3), Task("4", 4)], lambda task: {"square": task.payload**2}, ledger=ledger)
    ...     [row["square"] for row in ledger.rows()]
    [9, 16]
    """

    key: str
    payload: Any = None


def run(
    tasks: Iterable[Task],
    worker: Callable[[Task], Mapping[str, Any]],
    *,
    ledger: Ledger,
    executor: Executor | None = None,
    on_done: Callable[[Task, Row], None] | None = None,
    retry_failed: bool = False,
) -> None:
    """Compute the tasks whose keys the ledger does not hold, and append a row for each as it is done.

    Parameters
    ----------
    tasks : iterable of Task
        Consumed lazily. A key that occurs twice is computed once.
    worker : callable
        Task to row. Its result must depend on the task alone (``generator(seed, task.key)`` for randomness); for a
        pool of processes it is a function of a module. The row gets the task's ``"key"`` and ``"status": "done"``.
    ledger : Ledger
        Written by this process only.
    executor : concurrent.futures.Executor, optional
        Serial in this process if None. Not shut down here.
    on_done : callable, optional
        Called with task and row after the row is on the disk, in the order of completion.
    retry_failed : bool
        Compute again what the ledger holds with status "failed" only. The later row is appended.

    Raises
    ------
    RuntimeError
        If a worker process died, as from lack of memory. Finished trials are saved; run again to continue.
    KeyboardInterrupt
        After the waiting trials were cancelled and the finished ones saved.

    Notes
    -----
    A trial that raises becomes a row with status "failed" and the message, and the study goes on. The order of the
    rows is that of completion; the set of rows depends on neither order, executor nor interruption.
    """
    # a row of a failed trial counts as done unless it is to be tried again
    done = {row["key"] for row in ledger.rows() if not (retry_failed and row.get("status") == "failed")}
    fresh = _unseen(tasks, done)

    def save(task: Task, row: Row) -> None:
        try:
            ledger.append(row)
        except TypeError as error:  # a value without a portable form; nothing was written
            row = _failed(task, error)
            ledger.append(row)
        if on_done is not None:
            on_done(task, row)

    if executor is None:
        for task in fresh:
            save(task, _attempt(worker, task))
    else:
        _run_on(executor, fresh, worker, save)


def process_pool(workers: int | None = None, *, blas_threads: int = 1) -> ProcessPoolExecutor:
    """Return a pool of freshly started processes with a fixed number of BLAS threads each.

    Parameters
    ----------
    workers : int, optional
        Number of processes; the usable cores if None.
    blas_threads : int
        Per process. More than cores / workers makes the pool slower, not faster.

    Notes
    -----
    Processes are spawned, not forked: threads and devices of this process survive no fork. A script that calls this
    needs the usual ``if __name__ == "__main__":``. Workers leave Ctrl-C to this process, and end when it ends, however
    it ends.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; a pool needs at least 1")
    if blas_threads < 1:
        raise ValueError(f"blas_threads is {blas_threads}; a process needs at least 1")
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(blas_threads,)
    )


def _start_worker(blas_threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end_later)
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    # the variables reach the libraries that are loaded later (SciPy and PyTorch bring their own), the call the others
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
        os.environ[name] = str(blas_threads)
    threadpoolctl.threadpool_limits(limits=blas_threads)


def _end_later(number: int, frame: FrameType | None) -> None:
    """End after a delay: the end of a worker breaks the pool of a parent that is saving finished trials."""
    timer = threading.Timer(GRACE, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _end_with_parent() -> None:
    """Leave at once when the process that started this one is gone.

    A worker waits for tasks on a pipe whose other end it holds itself, so a killed parent would leave it waiting for
    good, and the resource tracker with it. The operating system closes the parent's sentinel, whatever ends the parent.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)  # a trial may be running in the main thread; nobody is left to read its row


def _unseen(tasks: Iterable[Task], done: set[str]) -> Iterator[Task]:
    for task in tasks:
        if task.key not in done:
            done.add(task.key)
            yield task


def _failed(task: Task, error: BaseException) -> Row:
    return {"key": task.key, "status": "failed", "message": f"{type(error).__name__}: {error}"}


def _attempt(worker: Callable[[Task], Mapping[str, Any]], task: Task) -> Row:
    """Run the worker where the trial runs, so that no exception need travel."""
    try:
        with warnings.catch_warnings():
            # a budget sets the rank that a tolerance may spend, and the row has the error that results
            warnings.simplefilter("ignore", ToleranceWarning)
            return {**worker(task), "key": task.key, "status": "done"}
    except Exception as error:
        return _failed(task, error)


def _run_on(
    executor: Executor,
    tasks: Iterator[Task],
    worker: Callable[[Task], Mapping[str, Any]],
    save: Callable[[Task, Row], None],
) -> None:
    pending: dict[Future[Row], Task] = {}

    def collect(future: Future[Row]) -> None:
        task = pending.pop(future)
        try:
            row = future.result()
        except BrokenExecutor:
            raise
        except Exception as error:  # the task or its row could not travel
            row = _failed(task, error)
        save(task, row)

    try:
        while True:
            # tasks are taken lazily: a grid may be too large for memory
            for task in islice(tasks, WINDOW - len(pending)):
                pending[executor.submit(_attempt, worker, task)] = task
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                collect(future)
    except BaseException as error:
        for future in pending:
            future.cancel()
        if isinstance(error, (KeyboardInterrupt, BrokenExecutor)):
            for future in [f for f in pending if f.done() and not f.cancelled() and f.exception() is None]:
                collect(future)
        if isinstance(error, BrokenExecutor):
            message = "a worker process died, as from lack of memory; what was computed is saved, run again to continue"
            raise RuntimeError(message) from error
        raise
