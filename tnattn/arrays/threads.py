"""Threads of the host: their number, limits on those of BLAS, and loops over items spread over them.

A forked child has the memory of its parent but none of its threads, so the state of this module is reset there.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import math
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import array_api_compat
import threadpoolctl

_LITTLE = 1 << 24  # multiplications that take about as long as threads take to start, 0.3 ms

Item = TypeVar("Item")
Value = TypeVar("Value")


def host_threads() -> int:
    """Return the number of threads that the host may use: CPUs of this process, at most OMP_NUM_THREADS if set."""
    # containers and batch systems restrict the affinity of a process, not the number of CPUs of the machine
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(cpus, int(asked)) if asked.isdigit() and int(asked) > 0 else cpus


class _Limits:
    """The limits on BLAS that hold in this process: one for each block that has been entered and not left."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._counts: list[int] = []
        self._outermost: Any = None

    def enter(self, count: int) -> None:
        if not self._counts:
            self._outermost = _limited(count)  # remembers the number of threads before the first block
        elif count < min(self._counts):
            _limited(count)
        self._counts.append(count)

    def leave(self, count: int) -> None:
        before = min(self._counts)
        self._counts.remove(count)
        if not self._counts:
            self.restore()
        elif min(self._counts) > before:
            _limited(min(self._counts))

    def restore(self) -> None:
        if self._outermost is not None:
            self._outermost.restore_original_limits()
            _release_control()


_limits = _Limits()
_inside_worker = threading.local()


def _begin_anew() -> None:
    """Forget, in the child of a fork, the limits and threads of its parent."""
    global _limits, _inside_worker
    inherited, _limits, _inside_worker = _limits, _Limits(), threading.local()
    inherited.restore()


if hasattr(os, "register_at_fork"):
    # the lock is held while the process forks, so that the child sees no half-made change
    os.register_at_fork(
        before=lambda: _limits.lock.acquire(),
        after_in_parent=lambda: _limits.lock.release(),
        after_in_child=_begin_anew,
    )


# a scan of the loaded libraries takes 0.7 ms, longer than many products
@functools.lru_cache(maxsize=4)
def _controller(loaded: tuple[bool, ...]) -> Any:
    """Return a handle on the BLAS libraries; found anew when a library that brings its own has been imported."""
    return threadpoolctl.ThreadpoolController()


def _blas_libraries() -> Any:
    return _controller(tuple(name in sys.modules for name in ("scipy.linalg", "torch", "cupy", "sklearn")))


def blas_info() -> list[dict[str, Any]]:
    """Return name, version and number of threads of each BLAS in use."""
    return [library for library in _blas_libraries().info() if library["user_api"] == "blas"]


def blas_kernels() -> list[str]:
    """Return the loaded BLAS libraries, such as ``openblas 0.3.30 Haswell``: name, version, kernels that really run."""
    kept = ("internal_api", "version", "architecture")
    loaded = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return sorted({" ".join(str(pool[name]) for name in kept if pool.get(name)) for pool in loaded})


@contextlib.contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Limit BLAS to ``count`` threads within the block.

    The limit belongs to the process; where blocks overlap, nested or in several threads, the smallest one holds, and
    the last to leave restores what was there before the first. A child that is forked within the block has no limit.
    """
    if count < 1:
        raise ValueError(f"count is {count}; at least one thread is needed")
    limits = _limits  # of this process: a child that is forked within the block has others
    with limits.lock:
        limits.enter(count)
    try:
        yield
    finally:
        if limits is _limits:  # else this is the child of a fork, which has left the block already
            with limits.lock:
                limits.leave(count)


def _limited(count: int) -> Any:
    limiter = _blas_libraries().limit(limits=count, user_api="blas")
    _release_control()
    return limiter


def _release_control() -> None:
    """Let any thread set the next limit: newer threadpoolctl lets only the first one, and ignores others in silence."""
    release = getattr(getattr(threadpoolctl, "OpenBLASController", None), "clear_controlling_thread", None)
    if release is not None:
        release()


def parallel_map(
    function: Callable[[Item], Value], items: Iterable[Item], *, like: Any, work: float = math.inf
) -> list[Value]:
    """Return the values of a function at the items, in order.

    NumPy work is spread over a thread per CPU with one BLAS thread each: many small products that BLAS would not split
    run side by side. Other libraries bring their own parallelism and are run in order, as are nested calls.

    Parameters
    ----------
    function : callable
    items : iterable
    like : Array
        Decides on the library.
    work : float
        Multiplications of all items together, if known: little work is done in order.
    """
    todo = list(items)
    workers = min(host_threads(), len(todo))
    inside = _inside_worker
    # a nested call runs in its worker: a pool per worker would start more threads than there are CPUs
    if workers < 2 or work < _LITTLE or not array_api_compat.is_numpy_array(like) or getattr(inside, "yes", False):
        return [function(item) for item in todo]

    def run(context: contextvars.Context, item: Item) -> Value:
        inside.yes = True
        return context.run(function, item)  # the caller's context, as numpy.errstate lives there

    with blas_threads(1), ThreadPoolExecutor(workers) as pool:
        return list(pool.map(run, [contextvars.copy_context() for _ in todo], todo))


def prefers_host_tiles(x: Any) -> bool:
    """Return whether threads of the host share work on ``x``, cut into tiles of one head each."""
    return bool(array_api_compat.is_numpy_array(x))


def runs_on_host(x: Any) -> bool:
    """Return whether work on ``x`` gains from tiles that fit a core's cache: NumPy, and PyTorch on the host."""
    on_cpu = array_api_compat.is_torch_array(x) and x.device.type == "cpu"
    return bool(on_cpu or array_api_compat.is_numpy_array(x))
