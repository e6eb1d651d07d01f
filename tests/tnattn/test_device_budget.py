"""Device budgets: every method stays within its own, heads do not raise it, a read for each column violates it."""

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import pytest
from fixtures.device import Size, budgeted, counted

from tnattn.arrays import DeviceDraws, array_namespace, random_samples
from tnattn.attention.masks import CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.wrappers.causal import Causal
from tnattn.device_budget import Budgeted, DeviceBudget, DeviceCounts, blocks, sweeps_taken
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.columns.pivoted_qr import PivotedQR
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.structured.dense import Dense

BUDGETED = budgeted()
SIZES = {"columns": Size(columns=2), "length": Size(length=2), "heads": Size(heads=4)}
# what a factorisation costs that falls back to a safer one for a matrix of the larger target
FALLBACK = DeviceCounts(launches=60, waits=4, copies=4)
only_standin = pytest.mark.parametrize("xp", ["cupy-standin"], indirect=True)
every_class = pytest.mark.parametrize("name", BUDGETED)


def measured(ring, name, growth=None, known={}):  # noqa: B006
    """Return counts and limit of a class at a size; each is run once for all tests."""
    if (name, growth) not in known:
        known[name, growth] = counted(ring, BUDGETED[name], SIZES.get(growth, Size()))
    return known[name, growth]


def allowed(small, low, high):
    """Return what a larger target may cost: units that were added, and what depends on the data."""
    units = DeviceCounts(*(max(0, getattr(high, f.name) - getattr(low, f.name)) for f in fields(DeviceCounts)))
    sixth = DeviceCounts(small.launches // 6, small.waits // 6, small.copies // 6)
    return small + units + sixth + FALLBACK


@only_standin
@every_class
def test_a_call_stays_within_its_budget(xp, name):
    found, limit = measured(xp, name)
    assert found.within(limit), f"{found} exceeds {limit}"


@only_standin
@pytest.mark.parametrize("growth", SIZES)
@every_class
def test_counts_grow_with_the_units_of_the_algorithm_only(xp, name, growth):
    (small, low), (large, high) = measured(xp, name), measured(xp, name, growth)
    assert large.within(high), f"{large} exceeds {high}"
    most = allowed(small, low, high)
    assert large.within(most), f"{small} has become {large}, where {most} were allowed"


@only_standin
@pytest.mark.parametrize("tokens", [64, 256])
@pytest.mark.parametrize("method", [Causal(leaf=8), Causal(Performer(8), leaf=8)], ids=repr)
def test_rectangles_of_a_level_are_one_call(xp, method, tokens):
    """Twice as many tokens are one level more, not twice as many rectangles."""
    q, k, v = (xp.asarray(x) for x in np.random.default_rng(0).standard_normal((3, 2, tokens, 8)))
    problem = AttentionProblem(q, k, v, mask=CausalMask())
    before = xp.transfers.snapshot()
    method(problem, rng=np.random.default_rng(0)).output  # noqa: B018
    made = xp.transfers - before
    assert DeviceCounts(made.launches, made.waits, made.copies).within(method.device_limit(problem))
    assert made.launches < 4000  # 8 and 32 leaves


@only_standin
@pytest.mark.parametrize("method", [PivotedQR(rank=16, rtol=0.5), PivotedQR(rank=16, rtol=1e-3)], ids=repr)
@pytest.mark.filterwarnings("ignore::tnattn.randnla.accuracy.ToleranceWarning")
def test_a_tolerance_met_or_missed_stays_within_the_budget(xp, method):
    a = xp.asarray(np.random.default_rng(0).standard_normal((2, 40, 40)) * 0.7 ** np.arange(40))
    before = xp.transfers.snapshot()
    method(a)
    made = xp.transfers - before
    assert DeviceCounts(made.launches, made.waits, made.copies).within(method.device_limit(a))


@dataclass(frozen=True)
class ColumnByColumn(MatrixMethod):
    """Zero columns made one by one, with a read of each."""

    rank: int = rank_budget(8)

    def factorise(self, a, *, rng):
        dense = a.to_dense()
        xp = array_namespace(dense)
        lengths = [float(xp.sum(dense[..., j] ** 2)) for j in range(self.rank)]
        return Dense(dense * (0.0 * sum(lengths)))


@dataclass(frozen=True)
class HeadByHead(MatrixMethod):
    """The truncated decomposition of one matrix after the other."""

    rank: int = rank_budget(8)

    def factorise(self, a, *, rng):
        dense = a.to_dense()
        parts = [TruncatedSVD(self.rank)(dense[i, ...]).to_dense() for i in range(dense.shape[0])]
        return Dense(array_namespace(dense).stack(parts))


@only_standin
@pytest.mark.parametrize("cls, growth", [(ColumnByColumn, "columns"), (HeadByHead, "heads")])
def test_a_loop_over_columns_or_heads_violates_the_budget(xp, cls, growth):
    """Negative control."""
    (small, low), (large, high) = counted(xp, cls), counted(xp, cls, SIZES[growth])
    assert low == high
    assert not large.within(allowed(small, low, high))
    assert not large.within(high)


@only_standin
@every_class
def test_a_source_on_the_device_samples_nothing_on_the_host(xp, name, monkeypatch):
    drawn = []
    monkeypatch.setattr(random_samples, "require_host", lambda rng: drawn.append(rng) or rng)
    counted(xp, BUDGETED[name], rng=lambda: DeviceDraws(0))
    assert not drawn


@only_standin
def test_a_source_on_the_host_is_seen_to_sample_there(xp, monkeypatch):
    """Negative control."""
    drawn = []
    monkeypatch.setattr(random_samples, "require_host", lambda rng: drawn.append(rng) or rng)
    counted(xp, BUDGETED["RandomizedSVD"])
    assert len(drawn) == 1


def test_a_budget_is_a_fixed_part_and_one_for_each_unit():
    budget = DeviceBudget(DeviceCounts(10, 2), {"sweep": DeviceCounts(3, 1, 1), "level": DeviceCounts(100)})
    assert budget.limit({"sweep": 4, "level": 1, "unused": 7}) == DeviceCounts(122, 6, 4)
    with pytest.raises(ValueError, match="units level"):
        budget.limit({"sweep": 4})


@pytest.mark.parametrize("more", [DeviceCounts(11, 2, 1), DeviceCounts(10, 3, 1), DeviceCounts(10, 2, 2)])
def test_each_number_has_a_limit_of_its_own(more):
    limit = DeviceCounts(10, 2, 1)
    assert limit.within(limit)
    assert not more.within(limit)


def test_a_wrapper_adds_the_budgets_of_what_it_calls():
    @dataclass(frozen=True)
    class Inner(Budgeted):
        device_budget: ClassVar = DeviceBudget(DeviceCounts(5, 1))

    @dataclass(frozen=True)
    class Outer(Budgeted):
        inner: Inner = Inner()
        other: Inner = Inner()
        device_budget: ClassVar = DeviceBudget(DeviceCounts(100))

        def device_units(self, target, result=None):
            return {"inner": target}

    assert Outer().device_limit(3) == DeviceCounts(100 + 3 * 5 + 5, 4)


@pytest.mark.parametrize("count, expected", [(0, 1), (32, 1), (33, 2)])
def test_a_count_is_divided_into_blocks(count, expected):
    assert blocks(count, 32) == expected


def test_sweeps_are_those_of_the_slowest_of_a_stack():
    @dataclass(frozen=True, eq=False)
    class Result:
        sweeps: object

    assert sweeps_taken(9, None) == 9
    assert sweeps_taken(9, Result(np.array([3, 5]))) == 5
    assert sweeps_taken(9, Result(4)) == 4
