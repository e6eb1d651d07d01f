"""Properties computed once: no thread waits for another one's instance."""

import re
import threading
from pathlib import Path

import numpy as np
import pytest

from tnattn.attention.problem import AttentionProblem
from tnattn.cached import cached_property

ROOT = Path(__file__).parents[2]


def meets(decorator):
    """Return whether two threads are inside the property of two instances of one class at the same time."""
    barrier = threading.Barrier(2)

    class Meeting:
        @decorator
        def met(self):
            try:
                barrier.wait(timeout=1)
            except threading.BrokenBarrierError:
                return False
            return True

    one, two = Meeting(), Meeting()
    found = []
    threads = [threading.Thread(target=lambda m=m: found.append(m.met)) for m in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return all(found)


def test_two_instances_compute_at_the_same_time():
    assert meets(cached_property)


def test_one_lock_for_a_class_lets_nobody_meet():
    """Negative control: Python 3.11's cached property, in the three lines that matter."""

    class OneLock(cached_property):
        lock = threading.RLock()

        def __get__(self, instance, owner=None):
            with self.lock:
                return super().__get__(instance, owner)

    assert not meets(OneLock)


def test_a_value_is_computed_once_and_belongs_to_its_instance():
    calls = []

    class Square:
        def __init__(self, side):
            self.side = side

        @cached_property
        def area(self):
            """Its area."""
            calls.append(self.side)
            return self.side**2

    two, three = Square(2), Square(3)
    assert (two.area, two.area, three.area) == (4, 4, 9)
    assert calls == [2, 3]
    assert Square.area.__doc__ == "Its area."


def test_all_threads_see_one_value():
    barrier = threading.Barrier(8)

    class Made:
        @cached_property
        def value(self):
            barrier.wait(timeout=10)  # all compute
            return object()

    made, seen = Made(), []
    threads = [threading.Thread(target=lambda: seen.append(made.value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(value) for value in seen}) == 1
    assert len(seen) == 8


def test_an_exception_is_not_kept():
    class Fails:
        count = 0

        @cached_property
        def value(self):
            self.count += 1
            if self.count == 1:
                raise ValueError("first")
            return self.count

    fails = Fails()
    with pytest.raises(ValueError, match="first"):
        _ = fails.value
    assert fails.value == 2


def test_two_problems_compute_their_outputs_side_by_side(monkeypatch):
    """The outputs of two problems meet at a barrier within the first property that both compute."""
    barrier, real = threading.Barrier(2), AttentionProblem.__dict__["weights"]

    def compute(self):
        barrier.wait(timeout=10)
        return real._compute(self)

    waiting = cached_property(compute)
    waiting.__set_name__(AttentionProblem, "weights")
    monkeypatch.setattr(AttentionProblem, "weights", waiting)
    draw = np.random.default_rng(0).standard_normal
    problems = [AttentionProblem(*draw((3, 1, 6, 4))) for _ in range(2)]
    outputs = []
    threads = [threading.Thread(target=lambda p=p: outputs.append(p.output)) for p in problems]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outputs) == 2


@pytest.mark.parametrize("package", ["tnattn", "theory"])
def test_no_module_takes_the_locking_property(package):
    locking = re.compile(r"^from functools import .*cached_property|@functools\.cached_property", re.MULTILINE)
    using = [str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py") if locking.search(path.read_text())]
    assert [path for path in using if path != "tnattn/cached.py"] == []
