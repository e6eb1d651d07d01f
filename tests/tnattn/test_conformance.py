"""The conformance kit on everything that the package defines."""

from dataclasses import dataclass

import numpy as np
import pytest

from tnattn.attention.method import AttentionMethod, KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.top_k import TopK
from tnattn.attention.summary import KeySet
from tnattn.attention.wrappers.causal import Causal
from tnattn.attention.wrappers.chunked import Chunked
from tnattn.attention.wrappers.projected import Projected
from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.discovery import subclasses
from tnattn.gallery import ProblemFamily, problems
from tnattn.models.sample import load_sample, sample_layers
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.sketches.base import Sketch
from tnattn.structured.tucker import TuckerTensor
from tnattn.testing import (
    LAWS,
    ConformanceError,
    check_decomposition,
    check_matrix_method,
    check_method,
    check_sketch,
    conformance_table,
)

METHODS = {name: cls() for name, cls in subclasses("tnattn.attention", AttentionMethod).items()}
# leaves of 64 would leave nothing to approximate at the lengths used here
METHODS["Causal, small leaves"] = Causal(leaf=8)
METHODS["Projected, causal"] = Projected(Causal(leaf=8))
DECOMPOSITIONS = subclasses("tnattn.decomposition", Decomposition)
SKETCHES = subclasses("tnattn.randnla", Sketch)
MATRIX_METHODS = subclasses("tnattn.randnla", MatrixMethod) | subclasses("tnattn.decomposition", MatrixMethod)

# where the default obeys what the class waives: another instance shows that the waiver is needed
WITNESSES = {"Chunked": Chunked(TopK())}

QUICK = [law.name for law in LAWS if not law.slow]
SLOW = [law.name for law in LAWS if law.slow]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_obeys_the_quick_laws(name):
    check_method(METHODS[name], laws=QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_method_obeys_the_laws_of_many_runs(name):
    check_method(METHODS[name], laws=SLOW)


@pytest.mark.parametrize("name", METHODS)
def test_a_waived_law_is_really_violated(name):
    method = WITNESSES.get(name, METHODS[name])
    laws = [law for law in method.waives if law in QUICK + SLOW]
    report = check_method(method, laws=laws, require_waived_violations=True)
    assert [finding.law for finding in report.of("waived")] == laws


def trained_heads(layer):
    """Return the family of problems of some tokens of the real sample, from all over the text."""

    def generate(sizes, _):
        sample = load_sample(layer)
        every = sample.q.shape[-2] // sizes.n
        q, k, v = (np.asarray(x[..., ::every, : sizes.d], dtype="f8") for x in (sample.q, sample.k, sample.v))
        return q[: sizes.heads, : sizes.n], k[: sizes.groups, : sizes.n], v[: sizes.groups, : sizes.n]

    return ProblemFamily(f"layer {layer}", "heads of a trained encoder", generate, ())


@pytest.mark.parametrize("name", METHODS)
def test_a_projection_moves_no_row_of_trained_heads_away(name):
    check_method(METHODS[name], laws=["projection"], problems=map(trained_heads, sample_layers()), width=32)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_projection_moves_no_row_away_on_the_whole_gallery(name):
    families = [*problems().values(), *map(trained_heads, sample_layers())]
    check_method(METHODS[name], laws=["projection"], problems=families, width=32, seeds=[1, 2], n=64)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_computes_halves_of_torch_in_float32(name, dtype):
    torch = pytest.importorskip("torch")
    half, method = getattr(torch, dtype), METHODS[name]
    rng = np.random.default_rng(0)
    q, k, v = (torch.asarray(rng.standard_normal((h, 16, d))).to(half) for h, d in ((4, 8), (2, 8), (2, 5)))
    if method.budget is not None:
        method = method.with_budget(8)
    found = method(AttentionProblem(q, k, v), rng=np.random.default_rng(0))
    wide = method(AttentionProblem(*(x.to(torch.float32) for x in (q, k, v))), rng=np.random.default_rng(0))
    assert found.output.dtype == half
    assert torch.equal(torch.nan_to_num(found.output), torch.nan_to_num(wide.output.to(half)))
    assert torch.equal(found.bad_rows, torch.sum(~torch.isfinite(found.output).all(-1), dim=-1))
    if found.expand is not None:
        assert (found.weights @ AttentionProblem(q, k, v).values).dtype == half
    if isinstance(method, KeyMethod):
        summary = method.summarise(KeySet.from_arrays(k, v), rng=np.random.default_rng(0))
        assert torch.equal(torch.nan_to_num(summary.attend(q).output), torch.nan_to_num(found.output))


@pytest.mark.slow
def test_the_table_of_halves_threads_forks_and_layouts_names_every_method():
    laws = ["half", "threads", "fork", "layouts"]
    table = conformance_table(METHODS, laws=laws)
    print(table)  # shown by pytest -rP
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert rows == [[name, *["yes"] * len(laws)] for name in METHODS]


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_method_obeys_all_laws_for_another_seed_and_length(name):
    check_method(METHODS[name], seeds=[1], n=47)


@pytest.mark.parametrize("name", DECOMPOSITIONS)
def test_a_decomposition_obeys_the_laws(name):
    check_decomposition(DECOMPOSITIONS[name]())


# a trait of a class, the promise of those that do not have it, and the law which that breaks
TRAITS = {
    "certifies": (True, "certificate"),
    "residual_is": ("the error", "residual"),
    "recovers_rank": (True, "recovery"),
    "recovery": (Decomposition.recovery, "recovery"),
    "lowers_rank": (False, "demand"),
}


@pytest.mark.parametrize("trait", TRAITS)
@pytest.mark.parametrize("name", DECOMPOSITIONS)
def test_a_decomposition_that_promises_less_than_others_needs_to(name, trait):
    cls, (promise, law) = DECOMPOSITIONS[name], TRAITS[trait]
    if getattr(cls, trait) == promise:
        return
    more = type(name, (cls,), {trait: promise, "__module__": __name__})
    with pytest.raises(ConformanceError, match=f"  {law} on "):
        check_decomposition(more(), laws=[law])


@pytest.mark.parametrize("trait, law", [("certifies", "certificate"), ("quasi_optimal", "quasi-optimality")])
def test_a_promise_that_is_not_kept_is_caught(trait, law):
    """Negative control: a doubled tensor is far from the best."""
    promising = type("Promising", (Careless,), {trait: True, "__module__": __name__})
    with pytest.raises(ConformanceError, match=f"  {law} on "):
        check_decomposition(promising(), laws=[law])


@dataclass(frozen=True)
class Careless(STHOSVD):
    """Truncates, and doubles what it has found; its result bounds no error."""

    certifies = quasi_optimal = False

    def decompose(self, tensor, *, rng):
        found = super().decompose(tensor, rng=rng)
        return TuckerTensor(2 * found.core, found.factors)


@pytest.mark.parametrize("name", MATRIX_METHODS)
def test_a_matrix_method_obeys_the_laws(name):
    check_matrix_method(MATRIX_METHODS[name]())


@pytest.mark.slow
@pytest.mark.parametrize("name", MATRIX_METHODS)
def test_a_matrix_method_obeys_the_laws_for_another_seed(name):
    check_matrix_method(MATRIX_METHODS[name](), seed=1)


# a trait of a class, the promise of those that do not have it, and the law which that breaks
MATRIX_TRAITS = {
    "exact_at_full_rank": (True, "full rank"),
    "recovers_rank": (True, "degenerate"),
    "rank_is_limit": (False, "demand"),
    "needs_full_rank": (False, "degenerate"),
}


@pytest.mark.parametrize("trait", MATRIX_TRAITS)
@pytest.mark.parametrize("name", MATRIX_METHODS)
def test_a_matrix_method_that_promises_less_than_others_needs_to(name, trait):
    cls, (promise, law) = MATRIX_METHODS[name], MATRIX_TRAITS[trait]
    if getattr(cls, trait) == promise:
        return
    more = type(name, (cls,), {trait: promise, "__module__": __name__})
    reports = [violated_laws(more(), law, seed) for seed in range(4)]
    assert any(reports), f"remove {trait} of {name}"


def violated_laws(method, law, seed):
    try:
        return [finding.law for finding in check_matrix_method(method, laws=[law], seed=seed).of("violated")]
    except ConformanceError as error:
        return [finding.law for finding in error.report.of("violated")]


@pytest.mark.parametrize("name", SKETCHES)
def test_a_sketch_obeys_the_laws(name):
    check_sketch(SKETCHES[name]())


def test_something_of_every_kind_is_found():
    assert {"Exact", "TopK"} <= set(METHODS)
    assert {"HOSVD", "TTSVD"} <= set(DECOMPOSITIONS)
    assert {"Gaussian", "SparseSign"} <= set(SKETCHES)
    assert {"RandomizedSVD", "NearestKronecker"} <= set(MATRIX_METHODS)
