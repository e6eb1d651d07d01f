"""The compare study: its grid, its keys, its rows."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from theory.records.keys import encode
from theory.records.runner import process_pool
from theory.studies.attention import AttentionStudy, Settings, load, remaining, run_study
from theory.studies.candidates import Candidate, Refusal, controls, fit, methods, representatives, select
from theory.studies.problems import ProblemSource, load_problem
from theory.studies.summary import lines, pooled
from tnattn import discovery
from tnattn.attention.baseline.mean_value import MeanValue
from tnattn.attention.cost import exact_cost
from tnattn.attention.method import JointMethod, KeyMethod
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK
from tnattn.attention.wrappers.causal import Causal
from tnattn.attention.wrappers.projected import Projected
from tnattn.decomposition.base import Decomposition

SOURCE = ProblemSource("gallery", "gauss", n=32, d=8, heads=2)


def study(*methods, budgets=(4, 8), trials=2, source=SOURCE, seed=0):
    candidates = tuple(Candidate(method) for method in methods or (Performer(), MeanValue()))
    return AttentionStudy(Settings(source, candidates, budgets, trials, seed, verdict_trials=3))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    run_study(study(), folder)
    return load(folder)


def untimed(rows):
    return [encode(row) for row in rows if row["kind"] != "time"]  # as text, since NaN differs from itself


def test_randomized_methods_run_every_trial_and_others_once(rows):
    trials = [(row["method"], row["budget"], row["trial"]) for row in rows if row["kind"] == "trial"]
    assert trials == [("Performer", m, t) for m in (4, 8) for t in (0, 1)] + [("MeanValue", 0, 0)]


def test_every_row_names_its_problem_and_has_one_value_per_head(rows):
    assert {row["problem"] for row in rows} == {"gauss"}
    assert {len(row["relative_output"]) for row in rows if row["kind"] == "trial"} == {2}


def test_the_mean_of_the_values_errs_as_computed_by_hand(rows):
    problem = load_problem(SOURCE)
    scores = problem.q @ np.swapaxes(problem.k, -1, -2) / np.sqrt(8)
    weights = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    exact = weights @ problem.v
    norm = np.linalg.norm(exact, axis=(-2, -1))
    expected = np.linalg.norm(exact - problem.v.mean(axis=-2, keepdims=True), axis=(-2, -1)) / norm
    (row,) = [row for row in rows if row["kind"] == "trial" and row["method"] == "MeanValue"]
    np.testing.assert_allclose(row["relative_output"], expected, rtol=1e-4)


def test_the_floor_falls_with_the_rank(rows):
    floors = [row["best_rank_relative"] for row in rows if row["kind"] == "floor"]
    assert len(floors) == 2
    assert np.all(np.asarray(floors[0]) > np.asarray(floors[1]))


def test_every_method_and_budget_is_timed_against_exact_attention(rows):
    timed = [(row["method"], row["budget"]) for row in rows if row["kind"] == "time"]
    assert timed == [("Performer", 4), ("Performer", 8), ("MeanValue", 0)]
    assert all(row["ratio"] > 0 and row["exact_seconds"] > 0 for row in rows if row["kind"] == "time")


def test_rows_do_not_depend_on_the_executor(rows, tmp_path):
    with ThreadPoolExecutor(2) as executor:
        run_study(study(), tmp_path, executor=executor)
    assert untimed(load(tmp_path)) == untimed(rows)


@pytest.mark.slow
def test_rows_do_not_depend_on_processes(rows, tmp_path):
    with process_pool(1) as executor:
        run_study(study(), tmp_path, executor=executor)
    assert untimed(load(tmp_path)) == untimed(rows)


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"source": dataclasses.replace(SOURCE, n=16)},
        {"source": dataclasses.replace(SOURCE, dtype="float64")},
    ],
    ids=["seed", "problem", "dtype"],
)
def test_another_specification_finds_nothing_done(changed, tmp_path):
    run_study(study(MeanValue()), tmp_path)
    assert remaining(study(MeanValue(), **changed), tmp_path)[0] == 0


def test_more_trials_reuse_those_there_are(tmp_path):
    run_study(study(Performer(), budgets=(4,)), tmp_path)
    found, missing = remaining(study(Performer(), budgets=(4,), trials=5), tmp_path)
    assert missing == 3
    assert found > 0


def test_rows_of_another_specification_stay_in_the_ledger_and_are_not_reported(tmp_path):
    run_study(study(MeanValue()), tmp_path)
    before = len((tmp_path / "ledger.jsonl").read_bytes().splitlines())
    run_study(study(MeanValue(), seed=1), tmp_path)
    assert len((tmp_path / "ledger.jsonl").read_bytes().splitlines()) == 2 * before
    assert {row["method"] for row in load(tmp_path) if row["kind"] == "trial"} == {"MeanValue"}
    assert sum(row["kind"] == "trial" for row in load(tmp_path)) == 1


@dataclasses.dataclass(frozen=True)
class Broken(JointMethod):
    """A method with a fault."""

    def approximate(self, problem, *, rng):
        raise ArithmeticError("broken")

    def cost(self, problem):
        return MeanValue().cost(problem)


def test_a_method_that_fails_leaves_rows_and_the_study_goes_on(tmp_path):
    run_study(study(Broken(), MeanValue(), trials=1), tmp_path)
    found = {(row["method"], row["kind"]): row for row in load(tmp_path) if "method" in row}
    assert found["Broken", "trial"]["status"] == "failed"
    assert "broken" in found["Broken", "trial"]["message"]
    assert ("Broken", "time") not in found
    assert found["MeanValue", "time"]["status"] == "done"


def test_a_budget_beyond_the_keys_is_refused():
    with pytest.raises(ValueError, match="exceeds the 32 keys"):
        study(budgets=(33,))


@pytest.mark.parametrize("budgets", [(), (8, 4), (0, 4), (4, 4)])
def test_budgets_are_ascending_and_positive(budgets):
    with pytest.raises(ValueError, match="ascending"):
        study(budgets=budgets)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no results"):
        load(tmp_path)


def test_the_controls_come_first_and_are_marked():
    chosen = select(["Performer", "SlidingWindow"])
    assert [c.label for c in chosen if c.control] == [c.label for c in controls()]
    assert [c.label for c in chosen if not c.control] == ["Performer"]


def test_every_family_is_represented_once():
    families = {c.family for c in representatives()} | {c.family for c in controls()}
    assert families == {discovery.family(cls) for cls in methods().values()}


def test_all_means_every_decomposition_of_weights_and_of_keys_and_values_and_of_matrices():
    chosen = {c.label for c in select(["all"])}
    tensor = discovery.subclasses("tnattn.decomposition", Decomposition)
    assert {f"{outer}({name})" for outer in ("WeightTensor", "FactoredKeyValue") for name in tensor} <= chosen
    assert {"LowRankWeights(NearestKronecker)", "LowRankWeights(QuantisedTTMatrix)", "LowRankWeights(QB)"} <= chosen


def test_a_key_method_is_wrapped_under_a_causal_mask_and_others_are_left_out():
    problem = load_problem(dataclasses.replace(SOURCE, causal=True))
    fitted = fit(Candidate(Performer()), problem)
    assert fitted.label == "Causal(Performer)"
    assert fitted.family == "random_features"
    assert fit(Candidate(SlidingWindow()), problem).label == "SlidingWindow"
    nystrom = next(c for c in select(["Nystromformer"]) if c.label == "Nystromformer")
    assert isinstance(fit(nystrom, problem), Refusal)


def test_a_method_that_loses_to_the_mean_is_marked(rows):
    made = {
        (line.method, line.budget): line
        for line in lines([row | {"control": row.get("method") == "MeanValue"} for row in rows])
    }
    assert made["Performer", 4].error > made["MeanValue", 0].error
    assert "loses to mean(V)" in made["Performer", 4].marks
    assert made["MeanValue", 0].marks == ()


def test_a_bad_row_counts_as_an_infinite_error():
    assert pooled([[0.1, float("nan"), float("nan")]])[0] == np.inf
    assert pooled([[0.1, 0.2, float("nan")]])[0] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "reference, kind", [(None, "sample"), ("sample:5", "sample"), ("gallery:needle?n=64", "gallery")]
)
def test_references_are_understood(reference, kind):
    assert ProblemSource.parse(reference).kind == kind


def test_the_sizes_of_a_reference_reach_the_problem():
    problem = load_problem(ProblemSource.parse("needle?n=16&d=4&heads=4&groups=2"))
    assert (problem.heads, problem.groups, problem.n_k, problem.width) == (4, 2, 16, 4)


def test_the_mean_of_the_values_keeps_no_cache_whatever_the_mask(tmp_path):
    for causal in (False, True):
        source = dataclasses.replace(SOURCE, causal=causal)
        run_study(study(MeanValue(), source=source), tmp_path / str(causal))
        (row,) = [row for row in load(tmp_path / str(causal)) if row["kind"] == "trial"]
        assert row["state"] == MeanValue().cost(load_problem(source)).state_per_token == 0


BUDGETLESS = [name for name, cls in methods().items() if cls().budget_field is None]


@pytest.mark.parametrize("name", BUDGETLESS)
@pytest.mark.parametrize("causal", [False, True])
def test_a_method_without_budget_keeps_what_its_cost_says(name, causal, tmp_path):
    source = dataclasses.replace(SOURCE, causal=causal)
    method = methods()[name]()
    if isinstance(method, KeyMethod) or isinstance(fit(Candidate(method), load_problem(source)), Refusal):
        pytest.skip("its summary is counted, or it takes no part")
    run_study(study(method, source=source, trials=1), tmp_path)
    problem = load_problem(source)
    expected = method.cost(problem).state_per_token / exact_cost(problem).state_per_token
    assert [row["state"] for row in load(tmp_path) if row["kind"] == "trial"] == [expected]


def best_of(method, problem, folder):
    """Run a control on a file; return its bad rows and its largest error."""
    source = ProblemSource("file", str(problem))
    candidates = (Candidate(method, control=True),)
    run_study(AttentionStudy(Settings(source, candidates, (1, 2, 4), trials=1)), folder)
    rows = [row for row in load(folder) if row["kind"] == "trial"]
    return sum(row["bad_rows"] for row in rows), max(max(row["relative_output"]) for row in rows)


def test_the_best_rank_is_not_divided_by_its_own_row_sums(tmp_path):
    """Under a causal mask truncations have row sums of either sign, some of them almost zero."""
    rng = np.random.default_rng(0)
    arrays = {name: 10 * rng.standard_normal((4, 32, 4)) for name in "qkv"}
    np.savez(tmp_path / "heads.npz", causal=True, **arrays)
    (control,) = [candidate.method for candidate in controls() if candidate.label.startswith("LowRankWeights(")]
    assert not control.renormalise
    bad, worst = best_of(control, tmp_path / "heads.npz", tmp_path / "control")
    assert bad == 0
    assert worst < 1
    divided = dataclasses.replace(control, renormalise=True)
    bad, worst = best_of(divided, tmp_path / "heads.npz", tmp_path / "divided")
    assert bad > 0
    assert worst == np.inf or np.isnan(worst) or worst > 1  # negative control


@pytest.mark.parametrize("blind", ["one head", "some queries"])
def test_heads_that_see_nothing_have_errors_that_are_numbers(blind, tmp_path):
    rng = np.random.default_rng(0)
    mask = np.ones((2, 16, 16), dtype=bool)
    mask[0, : 16 if blind == "one head" else 8] = False
    np.savez(tmp_path / "heads.npz", mask=mask, **{name: rng.standard_normal((2, 16, 4)) for name in "qkv"})
    source = ProblemSource("file", str(tmp_path / "heads.npz"))
    chosen = (*controls(),)
    run_study(AttentionStudy(Settings(source, chosen, (4,), trials=1)), tmp_path / "out")
    rows = load(tmp_path / "out")
    assert {row["status"] for row in rows} == {"done"}
    for row in rows:
        for name in ("relative_output", "relative_projected", "relative_weights", "best_rank_relative"):
            assert np.all(np.isfinite(row.get(name) or [0.0])), (row["kind"], row.get("method"), name)


def test_a_wrapper_reads_weights_and_later_queries_where_the_method_inside_does():
    inside = Projected(Causal(TopK(), leaks_queries=True))
    assert (Candidate(inside).oracle, Candidate(inside).leaks) == (True, True)
    assert (Candidate(Projected()).oracle, Candidate(Projected()).leaks) == (False, False)
