"""The conformance kit on everything that the package defines."""

import pytest

from tnattn.attention.method import AttentionMethod
from tnattn.attention.sparse.top_k import TopK
from tnattn.attention.wrappers.causal import Causal
from tnattn.attention.wrappers.chunked import Chunked
from tnattn.decomposition.base import Decomposition
from tnattn.discovery import subclasses
from tnattn.randnla.sketch import Sketch
from tnattn.testing import LAWS, check_decomposition, check_method, check_sketch

METHODS = {name: cls() for name, cls in subclasses("tnattn.attention", AttentionMethod).items()}
# leaves of 64 would leave nothing to approximate at the lengths used here
METHODS["Causal, small leaves"] = Causal(leaf=8)
DECOMPOSITIONS = subclasses("tnattn.decomposition", Decomposition)
SKETCHES = subclasses("tnattn.randnla", Sketch)

# the largest ranks of with_rank do not make a canonical polyadic decomposition exact, and its sweeps stop early
ITERATIVE = {name: {"exact_at_full_rank": False, "rtol": 1e-3} for name in ("CPALS", "CPLeverage")}
# bonds between digits have other ranks than modes: a tensor of rank 3 is no train of ranks 3 over them
DIGITS = ["full rank", "progress", "certificate", "unpacking", "matrix", "precision", "batch", "seed"]
SPECIAL = {**ITERATIVE, "QuantisedTT": {"laws": DIGITS}}

# where the default obeys what the class waives: another instance shows that the waiver is needed
WITNESSES = {"Chunked": Chunked(TopK())}

QUICK = [law.name for law in LAWS if not law.slow]
SLOW = [law.name for law in LAWS if law.slow]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_obeys_the_quick_laws(name):
    check_method(METHODS[name], laws=QUICK)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "Truncated" else name for name in METHODS]
)
def test_a_method_obeys_the_laws_of_many_runs(name):
    check_method(METHODS[name], laws=SLOW)


@pytest.mark.parametrize("name", METHODS)
def test_a_waived_law_is_really_violated(name):
    method = WITNESSES.get(name, METHODS[name])
    laws = [law for law in method.waives if law in QUICK + SLOW]
    report = check_method(method, laws=laws, require_waived_violations=True)
    assert [finding.law for finding in report.of("waived")] == laws


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_method_obeys_all_laws_for_other_seeds(name, seed):
    check_method(METHODS[name], seeds=[seed], n=47)


@pytest.mark.parametrize("name", DECOMPOSITIONS)
def test_a_decomposition_obeys_the_laws(name):
    check_decomposition(DECOMPOSITIONS[name](), **SPECIAL.get(name, {}))


@pytest.mark.parametrize("name", SKETCHES)
def test_a_sketch_obeys_the_laws(name):
    check_sketch(SKETCHES[name]())


def test_something_of_every_kind_is_found():
    assert {"Exact", "TopK", "SlidingWindow", "Performer", "MeanValue"} <= set(METHODS)
    assert {"HOSVD", "STHOSVD", "TTSVD"} <= set(DECOMPOSITIONS)
    assert {"Gaussian", "SparseSign"} <= set(SKETCHES)
