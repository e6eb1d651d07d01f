"""Tensors known by their entries, of which nothing can be checked before: every decomposition ends, and names a NaN."""

import threading

import numpy as np
import pytest

from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.entries import EntryTensor
from tnattn.discovery import subclasses

METHODS = {n: cls for n, cls in subclasses("tnattn.decomposition", Decomposition).items() if cls.reads_entries}
MANY, DEADLINE = 2000, 20.0


class Turning(EntryTensor):
    """Entries 1 / (1 + i + j + k) in the first calls, and then one number, or numbers that grow from call to call."""

    shape, like = (9, 8, 7), np.zeros(0)

    def __init__(self, good, then):
        self.good, self.then, self.asked = good, then, 0

    def entries(self, indices):
        self.asked += 1
        assert self.asked <= MANY, "entries were asked for without end"
        smooth = 1 / (1.0 + indices.sum(-1))
        if self.asked <= self.good:
            return smooth
        return smooth * 2.0 ** min(80 * self.asked, 1000) if self.then == "growing" else np.full_like(smooth, self.then)


def outcome(method, tensor):
    """The result of a decomposition, or what it raised; None if it has not ended by the deadline."""
    found = []

    def run():
        try:
            with np.errstate(all="ignore"):
                found.append(method(tensor, rng=np.random.default_rng(0)))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    return found[0] if found else None


def test_some_decomposition_reads_entries():
    assert METHODS


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("good", [0, 1, 3, 8])
@pytest.mark.parametrize("then", [np.nan, np.inf, -np.inf, 0.0, 1e300, "growing"])
@pytest.mark.parametrize("name", METHODS)
def test_every_decomposition_ends_whatever_is_returned(name, then, good):
    for parameters in ({"ranks": 2}, {"rtol": 0.05}):
        tensor = Turning(good, then)
        result = outcome(METHODS[name](**parameters), tensor)
        assert result is not None, "it has not ended"
        if isinstance(result, Exception):
            assert isinstance(result, ValueError), repr(result)
            assert not isinstance(result, np.linalg.LinAlgError), repr(result)
        else:
            assert np.isfinite(result.to_dense()).all()
            assert not isinstance(then, float) or np.isfinite(then) or tensor.asked <= good


@pytest.mark.parametrize("name", METHODS)
def test_a_nan_is_named(name):
    found = outcome(METHODS[name](ranks=2), Turning(0, np.nan))
    assert "NaN" in str(found)
