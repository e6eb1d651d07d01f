"""Threads of the host: limits, loops, several threads at once, and forks."""

import os
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import threadpoolctl

from tnattn.arrays import threads
from tnattn.arrays.threads import blas_kernels, blas_threads, host_threads, parallel_map

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def _blas() -> list[int]:
    return [lib["num_threads"] for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]


def test_blas_limit_holds_inside_and_ends_outside():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        with blas_threads(1):
            assert set(_blas()) == {1}
        assert set(_blas()) == {2}


def test_nested_blas_limits_take_the_smallest():
    with threadpoolctl.threadpool_limits(2, user_api="blas"), blas_threads(2):
        with blas_threads(1):
            assert set(_blas()) == {1}
        assert set(_blas()) == {2}


def test_overlapping_blas_limits_in_threads_restore_the_first_state():
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with blas_threads(1):
            entered.set()
            leave.wait(5)

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        thread = threading.Thread(target=hold)
        with blas_threads(1):
            thread.start()
            entered.wait(5)
        assert set(_blas()) == {1}
        leave.set()
        thread.join()
        assert set(_blas()) == {2}


def test_zero_threads_are_refused():
    with pytest.raises(ValueError, match="at least one"), blas_threads(0):
        pass


def test_parallel_map_keeps_order_and_limits_blas(xp, monkeypatch):
    monkeypatch.setattr("tnattn.arrays.threads.host_threads", lambda: 2)
    like = xp.asarray(np.ones(1))
    seen = parallel_map(lambda i: (i * i, threading.get_ident(), max(_blas())), range(20), like=like)
    assert [square for square, _, _ in seen] == [i * i for i in range(20)]
    if xp.name == "numpy":
        assert threading.get_ident() not in {thread for _, thread, _ in seen}
        assert {count for _, _, count in seen} == {1}
    else:
        assert {thread for _, thread, _ in seen} == {threading.get_ident()}


@pytest.mark.parametrize("work, threads", [(1e5, False), (1e9, True)])
def test_little_work_starts_no_threads(monkeypatch, work, threads):
    monkeypatch.setattr("tnattn.arrays.threads.host_threads", lambda: 2)
    found = parallel_map(lambda i: threading.get_ident(), range(4), like=np.ones(1), work=work)
    assert (threading.get_ident() not in found) == threads


def test_parallel_map_passes_errors_and_numpy_error_state_on(monkeypatch):
    monkeypatch.setattr("tnattn.arrays.threads.host_threads", lambda: 2)
    like = np.ones(1)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        parallel_map(lambda i: like / i, [np.zeros(1), np.zeros(1)], like=like)


def test_nested_parallel_maps_run_in_order(monkeypatch):
    monkeypatch.setattr("tnattn.arrays.threads.host_threads", lambda: 2)
    like = np.ones(1)
    inner = parallel_map(
        lambda i: {*parallel_map(lambda j: threading.get_ident(), range(4), like=like)}, [0, 1], like=like
    )
    assert [len(threads) for threads in inner] == [1, 1]


def test_host_threads_heed_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert host_threads() == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert host_threads() == (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())


def test_loops_in_two_threads_at_once_give_what_one_gives(monkeypatch):
    monkeypatch.setattr(threads, "host_threads", lambda: 2)
    a = np.random.default_rng(0).standard_normal((30, 40, 40))
    expected, found = [x @ x for x in a], {}

    def loop(name):
        for _ in range(5):
            found[name] = parallel_map(lambda x: x @ x, a, like=a)

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        running = [threading.Thread(target=loop, args=(name,)) for name in range(3)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        assert set(_blas()) == {2}
    assert sorted(found) == [0, 1, 2]
    for products in found.values():
        for x, y in zip(products, expected, strict=True):
            np.testing.assert_allclose(x, y, atol=1e-12)


# --- forks ---


def in_child(function, *, seconds=20):
    """Return what a function returns, true or false, in a forked child; None if the child does not end in time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        child = os.fork()
    if child == 0:
        status = 2
        try:
            status = int(not function())
        finally:
            sys.stdout.flush()
            os._exit(status)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


@forks
def test_a_child_has_not_the_limit_of_its_parent():
    with threadpoolctl.threadpool_limits(2, user_api="blas"), blas_threads(1):
        assert in_child(lambda: set(_blas()) == {2})
        assert set(_blas()) == {1}


def _limits_itself():
    with blas_threads(1):
        inside = set(_blas()) == {1}
    return inside and set(_blas()) == {2}


@forks
def test_a_child_of_a_limited_parent_can_limit_itself_and_be_free_again():
    with threadpoolctl.threadpool_limits(2, user_api="blas"), blas_threads(1):
        assert in_child(_limits_itself)


@forks
def test_a_child_leaves_the_block_in_which_it_was_forked():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        entered = blas_threads(1)
        entered.__enter__()

        def leave():
            entered.__exit__(None, None, None)
            return set(_blas()) == {2} and _limits_itself()

        assert in_child(leave)
        entered.__exit__(None, None, None)
        assert set(_blas()) == {2}


@forks
def test_a_child_forked_while_another_thread_holds_the_limit_runs_loops(monkeypatch):
    monkeypatch.setattr(threads, "host_threads", lambda: 2)
    a, stop = np.random.default_rng(0).standard_normal((8, 30, 30)), threading.Event()

    def hold():
        while not stop.is_set():
            with blas_threads(1):
                time.sleep(0.001)

    busy = threading.Thread(target=hold)
    busy.start()
    try:
        answers = [
            in_child(lambda: np.allclose(parallel_map(lambda x: x @ x, a, like=a), a @ a) and _loops_use_threads(a))
            for _ in range(5)
        ]
    finally:
        stop.set()
        busy.join()
    assert answers == [True] * 5


def _loops_use_threads(a):
    return threading.get_ident() not in parallel_map(lambda _: threading.get_ident(), range(4), like=a)


@forks
def test_a_child_forked_inside_a_loop_runs_loops_of_its_own(monkeypatch):
    monkeypatch.setattr(threads, "host_threads", lambda: 2)
    a = np.ones((2, 3))
    assert parallel_map(lambda _: in_child(lambda: _loops_use_threads(a)), range(2), like=a) == [True, True]


@forks
def test_without_a_fresh_start_the_child_keeps_the_limit(monkeypatch):
    """Negative control: the state as it was, inherited."""
    monkeypatch.setattr(threads._Limits, "restore", lambda self: None)
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        limiter = threads._limited(1)
        assert in_child(lambda: set(_blas()) == {2}) is False
        limiter.restore_original_limits()


def test_the_kernels_that_run_are_named():
    loaded = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    assert loaded
    assert all(any(pool.get("architecture", "") in line for line in blas_kernels()) for pool in loaded)


@pytest.mark.parametrize("name", ["internal_api", "version", "architecture"])
def test_another_kernel_has_another_name(name, monkeypatch):
    before = blas_kernels()
    pools = [pool | {name: "other"} for pool in threadpoolctl.threadpool_info()]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: pools)
    assert blas_kernels() != before
